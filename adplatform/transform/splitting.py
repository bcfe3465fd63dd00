"""Delimited text split into records without an engine, as DuckDB splits it where no quote is broken: what Spark and
Arrow do with a broken quote, a short row or bytes that are not UTF-8 differs from it, and neither says in which line
that was.

Where quotes, line ends and counts of fields are in order, which numpy finds out for megabytes at once, Arrow splits the
text; records that are not are split one at a time.
"""

import codecs
import re
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from adplatform.contracts.file_format import FileFormat
from adplatform.files.bad_file import BadFile
from adplatform.files.input_file import InputFile
from adplatform.platform.late import Late
from adplatform.transform.layouts import FirstRecord
from adplatform.transform.one_line_end import stray_return
from adplatform.transform.rejects import SWALLOWED, UNTERMINATED, Reject, shown, too_many_lines

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import pyarrow.csv as pacsv
else:
    np = Late("numpy")
    pa = Late("pyarrow")
    pacsv = Late("pyarrow.csv")

_BLOCK = 4 << 20
_AT_A_TIME = 500
"""Records that are split one at a time before it is tried again to split many at once."""
_FEED, _RETURN, _SPACE = 10, 13, b" "
_STANDS_FOR_DELIMITER = b"\x1f"
_MARK = codecs.BOM_UTF8


@dataclass(frozen=True)
class Rows:
    """Some rows of a file: its ``columns`` as text in the order of the file, and of each row its ``numbers`` in the
    file and the ``lines`` in which it begins, both from 1, and the bytes ``places`` with which. A field that is empty
    and without quotes is NULL."""

    columns: "Sequence[pa.Array]"
    numbers: "np.ndarray[Any, Any]"
    lines: "np.ndarray[Any, Any]"
    places: "np.ndarray[Any, Any]"


@dataclass(frozen=True)
class Shape:
    """How the records of a file are written: so many ``columns``, behind ``start`` bytes, which are so many ``lines``.
    With ``crlf`` lines end with a carriage return and a line feed, None where that is not known yet."""

    columns: int
    start: int = 0
    lines: int = 0
    crlf: bool | None = None


def shape_of(file: InputFile, fmt: FileFormat, columns: int, record: FirstRecord) -> Shape:
    """Of csv that begins with that record."""
    with file.path.open("rb") as stream:
        if fmt.has_header:
            head = stream.read(record.size)
            crlf = head.endswith(b"\r\n") if head.endswith(b"\n") else None
            return Shape(columns, record.size, head.count(b"\n"), crlf)
        skipped = [stream.readline() for _ in range(record.lines.skip)]
    return Shape(columns, sum(map(len, skipped)), len(skipped))


@dataclass(frozen=True)
class Splitting:
    """What marks the parts of a text. ``records`` are pieces of one that are read as they stand, without a quote."""

    delimiter: bytes
    quote: bytes
    escape: bytes
    pad: bool
    longest: int
    most_lines: int

    @classmethod
    def of(cls, fmt: FileFormat) -> "Splitting":
        quote = fmt.quote.encode()
        escape = (fmt.escape or fmt.quote).encode() if quote else b""
        pad = fmt.ragged_rows == "pad"
        return cls(fmt.delimiter.encode(), quote, escape, pad, fmt.max_record, fmt.max_record_lines)

    @classmethod
    def of_lines(cls, fmt: FileFormat) -> "Splitting":
        """Lines as they stand: no text of JSON holds the delimiter."""
        return cls(b"\x01", b"", b"", False, fmt.max_record, fmt.max_record_lines)


@dataclass
class Count:
    """What was found in a file when all of it is read: its rows, the line ends within their values, and rejects."""

    rows: int = 0
    breaks: int = 0
    rejects: int = 0


def split(
    file: InputFile,
    fmt: FileFormat,
    splitting: Splitting,
    shape: Shape,
    count: Count,
    delivered: InputFile | None = None,
) -> Iterator[Rows | Reject]:
    """The rows of a file in pieces, in their order, and its rejects between them in no certain order. ``delivered`` is
    the file that it is a copy of.

    Raises:
        BadFile: a carriage return stands outside of quotes, or a record has more lines than the format allows.
    """
    with file.path.open("rb") as stream:
        stream.seek(shape.start)
        yield from _Splitter(file, fmt, splitting, shape, count, delivered or file).all(stream)


