"""The archive of what runs of EMR Serverless import: whole by itself, and missed where it is not there."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adplatform.engines import spark_environment
from adplatform.engines.declared_spark import SCRIPT
from adplatform.engines.engine import Started
from adplatform.engines.spark import spark_engine
from adplatform.engines.spark_environment import ENVIRONMENT_KEY, put_environment
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.ledger.engine_run import Intention
from adplatform.platform.aws import Aws
from adplatform_tests.support.calls import CountedAws
from adplatform_tests.support.spark_runs import (
    clean_rows,
    make_application,
    needs_python_of_glue,
    on_emr,
    put_delivery,
    put_entry_point,
    result_of,
    wait_for_emr_run,
)


def wanted(attempt: int = 1) -> Intention:
    now = datetime.now(UTC)
    return Intention("crm", "orders", "orders/2026-03-14/v1/a1", attempt=attempt, begun=1, begun_at=now)


def ended(services: Services, application: str, intention: Intention) -> dict[str, Any]:
    """A run as EMR tells it once it has ended."""
    started = spark_engine(on_emr(services, application), "crm", "orders").start(intention)
    assert isinstance(started, Started)
    return wait_for_emr_run(services.aws, application, started.run_id, seconds=240.0)


@needs_python_of_glue
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_delivery_is_transformed_by_the_modules_of_the_archive_and_by_no_others(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = CountedAws(services.aws.region, services.aws.endpoint_url)
    services = replace(services, aws=counted)
    provision(services, [])
    application = make_application(services.aws)
    put_entry_point(services, SCRIPT)
    put_delivery(services, wanted(), {"a.csv": "id,email\n1,a@b.de\nx,c@d.de\n"})
    put_environment(services)
    run = ended(services, application, wanted())
    assert run["state"] == "SUCCESS", run["stateDetails"]
    [row] = clean_rows(services, result_of(services, wanted()), tmp_path)
    assert (row["id"], len(row["email_lake"])) == (1, 64)
    counted.names.clear()
    put_environment(services)
    assert counted.names == ["HeadObject"]

    monkeypatch.setattr(spark_environment, "BROUGHT", ())
    put_environment(services)
    run = ended(services, application, wanted(attempt=2))
    assert (run["state"], "No module named 'pydantic'" in run["stateDetails"]) == ("FAILED", True)


def test_an_archive_that_is_missing_is_found_before_a_run_fails_for_it(aws: Aws, services: Services) -> None:
    provision(services, [])
    application = make_application(aws)
    put_entry_point(services, SCRIPT)
    engine = spark_engine(on_emr(services, application), "crm", "orders")
    assert list(engine.check()) == []
    services.store.delete(services.zones.raw_bucket, [ENVIRONMENT_KEY])
    [finding] = engine.check()
    place = services.zones.raw_uri(ENVIRONMENT_KEY)
    assert finding.fatal
    assert finding.text.endswith(f"what its runs import, {place}, is missing: `adplatform provision` puts it there")
    assert ended(services, application, wanted())["state"] == "FAILED"
