"""The settings of DMS on a terminal: what is printed, in what order, and with what status."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from adplatform.cli.app import app
from adplatform.cli.dms import check, settings
from adplatform.engines.dms_settings.recommended import task_settings
from adplatform.failures import PermanentFailure

FILES = ("endpoint.json", "settings.json", "mappings.json")


@pytest.fixture
def files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Path, Path, Path]:
    """Settings as they are written to be pasted."""
    settings(["shop.orders", "shop.customers"], bucket="lake", folder="landing/shop", into=tmp_path)
    assert capsys.readouterr().out.split() == [str(tmp_path / name) for name in (*FILES, "source-endpoint.json")]
    return tmp_path / FILES[0], tmp_path / FILES[1], tmp_path / FILES[2]


def test_settings_that_are_written_pass_their_own_check(
    files: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    check(files=files)
    assert capsys.readouterr().out.endswith("\n\n0 errors, 0 warnings\n")


def test_settings_are_printed_as_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    settings(["shop.orders", "shop.orders"], bucket="lake")
    printed = json.loads(capsys.readouterr().out)
    assert list(printed) == [*FILES, "source-endpoint.json"]
    assert printed["settings.json"] == task_settings()
    assert [rule["rule-id"] for rule in printed["mappings.json"]["rules"]] == ["1", "2"]
    assert printed["endpoint.json"]["S3Settings"]["BucketName"] == "lake"


def test_what_is_wrong_is_a_paragraph_each_with_errors_first_and_the_sum_last(
    files: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    changed = task_settings()
    changed["Logging"]["EnableLogging"] = False
    changed["TargetMetadata"]["BatchApplyEnabled"] = "true"
    files[1].write_text(json.dumps(changed), encoding="utf-8")
    with pytest.raises(typer.Exit) as raised:
        check(files=files)
    assert raised.value.exit_code == 1
    error, warning, missing, total = capsys.readouterr().out.strip().split("\n\n")
    assert error.splitlines()[0] == f"error 11: {files[1]}: $.TargetMetadata.BatchApplyEnabled"
    assert json.loads("".join(error.splitlines()[2:])) == {"TargetMetadata": {"BatchApplyEnabled": False}}
    assert warning.startswith(f"warning 47: {files[1]}: $.Logging.EnableLogging")
    assert missing.startswith("not looked at:\n  the source database")
    assert total == "1 error, 1 warning"


def test_warnings_alone_end_well(files: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    files[1].write_text(json.dumps(task_settings() | {"Logging": {}}), encoding="utf-8")
    check(files=files)
    assert capsys.readouterr().out.endswith("0 errors, 1 warning\n")


def test_how_it_is_to_be_started_is_checked(files: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        check(files=files, start="reload-target")
    assert "error 45" in capsys.readouterr().out
    check(files=files, start="reload-target", generation="2026-03-01T12:00:00Z")
    assert "0 errors" in capsys.readouterr().out


def test_the_command_takes_three_files_and_says_which_is_no_json(files: tuple[Path, Path, Path]) -> None:
    files[2].write_text("{", encoding="utf-8")
    ran = CliRunner().invoke(app, ["dms", "check", "--files", *map(str, files)])
    assert ran.exit_code == 1
    assert f"failed: {files[2]}:1:2: no JSON" in ran.stderr.replace("\n", "")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "say what to check"),
        ({"task": "a", "config": "b"}, "say what to check"),
        ({"task": "a", "migration": "all"}, "--migration 'all': it is one of full-load-and-cdc, cdc, full-load"),
        ({"task": "a", "start": "again"}, "--start 'again'"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(asked: dict[str, str], said: str) -> None:
    with pytest.raises(PermanentFailure, match=said):
        check(**asked)  # type: ignore[arg-type]


def test_a_date_that_is_none_is_refused(files: tuple[Path, Path, Path]) -> None:
    with pytest.raises(PermanentFailure, match="--last-change 'yesterday' is no date"):
        check(files=files, last_change="yesterday")


@pytest.mark.parametrize("name", ["orders", ".orders", "shop."])
def test_a_table_without_its_schema_is_refused(name: str) -> None:
    with pytest.raises(PermanentFailure, match=r"write schema\.table"):
        settings([name], bucket="lake")
