"""Every fault that can be ordered, and how it shows to a client."""

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from adplatform.local.world.amazon.faults import ADS, AT_ANY_REQUEST, KINDS, OPERATIONS
from adplatform.local.world.amazon.inventory import ALL_LISTINGS
from adplatform.local.world.amazon.login import ERRORS
from adplatform.local.world.amazon.selling import ALL_ORDERS, SALES_AND_TRAFFIC, SETTLEMENT
from adplatform.local.world.amazon.server import Server
from adplatform.local.world.amazon.world import World
from adplatform_tests.local.world.amazon.support import HTTP, US, Ads, Selling, days_ago, login

MARKETPLACE = "ATVPDKIKX0DER"


def status(answered: httpx.Response) -> Any:
    return answered.status_code


def finished(ads: Ads) -> str:
    report_id: str = ads.create(days_ago(3)).json()["reportId"]
    ads.finish()
    return report_id


def downloaded(ads: Ads) -> httpx.Response:
    return HTTP.get(ads.get(finished(ads)).json()["url"])


def sp_finished(selling: Selling) -> dict[str, Any]:
    return selling.finished(SALES_AND_TRAFFIC, MARKETPLACE, days_ago(4), days_ago(4))


def sp_downloaded(selling: Selling) -> httpx.Response:
    return HTTP.get(selling.document(sp_finished(selling)["reportDocumentId"]).json()["url"])


def rows(ads: Ads) -> list[dict[str, Any]]:
    """The rows of a report whose size is what the API says."""
    reported = ads.get(finished(ads)).json()
    body = HTTP.get(reported["url"]).content
    assert len(body) == reported["fileSize"]
    found: list[dict[str, Any]] = json.loads(gzip.decompress(body))
    return found


def orders(selling: Selling) -> bytes:
    return selling.fetch(selling.finished(ALL_ORDERS, MARKETPLACE, days_ago(9), days_ago(8)))[0]


def yen(selling: Selling) -> list[str]:
    japan = Selling(selling.server, "fe")
    table = japan.fetch(japan.finished(ALL_ORDERS, "A1VC38T7YXB528", days_ago(9), days_ago(8)))[0].decode("cp932")
    return [line.split("\t")[15] for line in table.split("\r\n")[1:] if line]


def listings(selling: Selling) -> str:
    japan, today = Selling(selling.server, "fe"), days_ago(0)
    options = {"preferredReportDocumentLocale": "en_US"}
    made = japan.finished(ALL_LISTINGS, "A1VC38T7YXB528", today, today, reportOptions=options)
    return japan.fetch(made)[0].decode("cp932")


def said_charset(selling: Selling) -> str | None:
    report = selling.finished(ALL_ORDERS, MARKETPLACE, days_ago(9), days_ago(8))
    return HTTP.get(selling.document(report["reportDocumentId"]).json()["url"]).charset_encoding


def is_gzip(body: bytes) -> bool:
    try:
        gzip.decompress(body)
    except (OSError, EOFError, zlib.error):
        return False
    return True


