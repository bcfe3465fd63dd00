"""Serves a world over HTTP on loopback: routing, faults of any request, counting, saving."""

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from werkzeug.wrappers import Request, Response

from adplatform.local.callers import refusal
from adplatform.local.endpoint import HEALTH_PATH
from adplatform.local.world.amazon import admin, ads, downloads, exports, login, selling_partner, unified
from adplatform.local.world.amazon.accounts import REGIONS
from adplatform.local.world.amazon.calls import Call, answer
from adplatform.local.world.amazon.faults import AT_ANY_REQUEST
from adplatform.local.world.amazon.world import World
from adplatform.local.world.faults import Fault
from adplatform.local.world.http import cut, hung_up, served

log = logging.getLogger(__name__)

_REPORTS = "/reports/2021-06-30"
_V1 = "/adsApi/v1"
_ROUTES: tuple[tuple[str, str, str, Callable[[Call], Response]], ...] = (
    ("POST", "/auth/o2/token", "token", login.token),
    ("GET", "/v2/profiles", "profiles", ads.profiles),
    ("POST", "/reporting/reports", "create_report", ads.create),
    ("GET", "/reporting/reports/([^/]+)", "get_report", ads.get),
    ("DELETE", "/reporting/reports/([^/]+)", "delete_report", ads.delete),
    ("POST", "/(campaigns|adGroups|ads|targets)/export", "create_export", exports.create),
    ("GET", "/exports/([^/]+)", "get_export", exports.get),
    ("POST", f"{_V1}/query/advertiserAccounts", "profiles", unified.accounts),
    ("POST", f"{_V1}/create/reports", "create_report", unified.create),
    ("POST", f"{_V1}/retrieve/reports", "get_report", unified.retrieve),
    ("POST", f"{_V1}/delete/reports", "delete_report", unified.delete),
    ("POST", f"{_REPORTS}/reports", "sp_create", selling_partner.create),
    ("GET", f"{_REPORTS}/reports", "sp_reports", selling_partner.reports),
    ("GET", f"{_REPORTS}/reports/([^/]+)", "sp_get", selling_partner.get),
    ("DELETE", f"{_REPORTS}/reports/([^/]+)", "sp_cancel", selling_partner.cancel),
    ("GET", f"{_REPORTS}/documents/([^/]+)", "sp_document", selling_partner.document),
    ("POST", "/tokens/2021-03-01/restrictedDataToken", "sp_restricted_token", selling_partner.restricted_token),
    ("GET", "/sellers/v1/marketplaceParticipations", "sp_participations", selling_partner.participations),
    ("GET", "/download/.+", "download", downloads.download),
)
_CREATES = ("create_report", "create_export", "sp_create")


class Application:
    """The WSGI application of one world."""

    def __init__(self, world: World, alive: Callable[[], bool] = lambda: True) -> None:
        self._world = world
        self._alive = alive

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = Request(environ)
        try:
            response = self._respond(request)
        except Exception:
            log.exception("%s %s", request.method, re.sub(r"^(/download/).*", r"\1...", request.path))
            response = answer(500, {"code": "500", "detail": "Internal Server Error"})
        if response is None:
            raise hung_up(environ)
        in_half = response.headers.pop(_CUT, None) is not None
        pieces: Iterable[bytes] = response(environ, start_response)
        return cut(pieces, environ) if in_half else pieces

    def _respond(self, request: Request) -> Response | None:
        """The answer; None to drop the connection instead."""
        world = self._world
        if (reason := refusal(request.environ)) is not None:
            return answer(403, {"code": "403", "detail": reason})
        if request.path == HEALTH_PATH:
            return answer(200 if self._alive() else 503, {})
        request.get_data(cache=True)
        if f"{request.path}/".startswith("/_admin/"):
            with world.lock:
                response: Response | None = admin.serve(Call(world, request, "admin", "", request.path[8:].strip("/")))
        else:
            call, handler = _routed(world, request)
            if handler is None:
                return answer(404, {"code": "404", "detail": "no such operation"})
            response = _answered(call, handler)
        if world.changed:
            world.save()
        return response


def _routed(world: World, request: Request) -> tuple[Call, Callable[[Call], Response] | None]:
    _, first, *_ = f"{request.path}/".split("/")
    region = first if first in REGIONS else ""
    path = request.path.removeprefix(f"/{region}") if region else request.path
    for method, pattern, operation, handler in _ROUTES:
        match = re.fullmatch(pattern, path)
        if match and method == request.method:
            call = Call(world, request, operation, region or "na", match[1] if match.groups() else "")
            call.about = _about(call)
            return call, handler
    return Call(world, request, "", region), None


def _about(call: Call) -> dict[str, str]:
    """What faults can match: region, scope and report type of a request or of the report that it names."""
    world, known = call.world, {"region": call.region}
    scope = call.request.headers.get("Amazon-Advertising-API-Scope")
    if scope:
        known["scope"] = scope
    body = call.json if call.operation in _CREATES else None
    if isinstance(body, dict):
        configuration = body.get("configuration")
        kind = configuration.get("reportTypeId") if isinstance(configuration, dict) else body.get("reportType")
        known["report_type"] = str(kind)
        if isinstance(body.get("marketplaceIds"), list) and body["marketplaceIds"]:
            known["scope"] = str(body["marketplaceIds"][0])
    if call.operation == "create_export":
        known["report_type"] = call.argument
    if call.operation == "sp_reports":
        known["report_type"] = call.request.args.get("reportTypes", "")
    if call.operation == "create_report" and _is_unified(call):
        known |= unified.about(body)
    names = call.request.path.split("/")[3:] if call.operation == "download" else [call.argument.rpartition(".")[2]]
    if _is_unified(call):
        names = [unified.id_of(call.json)]
    region = names[0] if names[0] in REGIONS else call.region
    for name in names:
        if report := world.ads_reports.get(name):
            kind = report.configuration["reportTypeId"]
            known |= {"region": report.region, "scope": report.scope, "report_type": kind, "report_id": name}
        if export := world.ads_exports.get(name):
            known |= {"region": export.region, "scope": export.scope, "report_type": export.kind, "report_id": name}
        if made := downloads.find(world, region, name):
            known |= {"region": region, "scope": made.marketplaces[0], "report_type": made.type, "report_id": name}
    return known


