"""What task reports of DataSync say of each file.

A detailed report lies below ``<prefix>/<task name>/Detailed-Reports/task-…/exec-…/``, without the name's folder where
the task has none, as ``exec-….files-<kind>-v1-<part>-….json``: AWS documents the entries (DataSync user guide,
"Monitoring your transfers with task reports"), not the place, which is as public code that reads reports has it.
Elsewhere a report is looked for below the whole prefix.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from adplatform.failures import PermanentFailure
from adplatform.platform.aws_errors import aws_failures
from adplatform.platform.json_text import parsed

Kind = Literal["Transferred", "Skipped", "Verified"]
_STATUS: Mapping[Kind, str] = {
    "Transferred": "TransferStatus",
    "Skipped": "SkipStatus",
    "Verified": "VerifyStatus",
}
_MEND = "restore it, or remove it, and what was written while a success went on counts"
_FOLDERS = ("Detailed-Reports", "Summary-Reports")


@dataclass(frozen=True)
class ReportedFile:
    """One file as a report has it. ``path`` is relative to the location, without a leading slash; ``size`` (bytes) and
    ``modified`` are those at the source, ``version`` is that of the object at the destination, where they are told."""

    kind: Kind
    path: str
    succeeded: bool
    version: str = ""
    size: int | None = None
    modified: datetime | None = None


@dataclass(frozen=True)
class TaskReport:
    """The report of one execution. ``config`` is its TaskReportConfig, empty where it reports nowhere; ``s3`` is a
    boto3 client."""

    s3: Any
    config: Mapping[str, Any]
    task_name: str
    execution: str

    def files(self, *kinds: Kind) -> Iterator[ReportedFile]:
        """The files of these kinds, folders left out; nothing where there is no report.

        Raises:
            PermanentFailure: a report is damaged, or may not be read; names it.
            TransientFailure: S3 does not answer at present.
        """
        place = (self.config.get("Destination") or {}).get("S3") or {}
        if not place.get("S3BucketArn"):
            return
        bucket, below = place["S3BucketArn"].rpartition(":")[2], place.get("Subdirectory", "").strip("/")
        for key in self._keys(bucket, f"{below}/" if below else ""):
            for kind in kinds:
                if f".files-{kind.lower()}-" in key and key.endswith(".json"):
                    with aws_failures(f"report s3://{bucket}/{key}"):
                        body = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
                    yield from read_report(f"s3://{bucket}/{key}", body, kind)

    def _keys(self, bucket: str, root: str) -> list[str]:
        """Where the report is. An execution that did nothing has a summary only, which is looked for, too, so that the
        whole prefix is listed only where AWS keeps reports in another way."""
        task, run = self.execution.split("/")[1], self.execution.rpartition("/")[2]
        named = [f"{root}{self.task_name}/", root] if self.task_name else [root]
        for above in named:
            found = [key for each in _FOLDERS for key in self._listed(bucket, f"{above}{each}/{task}/{run}")]
            if found:
                return found
        return [key for key in self._listed(bucket, root) if run in key]

    def _listed(self, bucket: str, prefix: str) -> Iterator[str]:
        with aws_failures(f"reports s3://{bucket}/{prefix}"):
            pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            yield from (each["Key"] for page in pages for each in page.get("Contents", ()))


def read_report(name: str, body: bytes, kind: Kind) -> Iterator[ReportedFile]:
    """The files of one part of a report, which ``name`` names in errors.

    Raises:
        PermanentFailure: it is no such report.
    """
    try:
        report = parsed(body)
    except ValueError as e:
        raise PermanentFailure(f"report {name} is no JSON ({e}): {_MEND}") from e
    entries = report.get(kind, []) if isinstance(report, dict) else None
    if not isinstance(entries, list):
        raise PermanentFailure(f"report {name} has no list of what was {kind}: {_MEND}")
    for number, entry in enumerate(entries, start=1):
        path = entry.get("RelativePath") if isinstance(entry, dict) else None
        if not isinstance(path, str):
            raise PermanentFailure(
                f"report {name}: entry {number} has no RelativePath; have its file transferred again"
            )
        source = entry.get("SourceMetadata") or entry.get("SrcMetadata") or {}
        if source.get("Type") == "Directory" or path.endswith("/"):
            continue
        yield ReportedFile(
            kind=kind,
            path=path.lstrip("/"),
            succeeded=entry.get(_STATUS[kind], "SUCCESS") == "SUCCESS",
            version=entry.get("DstS3VersionId", ""),
            size=source.get("ContentSize"),
            modified=_moment(source.get("LastModified") or source.get("Mtime")),
        )


def _moment(text: Any) -> datetime | None:
    """AWS writes UTC as ``2024-10-04T14:40:55Z``."""
    try:
        return datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
