"""Plans of the reports of a source: what they build on is read by one query, and each is written as a whole or not."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cached_property

from adplatform.ledger.asked import (
    NOTE,
    Asked,
    Known,
    Note,
    note,
    notes_of,
    packed_days,
    packed_report,
    unpacked_days,
    unpacked_report,
)
from adplatform.ledger.report import Report
from adplatform.ledger.reports import TURN, Reports, Turn
from adplatform.ledger.rows import from_item
from adplatform.ledger.scopes import PLANNED, Planned
from adplatform.ledger.table import MOST_ACTIONS, NEW, Table, Write

_LEARNT_IN = timedelta(days=7)
"""Plans from the first that counts on notes, of whose reports somebody may still leave none: workers of an earlier
release, which go on until their last run has ended."""


@dataclass
class Seen:
    """What the rows of a source say of a definition and scope; ``notes`` are those that its next plan counts."""

    planned: Planned | None = None
    turns: dict[str, Turn] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)

    def suffices(self, day: date) -> bool:
        """Whether that is enough for a plan of the day. If not, all reports of the definition and scope have to be
        read: an earlier release has planned it, or a clock that was ahead, or a note is of a report that was taken for
        one that brought what it was asked for."""
        if not all(each.key in self._listed for each in self.notes):
            return False
        return self.planned is None or (self.planned.noted_since is not None and self.planned.day <= day)

    def unsure(self, wanted: Callable[[Asked, Turn], bool]) -> Iterator[str]:
        """The keys of reports that are to be read themselves: those ``wanted`` of the ones that have not ended, and
        those of which these rows do not say enough."""
        row = self.planned
        young = row is None or (row.noted_since is not None and row.day - row.noted_since.date() < _LEARNT_IN)
        yield from (key for key in self.turns if key not in self._listed)
        for key, each in self._listed.items():
            turn = self.turns.get(key)
            if (young and turn is None and not each.failed) or (turn is not None and wanted(each, turn)):
                yield key

    def known(self, read: Mapping[str, Report]) -> Known:
        """What was asked for, where these rows suffice; ``read`` are the reports that were, by key."""
        asked = [self._standing(each) for key, each in self._listed.items() if key not in read]
        had = self.planned.had if self.planned else {}
        days = {definition: unpacked_days(text) for definition, text in had.items()}
        return Known((*asked, *map(Asked.of, read.values())), days)

    @cached_property
    def _listed(self) -> dict[str, Asked]:
        """The reports that these rows name, each as if it had ended."""
        listed = {each.key: Asked.named(each.key, each.definition) for each in self.notes if not each.failed}
        listed |= {each.key: each for each in map(unpacked_report, self.planned.reports if self.planned else ())}
        failed = (each.key for each in self.notes if each.failed and each.key in listed)
        return listed | {key: replace(listed[key], failed=True) for key in failed}

    def _standing(self, each: Asked) -> Asked:
        turn = self.turns.get(each.key)
        return each if turn is None or each.failed else replace(each, ended=False, overdue=turn.overdue)


@dataclass(frozen=True)
class Plan:
    """What a plan comes to: the row that says so, what it ``intends``, what it ``withdraws`` with why, and what is
    ``known`` of the past, without these."""

    row: Planned
    intends: Sequence[Report]
    withdraws: Sequence[tuple[Report, str]]
    known: Known
    seen: Seen


@dataclass(frozen=True)
class Plans:
    """The plans of all sources."""

    table: Table

    @property
    def _reports(self) -> Reports:
        return Reports(self.table)

    def seen(self, source: str) -> dict[str, Seen]:
        """By ``<definition>/<scope>``, in one query."""
        found: dict[str, Seen] = {}
        for item in self.table.items_between(source, PLANNED, f"{NOTE}~"):
            sort_key = item["sk"]
            if sort_key.startswith(PLANNED):
                planned = from_item(Planned, item)
                found.setdefault(f"{planned.name}/{planned.scope}", Seen()).planned = planned
            elif sort_key.startswith(TURN):
                turn = from_item(Turn, item)
                found.setdefault(turn.feed.removeprefix(f"{source}/"), Seen()).turns[turn.key] = turn
            elif sort_key.startswith(NOTE):
                noted = from_item(Note, item)
                found.setdefault(noted.of, Seen()).notes.append(noted)
        return found

    def seen_of(self, source: str, of: str) -> Seen:
        """What a plan needs that reads all reports of a definition and scope after this."""
        planned = self.table.get(Planned, source, f"{PLANNED}{of}")
        return Seen(planned, notes=list(self.table.query(Note, source, notes_of(of))))

    def write(self, source: str, plans: Sequence[Plan]) -> Iterator[Plan]:
        """Write plans, many by one transaction; those that somebody came before."""
        together: list[tuple[Plan, list[Write]]] = []
        for plan in plans:
            writes = self._writes(source, plan)
            if len(writes) > MOST_ACTIONS:
                yield from self._write_apart(source, plan)
            else:
                if sum(len(w) for _, w in together) + len(writes) > MOST_ACTIONS:
                    yield from self._write_together(together)
                    together = []
                together.append((plan, writes))
        yield from self._write_together(together)

    def _write_together(self, plans: Sequence[tuple[Plan, list[Write]]]) -> Iterator[Plan]:
        if plans and not self.table.transact([write for _, writes in plans for write in writes]):
            if len(plans) == 1:
                yield plans[0][0]
            else:
                for each in plans:
                    yield from self._write_together([each])

    def _write_apart(self, source: str, plan: Plan) -> Iterator[Plan]:
        """One that no transaction takes: each thing by itself and with its note, the row last."""
        held = [self._reports.withdraw(report, why) is not None for report, why in plan.withdraws]
        held += [self._reports.intend(report) for report in plan.intends]
        if all(held) and self.table.transact([self._row(source, plan)]):
            withdrawn = [report for report, _ in plan.withdraws]
            made = (note(report, failed=False) for report in (*plan.intends, *withdrawn))
            failed = (note(report, failed=True) for report in withdrawn)
            self.forget(source, [*plan.seen.notes, *made, *failed])
        else:
            yield plan

    def forget(self, source: str, notes: Sequence[Note]) -> None:
        """Delete notes; those that a report was asked for before those that it failed, which without the first are of a
        report that is not known."""
        ordered = sorted(set(notes), key=lambda each: each.failed)
        for start in range(0, len(ordered), MOST_ACTIONS):
            some = ordered[start : start + MOST_ACTIONS]
            self.table.transact([self.table.delete_write(source, each.sort_key) for each in some])

    def _writes(self, source: str, plan: Plan) -> list[Write]:
        gone = {each.sort_key for each in plan.seen.notes}
        gone |= {note(report, failed=False).sort_key for report, _ in plan.withdraws}
        withdrawn = [write for report, why in plan.withdraws for write in self._reports.withdrawn(report, why)]
        intended = [write for report in plan.intends for write in self._reports.planned(report)]
        deleted = [self.table.delete_write(source, sort_key) for sort_key in sorted(gone)]
        return [self._row(source, plan), *withdrawn, *intended, *deleted]

    def _row(self, source: str, plan: Plan) -> Write:
        before = plan.seen.planned
        revision = before.revision if before else 0
        known = plan.known.folded(plan.row.day)
        asked = sorted((*known.reports, *(Asked.of(report) for report in plan.intends)), key=lambda each: each.key)
        row = replace(
            plan.row,
            reports=tuple(map(packed_report, asked)),
            had={definition: packed_days(days) for definition, days in known.had.items()},
            noted_since=before.noted_since if before and before.noted_since else self.table.now(),
            revision=revision + 1,
        )
        if before is None:
            return self.table.put_write(source, row, NEW)
        unseen = "revision = :r" if revision else "attribute_not_exists(revision) OR revision = :r"
        return self.table.put_write(source, row, unseen, {":r": revision})
