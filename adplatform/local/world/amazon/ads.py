"""The Amazon Ads API: profiles and asynchronous reports (reporting version 3)."""

import json
import math
import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from werkzeug.wrappers import Response

from adplatform.local.world.amazon import documents
from adplatform.local.world.amazon.accounts import Profile
from adplatform.local.world.amazon.calls import JSON, Call, answer, instant
from adplatform.local.world.amazon.catalogue import DEMAND_SIDE, ReportType, report_types
from adplatform.local.world.amazon.downloads import signed
from adplatform.local.world.amazon.faults import FATES
from adplatform.local.world.amazon.world import AdsReport, World

_CREATE = "application/vnd.createasyncreportrequest.v3+json"
_CREATED = "application/vnd.createasyncreportresponse.v3+json"
_GOT = "application/vnd.getasyncreportresponse.v3+json"
_DELETED = "application/vnd.deleteasyncreportresponse.v3+json"
_REQUIRED = ("adProduct", "columns", "format", "groupBy", "reportTypeId", "timeUnit")


def profiles(call: Call) -> Response:
    """``GET /v2/profiles``: the profiles of the region. One that may only be read is listed with ``accessLevel=view``
    and ``apiProgram=report``."""
    refused = not_logged_in(call)
    if refused is not None:
        return refused
    asked = call.request.args
    for name, allowed in _PROFILE_FILTERS.items():
        wrong = [value for value in _listed(asked.get(name, "")) if value not in allowed]
        if wrong:
            return error(400, _values(name, wrong, allowed))
    reads = (asked.get("accessLevel"), asked.get("apiProgram")) == ("view", "report")
    kinds, payable = _listed(asked.get("profileTypeFilter", "")), asked.get("validPaymentMethodFilter") == "true"
    return answer(
        200,
        [
            _profile(p)
            for p in call.world.accounts.profiles
            if p.region == call.region
            and (reads or p.access == "edit")
            and (not kinds or p.kind in kinds)
            and (not payable or p.kind == "seller")
        ],
    )


_PROFILE_FILTERS = {
    "accessLevel": ("edit", "view"),
    "apiProgram": ("billing", "campaign", "paymentMethod", "store", "report", "account", "posts"),
    "profileTypeFilter": ("seller", "vendor", "agency"),
    "validPaymentMethodFilter": ("true", "false"),
}


def _listed(text: str) -> list[str]:
    return [value for value in text.split(",") if value]


def _profile(profile: Profile) -> dict[str, Any]:
    """A profile as the API describes it. Vendors have neither daily budget nor payment method of their own."""
    budget = {"dailyBudget": 999999999.0} if profile.kind == "seller" else {}
    return {
        "profileId": profile.id,
        "countryCode": profile.country,
        "currencyCode": profile.currency,
        **budget,
        "timezone": profile.timezone,
        "accountInfo": {
            "marketplaceStringId": profile.marketplace,
            "id": profile.entity,
            "type": profile.kind,
            "name": profile.name,
            "validPaymentMethod": profile.kind == "seller",
        },
    }


def create(call: Call) -> Response:
    """``POST /reporting/reports``."""
    refused = not_allowed(call, _CREATED)
    if refused is not None:
        return refused
    if call.request.mimetype not in (_CREATE, JSON):
        return error(415, f"Cannot consume content type {call.request.mimetype or 'none'}")
    body, world = call.json, call.world
    problem = _malformed(body) or invalid(
        body, world.accounts.profile(scope_of(call)), call.now, world.settings.withdrawn_columns
    )
    if problem:
        return error(400, problem)
    configuration = body["configuration"]
    if call.fault("duplicate_without_id"):
        return error(425, "The Request is a duplicate of : ")
    if call.fault("duplicate_foreign"):
        other = "SUMMARY" if configuration["timeUnit"] == "DAILY" else "DAILY"
        return _duplicate(_stored(call, body, {**configuration, "timeUnit": other}))
    same = _equal(world, call.region, scope_of(call), body, call.now)
    if same is not None:
        done = status_of(world, same, call.now) == "COMPLETED"
        return _described(call, same, _CREATED, with_url=False) if done else _duplicate(same)
    waits = throttled(world, call.region, call.now)
    if waits is not None:
        return waits
    if call.fault("bigger_range"):
        earlier = date.fromisoformat(body["startDate"]) - timedelta(days=1)
        body = {**body, "startDate": earlier.isoformat()}
    report = _stored(call, body, configuration)
    fate = call.fault(*FATES)
    report.fate = fate.fault if fate else ""
    return _described(call, report, _CREATED, with_url=False)


