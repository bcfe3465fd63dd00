"""Files of rows, as CSV or Parquet."""

import gzip
import io
from collections.abc import Sequence
from dataclasses import dataclass

from adplatform.local.aws.dms import values
from adplatform.local.aws.dms.pgoutput import Column
from adplatform.local.aws.dms.settings import Target

Row = Sequence[str | None]
"""Values as in CSV."""


@dataclass(frozen=True)
class Field:
    """A column of a file: one of the source's table, or a text that DMS adds."""

    name: str
    column: Column | None = None


def encoded(target: Target, fields: Sequence[Field], rows: Sequence[Row]) -> bytes:
    if target.parquet:
        return _parquet(target, fields, rows)
    header = [line(target, [field.name for field in fields])] if target.header else []
    return compressed(target, "".join([*header, *(line(target, row) for row in rows)]))


def compressed(target: Target, text: str) -> bytes:
    body = text.encode()
    return gzip.compress(body, 6, mtime=0) if target.gzip else body


def line(target: Target, row: Row) -> str:
    """A row of CSV. Where RFC 4180 is off, values are written as they are, whatever is in them."""
    special = (target.delimiter, target.row_delimiter, '"', "\n", "\r")

    def cell(value: str | None) -> str:
        if value is None:
            return target.null
        if target.quoted and any(mark in value for mark in special):
            doubled = value.replace('"', '""')
            return f'"{doubled}"'
        return value

    return target.delimiter.join(map(cell, row)) + target.row_delimiter


def _parquet(target: Target, fields: Sequence[Field], rows: Sequence[Row]) -> bytes:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    arrays = []
    for number, field in enumerate(fields):
        kind, read = values.arrow(field.column, milliseconds=target.milliseconds)
        arrays.append(pa.array([None if (text := row[number]) is None else read(text) for row in rows], kind))
    sink = io.BytesIO()
    table = pa.Table.from_arrays(arrays, [field.name for field in fields])
    pq.write_table(table, sink, compression="gzip" if target.gzip else "none")
    return sink.getvalue()
