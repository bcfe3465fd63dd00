"""Small files that were found to fall short once, kept beside the project: what each has to come to now."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from adplatform.contracts.model import Contract
from adplatform.drafting.trial import Trial, try_contract
from adplatform.failures import PermanentFailure

CASES = Path(__file__).parents[3] / "shared/data/file_cases"
OF_CONTRACT = ("columns", "format", "schema_policy", "defaults", "skip_rows_where")


def case(name: str, rows: Any, *, file: str = "f.csv", quarantined: int = 0, left_out: int = 0, **settings: Any) -> Any:
    said = " ".join(f"{key}={value}" for key, value in settings.items())
    return pytest.param(name, file, settings, rows, (quarantined, left_out), id=f"{name} {said}".strip())


def tried(tmp_path: Path, name: str, file: str, settings: Mapping[str, Any]) -> Trial:
    declared = CASES / name / "defs.yaml"
    if not declared.is_file():
        pytest.skip(f"the case {name} is kept elsewhere")
    [feed] = yaml.safe_load(declared.read_text(encoding="utf-8"))["attributes"]["feeds"]
    contract = {key: value for key, value in feed.items() if key in OF_CONTRACT}
    return try_contract(Contract.model_validate(contract | settings), declared.with_name(file), tmp_path / "work")


def _shown(value: Any) -> Any:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else None if value is None else str(value)


FORMATS = ["%b %d, %Y", "%d-%b-%Y", "%d.%m.%y", "%m/%d/%y"]
TWO = [("1", "x"), ("2", "y")]
SPENT = [("2026-11-01", "1.00"), ("2026-11-02", "2.00")]


@pytest.mark.filterwarnings("ignore::adplatform.contracts.strict.RenamedSetting")
@pytest.mark.parametrize(
    ("name", "file", "settings", "rows", "aside"),
    [
        case("01-sep-line", TWO, left_out=1),
        case(
            "07-ga4-comment-block",
            [("1440", "725"), ("1920", "3505")],
            left_out=5,
            format={"comment": "#"},
            defaults={"thousands": ","},
            skip_rows_where="w is null",
        ),
        case("08-footer-lines", SPENT, left_out=1, format={"skip_footer": 1}),
        case("08-footer-lines", SPENT, left_out=1, format={"skip_footer": {"starts_with": "***"}}),
        case("10-trailing-delimiter", TWO),
        case("111-evolve-removed", [("2", None)], file="2.csv"),
        case("111-evolve-removed", "have it written as declared", file="2.csv", schema_policy="freeze"),
        case("111-evolve-removed", [], file="2.csv", schema_policy="quarantine"),
        case("117-evolve-email-leak", [("1",)], file="1.csv"),
        case(
            "123-sci-decimal",
            [
                ("0.000000", "-0.0"),
                ("0.000010", "1.0"),
                ("0.000010", "1e-05"),
                ("0.500000", "0.5"),
                ("3.000000", "3.0"),
                ("5.000000", "5.0"),
            ],
            file="1.csv",
        ),
        case("20-localised-dates", [("2026-11-25",)] * 5, columns={"d": {"type": "date", "formats": FORMATS}}),
        case("20-localised-dates", [("2026-11-25",)], quarantined=4),
        case(
            "23-micros",
            [("0.000001",), ("1.230000",), ("9007199254.740993",), ("999999999999.999999",)],
        ),
        case("46-bool-variants", [("True",)] * 4, quarantined=1),
        case("50-unclosed-quote-mid", "the record in line 10001 has more than 1000 lines.*format.max_record_lines"),
        case("52-quote-opens-here-closes-there", "the record in line 10001 .*format.max_record_lines"),
        case(
            "62c-ndjson-dup-key-inconsistent",
            [("1", "1", "1.50000000000000000000"), ("2", "1", "1.23456789012345678000")],
            file="f.json",
        ),
        case(
            "64-ndjson-nested",
            [
                ("1", "x", "1.50", '[{"action_type":"click","value":"3"}]', "3"),
                (None, None, None, "[]", None),
            ],
            file="f.json",
        ),
        case("66-ndjson-undeclared-nested-evolve", [("1", "n", '{"y":1}')], file="f.json"),
        case(
            "81-parquet-ns-tz",
            [
                (
                    "1969-12-31T23:59:59.999999+00:00",
                    "1970-01-01T00:00:00+00:00",
                    "1970-01-01T00:00:00+00:00",
                ),
                (
                    "2025-11-25T14:00:00.123456+00:00",
                    "2025-11-25T14:00:00.123456+00:00",
                    "2025-11-25T14:00:00.123000+00:00",
                ),
                (None, None, None),
            ],
            file="f.parquet",
        ),
        case(
            "81b-pandas-tz-ns-parquet",
            [("1", "2026-11-25T14:00:00+00:00"), ("2", "2026-11-25T15:30:00.500000+00:00")],
            file="f.parquet",
        ),
        case("83-parquet-nested-dict-binary", [("2", None, None, "b", "ok")], file="f.parquet", quarantined=1),
        case(
            "83-parquet-nested-dict-binary",
            [("1", "[1,2]", '{"x":1,"y":"a"}', "a", "ff00"), ("2", None, None, "b", "ok")],
            file="f.parquet",
            defaults={"bytes": "hex"},
        ),
        case("89b-pandas-date", [("1", "2026-11-25")], file="f.parquet"),
        case("91-zip-readme", TWO, file="f.zip", format={"members": "*.csv"}),
        case("91-zip-readme", "set format.members", file="f.zip"),
        case("99-tar-gz", TWO, file="f.tar.gz"),
    ],
)
def test_the_file_is_read_or_refused_with_the_setting(
    tmp_path: Path, name: str, file: str, settings: Mapping[str, Any], rows: Any, aside: tuple[int, int]
) -> None:
    if isinstance(rows, str):
        with pytest.raises(PermanentFailure, match=rows):
            tried(tmp_path, name, file, settings)
        return
    staged = tried(tmp_path, name, file, settings).staged
    tables = [pq.ParquetFile(each.path).read() for each in staged.files]
    found = [tuple(_shown(v) for n, v in row.items() if n[0] != "_") for t in tables for row in t.to_pylist()]
    assert sorted(found, key=repr) == sorted(rows, key=repr)
    assert (staged.quarantined, staged.left_out) == aside
