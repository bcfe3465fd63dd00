"""The runs of a key rotation: Dagster's, in this process, as ``adplatform process`` makes them."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date

import dagster as dg

from adplatform.cli.context import declared_sources
from adplatform.cli.headless import opened, run_request
from adplatform.components import arrival_automation, delivery_assets, ownership, report_assets, report_automation
from adplatform.components.metadata import publication_metadata
from adplatform.components.runs import runs_of
from adplatform.definitions import defs
from adplatform.flow.key_rotation import RUN_PREFIX, Step, Work
from adplatform.flow.reports.account import Account
from adplatform.flow.reports.land import slice_settler
from adplatform.flow.services import Services
from adplatform.flow.settling import Settler
from adplatform.flow.source import FeedFlow
from adplatform.lake.lake import random_token
from adplatform.ledger.rows import Publication


@contextmanager
def headless_work(services: Services, accounts: Sequence[Account], watch: Callable[[Step], None]) -> Iterator[Work]:
    """How a rotation works from the command line.

    Raises:
        PermanentFailure: another Dagster instance owns the automation.
    """
    owners = {account.source: account for account in accounts}
    sources = {source.name: source for source in declared_sources(services.settings)}

    def settler(flow: FeedFlow) -> Settler:
        if flow.source in owners:
            return slice_settler(services, (flow,))
        return Settler(sources[flow.source], services.s3, None, "", services.ledger, services.zones)

    with opened(services.settings.home) as instance:
        ownership.require(services, instance)
        loaded = defs()
        for account in accounts:
            report_automation.add_partitions(services, account, instance)

        def make(flow: FeedFlow, day: date) -> str:
            finished = run_request(loaded, _request(owners.get(flow.source), flow, day), services, instance)
            return "" if finished.success else f"{flow.name} {day}: {finished.error}"

        def closed(flow: FeedFlow, publication: Publication) -> None:
            instance.report_runless_asset_event(_materialization(flow, publication))

        temp = services.settings.home / "rotation"
        yield Work(
            settler, make, runs_of(services, instance), temp, RUN_PREFIX + random_token(), time.sleep, watch, closed
        )


def _request(account: Account | None, flow: FeedFlow, day: date) -> dg.RunRequest:
    """Without a run key: the delivery may be run again at once."""
    if account is None:
        return dg.RunRequest(
            partition_key=day.isoformat(),
            asset_selection=[delivery_assets.raw_key(flow), delivery_assets.clean_key(flow)],
            tags=arrival_automation.run_tags(flow),
        )
    return dg.RunRequest(
        partition_key=report_assets.partition_key(account, day, flow.scope.value if flow.scope else ""),
        asset_selection=[report_assets.clean_key(account, flow.feed.name)],
        tags=report_automation.run_tags(account, flow.name),
    )


def _materialization(flow: FeedFlow, publication: Publication) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(
        delivery_assets.clean_key(flow),
        partition=publication.day.isoformat(),
        metadata={**publication_metadata(flow, publication), "dagster/table_name": publication.table},
        tags={report_assets.DATA_VERSION_TAG: f"{publication.day}/{publication.version}"},
    )
