"""Looking for a person in what a source has stored: names of objects, and their content as their feed reads it."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import get_args

from botocore.exceptions import ClientError

from adplatform.contracts.activation import DestinationName
from adplatform.contracts.column import loosely
from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.pii import PiiKind
from adplatform.failures import PermanentFailure
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.budget import DEFAULT
from adplatform.files.gpg_home import GpgHome, gpg_home
from adplatform.files.gpg_status import SignaturePolicy
from adplatform.files.keyring import fetch_keyring
from adplatform.files.magic import HEAD, is_openpgp_head
from adplatform.files.parted import Judge
from adplatform.files.pgp import decrypt
from adplatform.files.records import part
from adplatform.flow.exports import is_export
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow, Source
from adplatform.flow.version import identity_of, save
from adplatform.lake.versions import StoredVersion, versions_of
from adplatform.lake.zones import Zones
from adplatform.privacy.person import Person

_NAMES_ONLY = (
    "manifests", "claims", "publications", "folds", "extracts", "extract-plans", "fetch-plans", "fetched", "listings",
    "task-reports", "erasures",
)  # fmt: skip
"""Top folders of the raw bucket in which the platform and its engines note names of objects, and no rows."""


_PIECE, _OVERLAP = 1 << 20, 1 << 10
"""Bytes."""


@dataclass(frozen=True)
class Held:
    """An object version that holds the person: in its name (``named``), in ``rows``, or both. ``left`` is a local file
    with what is without those rows. ``notes`` are names of objects in a list of the platform's."""

    stored: StoredVersion
    flow: FeedFlow | None
    named: bool
    rows: int
    left: Path
    notes: bool = False

    @property
    def content(self) -> str:
        """A name for what is left, which the same bytes have again."""
        digest = sha256()
        with self.left.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        return digest.hexdigest()[:16]


