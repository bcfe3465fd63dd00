"""The assets of a report: the raw asset of its documents and the clean asset of each table that it brings.

They belong to one step, because one document brings up to a month of dates: a run covers one report, and every date
that it changed becomes a materialization of its own partition.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dagster as dg
from dagster_aws.s3.resources import S3Resource
from dagster_aws.secretsmanager.resources import SecretsManagerResource

from adplatform.amazon.definitions import STAMPS, ReportDefinition
from adplatform.amazon.http import PATIENCE
from adplatform.amazon.reports import ReportApi
from adplatform.amazon.restatement import Period
from adplatform.amazon.sources import ReportSource
from adplatform.components.assembly.crawls import crawl_checks
from adplatform.components.assembly.delivery_assets import (
    AUDITS,
    COMPARED,
    REPORTED,
    SUSPICION,
    NothingToDo,
    audit_evaluation,
    consumer_checks,
    naming_checks,
    note_hindrance,
    shown_findings,
    silently,
    stopping,
)
from adplatform.components.assembly.held_runs import await_follower, is_follower
from adplatform.components.assembly.metadata import (
    DATA_VERSION_TAG,
    clean_metadata,
    column_lineage,
    declared_table,
    observation_metadata,
    raw_schema,
    report_metadata,
    slice_metadata,
    topic_metadata,
)
from adplatform.components.assembly.origins import origin_key
from adplatform.components.assembly.roles import step_of
from adplatform.components.assembly.runs import (
    BACKFILL_TAG,
    FEED_TAG,
    NOTIFIED_TAG,
    at_work,
    returns,
    say_of,
    work_ended,
)
from adplatform.contracts.durations import write_duration
from adplatform.failures import (
    ClaimLost,
    EnvironmentFailure,
    PermanentFailure,
    TransientFailure,
    clipped,
    listed,
)
from adplatform.flow.private_directory import private_directory
from adplatform.flow.services import Services
from adplatform.flow.shared_dates import publish_slices
from adplatform.flow.source import FeedFlow
from adplatform.flow.together import Came, Waiting, problem_of, publish_waiting
from adplatform.lake.audit import AuditFinding
from adplatform.lake.zones import Zones
from adplatform.ledger.observations import Observation
from adplatform.ledger.publications import Publication
from adplatform.ledger.report import Report, ReportState
from adplatform.platform.aws_errors import aws_failures
from adplatform.pull.account import Account
from adplatform.pull.awaited import awaited
from adplatform.pull.connect import Connect
from adplatform.pull.derived import Derived, derived_of, mark_all
from adplatform.pull.land import Landed, claim, failed, finish, land, published, release
from adplatform.pull.plan import intend_days
from adplatform.pull.publish import keep_newest
from adplatform.resources.named import (
    CatalogResource,
    LedgerResource,
    MachineResource,
    NotificationsResource,
    services_of,
)
from adplatform.resources.report_apis import open_api
from adplatform.transform.compile import output_columns
from adplatform.transform.values import OutputColumn

log = logging.getLogger(__name__)

REPORT_TAG = "adplatform/report"
"""``<feed> <key>`` of each report that a run downloads. A run without it publishes what is there, asks for the rest,
and says of each of its dates what it came to."""
APART = ", "
"""Stands between reports in that tag."""
_STAMPED = frozenset(column.field_name for column in STAMPS)
"""What the documents do not carry."""
_AUDITS = {name: text for name, text in AUDITS.items() if name != "manifest_rows"}
DATE = "date"
BY_HAND = (
    "To have dates of your choice, launch a backfill: what is there is shown at once, the rest is asked for, and the "
    "backfill waits in the queue until it has come; it ends green when all of it is there, and else says of each date "
    "why not."
)


def raw_key(account: Account, name: str) -> dg.AssetKey:
    return dg.AssetKey(["raw", account.source, name])


def clean_key(account: Account, feed: str) -> dg.AssetKey:
    return dg.AssetKey(["clean", account.source, feed])


def scopes_definition(account: Account) -> dg.PartitionsDefinition[str]:
    """The declared scopes, or those that the account's sensor discovers."""
    if account.wanted:
        return dg.StaticPartitionsDefinition(list(account.wanted))
    return dg.DynamicPartitionsDefinition(name=f"{account.source}_{account.dimension}s")


