"""The demo of a delivery that a cluster of Spark transforms, from its files to the table."""

import subprocess
import sys
from pathlib import Path

import pytest

from adplatform_tests.support.projects import ROOT, inherited
from adplatform_tests.support.spark_runs import needs_python_of_glue


@needs_python_of_glue
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_delivery_goes_through_a_cluster_of_this_machine_into_its_table(tmp_path: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "adplatform.cli", "spark-demo", "--rows", "2000"],
        cwd=tmp_path,
        env={**inherited(), "PYTHONPATH": str(ROOT), "ADPLATFORM_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
        timeout=800,
    )
    assert shown.returncode == 0, shown.stderr
    assert "succeeded" in shown.stdout
    assert "the table: 4000 purchases of 997 members" in shown.stdout


def test_it_is_not_for_a_platform_in_aws(tmp_path: Path) -> None:
    refused = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "adplatform.cli", "spark-demo"],
        cwd=tmp_path,
        env={**inherited(), "PYTHONPATH": str(ROOT), "ADPLATFORM_HOME": str(tmp_path), "ADPLATFORM_ENV": "aws"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert refused.returncode == 1
    assert "unset ADPLATFORM_ENV" in refused.stderr
