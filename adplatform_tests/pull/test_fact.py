"""The daily fact equals the sum of the tables it is made of, through restatements, crashes and races."""

import gzip
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adplatform.amazon.reports import ReportOrder
from adplatform.amazon.sources import AdsSource
from adplatform.failures import PermanentFailure
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.flow.slices import publish_slice, slice_settler
from adplatform.flow.source import FeedFlow
from adplatform.lake.audit import AuditFinding
from adplatform.lake.query import run_query
from adplatform.ledger.delivery import DeliveryState
from adplatform.ledger.scopes import Scope
from adplatform.pull import fact as facts
from adplatform.pull.account import SLICE_FILE, Account, account_of
from adplatform.pull.build import EQUALS_DOCUMENTS, build, built, facts_due
from adplatform.pull.derived import mark
from adplatform.pull.due import deliveries_due, place_orders, poll_reports, reports_due
from adplatform.pull.fact import Fact, fact_of
from adplatform.pull.land import claim, finish, land
from adplatform_tests.support.dying import dying
from adplatform_tests.support.ledger_rows import put_delivery
from adplatform_tests.support.report_api import MemoryReports
from adplatform_tests.support.runs import Nobody

NOON = datetime(2026, 6, 10, 20, tzinfo=UTC)
PROFILES = (
    Scope("111", "America/Los_Angeles", "US", "USD", name="Northwind's"),
    Scope("222", "America/Toronto", "CA", "CAD", name="Nord-Ouest – Québec"),
)
FIRST, LAST = date(2026, 6, 8), date(2026, 6, 9)
BIG = 2**60 + 1
IDS = ("campaignId", "campaignName", "adGroupId", "adGroupName")
TRAFFIC = ("impressions", "clicks", "cost")
SP = {
    "name": "sp",
    "report_type": "spCampaigns",
    "group_by": ["campaign", "adGroup"],
    "columns": ["date", *IDS, *TRAFFIC, "purchases14d", "sales14d", "unitsSoldClicks14d"],
}
SB = {
    "name": "sb",
    "report_type": "sbCampaigns",
    "group_by": ["campaign"],
    "columns": ["date", "campaignId", "campaignName", *TRAFFIC, "purchases", "sales"],
}
SD = {
    "name": "sd",
    "report_type": "sdAdGroup",
    "group_by": ["adGroup"],
    "columns": ["date", *IDS, *TRAFFIC, "purchases", "sales", "unitsSold"],
}
Row = dict[str, Any]
Key = tuple[str, str, date]
"""Report, profile and date."""


def row(day: date, campaign: int, group: int | None = None, **measures: Any) -> Row:
    found: Row = {"date": str(day), "campaignId": campaign, "campaignName": f"C{campaign}", **measures}
    return found if group is None else {**found, "adGroupId": group, "adGroupName": f"G{group}"}


def first_rows() -> dict[Key, list[Row]]:
    """Two profiles, three ad products, two dates; Sponsored Display has rows on one date only."""
    found: dict[Key, list[Row]] = {}
    for n, profile in enumerate(("111", "222")):
        for day in (FIRST, LAST):
            sp = {"impressions": 1000 + n, "clicks": 10, "cost": 0.1, "purchases14d": 1, "sales14d": 58.989999999999995}
            found["sp", profile, day] = [
                row(day, BIG, BIG + 10, **sp, unitsSoldClicks14d=2),
                row(day, BIG, BIG + 11, **{**sp, "cost": 0.2}, unitsSoldClicks14d=3),
                row(day, BIG + 1, BIG + 12, **sp, unitsSoldClicks14d=2),
            ]
            sb = {"impressions": 50, "clicks": None, "cost": 123456789.123457, "purchases": 4, "sales": 1.5}
            found["sb", profile, day] = [row(day, BIG + 2, **sb)]
        found["sd", profile, LAST] = [
            row(LAST, BIG + 3, 77, impressions=1, clicks=0, cost=0.000001, purchases=0, sales=0, unitsSold=0)
        ]
    return found


