"""Backfills that the sensor launches by itself, in a real Dagster: which dates, once, and to their end."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from adplatform.amazon.sources import AdsSource
from adplatform.components.assembly.backfills import REASON_TAG, backfills_sensor, launch
from adplatform.components.assembly.ownership import take_over
from adplatform.contracts.model import Contract
from adplatform.flow.backfills import Reason, Wanted
from adplatform.flow.pattern import Pattern
from adplatform.flow.provision import provision
from adplatform.flow.pushed import PushedFiles
from adplatform.flow.services import Services
from adplatform.ledger.scopes import Planned, Scope
from adplatform.privacy.keys import new_secret
from adplatform.pull.account import account_of
from adplatform.pull.pattern import PulledReports, account_source
from adplatform.pull.watch import to_be_saved
from adplatform_tests.support.backfills import Backfills, backfilling
from adplatform_tests.support.platforms import TODAY, Platform, make_platform, resources_with

JAPAN = Scope("222", "Asia/Tokyo", "JP")
GREEN = BulkActionStatus.COMPLETED_SUCCESS
DAYS = [TODAY - timedelta(days=n) for n in range(1, 4)]
ORDERS: Mapping[str, Any] = {
    "name": "orders",
    "start_date": str(DAYS[-1]),
    "columns": {"id": "int", "amount": "string"},
    "arrival": {"quiet_period": "0s"},
}


def declared(*feeds: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"source": "acme", "feeds": [dict(each) for each in feeds], **more}


def patterns_of(platform: Platform) -> Sequence[Pattern]:
    return [PushedFiles(platform.source)]


def tick(platform: Platform, dagster: Backfills, cursor: str | None = None) -> dg.SensorResult:
    take_over(platform.services.ledger, dagster.instance)
    sensor = backfills_sensor(lambda: patterns_of(platform), dg.DefaultSensorStatus.STOPPED)
    context = dg.build_sensor_context(
        instance=dagster.instance,
        definitions=platform.definitions,
        resources=resources_with(platform.services),
        cursor=cursor,
    )
    found = sensor.evaluate_tick(context)
    return dg.SensorResult(skip_reason=found.skip_message, cursor=found.cursor)


def launched(dagster: Backfills) -> list[PartitionBackfill]:
    return list(dagster.instance.get_backfills())


def partitions(backfill: PartitionBackfill, dagster: Backfills) -> list[str]:
    data = backfill.asset_backfill_data
    if data is None:
        graph = dagster.context.create_request_context().asset_graph
        data = backfill.get_asset_backfill_data(graph)
    return sorted({each.partition_key or "" for each in data.target_subset.iterate_asset_partitions()})


def publish(platform: Platform, *days: date, body: bytes = b"id,amount\n1,1.50\n") -> None:
    take_over(platform.services.ledger, platform.instance)
    for day in days:
        platform.put(f"orders/dt={day}/orders.csv", body)
    platform.process()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "dagster-home"


@pytest.fixture
def orders(services: Services, instance: dg.DagsterInstance) -> Platform:
    made = make_platform(services, declared(ORDERS), instance)
    publish(made, *DAYS)
    assert len(made.query("select * from {orders}")) == len(DAYS)
    return made


def changed(platform: Platform, **contract: Any) -> Platform:
    """The same source once its declaration was changed."""
    return make_platform(platform.services, declared({**ORDERS, **contract}), platform.instance)


AMOUNTS = {"columns": {**ORDERS["columns"], "next": {"type": "int", "expression": "id + 1"}}, "description": "Orders."}


def test_dates_of_another_contract_are_made_again_once_the_newest_first_and_the_backfill_ends_green(
    orders: Platform, home: Path
) -> None:
    with backfilling(orders.definitions, home) as dagster:
        first = tick(orders, dagster)
        assert launched(dagster) == []
    amounts = changed(orders, **AMOUNTS)
    publish(amounts, DAYS[0], body=b"id,amount\n1,2.50\n")  # made by the new contract before anybody looks
    with backfilling(amounts.definitions, home) as dagster:
        second = tick(amounts, dagster, first.cursor)
        [made] = launched(dagster)
        assert partitions(made, dagster) == sorted(map(str, DAYS[1:]))
        assert (made.tags[REASON_TAG], made.title) == ("contract", "acme/orders: contract")
        assert "2 dates of acme/orders" in str(second.skip_reason)
        # A tick that died before its cursor was kept, and one after it.
        tick(amounts, dagster, first.cursor)
        tick(amounts, dagster, second.cursor)
        assert len(launched(dagster)) == 1

        dagster.evaluate(made.backfill_id)
        queued = dagster.queue._get_runs_to_dequeue(dagster.instance, dagster.instance.get_concurrency_config(), None)
        assert [run.tags["dagster/partition"] for run in queued] == list(map(str, DAYS[1:]))
        for _ in range(2):  # one delivery of a table is published at a time
            dagster.begin(lambda: None)
        ends = (dagster.evaluate(made.backfill_id) for _ in range(5))
        assert next(status for status in ends if status is not BulkActionStatus.REQUESTED) is GREEN
        assert "no date is to be made again" in str(tick(amounts, dagster).skip_reason)
    assert amounts.query("select next, amount from {orders} order by dt") == [(2, "1.50"), (2, "1.50"), (2, "2.50")]


def test_a_contract_that_the_table_cannot_take_makes_no_date_again(orders: Platform, home: Path) -> None:
    with backfilling(orders.definitions, home) as dagster:
        before = tick(orders, dagster)
        retyped = changed(orders, columns={"id": "int", "amount": "decimal(9,2)"})
        for cursor in (before.cursor, tick(retyped, dagster, before.cursor).cursor):
            found = tick(retyped, dagster, cursor)
            assert "amount of table" in str(found.skip_reason)
            assert "older files cannot be read as another type" in str(found.skip_reason)
        assert launched(dagster) == []


def test_what_changes_no_row_makes_no_date_again() -> None:
    one = Contract.model_validate({"columns": {"id": "int"}})
    told = Contract.model_validate({"columns": {"id": {"type": "int", "comment": "x"}}, "bounds": {"min_rows": 0}})
    assert one.rows_digest == told.rows_digest
    for other in ({"columns": {"id": "bigint"}}, {"columns": {"id": {"type": "int", "required": True}}}):
        assert Contract.model_validate(other).rows_digest != one.rows_digest


@pytest.mark.slow
def test_a_key_of_hashing_that_was_replaced_makes_the_dates_again_that_are_under_another(
    services: Services, instance: dg.DagsterInstance, home: Path
) -> None:
    people = {**ORDERS, "columns": {"id": "int", "amount": {"pii": "email"}}}
    made = make_platform(services, declared(people), instance)
    publish(made, *DAYS[:2], body=b"id,amount\n1,ann@example.com\n")
    with backfilling(made.definitions, home) as dagster:
        before = tick(made, dagster)
        services.secrets.put_secret_value(
            SecretId=services.settings.hash_key_secret, SecretString=new_secret(os.urandom)
        )
        publish(made, DAYS[2], body=b"id,amount\n1,ann@example.com\n")
        tick(made, dagster, before.cursor)
        [backfill] = launched(dagster)
        assert backfill.tags[REASON_TAG] == "hashing-key"
        assert partitions(backfill, dagster) == sorted(map(str, DAYS[:2]))


@pytest.mark.slow
def test_a_paused_source_gets_its_backfill_when_it_goes_on(orders: Platform, home: Path) -> None:
    with backfilling(orders.definitions, home) as dagster:
        cursor = tick(orders, dagster).cursor
    amounts = changed(orders, **AMOUNTS)
    with backfilling(amounts.definitions, home) as dagster:
        orders.services.ledger.pauses.begin("acme", "ann@desk")
        while_paused = tick(amounts, dagster, cursor)
        assert (launched(dagster), "acme is paused" in str(while_paused.skip_reason)) == ([], True)
        orders.services.ledger.pauses.end("acme")
        tick(amounts, dagster, while_paused.cursor)
        assert len(launched(dagster)) == 1


@pytest.mark.slow
def test_dates_without_originals_any_more_and_before_the_start_are_left_out(
    services: Services, instance: dg.DagsterInstance, home: Path
) -> None:
    keeps = {**declared(ORDERS), "retention": {"archive": "2d"}}
    made = make_platform(services, keeps, instance)
    publish(made, *DAYS)
    later = replace(services, now=lambda: services.now() + timedelta(days=2))
    kept = make_platform(later, {**keeps, "feeds": [{**ORDERS, **AMOUNTS}]}, instance)
    with backfilling(kept.definitions, home) as dagster:
        wanted = Wanted("acme/orders", tuple(DAYS), Reason.BY_HAND, "by hand")
        tick(kept, dagster)
        assert launched(dagster) == [], "their originals are gone"
        graph = kept.definitions.resolve_asset_graph()
        early = replace(wanted, days=(DAYS[-1] - timedelta(days=9),))
        assert launch(dagster.instance, graph, patterns_of(kept)[0], early) == ""
        assert launch(dagster.instance, graph, patterns_of(kept)[0], wanted)


def test_dates_of_reports_that_amazon_will_not_keep_are_wanted(services: Services) -> None:
    declared_account = AdsSource.model_validate(
        {
            "source": "ads",
            "credentials": "ads/secret",
            "start_date": "2026-01-01",
            "profiles": [JAPAN.id],
            "reports": ["sp_campaigns"],
        }
    )
    account = account_of(declared_account)
    [definition] = account.definitions
    provision(services, [])
    services.ledger.scopes.put("ads", [JAPAN])
    planned = Planned("sp_campaigns", JAPAN.id, TODAY, definition.definition_hash)
    services.ledger.scopes.put_planned("ads", planned)
    assert to_be_saved(services.ledger, account) == []
    services.ledger.scopes.put_planned("ads", replace(planned, at_risk=3))
    [wanted] = to_be_saved(services.ledger, account)
    ages = [(TODAY - day).days for day in wanted.days]
    assert ages
    assert min(ages) > definition.policy.last_age - 8
    assert (wanted.reason, wanted.scope) == (Reason.RETENTION, JAPAN.id)
    assert PulledReports(account, account_source(account, "raw")).find(f"{wanted.feed}/{wanted.scope}")
