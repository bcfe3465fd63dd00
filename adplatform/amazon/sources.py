"""Report accounts as YAML declares them: an Ads account, a seller."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, time, timedelta
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import BeforeValidator, Discriminator, Field, Tag, ValidationInfo, field_validator, model_validator

from adplatform.amazon.ads import definitions as ads_definitions
from adplatform.amazon.ads import metadata as ads_metadata
from adplatform.amazon.ads.declared_stream import DeclaredStream
from adplatform.amazon.ads.definitions import AdsReport, ads_definition
from adplatform.amazon.ads.report_types import report_type
from adplatform.amazon.ads.unified import definitions as unified_definitions
from adplatform.amazon.ads.unified.definitions import UnifiedReport, unified_definition
from adplatform.amazon.declared import Restatement, changed, ready_made
from adplatform.amazon.definitions import STAMPS, ReportDefinition
from adplatform.amazon.selling_partner.marketplaces import MARKETPLACES
from adplatform.amazon.selling_partner.reports import OwnSellingPartnerReport, selling_partner_definition
from adplatform.contracts.consumers import NO_CONSUMERS, DeclaredConsumers
from adplatform.contracts.cost import CostBudget
from adplatform.contracts.durations import Duration
from adplatform.contracts.feed import NAME, require_crawlable
from adplatform.contracts.hints import did_you_mean
from adplatform.contracts.model import TableFormat, TableLayout, UndeclaredPersonal
from adplatform.contracts.naming import ROWS, Naming
from adplatform.contracts.orchestration import FreshWithin, Owner, TagKey, TagValue
from adplatform.contracts.source import PLATFORM_TOPICS, RETENTION, Retention, Topics
from adplatform.contracts.strict import BY_FORM, PLAIN, SETTINGS, Strict
from adplatform.contracts.types import parse_type
from adplatform.contracts.usual_volume import DeclaredUsualVolume
from adplatform.failures import wrapped

T = TypeVar("T")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ACCOUNT = re.compile(r"(?=.{1,64}$)[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")
"""An advertiser account (OpenAPI specification of the Ads accounts API, ``adsAccountId``)."""


def _one_id(value: Any) -> str:
    text = str(value)
    if isinstance(value, bool) or not isinstance(value, int | str) or not _ID.fullmatch(text):
        raise ValueError(f"{value!r} is not an id: letters, digits, _ and - only")
    return text


def _one_account(value: Any) -> str:
    text = str(value)
    if isinstance(value, bool) or not isinstance(value, int | str) or not _ACCOUNT.fullmatch(text):
        raise ValueError(f"{value!r} is no advertiser account: it has the form amzn1.ads-account.g.abc123, or a number")
    return text


def _one_country(value: Any) -> Any:
    if isinstance(value, str) and not re.fullmatch("[A-Z]{2}", value):
        raise ValueError(f"{value!r} is no country: give its two capital letters (ISO 3166), such as US, GB or DE")
    return value


Country = Annotated[
    str, BeforeValidator(_one_country, json_schema_input_type=Annotated[str, Field(pattern=r"^[A-Z]{2}$")])
]
Id = Annotated[str, BeforeValidator(_one_id, json_schema_input_type=str | int)]
AccountId = Annotated[str, BeforeValidator(_one_account, json_schema_input_type=str | int)]


MadeOtherwisePolicy = Literal["check", "accept", "refuse"]
_Time = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$", examples=["06:00"])]


def _time(value: Any) -> Any:
    if isinstance(value, int):  # YAML 1.1 reads 06:00 without quotes as a number in base 60
        raise ValueError('put the time in quotes: "06:00"')
    return value


class Profiles(Strict):
    """Which of the scopes that the credentials can read: all, or those of some countries and kinds."""

    countries: tuple[Country, ...] = ()
    """Countries (ISO 3166, two letters) of the profiles; by default all."""
    types: tuple[Literal["seller", "vendor", "agency"], ...] = ()
    """Kinds of the profiles' accounts; by default all."""


class Marketplaces(Strict):
    """Which of the seller's marketplaces: all, or those of some countries."""

    countries: tuple[Country, ...] = ()
    """Countries (ISO 3166, two letters) of the marketplaces; by default all."""


