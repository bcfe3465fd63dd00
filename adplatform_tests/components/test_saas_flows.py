"""A SaaS application through AppFlow, in Dagster: from a flow of the account to a clean table of today."""

import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import dagster as dg
import pytest

from adplatform.components import SaasFlows
from adplatform.components.assembly.automation import Looking, Tick
from adplatform.components.assembly.engine_runs import EngineRuns
from adplatform.engines.crawls import crawler_of, provide_crawlers
from adplatform.failures import PermanentFailure
from adplatform.flow.budget import UNLIMITED
from adplatform.flow.services import Services
from adplatform.ledger.engine_run import IntentState, RunState
from adplatform.local.world.saas.server import Server, serving
from adplatform.local.world.saas.world import Settings, World
from adplatform.resources.provisioning import provision_patterns
from adplatform_tests.support.crawls import wait_for_crawl
from adplatform_tests.support.platforms import Platform, make_platform
from adplatform_tests.support.saas import make_flow, make_profile, order_fault, wait_for_run

T = TypeVar("T")
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


@pytest.mark.slow
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
    [row] = crm.services.ledger.engine_runs.runs("crm", "contacts")
    assert (row.state, row.intent[:5], row.objects) == (RunState.SUCCEEDED, "slot/", 1)
    [intention] = crm.services.ledger.engine_runs.intentions("crm", "contacts")
    assert intention.state is IntentState.FULFILLED


def test_files_that_the_engine_could_not_write_show_in_the_counts(crm: Platform, aws_endpoint: str) -> None:
    order_fault(aws_endpoint, "put_failures", crm.declared.feeds[0].flow or "", count=1)
    crm.tick()
    run_ends(crm)
    crm.process()
    [row] = crm.services.ledger.engine_runs.runs("crm", "contacts")
    assert row.state is RunState.PARTIAL
    assert row.error.startswith("1 of its writes failed")


def test_a_field_that_the_flow_loses_shows_in_a_check(crm: Platform, saas: Server) -> None:
    appflow, flow = crm.services.aws.client("appflow"), crm.declared.feeds[0].flow or ""
    crm.tick()
    run_ends(crm)
    crm.process()
    described = appflow.describe_flow(flowName=flow)
    named = ("description", "triggerConfig", "sourceFlowConfig", "destinationFlowConfigList", "tasks")
    update = {name: described[name] for name in named if name in described}
    update["tasks"] = [task for task in update["tasks"] if task["sourceFields"] != ["Email"]]
    update["tasks"][0]["sourceFields"] = [field for field in update["tasks"][0]["sourceFields"] if field != "Email"]
    appflow.update_flow(flowName=flow, **update)
    wait_for_run(crm.services.aws, flow, appflow.start_flow(flowName=flow)["executionId"])
    [result] = crm.process()
    checks = {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}
    assert not checks["fields_present"].passed
    assert "email_lake" in str(checks["fields_present"].description)
    assert result.success


def look(crm: Platform, instance: dg.DagsterInstance, cursor: str | None) -> Tick:
    """A regular tick, whose engines are asked every hour at least."""
    pattern = SaasFlows(crm.declared).pattern(crm.services.settings)
    return EngineRuns(pattern, timedelta(hours=1)).look(crm.services, instance, Looking(UNLIMITED, cursor))


def test_an_event_makes_a_look_come_sooner_and_without_one_a_tick_asks_no_engine(
    crm: Platform, instance: dg.DagsterInstance, aws_endpoint: str
) -> None:
    provision_patterns(crm.services, [SaasFlows(crm.declared).pattern(crm.services.settings)])
    first = look(crm, instance, None)
    assert [run.state for run in crm.services.ledger.engine_runs.runs("crm", "contacts")] == [RunState.UNSEEN]
    run_ends(crm)
    woken = eventually(lambda: (tick := look(crm, instance, first.cursor)).requests and tick)
    assert len(woken.requests) == 1
    spared = look(crm, instance, woken.cursor)
    assert spared.standing.startswith("no engine has reported anything since")
    assert (spared.requests, spared.cursor) == ((), woken.cursor)

    order_fault(aws_endpoint, "event_lost", crm.declared.feeds[0].flow or "")
    foreign = crm.services.aws.client("appflow").start_flow(flowName=crm.declared.feeds[0].flow)["executionId"]
    wait_for_run(crm.services.aws, crm.declared.feeds[0].flow or "", foreign)
    assert look(crm, instance, woken.cursor).cursor == woken.cursor
    assert look(crm, instance, None).requests != ()


