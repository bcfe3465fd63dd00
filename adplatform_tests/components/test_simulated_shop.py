"""The simulated shop as a source: its secret, its tables, and what a second reading brings."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import dagster as dg
import httpx
import pytest
from pydantic import ValidationError

from adplatform.components import DatabaseTables
from adplatform.contracts.database import DatabaseSource
from adplatform.failures import PermanentFailure
from adplatform.flow.services import Services
from adplatform.resources.provisioning import provision_patterns
from adplatform_tests.support.platforms import Platform, make_platform

ORDERS: dict[str, Any] = {
    "name": "orders",
    "start_date": "2026-01-01",
    "every": "1h",
    "incremental": {"cursor": "updated_at", "lag": "0s"},
    "columns": {
        "id": {"type": "bigint", "required": True},
        "status": {"required": True},
        "amount": "decimal(12,2)",
        "updated_at": {"type": "timestamp", "required": True},
    },
    "key": "id",
    "latest_by": "updated_at",
}
CUSTOMERS: dict[str, Any] = {
    "name": "customers",
    "start_date": "2026-01-01",
    "every": "1h",
    "columns": {"id": {"type": "bigint", "required": True}, "email": {"pii": "email"}},
    "key": "id",
    "partition_by": None,
}


def declaration(services: Services, **more: Any) -> dict[str, Any]:
    secret = f"{services.settings.ledger_table}/shop"
    return {"source": "shop", "connection": secret, "simulated": True, "feeds": [ORDERS, CUSTOMERS], **more}


@pytest.fixture
def platform(services: Services, instance: dg.DagsterInstance) -> Platform:
    made = make_platform(services, declaration(services), instance, DatabaseTables)
    for _ in range(2):
        provision_patterns(services, [pattern_of(made)])
    return made


def pattern_of(platform: Platform) -> Any:
    assert isinstance(platform.declared, DatabaseSource)
    return DatabaseTables(platform.declared).pattern(platform.services.settings)


def told(services: Services) -> dict[str, Any]:
    """What the secret says."""
    name = f"{services.settings.ledger_table}/shop"
    found: dict[str, Any] = json.loads(services.secrets.get_secret_value(SecretId=name)["SecretString"])
    return found


def asked(services: Services, name: str, body: object = None) -> dict[str, Any]:
    """The shop's own API; all tests of a worker share one shop."""
    at = f"{told(services)['administration']}/{name}"
    answer = httpx.get(at, trust_env=False) if body is None else httpx.post(at, json=body, trust_env=False, timeout=60)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.slow
def test_a_second_reading_brings_what_the_shop_has_changed_since(platform: Platform) -> None:
    services = platform.services
    assert all(result.success for result in platform.process())
    sold = asked(services, "truth?table=orders")
    [(count, total)] = platform.query("select count(*), sum(amount) from {orders}")
    broken = sold["rows"] - count
    assert (broken, str(total)) == (2, sold["sum"]), "NaN is quarantined"

    done = asked(services, "trade", {"orders": 10})
    now = services.now() + timedelta(hours=1)
    following = replace(platform, services=replace(services, now=lambda: now))
    assert all(result.success for result in following.process())
    first, second = (run.records or 0 for run in services.ledger.engine_runs.runs("shop", "orders"))
    # A row may have changed twice, or been deleted after it changed.
    assert first == sold["rows"]
    assert 10 <= second <= done["orders"] + done["statuses"] + done["corrections"]
    assert following.query("select count(*) from {customers}") == [(asked(services, "truth?table=customers")["rows"],)]
    current = (
        "select count(*), sum(amount) from (select id, max_by(amount, updated_at) amount from {orders} group by id)"
    )
    [(count, total)] = following.query(current)
    sold = asked(services, "truth?table=orders")
    assert count == sold["rows"] + done["deletes"], "that a row is gone, only a whole reading tells"
    assert total >= float(sold["sum"])


def test_a_database_is_simulated_in_local_mode_only(services: Services) -> None:
    declared = DatabaseSource.model_validate(declaration(services))
    assert not declared.verified
    there = replace(services, settings=replace(services.settings, env="aws"))
    with pytest.raises(PermanentFailure, match="shop is simulated, which only the local mode can be"):
        provision_patterns(there, [DatabaseTables(declared).pattern(services.settings)])


def test_a_simulated_database_has_no_authority(services: Services) -> None:
    with pytest.raises(ValidationError, match="authority is for a server elsewhere"):
        DatabaseSource.model_validate(declaration(services, authority="ca"))
