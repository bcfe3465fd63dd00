"""Tasks that YAML declares, before the stand-in of DataSync: made once, never changed, compared with what is there."""

import json
import logging
import time
import uuid
from dataclasses import replace
from typing import Any

import pytest

from adplatform.contracts.replication import ReplicatedSource
from adplatform.engines.datasync import DataSync
from adplatform.engines.declared_tasks import SOURCE, DeclaredTask
from adplatform.engines.handed_secrets import read_secret
from adplatform.engines.provided_tasks import provide
from adplatform.failures import PermanentFailure
from adplatform.platform.access_keys import key_for
from adplatform.platform.aws import Aws
from adplatform_tests.local.aws.appflow_world import new_bucket
from adplatform_tests.support.replication import execute, order_fault, reported

ACCOUNT = "123456789012"
FEEDS = [{"name": "orders", "start_date": "2026-01-01", "columns": {"id": "string"}}]


def declare(store: dict[str, Any], bucket: str, name: str = "", **attributes: Any) -> DeclaredTask:
    declared = ReplicatedSource.model_validate({"source": "cloud", "from": store, "feeds": FEEDS, **attributes})
    assert declared.from_
    name = name or f"cloud {uuid.uuid4().hex[:8]}"
    where = (bucket, "landing/cloud/", "task-reports/cloud/")
    return DeclaredTask(
        "cloud", name, declared.from_, declared.transfer, *where, declared.role_name, declared.simulated
    )


def new_secret(aws: Aws, **members: str) -> str:
    name = f"store-{uuid.uuid4().hex[:8]}"
    aws.client("secretsmanager").create_secret(Name=name, SecretString=json.dumps(members))
    return name


def new_agent(aws: Aws, name: str = "vm in the other cloud") -> str:
    created = aws.client("datasync").create_agent(ActivationKey="AAAAA-BBBBB-CCCCC-DDDDD-EEEEE", AgentName=name)
    return str(created["AgentArn"])


def make(aws: Aws, declared: DeclaredTask) -> bool:
    return provide(aws.client("datasync"), aws.client("secretsmanager"), declared, ACCOUNT)


def engine_of(aws: Aws, declared: DeclaredTask) -> DataSync:
    client, s3 = aws.client("datasync"), aws.client("s3")
    return DataSync(client, s3, declared.name, declared.bucket, declared.prefix, declared=declared)


def own_store(aws: Aws, bucket: str, **more: Any) -> dict[str, Any]:
    """The embedded S3 as a store of another cloud, reached with keys over its port."""
    key = key_for(str(aws.endpoint_url))
    secret = new_secret(aws, access_key=key.id, secret_key=key.secret)
    server = str(aws.endpoint_url).rstrip("/")
    return {"kind": "object_storage", "server": server, "bucket": bucket, "secret": secret, **more}


def findings(aws: Aws, declared: DeclaredTask) -> list[tuple[str, bool]]:
    return [(each.text.partition(": ")[2], each.fatal) for each in engine_of(aws, declared).check()]


# Making


def test_a_declared_task_copies_what_is_declared_and_reports_it(aws: Aws) -> None:
    source, raw = new_bucket(aws), new_bucket(aws)
    aws.client("s3").put_bucket_versioning(Bucket=raw, VersioningConfiguration={"Status": "Enabled"})
    for key in ("out/orders/a.csv", "out/orders/a.tmp", "out/other/b.csv", "outside.csv"):
        aws.client("s3").put_object(Bucket=source, Key=key, Body=b"1")
    transfer = {"includes": ["/orders"], "excludes": ["*.tmp"]}
    declared = declare(own_store(aws, source, prefix="out/"), raw, transfer=transfer)
    assert make(aws, declared)
    engine = engine_of(aws, declared)
    assert engine.check() == []
    execution = execute(aws, engine.task)["TaskExecutionArn"]
    claims = list(engine.claims(engine.observe([execution])[execution]))
    assert [claim.key for claim in claims] == ["landing/cloud/orders/a.csv"]
    assert all(claim.version for claim in claims)
    assert reported(aws, raw, execution)


