import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from adplatform.components.assembly.roles import step_of
from adplatform.platform.aws import Aws
from adplatform.platform.calls import HANDLER, NOBODY, OPERATOR, RECORD, acting, acting_role, cut, described

Noted = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Noted:
    file = tmp_path / "calls"
    monkeypatch.setenv(RECORD, str(file))
    return lambda: [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_a_call_is_noted_once_by_what_it_names(aws: Aws, noted: Noted) -> None:
    s3, bucket = aws.client("s3"), "noted-calls"
    s3.create_bucket(Bucket=bucket)
    with acting(OPERATOR):
        s3.put_object(Bucket=bucket, Key="landing/acme/jane.doe@example.com", Body=b"secret", IfNoneMatch="*")
        s3.head_object(Bucket=bucket, Key="landing/acme/jane.doe@example.com")
        s3.head_object(Bucket=bucket, Key="landing/acme/jane.doe@example.com")
    common = {"role": OPERATOR, "service": "s3", "resources": {"Bucket": bucket, "Key": "landing/acme/*"}, "roles": []}
    assert noted() == [
        {**common, "operation": "PutObject", "given": ["Body", "IfNoneMatch"]},
        {**common, "operation": "HeadObject", "given": []},
    ]


def test_calls_of_nobody_are_not_noted(aws: Aws, noted: Noted) -> None:
    sqs = aws.client("sqs")
    sqs.list_queues()
    with acting(OPERATOR), acting(NOBODY):
        sqs.list_queues()
    assert noted() == []


def test_clients_that_a_library_makes_are_noted(aws: Aws, noted: Noted) -> None:
    theirs = boto3.Session().resource("sqs", endpoint_url=aws.endpoint_url, region_name=aws.region)
    with acting(HANDLER):
        list(theirs.queues.limit(1))
    assert [(each["role"], each["operation"]) for each in noted()] == [(HANDLER, "ListQueues")]


def test_threads_call_as_who_started_them_acts() -> None:
    seen: list[str] = []
    with acting(OPERATOR):
        with acting(HANDLER):
            thread = threading.Thread(target=lambda: seen.append(acting_role()))
            thread.start()
            thread.join()
        assert acting_role() == OPERATOR
    assert (seen, acting_role()) == ([HANDLER], NOBODY)


def test_a_step_that_yields_acts_until_it_ends() -> None:
    @step_of("pushed")
    def yielding(count: int) -> Iterator[str]:
        for _ in range(count):
            yield acting_role()

    @step_of("pushed")
    def returning() -> str:
        return acting_role()

    assert [*yielding(2), returning(), acting_role()] == ["run_pushed", "run_pushed", "run_pushed", NOBODY]


@pytest.mark.parametrize(
    ("key", "noted"),
    [
        ("landing/acme/dt=2026-11-27/jane.csv", "landing/acme/*"),
        ("landing/acme/", "landing/acme/*"),
        ("landing/jane.csv", "landing/*"),
        ("jane.csv", "*"),
        ("", "*"),
    ],
)
def test_of_a_key_only_the_folders_of_zone_and_source_are_noted(key: str, noted: str) -> None:
    assert cut(key) == noted


def test_of_a_copy_source_and_target_are_noted() -> None:
    target = {"Bucket": "raw", "Key": "archive/acme/orders/a.csv"}
    by_text = described("s3", "CopyObject", {**target, "CopySource": "raw/landing/acme/a.csv?versionId=7"})
    source = {"Bucket": "raw", "Key": "landing/acme/a.csv", "VersionId": "7"}
    by_parts = described("s3", "CopyObject", {**target, "CopySource": source})
    copied = {"Bucket": "raw", "Key": "landing/acme/*", "VersionId": "*"}
    assert by_text == by_parts
    assert by_parts["resources"] == {"Bucket": "raw", "Key": "archive/acme/*", "CopySource": copied}


def test_of_what_is_deleted_or_written_together_the_places_are_noted() -> None:
    removed = [{"Key": "landing/acme/a", "VersionId": "1"}, {"Key": "landing/acme/b"}, {"Key": "landing/acme/c"}]
    deleted = described("s3", "DeleteObjects", {"Bucket": "raw", "Delete": {"Objects": removed}})
    items = [{"Put": {"TableName": "ledger", "Item": {"pk": {"S": "jane"}}}}, {"Delete": {"TableName": "ledger"}}]
    written = described("dynamodb", "TransactWriteItems", {"TransactItems": items})
    assert deleted["resources"] == {"Bucket": "raw", "Delete": ["landing/acme/*", "landing/acme/* of a version"]}
    assert written["resources"] == {"TransactItems": ["Delete ledger", "Put ledger"]}


def test_a_role_that_is_passed_on_is_noted_by_its_parameter() -> None:
    workflow = {"WorkflowId": "w-1", "ExecutionRole": "arn:aws:iam::111111111111:role/x"}
    given = {"LoggingRole": "arn:aws:iam::111111111111:role/y", "WorkflowDetails": {"OnUpload": [workflow]}}
    assert described("transfer", "CreateServer", given)["roles"] == [
        "LoggingRole",
        "WorkflowDetails.OnUpload.ExecutionRole",
    ]
