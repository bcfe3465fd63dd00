"""Amazon Ads: profiles, reports by the reporting API version 3 ("Offline Report"), and exports beside them."""

import logging
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import available_timezones

from adplatform.amazon.ads.exports import MEDIA_TYPES, AdsExports
from adplatform.amazon.ads.made import fetched, size_of
from adplatform.amazon.ads.unified.client import UnifiedReports
from adplatform.amazon.answers import AnswerKind, Meaning
from adplatform.amazon.http import (
    PATIENCE,
    AmazonHttp,
    Answer,
    Counted,
    Limit,
    created,
    open_http,
    uncounted,
)
from adplatform.amazon.refusals import is_about_the_definition
from adplatform.amazon.reports import (
    Created,
    Discovered,
    Document,
    MadeOtherwise,
    MadeToOrder,
    PastRetention,
    Progress,
    ReportOrder,
    ReportStatus,
)
from adplatform.failures import TransientFailure
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.scopes import Scope

log = logging.getLogger(__name__)

HOSTS = {
    "na": "https://advertising-api.amazon.com",
    "eu": "https://advertising-api-eu.amazon.com",
    "fe": "https://advertising-api-fe.amazon.com",
}
_CREATE = "application/vnd.createasyncreportrequest.v3+json"
_STATES = {"PENDING": ReportStatus.QUEUED, "PROCESSING": ReportStatus.PROCESSING}
_ENDED = ("FAILED", "FAILURE", "CANCELLED")
"""The first is documented; clients of Amazon's watch for the others too."""
# Amazon names no rates, only that limits follow the load of its queue; these keep one account polite.
_ORDERS, _POLLS, _LISTS = Limit(1.0, 10), Limit(5.0, 20), Limit(1.0, 5)
_KEPT_FROM = re.compile(r"retention start date \((\d{4}-\d\d-\d\d)\)")
"""In Amazon's refusal of an order that begins before what it keeps of the report type."""


@dataclass(frozen=True)
class AdsApi:
    """The Ads API for one account in one region; an :class:`adplatform.amazon.reports.ReportApi`."""

    reports: "AdsReports"
    exports: AdsExports

    @property
    def unified(self) -> UnifiedReports:
        """The reports of the Ads API v1 for the same account."""
        return UnifiedReports(self.reports.api, self.reports)

    def scopes(self) -> list[Scope]:
        return self.reports.scopes()

    def create(
        self, order: ReportOrder, intended_at: datetime, *, again: bool, others: Collection[str] = ()
    ) -> Created:
        return self._of(order).create(order, intended_at, again=again, others=others)

    def progress(self, order: ReportOrder, report_id: str) -> Progress:
        return self._of(order).progress(order, report_id)

    def fetch(self, order: ReportOrder, progress: Progress, target: Path) -> Document:
        return self._of(order).fetch(order, progress, target)

    def cancel(self, order: ReportOrder, report_id: str) -> None:
        self._of(order).cancel(order, report_id)

    def discover(self, report_type: str, since: datetime) -> list[Discovered]:
        """The Ads API makes no reports by itself."""
        return []

    def _of(self, order: ReportOrder) -> MadeToOrder:
        return self.exports if order.report_type in MEDIA_TYPES else self.reports