class Api(MemoryReports):
    """Rows by report, profile and date, as the test leaves them."""

    def __init__(self, now: Callable[[], datetime], data: dict[Key, list[Row]]) -> None:
        super().__init__(now, self._none, PROFILES)
        self.data = data

    def _none(self, scope: str, day: date, as_of: datetime) -> list[Row]:
        return []

    def fetch(self, order: ReportOrder, progress: Any, target: Path) -> Any:
        name = order.name.split("/")[1]
        self.rows = lambda scope, day, as_of: self.data.get((name, scope, day), [])
        return super().fetch(order, progress, target)


@dataclass
class Pull:
    services: Services
    account: Account
    fact: Fact
    api: Api
    work: Path
    at: list[datetime]
    runs: int = 0
    findings: list[AuditFinding] = field(default_factory=list)
    lost: set[tuple[str, date]] = field(default_factory=set)
    """Tables and dates of which the last row of a slice is lost before it is published."""

    def later(self, **by: float) -> None:
        self.at[0] += timedelta(**by)

    def run_id(self) -> str:
        self.runs += 1
        return f"run-{self.runs}"

    def input(self, name: str, scope: str) -> FeedFlow:
        return next(self.account.scoped(t, scope) for _, t in self.account.tables() if t.feed.name == name)

    def put(self, name: str, scope: str, day: date) -> None:
        """What Amazon says now of one date of one report, as a slice that waits to be published."""
        flow, currency = self.input(name, scope), {s.id: s.currency for s in PROFILES}[scope]
        stamps = {"_as_of": self.at[0].isoformat(), "_report_id": "r", "_currency": currency, "_wave": 1}
        rows = [{**plain(r), **stamps} for r in self.api.data.get((name, scope, day), [])]
        self.services.s3.put_object(
            Bucket=self.services.zones.raw_bucket,
            Key=flow.layout.key(day, SLICE_FILE),
            Body=gzip.compress("\n".join(json.dumps(r) for r in rows).encode()),
        )
        slice_settler(self.services, (flow,)).arrivals.reconcile(flow.layout.day_prefix(day))

    def say(self, *keys: Key) -> None:
        """Put and publish."""
        for name, scope, day in keys:
            self.put(name, scope, day)
            self.publish(self.input(name, scope), day)

    def only(self, *keys: Key) -> None:
        """Begin with nothing but these dates, published and not built."""
        self.services.ledger.scopes.put("ads", PROFILES)
        self.api.data = {key: rows for key, rows in self.api.data.items() if key in keys}
        self.say(*keys)

    def publish(self, flow: FeedFlow, day: date) -> None:
        publish_slice(
            self.services,
            flow,
            day,
            self.run_id(),
            self.work,
            lambda _: mark(self.services.ledger, (self.fact,), flow, day),
        )

    def tables(self) -> None:
        """Orders, reports and tables of a day, and whatever an earlier run left."""
        place_orders(self.services, self.account, self.api)
        self.later(minutes=20)
        poll_reports(self.services, self.account, lambda: self.api)
        due, _ = deliveries_due(self.services, self.account, Nobody())
        for each in reports_due(self.services, self.account, Nobody()):
            run = self.run_id()
            folder = self.work / run
            folder.mkdir(parents=True)
            claimed = claim(self.services.ledger, each.report, run)
            landed, slices = land(self.services, self.account, lambda: self.api, claimed, folder, lambda _: None)
            for part in slices:
                if part.changed:
                    if (part.flow.feed.name, part.day) in self.lost:
                        self.lose(part.flow, part.day)
                    self.publish(part.flow, part.day)
            finish(self.services.ledger, landed)
        for left in due:
            self.publish(left.flow, left.day)

    def lose(self, flow: FeedFlow, day: date) -> None:
        place = {"Bucket": self.services.zones.raw_bucket, "Key": flow.layout.key(day, SLICE_FILE)}
        lines = gzip.decompress(self.services.s3.get_object(**place)["Body"].read()).splitlines(keepends=True)
        self.services.s3.put_object(**place, Body=gzip.compress(b"".join(lines[:-1])))
        slice_settler(self.services, (flow,)).arrivals.reconcile(flow.layout.day_prefix(day))

    def facts(self) -> list[tuple[date, str]]:
        """Build what is due; the dates and profiles that were."""
        found = []
        run = self.run_id()
        for each in facts_due(self.services, self.fact, Nobody())[0]:
            done = build(
                *(self.services, self.fact, each.scope, each.day, run, self.work, self.findings.extend),
                sleep=lambda _: self.later(seconds=30),
            )
            if done is not None:
                built(self.services.ledger, self.fact, done)
                found.append((each.day, each.scope))
        return found

    def day(self) -> list[tuple[date, str]]:
        self.tables()
        return self.facts()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        prefix = self.services.settings.database_prefix
        return run_query(self.services.aws, self.services.glue, prefix, sql.format(f"{prefix}ads"), 10**6)[1]

    def rows(self) -> list[tuple[Any, ...]]:
        return self.query(
            """select cast(dt as date) as dt, profile_id, profile_name, country_code, ad_product, campaign_id,
               campaign_name, ad_group_id, ad_group_name, currency_code, impressions, clicks, cost, purchases, units,
               sales from {}.ads_daily order by all"""
        )

    def versions(self) -> Counter[tuple[date, str]]:
        """How often each date of each profile was published."""
        ledger = self.services.ledger
        return Counter(
            (p.day, scope.id)
            for scope in PROFILES
            for p in ledger.publications.of_feed(self.fact.flow(scope.id).name)
            if p.state is DeliveryState.PUBLISHED
        )

    def expected(self) -> list[tuple[Any, ...]]:
        """What the fact must be, from what Amazon says now, without the platform's help."""
        products = {"sp": "SPONSORED_PRODUCTS", "sb": "SPONSORED_BRANDS", "sd": "SPONSORED_DISPLAY"}
        scopes = {s.id: s for s in PROFILES}
        found = []
        for (name, profile, day), rows in self.api.data.items():
            for r in rows:
                units = r.get("unitsSoldClicks14d", r.get("unitsSold"))
                money = [
                    Decimal(str(v)).quantize(Decimal("0.000001"))
                    for v in (r["cost"], r.get("sales14d", r.get("sales")))
                ]
                found.append(
                    (
                        *(day, profile, scopes[profile].name, scopes[profile].country),
                        *(products[name], r["campaignId"], r["campaignName"], r.get("adGroupId"), r.get("adGroupName")),
                        *(scopes[profile].currency, r["impressions"], r["clicks"]),
                        *(money[0], r.get("purchases14d", r.get("purchases")), units, money[1]),
                    )
                )
        return sorted(found, key=str)


