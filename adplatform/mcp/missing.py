"""Why readers do not see a date of a feed, or not all of it: everything that stands between the sender and them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from adplatform.engines.pattern import EngineFiles
from adplatform.failures import PermanentFailure
from adplatform.flow.cost_guard import budget_of, kept_back, standings
from adplatform.flow.pattern import Pattern, find_feed, settler_of
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform.flow.standing import merge_line, next_step
from adplatform.flow.transforming import transforming
from adplatform.ledger.delivery import Delivery, DeliveryState
from adplatform.ledger.objects import ObjectState, RawObject
from adplatform.ledger.publications import Publication
from adplatform.mcp.known import Known
from adplatform.pull.pattern import PulledReports

MOST_SCOPES = 50
"""Scopes of a table that are told of one by one."""
_DAY = timedelta(days=1)


def why_missing(known: Known, name: str, day: date) -> Mapping[str, Any]:
    """The deliveries of a date, one for each scope where ``name`` is that of a table, with all that holds each up, what
    holds up its source first. Of a table that is made of others, which those are.

    Raises:
        PermanentFailure: there is no such feed, or no scope of it is known yet.
    """
    pattern, flows = _flows(known, name)
    if not flows:
        return {"feed": name, "date": day, "why": list(_made(known.services, pattern, name, day))}
    return {
        "feed": name,
        "date": day,
        "deliveries": [_delivery(known.services, pattern, flow, day) for flow in flows[:MOST_SCOPES]],
        **({"note": f"and {len(flows) - MOST_SCOPES} more"} if len(flows) > MOST_SCOPES else {}),
    }


def _flows(known: Known, name: str) -> tuple[Pattern, list[FeedFlow]]:
    """What is delivered under the name; nothing of a table that is made of others."""
    for pattern in known.patterns:
        if name in {flow.table for flow in pattern.source.derived}:
            return pattern, []
        of_scopes = next((each for each in pattern.names if each.startswith(f"{name}/")), "")
        if of_scopes:
            flows = [flow for flow in pattern.deliveries(known.services.ledger) if flow.table == name]
            if not flows:
                raise PermanentFailure(f"no {of_scopes} is known yet: nothing was asked for so far")
            return pattern, flows
    pattern, flow = find_feed(known.patterns, name)
    return pattern, [flow]


def _made(services: Services, pattern: Pattern, name: str, day: date) -> Iterator[str]:
    flow = next(each for each in pattern.source.derived if each.table == name)
    yield from _held_up(services, pattern)
    yield from _of_others(flow, day)
    if flow.merged_as:
        yield merge_line(services.ledger.folds.get(flow.source, flow.merged_as))


def _of_others(flow: FeedFlow, day: date) -> Iterator[str]:
    if flow.made_of:
        yield f"it is made of {', '.join(flow.made_of)}: ask why these lack {day}"


def _delivery(services: Services, pattern: Pattern, flow: FeedFlow, day: date) -> Mapping[str, Any]:
    ledger = services.ledger
    delivery = ledger.deliveries.get(flow.name, day)
    versions = ledger.publications.of_feed(flow.name, day)
    objects = ledger.objects.of_day(flow.name, day)
    why = [
        *_held_up(services, pattern),
        *_not_due(flow, delivery, day, ledger.now()),
        *_stands(services, pattern, flow, delivery),
        *(_of_others(flow, day) if not delivery.published else ()),
        *(_left(versions[-1]) if versions else ()),
        *_ignored(objects),
        *_reports(services, pattern, flow, day),
        *_runs(services, pattern, delivery),
    ]
    return {
        "delivery": flow.name,
        "state": delivery.state,
        "settled_version": delivery.version or None,
        "readers_see_version": delivery.published or None,
        "waiting_files": delivery.pending,
        "files": dict(Counter(str(each.state) for each in objects)),
        "why": why,
    }


def _held_up(services: Services, pattern: Pattern) -> Iterator[str]:
    source = pattern.source
    if pause := services.ledger.pauses.of(source.name):
        yield str(pause)
    found = standings(services.ledger, source.name, budget_of(services.settings, source.budget))
    if over := [each for each in found if each.over]:
        yield kept_back(over)


def _not_due(flow: FeedFlow, delivery: Delivery, day: date, now: datetime) -> Iterator[str]:
    if day < flow.feed.start_date:
        yield f"the feed begins on {flow.feed.start_date}: files of earlier dates are refused"
    if day > (now.astimezone(UTC) + flow.ahead).date():
        yield "the date has not begun"
    deadline = flow.feed.arrival.deadline
    if deadline is not None and not delivery.version:
        due = datetime.combine(day + _DAY, time(), UTC) + deadline
        yield f"it {'was' if due <= now else 'is not'} due {'' if due <= now else 'before '}{due:%Y-%m-%d %H:%M} UTC"


def _stands(services: Services, pattern: Pattern, flow: FeedFlow, delivery: Delivery) -> Iterator[str]:
    """The state, what it failed with, and what it waits for, judged now."""
    wait = settler_of(services, pattern, flow).waits(flow, delivery)
    if delivery.error:
        yield f"{delivery.state}: {delivery.error}"
    if delivery.state is DeliveryState.PUBLISHED and wait is None:
        yield f"it is there: readers see version {delivery.published}"
        return
    at_engine = delivery.state is DeliveryState.TRANSFORMING
    yield next_step(flow.name, delivery, wait, transforming(services, flow.name, delivery) if at_engine else "")
    if delivery.published and delivery.published < delivery.version:
        yield f"readers see version {delivery.published} until version {delivery.version} is published"


def _left(version: Publication) -> Iterator[str]:
    """What the latest version did not bring."""
    if version.note:
        yield f"version {version.version}: {version.note}"
    counted = version.rows_in - version.left_out
    if version.quarantined and counted:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(version.reasons.items()))
        share = 100 * version.quarantined / counted
        rows = f"{version.quarantined:,} of {counted:,} rows of version {version.version} ({share:.1f} %)"
        yield f"{rows} are in quarantine: {reasons}"
    if version.superseded:
        yield f"{version.superseded:,} rows of version {version.version} were superseded by others of their key"
    if version.left_out:
        yield f"{version.left_out:,} rows of version {version.version} were left out as declared"


def _ignored(objects: Iterable[RawObject]) -> Iterator[str]:
    reasons = Counter(each.reason for each in objects if each.state is ObjectState.IGNORED)
    for reason, count in sorted(reasons.items()):
        yield f"{count} ignored files: {reason}"


def _reports(services: Services, pattern: Pattern, flow: FeedFlow, day: date) -> Iterator[str]:
    """The reports that were asked for of the date."""
    if not isinstance(pattern, PulledReports) or flow.scope is None:
        return
    definitions = [
        each for each in pattern.account.definitions if flow.feed.name in {dataset.feed for dataset in each.datasets}
    ]
    for definition in definitions:
        asked = services.ledger.reports.of_feed(f"{flow.source}/{definition.name}/{flow.scope.value}", day)
        reports = [each for each in asked if each.start <= day <= each.end]
        if not reports:
            yield f"no report of {definition.name} was asked for that has the date"
        for each in reports[-3:]:
            rests = f", rests until {each.not_before:%Y-%m-%d %H:%M} UTC" if each.not_before and not each.ended else ""
            failed = f": {each.error}" if each.error else ""
            overdue = ", overdue" if each.overdue else ""
            yield f"report of {definition.name} asked for on {each.asked_on} is {each.state}{overdue}{rests}{failed}"


def _runs(services: Services, pattern: Pattern, delivery: Delivery) -> Iterator[str]:
    """Runs of an engine that have not landed, as long as the date has not."""
    if not isinstance(pattern, EngineFiles) or delivery.version:
        return
    active = services.ledger.engine_runs.active(pattern.source.name)
    if not active:
        yield f"no run of its engine is under way: `adplatform runs {pattern.source.name}` shows those that have ended"
    for run in active:
        overdue, failed = ", overdue" if run.overdue else "", f": {run.error}" if run.error else ""
        yield f"run {run.run_id} of {run.target} is {run.said.lower() or run.state}{overdue}{failed}"
