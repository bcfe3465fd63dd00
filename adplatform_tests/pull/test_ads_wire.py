"""An Ads account from the bytes of Amazon's answers to the table, the ledger and the messages."""

import gzip
import json
import logging
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from adplatform.amazon.ads.client import AdsApi, open_ads
from adplatform.amazon.sources import AdsSource
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.flow.slices import publish_slice
from adplatform.lake.query import run_query
from adplatform.ledger.report import Report, ReportState
from adplatform.local.world.amazon.accounts import DEMO_ACCOUNTS
from adplatform.local.world.amazon.advertising import Query, rows
from adplatform.pull.account import Account, account_of
from adplatform.pull.due import place_orders, poll_reports, reports_due
from adplatform.pull.ends import DOUBTFUL
from adplatform.pull.land import claim, finish, land
from adplatform_tests.amazon.wire import Seen, Wire, reply, serving_bytes
from adplatform_tests.support.platforms import Inbox
from adplatform_tests.support.runs import Nobody

NOON = datetime(2026, 6, 10, 20, tzinfo=UTC)
DAY = "2026-06-09"
PROFILES = [{"profileId": n, "countryCode": "US", "timezone": "America/Los_Angeles"} for n in (111, 222)]
ALLOWED = ", ".join(f"aColumnOfAmazons{n}" for n in range(200))
REFUSED = f"configuration columns includes invalid values: (aColumn). Allowed values: ({ALLOWED})"


@dataclass
class Ads:
    """The Ads API on a wire. It refuses ``aColumn``, and profile 222, which was taken away from the application."""

    services: Services
    at: list[datetime]
    work: Path
    document: bytes = b""
    orders: int = 0
    wire: Wire = field(init=False)
    api: AdsApi = field(init=False)

    def answer(self, seen: Seen) -> bytes:
        path, scope = urlsplit(seen.path).path, seen.headers.get("amazon-advertising-api-scope")
        if path == "/auth/o2/token":
            return reply(200, {"access_token": "Atza|S3CR3T", "token_type": "bearer", "expires_in": 3600})
        if path == "/v2/profiles":
            return reply(200, PROFILES)
        if path == "/document":
            return reply(200, self.document)
        if scope == "222":
            return reply(401, {"code": "401", "detail": "Not authorized to access scope 222"})
        if seen.method == "POST":
            refused = "aColumn" in json.loads(seen.body)["configuration"]["columns"]
            return reply(400, {"code": "400", "detail": REFUSED}) if refused else self.created()
        url = f"{self.wire.url}/document?X-Amz-Security-Token=S3CR3T&X-Amz-Signature=S3CR3T"
        found = {"reportId": path.rpartition("/")[2], "status": "COMPLETED", "fileSize": len(self.document), "url": url}
        return reply(200, found)

    def created(self) -> bytes:
        self.orders += 1
        return reply(200, {"reportId": f"r-{self.orders}", "status": "PENDING"})

    def run(self, account: Account) -> list[Report]:
        """Order, poll and publish all that can be."""
        place_orders(self.services, account, self.api)
        self.at[0] += timedelta(minutes=20)
        poll_reports(self.services, account, lambda: self.api)
        for number, due in enumerate(reports_due(self.services, account, Nobody())):
            claimed = claim(self.services.ledger, due.report, f"run-{number}")
            landed, slices = land(self.services, account, lambda: self.api, claimed, self.work, lambda _: None)
            for part in slices:
                publish_slice(self.services, part.flow, part.day, f"run-{number}", self.work)
            finish(self.services.ledger, landed)
        return [
            r
            for n in ("111", "222")
            for r in self.services.ledger.reports.of_feed(f"ads/{account.definitions[0].name}/{n}")
        ]

    def table(self, columns: str, name: str) -> list[tuple[Any, ...]]:
        prefix = self.services.settings.database_prefix
        sql = f"select {columns} from {prefix}ads.{name} order by all"
        return run_query(self.services.aws, self.services.glue, prefix, sql, 100)[1]


@pytest.fixture
def ads(services: Services, tmp_path: Path) -> Iterator[Ads]:
    at = [NOON]

    def sleep(seconds: float) -> None:
        at[0] += timedelta(seconds=seconds)

    timed = replace(services, now=lambda: at[0])
    provision(timed, [])
    (tmp_path / "work").mkdir()
    ads = Ads(timed, at, tmp_path / "work")
    members = {"client_id": "app", "client_secret": "S3CR3T-c", "refresh_token": "Atzr|S3CR3T"}
    secret = f"ads-{uuid.uuid4().hex}"
    timed.secrets.create_secret(Name=secret, SecretString=json.dumps(members))
    with serving_bytes(ads.answer) as ads.wire:
        tokens = tmp_path / "tokens"
        ads.api = open_ads(timed.secrets, secret, "na", timed.ledger, tokens, sleep=sleep, endpoint=ads.wire.url)
        yield ads


