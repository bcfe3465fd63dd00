"""A report document, as downloaded, to the rows in it: decompressed, verified, decoded, one element at a time."""

import codecs
import csv
import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from adplatform.amazon.documents_xml import declared_charset, xml_rows
from adplatform.amazon.encodings import Decoded, encoding_of
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.budget import Budget
from adplatform.files.compression import chunks_of, decompressed
from adplatform.files.garbled import Garbled, garbled
from adplatform.files.json_lines import json_values
from adplatform.files.magic import Compression

log = logging.getLogger(__name__)

GZIP_MAGIC = b"\x1f\x8b"
MISFIT = "_fields"
"""Member of a row whose number of fields is not the header's: all its fields, as they came."""
Row = dict[str, Any]
Layout = Literal["json", "tsv", "csv", "xml"]


class Number(str):
    """A number of a JSON document in the spelling it came in. It is text to whoever writes it."""

    __slots__ = ()


_SHOWN = 300
"""Characters of an error text that an exception may quote."""
_LONGEST_LINE = 64 << 20
"""Characters of one line of a table: what must fit in memory."""
_QUOTED = re.compile(r'".*"', re.DOTALL)
_SPECIFICATION = re.compile(r'\{\s*"reportSpecification"\s*:\s*')
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
    private: bool = False,
    doubted: Callable[[str], object] = log.warning,
    apart: bool = False,
) -> Iterator[Row]:
    """The rows of one dataset of a document; numbers are :class:`Number`. A table must have the ``needed`` columns.

    ``apart`` is for tables that take columns which nobody declared: where two of one name differ in a row, the second
    is called ``name 2``. Otherwise a header that names a column twice is refused, and of members the last counts.

    Nothing of a ``private`` document is quoted in a failure, but what Amazon says in the place of a report.

    ``charset`` is what the HTTP header named, "" for nothing. Whether the document is compressed is seen from its
    bytes: Amazon's flags are wrong at times. ``doubted`` is told why people should look at how a table was decoded.

    Raises:
        TransientFailure: the document is truncated or damaged; downloading it again may help.
        PermanentFailure: it is no such report; quotes the error text that came in its place.
    """
    try:
        if layout == "json":
            yield from _json_rows(path, records, origin, private, apart)
        elif layout == "csv":
            yield from _csv_rows(path, needed, origin, private)
        else:
            head = _head(path, origin)
            named = declared_charset(head) if layout == "xml" else ""
            decoded = _decoding(path, head, named or charset, country, origin)
            if decoded.doubt:
                doubted(decoded.doubt)
            text = _text(path, decoded.encoding, origin)
            if layout == "xml":
                yield from _xml_rows(text, head, records or "", origin, private)
            else:
                yield from _tsv_rows(text, head, needed, origin, private, apart)
    except BadFile as e:
        # A plain document has no checksum: one that stops in the middle shows as bad syntax.
        if e.reason in (Reason.DAMAGED, Reason.SYNTAX, Reason.ENCODING):
            raise TransientFailure(str(e)) from e
        raise PermanentFailure(f"{origin}: not the report that was asked for: {e}") from e


def _json_rows(path: Path, records: str | None, origin: str, private: bool, apart: bool) -> Iterator[Row]:
    head = _head(path, origin)
    if head[:1] not in (b"[", b"{") or error_details(head):
        raise _no_report(head, origin, private)
    members = _both_kept if apart else None
    for row in json_values(_text(path, "utf-8-sig", origin), records, origin, Number, members):
        if not isinstance(row, dict):
            raise PermanentFailure(f"{origin}: a row is of type {type(row).__name__}, not an object")
        yield row


def _csv_rows(path: Path, needed: Sequence[str], origin: str, private: bool) -> Iterator[Row]:
    """UTF-8 in the form of RFC 4180. An empty field is no value (documentation of the Ads API v1)."""
    head = _head(path, origin)
    if head[:1] in (b"<", b"{", b"[") or _BINARY.search(head):
        raise _no_report(head, origin, private)
    records = csv.reader(_lines(_text(path, "utf-8-sig", origin), origin), strict=True)
    short: list[str] = []
    try:
        header = next(records)
        _require(header, needed, origin, private)
        if twice := _repeated(header):
            raise _named_twice(twice, origin, private)
        for fields in records:
            if short:
                yield {MISFIT: short}
            short = fields if 0 < len(fields) < len(header) else []
            if len(fields) == len(header):
                yield {name: value or None for name, value in zip(header, fields, strict=True)}
            elif len(fields) > len(header):
                yield {MISFIT: fields}
    except csv.Error as e:
        raise BadFile(origin, Reason.SYNTAX, f"line {records.line_num}: {e}") from e
    if short:
        raise BadFile(origin, Reason.DAMAGED, f"it stops in the middle of line {records.line_num}")


