"""Accounts whose profiles share the partition of a date: each report is judged alone, and a date is shown once."""

import gzip
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from adplatform.amazon.sources import AdsSource
from adplatform.failures import PermanentFailure, SenderFailure
from adplatform.flow.collection import collect_source
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.flow.shared_dates import Done, Failure, publish_slices
from adplatform.flow.slices import publish_slice, slice_settler
from adplatform.flow.source import FeedFlow
from adplatform.lake.query import run_query
from adplatform.lake.table import TableName, table_name
from adplatform.ledger.scopes import Scope
from adplatform.pull.account import SLICE_FILE, Account, account_of
from adplatform.pull.build import build, built, facts_due
from adplatform.pull.derived import mark
from adplatform.pull.due import deliveries_due
from adplatform.pull.fact import Fact, fact_of
from adplatform.pull.pattern import account_source
from adplatform_tests.support.dying import dying
from adplatform_tests.support.runs import Nobody

DAY = date(2026, 6, 8)
PROFILES = tuple(Scope(profile, "UTC", "US", "USD", name=f"N{profile}") for profile in ("111", "222", "333"))


@dataclass
class Pull:
    """An account with one report, of which a test puts slices."""

    services: Services
    account: Account
    fact: Fact
    work: Path
    at: list[datetime]
    runs: list[str] = field(default_factory=list)

    def run_id(self) -> str:
        self.runs.append(f"run-{len(self.runs)}")
        return self.runs[-1]

    def flow(self, profile: str) -> FeedFlow:
        [(_, table)] = self.account.tables()
        return self.account.scoped(table, profile)

    def put(self, profile: str, clicks: int, *, body: bytes = b"") -> tuple[FeedFlow, date]:
        """A slice of one row that waits to be published."""
        flow = self.flow(profile)
        row = {"date": str(DAY), "campaignId": int(profile), "clicks": clicks, "cost": "1.5", "sales14d": "2"}
        stamps = {"_as_of": self.at[0].isoformat(), "_report_id": "r", "_currency": "USD", "_wave": 1}
        written = body or gzip.compress(json.dumps({**row, **stamps}).encode())
        key = flow.layout.key(DAY, SLICE_FILE)
        self.services.s3.put_object(Bucket=self.services.zones.raw_bucket, Key=key, Body=written)
        slice_settler(self.services, (flow,)).arrivals.reconcile(flow.layout.day_prefix(DAY))
        return flow, DAY

    def publish(self, *slices: tuple[FeedFlow, date]) -> dict[str, Done | Failure | None]:
        def marked(flow: FeedFlow, day: date, _: object) -> None:
            mark(self.services.ledger, [self.fact], flow, day)

        came = publish_slices(self.services, slices, self.run_id(), self.work, marked)
        return {name.rpartition("/")[2]: each for (name, _), each in came.items()}

    def facts(self) -> list[str]:
        found = []
        for each in facts_due(self.services, self.fact, Nobody())[0]:
            done = build(self.services, self.fact, each.scope, each.day, self.run_id(), self.work)
            if done is not None:
                built(self.services.ledger, self.fact, done)
                found.append(each.scope)
        return sorted(found)

    def shown(self, table: str = "sp") -> dict[str, int]:
        """Clicks by profile, each of one campaign."""
        prefix = self.services.settings.database_prefix
        sql = f"select profile_id, clicks, campaign_id from {prefix}ads.{table} order by all"
        _, rows = run_query(self.services.aws, self.services.glue, prefix, sql, 100)
        assert all(str(campaign) == profile for profile, _, campaign in rows)
        return {profile: clicks for profile, clicks, _ in rows}


def declared(**changes: Any) -> AdsSource:
    columns = ["date", "campaignId", "clicks", "cost", "sales14d"]
    report = {"name": "sp", "report_type": "spCampaigns", "group_by": ["campaign"], "columns": columns}
    common = {"source": "ads", "credentials": "ads/secret", "start_date": str(DAY), "layout": "compacted"}
    return AdsSource.model_validate({**common, "reports": [report], **changes})


