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
from adplatform.files.json_lines import json_lines
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
_CHARSETS = {"windows-31j": "cp932", "shift_jis": "cp932", "iso-8859-1": "cp1252", "latin-1": "cp1252"}
"""What Amazon names, and what its files are: supersets with the characters that sellers use."""


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
    _refuse_error_text(path, origin)
    for line in json_lines(_text(path, "utf-8-sig", origin), records, origin):
        row = json.loads(line, parse_float=Number, parse_int=Number)
        if not isinstance(row, dict):
            raise PermanentFailure(f"{origin}: a row is a {type(row).__name__}, not an object")
        yield row


def _tsv_rows(path: Path, needed: Sequence[str], charset: str, country: str, origin: str) -> Iterator[Row]:
    """Fields are split at tabs alone: quotes and carriage returns inside them are data."""
    lines = _lines(_text(path, _encoding(path, charset, country, origin), origin))
    header = [name.strip() for name in next(lines, "").split("\t")]
    missing = [name for name in needed if name not in header]
    if len(header) < 2 or missing:
        what = f"its header lacks {', '.join(missing)}" if len(header) > 1 else repr(_masked(header[0]))
        raise PermanentFailure(f"{origin}: not the table that was asked for: {what}")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise PermanentFailure(f"{origin}: the header names {', '.join(twice)} twice")
    for line in lines:
        fields = line.split("\t")
        if len(fields) == len(header):
            yield dict(zip(header, fields, strict=True))
        elif line.strip():
            yield {MISFIT: fields}


def _lines(chunks: Iterable[str]) -> Iterator[str]:
    rest = ""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split("\n")
        yield from (line.removesuffix("\r") for line in whole)
    if rest:
        yield rest.removesuffix("\r")


def content(path: Path, origin: str) -> Iterator[bytes]:
    """The document's bytes, decompressed and with the gzip trailer verified by the time they end."""
    with path.open("rb") as file:
        zipped = file.read(2) == GZIP_MAGIC
        file.seek(0)
        yield from decompressed(file, Compression.GZIP, origin) if zipped else chunks_of(file)


def verify(path: Path, origin: str) -> None:
    """Read the document to its end, so that its gzip checksum and length are compared.

    Raises:
        TransientFailure: it is truncated or damaged.
    """
    try:
        for _ in content(path, origin):
            pass
    except BadFile as e:
        raise TransientFailure(str(e)) from e


def _text(path: Path, encoding: str, origin: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for chunk in content(path, origin):
            yield decoder.decode(chunk)
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as e:
        raise BadFile(origin, Reason.ENCODING, f"not text in {encoding}: {e.reason}") from e


def _encoding(path: Path, charset: str, country: str, origin: str) -> str:
    """UTF-8 if the whole document is, else the charset that the header named, else what the marketplace writes.

    Nothing but UTF-8 passes for UTF-8, so it is tried before a header that may be wrong.
    """
    try:
        for _ in _text(path, "utf-8-sig", origin):
            pass
    except BadFile as e:
        if e.reason is not Reason.ENCODING:
            raise
        named = charset.strip().strip('"').lower()
        return _CHARSETS.get(named, "cp932" if country == "JP" else "cp1252")
    return "utf-8-sig"


def _refuse_error_text(path: Path, origin: str) -> None:
    head = next(content(path, origin), b"").lstrip(b"\xef\xbb\xbf \t\r\n")[: 1 << 16]
    if not head:
        raise TransientFailure(f"{origin}: the document has no bytes")
    if head[:1] not in (b"[", b"{"):
        raise PermanentFailure(f"{origin}: not the report that was asked for: {_masked(_readable(head))!r}")
    if head[:1] == b"{" and (reason := error_details(head)):
        raise PermanentFailure(f"{origin}: Amazon made no report: {reason}")


def _readable(head: bytes) -> str:
    """Of an XML error of the storage its code and message alone: the rest may hold credentials."""
    text = head.decode("utf-8", "replace")
    parts = re.findall(r"<(?:Code|Message|title)>([^<]*)<", text)
    return ": ".join(parts) if parts else text


def _masked(text: str) -> str:
    """The beginning of a text that is no report, without addresses and what may be a token."""
    masked = re.sub(r"\S{32,}|\S+@\S+|\w+://\S+", "…", text[:_SHOWN])
    return re.sub(r"\s+", " ", masked).strip()


def error_details(body: bytes) -> str:
    """Amazon's reason from a document that holds only that, "" when it holds something else."""
    try:
        document = json.loads(body)
    except ValueError:
        return ""
    text = document.get("errorDetails", "") if isinstance(document, dict) else ""
    return re.sub(r"\s+", " ", str(text)).strip()[:_SHOWN]
