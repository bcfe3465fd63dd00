"""What a store elsewhere has, against what has landed and been delivered."""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from adplatform.cli.inventory import show
from adplatform.components import ReplicatedFiles
from adplatform.contracts.replication import ReplicatedSource, Transfer
from adplatform.engines.declared_tasks import DeclaredTask
from adplatform.engines.inventory import Inventory, Item, LandedFile, State, compare, take_inventory
from adplatform.engines.pattern import EngineFiles
from adplatform.engines.source_files import SourceFile, listed, selects, store_client
from adplatform.failures import EnvironmentFailure, PermanentFailure, TransientFailure
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.platform.access_keys import key_for
from adplatform.resources.provisioning import provision_patterns
from adplatform_tests.engines.test_declared_tasks import new_secret
from adplatform_tests.support.platforms import Platform, make_platform
from adplatform_tests.support.replication import execute, make_task, wait_for_execution

DAY = datetime.now(UTC).date() - timedelta(days=1)
NOW = datetime(2026, 11, 1, tzinfo=UTC)
FEEDS = [{"name": "orders", "start_date": "2026-01-01", "columns": {"id": "string"}}]


def states(found: Inventory) -> dict[str, State]:
    return {item.path: item.state for item in found.items}


def pattern_of(platform: Platform) -> EngineFiles:
    return ReplicatedFiles(platform.declared).pattern(platform.services.settings)  # type: ignore[arg-type]


# Comparing


@pytest.mark.parametrize(
    ("source", "landed", "shown", "state"),
    [
        (SourceFile("a", 1, NOW, "x"), None, None, State.MISSING),
        (SourceFile("a", 1, NOW, "x"), LandedFile(1, NOW, "x"), "x", State.DELIVERED),
        (SourceFile("a", 1, NOW, "x"), LandedFile(1, NOW, "x"), None, State.LANDED),
        (SourceFile("a", 1, NOW, "x"), LandedFile(1, NOW, "x"), "earlier", State.LANDED),
        (SourceFile("a", 2, NOW, "y"), LandedFile(1, NOW, "x"), "x", State.CHANGED),
        (SourceFile("a", 1, NOW + timedelta(hours=1), "y"), LandedFile(1, NOW, "x"), "x", State.CHANGED),
        (SourceFile("a", 1, NOW + timedelta(hours=1), "x"), LandedFile(1, NOW, "x"), "x", State.DELIVERED),
        (SourceFile("a", 1, NOW, "x-2"), LandedFile(1, NOW, "y"), "y", State.DELIVERED),
        (SourceFile("a", 1, NOW + timedelta(hours=1), "x-2"), LandedFile(1, NOW, "x-2"), "x-2", State.CHANGED),
        (SourceFile("a", None, None), LandedFile(1, NOW, "x"), "x", State.DELIVERED),
    ],
)
def test_a_file_is_where_the_lists_say(
    source: SourceFile, landed: LandedFile | None, shown: str | None, state: State
) -> None:
    found = compare([source], {"a": landed} if landed else {}, {"a": shown} if shown else {})
    assert [item.state for item in found] == [state]


def test_what_the_source_has_no_longer_is_gone_there() -> None:
    assert list(compare([], {"a": LandedFile(3, NOW, "x")}, {"a": "x"})) == [Item("a", 3, State.GONE)]


# The source


@dataclass
class Pages:
    """A client of S3 with pages of its own, that can do nothing else."""

    pages: list[list[str]]
    asked: list[Mapping[str, str]] = field(default_factory=list)

    def get_paginator(self, name: str) -> "Pages":
        assert name == "list_objects_v2"
        return self

    def paginate(self, **asked: str) -> Iterator[dict[str, Any]]:
        self.asked.append(asked)
        for keys in self.pages:
            yield {"Contents": [{"Key": key, "Size": 1, "LastModified": NOW, "ETag": '"x"'} for key in keys]}


def declare(store: Mapping[str, Any], **transfer: Any) -> DeclaredTask:
    model = ReplicatedSource.model_validate({"source": "cloud", "from": store, "feeds": FEEDS})
    assert model.from_
    settings = Transfer.model_validate(transfer)
    return DeclaredTask("cloud", "task", model.from_, settings, "raw", "landing/cloud/", "task-reports/cloud/", "role")


def test_a_store_is_listed_page_by_page_as_the_task_would_copy_it() -> None:
    store = {"kind": "gcs", "bucket": "exports", "prefix": "/daily/", "secret": "k"}
    client = Pages([["daily/", "daily/orders/a.csv", "daily/orders/a.tmp"], [], ["daily/orders/", "daily/x/b.csv"]])
    found = list(listed(client, declare(store, includes=["/orders"], excludes=["*.tmp"])))
    assert [(file.path, file.etag) for file in found] == [("orders/a.csv", "x")]
    assert client.asked == [{"Bucket": "exports", "Prefix": "daily/"}]


