"""Amazon Ads: exports, which have the campaigns, ad groups, ads and targets of a profile as they are when Amazon makes
them (Exports API, version 1).

An export is ordered like a report, but of no dates, and differs in the request and the answers. What is known of it is
from Amazon's specification (``Exports``, ``campaignsexport.v1`` and so on) and its guide "Get started with exports":
states PROCESSING (the guide writes IN_PROGRESS), COMPLETED and FAILED; a URL that is valid for an hour, a new one with
every question, for 24 hours; at most five exports of a kind on their way for an application. The question must accept
the media type of the kind, or the answer is 406. What Amazon answers to a sixth, and to an equal order, is not
documented; 429 and 425 are taken as they are meant for reports.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from adplatform.amazon.ads.made import fetched, size_of
from adplatform.amazon.answers import AnswerKind
from adplatform.amazon.http import AmazonHttp, Answer, Limit, created
from adplatform.amazon.reports import Created, DateIsOver, Document, Progress, ReportOrder, ReportStatus
from adplatform.failures import TransientFailure

MEDIA_TYPES: Mapping[str, str] = {
    "campaigns": "application/vnd.campaignsexport.v1+json",
    "adGroups": "application/vnd.adgroupsexport.v1+json",
    "ads": "application/vnd.adsexport.v1+json",
    "targets": "application/vnd.targetsexport.v1+json",
}
"""What can be exported, as the operations are called, with the media type of each."""
# As for reports, Amazon names no rates.
_ORDERS, _POLLS = Limit(1.0, 5), Limit(5.0, 20)


@dataclass(frozen=True)
class AdsExports:
    """The exports of the Ads API for one account in one region."""

    api: AmazonHttp

    def create(
        self, order: ReportOrder, intended_at: datetime, *, again: bool, others: Collection[str] = ()
    ) -> Created:
        """Place the order. Amazon lists no exports, so one whose answer was lost is made twice; the first is forgotten.

        Raises:
            PermanentFailure: Amazon refuses the order; with its reason.
            DateIsOver: its date is over.
            AccessRefused: the profile may not be read.
            TransientFailure: it cannot be placed now.
        """
        if order.is_over(self.api.now()):
            raise DateIsOver(order.end)
        path = f"/{order.report_type}/export"
        answer = self._call("create_export", "POST", path, order, _ORDERS, json=dict(order.configuration))
        if answer.meaning.kind is AnswerKind.DUPLICATE:
            raise TransientFailure(f"Amazon has an equal export on its way: {answer.meaning.text}")
        answer.require(f"Amazon refuses the export of {order.report_type} for profile {order.scope}")
        return created(answer.members(), "export")

    def progress(self, order: ReportOrder, report_id: str) -> Progress:
        """Amazon repeats nothing of the order, so there is nothing to compare."""
        export = self._export(order, report_id)
        if export is None:
            return Progress(report_id, ReportStatus.GONE, reason="Amazon does not know the export", retryable=True)
        status = str(export.get("status") or "")
        if not status:
            raise TransientFailure(f"Amazon's answer about export {report_id} names no status")
        if status == "COMPLETED" and export.get("url"):
            return Progress(report_id, ReportStatus.READY, document=report_id, size=size_of(export))
        if status == "FAILED":
            return Progress(report_id, ReportStatus.FAILED, reason=_reason(export), retryable=True)
        return Progress(report_id, ReportStatus.PROCESSING)

    def fetch(self, order: ReportOrder, progress: Progress, target: Path) -> Document:
        """
        Raises:
            TransientFailure: it cannot be had now, or its size is not the announced one.
        """
        name = progress.report_id
        return fetched(self.api, lambda: self._export(order, name), target, f"export {name}")

    def cancel(self, order: ReportOrder, report_id: str) -> None:
        """No export can be cancelled; Amazon ends it."""

    def _export(self, order: ReportOrder, export_id: str) -> Mapping[str, Any] | None:
        answer = self._call("get_export", "GET", f"/exports/{quote(export_id, safe='')}", order, _POLLS)
        if answer.meaning.kind is AnswerKind.GONE:
            return None
        answer.require(f"export {export_id} cannot be asked for")
        return answer.members()

    def _call(
        self, operation: str, method: str, path: str, order: ReportOrder, limit: Limit, json: Any = None
    ) -> Answer:
        kind = MEDIA_TYPES[order.report_type]
        headers = {"Amazon-Advertising-API-Scope": order.scope, "Accept": kind}
        if json is not None:
            headers["Content-Type"] = kind
        # Of orders Amazon takes a few of a kind at a time, of whatever profile.
        bucket = order.scope if json is None else order.report_type
        return self.api.call(operation, method, path, limit=limit, bucket=bucket, headers=headers, json=json)


def _reason(export: Mapping[str, Any]) -> str:
    reported = export.get("error")
    error = reported if isinstance(reported, dict) else {}
    texts = [str(error[name]) for name in ("errorCode", "message") if error.get(name)]
    return ": ".join(texts) or "Amazon says FAILED and gives no reason"
