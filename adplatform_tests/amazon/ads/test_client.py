"""The client of the Ads API on a wire: what it sends, and what it makes of answers good and bad."""

import gzip
import hashlib
import json
import logging
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from adplatform.amazon.ads.client import HOSTS, AdsApi, open_ads
from adplatform.amazon.http import PATIENCE, REFUSALS
from adplatform.amazon.reports import Created, Progress, ReportApi, ReportOrder, ReportStatus
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.ledger.ledger import Ledger
from adplatform_tests.amazon.shared import Shared
from adplatform_tests.amazon.wire import RESET, Seen, Wire, in_turn, reply, serving_bytes

NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
PROFILE = "4001002003004005"
ID = "3f0c1f5e-8a51-4a54-9d0b-6a2f7e1c9b10"
OTHER = "7b1d2c3e-0000-4a54-9d0b-6a2f7e1c9b11"
REPORT, REPORTS = f"/reporting/reports/{ID}", "/reporting/reports"
SECRETS = ("S3CR3T-of-the-client", "Atzr|S3CR3T-refresh")
CONFIGURATION = {
    "adProduct": "SPONSORED_PRODUCTS",
    "groupBy": ["campaign", "adGroup"],
    "columns": ["date", "campaignId", "adGroupId", "clicks", "cost"],
    "reportTypeId": "spCampaigns",
    "timeUnit": "DAILY",
    "format": "GZIP_JSON",
}
ORDER = ReportOrder("ads/sp 1", "spCampaigns", PROFILE, date(2026, 11, 6), date(2026, 11, 19), CONFIGURATION)
BODY = gzip.compress(b'[{"date": "2026-11-06", "campaignId": 9007199254740993, "cost": 14.5}]', mtime=0)

Answering = Callable[[Seen], bytes]


def error(status: int, detail: str, **headers: str) -> bytes:
    return reply(status, {"code": str(status), "detail": detail}, **headers)


def in_crumbs(body: bytes) -> bytes:
    """An answer in pieces of one byte."""
    pieces = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + pieces + b"0\r\n\r\n"


@dataclass
class Amazon:
    """Login with Amazon, the Ads API and its storage on one address. The clock moves when the client sleeps, and by
    ``tick`` seconds each time that it is looked at."""

    wire: Wire
    routes: dict[str, Answering]
    at: list[datetime]
    tick: list[float]
    api: AdsApi
    folder: Path
    slept: list[float] = field(default_factory=list)
    counted: list[tuple[str, bool]] = field(default_factory=list)

    def answers(self, route: str, *answers: bytes) -> None:
        self.routes[route] = in_turn(*answers)

    def asked(self, route: str) -> list[Seen]:
        method, _, path = route.partition(" ")
        return [s for s in self.wire.seen if s.method == method and urlsplit(s.path).path == path]

    def report(self, status: str = "COMPLETED", **changed: Any) -> dict[str, Any]:
        """A report as the API tells of it."""
        done = status == "COMPLETED"
        return {
            "reportId": ID,
            "status": status,
            "name": ORDER.name,
            "startDate": "2026-11-06",
            "endDate": "2026-11-19",
            "configuration": {**CONFIGURATION, "filters": None},
            "createdAt": "2026-11-20T18:00:00.853Z",
            "updatedAt": "2026-11-20T18:00:00.853Z",
            "generatedAt": "2026-11-20T18:01:00.853Z" if done else None,
            "fileSize": len(BODY) if done else None,
            "url": f"{self.wire.url}/document?X-Amz-Security-Token=S3CR3T&X-Amz-Signature=S3CR3T" if done else None,
            "urlExpiresAt": "2026-11-20T19:01:00.388887Z" if done else None,
            "failureReason": None,
            **changed,
        }

    def reported(self, *reports: Any) -> None:
        self.answers(f"GET {REPORT}", *(r if isinstance(r, bytes) else reply(200, r) for r in reports))

    def create(self, order: ReportOrder = ORDER) -> Created:
        return self.api.create(order, NOW, again=False)

    def progress(self) -> Progress:
        return self.api.progress(ORDER, ID)

    def fetch(self) -> bytes:
        document = self.api.fetch(ORDER, Progress(ID, ReportStatus.READY, ID), self.folder / "document")
        body = document.path.read_bytes()
        assert (document.size, document.sha256) == (len(body), hashlib.sha256(body).hexdigest())
        return body


