"""A platform on which personal data was delivered: published, put aside, and waiting."""

from collections.abc import Iterator

import dagster as dg
import pytest

from adplatform.flow.pushed import pushed_files
from adplatform.mcp.known import Known
from adplatform.platform.aws import Aws
from adplatform_tests.support.platforms import YESTERDAY, Platform, forget_services, make_platform, make_services

COMMON = {"start_date": "2026-01-01", "arrival": {"complete_when": "count", "expected_files": 1}}
ORDERS = {
    **COMMON,
    "name": "orders",
    "description": "Orders of a shop.",
    "columns": {
        "id": {"type": "bigint", "required": True},
        "email": {"pii": "email"},
        "town": {"pii": {"kind": "city", "treatment": "clear"}},
        "amount": {"type": "decimal(9,2)", "comment": "In euros."},
    },
    "bounds": {"max_quarantined": 0.5},
}
LISTED = {
    **COMMON,
    "name": "listed",
    "arrival": {"complete_when": "manifest", "deadline": "9h"},
    "columns": {"id": "bigint"},
}
LATE = {**COMMON, "name": "late", "columns": {"id": "bigint", "email_lake": {"comment": "As in orders."}}}
ROWS = 40


@pytest.fixture(scope="package")
def shop(aws: Aws, one_instance: dg.DagsterInstance, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    services = make_services(aws, tmp_path_factory.mktemp("home"))
    platform = make_platform(services, {"source": "acme", "feeds": [ORDERS, LISTED, LATE]}, one_instance)
    rows = "".join(f"{i},zelda{i}@person.example,Zeldatown,1.50\n" for i in range(ROWS))
    orders = f"id,email,town,amount\n{rows}41,zelda@person.example,Zeldatown,zelda\n"
    platform.put(f"orders/dt={YESTERDAY}/zelda.csv", orders.encode())
    platform.put(f"listed/dt={YESTERDAY}/manifest.json", b'{"files": [{"name": "zelda.csv", "bytes": 3}]}')
    platform.process()
    yield platform
    forget_services(services)


@pytest.fixture
def known(shop: Platform) -> Known:
    return Known(shop.services, [pushed_files(shop.declared, shop.services.settings)])
