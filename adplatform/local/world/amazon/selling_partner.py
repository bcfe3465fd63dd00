"""The Selling Partner API: reports 2021-06-30, restricted tokens, and the marketplaces of the seller."""

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from werkzeug.wrappers import Response

from adplatform.local.world.amazon import documents, inventory, selling
from adplatform.local.world.amazon.calls import JSON, Call, answer
from adplatform.local.world.amazon.downloads import find, signed
from adplatform.local.world.amazon.faults import FATES
from adplatform.local.world.amazon.selling import Ending
from adplatform.local.world.amazon.selling_catalogue import SERVED
from adplatform.local.world.amazon.selling_served import Asked
from adplatform.local.world.amazon.world import REPORT_DAYS, SpReport, World

_RATES = {
    "sp_create": (0.0167, 15),
    "sp_get": (2.0, 15),
    "sp_reports": (0.0222, 10),
    "sp_cancel": (0.0222, 10),
    "sp_document": (0.0167, 15),
    "sp_restricted_token": (1.0, 10),
    "sp_participations": (0.016, 15),
}
"""Requests per second and burst, as the API's models document them."""
_STATUSES = ("IN_QUEUE", "IN_PROGRESS", "DONE", "CANCELLED", "FATAL")
_DOCUMENT_PREFIX = "amzn1.spdoc.1.4"
EXPIRED = "The access token you provided has expired."
SECRET_EXPIRED = "The LWA secret token you provided has expired."  # noqa: S105 - words of Amazon
_NOT_FOUND = "The requested resource doesn't exist."


def served(handler: Callable[[Call], Response]) -> Callable[[Call], Response]:
    """The handler behind access token and token bucket."""

    def serve(call: Call) -> Response:
        refused = _not_allowed(call) or _throttled(call)
        if refused is not None:
            return refused
        response = handler(call)
        if response.status_code < 300 or response.status_code in (400, 404):
            rate = _RATES[call.operation][0] * (call.world.settings.sp_speed or 1.0)
            response.headers["x-amzn-RateLimit-Limit"] = f"{rate:.4f}".rstrip("0").rstrip(".")
        return response

    return serve


def _not_allowed(call: Call) -> Response | None:
    text = _token(call)
    if not text:
        return unauthorized("Access token is missing in the request header.")
    token = call.world.tokens.get(text)
    path = call.request.path.removeprefix(f"/{call.region}")
    if token is None or token.api != "selling_partner" or token.path not in ("", path):
        return unauthorized("The access token you provided is revoked, malformed or invalid.")
    if token.expires <= call.now.timestamp():
        return unauthorized(EXPIRED)
    return unauthorized("") if token.grantless else None


def _token(call: Call) -> str:
    return str(call.request.headers.get("x-amz-access-token", ""))


def unauthorized(details: str) -> Response:
    return error(403, "Unauthorized", "Access to requested resource is denied.", details)


def unavailable(status: int) -> Response:
    """500 or 503."""
    code = "InternalFailure" if status == 500 else "ServiceUnavailable"
    return error(status, code, "We encountered an internal error. Please try again.")


def throttled() -> Response:
    return error(429, "QuotaExceeded", "You exceeded your quota for the requested resource.")


def _throttled(call: Call) -> Response | None:
    """A token bucket for each pair of app and seller, and operation. In each region the seller is another account."""
    world, speed = call.world, call.world.settings.sp_speed
    if speed is None:
        return None
    rate, burst = _RATES[call.operation]
    key = f"{world.credentials['selling_partner'].client_id}|{call.region}/{world.accounts.seller}|{call.operation}"
    now = call.now.timestamp()
    tokens, at = world.buckets.get(key, (float(burst), now))
    tokens = min(float(burst), tokens + (now - at) * rate * speed)
    world.buckets[key] = (tokens - 1 if tokens >= 1 else tokens, now)
    return None if tokens >= 1 else throttled()


def error(status: int, code: str, message: str, details: str = "") -> Response:
    return answer(status, {"errors": [{"code": code, "message": message, "details": details}]})