@pytest.fixture
def amazon(shared: Shared, tmp_path: Path) -> Iterator[Amazon]:
    name, at, tick, issued = f"ads-{uuid.uuid4().hex}", [NOW], [0.0], count(1)
    members = {"client_id": name, "client_secret": SECRETS[0], "refresh_token": SECRETS[1]}
    shared.secrets.create_secret(Name=name, SecretString=json.dumps(members))
    routes: dict[str, Answering] = {
        "POST /auth/o2/token": lambda _: reply(200, {"access_token": f"Atza|S3CR3T-{next(issued)}", "expires_in": 3600})
    }

    def answer(seen: Seen) -> bytes:
        return routes[f"{seen.method} {urlsplit(seen.path).path}"](seen)

    with serving_bytes(answer) as wire:
        slept: list[float] = []

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            at[0] += timedelta(seconds=seconds)

        def now() -> datetime:
            at[0] += timedelta(seconds=tick[0])
            return at[0]

        ledger = Ledger(shared.dynamodb, shared.table, now)
        counted: list[tuple[str, bool]] = []
        api = open_ads(
            shared.secrets,
            name,
            "na",
            ledger,
            tmp_path / "tokens",
            sleep=sleep,
            endpoint=wire.url,
            counted=lambda *request: counted.append(request),
        )
        amazon = Amazon(wire, routes, at, tick, api, tmp_path, slept, counted)
        amazon.answers(f"POST {REPORTS}", reply(200, amazon.report("PENDING")))
        amazon.reported(amazon.report())
        amazon.answers("GET /document", reply(200, BODY))
        yield amazon


# What is sent


def test_an_order_is_sent_as_amazon_declares_it(amazon: Amazon) -> None:
    general: ReportApi = amazon.api
    assert general.create(ORDER, NOW, again=False) == Created(ID)
    (seen,) = amazon.asked(f"POST {REPORTS}")
    assert json.loads(seen.body) == {
        "name": "ads/sp 1",
        "startDate": "2026-11-06",
        "endDate": "2026-11-19",
        "configuration": CONFIGURATION,
    }
    assert seen.headers["content-type"] == "application/vnd.createasyncreportrequest.v3+json"
    assert seen.headers["amazon-advertising-api-scope"] == PROFILE
    assert seen.headers["amazon-advertising-api-clientid"].startswith("ads-")
    assert seen.headers["authorization"] == "Bearer Atza|S3CR3T-1"


def test_the_document_is_asked_for_without_any_header_of_the_api(amazon: Amazon) -> None:
    assert amazon.fetch() == BODY
    (seen,) = amazon.asked("GET /document")
    assert not [name for name in seen.headers if name == "authorization" or name.startswith("amazon-")]
    assert seen.headers["accept-encoding"] == "identity"


def test_hosts_are_amazons() -> None:
    assert HOSTS == {
        "na": "https://advertising-api.amazon.com",
        "eu": "https://advertising-api-eu.amazon.com",
        "fe": "https://advertising-api-fe.amazon.com",
    }


# Profiles


def test_profiles_that_may_only_be_viewed_are_listed_too(amazon: Amazon) -> None:
    listed = [
        {
            "profileId": 18446744073709551615,
            "countryCode": "BR",
            "currencyCode": "BRL",
            "dailyBudget": 9.99e8,
            "timezone": "America/Sao_Paulo",
            "accountInfo": {
                "marketplaceStringId": "A2",
                "id": "E",
                "type": "seller",
                "name": "Ação 漢",
                "subType": "x",
            },
        },
        {"profileId": 2, "countryCode": "DE", "timezone": "Europe/Paris", "accountInfo": None},
        {"profileId": 3, "timezone": "Asia/Tokyo"},
        {"profileId": None},
        "none",
    ]
    amazon.answers("GET /v2/profiles", reply(200, listed))
    first, second, third = amazon.api.scopes()
    assert (first.id, first.timezone, first.country) == ("18446744073709551615", "America/Sao_Paulo", "BR")
    assert (first.currency, first.name, first.kind) == ("BRL", "Ação 漢", "seller")
    assert (second.id, second.name, third.id, third.currency) == ("2", "", "3", "")
    (seen,) = amazon.asked("GET /v2/profiles")
    assert parse_qs(urlsplit(seen.path).query) == {"accessLevel": ["view"], "apiProgram": ["report"]}
    assert "amazon-advertising-api-scope" not in seen.headers


