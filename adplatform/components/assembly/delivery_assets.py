"""The raw and the clean asset of a feed, whatever engine brought its files."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import dagster as dg
from botocore.exceptions import BotoCoreError, ClientError

from adplatform.components.assembly.metadata import (
    clean_schema,
    column_lineage,
    ledger_hint,
    outcome_table,
    publication_metadata,
    raw_schema,
    topic_metadata,
)
from adplatform.components.assembly.runs import (
    FAILURE_TAG,
    FEED_TAG,
    TOLD_TAG,
    at_work,
    note_failure,
    say_of,
    took_too_long,
    work_ended,
)
from adplatform.failures import ClaimLost, EnvironmentFailure, PermanentFailure, TransientFailure
from adplatform.flow import clean, lifecycle, raw
from adplatform.flow.close import close
from adplatform.flow.private_directory import private_directory
from adplatform.flow.services import Services
from adplatform.flow.shown import shown
from adplatform.flow.source import FeedFlow
from adplatform.flow.undelivered import tell_undelivered, undelivered
from adplatform.lake.audit import AuditFinding
from adplatform.ledger.delivery import Delivery
from adplatform.ledger.publications import Outcome
from adplatform.platform.aws_errors import aws_failures
from adplatform.transform.compile import output_columns

log = logging.getLogger(__name__)

DEADLINE_TAG = "adplatform/deadline"
TOPIC_TAG = "adplatform/failure_topic"
BACKFILL_TAG = "dagster/backfill"

AUDITS = {
    "row_conservation": "Every row that came in is clean, superseded or quarantined.",
    "schema": "The staged Parquet has the columns and types of the contract.",
    "bounds": "Row counts and the share of quarantined rows are within the contract's bounds.",
    "no_personal_data_in_clear": "Every personal column holds digests, masks or nothing.",
    "manifest_rows": "Each file has the rows that the partner's manifest promises, where there is one.",
}
SUSPICION = {
    "suspected_personal_data": "Columns that nobody declared as personal hold no e-mail addresses.",
    "one_hashing_key": "Personal columns are hashed with the same key as the rest of the lake.",
}
"""What does not keep a delivery from being published."""


def raw_key(flow: FeedFlow) -> dg.AssetKey:
    return dg.AssetKey(["raw", flow.source, flow.feed.name])


def clean_key(flow: FeedFlow) -> dg.AssetKey:
    return dg.AssetKey(["clean", flow.source, flow.feed.name])


def delivery_partitions(flow: FeedFlow) -> dg.DailyPartitionsDefinition:
    """One partition per delivery date, UTC; today's exists today, because partners deliver during the day."""
    return dg.DailyPartitionsDefinition(start_date=flow.feed.start_date.isoformat(), end_offset=1)