Check = Callable[[Ads, Selling], bool]
CASES: list[tuple[str, str, Check]] = [
    (
        "create_report",
        "throttle",
        lambda ads, _: (a := ads.create(days_ago(3))).status_code == 429 and a.headers["Retry-After"] == "1",
    ),
    (
        "create_report",
        "throttle_silent",
        lambda ads, _: (a := ads.create(days_ago(3))).status_code == 429 and "Retry-After" not in a.headers,
    ),
    ("profiles", "server_error", lambda ads, _: status(ads.call("GET", "/v2/profiles")) == 500),
    ("get_report", "bad_gateway", lambda ads, _: "<html>" in ads.get("any").text),
    ("get_report", "unauthorized", lambda ads, _: status(ads.get("any")) == 401),
    (
        "get_report",
        "revoke_scope",
        lambda ads, _: ads.get("any").json()["detail"] == f"Not authorized to access scope {US}",
    ),
    (
        "sp_get",
        "expired_token",
        lambda _, sp: sp.get("1").json()["errors"][0]["details"] == "The access token you provided has expired.",
    ),
    ("create_report", "forbidden", lambda ads, _: status(ads.create(days_ago(3))) == 403),
    ("get_report", "gateway_timeout", lambda ads, _: status(ads.get("any")) == 504),
    ("sp_get", "unavailable", lambda _, sp: sp.get("1").json()["errors"][0]["code"] == "ServiceUnavailable"),
    ("create_report", "slow", lambda ads, _: status(ads.create(days_ago(3))) == 200),
    ("create_report", "fail", lambda ads, _: ads.get(finished(ads)).json()["failureReason"] == "INTERNAL_ERROR"),
    (
        "create_report",
        "stuck_processing",
        lambda ads, _: (
            ads.get(report := finished(ads)).json()["status"] == "PROCESSING"
            and status(ads.call("DELETE", f"/reporting/reports/{report}")) == 403
            and status(ads.create(days_ago(3))) == 425
        ),
    ),
    (
        "get_report",
        "stuck_processing",
        lambda ads, _: (
            [ads.get(report := finished(ads)).json()["status"], ads.get(report).json()["status"]]
            == ["PROCESSING", "COMPLETED"]
        ),
    ),
    ("create_report", "empty", lambda ads, _: rows(ads) == []),
    ("create_report", "duplicate_row", lambda ads, _: (r := rows(ads))[-2] == r[-1]),
    (
        "create_report",
        "null_metrics",
        lambda ads, _: (
            {name for name, value in rows(ads)[0].items() if value is None}
            == {"impressions", "clicks", "cost", "purchases14d", "sales14d"}
        ),
    ),
    ("get_report", "fail", lambda ads, _: ads.get(finished(ads)).json()["status"] == "FAILED"),
    ("create_report", "stuck", lambda ads, _: ads.get(finished(ads)).json()["status"] == "PENDING"),
    (
        "get_report",
        "complete_without_url",
        lambda ads, _: (
            (reported := ads.get(report := finished(ads)).json())["status"] == "COMPLETED"
            and reported["url"] is None
            and ads.get(report).json()["url"] is not None
        ),
    ),
    ("get_report", "forget", lambda ads, _: status(ads.get(finished(ads))) == 404),
    ("get_report", "expired_url", lambda ads, _: status(downloaded(ads)) == 403),
    ("download", "expired_url", lambda ads, _: "Request has expired" in downloaded(ads).text),
    ("download", "expired_session", lambda ads, _: "<Code>ExpiredToken</Code>" in downloaded(ads).text),
    ("download", "cut", lambda ads, _: not is_gzip(downloaded(ads).content)),
    ("download", "not_gzip", lambda ads, _: downloaded(ads).content.startswith(b"[{")),
    ("download", "corrupt_gzip", lambda ads, _: not is_gzip(downloaded(ads).content)),
    ("download", "error_text", lambda ads, _: downloaded(ads).text.startswith("Sorry")),
    ("download", "server_error", lambda ads, _: "<Code>InternalError</Code>" in downloaded(ads).text),
    ("download", "throttle", lambda ads, _: "<Code>SlowDown</Code>" in downloaded(ads).text),
    (
        "create_report",
        "duplicate_without_id",
        lambda ads, _: ads.create(days_ago(3)).json()["detail"] == "The Request is a duplicate of : ",
    ),
    (
        "create_report",
        "duplicate_foreign",
        lambda ads, _: (
            ads.get(ads.create(days_ago(3)).json()["detail"].split(" : ")[1]).json()["configuration"]["timeUnit"]
            == "SUMMARY"
        ),
    ),
    (
        "create_report",
        "bigger_range",
        lambda ads, _: ads.get(finished(ads)).json()["startDate"] == days_ago(4),
    ),
    ("token", "server_error", lambda ads, _: login(ads.server.url, "ads").json()["error"] == "server_error"),
    (
        "sp_create",
        "throttle",
        lambda _, sp: status(sp.create(ALL_ORDERS, MARKETPLACE, "2026-11-01", "2026-11-02")) == 429,
    ),
    ("sp_get", "unauthorized", lambda _, sp: status(sp.get("1")) == 403),
    ("sp_get", "server_error", lambda _, sp: sp.get("1").json()["errors"][0]["code"] == "InternalFailure"),
    ("sp_create", "cancel", lambda _, sp: sp_finished(sp)["processingStatus"] == "CANCELLED"),
    (
        "sp_create",
        "fatal",
        lambda _, sp: (t := sp_finished(sp))["processingStatus"] == "FATAL" and "reportDocumentId" not in t,
    ),
    ("sp_create", "fatal_document", lambda _, sp: "errorDetails" in json.loads(sp.fetch(sp_finished(sp))[0])),
    ("sp_create", "stuck", lambda _, sp: sp_finished(sp)["processingStatus"] == "IN_QUEUE"),
    ("sp_get", "fatal", lambda _, sp: sp_finished(sp)["processingStatus"] == "FATAL"),
    (
        "sp_create",
        "stuck_processing",
        lambda _, sp: (
            (reported := sp_finished(sp))["processingStatus"] == "IN_PROGRESS"
            and status(sp.call("DELETE", f"/reports/2021-06-30/reports/{reported['reportId']}")) == 400
        ),
    ),
    ("sp_get", "stuck_processing", lambda _, sp: sp_finished(sp)["processingStatus"] == "IN_PROGRESS"),
    ("sp_create", "empty", lambda _, sp: json.loads(sp.fetch(sp_finished(sp))[0])["salesAndTrafficByAsin"] == []),
    ("sp_create", "empty", lambda _, sp: len(orders(sp).splitlines()) == 1),
    ("sp_create", "other_end", lambda _, sp: sp_finished(sp)["dataEndTime"].startswith(days_ago(5))),
    ("create_report", "other_end", lambda ads, _: ads.get(finished(ads)).json()["endDate"] == days_ago(4)),
    ("create_report", "other_option", lambda ads, _: bool(ads.get(finished(ads)).json()["configuration"]["filters"])),
    (
        "sp_create",
        "other_option",
        lambda _, sp: (
            json.loads(sp.fetch(sp_finished(sp))[0])["reportSpecification"]["reportOptions"]["asinGranularity"] == "SKU"
        ),
    ),
    ("sp_create", "lying_charset", lambda _, sp: (said_charset(sp) or "").upper() == "ISO-8859-1"),
    ("create_report", "agency_profile", lambda ads, _: "cannot be decrypted" in ads.create(days_ago(3)).text),
    (
        "create_report",
        "bad_request",
        lambda ads, _: ads.create(days_ago(3)).json() == {"code": "400", "detail": "Bad Request"},
    ),
    (
        "sp_create",
        "bad_request",
        lambda _, sp: sp.create(ALL_ORDERS, MARKETPLACE, "2026-11-01", "2026-11-02").status_code == 400,
    ),
    ("sp_get", "expired_secret", lambda _, sp: "The LWA secret token you provided has expired" in sp.get("1").text),
    ("sp_create", "utf8_bom", lambda _, sp: orders(sp).startswith(b"\xef\xbb\xbfamazon-order-id\t")),
    ("sp_create", "carriage_return", lambda _, sp: b"\r" in orders(sp).replace(b"\r\n", b"")),
    ("sp_create", "grouped_thousands", lambda _, sp: any("," in price for price in yen(sp))),
    ("sp_create", "other_locale", lambda _, sp: listings(sp).startswith("商品名\t出品ID\t出品者SKU\t")),
    (
        "sp_document",
        "gzip_unflagged",
        lambda _, sp: (
            "compressionAlgorithm" not in (d := sp.document(sp_finished(sp)["reportDocumentId"]).json())
            and is_gzip(HTTP.get(d["url"]).content)
        ),
    ),
    ("sp_create", "bigger_range", lambda _, sp: sp_finished(sp)["dataStartTime"].startswith(days_ago(5))),
    ("sp_document", "forget", lambda _, sp: status(sp.document(sp_finished(sp)["reportDocumentId"])) == 404),
    ("sp_document", "expired_url", lambda _, sp: status(sp_downloaded(sp)) == 403),
    ("sp_document", "identity_flagged_gzip", lambda _, sp: sp_downloaded(sp).content.startswith(b"{")),
    ("download", "not_gzip", lambda _, sp: sp_downloaded(sp).content.startswith(b"{")),
]


