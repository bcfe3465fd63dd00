"""A report document, as downloaded, to the rows in it: decompressed, verified, decoded, one element at a time."""

import codecs
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.compression import chunks_of, decompressed
from adplatform.files.json_lines import json_values
from adplatform.files.magic import Compression

GZIP_MAGIC = b"\x1f\x8b"
MISFIT = "_fields"
"""Member of a row whose number of fields is not the header's: all its fields, as they came."""
Row = dict[str, Any]
Layout = Literal["json", "tsv"]


class Number(str):
    """A number of a JSON document in the spelling it came in. It is text to whoever writes it."""

    __slots__ = ()


_SHOWN = 300
"""Characters of an error text that an exception may quote."""
_LONGEST_LINE = 64 << 20
"""Characters of one line of a table: what must fit in memory."""
_CHARSETS = {"shift_jis": "cp932", "iso8859-1": "cp1252"}
"""What Amazon names, and what its files are: supersets with the characters that sellers use."""
_ASCII = bytes(set(range(0x20, 0x7F)) - {0x5C}) + b"\t\r\n+AGE-\\u0041"
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1f]")


def rows(
    path: Path,
    layout: Layout,
    records: str | None,
    needed: Sequence[str] = (),
    *,
    charset: str,
    country: str,
    origin: str,
) -> Iterator[Row]:
    """The rows of one dataset of a document; numbers are :class:`Number`. A table must have the ``needed`` columns.

    ``charset`` is what the HTTP header named, "" for nothing. Whether the document is compressed is seen from its
    bytes: Amazon's flags are wrong at times.

    Raises:
        TransientFailure: the document is truncated or damaged; downloading it again may help.
        PermanentFailure: it is no such report; quotes the error text that came in its place.
    """
    try:
        if layout == "json":
            yield from _json_rows(path, records, origin)
        else:
            yield from _tsv_rows(path, needed, charset, country, origin)
    except BadFile as e:
        # A plain document has no checksum: one that stops in the middle shows as bad syntax.
        if e.reason in (Reason.DAMAGED, Reason.SYNTAX, Reason.ENCODING):
            raise TransientFailure(str(e)) from e
        raise PermanentFailure(f"{origin}: not the report that was asked for: {e}") from e


def _json_rows(path: Path, records: str | None, origin: str) -> Iterator[Row]:
    head = _head(path, origin)
    if head[:1] not in (b"[", b"{") or error_details(head):
        raise _no_report(head, origin)
    for row in json_values(_text(path, "utf-8-sig", origin), records, origin, Number):
        if not isinstance(row, dict):
            raise PermanentFailure(f"{origin}: a row is of type {type(row).__name__}, not an object")
        yield row


def _tsv_rows(path: Path, needed: Sequence[str], charset: str, country: str, origin: str) -> Iterator[Row]:
    """Fields are split at tabs alone: quotes and carriage returns inside them are data."""
    head = _head(path, origin)
    lines = _lines(_text(path, _encoding(path, head, charset, country, origin), origin), origin)
    header = [name.strip() for name in next(lines, "").split("\t")]
    if len(header) < 2 or head[:1] in (b"<", b"{", b"["):
        raise _no_report(head, origin)
    missing = [name for name in needed if name not in header]
    if missing:
        raise PermanentFailure(
            f"{origin}: not the table that was asked for: its header lacks {', '.join(missing)};"
            f" it begins {_masked(' | '.join(header))!r}"
        )
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise PermanentFailure(f"{origin}: the header names {', '.join(map(_masked, twice))} twice")
    for line in lines:
        fields = line.split("\t")
        if len(fields) == len(header):
            yield dict(zip(header, fields, strict=True))
        elif line.strip():
            yield {MISFIT: fields}


def _lines(chunks: Iterable[str], origin: str) -> Iterator[str]:
    rest = ""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split("\n")
        yield from (line.removesuffix("\r") for line in whole)
        if len(rest) > _LONGEST_LINE:
            raise BadFile(origin, Reason.LAYOUT, f"a line has more than {_LONGEST_LINE} characters")
    if rest:
        yield rest.removesuffix("\r")


