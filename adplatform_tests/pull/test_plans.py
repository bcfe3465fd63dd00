"""What plans build on is read by one query of an account, and it is what reading all of its reports would say."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adplatform.amazon.hours import Hours
from adplatform.amazon.restatement import SNAPSHOT, RestatementPolicy
from adplatform.ledger.asked import Note
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.plans import Seen
from adplatform.ledger.report import FETCHABLE, Report, ReportState
from adplatform.ledger.scopes import Scope
from adplatform.pull import plan as planning
from adplatform.pull.account import Account
from adplatform.pull.ends import give_up
from adplatform.pull.plan import Turn, intend_days, plan_turns, turns
from adplatform_tests.flow.fakes import FakeDynamo, Pages
from adplatform_tests.pull.test_report_life import account
from adplatform_tests.support.dying import Killed
from adplatform_tests.support.examples import examples

NOON = datetime(2026, 6, 10, 20, tzinfo=UTC)
SCOPES = (Scope("111", "America/Los_Angeles", "US"), Scope("222", "Europe/Berlin", "DE"))
WRITES = ("put_item", "update_item", "delete_item", "transact_write_items", "batch_write_item")


class MortalDynamo(FakeDynamo):
    """Dies at one of its writes, and has something happen before one of its calls; ``queries`` counts what was
    queried."""

    def __init__(self) -> None:
        super().__init__()
        self.left: int | None = None
        self.queries = 0
        self.meanwhile: tuple[int, Callable[[], object]] | None = None
        for name in WRITES:
            setattr(self, name, self._counted(getattr(self, name)))

    def _counted(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            self._intrude()
            if self.left is not None:
                self.left -= 1
                if self.left < 0:
                    raise Killed
            return write(**arguments)

        return call

    def get_paginator(self, name: str) -> Pages:
        self._intrude()
        self.queries += 1
        return super().get_paginator(name)

    def _intrude(self) -> None:
        if self.meanwhile is not None:
            calls, happens = self.meanwhile
            self.meanwhile = (calls - 1, happens) if calls else None
            if not calls:
                happens()


def several(**policy: Any) -> Account:
    """An account of a report of many dates, one of single dates with a large budget, a present state, and one by the
    hour."""
    one = account()
    (first,) = one.definitions
    short = RestatementPolicy(**{"daily": (1, 2), "waves": (4, 7), "retention_days": 20, "closes": False, **policy})
    kinds = {
        "many": short,
        "single": replace(short, max_range_days=1, retention_days=30, requests_per_day=60, backfill_per_day=60),
        "state": SNAPSHOT,
        "hourly": replace(short, daily=(1,), waves=(), hours=Hours(timedelta(hours=4), timedelta(hours=1))),
    }
    made = tuple(replace(first, name=name, policy=each) for name, each in kinds.items())
    return replace(one, definitions=made, start_date=date(2026, 5, 15))


@dataclass
class Course:
    """What happens to an account, at random; each plan is compared with one that has read everything."""

    chance: random.Random
    dynamo: MortalDynamo = field(default_factory=MortalDynamo)
    account: Account = field(default_factory=several)
    at: datetime = NOON
    earlier: bool = False
    upgraded: datetime | None = None
    read_in_full: int = 0

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.dynamo, "ledger", lambda: self.at)
        self.ledger.scopes.put("ads", SCOPES)
        self.earlier = self.chance.random() < 0.5

    def go(self, steps: int) -> None:
        kinds = [self.plan, self.plan, self.pass_time, self.pass_time, self.move, self.move, self.move, self.move]
        kinds += [self.by_hand, self.wrong_clock, self.change]
        for _ in range(steps):
            self.chance.choice(kinds)()
            if self.earlier and self.chance.random() < 0.1:
                self.earlier, self.upgraded = False, self.at
        self.plan()

    def pass_time(self) -> None:
        self.at += timedelta(hours=self.chance.choice((1, 3, 8, 20, 30)))

    def plan(self) -> None:
        due = turns(self.ledger, self.account)
        before = self.dynamo.queries
        seen = self.ledger.plans.seen("ads")
        assert self.dynamo.queries == before + 1
        read = planning._read(self.ledger, self.account, due, seen)
        for turn in due:
            of = seen.get(turn.of, Seen())
            self.read_in_full += turn.of not in read
            assert self.comes_to(turn, of, read.get(turn.of)) == self.comes_to(turn, Seen(), None), turn
        self.dynamo.meanwhile = (self.chance.randrange(6), self.chance.choice((self.move, self.by_hand)))
        with self.mortal():
            list(plan_turns(self.ledger, self.account, due))
        self.dynamo.meanwhile = None
        if self.earlier:
            for planned in self.ledger.scopes.planned("ads"):
                self.ledger.scopes.put_planned(
                    "ads", replace(planned, reports=(), had={}, noted_since=None, revision=0)
                )
            self.forget_notes()

    def comes_to(self, turn: Turn, seen: Seen, read: dict[str, Report] | None) -> object:
        plan, dates = planning._planned(self.ledger, self.account, turn, seen, read)
        return list(plan.intends), sorted(r.key for r, _ in plan.withdraws), plan.row, dates

    @contextmanager
    def mortal(self) -> Iterator[None]:
        self.dynamo.left = self.chance.choice((None, None, 0, 1, 2, 5, 9))
        try:
            yield
        except Killed:
            pass
        finally:
            self.dynamo.left = None

    def move(self) -> None:
        """What happens to a report that has not ended. Workers of an earlier release note nothing, and go on for some
        hours."""
        active, before = self.ledger.reports.active("ads"), self.notes()
        if active:
            with self.mortal():
                self.step(self.chance.choice(active))
        if self.earlier:
            self.forget_notes()
        elif self.upgraded and self.at - self.upgraded < timedelta(hours=12) and self.chance.random() < 0.5:
            self.ledger.plans.forget("ads", [each for each in self.notes() - before if each.failed])

    def step(self, report: Report) -> None:
        reports, later = self.ledger.reports, self.at + timedelta(hours=1)
        how = self.chance.random()
        if how < 0.1:
            reports.withdraw(report, "not wanted")
        elif how < 0.3:
            give_up(self.ledger, self.account, report, "broken", reorder=self.chance.random() < 0.7)
        elif how < 0.4:
            reports.rest(report, "slow", later)
        elif report.state is ReportState.INTENDED:
            begun = reports.begin(report) if report.attempt == 0 else report
            if begun and how < 0.9:
                reports.requested(begun, "r", adopted=False, next_poll=later)
        elif report.state is ReportState.REQUESTED and how < 0.5:
            reports.pending(report, self.at, later, overdue=self.chance.random() < 0.5)
        elif report.state is ReportState.REQUESTED:
            reports.ready_without_rows(report, self.at, "none")
        elif report.state in FETCHABLE and report.state is not ReportState.LANDED:
            reports.landed(report, self.chance.choice((0, 5)))
        else:
            ended = reports.finish(report, "", unpublished=how > 0.8)
            if ended and ended.state is ReportState.UNPUBLISHED and how > 0.9:
                reports.published(ended)

    def by_hand(self) -> None:
        definition, scope = self.chance.choice(self.account.definitions), self.chance.choice(SCOPES)
        days = {self.at.date() - timedelta(days=self.chance.randrange(25)) for _ in range(4)}
        if not self.earlier or any(p.name == definition.name for p in self.ledger.scopes.planned("ads")):
            with self.mortal():
                intend_days(self.ledger, self.account, definition, scope.id, days)
        if self.earlier:
            self.forget_notes()

    def wrong_clock(self) -> None:
        """A worker whose clock is far ahead plans, now and then."""
        if self.chance.random() < 0.2:
            right, self.at = self.at, self.at + timedelta(days=self.chance.choice((2, 40)))
            self.plan()
            self.at = right

    def change(self) -> None:
        """A report is declared otherwise, or as it was before."""
        if self.chance.random() < 0.3:
            which = self.chance.randrange(len(self.account.definitions))
            definitions = list(self.account.definitions)
            other = {**definitions[which].configuration, "columns": ["date", self.chance.choice("ab")]}
            definitions[which] = replace(definitions[which], configuration=other)
            self.account = replace(self.account, definitions=tuple(definitions))

    def notes(self) -> set[Note]:
        return {note for seen in self.ledger.plans.seen("ads").values() for note in seen.notes}

    def forget_notes(self) -> None:
        self.ledger.plans.forget("ads", sorted(self.notes(), key=lambda note: note.sort_key))


@pytest.mark.hypothesis
@settings(deadline=None, max_examples=examples(8))
@given(seed=st.integers(0, 2**32))
def test_a_plan_is_the_one_that_would_have_read_every_report(seed: int) -> None:
    Course(random.Random(seed)).go(30)


@pytest.mark.parametrize("profiles", [1, 30])
def test_what_planning_reads_does_not_grow_with_profiles(profiles: int) -> None:
    dynamo, at = MortalDynamo(), [NOON]
    ledger = Ledger(dynamo, "ledger", lambda: at[0])
    ledger.scopes.put("ads", [Scope(str(n), "America/Los_Angeles", "US") for n in range(profiles)])
    for _ in range(3):
        due, before = turns(ledger, account()), dynamo.queries
        assert len(list(plan_turns(ledger, account(), due))) == profiles
        assert dynamo.queries == before + 1
        at[0] += timedelta(days=1)