class OwnAdsReport(Strict):
    """A report of the user's own, or a ready-made one (``extends``) with columns added and removed."""

    name: Annotated[str, Field(pattern=NAME)]
    """The report's name, and the table's: lower-case letters, digits and ``_``."""
    extends: str | None = None
    """The ready-made report that this one is made of."""
    report_type: str | None = None
    """Amazon's ``reportTypeId``, for example ``spTargeting``; goes with ``columns``, not with ``extends``."""
    group_by: tuple[str, ...] = ()
    """Amazon's ``groupBy``; by default the first that the report type has."""
    columns: tuple[str, ...] = ()
    """The report's columns, as Amazon spells them."""
    fields: tuple[str, ...] = ()
    """For a source with ``api: v1``, in the place of ``report_type``, ``group_by`` and ``columns``: dimensions and
    metrics, as Amazon spells them, such as ``date.value``, ``campaign.id`` and ``metric.clicks``."""
    add: tuple[str, ...] = ()
    """Columns or fields that the report has beside those of ``extends``."""
    remove: tuple[str, ...] = ()
    """Columns or fields of ``extends`` that the report has not."""
    filters: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Amazon's filters: for each field the values that are taken; by default all."""
    unchecked_columns: dict[str, str] = Field(default_factory=dict)
    """Columns that Amazon has and our list does not, or that are to have another type, with their types. Amazon's ids
    go up to 2^64-1; one beyond ``bigint`` needs ``decimal(20,0)``."""
    currency_of_view: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = None
    """Of a source with ``api: v1``: the currency (ISO 4217) into which Amazon converts the metrics whose names end in
    ``Converted``; goes with the field ``convertedCurrency.value``."""
    description: str = ""
    """What the report holds, in a sentence; the assets and the table show it."""
    restatement: Restatement = Restatement()
    """When its dates are asked for again, where that is to differ from what follows from the report type."""

    @field_validator("unchecked_columns")
    @classmethod
    def _typed(cls, columns: dict[str, str]) -> dict[str, str]:
        for kind in columns.values():
            parse_type(kind)
        return columns

    @model_validator(mode="after")
    def _accepted(self) -> Self:
        self.definition()
        return self

    def definition(self) -> ReportDefinition:
        base = self._base()
        made = self._unified(base) if isinstance(base, UnifiedReport) else self._by_columns(base)
        return self.restatement.applied(made)

    def _unified(self, base: UnifiedReport) -> ReportDefinition:
        report = replace(
            base,
            fields=changed(base.fields, self.add, self.remove),
            filters={**base.filters, **self.filters},
            currency=self.currency_of_view or base.currency,
            description=self.description or base.description,
        )
        return unified_definition(self.name, report, self.unchecked_columns)

    def _by_columns(self, base: AdsReport) -> ReportDefinition:
        if self.currency_of_view:
            raise ValueError(f"{self.name}: currency_of_view goes with fields, of a source with `api: v1`")
        report = replace(
            base,
            columns=changed(base.columns, self.add, self.remove),
            filters={**(base.filters or {}), **self.filters},
            description=self.description or base.description,
        )
        return ads_definition(self.name, report, self.unchecked_columns)

    def _base(self) -> AdsReport | UnifiedReport:
        of_version_3 = bool(self.report_type or self.group_by or self.columns)
        if self.fields:
            if of_version_3 or self.extends:
                raise ValueError(
                    f"{self.name}: fields goes with neither report_type, group_by and columns, which are of reporting "
                    "API version 3, nor extends, which goes with add and remove"
                )
            return UnifiedReport(self.fields)
        if self.extends is None:
            if self.report_type is None or not self.columns:
                raise ValueError(f"{self.name}: give report_type, group_by and columns, or extends")
            groups = self.group_by or tuple(report_type(self.report_type).groups)[:1]
            return AdsReport(self.report_type, groups, self.columns)
        if of_version_3:
            raise ValueError(
                f"{self.name}: extends goes with add and remove, not with report_type, group_by or columns"
            )
        if self.extends in ads_metadata.READY_MADE:
            raise ValueError(
                f"{self.name}: {self.extends} is an export, which has all that Amazon says of its entities; write its "
                "name under reports as it is"
            )
        known: Mapping[str, AdsReport | UnifiedReport] = {
            **ads_definitions.READY_MADE,
            **unified_definitions.READY_MADE,
        }
        return ready_made(self.extends, known)