@pytest.mark.parametrize(
    ("operation", "fault", "shows"), CASES, ids=[f"{n}-{c[0]}-{c[1]}" for n, c in enumerate(CASES)]
)
def test_fault_shows_once_and_then_no_more(server: Server, operation: str, fault: str, shows: Check) -> None:
    server.world.fault(operation, fault)
    assert shows(Ads(server), Selling(server))
    assert server.world.faults.pending() == []


def test_every_fault_has_a_case() -> None:
    assert set(KINDS) - {fault for _, fault, _ in CASES} - set(ERRORS) == {"reset", "drop", "truncate"}


REQUESTS: dict[str, Callable[[Ads, Selling], httpx.Response]] = {
    "token": lambda ads, _: login(ads.server.url, "ads"),
    "profiles": lambda ads, _: ads.call("GET", "/v2/profiles"),
    "create_report": lambda ads, _: ads.create(days_ago(3)),
    "get_report": lambda ads, _: ads.get("any"),
    "delete_report": lambda ads, _: ads.call("DELETE", "/reporting/reports/any"),
    "create_export": lambda ads, _: ads.call("POST", "/ads/export", json={}),
    "get_export": lambda ads, _: ads.call("GET", "/exports/any"),
    "sp_create": lambda _, sp: sp.create(ALL_ORDERS, MARKETPLACE, days_ago(3), days_ago(2)),
    "sp_get": lambda _, sp: sp.get("1"),
    "sp_reports": lambda _, sp: sp.call("GET", "/reports/2021-06-30/reports", params={"reportTypes": ALL_ORDERS}),
    "sp_cancel": lambda _, sp: sp.call("DELETE", "/reports/2021-06-30/reports/1"),
    "sp_document": lambda _, sp: sp.document("any"),
    "sp_restricted_token": lambda _, sp: sp.call("POST", "/tokens/2021-03-01/restrictedDataToken", json={}),
    "sp_participations": lambda _, sp: sp.call("GET", "/sellers/v1/marketplaceParticipations"),
    "download": lambda ads, _: HTTP.get(f"{ads.server.url}/download/ads/any"),
}


