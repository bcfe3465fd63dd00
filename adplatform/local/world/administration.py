"""What the own APIs of simulated partners below ``/_admin`` have in common: finding a call, and those that all have.

A call is a plain function of the world and named parameters whose docstring says to people what it does. GET takes
parameters in the query, POST a JSON object.
"""

import inspect
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from pydantic import ValidationError
from werkzeug.wrappers import Request, Response

from adplatform.local.callers import refusal
from adplatform.local.endpoint import HEALTH_PATH
from adplatform.local.world.clock import Clock
from adplatform.local.world.faults import Faults

log = logging.getLogger(__name__)

Calls = Mapping[tuple[str, str], Callable[..., Any]]
"""By method and name."""


class Changing(Protocol):
    """What is needed of any world. ``changed`` is set when somebody may have changed it."""

    changed: bool


class Simulated(Changing, Protocol):
    """What the common calls need of a world."""

    clock: Clock
    faults: Faults

    def now(self) -> datetime: ...


class Served(Changing, Protocol):
    """What is needed of one that has nothing but such an API over HTTP."""

    def count(self) -> None:
        """A request came."""


class Administered:
    """The WSGI application of such a world: ``name`` is what it is called where it fails, and one that is not ``alive``
    any more tells those who look for one to wait for the next."""

    def __init__(self, world: Served, calls: Calls, name: str, alive: Callable[[], bool]) -> None:
        self._world, self._calls, self._name, self._alive = world, calls, name, alive

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            status, body = self._respond(Request(environ))
        except Exception:
            log.exception("%s %s", environ["REQUEST_METHOD"], environ["PATH_INFO"])
            status, body = 500, {"error": f"the {self._name} failed; its log says why"}
        response: Iterable[bytes] = Response(json.dumps(body), status, content_type="application/json")(
            environ, start_response
        )
        return response

    def _respond(self, request: Request) -> tuple[int, Any]:
        if (reason := refusal(request.environ)) is not None:
            return 403, {"error": reason}
        if request.path == HEALTH_PATH:
            return 200 if self._alive() else 503, {}
        if not f"{request.path}/".startswith("/_admin/"):
            return 404, {"error": "everything is below /_admin"}
        self._world.count()
        return respond(self._calls, self._world, request.path[8:].strip("/"), request)


def respond(calls: Calls, world: Changing, name: str, request: Request) -> tuple[int, Any]:
    """Status and body; what cannot be done is 400 with the reason."""
    method = request.method
    do = calls.get((method, name))
    if do is None:
        return 404, {"error": f"no {method} {name}; known are {', '.join(listed(calls))}"}
    given = _given(request)
    if not isinstance(given, dict):
        return 400, {"error": "the body is not a JSON object"}
    try:
        inspect.signature(do).bind(world, **given)
        done = do(world, **given)
    except ValidationError as e:
        return 400, {"error": "; ".join(": ".join((*map(str, p["loc"]), p["msg"])) for p in e.errors())}
    except (TypeError, ValueError) as e:
        return 400, {"error": f"{e}; {method} {name} is {_described(do)}"}
    world.changed |= method != "GET"
    return 200, done


def listed(calls: Calls) -> dict[str, str]:
    """Every call with its parameters and what it does."""
    return {f"{method} {name}".strip(): _described(do) for (method, name), do in calls.items()}


def _given(request: Request) -> Any:
    if not request.get_data():
        return request.args.to_dict()
    try:
        return json.loads(request.get_data())
    except ValueError:
        return None


def _described(do: Callable[..., Any]) -> str:
    _, *parameters = map(
        str, inspect.signature(do).replace(return_annotation=inspect.Signature.empty).parameters.values()
    )
    return f"({', '.join(p for p in parameters if p != '*')}): {' '.join(str(do.__doc__).split())}"


def _clock(world: Simulated) -> dict[str, Any]:
    """The server's time, and whether it stands still."""
    return {"now": world.now().isoformat(), "frozen": world.clock.frozen}


def _set_clock(world: Simulated, now: str = "", advance: float = 0, frozen: bool | None = None) -> dict[str, Any]:
    """Set the time to an ISO 8601 instant, advance it by seconds, stop it or let it run."""
    instant = datetime.fromisoformat(now) if now else world.now()
    instant = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant
    seconds = float(advance)
    world.clock.set(instant, frozen=frozen)
    world.clock.advance(seconds)
    return _clock(world)


def _faults(world: Simulated) -> list[dict[str, Any]]:
    """The faults that are still to come."""
    return world.faults.pending()


def _no_faults(world: Simulated) -> list[dict[str, Any]]:
    """Forget the faults that are still to come."""
    world.faults.clear()
    return []


COMMON: Calls = {
    ("GET", "clock"): _clock,
    ("POST", "clock"): _set_clock,
    ("GET", "faults"): _faults,
    ("DELETE", "faults"): _no_faults,
}