def get(call: Call) -> Response:
    """``GET /reporting/reports/{reportId}``; every answer about a finished report has a new URL."""
    refused = not_allowed(call, _GOT)
    if refused is not None:
        return refused
    report = _report(call)
    if report is None or call.fault("forget"):
        return error(404, f"Report not found: {call.argument}")
    fate = call.fault(*FATES)
    if fate is not None and fate.fault == "fail":
        report.fate = "fail"
    says = WAITS.get(fate.fault) if fate else None
    with_url = True
    if says is None and status_of(call.world, report, call.now) == "COMPLETED":
        with_url = call.fault("complete_without_url") is None
    return _described(call, report, _GOT, with_url=with_url, says=says)


def delete(call: Call) -> Response:
    """``DELETE /reporting/reports/{reportId}``: only while it is PENDING."""
    refused = not_allowed(call, _DELETED)
    if refused is not None:
        return refused
    report = _report(call)
    if report is None:
        return error(404, f"Report not found: {call.argument}")
    if status_of(call.world, report, call.now) != "PENDING":
        return error(403, f"Report {report.id} cannot be deleted any more")
    del call.world.ads_reports[report.id]
    call.world.changed = True
    body = {"reportId": report.id, "code": "200", "detail": f"Report {report.id} was deleted"}
    return _accepted(call, body, _DELETED)


def error(status: int, detail: str) -> Response:
    return answer(status, {"code": str(status), "detail": detail})


def _accepted(call: Call, body: object, media_type: str) -> Response:
    """200 in the media type of the operation, or in plain JSON for those who accept nothing else."""
    return answer(200, body, call.request.accept_mimetypes.best_match((media_type, JSON), media_type))


