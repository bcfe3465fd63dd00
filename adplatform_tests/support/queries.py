"""Queries of Athena."""

import uuid
from typing import Any

from adplatform.platform.aws import Aws
from adplatform_tests.support.replication import administer
from adplatform_tests.support.waiting import eventually


def make_workgroup(aws: Aws, bucket: str) -> str:
    """One that enforces that results come below ``s3://<bucket>/results/``."""
    name = f"group-{uuid.uuid4().hex[:12]}"
    results = {"OutputLocation": f"s3://{bucket}/results/"}
    aws.client_once("athena").create_work_group(
        Name=name, Configuration={"ResultConfiguration": results, "EnforceWorkGroupConfiguration": True}
    )
    return name


def execution(aws: Aws, workgroup: str, sql: str, **more: Any) -> dict[str, Any]:
    """What GetQueryExecution tells of a query once it has ended."""
    client = aws.client_once("athena")
    id = client.start_query_execution(QueryString=sql, WorkGroup=workgroup, **more)["QueryExecutionId"]

    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = client.get_query_execution(QueryExecutionId=id)["QueryExecution"]
        return found if found["Status"]["State"] in ("SUCCEEDED", "FAILED", "CANCELLED") else None

    ended: dict[str, Any] = eventually(look)
    return ended


def order_athena_fault(aws: Aws, fault: str, workgroup: str, **more: Any) -> None:
    administer(aws, fault={"service": "athena", "name": fault, "target": workgroup, **more})
