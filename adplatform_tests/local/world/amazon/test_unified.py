"""The Ads API v1 of the simulated Amazon over the wire."""

import csv
import io
from datetime import timedelta
from typing import Any

import httpx
import pytest

from adplatform.local.world.amazon.accounts import DEMO_ACCOUNTS, DEMO_CREDENTIALS
from adplatform_tests.local.world.amazon.support import HTTP, NOW, Ads

ACCOUNT = DEMO_ACCOUNTS.advertisers[0].id
CLIENT = {"Amazon-Ads-ClientId": DEMO_CREDENTIALS["ads"].client_id}
FIELDS = ["date.value", "adProduct.value", "campaign.id", "budgetCurrency.value", "metric.clicks", "metric.totalCost"]
DAY = (NOW - timedelta(days=3)).date().isoformat()


def call(ads: Ads, path: str, body: Any, **headers: str) -> httpx.Response:
    return ads.call("POST", f"/adsApi/v1/{path}", json=body, headers={**CLIENT, **headers})


def order(ads: Ads, *fields: str, account: str = ACCOUNT, start: str = DAY, **query: Any) -> httpx.Response:
    report = {
        "format": "CSV",
        "periods": [{"datePeriod": {"startDate": start, "endDate": DAY}}],
        "query": {"fields": list(fields or FIELDS), **query},
    }
    return call(
        ads, "create/reports", {"accessRequestedAccounts": [{"advertiserAccountId": account}], "reports": [report]}
    )


def told(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 207
    report: dict[str, Any] = answer.json()["success"][0]["report"]
    return report


def rows(ads: Ads, **query: Any) -> list[dict[str, str]]:
    made = told(order(ads, **query))
    ads.finish()
    ready = told(call(ads, "retrieve/reports", {"reportIds": [made["reportId"]]}))
    (part,) = ready["completedReportParts"]
    body = HTTP.get(part["url"])
    assert len(body.content) == part["sizeInBytes"]
    return list(csv.DictReader(io.StringIO(body.text)))


def test_a_filter_takes_the_names_that_amazon_has_for_products_and_rows_show_others(ads: Ads) -> None:
    every = rows(ads)
    assert {row["adProduct.value"] for row in every} == {"Sponsored Products", "Sponsored Brands", "Sponsored Display"}
    assert {row["budgetCurrency.value"] for row in every} == {"USD", "CAD", "EUR", "JPY"}, "of every region"
    only = {"field": "adProduct.value", "comparisonOperator": "EQUALS", "not": False, "values": ["SPONSORED_BRANDS"]}
    some = rows(ads, filter={"on": only})
    assert some
    assert sorted(map(str, some)) == sorted(str(row) for row in every if row["adProduct.value"] == "Sponsored Brands")


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (["date.value", "metric.sales"], "400006: field metric.sales cannot be used without also including fields"),
        (
            ["convertedProduct.id", "metric.clicks"],
            "400004: field convertedProduct.id cannot be used along with fields",
        ),
        (["date.value", "metric.click"], "400005: field metric.click"),
        (["date"], "400013: field date has invalid format"),
    ],
)
def test_fields_that_amazon_does_not_take_are_refused_by_name(ads: Ads, asked: list[str], says: str) -> None:
    refused = order(ads, *asked)
    assert (refused.status_code, refused.json()["code"]) == (400, says[:6])
    assert refused.json()["message"].startswith(says)


def test_who_may_not_is_refused_and_what_is_not_there_is_told_within_the_answer(ads: Ads) -> None:
    assert order(ads, account="amzn1.ads-account.g.other").status_code == 403
    assert order(ads, start="2024-01-01").json()["code"] == "400000"
    assert call(ads, "create/reports", {}).json()["code"] == "400000"
    nobody = call(ads, "retrieve/reports", {"reportIds": ["x"]}, **{"Amazon-Ads-ClientId": "another"})
    assert (nobody.status_code, nobody.json()["code"]) == (401, "UNAUTHORIZED")
    made = told(order(ads))
    assert told(call(ads, "delete/reports", {"reportIds": [made["reportId"]]}))["status"] == "PENDING"
    gone = call(ads, "retrieve/reports", {"reportIds": [made["reportId"]]})
    assert gone.json()["error"][0]["errors"][0]["code"] == "RESOURCE_ID_NOT_FOUND"


def test_faults_are_of_an_account_and_of_its_reports(ads: Ads) -> None:
    world = ads.server.world
    world.fault("create_report", "throttle", match={"scope": ACCOUNT, "report_type": "unified"}, seconds=7)
    slow = order(ads)
    assert (slow.status_code, slow.json()["code"], slow.headers["Retry-After"]) == (429, "TOO_MANY_REQUESTS", "7")
    made = told(order(ads))["reportId"]
    world.fault("get_report", "fail", match={"report_id": made})
    assert told(call(ads, "retrieve/reports", {"reportIds": [made]}))["status"] == "PENDING"
    ads.finish()
    assert told(call(ads, "retrieve/reports", {"reportIds": [made]}))["failureCode"] == "INTERNAL_ERROR"
    last = world.requests.creates[-1]
    assert (last["scope"], last["start"], last["report_id"]) == (ACCOUNT, DAY, made)
