"""DMS of the embedded AWS: tasks that replicate tables of a PostgreSQL database, and what their files hold."""

import csv
import gzip
import io
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from adplatform.engines.dms_settings.recommended import (
    postgres_endpoint,
    table_mappings,
    target_endpoint,
    task_settings,
)
from adplatform.local.world.postgres import PostgresServer
from adplatform.platform.aws import Aws
from adplatform_tests.support.databases import Database
from adplatform_tests.support.replication import administer
from adplatform_tests.support.waiting import turns

_SECONDS = 60.0
_NULL = "\\N"
CSV = {
    "DataFormat": "csv",
    "CompressionType": "none",
    "AddColumnName": True,
    "CsvNullValue": _NULL,
    "CdcMaxBatchInterval": 3600,
}
"""Members of S3Settings for files that a test reads: with a header, and only what is flushed."""
_GONE = """SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
    WHERE database = current_database() AND NOT active"""


@dataclass(frozen=True)
class DmsTask:
    """A task that exists. Its files are in ``bucket`` below ``folder``."""

    aws: Aws
    arn: str
    source: str
    target: str
    bucket: str
    folder: str

    def described(self) -> dict[str, Any]:
        filters = [{"Name": "replication-task-arn", "Values": [self.arn]}]
        [found] = self.aws.client("dms").describe_replication_tasks(Filters=filters)["ReplicationTasks"]
        return dict(found)

    def start(self, kind: str = "start-replication", *, until: Sequence[str] = ("running", "stopped")) -> None:
        """Returns when the task has come so far: what changes from then on at the source is captured."""
        self.aws.client("dms").start_replication_task(ReplicationTaskArn=self.arn, StartReplicationTaskType=kind)
        self.wait_for(*until)

    def stop(self) -> None:
        self.aws.client("dms").stop_replication_task(ReplicationTaskArn=self.arn)
        self.wait_for("stopped")

    def wait_for(self, *statuses: str) -> dict[str, Any]:
        """
        Raises:
            TimeoutError: the task does not come into one of the states, or fails.
        """
        for _ in turns(_SECONDS):
            found = self.described()
            if found["Status"] in statuses:
                return found
            if found["Status"] == "failed":
                break
        raise TimeoutError(f"{self.arn} is {found['Status']}: {found.get('LastFailureMessage')}")

    def flush(self) -> int:
        """Has all changes written that are committed now; returns at once, with the number of the flush."""
        return int(self._ask("flush")["flush"])

    def wait_until_caught_up(self) -> None:
        """Returns when all is written that is committed now, the load included.

        Raises:
            TimeoutError: the task does not come so far.
            urllib.error.HTTPError: it does not run any more.
        """
        number = self.flush()
        for _ in turns(_SECONDS):
            if self._ask("flushed", flush=number)["flushed"]:
                return
        raise TimeoutError(f"{self.arn} is not caught up: {self.described()}")

    def wait_until_confirmed(self) -> None:
        """Returns when a kill of the endpoint would lose nothing of what is written, and have nothing of it written
        again; with an endpoint that saves rarely, that is late."""
        for _ in turns(_SECONDS):
            if self._ask("confirmed")["confirmed"]:
                return
        raise TimeoutError(f"{self.arn} is not confirmed")

    def fault(self, name: str, *, table: str = "", **settings: Any) -> None:
        """Orders a fault of ``adplatform.local.aws.dms.faults``; ``table`` is ``schema.table``."""
        target = f"{self.arn}/{table}" if table else self.arn
        administer(self.aws, fault={"service": "dms", "name": name, "target": target, **settings})

    def reload(self, *tables: str) -> None:
        """Loads tables, each ``schema.table``, again; returns at once."""
        named = (name.partition(".") for name in tables)
        wanted = [{"SchemaName": schema, "TableName": table} for schema, _, table in named]
        self.aws.client("dms").reload_tables(ReplicationTaskArn=self.arn, TablesToReload=wanted)

    def statistics(self) -> dict[str, dict[str, Any]]:
        """Those of each table by ``schema.table``."""
        found = self.aws.client("dms").describe_table_statistics(ReplicationTaskArn=self.arn)["TableStatistics"]
        return {f"{each['SchemaName']}.{each['TableName']}": each for each in found}

    def keys(self, inner: str = "") -> list[str]:
        """The objects of the task below ``inner`` in the order of their names, without its folder."""
        pages = self.aws.client("s3").get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=self.bucket, Prefix=f"{self.folder}/{inner}")
        return [each["Key"].removeprefix(f"{self.folder}/") for page in found for each in page.get("Contents", [])]

    def body(self, key: str) -> bytes:
        body = self.aws.client("s3").get_object(Bucket=self.bucket, Key=f"{self.folder}/{key}")["Body"].read()
        return gzip.decompress(body) if key.endswith(".gz") else bytes(body)

    def rows(self, key: str) -> list[dict[str, str | None]]:
        """The rows of a CSV file with a header by column, NULL as None."""
        reader = csv.DictReader(io.StringIO(self.body(key).decode(), newline=""))
        return [{name: None if value == _NULL else value for name, value in row.items()} for row in reader]

    def loaded(self, table: str) -> list[dict[str, str | None]]:
        return [row for key in self._files(table) if "/LOAD" in key for row in self.rows(key)]

    def changes(self, table: str) -> list[dict[str, str | None]]:
        """The rows of all files of changes of a table, ``schema.table``, in the order of their names."""
        return [row for key in self._files(table) if "/LOAD" not in key for row in self.rows(key)]

    def _files(self, table: str) -> list[str]:
        return self.keys(f"{table.replace('.', '/')}/")

    def _ask(self, what: str, **more: Any) -> dict[str, Any]:
        said = administer(self.aws, ask={"service": "dms", "what": what, "target": self.arn, **more})
        return dict(said["answer"])


