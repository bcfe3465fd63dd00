"""The Exports API of the simulated Amazon Ads: campaigns, ad groups, ads and targets as they stand when they are asked
for. By its own reading of Amazon's specification, apart from the client's, so that a mistake in either shows."""

import base64
import math
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from werkzeug.wrappers import Response

from adplatform.local.world.amazon import ads, documents
from adplatform.local.world.amazon.calls import Call, answer, instant
from adplatform.local.world.amazon.downloads import signed
from adplatform.local.world.amazon.entities import PRODUCTS
from adplatform.local.world.amazon.faults import FATES
from adplatform.local.world.amazon.world import AdsExport, World

_TYPE = "application/vnd.{}export.v1+json"
_SUFFIXES = {"campaigns": "C", "adGroups": "A", "ads": "AD", "targets": "T"}
"""What the id of an export ends with, before it is written in base 64."""
_ALLOWED: Mapping[str, tuple[Sequence[Any], Sequence[Any]]] = {
    "adProductFilter": (tuple(PRODUCTS), tuple(PRODUCTS)),
    "stateFilter": (("ARCHIVED", "ENABLED", "PAUSED"), ("ENABLED", "PAUSED")),
}
"""The values that each filter takes, and those that count where it is left out."""
_ALLOWED_OF_TARGETS: Mapping[str, tuple[Sequence[Any], Sequence[Any]]] = {
    **_ALLOWED,
    "negativeFilter": ((False, True), (False, True)),
    "targetLevelFilter": (("AD_GROUP", "CAMPAIGN"), ("AD_GROUP", "CAMPAIGN")),
}
_KEPT_HOURS = 24
"""For how long after it was made an export is had."""


def create(call: Call) -> Response:
    """``POST /campaigns/export``, and so on."""
    kind = call.argument
    refused = ads.not_allowed(call, _media_type(kind), exactly=True)
    if refused is not None:
        return refused
    if call.request.mimetype != _media_type(kind):
        return ads.error(415, f"Cannot consume content type {call.request.mimetype or 'none'}")
    allowed = _ALLOWED_OF_TARGETS if kind == "targets" else _ALLOWED
    asked = call.json
    if not isinstance(asked, dict):
        return ads.error(400, "the body is no JSON object")
    for name, values in asked.items():
        if name not in allowed:
            return ads.error(400, f"{name} is no member of the request")
        if not isinstance(values, list) or not values or any(value not in allowed[name][0] for value in values):
            return ads.error(400, f"{name} takes one or more of {', '.join(map(str, allowed[name][0]))}")
    waits = _throttled(call, kind)
    if waits is not None:
        return waits
    export_id = base64.urlsafe_b64encode(f"{uuid.uuid4()},{_SUFFIXES[kind]}".encode()).decode().rstrip("=")
    filters = {name: list(asked.get(name, default)) for name, (_, default) in allowed.items()}
    export = AdsExport(export_id, call.region, ads.scope_of(call), kind, filters, call.now.timestamp())
    fate = call.fault(*FATES)
    export.fate = fate.fault if fate else ""
    call.world.ads_exports[export_id] = export
    call.world.changed = True
    return answer(202, {"exportId": export_id, "status": "PROCESSING"}, _media_type(kind))


def get(call: Call) -> Response:
    """``GET /exports/{exportId}``; every answer about one that is made has a new URL, which is valid for an hour."""
    export = call.world.ads_exports.get(call.argument)
    kind = export.kind if export else "campaigns"
    refused = ads.not_allowed(call, _media_type(kind), exactly=True)
    if refused is not None:
        return refused
    if export is None or (export.region, export.scope) != (call.region, ads.scope_of(call)) or call.fault("forget"):
        return ads.error(404, f"Export not found: {call.argument}")
    fate = call.fault(*FATES)
    if fate is not None and fate.fault == "fail":
        export.fate = "fail"
    world, now = call.world, call.now
    status = "PROCESSING" if fate is not None and fate.fault.startswith("stuck") else _status(world, export, now)
    body: dict[str, Any] = {"exportId": export.id, "status": status, "createdAt": instant(export.created)}
    done = world.finished(export.created)
    if status == "FAILED":
        body["error"] = {"errorCode": "INTERNAL_ERROR", "message": "The export has failed with an internal error."}
    if status == "COMPLETED":
        body |= {"generatedAt": instant(done), "fileSize": len(documents.export_document(world, export))}
        if now.timestamp() < done + _KEPT_HOURS * 3600 and call.fault("complete_without_url") is None:
            seconds = world.settings.ads_url_seconds
            minted = now - timedelta(seconds=seconds + 60) if call.fault("expired_url") else now
            body["url"] = signed(call, f"/download/exports/{export.id}/export.json.gz", seconds, minted)
            body["urlExpiresAt"] = instant(minted.timestamp() + seconds)
    return answer(200, body, _media_type(kind))


def _status(world: World, export: AdsExport, now: datetime) -> str:
    if export.fate.startswith("stuck") or now.timestamp() < world.finished(export.created):
        return "PROCESSING"
    return "FAILED" if export.fate == "fail" else "COMPLETED"


def _throttled(call: Call, kind: str) -> Response | None:
    """The answer to one export of a kind too many that is on its way, of whatever profile."""
    world, now = call.world, call.now
    waiting = [
        export
        for export in world.ads_exports.values()
        if export.kind == kind and export.region == call.region and _status(world, export, now) == "PROCESSING"
    ]
    if len(waiting) < world.settings.exports_at_once:
        return None
    response = ads.error(429, "Too Many Requests")
    soonest = min(world.finished(export.created) for export in waiting)
    response.headers["Retry-After"] = str(max(1, math.ceil(soonest - now.timestamp())))
    return response


def _media_type(kind: str) -> str:
    return _TYPE.format(kind.lower())
