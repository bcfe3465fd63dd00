"""A workbook of Excel (Office Open XML, ECMA-376), read from its package with nothing held but its shared texts.

What is fiddly about numbers that are dates is openpyxl's. Cells are read here, as a stream: openpyxl and other readers
hold a tree, or the rectangle from the first cell to the last, and a small file may claim 17 billion cells.
"""

import re
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from math import isfinite
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NoReturn
from xml.parsers import expat

from adplatform.contracts.file_format import MOST_SHEET_COLUMNS, MOST_SHEET_ROWS, column_number
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.budget import Budget
from adplatform.files.compression import opened_zip, part_content
from adplatform.platform.late import Late

if TYPE_CHECKING:
    from openpyxl.styles import numbers
    from openpyxl.utils import datetime as dates
else:
    numbers = Late("openpyxl.styles.numbers")
    dates = Late("openpyxl.utils.datetime")

LARGEST_TEXTS = 256 << 20
"""Bytes of memory that the texts of a workbook may take, which its cells refer to by number."""
_LONGEST_TEXT = 1 << 20
"""Characters of a cell; Excel has 32,767."""
_LONGEST_ROW = 64 << 20
"""Characters of a row: its cells may all refer to one long text."""
_LARGEST_PART = 32 << 20
"""Bytes of a part that is read whole, such as the list of sheets."""
_LONGEST_TAG = 1 << 20
_DEEPEST = 100
_DIGITS = 15
_PLAIN_EXPONENTS = range(-30, 31)
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_OF_TIME = re.compile(r"[hs]", re.IGNORECASE)
_NOT_CODE = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]|_.|\*.')
_CELL = re.compile(r"([A-Za-z]{1,3})[0-9]+")
_ENCRYPTED = 0x1

Attributes = Mapping[str, str]


@dataclass(frozen=True)
class Sheet:
    """``part`` is the name of its part in the package."""

    name: str
    part: str
    hidden: bool


@dataclass(frozen=True)
class Style:
    """How a number is shown: as a date, with the time of day, or as a length of time."""

    date: bool = False
    time: bool = False
    length: bool = False


@dataclass(frozen=True)
class Row:
    """``number`` counts from 1; ``cells`` are the texts of those that have a value, by column from 1."""

    number: int
    cells: Mapping[int, str]


@dataclass
class Workbook:
    """An open workbook. ``texts`` are read when a sheet is."""

    archive: zipfile.ZipFile
    origin: str
    budget: Budget
    sheets: tuple[Sheet, ...]
    styles: Sequence[Style]
    from_1904: bool
    texts_part: str | None
    _texts: list[str] | None = field(default=None, repr=False)

    def rows(self, sheet: Sheet) -> Iterator[Row]:
        """The rows that have a value.

        Raises:
            BadFile: damaged, or above a limit.
        """
        cells = _Cells(self, self.texts())
        for _ in self._parsed(sheet.part, cells.start, cells.end, cells.text):
            yield from cells.taken()

    def texts(self) -> Sequence[str]:
        """The shared texts."""
        if self._texts is None:
            self._texts = list(self._shared_texts())
        return self._texts

    def has_data(self, sheet: Sheet) -> bool:
        return any(True for _ in self.rows(sheet))

    def value(self, kind: str, style: int, text: str) -> str:
        """The text of a number, date, boolean, error or text that stands in a cell as ``text``."""
        match kind:
            case "b":
                return {"1": "TRUE", "0": "FALSE"}.get(text, text.upper())
            case "n":
                shown = self.styles[style] if style < len(self.styles) else Style()
                return _as_date(text, shown, self.from_1904) if shown.date or shown.length else as_number(text)
            case "e" | "d" | "s":
                return text
            case _:
                return as_text(text)

    def _shared_texts(self) -> Iterator[str]:
        if self.texts_part is None:
            return
        reader, size = _Texts(self.origin), 0
        for _ in self._parsed(self.texts_part, reader.start, reader.end, reader.text):
            for text in reader.taken():
                size += sys.getsizeof(text) + 8
                if size > LARGEST_TEXTS:
                    raise BadFile(
                        self.origin,
                        Reason.TOO_LARGE,
                        f"is a workbook whose texts take more than {LARGEST_TEXTS:,} bytes; ask for csv",
                    )
                yield text

    def _parsed(
        self,
        part: str,
        start: Callable[[str, Attributes], None],
        end: Callable[[str], None],
        text: Callable[[str], None],
    ) -> Iterator[None]:
        yield from _parsed(
            self.budget.spend(part_content(self.archive, part, self.origin)), self.origin, start, end, text
        )


