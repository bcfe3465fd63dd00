"""The runs that make deliveries again, for a key rotation or an erasure: Dagster's, in this process."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import dagster as dg

from adplatform.cli.headless import declared_automations, opened, run_request
from adplatform.components.assembly import ownership
from adplatform.components.assembly.automation import Automation
from adplatform.components.assembly.partitions import is_partition, partitions_in
from adplatform.components.assembly.runs import runs_of
from adplatform.definitions import defs
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow.again import Step, Work
from adplatform.flow.delivery import publish_delivery
from adplatform.flow.key_rotation import RUN_PREFIX
from adplatform.flow.pattern import Pattern, settler_of
from adplatform.flow.private_directory import private_directory
from adplatform.flow.services import Services
from adplatform.flow.settling import Settler
from adplatform.flow.source import FeedFlow
from adplatform.lake.lake import random_token
from adplatform.ledger.publications import Publication
from adplatform.transform.compile import output_columns


@contextmanager
def headless_work(
    services: Services, patterns: Sequence[Pattern], watch: Callable[[Step], None], prefix: str = RUN_PREFIX
) -> Iterator[Work]:
    """How deliveries are made again from the command line, by a run whose id begins with ``prefix``.

    Raises:
        PermanentFailure: another Dagster instance owns the automation.
    """
    run_id, automations = prefix + random_token(), declared_automations()
    with opened(services.settings) as instance, private_directory(services.settings.temp, run_id) as temp:
        ownership.require(services.ledger, instance)
        for automation in automations:
            for new in automation.new_partitions(services, instance):
                instance.add_dynamic_partitions(new.partitions_def_name, list(new.partition_keys))
        yield work_of(services, instance, defs(), patterns, automations, temp, run_id, watch)


def work_of(
    services: Services,
    instance: dg.DagsterInstance,
    loaded: dg.Definitions,
    patterns: Sequence[Pattern],
    automations: Sequence[Automation],
    temp: Path,
    run_id: str,
    watch: Callable[[Step], None] = lambda _: None,
) -> Work:
    """How a rotation works with the runs of an instance."""
    pattern_of = {pattern.source.name: pattern for pattern in patterns}
    automation_of = {automation.source: automation for automation in automations}

    def settler(flow: FeedFlow) -> Settler:
        return settler_of(services, pattern_of[flow.source], flow)

    def make(flow: FeedFlow, day: date) -> str:
        request = automation_of[flow.source].request(flow, day)
        if is_partition(partitions_in(loaded), request, instance):
            finished = run_request(loaded, request, services, instance)
            if finished.given:
                return f"{flow.name} {day}: an engine transforms it; run this again when that has ended"
            return "" if finished.success else f"{flow.name} {day}: {finished.error}"
        try:
            publication, columns = publish_delivery(services, flow, day, run_id, temp)
        except (PermanentFailure, TransientFailure) as e:
            return str(e)
        instance.report_runless_asset_event(
            automation_of[flow.source].materialization(services, flow, publication, columns)
        )
        return ""

    def closed(flow: FeedFlow, publication: Publication) -> None:
        columns = output_columns(flow.feed.contract)
        event = automation_of[flow.source].materialization(services, flow, publication, columns)
        instance.report_runless_asset_event(event)

    return Work(settler, make, runs_of(services.ledger, instance), temp, run_id, time.sleep, watch, closed)