def invalid_input(message: str) -> Response:
    return error(400, "InvalidInput", message)


@served
def participations(call: Call) -> Response:
    """``GET /sellers/v1/marketplaceParticipations``."""
    return answer(
        200,
        {
            "payload": [
                {
                    "marketplace": {
                        "id": m.id,
                        "name": m.name,
                        "countryCode": m.country,
                        "defaultCurrencyCode": m.currency,
                        "defaultLanguageCode": m.language,
                        "domainName": m.domain,
                    },
                    "participation": {"isParticipating": True, "hasSuspendedListings": False},
                    "storeName": call.world.accounts.store,
                }
                for m in call.world.accounts.marketplaces
                if m.region == call.region
            ]
        },
    )


@served
def create(call: Call) -> Response:
    """``POST /reports/2021-06-30/reports``. Unknown keys are ignored, and equal orders make another report."""
    if call.request.mimetype != JSON:
        return error(415, "UnsupportedMediaType", "The content type must be application/json.")
    body, world, now = call.json, call.world, call.now
    if not isinstance(body, dict):
        return invalid_input("The request body is not valid JSON.")
    kind, names, options = body.get("reportType"), body.get("marketplaceIds"), body.get("reportOptions") or {}
    if kind not in (*selling.REPORT_TYPES, *inventory.REPORT_TYPES, *SERVED):
        return invalid_input(f"Invalid Report Type: {kind}")
    if kind == selling.SETTLEMENT:
        return invalid_input(f"Report type {kind} cannot be requested; Amazon schedules it.")
    if not isinstance(names, list) or not 1 <= len(names) <= 25:
        return invalid_input("marketplaceIds must have 1 to 25 values.")
    own = {m.id: m for m in world.accounts.marketplaces if m.region == call.region}
    if foreign := [str(name) for name in names if str(name) not in own]:
        return invalid_input(f"Invalid marketplaceIds: {', '.join(foreign)}")
    if not isinstance(options, dict) or not all(isinstance(value, str) for value in options.values()):
        return invalid_input("reportOptions must map strings to strings.")
    start, end = _instant(body.get("dataStartTime"), now), _instant(body.get("dataEndTime"), now)
    if start is None or end is None:
        return invalid_input("dataStartTime and dataEndTime must be ISO 8601 date times.")
    if call.fault("bigger_range"):
        start -= timedelta(days=1)
    ending = _ending(world, kind, Asked(world.settings.seed, [own[name] for name in names], start, end, options, now))
    world.forget_old_reports()
    fate = call.fault(*FATES)
    report = SpReport(
        id=world.next_number(),
        region=call.region,
        type=kind,
        marketplaces=names,
        start=start.isoformat(),
        end=end.isoformat(),
        options=options,
        created=now.timestamp(),
        status=ending.status,
        error=ending.error,
    )
    if fate is not None:
        _doom(report, fate.fault)
    world.sp_reports[report.id] = report
    world.changed = True
    return answer(202, {"reportId": report.id})


def _ending(world: World, kind: str, asked: Asked) -> Ending:
    if kind in SERVED:
        return SERVED[kind].ending(asked)
    if kind in inventory.REPORT_TYPES:
        return inventory.ending(kind, asked.start, asked.as_of, _made(world, kind, asked.marketplace.id))
    days = world.settings.ready_days
    return selling.ending(kind, asked.marketplaces, asked.start, asked.end, asked.options, asked.as_of, days)


def _made(world: World, kind: str, marketplace: str) -> Iterator[datetime]:
    """When reports of a type were made for a marketplace."""
    for report in world.sp_reports.values():
        if report.type == kind and marketplace in report.marketplaces and report.status == "DONE":
            yield datetime.fromtimestamp(report.created, UTC)


def _doom(report: SpReport, fate: str) -> None:
    """Give a report the end that a fault names."""
    if fate == "cancel":
        report.status = "CANCELLED"
    elif fate in ("fatal", "fatal_document"):
        report.status, report.error = "FATAL", selling.CLIENT_ERROR if fate == "fatal_document" else ""
    else:
        report.fate = fate


