"""Exported files in a directory that may be somebody's."""

from pathlib import Path

import pytest

from adplatform.described.written import write_files
from adplatform.failures import PermanentFailure

COMMAND = "adplatform dbt export acme"


def wrote(directory: Path, **files: str) -> dict[str, str]:
    named = {name.replace("_", "."): body for name, body in files.items()}
    return {path.name: became.split(",")[0] for path, became in write_files(directory, COMMAND, named)}


def test_only_what_an_export_wrote_itself_is_written_anew(tmp_path: Path) -> None:
    to = tmp_path / "models" / "acme"
    assert wrote(to, sources_yml="a: 1\n", orders_sql="select 1\n") == {
        "sources.yml": "written",
        "orders.sql": "written",
    }
    assert (to / "orders.sql").read_text().startswith(f"-- Written by `{COMMAND}`: ")
    (to / "mine.sql").write_text("select 2")
    again = wrote(to, sources_yml="a: 2\n")
    assert again == {"sources.yml": "written anew", "orders.sql": "left from an earlier export"}
    both = wrote(to, sources_yml="a: 2\n", orders_sql="select 1\n")
    assert both == {"sources.yml": "as it was", "orders.sql": "as it was"}
    assert (to / "mine.sql").read_text() == "select 2"


def test_where_somebody_elses_file_is_in_the_way_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "sources.yml").write_text("version: 2\n")
    with pytest.raises(PermanentFailure, match=r"sources\.yml is there, and `adplatform dbt export acme` did not"):
        wrote(tmp_path, orders_sql="select 1", sources_yml="a: 1")
    assert [path.name for path in tmp_path.iterdir()] == ["sources.yml"]
    assert (tmp_path / "sources.yml").read_text() == "version: 2\n"
    other = list(write_files(tmp_path / "other", "adplatform dbt export other", {"sources.yml": ""}))
    assert len(other) == 1
    with pytest.raises(PermanentFailure, match="name another directory"):
        wrote(tmp_path / "other", sources_yml="a: 1")


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("")
    with pytest.raises(PermanentFailure, match="models is a file"):
        wrote(tmp_path / "models" / "acme", sources_yml="a: 1")