_READY_MADE, _OWN = Tag("(ready-made)"), Tag("(own)")
_KIND = Discriminator(lambda value: "(ready-made)" if isinstance(value, str) else "(own)")


class ReportSource(Strict):
    """What both kinds of account have in common."""

    pattern: ClassVar[str] = "reports"
    """The way in which its data comes."""

    source: Annotated[str, Field(pattern=NAME)]
    """The account's name: lower-case letters, digits and ``_``; in asset keys, in the database and in S3 prefixes."""
    region: Literal["na", "eu", "fe"] = "na"
    """Amazon's region: North America (default), Europe or Far East."""
    credentials: str = Field(min_length=1)
    """The secret with the members ``client_id``, ``client_secret`` and ``refresh_token``."""
    simulated: bool = False
    """Whether the account is one of the simulated Amazon on this machine."""
    start_date: date
    """The first report date."""
    history: Duration | None = None
    """How far back the first requests go, where that is less than both ``start_date`` and what Amazon keeps."""
    request_at: Annotated[time, BeforeValidator(_time, json_schema_input_type=_Time)] = time(6)
    """The time of day, in quotes, from which reports are asked for, in the time zone of the report's dates: the
    profile's or marketplace's own, or UTC."""
    spread: Duration = timedelta(hours=1)
    """Over how long from ``request_at`` on the requests of different profiles and reports are spread."""
    overdue_after: Duration = timedelta(hours=3)
    """After how long a report that is not ready counts as overdue, which is reported."""
    give_up_after: Duration = timedelta(hours=24)
    """After how long a report that is not ready is given up and asked for anew."""
    made_otherwise: MadeOtherwisePolicy = "check"
    """What becomes of a report that is about other dates than were ordered, or was made with other options, by what
    Amazon says of it: ``check`` (default) takes one whose rows have the dates that were ordered, all of them and no
    others, ``accept`` also one with others, which are kept aside, and one of other options; ``refuse`` takes none. One
    that is taken has a warning."""
    poll_every: Duration = timedelta(seconds=60)
    """How long after its order a report is asked after; the pauses then grow."""
    fresh_within: FreshWithin | None = timedelta(hours=36)
    """The newest date of every profile or marketplace must have ended within this time; null for any age."""
    usual_volume: DeclaredUsualVolume = None
    """Whether the clean rows of a date of a profile or marketplace are compared with the median of earlier ones of the
    same weekday, ``true`` or with settings, in the tables of all reports; those by the month with as many months, those
    by the quarter or year with nothing. What is unusual is a warning; by default nobody looks."""
    owners: list[Owner] = Field(default_factory=list)
    """Owners of all assets: e-mail addresses, or ``team:<name>``."""
    tags: dict[TagKey, TagValue] = Field(default_factory=dict)
    """Tags of all assets."""
    check_every: int = Field(default=30, ge=1)
    """Seconds between two looks at reports that are on their way and at what is due."""
    topics: Topics = PLATFORM_TOPICS
    """SNS topics for the account's messages; by default the platform's."""
    crawl: bool = False
    """Whether a Glue crawler reads the files of every report's table after a publication, and what it finds is
    compared with what is registered; `adplatform provision` makes the crawlers."""
    consumers: DeclaredConsumers = NO_CONSUMERS
    """Which services read the tables of all reports, as of a feed."""
    table_format: TableFormat = "parquet"
    """How the tables of the reports are kept: ``parquet`` (default) or ``iceberg``. A table that exists keeps the
    format that it has."""
    layout: TableLayout = "per_scope"
    """How the tables of the reports are divided: ``per_scope`` (default) has a partition for each date and profile or
    marketplace, ``compacted`` one for each date, in which the profile or marketplace is a column. A table that exists
    keeps the layout that it has until it is dropped: the next publication and `adplatform collect` make it anew."""
    undeclared_personal: UndeclaredPersonal = "quarantine"
    """What becomes of a column that nobody declared and that holds e-mail addresses or phone numbers, where the report
    takes such columns: ``quarantine`` (default) keeps its values out of the table, with a warning; ``clear`` stores
    them as they are."""
    naming: Naming | None = None
    """How names in columns of text are made, by column, as of a feed: of each report that has the column."""
    archive: Annotated[str, Field(pattern=r"^archive/([A-Za-z0-9._=-]+/)*$")] = "archive/"
    """The prefix below which published slices of reports are kept, as ``<archive><source>/<feed>/dt=<date>/``."""
    retention: Retention = RETENTION
    """For how long quarantined rows and what was received are kept: slices in the archive, and reports as Amazon sent
    them."""
    budget: CostBudget | None = None
    """What the account may use a day and a month; by default what the platform allows each (`ADPLATFORM_BUDGET`)."""

    @model_validator(mode="after")
    def _consumed_alike(self) -> Self:
        if self.consumers.awaited:
            raise ValueError("consumers of an account are of all its tables, none of which can wait after another")
        if self.consumers.entity_resolution and self.consumers.entity_resolution.results:
            raise ValueError("results come to a source of PartnerPush only; leave them out")
        return self

    @model_validator(mode="after")
    def _compared_as_they_come(self) -> Self:
        if self.usual_volume is not None and self.usual_volume.months is not None:
            raise ValueError("usual_volume.months is for feeds; reports by the month have as many as weekdays says")
        return self

    @model_validator(mode="after")
    def _crawled_as_they_are_kept(self) -> Self:
        if self.crawl:
            require_crawlable(self.table_format)
        return self

    @model_validator(mode="after")
    def _divided_as_they_are_kept(self) -> Self:
        if self.layout == "compacted" and self.table_format == "iceberg":
            raise ValueError(
                "layout: compacted is for table_format: parquet: an Iceberg table says itself which files are its own, "
                "so readers ask for no partitions, however many there are; leave one of the two out"
            )
        return self

    @model_validator(mode="after")
    def _times_fit(self) -> Self:
        begin = timedelta(hours=self.request_at.hour, minutes=self.request_at.minute, seconds=self.request_at.second)
        if begin + self.spread >= timedelta(days=1):
            raise ValueError(
                f"request_at {self.request_at:%H:%M} and spread {self.spread} go past midnight, when the day to ask on "
                "is over: ask earlier or spread less"
            )
        if not timedelta(0) < self.poll_every <= self.overdue_after <= self.give_up_after:
            raise ValueError("poll_every, overdue_after and give_up_after must grow in this order, from more than 0 s")
        return self

    @model_validator(mode="after")
    def _named_as_reports_have_it(self) -> Self:
        if self.naming is None:
            return self
        tables = [(*dataset.columns, *STAMPS) for each in self.definitions() for dataset in each.datasets]
        known = {column.name for columns in tables for column in columns}
        wanted = {*self.naming.columns, *([self.naming.by] if self.naming.by not in (None, ROWS) else [])}
        for name in sorted(wanted - known):
            raise ValueError(f"naming: no report has a column {name!r}{did_you_mean(name, known)}")
        for columns in tables:
            own = self.naming.of({column.name for column in columns})
            if own and (problem := own.problem(columns)):
                raise ValueError(problem)
        return self

    def definitions(self) -> tuple[ReportDefinition, ...]:
        raise NotImplementedError


