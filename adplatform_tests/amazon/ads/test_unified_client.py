"""The client of the Ads API v1 on a wire: what it sends, and what it makes of answers good and bad."""

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from adplatform.amazon.ads.client import open_ads
from adplatform.amazon.ads.unified.client import UnifiedReports
from adplatform.amazon.reports import Created, Progress, ReportApi, ReportOrder, ReportStatus
from adplatform.failures import AccessRefused, PermanentFailure, TransientFailure
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.scopes import Scope
from adplatform_tests.amazon.shared import Shared
from adplatform_tests.amazon.wire import RESET, Seen, Wire, in_turn, reply, serving_bytes

NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
ACCOUNT = "amzn1.ads-account.g.87rerlyohs3b1cmj2rem03xmd"
ID = "632d8a38-61e9-4e32-87e0-9997f7a5949c"
CREATE, RETRIEVE = "/adsApi/v1/create/reports", "/adsApi/v1/retrieve/reports"
FIELDS = ["date.value", "campaign.id", "budgetCurrency.value", "metric.totalCost"]
ORDER = ReportOrder(
    "ads/x", "unified", ACCOUNT, date(2026, 11, 6), date(2026, 11, 19), {"format": "CSV", "fields": FIELDS}
)
PERIOD = {"datePeriod": {"startDate": "2026-11-06", "endDate": "2026-11-19"}}
BODY = b'"date.value","campaign.id"\n"2026-11-06","1"\n'


@dataclass
class Amazon:
    """The Ads API v1, Login with Amazon and its storage on one address."""

    wire: Wire
    routes: dict[str, Callable[[Seen], bytes]]
    api: UnifiedReports
    folder: Path
    slept: list[float] = field(default_factory=list)

    def answers(self, path: str, *answers: bytes) -> None:
        self.routes[path] = in_turn(*answers)

    def told(self, status: str = "COMPLETED", **changed: Any) -> bytes:
        """An answer about the report."""
        part = {"url": f"{self.wire.url}/document?X-Amz-Signature=S3CR3T", "sizeInBytes": 7}
        told = {
            "reportId": ID,
            "status": status,
            "format": "CSV",
            "periods": [PERIOD],
            "query": {"fields": FIELDS},
            **({"completedReportParts": [part]} if status == "COMPLETED" else {}),
            **changed,
        }
        return reply(207, {"error": None, "success": [{"index": 0, "report": told}]})

    def progress(self, *answers: bytes) -> Progress:
        self.answers(RETRIEVE, *answers)
        return self.api.progress(ORDER, ID)

    def asked(self, path: str) -> list[Any]:
        return [json.loads(seen.body) for seen in self.wire.seen if urlsplit(seen.path).path == path]


@pytest.fixture
def amazon(shared: Shared, tmp_path: Path) -> Iterator[Amazon]:
    name, at = f"ads-{uuid.uuid4().hex}", [NOW]
    members = {"client_id": name, "client_secret": "s", "refresh_token": "r"}
    shared.secrets.create_secret(Name=name, SecretString=json.dumps(members))
    routes = {"/auth/o2/token": in_turn(reply(200, {"access_token": "Atza|token", "expires_in": 3600}))}
    with serving_bytes(lambda seen: routes[urlsplit(seen.path).path](seen)) as wire:
        slept: list[float] = []

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            at[0] += timedelta(seconds=seconds)

        ledger = Ledger(shared.dynamodb, shared.table, lambda: at[0])
        given = (shared.secrets, name, "na", ledger, tmp_path / "tokens")
        ads = open_ads(*given, sleep=sleep, endpoint=wire.url, patience=timedelta(minutes=1))
        yield Amazon(wire, routes, ads.unified, tmp_path, slept)


def failed(code: str, message: str) -> bytes:
    return reply(207, {"success": [], "error": [{"index": 0, "errors": [{"code": code, "message": message}]}]})


def refused(code: str, message: str, status: int = 400) -> bytes:
    return reply(status, {"code": code, "message": message})


