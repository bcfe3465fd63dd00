"""What people are told of files that were read otherwise than they may have been meant, and what tables have and files
lack where the schema evolves: columns that are declared, or that earlier files had."""

from collections.abc import Iterable
from dataclasses import replace

from adplatform.contracts.model import Contract
from adplatform.failures import listed
from adplatform.transform.values import Staged


def compared_to(staged: Staged, contract: Contract, before: Iterable[str]) -> Staged:
    """The delivery with those of the columns ``before``, which earlier ones had, among the ``lacking`` that no file of
    it has. What the contract has come to declare since is compared by the contract. Members of JSON are not compared:
    any document may be without any."""
    if contract.format.prepared == "ndjson":
        return staged
    declared = {column.name for column in contract.columns}
    known = [name for name in before if name not in declared]
    lost = dict.fromkeys((name for name in known if name not in staged.evolved), len(staged.counts))
    stored = {column.name for column in staged.columns}
    evolved = tuple(dict.fromkeys((*known, *(name for name in staged.evolved if name in stored))))
    return replace(staged, evolved=evolved, lacking={**staged.lacking, **lost} if staged.counts else {})


def withheld_said(staged: Staged) -> str:
    """Of which undeclared columns values are not stored, in the files that were read; "" of none."""
    said = listed(map(str, staged.withheld), separator="; ")
    return f"in the new files {said}" if said and staged.carried else said


def lacking_said(staged: Staged) -> str:
    """Which columns files lack; "" where they lack none."""
    files = len(staged.counts)
    lost = listed(f"{name} ({count} of {files} files)" for name, count in sorted(staged.lacking.items()))
    return f"files lack columns, whose rows have no value there: {lost}" if lost else ""


def footers_said(staged: Staged) -> str:
    """Which footers may be rows that begin like one; "" of none."""
    return listed(map(str, staged.footers), separator="; ")


def emptied_said(staged: Staged) -> str:
    """Which columns have no value in rows that had one of another type; "" of none."""
    said = (f"{column} ({rows:,} rows, {reason})" for column, reason, rows in emptied_columns(staged))
    return f"without the values that are not of their column's type: {named}" if (named := listed(said)) else ""


def emptied_columns(staged: Staged) -> list[tuple[str, str, int]]:
    """Each column with the reason and the number of rows."""
    return [(c, reason, n) for (reason, _, c), n in sorted((r.partition(":"), n) for r, n in staged.emptied.items())]


FOOTER_ADVICE = "; have the text of starts_with name what no row begins with, or leave the row out by skip_rows_where"
LACKING_ADVICE = (
    "; have them sent, declare the names that they have now (field), or those that may be left out as optional"
)
EMPTIED_ADVICE = (
    "; the rows are in the table without them. Have such a column read as another type (of an Ads report by "
    "unchecked_columns), which goes for new tables"
)
