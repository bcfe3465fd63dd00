"""Statements of the Data API of Redshift."""

from typing import Any

from adplatform.platform.aws import Aws
from adplatform_tests.support.replication import administer

ROLE = "arn:aws:iam::123456789012:role/spectrum"


def statement(aws: Aws, workgroup: str, *sqls: str, **more: Any) -> dict[str, Any]:
    """What DescribeStatement tells once it has ended."""
    client = aws.client_once("redshift-data")
    named = {"WorkgroupName": workgroup, "Database": "dev", **more}
    submit = client.execute_statement if len(sqls) == 1 else client.batch_execute_statement
    asked = {"Sql": sqls[0]} if len(sqls) == 1 else {"Sqls": list(sqls)}
    id = submit(**asked, **named, WaitTimeSeconds=30)["Id"]
    told: dict[str, Any] = client.describe_statement(Id=id, WaitTimeSeconds=30)
    return told


def rows(aws: Aws, workgroup: str, sql: str, **more: Any) -> list[tuple[Any, ...]]:
    """Of a query, with the type of each value left out."""
    told = statement(aws, workgroup, sql, **more)
    assert told["Status"] == "FINISHED", told.get("Error")
    found = aws.client_once("redshift-data").get_statement_result(Id=told["Id"])["Records"]
    return [tuple(next(iter(value.values())) for value in row) for row in found]


def order_redshift_fault(aws: Aws, fault: str, workgroup: str, **more: Any) -> None:
    administer(aws, fault={"service": "redshift-data", "name": fault, "target": workgroup, **more})