def test_an_order_is_sent_as_amazon_declares_it(amazon: Amazon) -> None:
    general: ReportApi = amazon.api
    amazon.answers(CREATE, amazon.told("PENDING"))
    assert general.create(ORDER, NOW, again=False) == Created(ID)
    seen = next(s for s in amazon.wire.seen if s.path == CREATE)
    assert json.loads(seen.body) == {
        "accessRequestedAccounts": [{"advertiserAccountId": ACCOUNT}],
        "reports": [{"format": "CSV", "periods": [PERIOD], "query": {"fields": FIELDS}}],
    }
    sent = seen.headers
    assert sent["amazon-ads-clientid"] == sent["amazon-advertising-api-clientid"] == amazon.api.api.tokens.client_id
    assert (sent["content-type"], sent["authorization"]) == ("application/json", "Bearer Atza|token")
    assert "amazon-advertising-api-scope" not in sent, "the account stands in the body"


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (
            refused("400006", "400006: field metric.totalCost cannot be used without also including fields: (x.value)"),
            PermanentFailure,
            r"\(correct the report's fields\): invalid: 400006: field metric.totalCost cannot",
        ),
        (failed("FIELD_VALUE_IS_INVALID", "Invalid field a.b"), PermanentFailure, "correct the report's fields"),
        (refused("FORBIDDEN", "Forbidden", 403), AccessRefused, "needs a role in the account"),
        (refused("BAD_REQUEST", "Multi-account authorization failed"), AccessRefused, "needs a role in the account"),
        (failed("ACCESS_DENIED_FOR_MANAGER_ACCOUNT", "no"), AccessRefused, ACCOUNT),
        (failed("TOO_MANY_REQUESTS", "slow down"), TransientFailure, "for now: TOO_MANY_REQUESTS slow down"),
        (failed("INTERNAL_ERROR", "oh"), TransientFailure, "for now"),
        (failed("UNAUTHORIZED", "who"), TransientFailure, "for now"),
        (reply(207, {"success": [], "error": None}), TransientFailure, "has no report"),
        (reply(207, {"success": [{"index": 0, "report": {}}]}), TransientFailure, "named no report"),
    ],
)
def test_a_refused_order_says_what_amazon_says_and_who_has_to_act(
    amazon: Amazon, answer: bytes, error: type[Exception], says: str
) -> None:
    amazon.answers(CREATE, answer)
    with pytest.raises(error, match=says):
        amazon.api.create(ORDER, NOW, again=False)


def test_an_order_whose_answer_is_lost_is_not_repeated_at_once(amazon: Amazon) -> None:
    amazon.answers(CREATE, RESET)
    with pytest.raises(TransientFailure, match="may have been accepted"):
        amazon.api.create(ORDER, NOW, again=False)
    assert len(amazon.asked(CREATE)) == 1


def test_should_amazon_call_an_order_a_duplicate_the_report_is_taken_where_it_is_the_same(amazon: Amazon) -> None:
    amazon.answers(CREATE, refused("425", f"The Request is a duplicate of : {ID}", 425))
    amazon.answers(RETRIEVE, amazon.told("PROCESSING"), amazon.told(query={"fields": FIELDS[:2]}))
    assert amazon.api.create(ORDER, NOW, again=True) == Created(ID, adopted=True)
    with pytest.raises(TransientFailure, match="another report is in the way"):
        amazon.api.create(ORDER, NOW, again=True)


@pytest.mark.parametrize(
    ("status", "changed", "wanted"),
    [
        ("PENDING", {}, ReportStatus.QUEUED),
        ("PROCESSING", {}, ReportStatus.PROCESSING),
        ("SOMETHING_NEW", {}, ReportStatus.PROCESSING),
        ("COMPLETED", {}, ReportStatus.READY),
        ("COMPLETED", {"completedReportParts": []}, ReportStatus.PROCESSING),
        ("COMPLETED", {"completedReportParts": [{"url": "u", "sizeInBytes": 0}]}, ReportStatus.EMPTY),
        ("COMPLETED", {"query": {"fields": [*FIELDS[::-1], "a.b"]}, "periods": None}, ReportStatus.READY),
        ("COMPLETED", {"periods": [{"datePeriod": {"startDate": "soon"}}]}, ReportStatus.FAILED),
    ],
)
def test_states(amazon: Amazon, status: str, changed: dict[str, Any], wanted: ReportStatus) -> None:
    assert amazon.progress(amazon.told(status, **changed)).status is wanted
    assert amazon.asked(RETRIEVE) == [{"reportIds": [ID]}]