def test_another_region_has_no_profiles(amazon: Amazon) -> None:
    amazon.answers("GET /v2/profiles", reply(200, []))
    assert amazon.api.scopes() == []


def test_a_profile_of_an_unknown_time_zone_is_left_out_and_reported(
    amazon: Amazon, caplog: pytest.LogCaptureFixture
) -> None:
    listed = [{"profileId": 1, "timezone": "Mars/Olympus"}, {"profileId": 2, "timezone": "Asia/Tokyo"}]
    amazon.answers("GET /v2/profiles", reply(200, listed))
    assert [scope.id for scope in amazon.api.scopes()] == ["2"]
    assert "profile 1 is left out: its time zone 'Mars/Olympus' is unknown" in caplog.text


@pytest.mark.parametrize("body", [{"code": "SUCCESS"}, None, "[]"])
def test_profiles_that_are_no_list_are_asked_for_again(amazon: Amazon, body: Any) -> None:
    amazon.answers("GET /v2/profiles", reply(200, json.dumps(body)))
    with pytest.raises(TransientFailure, match="no list"):
        amazon.api.scopes()


# An order that Amazon has already


@pytest.mark.parametrize(
    "answer",
    [
        error(425, f"The Request is a duplicate of : {ID}"),
        error(425, f"The Request is a duplicate of: {ID}."),
        reply(425, {"code": "425", "details": f"The request is a DUPLICATE of {ID}"}),
        reply(425, {"message": f"The Request is a duplicate of : {ID}"}),
        reply(425, {"code": "425", "reportId": ID}),
        reply(200, {"code": "425", "detail": f"The Request is a duplicate of : {ID}"}),
        reply(425, {"code": "425", "detail": "Too early", "reportId": ID}),
        reply(425, f"The Request is a duplicate of : {ID}", content_type="text/plain"),
        reply(425, b"\xef\xbb\xbf" + json.dumps({"detail": f"The Request is a duplicate of : {ID}"}).encode()),
    ],
)
def test_the_report_that_an_order_duplicates_is_adopted(amazon: Amazon, answer: bytes) -> None:
    amazon.answers(f"POST {REPORTS}", answer)
    amazon.reported(amazon.report("PROCESSING"))
    assert amazon.create() == Created(ID, adopted=True)


def test_a_lost_answer_is_found_by_the_duplicate_that_follows(amazon: Amazon) -> None:
    amazon.answers(f"POST {REPORTS}", RESET, error(429, "Too Many Requests"), error(425, f"a duplicate of : {ID}"))
    assert amazon.create() == Created(ID, adopted=True)


@pytest.mark.parametrize(
    "changed",
    [
        {"startDate": "2026-11-05"},
        {"endDate": "2026-11-20"},
        {"configuration": {**CONFIGURATION, "timeUnit": "SUMMARY"}},
        {"configuration": {**CONFIGURATION, "columns": ["date", "campaignId", "adGroupId", "clicks"]}},
        {"configuration": {**CONFIGURATION, "groupBy": ["campaign"]}},
        {"configuration": {**CONFIGURATION, "filters": [{"field": "campaignStatus", "values": ["PAUSED"]}]}},
    ],
)
def test_another_report_is_not_adopted_but_waited_for(amazon: Amazon, changed: dict[str, Any]) -> None:
    amazon.answers(f"POST {REPORTS}", error(425, f"The Request is a duplicate of : {ID}"))
    amazon.reported(amazon.report("PROCESSING", **changed))
    with pytest.raises(TransientFailure, match=f"report {ID} is in the way, which differs"):
        amazon.create()
    amazon.answers(f"POST {REPORTS}", reply(200, amazon.report("PENDING")))
    assert amazon.create() == Created(ID)