def report_partitions(account: Account) -> dg.MultiPartitionsDefinition:
    """Report date by profile or marketplace. A date is one of the scope's own time zone, so today's exists already:
    where it is tomorrow by UTC, today is over, and tomorrow's snapshot may be there."""
    ahead = 2 if any(each.snapshot for each in account.definitions) else 1
    days = dg.DailyPartitionsDefinition(start_date=account.start_date.isoformat(), end_offset=ahead)
    return dg.MultiPartitionsDefinition({DATE: days, account.dimension: scopes_definition(account)})


def partition_key(account: Account, day: date, scope: str) -> str:
    return str(dg.MultiPartitionKey({DATE: day.isoformat(), account.dimension: scope}))


def day_of(key: str) -> str:
    """The date of a partition; it comes first, because dimensions are in alphabetical order."""
    return key.partition("|")[0]


def clean_materialization(
    zones: Zones,
    account: Account,
    flow: FeedFlow,
    publication: Publication,
    columns: Iterable[OutputColumn],
    observed: Observation | None = None,
) -> dg.AssetMaterialization:
    """One date of one scope of a table was published, with the rows that ``observed`` brought."""
    return dg.AssetMaterialization(
        clean_key(account, flow.feed.name),
        partition=partition_key(account, publication.day, flow.scope.value if flow.scope else ""),
        metadata={
            **clean_metadata(zones, flow, publication, columns),
            **observation_metadata(observed),
        },
        tags={DATA_VERSION_TAG: f"{publication.day}/{publication.version}"},
    )


def report_assets(
    account: Account,
    definition: ReportDefinition,
    tables: Sequence[FeedFlow],
    owners: Sequence[str],
    tags: dict[str, str],
    connect: Connect = open_api,
) -> dg.AssetsDefinition:
    """Raw and clean assets of one report definition, and the step that fills them."""
    partitions, derived = report_partitions(account), derived_of(account)
    raw = dg.AssetSpec(
        raw_key(account, definition.name),
        deps=[origin_key(account.source)],
        description=f"{definition.report_type} reports of {account.source}, exactly as Amazon sent them. {BY_HAND} "
        f"{returns(account.source)} {asking_plan(definition)}",
        partitions_def=partitions,
        group_name=account.source,
        owners=owners,
        kinds={"s3", "csv" if definition.layout == "tsv" else definition.layout},
        tags=tags | {"zone": "raw"},
        metadata={
            "dagster/column_schema": raw_schema(*(table.feed.contract for table in tables), without=_STAMPED),
            "adplatform/report_type": definition.report_type,
            "adplatform/definition": definition.definition_hash,
            **topic_metadata(account.topics),
        },
    )
    clean = [_clean_spec(account, raw.key, table, partitions, owners, tags) for table in tables]
    checks = [check for spec in clean for check in audit_checks(spec.key, _AUDITS, partitions, blocking=True)]
    checks += [check for spec in clean for check in audit_checks(spec.key, SUSPICION, partitions, blocking=False)]
    for table in tables:
        if any(column.lenient for column in table.feed.columns):
            checks += audit_checks(clean_key(account, table.feed.name), REPORTED, partitions, blocking=False)
        if table.feed.usual_volume:
            checks += audit_checks(clean_key(account, table.feed.name), COMPARED, partitions, blocking=False)
        checks += naming_checks(table, clean_key(account, table.feed.name), partitions)
        checks += consumer_checks(table.feed.consumers, clean_key(account, table.feed.name), partitions)
    checks += [each for table in tables for each in crawl_checks(table, clean_key(account, table.feed.name))]

    @dg.multi_asset(
        name=f"report__{account.source}__{definition.name}",
        specs=[raw, *clean],
        check_specs=checks,
        # One run fills any range of partitions; which of them it changes shows only in the document.
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=f"report_{account.source}_{definition.name}",
    )
    @step_of(ReportSource.pattern)
    def pull(
        context: dg.AssetExecutionContext,
        s3: S3Resource,
        secrets: SecretsManagerResource,
        catalog: CatalogResource,
        ledger: LedgerResource,
        notifications: NotificationsResource,
        machine: MachineResource,
    ) -> Iterator[dg.MaterializeResult[None]]:
        services = services_of(s3, secrets, catalog, ledger, notifications, machine)
        run_id, name = context.run.run_id, f"{account.source}/{definition.name}"
        with silently():
            try:
                with (
                    aws_failures(name),
                    at_work(context, services.ledger, name),
                    private_directory(services.settings.temp, run_id) as work,
                ):
                    step = _Step(context, services, account, definition, derived, work, connect)
                    tagged = context.run.tags.get(REPORT_TAG)
                    problems = step.download(tagged) if tagged else step.publish_asked()
                    work_ended(context, services.ledger, name)
            except ClaimLost as e:
                raise NothingToDo(str(e)) from e
            except (PermanentFailure, TransientFailure) as e:
                note_hindrance(context, e, context.run.tags.get(FEED_TAG, name))
                raise dg.Failure(str(e), allow_retries=False) from e
            if problems:
                if all(isinstance(problem, EnvironmentFailure) for problem in problems):
                    note_hindrance(context, problems[0], name, notified=True)
                raise dg.Failure(clipped(listed(map(str, problems), separator="; ")), allow_retries=False)
        # Which partitions changed was logged one by one: a result of the step would claim all of the run's range.
        yield from ()

    return pull


