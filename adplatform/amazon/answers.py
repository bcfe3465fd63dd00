"""The one map from an HTTP answer of Amazon's to what it means for the caller."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum

_DUPLICATE = re.compile(r"duplicate of\s*:?\s*([A-Za-z0-9-]{8,})", re.IGNORECASE)
_NO_SCOPE = ("not authorized to access scope", "no matching advertiser found", "scope header is missing")
_SHOWN = 500
_TOO_EARLY, _TOO_MANY = 425, 429


class Answer(StrEnum):
    """OK; the order DUPLICATEs another; THROTTLED and TRANSIENT pass; UNAUTHORIZED wants a new token; the rest stays:
    FORBIDDEN for this scope, GONE, or INVALID."""

    OK = "ok"
    DUPLICATE = "duplicate"
    THROTTLED = "throttled"
    TRANSIENT = "transient"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    GONE = "gone"
    INVALID = "invalid"


@dataclass(frozen=True)
class Meaning:
    """What an answer means. ``text`` is Amazon's own, ``retry_after`` in seconds, ``duplicate_of`` a report id."""

    answer: Answer
    text: str = ""
    retry_after: float | None = None
    duplicate_of: str = ""


def meaning(status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Meaning:
    """What the answer of an Ads or Selling Partner operation means.

    The Ads API says ``{"code", "detail"}`` (older parts ``details``), the Selling Partner API ``{"errors": [{"code",
    "message", "details"}]}`` and 403 for an expired token; gateways answer with any body.
    """
    if 200 <= status < 300:
        return Meaning(Answer.OK)
    text = error_text(body)
    after = _retry_after(headers.get("retry-after", ""), now)
    lower = text.lower()
    if status == _TOO_EARLY:
        found = _DUPLICATE.search(text)
        return Meaning(Answer.DUPLICATE, text, after, found[1] if found else "")
    if status == _TOO_MANY:
        return Meaning(Answer.THROTTLED, text, after)
    if status == 401 and any(phrase in lower for phrase in _NO_SCOPE):
        return Meaning(Answer.FORBIDDEN, text)
    if status == 401 or (status == 403 and ("expired" in lower or "token" in lower)):
        return Meaning(Answer.UNAUTHORIZED, text)
    if status == 403:
        return Meaning(Answer.FORBIDDEN, text)
    if status == 404:
        return Meaning(Answer.GONE, text)
    if status == 408 or status >= 500:
        return Meaning(Answer.TRANSIENT, text, after)
    return Meaning(Answer.INVALID, text)


def error_text(body: bytes) -> str:
    """Amazon's explanation, shortened; of a body that is not JSON its beginning."""
    try:
        document = json.loads(body)
    except ValueError:
        return re.sub(r"\s+", " ", body[:_SHOWN].decode("utf-8", "replace")).strip()
    if not isinstance(document, dict):
        return ""
    errors = document.get("errors")
    if isinstance(errors, list):
        parts = [
            " ".join(str(e[n]) for n in ("code", "message", "details") if e.get(n))
            for e in errors
            if isinstance(e, dict)
        ]
        return "; ".join(parts)[:_SHOWN]
    named = (document.get(n) for n in ("detail", "details", "message", "error_description", "error"))
    return next((str(text)[:_SHOWN] for text in named if text), "")


def _retry_after(text: str, now: datetime) -> float | None:
    if not text:
        return None
    if text.strip().replace(".", "", 1).isdigit():
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max((at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds(), 0.0)
