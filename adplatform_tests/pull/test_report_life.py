"""The life of a report in the ledger: from the plan to the table, through crashes, lost answers and restatements."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adplatform.amazon.reports import ReportStatus
from adplatform.amazon.sources import AdsSource
from adplatform.failures import TransientFailure
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.flow.slices import publish_slice
from adplatform.lake.query import run_query
from adplatform.ledger.report import Report, ReportState
from adplatform.ledger.scopes import Scope
from adplatform.pull.account import Account, account_of
from adplatform.pull.due import deliveries_due, orders_are_due, place_orders, poll_reports, reports_due
from adplatform.pull.land import Landed, claim, failed, finish, land
from adplatform_tests.support.calls import CountedAws
from adplatform_tests.support.platforms import Inbox
from adplatform_tests.support.report_api import MemoryReports
from adplatform_tests.support.report_worker import publish_landed
from adplatform_tests.support.runs import Nobody

SCOPE = "111"
FEED = f"ads/sp_small/{SCOPE}"
NOON = datetime(2026, 6, 10, 20, tzinfo=UTC)
"""13:00 in Los Angeles."""


def rows(scope: str, day: date, as_of: datetime) -> list[dict[str, Any]]:
    """Two campaigns; clicks settle after 3 days, sales after 42, and the second campaign's row vanishes after 3."""
    age = min((as_of.date() - day).days, 42)
    first = {"date": str(day), "campaignId": 2**60 + 1, "clicks": 100 - min(age, 3), "sales14d": 10.0 + age // 7}
    second = {"date": str(day), "campaignId": 2**60 + 2, "clicks": 5, "sales14d": 58.989999999999995}
    return [first] if age > 3 else [first, second]


def truth(day: date) -> list[tuple[int, int, float]]:
    final = rows(SCOPE, day, datetime(2030, 1, 1, tzinfo=UTC))
    return [(r["campaignId"], r["clicks"], r["sales14d"]) for r in final]


@dataclass
class Pull:
    """An account on a platform of its own, whose clock the test moves."""

    services: Services
    account: Account
    api: MemoryReports
    work: Path
    at: list[datetime]
    runs: int = 0

    def later(self, **by: float) -> None:
        self.at[0] += timedelta(**by)

    def orders(self) -> list[Report]:
        return place_orders(self.services, self.account, self.api, sleep=lambda seconds: self.later(seconds=seconds))

    def poll(self) -> list[Report]:
        return poll_reports(self.services, self.account, lambda: self.api)

    def ready(self) -> list[Report]:
        return [due.report for due in reports_due(self.services, self.account, Nobody())]

    def land(self, report: Report) -> tuple[Report, list[Landed]]:
        self.runs += 1
        claimed = claim(self.services.ledger, report, f"run-{self.runs}")
        folder = self.work / f"run-{self.runs}"
        folder.mkdir(parents=True)
        try:
            return land(self.services, self.account, lambda: self.api, claimed, folder, sleep=lambda _: None)
        except TransientFailure as e:
            failed(self.services, self.account, claimed, e)
            raise

    def run(self, report: Report, *, publish: bool = True) -> list[Landed]:
        landed, slices = self.land(report)
        if publish:
            publish_landed(self.services, slices, f"run-{self.runs}", self.work)
        finish(self.services.ledger, landed)
        return slices

    def day(self, *, publish: bool = True) -> None:
        """What happens on an ordinary day: orders, reports, tables."""
        self.orders()
        self.later(minutes=20)
        self.poll()
        deliveries_due(self.services, self.account, Nobody())
        for report in self.ready():
            self.run(report, publish=publish)

    def reports(self) -> list[Report]:
        return self.services.ledger.reports.of_feed(FEED)

    def table(self) -> dict[date, list[tuple[int, int, float]]]:
        prefix = self.services.settings.database_prefix
        sql = f"select cast(dt as date), campaign_id, clicks, sales_14d from {prefix}ads.sp_small order by all"
        found: dict[date, list[tuple[int, int, float]]] = {}
        for day, campaign, clicks, sales in run_query(self.services.aws, self.services.glue, prefix, sql, 10**6)[1]:
            found.setdefault(day, []).append((campaign, clicks, float(sales)))
        return found


@pytest.fixture
def pull(services: Services, tmp_path: Path) -> Pull:
    at = [NOON]
    timed = replace(services, now=lambda: at[0])
    provision(timed, [])
    work = tmp_path / "work"
    work.mkdir()
    return Pull(timed, account(), MemoryReports(lambda: at[0], rows), work, at)


def account(**changes: Any) -> Account:
    report = {
        "name": "sp_small",
        "report_type": "spCampaigns",
        "group_by": ["campaign"],
        "columns": ["date", "campaignId", "clicks", "sales14d"],
    }
    declared = {
        "source": "ads",
        "credentials": "ads/secret",
        "start_date": "2026-06-05",
        "spread": "0s",
        "reports": [report],
        **changes,
    }
    return account_of(AdsSource.model_validate(declared))


def test_a_report_goes_from_order_to_table_and_every_step_is_in_the_ledger(pull: Pull) -> None:
    assert orders_are_due(pull.services.ledger, pull.account)
    (asked,) = pull.orders()
    assert (asked.state, asked.report_id) == (ReportState.REQUESTED, "report-00001")
    assert (asked.start, asked.end) == (date(2026, 6, 5), date(2026, 6, 9))
    assert not orders_are_due(pull.services.ledger, pull.account)
    pull.later(minutes=5)
    (waiting,) = pull.poll()
    assert (waiting.state, waiting.polls) == (ReportState.REQUESTED, 1)
    pull.later(minutes=15)
    (ready,) = pull.poll()
    assert ready.state is ReportState.READY
    (due,) = pull.ready()
    slices = pull.run(due)
    assert [(s.day.day, s.rows, s.changed) for s in slices] == [(d, 2 if d >= 7 else 1, True) for d in range(5, 10)]
    (done,) = pull.reports()
    assert (done.state, done.rows) == (ReportState.DONE, 8)
    assert len(done.sha256) == 64
    body = pull.services.s3.get_object(Bucket=pull.services.zones.raw_bucket, Key=done.raw_key)
    assert body["ServerSideEncryption"] == "aws:kms"
    assert "report_type=sp_small/report_date=2026-06-05_2026-06-09/profile=111/" in done.raw_key
    table = pull.table()
    assert table[date(2026, 6, 9)] == [(2**60 + 1, 99, 10.0), (2**60 + 2, 5, 58.99)]
    assert table[date(2026, 6, 5)] == [(2**60 + 1, 97, 10.0)]
    assert pull.ready() == []
    assert deliveries_due(pull.services, pull.account, Nobody()) == ([], [])


OF_A_REPORT = 82


def test_a_report_of_one_date_asks_aws_no_more_often_than_it_needs(pull: Pull) -> None:
    counted = CountedAws(pull.services.aws.region, pull.services.aws.endpoint_url)
    asking = replace(pull, services=replace(pull.services, aws=counted), account=account(start_date="2026-06-09"))
    with counted.most(OF_A_REPORT):
        asking.day()
    assert list(pull.table()) == [date(2026, 6, 9)]


def test_the_table_says_as_of_which_order_and_wave_its_rows_are(pull: Pull) -> None:
    pull.day()
    prefix = pull.services.settings.database_prefix
    sql = (
        f"select distinct dt, profile_id, as_of, wave, report_id, currency_code from {prefix}ads.sp_small order by all"
    )
    found = run_query(pull.services.aws, pull.services.glue, prefix, sql, 100)[1]
    assert [(r[1], r[3], r[4], r[5]) for r in found] == [("111", w, "report-00001", "USD") for w in (5, 4, 3, 2, 1)]
    assert {r[2].astimezone(UTC) for r in found} == {NOON}


def test_a_lost_answer_makes_no_second_report(pull: Pull) -> None:
    pull.api.lose = 1
    (unsure,) = pull.orders()
    assert unsure.state is ReportState.INTENDED
    assert "no answer" in unsure.error
    pull.later(minutes=6)
    (asked,) = pull.orders()
    assert (asked.state, asked.adopted) == (ReportState.REQUESTED, True)
    assert len(pull.api.placed) == 1


@pytest.mark.parametrize(
    "writes", [pytest.param(n, marks=() if n == 29 else pytest.mark.slow) for n in range(1, 40, 2)]
)
def test_a_worker_that_dies_at_any_write_is_followed_by_one_that_ends_in_the_same_table(
    pull: Pull, writes: int
) -> None:
    died = _dying(pull, writes, pull.day)
    pull.orders()  # the next tick, while Amazon still calls an equal order a duplicate
    for _ in range(3):
        pull.later(minutes=20)
        pull.day()
        due, _problems = deliveries_due(pull.services, pull.account, Nobody())
        for each in due:
            publish_slice(pull.services, each.flow, each.day, f"sweep-{writes}", pull.work)
    assert died or writes > 30
    assert len(pull.api.placed) == 1, "a second report was made"
    assert len(pull.table()) == 5
    assert pull.table()[date(2026, 6, 9)] == [(2**60 + 1, 99, 10.0), (2**60 + 2, 5, 58.99)]
    assert {r.state for r in pull.reports()} == {ReportState.DONE}


class Killed(BaseException):
    """What no handler of the platform catches, as nothing catches a kill."""


def _dying(pull: Pull, writes: int, action: Callable[[], None]) -> bool:
    """Run ``action`` with a ledger and an S3 that die before their ``writes``-th write; whether they did."""
    left = [writes]

    def count(**_: Any) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    clients = [pull.services.ledger.client, pull.services.s3]
    events = [
        *(f"before-call.dynamodb.{op}" for op in ("PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems")),
        *(f"before-call.s3.{op}" for op in ("PutObject", "CopyObject", "DeleteObjects")),
    ]
    for client in clients:
        for event in events:
            client.meta.events.register(event, count)
    try:
        action()
    except Killed:
        return True
    finally:
        for client in clients:
            for event in events:
                client.meta.events.unregister(event, count)
    return False


def test_a_broken_download_rests_and_is_tried_again(pull: Pull) -> None:
    pull.api.broken_downloads = 1
    pull.account = account(start_date="2026-06-08")
    pull.orders()
    pull.later(minutes=20)
    pull.poll()
    (due,) = pull.ready()
    with pytest.raises(TransientFailure, match="truncated"):
        pull.run(due)
    assert pull.ready() == []
    pull.later(minutes=6)
    (again,) = pull.ready()
    pull.run(again)
    assert len(pull.table()) == 2
    (done,) = pull.reports()
    assert done.state is ReportState.DONE
    assert done.error.startswith("an earlier try failed: "), "what was survived stays readable, and as such"


def test_a_failed_report_is_asked_for_again_and_reported_only_when_it_keeps_failing(pull: Pull) -> None:
    inbox = Inbox.subscribe(pull.services)
    pull.account = account(start_date="2026-06-09")
    pull.api.outcomes = [ReportStatus.FAILED] * 3
    for _ in range(6):
        pull.orders()
        pull.later(minutes=35)
        pull.poll()
        pull.later(minutes=35)
    assert [(r.sequence, r.state) for r in pull.reports()] == [(n, ReportState.FAILED) for n in (1, 2, 3)]
    assert all(r.polls == 1 for r in pull.reports()), "the poll that reported of the failure counts"
    assert [m["event"] for m in inbox.read()] == ["report_failed"]
    pull.later(days=1)
    pull.day()
    assert len(pull.table()) == 2


def test_an_overdue_report_is_reported_once_then_given_up_and_asked_for_anew(pull: Pull) -> None:
    inbox = Inbox.subscribe(pull.services)
    pull.api.takes = timedelta(days=9)
    pull.orders()
    for _ in range(27):
        pull.later(hours=1)
        pull.poll()
    first = pull.reports()[0]
    assert (first.overdue, first.state) == (True, ReportState.FAILED)
    assert pull.api.cancelled == ["report-00001"]
    assert [m["event"] for m in inbox.read()] == ["report_overdue"]
    assert [r.sequence for r in pull.reports()] == [1, 2]


def test_no_data_empties_the_dates_only_after_amazon_said_so_twice(pull: Pull) -> None:
    pull.account = account(start_date="2026-06-08")
    pull.day()
    pull.later(days=1)
    pull.api.outcomes = [ReportStatus.EMPTY, ReportStatus.EMPTY]
    pull.day()
    assert len(pull.table()) == 2
    pull.later(minutes=40)
    pull.day()
    assert pull.table() == {}
    assert [r.state for r in pull.reports()] == [ReportState.DONE, ReportState.FAILED, ReportState.EMPTY]


def test_a_report_that_was_asked_for_earlier_but_comes_later_changes_nothing(pull: Pull) -> None:
    pull.account = account(start_date="2026-06-08")
    (old,) = pull.orders()
    pull.later(days=1)
    pull.orders()
    pull.later(minutes=20)
    ready = {r.asked_on: r for r in pull.poll() if r.state is ReportState.READY}
    assert len(ready) == 2
    pull.run(ready[max(ready)])
    newer = pull.table()
    slices = pull.run(ready[old.asked_on])
    assert not any(s.changed for s in slices)
    assert pull.table() == newer


def test_rows_that_did_not_change_are_not_published_again(pull: Pull) -> None:
    pull.day()
    pull.later(days=1)
    pull.day()
    observed = pull.services.ledger.observations.since(FEED, date.min)
    assert [(o.day.day, o.age, o.landed) for o in observed if o.as_of > NOON + timedelta(hours=5)] == [
        (5, 6, False),
        (6, 5, False),
        (7, 4, True),
        (8, 3, True),
        (9, 2, True),
        (10, 1, True),
    ]
    assert observed[0].totals == {"clicks": 97, "sales14d": 10}


def test_a_profile_has_its_turn_in_its_own_time_zone(pull: Pull) -> None:
    pull.api.profiles = (*pull.api.profiles, Scope("222", "Asia/Tokyo", "JP", "JPY"))
    pull.orders()
    tokyo = pull.services.ledger.reports.of_feed("ads/sp_small/222")
    assert [r.end for r in tokyo] == [], "it is five in the morning there; the turn comes at six"
    pull.later(hours=2)
    pull.orders()
    (asked,) = pull.services.ledger.reports.of_feed("ads/sp_small/222")
    assert (asked.asked_on, asked.end) == (date(2026, 6, 11), date(2026, 6, 10))
