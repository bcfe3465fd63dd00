"""The assets of an account's Marketing Stream, the step that takes messages and makes them tables, and what starts it.

One run takes what waits in the queue, publishes the dates of which there is something new, and builds their sums: each
part is found due again by whoever comes next when a run dies.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path

import dagster as dg
from dagster_aws.s3.resources import S3Resource
from dagster_aws.secretsmanager.resources import SecretsManagerResource
from pydantic import AwareDatetime

from adplatform.amazon.sources import ReportSource
from adplatform.components.assembly.automation import Automation, Looking, Tick
from adplatform.components.assembly.cursors import read_cursor
from adplatform.components.assembly.delivery_assets import (
    AUDITS,
    SUSPICION,
    TOPIC_TAG,
    audit_evaluation,
    clean_key,
    consumer_checks,
    delivery_partitions,
    note_hindrance,
    raw_key,
    shown_findings,
)
from adplatform.components.assembly.metadata import (
    DATA_VERSION_TAG,
    clean_metadata,
    column_lineage,
    declared_table,
    ledger_hint,
    raw_schema,
    topic_metadata,
)
from adplatform.components.assembly.origins import origin_key
from adplatform.components.assembly.roles import step_of
from adplatform.components.assembly.runs import (
    FEED_TAG,
    RANGE_END,
    RANGE_START,
    at_work,
    may_start,
    note_failure,
    returns,
    runs_of,
    work_ended,
)
from adplatform.failures import ClaimLost, PermanentFailure, TransientFailure, clipped, listed
from adplatform.flow.budget import Budget
from adplatform.flow.notices import notify_stuck
from adplatform.flow.private_directory import private_directory
from adplatform.flow.services import Services
from adplatform.flow.slices import publish_slice, slice_settler
from adplatform.flow.source import FeedFlow
from adplatform.lake.audit import AuditFinding
from adplatform.ledger.leases import LeaseHeld
from adplatform.ledger.publications import Publication
from adplatform.platform.aws_errors import aws_failures
from adplatform.pull.stream.agreement import AGREES, judge
from adplatform.pull.stream.messages import take, waiting
from adplatform.pull.stream.sums import EQUALS_MESSAGES, KNOWN_PROFILES, build, built, mark, mark_unknown, sums_due
from adplatform.pull.stream.tables import StreamTables
from adplatform.resources.named import (
    CatalogResource,
    LedgerResource,
    MachineResource,
    NotificationsResource,
    QueuesResource,
    services_of,
)
from adplatform.transform.compile import output_columns
from adplatform.transform.values import OutputColumn

log = logging.getLogger(__name__)

STREAM_TAG = "adplatform/stream"
"""The account whose messages a run of its sensor takes. A run without it builds the sums of its partitions, too."""
TAKES_FOR = 240.0
"""Seconds for which one run takes messages."""
_DELTA_AUDITS = {name: text for name, text in AUDITS.items() if name != "manifest_rows"} | SUSPICION
_AUDITS = {
    EQUALS_MESSAGES: "Every sum is that of the tables of messages.",
    **{name: AUDITS[name] for name in ("row_conservation", "schema", "bounds")},
}
_WARNINGS = {KNOWN_PROFILES: "Every message is of the advertiser and marketplace of a profile that is declared."}
_OF_DAYS = {
    AGREES: "Impressions, clicks and cost of each profile and ad product are those of the reports, within the "
    "tolerance; dates that may still change are not judged."
}


def job_name(source: str) -> str:
    return f"{source}_stream"


def stream_runs(source: str) -> dg.RunsFilter:
    """The runs of the sensor that take messages."""
    return dg.RunsFilter(tags={STREAM_TAG: source})


@dataclass(frozen=True)
class Streamed:
    """The automation of an account, with the runs of its stream; as
    ``adplatform.components.assembly.automation.Automation``."""

    automation: Automation
    stream: StreamTables

    @property
    def source(self) -> str:
        return self.automation.source

    def look(self, services: Services, instance: dg.DagsterInstance, how: Looking) -> Tick:
        """Ask for a run where something waits: messages, of which the queue is asked once in a while, files of a run
        that died, or sums."""
        stream, source, runs = self.stream, self.source, runs_of(services.ledger, instance)
        tick = self.automation.look(services, instance, how)
        now, asked = services.now(), read_cursor(how.cursor, AwareDatetime)
        due, problems = slice_settler(services, stream.flows).due(runs)
        notify_stuck(services, source, problems)
        wanted = bool(due or sums_due(services, stream))
        if how.everything or asked is None or asked > now or now - asked >= stream.declared.every:
            asked, wanted = now, bool(waiting(services, stream)) or wanted
        starts = wanted and may_start(runs, stream_runs(source), time.time(), how.since)
        return replace(
            tick,
            requests=(*tick.requests, *([request_stream(stream, now)] if starts else [])),
            waits=tick.waits or wanted,
            cursor=f'"{asked.isoformat()}"',
        )

    def new_partitions(
        self, services: Services, instance: dg.DagsterInstance
    ) -> Iterable[dg.AddDynamicPartitionsRequest]:
        return self.automation.new_partitions(services, instance)

    def request(self, flow: FeedFlow, day: date) -> dg.RunRequest:
        """Of a table of the stream a run that publishes what waits, and builds the sums of the date."""
        if not self._has(flow):
            return self.automation.request(flow, day)
        tags = {FEED_TAG: flow.name, "source": flow.source}
        return dg.RunRequest(job_name=job_name(flow.source), partition_key=day.isoformat(), tags=tags)

    def materialization(
        self, services: Services, flow: FeedFlow, publication: Publication, columns: Iterable[OutputColumn]
    ) -> dg.AssetMaterialization:
        own = _materialization if self._has(flow) else self.automation.materialization
        return own(services, flow, publication, columns)

    def _has(self, flow: FeedFlow) -> bool:
        return flow.name in {each.name for each in self.stream.flows}


def request_stream(stream: StreamTables, now: datetime) -> dg.RunRequest:
    """A run for all that waits. Which dates that is shows only in the messages."""
    account, today = stream.account, max(now.date(), stream.account.start_date).isoformat()
    topic = {TOPIC_TAG: account.topics.failure} if account.topics.failure else {}
    return dg.RunRequest(
        job_name=job_name(account.source),
        tags={
            FEED_TAG: stream.daily.name,
            "source": account.source,
            STREAM_TAG: account.source,
            RANGE_START: today,
            RANGE_END: today,
            **topic,
        },
    )


def stream_assets(stream: StreamTables, owners: Sequence[str], tags: dict[str, str]) -> dg.AssetsDefinition:
    """Messages as they came, the table of each data set, and their sums by hour and day."""
    account = stream.account
    specs = [spec for _, flow in stream.deltas for spec in _delta_specs(flow, owners, tags)]
    specs += [_sum_spec(stream, flow, owners, tags) for flow in (stream.hourly, stream.daily)]
    partitions = delivery_partitions(stream.daily)
    checks = [
        dg.AssetCheckSpec(
            name, asset=clean_key(flow), blocking=name not in warnings, partitions_def=partitions, description=text
        )
        for flows, audits, warnings in (
            ([flow for _, flow in stream.deltas], _DELTA_AUDITS, SUSPICION),
            ([stream.hourly], _AUDITS | _WARNINGS, _WARNINGS),
            ([stream.daily], _AUDITS | _WARNINGS | _OF_DAYS, _WARNINGS | _OF_DAYS),
        )
        for flow in flows
        for name, text in audits.items()
    ]
    for flow in stream.flows:
        checks += consumer_checks(flow.feed.consumers, clean_key(flow), partitions)

    @dg.multi_asset(
        name=f"stream__{account.source}",
        specs=specs,
        check_specs=checks,
        # Of which dates messages are shows only when they are read.
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=f"stream_{account.source}",
    )
    @step_of(ReportSource.pattern)
    def take_messages(
        context: dg.AssetExecutionContext,
        s3: S3Resource,
        secrets: SecretsManagerResource,
        catalog: CatalogResource,
        ledger: LedgerResource,
        notifications: NotificationsResource,
        queues: QueuesResource,
        machine: MachineResource,
    ) -> Iterator[dg.MaterializeResult[None]]:
        services = services_of(s3, secrets, catalog, ledger, notifications, queues, machine)
        run_id, name, of_sensor = context.run.run_id, stream.daily.name, STREAM_TAG in context.run.tags
        try:
            with (
                aws_failures(name),
                at_work(context, services.ledger, name),
                private_directory(services.settings.temp, run_id) as work,
            ):
                problems = _Step(context, services, stream, work).do(of_sensor=of_sensor)
                work_ended(context, services.ledger, name)
        except (PermanentFailure, TransientFailure) as e:
            note_hindrance(context, e, name)
            raise dg.Failure(str(e), allow_retries=False) from e
        if problems:
            message = listed(problems, separator="; ")
            if of_sensor:
                note_failure(context.instance, context.run, stream_runs(account.source), PermanentFailure(message))
            raise dg.Failure(clipped(message), allow_retries=False)
        yield from ()

    return take_messages


def _delta_specs(flow: FeedFlow, owners: Sequence[str], tags: dict[str, str]) -> Iterator[dg.AssetSpec]:
    contract, columns = flow.feed.contract, output_columns(flow.feed.contract)
    yield dg.AssetSpec(
        raw_key(flow),
        deps=[origin_key(flow.source)],
        description=f"{flow.feed.description} A file has the messages of one batch, as they came. "
        f"{returns(flow.source)}",
        partitions_def=delivery_partitions(flow),
        group_name=flow.source,
        owners=owners,
        kinds={"s3", "sqs", "json"},
        tags=tags | {"zone": "raw"},
        metadata={"dagster/column_schema": raw_schema(contract), **topic_metadata(flow.topics)},
    )
    fresh = flow.feed.fresh_within
    yield dg.AssetSpec(
        clean_key(flow),
        deps=[raw_key(flow)],
        description=f"{flow.feed.description} {returns(flow.source)}",
        partitions_def=delivery_partitions(flow),
        group_name=flow.source,
        owners=owners,
        kinds={"parquet", "glue"},
        tags=tags | {"zone": "clean"},
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=fresh) if fresh else None,
        metadata={
            **declared_table(flow.table, columns),
            "dagster/column_lineage": column_lineage(raw_key(flow), contract, columns),
            **topic_metadata(flow.topics),
        },
    )


def _sum_spec(stream: StreamTables, flow: FeedFlow, owners: Sequence[str], tags: dict[str, str]) -> dg.AssetSpec:
    fresh = flow.feed.fresh_within
    return dg.AssetSpec(
        clean_key(flow),
        deps=[clean_key(each) for _, each in stream.deltas],
        description=f"{flow.feed.description} {returns(flow.source)}",
        partitions_def=delivery_partitions(flow),
        group_name=flow.source,
        owners=owners,
        kinds={"parquet", "glue", "duckdb"},
        tags=tags | {"zone": "clean"},
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=fresh) if fresh else None,
        metadata={
            **declared_table(flow.table, output_columns(flow.feed.contract)),
            "dagster/column_lineage": _lineage(stream, flow),
            **topic_metadata(flow.topics),
        },
    )


def _lineage(stream: StreamTables, flow: FeedFlow) -> dg.TableColumnLineage:
    """Which columns of the tables of messages each column of the sums is made of."""
    found: dict[str, list[dg.TableColumnDep]] = {}
    for dataset, each in stream.deltas:
        own = {column.name for column in each.feed.columns}
        for column in flow.feed.columns:
            name = dataset.names.get(column.name, column.name)
            if name in own:
                found.setdefault(column.name, []).append(dg.TableColumnDep(clean_key(each), name))
    return dg.TableColumnLineage(found)


def _materialization(
    services: Services, flow: FeedFlow, publication: Publication, columns: Iterable[OutputColumn]
) -> dg.AssetMaterialization:
    """A date of a table of the stream was published."""
    return dg.AssetMaterialization(
        clean_key(flow),
        partition=publication.day.isoformat(),
        metadata=clean_metadata(services.zones, flow, publication, columns),
        tags={DATA_VERSION_TAG: f"{publication.day}/{publication.version}"},
    )


@dataclass(frozen=True)
class _Step:
    """One run of the step. What is logged is recorded at once."""

    context: dg.AssetExecutionContext
    services: Services
    stream: StreamTables
    work: Path

    def do(self, *, of_sensor: bool) -> list[str]:
        """Take messages, publish what they change, build its sums, and judge those that have settled; what could not be
        done."""
        self._take()
        problems = self._publish()
        mark_unknown(self.services, self.stream)
        if not of_sensor:
            for key in self.context.partition_keys:
                mark(self.services, self.stream, date.fromisoformat(key))
        problems += [p for each in sums_due(self.services, self.stream) if (p := self._build(each.day))]
        for judged in judge(self.services, self.stream, self.work):
            self._log_checks(self.stream.daily, judged.day, _OF_DAYS, [judged.finding])
        return problems

    def _take(self) -> None:
        budget = Budget.of(TAKES_FOR)
        for landed in take(self.services, self.stream, self.context.run.run_id, self.work, budget):
            self.context.log_event(
                dg.AssetMaterialization(
                    raw_key(landed.flow),
                    partition=landed.day.isoformat(),
                    metadata={
                        "dagster/uri": self.services.zones.raw_uri(landed.key),
                        "adplatform/messages": landed.messages,
                        "adplatform/ledger": ledger_hint(landed.flow, str(landed.day)),
                    },
                )
            )

    def _publish(self) -> list[str]:
        """Publish every date of the tables of messages that has something new, and of sums what a dead run left."""
        runs = runs_of(self.services.ledger, self.context.instance)
        due, _ = slice_settler(self.services, self.stream.flows).due(runs)
        return [problem for each in due if (problem := self._publish_date(each.flow, each.day))]

    def _publish_date(self, flow: FeedFlow, day: date) -> str:
        def log_checks(findings: Iterable[AuditFinding]) -> None:
            mark(self.services, self.stream, day)
            self._log_checks(flow, day, _DELTA_AUDITS, findings)

        run_id = self.context.run.run_id
        try:
            with aws_failures(flow.name):
                # What a dead run left may have settled before this one brought more.
                while (done := publish_slice(self.services, flow, day, run_id, self.work, log_checks)) is not None:
                    self.context.log_event(_materialization(self.services, flow, *done))
        except ClaimLost as e:
            log.info("%s; that one publishes it", e)
        except (PermanentFailure, TransientFailure) as e:
            return f"{flow.name} {day}: {e}"
        return ""

    def _build(self, day: date) -> str:
        """Build the sums of a date; the problem if there is one."""
        stream, run_id = self.stream, self.context.run.run_id

        def log_checks(flow: FeedFlow, findings: Iterable[AuditFinding]) -> None:
            self._log_checks(flow, day, _AUDITS | _WARNINGS, findings)

        try:
            with aws_failures(f"{stream.daily.name} {day}"):
                done = build(self.services, stream, day, run_id, self.work, log_checks)
                if done is None:
                    return ""
                for flow, publication in done.publications:
                    columns = output_columns(flow.feed.contract)
                    self.context.log_event(_materialization(self.services, flow, publication, columns))
                built(self.services, stream, done)
        except (ClaimLost, LeaseHeld) as e:
            log.info("%s %s: %s; a later run builds it", stream.daily.name, day, e)
        except (PermanentFailure, TransientFailure) as e:
            return f"{day}: {e}"
        return ""

    def _log_checks(
        self, flow: FeedFlow, day: date, audits: Mapping[str, str], findings: Iterable[AuditFinding]
    ) -> None:
        for finding in shown_findings(findings, audits, flow):
            self.context.log_event(audit_evaluation(clean_key(flow), finding, day.isoformat()))
