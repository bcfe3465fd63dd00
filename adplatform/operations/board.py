"""Where the platform stands: the numbers that the operations board, ``adplatform status`` and the demo show.

All of it is read from the ledger, by calls whose number grows with the feeds and not with what they have delivered. No
text has names of files in it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import partial

from adplatform.engines.pattern import EngineFiles
from adplatform.engines.watches import everything_failed
from adplatform.failures import clipped, unnamed
from adplatform.files.arrivals import Wait
from adplatform.flow.cost_guard import Standing, budget_of, standings
from adplatform.flow.measures import due_dates, tables_watched
from adplatform.flow.pattern import Pattern
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow, Source
from adplatform.flow.standing import next_step
from adplatform.ledger.delivery import BUSY, Delivery, DeliveryState
from adplatform.ledger.folds import Fold
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.publications import Publication
from adplatform.platform.at_once import at_once

DAYS = 14
"""Dates that are counted, up to the present one, and dates of a feed that are read, its newest."""
RUNS = 14
"""Of each target of an engine, its newest by schedule."""
_MOST_TEXT = 1_000
"""Characters of why something has failed; the rest is what `adplatform ledger` is for."""
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Counts:
    """What the versions that readers see come to: rows, files, and their bytes as they were received. ``seconds`` is
    how long the runs took that made them visible."""

    files: int = 0
    bytes: int = 0
    rows_in: int = 0
    clean: int = 0
    superseded: int = 0
    quarantined: int = 0
    left_out: int = 0
    seconds: float = 0.0

    @property
    def quarantined_share(self) -> float | None:
        """Of the rows that count, 0 to 1; None where there are none."""
        counted = self.rows_in - self.left_out
        return self.quarantined / counted if counted else None


@dataclass(frozen=True)
class TableStanding:
    """A table: when something was last published to one of its newest dates, and what the last ``DAYS`` dates have.
    ``fresh_within_seconds`` is None of a table that is never stale, and ``newest`` of one without dates of its own."""

    table: str
    published_at: datetime | None
    newest: date | None
    age_seconds: float | None
    fresh_within_seconds: float | None
    stale: bool
    counts: Counts


@dataclass(frozen=True)
class DayStanding:
    """A date of all tables together."""

    day: date
    counts: Counts


@dataclass(frozen=True)
class WaitingDelivery:
    """A delivery that is not published, and what happens next; ``since`` is when something last happened to it."""

    name: str
    day: date
    state: str
    pending: int
    since: datetime | None
    next: str


@dataclass(frozen=True)
class Failure:
    """Something that has failed and stays so: why, and what to do. One that does not ``count`` is on its way again."""

    name: str
    text: str
    counts: bool


@dataclass(frozen=True)
class ArrivalStanding:
    """A date of a feed with a deadline, and when it was first complete. ``late_seconds`` is how long after the deadline
    that was, before it where negative, or how long it is overdue. ``overdue`` while it is one of late that is not
    there."""

    name: str
    day: date
    due: datetime
    arrived: datetime | None
    late_seconds: float
    overdue: bool


@dataclass(frozen=True)
class RunStanding:
    """A run of an engine that has not landed."""

    name: str
    run_id: str
    state: str
    since: datetime | None
    overdue: bool
    note: str


@dataclass(frozen=True)
class EngineUse:
    """What the newest ``RUNS`` runs of an engine's schedule have used: how long they took together, what they moved,
    and what they are charged by, by name (``dpu_hours``)."""

    name: str
    runs: int
    seconds: float
    records: int
    bytes: int
    usage: Mapping[str, float]


@dataclass(frozen=True)
class Board:
    """Where everything stands ``at`` an instant. ``days`` and ``arrivals`` are in the order of their dates, ``budgets``
    are of the sources that have one, ``paused`` are sentences."""

    at: datetime
    tables: tuple[TableStanding, ...]
    days: tuple[DayStanding, ...]
    waiting: tuple[WaitingDelivery, ...]
    failed: tuple[Failure, ...]
    arrivals: tuple[ArrivalStanding, ...]
    runs: tuple[RunStanding, ...]
    engines: tuple[EngineUse, ...]
    budgets: tuple[Standing, ...]
    paused: tuple[str, ...]

    @property
    def troubles(self) -> tuple[str, ...]:
        """What has failed or is overdue, each in a sentence."""
        return (
            *(each.text for each in self.failed if each.counts),
            *(f"{each.table} is stale: {_since(each.published_at)}" for each in self.tables if each.stale),
            *(f"{each.name} {each.day} was due {_at(each.due)}" for each in self.arrivals if each.overdue),
            *(f"run {each.run_id} of {each.name} is overdue" for each in self.runs if each.overdue),
        )


def look_over(services: Services, patterns: Sequence[Pattern]) -> Board:
    """Where these sources stand.

    Raises:
        PermanentFailure: the platform's default budget is none.
    """
    ledger = services.ledger
    now = ledger.now().astimezone(UTC)
    names = [source.name for source in _sources(patterns)]
    flows = {flow.name: flow for pattern in patterns for flow in pattern.deliveries(ledger)}
    newest = dict(zip(flows, at_once(partial(_newest, ledger), flows), strict=True))
    published = ledger.publications.known(_versions(flows, newest))
    shown = _shown(flows, newest, published)
    folds = ledger.folds.known({(source.name, each) for source in _sources(patterns) for each in source.merges})
    tables = tuple(
        _table(table, shown.get(table.table, ()), _fold(folds, source, table), now)
        for source in _sources(patterns)
        for table in tables_watched(source)
    )
    active = at_once(ledger.deliveries.active, names)
    runs = at_once(ledger.engine_runs.active, names)
    failed = [each for pattern in patterns for each in everything_failed(services, pattern)]
    return Board(
        now,
        tables,
        tuple(_days([each for rows in shown.values() for each in rows], now.date())),
        tuple(_waiting(name, row) for rows in active for name, row in rows if _waits(row)),
        tuple(Failure(each.name, clipped(unnamed(str(each)), _MOST_TEXT), each.counts) for each in failed),
        tuple(sorted(_arrivals(flows, newest, published, now), key=lambda each: (each.day, each.name))),
        tuple(
            RunStanding(
                f"{each.source}/{each.target}",
                each.run_id,
                each.said or str(each.state),
                each.started_at or each.found_at,
                each.overdue,
                unnamed(each.error),
            )
            for rows in runs
            for each in rows
        ),
        tuple(each for each in at_once(partial(_used, ledger), _targets(patterns)) if each.runs),
        tuple(each for found in at_once(partial(_budgets, services), _sources(patterns)) for each in found),
        tuple(str(each) for each in ledger.pauses.every() if each.source in names),
    )


def _sources(patterns: Iterable[Pattern]) -> list[Source]:
    return [pattern.source for pattern in patterns]


def _targets(patterns: Iterable[Pattern]) -> list[tuple[str, str]]:
    """Source and name of what engines run by schedules."""
    files = [pattern for pattern in patterns if isinstance(pattern, EngineFiles)]
    return [(each.source.name, target) for each in files for target in each.names_of_targets]


def _used(ledger: Ledger, target: tuple[str, str]) -> EngineUse:
    ids = {each.run_id for each in ledger.engine_runs.scheduled(*target, RUNS) if each.run_id}
    runs = list(ledger.engine_runs.known(*target, ids).values())
    took = [(each.ended_at - each.started_at).total_seconds() for each in runs if each.started_at and each.ended_at]
    usage: Counter[str] = Counter()
    for each in runs:
        usage.update({name: float(amount) for name, amount in each.usage.items()})
    records, size = (sum(getattr(each, name) or 0 for each in runs) for name in ("records", "bytes"))
    return EngineUse("/".join(target), len(runs), round(sum(took), 3), records, size, dict(usage))


def _budgets(services: Services, source: Source) -> list[Standing]:
    return standings(services.ledger, source.name, budget_of(services.settings, source.budget))


def _newest(ledger: Ledger, name: str) -> list[Delivery]:
    return ledger.deliveries.newest(name, DAYS)


def _versions(
    flows: Mapping[str, FeedFlow], newest: Mapping[str, Sequence[Delivery]]
) -> Iterable[tuple[str, date, int]]:
    """What readers see of each date, and where a deadline counts what was there first."""
    for name, rows in newest.items():
        first = [1] if flows[name].feed.arrival.deadline is not None else []
        yield from ((name, row.day, n) for row in rows for n in {row.published, *first} if 0 < n <= row.version)


_Shown = tuple[date, Publication]


def _shown(
    flows: Mapping[str, FeedFlow],
    newest: Mapping[str, Sequence[Delivery]],
    published: Mapping[tuple[str, date, int], Publication],
) -> dict[str, list[_Shown]]:
    """What readers see of the newest dates of each table, of all scopes together."""
    found: dict[str, list[_Shown]] = {}
    for name, rows in newest.items():
        seen = [(row.day, published.get((name, row.day, row.published))) for row in rows]
        found.setdefault(flows[name].table, []).extend((day, version) for day, version in seen if version is not None)
    return found


def _fold(folds: Mapping[tuple[str, str], Fold], source: Source, table: FeedFlow) -> Fold | None:
    """The merges that a table is made by; None of one that is delivered."""
    return None if table in source.feeds else folds.get((source.name, table.merged_as or table.feed.name))


def _table(table: FeedFlow, shown: Sequence[_Shown], fold: Fold | None, now: datetime) -> TableStanding:
    finished = [version.finished_at for _, version in shown if version.finished_at]
    at = max([*finished, *([fold.folded_at] if fold and fold.folded_at else [])], default=None)
    within = table.feed.fresh_within
    age = now - (at or datetime.combine(table.feed.start_date, time(), UTC))
    return TableStanding(
        table.table,
        at,
        max((day for day, _ in shown), default=None),
        max(0.0, age.total_seconds()) if at else None,
        within.total_seconds() if within else None,
        within is not None and age > within,
        _counts(version for day, version in shown if day > now.date() - DAYS * _DAY),
    )


def _days(shown: Sequence[_Shown], today: date) -> Iterable[DayStanding]:
    for day in (today - n * _DAY for n in reversed(range(DAYS))):
        yield DayStanding(day, _counts(version for of, version in shown if of == day))


def _counts(versions: Iterable[Publication]) -> Counts:
    every = list(versions)

    def total(name: str) -> int:
        return sum(getattr(each, name) for each in every)

    return Counts(
        files=total("objects"),
        bytes=total("bytes"),
        rows_in=total("rows_in"),
        clean=total("clean"),
        superseded=total("superseded"),
        quarantined=total("quarantined"),
        left_out=total("left_out"),
        seconds=round(sum(float(each.seconds) for each in every), 3),
    )


def _waits(row: Delivery) -> bool:
    return row.state is not DeliveryState.FAILED and (row.pending > 0 or row.state in BUSY)


def _waiting(name: str, row: Delivery) -> WaitingDelivery:
    wait = Wait(row.waiting, row.waiting_until) if row.waiting else None
    source, feed = name.split("/")[:2]
    engine = f"an engine transforms it; `adplatform runs {source}/transform-{feed}` follows it"
    unjudged = row.state not in BUSY and wait is None
    said = "the next look judges what has arrived" if unjudged else next_step(name, row, wait, engine)
    return WaitingDelivery(name, row.day, str(row.state), row.pending, row.changed_at, unnamed(said))


def _arrivals(
    flows: Mapping[str, FeedFlow],
    newest: Mapping[str, Sequence[Delivery]],
    published: Mapping[tuple[str, date, int], Publication],
    now: datetime,
) -> Iterable[ArrivalStanding]:
    """The last dates of feeds with a deadline, those of a date that is not over only where they have arrived."""
    for name, flow in flows.items():
        deadline = flow.feed.arrival.deadline
        if deadline is None:
            continue
        settled = {row.day for row in newest[name] if row.version}
        lately = due_dates(now, deadline)
        for day in (now.date() - n * _DAY for n in range(DAYS)):
            due = datetime.combine(day + _DAY, time(), UTC) + deadline
            first = published.get((name, day, 1))
            arrived = first.settled_at if first else None
            if day >= flow.feed.start_date and (day in settled or due <= now):
                overdue = day not in settled and day in lately
                yield ArrivalStanding(name, day, due, arrived, ((arrived or now) - due).total_seconds(), overdue)


def _since(at: datetime | None) -> str:
    return f"nothing was published since {_at(at)}" if at else "nothing was ever published"


def _at(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
