"""Metrics of real deliveries, through Dagster's own sensor and assets on the embedded AWS."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any

import dagster as dg
import pytest
from botocore.exceptions import ClientError

from adplatform.components.assembly.measures import measures_sensor
from adplatform.flow.delivery import publish_delivery
from adplatform.flow.lifecycle import claim
from adplatform.flow.pushed import PushedFiles
from adplatform.flow.services import Services
from adplatform.ledger.delivery import DeliveryState
from adplatform_tests.support.measured import Value, sums, values_of, with_metrics
from adplatform_tests.support.platforms import YESTERDAY, Platform, make_platform, resources_with

ORDERS: dict[str, Any] = {
    "name": "orders",
    "start_date": "2026-01-01",
    "arrival": {"complete_when": "done_file", "deadline": "9h"},
    "columns": {"order_id": {"type": "bigint", "required": True}, "amount": "decimal(12,2)"},
    "key": "order_id",
    "bounds": {"max_quarantined": 0.5},
}
BODY = b"order_id,amount\n1,9.90\n2,oops\n1,10.00\n3,1\n"
"""Four rows: one of a type that is none, one that another of its key replaces."""
ROWS = ("rows_in", "rows_clean", "rows_superseded", "rows_quarantined")
LEFT_OUT = (*ROWS, "rows_left_out")
PARTITION = YESTERDAY.isoformat()
Output = Callable[[], list[Value]]


@pytest.fixture
def acme(services: Services, instance: dg.DagsterInstance) -> Platform:
    return make_platform(with_metrics(services), {"source": "acme", "feeds": [ORDERS]}, instance)


@pytest.fixture
def output(capsys: pytest.CaptureFixture[str]) -> Output:
    """The values that were written since this was asked last."""
    return lambda: values_of(capsys.readouterr().out)


def deliver(platform: Platform, body: bytes = BODY, name: str = "orders.csv") -> None:
    platform.put(f"orders/dt={YESTERDAY}/{name}", body)
    platform.put(f"orders/dt={YESTERDAY}/_SUCCESS", b"")


def rows(values: list[Value]) -> tuple[float, ...]:
    found = sums(values)
    return tuple(found.get(name, 0) for name in ROWS)


def ledger_rows(platform: Platform) -> tuple[int, ...]:
    version = platform.delivery("orders").version
    row = platform.services.ledger.publications.get("acme/orders", YESTERDAY, version)
    assert row is not None
    return (row.rows_in, row.clean, row.superseded, row.quarantined)


def test_the_rows_of_a_delivery_are_conserved_in_its_metrics_as_in_the_ledger(acme: Platform, output: Output) -> None:
    deliver(acme)
    [result] = acme.process()
    values = output()
    assert rows(values) == ledger_rows(acme) == (4, 2, 1, 1)
    [read] = [each for each in values if each.name == "rows_in"]
    assert read.dimensions == (("source", "acme"), ("feed", "orders"))
    assert (read["run_id"], read["day"], read["version"]) == (result.run_id, PARTITION, 1)
    found = sums(values)
    assert (found["files"], found["bytes"], found["quarantined_share"]) == (1, len(BODY), 0.25)
    assert 0 <= found["publish_seconds"] <= found["arrival_to_publish_seconds"] + 1
    assert "failures" not in found


@pytest.mark.slow
def test_a_part_counts_what_it_brings(acme: Platform, output: Output) -> None:
    deliver(acme)
    acme.process()
    first = output()
    deliver(acme, b"order_id,amount\n3,2\n4,4\nx,1\n", "more.csv")
    acme.process()
    second = output()
    assert rows(second) == (3, 1, 1, 1), "the part replaces a row of what was there before"
    assert (sums(second)["files"], acme.delivery("orders").version) == (1, 2)
    assert rows(first + second) == ledger_rows(acme) == (7, 3, 2, 2)


def test_rows_that_are_left_out_are_counted_for_what_they_are(
    services: Services, instance: dg.DagsterInstance, output: Output
) -> None:
    lines = {"format": {"comment": "#", "skip_footer": 1}, "skip_rows_where": "order_id = 'Total'"}
    acme = make_platform(with_metrics(services), {"source": "acme", "feeds": [{**ORDERS, **lines}]}, instance)
    deliver(acme, b"# by us\norder_id,amount\n1,9.90\n2,oops\nTotal,\nend\n")
    [result] = acme.process()
    found = sums(output())
    assert tuple(found[name] for name in LEFT_OUT) == (5, 1, 0, 1, 3)
    assert found["quarantined_share"] == 0.5
    shown = [event.materialization.metadata for event in result.get_asset_materialization_events()]
    assert [each["adplatform/left_out"].value for each in shown if "adplatform/left_out" in each] == [3]
    deliver(acme, b"order_id,amount\n1,10.00\n# x\nend\n", "more.csv")
    acme.process()
    second = sums(output())
    assert tuple(second[name] for name in LEFT_OUT) == (3, 0, 1, 0, 2), "a part counts what it brings"
    row = services.ledger.publications.get("acme/orders", YESTERDAY, 2)
    assert row is not None
    assert (row.rows_in, row.clean, row.superseded, row.quarantined, row.left_out) == (8, 1, 1, 1, 5)
    files = services.ledger.publications.file_outcomes("acme/orders", YESTERDAY, 2)
    assert sorted(each.left_out for each in files) == [2, 3]


def test_a_delivery_that_is_refused_counts_as_the_senders_failure_and_no_row(acme: Platform, output: Output) -> None:
    deliver(acme, b"order_id,amount\n1,oops\n2,oops\n3,1\n")
    acme.process()
    values = output()
    assert rows(values) == (0, 0, 0, 0)
    [failure] = [each for each in values if each.name == "failures"]
    assert failure.dimensions == (("source", "acme"), ("kind", "sender"))
    assert (failure.value, failure["feed"], failure["day"], failure["version"]) == (1, "acme/orders", PARTITION, 1)
    assert sums(values)["quarantined_share"] == pytest.approx(2 / 3)
    deliver(acme)
    acme.process()
    assert rows(output()) == (4, 2, 1, 1)


class Failing:
    """A client of S3 that may not write below a prefix of a bucket, as long as it is ``on``."""

    def __init__(self, client: Any, bucket: str, prefix: str = "") -> None:
        self._client, self._bucket, self._prefix, self.on = client, bucket, prefix, True

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)

        def tried(*arguments: Any, **named: Any) -> Any:
            here = named.get("Bucket") == self._bucket and str(named.get("Key", "")).startswith(self._prefix)
            if self.on and here and name in ("put_object", "copy_object", "create_multipart_upload"):
                said = {"Error": {"Code": "SlowDown"}, "ResponseMetadata": {"HTTPStatusCode": 503}}
                raise ClientError(said, name)  # type: ignore[arg-type]
            return call(*arguments, **named)

        return call if name in ("meta", "exceptions", "get_paginator") else tried


def test_a_retry_after_readers_saw_the_version_counts_no_row_twice(acme: Platform, output: Output) -> None:
    deliver(acme)
    [request] = acme.tick()
    zones = acme.services.zones
    acme.services.__dict__["s3"] = failing = Failing(acme.services.s3, zones.raw_bucket, "archive/")
    assert not acme.run(request).success, "the original could not be archived"
    first = output()
    assert sums(first)["failures"] == 1
    assert rows(first) == (4, 2, 1, 1)
    delivery = acme.delivery("orders")
    assert (delivery.state, delivery.published) == (DeliveryState.FAILED, 1)
    failing.on = False
    assert acme.services.ledger.deliveries.launch_again("acme/orders", delivery)
    acme.process()
    assert (acme.delivery("orders").state, rows(output())) == (DeliveryState.PUBLISHED, (0, 0, 0, 0))


@pytest.mark.slow
def test_a_retry_before_readers_saw_anything_counts_once(acme: Platform, output: Output) -> None:
    deliver(acme)
    [request] = acme.tick()
    acme.services.__dict__["s3"] = failing = Failing(acme.services.s3, acme.services.zones.clean_bucket)
    assert not acme.run(request).success
    failed = output()
    assert (sums(failed)["failures"], rows(failed)) == (1, (0, 0, 0, 0))
    assert {each.dimensions for each in failed if each.name == "failures"} == {
        (("source", "acme"), ("kind", "transient"))
    }
    failing.on = False
    assert acme.services.ledger.deliveries.launch_again("acme/orders", acme.delivery("orders"))
    acme.process()
    assert rows(output()) == (4, 2, 1, 1)


def test_without_being_asked_no_process_writes_a_metric(
    services: Services, instance: dg.DagsterInstance, output: Output
) -> None:
    quiet = make_platform(services, {"source": "acme", "feeds": [ORDERS]}, instance)
    deliver(quiet)
    quiet.process()
    assert tick(quiet) == "no metrics are written: ADPLATFORM_METRICS is off"
    assert output() == []


def tick(platform: Platform) -> str:
    """One tick of what measures; what it says."""
    sensor = measures_sensor(lambda: [PushedFiles(platform.source)], dg.DefaultSensorStatus.RUNNING)
    context = dg.build_sensor_context(instance=platform.instance, resources=resources_with(platform.services))
    return str(sensor.evaluate_tick(context).skip_message)


def test_what_does_not_happen_is_measured_without_a_run(acme: Platform, output: Output) -> None:
    now = acme.services.ledger.now()
    assert tick(acme) == "1 sources were measured"
    before = sums(output())
    since = now - datetime.combine(date(2026, 1, 1), time(), UTC)
    assert before["freshness_seconds"] == pytest.approx(since.total_seconds(), abs=60)
    assert before["deliveries_late"] == 3
    assert (before["backlog"], before["backlog_seconds"]) == (0, 0)


def test_a_table_is_fresh_once_something_is_published_and_a_delivery_waits_until_then(
    acme: Platform, output: Output
) -> None:
    deliver(acme)
    [request] = acme.tick()
    hour = timedelta(hours=1)
    later = replace(acme, services=replace(acme.services, now=lambda: datetime.now(UTC) + hour))
    tick(later)
    waiting = sums(output())
    assert waiting["backlog"] == 1
    assert waiting["backlog_seconds"] == pytest.approx(hour.total_seconds(), abs=60)
    acme.run(request)
    output()
    tick(acme)
    done = output()
    found = sums(done)
    assert (found["backlog"], found["freshness_seconds"] < 60) == (0, True)
    assert {each.name: each.dimensions for each in done}["freshness_seconds"] == (
        ("source", "acme"),
        ("feed", "orders"),
    )


def test_a_feed_that_is_never_stale_is_not_measured(
    services: Services, instance: dg.DagsterInstance, output: Output
) -> None:
    feed = {**ORDERS, "fresh_within": None, "arrival": {"complete_when": "done_file"}}
    acme = make_platform(with_metrics(services), {"source": "acme", "feeds": [feed]}, instance)
    tick(acme)
    assert set(sums(output())) == {"backlog", "backlog_seconds"}


def test_a_run_that_lost_its_delivery_counts_nothing(acme: Platform, output: Output) -> None:
    """Of two runs of one version the second finds it shown, and only closes it."""
    deliver(acme)
    acme.tick()
    publish = partial(publish_delivery, acme.services, acme.flow("orders"), YESTERDAY)
    temp = acme.services.settings.temp
    temp.mkdir(parents=True, exist_ok=True)
    publish("one", temp)
    assert rows(output()) == (4, 2, 1, 1)
    claim(acme.services.ledger, acme.flow("orders"), YESTERDAY, "two")
    publish("two", temp)
    assert rows(output()) == (0, 0, 0, 0)
