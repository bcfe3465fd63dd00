"""AppFlow as time passes: schedules, incremental pulls, the life of client tokens, and the end of the child. Each test
has an embedded AWS for itself, because it moves the clock of all engines or kills the child.
"""

import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from adplatform.local.endpoint import HEALTH_PATH, Endpoint, ensure
from adplatform.local.world.saas.server import serving
from adplatform.local.world.saas.world import Settings, World
from adplatform.platform.aws import Aws, local_aws
from adplatform_tests.local.aws.appflow_world import Events, new_bucket
from adplatform_tests.support.saas import (
    advance,
    flow_request,
    make_flow,
    make_profile,
    order_fault,
    records,
    rows,
    run_flow,
    wait_for_run,
    written,
)

HOURLY = {"scheduleExpression": "rate(1hours)", "dataPullMode": "Incremental"}


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Endpoint]:
    with ensure(tmp_path / "aws") as endpoint:
        yield endpoint


@pytest.fixture
def own_aws(own: Endpoint) -> Aws:
    return local_aws(own.url)


def eventually(check: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 30
    while not (found := check()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def ended(aws: Aws, flow: str, count: int) -> list[dict[str, Any]]:
    """The records of a flow once it has so many ended runs, in the order of their windows."""

    def there() -> list[dict[str, Any]]:
        found = list(records(aws, flow).values())
        assert len(found) <= count
        return found if sum(r["executionStatus"] != "InProgress" for r in found) == count else []

    return sorted(eventually(there), key=lambda r: r.get("dataPullEndTime", r["startedAt"]))


def new_world() -> World:
    """Of forty days, with the real time."""
    return World(Settings(began=(datetime.now(UTC) - timedelta(days=40)).date()))


def test_schedule_pulls_what_changed_since_the_last_success(own: Endpoint, own_aws: Aws) -> None:
    world, appflow, bucket = new_world(), own_aws.client("appflow"), new_bucket(own_aws)
    with serving(world) as saas:
        make_flow(own_aws, saas.url, "hourly", "Contact", ["Id", "SystemModstamp"], bucket, schedule=HOURLY)
        assert appflow.describe_flow(flowName="hourly")["flowStatus"] == "Draft"
        answer = appflow.start_flow(flowName="hourly")
        assert (answer["flowStatus"], "executionId" in answer) == ("Active", False)
        (first,) = ended(own_aws, "hourly", 1)
        assert first["dataPullEndTime"] - first["dataPullStartTime"] == timedelta(days=30)
        world.clock.advance(5 * 3600)
        order_fault(own.url, "run_fails", "hourly")
        advance(own.url, hours=5)
        runs = ended(own_aws, "hourly", 6)
        assert [r["executionStatus"] for r in runs] == ["Successful", "Error", *["Successful"] * 4]
        ends = [r["dataPullEndTime"] for r in runs]
        assert [b - a for a, b in pairwise(ends)] == [timedelta(hours=1)] * 5
        # The second failed, so the third pulls its window, too.
        assert [r["dataPullStartTime"] for r in runs[1:]] == [ends[0], ends[0], *ends[2:5]]
        found = [
            row for r in runs if r["executionStatus"] != "Error" for row in rows(own_aws, bucket, r["executionId"])
        ]
        changed = {
            (r["Id"], f"{r['SystemModstamp'][:-5]}Z")
            for r in world.records("Contact", world.now())
            if first["dataPullStartTime"] <= datetime.fromisoformat(r["SystemModstamp"]) < ends[-1]
            and not r["IsDeleted"]
        }
        assert {(row["Id"], row["SystemModstamp"]) for row in found} >= changed
        assert appflow.stop_flow(flowName="hourly")["flowStatus"] == "Suspended"
        advance(own.url, hours=2)
        assert len(ended(own_aws, "hourly", 6)) == 6
        appflow.start_flow(flowName="hourly")
        (*_, last) = ended(own_aws, "hourly", 7)
        assert last["dataPullStartTime"] == ends[-1]


def test_schedule_leaves_out_what_a_long_run_misses(own: Endpoint, own_aws: Aws) -> None:
    with serving(new_world()) as saas:
        bucket = new_bucket(own_aws)
        make_flow(
            own_aws, saas.url, "hourly", "Campaign", ["Id"], bucket, schedule={**HOURLY, "dataPullMode": "Complete"}
        )
        order_fault(own.url, "stuck", "hourly", seconds=2.5 * 3600)
        own_aws.client("appflow").start_flow(flowName="hourly")
        eventually(lambda: records(own_aws, "hourly"))
        advance(own.url, hours=2)
        assert len(records(own_aws, "hourly")) == 1
        advance(own.url, hours=1, minutes=10)
        first, second = sorted(ended(own_aws, "hourly", 2), key=lambda r: r["startedAt"])
        assert second["startedAt"] - first["startedAt"] > timedelta(hours=3)
        assert "dataPullStartTime" not in second


def test_schedule_is_deactivated_after_failures_and_at_its_end(own: Endpoint, own_aws: Aws) -> None:
    appflow, bucket = own_aws.client("appflow"), new_bucket(own_aws)
    with serving(new_world()) as saas:
        profile = make_profile(own_aws, saas.url)
        make_flow(
            *(own_aws, saas.url, "failing", "Campaign", ["Id"], bucket),
            schedule={**HOURLY, "flowErrorDeactivationThreshold": 3},
            profile=profile,
        )
        events = Events(own_aws, "failing")
        order_fault(own.url, "run_fails", "failing", times=5)
        appflow.start_flow(flowName="failing")
        advance(own.url, hours=6)
        assert {r["executionStatus"] for r in ended(own_aws, "failing", 3)} == {"Error"}
        assert appflow.describe_flow(flowName="failing")["flowStatus"] == "Suspended"
        (event,) = events.wait(1, "AppFlow Scheduled Flow Deactivated")
        assert event["detail"]["deactivation-reason"] == "The flow failed 3 times in a row"
        assert event["detail"]["trigger-type"] == "SCHEDULED"
        end = datetime.now(UTC) + timedelta(hours=8, minutes=30)
        make_flow(
            *(own_aws, saas.url, "ending", "Campaign", ["Id"], bucket),
            schedule={**HOURLY, "scheduleEndTime": end, "scheduleOffset": 60},
            profile=profile,
        )
        appflow.start_flow(flowName="ending")
        advance(own.url, hours=12)
        runs = ended(own_aws, "ending", 3)
        assert runs[0]["startedAt"] - runs[0]["dataPullEndTime"] >= timedelta(seconds=60)
        eventually(lambda: appflow.describe_flow(flowName="ending")["flowStatus"] == "Suspended")


def test_schedule_begins_when_it_says(own: Endpoint, own_aws: Aws) -> None:
    appflow, bucket = own_aws.client("appflow"), new_bucket(own_aws)
    start = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=3)
    since = start - timedelta(days=2)
    with serving(new_world()) as saas:
        make_flow(
            *(own_aws, saas.url, "later", "Contact", ["Id"], bucket),
            schedule={**HOURLY, "scheduleStartTime": start, "firstExecutionFrom": since},
        )
        appflow.start_flow(flowName="later")
        advance(own.url, hours=2)
        assert records(own_aws, "later") == {}
        advance(own.url, hours=1, seconds=1)
        (run,) = ended(own_aws, "later", 1)
        assert (run["dataPullStartTime"], run["dataPullEndTime"]) == (since, start)


def test_client_token_lives_eight_hours(own: Endpoint, own_aws: Aws) -> None:
    appflow = own_aws.client("appflow")

    def start() -> str:
        run: str = appflow.start_flow(flowName="flow", clientToken="t")["executionId"]
        assert wait_for_run(own_aws, "flow", run)["executionStatus"] == "Successful"
        return run

    with serving(new_world()) as saas:
        make_flow(own_aws, saas.url, "flow", "Campaign", ["Id"], new_bucket(own_aws))
        first = start()
        advance(own.url, hours=7, minutes=59)
        assert start() == first
        advance(own.url, minutes=2)
        assert start() != first


def test_late_update_is_applied_in_time(own: Endpoint, own_aws: Aws) -> None:
    appflow, bucket = own_aws.client("appflow"), new_bucket(own_aws)
    with serving(new_world()) as saas:
        profile = make_profile(own_aws, saas.url)
        make_flow(own_aws, saas.url, "flow", "Campaign", ["Id"], bucket, profile=profile)
        order_fault(own.url, "update_late", "flow", seconds=600)
        appflow.update_flow(**flow_request(profile, "flow", "Campaign", ["Id", "Name"], bucket))
        for version, names in ((1, {"Id"}), (2, {"Id", "Name"})):
            run = run_flow(own_aws, "flow")["executionId"]
            assert set(rows(own_aws, bucket, run)[0]) == names
            assert all(f"/schemaVersion_{version}/" in key for key in written(own_aws, bucket, run))
            advance(own.url, seconds=601)


def test_killed_child_goes_on_where_it_was(tmp_path: Path) -> None:
    world, reached, goes_on = new_world(), threading.Event(), threading.Event()
    world.settings = world.settings.changed({"page_size": 50})
    world.sleep = lambda _: reached.set() or bool(goes_on.wait(30)) or None
    with serving(world) as saas:
        endpoint = ensure(tmp_path)
        aws = local_aws(endpoint.url)
        bucket = new_bucket(aws)
        profile = make_profile(aws, saas.url)
        make_flow(aws, saas.url, "flow", "Contact", ["Id"], bucket, profile=profile)
        make_flow(aws, saas.url, "hourly", "Campaign", ["Id"], bucket, profile=profile, schedule=HOURLY)
        before = run_flow(aws, "flow")
        world.fault("more", "slow", skip=1)
        run = aws.client("appflow").start_flow(flowName="flow", clientToken="t")["executionId"]
        assert reached.wait(30)
        eventually(lambda: saved(endpoint.url))
        assert endpoint.process is not None
        endpoint.process.kill()
        endpoint.process.wait()
        goes_on.set()
        with ensure(tmp_path) as again:
            aws = local_aws(again.url)
            after = wait_for_run(aws, "flow", run)
            assert after["executionStatus"] == "Successful"
            found = [row["Id"] for row in rows(aws, bucket, run)]
            assert sorted(found) == sorted(row["Id"] for row in rows(aws, bucket, before["executionId"]))
            assert after["executionResult"] == before["executionResult"]
            assert records(aws, "flow")[before["executionId"]] == before
            assert aws.client("appflow").start_flow(flowName="flow", clientToken="t")["executionId"] == run
            aws.client("appflow").start_flow(flowName="hourly")
            assert ended(aws, "hourly", 1)[0]["executionStatus"] == "Successful"


def saved(url: str) -> bool:
    with urllib.request.urlopen(url + HEALTH_PATH, timeout=30) as response:
        return json.load(response) == {"unsaved": []}
