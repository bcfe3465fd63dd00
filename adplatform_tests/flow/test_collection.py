"""The care of tables: what a late write changed is repaired and reported; what cannot be repaired is reported once."""

import json
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from adplatform.contracts.feed import Feed
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow.collection import collect_source, compare_recent, each_in_turn, report
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow, Source, make_source
from adplatform.lake.agreement import Compared
from adplatform.lake.catalog import Partition
from adplatform.lake.table import table_name
from adplatform.ledger.delivery import DeliveryState
from adplatform.platform.aws import Aws
from adplatform_tests.support import plainly
from adplatform_tests.support.platforms import YESTERDAY, make_services

BEFORE = YESTERDAY - timedelta(days=1)


@dataclass(frozen=True)
class Scene:
    services: Services
    source: Source

    def send(self, file: str, rows: list[tuple[int, str]], day: date = YESTERDAY) -> None:
        body = "id,region\n" + "".join(f"{number},{region}\n" for number, region in rows)
        key = self.source.feeds[0].layout.key(day, file)
        self.services.s3.put_object(Bucket=self.services.zones.raw_bucket, Key=key, Body=body.encode())
        plainly.process(self.services, self.source, f"{day}-{file}")

    def partitions(self) -> dict[str, Partition]:
        name = table_name("acme/orders", self.services.settings.database_prefix)
        return {partition.value: partition for partition in self.services.lake.catalog.partitions(name)}

    def put_back(self, partition: Partition) -> None:
        """What a late write leaves: the entry as it was once."""
        name = table_name("acme/orders", self.services.settings.database_prefix)
        table = self.services.lake.catalog.table(name)
        assert table is not None
        self.services.lake.catalog.put_partition(name, table, partition)

    def drop(self, value: str) -> None:
        name = table_name("acme/orders", self.services.settings.database_prefix)
        self.services.glue.delete_partition(DatabaseName=name.database, TableName=name.name, PartitionValues=[value])

    def compare(self, days: float = 0) -> list[tuple[int, int]]:
        """How much was repaired and is to be looked at, table by table, so many days from now."""
        later = Services(self.services.settings, self.services.aws)
        ahead = self.services.ledger
        later.__dict__["ledger"] = replace(ahead, now=lambda: self.services.now() + timedelta(days=days))
        found = compare_recent(later, self.source, "hourly")
        return [(len(compared.repaired), len(compared.to_report)) for _, compared in found]

    def reported(self) -> list[dict[str, Any]]:
        """Everything that was said to those who hear of failures."""
        url = self.services.sqs.get_queue_url(QueueName=self.services.settings.queue_prefix + "reported")["QueueUrl"]
        said = []
        while found := self.services.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in found:
                said.append(json.loads(json.loads(message["Body"])["Message"]))
                self.services.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return said


@pytest.fixture
def scene(aws: Aws, tmp_path: Path, partition_by: str | None) -> Scene:
    services = make_services(aws, tmp_path / "home")
    declared = {
        "name": "orders",
        "start_date": "2026-01-01",
        "arrival": {"complete_when": "count", "expected_files": 1},
        "columns": {"id": {"type": "bigint", "required": True}, "region": {"type": "string", "required": True}},
        "partition_by": partition_by,
    }
    source = make_source("acme", services.settings.raw_bucket, [Feed.model_validate(declared)])
    provision(services, [source])
    queue = services.sqs.create_queue(QueueName=services.settings.queue_prefix + "reported")["QueueUrl"]
    arn = services.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = services.topic_arn(services.settings.failure_topic)
    services.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return Scene(services, source)


