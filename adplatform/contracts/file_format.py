"""How the files of a feed are written."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from adplatform.contracts.presets import PresetName, resolved_format
from adplatform.contracts.sizes import Size, write_size
from adplatform.contracts.strict import BY_FORM, PLAIN, SETTINGS, Names, Strict

MOST_FOOTER_LINES = 1000


class LineStart(Strict):
    """Lines that begin with a text, or with it in quotes."""

    starts_with: Names
    """The text, or several of which one is enough; upper and lower case differ."""

    @field_validator("starts_with")
    @classmethod
    def _texts_of_a_line(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        if not texts or not all(texts) or any("\n" in text or "\r" in text for text in texts):
            raise ValueError("starts_with names texts with which a line begins: none of them empty or with a line end")
        return texts


Prepared = Literal["csv", "ndjson", "parquet"]
_PREPARED: dict[str, Prepared] = {
    "csv": "csv", "xlsx": "csv", "ndjson": "ndjson", "json": "ndjson", "parquet": "parquet", "avro": "parquet",
}  # fmt: skip
_OF_TEXT = ("encoding", "delimiter", "quote", "escape", "empty")
"""What is said of text alone: cells of a workbook and values of Avro have none of it."""
_OF_LINES = ("header", "header_order", "skip_lines")
MOST_SHEET_ROWS, MOST_SHEET_COLUMNS = 1_048_576, 16_384
"""Of a sheet of Excel."""


LONGEST_RECORD = 16 << 20
"""Bytes. DuckDB 2.0 loses lines that do not fit into one of its buffers, which have twice as many."""
USUAL_RECORD = 2 << 20
SHORTEST_LIMIT = 1 << 10
_WIDEST_DELIMITER = 4
"""Bytes of UTF-8 that DuckDB takes."""


class FileFormat(Strict):
    """How the files are written, after decryption."""

    preset: PresetName | None = None
    """Whose files these are, such as ``google_ads_ui``, ``linkedin`` or ``excel_de``: sets how they are written, here
    and in ``defaults``, where nothing is said beside it. What it sets stands in the contract as if it was written
    there."""
    kind: Literal["csv", "ndjson", "json", "parquet", "xlsx", "avro"] = "csv"
    """``csv`` (default) is any delimited text, ``ndjson`` one JSON document per line, ``json`` one document, ``xlsx`` a
    workbook of Excel, of which one sheet is read, ``avro`` a container file of Apache Avro."""
    compression: Literal["auto", "none", "gzip", "zstd", "zip"] = "auto"
    """How the files are compressed; ``auto`` (default) looks at each, anything else refuses those that are not so. A
    tar is taken plain and in gzip or zstd."""
    members: Names = ()
    """Which files of a zip or tar are read, as a pattern such as ``*.csv`` or a list of them; by default all. Others
    are skipped, and counted in the ledger. A pattern with ``/`` is for the whole path within the archive, any other for
    the name alone; ``*`` stands for any characters, ``?`` for one, and upper and lower case are the same."""
    sheet: str | int | None = None
    """For xlsx: the sheet, by its name or by its number from 1 among those that are not hidden; by default the only one
    of these that has data."""
    range: str | None = None
    """For xlsx: the cells that are read, from the one at the left of the header: ``B4``, ``B4:H`` (to a column),
    ``B4:H200`` or ``B:H``; by default all."""
    encoding: str = "utf-8"
    """The encoding of text, by a name that Python knows: ``utf-8`` (default), ``utf-16`` as Excel's "Unicode text",
    ``cp1252`` as Windows in Western Europe. A byte order mark is no part of the text."""
    delimiter: str = Field(default=",", min_length=1, max_length=4)
    """For csv: the characters between fields, one to four, such as ``||``; a tab is ``"\\t"`` in double quotes."""
    quote: str = Field(default='"', max_length=1)
    """For csv: the character around fields; empty where fields are never quoted."""
    escape: str = Field(default='"', max_length=1)
    """For csv: the character before a quote inside a field; the quote itself where quotes are doubled."""
    header: Annotated[Annotated[bool, PLAIN] | Annotated[LineStart, SETTINGS], BY_FORM] = True
    """For csv and xlsx: whether the first line names the columns; otherwise they are in declared order.
    ``{starts_with: Date}`` is for exports with a title of some lines above the table: the first line that begins so
    names the columns, and those before it are left out. A file without such a line is refused."""
    header_order: Literal["strict", "any"] = "any"
    """For csv and xlsx: whether the header may name the columns in ``any`` order (default)."""
    header_match: Literal["exact", "loose"] = "exact"
    """For csv and xlsx with a header, parquet and avro: whether names of columns are compared as they are written
    (``exact``, the default), or without upper and lower case, blanks, underscores and byte order marks (``loose``):
    ``Amount spent`` is then ``amount_spent``."""
    ragged_rows: Literal["quarantine", "pad"] = "quarantine"
    """For csv: what becomes of a row that ends early: it is quarantined (default), or its missing last fields are no
    value (``pad``). One with more fields than columns is quarantined, unless those are empty."""
    skip_lines: int = Field(default=0, ge=0)
    """For csv and xlsx: how many lines come before the header, or before the first row where there is none."""
    comment: Names = ()
    """For csv and xlsx: lines that begin with this text, such as ``"#"``, or with one of several, are left out. Within
    quotes it is a text like any other."""
    skip_footer: Annotated[Annotated[int, PLAIN] | Annotated[LineStart, SETTINGS], BY_FORM] = 0
    """For csv and xlsx: the last lines that are not empty are left out, so many of them; or, with
    ``{starts_with: [Total, "***"]}``, all from the first line behind the header that begins so: a text with which no
    row begins."""
    repeated_header: Literal["leave_out", "read"] = "read"
    """For csv and xlsx: what a line is that has the text of the header once more, as of files that were put together: a
    row (default), or left out."""
    max_record_lines: int = Field(default=1000, ge=1)
    """For csv: how many lines a record may have. One with more refuses its file: a quote that is missing or stray makes
    one value of all records up to the next quote."""
    max_record: Size = USUAL_RECORD
    """For csv, ndjson and json: how long a record may be, ``2MB`` by default and at most ``16MB``. A longer one is
    quarantined as ``line_too_long``; one above 16 MB refuses its file."""
    null_values: tuple[str, ...] = ()
    """Texts of a whole field that mean no value, such as ``-`` or ``n/a``, beside the empty text, which does so for all
    types but ``string``; upper and lower case differ."""
    empty: Literal["null", "text"] = "null"
    """For csv: what a field of type ``string`` is that is empty and without quotes: no value (default), or empty
    ``text``, as of writers that spell the absence of a value."""
    records: str | None = None
    """For json: the member that holds the array, as a dotted path; the document itself when absent."""

    @model_validator(mode="before")
    @classmethod
    def _with_preset(cls, given: Any) -> Any:
        return resolved_format(given)

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, encoding: str) -> str:
        try:
            "".encode(encoding)
        except LookupError as e:
            raise ValueError(f"unknown encoding {encoding!r}") from e
        return encoding.lower()

    @field_validator("skip_footer")
    @classmethod
    def _some_lines(cls, footer: int | LineStart) -> int | LineStart:
        if isinstance(footer, int) and not 0 <= footer <= MOST_FOOTER_LINES:
            raise ValueError(f"skip_footer is a number of lines from 0 to {MOST_FOOTER_LINES}, or starts_with")
        return footer

    @model_validator(mode="after")
    def _lines_can_be_left_out(self) -> Self:
        if self.repeated_header == "leave_out" and not self.has_header:
            raise ValueError("repeated_header: leave_out needs a header, and header is false")
        if not all(self.comment):
            raise ValueError("a text of comment is empty, with which every line begins; leave it out")
        if any("\n" in text or "\r" in text or (self.quote and text.startswith(self.quote)) for text in self.comment):
            raise ValueError("comment is the text with which lines begin that are left out: no line end and no quote")
        if self.leaves_out_lines and self.prepared != "csv":
            raise ValueError(
                "header.starts_with, comment, skip_footer and repeated_header are for csv and xlsx, and kind is "
                f"{self.kind}; skip_rows_where leaves rows out of any kind"
            )
        return self

    @property
    def has_header(self) -> bool:
        return self.header is not False

    @property
    def leaves_out_lines(self) -> bool:
        """Whether lines have to be told apart before files are read."""
        named = isinstance(self.header, LineStart) or isinstance(self.skip_footer, LineStart)
        return named or bool(self.comment or self.skip_footer) or self.repeated_header == "leave_out"

    @field_validator("max_record")
    @classmethod
    def _readable(cls, size: int) -> int:
        if not SHORTEST_LIMIT <= size <= LONGEST_RECORD:
            bounds = f"{write_size(SHORTEST_LIMIT)} to {write_size(LONGEST_RECORD)}"
            raise ValueError(f"a record may have {bounds}, not {write_size(size)}")
        return size

    @model_validator(mode="after")
    def _can_be_told_apart(self) -> Self:
        if len(self.delimiter.encode()) > _WIDEST_DELIMITER:
            raise ValueError(f"delimiter {self.delimiter!r} has more than {_WIDEST_DELIMITER} bytes in UTF-8")
        marks = (self.quote, self.escape if self.quote else "")
        if any(mark and mark in self.delimiter for mark in ("\n", "\r", *marks)):
            raise ValueError(f"delimiter {self.delimiter!r} holds the quote, the escape or a line end")
        if not self.quote and self.escape not in ("", '"'):
            raise ValueError(
                f"escape {self.escape!r} stands before a quote within quotes, and quote is empty; leave it out, and "
                "ask for fields in quotes where they may hold a delimiter or a line end"
            )
        if self.header_match == "loose" and self.prepared == "ndjson":
            raise ValueError(f"header_match: loose is for tables; members of {self.kind} are named exactly")
        return self

    @field_validator("members")
    @classmethod
    def _patterns(cls, members: tuple[str, ...]) -> tuple[str, ...]:
        if not all(pattern.strip() for pattern in members):
            raise ValueError("a pattern of members is empty; leave members out to read all of an archive")
        return members

    @field_validator("sheet")
    @classmethod
    def _counted_from_one(cls, sheet: str | int | None) -> str | int | None:
        if sheet == "" or (isinstance(sheet, int) and sheet < 1):
            raise ValueError("sheet is a name, or a number from 1")
        return sheet

    @field_validator("range")
    @classmethod
    def _known_range(cls, text: str | None) -> str | None:
        if text is not None:
            CellRange.of(text)
        return text

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        fields = type(self).model_fields
        if self.kind != "xlsx" and (self.sheet is not None or self.range is not None):
            raise ValueError("sheet and range are for kind: xlsx")
        if self.skip_lines and self.range is not None:
            raise ValueError(
                "range says in which row the header is, so skip_lines does not apply; leave one of them out"
            )
        lacking = {"xlsx": _OF_TEXT, "avro": (*_OF_TEXT, *_OF_LINES)}.get(self.kind, ())
        if said := [name for name in lacking if getattr(self, name) != fields[name].default]:
            raise ValueError(f"{', '.join(said)}: not for kind: {self.kind}, which has no such thing; leave it out")
        return self

    @property
    def prepared(self) -> Prepared:
        """What the files are when the engines read them: text, lines of JSON, or Parquet."""
        return _PREPARED[self.kind]


@dataclass(frozen=True)
class CellRange:
    """Cells of a sheet, rows and columns from 1; None where there is no end."""

    first_column: int = 1
    first_row: int = 1
    last_column: int | None = None
    last_row: int | None = None

    @classmethod
    def of(cls, text: str) -> "CellRange":
        """
        Raises:
            ValueError: it is not written as cells of a sheet are.
        """
        found = re.fullmatch(r"([A-Z]{1,3})([0-9]{0,7})(?::([A-Z]{1,3})([0-9]{0,7}))?", text.upper())
        if found is None:
            raise ValueError(f"range {text!r} is not written as B4, B4:H, B4:H200 or B:H")
        left, top, right, bottom = found.groups()
        cells = cls(
            first_column=column_number(left),
            first_row=int(top or 1),
            last_column=column_number(right) if right else None,
            last_row=int(bottom) if bottom else None,
        )
        last_column, last_row = cells.last_column or MOST_SHEET_COLUMNS, cells.last_row or MOST_SHEET_ROWS
        if not cells.first_column <= last_column <= MOST_SHEET_COLUMNS:
            raise ValueError(f"range {text!r}: its columns do not go from left to right within A:XFD")
        if not 1 <= cells.first_row <= last_row <= MOST_SHEET_ROWS:
            raise ValueError(f"range {text!r}: its rows do not go from top to bottom within 1:{MOST_SHEET_ROWS}")
        return cells


def column_number(letters: str) -> int:
    """The number of a sheet's column, from 1 for A."""
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number