def plain(found: Row) -> Row:
    """As the split writes them: amounts without the noise of binary fractions."""
    return {k: f"{v:.6f}" if isinstance(v, float) else v for k, v in found.items()}


def declared(*reports: Any, **changes: Any) -> Account:
    common = {"source": "ads", "credentials": "ads/secret", "start_date": str(FIRST), "spread": "0s"}
    return account_of(AdsSource.model_validate({**common, "reports": list(reports), **changes}))


@pytest.fixture
def pull(services: Services, tmp_path: Path) -> Pull:
    at = [NOON]
    timed = replace(services, now=lambda: at[0])
    provision(timed, [])
    work = tmp_path / "work"
    work.mkdir()
    account = declared(SP, SB, SD)
    fact = fact_of(account)
    assert fact is not None
    return Pull(timed, account, fact, Api(lambda: at[0], first_rows()), work, at)


def same(pull: Pull) -> bool:
    return sorted(pull.rows(), key=str) == pull.expected()


def test_the_fact_is_the_sum_of_all_products_by_profile_exactly(pull: Pull) -> None:
    pull.account = declared(SP, SB, SD, start_date=str(LAST))
    pull.api.data = {key: rows for key, rows in pull.api.data.items() if key[2] == LAST}
    assert sorted(pull.day()) == [(LAST, "111"), (LAST, "222")]
    assert same(pull)
    found = {(r[1], r[4], r[5], r[7]): r for r in pull.rows()}
    assert len(found) == 10
    brands = found["222", "SPONSORED_BRANDS", BIG + 2, None]
    assert brands[9:] == ("CAD", 50, None, Decimal("123456789.123457"), 4, None, Decimal("1.5"))
    assert found["111", "SPONSORED_PRODUCTS", BIG, BIG + 11][12] == Decimal("0.2")
    assert {r[0] for r in pull.query("select distinct as_of from {}.ads_daily")} == {NOON}
    inputs = pull.query(
        """select dt, profile_id, sum(cost), sum(impressions) from (
             select dt, profile_id, cost, impressions from {0}.sp
             union all select dt, profile_id, cost, impressions from {0}.sb
             union all select dt, profile_id, cost, impressions from {0}.sd) group by all order by all"""
    )
    sums = "select dt, profile_id, sum(cost), sum(impressions) from {}.ads_daily group by all order by all"
    assert pull.query(sums) == inputs
    assert pull.facts() == []
    compared = [finding for finding in pull.findings if finding.name == EQUALS_DOCUMENTS]
    assert [(finding.passed, finding.metrics) for finding in compared] == [(True, {"ad_products": 3})] * 2


