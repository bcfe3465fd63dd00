"""From objects in the landing zone to settled deliveries.

Events are written to the ledger before they are acknowledged, and a listing finds what events missed; both are
idempotent. Before a delivery settles, its own prefix is listed once more, so that a lost or late event cannot leave an
object out of a version that looks complete.
"""

import json
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from hashlib import sha256
from typing import Any, Protocol

from botocore.exceptions import ClientError

from adplatform.failures import PermanentFailure
from adplatform.files.arrivals import (
    ListedFile,
    Settle,
    Wait,
    decide,
    listed_files,
    newest_versions,
    parse_manifest,
    reopened,
)
from adplatform.flow.arrivals import Arrivals
from adplatform.flow.source import FeedFlow, Source
from adplatform.lake.zones import Zones
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.rows import Delivery, DeliveryState, Publication, RawObject, RotationState, TableRotation

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
RETRY_AFTER = timedelta(minutes=2)
"""Wait before attempt 2; doubled before attempt 3."""
MAX_MANIFEST = 16 * 2**20
_MANIFEST = re.compile(r"dt=(\d{4}-\d{2}-\d{2})/v(\d+)-[0-9a-f]+\.json")
BUSY = (DeliveryState.SETTLED, DeliveryState.RUNNING)
"""While a version waits for its run or has one, no other version settles."""

Entry = dict[str, Any]


class Runs(Protocol):
    """What the orchestrator knows of runs."""

    def alive(self, run_id: str) -> bool:
        """Whether the run may still do something."""

    def spent(self, run_key: str) -> bool:
        """Whether a run was launched under this key and has ended."""


@dataclass(frozen=True)
class Due:
    """A settled delivery version that needs a run. ``run_key`` is the same however often it is asked for."""

    flow: FeedFlow
    day: date
    version: int
    attempt: int

    @property
    def run_key(self) -> str:
        return f"{self.flow.name}:{self.day}:v{self.version}:a{self.attempt}"


@dataclass(frozen=True)
class Problem:
    """A delivery that cannot settle until somebody acts."""

    flow: FeedFlow
    day: date
    error: str

    @property
    def subject(self) -> str:
        return f"{self.flow.name} {self.day}: cannot settle"

    @property
    def facts(self) -> dict[str, str]:
        return {"feed": self.flow.name, "date": self.day.isoformat(), "error": self.error}


