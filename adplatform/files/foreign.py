"""What came in place of a table: a page, an error document, a notice, JSON of another layout.

Of its content only words are told that services and exporters write, never what could be a value.
"""

import json
import re

_MARK = "\ufeff"
_TAG = re.compile(r"<([A-Za-z][A-Za-z_.:-]{0,40})[\s/>]")
_ROOT = re.compile(r"(?:\s|<\?.*?\?>|<!--.*?-->|<![^>]*>)*<([A-Za-z][A-Za-z_.:-]{0,40})[\s/>]", re.DOTALL)
_CODE = re.compile(r"<(?:\w+:)?[Cc]ode>\s*([A-Z][A-Za-z]{2,40})\s*</")
_ERROR = re.compile("error|fault|exception", re.IGNORECASE)
_NOTICES = re.compile(
    r"no (?:data|records?|rows?|results?|content|activity|statistics)"
    r"(?: (?:is |are |was |were )?(?:available|found|returned|to display))?|nothing found|not found|access denied"
    r"|forbidden|unauthori[sz]ed|sign[ -]?in|log[ -]?in|expired"
    r"|service unavailable|internal server error|bad gateway|gateway time-?out|too many requests|rate limit exceeded"
    r"|quota exceeded|permission denied|invalid token|an error (?:has )?occurred|moved permanently|maintenance",
    re.IGNORECASE,
)
_STATUS = re.compile(r"(?<![0-9.,])([45][0-9]{2})(?![0-9.,])")
ERROR_MEMBERS = ("error", "errors", "message", "code", "status", "detail", "fault", "reason")
"""Members of the documents in which services say that something went wrong."""


def page(head: bytes) -> str | None:
    """What a document of markup is called that begins with ``head``, with what it says; None where it is none."""
    if not head.removeprefix(_MARK.encode()).lstrip().startswith(b"<"):
        return None
    text = head.decode("utf-8", "replace").lstrip(_MARK).lstrip()
    lower = text.lower()
    if lower.startswith(("<!doctype html", "<html", "<head", "<body")):
        table = ", with a table in it as exporters write for Excel" if "<table" in lower else ""
        return f"an HTML page{table}{_saying(text)}"
    opened = _TAG.match(text)
    if not lower.startswith("<?xml") and not (opened and f"</{opened[1]}>" in text):
        return None
    if "excel.sheet" in lower or "<workbook" in lower:
        return "an XML spreadsheet of Excel 2003"
    root = _ROOT.match(text)
    code = _CODE.search(text) if root and _ERROR.search(root[1]) else None
    named = f" <{root[1]}>" if root else ""
    return f"an XML document{named}{f' with the code {code[1]}' if code else _saying(text)}"


def notice(head: bytes) -> str | None:
    """What stands in a short text in place of a table that begins with ``head``; None where it is not known."""
    text = head.decode("utf-8", "replace").lstrip(_MARK).lstrip()
    if text.startswith(("{", "[")) and (kind := _json(text)):
        return kind
    first = text.partition("\n")[0]
    found = _NOTICES.search(first)
    return f"a notice, which says {found[0]!r}, in place of a table" if found and len(text.splitlines()) <= 3 else None


def _json(text: str) -> str | None:
    try:
        value, _ = json.JSONDecoder().raw_decode(text)
    except (json.JSONDecodeError, RecursionError):
        return "a JSON document" if re.match(r"[{\[]\s*[{\[\"]", text) and text.count('"') > 1 and ":" in text else None
    if isinstance(value, dict):
        told = [name for name in value if name.lower() in ERROR_MEMBERS]
        return f"a JSON document{f', an error with {told[0]!r}' if told else ''}{_saying(text) if told else ''}"
    return "a JSON array" if isinstance(value, list) else None


def _saying(text: str) -> str:
    found, status = _NOTICES.search(text), _STATUS.search(text)
    said = " and ".join(filter(None, (found and repr(found[0]), status and status[1])))
    return f" that says {said}" if said else ""


def instead_of_lines(head: bytes, *, whole: bool) -> str | None:
    """What JSON that is not one object a line begins so, None where it may be; ``head`` may be the ``whole`` file."""
    if not head.removeprefix(_MARK.encode()).lstrip().startswith((b"[", b"{")):
        return None
    text = head.decode("utf-8", "replace").lstrip(_MARK).lstrip(" \t\r\n")
    first, end, rest = text.partition("\n")
    if text.startswith("["):
        more = bool(rest.strip()) or not whole
        if end and more and _is_json(first):
            return None
        return "a JSON array, and the feed says kind: ndjson, which is one object a line; set format.kind: json"
    if first.strip() == "{" and end and not rest.lstrip().startswith(("{", "[")):
        return (
            "one JSON document over several lines, and the feed says kind: ndjson, which is one object a line; set "
            "format.kind: json, with records for the path of its array"
        )
    return None


def begins_with_objects(head: bytes) -> bool:
    """Whether the first lines of a UTF-8 text are JSON objects, or the only one that is no error."""
    if not head.removeprefix(_MARK.encode()).lstrip().startswith(b"{"):
        return False
    first, _, rest = head.decode("utf-8", "replace").lstrip(_MARK).strip().partition("\n")
    try:
        value = json.loads(first)
    except (json.JSONDecodeError, RecursionError):
        return False
    second = rest.lstrip().startswith("{")
    return isinstance(value, dict) and (second or not any(name.lower() in ERROR_MEMBERS for name in value))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return False
    return True
