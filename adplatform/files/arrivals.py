"""When is a delivery complete? A pure decision over what the ledger knows, so that every interleaving can be tested."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import PurePosixPath

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adplatform.contracts.feed import Arrival
from adplatform.failures import PermanentFailure
from adplatform.files.events import LONGEST_KEY
from adplatform.files.landing import Layout
from adplatform.ledger.delivery import Delivery
from adplatform.ledger.objects import ObjectState, RawObject
from adplatform.platform.json_text import decoded

_UNLISTED = {
    "manifest": "the new objects are in no manifest",
    "engine": "the new objects are of no run that has ended",
}
_EXCLUDED = {ObjectState.EXCLUDED}
BY_UTC = timedelta(0)
"""How far ahead of UTC dates begin that are UTC's own."""
MOST_SHOWN = 200
"""Characters of a name that a message quotes."""


@dataclass(frozen=True)
class Settle:
    """The delivery is complete. ``objects`` are its data, those that :func:`counting`; ``until`` is when it was to
    settle though more still comes."""

    because: str
    objects: tuple[RawObject, ...]
    until: datetime | None = None


@dataclass(frozen=True)
class Wait:
    """The delivery is not complete. ``until`` is when time alone will complete it, None when only an object can."""

    because: str
    until: datetime | None = None


class ListedFile(BaseModel):
    """One file of a sender's manifest. ``name`` is relative to the manifest."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    bytes: int | None = Field(default=None, ge=0)
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-fA-F]{64}$")
    rows: int | None = Field(default=None, ge=0)


class ClaimedFile(ListedFile):
    """One file that a run of an engine wrote, by its full key; ``version`` is S3's version id, where it is known."""

    version: str = ""


class PartnerManifest(BaseModel):
    """What a sender says it delivered."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    files: tuple[ListedFile, ...]


def parse_manifest(body: bytes, origin: str) -> PartnerManifest:
    """A sender's ``manifest.json``.

    Raises:
        PermanentFailure: it is not one; the message names the first thing wrong.
    """
    try:
        return PartnerManifest.model_validate_json(decoded(body))
    except UnicodeDecodeError as e:
        raise PermanentFailure(f"{origin}: not a manifest: not text in UTF-8 (byte {e.start})") from e
    except ValidationError as e:
        first = e.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(p) for p in first["loc"]) or "document"
        raise PermanentFailure(f"{origin}: not a manifest: {where}: {first['msg']}") from e


def listed_files(manifest: PartnerManifest, manifest_key: str) -> dict[str, ListedFile]:
    """The files of a manifest by their full key."""
    folder = PurePosixPath(manifest_key).parent
    return {str(folder / file.name): file for file in manifest.files}


def checked_files(
    manifest: PartnerManifest, manifest_key: str, origin: str, why_not: Callable[[str], str]
) -> dict[str, ListedFile]:
    """The files of a manifest by their full key. ``why_not`` says of a key why no data file of the delivery can have
    it; empty when one can.

    Raises:
        PermanentFailure: it lists what can never arrive; the message says where in the list the first such file is, for
            its name may be personal data.
    """
    names: dict[str, str] = {}
    for number, file in enumerate(manifest.files, start=1):
        reason = _unusable(file.name)
        key = str(PurePosixPath(manifest_key).parent / file.name) if not reason else ""
        if key in names:
            other = next(place for place, each in enumerate(manifest.files, start=1) if each.name == names[key])
            reason = "is listed twice" if names[key] == file.name else f"is the same file as number {other}"
        reason = reason or why_not(key)
        if not reason and len(key.encode()) > LONGEST_KEY:
            reason = f"makes a key of more than {LONGEST_KEY} bytes"
        if reason:
            raise PermanentFailure(
                f"{origin}: it lists number {number}, which {reason}; ask the sender to correct the manifest and "
                "send it again"
            )
        names[key] = file.name
    return listed_files(manifest, manifest_key)


def _unusable(name: str) -> str:
    """Why a name is no path below the manifest's folder; empty when it is one."""
    parts = name.split("/")
    if not name.strip():
        return "is empty"
    if "://" in name or name.startswith("/"):
        return "is an address, not a name relative to the manifest"
    if ".." in parts:
        return "leads out of the manifest's folder"
    if parts[-1] in ("", "."):
        return "is a folder, not a file"
    return "holds half a character" if name.encode("utf-8", "ignore").decode() != name else ""