def account(*reports: Any) -> Account:
    declared = {"source": "ads", "credentials": "app", "start_date": DAY, "spread": "0s", "reports": list(reports)}
    return account_of(AdsSource.model_validate(declared))


def test_whatever_a_report_holds_is_in_the_table_or_kept_aside(ads: Ads) -> None:
    rows = """[
    {"campaignId": 9223372036854775807, "date": "2026-06-09", "adGroupId": null, "keywordId": 9007199254740993,
     "keywordText": "größe 大 😀 \\ud83d", "clicks": 3, "cost": 58.989999999999995, "sales": 0.1, "brandNew": {"a": 1}},
    {"date": "2026-06-09", "campaignId": 2, "clicks": 1, "cost": 1e-2, "sales": null},
    {"date": "2026-06-09", "campaignId": 2, "clicks": 1, "cost": 1e-2, "sales": null},
    {"date": "2026-06-09", "campaignId": "3", "clicks": 2.0, "cost": "7.5", "purchases": 0, "keywordText": "*"},
    {"date": "2026-06-09", "campaignId": 4},
    {"date": "2026-06-09", "campaignId": 5},
    {"date": "2026-06-09", "campaignId": 18446744073709551615, "clicks": 1},
    {"date": "2026-06-08", "campaignId": 6, "clicks": 1}
    ]"""
    ads.document = gzip.compress(rows.encode())
    landed, taken = ads.run(account("sb_targeting"))
    assert (landed.state, landed.rows, landed.outside_rows) == (ReportState.DONE, 7, 1)
    assert taken.state is ReportState.INTENDED
    columns = "campaign_id, ad_group_id, keyword_id, keyword_text, clicks, cost, sales"
    assert ads.table(columns, "sb_targeting") == [
        (2, None, None, None, 1, Decimal("0.01"), None),
        (2, None, None, None, 1, Decimal("0.01"), None),
        (3, None, None, "*", 2, Decimal("7.5"), None),
        (4, None, None, None, None, None, None),
        (5, None, None, None, None, None, None),
        (2**63 - 1, None, 2**53 + 1, "größe 大 😀 \N{REPLACEMENT CHARACTER}", 3, Decimal("58.99"), Decimal("0.1")),
    ]
    publication = ads.services.ledger.publications.of_feed("ads/sb_targeting/111")[-1]
    assert (publication.quarantined, publication.reasons) == (1, {"bad_bigint:campaign_id": 1})


def test_a_metric_of_another_type_is_no_value_and_its_row_stays(ads: Ads) -> None:
    ads.document = gzip.compress(
        b"""[{"date": "2026-06-09", "campaignId": 1, "cost": 4.5, "clicks": 3, "royaltyQualifiedBorrows": 0.5},
        {"date": "2026-06-09", "campaignId": 2, "cost": 1, "clicks": "none", "royaltyQualifiedBorrows": 2.5},
        {"date": "2026-06-09", "campaignId": 3, "cost": {"amount": 7}, "clicks": 1e30, "royaltyQualifiedBorrows": 2.0},
        {"date": "2026-06-09", "campaignId": "four", "cost": 1, "clicks": "none"},
        {"date": "2026-06-09", "campaignId": 5, "cost": 1, "clicks": 0}]"""
    )
    ads.run(account({"name": "mine", "extends": "sp_campaigns", "add": ["royaltyQualifiedBorrows"]}))
    assert ads.table("campaign_id, cost, clicks, royalty_qualified_borrows", "mine") == [
        (1, Decimal("4.5"), 3, None),
        (2, Decimal(1), None, None),
        (3, None, None, 2),
        (5, Decimal(1), 0, None),
    ]
    publication = ads.services.ledger.publications.of_feed("ads/mine/111")[-1]
    assert publication.reasons == {"bad_bigint:campaign_id": 1}
    assert publication.emptied == {
        "bad_decimal:cost": 1,
        "bad_bigint:clicks": 2,
        "bad_bigint:royalty_qualified_borrows": 2,
    }
    assert "clicks (2 rows, bad_bigint)" in publication.note


def test_a_report_of_the_demand_side_platform_becomes_a_table(ads: Ads) -> None:
    groups, columns = ("campaign", "supplySource", "placementSize"), ("orderId", "supplySource", "placementSize")
    query = Query("dspInventory", groups, ("date", *columns, "totalCost"))
    profile = next(each for each in DEMO_ACCOUNTS.profiles if each.demand_side)
    found = rows(query, profile, date.fromisoformat(DAY), NOON, 7)
    ads.document = gzip.compress(json.dumps(found).encode())
    ads.run(account({"name": "sizes", "report_type": "dspInventory", "group_by": groups, "columns": query.columns}))
    spent = [(r["orderId"], r["supplySource"], r["placementSize"], Decimal(f"{r['totalCost']:.6f}")) for r in found]
    assert ads.table("order_id, supply_source, placement_size, total_cost", "sizes") == sorted(spent)