@dataclass(frozen=True)
class AdsReports:
    """The profiles and reports of the Ads API for one account in one region."""

    api: AmazonHttp

    def scopes(self) -> list[Scope]:
        """Profiles that the account may view, not only those that it may edit."""
        answer = self.api.call(
            "profiles",
            "GET",
            "/v2/profiles",
            limit=_LISTS,
            bucket="account",
            params={"accessLevel": "view", "apiProgram": "report"},
        )
        answer.require("profiles cannot be listed")
        if not isinstance(answer.body, list):
            raise TransientFailure("profiles cannot be listed: Amazon's answer is no list")
        named = (_scope(profile) for profile in answer.body if isinstance(profile, dict) and profile.get("profileId"))
        return [scope for scope in named if _has_days(scope)]

    def create(
        self, order: ReportOrder, intended_at: datetime, *, again: bool, others: Collection[str] = ()
    ) -> Created:
        """Place the order. An order that Amazon has already, from a lost answer for instance, is found by Amazon:
        it answers 425 with the report's id, which is taken if that report is the same.

        Raises:
            PermanentFailure: Amazon refuses the order; with its reason.
            PastRetention: its first dates are not kept any more.
            AccessRefused: the profile may not be read.
            TransientFailure: it cannot be placed now, or another report is in its way.
        """
        body = {
            "name": order.name,
            "startDate": order.start.isoformat(),
            "endDate": order.end.isoformat(),
            "configuration": order.configuration,
        }
        answer = self._call("create_report", "POST", "/reporting/reports", order, _ORDERS, json=body, kind=_CREATE)
        if answer.meaning.kind is AnswerKind.DUPLICATE:
            return self._adopted(order, answer)
        what = f"Amazon refuses the order for profile {order.scope}{_to_do(answer.meaning)}"
        if oldest := _kept_from(answer.meaning.text):
            raise PastRetention(f"{what}: {answer.meaning.text}", oldest)
        answer.require(what)
        return created(answer.members())

    def progress(self, order: ReportOrder, report_id: str) -> Progress:
        report = self._report(order, report_id)
        if report is None:
            return Progress(report_id, ReportStatus.GONE, reason="Amazon does not know the report", retryable=True)
        differs, dates = _difference(order, report), _made_dates(order, report)
        if not differs:
            return self._standing(report_id, report)
        if dates is None:
            return Progress(report_id, ReportStatus.FAILED, reason=f"Amazon made another report: {differs}")
        options = bool(_other_configuration(order, report))
        return MadeOtherwise(differs, self._standing(report_id, report), *dates, options=options).refused

    def _standing(self, report_id: str, report: Mapping[str, Any]) -> Progress:
        status = str(report.get("status") or "")
        if not status:
            raise TransientFailure(f"Amazon's answer about report {report_id} names no status")
        if status == "COMPLETED" and report.get("url"):
            return Progress(report_id, ReportStatus.READY, document=report_id, size=size_of(report))
        if status in _ENDED:
            reason = str(report.get("failureReason") or f"Amazon says {status} and gives no reason")
            return Progress(report_id, ReportStatus.FAILED, reason=reason, retryable=True)
        # COMPLETED without a URL has been seen for one poll.
        return Progress(report_id, _STATES.get(status, ReportStatus.PROCESSING))

    def fetch(self, order: ReportOrder, progress: Progress, target: Path) -> Document:
        """Stream the document to ``target``; its URL is minted by every status call and asked for anew if it expired.

        Raises:
            TransientFailure: it cannot be had now, or its size is not the announced one.
        """
        name = progress.report_id
        return fetched(self.api, lambda: self._report(order, name), target, f"report {name}")

    def cancel(self, order: ReportOrder, report_id: str) -> None:
        self._call("delete_report", "DELETE", _path(report_id), order, _POLLS)

    def _adopted(self, order: ReportOrder, answer: Answer) -> Created:
        other = answer.meaning.duplicate_of
        if not other:
            raise TransientFailure(
                f"Amazon has the order already but does not say as which report: {answer.meaning.text}"
            )
        report = self._report(order, other)
        if report is None:
            raise TransientFailure(f"Amazon calls the order a duplicate of {other}, which it does not know")
        if differs := _difference(order, report):
            raise TransientFailure(
                f"report {other} is in the way, which differs: {differs}; asked again when it has ended"
            )
        log.info("adopted report %s", other)
        return Created(other, adopted=True)

    def _report(self, order: ReportOrder, report_id: str) -> Mapping[str, Any] | None:
        answer = self._call("get_report", "GET", _path(report_id), order, _POLLS)
        if answer.meaning.kind is AnswerKind.GONE:
            return None
        answer.require(f"report {report_id} cannot be asked for")
        return answer.members()

    def _call(
        self,
        operation: str,
        method: str,
        path: str,
        order: ReportOrder,
        limit: Limit,
        json: Any = None,
        kind: str = "",
    ) -> Answer:
        headers = {"Amazon-Advertising-API-Scope": order.scope, **({"Content-Type": kind} if kind else {})}
        return self.api.call(operation, method, path, limit=limit, bucket=order.scope, headers=headers, json=json)


def _path(report_id: str) -> str:
    return f"/reporting/reports/{quote(report_id, safe='')}"


