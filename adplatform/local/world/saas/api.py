"""The REST API: queries page by page, and descriptions of objects."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from werkzeug.wrappers import Response

from adplatform.local.world.saas import soql
from adplatform.local.world.saas.calls import Call, answer, refused
from adplatform.local.world.saas.schema import OBJECTS
from adplatform.local.world.saas.soql import Malformed, Query
from adplatform.local.world.saas.world import Cursor

VERSION = "v62.0"
_LEAST_PAGE = 1


def allowed(handler: Callable[[Call], Response]) -> Callable[[Call], Response]:
    """The handler behind what the API asks of every request: a good token, requests left for the day, and patience."""

    def guarded(call: Call) -> Response:
        world = call.world
        token = call.request.headers.get("Authorization", "").removeprefix("Bearer ")
        if world.tokens.get(token, 0) <= call.now.timestamp():
            return expired()
        used, most = _spend(call), world.settings.daily_requests
        if most is not None and used > most:
            return over_budget()
        wait = _wait(call)
        response = throttled(wait) if wait else handler(call)
        response.headers["Sforce-Limit-Info"] = f"api-usage={used}/{most or 0}"
        return response

    return guarded


def expired() -> Response:
    return refused(401, "INVALID_SESSION_ID", "Session expired or invalid")


def over_budget() -> Response:
    return refused(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")


def throttled(seconds: float) -> Response:
    response = refused(429, "TOO_MANY_REQUESTS", "Too many requests")
    response.headers["Retry-After"] = f"{max(1, round(seconds))}"
    return response


def _spend(call: Call) -> int:
    """Counts the request against its day; how many there were."""
    day, today = call.world.spent[0], str(call.now.date())
    used = (call.world.spent[1] if day == today else 0) + 1
    call.world.spent = (today, used)
    return used


def _wait(call: Call) -> float:
    """Seconds until the API takes another request, 0 if it takes this one."""
    rate = call.world.settings.requests_per_second
    if rate is None:
        return 0.0
    now, (tokens, at) = call.now.timestamp(), call.world.bucket
    tokens = min(max(rate, 1.0), tokens + (now - at) * rate)
    call.world.bucket = (tokens - 1 if tokens >= 1 else tokens, now)
    return 0.0 if tokens >= 1 else (1 - tokens) / rate


def query(call: Call) -> Response:
    """``GET /services/data/vNN.N/query?q=...``, and queryAll, which sees deleted records, too."""
    try:
        asked = soql.parsed(call.request.args.get("q", ""))
    except Malformed as e:
        return refused(400, "MALFORMED_QUERY", str(e))
    if asked.object not in OBJECTS:
        return refused(400, "INVALID_TYPE", f"sObject type '{asked.object}' is not supported.")
    unknown = sorted(asked.names() - {known.name for known in call.world.fields(asked.object)})
    if unknown:
        message = f"No such column '{unknown[0]}' on entity '{asked.object}'."
        return refused(400, "INVALID_FIELD", message)
    cursor = Cursor(call.request.args["q"], "/queryAll" in call.request.path, str(call.now), _page_size(call), 0)
    return _page(call, asked, cursor, empty=call.fault("empty") is not None)


def more(call: Call) -> Response:
    """``GET /services/data/vNN.N/query/<cursor>``: the records as they were when the query began."""
    cursor = call.world.cursors.get(call.argument)
    if cursor is None or call.fault("lost_cursor"):
        return refused(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    if call.fault("duplicate"):
        cursor = Cursor(cursor.soql, cursor.deleted, cursor.at, cursor.size, max(0, cursor.offset - 1))
    return _page(call, soql.parsed(cursor.soql), cursor)


def _page_size(call: Call) -> int:
    """What the setting says, or fewer if the query asks for that. Salesforce takes no less than 200."""
    most = call.world.settings.page_size
    asked = re.search(r"batchSize=(\d+)", call.request.headers.get("Sforce-Query-Options", ""))
    return min(most, max(_LEAST_PAGE, int(asked[1]))) if asked else most


def _page(call: Call, asked: Query, cursor: Cursor, *, empty: bool = False) -> Response:
    found = [] if empty else selected(call, asked, cursor)
    if not asked.fields:
        return answer(200, {"totalSize": len(found), "done": True, "records": []})
    end = cursor.offset + cursor.size
    body: dict[str, Any] = {"totalSize": len(found), "done": end >= len(found)}
    if end < len(found):
        following = Cursor(cursor.soql, cursor.deleted, cursor.at, cursor.size, end)
        body["nextRecordsUrl"] = f"/services/data/{VERSION}/query/{call.world.keep(following)}"
    body["records"] = [
        {"attributes": _attributes(asked.object, record), **{name: record[name] for name in asked.fields}}
        for record in found[cursor.offset : end]
    ]
    return answer(200, body)


def selected(call: Call, asked: Query, cursor: Cursor) -> list[dict[str, Any]]:
    """All records of the answer, in its order."""
    least = asked.least("SystemModstamp") or asked.least("LastModifiedDate")
    there = call.world.records(asked.object, datetime.fromisoformat(cursor.at), since=least)
    found = [r for r in there if (cursor.deleted or not r["IsDeleted"]) and soql.matches(asked, r)]
    if asked.order is not None:
        order = asked.order
        found.sort(key=lambda r: (r[order] is not None, r[order]), reverse=asked.descending)
    return found[: asked.limit]


def _attributes(name: str, record: dict[str, Any]) -> dict[str, str]:
    return {"type": name, "url": f"/services/data/{VERSION}/sobjects/{name}/{record.get('Id', '')}"}


def describe(call: Call) -> Response:
    """``GET /services/data/vNN.N/sobjects/<object>/describe``."""
    if call.argument not in OBJECTS:
        return refused(404, "NOT_FOUND", "The requested resource does not exist")
    fields = [
        {
            "name": known.name,
            "label": known.name.removesuffix("__c"),
            "type": known.type,
            "custom": known.name.endswith("__c"),
            "filterable": known.type != "textarea",
            "nillable": known.type not in ("id", "boolean"),
        }
        for known in call.world.fields(call.argument)
    ]
    return answer(200, {"name": call.argument, "queryable": True, "fields": fields})


def objects(call: Call) -> Response:
    """``GET /services/data/vNN.N/sobjects``."""
    listed = [{"name": name, "label": name, "queryable": True} for name in OBJECTS]
    return answer(200, {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": listed})


def limits(call: Call) -> Response:
    """``GET /services/data/vNN.N/limits``."""
    most = call.world.settings.daily_requests or 0
    return answer(200, {"DailyApiRequests": {"Max": most, "Remaining": max(0, most - call.world.spent[1])}})