@dataclass(frozen=True)
class Settler:
    """The arrival side of one source."""

    source: Source
    s3: Any
    sqs: Any
    queue_url: str
    ledger: Ledger
    zones: Zones

    # -- arrivals

    @cached_property
    def _arrivals(self) -> Arrivals:
        return Arrivals(self.source, self.s3, self.sqs, self.queue_url, self.ledger)

    def receive(self, limit: int = 100) -> int:
        """Move up to ``limit`` event messages into the ledger; returns how many new objects they brought."""
        return self._arrivals.receive(limit)

    def reconcile(self, prefix: str | None = None) -> int:
        """Record every object version below ``prefix`` that the ledger lacks; returns how many."""
        return self._arrivals.reconcile(prefix)

    # -- deliveries

    def due(self, runs: Runs) -> tuple[list[Due], list[Problem]]:
        """Settle what is complete; name the settled versions whose run has not started and what newly cannot settle."""
        due: list[Due] = []
        problems: list[Problem] = []
        flows = {flow.name: (place, flow) for place, flow in enumerate(self.source.feeds)}
        found = [(*flows[name], d) for name, d in self.ledger.active_deliveries(self.source.name) if name in flows]
        rotating = self._rotating()
        for _, flow, active in sorted(found, key=lambda each: each[0]):
            if rotation := rotating.get(flow.table):
                log.info(
                    "%s %s waits: its table is on its way to hashing key %s, %d of %d deliveries are made",
                    *(flow.name, active.day, rotation.key_id, rotation.staged, rotation.deliveries),
                )
                continue
            if active.day < flow.feed.start_date:
                early = f"its date is before the feed's start_date {flow.feed.start_date}: lower that to process it"
                problems += self._stuck(flow, active.day, early)
                continue
            delivery = self._without_dead_run(flow, active.day, runs)
            try:
                if delivery.pending and delivery.state not in BUSY:
                    self.settle(flow, delivery)
            except PermanentFailure as e:
                problems += self._stuck(flow, active.day, str(e))
            delivery = self._retried(flow, active.day)
            if delivery.state is DeliveryState.SETTLED:
                due.append(_due(flow, delivery))
        return due, problems

    def _rotating(self) -> dict[str, TableRotation]:
        """The tables whose deliveries are being made under another hashing key, to be shown together."""
        return {r.table: r for r in self.ledger.table_rotations() if r.state is RotationState.RUNNING}

    def settle(self, flow: FeedFlow, delivery: Delivery, *, anyway: bool = False) -> Delivery | None:
        """Settle the delivery if it is complete (or ``anyway``); None when it is not, has a run, or changed meanwhile.

        The same bytes under the same names as in the version that is published are no new version. (S3 gives every
        object under KMS an ETag of its own, so such a repeat is published again: harmless, only not free.)

        Raises:
            PermanentFailure: a partner's manifest cannot be read, and it is not to settle ``anyway``.
        """
        if not anyway and isinstance(self._decide(flow, delivery)[0], Wait):
            return None
        self.reconcile(flow.layout.day_prefix(delivery.day))
        delivery = self.ledger.delivery(flow.name, delivery.day)
        if delivery.state in BUSY:
            return None
        decision, objects, listed = self._decide(flow, delivery, anyway=anyway)
        if isinstance(decision, Wait):
            if not anyway:
                return None
            data = tuple(o for o in newest_versions(objects) if not flow.layout.is_marker(o.key))
            decision = Settle(f"an operator did not wait ({decision.because})", data)
        entries = [_manifest_entry(o, listed.get(o.key)) for o in decision.objects]
        if not (anyway or reopened(delivery, objects)) and self._is_published(delivery, entries):
            log.info("%s %s: the same files came again", flow.name, delivery.day)
            return self.ledger.change(flow.name, delivery, settled_arrivals=delivery.arrivals)
        version = self._next_version(flow, delivery, objects)
        manifest_key = self._write_manifest(flow, delivery.day, version, decision.because, entries)
        return self.ledger.settle(
            flow.name,
            delivery,
            objects=len(entries),
            manifest_key=manifest_key,
            because=decision.because,
            version=version,
        )

    def settle_again(self, flow: FeedFlow, seen: Delivery, shown: Publication, because: str) -> Delivery | None:
        """Close the objects of a version that readers see as a new one; None when the delivery changed since ``seen``.

        What came since then stays pending, or becomes it again.
        """
        entries = read_settlement(self.s3, self.zones, shown.manifest_key)["objects"]
        objects, arrivals = self.ledger.objects(flow.name, seen.day), seen.settled_arrivals
        if seen.version != shown.version:
            own = {(entry["key"], entry["version"]) for entry in entries}
            arrivals = min(arrivals, max((o.number for o in objects if (o.key, o.version) in own), default=0))
        version = self._next_version(flow, seen, objects)
        return self.ledger.settle(
            flow.name,
            seen,
            objects=len(entries),
            manifest_key=self._write_manifest(flow, seen.day, version, because, entries),
            because=because,
            version=version,
            settled_arrivals=arrivals,
        )

    def _decide(
        self, flow: FeedFlow, delivery: Delivery, *, anyway: bool = False
    ) -> tuple[Settle | Wait, Sequence[RawObject], Mapping[str, ListedFile]]:
        """The decision, the objects it is about, and what the partner's manifests list."""
        objects = self._arrivals.objects(flow, delivery.day)
        try:
            listed = self._listed(flow, objects)
        except PermanentFailure as e:
            if not anyway:
                raise
            return Wait(str(e)), objects, {}
        return decide(flow.layout, delivery, objects, self.ledger.now(), listed), objects, listed or {}

    def _listed(self, flow: FeedFlow, objects: Iterable[RawObject]) -> dict[str, ListedFile] | None:
        """What all manifests of the delivery list together; None when there is none."""
        if flow.feed.arrival.complete_when != "manifest":
            return None
        manifests = [o for o in newest_versions(objects) if flow.layout.is_marker(o.key)]
        listed: dict[str, ListedFile] = {}
        for manifest in manifests:
            listed |= listed_files(parse_manifest(_read_manifest(self.s3, manifest), manifest.uri), manifest.key)
        return listed if manifests else None

    def _is_published(self, delivery: Delivery, entries: Iterable[Entry]) -> bool:
        if delivery.state is not DeliveryState.PUBLISHED or delivery.published != delivery.version:
            return False
        published = read_settlement(self.s3, self.zones, delivery.manifest_key)["objects"]
        return set(map(_content, published)) == set(map(_content, entries))

    def _next_version(self, flow: FeedFlow, delivery: Delivery, objects: Iterable[RawObject]) -> int:
        """Above what the ledger knows, and above every settlement that it must have forgotten: one of objects that it
        does not know. (A manifest of known objects alone may be what a lost race left.)"""
        known = {(o.key, o.version) for o in objects}
        highest = delivery.version
        for number, key in manifests_of(self.s3, self.zones, flow.name, delivery.day).get(delivery.day, ()):
            if number > highest:
                entries = read_settlement(self.s3, self.zones, key)["objects"]
                if not {(e["key"], e["version"]) for e in entries} <= known:
                    highest = number
        return highest + 1

    def _write_manifest(self, flow: FeedFlow, day: date, version: int, because: str, entries: Sequence[Entry]) -> str:
        """What the version consists of, as an immutable object. Its name is that of the settlement: no two have one."""
        document = {
            "feed": flow.name,
            "date": day.isoformat(),
            "version": version,
            "because": because,
            "settled_at": self.ledger.now().isoformat(),
            "objects": entries,
        }
        body = json.dumps(document, indent=1, sort_keys=True).encode()
        name = f"v{version:04d}-{sha256(body).hexdigest()[:16]}.json"
        key = f"{self.zones.manifests(flow.name, day)}{name}"
        self.s3.put_object(Bucket=self.zones.raw_bucket, Key=key, Body=body, **self.zones.put_arguments)
        return key

    def _without_dead_run(self, flow: FeedFlow, day: date, runs: Runs) -> Delivery:
        """The delivery; settled for another attempt at once if its run ended without a word (killed, never started)."""
        delivery = self.ledger.delivery(flow.name, day)
        error = ""
        if delivery.state is DeliveryState.RUNNING and not runs.alive(delivery.run_id):
            error = f"run {delivery.run_id} ended without a result"
        # The run died before it could claim the delivery, and a run key launches only one run, ever.
        elif delivery.state is DeliveryState.SETTLED and runs.spent(_due(flow, delivery).run_key):
            error = "the run ended before it began its work"
        if not error:
            return delivery
        again = delivery.attempt < MAX_ATTEMPTS
        changed = self.ledger.change(
            flow.name,
            delivery,
            state=DeliveryState.SETTLED if again else DeliveryState.FAILED,
            attempt=delivery.attempt + again,
            run_id="",
            error=error,
        )
        return changed or self.ledger.delivery(flow.name, day)

    def _retried(self, flow: FeedFlow, day: date) -> Delivery:
        """The delivery; settled again when a transient failure is due for another attempt. A permanent one waits for
        new objects or an operator."""
        delivery = self.ledger.delivery(flow.name, day)
        if delivery.state is not DeliveryState.FAILED or delivery.permanent or delivery.attempt >= MAX_ATTEMPTS:
            return delivery
        wait = RETRY_AFTER * 2 ** (delivery.attempt - 1)
        if delivery.changed_at and self.ledger.now() - delivery.changed_at < wait:
            return delivery
        retried = self.ledger.change(
            flow.name, delivery, state=DeliveryState.SETTLED, attempt=delivery.attempt + 1, run_id=""
        )
        return retried or self.ledger.delivery(flow.name, day)

    def _stuck(self, flow: FeedFlow, day: date, error: str) -> list[Problem]:
        """Remember the error, so that it is told once. A failed version with attempts left keeps them."""
        delivery = self.ledger.delivery(flow.name, day)
        if delivery.error == error or delivery.state in BUSY:
            return []
        permanent = delivery.permanent or delivery.state is not DeliveryState.FAILED
        self.ledger.change(flow.name, delivery, state=DeliveryState.FAILED, permanent=permanent, error=error)
        return [Problem(flow, day, error)]


