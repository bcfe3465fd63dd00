"""Where runs are started on ECS, and with whose rights."""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.instance_for_test import instance_for_test
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.run_coordinator.base import SubmitRunContext

from adplatform.platform.names import run_role
from adplatform.resources.run_coordinator import OVERRIDES_TAG, TASK_TAG, source_of
from adplatform.resources.run_queue import priority

BEFORE_YESTERDAY = datetime.now(UTC).date() - timedelta(days=2)
ROLES = "arn:aws:iam::111111111111:role/"
QUEUE = {
    "module": "adplatform.resources.run_coordinator",
    "class": "TaskPlacement",
    "config": {"capacity_provider": "FARGATE_SPOT", "roles": ROLES, "max_concurrent_runs": 7},
}


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with instance_for_test(temp_dir=str(tmp_path), overrides={"run_coordinator": QUEUE}) as made:
        yield made


def assets(*keys: str) -> frozenset[dg.AssetKey]:
    return frozenset(dg.AssetKey(key.split("/")) for key in keys)


@pytest.mark.parametrize(
    ("run", "source"),
    [
        ({"tags": {"adplatform/feed": "shop/orders", "source": "shop"}}, "shop"),
        ({"tags": {"adplatform/feed": "shop"}}, "shop"),
        ({"tags": {"adplatform/source": "shop"}}, "shop"),
        ({"asset_selection": assets("raw/shop/orders", "clean/shop/orders", "clean/shop/customers")}, "shop"),
        ({"asset_check_selection": frozenset({dg.AssetCheckKey(dg.AssetKey(["clean", "shop", "x"]), "rows")})}, "shop"),
        ({}, None),
    ],
    ids=["delivery", "account", "job", "assets", "checks", "none"],
)
def test_a_run_works_for_the_source_of_its_tags_or_assets(run: dict[str, object], source: str | None) -> None:
    assert source_of(dg.DagsterRun(job_name="work", **run)) == source  # type: ignore[arg-type]


def test_the_role_of_a_source_with_a_long_name_is_one_that_iam_takes() -> None:
    role, other = run_role("s" * 63), run_role("s" * 62 + "t")
    assert len(role) == len(other) == 64
    assert role != other
    assert run_role("shop") == "adplatform-run-shop"


def test_a_run_of_several_sources_is_refused_by_their_names() -> None:
    run = dg.DagsterRun(job_name="work", asset_selection=assets("raw/shop/orders", "raw/crm/contacts"))
    with pytest.raises(dg.DagsterInvariantViolationError, match="assets of crm, shop: launch a run for each"):
        source_of(run)


def test_runs_of_backfills_come_behind_all_others_and_the_newest_date_of_them_first() -> None:
    today = date(2026, 3, 14)
    partitions = ["2026-03-13", "2026-03-12|profile-1", "2025-03-14", "de", "2026-03-20"]
    found = [priority({"dagster/partition": each}, today) for each in partitions]
    assert found[:3] == [-1, -2, -365]
    assert found[3] < -365
    assert found[4] == -1
    ends = {"dagster/asset_partition_range_start": "2026-01-01", "dagster/asset_partition_range_end": "2026-03-10"}
    assert priority(ends, today) == -4


@pytest.mark.parametrize("backfill", [True, False])
def test_a_queued_run_carries_its_role_and_its_capacity(instance: dg.DagsterInstance, backfill: bool) -> None:
    tags = {
        "adplatform/feed": "shop/orders",
        **({"dagster/backfill": "b1", "dagster/partition": str(BEFORE_YESTERDAY)} if backfill else {}),
    }
    location = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("adplatform"), "__repository__")
    job = job_def()
    run = instance.create_run_for_job(
        job,
        tags=tags,
        remote_job_origin=RemoteJobOrigin(location, "work"),
        job_code_origin=job_code_origin(),
    )
    instance.run_coordinator.submit_run(SubmitRunContext(run, workspace=None))  # type: ignore[arg-type]
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    assert found.status == dg.DagsterRunStatus.QUEUED
    assert json.loads(found.tags[OVERRIDES_TAG]) == {"taskRoleArn": f"{ROLES}adplatform-run-shop"}
    assert found.tags.get("dagster/priority") == ("-2" if backfill else None)
    strategy = json.loads(found.tags.get(TASK_TAG, "{}")).get("capacityProviderStrategy")
    assert strategy == ([{"capacityProvider": "FARGATE_SPOT", "weight": 1}] if backfill else None)
    assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 7  # type: ignore[union-attr]


def job_code_origin() -> JobPythonOrigin:
    pointer = ModuleCodePointer("adplatform.definitions", "defs")
    return JobPythonOrigin("work", RepositoryPythonOrigin(sys.executable, pointer))


def job_def() -> dg.JobDefinition:
    @dg.op
    def nothing() -> None: ...

    @dg.job
    def work() -> None:
        nothing()

    return work
