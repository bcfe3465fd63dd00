"""The runs of a key rotation: Dagster's, in this process, as ``adplatform process`` makes them."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import dagster as dg

from adplatform.cli.context import declared_sources
from adplatform.cli.headless import opened, run_request
from adplatform.components.assembly import (
    arrival_automation,
    delivery_assets,
    ownership,
    report_assets,
    report_automation,
)
from adplatform.components.assembly.metadata import publication_metadata
from adplatform.components.assembly.report_assets import clean_materialization
from adplatform.components.assembly.runs import runs_of
from adplatform.definitions import defs
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow.key_rotation import RUN_PREFIX, Step, Work
from adplatform.flow.private_directory import private_directory
from adplatform.flow.publication import publish_delivery
from adplatform.flow.services import Services
from adplatform.flow.settling import Settler
from adplatform.flow.source import FeedFlow, Source
from adplatform.lake.lake import random_token
from adplatform.ledger.publications import Publication
from adplatform.pull.account import Account
from adplatform.pull.land import slice_settler


@contextmanager
def headless_work(services: Services, accounts: Sequence[Account], watch: Callable[[Step], None]) -> Iterator[Work]:
    """How a rotation works from the command line.

    Raises:
        PermanentFailure: another Dagster instance owns the automation.
    """
    run_id = RUN_PREFIX + random_token()
    with opened(services.settings.home) as instance, private_directory(services.settings.temp, run_id) as temp:
        ownership.require(services, instance)
        for account in accounts:
            report_automation.add_partitions(services, account, instance)
        sources = declared_sources(services.settings)
        yield work_of(services, instance, defs(), sources, accounts, temp, run_id, watch)


def work_of(
    services: Services,
    instance: dg.DagsterInstance,
    loaded: dg.Definitions,
    sources: Iterable[Source],
    accounts: Iterable[Account],
    temp: Path,
    run_id: str,
    watch: Callable[[Step], None] = lambda _: None,
) -> Work:
    """How a rotation works with the runs of an instance."""
    owners = {account.source: account for account in accounts}
    partners = {source.name: source for source in sources}

    def settler(flow: FeedFlow) -> Settler:
        if flow.source in owners:
            return slice_settler(services, (flow,))
        return Settler(partners[flow.source], services.s3, None, "", services.ledger, services.zones)

    def make(flow: FeedFlow, day: date) -> str:
        account = owners.get(flow.source)
        request = _request(account, flow, day)
        if not _is_partition(loaded, request, instance):
            return _make_without_run(services, instance, account, flow, day, temp, run_id)
        finished = run_request(loaded, request, services, instance)
        return "" if finished.success else f"{flow.name} {day}: {finished.error}"

    def closed(flow: FeedFlow, publication: Publication) -> None:
        instance.report_runless_asset_event(_materialization(flow, publication))

    return Work(settler, make, runs_of(services, instance), temp, run_id, time.sleep, watch, closed)


def _is_partition(loaded: dg.Definitions, request: dg.RunRequest, instance: dg.DagsterInstance) -> bool:
    """Whether there can be such a run: not of a date before a start that was raised since, nor of a scope that an
    account has no longer."""
    with dg.partition_loading_context(dynamic_partitions_store=instance):
        specs = [loaded.resolve_assets_def(key).specs_by_key[key] for key in request.asset_selection or ()]
        partitions = [spec.partitions_def for spec in specs if spec.partitions_def is not None]
        return all(each.has_partition_key(request.partition_key or "") for each in partitions)


def _make_without_run(
    services: Services,
    instance: dg.DagsterInstance,
    account: Account | None,
    flow: FeedFlow,
    day: date,
    temp: Path,
    run_id: str,
) -> str:
    try:
        publication, columns = publish_delivery(services, flow, day, run_id, temp)
    except (PermanentFailure, TransientFailure) as e:
        return str(e)
    event = (
        clean_materialization(services, account, flow, publication, columns)
        if account is not None
        else _materialization(flow, publication)
    )
    instance.report_runless_asset_event(event)
    return ""


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
