"""The Selling Partner API: marketplaces, and reports by the Reports API 2021-06-30."""

import logging
import platform
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from adplatform.amazon.answers import AnswerKind, Meaning
from adplatform.amazon.documents import content, error_details
from adplatform.amazon.http import (
    PATIENCE,
    Address,
    AmazonHttp,
    Answer,
    Counted,
    Limit,
    created,
    open_http,
    plain_text,
    uncounted,
)
from adplatform.amazon.moving_dates import seconds
from adplatform.amazon.moving_dates import utc_text as _text
from adplatform.amazon.refusals import is_about_the_definition
from adplatform.amazon.reports import (
    Created,
    DateIsOver,
    Discovered,
    Document,
    MadeOtherwise,
    Progress,
    ReportOrder,
    ReportStatus,
)
from adplatform.amazon.selling_partner.marketplaces import MARKETPLACES
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.files.bad_file import BadFile
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.scopes import Scope

log = logging.getLogger(__name__)

HOSTS = {
    "na": "https://sellingpartnerapi-na.amazon.com",
    "eu": "https://sellingpartnerapi-eu.amazon.com",
    "fe": "https://sellingpartnerapi-fe.amazon.com",
}
_REPORTS = "/reports/2021-06-30/reports"
_DOCUMENTS = "/reports/2021-06-30/documents"
_ACCESS_TOKEN = "x-amz-access-token"  # noqa: S105 - a header
# Usage plans that the references of the Reports, Sellers and Tokens APIs name for each operation.
_ORDERED_WITHIN = timedelta(seconds=15)
"""At one order a minute a worker does not wait for its turn: what is left is asked for by a later one."""
_CREATING, _GETTING, _LISTING = Limit(0.0167, 15), Limit(2.0, 15), Limit(0.0222, 10)
_CANCELLING, _READING = Limit(0.0222, 10), Limit(0.0167, 15)
_RESTRICTING, _PARTICIPATING = Limit(1.0, 10), Limit(0.016, 15)
_PAGE = 100
_LISTED_FOR = timedelta(days=90) - timedelta(minutes=5)
"""Amazon refuses to list reports that are older than 90 days; its clock is not ours."""
_SKEW = timedelta(minutes=30)
"""How far our clock may be ahead of Amazon's when a report is looked for that it may have made."""
_STATES = {"IN_QUEUE": ReportStatus.QUEUED, "CANCELLED": ReportStatus.EMPTY}
_PASSING = re.compile(
    r"not yet|later time|again later|try again|internal|temporar|timed? ?out|client error occurred", re.IGNORECASE
)
"""What Amazon says of a report that it can make later. It calls data that are late a client error, too."""


