"""The server's own API below ``/_admin``: its clock, faults, fields, counters and the truth, for tests and
demonstrations.

``GET /_admin`` lists every call with its parameters, the settings and all faults. GET takes parameters in the query,
POST a JSON object. Answers are JSON; what cannot be done is 400 with the reason.
"""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from werkzeug.wrappers import Response

from adplatform.local.world.administration import COMMON, Calls, listed, respond
from adplatform.local.world.saas.calls import Call, answer
from adplatform.local.world.saas.faults import KINDS, OPERATIONS
from adplatform.local.world.saas.schema import OBJECTS
from adplatform.local.world.saas.world import Settings, World


def serve(call: Call) -> Response:
    """Answers ``call``."""
    return answer(*respond(_CALLS, call.world, call.argument, call.request))


def _index(world: World) -> dict[str, Any]:
    """This list."""
    return {
        "calls": listed(_CALLS),
        "settings": _settings(world),
        "about_settings": " ".join(str(Settings.__doc__).split()),
        "faults": {
            operation: {name: kind.does for name, kind in sorted(KINDS.items()) if operation in kind.operations}
            for operation in OPERATIONS
        },
    }


def _settings(world: World) -> dict[str, Any]:
    """Every setting."""
    return {**asdict(world.settings), "began": str(world.settings.began)}


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
    """Order a fault for so many requests (null: for all) after the first to skip, of those for the object that match
    names."""
    world.fault(operation, fault, times=times, skip=skip, match=match, seconds=seconds)
    return world.faults.pending()


def _fields(world: World, object: str) -> list[dict[str, Any]]:
    """The fields of an object."""
    return [asdict(known) for known in world.fields(_known(object))]


def _change_fields(world: World, object: str, remove: str = "", add: str = "", type: str = "string") -> Any:
    """Let a field of an object vanish, or appear: one that vanished comes back, any other is new."""
    settings, name = world.settings, _known(object)
    removed, added = set(settings.removed.get(name, ())), dict(settings.added.get(name, {}))
    there = {known.name for known in world.fields(name)}
    if remove and remove not in there:
        raise ValueError(f"{name} has no field {remove!r}")
    removed |= {remove} - {""}
    if add in removed:
        removed.discard(add)
    elif add and add not in there:
        added[add] = type
    world.set(
        removed={**settings.removed, name: sorted(removed)},
        added={**settings.added, name: added},
    )
    return _fields(world, name)


def _requests(world: World) -> dict[str, Any]:
    """What was asked of the server: counts by operation, answers by operation and status, and requests of the API
    today."""
    return {"counts": dict(world.counts), "answers": dict(world.answers), "today": world.spent[1]}


def _truth(world: World, object: str, at: str = "", deleted: str = "false") -> list[dict[str, Any]]:
    """What the records of an object are at an instant (ISO 8601, default: now), on request with those in the recycle
    bin."""
    instant = datetime.fromisoformat(at.replace(" ", "+")) if at else world.now()
    instant = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant
    return [r for r in world.records(_known(object), instant) if deleted == "true" or not r["IsDeleted"]]


def _known(name: str) -> str:
    if name not in OBJECTS:
        raise ValueError(f"there is no object {name!r}; known are {', '.join(OBJECTS)}")
    return name


def _revoke(world: World, revoked: bool = True) -> dict[str, Any]:
    """The user withdraws its permission from the app, or gives it again."""
    world.revoke(revoked=revoked)
    return {"revoked": world.revoked}


def _expire(world: World) -> dict[str, Any]:
    """No access token is good any more; new ones are to be had."""
    expired = len(world.tokens)
    world.tokens.clear()
    return {"expired": expired}


_CALLS: Calls = {
    ("GET", ""): _index,
    **COMMON,
    ("GET", "settings"): _settings,
    ("POST", "settings"): _set,
    ("POST", "faults"): _fault,
    ("GET", "fields"): _fields,
    ("POST", "fields"): _change_fields,
    ("GET", "requests"): _requests,
    ("GET", "truth"): _truth,
    ("POST", "revoke"): _revoke,
    ("POST", "expire_tokens"): _expire,
}
