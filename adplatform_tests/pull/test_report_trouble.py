"""What an account does while Amazon refuses it, while its declaration changes, and when clocks jump: nothing sticks for
ever, no date that can still be had is lost, and people hear of it once."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from adplatform.failures import CredentialsRefused, PermanentFailure, TransientFailure
from adplatform.ledger.report import Report, ReportState
from adplatform.ledger.scopes import Planned, Scope
from adplatform.pull.due import deliveries_due, orders_are_due, reports_due
from adplatform.pull.ends import give_up
from adplatform.pull.plan import Turn, plan_turns
from adplatform_tests.pull.test_report_life import FEED, NOON, SCOPE, Pull, account, pull
from adplatform_tests.support.platforms import Inbox
from adplatform_tests.support.runs import Nobody

__all__ = ["pull"]
OTHER = Scope("222", "America/Los_Angeles", "US", "USD")
SMALL = {
    "report_type": "spCampaigns",
    "group_by": ["campaign"],
    "columns": ["date", "campaignId", "clicks", "sales14d"],
}
BOTH = [SCOPE, OTHER.id]


def events(inbox: Inbox) -> list[str]:
    """What people were reported, but for what was published."""
    return [message["event"] for message in inbox.read() if message["event"] != "delivery_published"]


def of(pull: Pull, state: ReportState, scope: str = SCOPE, name: str = "sp_small") -> list[Report]:
    return [r for r in pull.services.ledger.reports.of_feed(f"ads/{name}/{scope}") if r.state is state]


def test_a_profile_that_is_refused_is_reported_once_rests_and_goes_on_where_it_stopped(pull: Pull) -> None:
    inbox = Inbox.subscribe(pull.services)
    pull.api.profiles = (*pull.api.profiles, OTHER)
    pull.account = account(
        start_date="2026-06-09",
        reports=[{"name": "sp_small", **SMALL}, {"name": "sp_other", **SMALL, "columns": ["date", "clicks"]}],
    )
    pull.orders()
    pull.api.refused = {SCOPE}
    pull.later(minutes=20)
    before = pull.api.calls
    pull.poll()
    assert pull.api.calls == before + 3, "the first refusal of a profile is enough"
    assert [len(of(pull, ReportState.READY, scope)) for scope in BOTH] == [0, 1]
    for _ in range(2):
        pull.later(days=1)
        pull.orders()
        pull.poll()
        assert not orders_are_due(pull.services.ledger, pull.account), "a refused profile starts no run after the other"
    assert [len(of(pull, ReportState.INTENDED, name=name)) for name in ("sp_small", "sp_other")] == [1, 1]
    pull.api.refused = set()
    pull.later(hours=3)
    pull.orders()
    pull.later(minutes=20)
    pull.poll()
    for report in pull.ready():
        pull.run(report, publish=report.feed == FEED)
    assert not pull.services.ledger.messages.troubles("ads")
    assert len(pull.table()) == 3
    assert events(inbox) == ["access_refused"]


def test_revoked_credentials_end_no_report_and_what_was_on_its_way_arrives_when_they_are_back(pull: Pull) -> None:
    inbox = Inbox.subscribe(pull.services)
    pull.account = account(start_date="2026-06-09")
    (asked,) = pull.orders()
    pull.api.revoked = True
    for _ in range(10):
        pull.later(hours=7)
        with pytest.raises(CredentialsRefused):
            pull.poll()
        with pytest.raises(CredentialsRefused):
            pull.orders()
    assert [r.report_id for r in of(pull, ReportState.REQUESTED)] == [asked.report_id]
    pull.api.revoked = False
    pull.later(minutes=10)
    pull.day()
    assert [r.state for r in pull.reports()] == [ReportState.DONE, ReportState.DONE]
    assert events(inbox) == []


@pytest.mark.slow
def test_a_declared_profile_that_cannot_be_read_is_reported_once_and_holds_up_no_other(pull: Pull) -> None:
    inbox = Inbox.subscribe(pull.services)
    pull.account = account(profiles=[SCOPE, "404"])
    for _ in range(2):
        pull.orders()
        assert not orders_are_due(pull.services.ledger, pull.account)
        pull.later(days=1)
    assert len(of(pull, ReportState.REQUESTED)) == 2
    assert events(inbox) == ["access_refused"]


def test_credentials_that_can_read_nothing_that_is_wanted_are_an_error(pull: Pull) -> None:
    pull.api.profiles = ()
    with pytest.raises(PermanentFailure, match=r"in region na these credentials can read none.*the region"):
        pull.orders()


def test_an_amazon_that_takes_no_orders_is_left_alone_after_a_few(pull: Pull) -> None:
    zones = [replace(OTHER, id=str(300 + n)) for n in range(20)]
    pull.api.profiles, pull.api.down = tuple(zones), True
    with pytest.raises(TransientFailure, match="takes no orders at present"):
        pull.orders()
    assert pull.api.calls < 6
    pull.api.down = False
    pull.later(minutes=10)
    pull.orders()
    asked = [r for zone in zones for r in of(pull, ReportState.REQUESTED, zone.id)]
    assert len(asked) == 20


def test_many_reports_that_are_overdue_are_reported_in_one_message(pull: Pull) -> None:
    inbox = Inbox.subscribe(pull.services)
    pull.api.profiles, pull.api.takes = tuple(replace(OTHER, id=str(300 + n)) for n in range(20)), timedelta(hours=9)
    pull.orders()
    pull.later(hours=4)
    pull.poll()
    (message,) = inbox.read()
    assert (message["event"], message["reports"], len(message["others"])) == ("report_overdue", 20, 19)


@pytest.mark.parametrize("known", [True, False], ids=["our policy knows", "amazon says so"])
def test_an_order_that_retention_overtook_is_asked_for_without_the_dates_that_are_gone(pull: Pull, known: bool) -> None:
    inbox = Inbox.subscribe(pull.services)
    pull.account = account(start_date="2026-01-01")
    (definition,) = pull.account.definitions
    pull.services.ledger.scopes.put("ads", pull.api.profiles)
    (scope,) = pull.services.ledger.scopes.of_source("ads")
    list(plan_turns(pull.services.ledger, pull.account, [Turn(definition, scope, NOON.date())]))
    oldest = min(pull.reports(), key=lambda r: r.start)
    # Asked for once, without an answer: nobody knows whether Amazon has it, so it is no plan's to replace.
    for report in pull.reports():
        pull.services.ledger.reports.begin(report)
    pull.later(days=3 if known else 1)
    pull.api.kept_from = oldest.start + timedelta(days=0 if known else 2)
    pull.orders()
    first = NOON.date() - timedelta(days=90) if known else pull.api.kept_from
    (clipped,) = [r for r in pull.reports() if r.start == first and r.end == oldest.end]
    assert clipped.state in (ReportState.INTENDED, ReportState.REQUESTED)
    pull.later(minutes=1)
    pull.orders()
    (clipped,) = [r for r in pull.reports() if r.key == clipped.key]
    assert clipped.state is ReportState.REQUESTED
    (gone,) = of(pull, ReportState.FAILED)
    assert (gone.key, gone.error.partition(";")[2]) == (oldest.key, f" {first} to {oldest.end} is asked for instead")
    (reported,) = [m for m in inbox.read() if m["event"] != "report_dates_at_risk"]
    assert (reported["event"], reported["first"], reported["last"]) == (
        "report_dates_lost",
        str(oldest.start),
        str(first - timedelta(days=1)),
    )


@pytest.mark.parametrize("days", [3, pytest.param(40, marks=pytest.mark.slow), 100])
def test_after_an_outage_every_date_that_can_be_had_is_asked_for_within_retention_and_nothing_is_alarmed(
    pull: Pull, days: int
) -> None:
    inbox = Inbox.subscribe(pull.services)
    pull.api.down = True
    for _ in range(2):  # intentions that never reached Amazon, and one that may have
        pull.orders()
        pull.later(days=1)
    pull.api.down = False
    pull.later(days=days)
    for _ in range(3):
        pull.orders()
        pull.later(days=1)
    today = (NOON + timedelta(days=days + 4)).date()
    asked = of(pull, ReportState.REQUESTED)
    brought = {r.start + timedelta(days=n) for r in asked for n in range((r.end - r.start).days + 1)}
    oldest = max(date(2026, 6, 5), today - timedelta(days=93))
    assert brought >= {oldest + timedelta(days=n) for n in range((today - oldest).days)}
    assert min(brought) >= today - timedelta(days=97), "no order was outside retention on its day"
    assert not of(pull, ReportState.INTENDED)
    assert set(events(inbox)) <= {"report_dates_lost"}


@pytest.mark.parametrize(
    ("gone", "state"),
    [
        ("scope", ReportState.REQUESTED),
        pytest.param("definition", ReportState.READY, marks=pytest.mark.slow),
        *(
            pytest.param(gone, state, marks=pytest.mark.slow)
            for gone in ("definition", "scope")
            for state in (ReportState.INTENDED, ReportState.STORED)
        ),
    ],
)
def test_a_report_that_is_removed_on_its_way_ends_quietly_and_comes_again_when_it_is_put_back(
    pull: Pull, gone: str, state: ReportState
) -> None:
    start = "2026-06-08"
    pull.account = declared = account(start_date=start)
    inbox = Inbox.subscribe(pull.services)
    with _stopped_in(pull, state):
        change = {"reports": [{"name": "sp_new", **SMALL}]} if gone == "definition" else {"profiles": ["222"]}
        changed = account(start_date=start, **change)
        pull.api.profiles = (*pull.api.profiles, OTHER)
        pull.account = changed
        for _ in range(2):
            pull.orders()
            pull.poll()
            assert not [d for d in reports_due(pull.services, pull.account, Nobody()) if d.report.feed == FEED]
            assert deliveries_due(pull.services, pull.account, Nobody()) == ([], [])
            pull.later(minutes=10)
        assert [r.state for r in pull.reports()] == [ReportState.FAILED]
    pull.account = declared
    pull.later(days=1)
    pull.day()
    pull.day()
    assert len(pull.table()) == 3
    assert events(inbox) == []


@contextmanager
def _stopped_in(pull: Pull, state: ReportState) -> Iterator[None]:
    """A report that has come as far as ``state``."""
    pull.api.down = state is ReportState.INTENDED
    (report,) = pull.orders()
    pull.api.down = False
    pull.later(minutes=20)
    if state in (ReportState.READY, ReportState.STORED):
        (report,) = pull.poll()
    if state is ReportState.STORED:
        key = f"reports/{report.report_id}"
        changed = pull.services.ledger.reports.stored(report, key, size=0, sha256="", charset="")
        assert changed is not None
        report = changed
    assert report.state is state
    yield


@pytest.mark.slow
@pytest.mark.parametrize(
    "back",
    [
        pytest.param(timedelta(minutes=30), marks=pytest.mark.slow),
        timedelta(days=1),
        pytest.param(timedelta(days=40), marks=pytest.mark.slow),
    ],
)
def test_a_clock_that_was_ahead_holds_nothing_up_once_it_is_right(pull: Pull, back: timedelta) -> None:
    right, pull.account = pull.at[0], account(start_date="2026-06-09")
    pull.later(seconds=back.total_seconds())
    pull.day()
    pull.api.down = True
    pull.later(hours=12)
    pull.orders()
    pull.at[0] = right + timedelta(days=2)
    pull.api.down = False
    pull.day()
    pull.later(hours=1)
    pull.day()
    newest = max(pull.table())
    assert newest >= date(2026, 6, 11)
    assert pull.table()[date(2026, 6, 11)][0][1] == 99, "as a report says that was asked for by the right clock"


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("America/Los_Angeles", date(2026, 3, 8)),
        ("Africa/Cairo", date(2026, 10, 30)),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in (
                ("America/Los_Angeles", date(2026, 11, 1)),
                ("Europe/Berlin", date(2026, 3, 29)),
                ("Europe/Berlin", date(2026, 10, 25)),
                ("Australia/Sydney", date(2026, 4, 5)),
                ("Australia/Sydney", date(2026, 10, 4)),
                ("Africa/Cairo", date(2026, 4, 24)),
                ("America/Sao_Paulo", date(2026, 1, 5)),
            )
        ),
    ],
)
def test_yesterday_is_asked_for_once_a_day_however_long_the_day_is_where_the_profile_is(
    pull: Pull, zone: str, day: date
) -> None:
    pull.api.profiles = (replace(OTHER, id=SCOPE, timezone=zone),)
    pull.account = account(start_date="2026-01-01", history="3d", request_at="00:00")
    midnights = [datetime.combine(day + timedelta(days=n), datetime.min.time(), ZoneInfo(zone)) for n in range(3)]
    for midnight in midnights:
        for minutes in (-1, 0, 600):
            pull.at[0] = midnight.astimezone(UTC) + timedelta(minutes=minutes)
            pull.orders()
    newest: dict[date, list[Any]] = {}
    for report in pull.reports():
        newest.setdefault(report.asked_on, []).append(report.end)
    wanted = {m.date(): [m.date() - timedelta(days=1)] for m in midnights}
    assert {asked: sorted(ends)[-1:] for asked, ends in newest.items() if asked >= day} == wanted
    assert all(report.end < report.asked_on for report in pull.reports())


def test_a_plan_of_a_clock_far_ahead_is_drawn_up_again(pull: Pull) -> None:
    (definition,) = pull.account.definitions
    pull.orders()
    ahead = Planned("sp_small", SCOPE, NOON.date() + timedelta(days=40), definition.definition_hash)
    pull.services.ledger.scopes.put_planned("ads", ahead)
    assert orders_are_due(pull.services.ledger, pull.account)


def test_a_report_that_another_worker_moved_on_is_not_asked_for_again(pull: Pull) -> None:
    (asked,) = pull.orders()
    pull.later(minutes=20)
    pull.poll()
    assert give_up(pull.services.ledger, pull.account, asked, "seen before the other worker", reorder=True) is None
    assert [(r.sequence, r.state) for r in pull.reports()] == [(1, ReportState.READY)]


def test_a_range_that_was_ordered_again_by_hand_can_still_be_given_up(pull: Pull) -> None:
    (asked,) = pull.orders()
    by_hand = replace(asked, sequence=2, state=ReportState.INTENDED, report_id="", waves={})
    assert pull.services.ledger.reports.intend(by_hand)
    assert give_up(pull.services.ledger, pull.account, asked, "broken", reorder=True) is not None
    assert [(r.sequence, r.state) for r in pull.reports()] == [(1, ReportState.FAILED), (2, ReportState.INTENDED)]


@pytest.mark.slow
def test_a_changed_definition_asks_again_for_all_that_was_read_whatever_history_says(pull: Pull) -> None:
    pull.account = account(history="3d")
    for _ in range(6):
        pull.day(publish=False)
        pull.later(hours=23, minutes=40)
    oldest = min(r.start for r in pull.reports())
    changed = {"name": "sp_small", **SMALL, "columns": [*SMALL["columns"], "impressions"]}
    pull.account = account(history="3d", reports=[changed])
    pull.orders()
    assert min(r.start for r in of(pull, ReportState.REQUESTED)) == oldest
    assert oldest < pull.at[0].date() - timedelta(days=6), "which is longer ago than history"
