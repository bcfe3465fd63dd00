"""A report document, as downloaded, to the rows in it: decompressed, verified, decoded, one element at a time."""

import codecs
import csv
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
Row = dict[str, Any]
Layout = Literal["json", "tsv"]

_SHOWN = 300
"""Characters of an error text that an exception may quote."""
_CHARSETS = {"windows-31j": "cp932", "shift_jis": "cp932", "iso-8859-1": "cp1252", "latin-1": "cp1252"}
"""What Amazon names, and what its files are: supersets with the characters that sellers use."""


def rows(path: Path, layout: Layout, records: str | None, *, charset: str, country: str, origin: str) -> Iterator[Row]:
    """The rows of one dataset of a document. Numbers keep their spelling: whole ones are exact, others are text.

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
            yield from _tsv_rows(path, charset, country, origin)
    except BadFile as e:
        if e.reason is Reason.DAMAGED:
            raise TransientFailure(str(e)) from e
        raise PermanentFailure(f"{origin}: not the report that was asked for: {_head(path, origin) or e}") from e


def _json_rows(path: Path, records: str | None, origin: str) -> Iterator[Row]:
    _refuse_error_text(path, origin)
    for line in json_lines(_text(path, "utf-8-sig", origin), records, origin):
        row = json.loads(line, parse_float=str)
        if not isinstance(row, dict):
            raise PermanentFailure(f"{origin}: a row is {line[:_SHOWN]!r}, not an object")
        yield row


def _tsv_rows(path: Path, charset: str, country: str, origin: str) -> Iterator[Row]:
    text = _lines(_text(path, _encoding(path, charset, country, origin), origin))
    reader = csv.reader(text, delimiter="\t", quoting=csv.QUOTE_NONE)
    header = next(reader, None)
    if header is None:
        return
    header = [name.strip().strip("\ufeff") for name in header]
    if len(header) < 2:
        raise PermanentFailure(f"{origin}: not a table but {header[0][:_SHOWN]!r}")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise PermanentFailure(f"{origin}: the header names {', '.join(twice)} twice")
    for fields in reader:
        if fields and any(fields):
            yield _named(header, fields)


def _named(header: Sequence[str], fields: Sequence[str]) -> Row:
    row: Row = dict(zip(header, fields, strict=False))
    if len(fields) != len(header):
        row["_fields"] = f"{len(fields)} fields under a header of {len(header)}"
    return row


def _lines(chunks: Iterable[str]) -> Iterator[str]:
    """Lines that end with a line feed; a carriage return before it goes, others stay inside their field."""
    rest = ""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split("\n")
        yield from (line.removesuffix("\r").replace("\r", " ") for line in whole)
    if rest:
        yield rest.removesuffix("\r").replace("\r", " ")


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
        raise PermanentFailure(f"{origin}: not text in {encoding}: {e.reason} at byte {e.start}") from e


def _encoding(path: Path, charset: str, country: str, origin: str) -> str:
    """The charset that the header named; else UTF-8 if the whole document is, else what the marketplace writes."""
    if charset:
        named = charset.strip().strip('"').lower()
        return "utf-8-sig" if named in ("utf-8", "utf8") else _CHARSETS.get(named, named)
    try:
        for _ in _text(path, "utf-8-sig", origin):
            pass
    except PermanentFailure:
        return "cp932" if country == "JP" else "cp1252"
    return "utf-8-sig"


def _head(path: Path, origin: str) -> str:
    first = next(content(path, origin), b"")[:_SHOWN].decode("utf-8", "replace")
    return re.sub(r"\s+", " ", first).strip()


def _refuse_error_text(path: Path, origin: str) -> None:
    head = next(content(path, origin), b"").lstrip(b"\xef\xbb\xbf \t\r\n")[: 1 << 16]
    if head[:1] not in (b"[", b"{"):
        raise PermanentFailure(f"{origin}: not the report that was asked for: {_head(path, origin) or 'no bytes'}")
    if head[:1] == b"{" and b'"errorDetails"' in head[:200]:
        raise PermanentFailure(f"{origin}: Amazon made no report: {error_details(head) or _head(path, origin)}")


def error_details(body: bytes) -> str:
    """Amazon's reason from a document that holds only that, "" when it holds something else."""
    try:
        document = json.loads(body)
    except ValueError:
        return ""
    text = document.get("errorDetails", "") if isinstance(document, dict) else ""
    return re.sub(r"\s+", " ", str(text)).strip()[:_SHOWN]
