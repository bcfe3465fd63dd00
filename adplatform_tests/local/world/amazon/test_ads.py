"""The Ads API over the wire: profiles, the life of a report, and every refusal with its words."""

import gzip
import json
from datetime import timedelta
from typing import Any

import pytest

from adplatform.local.world.amazon.server import Server
from adplatform_tests.local.world.amazon.support import COLUMNS, GERMANY, HTTP, JAPAN, NOW, US, Ads, days_ago, login

READING = {"accessLevel": "view", "apiProgram": "report"}


def profiles(ads: Ads, **asked: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = ads.call("GET", "/v2/profiles", params=asked).json()
    return listed


def test_each_region_lists_its_own_profiles(server: Server) -> None:
    listed = {region: profiles(Ads(server, region=region), **READING) for region in ("na", "eu", "fe")}
    assert {region: [p["countryCode"] for p in found] for region, found in listed.items()} == {
        "na": ["US", "CA"],
        "eu": ["DE"],
        "fe": ["JP"],
    }
    assert listed["na"][0]["profileId"] == int(US)
    assert listed["fe"][0]["timezone"] == "Asia/Tokyo"
    vendors = profiles(Ads(server), **READING, profileTypeFilter="vendor,agency")
    assert [p["accountInfo"]["type"] for p in vendors] == ["vendor"]
    assert "dailyBudget" not in vendors[0]
    payable = profiles(Ads(server), **READING, validPaymentMethodFilter="true")
    assert [p["countryCode"] for p in payable] == ["US"]


@pytest.mark.parametrize("asked", [{}, {"accessLevel": "view"}, {"apiProgram": "report"}, {"accessLevel": "edit"}])
def test_a_profile_that_may_only_be_read_is_listed_to_readers_of_reports(ads: Ads, asked: dict[str, str]) -> None:
    assert [p["countryCode"] for p in profiles(ads, **asked)] == ["US"]


def test_unknown_filters_of_profiles_are_refused(ads: Ads) -> None:
    answered = ads.call("GET", "/v2/profiles", params={"accessLevel": "read"})
    assert (answered.status_code, answered.json()["detail"]) == (
        400,
        "accessLevel includes invalid values: (read). Allowed values: (edit, view)",
    )


def test_report_from_order_to_rows(ads: Ads) -> None:
    created = ads.create(days_ago(3), days_ago(2))
    assert created.status_code == 200
    assert created.headers["Content-Type"] == "application/vnd.createasyncreportresponse.v3+json"
    report = created.json()
    assert (report["status"], report["url"], report["fileSize"]) == ("PENDING", None, None)
    assert report["configuration"]["filters"] is None
    assert report["createdAt"] == "2026-11-20T18:00:00.000Z"
    seen = []
    for _ in range(3):
        seen.append(ads.get(report["reportId"]).json()["status"])
        ads.server.world.clock.advance(2.5)
    assert seen == ["PENDING", "PROCESSING", "COMPLETED"]
    reported = ads.get(report["reportId"]).json()
    ads.server.world.clock.advance(1)
    assert reported["url"] != ads.get(report["reportId"]).json()["url"], "signed anew for every answer"
    body = HTTP.get(reported["url"])
    assert len(body.content) == reported["fileSize"]
    assert "Content-Encoding" not in body.headers
    text = gzip.decompress(body.content).decode()
    assert text.startswith("[{")
    assert "キャンプ" in text
    rows = body_rows(body.content)
    assert {row["date"] for row in rows} == {days_ago(3), days_ago(2)}
    assert len({tuple(row) for row in rows}) > 1, "members come in no order"
    assert all(row["campaignId"] > 2**53 for row in rows)


def body_rows(body: bytes) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(gzip.decompress(body))
    return rows


def test_report_without_rows_is_22_bytes(ads: Ads) -> None:
    none = {"filters": [{"field": "adStatus", "values": ["ARCHIVED"]}], "groupBy": ["adGroup"], "columns": ["date"]}
    created = ads.create(days_ago(3), **none).json()
    ads.finish()
    reported = ads.get(created["reportId"]).json()
    assert reported["fileSize"] == 22
    assert gzip.decompress(HTTP.get(reported["url"]).content) == b"[]"


def test_summary_is_the_sum_of_the_days(ads: Ads) -> None:
    columns = ["campaignId", "clicks", "impressions"]
    daily = ads.report(days_ago(9), days_ago(5), columns=["date", *columns])
    whole = ads.report(days_ago(9), days_ago(5), columns=["startDate", "endDate", *columns], timeUnit="SUMMARY")
    assert {row["endDate"] for row in whole} == {days_ago(5)}
    for row in whole:
        assert row["clicks"] == sum(d["clicks"] for d in daily if d["campaignId"] == row["campaignId"])


RETENTION_START = NOW.date() - timedelta(days=95)
REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"columns": ["date", "targeting"]},
        "configuration columns includes invalid values: (targeting). Allowed values: (addToList, ",
    ),
    (
        {"columns": ["startDate", "clicks"]},
        "configuration startDate and endDate are not supported columns for DAILY time unit. Please use date instead.",
    ),
    (
        {"timeUnit": "SUMMARY"},
        "configuration date is not a supported column for SUMMARY time unit. "
        "Please use startDate and/or endDate instead.",
    ),
    (
        {"start": days_ago(96), "end": days_ago(90)},
        f"startDate ({days_ago(96)}) must be equal to or after report type data retention start date "
        f"({RETENTION_START})",
    ),
    (
        {
            "reportTypeId": "spAdvertisedProduct",
            "groupBy": ["advertiser"],
            "filters": [{"field": "campaignStatus", "values": ["ENABLED"]}],
        },
        "configuration filters includes fields: (campaignStatus) which are invalid for groupBys: advertiser. "
        "Allowed filters for groupBy advertiser: (field: adCreativeStatus, values: ENABLED, PAUSED, 'ARCHIVED')",
    ),
    ({"groupBy": ["adGroup", "campaignPlacement"]}, "configuration groupBy includes values that do not go together"),
    ({"groupBy": ["keyword"]}, "configuration groupBy includes invalid values: (keyword). Allowed values: ("),
    ({"reportTypeId": "spNothing"}, "configuration reportTypeId includes invalid values: (spNothing)."),
    ({"adProduct": "SPONSORED_BRANDS"}, "configuration adProduct includes invalid values: (SPONSORED_BRANDS)."),
    ({"columns": []}, "configuration columns must not be null or empty"),
    ({"start": days_ago(40), "end": days_ago(9)}, "The range from startDate to endDate must not be longer than 31"),
    ({"start": days_ago(3), "end": days_ago(-3)}, "endDate ("),
    ({"start": "yesterday"}, "startDate must be a date"),
    (
        {"timeUnit": "HOURLY"},
        "configuration timeUnit includes invalid values: (HOURLY). Allowed values: (DAILY, SUMMARY)",
    ),
    ({"reportTypeId": "dspCampaign", "adProduct": "DEMAND_SIDE_PLATFORM"}, "Invalid Advertiser or Marketplace ID."),
    ({"groupBy": "campaign"}, "configuration groupBy has a value of a wrong type"),
    ({"columns": [["date"]]}, "configuration columns has a value of a wrong type"),
    ({"reportTypeId": ["spCampaigns"]}, "configuration reportTypeId has a value of a wrong type"),
    ({"filters": [{"field": "campaignStatus"}]}, "configuration filters must be a list of objects"),
]