@pytest.mark.parametrize("answer", [error(425, "Too early"), reply(425, ""), reply(425, "<html>425</html>")])
def test_a_duplicate_of_nothing_is_asked_again_later(amazon: Amazon, answer: bytes) -> None:
    amazon.answers(f"POST {REPORTS}", answer)
    with pytest.raises(TransientFailure, match="does not say as which report"):
        amazon.create()


def test_a_duplicate_of_a_report_that_is_gone_is_asked_again_later(amazon: Amazon) -> None:
    amazon.answers(f"POST {REPORTS}", error(425, f"The Request is a duplicate of : {ID}"))
    amazon.reported(error(404, "Report not found"))
    with pytest.raises(TransientFailure, match="which it does not know"):
        amazon.create()


def test_order_of_columns_and_what_amazon_does_not_repeat_make_no_other_report(amazon: Amazon) -> None:
    turned = {**CONFIGURATION, "columns": CONFIGURATION["columns"][::-1], "groupBy": ["adGroup", "campaign"]}
    filters = [{"field": "campaignStatus", "values": ["ENABLED", "PAUSED"]}]
    asked = replace(ORDER, configuration={**CONFIGURATION, "filters": filters})
    reported_filters = [{"values": ["PAUSED", "ENABLED"], "field": "campaignStatus"}]
    for order, report in [
        (ORDER, amazon.report(configuration={**turned, "filters": []})),
        (ORDER, amazon.report(configuration=None)),
        (ORDER, {"reportId": ID, "status": "COMPLETED", "url": "https://there"}),
        (asked, amazon.report(configuration={**turned, "filters": reported_filters})),
    ]:
        amazon.reported(report)
        assert amazon.api.progress(order, ID).status is ReportStatus.READY


# Progress


@pytest.mark.parametrize(
    ("status", "more", "expected"),
    [
        ("PENDING", {}, ReportStatus.QUEUED),
        ("PROCESSING", {}, ReportStatus.PROCESSING),
        ("COMPLETED", {}, ReportStatus.READY),
        ("COMPLETED", {"url": None}, ReportStatus.PROCESSING),
        ("FAILED", {"failureReason": "Report generation failed"}, ReportStatus.FAILED),
        ("FAILURE", {}, ReportStatus.FAILED),
        ("CANCELLED", {}, ReportStatus.FAILED),
        ("A_NEW_STATE", {}, ReportStatus.PROCESSING),
    ],
)
def test_how_far_a_report_is(amazon: Amazon, status: str, more: dict[str, Any], expected: ReportStatus) -> None:
    amazon.reported(amazon.report(status, **more))
    found = amazon.progress()
    assert (found.report_id, found.status) == (ID, expected)
    if expected is ReportStatus.FAILED:
        assert found.retryable
        assert found.reason == more.get("failureReason", f"Amazon says {status} and gives no reason")


@pytest.mark.parametrize(
    ("reported", "size"), [(22, 22), (22.0, 22), ("22", 22), (None, None), ("big", None), (-1, None)]
)
def test_the_size_that_amazon_announces(amazon: Amazon, reported: Any, size: int | None) -> None:
    amazon.reported(amazon.report(fileSize=reported))
    assert amazon.progress().size == size


def test_a_report_that_amazon_does_not_know_is_gone(amazon: Amazon) -> None:
    amazon.reported(error(404, "Report not found"))
    found = amazon.progress()
    assert (found.status, found.retryable) == (ReportStatus.GONE, True)


@pytest.mark.parametrize("body", [[], {}, {"success": [], "error": []}, None])
@pytest.mark.parametrize("status", [200, 207])
def test_an_answer_that_is_no_report_is_asked_for_again(amazon: Amazon, status: int, body: Any) -> None:
    amazon.reported(reply(status, json.dumps(body)))
    with pytest.raises(TransientFailure, match="names no status"):
        amazon.progress()


def test_an_order_without_a_report_in_the_answer_is_asked_again_later(amazon: Amazon) -> None:
    amazon.answers(f"POST {REPORTS}", reply(207, {"success": [], "error": [{"index": 0}]}))
    with pytest.raises(TransientFailure, match="named no report"):
        amazon.create()


