"""Deliveries that the script of the Spark job transforms, from the plan that a run puts to what readers see."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from adplatform.flow.engine_work import Given
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.lake.quarantine import read_rows
from adplatform.platform.aws import Aws
from adplatform.transform.job_plan import RESULT, JobPlan
from adplatform.transform.spark_job import carry_out
from adplatform.transform.spark_objects import Objects
from adplatform_tests.flow.test_transforms import ORDERS, here, shop
from adplatform_tests.support.platforms import make_services
from adplatform_tests.support.transform_jobs import with_spark


@pytest.fixture
def services(aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Services:
    monkeypatch.setenv("AWS_ENDPOINT_URL", str(aws.endpoint_url))
    return with_spark(make_services(aws, tmp_path / "home"))


def by_spark(sail: SparkSession, services: Services, plan: str, output: str) -> None:
    objects, zones = Objects(services.settings.region), services.zones
    given = JobPlan.model_validate_json(objects.read(zones.raw_uri(plan)))
    result = carry_out(sail, given, zones.raw_uri(output), objects)
    objects.write(zones.raw_uri(f"{output}{RESULT}"), result.model_dump_json().encode())


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"key": "order_id"}, id="keyed"),
        pytest.param({"partition_by": "order_id", "table_format": "iceberg"}, id="by column", marks=pytest.mark.slow),
    ],
)
def test_spark_makes_of_a_delivery_what_this_machine_makes(sail: SparkSession, services: Services, more: Any) -> None:
    columns = {**ORDERS["columns"], "order_id": {"type": "int", "required": True}}
    spark = shop(services, columns=columns, **more)
    local = here(spark)
    provision(services, [local.source])
    for each in (spark, local):
        each.put("a.csv", "1,ann@example.com,1.00", "2,bob@example.com,2.00", "x,eve@example.com,3.00")
    [done] = spark.transform(partial(by_spark, sail))
    assert not isinstance(done, Given)
    local.run()
    assert spark.rows == local.rows
    assert len(spark.rows) == 2
    names = ("rows_in", "clean", "superseded", "quarantined", "reasons", "key_id")
    assert [getattr(spark.newest, name) for name in names] == [getattr(local.newest, name) for name in names]
    assert [o.sha256 for o in spark.outcomes.values()] == [o.sha256 for o in local.outcomes.values()]
    quarantined = [list(read_rows(e.services.store, e.newest.quarantine_key, e.flow.feed)) for e in (spark, local)]
    assert [(row.line, row.reasons) for row in quarantined[0]] == [(row.line, row.reasons) for row in quarantined[1]]
    assert spark.prepared() == []