class AdsSource(ReportSource):
    """An Amazon Ads account: its profiles, or with ``api: v1`` its advertiser accounts, and the reports to pull for
    each."""

    api: Literal["v3", "v1"] = "v3"
    """Which of Amazon's reporting APIs makes the reports: version 3 (default), of profiles, or ``v1``, the unified
    reporting of the Ads API v1, of advertiser accounts. Amazon calls the latter a beta, and so it is here: it was made
    after Amazon's documentation and has not met Amazon itself."""
    profiles: Annotated[Annotated[tuple[Id, ...], PLAIN] | Annotated[Profiles, SETTINGS], BY_FORM] = Profiles()
    """Ids of the profiles, or the countries and kinds of those to take; by default all that the credentials can
    read."""
    accounts: tuple[AccountId, ...] = ()
    """With ``api: v1``: ids of the advertiser accounts; by default all that the credentials can read."""
    reports: list[Annotated[Annotated[str, _READY_MADE] | Annotated[OwnAdsReport, _OWN], _KIND]] = Field(min_length=1)
    """Names of ready-made reports, and reports of your own."""
    stream: DeclaredStream | None = None
    """Data sets of Amazon Marketing Stream, such as ``[sp-traffic, sp-conversion]``, or these with settings: messages
    about every hour, which are added up to hours and days."""

    @field_validator("reports")
    @classmethod
    def _known(cls, reports: list[str | OwnAdsReport]) -> list[str | OwnAdsReport]:
        _named_once(d for report in reports for d in [_ads(report)])
        return reports

    @field_validator("profiles", "stream", "accounts")
    @classmethod
    def _of_its_api(cls, value: T, info: ValidationInfo) -> T:
        api = info.data.get("api")
        if api == "v3" and info.field_name == "accounts":
            raise ValueError("accounts goes with `api: v1`; version 3 takes profiles")
        if api == "v1" and info.field_name != "accounts":
            raise ValueError(
                f"{info.field_name} does not go with `api: v1`, whose reports are of advertiser accounts: see accounts"
            )
        return value

    @field_validator("reports")
    @classmethod
    def _of_one_api(cls, reports: list[str | OwnAdsReport], info: ValidationInfo) -> list[str | OwnAdsReport]:
        api = info.data.get("api")
        for report in reports:
            if api is not None and _is_unified(report) != (api == "v1"):
                name = report if isinstance(report, str) else report.name
                does = "needs `api: v1` on the source" if _is_unified(report) else "does not go with `api: v1`"
                raise ValueError(f"report {name} {does}: a source has reports of one API, so declare another source")
        return reports

    def definitions(self) -> tuple[ReportDefinition, ...]:
        return tuple(_ads(report) for report in self.reports)


