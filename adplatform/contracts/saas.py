"""A SaaS application whose data Amazon AppFlow brings: its flows, and what each brings."""

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from adplatform.contracts.column import require_one_name
from adplatform.contracts.columns import Columns
from adplatform.contracts.durations import Duration, write_duration
from adplatform.contracts.feed import BROUGHT, Brought, Feed
from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.hints import did_you_mean
from adplatform.contracts.ready_made import extended, ready_made_of
from adplatform.contracts.saas_connection import MadeConnection
from adplatform.contracts.source import FileSource
from adplatform.contracts.strict import Names, Strict

FLOW_NAME = r"^[a-zA-Z0-9][a-zA-Z0-9_!@#.-]*$"
"""AppFlow API reference, StartFlow: flowName."""
OWN_CONNECTORS: Mapping[str, str] = {
    **{name: name for name in ("Amplitude", "Datadog", "Dynatrace", "Marketo", "Pardot", "Salesforce", "Singular")},
    **{name: name for name in ("Slack", "Trendmicro", "Veeva", "Zendesk")},
    **{"Googleanalytics": "GoogleAnalytics", "Infornexus": "InforNexus", "Servicenow": "ServiceNow"},
}
"""AppFlow's connector types that read an object, and what a flow's properties and tasks call each. All others, those
that AWS provides included, are of the type CustomConnector (AppFlow API reference, ConnectorType, CreateFlow)."""
NEEDS_URL = frozenset(
    ("Datadog", "Dynatrace", "Infornexus", "Marketo", "Salesforce", "Servicenow", "Slack", "Veeva", "Zendesk")
)
"""Connectors whose connections are made with an address (AppFlow API reference, ConnectorProfileProperties). Salesforce
has one that a person logs in at by default."""
_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_LEAST: Mapping[str, timedelta] = {
    **dict.fromkeys(("Marketo", "Singular", "Trendmicro"), _HOUR),
    **dict.fromkeys(("Googleanalytics", "Amplitude"), _DAY),
}
"""How often a schedule may run a flow where not every minute (AppFlow user guide, quotas)."""
_RATE = re.compile(r"rate\((\d+) ?(minute|hour|day|week)s?\)")
_ACCOUNT = "{account}"


class FlowFilter(Strict):
    """A condition that records must meet to be brought."""

    field: str
    """The field, as the application names it."""
    operator: Literal[
        "equal_to",
        "not_equal_to",
        "contains",
        "less_than",
        "less_than_or_equal_to",
        "greater_than",
        "greater_than_or_equal_to",
        "between",
    ] = "equal_to"
    """How the field is compared; which of these a field takes, its connector decides."""
    values: Names
    """What it is compared with: one value, several of which one must be equal, or for ``between`` the two bounds.
    Instants are ISO 8601."""
    type: str = "string"
    """AppFlow's type of the field, ``datetime`` for example."""

    @model_validator(mode="after")
    def _as_many_as_compared(self) -> Self:
        wanted = 2 if self.operator == "between" else 1
        if not self.values or (self.operator != "equal_to" and len(self.values) != wanted):
            raise ValueError(f"values of {self.field}: {self.operator} takes {wanted}, not {len(self.values)}")
        return self


class FlowSchedule(Strict):
    """A schedule of AppFlow's own."""

    expression: Annotated[str, Field(pattern=r"^(rate|cron)\(.+\)$", max_length=256, examples=["rate(1hours)"])]
    """How often it runs, as AppFlow writes it: ``rate(30minutes)``, ``rate(1days)``."""
    pull: Literal["incremental", "complete"] = "incremental"
    """What a run brings: what changed since the last one that succeeded, by ``incremental_by``; or everything."""
    first_from: datetime | None = None
    """From when on the first incremental run brings records; by default those of the last 30 days."""
    suspend_after: int | None = Field(default=None, ge=1, le=100)
    """After how many failed runs in a row AppFlow suspends the flow; by default never."""

    @model_validator(mode="after")
    def _a_rate(self) -> Self:
        if self.expression.startswith("rate(") and not self.interval:
            raise ValueError(
                f"expression {self.expression!r} is no rate: write rate(5minutes), rate(1hours), rate(1days)"
            )
        if self.first_from is not None and (self.pull == "complete" or self.first_from.tzinfo is None):
            raise ValueError("first_from is an instant with its offset from UTC, and goes with pull: incremental")
        return self

    @property
    def interval(self) -> timedelta | None:
        """How far apart its runs are; None where that is no fixed time."""
        rate = _RATE.fullmatch(self.expression)
        return timedelta(**{f"{rate[2]}s": int(rate[1])}) or None if rate else None