def test_what_is_lost_between_a_document_and_the_fact_is_said(pull: Pull) -> None:
    """A row of a slice, all rows of one, a row that a table quarantines, and metrics that are not of their type."""
    measures = {"impressions": 100, "clicks": 1, "cost": 0.25}
    first, last = ([row(day, BIG, BIG + n, **measures) for n in range(9)] for day in (FIRST, LAST))
    pull.account = declared(SP, SB, SD, profiles=["111"])
    pull.api.data = {
        ("sp", "111", FIRST): [*first, row(FIRST, BIG, BIG, **{**measures, "clicks": 2.5, "cost": "n/a"})],
        ("sb", "111", FIRST): [row(FIRST, BIG, **measures)],
        ("sp", "111", LAST): last,
        ("sd", "111", LAST): [*last, {**row(LAST, BIG, BIG, **measures), "adGroupId": "none"}],
    }
    pull.lost = {("sb", FIRST), ("sp", LAST)}
    assert sorted(pull.day()) == [(FIRST, "111"), (LAST, "111")]
    found = [f for f in pull.findings if f.name == EQUALS_DOCUMENTS]
    assert not any(f.passed or f.blocking for f in found)
    assert {(f.description.partition(" (report")[0]) for f in found} == {
        "SPONSORED_PRODUCTS has clicks 9 of 11.5, cost 2.25 of 2.25 and 1 that are no numbers",
        "SPONSORED_PRODUCTS has impressions 800 of 900, clicks 8 of 9, cost 2 of 2.25",
    }
    assert Counter(each["ad_product"] for f in found for each in f.details) == {
        "SPONSORED_PRODUCTS": 5,
        "SPONSORED_BRANDS": 3,
        "SPONSORED_DISPLAY": 3,
    }
    assert all(f.passed for f in pull.findings if f.name != EQUALS_DOCUMENTS)


def test_a_restated_date_of_one_profile_is_built_anew_and_no_other(pull: Pull) -> None:
    pull.only(("sp", "111", FIRST), ("sp", "111", LAST), ("sp", "222", LAST), ("sb", "222", LAST))
    assert sorted(pull.facts()) == [(FIRST, "111"), (LAST, "111"), (LAST, "222")]
    assert same(pull)
    pull.api.data["sp", "222", LAST][0]["sales14d"] = 99.5
    pull.say(("sp", "222", LAST))
    assert pull.facts() == [(LAST, "222")]
    assert same(pull)
    assert pull.versions() == Counter({(FIRST, "111"): 1, (LAST, "111"): 1, (LAST, "222"): 2})