@contextmanager
def opened_workbook(path: Path, origin: str, budget: Budget) -> Iterator[Workbook]:
    """
    Raises:
        BadFile: it is none, or damaged.
    """
    with opened_zip(path, origin) as archive:
        for member in archive.infolist():
            if member.flag_bits & _ENCRYPTED or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise BadFile(origin, Reason.UNSUPPORTED, "is a workbook packed in a way that Excel does not")
        package = _Package(archive, origin, budget)
        [(main, _)] = package.related("", "/officeDocument")[:1] or [("xl/workbook.xml", "")]
        found = package.elements(main)
        related = {key: part for part, key in package.related(main, "/worksheet")}
        sheets = tuple(
            Sheet(said.get("name", ""), related[said["id"]], said.get("state", "visible") != "visible")
            for name, said in found
            if name == "sheet" and said.get("id") in related
        )
        from_1904 = any(name == "workbookPr" and said.get("date1904") in ("1", "true") for name, said in found)
        styles = [part for part, _ in package.related(main, "/styles")[:1]]
        texts = [part for part, _ in package.related(main, "/sharedStrings")[:1]]
        formats = package.styles(styles[0]) if styles else []
        yield Workbook(archive, origin, budget, sheets, formats, from_1904, texts[0] if texts else None)


def chosen_sheet(workbook: Workbook, wanted: str | int | None) -> Sheet:
    """
    Raises:
        BadFile: there is no such sheet, or nobody said which of several it is.
    """
    shown = [sheet for sheet in workbook.sheets if not sheet.hidden]
    if isinstance(wanted, int):
        if wanted <= len(shown):
            return shown[wanted - 1]
        _refuse(workbook.origin, f"has {_counted(shown)}, and the feed's format says sheet: {wanted}; correct it")
    if wanted is not None:
        named = [sheet for sheet in workbook.sheets if sheet.name.casefold() == wanted.casefold()]
        if named:
            return named[0]
        _refuse(
            workbook.origin,
            f"has {_counted(workbook.sheets)}, none of which is called {wanted!r} as the feed's format says; correct "
            "sheet, or ask for the right workbook",
        )
    filled = [sheet for sheet in shown if workbook.has_data(sheet)]
    if len(filled) == 1:
        return filled[0]
    if filled:
        places = ", ".join(str(shown.index(sheet) + 1) for sheet in filled[:20])
        _refuse(
            workbook.origin,
            f"has {_counted(filled)} with data (number {places}); say in the feed's format which is read, as sheet: "
            "with its name or number",
        )
    if not shown or any(workbook.has_data(sheet) for sheet in workbook.sheets if sheet.hidden):
        _refuse(workbook.origin, "has data in hidden sheets only; name one in the feed's format as sheet")
    return shown[0]


def _counted(sheets: Sequence[Sheet]) -> str:
    return "1 sheet" if len(sheets) == 1 else f"{len(sheets)} sheets"


def _refuse(origin: str, message: str) -> NoReturn:
    raise BadFile(origin, Reason.LAYOUT, message)


def as_number(text: str) -> str:
    """A number without an exponent, as far as it has one within thirty digits. Of a fraction it has the 15 digits that
    Excel shows and writes to csv (Excel specifications, number precision): 0.1 + 0.2 is kept as 0.30000000000000004.
    Integers that others wrote with more digits keep them."""
    if _INTEGER.fullmatch(text):
        return "0" if text == "-0" else text
    try:
        number = float(f"{float(text):.{_DIGITS}g}")
    except ValueError:
        return text
    if not isfinite(number):
        return text
    shortest = repr(number)
    if "e" not in shortest:
        return shortest.removesuffix(".0") if number else "0"
    exact = Decimal(shortest)
    if exact.adjusted() not in _PLAIN_EXPONENTS:
        return shortest
    plain = f"{exact:f}"
    return plain.rstrip("0").rstrip(".") or "0" if "." in plain else plain


def as_text(text: str) -> str:
    """A text with what it spells as ``_x000D_`` (ECMA-376 part 1, 22.9.2.19), and with line ends of one kind."""

    def meant(found: re.Match[str]) -> str:
        character = chr(int(found[1], 16))
        return character if character.isprintable() or character in "\t\n\r" else found[0]

    plain = _ESCAPED.sub(meant, text) if "_x" in text else text
    return plain.replace("\r\n", "\n").replace("\r", "\n") if "\r" in plain else plain


def spelled(text: str) -> str:
    """How a workbook spells a text so that :func:`as_text` gives it back."""
    return _ESCAPED.sub(r"_x005F\g<0>", text)