def _due(flow: FeedFlow, delivery: Delivery) -> Due:
    return Due(flow, delivery.day, delivery.version, delivery.attempt)


def _manifest_entry(obj: RawObject, listed: ListedFile | None) -> Entry:
    return {
        "bucket": obj.bucket,
        "key": obj.key,
        "version": obj.version,
        "size": obj.size,
        "etag": obj.etag,
        "last_modified": obj.last_modified.isoformat(),
        "sha256": listed.sha256 if listed else None,
        "rows": listed.rows if listed else None,
    }


def manifests_of(s3: Any, zones: Zones, feed: str, day: date | None = None) -> dict[date, list[tuple[int, str]]]:
    """Number and key of every manifest of a delivery, or of all of a feed, by date and lowest number first."""
    prefix = zones.manifests_of(feed)
    below = prefix if day is None else zones.manifests(feed, day)
    found: dict[date, list[tuple[int, str]]] = {}
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=zones.raw_bucket, Prefix=below):
        for entry in page.get("Contents", ()):
            if named := _MANIFEST.fullmatch(entry["Key"].removeprefix(prefix)):
                found.setdefault(date.fromisoformat(named[1]), []).append((int(named[2]), entry["Key"]))
    return {each: sorted(manifests) for each, manifests in found.items()}


