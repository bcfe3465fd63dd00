"""Reports of the Ads API v1 ("unified reporting"), which Amazon calls a beta: of advertiser accounts, not profiles.

Taken from: the OpenAPI specification (paths, bodies, states, error codes); public copies of the documentation
(quickstart, concepts, error texts 400004 and 400006); and public notes and code of people who called it (either header
for the client's id, one report id a poll, HTTP 400 with ``{"code": "400006", "message"}``, a CSV of one part whose
header has the fields' names, money in units of the currency, rows of all of an account's countries whatever the region
asked).

Not confirmed by anybody:

- what an equal order gets: nothing is said of a memory as version 3 has it. Should Amazon answer 425 with the id of a
  report, that is taken as it is there; else, as there is no list of reports, an order whose answer was lost is placed
  again, and the first report is made for nothing;
- what Amazon says of a date that it does not keep any more, so such an order fails for good, with Amazon's words;
- whether a report without rows is a header alone, an empty file, or none: all are taken for one, but COMPLETED without
  a file, which is taken for one that is still being written;
- whether the parts of a report have a header each: reports are ordered in one part, and one in several is not read;
- whether ``sizeInBytes`` is the size of the file, so it is not compared.

Known of the beta (issues 453 and 456 of amzn/ads-advanced-tools-docs): targets have no ids, and rows of equal
dimensions may come apart, which add up.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo, available_timezones

from adplatform.amazon.answers import AnswerKind, Meaning, meaning
from adplatform.amazon.http import Address, AmazonHttp, Answer, Limit, created, plain_text
from adplatform.amazon.reports import (
    Created,
    Discovered,
    Document,
    MadeOtherwise,
    Progress,
    ReportOrder,
    ReportStatus,
)
from adplatform.failures import TransientFailure
from adplatform.ledger.scopes import Scope

_PATH = "/adsApi/v1"
# Amazon names no rates. People who ordered a few reports in a row met 429 and then ordered one a minute.
_ORDERS, _POLLS, _LISTS = Limit(1 / 30, 3), Limit(2.0, 20), Limit(1.0, 5)
_STATES = {"PENDING": ReportStatus.QUEUED, "PROCESSING": ReportStatus.PROCESSING}
_HTTP = {
    "UNAUTHORIZED": 401,
    "FORBIDDEN": 403,
    "ACCESS_DENIED_FOR_MANAGER_ACCOUNT": 403,
    "NOT_FOUND": 404,
    "RESOURCE_ID_NOT_FOUND": 404,
    "TOO_MANY_REQUESTS": 429,
    "INTERNAL_ERROR": 500,
}
"""The HTTP status that an error within an answer would have by itself; of others it is 400."""
_LATER = (AnswerKind.THROTTLED, AnswerKind.TRANSIENT, AnswerKind.UNAUTHORIZED)
_NO_ACCESS = "authorization failed"
"""In Amazon's words, with whatever status, of an account that is listed and that may not be reported on."""
_MOST_PAGES = 1000


class Profiles(Protocol):
    """What lists the profiles of a region."""

    def scopes(self) -> list[Scope]: ...