@lru_cache(maxsize=4096)
def _as_date(text: str, style: Style, from_1904: bool) -> str:
    """ISO 8601 of a number of days, to the millisecond as Excel has it; the number where it is no date."""
    epoch = dates.MAC_EPOCH if from_1904 else dates.WINDOWS_EPOCH
    try:
        number = float(text)
        found = dates.from_excel(number, epoch, timedelta=style.length)
    except (ValueError, OverflowError):
        return as_number(text)
    if isinstance(found, timedelta):
        return _length(found)
    if number < 0 or (isinstance(found, time) and not style.time):
        return as_number(text)
    if isinstance(found, datetime) and not style.time and found.time() == time():
        return found.date().isoformat()
    precision = "milliseconds" if found.microsecond else "seconds"
    return found.isoformat(timespec=precision) if isinstance(found, time) else found.isoformat(" ", precision)


def _length(length: timedelta) -> str:
    sign, length = ("-", -length) if length < timedelta() else ("", length)
    seconds, micros = length.days * 86_400 + length.seconds, length.microseconds
    clock = f"{sign}{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{clock}.{micros // 1000:03d}" if micros else clock


def style_of(code: str) -> Style:
    """What a number format shows."""
    plain = _NOT_CODE.sub("", code.partition(";")[0])
    length = numbers.is_timedelta_format(code)
    return Style(numbers.is_date_format(code) and not length, bool(_OF_TIME.search(plain)), length)


@dataclass(frozen=True)
class _Package:
    """The parts of a package that say what the others are."""

    archive: zipfile.ZipFile
    origin: str
    budget: Budget

    def elements(self, part: str) -> list[tuple[str, Attributes]]:
        """The elements of a part with their attributes, in order; none where there is no such part."""
        found: list[tuple[str, Attributes]] = []
        if part not in self.archive.NameToInfo:
            return found
        if self.archive.getinfo(part).file_size > _LARGEST_PART:
            raise BadFile(
                self.origin, Reason.TOO_LARGE, f"has a part of more than {_LARGEST_PART:,} bytes; ask for csv"
            )

        def start(name: str, said: Attributes) -> None:
            found.append((name, {key.rpartition(" ")[2]: value for key, value in said.items()}))

        for _ in _parsed(self.budget.spend(part_content(self.archive, part, self.origin)), self.origin, start):
            pass
        return found

    def related(self, part: str, kind: str) -> list[tuple[str, str]]:
        """The parts that a part refers to as such a kind, each with the key that it uses for that."""
        path = PurePosixPath(part)
        listed = self.elements(str(path.parent / "_rels" / f"{path.name}.rels") if part else "_rels/.rels")
        return [
            (_target(path.parent, said.get("Target", "")), said.get("Id", ""))
            for name, said in listed
            if name == "Relationship" and said.get("Type", "").endswith(kind) and said.get("TargetMode") != "External"
        ]

    def styles(self, part: str) -> list[Style]:
        codes: dict[str, str] = {}
        styles: list[Style] = []
        known: dict[str, Style] = {}
        inside = False
        for name, said in self.elements(part):
            if name == "numFmt":
                codes[said.get("numFmtId", "")] = said.get("formatCode", "")
            elif name != "xf":
                inside = name == "cellXfs" or (inside and name in ("alignment", "protection", "extLst", "ext"))
            elif inside:
                number = said.get("numFmtId", "0")
                if number not in known:
                    builtin = numbers.BUILTIN_FORMATS.get(_number_of(number) or 0, "")
                    known[number] = style_of(codes.get(number, builtin))
                styles.append(known[number])
        return styles


def _target(folder: PurePosixPath, target: str) -> str:
    """The name of a part as the package has it."""
    parts: list[str] = [] if target.startswith("/") else [each for each in folder.parts if each != "."]
    for part in target.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _nothing(_: str) -> None:
    return None