def test_why_a_report_failed_is_amazons_reason(amazon: Amazon) -> None:
    found = amazon.progress(amazon.told("FAILED", failureCode="E1", failureReason="too large"))
    assert (found.status, found.reason, found.retryable) == (ReportStatus.FAILED, "E1: too large", True)
    assert amazon.progress(failed("RESOURCE_ID_NOT_FOUND", "which")).status is ReportStatus.GONE
    parts = [{"url": "u", "sizeInBytes": 5}] * 2
    split = amazon.progress(amazon.told(completedReportParts=parts))
    assert (split.status, split.retryable) == (ReportStatus.FAILED, False)
    assert "in 2 parts" in split.reason


def test_a_report_of_other_dates_or_fields_is_not_taken_for_the_ordered_one(amazon: Amazon) -> None:
    earlier = amazon.progress(
        amazon.told(periods=[{"datePeriod": {"startDate": "2026-11-05", "endDate": "2026-11-19"}}])
    )
    assert earlier.otherwise is not None
    assert (earlier.otherwise.text, earlier.otherwise.options) == ("2026-11-05 to 2026-11-19", False)
    other = amazon.progress(amazon.told(query={"fields": FIELDS[:2], "filter": {"on": {}}}, format="GZIP_JSON"))
    assert other.otherwise is not None
    assert other.otherwise.text == "no budgetCurrency.value, metric.totalCost; a filter; format GZIP_JSON"
    assert other.otherwise.options


def test_the_document_is_fetched_by_a_new_address_where_one_has_expired(amazon: Amazon) -> None:
    expired = reply(403, "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")
    amazon.answers(RETRIEVE, amazon.told())
    amazon.answers("/document", expired, reply(200, BODY))
    document = amazon.api.fetch(ORDER, Progress(ID, ReportStatus.READY, ID), amazon.folder / "document")
    assert document.path.read_bytes() == BODY, "whatever size Amazon says that it has"
    assert len(amazon.asked(RETRIEVE)) == 2
    (*_, seen) = amazon.wire.seen
    assert not [name for name in seen.headers if name.startswith("amazon-") or name == "authorization"]


def test_accounts_are_those_of_all_pages_without_the_countries_of_a_global_one(amazon: Amazon) -> None:
    def account(name: str, *ids: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"advertiserAccountId": name, "alternateIds": list(ids), **more}

    us, jp = {"countryCode": "US", "profileId": "1"}, {"countryCode": "JP", "profileId": 2}
    entity = {"countryCode": "US", "entityId": "ENTITY1"}
    dsp = account("587", {"countryCode": "DE", "dspAdvertiserId": "587"}, timeZoneIana="Europe/Berlin")
    first = [account("all", us, entity, jp, isGlobalAccount=True, displayName="Everywhere"), account("us", us), dsp]
    second = [dsp, account("other", {"countryCode": "JP", "profileId": "3"}), account("nowhere"), {"displayName": "x"}]
    amazon.answers(
        "/adsApi/v1/query/advertiserAccounts",
        reply(200, {"advertiserAccounts": first, "nextToken": "more"}),
        reply(200, {"advertiserAccounts": second}),
        reply(200, {"advertiserAccounts": [dsp, account("us", us)]}),
    )
    zones = {1: ("US", "America/Los_Angeles", "USD"), 2: ("JP", "Asia/Tokyo", "JPY"), 3: ("JP", "Asia/Tokyo", "JPY")}
    profiles = [
        {"profileId": name, "countryCode": country, "timezone": zone, "currencyCode": currency}
        for name, (country, zone, currency) in zones.items()
    ]
    amazon.answers("/v2/profiles", reply(200, profiles))
    assert amazon.api.scopes() == [
        Scope("all", "America/Los_Angeles", name="Everywhere", kind="global"),
        Scope("587", "Europe/Berlin", country="DE", kind="local"),
        Scope("other", "Asia/Tokyo", country="JP", currency="JPY", kind="local"),
        Scope("nowhere", "UTC", kind="local"),
    ]
    asked = amazon.asked("/adsApi/v1/query/advertiserAccounts")
    local = {"isGlobalAccountFilter": {"include": [False]}}
    assert asked == [{"maxResults": 100}, {"maxResults": 100, "nextToken": "more"}, {"maxResults": 100, **local}]
