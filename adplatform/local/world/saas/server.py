"""Serves the simulated CRM over HTTP on loopback: routing, faults of any request, counting, saving."""

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from werkzeug.wrappers import Request, Response

from adplatform.local.callers import refusal
from adplatform.local.endpoint import HEALTH_PATH
from adplatform.local.world.faults import Fault
from adplatform.local.world.http import cut, hung_up, served
from adplatform.local.world.saas import admin, api, login
from adplatform.local.world.saas.calls import Call, answer, refused
from adplatform.local.world.saas.faults import AT_ANY_REQUEST
from adplatform.local.world.saas.world import World

log = logging.getLogger(__name__)

_API = r"/services/data/v\d+\.\d"
_ROUTES: tuple[tuple[str, str, str, Callable[[Call], Response]], ...] = (
    ("POST", "/services/oauth2/token", "token", login.token),
    ("GET", f"{_API}/query(?:All)?/?", "query", api.allowed(api.query)),
    ("GET", f"{_API}/query(?:All)?/([^/]+)", "more", api.allowed(api.more)),
    ("GET", f"{_API}/sobjects/([^/]+)/describe", "describe", api.allowed(api.describe)),
    ("GET", f"{_API}/sobjects/?", "objects", api.allowed(api.objects)),
    ("GET", f"{_API}/limits/?", "limits", api.allowed(api.limits)),
)
_CUT = "X-Cut"


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
            log.exception("%s %s", request.method, request.path)
            response = refused(500, "UNKNOWN_EXCEPTION", "An unexpected error occurred.")
        if response is None:
            raise hung_up(environ)
        in_half = response.headers.pop(_CUT, None) is not None
        pieces: Iterable[bytes] = response(environ, start_response)
        return cut(pieces, environ) if in_half else pieces

    def _respond(self, request: Request) -> Response | None:
        """The answer; None to drop the connection instead."""
        world = self._world
        if (reason := refusal(request.environ)) is not None:
            return refused(403, "FORBIDDEN", reason)
        if request.path == HEALTH_PATH:
            return answer(200 if self._alive() else 503, {})
        request.get_data(cache=True, parse_form_data=True)
        if f"{request.path}/".startswith("/_admin/"):
            with world.lock:
                response: Response | None = admin.serve(Call(world, request, "admin", request.path[8:].strip("/")))
        else:
            call, handler = _routed(world, request)
            if handler is None:
                return refused(404, "NOT_FOUND", "The requested resource does not exist")
            response = _answered(call, handler)
        if world.changed:
            world.save()
        return response


def _routed(world: World, request: Request) -> tuple[Call, Callable[[Call], Response] | None]:
    for method, pattern, operation, handler in _ROUTES:
        match = re.fullmatch(pattern, request.path)
        if match and method == request.method:
            call = Call(world, request, operation, match[1] if match.groups() else "")
            call.about = _about(call)
            return call, handler
    return Call(world, request, ""), None


def _about(call: Call) -> dict[str, str]:
    """The object that a request is about."""
    cursor = call.world.cursors.get(call.argument)
    text = call.request.args.get("q", "") if cursor is None else cursor.soql
    named = re.search(r"\bFROM\s+(\w+)", text, re.IGNORECASE)
    if call.operation == "describe":
        return {"object": call.argument}
    return {"object": named[1]} if named else {}


def _answered(call: Call, handler: Callable[[Call], Response]) -> Response | None:
    world = call.world
    fault = call.fault(*AT_ANY_REQUEST)
    if fault is not None and fault.fault == "slow":
        world.sleep(fault.seconds)
    with world.lock:
        response = _broken(call, fault) if fault else None
        if response is None and not (fault and fault.fault == "drop"):
            response = handler(call)
        status = "dropped" if response is None else str(response.status_code)
        world.counts[call.operation] += 1
        world.answers[f"{call.operation} {status}"] += 1
    if fault is not None and fault.fault == "truncate" and response is not None:
        response.headers[_CUT] = "1"
    return response


def _broken(call: Call, fault: Fault) -> Response | None:
    """The answer that a fault gives in the place of the operation's, None if it gives none."""
    if fault.fault in login.ERRORS:
        return login.refused(fault.fault)
    plain = {
        "throttle": lambda: api.throttled(fault.seconds),
        "server_error": lambda: refused(500, "UNKNOWN_EXCEPTION", "An unexpected error occurred."),
        "unavailable": lambda: refused(503, "SERVER_UNAVAILABLE", "Service unavailable"),
        "expired_session": api.expired,
        "forbidden": lambda: refused(403, "INSUFFICIENT_ACCESS", "insufficient access rights on object"),
        "over_budget": api.over_budget,
    }
    return plain[fault.fault]() if fault.fault in plain else None


@dataclass(frozen=True)
class Server:
    """A world that is being served."""

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
