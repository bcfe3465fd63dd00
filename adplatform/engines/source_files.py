"""The files that a store elsewhere has: listed there, where it speaks S3, or as the report of an execution has them."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from adplatform.contracts.stores import GoogleCloudStorage, ObjectStorage
from adplatform.engines.declared_tasks import DeclaredTask
from adplatform.engines.handed_secrets import read_secret
from adplatform.engines.task_reports import ReportedFile
from adplatform.platform.aws_errors import aws_failures
from adplatform.platform.late import Late

if TYPE_CHECKING:
    import boto3
    import botocore
    from botocore import config as botocore_config
else:
    boto3, botocore, botocore_config = Late("boto3"), Late("botocore"), Late("botocore.config")

_CONNECT, _READ = 10, 60  # seconds


@dataclass(frozen=True)
class SourceFile:
    """A file elsewhere. ``path`` is relative to the store's prefix; ``size`` is in bytes, ``etag`` without quotes and
    empty where nobody says it."""

    path: str
    size: int | None
    modified: datetime | None
    etag: str = ""


def listed(client: Any, declared: DeclaredTask) -> Iterator[SourceFile]:
    """The files that the task would copy, a page at a time; ``client`` is a boto3 client of the store.

    Raises:
        PermanentFailure: the store refuses to be listed.
        TransientFailure: it does not answer at present, or does not allow it.
    """
    bucket, below = declared.store_bucket, declared.store_prefix
    with aws_failures(f"store {declared.uri}"):
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=below):
            for found in page.get("Contents", ()):
                path = found["Key"].removeprefix(below)
                if path and not path.endswith("/") and selects(declared, path):
                    yield SourceFile(path, found["Size"], found["LastModified"], found.get("ETag", "").strip('"'))


def reported(files: Iterable[ReportedFile]) -> Iterator[SourceFile]:
    """The files of a report, each once."""
    seen = set[str]()
    for file in files:
        if file.path not in seen:
            seen.add(file.path)
            yield SourceFile(file.path, file.size, file.modified)


def selects(declared: DeclaredTask, path: str) -> bool:
    """Whether the task copies the file, by its filters: ``*`` stands for anything, and a pattern that matches a folder
    matches all that is in it (DataSync user guide, "Filtering")."""
    transfer = declared.transfer
    included = not transfer.includes or _matches(transfer.includes, path)
    return included and not _matches(transfer.excludes, path)


def store_client(declared: DeclaredTask, secrets: Any, own_s3: Any) -> Any:
    """A boto3 client of a store that speaks S3: ``own_s3`` for Amazon's and for a simulated one, which is a bucket of
    the embedded AWS, and one with the declared credentials for another.

    Raises:
        PermanentFailure: the secret is missing or lacks a member.
        TransientFailure: Secrets Manager does not answer at present, or does not allow it.
    """
    store = declared.store
    if declared.simulated or not isinstance(store, (ObjectStorage, GoogleCloudStorage)):
        return own_s3
    key = read_secret(secrets, store.secret, ["access_key", "secret_key"]) if store.secret else {}
    config = botocore_config.Config(
        signature_version="s3v4" if key else botocore.UNSIGNED,
        s3={"addressing_style": "path"},
        connect_timeout=_CONNECT,
        read_timeout=_READ,
        retries={"mode": "standard", "total_max_attempts": 3},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    session = boto3.Session(key.get("access_key"), key.get("secret_key"), region_name="us-east-1")
    return session.client("s3", endpoint_url=store.server, config=config)


def _matches(patterns: Sequence[str], path: str) -> bool:
    return any(_expression(pattern).fullmatch(f"/{path}") for pattern in patterns)


def _expression(pattern: str) -> re.Pattern[str]:
    literal = re.sub(r"\\(.)", lambda found: f"\0{ord(found[1])}\0", pattern.rstrip("/"))
    parts = [".*" if part == "*" else re.escape(part) for part in re.split(r"(\*)", literal)]
    expression = re.sub(r"\x00(\d+)\x00", lambda found: re.escape(chr(int(found[1]))), "".join(parts))
    return re.compile(f"{expression}(/.*)?", re.DOTALL)
