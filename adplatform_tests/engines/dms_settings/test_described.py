"""Tasks are read from the embedded AWS as from AWS; what the embedded one lacks, from a client that answers alike."""

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from adplatform.engines.dms_settings.check import check, not_looked_at
from adplatform.engines.dms_settings.described import bucket_of_aws, configuration_of_aws, task_of_aws
from adplatform.engines.dms_settings.documents import Checked
from adplatform.engines.dms_settings.recommended import (
    postgres_endpoint,
    table_mappings,
    target_endpoint,
    task_settings,
)
from adplatform.failures import PermanentFailure
from adplatform.flow.services import Services

LIFECYCLE = {
    "ID": "versions",
    "Status": "Enabled",
    "Filter": {"Prefix": "landing/"},
    "NoncurrentVersionExpiration": {"NoncurrentDays": 7},
}


class Dms:
    """DMS of the embedded AWS with a bucket for one test."""

    def __init__(self, services: Services) -> None:
        self.client, self.s3 = services.aws.client("dms"), services.s3
        self.unique = uuid.uuid4().hex[:8]
        self.bucket = f"changes-{self.unique}"
        self.s3.create_bucket(Bucket=self.bucket)

    def endpoint(self, kind: str, engine: str, **settings: Any) -> str:
        name = f"e{uuid.uuid4().hex[:8]}"
        made = self.client.create_endpoint(EndpointIdentifier=name, EndpointType=kind, EngineName=engine, **settings)
        return str(made["Endpoint"]["EndpointArn"])

    def task(self, name: str, settings: Any = None, *, table: str = "orders", **s3: Any) -> str:
        target = target_endpoint(self.bucket, "landing/shop")["S3Settings"] | s3
        made = self.client.create_replication_task(
            ReplicationTaskIdentifier=f"{name}-{self.unique}",
            SourceEndpointArn=self.endpoint(
                "source", "postgres", PostgreSQLSettings=postgres_endpoint()["PostgreSQLSettings"]
            ),
            TargetEndpointArn=self.endpoint("target", "s3", S3Settings=target),
            ReplicationInstanceArn="arn:aws:dms:us-east-1:123456789012:rep:one",
            MigrationType="full-load-and-cdc",
            TableMappings=json.dumps(table_mappings([("shop", table)])),
            ReplicationTaskSettings=json.dumps(settings or task_settings()),
        )
        return str(made["ReplicationTask"]["ReplicationTaskArn"])

    def read(self, name: str) -> Checked:
        return task_of_aws(self.client, self.s3, name)


@pytest.fixture
def dms(services: Services) -> Dms:
    return Dms(services)


def test_a_task_with_the_recommended_settings_passes(dms: Dms) -> None:
    arn = dms.task("orders")
    for name in (arn, f"orders-{dms.unique}"):
        checked = dms.read(name)
        assert check(checked) == []
        assert [each.split(":")[0] for each in not_looked_at(checked)] == [
            "the source database",
            "whether it was loaded again (--generation), or is to be (--start)",
        ]


def test_findings_name_the_arn_and_the_place_in_it(dms: Dms) -> None:
    settings = task_settings() | {"Logging": {"EnableLogging": False}}
    arn = dms.task("orders", settings, CdcInsertsOnly=True)
    first, second = check(dms.read(arn))
    assert (first.number, second.number) == (1, 47)
    assert first.where.startswith("arn:aws:dms:")
    assert first.where.endswith(": $.S3Settings.CdcInsertsOnly")
    assert second.where == f"{arn} (settings): $.Logging.EnableLogging"


def test_another_task_that_writes_the_same_table_to_the_same_folder_is_found(dms: Dms) -> None:
    arn = dms.task("orders")
    dms.task("again")
    dms.task("customers", table="customers")
    dms.task("elsewhere", BucketFolder="landing/other")
    [found] = check(dms.read(arn))
    assert found.number == 29
    assert found.text.startswith(f"again-{dms.unique} writes shop.orders to s3://{dms.bucket}/landing/shop as well")


@pytest.mark.parametrize(
    ("rule", "numbers"),
    [
        (None, [30]),
        (LIFECYCLE, []),
        (LIFECYCLE | {"Status": "Disabled"}, [30]),
        (LIFECYCLE | {"Filter": {"Prefix": "elsewhere/"}}, [30]),
    ],
)
def test_versions_without_a_lifecycle_are_found(dms: Dms, rule: dict[str, Any] | None, numbers: list[int]) -> None:
    arn = dms.task("orders")
    dms.s3.put_bucket_versioning(Bucket=dms.bucket, VersioningConfiguration={"Status": "Enabled"})
    if rule is not None:
        dms.s3.put_bucket_lifecycle_configuration(Bucket=dms.bucket, LifecycleConfiguration={"Rules": [rule]})
    assert [found.number for found in check(dms.read(arn))] == numbers
    assert bucket_of_aws(dms.s3, dms.bucket, "landing/shop").versioned