@dataclass(frozen=True)
class _Record:
    """One that begins at byte ``at`` of a text, with its line end behind ``body``; ``fields`` are bytes as they are
    meant, None where there is nothing and no quotes."""

    at: int
    body: int
    end: int
    fields: list[bytes | None]
    broken: bool = False


class _Splitter:
    """Moves over the bytes of one file."""

    def __init__(
        self,
        file: InputFile,
        fmt: FileFormat,
        splitting: Splitting,
        shape: Shape,
        count: Count,
        delivered: InputFile,
    ) -> None:
        self._file, self._fmt, self._how, self._columns = file, fmt, splitting, shape.columns
        self._delivered = delivered
        self._count = count
        self._at, self._line, self._number = shape.start, shape.lines + 1, 0
        self._crlf = shape.crlf
        quote, escape = re.escape(splitting.quote), re.escape(splitting.escape)
        self._doubled = splitting.escape == splitting.quote
        self._quotes = re.compile(
            (rb"%b%b|%b" % (quote, quote, quote)) if self._doubled else rb"(?s)%b.|%b" % (escape, quote)
        )
        self._meant = re.compile(rb"(?s)%b(.?)" % escape)
        self._ends = re.compile(rb"%b|\r|\n" % re.escape(splitting.delimiter))

    def all(self, stream: BinaryIO) -> Iterator[Rows | Reject]:
        held, final = b"", False
        while not final:
            block = stream.read(_BLOCK)
            final = not block
            text = held + block
            at = 0
            while at < len(text):
                done = yield from self._many(text, at, final)
                if done == at:
                    done = yield from self._some(text, at, final)
                if done == at:
                    break
                at = done
            held = text[at:]
            self._at += at

    # -- many at once

    def _many(self, text: bytes, at: int, final: bool) -> Generator[Rows | Reject, None, int]:
        """Split what is in order from byte ``at`` of ``text`` on; up to which byte that is, is returned."""
        found = self._in_order(text, at, final)
        if found is None:
            return at
        starts, ends, work, work_starts, work_ends, newlines = found
        returns = 1 if self._crlf else 0
        sizes = ends - starts - returns
        lines = np.searchsorted(newlines, starts)
        if self._how.quote:
            self._require_short(np.diff(np.append(lines, np.searchsorted(newlines, ends[-1] + 1))), lines)
        good = (self._delimiters(work, work_starts, work_ends) == self._columns - 1) & (sizes <= self._how.longest)
        blank = sizes == 0
        if self._columns > 1:
            good &= ~blank
        for place in self._not_text(text, at, starts, ends):
            good[place] = False
        if good[0] and text.startswith(_MARK, at):
            good[0] = False  # Arrow would take it for the mark of an encoding
        real = np.ones(len(good), bool) if self._columns == 1 else ~blank
        numbers = self._number + np.cumsum(real)
        whole = bool(good.all())
        chosen = np.flatnonzero(good)
        pieces: list[Rows] = []
        if len(chosen):
            kept = work[work_starts[0] : work_ends[-1] + 1] if whole else _joined(work, work_starts, work_ends, good)
            columns = self._parsed(kept, len(chosen))
            pieces.append(Rows(columns, numbers[chosen], self._line + lines[chosen], self._at + at + starts[chosen]))
            self._count.rows += len(chosen)
            if len(newlines) > len(starts):
                after = np.append(lines[1:], np.searchsorted(newlines, ends[-1] + 1))
                self._count.breaks += int((after - lines - 1)[chosen].sum())
        odd = [
            (record, int(numbers[place]), self._line + int(lines[place]))
            for place in np.flatnonzero(~good & real).tolist()
            # Its end is known, so it is there as a whole.
            if (record := self._record(text, at + int(starts[place]), final=True)) is not None
        ]
        yield from self._together(pieces, text, odd)
        self._number = int(numbers[-1])
        self._line += int(np.searchsorted(newlines, ends[-1], side="right"))
        return at + int(ends[-1]) + 1

    def _together(
        self, pieces: list[Rows], text: bytes, odd: Sequence[tuple[_Record, int, int]]
    ) -> Iterator[Rows | Reject]:
        """The rows with those among the ``odd`` records, in their order, behind the rejects of these."""
        for each in self._finished(text, odd):
            if isinstance(each, Rows):
                pieces.append(each)
            else:
                yield each
        if pieces:
            yield _joined_rows(pieces)

    def _in_order(self, text: bytes, at: int, final: bool) -> Any:
        """Where records begin and end from byte ``at`` on, as far as quotes and line ends are in order, and the same in
        a text with a delimiter of one byte; None where not even the first record is."""
        view = np.frombuffer(text, np.uint8)[at:]
        newlines = np.flatnonzero(view == _FEED)
        quotes = np.flatnonzero(view == self._how.quote[0]) if self._how.quote else newlines[:0]
        if len(quotes) and (len(self._how.delimiter) > 1 or len(self._how.quote) > 1):
            return None
        quotes, escapes, limit = self._unescaped(view, quotes)
        ends = newlines[np.searchsorted(quotes, newlines) % 2 == 0] if len(quotes) else newlines
        in_order, blanks = self._limit(view, quotes, final)
        ends = ends[ends < min(limit, in_order)]
        if len(ends):
            ends = ends[ends < self._line_ends_alike(view, quotes, ends)]
        if not len(ends):
            return None
        starts = np.concatenate(([0], ends[:-1] + 1))
        last = int(ends[-1])
        newlines, work = newlines[newlines <= last], text[at : at + last + 1]
        if len(self._how.delimiter) == 1:
            left_out = np.zeros(0, np.int64)
            if len(escapes) or len(blanks):
                work, left_out = self._plainly(view[: last + 1], escapes[escapes < last], blanks[blanks < last])
            if not len(left_out):
                return starts, ends, work, starts, ends, newlines
            work_ends = ends - np.searchsorted(left_out, ends)
            return starts, ends, work, np.concatenate(([0], work_ends[:-1] + 1)), work_ends, newlines
        if _STANDS_FOR_DELIMITER in work:
            return None
        work = work.replace(self._how.delimiter, _STANDS_FOR_DELIMITER)
        work_ends = np.flatnonzero(np.frombuffer(work, np.uint8) == _FEED)
        return starts, ends, work, np.concatenate(([0], work_ends[:-1] + 1)), work_ends, newlines

    def _line_ends_alike(self, view: Any, quotes: Any, ends: Any) -> int:
        """Up to which byte line ends are of one kind, and no carriage return stands elsewhere outside of quotes."""
        limit = len(view)
        returned = (view[np.maximum(ends - 1, 0)] == _RETURN) & (ends > 0)
        if self._crlf is None:
            self._crlf = bool(returned[0])
        if self._crlf and not returned.all():
            limit = int(ends[np.flatnonzero(~returned)[0]])
        returns = np.flatnonzero(view == _RETURN)
        if len(returns) and len(quotes):
            returns = returns[np.searchsorted(quotes, returns) % 2 == 0]
        if self._crlf:
            returns = returns[view[np.minimum(returns + 1, len(view) - 1)] != _FEED]
        # The record in which one stands is looked at by itself.
        return min(limit, int(returns[0])) if len(returns) else limit

    def _unescaped(self, view: Any, quotes: Any) -> tuple[Any, Any, int]:
        """The quotes that are no part of a text, the escapes within quotes, and up to which byte these are so."""
        escapes = quotes[:0] if self._doubled else np.flatnonzero(view == self._how.escape[0])
        if not len(escapes) or not len(quotes):
            return quotes, escapes[:0], len(view)
        # Of several, one behind the other, each second is escaped itself.
        places = np.arange(len(escapes))
        begins = np.concatenate(([0], np.where(np.diff(escapes) != 1, places[1:], 0)))
        escapes = escapes[(places - np.maximum.accumulate(begins)) % 2 == 0]
        plain = quotes[~np.isin(quotes, escapes + 1)]
        inside = np.searchsorted(plain, escapes) % 2 == 1
        wrong = escapes[~inside & np.isin(escapes + 1, quotes)]
        return plain, escapes[inside], int(wrong[0]) if len(wrong) else len(view)

    def _plainly(self, view: Any, escapes: Any, blanks: Any) -> tuple[bytes, Any]:
        """A text as Arrow reads it, without escapes and ``blanks`` beside quotes, with quotes within quotes doubled;
        and the places of the bytes that it lacks."""
        work, kept = view.copy(), np.ones(len(view), bool)
        quoted = view[escapes + 1] == self._how.quote[0]
        work[escapes[quoted]] = self._how.quote[0]
        left_out = np.union1d(escapes[~quoted], blanks)
        kept[left_out] = False
        return work[kept].tobytes(), left_out

    def _limit(self, view: Any, quotes: Any, final: bool) -> tuple[int, Any]:
        """Up to which byte every quote opens a field, ends one, or is doubled within one, and the places of blanks
        between these quotes and what is around them: of one before, and of any behind."""
        if not len(quotes):
            return len(view), quotes
        opening, closing = quotes[0::2], quotes[1::2]
        before, behind = opening - 1, closing + 1
        if self._how.delimiter != _SPACE:
            before = before - ((opening > 0) & (view[before] == _SPACE[0]))
            behind = _beyond_blanks(view, behind)
        opens = (before < 0) | np.isin(view[before], (self._how.delimiter[0], _FEED))
        known = behind < len(view)
        found = view[np.minimum(behind, len(view) - 1)]
        closes = known & np.isin(found, (self._how.delimiter[0], _FEED, _RETURN))
        sizes = np.where(closes, behind - closing - 1, 0)
        blanks = np.repeat(closing + 1 + sizes - np.cumsum(sizes), sizes) + np.arange(sizes.sum())
        blanks = np.union1d(blanks, opening[opens & (before == opening - 2) & (opening > 0)] - 1)
        if final:
            closes |= ~known
        if self._doubled:
            # A quote right behind another goes on with the field that this one seemed to end.
            opens |= (opening > 0) & (view[opening - 1] == self._how.quote[0])
            closes |= known & (behind == closing + 1) & (found == self._how.quote[0])
        limit = len(view)
        for places, fine in ((opening, opens), (closing, closes)):
            if not fine.all():
                limit = min(limit, int(places[np.flatnonzero(~fine)[0]]))
        return limit, blanks

    def _delimiters(self, work: bytes, starts: Any, ends: Any) -> Any:
        """How many stand outside quotes in each record."""
        view = np.frombuffer(work, np.uint8)
        delimiter = self._how.delimiter if len(self._how.delimiter) == 1 else _STANDS_FOR_DELIMITER
        places = np.flatnonzero(view == delimiter[0])
        if self._how.quote:
            quotes = np.flatnonzero(view == self._how.quote[0])
            if len(quotes):
                places = places[np.searchsorted(quotes, places) % 2 == 0]
        bounds = np.searchsorted(places, np.append(starts, ends[-1] + 1))
        return np.diff(bounds)

    def _not_text(self, text: bytes, at: int, starts: Any, ends: Any) -> Iterator[int]:
        """Which records are not UTF-8."""
        begin, stop = at, at + int(ends[-1]) + 1
        while begin < stop:
            try:
                text[begin:stop].decode()
            except UnicodeDecodeError as e:
                place = int(np.searchsorted(ends, begin - at + e.start))
                yield place
                begin = at + int(ends[place]) + 1
            else:
                return

    def _require_short(self, lines: Any, before: Any) -> None:
        if int(lines.max()) > self._how.most_lines:
            place = int(np.flatnonzero(lines > self._how.most_lines)[0])
            raise self._too_many_lines(self._line + int(before[place]))

    def _parsed(self, text: bytes, records: int) -> "list[pa.Array]":
        names = [str(n) for n in range(self._columns)]
        delimiter = self._how.delimiter if len(self._how.delimiter) == 1 else _STANDS_FOR_DELIMITER
        table = pacsv.read_csv(
            pa.BufferReader(text),
            pacsv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=names),
            pacsv.ParseOptions(
                delimiter=delimiter.decode(),
                quote_char=self._how.quote.decode() if self._how.quote else False,
                double_quote=True,
                escape_char=False,
                newlines_in_values=True,
                ignore_empty_lines=self._columns > 1,
            ),
            pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        if table.num_rows != records:
            raise AssertionError(f"{self._file.origin}: {records} records were split into {table.num_rows} rows")
        return [column.combine_chunks() if column.num_chunks != 1 else column.chunk(0) for column in table.columns]

    # -- one at a time

    def _some(self, text: bytes, at: int, final: bool) -> Generator[Rows | Reject, None, int]:
        """Split some records by themselves; up to which byte, is returned."""
        records: list[tuple[_Record, int, int]] = []
        while at < len(text) and len(records) < _AT_A_TIME:
            if self._columns > 1 and text[at] in (_FEED, _RETURN):
                body = at
                end = self._line_end(text, at, final)
                if end is None:
                    break
            else:
                record = self._record(text, at, final)
                if record is None:
                    self._refuse_endless(text, at)
                    break
                body, end = record.at, record.end
                self._number += 1
                records.append((record, self._number, self._line))
            self._line += text.count(b"\n", body, end)
            at = end
        yield from self._finished(text, records)
        return at

    def _refuse_endless(self, text: bytes, at: int) -> None:
        if self._how.quote and text.count(b"\n", at) > self._how.most_lines:
            raise self._too_many_lines(self._line)

    def _record(self, text: bytes, at: int, final: bool) -> "_Record | None":
        """The record that begins at a byte; None where ``text`` ends before it and is not all there is."""
        fields: list[bytes | None] = []
        broken, pos, size = False, at, len(text)
        while True:
            behind = pos
            if opened := self._opened(text, pos):
                close = self._close(text, opened)
                behind = size if close is None else self._behind(text, close)
                if behind >= size and not final:
                    return None
                fields.append(self._meant.sub(rb"\1", text[opened:close]))
                if behind >= size:
                    return _Record(at, size, size, fields, broken or close is None)
                if not self._ends_field(text, behind):
                    # What goes on behind the closing quote belongs to the field up to the next delimiter.
                    broken, behind = True, behind + 1
            found = self._ends.search(text, behind)
            if found is None and not final:
                return None
            stop = found.start() if found else size
            if not opened:
                fields.append(text[pos:stop] or None)
            if found is None:
                return _Record(at, size, size, fields, broken)
            if found[0] != self._how.delimiter:
                end = self._line_end(text, stop, final)
                return None if end is None else _Record(at, stop, end, fields, broken)
            pos = found.end()

    def _opened(self, text: bytes, pos: int) -> int:
        """The first byte within the quotes of a field that begins at ``pos``, of which one blank may stand before
        them; 0 where it has none."""
        quote = self._how.quote
        if not quote:
            return 0
        if text.startswith(quote, pos):
            return pos + len(quote)
        has_blank = self._how.delimiter != _SPACE and text.startswith(_SPACE + quote, pos)
        return pos + len(_SPACE + quote) if has_blank else 0

    def _ends_field(self, text: bytes, at: int) -> bool:
        is_end = text[at] == _FEED or (text[at] == _RETURN and self._crlf is not False)
        return is_end or text.startswith(self._how.delimiter, at)

    def _close(self, text: bytes, start: int) -> int | None:
        """Where the quotes are closed that are open from ``start`` on."""
        while True:
            close = next(
                (each.start() for each in self._quotes.finditer(text, start) if each[0] == self._how.quote), None
            )
            if close is None:
                return None
            after = self._behind(text, close)
            # With blanks between, another quote opens them again.
            if after > close + len(self._how.quote) and text.startswith(self._how.quote, after):
                start = after + len(self._how.quote)
                continue
            return close

    def _behind(self, text: bytes, close: int) -> int:
        """The first byte that is no blank behind a closing quote."""
        at = close + len(self._how.quote)
        while text.startswith(_SPACE, at) and not text.startswith(self._how.delimiter, at):
            at += 1
        return at

    def _line_end(self, text: bytes, at: int, final: bool) -> int | None:
        """The byte behind the line end at ``at``; None where that is not known yet."""
        if text[at] == _FEED:
            if self._crlf:
                raise self._stray()
            self._crlf = False
            return at + 1
        if at + 1 >= len(text):
            if not final:
                return None
            if self._crlf is False:
                raise self._stray()
            return at + 1
        if text[at + 1] != _FEED or self._crlf is False:
            raise self._stray()
        self._crlf = True
        return at + 2

    def _finished(self, text: bytes, records: Sequence[tuple[_Record, int, int]]) -> Iterator[Rows | Reject]:
        rows: list[list[bytes | None]] = []
        numbers, lines, places = [], [], []
        for record, number, line in records:
            fields, reasons = self._judged(text, record)
            held = text.count(b"\n", record.at, record.body)
            if self._how.quote and held >= self._how.most_lines:
                raise self._too_many_lines(line)
            if reasons:
                yield from self._rejected(text, record, line, reasons)
                continue
            rows.append(fields)
            numbers.append(number)
            lines.append(line)
            places.append(self._at + record.at)
            self._count.breaks += held
        if rows:
            self._count.rows += len(rows)
            columns = [_decoded(column) for column in zip(*rows, strict=True)]
            yield Rows(columns, *(np.array(each, np.int64) for each in (numbers, lines, places)))

    def _judged(self, text: bytes, record: _Record) -> tuple[list[bytes | None], tuple[str, ...]]:
        """The fields of a record, as many as columns, or why it has not those."""
        fields = record.fields
        while len(fields) > self._columns and fields[-1] is None:
            fields.pop()
        reasons = set()
        if record.broken:
            reasons.add(UNTERMINATED)
        if record.body - record.at > self._how.longest:
            reasons.add("line_too_long")
        if not _is_text(text[record.at : record.body]):
            reasons.add("invalid_encoding")
        if not reasons and len(fields) < self._columns and self._how.pad:
            fields.extend([None] * (self._columns - len(fields)))
        if not reasons and len(fields) != self._columns:
            reasons.add("column_count")
        return fields, tuple(sorted(reasons))

    def _rejected(self, text: bytes, record: _Record, line: int, reasons: tuple[str, ...]) -> Iterator[Reject]:
        written = text[record.at : record.body]
        at = self._at + record.at
        yield self._reject(line, at, reasons, shown(written).rstrip("\r\n"))
        if not self._how.quote or self._how.quote not in written:
            return
        first, *others = written.rstrip(b"\r\n").split(b"\n")
        at += len(first) + 1
        for number, other in enumerate(others, start=line + 1):
            yield self._reject(number, at, (SWALLOWED,), other.decode("utf-8", "replace").rstrip("\r"))
            at += len(other) + 1

    def _reject(self, line: int, at: int, reasons: tuple[str, ...], raw: str) -> Reject:
        file = self._file
        return Reject(file.ordinal, file.delivered_line(line), file.delivered_at(line, at), reasons, raw)

    def _too_many_lines(self, line: int) -> BadFile:
        return too_many_lines(self._file.origin, self._file.delivered_line(line), self._fmt)

    def _stray(self) -> BadFile:
        return stray_return(self._delivered, self._fmt)


