"""The tables of an account's Marketing Stream: what messages say, and what hours and days come to.

The delivery date of all of them is the date of an hour in the advertiser's time zone, as the message writes it, so that
every copy of a message belongs to the same delivery and is known there by its key.
"""

from dataclasses import dataclass
from datetime import timedelta

from adplatform.amazon.ads.declared_stream import Stream
from adplatform.amazon.ads.stream import DATASETS, DataSet
from adplatform.contracts.column import Column
from adplatform.contracts.feed import Arrival, Feed
from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.model import Bounds
from adplatform.failures import PermanentFailure
from adplatform.files.landing import layout_of
from adplatform.flow.source import FeedFlow
from adplatform.platform.settings import Settings
from adplatform.pull.account import Account

HOURLY, DAILY = "stream_hourly", "stream_daily"
_LANDING = "stream={feed}/date={date}/{file}"
_SUM = "decimal(38,6)"
_ATTRIBUTED = ("conversions", "sales", "units_ordered")

DIMENSIONS = (
    Column(name="profile_id", comment="NULL where no known profile has the advertiser and marketplace."),
    Column(name="marketplace_id"),
    Column(name="advertiser_id"),
    Column(name="ad_product", required=True, comment="SPONSORED_PRODUCTS, _BRANDS or _DISPLAY."),
    Column(name="campaign_id", type="bigint"),
    Column(name="ad_group_id", type="bigint"),
    Column(name="keyword_id", type="bigint", comment="Id of the keyword or target."),
    Column(name="placement", comment="NULL for Sponsored Display."),
    Column(name="currency", comment="Currency of cost and sales."),
)
NAMED = (
    Column(name="keyword_text", comment="Of messages with traffic; those with conversions do not name it."),
    Column(name="match_type"),
)
MEASURES = (
    Column(name="impressions", type="bigint"),
    Column(name="clicks", type="bigint"),
    Column(name="cost", type=_SUM),
    *(
        Column(
            name=f"attributed_{what}_{days}d",
            type=_SUM if what == "sales" else "bigint",
            comment=f"Within {days} days of a click.",
        )
        for what in _ATTRIBUTED
        for days in (1, 7, 14, 30)
    ),
    *(
        Column(
            name=f"view_attributed_{what}_14d",
            type=_SUM if what == "sales" else "bigint",
            comment="Within 14 days of a click or view.",
        )
        for what in _ATTRIBUTED
    ),
    Column(name="messages", type="bigint", required=True, comment="Messages of which it is the sum."),
)
HOURS = (
    Column(name="hour", type="timestamp", required=True, comment="Begin of the hour (UTC)."),
    Column(name="hour_of_day", type="int", comment="0 to 23, in the profile's time zone."),
)


@dataclass(frozen=True)
class StreamTables:
    """The stream of an account. ``deltas`` have what messages say, by their data sets; ``hourly`` and ``daily`` are
    their sums."""

    account: Account
    declared: Stream
    deltas: tuple[tuple[DataSet, FeedFlow], ...]
    hourly: FeedFlow
    daily: FeedFlow

    @property
    def flows(self) -> tuple[FeedFlow, ...]:
        return (*(flow for _, flow in self.deltas), self.hourly, self.daily)

    def queue(self, settings: Settings) -> str:
        """The name of the queue that Amazon sends to.

        Raises:
            PermanentFailure: AWS takes no queue of the account's name.
        """
        return self.declared.queue or settings.queue_name(self.account.source)


def stream_of(account: Account) -> StreamTables | None:
    """The stream that is declared for an account; None where none is.

    Raises:
        PermanentFailure: a report of the account has the name of one of its tables.
    """
    if account.stream is None:
        return None
    deltas = tuple((each, _flow(account, _deltas(account, each))) for each in map(DATASETS.__getitem__, _ids(account)))
    made_of = tuple(flow.table for _, flow in deltas)
    hourly = _sums(account, HOURLY, "hour", (*DIMENSIONS[:4], *HOURS, *DIMENSIONS[4:], *NAMED, *MEASURES))
    daily = _sums(account, DAILY, "day", (*DIMENSIONS, *NAMED, *MEASURES))
    stream = StreamTables(
        account, account.stream, deltas, _flow(account, hourly, made_of), _flow(account, daily, made_of)
    )
    reports = {table.feed.name for _, table in account.tables()}
    for flow in stream.flows:
        if flow.feed.name in reports:
            raise PermanentFailure(
                f"{account.source}: {flow.feed.name} is a table of its stream; call the report otherwise"
            )
    return stream


def _ids(account: Account) -> tuple[str, ...]:
    return account.stream.datasets if account.stream else ()


def _deltas(account: Account, dataset: DataSet) -> Feed:
    """Nobody can be asked to send messages again, so those that are none are put aside, however many."""
    return Feed(
        name=dataset.feed,
        description=dataset.description,
        start_date=account.start_date,
        landing=_LANDING,
        columns=dataset.columns,
        key=("idempotency_id",),
        format=FileFormat(kind="ndjson", compression="gzip"),
        arrival=Arrival(quiet_period=timedelta(0), accept_early=None),
        bounds=Bounds(min_rows=0, max_quarantined=1),
        schema_policy="evolve",
        undeclared_personal=account.undeclared_personal,
        table_format=account.table_format,
        consumers=account.consumers,
        fresh_within=account.fresh_within,
    )


def _sums(account: Account, name: str, of: str, columns: tuple[Column, ...]) -> Feed:
    return Feed(
        name=name,
        description=f"What messages of the Marketing Stream come to by {of}, profile, campaign, ad group, keyword or "
        "target, and placement.",
        start_date=account.start_date,
        landing=_LANDING,
        columns=columns,
        format=FileFormat(kind="parquet"),
        arrival=Arrival(complete_when="count", expected_files=1, accept_early=None),
        bounds=Bounds(min_rows=0, max_quarantined=0),
        table_format=account.table_format,
        consumers=account.consumers,
        fresh_within=account.fresh_within,
    )


def _flow(account: Account, feed: Feed, made_of: tuple[str, ...] = ()) -> FeedFlow:
    return FeedFlow(
        account.source,
        feed,
        layout_of(account.slices, feed),
        account.topics,
        account.archive,
        retention=account.retention,
        budget=account.budget,
        made_of=made_of,
    )
