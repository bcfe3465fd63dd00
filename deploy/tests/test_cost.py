"""What a deployment costs."""

from dataclasses import replace
from pathlib import Path

import pytest

from adplatform.failures import PermanentFailure
from deploy.cost import Line, cost_of, read_prices, spark_runs, table
from deploy.estate import Estate
from deploy.template import Assembly, Resource

PRICES = read_prices()


def test_everything_that_is_deployed_has_a_price_or_is_free(estate: Estate, assembly: Assembly) -> None:
    lines, by_use = cost_of(estate, assembly, PRICES)
    found = {line.what: line for line in lines}
    keys = len(assembly.resources("AWS::KMS::Key"))
    assert found["keys"].cost == keys * PRICES.monthly["key"]
    # Code server, daemon and web server have half a CPU each.
    assert found["services: CPU"].amount == 1.5
    assert found["services: CPU"].cost == pytest.approx(1.5 * 730 * PRICES.hourly["fargate_cpu"])
    assert any(each.startswith("S3 Bucket (") for each in by_use)


def test_a_resource_that_nobody_has_priced_is_named(estate: Estate, assembly: Assembly) -> None:
    class More(Assembly):
        @property
        def every(self) -> list[Resource]:  # type: ignore[override]
            return [Resource("s", "Cache", "AWS::ElastiCache::CacheCluster", {}, {})]

    with pytest.raises(PermanentFailure, match=r"AWS::ElastiCache::CacheCluster: say in deploy/cost\.py what it costs"):
        cost_of(estate, More(assembly.folder), PRICES)


def test_a_second_zone_of_the_database_costs_as_much_again(estate: Estate, assembly: Assembly) -> None:
    lines, _ = cost_of(estate, assembly, PRICES)
    [database] = [line for line in lines if line.what == "database of Dagster, instances"]
    assert database.amount == 2
    doubled = replace(PRICES, hourly={**PRICES.hourly, "database_instance": 2 * PRICES.hourly["database_instance"]})
    [dearer] = [line for line in cost_of(estate, assembly, doubled)[0] if line.what == database.what]
    assert dearer.cost == pytest.approx(2 * database.cost)


def test_a_run_of_spark_costs_its_cpus_and_its_memory_where_that_is_paid_apart() -> None:
    """100 GB take 10 CPU-hours, and ten workers of four CPUs wait for a tenth of an hour: 14 CPU-hours."""
    assumed = {
        "gigabytes": 100,
        "cpu_seconds_gigabyte": 360,
        "gigabytes_a_cpu": 4,
        "start_hours": 0.1,
        "workers": 10,
    }
    used = {"glue_dpu_hour": 0.4, "emr_serverless_vcpu_hour": 0.05, "emr_serverless_gigabyte_hour": 0.005}
    assert spark_runs(replace(PRICES, used=used, spark_run=assumed)) == [
        "Glue: 3.5 DPU-hours, 1.40 USD",
        "EMR Serverless: 14.0 vCPU-hours and 56.0 GB-hours, 0.98 USD",
    ]
    assert len(spark_runs(PRICES)) == 2


def test_the_table_has_a_sum() -> None:
    assert table([Line("keys", 8, 1.0), Line("secrets", 2, 0.4)])[-1] == "| **all that is there** | | | **9** |"


def test_prices_that_lack_a_group_are_named(tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text("hourly: {}\nmonthly: {}\n")
    with pytest.raises(PermanentFailure, match=r"prices\.yaml: used is missing"):
        read_prices(file)
