"""`make demo`: what it leaves for whoever opens Dagster's pages afterwards."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import dagster as dg
import pytest

from adplatform_tests.support.projects import ROOT


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_demo_leaves_named_runs_plots_of_restatement_a_board_and_hours_that_agree_with_reports(
    tmp_path: Path,
) -> None:
    # Its calls are not recorded: those for simulated accounts are made by no deployment.
    plain = {name: os.environ[name] for name in ("PATH", "HOME")}
    environment = {**plain, "PYTHONPATH": str(ROOT), "ADPLATFORM_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "adplatform.cli", "demo"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=1800
    )
    assert (done.returncode, "Warning" in done.stdout + done.stderr) == (0, False), done.stdout + done.stderr
    with dg.DagsterInstance.from_config(str(tmp_path / "dagster")) as instance:
        looked_at(instance)


def looked_at(instance: dg.DagsterInstance) -> None:
    runs = instance.get_runs()
    assert [run.job_name for run in runs if run.job_name.startswith("__")] == []
    failed = {run.job_name for run in runs if run.status is not dg.DagsterRunStatus.SUCCESS}
    assert failed == {"northwind_deliveries"}, "one file is damaged on the way"
    plotted = [name for name, value in shown(instance, "restatement/northwind_ads/sp_keywords").items() if drawn(value)]
    assert {name.split()[1] for name in plotted} >= {"impressions", "clicks", "cost"}
    assert any(map(drawn, shown(instance, "operations_board").values()))
    agreed = dg.AssetCheckKey(dg.AssetKey(["clean", "northwind_ads", "stream_daily"]), "agrees_with_reports")
    [latest] = instance.event_log_storage.get_latest_asset_check_execution_by_key([agreed]).values()
    assert latest.evaluation is not None
    assert latest.evaluation.passed


def shown(instance: dg.DagsterInstance, asset: str) -> Mapping[str, dg.MetadataValue]:
    latest = instance.get_latest_materialization_event(dg.AssetKey(asset.split("/")))
    assert latest is not None
    assert latest.asset_materialization is not None
    return latest.asset_materialization.metadata


def drawn(value: dg.MetadataValue) -> bool:
    return str(value.value).startswith("![picture](<data:image/svg+xml,")
