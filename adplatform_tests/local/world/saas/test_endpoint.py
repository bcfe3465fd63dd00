"""The CRM as a process: shared, keeping its state, and started by a person."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from adplatform.local.world.saas.accounts import DEMO_APP
from adplatform.local.world.saas.endpoint import ensure
from adplatform_tests.local.world.saas.support import API, HTTP, Crm, login


def test_state_survives_a_restart(tmp_path: Path) -> None:
    with ensure(tmp_path) as endpoint:
        crm = Crm(endpoint.url)
        crm.admin("clock", {"advance": 86_400, "frozen": True})
        crm.admin("settings", {"scale": 0.5})
        crm.admin("fields", {"object": "Lead", "add": "Score__c"})
        crm.admin("faults", {"operation": "describe", "fault": "throttle", "times": 3})
        page = crm.query("SELECT Id FROM Contact", headers={"Sforce-Query-Options": "batchSize=200"}).json()
        truth = crm.truth("Lead")
        assert oct((tmp_path / "world.json").stat().st_mode & 0o777) == "0o600"
    with ensure(tmp_path) as endpoint:
        again = Crm(endpoint.url, crm.token)
        assert again.truth("Lead") == truth
        assert again.admin("faults")[0]["times"] == 3
        assert len(again.get(page["nextRecordsUrl"]).json()["records"]) > 0


@pytest.mark.parametrize("kept", [True, False])
def test_a_person_can_start_it_alone(tmp_path: Path, kept: bool) -> None:
    command = [sys.executable, "-m", "adplatform.local.world.saas", *([str(tmp_path)] if kept else [])]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[5]
        assert Crm(url, login(url).json()["access_token"]).get(f"{API}/sobjects").status_code == 200
        assert HTTP.get(f"{url}/_admin").json()["calls"]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        assert DEMO_APP.refresh_token in process.stdout.read()
    finally:
        process.kill()
        process.wait()
    assert (tmp_path / "world.json").exists() is kept


def test_finding_an_endpoint_loads_no_server_code() -> None:
    loaded = "print({'werkzeug', 'boto3', 'pydantic'} & set(sys.modules))"
    code = f"import sys, adplatform.local.world.saas.endpoint, adplatform.local.world.saas.accounts; {loaded}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "set()"