@pytest.mark.slow
def test_rows_that_vanish_vanish_and_a_date_can_become_empty(pull: Pull) -> None:
    pull.only(("sp", "111", FIRST), ("sp", "111", LAST))
    pull.facts()
    pull.api.data["sp", "111", LAST].pop()
    pull.api.data["sp", "111", FIRST] = []
    pull.say(("sp", "111", FIRST), ("sp", "111", LAST))
    pull.facts()
    assert same(pull)
    publications = pull.services.ledger.publications.of_feed("ads/ads_daily/111", FIRST)
    assert [(p.clean, p.state) for p in publications] == [(3, DeliveryState.PUBLISHED), (0, DeliveryState.PUBLISHED)]


FEW = range(4, 31, 26)
"""Moments of which none is behind the end: one in the publication, one in the build."""


@pytest.mark.parametrize("moments", [FEW, pytest.param(range(1, 999), marks=pytest.mark.slow)])
@pytest.mark.timeout(1200)
def test_a_kill_at_any_write_from_table_to_fact_loses_no_change(pull: Pull, moments: range) -> None:
    pull.only(("sp", "111", LAST))
    pull.facts()
    for writes in moments:
        pull.api.data["sp", "111", LAST][0]["clicks"] = 1000 + writes
        pull.put("sp", "111", LAST)

        def publish_and_build() -> None:
            pull.publish(pull.input("sp", "111"), LAST)
            pull.facts()

        died = dying(pull.services, writes, publish_and_build)
        pull.later(minutes=5)
        if writes % 2:
            pull.facts()  # a build may come between the kill and the run that repairs it
        due, _ = deliveries_due(pull.services, pull.account, Nobody())
        for left in due:
            pull.publish(left.flow, left.day)
        pull.facts()
        assert same(pull), writes
        assert pull.services.ledger.derived.stale("ads/ads_daily") == [], writes
        if not died:
            break
    assert died == (moments is FEW)


def test_a_mark_that_comes_during_a_build_keeps_the_date_due(pull: Pull) -> None:
    pull.only(("sp", "111", LAST))
    seen: list[bool] = []

    def restated(_: Any) -> None:
        if not seen:
            seen.append(True)
            mark(pull.services.ledger, (pull.fact,), pull.input("sp", "111"), LAST)

    done = build(pull.services, pull.fact, "111", LAST, "run-x", pull.work, restated)
    assert done is not None
    built(pull.services.ledger, pull.fact, done)
    assert (LAST, "111") in {(s.day, s.scope) for s in pull.services.ledger.derived.stale("ads/ads_daily")}


def test_a_date_whose_table_is_being_published_is_left_for_later(pull: Pull) -> None:
    pull.only(("sp", "111", LAST))
    pull.facts()
    flow = pull.input("sp", "111")
    ledger = pull.services.ledger
    mark(pull.services.ledger, (pull.fact,), flow, LAST)
    put_delivery(ledger, flow.name, ledger.deliveries.get(flow.name, LAST), state=DeliveryState.RUNNING, run_id="busy")
    assert pull.facts() == []
    put_delivery(ledger, flow.name, ledger.deliveries.get(flow.name, LAST), state=DeliveryState.PUBLISHED)
    assert pull.facts() == [(LAST, "111")]


def test_the_slower_of_two_builds_of_one_date_leaves_it_due(pull: Pull) -> None:
    pull.only(("sp", "111", LAST))
    slow = build(pull.services, pull.fact, "111", LAST, "run-slow", pull.work)
    fast = build(pull.services, pull.fact, "111", LAST, "run-fast", pull.work)
    assert slow is not None
    assert fast is not None
    built(pull.services.ledger, pull.fact, fast)
    built(pull.services.ledger, pull.fact, slow)
    assert (LAST, "111") in {(s.day, s.scope) for s in pull.services.ledger.derived.stale("ads/ads_daily")}
    pull.facts()
    assert pull.services.ledger.derived.stale("ads/ads_daily") == []


