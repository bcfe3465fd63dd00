"""The raw and the clean asset of a feed, whatever engine brought its files."""

import logging
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date

import dagster as dg
from botocore.exceptions import BotoCoreError, ClientError
from dagster_aws.s3.resources import S3Resource
from dagster_aws.secretsmanager.resources import SecretsManagerResource

from adplatform.components.assembly.crawls import crawl_checks
from adplatform.components.assembly.metadata import (
    clean_metadata,
    column_lineage,
    declared_table,
    details_metadata,
    ledger_hint,
    outcome_table,
    raw_schema,
    received_table,
    schema_metadata,
    topic_metadata,
)
from adplatform.components.assembly.roles import step_of
from adplatform.components.assembly.runs import (
    BACKFILL_TAG,
    FAILURE_TAG,
    FEED_TAG,
    NOTIFIED_TAG,
    at_work,
    note_failure,
    returns,
    say_of,
    took_too_long,
    work_ended,
)
from adplatform.components.assembly.transforms import given_observation, made_metadata
from adplatform.consumers.fitness import check_name
from adplatform.contracts.consumers import Consumers
from adplatform.failures import ClaimLost, EnvironmentFailure, PermanentFailure, TransientFailure
from adplatform.flow import lifecycle
from adplatform.flow.again import settle_for_backfill
from adplatform.flow.automation_names import step_name
from adplatform.flow.begun import Begun
from adplatform.flow.cost_guard import held
from adplatform.flow.delivery import NotWritten, judge, land, publish, working
from adplatform.flow.engine_work import Given
from adplatform.flow.private_directory import private_directory
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform.flow.transforms import by_engine
from adplatform.flow.undelivered import notify_undelivered, undelivered
from adplatform.flow.usual_volume import USUAL_VOLUME
from adplatform.flow.verdicts import require_no_bad_file
from adplatform.lake.audit import METRICS, NAMING, AuditFinding
from adplatform.lake.zones import Zones
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.publications import Outcome
from adplatform.platform.aws_errors import aws_failures
from adplatform.resources.named import (
    CatalogResource,
    LedgerResource,
    MachineResource,
    NotificationsResource,
    services_of,
)
from adplatform.transform.compile import output_columns

log = logging.getLogger(__name__)

DEADLINE_TAG = "adplatform/deadline"
TOPIC_TAG = "adplatform/failure_topic"

HAND = (
    "A backfill makes what has been delivered again, from its originals; a date that was not delivered fails, and says "
    "what to do."
)

AUDITS = {
    "row_conservation": "Every row that came in is clean, superseded, quarantined or left out on purpose.",
    "schema": "The staged Parquet has the columns and types of the contract, and the files lack none (a warning).",
    "bounds": "Row counts and the share of quarantined rows are within the contract's bounds.",
    "no_personal_data_in_clear": "Every personal column holds digests, masks or nothing.",
    "manifest_rows": "Each file has the rows that the partner's manifest promises, where there is one.",
}
SUSPICION = {
    "suspected_personal_data": "Columns that nobody declared as personal hold no e-mail addresses or phone "
    "numbers, or are kept out of the table.",
    "one_hashing_key": "Personal columns are hashed with the same key as the rest of the lake.",
}
"""What does not keep a delivery from being published."""
REPORTED = {METRICS: "Every metric is of its column's type; one that is not is no value, and its row stays."}
"""The same, of tables of which columns are lenient."""
ENGINE = {
    "engine_counts": "As many rows were read as the engine's runs say that they moved.",
    "fields_present": "No column has lost its values since the delivery before.",
}
"""The same, where an engine writes the files."""
COMPARED = {USUAL_VOLUME: "As many rows are published of the date as usual; it is published whether or not."}
"""The same, of feeds with `usual_volume`."""


def raw_key(flow: FeedFlow) -> dg.AssetKey:
    return dg.AssetKey(["raw", flow.source, flow.feed.name])


def clean_key(flow: FeedFlow) -> dg.AssetKey:
    return dg.AssetKey(["clean", flow.source, flow.feed.name])