def words(operation: str, answered: httpx.Response) -> bool:
    """Whether a refusal is in the words of its API."""
    if operation == "download":
        return answered.text.startswith("<?xml") and "<Code>" in answered.text
    keys = {"code", "detail"} if operation in ADS else {"errors"} if operation.startswith("sp_") else {"error"}
    return keys <= set(answered.json())


@pytest.mark.parametrize("operation", OPERATIONS)
def test_each_operation_has_the_faults_of_any_request_in_its_own_words(server: Server, operation: str) -> None:
    ads, selling = Ads(server), Selling(server)
    ads.headers(), selling.headers()
    statuses = {"server_error": 500, "bad_gateway": 502, "unavailable": 503, "gateway_timeout": 504}
    for fault, kind in AT_ANY_REQUEST.items():
        if operation not in kind.operations:
            continue
        server.world.fault(operation, fault)
        if fault in ("reset", "drop", "truncate"):
            with pytest.raises(httpx.TransportError):
                REQUESTS[operation](ads, selling)
        else:
            answered = REQUESTS[operation](ads, selling)
            assert answered.status_code == statuses.get(fault, answered.status_code)
            assert fault == "slow" or "<html>" in answered.text or words(operation, answered), fault
        assert server.world.faults.pending() == [], fault


def test_every_fault_is_taken_at_the_operations_that_it_names_only(world: World) -> None:
    for fault, kind in KINDS.items():
        assert set(kind.operations) <= set(OPERATIONS)
        for operation in set(OPERATIONS) - set(kind.operations):
            with pytest.raises(ValueError, match=f"{operation} has no fault '{fault}'; known are "):
                world.fault(operation, fault)