def _is_unified(call: Call) -> bool:
    return f"{_V1}/" in call.request.path


def _answered(call: Call, handler: Callable[[Call], Response]) -> Response | None:
    world = call.world
    fault = call.fault(*AT_ANY_REQUEST)
    kind = fault.fault if fault else ""
    if fault is not None and kind == "slow":
        world.sleep(fault.seconds)
    response = _broken(call, fault) if fault else None
    if response is None and kind != "drop":
        if call.operation == "download":  # may take long, and changes nothing
            response = handler(call)
        else:
            with world.lock:
                response = handler(call)
    with world.lock:
        status = "dropped" if response is None else str(response.status_code)
        _count(call, f"{status} but dropped" if kind == "reset" else status, response)
    if kind == "truncate" and response is not None:
        response.headers[_CUT] = "1"
    return None if kind == "reset" else response


def _count(call: Call, status: str, response: Response | None) -> None:
    requests = call.world.requests
    requests.counts[call.operation] += 1
    requests.answers[call.operation][status] += 1
    if call.operation not in _CREATES:
        return
    body = call.json if isinstance(call.json, dict) else {}
    reported = response.get_json() if response is not None and response.status_code in (200, 202, 207) else {}
    start, end = body.get("startDate") or body.get("dataStartTime"), body.get("endDate") or body.get("dataEndTime")
    if _is_unified(call):
        start, end = unified.period_of(body)
    requests.creates.append(
        {
            "operation": call.operation,
            "scope": call.about.get("scope", ""),
            "report_type": call.about.get("report_type", ""),
            "start": start,
            "end": end,
            "at": call.now.astimezone(UTC).isoformat(),
            "answer": status,
            "report_id": reported.get("reportId") or reported.get("exportId") or unified.id_of(reported) or None,
        }
    )
    call.world.changed = True


def _broken(call: Call, fault: Fault) -> Response | None:
    """The answer that a fault gives in the place of the operation's, None if it gives none."""
    kind = fault.fault
    if kind in _PAGES:
        return Response(f"<html><body><h1>{_PAGES[kind]}</h1></body></html>", _PAGES[kind], content_type="text/html")
    if kind in ("throttle", "throttle_silent"):
        response = _refused(call, 429)
        if kind == "throttle" and not call.operation.startswith("sp_"):
            response.headers["Retry-After"] = f"{fault.seconds:g}"
        return response
    if kind in _REFUSALS:
        return _refused(call, _REFUSALS[kind])
    if kind == "expired_token":
        return selling_partner.unauthorized(selling_partner.EXPIRED)
    if kind == "expired_secret":
        return selling_partner.unauthorized(selling_partner.SECRET_EXPIRED)
    if kind == "agency_profile":
        return ads.error(400, "Advertiser ID cannot be decrypted")
    if kind == "bad_request":
        said = ads.error(400, "Bad Request") if call.operation == "create_report" else None
        return said or selling_partner.error(400, "InvalidInput", "Bad Request")
    if kind == "revoke_scope":
        return ads.error(401, f"Not authorized to access scope {call.about.get('scope', '')}")
    return login.refused(kind) if kind in login.ERRORS else None


_PAGES = {"bad_gateway": "502 Bad Gateway", "gateway_timeout": "504 Gateway Timeout"}
_REFUSALS = {"server_error": 500, "unavailable": 503, "unauthorized": 401, "forbidden": 403}


def _refused(call: Call, status: int) -> Response:
    """A refusal in the words of the operation's API."""
    if call.operation == "token":
        return login.refused("server_error" if status == 500 else "temporarily_unavailable", status=status)
    if call.operation == "download":
        if status == 500:
            return downloads.refused(500, "InternalError", "We encountered an internal error. Please try again.")
        return downloads.refused(503, "SlowDown", "Please reduce your request rate.")
    if _is_unified(call):
        return unified.error(status, _V1_CODES[status], _ADS_WORDS[status])
    if not call.operation.startswith("sp_"):
        return ads.error(status, _ADS_WORDS[status])
    if status == 401:
        return selling_partner.unauthorized("")
    return selling_partner.throttled() if status == 429 else selling_partner.unavailable(status)


_ADS_WORDS = {
    401: "Invalid or expired access token",
    403: "Forbidden",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
_V1_CODES = {
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    429: "TOO_MANY_REQUESTS",
    500: "INTERNAL_ERROR",
    503: "INTERNAL_ERROR",
}


_CUT = "X-Cut"


@dataclass(frozen=True)
class Server:
    """A world that is being served. The base URL of a region's APIs is ``{url}/na``, ``{url}/eu`` or ``{url}/fe``."""

    url: str
    world: World


@contextmanager
def serving(world: World, port: int = 0, alive: Callable[[], bool] = lambda: True) -> Iterator[Server]:
    """Serves the world on 127.0.0.1 in a thread until the end of the context; port 0 takes a free one. A server that is
    not ``alive`` any more tells those who look for one to wait for the next."""
    try:
        with served(Application(world, alive), port) as url:
            yield Server(url, world)
    finally:
        world.save()