@pytest.mark.parametrize("partition_by", [pytest.param("dt", marks=pytest.mark.slow), "region"])
def test_the_hourly_comparison_repairs_a_late_write_and_says_so(scene: Scene) -> None:
    scene.send("a.csv", [(1, "de")])
    old = scene.partitions()
    scene.send("b.csv", [(2, "de")])
    new = scene.partitions()
    (value,) = new
    assert scene.compare() == [(0, 0)]
    scene.put_back(old[value])
    assert scene.compare() == [(1, 0)]
    assert scene.partitions()[value].location == new[value].location
    assert scene.partitions()[value].parameters["adplatform.rows"] == "2"
    assert scene.compare() == [(0, 0)]
    [said] = scene.reported()
    assert (said["event"], said["table"], len(said["repaired"])) == ("catalog_repaired", "acme/orders", 1)
    assert "clean" in said["repaired"][0]
    assert value in said["repaired"][0]
    scene.put_back(old[value])
    assert scene.compare(days=3) == []


@pytest.mark.parametrize("partition_by", [pytest.param("dt", marks=pytest.mark.slow), "region"])
def test_what_the_ledger_does_not_know_is_reported_once_and_left_alone(scene: Scene) -> None:
    scene.send("a.csv", [(1, "de")])
    table, client = scene.services.settings.ledger_table, scene.services.ledger.client
    backup = client.scan(TableName=table)["Items"]
    scene.send("b.csv", [(2, "de")])
    for item in client.scan(TableName=table)["Items"]:
        client.delete_item(TableName=table, Key={name: item[name] for name in ("pk", "sk")})
    for item in backup:
        client.put_item(TableName=table, Item=item)
    shown = scene.partitions()
    for _ in range(3):
        assert scene.compare() == [(0, 1)]
    assert scene.partitions() == shown
    [said] = scene.reported()
    assert said["event"] == "catalog_disagrees"
    assert "adplatform doctor" in said["problems"][0]


@pytest.mark.parametrize("partition_by", ["dt"])
def test_a_partition_that_somebody_dropped_is_brought_back_and_said_while_its_files_are_there(scene: Scene) -> None:
    scene.send("a.csv", [(1, "de")])
    [before] = scene.partitions().values()
    scene.drop(str(YESTERDAY))
    assert scene.compare() == [(1, 0)]
    [after] = scene.partitions().values()
    assert (after.location, after.parameters["adplatform.rows"]) == (before.location, "1")
    [said] = scene.reported()
    assert (said["event"], "the catalog did not have it" in said["repaired"][0]) == ("catalog_repaired", True)
    assert scene.compare() == [(0, 0)]
    services = scene.services
    bucket = services.zones.clean_bucket
    stored = services.store.listing(bucket, services.zones.clean_key(before.location))
    services.store.delete(bucket, [each.key for each in stored])
    scene.drop(str(YESTERDAY))
    assert scene.compare() == [(0, 1)]
    assert scene.partitions() == {}


@pytest.mark.parametrize("partition_by", ["dt"])
def test_a_partition_that_somebody_led_elsewhere_is_led_back(scene: Scene) -> None:
    scene.send("a.csv", [(1, "de")])
    [before] = scene.partitions().values()
    elsewhere = f"{before.location.rstrip('/')}-by-hand/"
    for parameters in (before.parameters, {}):
        scene.put_back(Partition(before.value, elsewhere, parameters))
        assert scene.compare() == [(1, 0)]
        [after] = scene.partitions().values()
        assert (after.location, after.parameters["adplatform.version"]) == (before.location, "1")
    assert scene.compare() == [(0, 0)]


@pytest.mark.parametrize("partition_by", ["dt", "region"])
def test_a_partition_that_somebody_added_is_reported_and_left_alone(scene: Scene) -> None:
    scene.send("a.csv", [(1, "de")])
    [known] = scene.partitions().values()
    value = "2020-01-01" if known.value != "de" else "xx"
    scene.put_back(Partition(value, f"{known.location.rstrip('/')}-by-hand/", {}))
    for _ in range(2):
        found = [collected.compared for _, collected in collect_source(scene.services, scene.source, "daily")]
        [sentence] = found[0].to_report
        assert f"partition {value!r}: somebody registered" in sentence
    assert set(scene.partitions()) == {known.value, value}
    assert [said["event"] for said in scene.reported()] == ["catalog_disagrees"]