def content(path: Path, origin: str) -> Iterator[bytes]:
    """The document's bytes, decompressed and with the gzip trailer verified by the time they end."""
    with path.open("rb") as file:
        zipped = file.read(2) == GZIP_MAGIC
        file.seek(0)
        yield from decompressed(file, Compression.GZIP, origin) if zipped else chunks_of(file)


def verify(path: Path, origin: str) -> int:
    """Read the document to its end, so that its gzip checksum and length are compared; its length, decompressed.

    Raises:
        TransientFailure: it is truncated or damaged.
    """
    try:
        return sum(len(chunk) for chunk in content(path, origin))
    except BadFile as e:
        raise TransientFailure(str(e)) from e


def _head(path: Path, origin: str) -> bytes:
    """The beginning of a document, without a byte order mark of UTF-8 and white space.

    Raises:
        TransientFailure: nothing is there.
    """
    head = next(content(path, origin), b"").removeprefix(codecs.BOM_UTF8).lstrip()[: 1 << 16]
    if not head:
        raise TransientFailure(f"{origin}: the document has no content; a report without rows would have a frame")
    return head


def _text(path: Path, encoding: str, origin: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for chunk in content(path, origin):
            yield decoder.decode(chunk)
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as e:
        raise BadFile(origin, Reason.ENCODING, f"not text in {encoding}: {e.reason}") from e


def _encoding(path: Path, head: bytes, charset: str, country: str, origin: str) -> str:
    """The first that the whole document is text in: UTF-8, the charset that the header named, what the marketplace
    writes.

    Nothing but UTF-8 passes for UTF-8, so it is tried before a header that may be wrong.

    Raises:
        PermanentFailure: none of them.
    """
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        chain = ["utf-16"]
    else:
        chain = ["utf-8-sig", *_named(charset), "cp932" if country == "JP" else "cp1252"]
    for encoding in dict.fromkeys(chain):
        if _is_text_in(encoding, path, origin):
            return encoding
    raise PermanentFailure(f"{origin}: not text in {' or '.join(dict.fromkeys(chain))}")


def _is_text_in(encoding: str, path: Path, origin: str) -> bool:
    try:
        for _ in _text(path, encoding, origin):
            pass
    except BadFile as e:
        if e.reason is not Reason.ENCODING:
            raise
        return False
    return True


def _named(charset: str) -> list[str]:
    """The charset as Python calls it; none when Python does not know it, or it is no superset of ASCII."""
    try:
        name = codecs.lookup(charset.strip().strip("\"'")).name
        name = _CHARSETS.get(name, name)
        return [name] if _ASCII.decode(name) == _ASCII.decode("ascii") else []
    except (LookupError, ValueError):
        return []


def _no_report(head: bytes, origin: str) -> PermanentFailure | TransientFailure:
    """What to raise about a document that is another thing than a report."""
    if _BINARY.search(head):
        return TransientFailure(f"{origin}: neither text nor gzip: the document is damaged")
    if reason := error_details(head):
        return PermanentFailure(f"{origin}: Amazon made no report: {reason}")
    return PermanentFailure(f"{origin}: not the report that was asked for: {_readable(head)}")


def _readable(head: bytes) -> str:
    """Of an XML error of the storage its code and message alone: the rest may hold credentials."""
    text = head.decode("utf-8", "replace")
    if not text.startswith("<"):
        return repr(_masked(text))
    parts = re.findall(r"<(?:Code|Message|title)>([^<]*)<", text, re.IGNORECASE)
    return repr(_masked(": ".join(parts))) if parts else "a page of XML or HTML"


def _masked(text: str) -> str:
    """The beginning of a text that is no report, without addresses and what may be a token."""
    masked = re.sub(r"(?<!\S)(?!GET_)\S{32,}|\S+@\S+|\w+://\S+", "…", text[:_SHOWN])
    return re.sub(r"\s+", " ", masked).strip()


def error_details(body: bytes) -> str:
    """Amazon's reason from a document that holds only that, "" when it holds something else."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    text = document.get("errorDetails", "") if isinstance(document, dict) else ""
    return re.sub(r"\s+", " ", str(text or "")).strip()[:_SHOWN]
