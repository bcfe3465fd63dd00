"""How the files of a feed are written."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from adplatform.contracts.sizes import Size, write_size
from adplatform.contracts.strict import Names, Strict

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


LONGEST_RECORD = 16 << 20
"""Bytes. DuckDB 2.0 loses lines that do not fit into one of its buffers, which have twice as many."""
USUAL_RECORD = 2 << 20
SHORTEST_LIMIT = 1 << 10
_WIDEST_DELIMITER = 4
"""Bytes of UTF-8 that DuckDB takes."""


class FileFormat(Strict):
    """How the files are written, after decryption."""

    kind: Literal["csv", "ndjson", "json", "parquet"] = "csv"
    """``csv`` (default) is any delimited text, ``ndjson`` one JSON document per line, ``json`` one document."""
    compression: Literal["auto", "none", "gzip", "zstd", "zip"] = "auto"
    """How the files are compressed; ``auto`` (default) looks at each, anything else refuses those that are not so."""
    encoding: str = "utf-8"
    """The encoding of text, by a name that Python knows: ``utf-8`` (default), ``utf-16`` as Excel's "Unicode text",
    ``cp1252`` as Windows in Western Europe. A byte order mark is no part of the text."""
    delimiter: str = Field(default=",", min_length=1, max_length=4)
    """For csv: the characters between fields, one to four, such as ``||``; a tab is ``"\\t"`` in double quotes."""
    quote: str = Field(default='"', max_length=1)
    """For csv: the character around fields; empty where fields are never quoted."""
    escape: str = Field(default='"', max_length=1)
    """For csv: the character before a quote inside a field; the quote itself where quotes are doubled."""
    header: bool | LineStart = True
    """For csv: whether the first line names the columns; otherwise they are in declared order. ``{starts_with: Date}``
    is for exports with a title of some lines above the table: the first line that begins so names the columns, and
    those before it are left out. A file without such a line is refused."""
    header_order: Literal["strict", "any"] = "any"
    """For csv: whether the header may name the columns in ``any`` order (default)."""
    header_match: Literal["exact", "loose"] = "exact"
    """For csv with a header and for parquet: whether names of columns are compared as they are written (``exact``, the
    default), or without upper and lower case, blanks, underscores and byte order marks (``loose``): ``Amount spent`` is
    then ``amount_spent``."""
    ragged_rows: Literal["quarantine", "pad"] = "quarantine"
    """For csv: what becomes of a row that ends early: it is quarantined (default), or its missing last fields are no
    value (``pad``). One with more fields than columns is quarantined, unless those are empty."""
    skip_lines: int = Field(default=0, ge=0)
    """For csv: how many lines come before the header, or before the first row where there is none."""
    comment: str | None = Field(default=None, min_length=1)
    """For csv: lines that begin with this text, such as ``"#"``, are left out. Within quotes it is a text like any
    other."""
    skip_footer: int | LineStart = 0
    """For csv: the last lines that are not empty are left out, so many of them; or, with
    ``{starts_with: [Total, "***"]}``, all from the first line behind the header that begins so."""
    repeated_header: Literal["leave_out", "read"] = "read"
    """For csv: what a line is that has the text of the header once more, as of files that were put together: a row
    (default), or left out."""
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
        if self.comment and (
            "\n" in self.comment or "\r" in self.comment or (self.quote and self.comment.startswith(self.quote))
        ):
            raise ValueError("comment is the text with which lines begin that are left out: no line end and no quote")
        if self.leaves_out_lines and self.kind in ("ndjson", "json", "parquet"):
            raise ValueError(
                f"header.starts_with, comment, skip_footer and repeated_header are for csv, and kind is {self.kind}; "
                "skip_rows_where leaves rows out of any kind"
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
        if self.header_match == "loose" and self.kind not in ("csv", "parquet"):
            raise ValueError(f"header_match: loose is for csv and parquet; members of {self.kind} are named exactly")
        return self
