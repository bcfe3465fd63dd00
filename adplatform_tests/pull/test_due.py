"""What a look at the reports of an account costs, and which of them share a run."""

from dataclasses import replace
from datetime import date, timedelta

from adplatform.ledger.report import Report, ReportState
from adplatform.pull.due import MOST_BETWEEN, MOST_DATES, ReportDue, orders_are_due, poll_reports, reports_due, together
from adplatform_tests.pull.test_report_life import NOON, Pull, pull
from adplatform_tests.support.calls import CountedAws
from adplatform_tests.support.runs import Nobody

__all__ = ["pull"]
DAY = date(2026, 6, 9)


def report(scope: str, *, name: str = "sp_small", end: date = DAY, days: int = 30) -> Report:
    start = end - timedelta(days=days - 1)
    return Report("ads", name, scope, DAY, start, end, 1, "spCampaigns", "hash", ReportState.INTENDED)


def test_what_a_look_asks_does_not_grow_with_what_rests(pull: Pull) -> None:
    pull.day()
    counted = CountedAws(pull.services.aws.region, pull.services.aws.endpoint_url)
    asking = replace(pull.services, aws=counted)
    asked = []
    for scopes in (1, 60):
        rest = [replace(report(f"{scopes}-{n}"), not_before=NOON + timedelta(days=1)) for n in range(scopes)]
        assert all(pull.services.ledger.reports.intend(each) for each in rest)
        assert not orders_are_due(asking.ledger, pull.account)
        before = len(counted.names)
        assert not orders_are_due(asking.ledger, pull.account)
        assert not poll_reports(asking, pull.account, lambda: pull.api)
        assert not reports_due(asking, pull.account, Nobody())
        assert len(asking.ledger.reports.resting("ads", 10)) == min(scopes, 10)
        asked.append(counted.names[before:])
    assert asked[0] == asked[1]
    pull.later(days=2)
    assert len(pull.services.ledger.reports.due("ads")) == 61


def test_a_report_that_an_earlier_release_wrote_gets_its_turn_with_the_next_orders(pull: Pull) -> None:
    pull.orders()
    [turn] = pull.services.ledger.reports.resting("ads", 10)
    pull.services.ledger.access.delete("ads", turn.sort_key)
    pull.later(minutes=20)
    assert pull.poll() == []
    pull.orders()
    assert [each.state for each in pull.poll()] == [ReportState.READY]


def test_reports_of_a_table_share_a_run_and_none_has_a_date_of_another_scope_twice() -> None:
    scopes = [str(n) for n in range(20)]
    due = [ReportDue(report(scope)) for scope in scopes]
    due += [ReportDue(report("0", end=DAY - timedelta(days=10))), ReportDue(report("0", name="sb_small"))]
    due += [ReportDue(report("unknown", days=1)), ReportDue(report("1", end=DAY - timedelta(days=40), days=1))]
    groups = together(due, scopes)
    assert sorted(id(each) for group in groups for each in group) == sorted(map(id, due))
    dates = [sum(len(each.report.days) for each in group) for group in groups]
    assert max(dates) <= MOST_DATES
    assert len(groups) == 7, "20 reports in four runs, one too far from those it may join, another table, another scope"
    for group in groups:
        places = [scopes.index(each.report.scope) for each in group if each.report.scope in scopes] or [0]
        days = (max(each.report.end for each in group) - min(each.report.start for each in group)).days + 1
        assert (max(places) - min(places) + 1) * days <= MOST_BETWEEN
        assert len({(each.report.name, each.report.scope, day) for each in group for day in each.report.days}) == sum(
            len(each.report.days) for each in group
        )