def asking_plan(definition: ReportDefinition) -> str:
    """When the dates of a report are asked for, in words."""
    policy = definition.policy
    if definition.discovered:
        return "Amazon makes them by itself; they are looked for every day."
    if definition.snapshot:
        kept = "; tables have the newest date alone" if definition.keep == "newest" else ""
        return f"Each shows what is so on the date on which it is asked for, once; no other date can be had{kept}."
    ages, longest = _runs(sorted(policy.deadlines)), policy.max_range_days
    what = f"{policy.period.lower()}, by its last date," if policy.period is not Period.DAY else "date"
    how = "one at a time" if longest == 1 else f"in ranges of up to {longest} days"
    while_it_lasts = f" and while it lasts every {write_duration(policy.hours.every)}" if policy.hours else ""
    return (
        f"Each {what} is asked for at the ages of {ages} days{while_it_lasts}, {how}; Amazon keeps "
        f"{policy.retention_days} days."
    )


def _runs(numbers: Sequence[int]) -> str:
    """``1 to 14, 21, 28``: what follows each other in one."""
    starts = [n for n in numbers if n - 1 not in numbers]
    ends = [n for n in numbers if n + 1 not in numbers]
    return ", ".join(f"{a}" if a == b else f"{a} to {b}" for a, b in zip(starts, ends, strict=True))


def audit_checks(
    key: dg.AssetKey, audits: Mapping[str, str], partitions: dg.PartitionsDefinition[str], *, blocking: bool
) -> list[dg.AssetCheckSpec]:
    """Checks that keep a date from being published, or that only say what they suspect, each with its sentence."""
    return [
        dg.AssetCheckSpec(name, asset=key, blocking=blocking, partitions_def=partitions, description=text)
        for name, text in audits.items()
    ]


def _clean_spec(
    account: Account,
    raw: dg.AssetKey,
    table: FeedFlow,
    partitions: dg.MultiPartitionsDefinition,
    owners: Sequence[str],
    tags: dict[str, str],
) -> dg.AssetSpec:
    columns, fresh = output_columns(table.feed.contract), table.feed.fresh_within
    return dg.AssetSpec(
        clean_key(account, table.feed.name),
        deps=[raw],
        description=(table.feed.description or f"Rows of {table.name}, each date as it was last restated.")
        + f" {BY_HAND} {returns(account.source)}",
        partitions_def=partitions,
        group_name=account.source,
        owners=owners,
        kinds={"parquet", "glue"},
        tags=tags | {"zone": "clean"} | ({"pii": "hashed"} if any(table.feed.contract.pii_columns()) else {}),
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=fresh) if fresh else None,
        metadata={
            **declared_table(table.table, columns),
            "dagster/column_lineage": column_lineage(raw, table.feed.contract, columns, _STAMPED),
            **topic_metadata(account.topics),
        },
    )


def _next_step(report: Report) -> str:
    """What happens to a report that could not be landed."""
    if report.state is ReportState.FAILED:
        return "; it is given up" if report.permanent else "; it is asked for anew, at most a few times a day"
    return f"; it is tried again from {report.not_before:%Y-%m-%d %H:%M:%S} UTC" if report.not_before else ""


