"""What commands that only look cost before they ask AWS: counted in modules, because a clock says nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

LATE = {
    *("dagster", "moto", "flask", "boto3", "urllib3", "httpx", "asyncio", "asyncssh", "cryptography", "jinja2"),
    *("numpy", "pyarrow", "duckdb", "polars", "pandas", "pyspark", "sqlalchemy", "psycopg", "phonenumbers", "openpyxl"),
}
MOST_OF_OURS, MOST = 375, 770
"""Modules of ``adplatform`` and of all. Who goes beyond has something imported by every command: import it where it is
used, or only for type checkers."""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "adplatform_tests.cli.imported"]
    folder = tmp_path_factory.mktemp("elsewhere")
    done = subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True)
    answer: dict[str, Any] = json.loads(done.stderr)
    return answer


def test_commands_that_look_import_neither_engines_nor_aws_before_they_ask(told: dict[str, Any]) -> None:
    assert (LATE | {"sqlglot"}) & set(told["look"]) == set()


def test_validate_imports_no_more_than_what_parses_expressions(told: dict[str, Any]) -> None:
    assert LATE & set(told["validate"]) == set()


def test_commands_that_look_stay_as_small_as_they_are(told: dict[str, Any]) -> None:
    ours = [name for name in told["look"] if name.partition(".")[0] == "adplatform"]
    assert (len(ours) <= MOST_OF_OURS, len(told["look"]) <= MOST) == (True, True), (len(ours), len(told["look"]))


def test_a_short_command_looks_for_garbage_when_it_is_done_at_the_earliest(told: dict[str, Any]) -> None:
    assert told["collections"] <= 1