NO_OBJECTS: tuple[Any, ...] = (None, [], [None], "text", 7, True)


@pytest.mark.parametrize(
    ("route", "ask"),
    [
        ("GET /v2/profiles", lambda amazon: amazon.api.scopes()),
        (f"POST {REPORTS}", lambda amazon: amazon.create()),
        (f"GET {REPORT}", lambda amazon: amazon.progress()),
        (f"GET {REPORT}", lambda amazon: amazon.fetch()),
    ],
    ids=["profiles", "order", "report", "document"],
)
def test_an_answer_that_is_no_object_fails_for_now(amazon: Amazon, route: str, ask: Callable[[Amazon], Any]) -> None:
    lists = ([], [None]) if route == "GET /v2/profiles" else ()
    for body in (body for body in NO_OBJECTS if body not in lists):
        amazon.answers(route, reply(200, json.dumps(body)))
        with pytest.raises(TransientFailure, match=r"Amazon|has no document at present"):
            ask(amazon)
    assert not amazon.slept


def test_any_answer_to_a_cancellation_is_none_to_fail_at(amazon: Amazon) -> None:
    for body in NO_OBJECTS:
        amazon.answers(f"DELETE {REPORT}", reply(200, json.dumps(body)))
        amazon.api.cancel(ORDER, ID)


def test_profiles_that_are_no_objects_are_left_out(amazon: Amazon) -> None:
    odd = [None, 7, "text", [], {}, {"profileId": None}, {"profileId": 1, "timezone": ["UTC"]}]
    profile = {"profileId": 2, "timezone": "UTC", "accountInfo": "text"}
    amazon.answers("GET /v2/profiles", reply(200, [*odd, profile]))
    assert [scope.id for scope in amazon.api.scopes()] == ["2"]


@pytest.mark.parametrize("configuration", ["text", 7, [], [7]])
def test_a_report_whose_configuration_is_no_object_is_compared_by_the_rest(amazon: Amazon, configuration: Any) -> None:
    amazon.reported(amazon.report(configuration=configuration))
    assert amazon.progress().status is ReportStatus.READY
    amazon.reported(amazon.report(configuration=configuration, startDate=["2026-11-06"]))
    assert "another report: startDate" in amazon.progress().reason


def test_a_retention_date_that_is_none_is_a_refusal_all_the_same(amazon: Amazon) -> None:
    text = "Report start date must be after retention start date (2026-13-45)"
    amazon.answers(f"POST {REPORTS}", error(400, text))
    with pytest.raises(PermanentFailure, match=r"refuses the order for profile .*2026-13-45"):
        amazon.create()


# Refusals


def test_a_refused_column_is_answered_with_the_allowed_ones(amazon: Amazon) -> None:
    columns = ", ".join(f"aColumnOfAmazons{n}" for n in range(150))
    detail = f"configuration columns includes invalid values: (cilcks). Allowed values: ({columns})"
    amazon.answers(f"POST {REPORTS}", error(400, detail))
    with pytest.raises(PermanentFailure) as failure:
        amazon.create()
    assert str(failure.value) == (
        f"Amazon refuses the order for profile {PROFILE} (correct the report's definition): invalid: {detail}"
    )
    assert len(amazon.asked(f"POST {REPORTS}")) == 1


@pytest.mark.parametrize(
    "text",
    ["Not authorized to access scope 4001002003004005", "No matching advertiser found for scope: 4001002003004005"],
)
@pytest.mark.parametrize("status", [401, 403])
def test_a_profile_that_may_not_be_read_is_a_permanent_failure_at_once(amazon: Amazon, status: int, text: str) -> None:
    amazon.answers(f"POST {REPORTS}", error(status, text))
    with pytest.raises(PermanentFailure, match=f"have the advertiser grant access.*{text}"):
        amazon.create()
    assert len(amazon.asked(f"POST {REPORTS}")) == len(amazon.asked("POST /auth/o2/token")) == 1


def test_a_refused_token_is_replaced_at_once(amazon: Amazon) -> None:
    amazon.answers(f"GET {REPORT}", error(401, "Access token has expired"), reply(200, amazon.report()))
    assert amazon.progress().status is ReportStatus.READY
    assert [s.headers["authorization"][-1] for s in amazon.asked(f"GET {REPORT}")] == ["1", "2"]
    assert sum(amazon.slept) == 0


