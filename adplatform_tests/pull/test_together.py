"""Dates of one table that are published together."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow import together
from adplatform.flow.slices import publish_slice
from adplatform.flow.source import FeedFlow
from adplatform.flow.together import Waiting, publish_waiting
from adplatform.lake.audit import AuditFinding
from adplatform.ledger.delivery import DeliveryState
from adplatform.ledger.placements import Placement
from adplatform_tests.pull.test_report_life import FEED, Pull, account, pull, rows
from adplatform_tests.support.calls import CountedAws

__all__ = ["pull"]
PER_DATE = 12


def told(of: Pull) -> list[dict[str, Any]]:
    """What the ledger has of all versions, without what differs from run to run."""
    rows = of.services.ledger.publications.of_feed(FEED)
    differ = {"manifest_key", "run_id", "locations", "seconds", "files", "settled_at", "finished_at"}
    return [{name: value for name, value in vars(row).items() if name not in differ} for row in rows]


def landed(of: Pull) -> list[Waiting]:
    of.orders()
    of.later(minutes=20)
    of.poll()
    (report,) = of.ready()
    return [Waiting(each.flow, each.day, each.brought) for each in of.land(report)[1] if each.changed]


def test_they_are_as_those_that_are_published_each_by_itself_and_cost_few_calls(pull: Pull) -> None:
    counted = CountedAws(pull.services.aws.region, pull.services.aws.endpoint_url)
    asking = replace(pull, services=replace(pull.services, aws=counted), account=account(start_date="2026-05-28"))
    with counted.most(PER_DATE * 13):
        asking.day()
    together_, table = told(asking), asking.table()
    assert len(table) == len(together_) == 13
    assert {row["state"] for row in together_} == {DeliveryState.PUBLISHED}
    ledger = pull.services.ledger
    for day in list(table)[::6]:
        ledger.deliveries.reopen(FEED, day)
        flow = asking.account.flow(asking.account.definitions[0].datasets[0], "111")
        assert publish_slice(pull.services, flow, day, "alone", pull.work)
    alone = [row for row in told(asking) if row["version"] == 2]
    assert asking.table() == table
    same = {"version": 0, "settled_because": ""}
    assert [{**row, **same} for row in alone] == [{**row, **same} for row in together_[::6]]


def test_a_date_that_its_audit_refuses_holds_up_no_other(pull: Pull) -> None:
    bad = date(2026, 6, 7)

    def some_bad(scope: str, day: date, as_of: datetime) -> list[dict[str, Any]]:
        return [
            *rows(scope, day, as_of),
            *([{"date": str(day), "campaignId": "one", "clicks": 1}] if day == bad else []),
        ]

    pull.api.rows = some_bad
    with pytest.raises(PermanentFailure, match="2026-06-07: the audit refused version 1"):
        pull.day()
    assert sorted(pull.table()) == [date(2026, 6, day) for day in (5, 6, 8, 9)]
    assert pull.services.ledger.deliveries.get(FEED, bad).permanent


def test_where_the_catalog_refuses_them_together_each_is_published_by_itself(
    pull: Pull, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise TransientFailure("the lease was lost")

    waiting = landed(pull)
    monkeypatch.setattr(together, "publish_together", refused)
    came = list(publish_waiting(pull.services, waiting, "run-1", pull.work, lambda *_: None))
    assert [each.problem for each in came] == [None] * len(waiting)
    assert sorted(pull.table()) == [date(2026, 6, day) for day in range(5, 10)]


def test_of_unusual_dates_each_is_said_and_the_newest_is_waited_for(
    pull: Pull, caplog: pytest.LogCaptureFixture
) -> None:
    unusual, placements = (date(2026, 6, 6), date(2026, 6, 9)), pull.services.ledger.placements
    for day in unusual:
        for week in range(1, 4):
            placements.put(FEED, Placement(day - timedelta(weeks=week), 0, rows=1000))
    comparing = replace(pull, account=account(usual_volume={"holidays": ["US"]}))
    failed: list[tuple[date, str]] = []
    waiting = landed(comparing)

    def audited(_: FeedFlow, day: date, found: Iterable[AuditFinding]) -> None:
        failed.extend((day, each.name) for each in found if not each.passed)

    assert all(each.publication for each in publish_waiting(pull.services, waiting, "run-1", pull.work, audited))
    assert "published by itself" not in caplog.text
    assert failed == [(day, "usual_volume") for day in unusual]
    said = [each.subject for each in pull.services.ledger.messages.unsent("ads")]
    assert {each.partition(":")[0] for each in said} == {f"{FEED} {day}" for day in unusual}
    [trouble] = pull.services.ledger.messages.troubles("ads").values()
    assert trouble.day == unusual[-1]