class SellingPartnerSource(ReportSource):
    """A seller or vendor: its marketplaces and the reports to pull for each."""

    partner: Literal["seller", "vendor"] = "seller"
    """Whether the account is a seller's (default) or a vendor's, whose ``marketplaces`` have to be listed by id."""
    marketplaces: Annotated[Annotated[tuple[Id, ...], PLAIN] | Annotated[Marketplaces, SETTINGS], BY_FORM] = (
        Marketplaces()
    )
    """Ids of the marketplaces, or the countries of those to take; by default all in which the seller takes part."""
    reports: list[Annotated[Annotated[str, _READY_MADE] | Annotated[OwnSellingPartnerReport, _OWN], _KIND]] = Field(
        min_length=1
    )
    """Names of ready-made reports, and reports of your own."""
    finished_queue: str | None = None
    """An SQS queue that is subscribed to REPORT_PROCESSING_FINISHED; without one reports are only polled."""

    @field_validator("reports")
    @classmethod
    def _known(cls, reports: list[str | OwnSellingPartnerReport]) -> list[str | OwnSellingPartnerReport]:
        _named_once(selling_partner_definition(report) for report in reports)
        return reports

    @model_validator(mode="after")
    def _marketplaces_of_a_vendor(self) -> Self:
        if self.partner == "vendor":
            listed = self.marketplaces if isinstance(self.marketplaces, tuple) else ()
            if unknown := [m for m in listed if m not in MARKETPLACES]:
                raise ValueError(f"marketplaces: {', '.join(unknown)} is no marketplace; there are {_marketplaces()}")
            if not listed:
                raise ValueError(f"marketplaces: list those of the vendor by id; there are {_marketplaces()}")
        return self

    def definitions(self) -> tuple[ReportDefinition, ...]:
        return tuple(selling_partner_definition(report) for report in self.reports)


def _ads(report: str | OwnAdsReport) -> ReportDefinition:
    if isinstance(report, OwnAdsReport):
        return report.definition()
    known: Mapping[str, AdsReport | UnifiedReport | ReportDefinition] = {
        **ads_definitions.READY_MADE,
        **ads_metadata.READY_MADE,
        **unified_definitions.READY_MADE,
    }
    found = ready_made(report, known)
    if isinstance(found, UnifiedReport):
        return unified_definition(report, found)
    return found if isinstance(found, ReportDefinition) else ads_definition(report, found)


def _is_unified(report: str | OwnAdsReport) -> bool:
    """Whether it is a report of the Ads API v1."""
    if isinstance(report, OwnAdsReport):
        return bool(report.fields) or report.extends in unified_definitions.READY_MADE
    return report in unified_definitions.READY_MADE


def _named_once(definitions: Iterable[ReportDefinition]) -> None:
    seen: set[str] = set()
    for definition in definitions:
        for name in {definition.name, *(d.feed for d in definition.datasets)}:
            if name in seen:
                raise ValueError(f"report or table {name} is declared twice")
            seen.add(name)


def _marketplaces() -> str:
    return wrapped(f"{name} ({m.country})" for name, m in MARKETPLACES.items())