def test_a_gateway_that_refuses_good_tokens_for_a_while_fails_no_report(amazon: Amazon) -> None:
    nothing = reply(401, {"message": "Unauthorized"})
    amazon.reported(nothing, nothing, nothing, amazon.report())
    assert amazon.progress().status is ReportStatus.READY
    assert len(amazon.asked("POST /auth/o2/token")) == 2, "one fresh token is enough"
    assert len(amazon.slept) == 3


def test_tokens_that_are_always_refused_are_a_permanent_failure_that_says_what_to_check(amazon: Amazon) -> None:
    amazon.answers(f"POST {REPORTS}", reply(401, {"message": "Unauthorized"}))
    with pytest.raises(PermanentFailure, match="forbidden: Unauthorized: fresh tokens are refused too; has the app"):
        amazon.create()
    assert len(amazon.asked(f"POST {REPORTS}")) == REFUSALS


# Throttling and other faults that pass


@pytest.mark.parametrize("header", ["", "0", "soon", "-1"])
def test_a_burst_of_throttling_without_retry_after_is_waited_out(amazon: Amazon, header: str) -> None:
    busy = error(429, "Too Many Requests", retry_after=header)
    amazon.answers(f"POST {REPORTS}", *[busy] * 4, reply(200, amazon.report("PENDING")))
    assert amazon.create() == Created(ID)
    assert len(amazon.asked(f"POST {REPORTS}")) == 5
    assert [throttled for _, throttled in amazon.counted] == [True] * 4 + [False]
    assert sum(amazon.slept) >= 4


@pytest.mark.parametrize("header", ["45", "Fri, 20 Nov 2026 18:00:45 GMT"])
def test_nobody_calls_before_retry_after(amazon: Amazon, header: str) -> None:
    amazon.reported(error(429, "Too Many Requests", retry_after=header), amazon.report())
    amazon.progress()
    assert amazon.at[0] - NOW >= timedelta(seconds=45)


def test_a_long_retry_after_is_written_down_and_not_slept_through(amazon: Amazon) -> None:
    amazon.answers(f"POST {REPORTS}", error(429, "Too Many Requests", retry_after="900"))
    with pytest.raises(TransientFailure, match="throttled: Too Many Requests"):
        amazon.create()
    with pytest.raises(TransientFailure, match=r"may be called again in \d+ s"):
        amazon.create()
    assert len(amazon.asked(f"POST {REPORTS}")) == 1, "the pause holds for all who ask after"
    amazon.at[0] += timedelta(seconds=900)
    amazon.answers(f"POST {REPORTS}", reply(200, amazon.report("PENDING")))
    assert amazon.create() == Created(ID)


@pytest.mark.parametrize(
    "fault",
    [
        reply(500, {"code": "500", "detail": "Internal Server Error"}),
        reply(502, "<html><head><title>502 Bad Gateway</title></head></html>", content_type="text/html"),
        reply(404, "<html><title>404</title></html>", content_type="text/html"),
        reply(403, "<html>Request blocked by the proxy</html>", content_type="text/html"),
        reply(503, b"\x00\xff", content_type="application/octet-stream"),
        reply(504, ""),
        reply(408, ""),
        reply(307, "", location="https://elsewhere.example/"),
        reply(200, "<html>Log in to the hotel</html>", content_type="text/html"),
        reply(200, b'{"reportId": "3f0c1f5', content_length="500"),
        reply(200, b"not gzip", content_encoding="gzip"),
        b"garbage\r\n\r\n",
        RESET,
    ],
)
def test_a_fault_that_passes_is_waited_out(amazon: Amazon, fault: bytes) -> None:
    amazon.reported(fault, fault, amazon.report())
    assert amazon.progress().status is ReportStatus.READY
    assert len(amazon.slept) == 2


def test_faults_that_do_not_pass_end_within_the_patience(amazon: Amazon) -> None:
    amazon.reported(reply(502, "<html><h1>502 Bad Gateway</h1></html>"))
    with pytest.raises(TransientFailure, match="get_report failed for now: transient: 502 Bad Gateway"):
        amazon.progress()
    assert amazon.at[0] - NOW <= PATIENCE