def _beyond_blanks(view: Any, places: Any) -> Any:
    """The first places from these on at which no blank is."""
    if not (view[np.minimum(places, len(view) - 1)] == _SPACE[0]).any():
        return places
    others = np.append(np.flatnonzero(view != _SPACE[0]), len(view))
    return others[np.searchsorted(others, places)]


def _joined(work: bytes, starts: Any, ends: Any, good: Any) -> bytes:
    """The good records, those that stand together copied at once."""
    edges = np.diff(np.concatenate(([0], good.astype(np.int8), [0])))
    runs = zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True)
    return b"".join(work[starts[first] : ends[behind - 1] + 1] for first, behind in runs)


def _joined_rows(pieces: Sequence[Rows]) -> Rows:
    if len(pieces) == 1:
        return pieces[0]
    numbers, lines, places = (
        np.concatenate(each) for each in zip(*((p.numbers, p.lines, p.places) for p in pieces), strict=True)
    )
    order = np.argsort(numbers)
    columns = [
        pa.chunked_array(each).combine_chunks().take(pa.array(order))
        for each in zip(*(piece.columns for piece in pieces), strict=True)
    ]
    return Rows(columns, numbers[order], lines[order], places[order])


def _decoded(values: Sequence[bytes | None]) -> "pa.Array":
    return pa.array([None if value is None else value.decode() for value in values], pa.string())


def _is_text(written: bytes) -> bool:
    try:
        written.decode()
    except UnicodeDecodeError:
        return False
    return True
