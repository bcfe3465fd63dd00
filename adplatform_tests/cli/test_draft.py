"""Where a drafted feed is written, and what is never written over."""

from datetime import date
from pathlib import Path

import pytest
import yaml

from adplatform.cli.draft import place_of, write_feed
from adplatform.failures import PermanentFailure
from adplatform.patterns import faultless_defs

PARTNER = """\
type: adplatform.components.PartnerPush
attributes:
  source: acme
  feeds:
    - name: orders   # ours
      start_date: 2026-01-01
      columns: {id: bigint}
  retention: {quarantine: 30d}
"""
DATABASE = """\
type: adplatform.components.AmazonAdsReports
attributes: {source: ads, region: na, credentials: a/b, start_date: 2026-08-01, reports: [sp_campaigns]}
"""


@pytest.fixture
def defs(tmp_path: Path) -> Path:
    for name, text in (("acme", PARTNER), ("ads", DATABASE)):
        (tmp_path / "partners" / name).mkdir(parents=True)
        (tmp_path / "partners" / name / "defs.yaml").write_text(text)
    return tmp_path


def entry(indent: str) -> str:
    return f"{indent}- name: members\n{indent}  start_date: {date(2026, 1, 1)}\n{indent}  columns: {{id: bigint}}\n"


def feeds(defs: Path) -> dict[str, list[str]]:
    named = {each.model.source: each.model for each in faultless_defs(defs)}  # type: ignore[attr-defined]
    return {source: [feed.name for feed in getattr(model, "feeds", ())] for source, model in named.items()}


def test_a_feed_is_added_to_a_source_that_is_there(defs: Path) -> None:
    write_feed(place_of("acme", "members", defs), "acme", entry)
    assert feeds(defs) == {"acme": ["orders", "members"], "ads": []}
    text = (defs / "partners" / "acme" / "defs.yaml").read_text()
    assert "- name: orders   # ours\n" in text
    assert text.endswith("  retention: {quarantine: 30d}\n")


def test_a_source_that_is_not_there_becomes_a_partner(defs: Path) -> None:
    write_feed(place_of("northwind", "members", defs), "northwind", entry)
    file = defs / "partners" / "northwind" / "defs.yaml"
    assert yaml.safe_load(file.read_text())["type"] == "adplatform.components.PartnerPush"
    assert feeds(defs)["northwind"] == ["members"]


@pytest.mark.parametrize(
    ("source", "name", "said"),
    [("acme", "orders", "is declared in"), ("ads", "members", "takes no files")],
)
def test_what_is_there_is_not_written_over(defs: Path, source: str, name: str, said: str) -> None:
    with pytest.raises(PermanentFailure, match=said):
        place_of(source, name, defs)


def test_a_file_of_another_source_is_not_written_over(defs: Path) -> None:
    (defs / "partners" / "acme").rename(defs / "partners" / "other")
    with pytest.raises(PermanentFailure, match="declares another source"):
        place_of("other", "members", defs)


def test_what_would_be_a_mistake_leaves_the_file_as_it_was(defs: Path) -> None:
    file = defs / "partners" / "acme" / "defs.yaml"
    before = file.read_text()
    for source in ("acme", "northwind"):
        with pytest.raises(PermanentFailure, match="nothing was written"):
            write_feed(place_of(source, "members", defs), source, lambda indent: f"{indent}- name: members\n")
    assert file.read_text() == before
    assert not (defs / "partners" / "northwind" / "defs.yaml").exists()