def test_an_answer_that_trickles_in_is_asked_for_again(amazon: Amazon) -> None:
    body = json.dumps(amazon.report()).encode()
    amazon.tick[0] = 1

    def answer(_: Seen) -> bytes:
        if len(amazon.asked(f"GET {REPORT}")) == 1:
            return in_crumbs(body)
        amazon.tick[0] = 0
        return reply(200, body)

    amazon.routes[f"GET {REPORT}"] = answer
    assert amazon.progress().status is ReportStatus.READY
    assert len(amazon.asked(f"GET {REPORT}")) == 2


@pytest.mark.parametrize(
    "answer",
    [
        lambda body: reply(200, gzip.compress(body), content_encoding="gzip"),
        lambda body: b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n" + body,
        lambda body: b"HTTP/1.1 200 OK\r\nTRANSFER-ENCODING: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body),
        lambda body: reply(200, b"\xef\xbb\xbf\r\n " + body + b"\n", content_type="application/json; charset=utf-8"),
        lambda body: reply(201, body, content_type="application/vnd.getasyncreportresponse.v3+json"),
    ],
    ids=["compressed", "without length", "chunked", "mark and space", "created"],
)
def test_answers_are_read_however_they_are_packed(amazon: Amazon, answer: Callable[[bytes], bytes]) -> None:
    amazon.reported(answer(json.dumps(amazon.report()).encode()))
    assert amazon.progress().status is ReportStatus.READY


# Documents


@pytest.mark.parametrize(
    "answer",
    [
        reply(200, BODY, content_type="application/x-gzip"),
        reply(200, BODY, content_encoding="gzip"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY),
        b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + BODY,
        b"HTTP/1.1 200 OK\r\nCONTENT-LENGTH: %d\r\nCONTENT-TYPE: BINARY/octet-stream\r\n\r\n" % len(BODY) + BODY,
    ],
    ids=["typed", "encoded", "chunked", "without length", "capitals"],
)
def test_a_document_is_kept_byte_for_byte(amazon: Amazon, answer: bytes) -> None:
    amazon.answers("GET /document", answer)
    assert amazon.fetch() == BODY


def test_a_redirect_of_the_storage_is_followed(amazon: Amazon) -> None:
    amazon.answers("GET /document", reply(307, "", location=f"{amazon.wire.url}/elsewhere?X-Amz-Signature=S3CR3T"))
    amazon.answers("GET /elsewhere", reply(200, BODY))
    assert amazon.fetch() == BODY


@pytest.mark.parametrize(
    "expired",
    [
        reply(403, "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"),
        reply(400, "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"),
    ],
)
def test_an_expired_address_is_minted_anew(amazon: Amazon, expired: bytes) -> None:
    amazon.answers("GET /document", expired, reply(200, BODY))
    assert amazon.fetch() == BODY
    assert len(amazon.asked(f"GET {REPORT}")) == 2
    amazon.answers("GET /document", expired)
    with pytest.raises(TransientFailure, match="expired 3 times"):
        amazon.fetch()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (reply(200, BODY[:-1]), f"{len(BODY) - 1} bytes came where {len(BODY)} were announced"),
        (reply(200, BODY + b"\n"), f"more than {len(BODY)} bytes"),
        (reply(200, b""), "0 bytes"),
        (reply(200, BODY[:20], content_length=str(len(BODY))), "broke off after"),
        (reply(200, "<html>Welcome</html>", content_type="text/html; charset=utf-8"), "a web page"),
        (reply(403, "<Error><Code>SignatureDoesNotMatch</Code></Error>"), "HTTP 403"),
        (reply(404, "<Error><Code>NoSuchKey</Code></Error>"), "HTTP 404"),
        (reply(503, "<Error><Code>SlowDown</Code></Error>"), "HTTP 503"),
        (reply(302, "", location="/document?X-Amz-Signature=S3CR3T"), "TooManyRedirects"),
        (reply(307, "", location="ftp://S3CR3T/"), "UnsupportedProtocol"),
        (RESET, "broke off after 0 bytes"),
    ],
)
def test_a_document_that_does_not_come_whole_fails_for_now_and_shows_no_address(
    amazon: Amazon, answer: bytes, says: str
) -> None:
    amazon.answers("GET /document", answer)
    with pytest.raises(TransientFailure, match=says) as failure:
        amazon.fetch()
    assert not any(word in f"{failure.value!r} {failure.value.__cause__!r}" for word in ("S3CR3T", "://"))
    amazon.answers("GET /document", reply(200, BODY))
    assert amazon.fetch() == BODY