@dataclass
class Search:
    """Looks for ``person`` in the objects of a source. ``seen`` are those that were found to be without; ``unreadable``
    those of which nobody here knows what they hold, with the reason."""

    services: Services
    source: Source
    flows: Sequence[FeedFlow]
    person: Person
    work: Path
    seen: set[tuple[str, str, str, str]] = field(default_factory=set)
    unreadable: dict[StoredVersion, str] = field(default_factory=dict)
    read: int = 0
    _homes: dict[str, GpgHome | None] = field(default_factory=dict)
    _open: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> "Search":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def raw(self) -> Iterator[Held]:
        """What holds the person in the raw bucket, each while it is there."""
        archives = {self.services.zones.archive_of(flow.name, flow.archive) for flow in self.flows if flow.archive}
        exports = {Zones.exports(destination, self.source.name) for destination in get_args(DestinationName)}
        more = {self.source.prefix, self.services.zones.engine_work_of(self.source.name), *archives, *exports}
        yield from self._held(self.services.zones.raw_bucket, more)

    def clean(self) -> Iterator[Held]:
        """The same of the clean bucket."""
        yield from self._held(self.services.zones.clean_bucket, ())

    def _held(self, bucket: str, more: Iterable[str]) -> Iterator[Held]:
        for stored in versions_of(self.services.store, bucket, self.source.name, more):
            if stored.identity in self.seen:
                continue
            held = self._look(stored)
            if held is None:
                self.seen.add(stored.identity)
                continue
            try:
                yield held
            finally:
                held.left.unlink(missing_ok=True)

    def _look(self, stored: StoredVersion) -> Held | None:
        named, left = self.person.is_in_name(stored.key), self.work / "left"
        left.unlink(missing_ok=True)
        if stored.marker:
            left.touch()
            return Held(stored, None, named, 0, left) if named else None
        received = self.work / "received"
        try:
            body = self.services.s3.get_object(**stored.located)["Body"]
        except ClientError as e:
            if e.response["ResponseMetadata"]["HTTPStatusCode"] == 404:  # gone since it was listed
                return None
            if e.response["Error"]["Code"] != "InvalidObjectState":
                raise
            self.unreadable[stored] = "in a storage class from which it has to be restored first"
            return None
        save(body, received, stored.size, "an object")
        self.read += 1
        flow = self._flow(stored)
        try:
            held = self._parted(stored, flow, named, received, left)
        except BadFile as e:
            held = self._bytes(stored, flow, named, received, left, e)
        finally:
            received.unlink(missing_ok=True)
        return held if held.rows or held.named else None

    def _parted(self, stored: StoredVersion, flow: FeedFlow | None, named: bool, received: Path, left: Path) -> Held:
        if stored.key.partition("/")[0] in _NAMES_ONLY:
            rows = _without_names(received, left, self.person)
            return Held(stored, flow, named, rows, left, notes=True)
        with received.open("rb") as file:
            head = file.read(HEAD)
        if not head:
            left.touch()
            return Held(stored, flow, named, 0, left)
        if is_openpgp_head(head):
            self._decrypt(flow, received, stored)
        form = None if flow is None or flow.layout.is_marker(stored.key) else self._form(flow, stored)
        limits = flow.feed.limits if flow else DEFAULT
        parted = part(received, left, form, self.judge(flow), "an object", limits)
        if parted.unseen and not parted.taken:
            self.unreadable[stored] = f"holds what no feed reads, in no form that is known here ({parted.unseen})"
        return Held(stored, flow, named, parted.taken, left)

    def _bytes(
        self, stored: StoredVersion, flow: FeedFlow | None, named: bool, received: Path, left: Path, why: BadFile
    ) -> Held:
        """Of a file that is none of its kind: whether its bytes hold the person, and nothing of it is left then."""
        found = any(map(self.person.is_in, _pieces(received)))
        if not found:
            self.unreadable[stored] = why.reason
        left.write_bytes(b"")
        return Held(stored, flow, named, int(found), left)

    def _form(self, flow: FeedFlow, stored: StoredVersion) -> FileFormat | None:
        if stored.key.startswith(self.services.zones.matches(flow.name)):
            return FileFormat()
        # Other files than those of senders are the platform's own Parquet, which says so itself.
        return flow.feed.contract.format if stored.bucket == self.services.zones.raw_bucket else None

    def judge(self, flow: FeedFlow | None) -> Judge:
        """Whether a record of the feed is of the person."""
        person, ids = self.person, self._id_columns(flow)
        is_loose = flow is not None and flow.feed.contract.format.header_match == "loose"

        def judge(text: str, values: Mapping[str, str]) -> bool:
            if person.is_in(text):
                return True
            if ids and values.keys() == {"fields"}:  # the raw values of a quarantined row
                values = {name: each for name, each in json.loads(text).items() if each is not None}
            if ids and is_loose:
                values = {loosely(name): each for name, each in values.items()}
            return any(person.is_id(values[name]) for name in ids if name in values)

        return judge

    def _id_columns(self, flow: FeedFlow | None) -> frozenset[str]:
        if flow is None or not self.person.ids:
            return frozenset()
        columns = (c for c in flow.feed.contract.columns if c.pii and c.pii.kind is PiiKind.GENERIC_ID)
        names = (name for column in columns for name in (column.name, *column.field_names))
        return frozenset(map(flow.feed.contract.compared, names))

    def _flow(self, stored: StoredVersion) -> FeedFlow | None:
        """The feed that an object is of, by where it lies; none of what is for ad platforms, which no feed reads."""
        zones = self.services.zones
        if is_export(stored.key):
            return None
        if stored.bucket == zones.raw_bucket and stored.key.startswith(self.source.prefix):
            placed = self.source.place(stored.key, stored.modified)
            return placed[0] if placed else None
        for flow in self.flows:
            archive = zones.archive_of(flow.name, flow.archive) if flow.archive else ""
            if (archive and stored.key.startswith(archive)) or f"/{flow.name}/" in f"/{stored.key}":
                return flow
        return None

    def _decrypt(self, flow: FeedFlow | None, received: Path, stored: StoredVersion) -> None:
        home = self._home(flow)
        if home is None:
            raise BadFile("an object", Reason.ENCRYPTED, "is an OpenPGP message of no feed that has keys")
        policy = SignaturePolicy(home.signers, allow_unsigned=True)
        plain = self.work / "plain"
        decrypt(received, plain, home, policy, "an object", limits=flow.feed.limits if flow else DEFAULT)
        plain.replace(received)

    def _home(self, flow: FeedFlow | None) -> GpgHome | None:
        if flow is None or flow.feed.pgp is None:
            return None
        if flow.name not in self._homes:
            keyring = fetch_keyring(self.services.secrets, flow.feed.pgp)
            self._homes[flow.name] = self._open.enter_context(gpg_home(keyring.private_keys, keyring.signer_keys))
        return self._homes[flow.name]


def _pieces(path: Path) -> Iterator[str]:
    """What a file says, in pieces that overlap."""
    before = b""
    with path.open("rb") as file:
        while chunk := file.read(_PIECE):
            yield (before + chunk).decode("utf-8", "replace")
            before = chunk[-_OVERLAP:]


def _without_names(path: Path, target: Path, person: Person) -> int:
    """A list of names without those of the person, and in how many texts they were."""
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as e:
        raise PermanentFailure("a list of the platform's is no text") from e
    count = 0

    def renamed(value: object) -> object:
        nonlocal count
        if isinstance(value, str) and person.is_in_name(value):
            count += 1
            return person.without(value, ERASED)
        if isinstance(value, list):
            return [renamed(each) for each in value]
        if isinstance(value, dict):
            left = {str(renamed(name)): renamed(each) for name, each in value.items()}
            if left.get("key") != value.get("key") and {"bucket", "key", "version"} <= value.keys():
                left["known_as"] = identity_of(value)
            return left
        return value

    try:
        document = renamed(json.loads(text))
        target.write_text(json.dumps(document, sort_keys=True), "utf-8")
    except json.JSONDecodeError:
        lines = [str(renamed(line)) for line in text.splitlines(keepends=True)]
        target.write_text("".join(lines), "utf-8")
    return count


ERASED = "erased"
"""What stands in the place of a person in names."""
