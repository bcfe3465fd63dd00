"""Runs of Spark on a cluster of several processes: what is lost with one of them, and what is not.

The cluster is Spark's own, the control plane that of EMR Serverless in an embedded AWS.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from adplatform.engines.declared_spark import SCRIPT
from adplatform.engines.engine import Started
from adplatform.engines.spark import spark_engine
from adplatform.flow.engine_work import output_prefix
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.ledger.engine_run import Intention, RunState
from adplatform.local.aws.scripts import CLUSTER
from adplatform.local.endpoint import ensure
from adplatform.local.spark_cluster import Cluster, spark_cluster
from adplatform.platform.aws import local_aws
from adplatform_tests.support.platforms import make_services
from adplatform_tests.support.replication import administer
from adplatform_tests.support.spark_runs import (
    clean_rows,
    make_application,
    on_emr,
    put_delivery,
    put_entry_point,
    result_of,
    wait_for_emr_run,
)
from adplatform_tests.support.waiting import turns

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
ROWS, TASKS = 400, 40
WRITES_ROWS = f"""
import json
import sys
import time

import pyarrow as pa
from pyspark.sql import SparkSession

from adplatform.transform.spark_files import write
from adplatform.transform.spark_objects import Objects

given = dict(zip(sys.argv[1::2], sys.argv[2::2]))


def slowly(batches):
    for batch in batches:
        time.sleep(0.3)
        yield batch


spark = SparkSession.builder.getOrCreate()
frame = spark.range(0, {ROWS}, 1, {TASKS}).mapInArrow(slowly, "id bigint")
files = write(frame, given["--output"] + "clean/", given["--region"])
result = json.dumps([file.model_dump() for file in files]).encode()
Objects(given["--region"]).write(given["--output"] + "result.json", result)
spark.stop()
""".encode()
"""A script of many short tasks, each of which writes a file."""


@dataclass(frozen=True)
class Ground:
    cluster: Cluster
    services: Services
    application: str

    def start(self, attempt: int) -> tuple[Intention, str]:
        put_entry_point(self.services, WRITES_ROWS)
        now = datetime.now(UTC)
        intention = Intention("crm", "orders", f"orders/{now:%H%M%S.%f}", attempt=attempt, begun=1, intended_at=now)
        answer = self.engine.start(intention)
        assert isinstance(answer, Started)
        return intention, answer.run_id

    @property
    def engine(self) -> Any:
        return spark_engine(on_emr(self.services, self.application), "crm", "orders")

    def wait(self, run: str, *states: str) -> None:
        wait_for_emr_run(self.services.aws, self.application, run, *states, seconds=900)

    def state(self, run: str) -> RunState:
        found: RunState = self.engine.observe([run])[run].state
        return found

    def keys(self, intention: Intention) -> list[str]:
        listed = self.services.s3.list_objects_v2(
            Bucket=self.services.zones.raw_bucket, Prefix=output_prefix(intention)
        )
        return [each["Key"] for each in listed.get("Contents", ())]

    def wait_for_files(self, intention: Intention) -> None:
        """Some tasks have ended, and most have not."""
        assert any(len(self.keys(intention)) >= 3 for _ in turns(900))

    def has_every_row_once(self, intention: Intention, folder: Path) -> bool:
        bucket, prefix = self.services.zones.raw_bucket, output_prefix(intention)
        body = self.services.s3.get_object(Bucket=bucket, Key=f"{prefix}result.json")["Body"].read()
        found: Counter[int] = Counter()
        for file in json.loads(body):
            key = file["uri"].removeprefix(f"s3://{bucket}/")
            self.services.s3.download_file(bucket, key, str(folder / "file"))
            found.update(pq.read_table(folder / "file")["id"].to_pylist())
        return found == Counter(range(ROWS))


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    home = tmp_path_factory.mktemp("home")
    with (
        spark_cluster() as cluster,
        ensure(home / "aws", environ={**os.environ, CLUSTER: cluster.url}) as endpoint,
    ):
        services = make_services(local_aws(endpoint.url), home)
        provision(services, [])
        yield Ground(cluster, services, make_application(services.aws))


def test_the_job_itself_transforms_a_delivery_on_the_cluster(ground: Ground, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    intention = Intention("crm", "orders", "orders/2026-03-14/v1/a1", begun=1, intended_at=now)
    texts = {f"{name}.csv": f"id,email\n{n},a@b.de\nx,c@d.de\n" for n, name in enumerate("abcdef")}
    put_delivery(ground.services, intention, texts)
    put_entry_point(ground.services, SCRIPT)
    answer = ground.engine.start(intention)
    assert isinstance(answer, Started)
    ground.wait(answer.run_id)
    seen = ground.engine.observe([answer.run_id])[answer.run_id]
    assert (seen.state, seen.message) == (RunState.SUCCEEDED, "")
    result = result_of(ground.services, intention)
    assert (result.failure, sum(count.quarantined for count in result.counts)) == ("", 6)
    rows = clean_rows(ground.services, result, tmp_path)
    assert [row["id"] for row in rows] == list(range(6))
    assert len({row["email_lake"] for row in rows}) == 1


def test_a_run_whose_driver_is_killed_has_failed_and_the_next_try_has_every_row_once(
    ground: Ground, tmp_path: Path
) -> None:
    lost, run = ground.start(1)
    ground.wait_for_files(lost)
    kill = {"service": "emr-serverless", "what": "kill", "target": run}
    assert administer(ground.services.aws, ask=kill)["answer"]["killed"]
    ground.wait(run)
    assert ground.state(run) is RunState.FAILED
    assert not [key for key in ground.keys(lost) if key.endswith("result.json")]
    again, run = ground.start(2)
    ground.wait(run)
    assert ground.state(run) is RunState.SUCCEEDED
    assert ground.has_every_row_once(again, tmp_path)


def test_a_run_that_is_cancelled_leaves_the_cluster_to_others(ground: Ground, tmp_path: Path) -> None:
    unwanted, run = ground.start(1)
    ground.wait_for_files(unwanted)
    assert ground.engine.cancel(run)
    ground.wait(run)
    assert ground.state(run) is RunState.CANCELLED
    other, run = ground.start(1)
    ground.wait(run)
    assert ground.has_every_row_once(other, tmp_path)


def test_a_run_survives_a_worker_that_is_killed_and_has_every_row_once(ground: Ground, tmp_path: Path) -> None:
    intention, run = ground.start(1)
    ground.wait_for_files(intention)
    ground.cluster.workers[1].kill()
    ground.wait(run)
    assert ground.state(run) is RunState.SUCCEEDED
    assert ground.has_every_row_once(intention, tmp_path)
