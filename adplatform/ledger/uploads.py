"""What managed workflows found of files that partners uploaded, and which of these were cut off."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from adplatform.ledger.objects import RawObject
from adplatform.ledger.rows import digest, from_item
from adplatform.ledger.table import NEW, Table


class Finding(StrEnum):
    """``REPLACED`` is a file that was gone, or another, when it was looked at. ``FAILED`` is one of which nothing is
    known because a step failed."""

    CHECKED = "checked"
    REFUSED = "refused"
    REPLACED = "replaced"
    PARTIAL = "partial"
    FAILED = "failed"


@dataclass(frozen=True)
class Upload:
    """What one execution of a workflow found of its file. ``size`` is in bytes, 0 where nobody knows it; ``checksum``
    is ``<algorithm>:<base64>``, as S3 keeps it."""

    execution: str
    workflow: str
    bucket: str
    key: str
    etag: str
    user: str
    finding: Finding
    at: datetime
    version: str = ""
    size: int = 0
    checksum: str = ""
    reason: str = ""

    @property
    def sort_key(self) -> str:
        return f"upload#{self.execution}"

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True)
class CutOff:
    """An object version whose session ended in the middle of the file."""

    identity: str
    key: str
    user: str
    at: datetime

    @property
    def sort_key(self) -> str:
        return f"cutoff#{self.identity}"


@dataclass(frozen=True)
class Uploads:
    """The uploads of all sources."""

    table: Table

    def get(self, source: str, execution: str) -> Upload | None:
        return self.table.get(Upload, source, f"upload#{execution}")

    def of_source(self, source: str) -> list[Upload]:
        """What was found of the source's files, in no order of time."""
        return list(self.table.query(Upload, source, "upload#"))

    def record(self, source: str, upload: Upload) -> Upload:
        """Remember what was found. What was found first stays, and is returned: a call that is repeated finds no
        other."""
        if self.table.transact([self.table.put_write(source, upload, NEW)]):
            return upload
        return self.get(source, upload.execution) or upload

    def revise(self, source: str, upload: Upload) -> Upload:
        """Put what is known later in the place of what was found before, and return it."""
        self.table.put(source, [upload])
        return upload

    def cut_off(self, source: str, bucket: str, key: str, version: str, user: str) -> None:
        """Remember that an object version is not whole."""
        self.table.put(source, [CutOff(digest(bucket, key, version), key, user, self.table.now())])

    def cut_off_among(self, source: str, objects: Iterable[RawObject]) -> Mapping[str, CutOff]:
        """Those of these objects that are not whole, by their identity."""
        rows = self.table.get_many((source, f"cutoff#{obj.identity}") for obj in objects)
        found = [from_item(CutOff, item) for item in rows.values()]
        return {each.identity: each for each in found}