def eventually(found: Callable[[], T]) -> T:
    """Events take their way; what they bring in the end."""
    deadline = time.monotonic() + 20
    while not (value := found()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return value


@pytest.mark.parametrize(
    "fault",
    ["event_lost", *(pytest.param(f"event_{what}", marks=pytest.mark.slow) for what in ("late", "twice", "early"))],
)
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


@pytest.mark.slow
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


def test_a_window_of_the_past_becomes_rows_of_the_same_table_each_once(crm: Platform, saas: Server) -> None:
    crm.tick()
    run_ends(crm)
    crm.process()
    flow = crm.declared.feeds[0].flow or ""
    watch = SaasFlows(crm.declared).pattern(crm.services.settings).watch(crm.services)  # type: ignore[arg-type]
    target = next(each for each in watch.targets if each.name == "window-contacts")
    start, end = datetime(2026, 11, 5, tzinfo=UTC), datetime(2026, 11, 8, tzinfo=UTC)
    assert watch.intend(target, "window/1", start, end)
    crm.tick()
    [pursued] = [each for each in crm.services.ledger.engine_runs.pursued("crm") if each.target == target.name]
    wait_for_run(crm.services.aws, f"{flow}.window-20261105-20261108", pursued.run_id)
    [result] = crm.process()
    assert result.success
    records = [r for r in saas.world.records("Contact", NOW) if not r["IsDeleted"]]
    changed = [r for r in records if start <= datetime.fromisoformat(r["SystemModstamp"]) < end]
    checks = {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}
    said = len(records) + len(changed)
    assert checks["engine_counts"].description == f"{said} rows read; 2 runs of the engine say {said}"
    assert crm.query("select count(*), count(distinct id) from {contacts}") == [(len(records), len(records))]
    assert crm.services.ledger.objects.refused("crm") == []


SALESFORCE = {
    "accounts": ("Account", "account_id"),
    "contacts": ("Contact", "contact_id"),
    "leads": ("Lead", "lead_id"),
    "opportunities": ("Opportunity", "opportunity_id"),
    "campaigns": ("Campaign", "campaign_id"),
    "campaign_members": ("CampaignMember", "campaign_member_id"),
}


def ready_made(
    services: Services, instance: dg.DagsterInstance, saas: Server, *feeds: Any, source: str = ""
) -> Platform:
    """A platform with ready-made feeds of the CRM, whose flows it made itself."""
    source = source or f"crm_{uuid.uuid4().hex[:8]}"
    declared = {"source": source, "connection": make_profile(services.aws, saas.url), "start_date": "2026-01-01"}
    platform = make_platform(services, {**declared, "feeds": feeds}, instance, SaasFlows)
    SaasFlows(platform.declared).pattern(services.settings).provision(services)  # type: ignore[arg-type]
    return platform


@pytest.mark.parametrize(
    "feeds",
    [pytest.param(["contacts"], id="contacts"), pytest.param(list(SALESFORCE), id="all", marks=pytest.mark.slow)],
)
def test_names_of_ready_made_feeds_are_enough_for_tables_of_all_that_the_crm_has(
    services: Services, instance: dg.DagsterInstance, saas: Server, feeds: list[str]
) -> None:
    crm = ready_made(services, instance, saas, *feeds)
    assert crm.tick() == []
    for row in services.ledger.engine_runs.pursued(crm.source.name):
        wait_for_run(services.aws, f"{crm.source.name}-{row.target}", row.run_id)
    results = crm.process()
    assert [result.success for result in results] == [True] * len(feeds)
    checks = [check for result in results for check in result.get_asset_check_evaluations()]
    assert [check.check_name for check in checks if not check.passed] == []
    for feed in feeds:
        name, key = SALESFORCE[feed]
        truth = {record["Id"]: record["IsDeleted"] for record in saas.world.records(name, NOW)}
        rows = crm.query(f"select {key}, is_deleted, created_year from {{{feed}}}")
        assert {row[0]: row[1] for row in rows} == truth
        assert len(rows) == len(truth)
        assert {row[2] for row in rows} == {2026}
    [counts] = crm.query("select count(email_lake), count(phone_lake), count(mailing_country) from {contacts}")
    persons = saas.world.records("Contact", NOW)
    assert counts == (sum(bool(p["Email"]) for p in persons), sum(bool(p["Phone"]) for p in persons), len(persons))


@pytest.mark.slow
def test_what_a_later_run_brings_takes_the_place_of_what_it_changed(
    services: Services, instance: dg.DagsterInstance, saas: Server
) -> None:
    crm = ready_made(services, instance, saas, {"extends": "opportunities", "name": "deals", "every": None})
    for later in (timedelta(0), timedelta(days=3)):
        saas.world.clock.set(NOW + later, frozen=True)
        run = services.aws.client("appflow").start_flow(flowName=f"{crm.source.name}-deals")
        wait_for_run(services.aws, f"{crm.source.name}-deals", run["executionId"])
        crm.process()
    truth = {r["Id"]: (r["StageName"], r["IsWon"]) for r in saas.world.records("Opportunity", NOW + timedelta(days=3))}
    rows = crm.query("select opportunity_id, stage, is_won from {deals}")
    assert {row[0]: row[1:] for row in rows if row[0] in truth} == truth
    assert len(rows) == len({row[0] for row in rows})


def test_flows_that_can_be_made_are_made_before_those_that_cannot_are_told_of(
    services: Services, instance: dg.DagsterInstance, saas: Server
) -> None:
    def wrong(name: str) -> dict[str, Any]:
        return {"extends": "leads", "name": name, "columns": {"score": {"field": f"{name}__c"}}}

    source = f"crm_{uuid.uuid4().hex[:8]}"
    with pytest.raises(PermanentFailure, match=r"Lead has no first__c .*; .*Lead has no second__c"):
        ready_made(services, instance, saas, wrong("first"), wrong("second"), "accounts", source=source)
    flow = services.aws.client("appflow").describe_flow(flowName=f"{source}-accounts")
    assert flow["flowStatus"] == "Active"


@pytest.mark.slow
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