def _xml_rows(text: Iterable[str], head: bytes, records: str, origin: str, private: bool) -> Iterator[Row]:
    if not head.startswith((b"<", codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise _no_report(head, origin, private)
    yield from xml_rows(text, records, origin)


def _tsv_rows(
    text: Iterable[str], head: bytes, needed: Sequence[str], origin: str, private: bool, apart: bool
) -> Iterator[Row]:
    """Fields are split at tabs alone: quotes and carriage returns inside them are data, unless every name in the header
    is quoted."""
    lines = _lines(text, origin)
    header = [name.strip() for name in next(lines, "").split("\t")]
    quoted = all(_QUOTED.fullmatch(name) for name in header)
    if quoted:
        header = list(map(_unquoted, header))
    if len(header) < 2 or head[:1] in (b"<", b"{", b"["):
        raise _no_report(head, origin, private)
    _require(header, needed, origin, private)
    twice = _repeated(header)
    if twice and not apart:
        raise _named_twice(twice, origin, private)
    made = partial(_made, header, bool(twice))
    short: list[list[str]] = []
    for line in lines:
        if not line.strip():
            continue
        fields = line.removesuffix("\n").removesuffix("\r").split("\t")
        if quoted:
            fields = list(map(_unquoted, fields))
        if 1 < len(fields) < len(header) and line.endswith("\n"):
            short.append(fields)
            continue
        yield from _completed(short, header, made)
        short.clear()
        yield made(fields) if len(fields) == len(header) else {MISFIT: fields}
    yield from _completed(short, header, made)


def _require(header: Sequence[str], needed: Sequence[str], origin: str, private: bool) -> None:
    missing = [name for name in needed if name not in header]
    if missing:
        begins = "" if private else f"; it begins {_masked(' | '.join(header))!r}"
        raise PermanentFailure(
            f"{origin}: not the table that was asked for: its header lacks {', '.join(missing)}{begins}"
        )


def _repeated(header: Sequence[str]) -> list[str]:
    return sorted({name for name in header if header.count(name) > 1})


def _named_twice(twice: Sequence[str], origin: str, private: bool) -> PermanentFailure:
    names = f"{len(twice)} columns" if private else ", ".join(map(_masked, twice))
    return PermanentFailure(f"{origin}: the header names {names} twice")


def _made(header: Sequence[str], twice: bool, fields: Sequence[str]) -> Row:
    pairs = zip(header, fields, strict=True)
    return _both_kept(list(pairs)) if twice else dict(pairs)


def _both_kept(pairs: list[tuple[str, Any]]) -> Row:
    """The members of a row; another value under a name that stands twice is ``name 2``."""
    row = dict(pairs)
    if len(row) == len(pairs):
        return row
    found: Row = {}
    for name, value in pairs:
        number, called = 1, name
        while called in found and found[called] != value:
            number += 1
            called = f"{name} {number}"
        found[called] = value
    return found


def _completed(
    short: Sequence[list[str]], header: Sequence[str], made: Callable[[Sequence[str]], Row]
) -> Iterator[Row]:
    """Lines in a row that lack fields. One alone lacks the last ones, which Amazon leaves out where they are empty;
    several may be the pieces of a row with line ends in it, and fit nowhere."""
    for fields in short:
        lacking = [""] * (len(header) - len(fields))
        yield made(fields + lacking) if len(short) == 1 else {MISFIT: fields}


def _lines(chunks: Iterable[str], origin: str) -> Iterator[str]:
    """Lines with their ends; the last one may have none."""
    rest = ""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split("\n")
        yield from (f"{line}\n" for line in whole)
        if len(rest) > _LONGEST_LINE:
            raise BadFile(origin, Reason.LAYOUT, f"a line has more than {_LONGEST_LINE} characters")
    if rest:
        yield rest


def _unquoted(field: str) -> str:
    return field[1:-1].replace('""', '"').strip() if _QUOTED.fullmatch(field) else field


def other_options(path: Path, options: Mapping[str, str], origin: str) -> str:
    """How the options that a JSON document says it was made with differ from these; "" where it does not say.

    Amazon repeats the options of an analytics report at its beginning (``reportSpecification``), and nowhere else.
    """
    if not options:
        return ""
    found = _SPECIFICATION.match(_head(path, origin).decode("utf-8", "replace"))
    if found is None:
        return ""
    try:
        reported = json.JSONDecoder().raw_decode(found.string, found.end())[0]["reportOptions"]
        made = {option: reported[option] for option in options if option in reported}
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return ", ".join(f"{o} {v} instead of {options[o]}" for o, v in made.items() if _listed(v) != _listed(options[o]))


def _listed(value: Any) -> list[str]:
    """The words of an option: lists of ASINs have no order."""
    return sorted(str(value).split())


def content(path: Path, origin: str) -> Iterator[bytes]:
    """The document's bytes, decompressed and with the gzip trailer verified by the time they end.

    Raises:
        BadFile: it is damaged, or comes to more than a report does.
    """
    with path.open("rb") as file:
        zipped = file.read(2) == GZIP_MAGIC
        file.seek(0)
        chunks = decompressed(file, Compression.GZIP, origin) if zipped else chunks_of(file)
        yield from Budget(origin, path.stat().st_size).spend(chunks)


def verify(path: Path, origin: str) -> int:
    """Read the document to its end, so that its gzip checksum and length are compared; its length, decompressed.

    Raises:
        TransientFailure: it is truncated or damaged.
        BadFile: it comes to more than a report does.
    """
    try:
        return sum(len(chunk) for chunk in content(path, origin))
    except BadFile as e:
        if e.reason is Reason.TOO_LARGE:
            raise
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


def _decoding(path: Path, head: bytes, charset: str, country: str, origin: str) -> Decoded:
    """In which encoding a document is read.

    Raises:
        PermanentFailure: it is text in none that may be.
    """

    def looks(encoding: str) -> Garbled | None:
        try:
            return garbled(_text(path, encoding, origin))
        except BadFile as e:
            if e.reason is not Reason.ENCODING:
                raise
            return None

    return encoding_of(head, charset, country, origin, looks)


def _no_report(head: bytes, origin: str, private: bool) -> PermanentFailure | TransientFailure:
    """What to raise about a document that is another thing than a report."""
    if _BINARY.search(head):
        return TransientFailure(f"{origin}: neither text nor gzip: the document is damaged")
    if reason := error_details(head):
        return PermanentFailure(f"{origin}: Amazon made no report: {reason}")
    shown = "it is kept in the raw zone and not shown, as it may be personal" if private else _readable(head)
    return PermanentFailure(f"{origin}: not the report that was asked for: {shown}")


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
