"""A ledger that was lost, or restored from an older backup: nothing is replaced, and everything can be given back."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from adplatform.contracts.feed import Feed
from adplatform.failures import PermanentFailure
from adplatform.flow.collection import collect_source
from adplatform.flow.doctor import Finding, examine
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow, ScopeKey, Source, make_source, scoped
from adplatform.lake.catalog import Partition
from adplatform.lake.entry import MANIFEST, SLICE_LIST, SLICES
from adplatform.lake.query import run_query
from adplatform.lake.table import TableName, table_name
from adplatform.ledger.delivery import Delivery, DeliveryState
from adplatform.ledger.leases import Lease
from adplatform.ledger.objects import ObjectState
from adplatform.ledger.table import table_definition
from adplatform.platform.aws import Aws
from adplatform_tests.support import plainly
from adplatform_tests.support.platforms import YESTERDAY, make_services

BEFORE = YESTERDAY - timedelta(days=1)
Row = tuple[int, str]
LANDING = dict.fromkeys(("scoped", "compacted"), "{feed}/dt={date}/{scope}/{file}")
ICEBERG = "iceberg "
PARTITIONED = {"daily": "dt", "shared": "region", "replaced": None, "scoped": "dt", "compacted": "dt"}


@dataclass
class Scene:
    """One table of one source, and a partner that sends files of rows."""

    services: Services
    kind: str
    source: Source
    table: FeedFlow
    part: Callable[[FeedFlow, str], FeedFlow] | None

    @property
    def flow(self) -> FeedFlow:
        return self.source.feeds[0]

    @property
    def name(self) -> str:
        return self.flow.name

    def send(self, file: str, rows: list[Row], day: date = YESTERDAY) -> None:
        body = "id,region\n" + "".join(f"{number},{region}\n" for number, region in rows)
        key = self.flow.layout.key(day, file)
        self.services.s3.put_object(Bucket=self.services.zones.raw_bucket, Key=key, Body=body.encode())

    def process(self, run: str) -> None:
        plainly.process(self.services, self.source, run)

    def sent(self, run: str, file: str, rows: list[Row], day: date = YESTERDAY) -> None:
        self.send(file, rows, day)
        self.process(run)

    def rows(self) -> list[Row]:
        sql = f"select id, region from {self.services.settings.database_prefix}acme.orders"
        _, rows = run_query(self.services.aws, self.services.glue, self.services.settings.database_prefix, sql, 1000)
        return sorted((int(number), str(region)) for number, region in rows)

    @property
    def named(self) -> TableName:
        return table_name(self.flow.table, self.services.settings.database_prefix)

    def partitions(self) -> list[Partition]:
        return sorted(self.services.lake.catalog.partitions(self.named), key=lambda partition: partition.value)

    def doctor(self, *, repair: bool) -> list[Finding]:
        whole = replace(self.source, feeds=(self.table,)) if self.part else self.source
        return list(examine(self.services, whole, "doctor", repair=repair, part=self.part))

    def delivery(self, day: date = YESTERDAY) -> Delivery:
        return self.services.ledger.deliveries.get(self.name, day)

    def items(self) -> list[dict[str, Any]]:
        client, table = self.services.ledger.client, self.services.settings.ledger_table
        return [item for page in client.get_paginator("scan").paginate(TableName=table) for item in page["Items"]]

    def lose_ledger(self, backup: list[dict[str, Any]] | None = None) -> None:
        """Delete the table and make it again, with what a backup has."""
        client, table = self.services.ledger.client, self.services.settings.ledger_table
        client.delete_table(TableName=table)
        client.create_table(**table_definition(table))
        for item in backup or ():
            client.put_item(TableName=table, Item=item)


@pytest.fixture
def scene(aws: Aws, tmp_path: Path, kind: str) -> Scene:
    services = make_services(aws, tmp_path / "home")
    declared = {
        "name": "orders",
        "start_date": "2026-01-01",
        "arrival": {"complete_when": "count", "expected_files": 1},
        "columns": {"id": {"type": "bigint", "required": True}, "region": {"type": "string", "required": True}},
        "partition_by": PARTITIONED[kind.removeprefix(ICEBERG)],
        "landing": LANDING.get(kind.removeprefix(ICEBERG), "{feed}/dt={date}/{file}"),
        "table_format": "iceberg" if kind.startswith(ICEBERG) else "parquet",
    }
    feed = Feed.model_validate(declared)
    if kind.removeprefix(ICEBERG) not in LANDING:
        source = make_source("acme", services.settings.raw_bucket, [feed])
        provision(services, [source])
        return Scene(services, kind, source, source.feeds[0], None)
    bare = make_source("acme", services.settings.raw_bucket, [feed.model_copy(update={"landing": "x/{file}"})])
    table = replace(bare.feeds[0], feed=feed, compacted=kind == "compacted")

    def part(flow: FeedFlow, value: str) -> FeedFlow:
        return scoped(flow, bare.prefix, ScopeKey("profile", value))

    source = replace(bare, feeds=(part(table, "7"),))
    provision(services, [source])
    return Scene(services, kind, source, table, part)


QUICK = ("shared",)
ALL = pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=() if kind in QUICK else pytest.mark.slow) for kind in PARTITIONED]
)
WITH_ICEBERG = pytest.mark.parametrize(
    "kind",
    [
        pytest.param(f + kind, marks=() if f + kind in QUICK else pytest.mark.slow)
        for f in ("", ICEBERG)
        for kind in PARTITIONED
        if f + kind != f"{ICEBERG}compacted"
    ],
)
BOTH = pytest.mark.parametrize("kind", ["shared", pytest.param("daily", marks=pytest.mark.slow)])


def expected(scene: Scene, day: list[Row], other: list[Row]) -> list[Row]:
    return sorted(day if scene.kind.endswith("replaced") else [*day, *other])


FIRST: list[Row] = [(1, "de"), (2, "fr")]
SECOND: list[Row] = [(3, "de"), (4, "it")]
OTHER: list[Row] = [(10, "de"), (11, "it")]
LATE: list[Row] = [(5, "it"), (6, "es")]


def published_twice(scene: Scene) -> None:
    scene.sent("other", "other.csv", OTHER, BEFORE)
    scene.sent("one", "a.csv", FIRST)
    scene.sent("two", "b.csv", SECOND)
    assert scene.rows() == expected(scene, FIRST + SECOND, OTHER)


def collected_nothing(scene: Scene) -> None:
    """Now and in the far future, while the ledger does not know what readers see."""
    later = Services(scene.services.settings, scene.services.aws)
    later.__dict__["ledger"] = replace(scene.services.ledger, now=lambda: scene.services.now() + timedelta(days=99))
    for services in (scene.services, later):
        [(_, collected)] = collect_source(services, scene.source, "collect")
        assert (collected.removed, collected.waiting) == ((), ())
        assert any("adplatform doctor" in sentence for sentence in collected.compared.unclear)
    assert scene.services.ledger.messages.troubles("acme").keys() == {"catalog/acme/orders"}


@WITH_ICEBERG
def test_after_the_ledger_was_lost_nothing_is_collected_corrections_fail_and_the_doctor_brings_all_rows_back(
    scene: Scene,
) -> None:
    published_twice(scene)
    before = scene.rows()
    scene.lose_ledger()
    collected_nothing(scene)
    scene.send("c.csv", LATE)
    with pytest.raises(PermanentFailure, match="adplatform doctor"):
        scene.process("after the loss")
    assert scene.rows() == before
    delivery = scene.delivery()
    assert (delivery.state, delivery.permanent, delivery.version > 2) == (DeliveryState.FAILED, True, True)
    reported = scene.doctor(repair=False)
    assert scene.delivery() == delivery
    assert {finding.day for finding in reported if finding.done} >= {YESTERDAY}
    assert [finding for finding in scene.doctor(repair=True) if not finding.done] == []
    assert scene.rows() == before
    assert scene.doctor(repair=False) == []
    restored = scene.delivery()
    assert (restored.published, restored.settled_arrivals, restored.pending) == (2, 2, 1)
    [(_, collected)] = collect_source(scene.services, scene.source, "collect")
    assert (collected.compared.unclear, bool(collected.waiting)) == ((), True)
    assert scene.services.ledger.messages.troubles("acme") == {}
    scene.process("healed")
    assert scene.rows() == expected(scene, FIRST + SECOND + LATE, OTHER)
    assert scene.delivery().state is DeliveryState.PUBLISHED
    scene.sent("more", "d.csv", [(12, "fr")], BEFORE)
    assert scene.rows() == expected(scene, FIRST + SECOND + LATE, [*OTHER, (12, "fr")])
    assert scene.doctor(repair=True) == []


@pytest.mark.slow
@ALL
def test_an_older_backup_is_no_ground_to_replace_what_was_published_since(scene: Scene) -> None:
    scene.sent("other", "other.csv", OTHER, BEFORE)
    scene.sent("one", "a.csv", FIRST)
    backup = scene.items()
    scene.sent("two", "b.csv", SECOND)
    before = scene.rows()
    scene.lose_ledger(backup)
    scene.send("c.csv", LATE)
    with pytest.raises(PermanentFailure, match="adplatform doctor"):
        scene.process("after the restore")
    assert scene.rows() == before
    assert [finding for finding in scene.doctor(repair=True) if not finding.done] == []
    assert scene.rows() == before
    scene.process("healed")
    assert scene.rows() == expected(scene, FIRST + SECOND + LATE, OTHER)
    assert scene.doctor(repair=True) == []


@BOTH
def test_the_same_number_with_another_manifest_is_refused(scene: Scene) -> None:
    """A retry after the backup settled the same objects again, so nothing tells the two settlements apart but this."""
    scene.sent("one", "a.csv", FIRST)
    backup = scene.items()
    scene.services.ledger.deliveries.reopen(scene.name, YESTERDAY)
    scene.process("retried")
    assert scene.delivery().published == 2
    scene.lose_ledger(backup)
    scene.services.ledger.deliveries.reopen(scene.name, YESTERDAY)
    with pytest.raises(PermanentFailure, match="adplatform doctor"):
        scene.process("retried once more")
    scene.doctor(repair=True)
    scene.sent("healed", "b.csv", SECOND)
    assert scene.rows() == sorted(FIRST + SECOND)


@pytest.mark.parametrize("kind", ["shared"])
@pytest.mark.slow
def test_a_delivery_of_another_date_removes_no_rows_that_the_ledger_forgot(scene: Scene) -> None:
    published_twice(scene)
    before = scene.rows()
    scene.lose_ledger()
    newer = YESTERDAY + timedelta(days=1)
    scene.send("today.csv", [(20, "de")], newer)
    with pytest.raises(PermanentFailure, match=r"partition 'de'.*adplatform doctor"):
        scene.process("newer")
    assert scene.rows() == before
    scene.doctor(repair=True)
    scene.services.ledger.deliveries.reopen(scene.name, newer)
    scene.process("healed")
    assert scene.rows() == sorted([*before, (20, "de")])


@pytest.mark.parametrize("kind", ["daily"])
def test_what_was_left_out_stays_out_after_the_ledger_was_lost(scene: Scene) -> None:
    scene.sent("one", "a.csv", FIRST)
    (first,) = scene.services.ledger.objects.of_day(scene.name, YESTERDAY)
    scene.services.ledger.objects.exclude(scene.name, first, "left out")
    scene.sent("two", "b.csv", SECOND)
    assert scene.rows() == SECOND
    scene.lose_ledger()
    scene.doctor(repair=True)
    assert [(o.state, o.key[-5:]) for o in scene.services.ledger.objects.of_day(scene.name, YESTERDAY)] == [
        (ObjectState.EXCLUDED, "a.csv"),
        (ObjectState.ARRIVED, "b.csv"),
    ]
    scene.sent("three", "c.csv", LATE)
    assert scene.rows() == sorted(SECOND + LATE)


@BOTH
def test_a_correction_of_a_file_is_newer_than_the_file_after_the_ledger_was_lost(scene: Scene) -> None:
    scene.sent("one", "a.csv", FIRST)
    scene.lose_ledger()
    scene.send("a.csv", SECOND)
    scene.doctor(repair=True)
    scene.process("healed")
    assert scene.rows() == SECOND


@BOTH
def test_a_delivery_whose_files_had_not_been_archived_is_closed_after_the_ledger_was_lost(scene: Scene) -> None:
    scene.send("a.csv", FIRST)

    def stop(**_: Any) -> None:
        raise KeyboardInterrupt

    scene.services.s3.meta.events.register("before-call.s3.DeleteObjects", stop)
    with pytest.raises(KeyboardInterrupt):
        scene.process("stopped while it closes")
    scene.services.s3.meta.events.unregister("before-call.s3.DeleteObjects", stop)
    archive = [o.key for o in scene.services.store.listing(scene.services.zones.raw_bucket, "archive/")]
    scene.services.store.delete(scene.services.zones.raw_bucket, archive)
    scene.lose_ledger()
    scene.doctor(repair=True)
    scene.process("healed")
    assert scene.rows() == FIRST
    assert scene.delivery().state is DeliveryState.PUBLISHED
    landing = scene.services.store.listing(scene.services.zones.raw_bucket, "landing/")
    assert list(landing) == []


@ALL
@pytest.mark.slow
def test_a_ledger_that_agrees_is_left_alone(scene: Scene) -> None:
    published_twice(scene)
    before = scene.items()
    assert scene.doctor(repair=False) == []
    assert scene.doctor(repair=True) == []
    leases = [item for item in scene.items() if item["pk"]["S"].startswith("lease#")]
    assert [item for item in scene.items() if item not in leases] == [i for i in before if i not in leases]


@BOTH
def test_an_older_version_in_the_catalog_is_replaced_by_the_one_that_an_intact_ledger_places(scene: Scene) -> None:
    scene.sent("one", "a.csv", FIRST)
    older = scene.partitions()
    scene.sent("two", "b.csv", SECOND)
    delivery, newer = scene.delivery(), scene.partitions()
    table = scene.services.lake.catalog.table(scene.named)
    assert table is not None
    for partition in older:
        scene.services.lake.catalog.put_partition(scene.named, table, partition)
    reported = scene.doctor(repair=True)
    assert {finding.done for finding in reported} == {"made the catalog show what is placed"}
    assert scene.delivery() == delivery
    assert [(p.value, p.location) for p in scene.partitions()] == [(p.value, p.location) for p in newer]


@pytest.mark.parametrize("kind", ["daily"])
def test_a_newer_version_of_which_the_ledger_has_nothing_but_its_place_is_left_to_people(scene: Scene) -> None:
    scene.sent("one", "a.csv", FIRST)
    ledger, delivery = scene.services.ledger, scene.delivery()
    placement, row = ledger.placements.get(scene.name, YESTERDAY), ledger.publications.get(scene.name, YESTERDAY, 1)
    assert placement is not None
    assert row is not None
    ledger.placements.put(scene.name, replace(placement, version=2))
    key = {"pk": {"S": f"feed#{scene.name}"}, "sk": {"S": row.sort_key}}
    ledger.client.delete_item(TableName=ledger.table, Key=key)
    [finding] = [each for each in scene.doctor(repair=True) if each.day]
    assert (finding.done, "version 2 is placed" in finding.problem) == ("", True)
    assert (scene.delivery(), ledger.publications.of_feed(scene.name)) == (delivery, [])


@pytest.mark.parametrize("kind", ["daily"])
def test_a_dropped_partition_is_brought_back_though_its_delivery_waits_for_more(scene: Scene) -> None:
    scene.sent("one", "a.csv", FIRST)
    scene.services.ledger.deliveries.reopen(scene.name, YESTERDAY)
    [partition] = scene.partitions()
    scene.services.glue.delete_partition(
        DatabaseName=scene.named.database, TableName=scene.named.name, PartitionValues=[partition.value]
    )
    for repair in (False, True):
        [finding] = scene.doctor(repair=repair)
        assert (finding.done, str(YESTERDAY) in finding.problem) == ("made the catalog show what is placed", True)
    assert [each.location for each in scene.partitions()] == [partition.location]
    assert scene.doctor(repair=False) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["shared"])
def test_a_look_does_not_promise_a_partition_of_slices_that_are_gone(scene: Scene) -> None:
    scene.sent("one", "a.csv", [(1, "de")])
    [older] = scene.partitions()
    scene.sent("other", "b.csv", [(2, "de"), (3, "fr")], BEFORE)
    table = scene.services.lake.catalog.table(scene.named)
    assert table is not None
    scene.services.lake.catalog.put_partition(scene.named, table, older)
    bucket = scene.services.zones.clean_bucket
    [gone] = [part.location for part in scene.services.ledger.placements.slices(scene.name, "de") if part.day == BEFORE]
    objects = scene.services.store.listing(bucket, scene.services.zones.clean_key(gone))
    scene.services.store.delete(bucket, [stored.key for stored in objects])
    [finding] = scene.doctor(repair=False)
    assert (finding.done, f"{gone} is gone" in finding.problem) == ("", True)


@pytest.mark.parametrize("kind", ["daily"])
def test_publishers_that_go_on_while_the_doctor_only_looks_are_no_fault(scene: Scene) -> None:
    scene.sent("one", "a.csv", FIRST)

    def publish(**_: Any) -> None:
        scene.services.glue.meta.events.unregister("after-call.glue.GetPartitions", publish)
        scene.sent("two", "b.csv", SECOND)
        scene.sent("other", "other.csv", OTHER, BEFORE)

    scene.services.glue.meta.events.register("after-call.glue.GetPartitions", publish)
    assert scene.doctor(repair=False) == []
    assert scene.delivery().published == 2


@pytest.mark.parametrize("kind", ["daily"])
def test_a_repair_keeps_its_lease_while_it_only_reads(scene: Scene) -> None:
    scene.sent("one", "a.csv", FIRST)
    ledger, taken = scene.services.ledger, []
    scene.services.__dict__["lake"] = replace(scene.services.lake, lease_ttl=timedelta(seconds=0.6))

    def read_slowly(**_: Any) -> None:
        scene.services.glue.meta.events.unregister("before-call.glue.GetPartitions", read_slowly)
        time.sleep(0.8)
        taken.append(Lease(ledger.access, f"publish/{scene.name}", "another", timedelta(minutes=1)).take())

    scene.services.glue.meta.events.register("before-call.glue.GetPartitions", read_slowly)
    assert scene.doctor(repair=True) == []
    assert taken == [False]


@pytest.mark.parametrize("kind", ["shared"])
@pytest.mark.parametrize("flips", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_a_delivery_half_shown_when_the_ledger_was_lost_is_shown_whole_after_it(scene: Scene, flips: int) -> None:
    scene.sent("other", "other.csv", OTHER, BEFORE)
    scene.sent("one", "a.csv", FIRST)
    scene.send("b.csv", [*SECOND, (7, "es"), (8, "nl")])
    count = 0

    def stop(model: Any, **_: Any) -> None:
        nonlocal count
        count += model.name in ("UpdatePartition", "CreatePartition")
        if count > flips:
            raise KeyboardInterrupt

    scene.services.glue.meta.events.register("before-call", stop)
    with pytest.raises(KeyboardInterrupt):
        scene.process("stopped between two partitions")
    scene.services.glue.meta.events.unregister("before-call", stop)
    scene.lose_ledger()
    assert scene.doctor(repair=True) != []
    scene.process("healed")
    assert scene.rows() == sorted([*FIRST, *SECOND, (7, "es"), (8, "nl"), *OTHER])
    assert scene.doctor(repair=True) == []


@pytest.mark.parametrize("kind", ["shared"])
def test_a_partition_that_tells_nothing_is_dropped_and_made_anew_as_the_doctor_says(scene: Scene) -> None:
    scene.sent("one", "a.csv", FIRST)
    name, catalog = table_name(scene.flow.table, scene.services.settings.database_prefix), scene.services.lake.catalog
    table, partition = catalog.table(name), catalog.partition_of(name, ["de"])
    assert table is not None
    assert partition is not None
    catalog.put_partition(name, table, replace(partition, parameters={SLICES: "of an earlier release"}))
    assert any("Drop the partition" in finding.problem for finding in scene.doctor(repair=True))
    catalog.glue.delete_partition(DatabaseName=name.database, TableName=name.name, PartitionValues=["de"])
    assert [finding for finding in scene.doctor(repair=True) if not finding.done] == []
    anew = catalog.partition_of(name, ["de"])
    assert anew is not None
    assert anew.location == partition.location


@BOTH
@pytest.mark.slow
@pytest.mark.parametrize("lost", [False, True], ids=["ledger kept", "ledger lost"])
def test_entries_and_slices_of_an_earlier_release_are_upgraded(scene: Scene, lost: bool) -> None:
    """They name neither manifest nor slices, and the keys of slices no version."""
    published_twice(scene)
    before = scene.rows()
    as_of_an_earlier_release(scene)
    if lost:
        scene.lose_ledger()
        scene.send("c.csv", LATE)
        with pytest.raises(PermanentFailure, match="adplatform doctor"):
            scene.process("after the loss")
    scene.doctor(repair=True)
    assert scene.rows() == before
    assert scene.doctor(repair=True) == []
    if not lost:
        scene.send("c.csv", LATE)
    scene.process("healed")
    assert scene.rows() == sorted(FIRST + SECOND + LATE + OTHER)
    scene.sent("more", "d.csv", [(12, "fr")], BEFORE)
    assert scene.rows() == sorted([*FIRST, *SECOND, *LATE, *OTHER, (12, "fr")])


def as_of_an_earlier_release(scene: Scene) -> None:
    services, feed = scene.services, scene.flow.table
    name = table_name(feed, services.settings.database_prefix)
    table = services.lake.catalog.table(name)
    assert table is not None
    for partition in services.lake.catalog.partitions(name):
        kept = {k: v for k, v in partition.parameters.items() if k not in (MANIFEST, SLICE_LIST)}
        services.lake.catalog.put_partition(name, table, replace(partition, parameters=kept))
    client, ledger = services.ledger.client, services.settings.ledger_table
    for item in scene.items():
        if item["sk"]["S"].startswith("slice#"):
            client.delete_item(TableName=ledger, Key={key: item[key] for key in ("pk", "sk")})
            earlier = f"slice#{item['partition']['S']}#{item['day']['S']}"
            client.put_item(TableName=ledger, Item={**item, "sk": {"S": earlier}})
        elif item["sk"]["S"].startswith("placement#") and scene.kind == "daily":
            client.delete_item(TableName=ledger, Key={key: item[key] for key in ("pk", "sk")})