def delivery_partitions(flow: FeedFlow) -> dg.DailyPartitionsDefinition:
    """One partition per delivery date, UTC; today's exists today, because partners deliver during the day."""
    return dg.DailyPartitionsDefinition(start_date=flow.feed.start_date.isoformat(), end_offset=1)


def raw_asset(
    flow: FeedFlow,
    owners: Sequence[str],
    kinds: set[str],
    tags: dict[str, str],
    watched: Sequence[dg.AssetCheckSpec] = (),
    made_of: Sequence[dg.AssetKey] = (),
) -> dg.AssetsDefinition:
    """The files of a delivery, as received: checked, decrypted beside the original, accounted for. ``watched`` are
    checks that a sensor evaluates; ``made_of`` are assets that the files come of."""
    partitions = delivery_partitions(flow)
    spec = dg.AssetSpec(
        raw_key(flow),
        deps=made_of,
        description=(flow.feed.description or f"Files of {flow.name} as the partner sent them.")
        + f" {HAND} {returns(flow.source)}",
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
        name=step_name("raw", flow),
        specs=[spec],
        check_specs=[delivered, readable, *watched],
        can_subset=True,  # a run that has nothing to do judges nothing
    )
    @step_of(flow.pattern)
    def received(
        context: dg.AssetExecutionContext,
        s3: S3Resource,
        secrets: SecretsManagerResource,
        ledger: LedgerResource,
        notifications: NotificationsResource,
        machine: MachineResource,
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        services = services_of(s3, secrets, ledger, notifications, machine)
        day, tags = date.fromisoformat(context.partition_key), context.run.tags
        with _unclaimed(context, flow, day):
            absent = undelivered(services.ledger, flow, day)
            over = held(services, flow.source, flow.budget, flow.topics) if BACKFILL_TAG in tags else ""
            if BACKFILL_TAG in tags and not over and not absent and _makes(context, clean_key(flow)):
                settle_for_backfill(services, flow, day, tags[BACKFILL_TAG], context.run.run_id)
        if over:
            say_of(context.instance, context.run.run_id, {NOTIFIED_TAG: "when the limit was reached"})
            raise dg.Failure(f"{over}, and launch the backfill again", allow_retries=False)
        if absent:
            yield _check(delivered, passed=False, description=absent)
            yield _check(readable, passed=True, description="no file came, so none was refused")
            missed, backfill = DEADLINE_TAG in tags, tags.get(BACKFILL_TAG, "")
            notify_undelivered(services, flow, day, absent, context.run.run_id, missed=missed, backfill=backfill)
            if backfill:
                # Dagster would call the date one without a status.
                say_of(context.instance, context.run.run_id, {NOTIFIED_TAG: "once for the backfill"})
                raise dg.Failure(absent, allow_retries=False)
            return
        if DEADLINE_TAG in tags:
            for met in (delivered, readable):
                yield _check(met, passed=True, description="it came meanwhile; its own run judges its files")
            return
        goes_on = _makes(context, clean_key(flow))
        with silently(), _working(context, services, flow, day, goes_on=goes_on) as begun:
            delivery = begun.delivery
            yield _check(delivered, passed=True, description=delivery.settled_because)
            outcomes = land(begun)
            refused = [o for o in outcomes if o.outcome is Outcome.REFUSED]
            yield _check(
                readable,
                passed=not refused,
                description=f"{len(refused)} of {len(outcomes)} files refused",
                files=received_table(outcomes),
            )
            require_no_bad_file(flow, outcomes)
            yield dg.MaterializeResult(
                asset_key=spec.key,
                data_version=dg.DataVersion(f"{day}/{delivery.version}"),
                metadata={
                    "dagster/uri": services.zones.raw_uri(_kept(services.zones, flow, day)),
                    "adplatform/version": delivery.version,
                    "adplatform/settled_because": delivery.settled_because,
                    "adplatform/files": len(outcomes),
                    "adplatform/bytes": sum(o.bytes for o in outcomes),
                    "adplatform/received_files": received_table(outcomes),
                    "adplatform/ledger": ledger_hint(flow, str(day)),
                },
            )
            if not goes_on:
                lifecycle.release(services, flow, day, context.run.run_id)

    return received


def clean_asset(flow: FeedFlow, owners: Sequence[str], tags: dict[str, str]) -> dg.AssetsDefinition:
    """The table of a feed: validated, de-identified, audited before anyone can read it."""
    partitions = delivery_partitions(flow)
    columns = output_columns(flow.feed.contract)
    fresh = flow.feed.fresh_within
    spec = dg.AssetSpec(
        clean_key(flow),
        deps=[raw_key(flow)],
        description=(flow.feed.description or f"Clean rows of {flow.name}.") + f" {returns(flow.source)}",
        partitions_def=partitions,
        group_name=flow.source,
        owners=owners,
        kinds={"parquet", "glue"},
        tags=tags | {"zone": "clean"} | ({"pii": "hashed"} if any(flow.feed.contract.pii_columns()) else {}),
        skippable=True,
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=fresh) if fresh else None,
        metadata={
            **declared_table(flow.table, columns),
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
        for name, text in (
            SUSPICION | (ENGINE if flow.by_runs else {}) | (COMPARED if flow.feed.usual_volume else {})
        ).items()
    ]

    @dg.multi_asset(
        name=step_name("clean", flow),
        specs=[spec],
        check_specs=[
            *checks,
            *suspicions,
            *naming_checks(flow, spec.key, partitions),
            *consumer_checks(flow.feed.consumers, spec.key, partitions),
            *crawl_checks(flow, spec.key),
        ],
        can_subset=True,  # a run that has nothing to do judges nothing
        pool=f"publish_{flow.source}_{flow.feed.name}",
    )
    @step_of(flow.pattern)
    def transform(
        context: dg.AssetExecutionContext,
        s3: S3Resource,
        secrets: SecretsManagerResource,
        catalog: CatalogResource,
        ledger: LedgerResource,
        notifications: NotificationsResource,
        machine: MachineResource,
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        services = services_of(s3, secrets, catalog, ledger, notifications, machine)
        day = date.fromisoformat(context.partition_key)

        found: list[AuditFinding] = []
        with silently(), _working(context, services, flow, day) as begun:
            delivery = begun.delivery
            made, engine = by_engine(begun), services.settings.spark
            if isinstance(made, Given):
                context.log_event(given_observation(spec.key, made, context.partition_key, engine))
                return
            try:
                judged = judge(begun, found.extend, made=made)
            finally:
                yield from (audit_result(spec.key, finding) for finding in found)
            publication, table = publish(begun, judged, made)
            files = services.ledger.publications.file_outcomes
            outcomes = files(flow.name, day, delivery.version) if judged is None else judged.outcomes
            yield dg.MaterializeResult(
                asset_key=spec.key,
                data_version=dg.DataVersion(f"{day}/{delivery.version}"),
                metadata={
                    **clean_metadata(services.zones, flow, publication, table),
                    **schema_metadata(judged.staged.changes if judged else ()),
                    **made_metadata(made.run if made else None, engine),
                    "adplatform/file_outcomes": outcome_table(outcomes),
                },
            )

    return transform


def consumer_checks(
    consumers: Consumers, key: dg.AssetKey, partitions: dg.PartitionsDefinition[str] | None = None
) -> list[dg.AssetCheckSpec]:
    """A check of the clean asset ``key`` for each service that reads the table."""
    return [
        dg.AssetCheckSpec(
            check_name(name),
            asset=key,
            partitions_def=partitions,
            description=f"The service {name} can read the table as its settings under consumers say.",
        )
        for name in consumers.declared
    ]


def naming_checks(
    flow: FeedFlow, key: dg.AssetKey, partitions: dg.PartitionsDefinition[str]
) -> list[dg.AssetCheckSpec]:
    """The check of the clean asset ``key`` whose names have conventions."""
    if flow.feed.naming is None:
        return []
    text = (
        "As many names conform to their conventions as are wanted; "
        f"`adplatform naming {flow.table}` lists those that do not, by what was paid for them."
    )
    return [dg.AssetCheckSpec(NAMING, asset=key, partitions_def=partitions, description=text)]


def shown_findings(findings: Iterable[AuditFinding], audits: Container[str], flow: FeedFlow) -> Iterator[AuditFinding]:
    """Those of ``findings`` that checks of the clean asset show: of the ``audits``, of names, and of services."""
    others = {NAMING, *(check_name(name) for name in flow.feed.consumers.declared)}
    return (each for each in findings if each.name in audits or each.name in others)


def _makes(context: dg.AssetExecutionContext, key: dg.AssetKey) -> bool:
    """Whether the run makes the asset, too; one that selects nothing makes all of its job."""
    return key in (context.run.asset_selection or context.job_def.asset_layer.executable_asset_keys)


def _kept(zones: Zones, flow: FeedFlow, day: date) -> str:
    """Below which prefix the originals of a published delivery are."""
    return zones.archive(flow.name, day, flow.archive) if flow.archive else flow.layout.day_prefix(day)


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
    context: dg.AssetExecutionContext, services: Services, flow: FeedFlow, day: date, *, goes_on: bool = False
) -> Iterator[Begun]:
    """Work on the delivery where everybody can see that this run does, which ``goes_on`` in the next step. Another
    run's delivery ends the step without a failure (see :func:`silently`)."""
    run_id, work, known = context.run.run_id, f"{flow.name} {day}", False

    @contextmanager
    def stopped() -> Iterator[TransientFailure | None]:
        with stopping(context) as too_long:
            yield too_long
            work_ended(context, services.ledger, work)

    directory = private_directory(services.settings.temp, run_id)
    try:
        with aws_failures(work):
            with at_work(context, services.ledger, work):
                known = True
                with working(services, flow, day, run_id, directory, stopped) as begun:
                    yield begun
            if not goes_on:
                work_ended(context, services.ledger, work)
    except ClaimLost as e:
        _end(context, services.ledger, work)
        raise NothingToDo(str(e)) from e
    except (PermanentFailure, TransientFailure) as e:
        _end(context, services.ledger, work)
        noted = EnvironmentFailure(str(e)) if isinstance(e, TransientFailure) and not known else e
        note_hindrance(context, noted, flow.name, notified=known and not isinstance(e, NotWritten))
        raise dg.Failure(
            str(e), metadata={"adplatform/permanent": isinstance(e, PermanentFailure)}, allow_retries=False
        ) from e


def _end(context: dg.AssetExecutionContext, ledger: Ledger, work: str) -> None:
    """The work has ended; where the ledger cannot note that, the end of the run says so."""
    try:
        with aws_failures(work):
            work_ended(context, ledger, work)
    except (PermanentFailure, TransientFailure) as e:
        log.warning("%s: %s", work, e)


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
        say_of(context.instance, context.run.run_id, {NOTIFIED_TAG: "it was stopped from outside"})
    except (BotoCoreError, ClientError) as e:
        log.warning("%s was stopped and could not say so to the ledger: %s", context.run.run_id, e)


def note_hindrance(context: dg.AssetExecutionContext, error: Exception, feed: str, *, notified: bool = False) -> None:
    """Mark a run that was hindered where it ran: it is no attempt. People need not be notified of it when the ledger
    has done so (``notified``), or the run before was hindered, too."""
    if not isinstance(error, EnvironmentFailure):
        return
    if notified:
        tags = {FAILURE_TAG: EnvironmentFailure.__name__, NOTIFIED_TAG: "by the ledger, when it began"}
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


def audit_result(key: dg.AssetKey, finding: AuditFinding) -> dg.AssetCheckResult:
    """What a check of the asset says of a finding."""
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=finding.name,
        passed=finding.passed,
        description=finding.description,
        metadata={**finding.metrics, **details_metadata(finding)},
        severity=dg.AssetCheckSeverity.ERROR if finding.blocking else dg.AssetCheckSeverity.WARN,
    )


def audit_evaluation(key: dg.AssetKey, finding: AuditFinding, partition: str) -> dg.AssetCheckEvaluation:
    """The same of one partition, for a step that works on many."""
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=finding.name,
        passed=finding.passed,
        description=finding.description,
        metadata={
            **{name: dg.MetadataValue.float(float(value)) for name, value in finding.metrics.items()},
            **details_metadata(finding),
        },
        severity=dg.AssetCheckSeverity.ERROR if finding.blocking else dg.AssetCheckSeverity.WARN,
        partition=partition,
    )