class FlowFeed(Feed):
    """One flow of AppFlow and the dataset that it brings."""

    flow: Annotated[str, Field(pattern=FLOW_NAME, max_length=256)] | None = None
    """The flow's name in AppFlow; by default ``<source>-<feed>``."""
    object: str | None = None
    """What the flow reads of the application, ``Contact`` for example. With it `adplatform provision` makes the flow,
    which brings the fields of ``columns``; without it the flow must be there."""
    every: Duration | None = None
    """How often an on-demand flow is started. By default it is not: a scheduled flow runs by itself, and is watched."""
    offset: Duration = timedelta(0)
    """How long after midnight (UTC), or after full multiples of ``every``, it is started."""
    scheduled: FlowSchedule | None = None
    """The schedule by which AppFlow runs the flow that is made; it is then only watched. By default the flow is one
    that is started on demand, and each run brings everything."""
    incremental_by: str | None = None
    """The column, a timestamp or date, by which an incremental run knows what changed."""
    filters: tuple[FlowFilter, ...] = ()
    """Conditions that records must meet to be brought; by default all are."""
    include_deleted: bool = False
    """Whether deleted records are brought, too, as long as the application shows them; only Salesforce does."""
    duplicate_content: Literal["ignore", "refuse", "allow"] = "allow"
    """Files with the same bytes: read, as an engine writes them, and knows no names of a sender's."""
    landing: str = "{flow}/schemaVersion_*/{date:%Y/%m/%d}/*/{file}"
    """Where the flow's files lie below the source's own prefix, which is the bucket prefix of its destination: the
    schema version, the date and the execution id are folders."""
    format: FileFormat = FileFormat(kind="ndjson")
    """How the flow writes its files; JSON lines by default, as AppFlow does."""
    arrival: Brought = BROUGHT
    """When a delivery is complete: by what ended runs wrote. A ``deadline`` may be set."""

    @model_validator(mode="after")
    def _run_by_an_engine(self) -> Self:
        if self.arrival.complete_when != "engine":
            raise ValueError("arrival.complete_when is engine for a flow; leave it out")
        if self.format.kind in ("xlsx", "avro"):
            raise ValueError(f"format.kind {self.format.kind!r} is not what AppFlow writes: ndjson, csv or parquet")
        if self.schedule is not None:
            raise ValueError("a flow's deliveries are processed once a run has landed; leave schedule out")
        if self.every is not None and self.every < _MINUTE:
            raise ValueError("every is at least 1m")
        return self

    @model_validator(mode="after")
    def _made_as_appflow_takes_it(self) -> Self:
        if self.object is None:
            made = ("scheduled", "incremental_by", "filters", "include_deleted")
            if given := [name for name in made if getattr(self, name)]:
                raise ValueError(f"{', '.join(given)}: only for a flow that is made here; give its object, too")
        else:
            require_one_name(self.columns, "AppFlow")
        if self.incremental_by is not None:
            column = next((c for c in self.columns if c.name == self.incremental_by), None)
            if column is None or column.data_type.name not in ("timestamp", "date") or column.expression:
                raise ValueError(
                    f"incremental_by names {self.incremental_by!r}, which is no timestamp or date of columns"
                )
        if self.scheduled is not None:
            if self.every is not None:
                raise ValueError("every and scheduled exclude each other: AppFlow does not start a scheduled flow")
            if self.scheduled.pull == "incremental" and self.incremental_by is None:
                raise ValueError("incremental_by is missing: the column by which an incremental run knows what changed")
            if self.scheduled.pull == "incremental" and self.partition_by is None:
                raise ValueError("with partition_by: null a table would hold no more than the last incremental run")
        return self

    @property
    def incremental_field(self) -> str | None:
        """``incremental_by`` as the application names it."""
        return self.column(self.incremental_by).field_name if self.incremental_by else None


class OwnFlow(FlowFeed):
    """A feed of your own."""

    start_date: date | None = None  # type: ignore[assignment]  # what is not given is the source's
    """The first delivery date; by default the source's."""


class ReadyMadeFlow(OwnFlow):
    """A ready-made feed of the connector, of which anything may be changed."""

    extends: str
    """The ready-made feed; the name alone is enough where nothing is changed."""
    remove: Names = ()
    """Columns of the ready-made feed that this one has not; the flow does not bring them."""
    name: str | None = None  # type: ignore[assignment]  # what is not given is that of the ready-made feed
    """The feed's name, and the table's; by default that of the ready-made feed."""
    columns: Columns | list[str] | None = None  # type: ignore[assignment]  # as above
    """Columns that are added, or settings that differ from those of the ready-made feed, as a mapping; or a list of
    the columns to take. Those by which rows are compared and placed always stay."""