def test_a_web_page_is_no_document_even_where_no_size_was_announced(amazon: Amazon) -> None:
    amazon.reported(amazon.report(fileSize=None))
    amazon.answers("GET /document", reply(200, "<html>Welcome</html>", content_type="text/html"))
    with pytest.raises(TransientFailure, match="a web page came"):
        amazon.fetch()


def test_a_download_that_trickles_is_given_up(amazon: Amazon) -> None:
    def answer(_: Seen) -> bytes:
        amazon.tick[0] = 20
        return in_crumbs(BODY)

    amazon.routes["GET /document"] = answer
    with pytest.raises(TransientFailure, match="the download trickles: 4 bytes in 0:01:20"):
        amazon.fetch()


@pytest.mark.parametrize("url", ["no address", "https://[", "ftp://S3CR3T", "https://\ud800/S3CR3T", ["S3CR3T"]])
def test_an_address_that_is_none_fails_for_now(amazon: Amazon, url: str) -> None:
    amazon.reported(amazon.report(url=url))
    with pytest.raises(TransientFailure) as failure:
        amazon.fetch()
    assert "S3CR3T" not in repr(failure.value)


def test_a_report_that_lost_its_document_fails_for_now(amazon: Amazon) -> None:
    for lost in (amazon.report("PROCESSING"), error(404, "Report not found")):
        amazon.reported(lost)
        with pytest.raises(TransientFailure, match="has no document at present"):
            amazon.fetch()


# Cancelling


@pytest.mark.parametrize(
    "answer",
    [
        reply(200, {"reportId": ID, "code": "200", "detail": "OK"}),
        error(400, "Report cannot be cancelled"),
        error(403, "Forbidden"),
        error(404, "Not Found"),
    ],
)
def test_a_report_that_cannot_be_cancelled_any_more_is_no_error(amazon: Amazon, answer: bytes) -> None:
    amazon.answers(f"DELETE {REPORT}", answer)
    amazon.api.cancel(ORDER, ID)
    assert len(amazon.asked(f"DELETE {REPORT}")) == 1


# Secrets


def test_nothing_that_is_logged_or_raised_holds_a_secret(amazon: Amazon, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("botocore").setLevel(logging.INFO)
    repeats = "Authorization header 'Bearer Atza|S3CR3T-1' cannot be read"
    said = []
    for answer in (
        error(400, repeats),
        error(401, repeats),
        reply(403, {"message": repeats}),
        reply(500, f"<p>{repeats}"),
    ):
        amazon.answers(f"POST {REPORTS}", answer)
        with pytest.raises((PermanentFailure, TransientFailure)) as failure:
            amazon.create()
        said.append(f"{failure.value!r} {failure.value.__cause__!r}")
    amazon.fetch()
    said += [caplog.text, repr(amazon.api), repr(amazon.progress())]
    assert "Bearer [secret]" in " ".join(said)
    assert "HTTP/1.1 200 Something" in caplog.text, "requests are logged, by host"
    assert not [text for text in said if "S3CR3T" in text or "X-Amz" in text]


def test_a_report_that_names_other_dates_or_options_says_how_it_could_be_taken(amazon: Amazon) -> None:
    amazon.reported(amazon.report(endDate="2026-11-01"))
    other = amazon.progress().otherwise
    assert other is not None
    assert (other.options, other.end.date(), other.progress.status) == (False, date(2026, 11, 1), ReportStatus.READY)
    amazon.reported(amazon.report(configuration={"timeUnit": "SUMMARY"}))
    other = amazon.progress().otherwise
    assert other is not None
    assert (other.options, other.start.date(), other.end.date()) == (True, ORDER.start, ORDER.end)
