"""The one map from an HTTP answer of Amazon's to what it means for the caller."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

from adplatform.amazon.refusals import Whose, known_refusal

_DUPLICATE = re.compile(r"duplicate of\s*:?\s*([\w.-]*\d[\w-]*)", re.IGNORECASE)
_NO_SCOPE = (
    *("not authorized to access scope", "not authorized to manage this profile"),
    *("no matching advertiser found", "scope header is missing"),
)
_TOKEN_REFUSED = ("expired", "token")
_SECONDS = re.compile(r"\s*(\d+(?:\.\d*)?)\s*", re.ASCII)
_SECRETS = re.compile(
    r"""(?:Atz|Atna)\w*(?:\.\w+)?(?:\||%7C)[^\s"'<>&,;]+   # tokens of Login with Amazon
    |(?<=bearer\ )[^\s"'<>,;]+
    |(?<=[\w/])\?[^\s"'<>]*(?:signature|token)=[^\s"'<>]*  # the query of a signed URL
    """,
    re.IGNORECASE | re.VERBOSE,
)
_SHOWN = 8_000
"""Characters: the list of allowed columns that Amazon sends is the answer to a refused order, and long."""
_PAGE_SHOWN = 300
_TOO_EARLY, _TOO_MANY = 425, 429


class AnswerKind(StrEnum):
    """What to do about an answer. THROTTLED and TRANSIENT pass; UNAUTHORIZED wants a new token; DUPLICATE is an order
    that Amazon has already; FORBIDDEN (for this scope), NOT_OFFERED (this report for this scope), SECRET_EXPIRED (the
    application's), GONE and INVALID stay as they are."""

    OK = "ok"
    DUPLICATE = "duplicate"
    THROTTLED = "throttled"
    TRANSIENT = "transient"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_OFFERED = "not offered"
    SECRET_EXPIRED = "secret expired"  # noqa: S105 - no secret
    GONE = "gone"
    INVALID = "invalid"


_REFUSED = {
    Whose.SCOPE: AnswerKind.FORBIDDEN,
    Whose.REPORT: AnswerKind.NOT_OFFERED,
    Whose.APPLICATION: AnswerKind.SECRET_EXPIRED,
}


@dataclass(frozen=True)
class Meaning:
    """What an answer means. ``text`` is Amazon's own, ``retry_after`` in seconds, ``duplicate_of`` a report id;
    ``advice`` says who has to do what where Amazon's text does not."""

    kind: AnswerKind
    text: str = ""
    retry_after: float | None = None
    duplicate_of: str = ""
    advice: str = ""


def meaning(status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Meaning:
    """What the answer of an Ads or Selling Partner operation means; ``headers`` by names in lower case.

    The Ads API says ``{"code", "detail"}`` (older parts ``details``), the Selling Partner API ``{"errors": [{"code",
    "message", "details"}]}`` and 403 for an expired token; gateways answer with any body.
    Neither API redirects or answers with anything but JSON: such an answer is somebody else's on the way, and passes.
    """
    if 200 <= status < 300:
        document = _parsed(body) if body.strip() else None
        if document is _NO_JSON:
            return Meaning(AnswerKind.TRANSIENT, f"HTTP {status} with a body that is no JSON")
        if not isinstance(document, dict) or str(document.get("code")) != str(_TOO_EARLY):
            return Meaning(AnswerKind.OK)
        status = _TOO_EARLY  # clients of Amazon's have seen the refusal of a duplicate with HTTP 200
    if 300 <= status < 400:
        return Meaning(AnswerKind.TRANSIENT, f"HTTP {status}, a redirect, which is not followed with a token")
    text = error_text(body)
    after = _retry_after(headers.get("retry-after", ""), now)
    if status == _TOO_EARLY:
        return Meaning(AnswerKind.DUPLICATE, text, after, _duplicated(text, body))
    if status == _TOO_MANY:
        return Meaning(AnswerKind.THROTTLED, text, after)
    if status != 401 and body.lstrip().startswith(b"<"):
        return Meaning(AnswerKind.TRANSIENT, text or f"HTTP {status} with a page", after)
    if status == 408 or status >= 500:
        return Meaning(AnswerKind.TRANSIENT, text or f"HTTP {status}", after)
    if refusal := known_refusal(status, text):
        return Meaning(_REFUSED[refusal.whose], text, advice=refusal.advice)
    kind = _refused(status, text.lower())
    return Meaning(kind, text or (f"HTTP {status}" if kind is AnswerKind.INVALID else ""))


def _refused(status: int, text: str) -> AnswerKind:
    """What a client error is about that no pause makes good."""
    if status == 401:
        return AnswerKind.FORBIDDEN if any(phrase in text for phrase in _NO_SCOPE) else AnswerKind.UNAUTHORIZED
    if status == 403:
        return AnswerKind.UNAUTHORIZED if any(word in text for word in _TOKEN_REFUSED) else AnswerKind.FORBIDDEN
    return AnswerKind.GONE if status == 404 else AnswerKind.INVALID


def _duplicated(text: str, body: bytes) -> str:
    """The id of the report that an order duplicates: in prose as a rule, a member has been seen too; "" for none."""
    if found := _DUPLICATE.search(text):
        return found[1]
    document = _parsed(body)
    return str(document.get("reportId") or "") if isinstance(document, dict) else ""


def error_text(body: bytes, *secrets: str) -> str:
    """Amazon's explanation without what is secret; of a body that is not JSON its beginning, without markup.

    Amazon API Gateway repeats the Authorization header that it cannot read; ``secrets`` are texts that the request had.
    """
    document = _parsed(body)
    if document is _NO_JSON:
        page = re.sub(r"(?is)<(style|script)\b.*?</\1>|<[^>]*>?", " ", body[:_SHOWN].decode("utf-8", "replace"))
        text, shown = re.sub(r"\s+", " ", page).strip(), _PAGE_SHOWN
    else:
        text, shown = _explanation(document), _SHOWN
    return without(text, *secrets)[:shown]


def without(text: str, *secrets: str) -> str:
    """A text for people, in which tokens, signatures and the given ``secrets`` are struck out."""
    for secret in filter(None, secrets):
        text = text.replace(secret, "[secret]")
    return _SECRETS.sub("[secret]", text)


def _explanation(document: Any) -> str:
    if isinstance(document, list):
        return "; ".join(filter(None, map(_explanation, document)))
    if not isinstance(document, dict):
        return "" if document is None else str(document)
    errors = document.get("errors")
    if isinstance(errors, list) and errors:
        return "; ".join(
            " ".join(str(e[n]) for n in ("code", "message", "details") if e.get(n)) if isinstance(e, dict) else str(e)
            for e in errors
        )
    named = (document.get(n) for n in ("detail", "details", "message", "Message", "error_description", "error", "code"))
    return next((str(text) for text in named if text), "")


_NO_JSON = object()


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return _NO_JSON


def _retry_after(text: str, now: datetime) -> float | None:
    """Seconds; None for nothing that can be read (RFC 9110, 10.2.3: seconds or a date)."""
    seconds = _SECONDS.fullmatch(text)
    if seconds:
        return float(seconds[1])
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return max((at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds(), 0.0)
