"""What is remembered of the folders of a server: an object for each, written by whoever judges its listings."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from botocore.exceptions import ClientError

from adplatform.failures import PermanentFailure
from adplatform.flow.services import Services
from adplatform.ledger.rows import digest
from adplatform.platform.aws_errors import aws_failures
from adplatform.sftp.memory import Memory, read_memory, write_memory

_ENDING = ".memory"
_NOT_MODIFIED, _CONFLICT, _CHANGED = 304, 409, 412


@dataclass(frozen=True)
class Remembered:
    """The memory of a folder, the run whose listing was judged last, when that had looked, and the plan that it came
    to, if any. ``etag`` is that of the object, empty while there is none."""

    memory: Memory = field(default_factory=Memory)
    run: str = ""
    at: datetime | None = None
    plan: str = ""
    etag: str = ""


@dataclass
class Memories:
    """The memories of one source; ``kept`` are those that were read last, by key. An object begins with a line of JSON,
    and goes on as ``adplatform.sftp.memory`` writes it."""

    services: Services
    source: str
    kept: dict[str, Remembered] = field(default_factory=dict)

    def read(self, folder: str) -> Remembered:
        """
        Raises:
            PermanentFailure: it is damaged.
            TransientFailure: S3 does not answer at present, or does not allow it.
        """
        return self._read(self._key(folder))

    def _read(self, key: str) -> Remembered:
        s3, kept = self.services.s3, self.kept.get(key)
        unless = {"IfNoneMatch": kept.etag} if kept else {}
        with aws_failures(self.services.zones.raw_uri(key)):
            try:
                found = s3.get_object(Bucket=self.services.zones.raw_bucket, Key=key, **unless)
                body = found["Body"].read()
            except s3.exceptions.NoSuchKey:
                return Remembered()
            except ClientError as e:
                if kept is None or _status(e) != _NOT_MODIFIED:
                    raise
                return kept
        self.kept[key] = self._remembered(key, found["ETag"], body)
        return self.kept[key]

    def all(self) -> Iterator[Remembered]:
        """Of every folder that was listed; raises as :meth:`read`."""
        zones, prefix = self.services.zones, self.services.zones.fetched(self.source)
        with aws_failures(zones.raw_uri(prefix)):
            keys = [each.key for each in self.services.store.listing(zones.raw_bucket, prefix)]
        for key in keys:
            if key.endswith(_ENDING):
                yield self._read(key)

    def write(self, folder: str, new: Remembered, seen: Remembered) -> bool:
        """Write what is remembered from now on; False where somebody else has, since it was ``seen``."""
        key, zones = self._key(folder), self.services.zones
        unless = {"IfMatch": seen.etag} if seen.etag else {"IfNoneMatch": "*"}
        said = {"run": new.run, "at": new.at.isoformat() if new.at else "", "plan": new.plan}
        # The ETag may be that of the content alone, so all that counts is content.
        body = json.dumps(said).encode() + b"\n" + write_memory(new.memory)
        where = {"Bucket": zones.raw_bucket, "Key": key}
        with aws_failures(zones.raw_uri(key)):
            try:
                self.services.s3.put_object(Body=body, **where, **unless, **zones.put_arguments)
            except ClientError as e:
                if _status(e) not in (_CONFLICT, _CHANGED):
                    raise
                return False
        return True

    def _remembered(self, key: str, etag: str, body: bytes) -> Remembered:
        head, _, memory = body.partition(b"\n")
        try:
            said = json.loads(head)
            return Remembered(read_memory(memory), said["run"], datetime.fromisoformat(said["at"]), said["plan"], etag)
        except (ValueError, KeyError, TypeError, OSError) as e:
            place = self.services.zones.raw_uri(key)
            raise PermanentFailure(
                f"{self.source}: {place} is damaged ({type(e).__name__}): restore the version before, or delete it, "
                "and every file that is there is fetched once more"
            ) from e

    def _key(self, folder: str) -> str:
        return f"{self.services.zones.fetched(self.source)}{digest(folder)}{_ENDING}"


def _status(error: ClientError) -> int:
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"])
