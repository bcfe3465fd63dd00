"""Exports for dbt on a terminal."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from adplatform.cli import dbt
from adplatform.cli.app import app
from adplatform.flow.services import Services
from adplatform.patterns import faultless_defs

Run = Callable[..., tuple[int, str]]
SOURCES = {
    "AmazonAdsReports": {
        "source": "ads",
        "credentials": "any",
        "start_date": "2026-01-01",
        "reports": ["sp_ad_groups", {"name": "campaigns", "extends": "sp_campaigns", "remove": ["sales30d"]}],
    },
    "PartnerPush": {
        "source": "acme",
        "feeds": [{"name": "orders", "start_date": "2026-01-01", "columns": {"order_id": {"required": True}}}],
    },
}


@pytest.fixture
def run(services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Export into the folder ``models``; the status, and what is printed."""
    for kind, attributes in SOURCES.items():
        defs = tmp_path / "defs" / str(attributes["source"]) / "defs.yaml"
        defs.parent.mkdir(parents=True)
        defs.write_text(yaml.safe_dump({"type": f"adplatform.components.{kind}", "attributes": attributes}))
    monkeypatch.setattr(dbt, "faultless_defs", partial(faultless_defs, tmp_path / "defs"))
    monkeypatch.setattr(dbt, "connect", lambda: services)

    def ran(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["dbt", "export", *arguments, "--to", str(tmp_path / "models")])
        return result.exit_code, result.output

    return ran


def test_a_source_is_exported_and_exported_again_as_it_was(run: Run, tmp_path: Path) -> None:
    written = tmp_path / "models" / "sources.yml"
    assert run("acme") == (0, f"{written}: written\n")
    first = written.read_bytes()
    assert run("acme") == (0, f"{written}: as it was\n")
    assert written.read_bytes() == first
    [source] = yaml.safe_load(first)["sources"]
    assert [table["name"] for table in source["tables"]] == ["orders"]


def test_what_cannot_be_exported_is_said_and_nothing_is_written(run: Run, tmp_path: Path) -> None:
    status, said = run("ads", "--fivetran")
    place = tmp_path / "defs" / "ads" / "defs.yaml"
    line = 1 + place.read_text().splitlines().index("  - extends: sp_campaigns")
    assert status == 1
    assert f"{place}:{line}: report campaigns lacks sales30d, which fivetran/amazon_ads reads as sales_30_d" in said
    assert "joins ad_group_level_report with what campaigns_metadata, ad_groups_metadata have" in said
    status, said = run("acme", "--fivetran")
    assert status == 1
    assert "acme is no account of Amazon Ads" in said
    status, said = run("other")
    assert status == 1
    assert "no source 'other'" in said
    assert not (tmp_path / "models").exists()
