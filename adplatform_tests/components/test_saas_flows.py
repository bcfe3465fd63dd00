"""A SaaS application through AppFlow, in Dagster: from a flow of the account to a clean table of today."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest

from adplatform.components import SaasFlows
from adplatform.engines.crawls import crawler_of, provide_crawlers
from adplatform.flow.services import Services
from adplatform.ledger.engine_run import IntentState, RunState
from adplatform.local.world.saas.server import Server, serving
from adplatform.local.world.saas.world import Settings, World
from adplatform_tests.support.crawls import wait_for_crawl
from adplatform_tests.support.platforms import Platform, make_platform
from adplatform_tests.support.saas import make_flow, order_fault, wait_for_run

NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
FIELDS = ("Id", "Email", "LastName", "SystemModstamp")
CONTACTS: dict[str, Any] = {
    "name": "contacts",
    "start_date": "2026-01-01",
    "every": "1h",
    "columns": {
        "id": {"field": "Id", "required": True},
        "email": {"field": "Email", "pii": "email"},
        "last_name": {"field": "LastName", "pii": {"kind": "last_name", "treatment": "drop"}},
        "changed_at": {"field": "SystemModstamp", "type": "timestamp"},
    },
    "key": "id",
    "latest_by": "changed_at",
}


@pytest.fixture
def saas() -> Iterator[Server]:
    """A CRM of twenty days whose clock stands still."""
    world = World(Settings(began=datetime(2026, 11, 1, tzinfo=UTC).date()), sleep=lambda _: None)
    world.clock.set(NOW, frozen=True)
    with serving(world) as server:
        yield server


@pytest.fixture
def crm(services: Services, instance: dg.DagsterInstance, saas: Server) -> Platform:
    """A platform with the contacts of the CRM, which a flow of the account brings."""
    flow = f"contacts-{uuid.uuid4().hex[:8]}"
    platform = make_platform(services, {"source": "crm", "feeds": [{**CONTACTS, "flow": flow}]}, instance, SaasFlows)
    make_flow(services.aws, saas.url, flow, "Contact", FIELDS, services.zones.raw_bucket, "landing/crm")
    return platform


def run_ends(crm: Platform) -> dict[str, Any]:
    """The flow's run that the platform started."""
    [intention] = crm.services.ledger.engine_runs.pursued("crm")
    return wait_for_run(crm.services.aws, crm.declared.feeds[0].flow or "", intention.run_id)


def test_contacts_become_a_table_without_personal_data(crm: Platform, saas: Server) -> None:
    assert crm.tick() == []
    run = run_ends(crm)
    [result] = crm.process()
    assert result.success
    truth = [r for r in saas.world.records("Contact", NOW) if not r["IsDeleted"]]
    assert run["executionResult"]["recordsProcessed"] == len(truth)
    ids = crm.query("select id from {contacts} order by 1")
    assert [row[0] for row in ids] == sorted(r["Id"] for r in truth)
    (columns,) = crm.query("select count(email_lake), count(distinct email_lake) from {contacts}")
    assert columns[0] == sum(bool(r["Email"]) for r in truth)
    checks = {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}
    assert all(evaluation.passed for evaluation in checks.values())
    assert checks["engine_counts"].description == f"{len(truth)} rows read; 1 runs of the engine say {len(truth)}"


def test_files_that_the_engine_could_not_write_show_in_the_counts(crm: Platform, aws_endpoint: str) -> None:
    order_fault(aws_endpoint, "put_failures", crm.declared.feeds[0].flow or "", count=1)
    crm.tick()
    run_ends(crm)
    crm.process()
    [row] = crm.services.ledger.engine_runs.runs("crm", "contacts")
    assert row.state is RunState.PARTIAL
    assert row.error.startswith("1 of its writes failed")


@pytest.mark.parametrize("fault", ["event_lost", "event_late", "event_twice", "event_early"])
def test_whatever_becomes_of_the_event_the_table_is_the_same(
    crm: Platform, saas: Server, aws_endpoint: str, fault: str
) -> None:
    order_fault(aws_endpoint, fault, crm.declared.feeds[0].flow or "", seconds=3600)
    crm.tick()
    run_ends(crm)
    [result] = crm.process()
    assert result.success
    truth = [r for r in saas.world.records("Contact", NOW) if not r["IsDeleted"]]
    assert crm.query("select count(*) from {contacts}") == [(len(truth),)]


def test_a_run_behind_the_platforms_back_is_landed_with_ours_and_doubles_no_row(crm: Platform, saas: Server) -> None:
    crm.tick()
    run_ends(crm)
    foreign = crm.services.aws.client("appflow").start_flow(flowName=crm.declared.feeds[0].flow)["executionId"]
    wait_for_run(crm.services.aws, crm.declared.feeds[0].flow or "", foreign)
    crm.process()
    rows = crm.services.ledger.engine_runs.runs("crm", "contacts")
    assert sorted(row.intent[:5] for row in rows) == ["", "slot/"]
    assert all(row.ended for row in rows)
    truth = [r for r in saas.world.records("Contact", NOW) if not r["IsDeleted"]]
    assert crm.query("select count(*) from {contacts}") == [(len(truth),)]


def test_the_run_is_shown_among_the_events_of_the_raw_asset(crm: Platform) -> None:
    crm.tick()
    run_ends(crm)
    crm.process()
    [row] = crm.services.ledger.engine_runs.runs("crm", "contacts")
    assert (row.state, row.intent[:5], row.objects) == (RunState.SUCCEEDED, "slot/", 1)
    [intention] = crm.services.ledger.engine_runs.intentions("crm", "contacts")
    assert intention.state is IntentState.FULFILLED


def test_the_table_of_a_flow_is_crawled_like_any(
    services: Services, instance: dg.DagsterInstance, saas: Server
) -> None:
    flow = f"contacts-{uuid.uuid4().hex[:8]}"
    feed = {**CONTACTS, "flow": flow, "crawl": True}
    crm = make_platform(services, {"source": "crm", "feeds": [feed]}, instance, SaasFlows)
    make_flow(services.aws, saas.url, flow, "Contact", FIELDS, services.zones.raw_bucket, "landing/crm")
    provide_crawlers(services, crm.source)
    crm.tick()
    run_ends(crm)
    crm.process()
    wait_for_crawl(services.aws, crawler_of(services, crm.flow("contacts")).name)
    crm.tick()
    [row] = services.ledger.engine_runs.runs("crm", "crawl-contacts")
    assert (row.state, row.ended, row.error) == (RunState.SUCCEEDED, True, "")
