"""What OpenLineage's receiver and a collector of traces hear of real deliveries, through Dagster's own steps."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest

from adplatform.contracts.marketing import MarketingSource
from adplatform.failures import PermanentFailure
from adplatform.flow.lineage_catalog import post
from adplatform.flow.services import Services
from adplatform.flow.telemetry import CATALOG, emit_began, run_key
from adplatform.ledger.delivery import Delivery, DeliveryState
from adplatform.ledger.engine_run import RunState
from adplatform.marketing.fact import fact_of as marketing_fact_of
from adplatform.platform import traces
from adplatform.pull.fact import fact_of
from adplatform_tests.components.test_database_changes import platform_of, put
from adplatform_tests.engines.world import Brought
from adplatform_tests.marketing.world import FACT
from adplatform_tests.pull.test_fact import SP, declared
from adplatform_tests.support.platforms import YESTERDAY, Platform, make_platform
from adplatform_tests.support.receivers import Receiver, heard, hearing_lineage, hearing_traces, run_event
from adplatform_tests.support.replication import administer

MEMBERS: dict[str, Any] = {
    "name": "members",
    "start_date": "2026-01-01",
    "arrival": {"complete_when": "done_file"},
    "columns": {
        "member_id": {"type": "bigint", "required": True, "field": "Member ID"},
        "email": {"pii": "email"},
        "country": "string",
        "spent": "decimal(12,2)",
    },
    "key": "member_id",
    "bounds": {"max_quarantined": 0.5},
}
PERSON = "ann.poisoned" + "@example.com"
BODY = f"Member ID,email,country,spent\n1,{PERSON},DE,9.90\n2,bob@example.com,FR,oops\n1,{PERSON},DE,10\n".encode()


@pytest.fixture(scope="module")
def events() -> Iterator[Receiver]:
    pytest.importorskip("openlineage.client")
    with hearing_lineage() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def collector() -> Iterator[Receiver]:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    with hearing_traces() as receiver:
        yield receiver


def acme(services: Services, instance: dg.DagsterInstance, **settings: Any) -> Platform:
    told = replace(services, settings=replace(services.settings, **settings))
    return make_platform(told, {"source": "acme", "feeds": [MEMBERS]}, instance)


def a_domain() -> str:
    """An id of a domain of SageMaker Catalog, of this test alone."""
    pytest.importorskip("openlineage.client")
    return f"dzd-{uuid4().hex[:12]}"


def refuse(services: Services, domain: str, fault: str, times: int) -> None:
    ordered = {"service": "datazone", "name": fault, "target": domain, "times": times}
    administer(services.aws, fault=ordered)


def posted(services: Services, domain: str) -> list[Any]:
    client = services.datazone
    listed = client.list_lineage_events(domainIdentifier=domain)["items"]
    told = [client.get_lineage_event(domainIdentifier=domain, identifier=each["id"])["event"] for each in listed]
    return [run_event(each.read()) for each in told]


def deliver(platform: Platform, body: bytes = BODY) -> list[dg.ExecuteInProcessResult]:
    platform.put(f"members/dt={YESTERDAY}/{PERSON}.csv", body)
    platform.put(f"members/dt={YESTERDAY}/_SUCCESS", b"")
    return platform.process()


def test_a_delivery_is_a_run_of_lineage_with_its_tables_columns_and_counts(
    services: Services, instance: dg.DagsterInstance, events: Receiver
) -> None:
    platform = acme(services, instance, lineage=True)
    [result] = deliver(platform)
    start, complete = heard(events)
    assert [start["eventType"], complete["eventType"]] == ["START", "COMPLETE"]
    assert start["run"]["runId"] == complete["run"]["runId"]
    assert complete["job"]["name"] == "acme/members"
    facets = complete["run"]["facets"]
    assert facets["parent"]["run"]["runId"] == result.run_id
    assert facets["nominalTime"]["nominalStartTime"] == f"{YESTERDAY}T00:00:00Z"
    [received], [table] = complete["inputs"], complete["outputs"]
    settings = services.settings
    assert (received["namespace"], received["name"]) == (f"s3://{settings.raw_bucket}", "landing/acme/members")
    assert received["inputFacets"]["inputStatistics"]["rowCount"] == 3
    assert table["namespace"] == f"arn:aws:glue:{services.aws.region}:123456789012"
    assert table["name"] == f"table/{settings.database_prefix}acme/members"
    assert table["outputFacets"]["outputStatistics"]["rowCount"] == 1
    assert table["facets"]["version"]["datasetVersion"] == f"{YESTERDAY}/1"
    types = {each["name"]: each["type"] for each in table["facets"]["schema"]["fields"]}
    assert (types["member_id"], types["email_lake"], types["spent"], types["dt"]) == (
        "bigint",
        "string",
        "decimal(12,2)",
        "date",
    )
    made = {
        name: [
            (source["field"], source["transformations"][0]["subtype"], source["transformations"][0]["masking"])
            for source in column["inputFields"]
        ]
        for name, column in table["facets"]["columnLineage"]["fields"].items()
    }
    assert made == {
        "member_id": [("Member ID", "TRANSFORMATION", False)],
        "email_lake": [("email", "TRANSFORMATION", True)],
        "country": [("country", "IDENTITY", False)],
        "spent": [("spent", "TRANSFORMATION", False)],
    }
    assert PERSON not in json.dumps([start, complete])


def test_a_merge_of_changes_goes_on_from_the_table_of_changes_to_that_of_rows(
    services: Services, instance: dg.DagsterInstance, events: Receiver
) -> None:
    platform = platform_of(replace(services, settings=replace(services.settings, lineage=True)), instance)
    put(platform, "LOAD00000001.parquet", {"Op": "I", "id": 1, "status": "new"}, {"Op": "I", "id": 2, "status": "new"})
    platform.process()
    start, complete = (each for each in heard(events) if each["job"]["name"] == "shop/orders")
    assert [start["eventType"], complete["eventType"]] == ["START", "COMPLETE"]
    prefix = f"table/{services.settings.database_prefix}shop"
    [changes] = complete["inputs"]
    assert changes["name"] == f"{prefix}/orders_changes"
    made = {each["name"]: each for each in complete["outputs"]}
    assert made.keys() == {f"{prefix}/orders", f"{prefix}/orders_deleted"}
    orders = made[f"{prefix}/orders"]
    assert orders["outputFacets"]["outputStatistics"]["rowCount"] == 2
    [status] = orders["facets"]["columnLineage"]["fields"]["status"]["inputFields"]
    assert (status["name"], status["field"]) == (changes["name"], "status")


def test_facts_are_made_of_their_tables(services: Services, events: Receiver) -> None:
    told = replace(services, settings=replace(services.settings, lineage=True))
    daily, marketing = fact_of(declared(SP)), marketing_fact_of(MarketingSource.model_validate(FACT)).flow
    assert daily is not None
    for flow, name, tables in (
        (daily.table, "ads/ads_daily", ["ads/sp"]),
        (marketing, "marketing/marketing_daily", ["acme/campaigns", "acme/rates"]),
    ):
        emit_began(told, flow, Delivery(YESTERDAY, version=1, run_id="build"))
        [start] = heard(events)
        prefix = f"table/{services.settings.database_prefix}"
        assert [each["name"].removeprefix(prefix) for each in start["inputs"]] == tables
        assert [each["name"].removeprefix(prefix) for each in start["outputs"]] == [name]


def test_a_domain_of_sagemaker_catalog_gets_each_event_once_though_an_answer_is_lost(
    services: Services, instance: dg.DagsterInstance
) -> None:
    domain = a_domain()
    platform = acme(services, instance, lineage_domain=domain)
    refuse(services, domain, "answer_lost", 1)
    deliver(platform)
    assert CATALOG.end()
    assert [each["eventType"] for each in posted(services, domain)] == ["START", "COMPLETE"]
    start, complete = posted(services, domain)
    assert start["run"]["runId"] == complete["run"]["runId"]
    [table] = complete["outputs"]
    assert "email_lake" in table["facets"]["columnLineage"]["fields"]
    assert PERSON not in json.dumps([start, complete])


def test_a_delivery_is_published_though_the_domain_refuses_its_lineage(
    services: Services, instance: dg.DagsterInstance
) -> None:
    domain = a_domain()
    platform = acme(services, instance, lineage_domain=domain)
    refuse(services, domain, "refused", 2)
    [result] = deliver(platform)
    assert CATALOG.end()
    assert result.success
    assert posted(services, domain) == []
    refuse(services, domain, "refused", 1)
    event = {"run": {"runId": "1"}, "eventType": "START"}
    with pytest.raises(PermanentFailure, match=f"^the domain {domain} of SageMaker Catalog does not take .*: Access"):
        post(services.datazone, domain, event)


def test_a_delivery_that_fails_says_why_and_the_next_attempt_is_another_run(
    services: Services, instance: dg.DagsterInstance, events: Receiver
) -> None:
    platform = acme(services, instance, lineage=True)
    deliver(platform, b"Member ID,email\n1,x\n")
    start, fail = heard(events)
    assert [start["eventType"], fail["eventType"]] == ["START", "FAIL"]
    assert "country" in fail["run"]["facets"]["errorMessage"]["message"]
    assert PERSON not in json.dumps(fail)
    deliver(platform)
    again = heard(events)
    assert [each["eventType"] for each in again] == ["START", "COMPLETE"]
    assert again[0]["run"]["runId"] != start["run"]["runId"]


def test_a_delivery_is_published_while_nobody_answers(
    services: Services, instance: dg.DagsterInstance, events: Receiver, collector: Receiver
) -> None:
    for receiver in (events, collector):
        receiver.open.clear()
    platform = acme(services, instance, lineage=True, traces=True)
    try:
        [result] = deliver(platform)
        assert result.success
        assert platform.delivery("members").state is DeliveryState.PUBLISHED
        assert events.asked.wait(20)
        assert events.taken == collector.taken == []
    finally:
        for receiver in (events, collector):
            receiver.open.set()
    assert len(heard(events)) == 2
    heard(collector)


def test_a_delivery_is_one_trace_of_its_steps(
    services: Services, instance: dg.DagsterInstance, collector: Receiver
) -> None:
    platform = acme(services, instance, traces=True)
    [result] = deliver(platform)
    told = [span for batch in heard(collector) for span in batch]
    [whole] = [span for span in told if not span.parent_span_id]
    assert {span.trace_id for span in told} == {whole.trace_id}
    assert {span.parent_span_id for span in told if span is not whole} == {whole.span_id}
    assert len({span.span_id for span in told}) == len(told)
    in_order = sorted((span for span in told if span is not whole), key=lambda span: span.start_time_unix_nano)
    assert [span.name for span in in_order] == ["claim", "verify", "claim", "transform", "audit", "publish", "close"]
    facts = {each.key: each.value for each in whole.attributes}
    assert (whole.name, facts["adplatform.run_id"].string_value) == ("delivery", result.run_id)
    assert facts["adplatform.rows_clean"].int_value == 1
    assert all(whole.start_time_unix_nano <= span.end_time_unix_nano <= whole.end_time_unix_nano for span in in_order)
    assert PERSON not in str(told)


def test_the_run_of_an_engine_is_a_trace_to_which_what_it_brought_is_linked(collector: Receiver) -> None:
    brought = Brought.make()
    brought.base.settings = replace(brought.base.settings, traces=True)
    brought.look()
    [run_id] = brought.engine.going
    brought.later(minutes=5)
    brought.engine.end(run_id, RunState.FAILED)
    brought.look()
    with traces.tracing(True, brought.base.clock):
        traces.called("a delivery")
        traces.linked(run_key("crm", run_id))
        traces.outermost("delivery", brought.base.clock())
    run, delivery = [span for batch in heard(collector) for span in batch]
    assert (run.name, run.status.message) == ("fake", "failed")
    assert run.end_time_unix_nano - run.start_time_unix_nano == 5 * 60 * 10**9
    assert [(link.trace_id, link.span_id) for link in delivery.links] == [(run.trace_id, run.span_id)]


def test_the_trace_of_a_delivery_that_fails_says_where_and_not_with_what(
    services: Services, instance: dg.DagsterInstance, collector: Receiver
) -> None:
    platform = acme(services, instance, traces=True)
    deliver(platform, f"Member ID,email\n{PERSON},x\n".encode())
    told = [span for batch in heard(collector) for span in batch]
    wrong = {span.name: span.status.message for span in told if span.status.code == 2}
    assert wrong == {"transform": "FilesRefused", "delivery": "FilesRefused"}
    assert PERSON not in str(told)
