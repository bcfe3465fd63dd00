"""Deliveries of other shapes than the ads report in one file, for ``transform_1gb --case``.

``wide`` has 500 columns, ``long`` texts of 1 to 40 kB, with quotes and line ends within; in both 1 % of the rows have
an integer that is none. ``gzip`` and ``many`` are the ads report, packed, and in files of 20 kB.
"""

import gzip
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import transform_data
from benchmarks.transform_data import PARTITIONS, Truth

_FEW = 997
"""So many rows of a shape differ in more than their first columns."""
_FIRST: dict[str, dict[str, object]] = {
    "report_date": {"type": "date", "required": True},
    "id": {"type": "bigint", "required": True},
    "impressions": {"type": "bigint", "required": True},
}
_WIDE = _FIRST | {f"{kind[:1]}{n}": {"type": kind} for n in range(125) for kind in ("bigint", "decimal(18,4)")}
_WIDE |= {f"t{n}": {} for n in range(500 - len(_WIDE))}
_LONG = _FIRST | {"body": {}, "note": {}}


@dataclass(frozen=True)
class Case:
    """``make`` writes about so many bytes of csv into a directory that is not there yet. ``key`` and ``latest_by`` are
    empty where rows have none."""

    columns: Mapping[str, Mapping[str, object]]
    make: Callable[[Path, int], Truth]
    key: tuple[str, ...] = ()
    latest_by: str = ""

    @property
    def contract(self) -> dict[str, Any]:
        keyed = {"key": list(self.key), "latest_by": self.latest_by} if self.key else {}
        return {"columns": self.columns, "partition_by": "report_date"} | keyed


def _of_the_report(make: Callable[[Path, int], Truth]) -> Case:
    return Case(transform_data.COLUMNS, make, transform_data.KEY, "updated_at")


def _make_gzip(directory: Path, size: int) -> Truth:
    truth = transform_data.make(directory, size)
    for path in directory.glob("*.csv"):
        with path.open("rb") as plain, gzip.open(f"{path}.gz", "wb", compresslevel=1) as packed:
            shutil.copyfileobj(plain, packed, 1 << 20)
        path.unlink()
    return truth


def _make_few(columns: Mapping[str, object], ends: Callable[[], Iterator[str]]) -> Callable[[Path, int], Truth]:
    """Rows whose other fields are taken from a few, in turn."""

    def make(directory: Path, size: int) -> Truth:
        directory.mkdir(parents=True)
        known = list(ends())
        rows = size * _FEW // sum(len(end.encode()) + 30 for end in known)
        with (directory / "part-0000.csv").open("w", encoding="utf-8") as out:
            out.write(",".join(columns) + "\n")
            for i in range(rows):
                shown = "n/a" if i % 100 == 7 else i % 1_000_003
                out.write(f"2026-01-{i % PARTITIONS + 1:02d},{10**9 + i},{shown},{known[i % _FEW]}\n")
        bad = sum(i % 100 == 7 for i in range(rows))
        found = sum(i % 1_000_003 for i in range(rows) if i % 100 != 7)
        truth = Truth(rows, rows - bad, 0, 0, bad, found)
        (directory / "truth.json").write_text(json.dumps(asdict(truth)), encoding="utf-8")
        return truth

    return make


def _wide_ends() -> Iterator[str]:
    for n in range(_FEW):
        numbers = (
            f"{(n * 31 + place) * 7919 % 10**6},{n * place % 10**5}.{place * 37 % 10**4:04d}" for place in range(125)
        )
        yield ",".join([*numbers, *(f"group {n * place % 10_000}" for place in range(len(_WIDE) - 253))])


def _long_ends() -> Iterator[str]:
    for n in range(_FEW):
        text = f'Läuft, "{n}" und so weiter ' * 20 + "\n" if n % 3 else f"Plain words, number {n}; "
        body = (text * 4000)[: 1000 + n * 7919 % 39_000].replace('"', '""')
        yield f'"{body.rstrip(chr(34))}",{"note " * (n % 100)}{n}'


CASES = {
    "report": _of_the_report(transform_data.make),
    "wide": Case(_WIDE, _make_few(_WIDE, _wide_ends)),
    "long": Case(_LONG, _make_few(_LONG, _long_ends)),
    "gzip": _of_the_report(_make_gzip),
    "many": _of_the_report(lambda directory, size: transform_data.make(directory, size, size // 20_000)),
}
