"""The Selling Partner API over the wire: reports, their ends, their documents, quotas and tokens."""

import gzip
import json
from datetime import timedelta

import pytest

from adplatform.local.world.amazon.inventory import FBA_INVENTORY
from adplatform.local.world.amazon.selling import ALL_ORDERS, SALES_AND_TRAFFIC, SEARCH_TERMS, SETTLEMENT
from adplatform.local.world.amazon.server import Server
from adplatform_tests.local.world.amazon.support import HTTP, NOW, Selling, days_ago

US, DE, JP = "ATVPDKIKX0DER", "A1PA6795UKMFR9", "A1VC38T7YXB528"


def test_marketplaces_of_each_region(server: Server) -> None:
    path = "/sellers/v1/marketplaceParticipations"
    found = {region: Selling(server, region).call("GET", path).json()["payload"] for region in ("na", "eu", "fe")}
    assert {region: [p["marketplace"]["countryCode"] for p in listed] for region, listed in found.items()} == {
        "na": ["US", "CA"],
        "eu": ["DE"],
        "fe": ["JP"],
    }
    assert found["eu"][0]["storeName"] == "Northwind Outdoor"
    assert found["eu"][0]["participation"] == {"isParticipating": True, "hasSuspendedListings": False}


def test_sales_and_traffic_from_order_to_document(selling: Selling) -> None:
    options = {"dateGranularity": "DAY", "asinGranularity": "CHILD"}
    created = selling.create(SALES_AND_TRAFFIC, US, days_ago(4), days_ago(3), reportOptions=options)
    assert created.status_code == 202
    assert created.headers["x-amzn-RateLimit-Limit"] == "0.0167"
    assert created.headers["x-amzn-RequestId"]
    seen = []
    for _ in range(3):
        reported = selling.get(created.json()["reportId"]).json()
        seen.append(reported["processingStatus"])
        selling.server.world.clock.advance(2.5)
    assert seen == ["IN_QUEUE", "IN_PROGRESS", "DONE"]
    assert reported["dataStartTime"] == f"{days_ago(4)}T00:00:00+00:00"
    document = selling.document(reported["reportDocumentId"]).json()
    assert document["compressionAlgorithm"] == "GZIP"
    downloaded = HTTP.get(document["url"])
    assert "Content-Encoding" not in downloaded.headers
    body = json.loads(gzip.decompress(downloaded.content))
    assert [row["date"] for row in body["salesAndTrafficByDate"]] == [days_ago(4), days_ago(3)]
    assert {"parentAsin", "childAsin", "salesByAsin", "trafficByAsin"} <= set(body["salesAndTrafficByAsin"][0])
    sold = sum(row["salesByDate"]["unitsOrdered"] for row in body["salesAndTrafficByDate"])
    assert sold == sum(row["salesByAsin"]["unitsOrdered"] for row in body["salesAndTrafficByAsin"]) > 0


def test_content_encoding_header_on_request(selling: Selling) -> None:
    reported = selling.finished(SALES_AND_TRAFFIC, US, days_ago(4), days_ago(4))
    url = selling.document(reported["reportDocumentId"], enableContentEncodingUrlHeader="true").json()["url"]
    answered = HTTP.get(url)
    assert answered.headers["Content-Encoding"] == "gzip"
    assert answered.json()["reportSpecification"]["reportType"] == SALES_AND_TRAFFIC


def test_weeks_are_taken_whole(selling: Selling) -> None:
    options = {"dateGranularity": "WEEK"}
    reported = selling.finished(SALES_AND_TRAFFIC, US, "2026-11-04", "2026-11-04", reportOptions=options)
    body = json.loads(selling.fetch(reported)[0])
    assert (body["reportSpecification"]["dataStartTime"], len(body["salesAndTrafficByDate"])) == ("2026-11-01", 1)


@pytest.mark.parametrize(("region", "marketplace", "charset"), [("eu", DE, "cp1252"), ("fe", JP, "cp932")])
def test_order_file_is_in_the_charset_of_its_country(
    server: Server, region: str, marketplace: str, charset: str
) -> None:
    selling = Selling(server, region)
    named, zipped, headers = set(), set(), set()
    for days in range(8):
        reported = selling.finished(ALL_ORDERS, marketplace, days_ago(days + 9), days_ago(days + 8))
        document = selling.document(reported["reportDocumentId"]).json()
        zipped.add("compressionAlgorithm" in document)
        body, response = selling.fetch(reported)
        named.add(response.headers["Content-Type"])
        header, *lines = body.decode(charset).split("\r\n")
        headers.add(header)
        assert len(lines) > 10
        with pytest.raises(UnicodeDecodeError):
            body.decode()
    assert {"text/plain"} < named, "some name their charset, some do not"
    assert zipped == {True, False}
    assert len(headers) == 1
    assert headers.pop().startswith("amazon-order-id\tmerchant-order-id\tpurchase-date\t")