def versions_by_key(objects: Iterable[RawObject]) -> list[list[RawObject]]:
    """The arrived versions of each key, the newest first.

    S3 dates versions by the second, so those of one second need their ``place`` (see ``Settler``).
    """
    keys: dict[str, list[RawObject]] = {}
    for obj in objects:
        if obj.state is ObjectState.ARRIVED:
            keys.setdefault(obj.key, []).append(obj)
    return [sorted(versions, key=lambda o: (o.last_modified, o.place), reverse=True) for versions in keys.values()]


def newest_versions(objects: Iterable[RawObject]) -> tuple[RawObject, ...]:
    """The newest arrived version of each key, in order of arrival."""
    return tuple(sorted((versions[0] for versions in versions_by_key(objects)), key=lambda o: o.number))


def counting(objects: Iterable[RawObject], *, every_version: bool) -> tuple[RawObject, ...]:
    """The versions that are files of a delivery, in order of arrival: of each key the newest, or every one that S3
    still has."""
    arrived = [obj for obj in objects if obj.state is ObjectState.ARRIVED]
    newest = newest_versions(arrived)
    if not every_version or len(newest) == len(arrived):
        return newest
    kept = {*newest, *(obj for obj in arrived if obj.version_id or obj.archived_key)}
    return tuple(sorted(kept, key=lambda o: o.number))


def unordered(objects: Iterable[RawObject]) -> list[list[RawObject]]:
    """The groups of arrived versions of one key and one second of which nobody has yet seen S3's order."""
    groups: dict[tuple[str, datetime], list[RawObject]] = {}
    for obj in objects:
        if obj.state is ObjectState.ARRIVED:
            groups.setdefault((obj.key, obj.last_modified), []).append(obj)
    return [group for group in groups.values() if len(group) > 1 and any(o.place == 0 for o in group)]


def pending_objects(delivery: Delivery, objects: Iterable[RawObject]) -> list[RawObject]:
    """What arrived since the delivery settled."""
    return [o for o in objects if o.number > delivery.settled_arrivals and o.state is ObjectState.ARRIVED]


def reopened(delivery: Delivery, objects: Iterable[RawObject]) -> bool:
    """Whether somebody asked for a new version: more is pending than arrived, withdrawn since or not."""
    counted = {ObjectState.ARRIVED, ObjectState.WITHDRAWN}
    new = [o for o in objects if o.number > delivery.settled_arrivals and o.state in counted]
    return delivery.version > 0 and delivery.pending > len(new)


def not_begun(day: date, now: datetime, ahead: timedelta) -> Wait | None:
    """What a delivery waits for whose date has not begun; dates begin ``ahead`` of when they do by UTC."""
    if (now + ahead).date() >= day:
        return None
    return Wait("its date has not begun", datetime.combine(day, datetime.min.time(), UTC) - ahead)


def decide(
    layout: Layout,
    delivery: Delivery,
    objects: Sequence[RawObject],
    now: datetime,
    listed: Mapping[str, ListedFile] | None = None,
    *,
    every_version: bool = False,
    ahead: timedelta = BY_UTC,
) -> Settle | Wait:
    """Whether the delivery, which has something pending, is complete at ``now``.

    ``listed`` is what the sender's manifests list, or what ended runs of an engine wrote, by full key; None when there
    is none. With ``every_version`` each object version is a file of its own. ``ahead`` is as in :func:`not_begun`.
    """
    arrival = layout.arrival
    if early := not_begun(delivery.day, now, ahead):
        return early
    current = counting(objects, every_version=every_version)
    markers = [o for o in current if layout.is_marker(o.key)]
    data = _data_of(layout, current, markers)
    pending = pending_objects(delivery, objects)
    again = reopened(delivery, objects)
    if again and not pending:
        return Settle("reopened", data if listed is None else _listed(objects, listed)[0])
    match arrival.complete_when:
        case "count":
            expected = arrival.expected_files or 1
            if len(data) >= expected:
                return Settle(f"{len(data)} of {expected} files", data)
            return Wait(f"{len(data)} of {expected} files")
        case "done_file":
            if any(m.number > delivery.settled_arrivals for m in markers):
                return Settle(f"{arrival.done_file} is there", data)
            return _quiet(arrival, pending, data, now) if markers else Wait(f"no {arrival.done_file} yet")
        case "load_marker":
            is_new = again or any(o.number > delivery.settled_arrivals for o in (*markers, *data))
            return _loaded(arrival, data, len(markers), is_new=is_new)
        case "manifest" | "engine":
            if listed is None:
                by_run = arrival.complete_when == "engine"
                return Wait("no run that wrote it has ended" if by_run else f"no {arrival.manifest} yet")
            found, missing = _listed(objects, listed)
            if missing:
                return Wait(
                    f"{len(missing)} of {len(listed)} listed files are missing, the first is number {missing[0]}"
                )
            if not again and not any(m.number > delivery.settled_arrivals for m in (*markers, *found)):
                return Wait(_UNLISTED[arrival.complete_when])
            return Settle(f"all {len(found)} listed files are there", found)
        case _:
            return _quiet(arrival, pending, data, now)