@dataclass(frozen=True)
class SellingPartnerReports:
    """The Selling Partner API for one seller in one region; an :class:`adplatform.amazon.reports.ReportApi`.

    ``seller`` tells sellers of one application apart: Amazon counts calls for each pair of them. ``marketplaces`` are
    those of a vendor, empty for a seller.
    """

    api: AmazonHttp
    seller: str
    marketplaces: tuple[str, ...] = ()

    def scopes(self) -> list[Scope]:
        """The marketplaces in which the seller takes part. Amazon lists ids of its own beside the public ones; those
        are left out. Of a vendor it lists none: those that are declared."""
        if self.marketplaces:
            return [_vendor_scope(name) for name in self.marketplaces]
        path = "/sellers/v1/marketplaceParticipations"
        answer = self._call("getMarketplaceParticipations", "GET", path, _PARTICIPATING)
        answer.require("marketplaces cannot be listed")
        taken = [
            _object(each.get("marketplace"))
            for each in answer.items("payload")
            if _object(each.get("participation")).get("isParticipating")
        ]
        if unknown := [name for m in taken if (name := str(m.get("id"))) not in MARKETPLACES]:
            log.info("left out what are no public marketplaces: %s", ", ".join(unknown))
        return [_scope(m) for m in taken if str(m.get("id")) in MARKETPLACES]

    def create(
        self, order: ReportOrder, intended_at: datetime, *, again: bool, others: Collection[str] = ()
    ) -> Created:
        """Place the order. With ``again`` a report of the same type, marketplace and range that was created since is
        taken instead, the newest if there are several, but none of ``others``. Amazon does not say which
        ``reportOptions`` a report has: one that another program ordered in the same minutes with different options
        cannot be told from ours.

        Raises:
            DateIsOver: it is a snapshot whose date is over, and nothing was made of it on that date.
            PermanentFailure: Amazon refuses the order; with its reason.
            TransientFailure: it cannot be placed now, or it is not known whether it was.
        """
        if again and (made := self._made(order, intended_at - _SKEW, others)):
            log.info("adopted report %s", made)
            return Created(made, adopted=True)
        if order.is_over(self.api.now()):
            raise DateIsOver(order.end)
        body = {
            "reportType": order.report_type,
            "marketplaceIds": [order.scope],
            **_sent_range(order, self.api.now()),
            **({"reportOptions": dict(order.configuration)} if order.configuration else {}),
        }
        # Amazon makes a report of each order: one whose answer was lost is looked for before it is sent again.
        answer = self._call(
            "createReport", "POST", _REPORTS, _CREATING, json=body, repeatable=False, turn_within=_ORDERED_WITHIN
        )
        answer.require(f"Amazon refuses the order for marketplace {order.scope}{_to_do(answer.meaning)}")
        return created(answer.members())

    def progress(self, order: ReportOrder, report_id: str) -> Progress:
        """A report that Amazon CANCELLED by itself has no data. One with another range than ordered has FAILED for
        good: Amazon ignores what it does not understand in an order.

        Raises:
            PermanentFailure: the report may not be read.
            TransientFailure: it cannot be asked for now.
        """
        answer = self._call("getReport", "GET", _report_path(report_id), _GETTING)
        if answer.meaning.kind is AnswerKind.GONE:
            return Progress(report_id, ReportStatus.GONE, reason="Amazon does not know the report", retryable=True)
        answer.require(f"report {report_id} cannot be asked for")
        report = answer.members()
        if differs := _other_report(order, report):
            return Progress(report_id, ReportStatus.FAILED, reason=f"Amazon made another report: {differs}")
        standing = self._standing(order, report_id, report)
        differs = _other_range(order, report)
        return MadeOtherwise(differs, standing, *_made_range(order, report)).refused if differs else standing

    def _standing(self, order: ReportOrder, report_id: str, report: Mapping[str, Any]) -> Progress:
        status, document = (plain_text(report, name) for name in ("processingStatus", "reportDocumentId"))
        if not status:
            raise TransientFailure(f"Amazon's answer about report {report_id} names no status")
        if status == "DONE" and document:
            return Progress(report_id, ReportStatus.READY, document=document)
        if status == "FATAL":
            reason = self._reason(order, document) if document else ""
            retryable = not reason or _PASSING.search(reason) is not None
            reason = reason or "Amazon gives no reason"
            return Progress(report_id, ReportStatus.FAILED, reason=reason, retryable=retryable)
        return Progress(report_id, _STATES.get(status, ReportStatus.PROCESSING))

    def fetch(self, order: ReportOrder, progress: Progress, target: Path) -> Document:
        """Stream the document to ``target`` as it is stored, compressed or not. Its URL lives for five minutes; one
        that expired is minted anew.

        Raises:
            PermanentFailure: the document may not be read.
            TransientFailure: it cannot be had now, or not all of it came.
        """
        document = self._downloaded(order, progress.document, target)
        if document is None:
            raise TransientFailure(f"report {progress.report_id} has no document at present")
        return document

    def cancel(self, order: ReportOrder, report_id: str) -> None:
        """Amazon takes back only what is IN_QUEUE, and says 400 to the rest."""
        answer = self._call("cancelReport", "DELETE", _report_path(report_id), _CANCELLING)
        if answer.meaning.kind not in (AnswerKind.INVALID, AnswerKind.GONE):
            answer.require(f"report {report_id} cannot be cancelled")

    def discover(self, report_type: str, since: datetime) -> list[Discovered]:
        """Reports of a type that are DONE, the oldest first. Amazon lists no report that is older than 90 days. One
        without a period counts for the instant at which it was made.

        Raises:
            PermanentFailure: reports may not be listed.
            TransientFailure: they cannot be listed now.
        """
        oldest = self.api.now() - _LISTED_FOR
        filters = {
            "reportTypes": report_type,
            "processingStatuses": "DONE",
            "createdSince": _text(max(since, oldest)),
        }
        # By id: a report that is made meanwhile moves others to the next page.
        done = (_discovered(report) for report in self._listed(filters) if plain_text(report, "reportDocumentId"))
        found = {each.report_id: each for each in done if each.report_id}
        return sorted(found.values(), key=lambda each: (each.created, each.report_id))

    def _made(self, order: ReportOrder, since: datetime, others: Collection[str]) -> str:
        """The newest report that is what the order asks for, "" for none."""
        filters = {
            "reportTypes": order.report_type,
            "marketplaceIds": order.scope,
            "createdSince": _text(max(since, self.api.now() - _LISTED_FOR)),
        }
        reported = ("reportType", "marketplaceIds", *(() if order.snapshot else ("dataStartTime", "dataEndTime")))
        same = [
            report
            for report in self._listed(filters)
            if report.get("processingStatus") not in ("CANCELLED", "FATAL")
            and plain_text(report, "reportId") not in ("", *others)
            and all(report.get(name) for name in reported)
            and not _difference(order, report)
            and (not order.snapshot or _made_on_its_date(order, report))
        ]
        newest = max(same, key=lambda report: _instant(report.get("createdTime")), default=None)
        return plain_text(newest, "reportId") if newest else ""

    def _listed(self, filters: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
        asked: dict[str, Any] = {**filters, "pageSize": _PAGE}
        while asked:
            answer = self._call("getReports", "GET", _REPORTS, _LISTING, params=asked)
            answer.require("reports cannot be listed")
            yield from answer.items("reports")
            token = plain_text(answer.members(), "nextToken")
            asked = {"nextToken": token} if token else {}

    def _downloaded(self, order: ReportOrder, document_id: str, target: Path) -> Document | None:
        """The document on disk; None when Amazon does not know it."""
        return self.api.download(lambda: self._address(order, document_id), target, f"document {document_id}")

    def _address(self, order: ReportOrder, document_id: str) -> Address | None:
        path = f"{_DOCUMENTS}/{quote(document_id, safe='')}"
        token = self._restricted_token(path) if order.restricted else ""
        answer = self._call("getReportDocument", "GET", path, _READING, token=token)
        if answer.meaning.kind is AnswerKind.GONE:
            return None
        answer.require(f"document {document_id} cannot be read")
        url = plain_text(answer.members(), "url")
        return Address(url) if url else None

    def _restricted_token(self, path: str) -> str:
        """A token for personal data: for one document, as the Tokens API wants it for reports."""
        asked = {"restrictedResources": [{"method": "GET", "path": path}]}
        path = "/tokens/2021-03-01/restrictedDataToken"
        answer = self._call("createRestrictedDataToken", "POST", path, _RESTRICTING, json=asked)
        answer.require("Amazon gives no restricted data token")
        token = plain_text(answer.members(), "restrictedDataToken")
        if not token:
            raise TransientFailure("Amazon named no restricted data token")
        return token

    def _reason(self, order: ReportOrder, document_id: str) -> str:
        """What the document of a FATAL report says, "" for nothing that can be read."""
        with TemporaryDirectory() as folder:
            target = Path(folder) / "reason"
            if self._downloaded(order, document_id, target) is None:
                return ""
            try:
                return error_details(next(content(target, f"document {document_id}"), b""))
            except BadFile as e:
                log.warning("the reason of a FATAL report cannot be read: %s", e)
                return ""

    def _call(
        self,
        operation: str,
        method: str,
        path: str,
        limit: Limit,
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        token: str = "",
        repeatable: bool = True,
        turn_within: timedelta | None = None,
    ) -> Answer:
        return self.api.call(
            *(operation, method, path),
            limit=limit,
            bucket=self.seller,
            headers={_ACCESS_TOKEN: token} if token else None,
            json=json,
            params=params,
            repeatable=repeatable,
            turn_within=turn_within,
        )


def _to_do(refused: Meaning) -> str:
    """Who has to act, where the refusal itself does not say it."""
    if refused.kind is AnswerKind.FORBIDDEN and not refused.advice:
        return " (the application needs the role of this type of report, and the seller's authorisation with it)"
    wrong = refused.kind is AnswerKind.INVALID and is_about_the_definition(refused.text)
    return " (correct the report's definition)" if wrong else ""


def _report_path(report_id: str) -> str:
    return f"{_REPORTS}/{quote(report_id, safe='')}"


def _object(value: Any) -> Mapping[str, Any]:
    """A member of an answer that is to be an object; an empty one for what is none."""
    return value if isinstance(value, dict) else {}


def _scope(marketplace: Mapping[str, Any]) -> Scope:
    name = str(marketplace["id"])
    return Scope(
        id=name,
        timezone=MARKETPLACES[name].timezone,
        country=str(marketplace.get("countryCode") or ""),
        currency=str(marketplace.get("defaultCurrencyCode") or ""),
        name=str(marketplace.get("name") or ""),
        kind="seller",
    )


def _vendor_scope(name: str) -> Scope:
    country, currency, timezone = MARKETPLACES[name]
    return Scope(id=name, timezone=timezone, country=country, currency=currency, kind="vendor")


def _range(order: ReportOrder) -> tuple[datetime, datetime]:
    """The first and the last second of the order's dates, or its hours."""
    return order.instants or seconds(order.start, order.end, ZoneInfo(order.timezone))


def _sent_range(order: ReportOrder, now: datetime) -> Mapping[str, str]:
    """What the request says of the order's range; without it Amazon takes now (SP-API, createReport)."""
    if order.snapshot and not order.looks_back:
        return {}
    start, end = (now - order.looks_back, now) if order.snapshot else _range(order)
    return {"dataStartTime": _text(start), "dataEndTime": _text(end)}


def _difference(order: ReportOrder, report: Mapping[str, Any]) -> str:
    """How a report differs from the order; "" when it is the same. What Amazon does not repeat is not compared."""
    return "; ".join(filter(None, (_other_report(order, report), _other_range(order, report))))


def _other_report(order: ReportOrder, report: Mapping[str, Any]) -> str:
    parts = []
    if (kind := report.get("reportType")) not in (None, order.report_type):
        parts.append(f"type {kind} instead of {order.report_type}")
    places = _places(report)
    if places and set(places) != {order.scope}:
        parts.append(f"marketplaces {', '.join(places)} instead of {order.scope}")
    return "; ".join(parts)


def _other_range(order: ReportOrder, report: Mapping[str, Any]) -> str:
    made, wanted = _made_range(order, report), _range(order)
    if order.snapshot or made == wanted:
        return ""
    return "data from {} to {} instead of {} to {}".format(*map(_text, (*made, *wanted)))


def _made_range(order: ReportOrder, report: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """The first and the last second that a report is about: those of the order where Amazon does not say."""
    start, end = (report.get(name) for name in ("dataStartTime", "dataEndTime"))
    first, last = _range(order)
    return _instant(start) if start else first, _instant(end) if end else last


def _made_on_its_date(order: ReportOrder, report: Mapping[str, Any]) -> bool:
    first, last = _range(order)
    return first <= _instant(report.get("createdTime")) < last + timedelta(seconds=1)


def _places(report: Mapping[str, Any]) -> tuple[str, ...]:
    """The marketplaces of a report."""
    reported = report.get("marketplaceIds") or []
    return tuple(map(str, reported if isinstance(reported, list) else [reported]))


def _discovered(report: Mapping[str, Any]) -> Discovered:
    created = _instant(report.get("createdTime"))
    return Discovered(
        report_id=plain_text(report, "reportId"),
        document=plain_text(report, "reportDocumentId"),
        scopes=_places(report),
        end=_instant(report.get("dataEndTime") or report.get("createdTime")),
        created=created,
    )


def _instant(text: Any) -> datetime:
    try:
        instant = datetime.fromisoformat(str(text))
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError) as e:
        raise PermanentFailure(f"Amazon describes a report with a time that is none: {text!r}") from e


def open_selling_partner(
    secrets: Any,
    secret: str,
    region: str,
    ledger: Ledger,
    directory: Path,
    *,
    sleep: Callable[[float], None],
    endpoint: str | None = None,
    marketplaces: tuple[str, ...] = (),
    patience: timedelta = PATIENCE,
    counted: Counted = uncounted,
) -> SellingPartnerReports:
    """The Selling Partner API with the credentials in ``secret``; ``marketplaces`` are those of a vendor. ``endpoint``
    is a simulated Amazon in place of the real one; ``directory`` is where tokens are shared."""
    # Form: SP-API, Include a User-Agent header in all requests.
    agent = f"adplatform/{version('adplatform')} (Language=Python/{platform.python_version()})"

    def authorise(token: str, _client_id: str) -> Mapping[str, str]:
        return {_ACCESS_TOKEN: token, "x-amz-date": ledger.now().astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")}

    given = (secrets, secret, HOSTS[region], ledger, directory)
    named = {"User-Agent": agent}
    api = open_http(
        *given,
        authorise=authorise,
        sleep=sleep,
        endpoint=endpoint,
        patience=patience,
        headers=named,
        counted=counted,
    )
    return SellingPartnerReports(api, f"{region}/{secret}", marketplaces)
