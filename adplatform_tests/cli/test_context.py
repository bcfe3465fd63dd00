"""What a command says of a failure."""

import pytest
import typer
from rich.table import Table

from adplatform.cli.context import console, reported
from adplatform.failures import PermanentFailure, named


def test_a_command_shows_the_names_of_files_in_a_failure_and_not_the_marks_around_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(typer.Exit), reported():
        raise PermanentFailure(f"{named('ann@example.com.csv')}: too long")
    assert "failed: ann@example.com.csv: too long" in capsys.readouterr().err


def test_values_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Table("[name]")
    shown.add_row("[old] Brand :smile: [/red]")
    console.print(shown)
    console.print("[US] :x:")
    printed = capsys.readouterr().out
    assert all(text in printed for text in ("[name]", "[old] Brand :smile: [/red]", "[US] :x:"))
