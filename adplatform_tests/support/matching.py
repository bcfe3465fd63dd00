"""What tests of Entity Resolution have: tables of people, workflows over them, and the results of jobs."""

import csv
import io
import uuid
from collections.abc import Mapping
from typing import Any

from adplatform.local.signed import order
from adplatform.platform.arns import table_arn
from adplatform.platform.aws import Aws
from adplatform_tests.support.crawls import put_parquet
from adplatform_tests.support.waiting import turns

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/matching"
FIELDS = (
    {"fieldName": "id", "type": "UNIQUE_ID"},
    {"fieldName": "email", "type": "EMAIL_ADDRESS", "matchKey": "email", "hashed": True},
    {"fieldName": "other_email", "type": "EMAIL_ADDRESS", "matchKey": "email", "hashed": True},
    {"fieldName": "phone", "type": "PHONE_NUMBER", "matchKey": "phone", "hashed": True},
)
RULES = ({"ruleName": "by email", "matchingKeys": ["email"]}, {"ruleName": "by phone", "matchingKeys": ["phone"]})


def unique(prefix: str) -> str:
    return f"{prefix}_{uuid.uuid4().hex[:8]}"


def make_bucket(aws: Aws) -> str:
    bucket = f"matches-{uuid.uuid4().hex[:8]}"
    aws.client("s3").create_bucket(Bucket=bucket)
    return bucket


def make_table(aws: Aws, bucket: str, partitions: Mapping[str, Mapping[str, list[Any]]]) -> tuple[str, str]:
    """A table of the catalog with these columns below each value of ``dt``; its database and name."""
    glue, database = aws.client("glue"), unique("people")
    glue.create_database(DatabaseInput={"Name": database})
    root = f"s3://{bucket}/{database}/"
    first = next(iter(partitions.values()))
    columns = [{"Name": name, "Type": "string"} for name in first]
    descriptor = {"Columns": columns, "Location": root}
    table = {
        "Name": "members",
        "PartitionKeys": [{"Name": "dt", "Type": "string"}],
        "StorageDescriptor": descriptor,
        "Parameters": {"classification": "parquet"},
    }
    glue.create_table(DatabaseName=database, TableInput=table)
    for value, rows in partitions.items():
        place = f"{database}/dt={value}/"
        put_parquet(aws, bucket, f"{place}part.parquet", dict(rows))
        own = {**descriptor, "Location": f"s3://{bucket}/{place}"}
        glue.create_partition(
            DatabaseName=database, TableName="members", PartitionInput={"Values": [value], "StorageDescriptor": own}
        )
    return database, "members"


def workflow_request(
    table: tuple[str, str], bucket: str, schema: str, rules: Any = RULES, model: str = "MANY_TO_MANY"
) -> dict[str, Any]:
    """What CreateMatchingWorkflow is asked for but for the name."""
    return {
        "inputSourceConfig": [{"inputSourceARN": table_arn(*table, "us-east-1", ACCOUNT), "schemaName": schema}],
        "outputSourceConfig": [{"outputS3Path": f"s3://{bucket}/matches/", "output": [{"name": "id"}]}],
        "resolutionTechniques": {
            "resolutionType": "RULE_MATCHING",
            "ruleBasedProperties": {"rules": list(rules), "attributeMatchingModel": model},
        },
        "roleArn": ROLE,
    }


def run_job(aws: Aws, workflow: str) -> dict[str, Any]:
    """A job that has ended."""
    return wait_for_job(
        aws, workflow, aws.client("entityresolution").start_matching_job(workflowName=workflow)["jobId"]
    )


def wait_for_job(aws: Aws, workflow: str, job: str, seconds: float = 30.0) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in turns(seconds):
        found = aws.client("entityresolution").get_matching_job(workflowName=workflow, jobId=job)
        if found["status"] in ("SUCCEEDED", "FAILED"):
            return found
    raise AssertionError(found)


def results(
    aws: Aws, bucket: str, workflow: str, job: str, kind: str = "success", path: str = "matches/"
) -> list[dict[str, str]]:
    """The records that a job wrote below the path of its workflow."""
    s3, below = aws.client("s3"), f"{path}{workflow}/{job}/{kind}/"
    keys = [each["Key"] for each in s3.list_objects_v2(Bucket=bucket, Prefix=below).get("Contents", ())]
    bodies = [s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode() for key in keys]
    return [row for body in bodies for row in csv.DictReader(io.StringIO(body))]


def order_fault(url: str, service: str, name: str, target: str = "", **more: Any) -> None:
    """Something is to go wrong with what a service of the embedded AWS at ``url`` has."""
    order(url, {"fault": {"service": service, "name": name, "target": target, **more}})
