"""Which share of names conforms, of rows and of what was paid, and when that is said to be too little."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from adplatform.contracts.model import Contract
from adplatform.files.input_file import InputFile
from adplatform.lake.audit import AuditFinding, audit
from adplatform.transform.duckdb_engine import EngineLimits, transform
from adplatform.transform.values import Staged

# Of five rows with names three conform, and of the 50 that they cost 40.
ROWS = "name,cost,n\nde_a,30,1\nus_b,10,2\nUS_c,,3\nxx_d,10,4\nsecret,-0,5\n,1000,6\n"
COLUMNS = {"name": None, "cost": "decimal(12,2)", "n": "int"}


def contract(columns: dict[str, Any] = COLUMNS, **settings: Any) -> Contract:
    naming = {"name": "{market}_{what}", "allowed": {"market": ["de", "us"]}, **settings}
    return Contract.model_validate({"columns": columns, "naming": naming})


def delivered(work: Path, text: str, by: Contract) -> Staged:
    (work / "a.csv").write_text(text, encoding="utf-8")
    files = [InputFile(work / "a.csv", "file:a", 0)]
    staged = transform(by, files, date(2026, 3, 14), None, work / "out", EngineLimits("256MB"))
    assert (staged.clean, staged.quarantined) == (len(text.splitlines()) - 1, 0), "no row goes for its name"
    return staged


def found(staged: Staged, by: Contract) -> AuditFinding:
    [finding] = [each for each in audit(staged, by) if each.name == "naming"]
    return finding


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Staged:
    return delivered(tmp_path_factory.mktemp("delivered"), ROWS, contract())


def test_shares_are_of_rows_and_of_what_was_paid_and_no_name_is_told(staged: Staged) -> None:
    finding = found(staged, contract())
    assert (finding.passed, finding.blocking) == (False, False)
    assert finding.metrics == {
        "name_rows": 5,
        "name_rows_not_conforming": 2,
        "name_share_of_rows": 0.6,
        "name_share_of_spend": 0.8,
    }
    assert finding.description == (
        "60.0% of the names in name, 80.0% of cost conform, all wanted; `adplatform naming` lists the others"
    )
    assert "secret" not in str(finding)


@pytest.mark.parametrize(
    ("settings", "passed"),
    [
        ({"at_least": "80%"}, True),
        ({"at_least": "80.5%"}, False),
        ({"at_least": "60%", "by": "rows"}, True),
        ({"at_least": "61%", "by": "rows"}, False),
        ({"at_least": "95%", "by": "n"}, False),
    ],
)
def test_the_least_share_is_of_what_was_paid_or_of_rows(staged: Staged, settings: dict[str, Any], passed: bool) -> None:
    finding = found(staged, contract(**settings))
    assert (finding.passed, f"{settings['at_least']} wanted" in finding.description) == (passed, not passed)


def test_without_a_column_of_what_was_paid_rows_count_and_without_names_nothing_is_wrong(tmp_path: Path) -> None:
    by = contract({"name": None, "n": "int"}, at_least="50%")
    (tmp_path / "none").mkdir()
    finding = found(delivered(tmp_path, "name,n\nde_a,1\nx,2\n", by), by)
    assert (finding.passed, finding.metrics["name_share_of_rows"]) == (True, 0.5)
    finding = found(delivered(tmp_path / "none", "name,n\n,1\n", by), contract({"name": None, "n": "int"}))
    assert (finding.passed, finding.metrics) == (True, {"name_rows": 0, "name_rows_not_conforming": 0})
