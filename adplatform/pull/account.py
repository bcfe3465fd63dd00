"""An account whose reports are pulled: what is asked for, for which scopes, and where it lands."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from adplatform.amazon.ads.declared_stream import Stream
from adplatform.amazon.ads.metadata import ENTITIES
from adplatform.amazon.definitions import Dataset, ReportDefinition, feed
from adplatform.amazon.moving_dates import filled
from adplatform.amazon.reports import ReportOrder
from adplatform.amazon.restatement import Period
from adplatform.amazon.sources import (
    AdsSource,
    MadeOtherwisePolicy,
    Marketplaces,
    Profiles,
    ReportSource,
    SellingPartnerSource,
)
from adplatform.contracts.consumers import NO_CONSUMERS, Consumers
from adplatform.contracts.cost import CostBudget
from adplatform.contracts.feed import Arrival
from adplatform.contracts.model import Bounds, TableFormat, TableLayout, UndeclaredPersonal
from adplatform.contracts.naming import Naming
from adplatform.contracts.source import PLATFORM_TOPICS, RETENTION, Retention, Topics
from adplatform.contracts.usual_volume import UsualVolume
from adplatform.files.landing import layout_of
from adplatform.flow.source import FeedFlow, ScopeKey, scoped
from adplatform.lake.zones import Zones
from adplatform.ledger.report import Report
from adplatform.ledger.rows import digest
from adplatform.ledger.scopes import Scope

_ARRIVES_ALONE = {
    "arrival": Arrival(complete_when="count", expected_files=1, accept_early=None),
    "bounds": Bounds(min_rows=0),  # Amazon takes rows away when it restates, in the end all of a date
}
_EASTERNMOST = timedelta(hours=14)
"""How far before UTC the days of the easternmost time zone begin."""
_REMEDY = "Amazon made the report so: have its columns take what came, then `adplatform retry`"
ADVERTISER_ACCOUNT = "ads_account_id"
"""The column of the scopes of the Ads API v1."""
SLICE_FILE = "rows.json.gz"
"""One name for every version of a slice: a new one replaces the older, as a file does that a partner sends again."""


@dataclass(frozen=True)
class Account:
    """One account of the Ads or the Selling Partner API.

    ``wanted`` are the scopes that are declared, empty for all that ``countries`` and ``kinds`` let through. Amazon does
    not tell those of a ``vendor``.
    ``request_at`` is the time of day, in each scope's own time zone, from which yesterday is asked for; the orders of
    different reports are spread over ``spread`` from then on. A report that is not ready ``overdue_after`` it was
    asked for is overdue, of which people are notified; after ``give_up_after`` it is cancelled and asked for anew.
    ``made_otherwise`` is what becomes of a report that Amazon says it made otherwise than ordered.
    ``finished_queue`` is an SQS queue with messages of reports that are ready. ``stream`` is what is taken of the
    Marketing Stream, if anything is.
    """

    source: str
    api: str
    definitions: tuple[ReportDefinition, ...]
    scope_column: str
    start_date: date
    credentials: str = ""
    region: str = "na"
    simulated: bool = False
    history: timedelta | None = None
    request_at: time = time(6)
    spread: timedelta = timedelta(0)
    wanted: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    vendor: bool = False
    overdue_after: timedelta = timedelta(hours=3)
    give_up_after: timedelta = timedelta(hours=24)
    made_otherwise: MadeOtherwisePolicy = "check"
    poll_every: timedelta = timedelta(seconds=60)
    finished_queue: str = ""
    stream: Stream | None = None
    fresh_within: timedelta | None = timedelta(hours=36)
    usual_volume: UsualVolume | None = None
    topics: Topics = PLATFORM_TOPICS
    archive: str = "archive/"
    retention: Retention = RETENTION
    crawl: bool = False
    consumers: Consumers = NO_CONSUMERS
    table_format: TableFormat = "parquet"
    layout: TableLayout = "per_scope"
    undeclared_personal: UndeclaredPersonal = "quarantine"
    naming: Naming | None = None
    budget: CostBudget | None = None

    @property
    def dimension(self) -> str:
        """What a scope is called: profile, advertiser account or marketplace."""
        return self.scope_column.removesuffix("_id")

    @property
    def unified(self) -> bool:
        """Whether its reports are those of the Ads API v1."""
        return self.scope_column == ADVERTISER_ACCOUNT

    @property
    def landing(self) -> str:
        return f"report_type={{feed}}/report_date={{date}}/{self.dimension}={{scope}}/{{file}}"

    def definition(self, name: str) -> ReportDefinition | None:
        return next((d for d in self.definitions if d.name == name), None)

    def wants(self, scope: Scope) -> bool:
        if self.wanted:
            return scope.id in self.wanted
        fits = not self.countries or scope.country in self.countries
        return fits and (not self.kinds or scope.kind in self.kinds)

    def first_day(self, today: date) -> date:
        """The oldest date that is wanted when nothing has been read yet."""
        return max(self.start_date, today - self.history) if self.history else self.start_date

    def offset(self, definition: ReportDefinition, scope: str) -> timedelta:
        """How long after ``request_at`` this report's turn comes: the same every day, different for each."""
        share = int(digest(self.source, definition.name, scope)[:8], 16) / 16**8
        return self.spread * share

    def gate(self, report: Report) -> str:
        """What Amazon gives access to: a profile of the Ads API, a type of report of the Selling Partner API."""
        return report.scope if self.api == "ads" else report.name

    def queue(self, report: Report) -> str:
        """What waits together where Amazon takes no more for now: exports of one kind, of which it makes a few at a
        time for all profiles; of all else what it gives access to."""
        return report.report_type if self.api == "ads" and report.report_type in ENTITIES else self.gate(report)

    def gates(self, report: Report) -> tuple[str, str]:
        """What Amazon may refuse of a report: the whole of its gate, or this report for its scope alone."""
        return self.gate(report), f"{report.name}/{report.scope}"

    def declared(self, report: Report, scope: Scope) -> ReportDefinition | None:
        """The report's definition; None when it was removed or changed since, or its scope was."""
        definition = self.definition(report.name)
        asked = definition is not None and definition.definition_hash == report.definition
        return definition if asked and self.wants(scope) else None

    def order(self, report: Report, scope: Scope) -> ReportOrder | None:
        """What to ask Amazon for; None when the report is not declared any more."""
        definition = self.declared(report, scope)
        if definition is None:
            return None
        start, zone = definition.policy.period.first_date(report.start), local_zone(definition, scope)
        asked = definition.configuration
        if self.api == "selling_partner":
            asked = filled(asked, start, report.end, zone)
        return ReportOrder(
            name=f"{report.feed} {report.start} {report.end}",
            report_type=definition.report_type,
            scope=report.scope,
            start=start,
            end=report.end,
            configuration=asked,
            timezone=zone.key if definition.takes_instants or definition.snapshot else "UTC",
            restricted=definition.restricted,
            snapshot=definition.snapshot,
            looks_back=definition.looks_back,
            instants=_hours(definition, report, zone),
        )

    def tables(self) -> list[tuple[ReportDefinition, FeedFlow]]:
        """The feed of every dataset, for all scopes together."""
        return [(each, self._table(dataset)) for each in self.definitions for dataset in each.datasets]

    def named_flows(self, names: Iterable[str]) -> list[tuple[ReportDefinition, FeedFlow]]:
        """The feeds of these names, as deliveries have them; those that are not declared any more are left out."""
        tables = {flow.feed.name: (definition, flow) for definition, flow in self.tables()}
        found = []
        for name in names:
            feed, _, scope = name.removeprefix(f"{self.source}/").partition("/")
            if feed in tables and scope:
                definition, flow = tables[feed]
                found.append((definition, self.scoped(flow, scope)))
        return found

    def flow(self, dataset: Dataset, scope: str) -> FeedFlow:
        return self.scoped(self._table(dataset), scope)

    def scoped(self, table: FeedFlow, scope: str) -> FeedFlow:
        return scoped(table, self.slices, ScopeKey(self.scope_column, scope))

    def _table(self, dataset: Dataset) -> FeedFlow:
        declared = feed(dataset, self.start_date, self.landing).model_copy(
            update={
                **_ARRIVES_ALONE,
                "fresh_within": self._fresh_within(dataset),
                "usual_volume": self._usual_volume(dataset),
                "crawl": self.crawl,
                "consumers": self.consumers,
                "table_format": self.table_format,
                "undeclared_personal": self.undeclared_personal,
                "naming": self.naming and self.naming.of({column.name for column in dataset.columns}),
            }
        )
        any_scope = declared.model_copy(update={"landing": self.landing.replace("{scope}", "*")})
        layout = layout_of(self.slices, any_scope)
        definition = self._of(dataset)
        return FeedFlow(
            *(self.source, declared, layout, self.topics, self.archive),
            remedy=_REMEDY,
            sent=False,
            retention=self.retention,
            budget=self.budget,
            compacted=self.layout == "compacted",
            ahead=_EASTERNMOST if definition and definition.snapshot else timedelta(0),
        )

    def _of(self, dataset: Dataset) -> ReportDefinition | None:
        """The definition whose dataset it is."""
        return next((each for each in self.definitions if dataset in each.datasets), None)

    def _fresh_within(self, dataset: Dataset) -> timedelta | None:
        """A week or month that is reported as one is as old as it is long when the next comes. Settlements come every
        other week: nobody can say when one is late."""
        definition = self._of(dataset)
        if self.fresh_within is None or definition is None or definition.discovered:
            return None
        return self.fresh_within + timedelta(days=definition.policy.period.longest - 1)

    def _usual_volume(self, dataset: Dataset) -> UsualVolume | None:
        """Quarters and years are too few to be compared, and whole weeks and months are no holidays."""
        definition = self._of(dataset)
        if self.usual_volume is None or definition is None:
            return None
        match definition.policy.period:
            case Period.QUARTER | Period.YEAR:
                return None
            case Period.MONTH:
                return self.usual_volume.by_months()
            case Period.WEEK:
                return self.usual_volume.model_copy(update={"holidays": ()})
            case _:
                return self.usual_volume

    @property
    def slices(self) -> str:
        """The prefix of the raw zone below which slices wait to be published."""
        return Zones.slices(self.source)

    def document_key(self, report: Report) -> str:
        """Where a report is kept exactly as it was received."""
        days = f"{report.start}" if report.start == report.end else f"{report.start}_{report.end}"
        return (
            f"{Zones.documents(self.source)}report_type={report.name}/report_date={days}/{self.dimension}={report.scope}/"
            f"{report.report_id}"
        )