def test_a_task_that_is_not_there_is_refused(dms: Dms) -> None:
    with pytest.raises(PermanentFailure, match="0 DMS tasks are called 'orders'"):
        dms.read("orders")


def test_a_task_that_writes_elsewhere_is_refused(dms: Dms) -> None:
    source = dms.endpoint("source", "postgres")
    target = dms.endpoint("target", "kinesis")
    arn = dms.client.create_replication_task(
        ReplicationTaskIdentifier=f"other-{dms.unique}",
        SourceEndpointArn=source,
        TargetEndpointArn=target,
        ReplicationInstanceArn="arn:aws:dms:us-east-1:123456789012:rep:one",
        MigrationType="cdc",
        TableMappings="{}",
    )["ReplicationTask"]["ReplicationTaskArn"]
    with pytest.raises(PermanentFailure, match="engine 'kinesis'"):
        dms.read(arn)


class Answers:
    """Answers as DMS does, a page each time it is asked. ``exceptions`` are those of a client of the embedded AWS."""

    def __init__(self, exceptions: Any, **pages: list[dict[str, Any]]) -> None:
        self.exceptions, self._pages = exceptions, pages

    def __getattr__(self, name: str) -> Callable[..., dict[str, Any]]:
        def answer(**asked: Any) -> dict[str, Any]:
            pages = self._pages.get(name)
            if pages is None:
                raise self.exceptions.ResourceNotFoundFault({"Error": {"Code": "ResourceNotFoundFault"}}, name)
            at = int(asked.get("Marker", 0))
            more = {"Marker": str(at + 1)} if at + 1 < len(pages) else {}
            return pages[at] | more

        return answer


LOADED = datetime(2026, 3, 1, 12, tzinfo=UTC)


def described(dms: Dms, **more: list[dict[str, Any]]) -> Answers:
    target = target_endpoint(dms.bucket, "landing/shop") | {"EndpointArn": "target"}
    source = postgres_endpoint() | {"EndpointArn": "source"}
    shared = {"SourceEndpointArn": "source", "TargetEndpointArn": "target"}
    mappings = json.dumps(table_mappings([("shop", "orders")]))
    task = shared | {
        "ReplicationTaskArn": "task",
        "ReplicationTaskIdentifier": "orders",
        "MigrationType": "full-load-and-cdc",
        "ReplicationTaskSettings": json.dumps(task_settings()),
        "TableMappings": mappings,
        "Status": "running",
        "ReplicationTaskStats": {"FreshStartDate": LOADED.replace(tzinfo=None)},
    }
    config = shared | {
        "ReplicationConfigArn": "config",
        "ReplicationConfigIdentifier": "orders",
        "ReplicationType": "cdc",
        "ReplicationSettings": json.dumps(task_settings()),
        "TableMappings": mappings,
    }

    class Endpoints(Answers):
        def describe_endpoints(self, Filters: list[dict[str, Any]], **_: Any) -> dict[str, Any]:
            [wanted] = Filters[0]["Values"]
            return {"Endpoints": [source if wanted == "source" else target]}

    pages: dict[str, list[dict[str, Any]]] = {
        "describe_replication_tasks": [{"ReplicationTasks": [task]}],
        "describe_replication_configs": [{"ReplicationConfigs": [config]}],
        "describe_table_statistics": [
            {"TableStatistics": [{"SchemaName": "shop", "TableName": "customers", "FullLoadReloaded": False}]},
            {
                "TableStatistics": [
                    {
                        "SchemaName": "shop",
                        "TableName": "orders",
                        "FullLoadReloaded": True,
                        "FullLoadStartTime": LOADED,
                    }
                ]
            },
        ],
    }
    return Endpoints(dms.client.exceptions, **pages | more)


def test_what_was_loaded_again_is_read_of_a_task_that_runs(dms: Dms) -> None:
    checked = task_of_aws(described(dms), dms.s3, "orders")
    assert [(each.what, each.at) for each in checked.operation.reloads] == [
        ("The task", LOADED),
        ("shop.orders", LOADED),
    ]


def test_a_serverless_configuration_is_checked_by_where_it_starts(dms: Dms) -> None:
    alone: list[dict[str, Any]] = [{}]
    fresh = configuration_of_aws(described(dms, describe_replication_tasks=alone), dms.s3, "config")
    assert check(fresh) == []
    run = {"Replications": [{"CdcStartPosition": "2026-03-01T00:00:00"}]}
    both = described(dms, describe_replication_tasks=alone, describe_replications=[run])
    started = configuration_of_aws(both, dms.s3, "config")
    assert [found.number for found in check(started)] == [44]
    assert [found.number for found in check(configuration_of_aws(described(dms), dms.s3, "config"))] == [29]
    with pytest.raises(PermanentFailure, match="0 DMS configurations"):
        configuration_of_aws(described(dms, describe_replication_configs=[{}]), dms.s3, "config")
