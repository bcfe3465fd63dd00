"""Which share of a delivery's names conforms to their conventions, of rows and of what was paid. The names are in
tables and in what commands print, and nowhere else."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from adplatform.contracts.model import Contract
from adplatform.contracts.naming import ROWS, Naming, named_columns
from adplatform.platform.late import Late
from adplatform.platform.parquet_files import batches_of, opened
from adplatform.transform.values import StagedParquet

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc
else:
    pa = Late("pyarrow")
    pc = Late("pyarrow.compute")

ADVICE = "; `adplatform naming` lists the others"


@dataclass(frozen=True)
class Conforming:
    """How many rows have a name in ``column``, and how many of them one that conforms; the same of what was paid, by
    the column ``spend``, which is "" where there is none or nothing was paid."""

    column: str
    rows: int
    conforming: int
    spend: str = ""
    paid: float = 0.0
    paid_conforming: float = 0.0

    @property
    def share_of_rows(self) -> float:
        return self.conforming / self.rows if self.rows else 1.0

    @property
    def share_of_spend(self) -> float:
        return self.paid_conforming / self.paid if self.spend else 1.0

    def is_enough(self, naming: Naming) -> bool:
        """Whether as much conforms as is asked for."""
        share = self.share_of_spend if self.spend and naming.by != ROWS else self.share_of_rows
        return self.conforming == self.rows or (naming.at_least < 1 and share >= naming.at_least)

    def __str__(self) -> str:
        of_spend = f", {self.share_of_spend:.1%} of {self.spend}" if self.spend else ""
        return f"{self.share_of_rows:.1%} of the names in {self.column}{of_spend}"

    @property
    def metrics(self) -> dict[str, int | float]:
        of_rows = {"rows": self.rows, "rows_not_conforming": self.rows - self.conforming}
        shares = {"share_of_rows": self.share_of_rows} if self.rows else {}
        shares |= {"share_of_spend": self.share_of_spend} if self.spend else {}
        return {f"{self.column}_{name}": value for name, value in (of_rows | shares).items()}


def conforming(files: Sequence[StagedParquet], contract: Contract, naming: Naming) -> tuple[Conforming, ...]:
    """What conforms of the staged files of a delivery to the conventions of its contract, by column."""
    spend = naming.spend(c for c in contract.columns if c.name != contract.partition_by)
    named = {each.name: each.column for each in named_columns(naming) if not each.field}
    counts = {name: [0, 0, 0.0, 0.0] for name in named}
    for batch in _batches(files, [*named, *([spend] if spend else [])]):
        paid = batch.column(spend).cast("float64") if spend else None
        for name, counted in counts.items():
            conforms = batch.column(name)
            counted[0] += len(conforms) - conforms.null_count
            counted[1] += conforms.true_count
            if paid is not None:
                counted[2] += _sum(paid.filter(conforms.is_valid()))
                counted[3] += _sum(paid.filter(conforms))
    return tuple(
        Conforming(named[name], int(rows), int(good), spend or "", paid, paid_good)
        if paid > 0
        else Conforming(named[name], int(rows), int(good))
        for name, (rows, good, paid, paid_good) in counts.items()
    )


def _sum(numbers: "pa.Array") -> float:
    return float(pc.sum(numbers).as_py() or 0.0)


def _batches(files: Sequence[StagedParquet], columns: Sequence[str]) -> "Iterator[pa.RecordBatch]":
    for file in files:
        source = file.opened()
        with nullcontext() if isinstance(source, Path) else source, opened(source) as parquet:
            yield from batches_of(parquet, columns)
