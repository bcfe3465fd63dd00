"""How the files of a feed are written."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

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


class FileFormat(Strict):
    """How the files are written, after decryption."""

    kind: Literal["csv", "ndjson", "json", "parquet"] = "csv"
    """``csv`` (default) is any delimited text, ``ndjson`` one JSON document per line, ``json`` one document."""
    compression: Literal["auto", "none", "gzip", "zstd", "zip"] = "auto"
    """How the files are compressed; ``auto`` (default) looks at each, anything else refuses those that are not so."""
    encoding: str = "utf-8"
    """The encoding of text, by a name that Python knows: ``utf-8`` (default), ``utf-16`` as Excel's "Unicode text",
    ``cp1252`` as Windows in Western Europe. A byte order mark is no part of the text."""
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    """For csv: the character between fields; a tab is ``"\\t"`` in double quotes."""
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