def _instant(value: object, default: datetime) -> datetime | None:
    """An instant as Amazon takes it; a date alone is its midnight in UTC."""
    if value is None:
        return default
    try:
        instant = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


@served
def get(call: Call) -> Response:
    """``GET /reports/2021-06-30/reports/{reportId}``."""
    report = find(call.world, call.region, call.argument)
    if report is None or call.fault("forget"):
        return error(404, "NotFound", _NOT_FOUND)
    fate = call.fault(*FATES)
    says = _WAITS.get(fate.fault) if fate else None
    if fate is not None and says is None:
        _doom(report, fate.fault)
    return answer(200, _described(call.world, report, says))


@served
def cancel(call: Call) -> Response:
    """``DELETE /reports/2021-06-30/reports/{reportId}``: only while it is IN_QUEUE."""
    report = call.world.sp_reports.get(call.argument)
    if report is None or report.region != call.region:
        return error(404, "NotFound", _NOT_FOUND)
    if _status(call.world, report) != "IN_QUEUE":
        return invalid_input(f"Report {report.id} is not in the queue any more.")
    report.status, report.fate = "CANCELLED", "cancelled"
    call.world.changed = True
    return answer(200, None)


_WAITS = {"stuck": "IN_QUEUE", "stuck_processing": "IN_PROGRESS"}
"""What a report says for ever under a fault."""


def _status(world: World, report: SpReport) -> str:
    now = world.now().timestamp()
    if report.fate == "cancelled" or report.type == selling.SETTLEMENT:
        return report.status
    if report.fate == "stuck" or now < report.created + world.settings.queue_seconds:
        return "IN_QUEUE"
    if report.fate == "stuck_processing" or now < world.finished(report.created):
        return "IN_PROGRESS"
    return report.status


def _described(world: World, report: SpReport, says: str | None = None) -> dict[str, Any]:
    status = says or _status(world, report)
    reported: dict[str, Any] = {
        "reportId": report.id,
        "reportType": report.type,
        "dataStartTime": report.start,
        "dataEndTime": _earlier(report.end) if report.fate == "other_end" else report.end,
        "createdTime": _iso(report.created),
        "processingStatus": status,
        "marketplaceIds": report.marketplaces,
    }
    if status != "IN_QUEUE":
        reported["processingStartTime"] = _iso(report.created + world.settings.queue_seconds)
    if status in ("DONE", "CANCELLED", "FATAL"):
        reported["processingEndTime"] = _iso(world.finished(report.created))
    if _has_document(report, status):
        reported["reportDocumentId"] = f"{_DOCUMENT_PREFIX}.{report.region}.{report.id}"
    return reported


def _earlier(instant: str) -> str:
    return (datetime.fromisoformat(instant) - timedelta(days=1)).isoformat()


def _has_document(report: SpReport, status: str) -> bool:
    return status == "DONE" or (status == "FATAL" and report.error != "")


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


class _Search(NamedTuple):
    """What getReports is asked for; what a nextToken carries on."""

    types: list[str]
    statuses: list[str]
    marketplaces: list[str]
    size: int
    since: str
    until: str
    offset: int = 0


