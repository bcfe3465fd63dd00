"""What it costs to look for personal data in undeclared columns, against storing them unseen, in CPU seconds.

python -m benchmarks.undeclared
"""

import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

from adplatform.contracts.model import Contract
from adplatform.files.input_file import InputFile
from adplatform.transform.duckdb_engine import EngineLimits, transform

Values = tuple[Callable[[int], str], ...]
VALUES: Values = (
    lambda n: str(10_000_000_000 + n * 7_919),
    lambda n: f"2026-{n % 12 + 1:02}-14",
    lambda n: f"Campaign {n} summer",
    lambda n: f"{n * 7 % 1000}.25",
    lambda n: "",
    lambda n: f"https://shop.example/p/{n}?x=1",
    lambda n: "true",
    str,
    lambda n: f"2026-03-14 10:{n % 60:02}:00",
    lambda n: f"group-{n % 7}",
)
SUSPECTS: Values = (
    lambda n: f"ann{n}@example.com",
    lambda n: f"+49 30 {n:07}",
    lambda n: f"(030) {n:07}",
    lambda n: f"Mail to bob{n}@example.com",
    lambda n: f"Campaign {n} summer",
)
SHAPES = ((900, 20, VALUES), (20, 400_000, VALUES), (20, 400_000, SUSPECTS))
"""Columns, rows, and what is in them."""


def write(path: Path, columns: int, rows: int, values: Values) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(",".join(["id", *(f"extra_{n}" for n in range(columns))]) + "\n")
        for row in range(rows):
            file.write(",".join([str(row), *(values[n % len(values)](row) for n in range(columns))]) + "\n")


def seconds(path: Path, undeclared_personal: str) -> float:
    contract = Contract.model_validate(
        {"columns": {"id": "int"}, "schema_policy": "evolve", "undeclared_personal": undeclared_personal}
    )
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        transform(
            contract, [InputFile(path, "file", 0)], date(2026, 3, 14), None, Path(folder) / "work", EngineLimits()
        )
        return time.process_time() - began


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for columns, rows, values in SHAPES:
            path = Path(folder) / f"{columns}.csv"
            write(path, columns, rows, values)
            clear, looked = seconds(path, "clear"), seconds(path, "quarantine")
            shape = f"{columns} columns{' of suspects' if values is SUSPECTS else ''}, {rows:,} rows"
            print(f"{shape}: {looked:.2f}, clear {clear:.2f}, ratio {looked / clear:.2f}")


if __name__ == "__main__":
    main()