@pytest.mark.parametrize("partition_by", ["dt", None])
def test_a_table_that_somebody_deleted_is_reported(scene: Scene) -> None:
    scene.send("a.csv", [(1, "de")])
    name = table_name("acme/orders", scene.services.settings.database_prefix)
    scene.services.glue.delete_table(DatabaseName=name.database, Name=name.name)
    assert scene.compare() == [(0, 1)]
    [said] = scene.reported()
    assert "the catalog does not have the table" in said["problems"][0]


@pytest.mark.parametrize("partition_by", ["dt"])
def test_what_somebody_must_look_at_is_reported_once_it_can_be_sent_and_once_however_long_it_is(scene: Scene) -> None:
    services, [flow] = scene.services, scene.source.feeds
    long = Compared(missing=("of one partition " * 1000, "of another"))

    def unsent(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="sns")

    client = services.notifier(flow.topics).sns
    client.meta.events.register("before-call.sns.Publish", unsent)
    report(services, flow, long, whole=True)
    client.meta.events.unregister("before-call.sns.Publish", unsent)
    assert scene.reported() == []
    for _ in range(3):
        report(services, flow, long, whole=True)
    assert [said["event"] for said in scene.reported()] == ["catalog_disagrees"]


@pytest.mark.parametrize("partition_by", ["region"])
def test_a_partition_that_deliveries_share_is_made_anew_when_it_is_gone(scene: Scene) -> None:
    scene.send("a.csv", [(1, "de")])
    before = scene.partitions()
    scene.drop("de")
    assert scene.compare() == [(1, 0)]
    assert scene.partitions()["de"].location == before["de"].location


@pytest.mark.parametrize("partition_by", ["region"])
def test_a_collection_merges_where_the_settings_say(scene: Scene) -> None:
    scene.send("a.csv", [(1, "de")])
    temp, seen = scene.services.settings.temp, []
    scene.services.glue.meta.events.register(
        "before-call.glue.GetPartitions", lambda **_: seen.append(len(list(temp.glob("*"))))
    )
    list(collect_source(scene.services, scene.source, "daily"))
    assert seen[0] == 1


@pytest.mark.parametrize("partition_by", [None])
def test_an_older_date_of_a_table_that_each_delivery_replaces_is_closed_with_a_note(scene: Scene) -> None:
    scene.send("new.csv", [(2, "de")])
    scene.send("old.csv", [(1, "de")], BEFORE)
    delivery = scene.services.ledger.deliveries.get("acme/orders", BEFORE)
    publication = scene.services.ledger.publications.get("acme/orders", BEFORE, 1)
    assert publication is not None
    assert (delivery.state, delivery.published) == (DeliveryState.PUBLISHED, 1)
    assert publication.note == f"readers see version 1 of the delivery of {YESTERDAY}, which replaces this one"
    newest = scene.services.ledger.publications.get("acme/orders", YESTERDAY, 1)
    assert newest is not None
    assert newest.note == ""
    assert scene.compare() == [(0, 0)]


@pytest.mark.parametrize("failure", [PermanentFailure, TransientFailure])
def test_a_table_that_fails_keeps_no_other_from_its_turn_and_is_reported_in_the_end(failure: type[Exception]) -> None:
    feeds = [Feed(name=name, start_date=YESTERDAY, columns={"id": "int"}) for name in ("a", "b", "c")]

    def work(flow: FeedFlow) -> str:
        if flow.feed.name == "a":
            raise failure("a cannot be read")
        return f"{flow.feed.name} is done"

    turns, done = each_in_turn(make_source("acme", "raw", feeds).feeds, work), []
    with pytest.raises(failure, match="a cannot be read"):
        for _, result in turns:
            done.append(result)
    assert done == ["b is done", "c is done"]