@pytest.mark.parametrize(("changed", "detail"), REFUSED)
def test_invalid_orders_are_refused_in_amazons_words(ads: Ads, changed: dict[str, Any], detail: str) -> None:
    configuration = dict(changed)
    start, end = configuration.pop("start", days_ago(3)), configuration.pop("end", None)
    if "reportTypeId" in configuration and "filters" in configuration:
        configuration["columns"] = ["date", "clicks"]
    answered = ads.create(start, end, **configuration)
    assert (answered.status_code, answered.json()["code"]) == (400, "400")
    assert answered.json()["detail"].startswith(detail)


def test_a_column_that_amazon_withdraws_is_refused_with_those_that_are_left(ads: Ads) -> None:
    ads.server.world.set(withdrawn_columns=("cost",))
    detail = ads.create(days_ago(3)).json()["detail"]
    assert detail.startswith("configuration columns includes invalid values: (cost). Allowed values: (")
    assert ", clicks, costPerClick, " in detail
    assert ads.create(days_ago(3), columns=["date", "clicks"]).status_code == 200


def test_31_days_and_the_oldest_date_are_taken(ads: Ads) -> None:
    assert ads.create(days_ago(95), days_ago(65)).status_code == 200


def test_retention_moves_at_midnight_of_the_profile(server: Server) -> None:
    japan = Ads(server, JAPAN, "fe")
    assert japan.create(days_ago(95)).status_code == 400, "it is already tomorrow in Tokyo"
    assert japan.create(days_ago(94)).status_code == 200


def test_equal_order_is_a_duplicate_while_unfinished(ads: Ads) -> None:
    first = ads.create(days_ago(3)).json()["reportId"]
    again = ads.create(days_ago(3), columns=list(reversed(COLUMNS)))
    assert again.status_code == 425
    assert again.json() == {"code": "425", "detail": f"The Request is a duplicate of : {first}"}
    assert ads.create(days_ago(3), timeUnit="SUMMARY", columns=["clicks"]).status_code == 200
    assert Ads(ads.server, "1460298317755031").create(days_ago(3)).status_code == 200, "of another profile"
    ads.finish()
    assert ads.create(days_ago(3)).json()["reportId"] != first


def test_finished_equal_report_is_remembered_when_set(ads: Ads) -> None:
    ads.server.world.set(memo_seconds=600)
    first = ads.create(days_ago(3)).json()["reportId"]
    ads.finish()
    again = ads.create(days_ago(3))
    assert (again.status_code, again.json()["reportId"], again.json()["status"]) == (200, first, "COMPLETED")
    ads.server.world.clock.advance(600)
    assert ads.create(days_ago(3)).json()["reportId"] != first