def _described(call: Call, report: AdsReport, media_type: str, *, with_url: bool, says: str | None = None) -> Response:
    """A report as the API describes it; ``says`` is a status in the place of the true one."""
    world, now = call.world, call.now
    status = says or status_of(world, report, now)
    done = world.finished(report.created)
    completed = status == "COMPLETED"
    url = expires = None
    if completed and report.size is None:
        report.size = len(documents.ads_document(world, report))
        world.changed = True
    if completed and with_url:
        seconds = world.settings.ads_url_seconds
        minted = now - timedelta(seconds=seconds + 60) if call.fault("expired_url") else now
        url = signed(call, f"/download/ads/{report.id}/report-{report.id}.json.gz", seconds, minted)
        expires = (minted + timedelta(seconds=seconds)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    filters = [_UNASKED] if report.fate == "other_option" else report.configuration.get("filters")
    earlier = (date.fromisoformat(report.end) - timedelta(days=1)).isoformat()
    body = {
        "reportId": report.id,
        "status": status,
        "name": report.name,
        "startDate": report.start,
        "endDate": earlier if report.fate == "other_end" else report.end,
        "configuration": {**report.configuration, "filters": filters},
        "createdAt": instant(report.created),
        "updatedAt": instant(min(now.timestamp(), done)),
        "generatedAt": instant(done) if completed else None,
        "fileSize": report.size if completed else None,
        "url": url,
        "urlExpiresAt": expires,
        "failureReason": "INTERNAL_ERROR" if status == "FAILED" else None,
    }
    return _accepted(call, body, media_type)


_UNASKED = {"field": "campaignStatus", "values": ["ENABLED"]}
WAITS = {"stuck": "PENDING", "stuck_processing": "PROCESSING"}
"""What a report says for ever under a fault."""


def status_of(world: World, report: AdsReport, now: datetime) -> str:
    waited = now.timestamp() - report.created
    if report.fate == "stuck" or waited < world.settings.queue_seconds:
        return "PENDING"
    if report.fate == "stuck_processing" or now.timestamp() < world.finished(report.created):
        return "PROCESSING"
    return "FAILED" if report.fate == "fail" else "COMPLETED"


def _stored(call: Call, body: Mapping[str, Any], configuration: dict[str, Any]) -> AdsReport:
    created = call.now.timestamp()
    report = AdsReport(
        id=str(uuid.uuid4()),
        region=call.region,
        scope=scope_of(call),
        name=body.get("name"),
        start=body["startDate"],
        end=body["endDate"],
        configuration=configuration,
        created=created,
    )
    call.world.forget_old_reports()
    call.world.ads_reports[report.id] = report
    call.world.changed = True
    return report


def _duplicate(report: AdsReport) -> Response:
    return error(425, f"The Request is a duplicate of : {report.id}")


def _equal(world: World, region: str, scope: str, body: Mapping[str, Any], now: datetime) -> AdsReport | None:
    """An equal report that is not finished yet, or was finished not long ago."""
    wanted = _canonical(body["configuration"], body["startDate"], body["endDate"])
    for report in world.ads_reports.values():
        if (report.region, report.scope) != (region, scope):
            continue
        if _canonical(report.configuration, report.start, report.end) != wanted:
            continue
        status = status_of(world, report, now)
        old = now.timestamp() - world.finished(report.created)
        if status in ("PENDING", "PROCESSING") or (status == "COMPLETED" and old < world.settings.memo_seconds):
            return report
    return None


def _canonical(configuration: Mapping[str, Any], start: str, end: str) -> str:
    filters = sorted(json.dumps([f["field"], sorted(f["values"])]) for f in configuration.get("filters") or [])
    rest = {name: value for name, value in configuration.items() if name not in ("columns", "groupBy", "filters")}
    parts = [start, end, sorted(configuration["columns"]), sorted(configuration["groupBy"]), filters, rest]
    return json.dumps(parts, sort_keys=True)


def throttled(world: World, region: str, now: datetime) -> Response | None:
    limit = world.settings.ads_queue_limit
    waiting = [
        r
        for r in world.ads_reports.values()
        if r.region == region and status_of(world, r, now) in ("PENDING", "PROCESSING")
    ]
    if limit is None or len(waiting) < limit:
        return None
    response = error(429, "Too Many Requests")
    if world.settings.ads_retry_after:
        soonest = min((world.finished(r.created) for r in waiting), default=now.timestamp())
        response.headers["Retry-After"] = str(max(1, math.ceil(soonest - now.timestamp())))
    return response


def scope_of(call: Call) -> str:
    return str(call.request.headers.get("Amazon-Advertising-API-Scope", ""))


def _report(call: Call) -> AdsReport | None:
    call.world.forget_old_reports()
    report = call.world.ads_reports.get(call.argument)
    return report if report and (report.region, report.scope) == (call.region, scope_of(call)) else None


def not_logged_in(call: Call, client: str = "Amazon-Advertising-API-ClientId") -> Response | None:
    """The refusal of a request without a good token, or without the application's id in the header ``client``."""
    headers, world = call.request.headers, call.world
    scheme, _, text = headers.get("Authorization", "").partition(" ")
    token = world.tokens.get(text)
    if scheme.lower() != "bearer" or token is None or token.api != "ads" or token.expires <= call.now.timestamp():
        return error(401, "Invalid or expired access token")
    if headers.get(client) != world.credentials["ads"].client_id:
        return error(401, f"{client} header is missing or of another application")
    return None


def not_allowed(call: Call, media_type: str, *, exactly: bool = False) -> Response | None:
    """The refusal of a request that may not be made, or accepts neither ``media_type`` nor, but where that is wanted
    ``exactly``, plain JSON."""
    refused = not_logged_in(call)
    if refused is not None:
        return refused
    scope = scope_of(call)
    if not scope:
        return error(401, "Scope header is missing")
    profile = call.world.accounts.find_profile(scope)
    if profile is None or profile.region != call.region:
        return error(401, "No matching advertiser found for scope")
    accepted = call.request.accept_mimetypes
    if accepted and not accepted.best_match((media_type,) if exactly else (media_type, JSON)):
        return error(406, f"Not acceptable; this operation answers in {media_type}")
    return None


def _malformed(body: object) -> str:
    """What is wrong with the form of a request body, "" for nothing."""
    if not isinstance(body, dict) or not isinstance(body.get("configuration"), dict):
        return "configuration must not be null"
    if not isinstance(body.get("name"), str | None):
        return "name must be a string"
    configuration = body["configuration"]
    for name in ("startDate", "endDate"):
        if not is_date(body.get(name)):
            return f"{name} must be a date of the form YYYY-MM-DD"
    for name in _REQUIRED:
        value = configuration.get(name)
        if not value:
            return f"configuration {name} must not be null or empty"
        if not (_are_texts(value) if name in ("columns", "groupBy") else isinstance(value, str)):
            return f"configuration {name} has a value of a wrong type"
    filters = configuration.get("filters") or []
    if not isinstance(filters, list) or not all(
        isinstance(f, dict) and isinstance(f.get("field"), str) and _are_texts(f.get("values")) for f in filters
    ):
        return "configuration filters must be a list of objects with field and values"
    return ""


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def invalid(body: Mapping[str, Any], profile: Profile, now: datetime, withdrawn: Collection[str]) -> str:
    """What Amazon would say against a well-formed request body, "" for nothing."""
    configuration, known = body["configuration"], report_types()
    kind = known.get(configuration["reportTypeId"])
    if kind is not None and kind.product == DEMAND_SIDE and not profile.demand_side:
        return "Invalid Advertiser or Marketplace ID."
    if kind is None:
        return _values("configuration reportTypeId", [configuration["reportTypeId"]], sorted(known))
    for name, allowed in (
        ("adProduct", [kind.product]),
        ("format", ["GZIP_JSON"]),
        ("timeUnit", sorted(kind.time_units)),
    ):
        if configuration[name] not in allowed:
            return _values(f"configuration {name}", [configuration[name]], allowed)
    group_by = configuration["groupBy"]
    unknown = [group for group in group_by if group not in kind.groups]
    if unknown:
        return _values("configuration groupBy", unknown, sorted(kind.groups))
    if {"adGroup", "campaignPlacement"} <= set(group_by):
        return "configuration groupBy includes values that do not go together: (adGroup, campaignPlacement)"
    return _columns(kind, configuration, withdrawn) or _filters(kind, configuration) or _range(kind, body, profile, now)


def _values(field: str, given: Sequence[object], allowed: Sequence[str]) -> str:
    named = ", ".join(map(str, given))
    return f"{field} includes invalid values: ({named}). Allowed values: ({', '.join(allowed)})"


def _columns(kind: ReportType, configuration: Mapping[str, Any], withdrawn: Collection[str]) -> str:
    columns, daily = configuration["columns"], configuration["timeUnit"] == "DAILY"
    if daily and {"startDate", "endDate"} & set(columns):
        return (
            "configuration startDate and endDate are not supported columns for DAILY time unit. "
            "Please use date instead."
        )
    if not daily and "date" in columns:
        return (
            "configuration date is not a supported column for SUMMARY time unit. "
            "Please use startDate and/or endDate instead."
        )
    allowed = sorted(kind.allowed(configuration["groupBy"]) - set(withdrawn))
    unknown = [column for column in columns if column not in allowed]
    return _values("configuration columns", unknown, allowed) if unknown else ""


def _filters(kind: ReportType, configuration: Mapping[str, Any]) -> str:
    for wanted in configuration.get("filters") or []:
        name, values = wanted["field"], wanted["values"]
        for group in configuration["groupBy"]:
            known = kind.filters[group]
            if name in known and set(values) <= set(known[name]):
                continue
            allowed = "; ".join(f"field: {f}, values: {_quoted(v)}" for f, v in known.items())
            return (
                f"configuration filters includes fields: ({name}) which are invalid for groupBys: {group}. "
                f"Allowed filters for groupBy {group}: ({allowed})"
            )
    return ""


def _quoted(values: Sequence[str]) -> str:
    return ", ".join((*values[:-1], f"'{values[-1]}'"))


def _range(kind: ReportType, body: Mapping[str, Any], profile: Profile, now: datetime) -> str:
    start, end = date.fromisoformat(body["startDate"]), date.fromisoformat(body["endDate"])
    today = now.astimezone(ZoneInfo(profile.timezone)).date()
    oldest = today - timedelta(days=kind.retention_days)
    if start > end:
        return f"startDate ({start}) must be equal to or before endDate ({end})"
    if start < oldest:
        return f"startDate ({start}) must be equal to or after report type data retention start date ({oldest})"
    if end > today:
        return f"endDate ({end}) must be equal to or before the current date ({today})"
    if (end - start).days >= kind.max_range_days:
        return f"The range from startDate to endDate must not be longer than {kind.max_range_days} days"
    return ""


def is_date(value: object) -> bool:
    try:
        return len(str(value)) == 10 and bool(date.fromisoformat(str(value)))
    except ValueError:
        return False
