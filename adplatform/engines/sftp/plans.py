"""What the judgement of a listing comes to, as an object: files to be fetched, in batches, and what else is to be done.

A plan is committed with the memory of its folder and never changes: whatever it says can be done more than once.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from functools import cached_property
from typing import Any

from adplatform.failures import PermanentFailure
from adplatform.flow.services import Services
from adplatform.ledger.rows import digest
from adplatform.platform.aws_errors import aws_failures
from adplatform.sftp.choice import Due, Landed

MOST_PATHS = 10
"""Files of one transfer (Transfer Family API reference, StartFileTransfer)."""


@dataclass(frozen=True)
class Wanted:
    """One file to be fetched: its path on the server, its bytes and time as listed, and the key where it is landed."""

    path: str
    size: int | None
    modified: datetime | None
    key: str

    @property
    def name(self) -> str:
        """What Transfer Family calls its object."""
        return self.path.rpartition("/")[2]

    @property
    def folder(self) -> str:
        return self.path.rpartition("/")[0] or "/"

    @property
    def identity(self) -> str:
        """Of the file as it was listed."""
        modified = self.modified.isoformat() if self.modified else ""
        return digest(self.path, str(self.size), modified, self.key)


@dataclass(frozen=True)
class Clearing:
    """A file that is to be moved on the server, or deleted where there is no ``target``."""

    path: str
    target: str = ""

    @property
    def operation(self) -> str:
        return "start_remote_move" if self.target else "start_remote_delete"

    @property
    def arguments(self) -> dict[str, str]:
        return {"SourcePath": self.path, "TargetPath": self.target} if self.target else {"DeletePath": self.path}


@dataclass(frozen=True)
class Told:
    """A message to people; ``facts`` as ``adplatform.ledger.messages.Unsent`` has them."""

    event: str
    subject: str
    facts: Mapping[str, str]


@dataclass(frozen=True)
class Plan:
    """``folder`` was listed at ``at``, which ``said`` sums up. Each of the ``batches`` becomes a transfer, each of the
    ``folders`` another listing, that of the same ``folder`` not before ``again_at``."""

    folder: str
    at: datetime
    run: str
    said: str = ""
    batches: tuple[tuple[Wanted, ...], ...] = ()
    folders: tuple[str, ...] = ()
    clearings: tuple[Clearing, ...] = ()
    told: tuple[Told, ...] = ()
    again_at: datetime | None = None

    @cached_property
    def body(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self), default=_plain)

    @cached_property
    def id(self) -> str:
        """Of what it says, so that two who judge one listing at the same time do not write over each other."""
        return f"{self.at:%Y%m%dT%H%M%SZ}-{digest(self.body)[:16]}"

    def part(self, number: int) -> str:
        """The key of the intention to do one of the batches, or one of the folders."""
        return f"{self.id}/{number}"


@dataclass(frozen=True)
class Receipt:
    """What became of a batch: the objects that hold files, by path, and why others are not there."""

    landed: Mapping[str, Landed] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)


def batches_of(due: Sequence[tuple[Due, str]]) -> list[tuple[Wanted, ...]]:
    """Files with the keys where they are landed, as few transfers as may be. Within one no two have the same name: it
    puts all into one folder."""
    found: list[list[Wanted]] = []
    names: list[set[str]] = []
    full = 0
    for each, key in due:
        wanted = Wanted(each.file.path, each.file.size, each.file.modified, key)
        fitting = (n for n in range(full, len(found)) if len(found[n]) < MOST_PATHS and wanted.name not in names[n])
        number = next(fitting, len(found))
        if number == len(found):
            found.append([])
            names.append(set())
        found[number].append(wanted)
        names[number].add(wanted.name)
        while full < len(found) and len(found[full]) == MOST_PATHS:
            full += 1
    return [tuple(batch) for batch in found]


def part_of(key: str) -> tuple[str, int] | None:
    """The plan's id and the number of the part that an intention's key names; None where it is another's."""
    plan, _, number = key.partition(" ")[0].rpartition("/")
    return (plan, int(number)) if plan and number.isdecimal() else None


