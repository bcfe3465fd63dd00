"""How many rows have a value in each column, and which columns have lost theirs: a field that a sender leaves out from
some day on is no error of any row."""

from collections import Counter
from collections.abc import Mapping
from math import log
from typing import TYPE_CHECKING

from adplatform.failures import listed
from adplatform.lake.audit import AuditFinding
from adplatform.platform.late import Late
from adplatform.transform.values import Staged

if TYPE_CHECKING:
    import pyarrow.parquet as pq
else:
    pq = Late("pyarrow.parquet")

_ALWAYS = "_source_file"
"""A column with a value in every row."""
_CHANCE = 0.001
"""That a column which loses nothing has no value in a delivery, below which it is reported."""


def filled(staged: Staged) -> dict[str, int]:
    """Rows with a value by column, of the files that were written, as their statistics have it."""
    counts: Counter[str] = Counter()
    for file in staged.files:
        footer = pq.read_metadata(file.opened())
        for group in (footer.row_group(n) for n in range(footer.num_row_groups)):
            for column in (group.column(n) for n in range(group.num_columns)):
                empty = column.statistics.null_count if column.is_stats_set else 0
                counts[column.path_in_schema] += group.num_rows - (empty or 0)
    return dict(counts)


def vanished(now: Mapping[str, int], before: Mapping[str, int]) -> AuditFinding:
    """Whether a column that so many rows of the delivery ``before`` had a value in has none in any row ``now``, and
    that is no chance. Both are what :func:`filled` says; a column that only one of them has is no matter."""
    lost = [f"{name} ({share:.0%} before)" for name, share in _lost(now, before).items()]
    text = (
        f"no value in any of {now.get(_ALWAYS, 0)} rows: {listed(lost)}; is the field still there, and may it be read?"
    )
    good = "no column has lost its values"
    return AuditFinding("fields_present", not lost, False, text if lost else good, {"columns": len(lost)})


def remembered(now: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    """What the next delivery is compared with: a column that has lost its values is lost until it has some again, and
    a delivery without rows says nothing."""
    rows = now.get(_ALWAYS, 0)
    lost = {name: max(1, round(share * rows)) for name, share in _lost(now, before).items()}
    return {**now, **lost} if rows else dict(before)


def _lost(now: Mapping[str, int], before: Mapping[str, int]) -> dict[str, float]:
    """Columns that have lost their values, with the share of rows that had one. Of few rows before, all or none may
    have been chance, too, so the share is drawn to the middle (Laplace's rule of succession)."""
    rows, rows_before = now.get(_ALWAYS, 0), before.get(_ALWAYS, 0)
    lost = {}
    for name, count in before.items():
        share = (count + 1) / (rows_before + 2)
        if rows and count and now.get(name) == 0 and share < 1 and rows * log(1 - share) < log(_CHANCE):
            lost[name] = count / rows_before
    return lost