def test_drop_does_nothing_and_reset_does_it_unseen(ads: Ads) -> None:
    ads.headers()
    ads.server.world.fault("create_report", "drop")
    with pytest.raises(httpx.TransportError):
        ads.create(days_ago(3))
    assert not ads.server.world.ads_reports
    ads.server.world.fault("create_report", "reset")
    with pytest.raises(httpx.TransportError):
        ads.create(days_ago(3))
    (made,) = ads.server.world.ads_reports
    assert ads.create(days_ago(3)).json()["detail"].endswith(made)
    assert [c["answer"] for c in ads.server.world.requests.creates] == ["dropped", "200 but dropped", "425"]


def test_truncated_body_is_shorter_than_it_says(ads: Ads) -> None:
    ads.server.world.fault("download", "truncate")
    with pytest.raises(httpx.RemoteProtocolError):
        downloaded(ads)


def test_fault_for_one_scope_after_some_requests_for_a_number_of_times(server: Server) -> None:
    server.world.fault("get_report", "server_error", times=2, skip=1, match={"scope": US})
    other, ads = Ads(server, "1460298317755031"), Ads(server)
    assert [status(other.get("any")) for _ in range(3)] == [404, 404, 404]
    assert [status(ads.get("any")) for _ in range(4)] == [404, 500, 500, 404]


def test_fault_for_one_report_type_until_cleared(server: Server) -> None:
    server.world.fault("create_report", "throttle", times=None, match={"report_type": "spCampaigns"})
    ads = Ads(server)
    assert [status(ads.create(days_ago(3))) for _ in range(3)] == [429] * 3
    changed = {"reportTypeId": "spTargeting", "groupBy": ["targeting"], "columns": ["date", "clicks"]}
    assert status(ads.create(days_ago(3), **changed)) == 200
    server.world.faults.clear()
    assert status(ads.create(days_ago(3))) == 200


def test_faults_of_settlements_and_of_downloads_in_one_region(server: Server) -> None:
    selling, german = Selling(server), Selling(server, "eu")
    settled = {"report_type": SETTLEMENT}
    server.world.fault("sp_reports", "server_error", match=settled)
    params = {"reportTypes": SETTLEMENT}
    assert status(selling.call("GET", "/reports/2021-06-30/reports", params=params)) == 500
    listed = german.call("GET", "/reports/2021-06-30/reports", params=params).json()["reports"]
    server.world.fault("sp_document", "forget", match={**settled, "scope": listed[0]["marketplaceIds"][0]})
    assert status(german.document(listed[0]["reportDocumentId"])) == 404
    server.world.fault("download", "server_error", match={"region": "eu"})
    assert status(sp_downloaded(selling)) == 200
    assert status(HTTP.get(german.document(listed[0]["reportDocumentId"]).json()["url"])) == 500


def test_unknown_faults_are_refused(server: Server) -> None:
    with pytest.raises(ValueError, match="unknown operation 'nothing'; known are token, "):
        server.world.fault("nothing", "throttle")
    with pytest.raises(ValueError, match="cannot match profile, only region, scope, report_type, report_id"):
        server.world.fault("get_report", "throttle", match={"profile": US})
    for body, said in (
        (
            {"operation": "token", "fault": "nothing"},
            "Value error, token has no fault 'nothing'; known are access_denied, ",
        ),
        ({"operation": "token"}, "missing a required argument: 'fault'; POST faults is (operation: "),
        ({"operation": "token", "fault": "slow", "seconds": "long"}, "seconds: Input should be a valid number"),
    ):
        answered = HTTP.post(f"{server.url}/_admin/faults", json=body)
        assert answered.status_code == 400
        assert said in answered.json()["error"]
    assert server.world.faults.pending() == []
