"""Reports and everything that may happen to one, each step by its name.

A step is given the report as it was ``seen``, writes only if nobody has written it since, and returns None otherwise:
somebody else was faster. A step that the report is not in a state for raises ``IllegalStep``; none but ``published``
moves one that has ended. ``feed`` is ``<source>/<definition>/<scope>``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from adplatform.ledger.asked import note
from adplatform.ledger.report import FETCHABLE, Report, ReportState, active_reports
from adplatform.ledger.rows import IllegalStep, digest, from_item, plain
from adplatform.ledger.table import NEW, Table, Write

TURN = "turn#"
_MANY = 500
"""Turns from which on it costs less to read all reports that have not ended."""
_CLOCKS_DIFFER = timedelta(hours=1)


@dataclass(frozen=True)
class Turn:
    """From when on there is something to do about a report that has not ended, in the order of these instants; written
    with each step of the report, under its source."""

    at: datetime
    feed: str
    key: str
    state: ReportState
    overdue: bool = False

    @property
    def sort_key(self) -> str:
        return f"{TURN}{plain(self.at)}#{digest(self.feed, self.key)}"


def _turn(report: Report) -> Turn:
    at = report.not_before or report.intended_at or datetime.min.replace(tzinfo=UTC)
    return Turn(at, report.feed, report.key, report.state, report.overdue)


@dataclass(frozen=True)
class Reports:
    """The reports of all sources."""

    table: Table

    def get(self, feed: str, key: str) -> Report | None:
        return self.table.get(Report, feed, f"report#{key}")

    def named(self, wanted: Iterable[Sequence[str]]) -> list[Report | None]:
        """Reports by feed and key, by few calls; None in the place of one that there is not."""
        keys = [(feed, f"report#{key}") for feed, key in wanted]
        found = self.table.get_many(keys)
        return [from_item(Report, found[key]) if key in found else None for key in keys]

    def of_feed(self, feed: str, since: date | None = None) -> list[Report]:
        """The reports of a definition and scope that were asked on or after ``since``, oldest first."""
        return list(self.table.range(Report, feed, f"report#{since or ''}", "report#~"))

    def active(self, source: str) -> list[Report]:
        """Reports that have not ended. The index is eventually consistent: a later look sees what one misses."""
        return [from_item(Report, item) for item in self.table.active(active_reports(source))]

    def due(self, source: str) -> list[Report]:
        """Those of them that do not rest now; what a call costs does not grow with those that do."""
        last = f"{TURN}{plain(self.table.now())}#~"
        turns = list(self.table.range(Turn, source, TURN, last, most=_MANY))
        if len(turns) == _MANY:
            return self.active(source)
        found = self.named((turn.feed, turn.key) for turn in turns)
        return [report for report in found if report is not None and not report.ended]

    def resting(self, source: str, most: int) -> list["Turn"]:
        """Those that rest, the first ``most`` of them, with when that ends."""
        first = f"{TURN}{plain(self.table.now())}#~"
        return list(self.table.range(Turn, source, first, f"{TURN}~", most=most))

    def mend_turns(self, source: str) -> None:
        """Have those among what :meth:`due` finds of which an earlier release, which knew no turns, or a clock that was
        ahead has written."""
        known = {(turn.feed, turn.key): turn for turn in self.table.query(Turn, source, TURN)}
        for report in self.active(source):
            now, turn = self.table.now(), _turn(report)
            seen = known.get((report.feed, report.key))
            if report.changed_at is not None and report.changed_at - now > _CLOCKS_DIFFER and turn.at > now:
                self.hasten(report)
            elif seen is None or seen.at != turn.at:
                self.table.put(source, [turn])

    def intend(self, report: Report) -> bool:
        """Remember that a report will be asked for beside what is planned; False when that was known already.

        Raises:
            IllegalStep: it was asked for.
        """
        return self.table.transact([*self.planned(report), self._note(report)])

    def planned(self, report: Report) -> list[Write]:
        """The writes by which a plan intends it.

        Raises:
            IllegalStep: it was asked for.
        """
        _require(report.state is ReportState.INTENDED, report, "intended")
        return self._first(report)

    def discovered(self, report: Report) -> bool:
        """Remember a report that the API made by itself; False when it was known already.

        Raises:
            IllegalStep: it is not ready, or has no id.
        """
        _require(report.state is ReportState.READY and report.report_id != "", report, "found ready")
        return self.table.transact(self._first(report))

    def begin(self, seen: Report) -> Report | None:
        """It is asked for now, which may reach the API even if nobody hears of it.

        Raises:
            IllegalStep: it was asked for.
        """
        _require(seen.state is ReportState.INTENDED, seen, "asked for")
        return self._move(seen, replace(seen, attempt=seen.attempt + 1))

    def requested(self, seen: Report, report_id: str, *, adopted: bool, next_poll: datetime) -> Report | None:
        """The API has taken the order; ``adopted`` when it had taken an earlier one whose answer was lost.

        Raises:
            IllegalStep: nobody began to ask for it, it was requested before, or it has no id.
        """
        _require(seen.state is ReportState.INTENDED and seen.attempt > 0 and report_id != "", seen, "requested")
        requested = replace(
            seen,
            state=ReportState.REQUESTED,
            report_id=report_id,
            adopted=adopted,
            requested_at=self.table.now(),
            not_before=next_poll,
            attempt=0,
            error="",
        )
        return self._move(seen, requested)

    def pending(self, seen: Report, polled_at: datetime, next_poll: datetime, *, overdue: bool) -> Report | None:
        """The API still works on it.

        Raises:
            IllegalStep: it is not requested.
        """
        polled = _polled(seen, polled_at, "polled")
        return self._move(seen, replace(polled, overdue=overdue, not_before=next_poll))

    def ready(
        self,
        seen: Report,
        polled_at: datetime,
        document: str,
        size: int,
        *,
        otherwise: str = "",
        made: tuple[datetime | None, datetime | None] = (None, None),
    ) -> Report | None:
        """Its document can be fetched; ``size`` in bytes, 0 when the API does not say. ``otherwise`` is how it differs
        from the order, and ``made`` what it is about where it does.

        Raises:
            IllegalStep: it is not requested.
        """
        polled = _polled(seen, polled_at, "ready")
        ready = replace(
            polled,
            state=ReportState.READY,
            document=document,
            bytes=size,
            otherwise=otherwise,
            made_from=made[0],
            made_to=made[1],
            ready_at=polled_at,
            not_before=None,
        )
        return self._move(seen, ready)

    def ready_without_rows(self, seen: Report, polled_at: datetime, reason: str) -> Report | None:
        """The API has no rows for it, so there is no document.

        Raises:
            IllegalStep: it is not requested.
        """
        polled = replace(_polled(seen, polled_at, "ready"), error=reason)
        ready_at = self.table.now()
        return self._move(
            seen, replace(polled, state=ReportState.READY, document="", ready_at=ready_at, not_before=None)
        )

    def rest(self, seen: Report, error: str, until: datetime, *, attempt: int | None = None) -> Report | None:
        """Leave it as it is for a while, and note why. ``attempt`` is how often its step was tried, by default as often
        as before.

        Raises:
            IllegalStep: it has ended.
        """
        tried = seen.attempt if attempt is None else attempt
        _require(not seen.ended and tried >= 0, seen, "left to rest")
        return self._move(seen, replace(seen, attempt=tried, error=error, run_id="", not_before=until))

    def hasten(self, seen: Report) -> Report | None:
        """Its rest is over.

        Raises:
            IllegalStep: it has ended.
        """
        _require(not seen.ended, seen, "hastened")
        return self._move(seen, replace(seen, not_before=None))

    def claim(self, seen: Report, run_id: str) -> Report | None:
        """Take it for a run.

        Raises:
            IllegalStep: there is nothing to fetch yet, or any more.
        """
        _require(seen.state in FETCHABLE and run_id != "", seen, "claimed")
        return self._move(seen, replace(seen, run_id=run_id, attempt=seen.attempt + 1))

    def give_back(self, seen: Report, until: datetime | None) -> Report | None:
        """Let go of it as if it had never been claimed, but for the run that it took: that was stopped.

        Raises:
            IllegalStep: it has ended.
        """
        return self._move(seen, replace(_given_back(seen), run_id="", not_before=until))

    def hindered(self, seen: Report, error: str, until: datetime) -> Report | None:
        """The place where its run works hindered it: given back, it rests.

        Raises:
            IllegalStep: it has ended.
        """
        return self._move(seen, replace(_given_back(seen), error=error, run_id="", not_before=until))

    def died(self, seen: Report, deaths: int, until: datetime | None) -> Report | None:
        """Its run ended without a word, as ``deaths`` have by now, which count as attempts.

        Raises:
            IllegalStep: it has ended, or fewer runs died than before.
        """
        _require(not seen.ended and deaths >= seen.attempt, seen, "freed")
        return self._move(seen, replace(seen, attempt=deaths, run_id="", not_before=until))

    def stored(self, seen: Report, raw_key: str, *, size: int, sha256: str, charset: str) -> Report | None:
        """Its document is in the raw zone; ``size`` in bytes.

        Raises:
            IllegalStep: it is not ready, or is stored already.
        """
        _require(seen.state is ReportState.READY and raw_key != "", seen, "stored")
        stored = replace(
            seen,
            state=ReportState.STORED,
            raw_key=raw_key,
            bytes=size,
            sha256=sha256,
            charset=charset,
            stored_at=self.table.now(),
        )
        return self._move(seen, stored)

    def note_outside(self, seen: Report, rows: int, key: str) -> Report | None:
        """Some of its rows are of no date that was asked for, and kept under ``key``.

        Raises:
            IllegalStep: its document is not stored, or there are no such rows.
        """
        _require(seen.state in (ReportState.STORED, ReportState.LANDED) and rows > 0, seen, "noted to have more")
        return self._move(seen, replace(seen, outside_rows=rows, outside_key=key))

    def landed(self, seen: Report, rows: int, doubt: str = "") -> Report | None:
        """Its slices are in the raw zone; ``doubt`` is why people should look at them.

        Raises:
            IllegalStep: it has ended, or has a document that is not stored.
        """
        whole = seen.state in FETCHABLE and (bool(seen.raw_key) or not seen.document)
        _require(whole and rows >= 0, seen, "landed")
        at = seen.landed_at or self.table.now()
        return self._move(
            seen, replace(seen, state=ReportState.LANDED, rows=rows, doubt=doubt, landed_at=at, not_before=None)
        )

    def finish(self, seen: Report, error: str, *, unpublished: bool = False) -> Report | None:
        """The common flow has dealt with all its slices; ``error`` is what went wrong on the way, and ``unpublished``
        says that it could publish none of them.

        Raises:
            IllegalStep: its slices have not landed.
        """
        _require(seen.state is ReportState.LANDED, seen, "finished")
        state = ReportState.DONE if seen.rows else ReportState.EMPTY
        state = ReportState.UNPUBLISHED if unpublished else state
        return self._move(seen, replace(seen, state=state, run_id="", error=error))

    def published(self, seen: Report) -> Report | None:
        """The common flow has published some of what it brought after all.

        Raises:
            IllegalStep: it was no report of which nothing was published.
        """
        _require(seen.state is ReportState.UNPUBLISHED, seen, "published")
        return self._move(seen, replace(seen, state=ReportState.DONE))

    def withdraw(self, seen: Report, why: str, successor: Report | None = None) -> Report | None:
        """Nobody wants it any more; see :meth:`give_up` for the ``successor``.

        Raises:
            IllegalStep: it has ended.
        """
        return self._move(seen, _withdrawn(seen, why), successor)

    def withdrawn(self, seen: Report, why: str) -> list[Write]:
        """The writes by which a plan, which knows of it, withdraws it.

        Raises:
            IllegalStep: as :meth:`withdraw`.
        """
        return self._moved(seen, self._next(seen, _withdrawn(seen, why)))

    def give_up(
        self,
        seen: Report,
        error: str,
        *,
        permanent: bool,
        successor: Report | None = None,
        polled_at: datetime | None = None,
    ) -> Report | None:
        """It brought nothing, as a poll at ``polled_at`` showed where there was one. In the same transaction its
        ``successor`` is intended, which may be known already. ``permanent`` when it is not asked for again by itself.

        Raises:
            IllegalStep: it has ended, or was polled without being requested.
        """
        _require(not seen.ended, seen, "given up")
        polled = _polled(seen, polled_at, "polled") if polled_at else seen
        ended = replace(polled, state=ReportState.FAILED, error=error, permanent=permanent, not_before=None, run_id="")
        return self._move(seen, ended, successor)

    def _first(self, report: Report) -> list[Write]:
        now = self.table.now()
        row = replace(report, revision=1, intended_at=report.intended_at or now, changed_at=now)
        return [self.table.put_write(report.feed, row, NEW), *self._turns(None, row)]

    def _turns(self, seen: Report | None, new: Report) -> list[Write]:
        """That there is something to do about a report then, and not when there was before."""
        before = _turn(seen) if seen is not None else None
        after = None if new.ended else _turn(new)
        writes = [self.table.put_write(new.source, after)] if after else []
        if before is not None and (after is None or after.sort_key != before.sort_key):
            writes.append(self.table.delete_write(new.source, before.sort_key))
        return writes

    def _move(self, seen: Report, new: Report, successor: Report | None = None) -> Report | None:
        """Write the report on, and in the same transaction intend its ``successor``, which may be known already; None
        when somebody else changed the report since ``seen``."""
        row = self._next(seen, new)
        writes = [*self._moved(seen, row), *([self._note(row)] if row.failed else [])]
        if successor is not None and self.get(successor.feed, successor.key) is None:
            writes += [*self.planned(successor), self._note(successor)]
        return row if self.table.transact(writes) else None

    def _next(self, seen: Report, new: Report) -> Report:
        return replace(new, revision=seen.revision + 1, changed_at=self.table.now())

    def _moved(self, seen: Report, row: Report) -> list[Write]:
        write = self.table.put_write(seen.feed, row, "revision = :r", {":r": seen.revision})
        return [write, *self._turns(seen, row)]

    def _note(self, report: Report) -> Write:
        """For plans, which know it only if it is theirs and has not failed."""
        return self.table.put_write(report.source, note(report, failed=report.failed))


def _polled(seen: Report, at: datetime, done: str) -> Report:
    _require(seen.state is ReportState.REQUESTED, seen, done)
    return replace(seen, polls=seen.polls + 1, polled_at=at, attempt=0, error="")


def _withdrawn(seen: Report, why: str) -> Report:
    _require(not seen.ended, seen, "withdrawn")
    return replace(seen, state=ReportState.FAILED, error=why, not_before=None, run_id="")


def _given_back(seen: Report) -> Report:
    """The claim of a run, if one has it, is no attempt."""
    _require(not seen.ended, seen, "given back")
    attempt = max(seen.attempt - 1, 0) if seen.run_id else seen.attempt
    return replace(seen, attempt=attempt, returned=seen.returned + 1)


def _require(allowed: bool, seen: Report, done: str) -> None:
    if not allowed:
        raise IllegalStep(f"{seen.feed} {seen.key} is {seen.state} and cannot be {done}")
