"""The test server as a child process: shared, ending with its owner, and keeping its state."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from adplatform.local.endpoint import HEALTH_PATH, LOCK_NAME, is_locked
from adplatform.local.world.amazon.accounts import DEMO_CREDENTIALS
from adplatform.local.world.amazon.endpoint import ensure
from adplatform.local.world.amazon.server import Server, serving
from adplatform.local.world.amazon.world import World
from adplatform_tests.local.world.amazon.support import HTTP, US, Ads, days_ago, login

OWNER = """
import os, sys
from pathlib import Path
from adplatform.local.world.amazon.endpoint import ensure
print(ensure(Path(sys.argv[1])).url, flush=True)
sys.stdin.read()
os._exit(0)
"""


def test_state_survives_a_restart(tmp_path: Path) -> None:
    with ensure(tmp_path) as endpoint:
        clock = {"now": "2026-11-20T18:00:00Z", "frozen": True}
        HTTP.post(f"{endpoint.url}/_admin/clock", json=clock)
        HTTP.post(f"{endpoint.url}/_admin/settings", json={"queue_seconds": 1})
        HTTP.post(f"{endpoint.url}/_admin/faults", json={"operation": "download", "fault": "throttle", "times": 3})
        ads = Ads(Server(endpoint.url, World()))
        report_id = ads.create(days_ago(3)).json()["reportId"]
        assert ensure(tmp_path) is endpoint, "shared within a process"
        reported = HTTP.get(f"{endpoint.url}/_admin/requests").json()
        assert oct((tmp_path / "world.json").stat().st_mode & 0o777) == "0o600"
    assert not is_locked(tmp_path / LOCK_NAME)
    with ensure(tmp_path) as endpoint:
        again = Ads(Server(endpoint.url, World()), token=ads.token)
        assert again.get(report_id).json()["status"] == "PENDING", "clock, token and report are as they were"
        HTTP.post(f"{endpoint.url}/_admin/clock", json={"advance": 60})
        assert again.get(report_id).json()["status"] == "COMPLETED"
        assert HTTP.get(f"{endpoint.url}/_admin/settings").json()["queue_seconds"] == 1
        assert HTTP.get(f"{endpoint.url}/_admin/faults").json()[0]["times"] == 3
        assert HTTP.get(f"{endpoint.url}/_admin/requests").json()["creates"] == reported["creates"]


def test_other_processes_share_it_and_it_ends_with_its_owner(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert owner.stdout is not None
        url = owner.stdout.readline().strip()
        shared = ensure(tmp_path)
        assert (shared.url, shared.owned) == (url, False)
        shared.stop()
        assert HTTP.get(f"{url}/_admin/clock").status_code == 200, "only the owner stops it"
    finally:
        owner.kill()
        owner.wait()
    with ensure(tmp_path) as endpoint:
        assert endpoint.owned, "a new child takes over once the first has ended"


def test_a_server_whose_owner_is_gone_is_not_taken_for_a_running_one() -> None:
    alive = [True]
    with serving(World(), alive=lambda: alive[0]) as running:
        assert HTTP.get(f"{running.url}{HEALTH_PATH}").status_code == 200
        alive[0] = False
        assert HTTP.get(f"{running.url}{HEALTH_PATH}").status_code == 503


@pytest.mark.parametrize("kept", [True, False])
def test_a_person_can_start_it_alone(tmp_path: Path, kept: bool) -> None:
    command = [sys.executable, "-m", "adplatform.local.world.amazon", *([str(tmp_path)] if kept else [])]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[5]
        assert HTTP.get(f"{url}/_admin").json()["calls"]
        reported = login(url, "selling_partner")
        assert reported.status_code == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        reported = process.stdout.read()
        assert DEMO_CREDENTIALS["ads"].refresh_token in reported
        assert US in reported
    finally:
        process.kill()
        process.wait()
    assert (tmp_path / "world.json").exists() is kept


def test_state_is_readable_in_one_process_too(tmp_path: Path) -> None:
    store = tmp_path / "world.json"
    first = World(store=store)
    token = first.issue("ads")
    first.clock.advance(86_400)
    first.save()
    second = World(store=store)
    assert token in second.tokens
    assert abs((second.now() - first.now()).total_seconds()) < 5
    assert second.credentials["ads"].secret == DEMO_CREDENTIALS["ads"].client_secret
    assert second.accounts.profile(US).country == "US"


def test_finding_an_endpoint_loads_no_server_code() -> None:
    loaded = "print({'werkzeug', 'boto3'} & set(sys.modules))"
    code = f"import sys, adplatform.local.world.amazon.endpoint, adplatform.local.world.amazon.accounts; {loaded}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "set()"
