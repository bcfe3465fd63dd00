"""The server's own API below ``/_admin``: its clock, faults and counters, for tests and demonstrations."""

from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any

from werkzeug.wrappers import Response

from adplatform.local.amazon import advertising, selling
from adplatform.local.amazon.advertising import FOREVER, Query
from adplatform.local.amazon.calls import Call, answer
from adplatform.local.amazon.catalogue import REPORT_TYPES
from adplatform.local.amazon.world import World


def serve(call: Call) -> Response:
    """Answers ``call``; what cannot be done is 400 with the reason."""
    method, name = call.request.method, call.argument
    try:
        if (method, name) == ("GET", "truth"):
            return answer(200, _truth(call))
        if method == "GET" and name in _READ:
            return answer(200, _READ[name](call.world))
        if method == "DELETE" and name == "faults":
            call.world.faults.clear()
            call.world.changed = True
            return answer(200, [])
        if method == "POST" and name in _CHANGE:
            body = call.json if call.request.get_data() else {}
            if not isinstance(body, dict):
                raise ValueError("the body is not a JSON object")
            done = _CHANGE[name](call.world, body)
            call.world.changed = True
            return answer(200, done)
    except (KeyError, TypeError, ValueError) as e:
        return answer(400, {"error": f"{type(e).__name__}: {e}"})
    return answer(404, {"error": f"no {method} {name}"})


def _clock(world: World) -> dict[str, Any]:
    return {"now": world.now().isoformat(), "frozen": world.clock.frozen}


def _set_clock(world: World, body: dict[str, Any]) -> dict[str, Any]:
    now = datetime.fromisoformat(body["now"]) if "now" in body else world.now()
    world.clock.set(now.replace(tzinfo=UTC) if now.tzinfo is None else now, frozen=body.get("frozen"))
    world.clock.advance(float(body.get("advance", 0)))
    return _clock(world)


def _set(world: World, body: dict[str, Any]) -> dict[str, Any]:
    world.set(**body)
    return asdict(world.settings)


def _fault(world: World, body: dict[str, Any]) -> list[dict[str, Any]]:
    world.fault(**body)
    return world.faults.pending()


def _revoke(world: World, body: dict[str, Any]) -> dict[str, Any]:
    world.revoke(body.get("api"), revoked=body.get("revoked", True))
    return {api: login.revoked for api, login in world.credentials.items()}


def _rotate(world: World, body: dict[str, Any]) -> dict[str, Any]:
    return {"client_secret": world.rotate_secret(body["api"], keep_previous=body.get("keep_previous", True))}


def _expire(world: World, _: dict[str, Any]) -> dict[str, Any]:
    world.expire_tokens()
    return {"expired": len(world.tokens)}


def _reports(world: World) -> dict[str, Any]:
    return {
        "ads": [asdict(report) for report in world.ads_reports.values()],
        "selling_partner": [asdict(report) for report in world.sp_reports.values()],
    }


_READ = {
    "clock": _clock,
    "settings": lambda world: asdict(world.settings),
    "faults": lambda world: world.faults.pending(),
    "requests": lambda world: world.requests.saved(),
    "reports": _reports,
}
_CHANGE = {
    "clock": _set_clock,
    "settings": _set,
    "faults": _fault,
    "revoke": _revoke,
    "rotate_secret": _rotate,
    "expire_tokens": _expire,
}


def _truth(call: Call) -> Any:
    """What a date says once nothing changes any more: of an Ads report type and profile, or a marketplace."""
    asked, world = call.request.args, call.world
    day, kind = date.fromisoformat(asked["date"]), asked["report_type"]
    if "profile" in asked:
        group_by = tuple(asked["group_by"].split(","))
        columns = tuple(asked["columns"].split(",")) if "columns" in asked else _daily(kind, group_by)
        profile = world.accounts.profile(asked["profile"])
        return advertising.truth(Query(kind, group_by, columns), profile, day, world.settings.seed)
    marketplace = world.accounts.marketplace(asked["marketplace"])
    final = datetime.fromordinal(day.toordinal() + FOREVER).replace(tzinfo=UTC)
    seed = world.settings.seed
    if kind == selling.SALES_AND_TRAFFIC:
        options = {"asinGranularity": asked.get("asin_granularity", "CHILD")}
        return selling.sales_and_traffic(seed, marketplace, day, day, options, final)
    if kind == selling.ALL_ORDERS:
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        end = start.replace(hour=23, minute=59, second=59)
        return selling.order_rows(seed, marketplace, start, end, final)
    raise ValueError(f"no truth of {kind}")


def _daily(kind: str, group_by: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(c for c in REPORT_TYPES[kind].allowed(group_by) if c not in ("startDate", "endDate"))