@served
def reports(call: Call) -> Response:
    """``GET /reports/2021-06-30/reports``: the youngest first, page by page."""
    arguments, now = call.request.args, call.now
    token = arguments.get("nextToken")
    if token is not None:
        if len(arguments) > 1:
            return invalid_input("nextToken cannot be used with other parameters.")
        try:
            search = _Search(*json.loads(base64.urlsafe_b64decode(token)))
        except (ValueError, TypeError):
            return invalid_input("Invalid nextToken.")
        return _page(call, search)
    size = arguments.get("pageSize", "10")
    if not size.isdecimal() or not 1 <= int(size) <= 100:
        return invalid_input("pageSize must be from 1 to 100.")
    since = _instant(arguments.get("createdSince"), now - timedelta(days=REPORT_DAYS))
    until = _instant(arguments.get("createdUntil"), now)
    search = _Search(
        types=_listed(call, "reportTypes"),
        statuses=_listed(call, "processingStatuses"),
        marketplaces=_listed(call, "marketplaceIds"),
        size=int(size),
        since=since.isoformat() if since else "",
        until=until.isoformat() if until else "",
    )
    if not search.types or since is None or until is None:
        return invalid_input("reportTypes is required, createdSince and createdUntil are ISO 8601 date times.")
    if not set(search.statuses) <= set(_STATUSES):
        return invalid_input(f"processingStatuses takes {', '.join(_STATUSES)}.")
    return _page(call, search)


def _listed(call: Call, name: str) -> list[str]:
    return [value for given in call.request.args.getlist(name) for value in given.split(",") if value]


def _page(call: Call, search: _Search) -> Response:
    world = call.world
    since, until = (datetime.fromisoformat(text).timestamp() for text in (search.since, search.until))
    own = [r for r in world.sp_reports.values() if r.region == call.region]
    own += [documents.settlement_report(s) for s in documents.known_settlements(world, call.region)]
    found = [
        r
        for r in own
        if r.type in search.types
        and since <= r.created <= until
        and (not search.statuses or _status(world, r) in search.statuses)
        and (not search.marketplaces or set(r.marketplaces) & set(search.marketplaces))
    ]
    found.sort(key=lambda r: (-r.created, r.id))
    last = search.offset + search.size
    body: dict[str, Any] = {"reports": [_described(world, r) for r in found[search.offset : last]]}
    if last < len(found):
        body["nextToken"] = base64.urlsafe_b64encode(json.dumps(search._replace(offset=last)).encode()).decode()
    return answer(200, body)


@served
def document(call: Call) -> Response:
    """``GET /reports/2021-06-30/documents/{reportDocumentId}``. Personal data open only with a restricted token."""
    world, number = call.world, call.argument.rpartition(".")[2]
    report = find(world, call.region, number)
    known = report is not None and call.argument == f"{_DOCUMENT_PREFIX}.{call.region}.{number}"
    if report is None or not known or not _has_document(report, _status(world, report)) or call.fault("forget"):
        return error(404, "NotFound", _NOT_FOUND)
    if report.type in world.settings.restricted_types and not world.tokens[_token(call)].path:
        return unauthorized("")
    seconds = world.settings.sp_url_seconds
    minted = call.now - timedelta(seconds=seconds + 60) if call.fault("expired_url") else call.now
    zipped = documents.sp_document(world, report).zipped
    lie = call.fault("identity_flagged_gzip", "gzip_unflagged")
    more = {} if lie is None else {"stored": "identity" if lie.fault == "identity_flagged_gzip" else "gzip"}
    if call.request.args.get("enableContentEncodingUrlHeader") == "true":
        more["content-encoding"] = "gzip"
    reported = {
        "reportDocumentId": call.argument,
        "url": signed(call, f"/download/sp/{call.region}/{number}", seconds, minted, **more),
    }
    if zipped if lie is None else lie.fault == "identity_flagged_gzip":
        reported["compressionAlgorithm"] = "GZIP"
    return answer(200, reported)


@served
def restricted_token(call: Call) -> Response:
    """``POST /tokens/2021-03-01/restrictedDataToken``: a token for one path."""
    body = call.json
    resources = body.get("restrictedResources") if isinstance(body, dict) else None
    if not isinstance(resources, list) or len(resources) != 1 or not isinstance(resources[0], dict):
        return invalid_input("restrictedResources must have one resource.")
    method, path = resources[0].get("method"), str(resources[0].get("path", ""))
    if method != "GET" or not path.startswith("/reports/2021-06-30/documents/"):
        return invalid_input("The path must name one report document.")
    token = call.world.issue("selling_partner", path)
    return answer(200, {"restrictedDataToken": token, "expiresIn": call.world.settings.token_seconds})