def test_orders_change_their_state(selling: Selling) -> None:
    start, end = f"{days_ago(0)}T00:00:00Z", f"{days_ago(0)}T23:59:59Z"
    early = selling.fetch(selling.finished(ALL_ORDERS, US, start, end))[0].decode("cp1252")
    selling.server.world.clock.advance(5 * 86_400)
    selling.token = ""
    late = selling.fetch(selling.finished(ALL_ORDERS, US, start, end))[0].decode("cp1252")
    assert "Pending" in early or "Unshipped" in early
    assert "Shipped" in late
    assert "Pending" not in late
    assert len(late.splitlines()) > len(early.splitlines())


def test_too_long_a_range_gives_a_text_in_the_place_of_a_file(selling: Selling) -> None:
    reported = selling.finished(ALL_ORDERS, US, days_ago(60), days_ago(20))
    assert reported["processingStatus"] == "DONE"
    assert selling.fetch(reported)[0] == b"Date range exceeded. Report can be requested only upto 30 days"


@pytest.mark.parametrize(
    ("report_type", "start", "end", "options", "text"),
    [
        (SEARCH_TERMS, days_ago(4), days_ago(3), {"reportPeriod": "DAY"}, "dataStartTime must be the same day as"),
        (SEARCH_TERMS, days_ago(4), days_ago(3), {"reportPeriod": "WEEK"}, "dataStartTime and dataEndTime must be the"),
        (SEARCH_TERMS, days_ago(4), days_ago(4), {}, "A client error occurred"),
        (SEARCH_TERMS, days_ago(4), days_ago(4), {"reportPeriod": "HOUR"}, "A client error occurred"),
        (SALES_AND_TRAFFIC, days_ago(4), days_ago(4), {"dateGranularity": "YEAR"}, "A client error occurred"),
        (SALES_AND_TRAFFIC, days_ago(3), days_ago(4), {}, "A client error occurred"),
        (SALES_AND_TRAFFIC, days_ago(0), days_ago(0), {}, "The report data for the requested date range is not yet"),
    ],
)
def test_fatal_reports_say_why(
    selling: Selling, report_type: str, start: str, end: str, options: dict[str, str], text: str
) -> None:
    reported = selling.finished(report_type, US, start, end, reportOptions=options)
    assert reported["processingStatus"] == "FATAL"
    assert json.loads(selling.fetch(reported)[0])["errorDetails"].startswith(text)


def test_orders_are_of_all_marketplaces_that_are_named_and_analyses_of_one(selling: Selling) -> None:
    named = {"marketplaceIds": [US, "A2EUQ1WTGCTBG2"]}
    table = selling.fetch(selling.finished(ALL_ORDERS, US, days_ago(3), days_ago(2), **named))[0].decode("cp1252")
    assert {line.split("\t")[6] for line in table.splitlines()[1:]} == {"Amazon.com", "Amazon.ca"}
    assert selling.finished(SALES_AND_TRAFFIC, US, days_ago(4), days_ago(4), **named)["processingStatus"] == "FATAL"


def test_a_report_of_stock_is_made_once_in_half_an_hour_and_says_what_is_there_then(selling: Selling) -> None:
    def stock() -> list[str]:
        body = selling.fetch(selling.finished(FBA_INVENTORY, US, days_ago(30), days_ago(30)))[0]
        return [line.split("\t")[10] for line in body.decode("cp1252").splitlines()[1:]]

    before = stock()
    again = selling.finished(FBA_INVENTORY, US, days_ago(0), days_ago(0))
    assert again["processingStatus"] == "FATAL"
    selling.server.world.clock.advance(86_400)
    selling.token = ""
    assert stock() != before


def test_late_data_is_there_later(selling: Selling) -> None:
    assert selling.finished(SALES_AND_TRAFFIC, US, days_ago(0), days_ago(0))["processingStatus"] == "FATAL"
    selling.server.world.clock.advance(86_400)
    selling.token = ""
    assert selling.finished(SALES_AND_TRAFFIC, US, days_ago(0), days_ago(0))["processingStatus"] == "DONE"


def test_no_data_is_cancelled(selling: Selling) -> None:
    reported = selling.finished(SALES_AND_TRAFFIC, US, days_ago(800), days_ago(800))
    assert reported["processingStatus"] == "CANCELLED"
    assert "reportDocumentId" not in reported


def test_search_terms_are_one_line_and_as_long_as_wanted(selling: Selling) -> None:
    selling.server.world.set(search_terms=7_001)
    reported = selling.finished(SEARCH_TERMS, US, days_ago(4), days_ago(4), reportOptions={"reportPeriod": "DAY"})
    body = selling.fetch(reported)[0]
    assert b"\n" not in body
    rows = json.loads(body)["dataByDepartmentAndSearchTerm"]
    assert len(rows) == 3 * 7_001
    assert rows[-1]["searchFrequencyRank"] == 7_001