@dataclass(frozen=True)
class _Step:
    """One run of the step. What is logged is recorded at once, so a date that was published stays recorded when a later
    one fails."""

    context: dg.AssetExecutionContext
    services: Services
    account: Account
    definition: ReportDefinition
    derived: tuple[Derived, ...]
    work: Path
    connect: Connect

    def download(self, tagged: str) -> list[Exception]:
        """Download reports, land their slices, publish the dates that they changed; what could not be published, and
        which of several reports could not be landed."""
        names = tagged.split(APART)
        claimed = self._claimed(names)
        landed: list[tuple[Report, list[Landed]]] = []
        failures: list[Exception] = []
        for number, report in enumerate(claimed):
            found = self._landed(report, claimed[number + 1 :], self.work / str(number))
            if isinstance(found, dg.Failure) and len(names) == 1:
                raise found
            if isinstance(found, dg.Failure):
                failures.append(PermanentFailure(str(found.description)))
            else:
                landed.append(found)
                self._log_landed(*found)
        changed = [part for _, slices in landed for part in slices if part.changed]
        observed = {(part.flow.name, part.day): part.observed for part in changed}
        outcomes = self._publish([Waiting(part.flow, part.day, part.brought) for part in changed], observed)
        for report, slices in landed:
            dates = {(part.flow.name, part.day) for part in slices}
            own = [problem for each, problem in outcomes if (each.flow.name, each.day) in dates]
            said = [str(problem) for problem in own if problem]
            unpublished = bool(said) and len(said) == len(own)
            finish(self.services.ledger, report, listed(said, separator="; "), unpublished=unpublished)
        return [*failures, *(problem for _, problem in outcomes if problem)]

    def _claimed(self, names: Sequence[str]) -> list[Report]:
        """Those of the reports that this run may have, all of them at once, so that no other run is asked for.

        Raises:
            ClaimLost: it may have none of those that have not ended.
        """
        known = self.services.ledger.reports.named(name.split(" ") for name in names)
        left = [report for report in known if report is not None and not report.ended]
        if not left:
            log.info("%s: nothing to do", listed(names))
            return []
        claimed: list[Report] = []
        lost: list[ClaimLost] = []
        for report in left:
            try:
                claimed.append(claim(self.services.ledger, report, self.context.run.run_id))
            except ClaimLost as e:
                lost.append(e)
        if lost and not claimed:
            raise lost[0]
        return claimed

    def _landed(
        self, claimed: Report, others: Sequence[Report], work: Path
    ) -> tuple[Report, list[Landed]] | dg.Failure:
        """The report and its slices, or why it could not be landed, which the ledger knows. When the run is stopped
        it lets go of the ``others``, too."""
        feed = claimed.feed
        work.mkdir()
        try:
            with aws_failures(feed):
                return land(self.services, self.account, self._api, claimed, work)
        except ClaimLost:
            raise
        except (PermanentFailure, TransientFailure) as e:
            after = failed(self.services, self.account, claimed, e)
            if after is None:
                raise ClaimLost(f"{feed} {claimed.key} was taken by another run; this one stops") from e
            # The report is tried again by itself, or people were notified that it is not.
            say_of(self.context.instance, self.context.run.run_id, {NOTIFIED_TAG: "by the ledger"})
            message = f"{feed} {claimed.start} to {claimed.end}, report {claimed.report_id}: {e}{_next_step(after)}"
            failure = dg.Failure(message, metadata=report_metadata(after), allow_retries=False)
            failure.__cause__ = e
            return failure
        except BaseException:  # interruptions, Dagster's too, are no Exceptions
            with stopping(self.context) as too_long:
                for each in (claimed, *others):
                    if too_long is None:
                        release(self.services.ledger, each)
                    else:
                        failed(self.services, self.account, each, too_long)
            raise

    @property
    def by_hand(self) -> bool:
        """Whether somebody wants to know of each partition what became of it: one who launched a backfill or a run, or
        executed one again. The sensor's runs carry the feed."""
        run = self.context.run
        started = BACKFILL_TAG in run.tags or FEED_TAG not in run.tags or run.parent_run_id is not None
        return started and REPORT_TAG not in run.tags

    def publish_asked(self) -> list[Exception]:
        """Publish what waits in the run's partitions, and order reports for dates of which nothing has come yet."""
        there: list[Waiting] = []
        asked: dict[str, set[date]] = {}
        missing: dict[str, set[date]] = {}
        for day, scope in map(self._parts, self.context.partition_keys):
            asked.setdefault(scope, set()).add(day)
            for dataset in self.definition.datasets:
                flow = self.account.flow(dataset, scope)
                if self.services.ledger.deliveries.get(flow.name, day).arrivals:
                    there.append(Waiting(flow, day))
                else:
                    missing.setdefault(scope, set()).add(day)
        outcomes = self._publish(there)
        for each, problem in outcomes:
            if problem is None:
                published(self.services.ledger, self.account, self.definition, each.flow, each.day)
        problems = [problem for _, problem in outcomes if problem]
        followed = is_follower(self.context.run)
        for scope, days in missing.items() if not followed else ():
            for report in intend_days(self.services.ledger, self.account, self.definition, scope, days):
                log.info("%s %s will be asked for; a run of its own brings it", report.feed, report.key)
        return self._said_of(asked, followed=followed) if self.by_hand else problems

    def _said_of(self, asked: Mapping[str, set[date]], *, followed: bool) -> list[Exception]:
        """Say of every date what it came to: what is there is materialized, also where this run had nothing to do about
        it. Dates on their way have another run wait for them, where this one belongs to a backfill; the others are the
        problems."""
        problems: list[Exception] = []
        coming = 0
        for scope, days in asked.items():
            stands = awaited(self.services.ledger, self.account, self.definition, scope, days)
            for day in sorted(days - stands.by_themselves.keys() - stands.missing.keys()):
                self._log_raw(day, scope, stands.nothing.get(day, ""))
            for day, why in stands.by_themselves.items():
                self._log_coming(day, scope, why)
            coming += len(stands.by_themselves)
            left = {**stands.missing, **(stands.by_themselves if followed else {})}
            problems += [
                PermanentFailure(f"{partition_key(self.account, day, scope)}: {why}") for day, why in left.items()
            ]
        run, source = self.context.run, self.account.source
        if not coming or followed or BACKFILL_TAG not in run.tags:
            return problems
        for problem in problems:
            log.warning("%s", problem)
        if pause := self.services.ledger.pauses.of(source):
            noted = f"{coming} dates are noted, and asked for when the source goes on"
            return [PermanentFailure(f"{pause}. {noted}"), *problems]
        waits = await_follower(self.context.instance, run, source, f"{source}_reports")
        self.context.log.info(
            "%d dates are on their way and come by themselves, each report by a run of its own. Run %s of this "
            "backfill waits for them in the queue and says in the end what became of each; if the backfill is "
            "cancelled, they come all the same",
            coming,
            waits,
        )
        return []

    def _log_raw(self, day: date, scope: str, nothing: str) -> None:
        """A date is there; or there is nothing to come of it, and why."""
        partition = partition_key(self.account, day, scope)
        keys = [raw_key(self.account, self.definition.name)]
        if nothing:
            keys += [clean_key(self.account, dataset.feed) for dataset in self.definition.datasets]
            metadata: dict[str, dg.MetadataValue | int | str] = {
                "dagster/partition_row_count": 0,
                "adplatform/note": nothing,
            }
        else:
            flows = [self.account.flow(dataset, scope) for dataset in self.definition.datasets]
            said = [self.services.ledger.observations.of_day(flow.name, day)[-1:] for flow in flows]
            rows = sum(observation.rows for each in said for observation in each)
            metadata = {"dagster/partition_row_count": rows, **observation_metadata(next(iter(said[0]), None))}
        for key in keys:
            if key in self.context.selected_asset_keys:
                self.context.log_event(dg.AssetMaterialization(key, partition=partition, metadata=metadata))

    def _log_coming(self, day: date, scope: str, why: str) -> None:
        key = raw_key(self.account, self.definition.name)
        if key in self.context.selected_asset_keys:
            partition = partition_key(self.account, day, scope)
            self.context.log_event(dg.AssetObservation(key, partition=partition, description=f"on its way: {why}"))

    def _log_seen(self, flow: FeedFlow, day: date) -> None:
        """Readers see the date already."""
        delivery = self.services.ledger.deliveries.get(flow.name, day)
        publication = self.services.ledger.publications.get(flow.name, day, delivery.published)
        if publication is not None:
            self._log_clean(flow, publication, output_columns(flow.feed.contract))

    def _log_clean(
        self,
        flow: FeedFlow,
        publication: Publication,
        columns: Iterable[OutputColumn],
        observed: Observation | None = None,
    ) -> None:
        if observed is None:
            said = self.services.ledger.observations.of_day(flow.name, publication.day)
            observed = next((each for each in reversed(said) if each.landed), None)
        event = clean_materialization(self.services.zones, self.account, flow, publication, columns, observed)
        self.context.log_event(event)

    def _publish(
        self, waiting: Iterable[Waiting], observed: Mapping[tuple[str, date], Observation] | None = None
    ) -> list[tuple[Waiting, Exception | None]]:
        """Settle and publish what waits for selected tables, unless readers see it, each table for itself; each date
        with the problem, if there is one. ``observed`` is what the rows of these dates say, by feed, for who has just
        landed them."""
        tables: dict[str, list[Waiting]] = {}
        for each in waiting:
            if clean_key(self.account, each.flow.feed.name) in self.context.selected_asset_keys:
                tables.setdefault(each.flow.table, []).append(each)
        ended = (came for some in tables.values() for came in self._came(some))
        return [(came.waiting, self._log_published(came, observed or {})) for came in ended]

    def _came(self, waiting: Sequence[Waiting]) -> Iterator[Came]:
        """What publishing dates of one table comes to. Those of a date that share its partition are shown together."""
        run_id = self.context.run.run_id
        if self.account.layout != "compacted":
            yield from publish_waiting(self.services, waiting, run_id, self.work, self._log_checks, self._mark)
            return
        slices = [(each.flow, each.day) for each in waiting]
        came = publish_slices(self.services, slices, run_id, self.work, self._marked_checks)
        for each in waiting:
            done = came[each.flow.name, each.day]
            if isinstance(done, ClaimLost):
                log.info("%s; that one publishes it", done)
                yield Came(each)
            elif isinstance(done, PermanentFailure | TransientFailure):
                yield Came(each, problem=problem_of(each.flow, each.day, done))
            else:
                yield Came(each, *done) if done else Came(each)

    def _mark(self, dates: Sequence[tuple[FeedFlow, date]]) -> None:
        mark_all(self.services.ledger, self.derived, dates)

    def _marked_checks(self, flow: FeedFlow, day: date, findings: Iterable[AuditFinding]) -> None:
        self._mark([(flow, day)])
        self._log_checks(flow, day, findings)

    def _log_checks(self, flow: FeedFlow, day: date, findings: Iterable[AuditFinding]) -> None:
        key = clean_key(self.account, flow.feed.name)
        partition = partition_key(self.account, day, flow.scope.value if flow.scope else "")
        for finding in shown_findings(findings, _AUDITS | SUSPICION | REPORTED | COMPARED, flow):
            self.context.log_event(audit_evaluation(key, finding, partition))

    def _log_published(self, came: Came, observed: Mapping[tuple[str, date], Observation]) -> Exception | None:
        """Record what publishing a date came to; the problem if there is one."""
        flow, day = came.waiting.flow, came.waiting.day
        if came.problem is not None:
            return came.problem
        if came.publication is not None:
            self._log_clean(flow, came.publication, came.columns, observed.get((flow.name, day)))
        elif self.by_hand:
            self._log_seen(flow, day)
        return self._keep_newest(flow, day)

    def _keep_newest(self, flow: FeedFlow, day: date) -> Exception | None:
        """Of a snapshot of which the newest date is kept alone, take the others away; the problem if there is one."""
        try:
            with aws_failures(flow.name):
                for shown in keep_newest(self.services, self.definition, flow, self.context.run.run_id, self.work):
                    self._log_clean(flow, *shown)
        except ClaimLost as e:
            log.info("%s; that one publishes it", e)
        except (PermanentFailure, TransientFailure) as e:
            return type(e)(f"{flow.name} {day}: {e}")
        return None

    def _log_landed(self, report: Report, slices: Iterable[Landed]) -> None:
        """A date with other rows than before is a materialization of the raw asset; with the same, an observation."""
        key = raw_key(self.account, self.definition.name)
        if key not in self.context.selected_asset_keys:
            return
        scope = next(
            (s for s in self.services.ledger.scopes.of_source(self.account.source) if s.id == report.scope), None
        )
        for part in slices:
            partition = partition_key(self.account, part.day, report.scope)
            age = (report.asked_on - part.day).days
            metadata = slice_metadata(
                report,
                scope,
                self.services.zones,
                age=age,
                wave=self.definition.policy.wave_at(age),
                rows=part.rows,
                changed=part.changed,
            )
            event = dg.AssetMaterialization if part.changed else dg.AssetObservation
            self.context.log_event(event(key, partition=partition, metadata=metadata))

    def _api(self) -> ReportApi:
        return self.connect(self.services, self.account, PATIENCE)

    def _parts(self, key: str) -> tuple[date, str]:
        parts = report_partitions(self.account).get_partition_key_from_str(key).keys_by_dimension
        return date.fromisoformat(parts[DATE]), parts[self.account.dimension]
