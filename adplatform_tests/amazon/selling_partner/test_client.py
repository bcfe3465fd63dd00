"""The client of the Selling Partner API against a simulated Amazon that fails in the ways Amazon does."""

import gzip
import hashlib
import json
import re
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

import pytest
from werkzeug.serving import make_server

from adplatform.amazon.http import TurnIsLater
from adplatform.amazon.reports import Created, Progress, ReportApi, ReportOrder, ReportStatus
from adplatform.amazon.selling_partner.client import HOSTS, SellingPartnerReports, open_selling_partner
from adplatform.amazon.selling_partner.marketplaces import MARKETPLACES
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.ledger.ledger import Ledger
from adplatform.local.world.amazon.accounts import DEMO_ACCOUNTS, DEMO_CREDENTIALS
from adplatform.local.world.amazon.selling import ALL_ORDERS, SALES_AND_TRAFFIC, SEARCH_TERMS, SETTLEMENT
from adplatform.local.world.amazon.server import Application
from adplatform.local.world.amazon.world import SpReport, World
from adplatform.local.world.http import Handler
from adplatform_tests.amazon.shared import Shared

NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
TODAY = NOW.date()
US, CANADA, GERMANY = "ATVPDKIKX0DER", "A2EUQ1WTGCTBG2", "A1PA6795UKMFR9"
DOCUMENTS = "/na/reports/2021-06-30/documents/"


@dataclass
class Seen:
    method: str
    path: str
    query: str
    headers: dict[str, str]


@dataclass
class Front:
    """Stands before the simulated Amazon and sees every request. ``retry_after`` comes with every 429; ``answers`` are
    bodies for paths in the place of its own; ``insists`` on a restricted token for documents."""

    application: Application
    seen: list[Seen] = field(default_factory=list)
    retry_after: str = ""
    answers: dict[str, Any] = field(default_factory=dict)
    insists: bool = False

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        headers = {k[5:].replace("_", "-").lower(): v for k, v in environ.items() if k.startswith("HTTP_")}
        path = environ["PATH_INFO"]
        self.seen.append(Seen(environ["REQUEST_METHOD"], path, environ["QUERY_STRING"], headers))
        if path in self.answers:
            start_response("200 OK", [("Content-Type", "application/json")])
            return [json.dumps(self.answers[path]).encode()]
        if self.insists and path.startswith(DOCUMENTS) and not headers["x-amz-access-token"].startswith("Atz.sprdt|"):
            start_response("403 Forbidden", [("Content-Type", "application/json")])
            return [b'{"errors": [{"code": "Unauthorized", "message": "Access to requested resource is denied."}]}']

        def start(status: str, sent: list[tuple[str, str]], *more: Any) -> Any:
            reported = [("Retry-After", self.retry_after)] if status.startswith("429") and self.retry_after else []
            return start_response(status, sent + reported, *more)

        return self.application(environ, start)

    def asked(self, part: str, method: str = "GET") -> list[Seen]:
        return [s for s in self.seen if part in s.path and s.method == method]


@dataclass
class Amazon:
    """A simulated Amazon whose clock stands still but for the sleeps of its clients."""

    world: World
    front: Front
    url: str
    secrets: Any
    ledger: Ledger
    folder: Path
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.world.clock.advance(seconds)

    def open(self, region: str = "na") -> SellingPartnerReports:
        app = DEMO_CREDENTIALS["selling_partner"]
        members = {
            "client_id": app.client_id,
            "client_secret": app.client_secret,
            "refresh_token": app.refresh_token,
        }
        name = f"selling-partner-{uuid.uuid4().hex}"
        self.secrets.create_secret(Name=name, SecretString=json.dumps(members))
        endpoint = f"{self.url}/{region}"
        return open_selling_partner(
            self.secrets, name, region, self.ledger, self.folder / "tokens", sleep=self.sleep, endpoint=endpoint
        )

    def answers(self, operation: str) -> dict[str, int]:
        return dict(self.world.requests.answers[operation])

    def finish(self) -> None:
        self.world.clock.advance(60)

    def reports(self) -> list[SpReport]:
        return list(self.world.sp_reports.values())