def test_a_task_that_is_there_is_left_as_it_is(aws: Aws) -> None:
    raw = new_bucket(aws)
    declared = declare(own_store(aws, new_bucket(aws)), raw)
    assert make(aws, declared)
    client = aws.client("datasync")
    before = client.describe_task(TaskArn=engine_of(aws, declared).task)
    other = declare(own_store(aws, new_bucket(aws)), raw, declared.name, transfer={"mode": "all"})
    assert not make(aws, other)
    assert client.describe_task(TaskArn=before["TaskArn"])["Options"] == before["Options"]


def test_locations_of_an_attempt_that_failed_are_replaced_by_what_is_valid_now(aws: Aws) -> None:
    raw, source = new_bucket(aws), new_bucket(aws)
    store = own_store(aws, source)
    declared = declare(store, raw)
    client = aws.client("datasync")
    make(aws, declared)
    task = client.describe_task(TaskArn=engine_of(aws, declared).task)
    client.delete_task(TaskArn=task["TaskArn"])
    rotated = json.dumps({"access_key": "AKIAROTATED", "secret_key": "another"})
    aws.client("secretsmanager").put_secret_value(SecretId=store["secret"], SecretString=rotated)
    other = replace(declared, role="another-role")
    assert make(aws, other)
    anew = client.describe_task(TaskArn=engine_of(aws, declared).task)
    ends = ("SourceLocationArn", "DestinationLocationArn")
    there = locations(aws)
    assert [anew[end] in there for end in ends] == [True, True]
    assert [task[end] in there for end in ends] == [False, False]
    for end in ends:
        tags = {tag["Key"]: tag["Value"] for tag in client.list_tags_for_resource(ResourceArn=anew[end])["Tags"]}
        assert tags[SOURCE] == "cloud"
    described = client.describe_location_object_storage(LocationArn=anew["SourceLocationArn"])
    assert described["AccessKey"] == "AKIAROTATED"
    described = client.describe_location_s3(LocationArn=anew["DestinationLocationArn"])
    assert described["S3Config"]["BucketAccessRoleArn"].endswith("/another-role")


def test_a_left_location_that_another_task_uses_stays(aws: Aws) -> None:
    raw, source = new_bucket(aws), new_bucket(aws)
    declared = declare(own_store(aws, source), raw)
    client = aws.client("datasync")
    make(aws, declared)
    task = client.describe_task(TaskArn=engine_of(aws, declared).task)
    used = {end: task[end] for end in ("SourceLocationArn", "DestinationLocationArn")}
    client.create_task(**used, Name=f"by hand {uuid.uuid4().hex[:8]}", TaskMode=task["TaskMode"])
    client.delete_task(TaskArn=task["TaskArn"])
    assert make(aws, declared)
    assert set(used.values()) <= locations(aws)


def locations(aws: Aws) -> set[str]:
    pages = aws.client("datasync").get_paginator("list_locations").paginate()
    return {each["LocationArn"] for page in pages for each in page["Locations"]}


def test_a_location_that_is_declared_in_another_way_by_now_is_not_used(aws: Aws) -> None:
    raw, source = new_bucket(aws), new_bucket(aws)
    declared = declare(own_store(aws, source), raw)
    client = aws.client("datasync")
    make(aws, declared)
    client.delete_task(TaskArn=engine_of(aws, declared).task)
    make(aws, declare(own_store(aws, source, prefix="below/"), raw, declared.name))
    uri = {each["LocationArn"]: each["LocationUri"] for each in client.list_locations()["Locations"]}
    task = client.describe_task(TaskArn=engine_of(aws, declared).task)
    assert uri.get(task["SourceLocationArn"], "/below/").endswith("/below/")


def test_a_store_with_agents_is_read_in_basic_mode(aws: Aws) -> None:
    agent = new_agent(aws)
    store = own_store(aws, new_bucket(aws), agents=[agent])
    declared = declare(store, new_bucket(aws), transfer={"verify": "all"})
    make(aws, declared)
    task = aws.client("datasync").describe_task(TaskArn=engine_of(aws, declared).task)
    assert (task["TaskMode"], task["Options"]["VerifyMode"]) == ("BASIC", "POINT_IN_TIME_CONSISTENT")
    assert findings(aws, declared) == []