@pytest.mark.parametrize(
    ("period", "start", "end"),
    [
        ("WEEK", "2026-11-08", "2026-11-14"),
        ("MONTH", "2026-10-01", "2026-10-31"),
        ("QUARTER", "2026-07-01", "2026-09-30"),
    ],
)
def test_search_terms_of_whole_periods(selling: Selling, period: str, start: str, end: str) -> None:
    reported = selling.finished(SEARCH_TERMS, US, start, end, reportOptions={"reportPeriod": period})
    assert json.loads(selling.fetch(reported)[0])["reportSpecification"]["dataEndTime"] == end


def test_settlements_come_by_themselves_every_14_days(selling: Selling) -> None:
    refused = selling.create(SETTLEMENT, US, days_ago(20), days_ago(3))
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, "InvalidInput")

    def listed() -> list[dict[str, str]]:
        params = {"reportTypes": SETTLEMENT, "marketplaceIds": US, "pageSize": "100"}
        found: list[dict[str, str]] = selling.call("GET", "/reports/2021-06-30/reports", params=params).json()[
            "reports"
        ]
        return found

    before = listed()
    assert len(before) in (6, 7), "of the last 90 days"
    table = selling.fetch(dict(before[0]))[0].decode("cp1252").split("\r\n")
    assert table[0].startswith("settlement-id\tsettlement-start-date")
    total = float(table[1].split("\t")[4])
    assert total == pytest.approx(sum(float(line.split("\t")[14]) for line in table[2:] if line))
    selling.server.world.clock.advance(14 * 86_400)
    selling.token = ""
    after = listed()
    assert len({r["reportId"] for r in after} - {r["reportId"] for r in before}) == 1
    assert selling.get(after[0]["reportId"]).json()["processingStatus"] == "DONE"


def test_settlement_numbers_are_written_as_the_country_does(server: Server) -> None:
    german = Selling(server, "eu")
    params = {"reportTypes": SETTLEMENT}
    reported = german.call("GET", "/reports/2021-06-30/reports", params=params).json()["reports"][0]
    total = german.fetch(reported)[0].decode("cp1252").split("\r\n")[1].split("\t")[4]
    assert "," in total
    assert "." not in total


def test_reports_are_listed_page_by_page(selling: Selling) -> None:
    ids = {selling.create(ALL_ORDERS, US, days_ago(n), days_ago(n - 1)).json()["reportId"] for n in range(9, 4, -1)}
    path, params = "/reports/2021-06-30/reports", {"reportTypes": ALL_ORDERS, "pageSize": "2"}
    seen, token = [], None
    for _ in range(3):
        page = selling.call("GET", path, params=params if token is None else {"nextToken": token}).json()
        seen += [r["reportId"] for r in page["reports"]]
        token = page.get("nextToken")
    assert token is None
    assert sorted(seen) == sorted(ids)
    assert selling.call("GET", path, params={**params, "nextToken": "x"}).status_code == 400
    assert selling.call("GET", path, params={**params, "pageSize": "²"}).status_code == 400
    assert selling.call("GET", path).status_code == 400
    filters = {**params, "processingStatuses": "DONE"}
    assert selling.call("GET", path, params=filters).json()["reports"] == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"reportType": "GET_NOTHING"}, "Invalid Report Type: GET_NOTHING"),
        ({"marketplaceIds": []}, "marketplaceIds must have"),
        ({"marketplaceIds": [JP]}, f"Invalid marketplaceIds: {JP}"),
        ({"marketplaceIds": [[US]]}, "Invalid marketplaceIds: ['"),
        ({"dataStartTime": "soon"}, "dataStartTime and dataEndTime must be"),
        ({"reportOptions": {"a": 1}}, "reportOptions must map"),
    ],
)
def test_invalid_orders(selling: Selling, changed: dict[str, object], message: str) -> None:
    answered = selling.create(
        **{"report_type": ALL_ORDERS, "marketplace": US, "start": days_ago(3), "end": days_ago(2)}, **changed
    )  # type: ignore[arg-type]
    assert answered.status_code == 400
    assert answered.json()["errors"][0]["message"].startswith(message)
    assert answered.headers["x-amzn-RateLimit-Limit"]


def test_unknown_keys_are_silently_ignored_and_equal_orders_are_two_reports(selling: Selling) -> None:
    body = {"reportType": ALL_ORDERS, "marketplaceIds": [US], "dataEndTime ": days_ago(3), "dataStartTime": days_ago(5)}
    first, second = (selling.call("POST", "/reports/2021-06-30/reports", json=body).json() for _ in range(2))
    assert first["reportId"] != second["reportId"]
    assert selling.get(first["reportId"]).json()["dataEndTime"] == NOW.isoformat()