def raw_asset(flow: FeedFlow, owners: Sequence[str], kinds: set[str], tags: dict[str, str]) -> dg.AssetsDefinition:
    """The files of a delivery, as received: checked, decrypted beside the original, accounted for."""
    partitions = delivery_partitions(flow)
    spec = dg.AssetSpec(
        raw_key(flow),
        description=flow.feed.description or f"Files of {flow.name} as the partner sent them.",
        partitions_def=partitions,
        group_name=flow.source,
        owners=owners,
        kinds=kinds,
        tags=tags | {"zone": "raw"},
        skippable=True,
        metadata={
            "dagster/column_schema": raw_schema(flow.feed.contract),
            "adplatform/landing": flow.layout.template,
            "adplatform/complete_when": flow.feed.arrival.complete_when,
            **topic_metadata(flow.topics),
        },
    )
    # Not blocking: a blocking check fails its step, and Dagster then shows every check of the run as failed.
    delivered = dg.AssetCheckSpec(
        "delivered", asset=spec.key, partitions_def=partitions, description="The delivery has arrived."
    )
    readable = dg.AssetCheckSpec(
        "files_accepted",
        asset=spec.key,
        blocking=True,
        partitions_def=partitions,
        description="Every file is whole, decrypts, and bears a pinned signature.",
    )

    @dg.multi_asset(
        name=f"raw__{flow.source}__{flow.feed.name}",
        specs=[spec],
        check_specs=[delivered, readable],
        can_subset=True,  # a run that has nothing to do judges nothing
    )
    def land(
        context: dg.AssetExecutionContext, services: dg.ResourceParam[Services]
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        day, tags = date.fromisoformat(context.partition_key), context.run.tags
        with _unclaimed(context, flow, day):
            absent = undelivered(services, flow, day)
        if absent:
            yield _check(delivered, passed=False, description=absent)
            yield _check(readable, passed=True, description="no file came, so none was refused")
            missed, backfill = DEADLINE_TAG in tags, tags.get(BACKFILL_TAG, "")
            tell_undelivered(services, flow, day, absent, context.run.run_id, missed=missed, backfill=backfill)
            return
        if DEADLINE_TAG in tags:
            for met in (delivered, readable):
                yield _check(met, passed=True, description="it came meanwhile; its own run judges its files")
            return
        with silently(), _working(context, services, flow, day) as (delivery, work):
            yield _check(delivered, passed=True, description=delivery.settled_because)
            if shown(services.ledger, flow, delivery):
                outcomes = tuple(services.ledger.publications.file_outcomes(flow.name, day, delivery.version))
            else:
                outcomes = raw.land(services, flow, day, delivery.version, work)
            refused = [o for o in outcomes if o.outcome is Outcome.REFUSED]
            yield _check(
                readable,
                passed=not refused,
                description=f"{len(refused)} of {len(outcomes)} files refused",
                files=outcome_table(outcomes),
            )
            clean.require_no_bad_file(flow, outcomes)
            yield dg.MaterializeResult(
                asset_key=spec.key,
                data_version=dg.DataVersion(f"{day}/{delivery.version}"),
                metadata={
                    "dagster/uri": services.zones.raw_uri(services.zones.archive(flow.name, day, flow.archive)),
                    "adplatform/version": delivery.version,
                    "adplatform/settled_because": delivery.settled_because,
                    "adplatform/files": len(outcomes),
                    "adplatform/bytes": sum(o.bytes for o in outcomes),
                    "adplatform/file_outcomes": outcome_table(outcomes),
                    "adplatform/ledger": ledger_hint(flow, str(day)),
                },
            )
            selected = context.run.asset_selection
            if selected is not None and clean_key(flow) not in selected:
                lifecycle.release(services, flow, day, context.run.run_id)

    return land


def clean_asset(flow: FeedFlow, owners: Sequence[str], tags: dict[str, str]) -> dg.AssetsDefinition:
    """The table of a feed: validated, de-identified, audited before anyone can read it."""
    partitions = delivery_partitions(flow)
    columns = output_columns(flow.feed.contract)
    fresh = flow.feed.fresh_within
    spec = dg.AssetSpec(
        clean_key(flow),
        deps=[raw_key(flow)],
        description=flow.feed.description or f"Clean rows of {flow.name}.",
        partitions_def=partitions,
        group_name=flow.source,
        owners=owners,
        kinds={"parquet", "glue"},
        tags=tags | {"zone": "clean"} | ({"pii": "hashed"} if any(flow.feed.contract.pii_columns()) else {}),
        skippable=True,
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=fresh) if fresh else None,
        metadata={
            "dagster/column_schema": clean_schema(columns),
            "dagster/column_lineage": column_lineage(raw_key(flow), flow.feed.contract, columns),
            **topic_metadata(flow.topics),
        },
    )
    checks = [
        dg.AssetCheckSpec(name, asset=spec.key, blocking=True, partitions_def=partitions, description=text)
        for name, text in AUDITS.items()
    ]
    suspicions = [
        dg.AssetCheckSpec(name, asset=spec.key, partitions_def=partitions, description=text)
        for name, text in SUSPICION.items()
    ]

    @dg.multi_asset(
        name=f"clean__{flow.source}__{flow.feed.name}",
        specs=[spec],
        check_specs=[*checks, *suspicions],
        can_subset=True,  # a run that has nothing to do judges nothing
        pool=f"publish_{flow.source}_{flow.feed.name}",
    )
    def transform(
        context: dg.AssetExecutionContext, services: dg.ResourceParam[Services]
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        day, started = date.fromisoformat(context.partition_key), time.monotonic()
        with silently(), _working(context, services, flow, day) as (delivery, work):
            table = columns
            if not shown(services.ledger, flow, delivery):
                transformed = clean.transform_version(services, flow, day, delivery.version, work)
                yield from (_audit_result(spec.key, finding) for finding in transformed.findings)
                if transformed.refusals:
                    reasons = "; ".join(f"{f.name}: {f.description}" for f in transformed.refusals)
                    raise PermanentFailure(
                        f"{flow.name} {day}: the audit refused version {delivery.version}: {reasons}"
                    )
                clean.publish_version(services, flow, day, delivery.version, transformed, context.run.run_id, work)
                table = transformed.staged.columns
            publication = close(services, flow, delivery, time.monotonic() - started)
            outcomes = services.ledger.publications.file_outcomes(flow.name, day, delivery.version)
            yield dg.MaterializeResult(
                asset_key=spec.key,
                data_version=dg.DataVersion(f"{day}/{delivery.version}"),
                metadata={
                    **publication_metadata(flow, publication),
                    "dagster/table_name": publication.table,
                    "dagster/uri": services.zones.clean_uri(services.zones.clean(flow.name)),
                    "dagster/column_schema": clean_schema(table),
                    "adplatform/file_outcomes": outcome_table(outcomes),
                },
            )

    return transform


@contextmanager
def _unclaimed(context: dg.AssetExecutionContext, flow: FeedFlow, day: date) -> Iterator[None]:
    """Ask the ledger of a delivery that this run has not claimed. What keeps the run from asking is no attempt."""
    try:
        with aws_failures(f"{flow.name} {day}"):
            yield
    except TransientFailure as e:
        note_hindrance(context, EnvironmentFailure(str(e)), flow.name)
        raise dg.Failure(str(e), allow_retries=False) from e


@contextmanager
def _working(
    context: dg.AssetExecutionContext, services: Services, flow: FeedFlow, day: date
) -> Iterator[tuple[Delivery, Path]]:
    """Claim the delivery, give the step a private directory, and write a failure to the ledger before Dagster sees it.

    Retries are the ledger's (``flow.settling``): they survive a crash of this process, a step's own would not. A
    delivery that another run has ends the step without a failure (see :func:`silently`).
    """
    run_id, work = context.run.run_id, f"{flow.name} {day}"
    claimed: Delivery | None = None
    try:
        with aws_failures(work), at_work(context, services, work):
            claimed = lifecycle.claim(services, flow, day, run_id)
            with private_directory(services.settings.temp, run_id) as directory:
                yield claimed, directory
            if not services.ledger.deliveries.get(flow.name, day).is_held_by(run_id):
                work_ended(context, services, work)
    except (PermanentFailure, TransientFailure) as e:
        told = False
        try:
            with aws_failures(work):
                work_ended(context, services, work)
                lost = isinstance(e, ClaimLost) or (
                    claimed is not None and not lifecycle.fail(services, flow, day, run_id, e)
                )
                told = claimed is not None
        except EnvironmentFailure as hindered:
            note_hindrance(context, hindered, flow.name)
            raise dg.Failure(str(hindered), allow_retries=False) from hindered
        if lost:
            raise NothingToDo(str(e)) from e
        before_its_work = claimed is None and isinstance(e, TransientFailure)
        note_hindrance(context, EnvironmentFailure(str(e)) if before_its_work else e, flow.name, told=told)
        raise dg.Failure(
            str(e), metadata={"adplatform/permanent": isinstance(e, PermanentFailure)}, allow_retries=False
        ) from e
    except Exception as e:
        lifecycle.fail(services, flow, day, run_id, TransientFailure(f"unexpected {type(e).__name__}"))
        raise
    except GeneratorExit:  # Dagster stopped between two events; the next tick asks it why
        raise
    except BaseException:  # interruptions, Dagster's too, are no Exceptions
        with stopping(context) as too_long:
            if too_long is None:
                lifecycle.release(services, flow, day, run_id)
            else:
                lifecycle.fail(services, flow, day, run_id, too_long)
            work_ended(context, services, work)
        raise


class NothingToDo(Exception):
    """Another run has the work. Only :func:`silently` sees it."""


@contextmanager
def silently() -> Iterator[None]:
    """End the step as it is when another run has its work: it materializes nothing, and nothing has failed."""
    try:
        yield
    except NothingToDo as e:
        log.info("%s; nothing is left to do here", e)


@contextmanager
def stopping(context: dg.AssetExecutionContext) -> Iterator[TransientFailure | None]:
    """Put away what a step holds that is stopped from outside. What cannot be put away is freed by the next tick.

    It is no attempt, unless Dagster stops the run because it takes too long: that is the failure that is handed out.
    """
    late = took_too_long(context.instance, context.run)
    try:
        yield (
            TransientFailure("its run took longer than a run may (max_runtime_seconds of dagster.yaml)")
            if late
            else None
        )
        if late:
            return
        say_of(context.instance, context.run.run_id, {TOLD_TAG: "it was stopped from outside"})
    except (BotoCoreError, ClientError) as e:
        log.warning("%s was stopped and could not say so to the ledger: %s", context.run.run_id, e)


def note_hindrance(context: dg.AssetExecutionContext, error: Exception, feed: str, *, told: bool = False) -> None:
    """Mark a run that was hindered where it ran: it is no attempt. People need not be told of it when the ledger has
    ``told`` them, or the run before was hindered, too."""
    if not isinstance(error, EnvironmentFailure):
        return
    if told:
        tags = {FAILURE_TAG: EnvironmentFailure.__name__, TOLD_TAG: "by the ledger, when it began"}
        say_of(context.instance, context.run.run_id, tags)
    else:
        note_failure(context.instance, context.run, dg.RunsFilter(tags={FEED_TAG: feed}), EnvironmentFailure())


def _check(
    spec: dg.AssetCheckSpec, *, passed: bool, description: str, files: dg.TableMetadataValue | None = None
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=spec.asset_key,
        check_name=spec.name,
        passed=passed,
        description=description,
        metadata={"files": files} if files else None,
    )


def _audit_result(key: dg.AssetKey, finding: AuditFinding) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=finding.name,
        passed=finding.passed,
        description=finding.description,
        metadata=dict(finding.metrics),
        severity=dg.AssetCheckSeverity.ERROR if finding.blocking else dg.AssetCheckSeverity.WARN,
    )


def audit_evaluation(key: dg.AssetKey, finding: AuditFinding, partition: str) -> dg.AssetCheckEvaluation:
    """The same of one partition, for a step that works on many."""
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=finding.name,
        passed=finding.passed,
        description=finding.description,
        metadata={name: dg.MetadataValue.float(float(value)) for name, value in finding.metrics.items()},
        severity=dg.AssetCheckSeverity.ERROR if finding.blocking else dg.AssetCheckSeverity.WARN,
        partition=partition,
    )