def _quiet(arrival: Arrival, pending: Sequence[RawObject], data: tuple[RawObject, ...], now: datetime) -> Settle | Wait:
    # The time an object was seen, not LastModified: S3 dates a multipart upload at its start.
    seen = [o.seen_at for o in pending if o.seen_at]
    if not seen:
        return Wait("nothing is left of what arrived")
    quiet_at, latest_at = max(seen) + arrival.quiet_period, min(seen) + arrival.max_wait
    if now >= quiet_at:
        return Settle(f"no new object for {arrival.quiet_period}", data)
    if now >= latest_at:
        return Settle(f"objects still come after {arrival.max_wait}", data, latest_at)
    return Wait("objects may still come", min(quiet_at, latest_at))


def _data_of(layout: Layout, current: Sequence[RawObject], markers: Sequence[RawObject]) -> tuple[RawObject, ...]:
    """The files of a delivery beside its markers; where loads have those, the files of all loads that do, or of the
    newest of these that brought some."""
    data = tuple(o for o in current if not layout.is_marker(o.key))
    if layout.arrival.complete_when != "load_marker":
        return data
    marked = {layout.marked_load(marker.key) for marker in markers}
    loads = {load for obj in data if (load := layout.load_of(obj.key)) in marked}
    if layout.arrival.loads == "newest":
        loads = set(sorted(loads, key=float)[-1:])
    return tuple(obj for obj in data if layout.load_of(obj.key) in loads)


def _loaded(arrival: Arrival, data: tuple[RawObject, ...], markers: int, *, is_new: bool) -> Settle | Wait:
    if not markers:
        return Wait("no marker of its load yet")
    # A load that brought no file had no rows to add; where each is whole, that would empty the table.
    if not data and arrival.loads == "newest":
        return Wait("the loads that have their markers brought no file of it")
    if not is_new:
        return Wait("the new objects are of loads whose markers have not come")
    return Settle(f"{markers} loads have their markers", data)


def _listed(objects: Sequence[RawObject], listed: Mapping[str, ListedFile]) -> tuple[tuple[RawObject, ...], list[int]]:
    """The listed objects that are there in their listed version and size, and the places in the list of those that are
    not, from 1.
    What somebody has excluded is neither, nor what the declaration ignores of an engine's files."""
    newest = {o.key: o for o in newest_versions(objects)}
    exact = {(o.key, o.version): o for o in objects}
    found, missing = [], []
    for number, (key, file) in enumerate(listed.items(), start=1):
        version = file.version if isinstance(file, ClaimedFile) else ""
        obj = exact.get((key, version)) if version else newest.get(key)
        states = {obj.state} if obj else {o.state for o in objects if o.key == key and version in ("", o.version)}
        left_out = {ObjectState.EXCLUDED, ObjectState.IGNORED} if isinstance(file, ClaimedFile) else _EXCLUDED
        if states and states <= left_out:
            continue
        if obj is None or (file.bytes is not None and obj.size != file.bytes):
            missing.append(number)
        else:
            found.append(obj)
    return tuple(sorted(found, key=lambda o: o.number)), missing
