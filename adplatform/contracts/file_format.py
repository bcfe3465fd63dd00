"""How the files of a feed are written."""

from typing import Literal

from pydantic import Field, field_validator

from adplatform.contracts.strict import Strict


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
    header: bool = True
    """For csv: whether the first line names the columns; otherwise they are in declared order."""
    header_order: Literal["strict", "any"] = "any"
    """For csv: whether the header may name the columns in ``any`` order (default)."""
    skip_lines: int = Field(default=0, ge=0)
    """For csv: how many lines come before the header, or before the first row where there is none."""
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
