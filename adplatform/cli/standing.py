"""Where a delivery stands and what happens next, and which ignored objects the present declaration would take."""

from collections.abc import Iterable

from rich.table import Column, Table

from adplatform.cli.report_history import instant
from adplatform.files.arrivals import Wait
from adplatform.flow.looks import LIST_EVERY
from adplatform.flow.pattern import Pattern, settler_of
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow, Source, refusal
from adplatform.flow.standing import next_step
from adplatform.flow.transforming import transforming
from adplatform.ledger.delivery import Delivery, DeliveryState
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.objects import UNPLACED, RawObject

MOST_LISTED = 100
"""Ignored objects that are shown."""


def long(heading: str) -> Column:
    """A column whose texts are broken, never cut: people copy keys."""
    return Column(heading, overflow="fold")


def what_lacks(services: Services, pattern: Pattern, flow: FeedFlow, delivery: Delivery) -> Wait | None:
    """What a delivery waits for, judged now; None when it waits for nothing."""
    return settler_of(services, pattern, flow).waits(flow, delivery)


def delivery_line(services: Services, name: str, delivery: Delivery, wait: Wait | None) -> Table:
    """The delivery itself: state, versions, attempts, error and what happens next."""
    at_engine = delivery.state is DeliveryState.TRANSFORMING
    step = next_step(name, delivery, wait, transforming(services, name, delivery) if at_engine else "")
    table = Table(
        "state", "version", "readers see", "pending", "attempt", "changed (UTC)", long("error"), long("next"),
        title=f"delivery {name} {delivery.day}",
    )  # fmt: skip
    counts = (delivery.version, delivery.published, delivery.pending, delivery.attempt)
    shown = [str(n or "") for n in counts]
    table.add_row(delivery.state, *shown, instant(delivery.changed_at), delivery.error, step)
    return table


def ignored_table(source: Source, objects: Iterable[RawObject]) -> Table | None:
    """Ignored objects with the reason, and what the present declaration makes of each; None when there are none."""
    rows = list(objects)
    if not rows:
        return None
    more = len(rows) - MOST_LISTED
    table = Table(
        long("object"), "date", "written (UTC)", long("ignored because"), long("under the present declaration"),
        title="ignored objects",
        caption=f"and {more} more" if more > 0 else None,
    )  # fmt: skip
    for obj in rows[:MOST_LISTED]:
        table.add_row(obj.key, str(obj.day), instant(obj.last_modified), obj.reason, verdict(source, obj))
    return table


def verdict(source: Source, obj: RawObject) -> str:
    """What the present declaration makes of an ignored object."""
    refused = refusal(source, obj)
    if refused is None:
        minutes = int(LIST_EVERY.total_seconds() // 60)
        return f"taken, if it is still there, by the next listing, within {minutes} minutes, or by `adplatform process`"
    changed = f"ignored: {refused.reason}" if refused.reason != obj.reason else "ignored"
    return f"{changed}; {refused.action}" if refused.action else f"{changed}, as nobody means to deliver it"


def ignored_of(ledger: Ledger, source: Source, feed: str) -> list[RawObject]:
    """The ignored objects of a feed, and those that fit no feed so far but would fit this one."""
    own = ledger.objects.ignored_of_feed(feed)
    unplaced = f"{source.name}/{UNPLACED}"
    if feed == unplaced:
        return own
    strays = ledger.objects.ignored_of_feed(unplaced)
    placed = ((obj, source.place(obj.key, obj.last_modified)) for obj in strays)
    return own + [obj for obj, place in placed if place and place[0].name == feed]