def test_dates_wait_for_reports_that_are_ready_but_not_for_ever(pull: Pull) -> None:
    place_orders(pull.services, pull.account, pull.api)
    pull.later(minutes=20)
    mark(pull.services.ledger, (pull.fact,), pull.input("sp", "111"), LAST)
    assert len(facts_due(pull.services, pull.fact, Nobody())[0]) == 1, "Amazon is at it and may be for hours"
    poll_reports(pull.services, pull.account, lambda: pull.api)
    assert facts_due(pull.services, pull.fact, Nobody()) == ([], [])
    pull.later(minutes=30)
    assert [(s.day, s.scope) for s in facts_due(pull.services, pull.fact, Nobody())[0]] == [(LAST, "111")]


def test_files_older_than_a_column_of_their_table_have_no_values_there(pull: Pull) -> None:
    pull.only(("sb", "111", LAST))
    wider = fact_of(declared(SP, {**SB, "columns": [*SB["columns"], "unitsSold"]}, SD))
    assert wider is not None
    assert wider.inputs[1].columns["units"] == "units_sold"
    assert build(pull.services, wider, "111", LAST, "run-wider", pull.work) is not None
    assert same(pull)


def names(account: Account) -> list[str]:
    fact = fact_of(account)
    return [each.table.feed.name for each in fact.inputs] if fact else []


def test_each_ad_product_is_taken_from_its_most_detailed_whole_report() -> None:
    assert names(declared("sp_campaigns", "sp_ad_groups", "sb_campaigns")) == ["sp_ad_groups", "sb_campaigns"]
    assert names(declared("sd_campaigns", "sd_ad_groups", "sb_ad_groups")) == ["sb_ad_groups", "sd_ad_groups"]
    assert names(declared("sp_search_terms", "sb_placements", "sp_placements")) == []
    filtered = {"name": "some", "extends": "sp_campaigns", "filters": {"campaignStatus": ["ENABLED"]}}
    assert names(declared(filtered)) == []
    assert names(declared(filtered, "sp_campaigns")) == ["sp_campaigns"]
    without_ids = {**SB, "columns": ["date", "clicks"]}
    assert names(declared(without_ids)) == []
    assert names(declared({**SB, "name": "poor"}, "sb_campaigns")) == ["sb_campaigns"]


def test_television_is_taken_too() -> None:
    television = {
        "name": "st",
        "report_type": "stCampaigns",
        "group_by": ["campaign", "adGroup"],
        "columns": ["date", *IDS, *TRAFFIC, "purchases", "sales", "unitsSold"],
    }
    fact = fact_of(declared(television, "sp_campaigns"))
    assert fact is not None
    assert [(each.product, len(each.columns)) for each in fact.inputs] == [
        ("SPONSORED_TELEVISION", 12),
        ("SPONSORED_PRODUCTS", 10),
    ]


def test_columns_that_a_report_lacks_are_known_to_lack() -> None:
    fact = fact_of(declared({**SP, "columns": ["date", *IDS, "spend", "sales7d"]}))
    assert fact is not None
    assert dict(fact.inputs[0].columns) == {
        "campaign_id": "campaign_id",
        "campaign_name": "campaign_name",
        "ad_group_id": "ad_group_id",
        "ad_group_name": "ad_group_name",
        "currency_code": "currency_code",
        "cost": "spend",
        "as_of": "as_of",
    }


def test_a_report_that_has_the_facts_name_is_refused() -> None:
    with pytest.raises(PermanentFailure, match="ads_daily is the name"):
        fact_of(declared("sp_campaigns", {**SB, "name": facts.NAME}))