@pytest.fixture
def amazon(shared: Shared, tmp_path: Path) -> Iterator[Amazon]:
    world = World(sleep=lambda _: None)
    world.clock.set(NOW, frozen=True)
    front = Front(Application(world))
    server = make_server("127.0.0.1", 0, front, threaded=True, request_handler=Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    ledger = Ledger(shared.dynamodb, shared.table, world.now)
    yield Amazon(world, front, f"http://127.0.0.1:{server.server_port}", shared.secrets, ledger, tmp_path)
    server.shutdown()
    server.server_close()


@pytest.fixture
def api(amazon: Amazon) -> SellingPartnerReports:
    return amazon.open()


def order(report_type: str = SALES_AND_TRAFFIC, age: int = 4, days: int = 1, **changed: Any) -> ReportOrder:
    start = TODAY - timedelta(days=age)
    asked = ReportOrder("test", report_type, US, start, start + timedelta(days=days - 1), {})
    return replace(asked, **changed)


def created(api: SellingPartnerReports, asked: ReportOrder) -> str:
    return api.create(asked, NOW, again=False).report_id


def finished(amazon: Amazon, api: SellingPartnerReports, asked: ReportOrder) -> Progress:
    report_id = created(api, asked)
    amazon.finish()
    return api.progress(asked, report_id)


# Marketplaces


def test_marketplaces_of_each_region(amazon: Amazon) -> None:
    scopes = {region: amazon.open(region).scopes() for region in ("na", "eu", "fe")}
    assert {region: [s.id for s in found] for region, found in scopes.items()} == {
        "na": [US, CANADA],
        "eu": [GERMANY],
        "fe": ["A1VC38T7YXB528"],
    }
    (german,) = scopes["eu"]
    assert (german.timezone, german.country, german.currency) == ("Europe/Berlin", "DE", "EUR")
    assert (german.name, german.kind) == ("Amazon.de", "seller")


def test_marketplaces_that_are_none_are_left_out(amazon: Amazon, api: SellingPartnerReports) -> None:
    def listed(name: str, *, participating: bool) -> dict[str, Any]:
        return {"marketplace": {"id": name}, "participation": {"isParticipating": participating}}

    payload = [
        listed(US, participating=True),
        listed("A1AM78C64UM0Y8", participating=False),
        listed("A1MQXOICRS2Z7M", participating=True),
    ]
    amazon.front.answers["/na/sellers/v1/marketplaceParticipations"] = {"payload": payload}
    assert [s.id for s in api.scopes()] == [US]


def test_every_marketplace_has_a_time_zone() -> None:
    assert len(MARKETPLACES) == 23
    assert all(ZoneInfo(m.timezone).key == m.timezone for m in MARKETPLACES.values())
    assert all(MARKETPLACES[m.id] == (m.country, m.currency, m.timezone) for m in DEMO_ACCOUNTS.marketplaces)


# From order to document


def test_a_report_from_order_to_document(amazon: Amazon, api: SellingPartnerReports) -> None:
    general: ReportApi = api
    options = {"dateGranularity": "DAY", "asinGranularity": "CHILD"}
    asked = order(days=2, configuration=options)
    placed = general.create(asked, NOW, again=False)
    assert not placed.adopted
    (report,) = amazon.reports()
    assert (report.type, report.marketplaces, report.options) == (SALES_AND_TRAFFIC, [US], options)
    assert (report.start, report.end) == ("2026-11-16T00:00:00+00:00", "2026-11-17T23:59:59+00:00")
    seen = []
    for _ in range(3):
        progress = general.progress(asked, placed.report_id)
        seen.append(progress.status)
        amazon.world.clock.advance(2.5)
    assert seen == [ReportStatus.QUEUED, ReportStatus.PROCESSING, ReportStatus.READY]
    assert progress.document.startswith("amzn1.spdoc.")
    document = general.fetch(asked, progress, amazon.folder / "document")
    body = document.path.read_bytes()
    assert (document.size, document.sha256) == (len(body), hashlib.sha256(body).hexdigest())
    dates = [row["date"] for row in json.loads(gzip.decompress(body))["salesAndTrafficByDate"]]
    assert dates == ["2026-11-16", "2026-11-17"]


def test_requests_say_who_asks_and_downloads_bring_no_token(amazon: Amazon, api: SellingPartnerReports) -> None:
    progress = finished(amazon, api, order())
    api.fetch(order(), progress, amazon.folder / "document")
    calls = [s for s in amazon.front.seen if s.path.startswith("/na/reports/")]
    for call in calls:
        assert re.fullmatch(r"adplatform/\d\S* \(Language=Python/3\.\d+\.\S+\)", call.headers["user-agent"])
        assert call.headers["x-amz-access-token"].startswith("Atza|")
        assert re.fullmatch(r"20261120T\d{6}Z", call.headers["x-amz-date"])
        assert "authorization" not in call.headers
    (download,) = amazon.front.asked("/download/")
    assert not {"x-amz-access-token", "authorization"} & set(download.headers)


@pytest.mark.parametrize(
    ("timezone", "day", "start", "end"),
    [
        ("UTC", "2026-11-16", "2026-11-16T00:00:00", "2026-11-16T23:59:59"),
        ("America/Los_Angeles", "2026-11-01", "2026-11-01T07:00:00", "2026-11-02T07:59:59"),
        ("Asia/Tokyo", "2026-11-16", "2026-11-15T15:00:00", "2026-11-16T14:59:59"),
        ("Africa/Cairo", "2026-10-29", "2026-10-28T21:00:00", "2026-10-29T21:59:59"),
    ],
)
def test_dates_are_whole_days_of_their_time_zone(
    amazon: Amazon, api: SellingPartnerReports, timezone: str, day: str, start: str, end: str
) -> None:
    on = date.fromisoformat(day)
    asked = order(ALL_ORDERS, start=on, end=on, timezone=timezone)
    progress = finished(amazon, api, asked)
    (report,) = amazon.reports()
    assert (report.start, report.end) == (f"{start}+00:00", f"{end}+00:00")
    assert progress.status is ReportStatus.READY


def test_the_charset_of_a_document_is_what_its_header_says(amazon: Amazon, api: SellingPartnerReports) -> None:
    found = set()
    for age in range(9, 13):
        asked = order(ALL_ORDERS, age)
        document = api.fetch(asked, finished(amazon, api, asked), amazon.folder / "document")
        found.add(document.charset)
    assert found == {"cp1252", ""}


def test_hosts_are_amazons() -> None:
    assert {region: host.removeprefix("https://sellingpartnerapi-") for region, host in HOSTS.items()} == {
        "na": "na.amazon.com",
        "eu": "eu.amazon.com",
        "fe": "fe.amazon.com",
    }


# Orders whose answer was lost


def test_an_order_whose_answer_was_lost_is_adopted(amazon: Amazon, api: SellingPartnerReports) -> None:
    amazon.world.fault("sp_create", "reset")
    with pytest.raises(TransientFailure, match="createReport may have been accepted"):
        api.create(order(), NOW, again=False)
    amazon.world.clock.advance(600)
    (made,) = amazon.reports()
    intended_by_a_clock_that_is_fast = NOW + timedelta(seconds=30)
    assert api.create(order(), intended_by_a_clock_that_is_fast, again=True) == Created(made.id, adopted=True)
    assert amazon.answers("sp_create") == {"202 but dropped": 1}


@pytest.mark.parametrize("fault", ["drop", "server_error", "bad_gateway"])
def test_an_order_that_did_not_arrive_is_placed_once(amazon: Amazon, api: SellingPartnerReports, fault: str) -> None:
    amazon.world.fault("sp_create", fault)
    with pytest.raises(TransientFailure):
        api.create(order(), NOW, again=False)
    placed = api.create(order(), NOW, again=True)
    assert not placed.adopted
    assert [r.id for r in amazon.reports()] == [placed.report_id]


def test_an_order_is_not_placed_while_it_cannot_be_looked_for(amazon: Amazon, api: SellingPartnerReports) -> None:
    amazon.world.fault("sp_reports", "server_error", times=None)
    with pytest.raises(TransientFailure, match=r"getReports (failed for now|may be called again)"):
        api.create(order(), NOW, again=True)
    assert not amazon.reports()


def test_only_the_same_report_is_adopted_and_the_newest_of_several(amazon: Amazon, api: SellingPartnerReports) -> None:
    asked = order()
    created(api, order(age=5))
    created(api, order(scope=CANADA))
    created(api, order(ALL_ORDERS))
    for fault in ("cancel", "fatal"):
        amazon.world.fault("sp_create", fault)
        created(api, asked)
    amazon.finish()
    placed = api.create(asked, NOW, again=True)
    assert not placed.adopted
    amazon.world.clock.advance(5)
    newest = created(api, asked)
    assert api.create(asked, NOW, again=True) == Created(newest, adopted=True)
    later = NOW + timedelta(hours=1)
    amazon.world.clock.set(later)
    assert not api.create(asked, later, again=True).adopted, "what was made before the intention is another's"


def test_the_report_to_adopt_is_found_on_a_later_page(amazon: Amazon, api: SellingPartnerReports) -> None:
    wanted = created(api, order())
    for number in range(230):
        world_report = amazon.world.sp_reports[wanted]
        other = replace(world_report, id=str(number), start="2026-11-01T00:00:00+00:00", created=NOW.timestamp() + 1)
        amazon.world.sp_reports[other.id] = other
    amazon.world.clock.advance(30)
    assert api.create(order(), NOW, again=True) == Created(wanted, adopted=True)
    pages = [parse_qs(s.query) for s in amazon.front.asked("/reports/2021-06-30/reports") if "Token" in s.query]
    assert [set(page) for page in pages] == [{"nextToken"}, {"nextToken"}]


# What Amazon made of the order


def test_a_narrowed_range_is_a_permanent_failure_that_says_both(amazon: Amazon, api: SellingPartnerReports) -> None:
    asked = order(days=3)
    report_id = created(api, asked)
    amazon.world.sp_reports[report_id].end = "2026-11-16T23:59:59+00:00"
    amazon.finish()
    progress = api.progress(asked, report_id)
    assert (progress.status, progress.retryable) == (ReportStatus.FAILED, False)
    assert "2026-11-16T00:00:00Z to 2026-11-16T23:59:59Z" in progress.reason
    assert "2026-11-16T00:00:00Z to 2026-11-18T23:59:59Z" in progress.reason


def test_a_widened_range_is_a_permanent_failure(amazon: Amazon, api: SellingPartnerReports) -> None:
    amazon.world.fault("sp_create", "bigger_range")
    progress = finished(amazon, api, order())
    assert (progress.status, progress.retryable) == (ReportStatus.FAILED, False)
    assert "data from 2026-11-15T00:00:00Z" in progress.reason


@pytest.mark.parametrize(
    ("changed", "says"),
    [({"scope": CANADA}, f"marketplaces {US}"), ({"report_type": ALL_ORDERS}, f"type {SALES_AND_TRAFFIC}")],
)
def test_another_marketplace_or_type_is_a_permanent_failure(
    amazon: Amazon, api: SellingPartnerReports, changed: dict[str, Any], says: str
) -> None:
    report_id = created(api, order())
    progress = api.progress(replace(order(), **changed), report_id)
    assert (progress.status, progress.retryable) == (ReportStatus.FAILED, False)
    assert f"{says} instead of" in progress.reason


def test_what_amazon_does_not_repeat_is_not_compared(amazon: Amazon, api: SellingPartnerReports) -> None:
    reported = {"reportId": "1", "processingStatus": "IN_PROGRESS", "dataStartTime": "2026-11-15T16:00-08:00"}
    amazon.front.answers["/na/reports/2021-06-30/reports/1"] = reported
    assert api.progress(order(), "1").status is ReportStatus.PROCESSING


def test_cancelled_is_empty(amazon: Amazon, api: SellingPartnerReports) -> None:
    assert finished(amazon, api, order(age=800)).status is ReportStatus.EMPTY
    amazon.world.fault("sp_create", "cancel")
    assert finished(amazon, api, order()).status is ReportStatus.EMPTY


def test_an_unknown_report_is_gone(api: SellingPartnerReports) -> None:
    progress = api.progress(order(), "4711")
    assert (progress.status, progress.retryable) == (ReportStatus.GONE, True)


# FATAL


@pytest.mark.parametrize(
    ("asked", "reason", "retryable"),
    [
        (order(age=0), "The report data for the requested date range is not yet available.", True),
        (order(SEARCH_TERMS), "A client error occurred.", True),
        (
            order(SEARCH_TERMS, days=2, configuration={"reportPeriod": "DAY"}),
            "dataStartTime must be the same day as dataEndTime",
            False,
        ),
    ],
    ids=["data are late", "data may be late", "wrong parameters"],
)
def test_the_document_of_a_fatal_report_says_whether_to_order_again(
    amazon: Amazon, api: SellingPartnerReports, asked: ReportOrder, reason: str, retryable: bool
) -> None:
    progress = finished(amazon, api, asked)
    assert (progress.status, progress.retryable) == (ReportStatus.FAILED, retryable)
    assert progress.reason.startswith(reason)


def test_a_fatal_report_without_document_can_be_ordered_again(amazon: Amazon, api: SellingPartnerReports) -> None:
    amazon.world.fault("sp_create", "fatal")
    progress = finished(amazon, api, order())
    assert (progress.status, progress.retryable) == (ReportStatus.FAILED, True)
    assert progress.reason == "Amazon gives no reason"


@pytest.mark.parametrize(("operation", "fault"), [("download", "corrupt_gzip"), ("sp_document", "forget")])
def test_a_fatal_report_whose_reason_cannot_be_read_has_failed_all_the_same(
    amazon: Amazon, api: SellingPartnerReports, operation: str, fault: str
) -> None:
    amazon.world.fault(operation, fault)
    progress = finished(amazon, api, order(age=0))
    assert (progress.status, progress.retryable) == (ReportStatus.FAILED, True)


def test_the_reason_of_a_fatal_report_survives_an_expired_url(amazon: Amazon, api: SellingPartnerReports) -> None:
    amazon.world.fault("sp_document", "expired_url")
    assert "not yet available" in finished(amazon, api, order(age=0)).reason


# Documents


@pytest.mark.parametrize("operation", ["sp_document", "download"])
def test_a_url_that_expired_is_minted_anew(amazon: Amazon, api: SellingPartnerReports, operation: str) -> None:
    progress = finished(amazon, api, order())
    amazon.world.fault(operation, "expired_url", times=2)
    document = api.fetch(order(), progress, amazon.folder / "document")
    assert json.loads(gzip.decompress(document.path.read_bytes()))
    assert amazon.answers("sp_document") == {"200": 3}


def test_urls_that_expire_for_ever_are_given_up(amazon: Amazon, api: SellingPartnerReports) -> None:
    progress = finished(amazon, api, order())
    amazon.world.fault("download", "expired_url", times=None)
    with pytest.raises(TransientFailure, match="expired 3 times"):
        api.fetch(order(), progress, amazon.folder / "document")


@pytest.mark.parametrize(
    ("operation", "fault"), [("download", "truncate"), ("download", "server_error"), ("sp_document", "forget")]
)
def test_a_document_that_does_not_come_whole_fails_for_now_and_shows_no_url(
    amazon: Amazon, api: SellingPartnerReports, operation: str, fault: str
) -> None:
    progress = finished(amazon, api, order())
    amazon.world.fault(operation, fault)
    with pytest.raises(TransientFailure) as failure:
        api.fetch(order(), progress, amazon.folder / "document")
    assert not re.search(r"://|Signature|Atza", repr(failure.value) + repr(failure.value.__cause__))
    assert api.fetch(order(), progress, amazon.folder / "document").size > 0


def test_a_restricted_report_is_read_with_a_token_for_its_document(amazon: Amazon, api: SellingPartnerReports) -> None:
    amazon.front.insists = True
    progress = finished(amazon, api, order(ALL_ORDERS))
    with pytest.raises(PermanentFailure, match="Access to requested resource is denied"):
        api.fetch(order(ALL_ORDERS), progress, amazon.folder / "document")
    amazon.world.fault("download", "expired_url")
    restricted = order(ALL_ORDERS, restricted=True)
    assert api.fetch(restricted, progress, amazon.folder / "document").size > 0
    documents = amazon.front.asked(DOCUMENTS)[1:]
    tokens = {s.headers["x-amz-access-token"] for s in documents}
    assert [t[:10] for t in tokens] == ["Atz.sprdt|"] * 2, "one for each time that the URL is minted"
    assert {amazon.world.tokens[t].path for t in tokens} == {f"/reports/2021-06-30/documents/{progress.document}"}


def test_other_reports_take_no_restricted_token(amazon: Amazon, api: SellingPartnerReports) -> None:
    api.fetch(order(), finished(amazon, api, order()), amazon.folder / "document")
    assert amazon.answers("sp_restricted_token") == {}


# Pace and tokens


def test_orders_keep_to_amazons_rate_and_nobody_waits_for_it(amazon: Amazon, api: SellingPartnerReports) -> None:
    amazon.world.set(sp_speed=1.0)
    for number in range(15):
        created(api, order(age=4 + number))
    for number in range(15, 17):
        with pytest.raises(TurnIsLater) as later:
            created(api, order(age=4 + number))
        assert timedelta(seconds=55) < later.value.wait < timedelta(seconds=65)
        assert not amazon.slept
        amazon.world.clock.advance(later.value.wait.total_seconds())
        created(api, order(age=4 + number))
    assert amazon.answers("sp_create") == {"202": 17}


def test_each_seller_and_operation_has_a_pace_of_its_own(amazon: Amazon, api: SellingPartnerReports) -> None:
    for number in range(15):
        created(api, order(age=4 + number))
    api.progress(order(), "1")
    created(amazon.open(), order())
    assert not amazon.slept
    with pytest.raises(TurnIsLater):
        created(api, order())


def test_throttling_without_retry_after_is_waited_out(amazon: Amazon, api: SellingPartnerReports) -> None:
    amazon.world.fault("sp_get", "throttle", times=2)
    report_id = created(api, order())
    api.progress(order(), report_id)
    assert amazon.answers("sp_get") == {"429": 2, "200": 1}
    assert sum(amazon.slept) > 2


def test_an_order_that_is_throttled_again_is_left_for_later(amazon: Amazon, api: SellingPartnerReports) -> None:
    amazon.world.fault("sp_create", "throttle", times=2)
    with pytest.raises(TurnIsLater):
        created(api, order())
    amazon.world.clock.advance(60)
    created(api, order())
    assert len(amazon.reports()) == 1


def test_throttling_with_retry_after_waits_as_long_as_it_says(amazon: Amazon, api: SellingPartnerReports) -> None:
    amazon.front.retry_after = "37"
    amazon.world.fault("sp_get", "throttle")
    report_id = created(api, order())
    before = amazon.world.now()
    api.progress(order(), report_id)
    assert amazon.world.now() - before >= timedelta(seconds=37)
    assert amazon.answers("sp_get") == {"429": 1, "200": 1}


def test_throttling_for_ever_fails_for_now_and_makes_no_report(amazon: Amazon, api: SellingPartnerReports) -> None:
    amazon.world.fault("sp_create", "throttle", times=None)
    with pytest.raises(TransientFailure):
        created(api, order())
    assert not amazon.reports()
    assert sum(amazon.slept) < 400


def test_an_expired_token_is_refreshed(amazon: Amazon, api: SellingPartnerReports) -> None:
    report_id = created(api, order())
    amazon.world.expire_tokens()
    assert api.progress(order(), report_id).status is ReportStatus.QUEUED
    amazon.world.expire_tokens()
    created(api, order(age=5))
    assert amazon.answers("sp_create") == {"202": 2, "403": 1}
    assert amazon.world.requests.refreshes["selling_partner"] == 3


def test_a_missing_role_is_a_permanent_failure_with_amazons_words(amazon: Amazon, api: SellingPartnerReports) -> None:
    amazon.world.fault("sp_create", "unauthorized")
    with pytest.raises(PermanentFailure, match="Access to requested resource is denied"):
        created(api, order())
    assert amazon.answers("sp_create") == {"403": 1}


def test_a_wrong_order_is_a_permanent_failure_with_amazons_words(api: SellingPartnerReports) -> None:
    with pytest.raises(PermanentFailure, match=f"Invalid marketplaceIds: {GERMANY}"):
        created(api, order(scope=GERMANY))


def test_a_poll_survives_an_error_of_amazons(amazon: Amazon, api: SellingPartnerReports) -> None:
    report_id = created(api, order())
    for fault in ("server_error", "bad_gateway", "reset", "drop"):
        amazon.world.fault("sp_get", fault)
    assert api.progress(order(), report_id).status is not ReportStatus.GONE


# Cancelling


def test_what_is_queued_is_cancelled_and_the_rest_is_no_error(amazon: Amazon, api: SellingPartnerReports) -> None:
    first, second = created(api, order()), created(api, order(age=5))
    api.cancel(order(), first)
    assert api.progress(order(), first).status is ReportStatus.EMPTY
    amazon.finish()
    api.cancel(order(age=5), second)
    api.cancel(order(), "4711")
    assert amazon.answers("sp_cancel") == {"200": 1, "400": 1, "404": 1}
    assert api.progress(order(age=5), second).status is ReportStatus.READY


# Reports that Amazon makes by itself


def test_settlements_are_discovered_and_can_be_fetched(amazon: Amazon, api: SellingPartnerReports) -> None:
    found = api.discover(SETTLEMENT, NOW - timedelta(days=30))
    assert len(found) in (4, 5, 6), "two marketplaces, every 14 days"
    assert {scope for each in found for scope in each.scopes} == {US, CANADA}
    assert [each.created for each in found] == sorted(each.created for each in found)
    newest = found[-1]
    assert newest.end <= newest.created <= NOW
    progress = Progress(newest.report_id, ReportStatus.READY, document=newest.document)
    document = api.fetch(order(SETTLEMENT), progress, amazon.folder / "document")
    body = document.path.read_bytes()
    body = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
    assert body.startswith(b"settlement-id\t")


def test_discovery_reads_all_pages_and_only_what_is_done(amazon: Amazon, api: SellingPartnerReports) -> None:
    for number in range(250):
        amazon.world.sp_reports[str(number)] = SpReport(
            id=str(number),
            region="na",
            type=SETTLEMENT,
            marketplaces=[US],
            start="2026-11-01T00:00:00+00:00",
            end="2026-11-15T00:00:00+00:00",
            options={},
            created=NOW.timestamp() - 600,
            status={0: "IN_PROGRESS", 1: "FATAL"}.get(number % 50, "DONE"),
            error="An internal error occurred.",
        )
    found = api.discover(SETTLEMENT, NOW - timedelta(hours=1))
    assert sorted(int(each.report_id) for each in found) == [n for n in range(250) if n % 50 > 1]
    listings = [parse_qs(s.query) for s in amazon.front.asked("/reports/2021-06-30/reports")]
    assert [set(listed) for listed in listings[1:]] == [{"nextToken"}] * 2
    assert listings[0]["pageSize"] == ["100"]


def test_discovery_asks_for_no_more_than_90_days(amazon: Amazon, api: SellingPartnerReports) -> None:
    assert api.discover(SETTLEMENT, NOW - timedelta(days=400))
    (listing,) = amazon.front.asked("/reports/2021-06-30/reports")
    since = datetime.fromisoformat(parse_qs(listing.query)["createdSince"][0])
    assert timedelta(days=89) < NOW - since < timedelta(days=90)


# Answers that are not what was asked for


REPORTS = "/na/reports/2021-06-30/reports"
NO_OBJECTS: tuple[Any, ...] = (None, [], [None], "text", 7, True)


def fetched(api: SellingPartnerReports, target: Path, *, restricted: bool = False) -> None:
    api.fetch(order(restricted=restricted), Progress("1", ReportStatus.READY, document="1"), target)


ASKING: dict[str, tuple[str, Callable[[SellingPartnerReports, Path], Any]]] = {
    "marketplaces": ("/na/sellers/v1/marketplaceParticipations", lambda api, _: api.scopes()),
    "order": (REPORTS, lambda api, _: created(api, order())),
    "listing": (REPORTS, lambda api, _: api.discover(SETTLEMENT, NOW)),
    "adoption": (REPORTS, lambda api, _: api.create(order(), NOW, again=True)),
    "report": (f"{REPORTS}/1", lambda api, _: api.progress(order(), "1")),
    "document": (f"{DOCUMENTS}1", fetched),
    "restricted": ("/na/tokens/2021-03-01/restrictedDataToken", lambda api, to: fetched(api, to, restricted=True)),
}


@pytest.mark.parametrize("operation", ASKING)
def test_an_answer_that_is_no_object_fails_for_now(amazon: Amazon, api: SellingPartnerReports, operation: str) -> None:
    path, ask = ASKING[operation]
    for body in NO_OBJECTS:
        amazon.front.answers[path] = body
        with pytest.raises(TransientFailure, match=r"Amazon|has no document at present"):
            ask(api, amazon.folder / "document")
    assert not amazon.slept


def test_any_answer_to_a_cancellation_is_none_to_fail_at(amazon: Amazon, api: SellingPartnerReports) -> None:
    for body in NO_OBJECTS:
        amazon.front.answers[f"{REPORTS}/1"] = body
        api.cancel(order(), "1")


@pytest.mark.parametrize("listed", [7, "text", {"id": US}, [7], [None], ["text"], [[]]])
def test_a_list_of_what_are_no_objects_fails_for_now(amazon: Amazon, api: SellingPartnerReports, listed: Any) -> None:
    amazon.front.answers |= {ASKING["marketplaces"][0]: {"payload": listed}, REPORTS: {"reports": listed}}
    with pytest.raises(TransientFailure, match="getMarketplaceParticipations has no list of payload"):
        api.scopes()
    with pytest.raises(TransientFailure, match="getReports has no list of reports"):
        api.discover(SETTLEMENT, NOW)


def test_a_marketplace_that_is_no_object_is_left_out(amazon: Amazon, api: SellingPartnerReports) -> None:
    yes = {"isParticipating": True}
    payload = [
        {},
        {"marketplace": None, "participation": yes},
        {"marketplace": "text", "participation": yes},
        {"marketplace": {"id": [US]}, "participation": yes},
        {"marketplace": {"id": CANADA}, "participation": "yes"},
        {"marketplace": {"id": US}, "participation": yes},
    ]
    amazon.front.answers[ASKING["marketplaces"][0]] = {"payload": payload}
    assert [s.id for s in api.scopes()] == [US]


@pytest.mark.parametrize("changed", [{"marketplaceIds": 7}, {"marketplaceIds": [[]]}, {"marketplaceIds": {"a": 1}}])
def test_odd_marketplaces_of_a_report_make_it_another(
    amazon: Amazon, api: SellingPartnerReports, changed: dict[str, Any]
) -> None:
    amazon.front.answers[f"{REPORTS}/1"] = {"processingStatus": "DONE", "reportDocumentId": "1", **changed}
    progress = api.progress(order(), "1")
    assert (progress.status, progress.retryable) == (ReportStatus.FAILED, False)
    assert "Amazon made another report: marketplaces" in progress.reason


@pytest.mark.parametrize("time", ["yesterday", 7, ["2026-11-16"], "0001-01-01T00:00:00+14:00"])
def test_a_time_that_is_none_is_a_permanent_failure_that_shows_it(
    amazon: Amazon, api: SellingPartnerReports, time: Any
) -> None:
    amazon.front.answers[f"{REPORTS}/1"] = {"processingStatus": "DONE", "dataStartTime": time}
    with pytest.raises(PermanentFailure, match=re.escape(f"a time that is none: {time!r}")):
        api.progress(order(), "1")
    amazon.front.answers[REPORTS] = {"reports": [{"reportId": "1", "reportDocumentId": "1", "createdTime": time}]}
    with pytest.raises(PermanentFailure, match="a time that is none"):
        api.discover(SETTLEMENT, NOW)


@pytest.mark.parametrize("odd", ["\ud800", "S3CR3T\r\nx: y", "\u00fc", {"a": "S3CR3T"}, ["S3CR3T"]])
def test_what_no_request_can_hold_fails_for_now(amazon: Amazon, api: SellingPartnerReports, odd: Any) -> None:
    target, answers = amazon.folder / "document", amazon.front.answers
    restricted, document = ASKING["restricted"][0], f"{DOCUMENTS}1"
    answers |= {restricted: {"restrictedDataToken": odd}, document: {"url": odd}, REPORTS: {"reportId": odd}}
    with pytest.raises(TransientFailure, match="named no restricted data token"):
        fetched(api, target, restricted=True)
    with pytest.raises(TransientFailure, match="has no document at present"):
        fetched(api, target)
    with pytest.raises(TransientFailure, match="named no report"):
        created(api, order())


# The simulated Amazon


def test_a_proxy_of_the_environment_does_not_stand_before_the_simulated_amazon(
    amazon: Amazon, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert [s.id for s in amazon.open().scopes()] == [US, CANADA]
