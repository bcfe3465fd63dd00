"""Reports of the simulated Ads API v1 ("unified reporting"): of advertiser accounts, in CSV, of any dimensions. By its
own reading of Amazon's specification and error texts, apart from the client's, so that a mistake in either shows."""

import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from werkzeug.wrappers import Response

from adplatform.local.world.amazon import ads
from adplatform.local.world.amazon.accounts import AdvertiserAccount
from adplatform.local.world.amazon.calls import Call, answer, instant
from adplatform.local.world.amazon.downloads import signed
from adplatform.local.world.amazon.faults import FATES
from adplatform.local.world.amazon.unified_rows import UNIFIED, catalogue, document
from adplatform.local.world.amazon.world import AdsReport

_CLIENT = "Amazon-Ads-ClientId"
_FORM = re.compile(r"[a-zA-Z0-9]+\.[a-zA-Z0-9]+")
_KEPT, _LONGEST = timedelta(days=15 * 30), timedelta(days=120)


def accounts(call: Call) -> Response:
    """``POST /adsApi/v1/query/advertiserAccounts``: global ones, unless others are asked for, in pages of one."""
    refused = _refused(call)
    if refused is not None:
        return refused
    asked = call.json or {}
    wanted = asked.get("isGlobalAccountFilter", {}).get("include", [True])
    every = [each for each in call.world.accounts.advertisers if each.is_global in wanted]
    place = int(str(asked.get("nextToken") or 0))
    more = {"nextToken": str(place + 1)} if place + 1 < len(every) else {}
    return answer(200, {"advertiserAccounts": [_account(each) for each in every[place : place + 1]], **more})


def _account(account: AdvertiserAccount) -> dict[str, Any]:
    ids: list[dict[str, str]] = []
    for profile in account.profiles:
        ids += [
            {"countryCode": profile.country, "profileId": str(profile.id)},
            {"countryCode": profile.country, "entityId": profile.entity},
        ]
    return {
        "advertiserAccountId": account.id,
        "displayName": account.name,
        "isGlobalAccount": account.is_global,
        "alternateIds": ids,
        "status": {"statusCode": "CREATED", "statusMessage": "The account is ready"},
    }


def create(call: Call) -> Response:
    """``POST /adsApi/v1/create/reports``: one report for one account."""
    refused = _refused(call)
    if refused is not None:
        return refused
    body = call.json
    problem = _malformed(body) or _invalid(call, body)
    if problem:
        return error(400, *problem)
    scope = body["accessRequestedAccounts"][0]["advertiserAccountId"]
    if call.world.accounts.advertiser(scope) is None:
        return error(403, "FORBIDDEN", "Multi-account authorization failed")
    waits = ads.throttled(call.world, call.region, call.now)
    if waits is not None:
        return waits
    asked = body["reports"][0]
    period = asked["periods"][0]["datePeriod"]
    query = asked["query"]
    configuration = {
        "reportTypeId": UNIFIED,
        "fields": query["fields"],
        "filters": _filters(query.get("filter")),
        "asked": asked,
    }
    report = AdsReport(
        id=str(uuid.uuid4()),
        region=call.region,
        scope=scope,
        name=None,
        start=period["startDate"],
        end=period["endDate"],
        configuration=configuration,
        created=call.now.timestamp(),
    )
    fate = call.fault(*FATES)
    report.fate = fate.fault if fate else ""
    call.world.forget_old_reports()
    call.world.ads_reports[report.id] = report
    call.world.changed = True
    return _told(call, report)


def retrieve(call: Call) -> Response:
    """``POST /adsApi/v1/retrieve/reports``: one report; every answer about one that is made has a new URL."""
    refused = _refused(call)
    if refused is not None:
        return refused
    report = _report(call)
    if report is None or call.fault("forget"):
        return _failed("RESOURCE_ID_NOT_FOUND", "The report does not exist")
    fate = call.fault(*FATES)
    if fate is not None and fate.fault == "fail":
        report.fate = "fail"
    return _told(call, report, says=ads.WAITS.get(fate.fault) if fate else None)


def delete(call: Call) -> Response:
    """``POST /adsApi/v1/delete/reports``."""
    refused = _refused(call)
    if refused is not None:
        return refused
    report = _report(call)
    if report is None:
        return _failed("RESOURCE_ID_NOT_FOUND", "The report does not exist")
    told = _told(call, report)
    del call.world.ads_reports[report.id]
    call.world.changed = True
    return told


def error(status: int, code: str, message: str) -> Response:
    return answer(status, {"code": code, "message": message})


def about(body: object) -> dict[str, str]:
    """What faults can match of an order: its account and its type."""
    account = _first(body, "accessRequestedAccounts").get("advertiserAccountId", "")
    return {"scope": str(account), "report_type": UNIFIED}


def period_of(body: object) -> tuple[str | None, str | None]:
    """The first and the last date of an order."""
    period = _first(_first(body, "reports"), "periods").get("datePeriod") or {}
    return period.get("startDate"), period.get("endDate")


