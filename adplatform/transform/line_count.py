"""The lines of a csv file held against the rows that DuckDB made of it: what it lost is found here.

A line is a row, also one that is left out, or a line of a reject, stands within a value, is empty, or belongs to the
header.
"""

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adplatform.contracts.model import Contract
from adplatform.files.input_file import InputFile, surveyed
from adplatform.files.record_lines import Dialect, empty_lines, longest_record
from adplatform.transform.layouts import first_record
from adplatform.transform.record_places import integers
from adplatform.transform.rejects import Reject, too_many_lines
from adplatform.transform.rules import identifier

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Lines:
    """``breaks`` are the line ends within values of rows; ``lost`` are the files, by ordinal, of which a line is in no
    row and no reject."""

    breaks: int = 0
    lost: frozenset[int] = frozenset()


def count_lines(
    con: "duckdb.DuckDBPyConnection", contract: Contract, files: Sequence[InputFile], rejects: Sequence[Reject]
) -> Lines:
    """What ``validated`` and ``rejects`` leave of the lines of ``files``: of several DuckDB loses a record that its
    quotes keep open to the end of its file. Only files with more lines than rows are looked at, which few are;
    ``line_ends`` is defined, the rows of those that have line ends within values.

    Raises:
        BadFile: a row has more lines than the format allows.
    """
    fmt = contract.format
    con.execute("create or replace temp table line_ends (_file integer, _row bigint, ends bigint)")
    if not fmt.quote or not files:
        return Lines()
    rows = dict(con.execute("select _file, count(*) from validated group by _file").fetchall())
    aside = Counter(reject.file for reject in rejects)
    left = {f.ordinal: surveyed(f, fmt).lines - rows.get(f.ordinal, 0) - aside[f.ordinal] for f in files}
    suspects = [file for file in files if left[file.ordinal] > fmt.skip_lines + fmt.has_header]
    within = _within_values(con, contract, suspects) if suspects else {}
    for file in suspects:
        breaks, most = within.get(file.ordinal, (0, 0))
        if most >= fmt.max_record_lines:
            line = longest_record(file.path, Dialect.of(fmt), fmt.max_record_lines)
            raise too_many_lines(file.origin, line and file.delivered_line(line), fmt)
        left[file.ordinal] -= breaks
    lost = (f.ordinal for f in suspects if _has_more(f, contract, left[f.ordinal]))
    return Lines(sum(breaks for breaks, _ in within.values()), frozenset(lost))


def _has_more(file: InputFile, contract: Contract, lines: int) -> bool:
    """Whether so many lines are more than those of the header and before it, and empty ones."""
    fmt = contract.format
    header = first_record(file, fmt) if fmt.has_header else None
    size, before = 0, fmt.skip_lines
    if header is not None:
        with file.path.open("rb") as stream:
            size, before = header.size, stream.read(header.size).count(b"\n")
    return lines > before and lines > before + empty_lines(file.path, size, Dialect.of(fmt))


def _within_values(
    con: "duckdb.DuckDBPyConnection", contract: Contract, files: Sequence[InputFile]
) -> dict[int, tuple[int, int]]:
    """Line ends within values: of each file that has any all of them, and those of the row with the most."""
    texts = [identifier(c.name) for c in contract.read_columns if c.data_type.name == "string"]
    # To look for one costs little; few values have any.
    in_texts = " + ".join(f"case when contains({t}, chr(10)) then {_line_ends(t)} else 0 end" for t in texts) or "0"
    # In JSON a line end is two characters, and a backslash that is not one is doubled.
    plain = r"replace(_fields, '\\', '')"
    in_fields = rf"(strlen({plain}) - strlen(replace({plain}, '\n', ''))) // 2"
    counted = f"case when _reasons <> '' then {in_fields} else {in_texts} end"
    con.execute(
        f"insert into line_ends select * from (select _file, _row, {counted} as ends from validated)"
        f" where ends > 0 and _file in ({', '.join(str(f.ordinal) for f in files)})"
    )
    found = con.execute("select _file, sum(ends)::bigint, max(ends) from line_ends group by _file").fetchall()
    return {file: (breaks, most) for file, breaks, most in found}


def ends_before(con: "duckdb.DuckDBPyConnection") -> "array[int]":
    """Of each file with quarantined rows, by ordinal, the line ends within values of all rows before each of these, and
    last those of all rows."""
    bad = "select _file, _row, true as bad from validated where _reasons <> ''"
    rows = "rows between unbounded preceding and 1 preceding"
    summed = f"sum(coalesce(ends, 0)) over (partition by _file order by _row {rows})"
    return integers(
        con.execute(
            f"with bad as ({bad}),"
            f" before as (select _file, _row, bad, {summed} as ends from bad full join line_ends using (_file, _row)),"
            " every as (select _file, null as _row, any_value(total) as ends from bad left join"
            " (select _file, sum(ends) as total from line_ends group by _file) using (_file) group by _file)"
            " select coalesce(ends, 0)::bigint from (select _file, _row, ends from before where bad"
            " union all from every) order by _file, _row nulls last"
        )
    )


def _line_ends(text: str) -> str:
    return f"strlen({text}) - strlen(replace({text}, chr(10), ''))"
