"""What YAML may say of a task that replicates, and what it is told where that cannot work."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from adplatform.contracts.replication import ReplicatedSource
from adplatform.patterns import read_defs

AGENT = "arn:aws:datasync:us-east-1:123456789012:agent/agent-0123456789abcdef0"
FEEDS = [{"name": "orders", "start_date": "2026-01-01", "columns": {"id": "string"}}]
GCS = {"kind": "gcs", "bucket": "exports", "secret": "acme/hmac"}
STORES: list[dict[str, Any]] = [
    {"kind": "s3", "bucket": "partner-exports", "prefix": "daily/", "role": "reader"},
    {"kind": "object_storage", "server": "https://minio.example.com:9000", "bucket": "exports"},
    {"kind": "object_storage", "server": "http://10.0.0.7", "bucket": "exports", "secret": "k", "agents": [AGENT]},
    GCS,
    {"kind": "azure_blob", "container": "https://acme.blob.core.windows.net/exports", "secret": "acme/sas"},
    {"kind": "azure_blob", "container": "https://acme.blob.core.windows.net/open", "tier": "cool", "prefix": "a b/"},
    {"kind": "nfs", "server": "nfs.example.com", "path": "/exports", "agents": [AGENT], "version": "4.1"},
    {"kind": "nfs", "server": "10.0.0.9", "path": "/", "agents": [AGENT], "enhanced_agents": True},
    {"kind": "smb", "server": "10.0.0.8", "path": "/share$/x", "secret": "acme/smb", "agents": [AGENT]},
]

MINIO = {"kind": "object_storage", "server": "https://minio.example.com", "bucket": "exports"}


def declared(**attributes: Any) -> ReplicatedSource:
    return ReplicatedSource.model_validate({"source": "cloud", "feeds": FEEDS, **attributes})


def refusal(**attributes: Any) -> str:
    with pytest.raises(ValidationError) as raised:
        declared(**attributes)
    return str(raised.value)


@pytest.mark.parametrize("store", STORES, ids=lambda store: str(store["kind"]))
def test_every_kind_of_store_can_be_declared(store: dict[str, Any]) -> None:
    found = declared(**{"from": store})
    assert found.from_
    assert found.from_.kind == store["kind"]
    assert found.task_name == "adplatform-cloud"


def test_the_mode_of_a_task_follows_from_its_agents() -> None:
    stores = [declared(**{"from": store}).from_ for store in STORES]
    wanted = ["BASIC" if store.get("agents") and not store.get("enhanced_agents") else "ENHANCED" for store in STORES]
    assert [store.mode for store in stores if store] == wanted


def test_a_task_that_is_there_goes_by_name_or_arn() -> None:
    arn = "arn:aws:datasync:us-east-1:123456789012:task/task-0123456789abcdef0"
    assert declared(task=arn).task_name == arn
    assert declared(task="my task").task_name == "my task"
    assert declared(task="my task", **{"from": GCS}).task_name == "my task"


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ({}, "give `task`, or `from`"),
        ({"task": "x", "transfer": {"mode": "all"}}, "transfer is for a task that is made here"),
        ({"task": "x", "simulated": True}, "simulated is for a task that is made here"),
        (
            {"task": "arn:aws:datasync:us-east-1:123456789012:task/task-0123456789abcdef0", "from": GCS},
            "task is an ARN, so it is there already",
        ),
        ({"from": {"kind": "ftp"}}, "kind must be one of s3, object_storage, gcs"),
        ({"from": {"kind": "gcs", "bucket": "exports"}}, "secret"),
        ({"from": {"kind": "nfs", "server": "a", "path": "/x"}}, "reached through an agent"),
        (
            {"from": {"kind": "smb", "server": "a", "path": "/x", "secret": "s", "agents": []}},
            "reached through an agent",
        ),
        ({"from": {**GCS, "agents": ["agent-1"]}}, "agents"),
        ({"from": {**GCS, "secret_key": "S3CR3T"}}, "secret_key"),
        ({"from": {"kind": "azure_blob", "container": "http://x/y"}}, "container"),
        ({"from": {"kind": "object_storage", "server": "minio:9000", "bucket": "exports"}}, "server"),
        ({"from": {**MINIO, "server": "https://minio.example.com:99999"}}, "there is no port 99999"),
        ({"from": {**MINIO, "secret": ""}}, "secret"),
        ({"from": {"kind": "s3", "bucket": "exports", "agents": [AGENT]}}, "reached without an agent"),
        ({"from": {"kind": "nfs", "server": "a", "path": "/x$", "agents": [AGENT]}}, "path"),
        ({"from": GCS, "transfer": {"object_tags": True}}, "gcs has no tags"),
        ({"from": GCS, "transfer": {"verify": "all"}}, "for tasks in basic mode"),
        ({"from": GCS, "transfer": {"schedule": "rate(30 minutes)"}}, "at most once an hour; use `every`"),
        ({"from": GCS, "transfer": {"schedule": "cron(0/20 * * * ? *)"}}, "more than once an hour"),
        ({"from": GCS, "transfer": {"schedule": "hourly"}}, "must be rate"),
        ({"from": GCS, "transfer": {"schedule": "rate(1 hour)"}, "every": "1h"}, "give one of them"),
        ({"from": GCS, "transfer": {"includes": ["orders"]}}, "must begin with /"),
        ({"from": GCS, "transfer": {"includes": ["/a|/b"]}}, "one pattern per entry"),
        ({"from": GCS, "transfer": {"includes": ["*.csv"]}}, "only be the last character"),
        ({"from": GCS, "transfer": {"excludes": [""]}}, "excludes"),
        ({"from": GCS, "transfer": {"excludes": ["*" + "x" * 200_000]}}, "102,400"),
        ({"from": STORES[4], "simulated": True}, "simulated is for buckets"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_made(attributes: dict[str, Any], why: str) -> None:
    assert why in refusal(**attributes)


@pytest.mark.parametrize("schedule", ["rate(1 hour)", "rate(90 minutes)", "rate(2 days)", "cron(15 * * * ? *)"])
def test_hourly_schedules_are_taken(schedule: str) -> None:
    assert declared(**{"from": GCS, "transfer": {"schedule": schedule}}).transfer.schedule == schedule


def test_patterns_are_taken_as_data_sync_writes_them() -> None:
    transfer = {"includes": ["/orders", "/2026*", r"/a\|b"], "excludes": ["*.tmp", "/orders/old", "*/~*"]}
    assert declared(**{"from": GCS, "transfer": transfer}).transfer.excludes == ("*.tmp", "/orders/old", "*/~*")


def test_a_mistake_in_a_store_is_told_with_its_line(tmp_path: Path) -> None:
    attributes = {"source": "cloud", "from": {"kind": "gcs", "bucket": "no", "secret": "x"}, "feeds": FEEDS}
    document = {"type": "adplatform.components.ReplicatedFiles", "attributes": attributes}
    (tmp_path / "defs.yaml").write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    _, [mistake] = read_defs(tmp_path)
    assert (mistake.line, mistake.where) == (6, "from.bucket")
