"""Bringing every table of the lake to one hashing key, by making its deliveries again from their originals.

What is left to do is read from the ledger each time, so a rotation that was killed goes on where it was. Tables in
which a delivery has its dates, or the whole table, to itself are made delivery by delivery, in the normal flow. A table
in which deliveries meet is staged as a whole first and then shown (``adplatform.lake.rotation``); until then its new
deliveries wait.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import groupby
from tempfile import TemporaryDirectory

from botocore.exceptions import ClientError

from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow import clean, lifecycle
from adplatform.flow.again import Step, Work, free, settled_again
from adplatform.flow.close import close
from adplatform.flow.delivery import judge, land, working
from adplatform.flow.hashing_keys import ADVICE, HashingKeys, meets_deliveries, rotation_keys
from adplatform.flow.services import Services
from adplatform.flow.shown import shown as is_shown
from adplatform.flow.shown import shown_deliveries
from adplatform.flow.source import FeedFlow
from adplatform.flow.verdicts import require_no_bad_file
from adplatform.flow.version import located, version_objects
from adplatform.lake.rotation import show_together
from adplatform.ledger.delivery import Delivery, DeliveryState
from adplatform.ledger.keys import LakeKey, RotationState, TableRotation
from adplatform.ledger.leases import Lease
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.placements import Placement
from adplatform.ledger.publications import Publication
from adplatform.platform.aws_errors import aws_failures
from adplatform.privacy.key_versions import current_version, keep_reachable, key_versions, put_key, retire
from adplatform.privacy.keys import ID_LENGTH
from adplatform.transform.compile import output_columns

LEASE = "hashing-key"
RUN_PREFIX = "keys-"
_LEASE_TTL = timedelta(minutes=1)
_PASSES = 5
_COLD = ("GLACIER", "DEEP_ARCHIVE")


@dataclass(frozen=True)
class Wish:
    """What an operator wants. By default a rotation that was begun, here or by a new value of the secret, is finished,
    and only then the next one makes a new key. ``new_key`` makes one in any case, ``adopt`` in none."""

    new_key: bool = False
    adopt: bool = False
    dual: timedelta | None = None


@dataclass(frozen=True)
class Target:
    """The key to bring everything to; ``version`` is that of a key still to be made, ``key_id`` its id."""

    key_id: str
    previous_id: str
    why: str
    version: str = ""


@dataclass(frozen=True)
class Usage:
    """What of a table is under one key, by the ledger; ``key_id`` is "" where that was not recorded."""

    table: str
    key_id: str
    deliveries: int
    rows: int


@dataclass(frozen=True)
class Remake:
    """A delivery that readers see under another key. ``gone`` says why it cannot be made again, if so."""

    flow: FeedFlow
    day: date
    version: int
    key_id: str
    rows: int
    objects: int
    bytes: int
    gone: str = ""

    @property
    def name(self) -> str:
        return f"{self.flow.name} {self.day}"


@dataclass(frozen=True)
class RotationResult:
    """What a rotation came to. It is complete when there are no ``problems``. ``lost`` are keys that cannot be
    had any more: of the lake until then, or of tables on their way or staying under theirs. ``new_key`` says whether
    the key was made for this rotation."""

    key: LakeKey
    made: int
    left: tuple[Remake, ...]
    problems: tuple[str, ...]
    lost: tuple[str, ...] = ()
    new_key: bool = True


class KeyReplaced(TransientFailure):
    """The key that everything is brought to is not the current one any more."""


def usage(ledger: Ledger, flows: Iterable[FeedFlow]) -> list[Usage]:
    """How many deliveries and rows of each table are under which key; tables without digests are left out."""
    found: dict[tuple[str, str], list[int]] = {}
    for flow in _hashed(flows):
        for shown in shown_deliveries(ledger, flow):
            counts = found.setdefault((flow.table, shown.key_id), [0, 0])
            counts[0] += 1
            counts[1] += shown.rows
    return [Usage(table, key_id, *counts) for (table, key_id), counts in found.items()]


def plan(services: Services, flows: Iterable[FeedFlow], key_id: str, previous_id: str = "") -> list[Remake]:
    """What readers see under another key than ``key_id``, table by table, the newest date first. With ``previous_id``
    also what lacks digests under that key.

    Raises:
        PermanentFailure, TransientFailure: AWS refuses, or does not answer.
    """
    found = []
    for flow in _hashed(flows):
        versions = {(p.day, p.version): p for p in services.ledger.publications.of_feed(flow.name)}
        for shown in reversed(shown_deliveries(services.ledger, flow)):
            version = versions.get((shown.day, shown.version))
            before = version.previous_key_id if version else ""
            if shown.key_id != key_id or (previous_id and before != previous_id):
                found.append(_remake(services, flow, shown))
    return sorted(found, key=lambda each: each.flow.table)


def choose(services: Services, flows: Sequence[FeedFlow], wish: Wish, version: str) -> Target:
    """Which key a rotation would bring everything to; a new one would be ``version`` of the secret (a UUID).

    Raises:
        PermanentFailure: digests under a previous key are wanted and there is none.
        TransientFailure: AWS does not answer.
    """
    secrets, name = services.secrets, services.settings.hash_key_secret
    current = current_version(secrets, name)
    lake = services.ledger.keys.lake_key() or LakeKey(current.id, services.ledger.now())
    target = None if wish.new_key else _begun(services, flows, wish, current.id, lake)
    if target is None:
        if not wish.new_key and lake.next_version and current.version != lake.next_version:
            version = lake.next_version
        # Exports are under the key that a rotation which was not finished comes from, and never under a value that
        # the secret was given since.
        before = lake.previous_id if lake.rotating and lake.previous_id else lake.key_id
        target = Target(version[:ID_LENGTH], before, "a new key", version)
    if wish.dual and not target.previous_id:
        raise PermanentFailure("digests under the previous key are wanted, and the ledger knows of none")
    return target


def rotate(
    services: Services,
    flows: Sequence[FeedFlow],
    wish: Wish,
    work: Work,
    *,
    version: str,
    random_bytes: Callable[[int], bytes],
) -> RotationResult:
    """Bring every table to one key. May be killed at any moment and run again. A table or delivery that cannot be moved
    is a problem of its own, and those behind it go on.

    Raises:
        PermanentFailure: the key cannot be made or read.
        KeyReplaced: the current key was replaced meanwhile.
        TransientFailure: another rotation is at work, or AWS does not answer.
    """
    with (
        aws_failures("the rotation of the hashing key"),
        services.ledger.lease(LEASE, work.run_id, ttl=_LEASE_TTL, wait=_LEASE_TTL * 1.5, sleep=work.sleep) as lease,
        lease.kept(),
    ):
        target = choose(services, flows, wish, version)
        key, lost = _begin(services, target, wish, random_bytes)
        made, left, problems = 0, list[Remake](), dict[str, str]()
        tables = {flow.table: flow for flow in _hashed(flows)}
        tried: set[str] = set()
        for _ in range(_PASSES):
            due = plan(services, flows, key.key_id, _dual_id(services.ledger, key))
            left = [each for each in due if each.gone]
            begun = {r.table for r in services.ledger.keys.rotations() if r.state is RotationState.RUNNING}
            untried = {each.flow.table for each in due if each.name not in tried} | ((begun & tables.keys()) - tried)
            if not untried:
                break
            for table in sorted(untried):
                mine = [each for each in due if each.flow.table == table and each.name not in problems]
                tried |= {table, *(each.name for each in mine)}
                lease.check()
                with _apart(table, problems):
                    done, failed = _table(services, tables[table], mine, key, work, lease)
                    made += done
                    problems |= failed
        for flow in _hashed(flows):
            lease.check()
            with _apart(flow.name, problems):
                _note_left(services.ledger, flow, left, key)
                problems |= _welcome(services.ledger, flow, work)
        _end_bare(services.ledger, flows)
        lease.check()
        if not problems:
            key = replace(key, rotating=False)
            services.ledger.keys.put(key)
        return RotationResult(
            key, made, tuple(left), tuple(problems.values()), tuple(sorted(lost)), bool(target.version)
        )


def retire_keys(
    services: Services, flows: Sequence[FeedFlow], *, end_dual: bool = False
) -> tuple[list[str], list[str]]:
    """Take their labels from earlier keys that nothing needs any more: the retired ids, and those still in use.

    Raises:
        PermanentFailure: digests under the previous key are still being made, or a rotation is not finished.
    """
    secrets, name, ledger = services.secrets, services.settings.hash_key_secret, services.ledger
    lake = ledger.keys.lake_key()
    if lake is None:
        return [], []
    if lake.rotating or lake.next_version:
        raise PermanentFailure(f"a rotation to key {lake.key_id} is not finished: {ADVICE} goes on with it")
    if lake.dual_until and ledger.now() < lake.dual_until:
        if not end_dual:
            raise PermanentFailure(
                f"until {lake.dual_until:%Y-%m-%d %H:%M} UTC digests under key {lake.previous_id} are stored, too; "
                "`adplatform keys retire --now` ends that"
            )
        lake = replace(lake, dual_until=None)
        ledger.keys.put(lake)
    used = {each.key_id for each in usage(services.ledger, flows)} | {lake.key_id} | _held_ids(services.ledger)
    earlier = [v.id for v in key_versions(secrets, name) if not v.current]
    for key_id in earlier:
        if key_id not in used:
            retire(secrets, name, key_id)
    return [k for k in earlier if k not in used], [k for k in earlier if k in used]


def _begun(services: Services, flows: Sequence[FeedFlow], wish: Wish, current: str, lake: LakeKey) -> Target | None:
    """The key of a rotation that was begun, by us or by a new value of the secret; None when one is to be made."""
    before = lake.key_id if lake.key_id != current else lake.previous_id
    about_to_be_made = lake.next_version and lake.next_version[:ID_LENGTH] != current and lake.key_id == current
    if about_to_be_made and not wish.adopt:
        return None
    if lake.rotating:
        return Target(current, before, "a rotation that was begun")
    if lake.key_id != current:
        return Target(current, before, f"the current value of the secret, newer than key {lake.key_id} of the lake")
    items = plan(services, flows, current)
    fixed = {each.flow.table for each in items if each.gone and meets_deliveries(each.flow)}
    others = [r.key_id for r in items if r.key_id and not r.gone and r.flow.table not in fixed]
    if others:
        return Target(current, before or others[0], "the current value of the secret; some tables have another key")
    return Target(current, before, "the current value of the secret") if wish.adopt else None


def _begin(
    services: Services, target: Target, wish: Wish, random_bytes: Callable[[int], bytes]
) -> tuple[LakeKey, set[str]]:
    """The target is the current key of the secret and the key of the lake; the ids of those before that are lost."""
    secrets, name, ledger = services.secrets, services.settings.hash_key_secret, services.ledger
    now = ledger.now()
    lake = ledger.keys.lake_key() or LakeKey(target.previous_id or target.key_id, now)
    dual_until = now + wish.dual if wish.dual else None
    needed = {lake.key_id, current_version(secrets, name).id, *_held_ids(services.ledger)} - {"", target.key_id}
    # Before the new value: it takes the only label of the value before the current one.
    lost = {u for u in sorted(needed | {target.previous_id} - {""}) if not keep_reachable(secrets, name, u)}
    if wish.dual and target.previous_id in lost:
        raise PermanentFailure(
            f"key {target.previous_id} cannot be had from secret {name!r} any more, so no digests under it can be "
            "made; run without --dual"
        )
    if target.version:
        dual_until = dual_until or (lake.next_dual_until if lake.next_version == target.version else None)
        lake = replace(lake, next_version=target.version, next_dual_until=dual_until)
        ledger.keys.put(lake)
        put_key(secrets, name, target.version, random_bytes)
    same = lake.key_id == target.key_id
    if dual_until is None:
        meant = lake.next_dual_until if lake.next_version[:ID_LENGTH] == target.key_id else None
        dual_until = lake.dual_until if same else meant
    key = LakeKey(
        target.key_id,
        lake.since if same else now,
        target.previous_id,
        dual_until=dual_until,
        rotating=True,
    )
    ledger.keys.put(key)
    return key, lost & needed


def _held_ids(ledger: Ledger) -> set[str]:
    """The keys of tables on their way or staying under theirs, also of sources that are not declared here."""
    return {r.from_id for r in ledger.keys.rotations() if r.state is not RotationState.DONE}


def _dual_id(ledger: Ledger, key: LakeKey) -> str:
    return key.previous_id if key.dual(ledger.now()) else ""


def _hashed(flows: Iterable[FeedFlow]) -> Iterator[FeedFlow]:
    return (flow for flow in flows if flow.feed.contract.needs_key)


def _remake(services: Services, flow: FeedFlow, shown: Placement) -> Remake:
    objects, size, gone = 0, 0, ""
    try:
        for item in version_objects(services.s3, services.zones, services.ledger, flow, shown.day, shown.version):
            head = services.s3.head_object(**located(item.object))
            objects, size = objects + 1, size + head["ContentLength"]
            if head.get("StorageClass") in _COLD and 'ongoing-request="false"' not in head.get("Restore", ""):
                gone = gone or f"{item.object.file_id} is in {head['StorageClass']}: restore it first"
    except PermanentFailure as e:
        gone = str(e)
    except ClientError as e:
        if e.response["ResponseMetadata"]["HTTPStatusCode"] not in (404, 405):
            raise
        gone = "an original, or the list of originals, is not there any more; it may have expired (`retention`)"
    return Remake(flow, shown.day, shown.version, shown.key_id, shown.rows, objects, size, gone)


@contextmanager
def _apart(name: str, problems: dict[str, str]) -> Iterator[None]:
    """A failure of one table or delivery is noted among the problems, so that the others go on.

    Raises:
        KeyReplaced: no other could go on either.
    """
    try:
        with aws_failures(name):
            yield
    except KeyReplaced:
        raise
    except (PermanentFailure, TransientFailure) as e:
        text = str(e)
        problems[name] = text if name in text else f"{name}: {text}"


def _table(
    services: Services, flow: FeedFlow, due: Sequence[Remake], key: LakeKey, work: Work, lease: Lease
) -> tuple[int, dict[str, str]]:
    """How many deliveries of a table were made, and the problems of the others by delivery."""
    if meets_deliveries(flow):
        return _whole_table(services, flow, due, key, work, lease)
    problems: dict[str, str] = {}
    todo = [each for each in due if not each.gone]
    for number, each in enumerate(todo):
        work.watch(Step(flow.table, number, len(todo), str(each.day)))
        lease.check()
        with _apart(each.name, problems):
            if problem := _make_again(services.ledger, each, key, work):
                problems[each.name] = problem
    work.watch(Step(flow.table, len(todo), len(todo), "done"))
    return len(todo) - len(problems), problems


def _make_again(ledger: Ledger, item: Remake, key: LakeKey, work: Work) -> str:
    """Make a delivery again in the normal flow; the problem, "" for none. What had settled already is made first, and
    if that is refused, what readers see."""
    flow, day, problem = item.flow, item.day, ""
    for _ in range(2):
        settled, ours = _settled(ledger, item, key, work)
        if settled is None:
            return ours
        problem = work.make(flow, day)
        free(ledger, flow, day, work)
        placed = next((p for p in shown_deliveries(ledger, flow) if p.day == day), None)
        if placed is None or placed.key_id == key.key_id:
            return ""
        if not problem and placed.version == item.version:
            return f"{item.name}: another run had it and did not publish it; {ADVICE} again"
        if not problem:
            raise KeyReplaced(
                f"{item.name}: made under key {placed.key_id}, not {key.key_id}: the current key was replaced meanwhile"
            )
        if ours:
            return problem
    return problem


def _settled(ledger: Ledger, item: Remake, key: LakeKey, work: Work) -> tuple[Delivery | None, str]:
    because = f"made again under hashing key {key.key_id}"
    return settled_again(ledger, item.flow, item.day, item.version, because, work, ADVICE)


def _whole_table(
    services: Services, flow: FeedFlow, due: Sequence[Remake], key: LakeKey, work: Work, lease: Lease
) -> tuple[int, dict[str, str]]:
    ledger, gone = services.ledger, [each for each in due if each.gone and each.key_id != key.key_id]
    rotation = ledger.keys.rotation(flow.table)
    from_id = next((each.key_id for each in due if each.key_id), key.previous_id)
    same = rotation is not None and rotation.key_id == key.key_id
    started: datetime = rotation.started_at if rotation is not None and same else ledger.now()
    if gone:
        _keep(services, flow, from_id, key, len(gone))
        return 0, {}
    due = [each for each in due if not each.gone]
    keys, problems = rotation_keys(services), dict[str, str]()
    if keys.current.id != key.key_id:
        raise KeyReplaced(f"hashing key {key.key_id} was replaced by {keys.current.id} meanwhile: {ADVICE} again")
    rotation = TableRotation(flow.table, from_id, key.key_id, RotationState.RUNNING, started, len(due))
    ledger.keys.put_rotation(rotation)
    rows = _staged_rows(services.ledger, flow, key.key_id)
    for number, each in enumerate(due):
        work.watch(Step(flow.table, number, len(due), f"{each.day} staged"))
        lease.check()
        with _apart(each.name, problems):
            if problem := _stage_again(services, each, key, keys, rows, work):
                problems[each.name] = problem
        rotation = replace(rotation, staged=number + 1 - len(problems))
        ledger.keys.put_rotation(rotation)
    if problems:
        return 0, problems
    hand = _in_hand(services.ledger, flow, keys)
    if any(p.key_id != key.key_id and p.day not in hand for p in shown_deliveries(services.ledger, flow)):
        return 0, {}  # published meanwhile by a run that had the other key already: the next pass stages it, too
    if hand:
        work.watch(Step(flow.table, len(due), len(due), "shown"))
        table = clean.table_of(
            services.settings, flow, output_columns(flow.feed.contract, previous=keys.previous is not None)
        )
        versions = {day: (version.version, version.manifest_key) for day, version in hand.items()}
        show_together(services.lake, table, versions, run_id=work.run_id, temp=work.temp, key_id=key.key_id)
    for day, version in sorted(hand.items()):
        name = f"{flow.name} {day}"
        lease.check()
        with _apart(name, problems):
            _finish(services, flow, version, work)
    ledger.keys.put_rotation(replace(rotation, state=RotationState.DONE, staged=len(due)))
    return len(due), problems


def _keep(services: Services, flow: FeedFlow, from_id: str, key: LakeKey, left: int) -> None:
    """Leave the table under its key: under two keys its rows could not be merged. Its deliveries go on with that key.

    Raises:
        PermanentFailure: that key cannot be had any more.
    """
    reachable = from_id and keep_reachable(services.secrets, services.settings.hash_key_secret, from_id)
    if not reachable:
        raise PermanentFailure(
            f"{flow.table}: originals of {left} deliveries are gone, so it cannot leave key {from_id or 'unknown'}, "
            "and that key cannot be had any more. Bring back the originals"
        )
    now = services.ledger.now()
    kept = TableRotation(flow.table, from_id, key.key_id, RotationState.KEPT, now, left=left)
    services.ledger.keys.put_rotation(kept)


def _stage_again(
    services: Services,
    item: Remake,
    key: LakeKey,
    keys: HashingKeys,
    rows: Mapping[tuple[date, int], int],
    work: Work,
) -> str:
    """Make a delivery again and keep it until the whole table is shown; the problem, "" for none."""
    flow, problem = item.flow, ""
    for _ in range(2):
        settled, ours = _settled(services.ledger, item, key, work)
        if settled is None:
            return ours
        if _is_staged(services.ledger, flow, settled, keys, rows):
            return ""
        problem = _stage(services, flow, settled, keys, work)
        if not problem or ours:
            return problem
    return problem


def _stage(services: Services, flow: FeedFlow, settled: Delivery, keys: HashingKeys, work: Work) -> str:
    day, version, run_id = settled.day, settled.version, work.run_id
    try:
        with working(services, flow, day, run_id, TemporaryDirectory(dir=work.temp)) as begun:
            require_no_bad_file(flow, land(begun))
            if judged := judge(begun, keys=keys):
                clean.stage_for_rotation(services, flow, day, version, judged, run_id, begun.work)
            lifecycle.release(services, flow, day, run_id)
    except (PermanentFailure, TransientFailure) as e:
        return f"{flow.name} {day}: {e}"
    return ""


def _staged_rows(ledger: Ledger, flow: FeedFlow, key_id: str) -> dict[tuple[date, int], int]:
    """Rows of all slices under a key, by date and version."""
    rows: dict[tuple[date, int], int] = {}
    for part in ledger.placements.all_slices(flow.name):
        if part.key_id == key_id:
            rows[part.day, part.version] = rows.get((part.day, part.version), 0) + part.rows
    return rows


def _is_staged(
    ledger: Ledger, flow: FeedFlow, delivery: Delivery, keys: HashingKeys, rows: Mapping[tuple[date, int], int]
) -> bool:
    version = ledger.publications.get(flow.name, delivery.day, delivery.version)
    if version is None or (version.key_id, version.previous_key_id) != (keys.current.id, keys.previous_id):
        return False
    # An ordinary run that was refused has noted its counts and may have no slices.
    return rows.get((delivery.day, delivery.version), 0) == version.clean


def _in_hand(ledger: Ledger, flow: FeedFlow, keys: HashingKeys) -> dict[date, Publication]:
    """The staged versions, and those that are shown and not yet closed."""
    found, rows = {}, _staged_rows(ledger, flow, keys.current.id)
    for listed in ledger.deliveries.of_feed(flow.name):
        version = ledger.publications.get(flow.name, listed.day, listed.version)
        if version is not None and listed.published < listed.version and _is_staged(ledger, flow, listed, keys, rows):
            found[listed.day] = version
    return found


def _finish(services: Services, flow: FeedFlow, made: Publication, work: Work) -> None:
    """Close a version that readers see. One that settled meanwhile, of which they see nothing yet, stays due.

    Raises: as :func:`adplatform.flow.close.close`; the ledger knows of it, and the next run closes the version.
    """
    day = made.day
    free(services.ledger, flow, day, work)
    with working(services, flow, day, work.run_id, nullcontext(work.temp)) as begun:
        claimed = begun.delivery
        if claimed.version != made.version and not is_shown(services.ledger, flow, claimed):
            lifecycle.release(services, flow, day, work.run_id)
            return
        seconds = (services.ledger.now() - claimed.settled_at).total_seconds() if claimed.settled_at else 0
        done = close(services, flow, claimed, seconds)
    work.closed(flow, done)


def _note_left(ledger: Ledger, flow: FeedFlow, left: Iterable[Remake], key: LakeKey) -> None:
    """Remember how many deliveries of a table stay under an earlier key."""
    mine = [each for each in left if each.flow.table == flow.table and each.key_id != key.key_id]
    known = ledger.keys.rotation(flow.table)
    if meets_deliveries(flow) or len(mine) == (known.left if known else 0):
        return
    done = TableRotation(flow.table, "", key.key_id, RotationState.DONE, ledger.now(), left=len(mine))
    ledger.keys.put_rotation(done)


def _end_bare(ledger: Ledger, flows: Iterable[FeedFlow]) -> None:
    """End the way of tables whose contracts hash nothing any more: no key is needed for them."""
    bare = {flow.table for flow in flows if not flow.feed.contract.needs_key}
    for rotation in ledger.keys.rotations():
        if rotation.table in bare and rotation.state is RotationState.RUNNING:
            ledger.keys.put_rotation(replace(rotation, state=RotationState.DONE))


def _welcome(ledger: Ledger, flow: FeedFlow, work: Work) -> dict[str, str]:
    """Take in what was refused while the table was under another key; the problems by delivery."""
    problems: dict[str, str] = {}
    rotation = ledger.keys.rotation(flow.table)
    if rotation is not None and rotation.state is RotationState.RUNNING:
        return problems
    for seen in ledger.deliveries.of_feed(flow.name):
        refused = seen.state is DeliveryState.FAILED and ADVICE in seen.error
        name = f"{flow.name} {seen.day}"
        with _apart(name, problems):
            if refused and ledger.deliveries.readmit(flow.name, seen):
                work.watch(Step(flow.table, 0, 1, f"{seen.day} had to wait"))
                if problem := work.make(flow, seen.day):
                    problems[name] = problem
    return problems


def tables_of(items: Iterable[Remake]) -> list[tuple[FeedFlow, list[Remake]]]:
    """The items table by table."""
    grouped = groupby(sorted(items, key=lambda each: each.flow.table), key=lambda each: each.flow.table)
    return [(found[0].flow, found) for found in (list(group) for _, group in grouped)]
