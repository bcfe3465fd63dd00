"""Records that no engine can be given: so long that DuckDB loses them unseen or never ends, or so wide that it keeps a
copy of them for every column that nobody declared.

DuckDB 2.0 reads in buffers of 32 MB. A line that does not fit into one is left out without a word, quotes that stay
open for as long keep it from ending, and a row of 100,000 columns too many is 100,000 rows of errors with the text of
the row in each. Nearly all files are known from their survey to hold no such record.
"""

from collections.abc import Iterable

from adplatform.contracts.file_format import LONGEST_RECORD
from adplatform.contracts.model import Contract
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.input_file import InputFile, surveyed
from adplatform.files.record_lines import Dialect, delimiters, pieces

MOST_UNDECLARED = 1_000
"""Columns that a record, a header or all JSON documents of a file may have beyond those that are declared."""


def refuse_long_records(contract: Contract, files: Iterable[InputFile]) -> None:
    """
    Raises:
        BadFile: a record is longer or wider than what can be read; names its first line.
    """
    if contract.format.prepared == "parquet":
        return
    dialect = Dialect.of(contract.format)
    most = len(contract.read_columns) + MOST_UNDECLARED
    for file in files:
        if surveyed(file, contract.format).suspect:
            _require_short(file, dialect, most)


def _require_short(file: InputFile, dialect: Dialect, most: int) -> None:
    size, columns, inside, first, number = 0, 1, False, 1, 1
    with file.path.open("rb") as stream:
        for line in pieces(stream):
            ends = line.endswith(b"\n")
            if not size:
                columns, first = 1, number
            if number > dialect.skip:
                size += len(line)
                if size > LONGEST_RECORD:
                    raise _refused(file, first, f"has more than {LONGEST_RECORD >> 20} MiB", " or close its quotes")
                if dialect.delimiter:
                    found, inside = delimiters(line, dialect, inside)
                    columns += found
                    if columns > most:
                        what = f"has more than {most} columns, {MOST_UNDECLARED} beyond the declared ones"
                        raise _refused(file, first, what)
                if ends and not inside:
                    size = 0
            number += ends


def _refused(file: InputFile, line: int, what: str, remedy: str = "") -> BadFile:
    return BadFile(
        file.origin,
        Reason.LAYOUT,
        f"the record in line {file.delivered_line(line)} {what}, which is more than can be read; have it written in "
        f"several{remedy}",
    )