@pytest.mark.parametrize(
    ("includes", "excludes", "path", "selected"),
    [
        ((), (), "a/b.csv", True),
        (("/a",), (), "a/b.csv", True),
        (("/a/",), (), "a/b/c.csv", True),
        (("/a",), (), "ab.csv", False),
        (("/a*",), (), "ab.csv", True),
        ((), ("*.tmp",), "a/b.tmp", False),
        ((), ("*/old",), "a/old/b.csv", False),
        ((r"/a\|b",), (), "a|b/c.csv", True),
        ((r"/a\*b",), (), "a*b/c.csv", True),
    ],
)
def test_filters_select_as_datasync_does(
    includes: tuple[str, ...], excludes: tuple[str, ...], path: str, selected: bool
) -> None:
    store = {"kind": "gcs", "bucket": "exports", "secret": "k"}
    assert selects(declare(store, includes=includes, excludes=excludes), path) is selected


def test_a_store_that_refuses_or_does_not_answer_is_no_raw_error(services: Services) -> None:
    server, key = str(services.aws.endpoint_url).rstrip("/"), key_for(str(services.aws.endpoint_url))
    secret = new_secret(services.aws, access_key=key.id, secret_key=key.secret)
    store = {"kind": "object_storage", "server": server, "bucket": "no-such-bucket"}
    for declared, failure in (
        (declare({**store, "secret": secret}), PermanentFailure),
        (declare(store), EnvironmentFailure),
        (declare({**store, "server": "http://127.0.0.1:9"}), TransientFailure),
    ):
        client = store_client(declared, services.secrets, services.s3)
        with pytest.raises(failure, match="store object-storage://"):
            list(listed(client, declared))


# Altogether


def test_an_inventory_follows_a_simulated_store_from_the_first_file_to_the_last(
    services: Services, instance: dg.DagsterInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket = f"exports-{uuid.uuid4().hex[:8]}"
    store = {"kind": "gcs", "bucket": bucket, "secret": f"{bucket}/hmac"}
    declared = {"source": "cloud", "task": bucket, "from": store, "simulated": True, "feeds": FEEDS}
    platform = make_platform(services, declared, instance, ReplicatedFiles)
    pattern = pattern_of(platform)
    provision_patterns(services, [pattern])
    [target] = pattern.targets(services)

    def put(name: str, body: bytes) -> None:
        services.s3.put_object(Bucket=bucket, Key=f"orders/dt={DAY}/{name}", Body=body)

    put("a.csv", b"id\n1\n")
    put("b.csv", b"id\n2\n")
    assert set(states(take_inventory(services, pattern)).values()) == {State.MISSING}
    first = execute(services.aws, target.engine.task)["TaskExecutionArn"]  # type: ignore[attr-defined]
    assert set(states(take_inventory(services, pattern)).values()) == {State.LANDED}
    platform.process()
    found = take_inventory(services, pattern)
    assert set(states(found).values()) == {State.DELIVERED}
    assert found.initial
    assert (found.initial.run_id, found.later) == (first, 0)
    put("a.csv", b"id\n1\n7\n")
    put("c.csv", b"id\n3\n")
    services.s3.delete_object(Bucket=bucket, Key=f"orders/dt={DAY}/b.csv")
    found = take_inventory(services, pattern)
    assert states(found) == {
        f"orders/dt={DAY}/a.csv": State.CHANGED,
        f"orders/dt={DAY}/b.csv": State.GONE,
        f"orders/dt={DAY}/c.csv": State.MISSING,
    }
    second = execute(services.aws, target.engine.task)["TaskExecutionArn"]  # type: ignore[attr-defined]
    platform.process()
    found = take_inventory(services, pattern)
    assert (found.initial.run_id if found.initial else "", found.later) == (first, 1)
    assert found.latest
    assert found.latest.run_id == second
    assert found.counts()[State.DELIVERED] == (2, 12)
    show("cloud", found)
    said = capsys.readouterr().out
    assert "listed now" in said
    assert f"first run: {first.rpartition('/')[2]}" in said
    assert "since then 1 more" in said


def test_a_store_that_cannot_be_listed_is_known_by_the_last_report(
    services: Services, instance: dg.DagsterInstance
) -> None:
    provision(services, [])
    bucket = f"exports-{uuid.uuid4().hex[:8]}"
    services.s3.create_bucket(Bucket=bucket)
    for name in ("a", "b"):
        services.s3.put_object(Bucket=bucket, Key=f"orders/dt={DAY}/{name}.csv", Body=f"id\n{name}\n".encode())
    raw = services.zones.raw_bucket
    task = make_task(services.aws, bucket, f"{raw}/landing/cloud", reports=f"{raw}/task-reports/cloud", Name=bucket)
    platform = make_platform(services, {"source": "cloud", "task": task, "feeds": FEEDS}, instance, ReplicatedFiles)
    pattern = pattern_of(platform)
    with pytest.raises(PermanentFailure, match="no report of its last"):
        take_inventory(services, pattern)
    for _ in range(2):
        wait_for_execution(services.aws, execute(services.aws, task)["TaskExecutionArn"])
    services.s3.put_object(Bucket=bucket, Key=f"orders/dt={DAY}/unseen.csv", Body=b"id\n3\n")
    platform.process()
    found = take_inventory(services, pattern)
    assert "as the report of exec-" in found.seen
    assert states(found) == {f"orders/dt={DAY}/{name}.csv": State.DELIVERED for name in ("a", "b")}
