"""A sheet of a workbook as csv, with an empty line for each row without a value."""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

from adplatform.contracts.file_format import MOST_SHEET_COLUMNS, MOST_SHEET_ROWS, CellRange, FileFormat, LineStart
from adplatform.files.budget import Budget
from adplatform.files.input_file import SheetRows
from adplatform.files.workbook import Row, Sheet, Workbook, chosen_sheet, opened_workbook

_SPECIAL = re.compile(r'["\r\n]')
_PIECE = 1 << 18
"""Characters."""


def sheet_text(
    path: Path, fmt: FileFormat, origin: str, budget: Budget, disk: Path, rows: SheetRows
) -> Iterator[bytes]:
    """The text of the sheet that ``fmt`` says, which is on its way to ``disk``, in UTF-8 with what csv has by default.

    Rows without a value are empty lines, which no reader takes for rows, and none at the end. A row is as wide as the
    header, or without one as the widest; values beyond are fields too many. ``rows`` learns where each row begins.

    Raises:
        BadFile: it is no workbook, damaged, above a limit, or nobody knows which sheet is meant.
    """
    with opened_workbook(path, origin, budget) as workbook:
        yield from budget.spend(_pieces(workbook, fmt, rows), disk)


def _pieces(workbook: Workbook, fmt: FileFormat, rows: SheetRows) -> Iterator[bytes]:
    sheet, cells = chosen_sheet(workbook, fmt.sheet), CellRange.of(fmt.range or "A1")
    width = 0 if fmt.has_header else _widest(workbook, sheet, cells)
    pieces, size, number, line = list[str](), 0, 1, 1
    for row in _within(workbook.rows(sheet), cells):
        text = line_of(row, width)
        if not width and is_header(text, row, fmt):
            width = _width(row)
        elif not width or row.number <= fmt.skip_lines:
            # What stands above the header counts as lines, so a row of it must be one.
            text = line_of(Row(row.number, {n: value.replace("\n", " ") for n, value in row.cells.items()}), width)
        # Of one column an empty line would be a value.
        blank = "" if width == 1 else "\n" * (row.number - number)
        rows.add(line + len(blank), row.number)
        pieces += [blank, text]
        size, number, line = size + len(text), row.number + 1, line + len(blank) + text.count("\n")
        rows.add(line, number)
        if size >= _PIECE:
            yield "".join(pieces).encode()
            pieces, size = [], 0
    yield "".join(pieces).encode()


def line_of(row: Row, width: int) -> str:
    """A row as a line of csv, with so many fields at least."""
    values = [row.cells.get(column, "") for column in range(1, max(width, _width(row)) + 1)]
    text = ",".join(values)
    if not _SPECIAL.search(text) and text.count(",") == len(values) - 1:
        return text + "\n"
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerow(values)
    return written.getvalue()


def is_header(text: str, row: Row, fmt: FileFormat) -> bool:
    """Whether a row is the header, where none of those before it was."""
    if row.number <= fmt.skip_lines or (fmt.comment and text.startswith(fmt.comment)):
        return False
    starts = fmt.header.starts_with if isinstance(fmt.header, LineStart) else ("",)
    return any(text.startswith((start, f'"{start}')) for start in starts)


def _widest(workbook: Workbook, sheet: Sheet, cells: CellRange) -> int:
    if cells.last_column:
        return cells.last_column - cells.first_column + 1
    return max(map(_width, _within(workbook.rows(sheet), cells)), default=0)


def _width(row: Row) -> int:
    return max(row.cells)


def _within(rows: Iterator[Row], cells: CellRange) -> Iterator[Row]:
    """The rows that have a value within the range, as far as they are."""
    for row in rows:
        if row.number > (cells.last_row or MOST_SHEET_ROWS):
            return
        if found := narrowed(row, cells):
            yield found


def narrowed(row: Row, cells: CellRange) -> Row | None:
    """What of a row is within a range, with columns counted from its first; None where that has no value."""
    first, last = cells.first_column, cells.last_column or MOST_SHEET_COLUMNS
    found = {column - first + 1: value for column, value in row.cells.items() if first <= column <= last}
    is_below = cells.first_row <= row.number <= (cells.last_row or MOST_SHEET_ROWS)
    return Row(row.number, found) if found and is_below else None