@dataclass(frozen=True)
class UnifiedReports:
    """The advertiser accounts and reports of the Ads API v1; an :class:`adplatform.amazon.reports.ReportApi`.
    ``profiles`` are those of the region, which tell time zones and currencies."""

    api: AmazonHttp
    profiles: Profiles

    def scopes(self) -> list[Scope]:
        """The advertiser accounts. One of a single country whose profile a global account has, too, is left out: its
        rows would be there twice."""
        accounts = self._accounts()
        everywhere = {p for account in accounts if account.get("isGlobalAccount") for p in _profiles_of(account)}
        known = {scope.id: scope for scope in self.profiles.scopes()}
        return [
            self._scope(account, known)
            for account in accounts
            if account.get("isGlobalAccount") or not (profiles := _profiles_of(account)) or not profiles <= everywhere
        ]

    def create(
        self, order: ReportOrder, intended_at: datetime, *, again: bool, others: Collection[str] = ()
    ) -> Created:
        """Place the order.

        Raises:
            PermanentFailure: Amazon refuses the order; with its reason.
            AccessRefused: the account may not be reported on.
            TransientFailure: it cannot be placed now, or its answer was lost.
        """
        asked = order.configuration
        query = {name: asked[name] for name in ("fields", "filter") if name in asked}
        report = {
            "format": asked["format"],
            "periods": [{"datePeriod": {"startDate": order.start.isoformat(), "endDate": order.end.isoformat()}}],
            "query": query,
            **({"currencyOfView": asked["currencyOfView"]} if "currencyOfView" in asked else {}),
        }
        body = {"accessRequestedAccounts": [{"advertiserAccountId": order.scope}], "reports": [report]}
        answer = self._call("create_report", "create/reports", _ORDERS, order.scope, body, repeatable=False)
        if answer.meaning.kind is AnswerKind.DUPLICATE:
            return self._adopted(order, answer.meaning)
        return created(self._required(answer, f"Amazon refuses the order for advertiser account {order.scope}"))

    def progress(self, order: ReportOrder, report_id: str) -> Progress:
        report = self._report(order, report_id)
        if report is None:
            return Progress(report_id, ReportStatus.GONE, reason="Amazon does not know the report", retryable=True)
        standing = _standing(report_id, report)
        dates, options = _period(order, report), _other_query(order, report)
        if dates is None:
            return Progress(report_id, ReportStatus.FAILED, reason="Amazon made a report of dates that are none")
        wanted = (order.start, order.end)
        differs = "; ".join(filter(None, ("" if dates == wanted else f"{dates[0]} to {dates[1]}", options)))
        if not differs:
            return standing
        start, end = datetime.combine(dates[0], time.min, UTC), datetime.combine(dates[1], time.max, UTC)
        return MadeOtherwise(differs, standing, start, end, options=bool(options)).refused

    def fetch(self, order: ReportOrder, progress: Progress, target: Path) -> Document:
        """Stream the report to ``target``; Amazon is asked for a URL anew where it expired.

        Raises:
            TransientFailure: it cannot be had now.
        """

        def address() -> Address | None:
            report = self._report(order, progress.report_id) or {}
            url = plain_text(parts[0], "url") if (parts := _parts(report)) else ""
            return Address(url) if url else None

        document = self.api.download(address, target, f"report {progress.report_id}")
        if document is None:
            raise TransientFailure(f"report {progress.report_id} has no document at present")
        return document

    def cancel(self, order: ReportOrder, report_id: str) -> None:
        self._call("delete_report", "delete/reports", _POLLS, order.scope, {"reportIds": [report_id]})

    def discover(self, report_type: str, since: datetime) -> list[Discovered]:
        """The Ads API makes no reports by itself."""
        return []

    def _adopted(self, order: ReportOrder, said: Meaning) -> Created:
        other = said.duplicate_of
        if not other or self.progress(order, other).status in (ReportStatus.GONE, ReportStatus.FAILED):
            raise TransientFailure(f"another report is in the way of the order: {said.text}")
        return Created(other, adopted=True)

    def _report(self, order: ReportOrder, report_id: str) -> Mapping[str, Any] | None:
        asked = {"reportIds": [report_id]}
        answer = _settled(self._call("get_report", "retrieve/reports", _POLLS, order.scope, asked), self.api.now())
        if answer.meaning.kind is AnswerKind.GONE:
            return None
        return self._required(answer, f"report {report_id} cannot be asked for")

    def _required(self, answer: Answer, what: str) -> Mapping[str, Any]:
        """The report in an answer that Amazon gave to an accepted request."""
        answer = _settled(answer, self.api.now())
        said = answer.meaning
        if said.kind in _LATER:
            raise TransientFailure(f"{what} for now: {said.text}")
        if said.kind is AnswerKind.INVALID and "field" in said.text.lower():
            what = f"{what} (correct the report's fields)"
        if said.kind is AnswerKind.FORBIDDEN:
            what = f"{what} (who authorised the application needs a role in the account that may read reports)"
        answer.require(what)
        first = next(iter(answer.items("success")), {}).get("report")
        if not isinstance(first, dict):
            raise TransientFailure(f"Amazon's answer to {answer.operation} has no report")
        return first

    def _call(
        self,
        operation: str,
        path: str,
        limit: Limit,
        bucket: str,
        body: Mapping[str, Any],
        *,
        repeatable: bool = True,
    ) -> Answer:
        # The specification has this header, the quickstart the one that goes with every request: Amazon gets both.
        headers = {"Amazon-Ads-ClientId": self.api.tokens.client_id}
        return self.api.call(
            *(operation, "POST", f"{_PATH}/{path}"),
            limit=limit,
            bucket=bucket,
            headers=headers,
            json=body,
            repeatable=repeatable,
        )

    def _accounts(self) -> list[Mapping[str, Any]]:
        """Asked for twice, as people do who call it: without a filter there may be global ones alone."""
        asked: tuple[dict[str, Any], ...] = ({}, {"isGlobalAccountFilter": {"include": [False]}})
        every = (account for filters in asked for account in self._listed(filters))
        return list({plain_text(account, "advertiserAccountId"): account for account in every}.values())

    def _listed(self, filters: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        asked: dict[str, Any] = {"maxResults": 100, **filters}
        for _ in range(_MOST_PAGES):
            answer = self._call("profiles", "query/advertiserAccounts", _LISTS, "account", asked)
            answer.require("advertiser accounts cannot be listed")
            yield from (each for each in answer.items("advertiserAccounts") if plain_text(each, "advertiserAccountId"))
            token = plain_text(answer.members(), "nextToken")
            if not token:
                return
            asked["nextToken"] = token
        raise TransientFailure(f"advertiser accounts cannot be listed: there are more than {_MOST_PAGES} pages")

    def _scope(self, account: Mapping[str, Any], known: Mapping[str, Scope]) -> Scope:
        profiles = [known[name] for name in sorted(_profiles_of(account)) if name in known]
        countries = {str(each.get("countryCode") or "") for each in _alternate_ids(account)}
        one = next(iter(countries)) if len(countries) == 1 else ""
        return Scope(
            id=plain_text(account, "advertiserAccountId"),
            timezone=_westernmost(profiles, str(account.get("timeZoneIana") or ""), self.api.now()),
            country=one,
            currency=profiles[0].currency if one and profiles else "",
            name=str(account.get("displayName") or ""),
            kind="global" if account.get("isGlobalAccount") else "local",
        )


def _settled(answer: Answer, now: datetime) -> Answer:
    """The answer as if an error that stands in an accepted one (HTTP 207) were the whole of it."""
    if answer.meaning.kind is AnswerKind.OK:
        errors = [e for each in answer.items("error") for e in each.get("errors") or [] if isinstance(e, dict)]
        if not errors:
            return answer
        status = _HTTP.get(str(errors[0].get("code")), 400)
        answer = Answer(answer.operation, meaning(status, {}, json.dumps({"errors": errors}).encode(), now))
    said = answer.meaning
    if said.kind is AnswerKind.INVALID and _NO_ACCESS in said.text.lower():
        return Answer(answer.operation, replace(said, kind=AnswerKind.FORBIDDEN))
    return answer


def _standing(report_id: str, report: Mapping[str, Any]) -> Progress:
    status = str(report.get("status") or "")
    if not status:
        raise TransientFailure(f"Amazon's answer about report {report_id} names no status")
    if status == "FAILED":
        said = (str(report.get(name) or "") for name in ("failureCode", "failureReason"))
        reason = ": ".join(filter(None, said)) or "Amazon says FAILED and gives no reason"
        return Progress(report_id, ReportStatus.FAILED, reason=reason, retryable=True)
    parts = _parts(report)
    if status != "COMPLETED" or not parts:
        return Progress(report_id, _STATES.get(status, ReportStatus.PROCESSING))
    if len(parts) > 1:
        reason = f"Amazon made the report in {len(parts)} parts, though it was ordered in one, and these are not read"
        return Progress(report_id, ReportStatus.FAILED, reason=reason)
    size = parts[0].get("sizeInBytes")
    if size == 0:
        return Progress(report_id, ReportStatus.EMPTY, reason="Amazon says that the report has no bytes")
    return Progress(report_id, ReportStatus.READY, document=report_id, size=size if isinstance(size, int) else None)


def _parts(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    listed = report.get("completedReportParts")
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def _period(order: ReportOrder, report: Mapping[str, Any]) -> tuple[date, date] | None:
    """The first and the last date of a report; those that were ordered where it says none. None where they are no
    dates."""
    periods = report.get("periods")
    first = periods[0] if isinstance(periods, list) and periods and isinstance(periods[0], dict) else {}
    said = first.get("datePeriod")
    made = said if isinstance(said, dict) else {}
    try:
        start, end = (
            date.fromisoformat(str(made.get(name) or day))
            for name, day in (("startDate", order.start), ("endDate", order.end))
        )
    except ValueError:
        return None
    return start, end


def _other_query(order: ReportOrder, report: Mapping[str, Any]) -> str:
    """How what a report says it was made of differs from the order. What Amazon does not repeat is not compared, nor in
    what form it repeats a filter; fields beside those that were asked for do no harm."""
    query = report.get("query")
    made = query if isinstance(query, dict) else {}
    fields = made.get("fields")
    asked = order.configuration
    differs = []
    if isinstance(fields, list) and (lacking := [name for name in asked["fields"] if name not in fields]):
        differs.append(f"no {', '.join(lacking)}")
    if bool(made.get("filter")) and not asked.get("filter"):
        differs.append("a filter")
    if (made_in := report.get("format")) not in (None, asked["format"]):
        differs.append(f"format {made_in}")
    if (view := report.get("currencyOfView")) and view != asked.get("currencyOfView", view):
        differs.append(f"currency {view}")
    return "; ".join(differs)


def _alternate_ids(account: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The profiles, entities and advertisers by which an account is known elsewhere, each with its country."""
    listed = account.get("alternateIds")
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def _profiles_of(account: Mapping[str, Any]) -> set[str]:
    return {str(each["profileId"]) for each in _alternate_ids(account) if each.get("profileId")}


def _westernmost(profiles: list[Scope], own: str, now: datetime) -> str:
    """The time zone in which a day ends last, of those of the profiles, or the account's ``own``, or UTC: a date is
    asked for when it is over everywhere in the account."""
    zones = {profile.timezone for profile in profiles} or {own}
    known = sorted(zones & available_timezones())
    return min(known, key=lambda zone: now.astimezone(ZoneInfo(zone)).utcoffset() or timedelta(0), default="UTC")