def test_pending_report_can_be_deleted(ads: Ads) -> None:
    report_id = ads.create(days_ago(3)).json()["reportId"]
    deleted = ads.call("DELETE", f"/reporting/reports/{report_id}")
    assert (deleted.status_code, deleted.json()["reportId"]) == (200, report_id)
    assert deleted.headers["Content-Type"] == "application/vnd.deleteasyncreportresponse.v3+json"
    assert ads.get(report_id).status_code == 404
    other = ads.create(days_ago(3)).json()["reportId"]
    ads.finish()
    assert ads.call("DELETE", f"/reporting/reports/{other}").status_code == 403


def test_full_queue_throttles_with_time_to_wait(ads: Ads) -> None:
    ads.server.world.set(ads_queue_limit=1)
    ads.create(days_ago(3))
    answered = ads.create(days_ago(4))
    assert (answered.status_code, answered.headers["Retry-After"]) == (429, "5")
    ads.server.world.set(ads_retry_after=False)
    assert "Retry-After" not in ads.create(days_ago(4)).headers
    ads.finish()
    assert ads.create(days_ago(4)).status_code == 200


@pytest.mark.parametrize(
    ("headers", "detail"),
    [
        ({"Authorization": "Bearer Atza|unknown"}, "Invalid or expired access token"),
        ({"Authorization": ""}, "Invalid or expired access token"),
        ({"Amazon-Advertising-API-ClientId": "other"}, "Amazon-Advertising-API-ClientId header is missing"),
        ({"Amazon-Advertising-API-Scope": ""}, "Scope header is missing"),
        ({"Amazon-Advertising-API-Scope": "1"}, "No matching advertiser found for scope"),
        ({"Amazon-Advertising-API-Scope": GERMANY}, "No matching advertiser found for scope"),
    ],
)
def test_headers_are_checked(ads: Ads, headers: dict[str, str], detail: str) -> None:
    answered = ads.call("GET", "/reporting/reports/any", headers=headers)
    assert answered.status_code == 401
    assert answered.json()["detail"].startswith(detail)


def test_tokens_expire_by_the_clock_and_belong_to_one_api(ads: Ads, server: Server) -> None:
    assert ads.get("any").status_code == 404
    server.world.clock.advance(3600)
    assert ads.get("any").status_code == 401
    foreign = Ads(server, token=login(server.url, "selling_partner").json()["access_token"])
    assert foreign.get("any").status_code == 401


def test_media_types(ads: Ads) -> None:
    answered = ads.call("POST", "/reporting/reports", content="{}", headers={"Content-Type": "text/plain"})
    assert answered.status_code == 415
    assert ads.call("POST", "/reporting/reports", json={}).status_code == 400, "plain JSON is taken, too"
    report_id = ads.create(days_ago(3)).json()["reportId"]
    path, vendor = f"/reporting/reports/{report_id}", "application/vnd.getasyncreportresponse.v3+json"
    for accepted, reported in (("*/*", vendor), (vendor, vendor), ("application/json", "application/json")):
        assert ads.call("GET", path, headers={"Accept": accepted}).headers["Content-Type"] == reported
    assert ads.call("GET", path, headers={"Accept": "application/vnd.spcampaign.v3+json"}).status_code == 406


def test_the_token_is_taken_as_a_bearer_only(ads: Ads) -> None:
    token = ads.headers()["Authorization"].removeprefix("Bearer ")
    assert ads.call("GET", "/v2/profiles", headers={"Authorization": token}).status_code == 401


def test_download_needs_the_signed_url_alone_and_in_time(ads: Ads) -> None:
    report_id = ads.create(days_ago(3)).json()["reportId"]
    ads.finish()
    reported = ads.get(report_id).json()
    assert reported["urlExpiresAt"] == "2026-11-20T19:01:00.000000Z"
    with_login = HTTP.get(reported["url"], headers={"Authorization": "Bearer x"})
    assert (with_login.status_code, "<Code>InvalidArgument</Code>" in with_login.text) == (400, True)
    signed_too_little = HTTP.get(reported["url"], headers={"x-amz-access-token": "Atza|x"})
    assert (signed_too_little.status_code, "which were not signed" in signed_too_little.text) == (403, True)
    assert HTTP.get(f"{reported['url'].partition('X-Amz-Signature=')[0]}X-Amz-Signature=%C3%A9").status_code == 403
    assert HTTP.get(reported["url"].replace("X-Amz-Expires=3600", "X-Amz-Expires=9999")).status_code == 403
    ads.server.world.clock.advance(3600)
    late = HTTP.get(reported["url"])
    assert (late.status_code, late.headers["Content-Type"]) == (403, "application/xml")
    assert "<Code>AccessDenied</Code><Message>Request has expired</Message>" in late.text
    ads.token = ""
    assert HTTP.get(ads.get(report_id).json()["url"]).status_code == 200