def _parsed(
    chunks: Iterator[bytes],
    origin: str,
    start: Callable[[str, Attributes], None],
    end: Callable[[str], None] = _nothing,
    text: Callable[[str], None] = _nothing,
) -> Iterator[None]:
    """Parse XML, of which names of elements come without what they are qualified by; once after each chunk.

    Raises:
        BadFile: it is no XML, declares types of documents (of which entities are), is too deep, or has a tag that is
            too long.
    """
    parser, depth, fed, names = expat.ParserCreate(namespace_separator=" "), 0, 0, _LocalNames()
    parser.buffer_text = True

    def opened(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise BadFile(origin, Reason.UNSAFE_ARCHIVE, f"has XML of more than {_DEEPEST} levels")
        start(names[name], attributes)

    def closed(name: str) -> None:
        nonlocal depth
        depth -= 1
        end(names[name])

    def declared(*_: object) -> None:
        raise BadFile(origin, Reason.UNSAFE_ARCHIVE, "has XML that declares a type of document, as no workbook does")

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = opened, closed, text
    parser.StartDoctypeDeclHandler = declared
    try:
        for chunk in chunks:
            parser.Parse(chunk, False)
            fed += len(chunk)
            if fed - max(parser.CurrentByteIndex, 0) > _LONGEST_TAG + len(chunk):
                raise BadFile(origin, Reason.UNSAFE_ARCHIVE, f"has XML with a tag of more than {_LONGEST_TAG:,} bytes")
            yield
        parser.Parse(b"", True)
    except expat.ExpatError as e:
        raise _damaged(origin) from e
    yield


class _LocalNames(dict[str, str]):
    """Names without what they are qualified by: a sheet has few, millions of times."""

    def __missing__(self, name: str) -> str:
        self[name] = name.rpartition(" ")[2]
        return self[name]


def _number_of(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 10 else None


def _damaged(origin: str) -> BadFile:
    return BadFile(origin, Reason.DAMAGED, "is a damaged workbook; ask for the file again")


@dataclass
class _Text:
    """Collects the characters of a text."""

    origin: str
    pieces: list[str] = field(default_factory=list)
    size: int = 0

    def add(self, text: str) -> None:
        self.size += len(text)
        if self.size > _LONGEST_TEXT:
            raise BadFile(
                self.origin, Reason.TOO_LARGE, f"has a text of more than {_LONGEST_TEXT:,} characters in a cell"
            )
        self.pieces.append(text)

    def take(self) -> str:
        text = "".join(self.pieces)
        self.pieces, self.size = [], 0
        return text


class _Texts:
    """The shared texts: of each ``si`` what its ``t`` have, without how it is spoken (``rPh``)."""

    def __init__(self, origin: str) -> None:
        self._text, self._found = _Text(origin), list[str]()
        self._inside = self._spoken = False

    def start(self, name: str, _: Attributes) -> None:
        if name == "t":
            self._inside = not self._spoken
        elif name == "rPh":
            self._spoken = True

    def end(self, name: str) -> None:
        if name == "t":
            self._inside = False
        elif name == "rPh":
            self._spoken = False
        elif name == "si":
            self._found.append(as_text(self._text.take()))

    def text(self, text: str) -> None:
        if self._inside:
            self._text.add(text)

    def taken(self) -> list[str]:
        found, self._found = self._found, []
        return found


class _Cells:
    """The rows of a sheet."""

    def __init__(self, workbook: Workbook, texts: Sequence[str]) -> None:
        self._workbook, self._texts = workbook, texts
        self._rows: list[Row] = []
        self._cells: dict[int, str] = {}
        self._columns: dict[str, int] = {}
        self._text = _Text(workbook.origin)
        self._row = self._column = self._style = self._size = 0
        self._kind = "n"
        self._inside = self._spoken = False

    def start(self, name: str, said: Attributes) -> None:
        if name == "c":
            self._column = self._column_of(said.get("r", ""))
            self._kind = said.get("t", "n")
            self._style = _number_of(said.get("s", "")) or 0
        elif name == "v" or (name == "t" and not self._spoken):
            self._inside = True
        elif name == "row":
            self._begin_row(said.get("r", ""))
        elif name == "rPh":
            self._spoken = True

    def end(self, name: str) -> None:
        if name == "c":
            self._end_cell(self._text.take())
        elif name in ("v", "t"):
            self._inside = False
        elif name == "rPh":
            self._spoken = False
        elif name == "row" and self._cells:
            self._rows.append(Row(self._row, self._cells))
            self._cells = {}

    def text(self, text: str) -> None:
        if self._inside:
            self._text.add(text)

    def taken(self) -> list[Row]:
        rows, self._rows = self._rows, []
        return rows

    def _begin_row(self, number: str) -> None:
        row = _number_of(number)
        row = self._row + 1 if row is None else row
        if not self._row < row <= MOST_SHEET_ROWS:
            raise _damaged(self._workbook.origin)
        self._row, self._column, self._size = row, 0, 0

    def _column_of(self, cell: str) -> int:
        letters = cell.rstrip("0123456789")
        column = self._columns.get(letters)
        if column is None:
            found = _CELL.fullmatch(cell)
            column = self._column + 1
            if found:
                column = self._columns[letters] = column_number(found[1].upper())
        if not self._column < column <= MOST_SHEET_COLUMNS:
            raise _damaged(self._workbook.origin)
        return column

    def _end_cell(self, text: str) -> None:
        if self._kind == "s" and text:
            place = _number_of(text)
            if place is None or place >= len(self._texts):
                raise _damaged(self._workbook.origin)
            text = self._texts[place]
        if text and (value := self._workbook.value(self._kind, self._style, text)):
            self._size += len(value)
            if self._size > _LONGEST_ROW:
                raise BadFile(
                    self._workbook.origin,
                    Reason.TOO_LARGE,
                    f"row {self._row} of a sheet has more than {_LONGEST_ROW:,} characters, more than can be read",
                )
            self._cells[self._column] = value