def read_settlement(s3: Any, zones: Zones, key: str) -> dict[str, Any]:
    """The manifest of a settled version."""
    document: dict[str, Any] = json.loads(s3.get_object(Bucket=zones.raw_bucket, Key=key)["Body"].read())
    return document


def _content(entry: Entry) -> tuple[Any, ...]:
    return tuple(entry[name] for name in ("key", "size", "etag", "sha256", "rows"))


def _read_manifest(s3: Any, obj: RawObject) -> bytes:
    if obj.size > MAX_MANIFEST:
        raise PermanentFailure(f"{obj.uri}: {obj.size} bytes are too many for a manifest; the limit is {MAX_MANIFEST}")
    try:
        return read_object(s3, obj)
    except ClientError as e:
        if e.response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
            raise
        raise PermanentFailure(f"{obj.uri}: the manifest cannot be read, ask the partner to send it again: {e}") from e


def read_object(s3: Any, obj: RawObject) -> bytes:
    """The bytes of an object from where it is now, landing or archive."""
    where = located(obj)
    body: bytes = s3.get_object(**where)["Body"].read()
    return body


def located(obj: RawObject) -> dict[str, str]:
    """Bucket, key and, in the landing zone, version id: the S3 arguments that name exactly this object."""
    if obj.archived_key:
        return {"Bucket": obj.bucket, "Key": obj.archived_key}
    version = {"VersionId": obj.version_id} if obj.version_id else {}
    return {"Bucket": obj.bucket, "Key": obj.key, **version}