def id_of(body: object) -> str:
    """The one report that a request is about, or that an answer names; "" for none."""
    ids = body.get("reportIds") if isinstance(body, dict) else None
    if isinstance(ids, list) and ids:
        return str(ids[0])
    report = _first(body, "success").get("report")
    return str(report.get("reportId", "")) if isinstance(report, dict) else ""


def _first(body: object, name: str) -> Mapping[str, Any]:
    """The first object in the list ``name`` of an object; an empty one where there is none."""
    listed = body.get(name) if isinstance(body, dict) else None
    return listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], dict) else {}


def _refused(call: Call) -> Response | None:
    if ads.not_logged_in(call, _CLIENT) is not None:
        return error(401, "UNAUTHORIZED", "The request lacks the necessary credentials")
    return None


def _report(call: Call) -> AdsReport | None:
    call.world.forget_old_reports()
    return call.world.ads_reports.get(id_of(call.json))


def _malformed(body: object) -> tuple[str, str] | None:
    """The code and the text against the form of an order; None for nothing."""
    reports = body.get("reports") if isinstance(body, dict) else None
    asked = _first(body, "reports")
    query = asked.get("query")
    start, end = period_of(body)
    if not _first(body, "accessRequestedAccounts").get("advertiserAccountId"):
        return "400000", "400000: accessRequestedAccounts must name an account"
    if not isinstance(reports, list) or len(reports) != 1 or not isinstance(query, dict):
        return "400000", "400000: reports must have one report with format, periods and query"
    if asked.get("format") != "CSV":
        return "400000", "400000: format is not supported"
    if ads.is_date(start) and ads.is_date(end) and isinstance(query.get("fields"), list) and query["fields"]:
        return None
    return "400000", "400000: datePeriod and fields must be given"


def _invalid(call: Call, body: Mapping[str, Any]) -> tuple[str, str] | None:
    """What Amazon says against a well-formed order; the texts of 400004 and 400006 are Amazon's."""
    asked = body["reports"][0]
    fields: Sequence[str] = asked["query"]["fields"]
    known = catalogue()
    for name in fields:
        if not _FORM.fullmatch(str(name)):
            return "400013", f"400013: field {name} has invalid format"
        apart = [other for other in known.apart.get(name, ()) if other in fields]
        if apart:
            return "400004", f"400004: field {name} cannot be used along with fields: ({', '.join(apart)})"
        if name not in known.served or name in call.world.settings.withdrawn_columns:
            return "400005", f"400005: field {name} is not supported"
    for name in fields:
        if lacking := [needed for needed in known.served[name].needs if needed not in fields]:
            text = f"field {name} cannot be used without also including fields: ({', '.join(lacking)})"
            return "400006", f"400006: {text}"
    for name in _filters(asked["query"].get("filter")):
        if name not in known.served:
            return "400005", f"400005: field {name} is not supported"
    start, end = (date.fromisoformat(str(day)) for day in period_of(body))
    if start > end or call.now.date() - start > _KEPT or end - start > _LONGEST:
        return "400000", f"400000: the period {start} to {end} is not available"
    return None


def _filters(asked: Mapping[str, Any] | None) -> dict[str, list[str]]:
    """The values that a filter takes of each field."""
    if not asked:
        return {}
    parts = asked["and"]["filters"] if "and" in asked else [asked]
    return {part["on"]["field"]: part["on"]["values"] for part in parts}


def _failed(code: str, message: str) -> Response:
    """An error within an answer of several states (HTTP 207)."""
    return answer(207, {"error": [{"index": 0, "errors": [{"code": code, "message": message}]}], "success": []})


def _told(call: Call, report: AdsReport, says: str | None = None) -> Response:
    """A report as the API describes it; ``says`` is a status in the place of the true one."""
    world, now = call.world, call.now
    status = says or ads.status_of(world, report, now)
    asked = report.configuration["asked"]
    end = date.fromisoformat(report.end) - timedelta(days=1 if report.fate == "other_end" else 0)
    told: dict[str, Any] = {
        "reportId": report.id,
        "status": status,
        "format": asked["format"],
        "periods": [{"datePeriod": {"startDate": report.start, "endDate": end.isoformat()}}],
        "query": asked["query"],
        "creationDateTime": instant(report.created),
        "lastUpdatedDateTime": instant(min(now.timestamp(), world.finished(report.created))),
    }
    if status == "FAILED":
        told |= {"failureCode": "INTERNAL_ERROR", "failureReason": "The report could not be generated"}
    if status == "COMPLETED":
        told |= {"completedDateTime": instant(world.finished(report.created)), "completedReportParts": []}
        if call.fault("complete_without_url") is None:
            seconds = world.settings.ads_url_seconds
            minted = now - timedelta(seconds=seconds + 60) if call.fault("expired_url") else now
            told["completedReportParts"] = [
                {
                    "url": signed(call, f"/download/ads/{report.id}/report-{report.id}.csv", seconds, minted),
                    "urlExpirationDateTime": instant(minted.timestamp() + seconds),
                    "sizeInBytes": len(document(world, report)),
                }
            ]
    return answer(207, {"error": None, "success": [{"index": 0, "report": told}]})