@dataclass
class Plans:
    """The plans and receipts of one source. Those that were read are kept: they do not change."""

    services: Services
    source: str
    kept: dict[str, Plan] = field(default_factory=dict)

    def write(self, plan: Plan) -> None:
        self._put(self._key(plan.id), plan.body.encode())
        self.kept[plan.id] = plan

    def read(self, id: str) -> Plan:
        """
        Raises:
            PermanentFailure: it is gone.
        """
        if id not in self.kept:
            body = self._get(self._key(id))
            if body is None:
                place = self.services.zones.raw_uri(self._key(id))
                raise PermanentFailure(f"{self.source}: {place} is gone; what it names is fetched after later listings")
            self.kept[id] = _plan(json.loads(body))
        return self.kept[id]

    def wanted(self, key: str) -> tuple[Wanted, ...]:
        """The files of an intention of transfers.

        Raises:
            PermanentFailure: as :meth:`read`, or no plan has it.
        """
        plan, number = self._part(key)
        if number >= len(plan.batches):
            raise PermanentFailure(f"{self.source}: the plan {plan.id} has no batch {number}")
        return plan.batches[number]

    def folder(self, key: str) -> str:
        """The folder of an intention of listings.

        Raises: as :meth:`wanted`.
        """
        plan, number = self._part(key)
        if number >= len(plan.folders):
            raise PermanentFailure(f"{self.source}: the plan {plan.id} has no folder {number}")
        return plan.folders[number]

    def receipt(self, key: str) -> Receipt | None:
        """What became of a batch; None where that is not known."""
        body = self._get(self._receipt_key(key))
        if body is None:
            return None
        said = json.loads(body)
        return Receipt({path: Landed(**each) for path, each in said["landed"].items()}, said["sizes"], said["failed"])

    def write_receipt(self, key: str, receipt: Receipt) -> None:
        self._put(self._receipt_key(key), json.dumps(asdict(receipt)).encode())

    def _part(self, key: str) -> tuple[Plan, int]:
        part = part_of(key)
        if part is None:
            raise PermanentFailure(f"{self.source}: {key!r} names no plan: files are fetched when a listing shows them")
        return self.read(part[0]), part[1]

    def _key(self, id: str) -> str:
        return f"{self.services.zones.fetch_plans(self.source)}{id}/plan.json"

    def _receipt_key(self, key: str) -> str:
        return f"{self.services.zones.fetch_plans(self.source)}{key.partition(' ')[0]}.json"

    def _put(self, key: str, body: bytes) -> None:
        services = self.services
        with aws_failures(services.zones.raw_uri(key)):
            bucket = services.zones.raw_bucket
            services.s3.put_object(Bucket=bucket, Key=key, Body=body, **services.zones.put_arguments)

    def _get(self, key: str) -> bytes | None:
        s3, bucket = self.services.s3, self.services.zones.raw_bucket
        with aws_failures(self.services.zones.raw_uri(key)):
            try:
                body: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            except s3.exceptions.NoSuchKey:
                return None
        return body


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, (date, datetime)) else str(value)


def _plan(said: dict[str, Any]) -> Plan:
    return Plan(
        folder=said["folder"],
        at=datetime.fromisoformat(said["at"]),
        run=said["run"],
        said=said["said"],
        batches=tuple(tuple(map(_wanted, batch)) for batch in said["batches"]),
        folders=tuple(said["folders"]),
        clearings=tuple(Clearing(**each) for each in said["clearings"]),
        told=tuple(Told(**each) for each in said["told"]),
        again_at=datetime.fromisoformat(said["again_at"]) if said.get("again_at") else None,
    )


def _wanted(said: dict[str, Any]) -> Wanted:
    modified = said["modified"]
    return Wanted(**{**said, "modified": datetime.fromisoformat(modified) if modified else None})