def test_a_bucket_of_google_is_read_by_its_xml_api(aws: Aws) -> None:
    secret = new_secret(aws, access_key="GOOG1EXAMPLE", secret_key="S3CR3T")
    declared = declare({"kind": "gcs", "bucket": "exports", "prefix": "a/", "secret": secret}, new_bucket(aws))
    make(aws, declared)
    client = aws.client("datasync")
    task = client.describe_task(TaskArn=engine_of(aws, declared).task)
    location = client.describe_location_object_storage(LocationArn=task["SourceLocationArn"])
    assert location["LocationUri"] == "object-storage://storage.googleapis.com/exports/a/"
    assert (location["ServerProtocol"], location["ServerPort"], location["AccessKey"]) == ("HTTPS", 443, "GOOG1EXAMPLE")
    assert task["Options"]["ObjectTags"] == "NONE"


def test_a_schedule_is_datasyncs_own(aws: Aws) -> None:
    declared = declare(own_store(aws, new_bucket(aws)), new_bucket(aws), transfer={"schedule": "rate(6 hours)"})
    make(aws, declared)
    task = aws.client("datasync").describe_task(TaskArn=engine_of(aws, declared).task)
    assert task["Schedule"]["ScheduleExpression"] == "rate(6 hours)"
    assert findings(aws, declared) == []


def test_a_bucket_of_another_account_is_read_with_its_own_role(aws: Aws) -> None:
    declared = declare({"kind": "s3", "bucket": new_bucket(aws), "role": "reader"}, new_bucket(aws))
    make(aws, declared)
    client = aws.client("datasync")
    task = client.describe_task(TaskArn=engine_of(aws, declared).task)
    roles = [
        client.describe_location_s3(LocationArn=task[end])["S3Config"]["BucketAccessRoleArn"]
        for end in ("SourceLocationArn", "DestinationLocationArn")
    ]
    assert roles == [f"arn:aws:iam::{ACCOUNT}:role/reader", f"arn:aws:iam::{ACCOUNT}:role/adplatform-datasync-cloud"]
    assert findings(aws, declared) == []


@pytest.mark.parametrize("prefix", ["daily/", "/daily", "daily"])
def test_a_prefix_is_taken_with_and_without_slashes_around_it(aws: Aws, prefix: str) -> None:
    source, raw = new_bucket(aws), new_bucket(aws)
    declared = declare(own_store(aws, source, prefix=prefix), raw)
    assert declared.at_source("landing/cloud/orders/a.csv") == "daily/orders/a.csv"
    aws.client("s3").put_object(Bucket=source, Key=declared.at_source("landing/cloud/orders/a.csv"), Body=b"1")
    make(aws, declared)
    execute(aws, engine_of(aws, declared).task)
    landed = aws.client("s3").list_objects_v2(Bucket=raw, Prefix="landing/")["Contents"]
    assert [each["Key"] for each in landed] == ["landing/cloud/orders/a.csv"]


# Secrets


