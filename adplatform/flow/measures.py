"""What metrics say of deliveries: of each that is judged and published, and from time to time of what does not
happen."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from adplatform.contracts.feed import Feed
from adplatform.flow.patience import is_given_up
from adplatform.flow.pattern import Pattern
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow, Source
from adplatform.ledger.delivery import BUSY, Delivery, DeliveryState
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.objects import RawObject
from adplatform.platform import metrics
from adplatform.platform.metrics import FEED, SOURCE, Metrics

if TYPE_CHECKING:
    from adplatform.flow.clean import Transformed

DEADLINES = 3
"""Dates that are asked about: the look at an earlier one may have been skipped, or failed."""


def count_judged(to: Metrics, flow: FeedFlow, delivery: Delivery, judged: "Transformed") -> None:
    """How much of a version its contract refuses, whether or not it is published."""
    staged = judged.staged
    if staged.records:
        to.put({metrics.QUARANTINED_SHARE: staged.quarantined / staged.records}, _of(flow), **_facts(flow, delivery))


def count_published(
    to: Metrics,
    flow: FeedFlow,
    delivery: Delivery,
    judged: "Transformed",
    files: Iterable[RawObject],
    now: datetime,
    seconds: float,
) -> None:
    """The rows of a version that its run has just made visible, in ``seconds``, and the ``files`` that it read for
    that: what it took over was counted before. Nobody counts what an operator makes anew of the same rows."""
    if judged.kept:
        return
    staged, base = judged.staged, judged.base
    counted = list(files)
    last = max((each.last_modified for each in counted), default=None)
    to.put(
        {
            metrics.ROWS_IN: staged.rows_in - (base.rows_in if base else 0),
            metrics.ROWS_CLEAN: staged.clean - (base.clean if base else 0),
            metrics.ROWS_SUPERSEDED: staged.superseded - (base.superseded if base else 0),
            metrics.ROWS_QUARANTINED: staged.quarantined - (base.quarantined if base else 0),
            metrics.ROWS_LEFT_OUT: staged.left_out - (base.left_out if base else 0),
            metrics.FILES: len(counted),
            metrics.BYTES: sum(each.size for each in counted),
            metrics.PUBLISH_SECONDS: round(seconds, 3),
            metrics.ARRIVAL_TO_PUBLISH_SECONDS: max(0.0, (now - last).total_seconds()) if last else None,
        },
        _of(flow),
        **_facts(flow, delivery),
    )


def measure(services: Services, pattern: Pattern, published: Mapping[str, datetime]) -> None:
    """How fresh the tables of a source are, what of it is late, and what of it waits for the platform. ``published``
    says of each table when something was published to it, if that is known."""
    ledger, source = services.ledger, pattern.source
    now = ledger.now()
    for table in tables_watched(source):
        feed = table.feed
        timely = feed.arrival.deadline is not None and table in source.feeds
        late = _late(ledger, pattern, feed, now) if timely else None
        services.metrics.put(
            {
                metrics.FRESHNESS_SECONDS: _stale(feed, published.get(table.table), now),
                metrics.DELIVERIES_LATE: late,
            },
            _of(table),
        )
    waiting = [row for _, row in ledger.deliveries.active(source.name) if _is_due(row)]
    since = min((row.settled_at for row in waiting if row.settled_at), default=now)
    services.metrics.put(
        {metrics.BACKLOG: len(waiting), metrics.BACKLOG_SECONDS: (now - since).total_seconds()}, {SOURCE: source.name}
    )


def tables_watched(source: Source) -> list[FeedFlow]:
    """The feeds of a source, and what is made of them: of each merged table that of its rows."""
    rows = (table for table in source.derived if table.merged_as in ("", table.feed.name))
    return [*source.feeds, *rows]


def due_dates(at: datetime, deadline: timedelta) -> list[date]:
    """The dates whose deadline has passed last at ``at``, in their order: each ended ``deadline`` before, or longer."""
    last = (at.astimezone(UTC) - deadline).date() - timedelta(days=1)
    return [last - timedelta(days=n) for n in reversed(range(DEADLINES))]


def _stale(feed: Feed, published: datetime | None, now: datetime) -> float | None:
    """Seconds since something was published, or could have been first; None of a feed that is never stale."""
    if feed.fresh_within is None:
        return None
    return max(0.0, (now - (published or datetime.combine(feed.start_date, time(), UTC))).total_seconds())


def _late(ledger: Ledger, pattern: Pattern, feed: Feed, now: datetime) -> int:
    days = [day for day in due_dates(now, feed.arrival.deadline or timedelta()) if day >= feed.start_date]
    names = [flow.name for flow in pattern.deliveries(ledger) if flow.feed.name == feed.name]
    return sum(not ledger.deliveries.get(name, day).version for name in names for day in days)


def _is_due(row: Delivery) -> bool:
    """Whether it is complete and the platform's to publish."""
    return row.state in BUSY or (
        row.state is DeliveryState.FAILED and row.version > row.published and not is_given_up(row)
    )


def _of(flow: FeedFlow) -> dict[str, str]:
    return {SOURCE: flow.source, FEED: flow.feed.name}


def _facts(flow: FeedFlow, row: Delivery) -> dict[str, str | int]:
    scope = {"scope": flow.scope.value} if flow.scope else {}
    return {"run_id": row.run_id, "day": row.day.isoformat(), "version": row.version, **scope}