@contextmanager
def dms_task(
    aws: Aws,
    database: Database,
    *tables: str,
    bucket: str = "",
    folder: str = "landing",
    kind: str = "full-load-and-cdc",
    s3: Mapping[str, Any] = CSV,
    source: Mapping[str, Any] | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    mappings: Mapping[str, Any] | None = None,
) -> Iterator[DmsTask]:
    """A task for tables of a database, each ``schema.table``, with the settings that are recommended but for those
    given; it is not started. ``settings`` are groups of task settings, ``s3`` members of S3Settings, ``source`` of
    CreateEndpoint. In the end it is stopped and deleted, and its slot with it."""
    task = make_task(
        aws,
        endpoint_of(database.server, database.name, **(source or {})),
        *tables,
        bucket=bucket,
        folder=folder,
        kind=kind,
        s3=s3,
        settings=settings,
        mappings=mappings,
    )
    try:
        yield task
    finally:
        remove(task)
        with database.server.connect(database.name) as connection:
            connection.execute(_GONE)


def endpoint_of(server: PostgresServer, database: str, **more: Any) -> dict[str, Any]:
    """What of CreateEndpoint says where a database is."""
    secret = server.secret(database)
    return {
        **postgres_endpoint(),
        "ServerName": secret["host"],
        "Port": secret["port"],
        "DatabaseName": secret["dbname"],
        "Username": secret["username"],
        "Password": secret["password"],
        **more,
    }


def make_task(
    aws: Aws,
    source: Mapping[str, Any],
    *tables: str,
    bucket: str = "",
    folder: str = "landing",
    kind: str = "full-load-and-cdc",
    s3: Mapping[str, Any] = CSV,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    mappings: Mapping[str, Any] | None = None,
) -> DmsTask:
    """An instance, two endpoints and a task; as :func:`dms_task`, which also removes it."""
    dms, unique = aws.client("dms"), uuid.uuid4().hex[:12]
    if not bucket:
        bucket = f"dms-{unique}"
        aws.client("s3").create_bucket(Bucket=bucket)
    instance = dms.create_replication_instance(
        ReplicationInstanceIdentifier=f"i{unique}", ReplicationInstanceClass="dms.t3.medium"
    )["ReplicationInstance"]["ReplicationInstanceArn"]
    target = target_endpoint(bucket, folder)
    target["S3Settings"] = {**target["S3Settings"], **s3}
    arns = [
        dms.create_endpoint(EndpointIdentifier=f"{role}{unique}", **asked)["Endpoint"]["EndpointArn"]
        for role, asked in (("s", source), ("t", target))
    ]
    groups = task_settings()
    for name, changes in (settings or {}).items():
        groups[name] = {**groups.get(name, {}), **changes}
    named = [(schema, table) for schema, _, table in (name.partition(".") for name in tables)]
    made = dms.create_replication_task(
        ReplicationTaskIdentifier=f"task-{unique}",
        SourceEndpointArn=arns[0],
        TargetEndpointArn=arns[1],
        ReplicationInstanceArn=instance,
        MigrationType=kind,
        TableMappings=json.dumps(mappings or table_mappings(named)),
        ReplicationTaskSettings=json.dumps(groups),
    )
    return DmsTask(aws, made["ReplicationTask"]["ReplicationTaskArn"], arns[0], arns[1], bucket, folder)


def remove(task: DmsTask) -> None:
    """Stops and deletes a task, if it is still there, and waits until it is gone."""
    dms = task.aws.client("dms")
    for _ in turns(_SECONDS):
        found = dms.describe_replication_tasks(Filters=[{"Name": "replication-task-arn", "Values": [task.arn]}])[
            "ReplicationTasks"
        ]
        if not found:
            return
        try:
            if found[0]["Status"] in ("starting", "running"):
                dms.stop_replication_task(ReplicationTaskArn=task.arn)
            elif found[0]["Status"] not in ("stopping", "deleting"):
                dms.delete_replication_task(ReplicationTaskArn=task.arn)
        except ClientError as e:
            # It may have moved on since it was described.
            if e.response["Error"]["Code"] not in ("InvalidResourceStateFault", "ResourceNotFoundFault"):
                raise
    raise TimeoutError(f"{task.arn} is not gone")