def test_a_secret_that_datasync_refuses_is_in_no_error_and_no_cause(aws: Aws, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    store = own_store(aws, new_bucket(aws))
    hidden = "S3CR3T" * 50
    store["secret"] = new_secret(aws, access_key=hidden, secret_key=hidden)
    with pytest.raises(PermanentFailure, match="location object-storage://") as raised:
        make(aws, declare(store, new_bucket(aws)))
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None
    assert "S3CR3T" not in f"{raised.value}{raised.value.args}{caplog.text}"


@pytest.mark.parametrize(
    ("members", "what"), [({"access_key": "S3CR3T"}, "secret_key"), ({}, "access_key, secret_key")]
)
def test_a_secret_that_lacks_something_is_named_and_not_quoted(aws: Aws, members: dict[str, str], what: str) -> None:
    name = new_secret(aws, **members)
    with pytest.raises(PermanentFailure, match=f"secret {name} is no JSON object with {what}") as raised:
        read_secret(aws.client("secretsmanager"), name, ["access_key", "secret_key"])
    assert "S3CR3T" not in str(raised.value)


def test_a_secret_that_is_missing_says_what_to_put_there(aws: Aws) -> None:
    with pytest.raises(PermanentFailure, match="make it, a JSON object with sas_token"):
        read_secret(aws.client("secretsmanager"), "nowhere", ["sas_token"])


def test_a_declared_task_shows_nothing_of_its_secret(aws: Aws) -> None:
    declared = declare(own_store(aws, new_bucket(aws)), new_bucket(aws))
    make(aws, declared)
    assert "S3CR3T" not in repr(engine_of(aws, declared))


# Comparing


def test_what_differs_from_the_declaration_is_told_and_keeps_nothing_from_running(aws: Aws) -> None:
    raw, agent = new_bucket(aws), new_agent(aws)
    source = new_bucket(aws)
    declared = declare(own_store(aws, source), raw, transfer={"includes": ["/b", "/a"]})
    make(aws, declared)
    same = declare(own_store(aws, source), raw, declared.name, transfer={"includes": ["/a", "/b"]})
    assert findings(aws, same) == []
    transfer = {"mode": "all", "verify": "none", "includes": ["/c"], "excludes": ["*.tmp"], "schedule": "rate(1 hour)"}
    store = own_store(aws, source, prefix="x/", agents=[agent])
    changed = declare(store, raw, declared.name, transfer=transfer)
    found = findings(aws, changed)
    host = declared.uri.split("/")[2]
    assert [text for text, _ in found] == [
        f"the source is object-storage://{host}/{source}/ in DataSync, and declared as {changed.uri}",
        "TransferMode is CHANGED in DataSync, and declared as ALL",
        "VerifyMode is ONLY_FILES_TRANSFERRED in DataSync, and declared as NONE",
        "the mode is ENHANCED in DataSync, and declared as BASIC",
        f"the set of agents is none in DataSync, and declared as {agent}",
        "Includes is /a, /b in DataSync, and declared as /c",
        "Excludes is none in DataSync, and declared as *.tmp",
        "the schedule is none in DataSync, and declared as rate(1 hour)",
    ]
    assert not any(fatal for _, fatal in found)


def test_a_schedule_that_the_service_disabled_is_told_once(aws: Aws) -> None:
    declared = declare(own_store(aws, new_bucket(aws)), new_bucket(aws), transfer={"schedule": "rate(1 hour)"})
    make(aws, declared)
    order_fault(aws, "schedule_disabled", engine_of(aws, declared).task)
    deadline = time.monotonic() + 30
    while not (found := findings(aws, declared)) and time.monotonic() < deadline:
        time.sleep(0.05)
    [(text, fatal)] = found
    assert "DataSync disabled its schedule" in text
    assert not fatal


def test_a_declared_task_that_nobody_made_says_what_makes_it(aws: Aws) -> None:
    declared = declare(own_store(aws, new_bucket(aws)), new_bucket(aws))
    with pytest.raises(PermanentFailure, match="`adplatform provision` makes it"):
        engine_of(aws, declared).check()


# Agents


def test_an_agent_that_is_offline_is_named_and_keeps_the_task_from_being_started(aws: Aws) -> None:
    agent = new_agent(aws)
    declared = declare(own_store(aws, new_bucket(aws), agents=[agent]), new_bucket(aws))
    make(aws, declared)
    order_fault(aws, "agent_offline", engine_of(aws, declared).task)
    found = [each for each in engine_of(aws, declared).check() if "agent vm in the other cloud" in each.text]
    [offline] = found
    assert agent in offline.text
    assert "is offline, last seen 20" in offline.text
    assert offline.fatal


def test_agents_of_a_task_that_is_not_declared_are_looked_at_too(aws: Aws) -> None:
    agent = new_agent(aws)
    declared = declare(own_store(aws, new_bucket(aws), agents=[agent]), new_bucket(aws))
    make(aws, declared)
    order_fault(aws, "agent_offline", engine_of(aws, declared).task)
    undeclared = replace(engine_of(aws, declared), declared=None)
    assert any(agent in each.text for each in undeclared.check())