def test_a_fatal_report_without_document_has_none_to_be_read(selling: Selling) -> None:
    selling.server.world.fault("sp_create", "fatal")
    reported = selling.finished(ALL_ORDERS, US, days_ago(3), days_ago(2))
    assert selling.document(f"amzn1.spdoc.1.4.na.{reported['reportId']}").status_code == 404


def test_only_a_queued_report_can_be_cancelled(selling: Selling) -> None:
    first, second = (selling.create(ALL_ORDERS, US, days_ago(3), days_ago(2)).json()["reportId"] for _ in range(2))
    cancelled = selling.call("DELETE", f"/reports/2021-06-30/reports/{first}")
    assert (cancelled.status_code, cancelled.content) == (200, b"")
    assert selling.get(first).json()["processingStatus"] == "CANCELLED"
    selling.server.world.clock.advance(60)
    assert selling.call("DELETE", f"/reports/2021-06-30/reports/{second}").status_code == 400


def test_expired_token_is_403_with_its_reason_and_no_rate(selling: Selling) -> None:
    selling.get("1")
    selling.server.world.expire_tokens()
    answered = selling.get("1")
    assert answered.status_code == 403
    assert answered.json()["errors"] == [
        {
            "code": "Unauthorized",
            "message": "Access to requested resource is denied.",
            "details": "The access token you provided has expired.",
        }
    ]
    assert "x-amzn-RateLimit-Limit" not in answered.headers
    missing = selling.call("GET", "/sellers/v1/marketplaceParticipations", headers={"x-amz-access-token": ""})
    details = missing.json()["errors"][0]["details"]
    assert (missing.status_code, details) == (403, "Access token is missing in the request header.")


def test_token_bucket_of_each_operation(selling: Selling) -> None:
    selling.server.world.set(sp_speed=1.0)
    answers = [selling.create(ALL_ORDERS, US, days_ago(3), days_ago(2)) for _ in range(16)]
    assert [a.status_code for a in answers] == [202] * 15 + [429]
    assert answers[-1].json()["errors"][0]["code"] == "QuotaExceeded"
    assert not {"x-amzn-RateLimit-Limit", "Retry-After"} & set(answers[-1].headers)
    assert selling.get("1").status_code == 404, "operations have buckets of their own"
    german = Selling(selling.server, "eu")
    assert german.create(ALL_ORDERS, DE, days_ago(3), days_ago(2)).status_code == 202, (
        "and so has each region's account"
    )
    selling.server.world.clock.advance(60)
    assert selling.create(ALL_ORDERS, US, days_ago(3), days_ago(2)).status_code == 202


def test_document_url_is_good_for_five_minutes(selling: Selling) -> None:
    reported = selling.finished(ALL_ORDERS, US, days_ago(3), days_ago(2))
    url = selling.document(reported["reportDocumentId"]).json()["url"]
    whole, rest = HTTP.get(url), HTTP.get(url, headers={"Range": "bytes=10-"})
    assert (rest.status_code, rest.content) == (206, whole.content[10:])
    selling.server.world.clock.advance(timedelta(minutes=5).total_seconds())
    assert HTTP.get(url, headers={"Range": "bytes=10-"}).status_code == 403
    assert selling.document("amzn1.spdoc.1.4.na.1").status_code == 404


def test_restricted_token_opens_one_document_only(selling: Selling) -> None:
    reported = selling.finished(ALL_ORDERS, US, days_ago(3), days_ago(2))
    path = f"/reports/2021-06-30/documents/{reported['reportDocumentId']}"
    wanted = {"restrictedResources": [{"method": "GET", "path": path}]}
    body = selling.call("POST", "/tokens/2021-03-01/restrictedDataToken", json=wanted).json()
    restricted = Selling(selling.server, token=body["restrictedDataToken"])
    assert restricted.token.startswith("Atz.sprdt|")
    assert restricted.call("GET", path).status_code == 200
    assert restricted.get(reported["reportId"]).status_code == 403
    selling.server.world.set(restricted_types=(ALL_ORDERS,))
    assert selling.call("GET", path).status_code == 403, "personal data do not open with the seller's own token"
    assert restricted.call("GET", path).status_code == 200
    selling.server.world.expire_tokens()
    assert restricted.call("GET", path).json()["errors"][0]["details"].endswith("has expired.")


def test_old_reports_are_forgotten(selling: Selling) -> None:
    reported = selling.finished(ALL_ORDERS, US, days_ago(3), days_ago(2))
    selling.server.world.clock.advance(91 * 86_400)
    selling.token = ""
    selling.create(ALL_ORDERS, US, days_ago(3), days_ago(2))
    assert selling.get(reported["reportId"]).status_code == 404
