"""The real command erases a person, and no file, message or log of this machine ever has who that was."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from adplatform.cli.app import app
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform_tests.flow.persons import JANE, PURCHASES, jane, places_of, purchases
from adplatform_tests.flow.rotations import Club, day
from adplatform_tests.support.projects import Project


@pytest.mark.slow
def test_the_command_erases_with_runs_of_dagster_and_leaves_no_trace(services: Services, tmp_path: Path) -> None:
    project = Project.copy(tmp_path, services, source="club", feeds=[PURCHASES])
    provision(services, [project.source])
    club = Club(services, project.source)
    club.put("purchases", day(2), purchases((JANE, "1.00"), ("eve@x.org", "2.00"), (JANE, "x")), f"{JANE}.json")
    club.process()
    person = tmp_path / "given"
    person.write_text(f"email {JANE.upper()}\n", "utf-8")
    looked = project.run("erase", "club", "--from", str(person), "--dry-run")
    assert looked.returncode == 0, looked.stderr
    assert "nothing was changed" in looked.stdout
    receipt = tmp_path / "receipt.json"
    done = project.run("erase", "club", "--from", str(person), "--readers", "0s", "--receipt", str(receipt))
    assert done.returncode == 0, done.stderr
    assert "a last look found nothing" in done.stdout
    person.unlink()
    assert club.query("select amount::int from {purchases}") == [(2,)]
    for said in (looked, done):
        assert not jane(club).is_in_name(f"{said.stdout}{said.stderr}")
    assert places_of(club, jane(club)) == []
    here = [
        path for path in tmp_path.rglob("*") if path.is_file() and project.folder / "adplatform" not in path.parents
    ]
    assert receipt in here
    assert [path for path in here if jane(club).is_in_name(path.read_bytes().decode("utf-8", "replace"))] == []


def test_who_it_is_comes_from_standard_input_and_is_not_quoted_in_a_mistake() -> None:
    ran = CliRunner().invoke(app, ["erase", "acme"], input="mail jane@secret.example\n")
    assert ran.exit_code == 1
    assert "line 1: its kind is none of email" in ran.output
    assert "secret" not in ran.output