def _to_do(refused: Meaning) -> str:
    """Who has to act, where the refusal itself does not say it."""
    if refused.kind is AnswerKind.FORBIDDEN and not refused.advice:
        return " (have the advertiser grant access, or leave the profile out)"
    wrong = refused.kind is AnswerKind.INVALID and is_about_the_definition(refused.text)
    return " (correct the report's definition)" if wrong else ""


def _kept_from(text: str) -> date | None:
    """The first date of the report type that Amazon keeps, where its refusal names one."""
    found = _KEPT_FROM.search(text)
    try:
        return date.fromisoformat(found[1]) if found else None
    except ValueError:
        return None


def _has_days(scope: Scope) -> bool:
    """Whether it can be told when the days of a profile begin; one profile of a new zone holds up no other."""
    known = scope.timezone in available_timezones()
    if not known:
        log.error("profile %s is left out: its time zone %r is unknown here; update tzdata", scope.id, scope.timezone)
    return known


def _scope(profile: Mapping[str, Any]) -> Scope:
    reported = profile.get("accountInfo")
    account = reported if isinstance(reported, dict) else {}
    return Scope(
        id=str(profile["profileId"]),
        timezone=str(profile.get("timezone") or "UTC"),
        country=str(profile.get("countryCode") or ""),
        currency=str(profile.get("currencyCode") or ""),
        name=str(account.get("name") or ""),
        kind=str(account.get("type") or ""),
        owner=str(account.get("id") or ""),
        place=str(account.get("marketplaceStringId") or ""),
    )


def _difference(order: ReportOrder, report: Mapping[str, Any]) -> str:
    """How a report differs from the order; "" when it is the same. What Amazon does not repeat is not compared."""
    dates = [
        f"{name} {found} instead of {wanted}"
        for name, wanted in (("startDate", order.start), ("endDate", order.end))
        if (found := report.get(name)) not in (None, wanted.isoformat())
    ]
    return "; ".join(filter(None, (*dates, _other_configuration(order, report))))


def _made_dates(order: ReportOrder, report: Mapping[str, Any]) -> tuple[datetime, datetime] | None:
    """The first and the last instant of the dates that a report is about, as if they were of UTC; None where it says
    dates that are none."""
    start, end = (
        report.get(name) or day.isoformat() for name, day in (("startDate", order.start), ("endDate", order.end))
    )
    try:
        first, last = date.fromisoformat(start), date.fromisoformat(end)
    except (ValueError, TypeError):
        return None
    return datetime.combine(first, time.min, UTC), datetime.combine(last, time.max, UTC)


def _other_configuration(order: ReportOrder, report: Mapping[str, Any]) -> str:
    reported = report.get("configuration")
    made = reported if isinstance(reported, dict) else {}
    unasked = {"filters": made["filters"]} if made.get("filters") and not order.configuration.get("filters") else {}
    pairs = [
        *((name, _plain(wanted), _plain(made.get(name))) for name, wanted in order.configuration.items()),
        *((name, None, _plain(found)) for name, found in unasked.items()),
    ]
    return "; ".join(f"{name} {found}" for name, wanted, found in pairs if found not in (None, wanted))


def _plain(value: Any) -> Any:
    """Columns, groupings and filters are sets."""
    if isinstance(value, list):
        return sorted(str(_plain(v)) for v in value)
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in sorted(value.items())}
    return value


def open_ads(
    secrets: Any,
    secret: str,
    region: str,
    ledger: Ledger,
    directory: Path,
    *,
    sleep: Callable[[float], None],
    endpoint: str | None = None,
    patience: timedelta = PATIENCE,
    counted: Counted = uncounted,
) -> AdsApi:
    """The Ads API with the credentials in ``secret``. ``endpoint`` is a simulated Amazon in place of the real one;
    ``directory`` is where tokens are shared."""

    def authorise(token: str, client_id: str) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {token}", "Amazon-Advertising-API-ClientId": client_id}

    given = (secrets, secret, HOSTS[region], ledger, directory)
    http = open_http(*given, authorise=authorise, sleep=sleep, endpoint=endpoint, patience=patience, counted=counted)
    return AdsApi(AdsReports(http), AdsExports(http))