def local_zone(definition: ReportDefinition, scope: Scope) -> ZoneInfo:
    """The time zone in which a report's dates begin and end."""
    return ZoneInfo("UTC" if definition.dates_in == "utc" else scope.timezone)


def _hours(definition: ReportDefinition, report: Report, zone: ZoneInfo) -> tuple[datetime, datetime] | None:
    """From when to when a report by the hour is: up to the hours that there were when it was intended, so that it is
    the same however late Amazon is asked."""
    if definition.policy.hours is None:
        return None
    intended = report.intended_at or datetime.max.replace(tzinfo=UTC)
    return definition.policy.hours.had(report.start, report.end, zone, intended)


def slice_file(definition: ReportDefinition, report_id: str) -> str:
    """The name of a slice's file. Reports that Amazon makes by itself add to each other: two may end on one date."""
    return f"{report_id}.json.gz" if definition.discovered else SLICE_FILE


def account_of(declared: ReportSource) -> Account:
    """The account that YAML declares."""
    if isinstance(declared, AdsSource):
        if declared.api == "v1":
            return Account(api="ads", scope_column=ADVERTISER_ACCOUNT, wanted=declared.accounts, **_common(declared))
        profiles = declared.profiles
        chosen = profiles if isinstance(profiles, Profiles) else Profiles()
        return Account(
            api="ads",
            scope_column="profile_id",
            wanted=() if isinstance(profiles, Profiles) else profiles,
            countries=chosen.countries,
            kinds=chosen.types,
            stream=declared.stream,
            **_common(declared),
        )
    if isinstance(declared, SellingPartnerSource):
        marketplaces = declared.marketplaces
        return Account(
            api="selling_partner",
            scope_column="marketplace_id",
            wanted=() if isinstance(marketplaces, Marketplaces) else marketplaces,
            countries=marketplaces.countries if isinstance(marketplaces, Marketplaces) else (),
            finished_queue=declared.finished_queue or "",
            vendor=declared.partner == "vendor",
            **_common(declared),
        )
    raise TypeError(f"{type(declared).__name__} is no account")


def _common(declared: ReportSource) -> dict[str, Any]:
    same = (
        *("source", "start_date", "naming", "credentials", "region", "simulated", "history", "request_at", "spread"),
        *("overdue_after", "give_up_after", "made_otherwise", "poll_every", "fresh_within", "topics", "archive"),
        *("retention", "crawl", "usual_volume"),
        *("consumers", "table_format", "layout", "undeclared_personal", "budget"),
    )
    return {"definitions": declared.definitions(), **{name: getattr(declared, name) for name in same}}
