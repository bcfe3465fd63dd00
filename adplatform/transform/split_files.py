"""Files of csv that are split here and not by DuckDB, which loses rows and makes wrong ones of others where a quote is
broken: rows of text, as Parquet, and rejects."""

from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from adplatform.contracts.file_format import FileFormat
from adplatform.files.input_file import InputFile
from adplatform.platform.late import Late
from adplatform.transform.layouts import UNNAMED, Layout, first_record
from adplatform.transform.rejects import Reject
from adplatform.transform.splitting import Count, Shape, Splitting, shape_of, split

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
else:
    pa = Late("pyarrow")
    pc = Late("pyarrow.compute")
    pq = Late("pyarrow.parquet")

_LINE = "line"


@dataclass(frozen=True)
class SplitFile:
    """``rows`` is Parquet with the fields of the layout, as ``c0`` and so on, in the order of the file. ``breaks`` are
    the line ends within their values."""

    file: InputFile
    layout: Layout
    rows: Path
    rejects: tuple[Reject, ...]
    breaks: int

    def lines(self, wanted: "array[int]") -> "array[int]":
        """The lines of the delivered file in which rows begin, each by its place among all, from 1."""
        places = pa.array([place - 1 for place in wanted], pa.int64())
        lines = pc.take(pq.read_table(self.rows, columns=[_LINE]).column(0), places)
        return array("q", map(self.file.delivered_line, lines.to_pylist()))


def fields_of(layout: Layout) -> tuple[str, ...]:
    """The columns, and what stands behind them."""
    return (*layout.columns, *(f"{UNNAMED}{number}" for number in range(layout.lines.unnamed)))


def split_file(file: InputFile, delivered: InputFile, fmt: FileFormat, layout: Layout, directory: Path) -> SplitFile:
    """Split a file, which may be a copy of the ``delivered`` one, and write its rows to ``directory``.

    Raises:
        BadFile: a record has more lines than the format allows, or a carriage return stands outside of quotes.
    """
    fields, record, count = fields_of(layout), first_record(file, fmt), Count()
    shape = shape_of(file, fmt, len(fields), record) if record else Shape(len(fields))
    target, rejects = directory / f"{file.ordinal}-split", list[Reject]()
    schema = pa.schema([*((f"c{place}", pa.string()) for place in range(len(fields))), (_LINE, pa.int64())])
    with pq.ParquetWriter(target, schema) as writer:
        for each in split(file, fmt, Splitting.of(fmt), shape, count, delivered):
            if isinstance(each, Reject):
                rejects.append(each)
            else:
                writer.write_batch(pa.record_batch([*each.columns, pa.array(each.lines)], schema=schema))
    rejects.sort(key=lambda reject: (reject.line, reject.byte_position))
    return SplitFile(file, layout, target, tuple(rejects), count.breaks)
