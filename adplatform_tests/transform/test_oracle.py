"""The engines against deliveries whose truth is known."""

from collections import Counter
from pathlib import Path

import pytest

from adplatform.transform.duckdb_engine import EngineLimits, transform
from adplatform_tests.transform import oracle
from adplatform_tests.transform.outcome import bad_values, clean_rows, comparable, counted, given, quarantine_rows


@pytest.mark.parametrize(
    ("seed", "partition_by"),
    [(1, "dt"), (3, None), (5, "ad"), *(pytest.param(n, "day", marks=pytest.mark.slow) for n in (2, 4))],
)
def test_duckdb_output_is_exactly_the_truth(tmp_path: Path, seed: int, partition_by: str | None) -> None:
    truth = oracle.make(tmp_path / "in", seed, partition_by)
    staged = transform(
        truth.contract, truth.files, oracle.DELIVERY_DATE, oracle.KEY, tmp_path / "work", EngineLimits("512MB")
    )
    assert staged.quarantine is not None
    quarantined = quarantine_rows([staged.quarantine])

    assert comparable(clean_rows(staged, partition_by)) == comparable(truth.clean)
    assert counted(staged.counts) == truth.counts
    assert dict(staged.reasons) == dict(truth.reasons)
    assert bad_values(quarantined) == bad_values_of(truth)
    assert sorted(
        (r["source_file"], r["line"], r["byte_position"], tuple(r["reasons"]), r["raw"])
        for r in quarantined
        if r["fields"] is None
    ) == sorted(truth.structural)


def bad_values_of(truth: oracle.Delivery) -> Counter[object]:
    return Counter((origin, reasons, given(fields)) for origin, reasons, fields in truth.bad)
