"""What may happen to a report, step by step: what each changes, whom it refuses, and who was faster."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from adplatform.ledger.ledger import Ledger
from adplatform.ledger.report import ENDED, FETCHABLE, Report, ReportState
from adplatform.ledger.reports import Reports
from adplatform.ledger.rows import IllegalStep
from adplatform_tests.flow.fakes import FakeDynamo
from adplatform_tests.support.ledger_rows import put_report

DAY = date(2026, 6, 9)
NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
POLLED, LATER = NOW - timedelta(seconds=3), NOW + timedelta(minutes=7)
INTENDED, REQUESTED, READY, STORED, LANDED, DONE, UNPUBLISHED, EMPTY, FAILED = ReportState
NEW = Report("ads", "sp_small", "111", DAY, DAY, DAY, 1, "spCampaigns", "hash")
NEXT = replace(NEW, sequence=2)
ALIVE = set(ReportState) - ENDED
Step = Callable[[Reports, Report], Report | None]


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(FakeDynamo(), "ledger", lambda: NOW)


def at(ledger: Ledger, state: ReportState, **more: Any) -> Report:
    """A report that has come as far as ``state``, with one try of its present step."""
    usual: dict[str, Any] = {"attempt": 1, "error": "before", "not_before": POLLED}
    if state is not INTENDED:
        usual |= {"report_id": "r1", "requested_at": POLLED}
    if state in FETCHABLE:
        usual |= {"document": "d1", "run_id": "run", "raw_key": "" if state is READY else "reports/r1"}
    return put_report(ledger, NEW, **{**usual, "state": state, **more})


def changed(before: Report, after: Report | None) -> dict[str, Any]:
    assert after is not None
    assert (after.revision, after.changed_at) == (before.revision + 1, NOW)
    return {
        name: value
        for name, value in vars(after).items()
        if value != getattr(before, name) and name not in ("revision", "changed_at")
    }


POLL = {"polls": 1, "polled_at": POLLED, "attempt": 0}
SEEN: dict[str, tuple[Step, set[ReportState], dict[str, Any]]] = {
    "begin": (lambda r, seen: r.begin(seen), {INTENDED}, {"attempt": 2}),
    "requested": (
        lambda r, seen: r.requested(seen, "r1", adopted=True, next_poll=LATER),
        {INTENDED},
        {
            "state": REQUESTED,
            "report_id": "r1",
            "adopted": True,
            "requested_at": NOW,
            "not_before": LATER,
            "attempt": 0,
            "error": "",
        },
    ),
    "pending": (
        lambda r, seen: r.pending(seen, POLLED, LATER, overdue=True),
        {REQUESTED},
        {**POLL, "error": "", "overdue": True, "not_before": LATER},
    ),
    "ready": (
        lambda r, seen: r.ready(seen, POLLED, "d1", 99),
        {REQUESTED},
        {**POLL, "error": "", "state": READY, "document": "d1", "bytes": 99, "ready_at": POLLED, "not_before": None},
    ),
    "ready_without_rows": (
        lambda r, seen: r.ready_without_rows(seen, POLLED, "no data"),
        {REQUESTED},
        {**POLL, "error": "no data", "state": READY, "ready_at": NOW, "not_before": None},
    ),
    "rest": (lambda r, seen: r.rest(seen, "slow", LATER, attempt=3), ALIVE, {"attempt": 3}),
    "hasten": (lambda r, seen: r.hasten(seen), ALIVE, {"not_before": None}),
    "claim": (lambda r, seen: r.claim(seen, "mine"), set(FETCHABLE), {"run_id": "mine", "attempt": 2}),
    "give_back": (lambda r, seen: r.give_back(seen, LATER), ALIVE, {"returned": 1, "not_before": LATER}),
    "hindered": (
        lambda r, seen: r.hindered(seen, "full", LATER),
        ALIVE,
        {"returned": 1, "not_before": LATER, "error": "full"},
    ),
    "died": (lambda r, seen: r.died(seen, 2, LATER), ALIVE, {"attempt": 2, "not_before": LATER}),
    "stored": (
        lambda r, seen: r.stored(seen, "reports/r1", size=9, sha256="abc", charset="utf-8"),
        {READY},
        {
            "state": STORED,
            "raw_key": "reports/r1",
            "bytes": 9,
            "sha256": "abc",
            "charset": "utf-8",
            "stored_at": NOW,
        },
    ),
    "note_outside": (
        lambda r, seen: r.note_outside(seen, 3, "quarantine/r1"),
        {STORED, LANDED},
        {"outside_rows": 3, "outside_key": "quarantine/r1"},
    ),
    "landed": (
        lambda r, seen: r.landed(seen, 5),
        {STORED, LANDED},
        {"state": LANDED, "rows": 5, "landed_at": NOW, "not_before": None},
    ),
    "finish": (lambda r, seen: r.finish(seen, "late"), {LANDED}, {"state": EMPTY, "run_id": "", "error": "late"}),
    "finish without publication": (
        lambda r, seen: r.finish(seen, "refused", unpublished=True),
        {LANDED},
        {"state": UNPUBLISHED, "run_id": "", "error": "refused"},
    ),
    "published": (lambda r, seen: r.published(seen), {UNPUBLISHED}, {"state": DONE}),
    "withdraw": (
        lambda r, seen: r.withdraw(seen, "not declared"),
        ALIVE,
        {"state": FAILED, "error": "not declared", "not_before": None},
    ),
    "give_up": (
        lambda r, seen: r.give_up(seen, "broken", permanent=True),
        ALIVE,
        {"state": FAILED, "error": "broken", "permanent": True, "not_before": None},
    ),
    "give_up when polled": (
        lambda r, seen: r.give_up(seen, "broken", permanent=False, polled_at=POLLED),
        {REQUESTED},
        {**POLL, "state": FAILED, "error": "broken", "not_before": None},
    ),
}


@pytest.mark.parametrize("state", ReportState)
@pytest.mark.parametrize("name", SEEN)
def test_a_step_is_taken_only_from_a_state_it_is_for(ledger: Ledger, name: str, state: ReportState) -> None:
    step, states, expected = SEEN[name]
    seen = at(ledger, state)
    if state in states:
        assert (
            changed(seen, step(ledger.reports, seen)).items()
            >= {field: value for field, value in expected.items() if value != getattr(seen, field)}.items()
        )
        return
    with pytest.raises(IllegalStep, match=f"ads/sp_small/111 2026-06-09#.*#01 is {state} and cannot be "):
        step(ledger.reports, seen)
    assert ledger.reports.get(NEW.feed, NEW.key) == seen


@pytest.mark.parametrize("name", SEEN)
def test_a_step_changes_nothing_but_what_it_is_for(ledger: Ledger, name: str) -> None:
    step, states, expected = SEEN[name]
    freed = {"run_id", "error", "attempt", "not_before"} if name in ("rest", "give_back", "hindered", "died") else set()
    ended = {"run_id"} if name in ("withdraw", "give_up") else set()
    for state in states:
        seen = at(ledger, state)
        assert changed(seen, step(ledger.reports, seen)).keys() <= expected.keys() | freed | ended


@pytest.mark.parametrize("name", SEEN)
def test_of_two_that_saw_the_same_one_is_too_late_and_writes_nothing(ledger: Ledger, name: str) -> None:
    step, states, _ = SEEN[name]
    seen = at(ledger, next(state for state in ReportState if state in states))
    moved = put_report(ledger, seen, error="faster")
    assert step(ledger.reports, seen) is None
    assert ledger.reports.get(NEW.feed, NEW.key) == moved


def test_a_report_is_intended_once_and_before_it_is_asked_for(ledger: Ledger) -> None:
    assert ledger.reports.intend(NEW)
    assert not ledger.reports.intend(NEW)
    found = ledger.reports.get(NEW.feed, NEW.key)
    assert found == replace(NEW, revision=1, intended_at=NOW, changed_at=NOW)
    for state in set(ReportState) - {INTENDED}:
        with pytest.raises(IllegalStep, match=f"is {state} and cannot be intended"):
            ledger.reports.intend(replace(NEXT, state=state))


def test_a_report_that_the_api_made_is_found_once_and_ready(ledger: Ledger) -> None:
    made = replace(NEW, state=READY, report_id="r1", adopted=True, requested_at=POLLED)
    assert ledger.reports.discovered(made)
    assert not ledger.reports.discovered(made)
    for wrong in (replace(made, state=INTENDED), replace(made, report_id="")):
        with pytest.raises(IllegalStep, match="cannot be found ready"):
            ledger.reports.discovered(wrong)


@pytest.mark.parametrize(
    ("step", "state", "more"),
    [
        (lambda r, s: r.requested(s, "", adopted=False, next_poll=LATER), INTENDED, {}),
        (lambda r, s: r.requested(s, "r1", adopted=False, next_poll=LATER), INTENDED, {"attempt": 0}),
        (lambda r, s: r.rest(s, "slow", LATER, attempt=-1), INTENDED, {}),
        (lambda r, s: r.claim(s, ""), READY, {}),
        (lambda r, s: r.died(s, 0, None), READY, {}),
        (lambda r, s: r.stored(s, "", size=9, sha256="", charset=""), READY, {}),
        (lambda r, s: r.note_outside(s, 0, "k"), STORED, {}),
        (lambda r, s: r.landed(s, 5), READY, {}),
    ],
    ids=["no id", "not begun", "fewer than no tries", "no run", "deaths undone", "no key", "no rows", "not stored"],
)
def test_a_step_that_contradicts_the_row_is_refused(
    ledger: Ledger, step: Step, state: ReportState, more: dict[str, Any]
) -> None:
    seen = at(ledger, state, **more)
    with pytest.raises(IllegalStep):
        step(ledger.reports, seen)
    assert ledger.reports.get(NEW.feed, NEW.key) == seen


def test_a_report_without_a_document_lands_as_it_is(ledger: Ledger) -> None:
    landed = ledger.reports.landed(at(ledger, READY, document=""), 0)
    assert landed is not None
    assert (landed.state, landed.rows) == (LANDED, 0)


def test_a_report_that_lands_again_keeps_the_instant_of_the_first_time(ledger: Ledger) -> None:
    landed = ledger.reports.landed(at(ledger, LANDED, landed_at=POLLED), 5)
    assert landed is not None
    assert landed.landed_at == POLLED


@pytest.mark.parametrize(("rows", "state"), [(5, DONE), (0, EMPTY)])
def test_a_report_ends_as_its_rows_say(ledger: Ledger, rows: int, state: ReportState) -> None:
    done = ledger.reports.finish(at(ledger, LANDED, rows=rows), "")
    assert done is not None
    assert (done.state, done.run_id, done.error) == (state, "", "")


@pytest.mark.parametrize(("run_id", "attempt", "left"), [("run", 3, 2), ("run", 0, 0), ("", 3, 3)])
def test_the_claim_of_a_run_that_was_stopped_is_no_attempt(
    ledger: Ledger, run_id: str, attempt: int, left: int
) -> None:
    for step in (
        ledger.reports.give_back(at(ledger, READY, run_id=run_id, attempt=attempt), None),
        ledger.reports.hindered(at(ledger, READY, run_id=run_id, attempt=attempt), "full", LATER),
    ):
        assert step is not None
        assert (step.run_id, step.attempt, step.returned) == ("", left, 1)


@pytest.mark.parametrize("known", [False, True])
def test_what_ends_has_its_successor_intended_in_the_same_transaction(ledger: Ledger, known: bool) -> None:
    if known:
        ledger.reports.intend(NEXT)
    ended = ledger.reports.give_up(at(ledger, REQUESTED), "broken", permanent=False, successor=NEXT)
    assert ended is not None
    successor = ledger.reports.get(NEXT.feed, NEXT.key)
    assert successor is not None
    assert (successor.state, successor.revision) == (INTENDED, 1)


def test_who_is_too_late_to_end_a_report_intends_no_successor(ledger: Ledger) -> None:
    seen = at(ledger, REQUESTED)
    put_report(ledger, seen, polls=1)
    assert ledger.reports.withdraw(seen, "too late", NEXT) is None
    assert ledger.reports.get(NEXT.feed, NEXT.key) is None


def test_no_successor_was_asked_for_already(ledger: Ledger) -> None:
    with pytest.raises(IllegalStep, match="#02 is requested and cannot be intended"):
        ledger.reports.withdraw(at(ledger, REQUESTED), "clipped", replace(NEXT, state=REQUESTED))
