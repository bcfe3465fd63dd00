"""The assets of files for ad platforms, and what starts their runs: the sensor of the table's source, after its other
work, whenever a table shows something else than an export was made of."""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from functools import partial

import dagster as dg
from dagster_aws.s3.resources import S3Resource
from dagster_aws.secretsmanager.resources import SecretsManagerResource

from adplatform.components.assembly.automation import Automation, Extended, Looking, Tick
from adplatform.components.assembly.metadata import topic_metadata
from adplatform.components.assembly.roles import step_of
from adplatform.components.assembly.runs import FEED_TAG, at_work, may_start, note_failure, runs_of, work_ended
from adplatform.contracts.activation import DestinationName
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow.exports import (
    FILES_AS_LISTED,
    ROWS_ACCOUNTED,
    Export,
    Exported,
    by_date,
    export,
    exported,
    exports_due,
)
from adplatform.flow.private_directory import private_directory
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow, Source
from adplatform.lake.audit import AuditFinding
from adplatform.platform.aws_errors import aws_failures
from adplatform.resources.named import (
    CatalogResource,
    LedgerResource,
    MachineResource,
    NotificationsResource,
    services_of,
)

log = logging.getLogger(__name__)

EXPORT_TAG = "adplatform/export"
"""Of which table and date a run makes files."""
_CHECKS = {
    ROWS_ACCOUNTED: "Every row of the table is in the files, without consent, the same as another, or nothing of it "
    "could be matched.",
    FILES_AS_LISTED: "Every file has the rows that the manifest says.",
}


def with_exports(automation: Automation, source: Source) -> Automation:
    """The automation of a source, with the files that ad platforms are to get of its tables, if there are any."""
    flows = [flow for flow in source.feeds if flow.feed.activations.declared]
    return Extended(automation, partial(_look, flows)) if flows else automation


def _look(
    flows: Sequence[FeedFlow],
    automation: Automation,
    services: Services,
    instance: dg.DagsterInstance,
    how: Looking,
) -> Tick:
    tick = automation.look(services, instance, how)
    due: dict[tuple[str, date | None], list[Export]] = {}
    for each in exports_due(services, flows):
        due.setdefault((each.flow.table, each.day), []).append(each)
    runs = runs_of(services.ledger, instance)
    requests = [
        _request(wanted)
        for wanted in due.values()
        if may_start(runs, dg.RunsFilter(tags={EXPORT_TAG: _tag(wanted[0])}), time.time(), how.since)
    ]
    said = f"; files of {len(due)} tables or dates are to be made for ad platforms" if due else ""
    return replace(
        tick, requests=(*tick.requests, *requests), standing=tick.standing + said, waits=tick.waits or bool(due)
    )


def _tag(wanted: Export) -> str:
    return f"{wanted.flow.table} {wanted.day or 'whole'}"


def _request(wanted: Sequence[Export]) -> dg.RunRequest:
    """One run for all destinations of a table or date."""
    first = wanted[0]
    return dg.RunRequest(
        partition_key=first.day.isoformat() if first.day else None,
        asset_selection=[export_key(each.flow, each.destination) for each in wanted],
        tags={
            FEED_TAG: f"{first.flow.name} exports",
            "source": first.flow.source,
            EXPORT_TAG: _tag(first),
            **topic_metadata(first.flow.topics),
        },
    )


def export_key(flow: FeedFlow, destination: DestinationName) -> dg.AssetKey:
    return dg.AssetKey(["exports", destination, flow.source, flow.feed.name])


def export_assets(flow: FeedFlow, owners: Sequence[str], tags: dict[str, str]) -> list[dg.AssetsDefinition]:
    """The files for each destination that the feed declares."""
    return [_export_asset(flow, destination, owners, tags) for destination in flow.feed.activations.declared]


def _export_asset(
    flow: FeedFlow, destination: DestinationName, owners: Sequence[str], tags: dict[str, str]
) -> dg.AssetsDefinition:
    start = flow.feed.start_date.isoformat()
    partitions = dg.DailyPartitionsDefinition(start_date=start, end_offset=1) if by_date(flow) else None
    key = export_key(flow, destination)
    spec = dg.AssetSpec(
        key,
        deps=[dg.AssetKey(["clean", flow.source, flow.feed.name])],
        description=f"Files of hashed identifiers of {flow.table} for {destination}, with a manifest, to be uploaded "
        "by you.",
        partitions_def=partitions,
        group_name=flow.source,
        owners=owners,
        kinds={"csv", "s3", "duckdb"},
        tags=tags | {"zone": "exports", "pii": "hashed"},
        skippable=True,
    )
    checks = [
        dg.AssetCheckSpec(name, asset=key, partitions_def=partitions, description=text)
        for name, text in _CHECKS.items()
    ]

    @dg.multi_asset(
        name=f"export__{flow.source}__{flow.feed.name}__{destination}",
        specs=[spec],
        check_specs=checks,
        can_subset=True,  # a table that shows nothing has no files
        pool=f"export_{flow.source}_{flow.feed.name}_{destination}",
    )
    @step_of(flow.pattern)
    def make_files(
        context: dg.AssetExecutionContext,
        s3: S3Resource,
        secrets: SecretsManagerResource,
        catalog: CatalogResource,
        ledger: LedgerResource,
        notifications: NotificationsResource,
        machine: MachineResource,
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        services = services_of(s3, secrets, catalog, ledger, notifications, machine)
        day = date.fromisoformat(context.partition_key) if partitions else None
        wanted, run_id = Export(flow, destination, day), context.run.run_id
        try:
            with (
                aws_failures(str(wanted)),
                at_work(context, services.ledger, str(wanted)),
                private_directory(services.settings.temp, run_id) as work,
            ):
                made = export(services, wanted, work)
                if made is None and EXPORT_TAG in context.run.tags:
                    raise PermanentFailure(
                        f"{wanted}: readers of the table see nothing of what the ledger says was published; deliver it "
                        "again"
                    )
                if made is None:
                    log.info("%s: the table shows nothing", wanted)
                else:
                    # Dagster records what is yielded before the step goes on, so nothing is noted that it never shows.
                    yield from _results(services, wanted, key, *made)
                    exported(services.ledger, wanted, made[0])
                work_ended(context, services.ledger, str(wanted))
        except (PermanentFailure, TransientFailure) as e:
            note_failure(context.instance, context.run, dg.RunsFilter(tags={EXPORT_TAG: _tag(wanted)}), e)
            raise dg.Failure(str(e), allow_retries=False) from e

    return make_files


def _results(
    services: Services, wanted: Export, key: dg.AssetKey, done: Exported, findings: Iterable[AuditFinding]
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    for finding in findings:
        yield dg.AssetCheckResult(
            asset_key=key,
            check_name=finding.name,
            passed=finding.passed,
            description=finding.description,
            metadata=dict(finding.metrics),
        )
    yield dg.MaterializeResult(
        asset_key=key,
        metadata={
            "dagster/uri": services.zones.raw_uri(wanted.manifest_key),
            "dagster/partition_row_count" if wanted.day else "dagster/row_count": done.rows,
            "adplatform/files": len(done.files),
            "adplatform/bytes": done.bytes,
            "adplatform/withheld": done.withheld,
            "adplatform/repeated": done.repeated,
            "adplatform/unidentified": done.unidentified,
        },
    )
