"""The server's own API below ``/_admin``: its clock, faults and counters, for tests and demonstrations.

``GET /_admin`` lists every call with its parameters, the settings, the operations and all faults that each has. GET
takes parameters in the query, POST a JSON object. Answers are JSON; what cannot be done is 400 with the reason.
"""

from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any

from werkzeug.wrappers import Response

from adplatform.local.world.administration import COMMON, Calls, listed, respond
from adplatform.local.world.amazon import advertising, selling, stream
from adplatform.local.world.amazon.accounts import Api
from adplatform.local.world.amazon.advertising import FOREVER, Query
from adplatform.local.world.amazon.calls import Call, answer
from adplatform.local.world.amazon.catalogue import report_types
from adplatform.local.world.amazon.faults import KINDS, OPERATIONS
from adplatform.local.world.amazon.world import Settings, World


def serve(call: Call) -> Response:
    """Answers ``call``."""
    return answer(*respond(_CALLS, call.world, call.argument, call.request))


def _index(world: World) -> dict[str, Any]:
    """This list."""
    return {
        "calls": listed(_CALLS),
        "settings": asdict(world.settings),
        "about_settings": " ".join(str(Settings.__doc__).split()),
        "faults": {
            operation: {name: kind.does for name, kind in sorted(KINDS.items()) if operation in kind.operations}
            for operation in OPERATIONS
        },
    }


def _settings(world: World) -> dict[str, Any]:
    """Every setting."""
    return asdict(world.settings)


def _set(world: World, **settings: Any) -> dict[str, Any]:
    """Change the settings that are named."""
    world.set(**settings)
    return _settings(world)


def _fault(
    world: World,
    operation: str,
    fault: str,
    times: int | None = 1,
    skip: int = 0,
    match: dict[str, str] | None = None,
    seconds: float = 1.0,
) -> list[dict[str, Any]]:
    """Order a fault for so many requests (null: for all) after the first to skip, of those that match: texts for
    region, scope (profile or marketplace), report_type or report_id."""
    world.fault(operation, fault, times=times, skip=skip, match=match, seconds=seconds)
    return world.faults.pending()


def _requests(world: World) -> dict[str, Any]:
    """What was asked of the server: counts by operation, answers by status, orders of reports, refreshed tokens."""
    return world.requests.saved()


def _reports(world: World) -> dict[str, Any]:
    """The reports and exports that there are."""
    return {
        "exports": [asdict(export) for export in world.ads_exports.values()],
        "ads": [asdict(report) for report in world.ads_reports.values()],
        "selling_partner": [asdict(report) for report in world.sp_reports.values()],
    }


def _revoke(world: World, api: Api | None = None, revoked: bool = True) -> dict[str, Any]:
    """The account withdraws its permission from the application of one API (ads, selling_partner) or of both, or gives
    it again."""
    world.revoke(api, revoked=revoked)
    return {api: login.revoked for api, login in world.credentials.items()}


def _rotate(world: World, api: Api, keep_previous: bool = True) -> dict[str, Any]:
    """A new client secret for the application of an API; the previous one may stay good."""
    return {"client_secret": world.rotate_secret(api, keep_previous=keep_previous)}


def _expire(world: World) -> dict[str, Any]:
    """No access token is good any more."""
    world.expire_tokens()
    return {"expired": len(world.tokens)}


def _truth(
    world: World,
    report_type: str,
    date: str,
    profile: str = "",
    group_by: str = "",
    columns: str = "",
    marketplace: str = "",
    asin_granularity: str = "CHILD",
) -> Any:
    """What a date says once nothing changes any more: for a profile with group_by and columns (apart by commas;
    default: all), or for a marketplace."""
    day, seed = _day(date), world.settings.seed
    if profile:
        groups = tuple(group_by.split(","))
        query = Query(report_type, groups, tuple(columns.split(",")) if columns else _daily(report_type, groups))
        return advertising.truth(query, world.accounts.profile(profile), day, seed)
    place = world.accounts.marketplace(marketplace)
    final = datetime.fromordinal(day.toordinal() + FOREVER).replace(tzinfo=UTC)
    if report_type == selling.SALES_AND_TRAFFIC:
        return selling.sales_and_traffic(seed, place, day, day, {"asinGranularity": asin_granularity}, final)
    if report_type == selling.ALL_ORDERS:
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        return selling.order_rows(seed, place, start, start.replace(hour=23, minute=59, second=59), final)
    raise ValueError(f"there is no truth of {report_type}")


def _stream(world: World, dataset: str, profile: str, date: str) -> list[stream.Record]:
    """What Marketing Stream has said by now of the hours of a date that have begun: a data set (sp-traffic, ...) of a
    profile."""
    known, day, now = world.accounts.profile(profile), _day(date), world.now()
    said = stream.sent(dataset, known, day, world.settings.seed, advertising.age(known, day, now))
    return [each for each in said if datetime.fromisoformat(each["time_window_start"]) <= now]


def _day(text: str) -> date:
    return date.fromisoformat(text)


def _daily(report_type: str, group_by: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(report_types()[report_type].allowed(group_by) - {"startDate", "endDate"}))


_CALLS: Calls = {
    ("GET", ""): _index,
    **COMMON,
    ("GET", "settings"): _settings,
    ("POST", "settings"): _set,
    ("POST", "faults"): _fault,
    ("GET", "requests"): _requests,
    ("GET", "reports"): _reports,
    ("GET", "truth"): _truth,
    ("GET", "stream"): _stream,
    ("POST", "revoke"): _revoke,
    ("POST", "rotate_secret"): _rotate,
    ("POST", "expire_tokens"): _expire,
}