@pytest.mark.slow
def test_members_whose_names_come_to_one_are_columns_of_their_own(ads: Ads) -> None:
    declared = account("sp_campaigns")
    ads.document = gzip.compress(b'[{"date": "2026-06-09", "campaignId": 1, "amazon_programs": "first"}]')
    ads.run(declared)
    ads.document = gzip.compress(
        b"""[{"date": "2026-06-09", "campaignId": 1, "amazon-programs": "new", "amazon_programs": "first"},
        {"date": "2026-06-09", "amazon_programs": "second", "campaignId": 2, "amazon-programs": "other",
         "Date": "mine", "3pFee": 1, "cost": 1.5, "cost": 2.5, "clicks": 4, "clicks": 4}]"""
    )
    ads.at[0] += timedelta(days=1)
    ads.run(declared)
    assert ads.table("campaign_id, amazon_programs, cost, clicks", "sp_campaigns") == [
        (1, "first", None, None),
        (2, "second", Decimal("1.5"), 4),
    ]
    prefix = ads.services.settings.database_prefix
    sql = f"select * from {prefix}ads.sp_campaigns where campaign_id = 2"
    names, [row] = run_query(ads.services.aws, ads.services.glue, prefix, sql, 1)
    told = {re.sub("_[a-z]{6}$", "", name): value for name, value in zip(names, row, strict=True)}
    assert {told[name] for name in ("amazon_programs", "date", "c_3pfee", "cost_2")} == {"other", "mine", "1", "2.5"}


def test_ids_beyond_bigint_have_a_type_that_holds_them(ads: Ads) -> None:
    ads.document = gzip.compress(b'[{"date": "2026-06-09", "campaignId": 18446744073709551615, "clicks": 1}]')
    columns = ["date", "campaignId", "clicks"]
    own = {"name": "mine", "report_type": "spCampaigns", "group_by": ["campaign"], "columns": columns}
    ads.run(account({**own, "unchecked_columns": {"campaignId": "decimal(20,0)"}}))
    assert ads.table("campaign_id", "mine") == [(2**64 - 1,)]


def test_a_refused_column_is_reported_with_the_allowed_ones_and_a_lost_profile_holds_up_no_other(ads: Ads) -> None:
    inbox = Inbox.subscribe(ads.services)
    wrong = {"name": "wrong", "extends": "sp_campaigns", "unchecked_columns": {"aColumn": "bigint"}}
    refused, taken = ads.run(account(wrong))
    assert (refused.state, refused.permanent, refused.report_id) == (ReportState.FAILED, True, "")
    assert REFUSED in refused.error
    assert (taken.state, taken.report_id) == (ReportState.INTENDED, ""), "it rests until access is given again"
    assert "Not authorized to access scope 222" in taken.error
    assert "(correct the report's definition)" in refused.error
    assert "(have the advertiser grant access, or leave the profile out)" in taken.error
    reported = {message["event"]: message["error"] for message in inbox.read()}
    assert reported == {"report_failed": refused.error, "access_refused": taken.error}
    ads.document = gzip.compress(b'[{"date": "2026-06-09", "campaignId": 1}]')
    assert [r.state for r in ads.run(account("sp_campaigns"))] == [ReportState.DONE, ReportState.INTENDED]


def test_no_secret_and_no_signed_address_is_kept_anywhere(ads: Ads, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("botocore", "urllib3", "boto3", "s3transfer"):
        logging.getLogger(name).setLevel(logging.WARNING)
    inbox = Inbox.subscribe(ads.services)
    ads.document = gzip.compress(b'[{"date": "2026-06-09", "campaignId": 1}]')
    reports = ads.run(account("sp_campaigns"))
    ledger, s3, bucket = ads.services.ledger, ads.services.s3, ads.services.zones.raw_bucket
    rows = ledger.client.scan(TableName=ledger.table, ConsistentRead=True)["Items"]
    objects = [
        {**s3.head_object(Bucket=bucket, Key=found["Key"]), "Key": found["Key"]}
        for found in s3.list_objects_v2(Bucket=bucket)["Contents"]
    ]
    kept = " ".join(map(str, (reports, rows, objects, inbox.read(), caplog.text)))
    assert "Not authorized to access scope 222" in kept
    assert not [word for word in ("S3CR3T", "X-Amz-", "Atza", "Atzr") if word in kept]


def test_an_empty_document_takes_rows_away_only_the_second_time(ads: Ads) -> None:
    declared = account("sp_campaigns")
    ads.document = gzip.compress(b'[{"date": "2026-06-09", "campaignId": 1}]')
    ads.run(declared)
    ads.document = gzip.compress(b"[]")
    ads.at[0] += timedelta(days=1)
    doubted = ads.run(declared)[1]
    assert (doubted.state, doubted.error) == (ReportState.FAILED, DOUBTFUL)
    assert ads.table("campaign_id", "sp_campaigns") == [(1,)]
    ads.at[0] += timedelta(minutes=40)
    assert [r.state for r in ads.run(declared)][:3] == [ReportState.DONE, ReportState.FAILED, ReportState.EMPTY]
    assert ads.table("campaign_id", "sp_campaigns") == []
