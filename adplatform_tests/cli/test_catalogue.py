"""What the catalogue of Amazon's reports shows, here and in the README."""

import json
from pathlib import Path

import pytest

from adplatform.amazon.ads.definitions import READY_MADE
from adplatform.amazon.selling_partner import definitions as selling_partner
from adplatform.cli.catalogue import catalogue, marks, with_tables
from adplatform.failures import PermanentFailure

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_has_the_ready_made_reports_as_they_are() -> None:
    text = README.read_text(encoding="utf-8")
    assert text == with_tables(text), "run `make readme-tables`"
    assert all(f"| `{name}` |" in text for name in (*READY_MADE, *selling_partner.READY_MADE))
    with pytest.raises(PermanentFailure, match="the document lacks <!-- ready-made reports of ads"):
        with_tables(text.replace(marks("ads")[1], ""))


def test_every_report_type_is_listed_on_lines_that_a_terminal_has(capsys: pytest.CaptureFixture[str]) -> None:
    catalogue()
    shown = capsys.readouterr().out
    names = ("dspInventory", "st_targeting", "GET_SALES_AND_TRAFFIC_REPORT", "vendor_sales")
    assert all(name in shown for name in names)
    assert max(map(len, shown.splitlines())) <= 160


def test_a_report_type_is_shown_with_all_that_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    catalogue("dspInventory")
    shown = " ".join(capsys.readouterr().out.split())
    assert "kept 95 days" in shown
    assert "placementSize placement_size string observed: sizes such as 300x250" in shown


def test_programs_get_the_same_by_the_name_of_a_ready_made_report(capsys: pytest.CaptureFixture[str]) -> None:
    catalogue("sp_search_terms", json=True)
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["type"], found["retention_days"], found["attribution_days"]) == ("spSearchTerm", 95, [1, 7, 14, 30])
    assert found["options"]["searchTerm"]["keywordType"][0] == "BROAD"
    columns = {each["name"]: each for each in found["tables"][0]["columns"]}
    assert (columns["sales14d"]["column"], columns["sales14d"]["type"]) == ("sales_14d", "decimal(18,6)")
    catalogue("sales_and_traffic", json=True)
    (found,) = json.loads(capsys.readouterr().out)
    assert [table["name"] for table in found["tables"]] == ["sales_and_traffic_by_date", "sales_and_traffic_by_asin"]


def test_what_is_not_there_is_named_with_what_is_near() -> None:
    with pytest.raises(PermanentFailure, match=r"'spSearchTerms' is no report type .*\(did you mean spSearchTerm\?\)"):
        catalogue("spSearchTerms")
    with pytest.raises(PermanentFailure, match="'sales_and_traffic' is no report type"):
        catalogue("sales_and_traffic", api="ads")