@pytest.fixture
def pull(services: Services, tmp_path: Path) -> Pull:
    at = [datetime(2026, 6, 10, 20, tzinfo=UTC)]
    timed = replace(services, now=lambda: at[0])
    provision(timed, [])
    account = account_of(declared())
    fact, work = fact_of(account), tmp_path / "work"
    work.mkdir()
    timed.ledger.scopes.put("ads", PROFILES)
    assert fact is not None
    return Pull(timed, account, fact, work, at)


def test_profiles_are_published_together_and_one_that_cannot_be_keeps_back_no_other(pull: Pull) -> None:
    came = pull.publish(pull.put("111", 1), pull.put("222", 2, body=b"no gzip"), pull.put("333", 3))
    assert isinstance(came["222"], SenderFailure)
    assert pull.shown() == {"111": 1, "333": 3}
    [partition] = pull.services.lake.catalog.partitions(_named(pull))
    assert (partition.value, partition.parameters["adplatform.rows"]) == (str(DAY), "2")
    published = [came[profile] for profile in ("111", "333")]
    assert [each[0].clean for each in published if isinstance(each, tuple)] == [1, 1]
    ledger = pull.services.ledger
    assert ledger.deliveries.get("ads/sp/222", DAY).published == 0
    assert pull.facts() == ["111", "333"]
    assert pull.shown("ads_daily") == {"111": 1, "333": 3}
    pull.at[0] += timedelta(minutes=5)
    assert pull.publish(pull.put("222", 5), (pull.flow("111"), DAY))["111"] is None
    assert pull.facts() == ["222"]
    assert pull.shown() == pull.shown("ads_daily") == {"111": 1, "222": 5, "333": 3}


@pytest.mark.parametrize("moments", [range(21, 22), pytest.param(range(1, 999), marks=pytest.mark.slow)])
@pytest.mark.timeout(1200)
def test_a_kill_at_any_write_of_two_profiles_loses_neither(pull: Pull, moments: range) -> None:
    pull.publish(pull.put("111", 0), pull.put("333", 0))
    died, third = False, 0
    for writes in moments:
        slices = pull.put("111", writes), pull.put("222", writes)
        died = dying(pull.services, writes, lambda slices=slices: pull.publish(*slices))  # type: ignore[misc]
        pull.at[0] += timedelta(minutes=5)
        if writes % 2:
            third = writes
            pull.publish(pull.put("333", third))  # somebody else's, on what was left
        for left in deliveries_due(pull.services, pull.account, Nobody())[0]:
            publish_slice(pull.services, left.flow, left.day, pull.run_id(), pull.work)
        assert pull.shown() == {"111": writes, "222": writes, "333": third}, writes
        if not died:
            break
    assert died == (len(moments) == 1)


@pytest.mark.slow
def test_a_table_that_exists_keeps_its_layout_until_it_is_dropped(pull: Pull) -> None:
    apart, services = replace(pull, account=account_of(declared(layout="per_scope"))), pull.services
    for profile, clicks in (("111", 1), ("222", 2)):
        publish_slice(services, *apart.put(profile, clicks), "r", apart.work)
    came = pull.publish(pull.put("333", 3))
    assert isinstance(came["333"], PermanentFailure)
    assert "adplatform collect" in str(came["333"])
    assert pull.shown() == {"111": 1, "222": 2}
    source, zones = account_source(pull.account, services.zones.raw_bucket), services.zones

    def copies() -> list[str]:
        return [o.key for o in services.store.listing(zones.clean_bucket, zones.clean("ads/sp"))]

    for one, clicks in ((pull, 4), (apart, 6)):
        services.glue.delete_table(DatabaseName=_named(pull).database, Name="sp")
        publish_slice(services, *one.put("333", clicks), pull.run_id(), pull.work)
        assert one.shown() == {"333": clicks}
        assert len(copies()) == (1 if one is pull else 2)
        [compared] = [each.compared for flow, each in collect_source(services, source, "c") if flow.feed.name == "sp"]
        assert compared.repaired
        assert not compared.to_report
        assert one.shown() == {"111": 1, "222": 2, "333": clicks}


def test_iceberg_has_partitions_of_scopes() -> None:
    with pytest.raises(ValidationError, match="layout: compacted is for table_format: parquet"):
        declared(table_format="iceberg")


def _named(pull: Pull) -> TableName:
    return table_name("ads/sp", pull.services.settings.database_prefix)