class Connection(Strict):
    """What the flows of a source have in common."""

    connector: str = "Salesforce"
    """The connector of AppFlow for flows with an ``object``: its type, spelled as in AppFlow's API, or the label of a
    custom connector, ``HubSpot`` for example."""
    api_version: str | None = None
    """The version of the application's API that a custom connector uses; by default that of its ready-made feeds."""
    account: str | None = None
    """The account in the application, where names of objects end with one, as those of Google Ads do; ``{account}`` in
    an ``object`` stands for it."""
    start_date: date | None = None
    """The first delivery date of feeds that give none."""


def _as_flow(given: Any, info: ValidationInfo) -> Any:
    """A feed as it is declared, or the settings of what it extends with what is given laid over them.

    Raises:
        ValueError: there is no such ready-made feed; or an account is missing.
    """
    common = info.data
    if isinstance(given, str):
        given = {"extends": given}
    if not isinstance(given, dict):
        return given
    if "extends" in given:
        given = extended(given, common.get("connector", ""))
    if common.get("start_date") is not None:
        given = {"start_date": common["start_date"], **given}
    if _ACCOUNT not in str(given.get("object")):
        return given
    if common.get("account") is None:
        raise ValueError(f"account is missing: the object is {given['object']}, with the account for {_ACCOUNT}")
    return {**given, "object": given["object"].replace(_ACCOUNT, common["account"])}


_Flow = Annotated[FlowFeed, BeforeValidator(_as_flow, json_schema_input_type=str | ReadyMadeFlow | OwnFlow)]


class SaasSource(FileSource, Connection):
    """The flows of one SaaS application."""

    pattern: ClassVar[str] = "flows"

    feeds: list[_Flow] = Field(min_length=1)  # type: ignore[assignment]  # every flow is a feed
    """The flows: names of ready-made feeds of the connector, such with changes (``extends``), and feeds of your own."""
    connection: str | None = None
    """The connection (connector profile) of AppFlow for flows with an ``object``."""
    connect: MadeConnection | None = None
    """How the connection is made, by the deployment or `adplatform provision`; without it somebody has made it in
    AppFlow."""
    simulated: bool = False
    """Whether the connection is to the simulated CRM of the embedded AWS."""
    check_every: int = Field(default=60, ge=1)
    """Seconds between two looks at what runs."""

    @model_validator(mode="after")
    def _connected(self) -> Self:
        made = [feed for feed in self.feeds if feed.object is not None]
        if made and self.connection is None:
            raise ValueError(f"connection is missing: feed {made[0].name} has an object, so its flow is made with one")
        if self.simulated and self.connector != "Salesforce":
            raise ValueError(f"simulated: true is a CRM of Salesforce, none of {self.connector}; leave it out")
        if made and self.version is None and self.connector not in OWN_CONNECTORS:
            raise ValueError(
                f"api_version is missing: {self.connector} is none of AppFlow's own connectors"
                f"{did_you_mean(self.connector, OWN_CONNECTORS)}, so it is a custom one, which needs it"
            )
        for feed in made:
            self._check(feed)
        return self

    @model_validator(mode="after")
    def _connection_is_made_or_there(self) -> Self:
        if self.connect is None:
            return self
        if self.connection is None or self.simulated:
            raise ValueError("connect says how a connection of yours is made: name it with connection, not simulated")
        custom = self.connector not in OWN_CONNECTORS
        if self.connector in NEEDS_URL and self.connect.instance_url is None:
            raise ValueError(f"connect.instance_url is missing: AppFlow asks {self.connector} where it is")
        for_custom = {"authentication", "token_url"} & self.connect.model_fields_set
        if for_custom and not custom:
            raise ValueError(f"connect.{min(for_custom)} is for a custom connector, and {self.connector} is none")
        return self

    def _check(self, feed: FlowFeed) -> None:
        if feed.include_deleted and self.connector != "Salesforce":
            raise ValueError(f"feed {feed.name}: include_deleted is for Salesforce, not {self.connector}")
        least = _LEAST.get(self.connector, _MINUTE)
        interval = feed.scheduled.interval if feed.scheduled else None
        if interval is not None and interval < least:
            raise ValueError(
                f"feed {feed.name}: AppFlow runs flows of {self.connector} by a schedule every "
                f"{write_duration(least)} at most"
            )

    @property
    def version(self) -> str | None:
        """The version of the application's API that flows name."""
        known = ready_made_of(self.connector)
        return self.api_version or (known.api_version if known else None)
