"""One pass over a server's files by our own client: listed, chosen, fetched and landed, the manifest last.

A pass that is tried again lists anew, and fetches what it has not kept. What is remembered of the server's files lies
beside the manifest of the last pass that succeeded.
"""

import itertools
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from adplatform.contracts.sftp import SftpSource
from adplatform.engines.engine import Finding
from adplatform.engines.runs import slot_before
from adplatform.engines.sftp.ahead import tell_of_clock
from adplatform.engines.sftp.shown import shown_files
from adplatform.extract.extraction import finished, unless_stopped
from adplatform.failures import AccessRefused, PermanentFailure, TransientFailure
from adplatform.flow.services import Services
from adplatform.flow.source import Source
from adplatform.lake.zones import MAX_KEY
from adplatform.ledger.engine_run import Intention
from adplatform.ledger.extracts import Chunk, Extract
from adplatform.ledger.rows import digest
from adplatform.platform.at_once import Pool
from adplatform.platform.aws_errors import aws_failures, secret_failures
from adplatform.platform.json_secrets import json_object
from adplatform.sftp.choice import Due, Known, Landed, choose, failed, landed
from adplatform.sftp.connection import Credentials, Host, connected, read_credentials
from adplatform.sftp.errors import Changed, NoSuchFile, called
from adplatform.sftp.fetching import Failed, Fetched, fetch_all
from adplatform.sftp.listing import Refused, RemoteFile, listed
from adplatform.sftp.memory import Memory, read_memory, write_memory
from adplatform.sftp.moving import delete, move
from adplatform.sftp.places import folders_of, marker_of, moved_to, rules_of
from adplatform.sftp.session import Sftp

STAGES = ("AWSCURRENT", "AWSPREVIOUS")
"""Versions of the secret that are tried, in this order: the partner may know the new key a little later."""
MOST_TRIES = 3
"""How often a file is fetched in one pass."""
Reached = tuple[Host, tuple[Credentials, ...]]
_UPLOADS = 8
_MOST_BEHIND, _MOST_BYTES_BEHIND = 100, 1 << 30
"""Files, and bytes of them, that have come and are not in the landing zone yet: they lie on this machine's disk."""
_NOTED_AT_ONCE = 50
_CLEARED_AGAIN = 24 * 3600
"""Seconds after which moving or deleting a file is tried again that failed."""


@dataclass(frozen=True)
class Server:
    """A declared server, as ``source`` lands its files."""

    declared: SftpSource
    source: Source

    @property
    def connections(self) -> int:
        return self.declared.host.connections

    def reached(self, services: Services) -> Reached:
        """Where it is and who logs in; raises as ``read_credentials``."""
        told = self.declared.host
        credentials = read_credentials(services.secrets, told.secret, STAGES)
        if told.host is None:
            return _simulated(services, told.secret), credentials
        return Host(told.host, told.host_keys, told.port), credentials


def _simulated(services: Services, secret: str) -> Host:
    with secret_failures(f"secret {secret}"):
        members = json_object(services.secrets.get_secret_value(SecretId=secret)["SecretString"])
    if not {"host", "host_keys", "port"} <= members.keys():
        raise PermanentFailure(
            f"secret {secret} is of no simulated server: leave `simulated` out and declare `host` and `host_keys`, or "
            "delete it, and `adplatform provision` makes one"
        )
    return Host(str(members["host"]), tuple(members["host_keys"]), int(members["port"]))


@dataclass
class _Pass:
    """What one pass found. ``left`` says why files stay where they are, by path."""

    services: Services
    server: Server
    row: Extract
    folder: Path
    memory: Memory
    left: dict[str, str] = field(default_factory=dict)

    def key(self, due: Due) -> str:
        """Of the landing zone.

        Raises:
            PermanentFailure: its name is too long for one.
        """
        flow = next(flow for flow in self.server.source.feeds if flow.feed.name == due.feed)
        key = flow.layout.key(due.day, due.name)
        if len(key.encode()) > MAX_KEY:
            raise PermanentFailure("its path is too long for the key of an object")
        return key


def findings(services: Services, server: Server) -> Sequence[Finding]:
    """Whether the server lets us in, and has the folders that are declared; without one of them others are fetched
    from."""
    unread: list[str] = []
    folders = folders_of(server.declared.fetched)
    with connected(*server.reached(services)) as sftp:
        for folder in folders:
            try:
                next(listed(sftp, folder), None)
            except (NoSuchFile, AccessRefused) as e:
                unread.append(f"{e}; correct `remote`, or ask the server's owner")
    return [Finding(text, fatal=len(unread) == len(folders)) for text in unread]


def fetch_files(services: Services, server: Server, row: Extract, last: Extract | None, folder: Path) -> Extract:
    """Bring what is due of the server's files into the landing zone. ``row`` is what a run has claimed, ``last`` the
    pass that succeeded last, ``folder`` an empty one for files under way.

    Raises:
        PermanentFailure: the server lets nobody in, has none of the folders, or somebody wants the pass to end.
        TransientFailure: the server or AWS does not answer for now; what is kept stays.
    """
    with aws_failures(row.name):
        last, before = _recalled(services, last)
        done = _Pass(services, server, row, folder, before)
        reached, now = server.reached(services), services.now()
        with connected(*reached) as sftp:
            files = _listed(sftp, server.declared)
            files, known = _cleared(done, sftp, files, before.known, now)
        chosen = choose(files, known, rules_of(server.declared), now, row.id)
        # Of a path whose file could not be moved people have heard, whatever is written there since.
        told = {path: each.clearings for path, each in known.items() if each.clearings}
        new = {path: why for path, why in chosen.refused.items() if path not in before.refused}
        done.left.update({path: f"are not fetched ({why})" for path, why in new.items()})
        known = _fetched(done, reached, chosen.due, chosen.known)
        known |= {path: replace(known[path], clearings=times) for path, times in told.items() if path in known}
        tell_of_clock(services, server.declared, known, now)
        _look_again(services, server.declared, row, chosen.look_at)
        memory = write_memory(Memory(known, chosen.refused))
        services.s3.put_object(
            Bucket=services.zones.raw_bucket,
            Key=_memory_key(services, row),
            Body=memory,
            **services.zones.put_arguments,
        )
        ended = finished(
            services,
            row,
            services.ledger.extracts.chunks(row),
            listed=len(files),
            waiting=chosen.waiting,
            strangers=chosen.strangers,
            resting=chosen.resting,
            left=done.left,
        )
        if last is not None:
            services.store.delete(services.zones.raw_bucket, [_memory_key(services, last)])
        return ended


def _look_again(services: Services, declared: SftpSource, row: Extract, at: datetime | None) -> None:
    """Want another pass once files may be taken that have to stay as they are, where the next is later."""
    now = services.now()
    if at is not None and at < slot_before(now, declared.every, declared.offset) + declared.every:
        wanted = Intention(row.source, row.target, f"look/{row.id}", not_before=at)
        services.ledger.engine_runs.intend(wanted)


def _memory_key(services: Services, row: Extract) -> str:
    return f"{services.zones.extract_manifests(row.source, row.target)}{row.id}.known.gz"


class Gone(PermanentFailure):
    """What a pass knew of the server is not there any more."""


def _recalled(services: Services, last: Extract | None) -> tuple[Extract | None, Memory]:
    """The pass that succeeded last, and what it knew. Where that is gone since ``last`` was looked up, another pass has
    succeeded meanwhile."""
    try:
        return last, remembered(services, last)
    except Gone:
        latest = services.ledger.extracts.last(last.source, last.target) if last is not None else None
        if latest is None or latest == last:
            raise
        return _recalled(services, latest)


def remembered(services: Services, last: Extract | None) -> Memory:
    """What the pass that succeeded last knew of the server.

    Raises:
        Gone: it was deleted, by another pass that has succeeded since, or by somebody.
        PermanentFailure: it is damaged.
    """
    if last is None:
        return Memory()
    key, s3 = _memory_key(services, last), services.s3
    place = services.zones.raw_uri(key)
    try:
        return read_memory(s3.get_object(Bucket=services.zones.raw_bucket, Key=key)["Body"].read())
    except s3.exceptions.NoSuchKey as e:
        raise Gone(f"{place} is gone, which says what was fetched: restore it") from e
    except ValueError as e:
        raise PermanentFailure(f"{place} is damaged, which says what was fetched: restore its version before") from e


def _listed(sftp: Sftp, declared: SftpSource) -> list[RemoteFile | Refused]:
    """A folder that cannot be read is refused like a file, so that it holds up no other.

    Raises:
        NoSuchFile, AccessRefused: none can be read.
    """
    found: dict[str, RemoteFile | Refused] = {}
    unread: list[NoSuchFile | AccessRefused] = []
    folders = folders_of(declared.fetched)
    for folder, depth in folders.items():
        try:
            found.update((each.path, each) for each in listed(sftp, folder, depth))
        except (NoSuchFile, AccessRefused) as e:
            unread.append(e)
            found[folder] = Refused(folder, f"{e}; correct `remote`, or ask the server's owner")
    if len(unread) == len(folders):
        raise unread[0]
    return list(found.values())


def _cleared(
    done: _Pass,
    sftp: Sftp,
    files: list[RemoteFile | Refused],
    known: Mapping[str, Known],
    now: datetime,
) -> tuple[list[RemoteFile | Refused], Mapping[str, Known]]:
    """What is listed and known after those that readers see were moved away or deleted, as is declared: the marker
    first, since of a file without it the next pass still knows, and of a marker without its file nobody does."""
    afterwards = done.server.declared.afterwards
    if afterwards.move_to is None and not afterwards.delete:
        return files, known
    there = {file.path: file for file in files if isinstance(file, RemoteFile)}
    pending = {
        path: each
        for path, each in known.items()
        if each.key and path in there and each.same(there[path]) and not _tried_lately(each, now)
    }
    gone: set[str] = set()
    again: dict[str, Known] = {}
    markers = {feed.name: feed.ready.marker for feed in done.server.declared.fetched}
    for path in sorted(shown_files(done.services, done.server.source, pending, now)):
        placed = done.server.source.place(pending[path].key, now)
        if placed is None:
            continue
        marker = marker_of(path, markers[placed[0].feed.name])
        try:
            for file in filter(None, (there.get(marker or ""), there[path])):
                _clear(sftp, file, moved_to(file.path, placed[1].day, afterwards))
                gone.add(file.path)
        except Changed:
            continue
        except (PermanentFailure, TransientFailure) as e:
            if not sftp.is_usable:
                raise
            again[path] = replace(pending[path], cleared_at=now, clearings=pending[path].clearings + 1)
            if again[path].clearings == 1:
                done.left[path] = f"were fetched, and stay on the server ({_why(e, path)})"
    return [file for file in files if file.path not in gone], {**known, **again}


def _clear(sftp: Sftp, file: RemoteFile, target: str | None) -> None:
    if target is None:
        delete(sftp, file)
    else:
        move(sftp, file, target)


def _tried_lately(each: Known, now: datetime) -> bool:
    return each.cleared_at is not None and (now - each.cleared_at).total_seconds() < _CLEARED_AGAIN


def _fetched(done: _Pass, reached: Reached, due: Sequence[Due], known: Mapping[str, Known]) -> dict[str, Known]:
    """What is known of the files once those that are due were fetched, or were not."""
    kept = {chunk.of: chunk for chunk in done.services.ledger.extracts.chunks(done.row)}
    objects = {each.file.path: _landed(kept[_mark(each)]) for each in due if _mark(each) in kept}
    failures: dict[str, PermanentFailure | TransientFailure] = {}
    left = [each for each in due if each.file.path not in objects]
    numbers = itertools.count(max((chunk.number for chunk in kept.values()), default=-1) + 1)
    for _ in range(MOST_TRIES):
        if left:
            brought, again = _round(done, reached, left, numbers)
            objects |= brought
            failures = {path: e for path, e in failures.items() if path not in brought} | again
            left = [each for each in left if _may_pass(failures.get(each.file.path))]
    gone = {path for path, e in failures.items() if isinstance(e, (Changed, NoSuchFile))}
    bad = {path: e for path, e in failures.items() if path not in gone}
    done.left.update({path: f"could not be fetched ({_why(e, path)})" for path, e in bad.items()})
    now, after = done.services.now(), landed(known, objects)
    # What changed on the way waits anew.
    after |= {path: Known(after[path].size, after[path].modified, now, feed=after[path].feed) for path in gone}
    return failed(after, bad, now)


def _why(failure: PermanentFailure | TransientFailure, path: str) -> str:
    """Without the path, which is said with it: of many files there may be one reason."""
    return str(failure).removeprefix(f"file {called(path)}").removeprefix(": ").strip()


def _may_pass(failure: PermanentFailure | TransientFailure | None) -> bool:
    return isinstance(failure, TransientFailure) and not isinstance(failure, Changed)


def _round(
    done: _Pass, reached: Reached, due: Sequence[Due], numbers: Iterator[int]
) -> tuple[dict[str, Landed], dict[str, PermanentFailure | TransientFailure]]:
    """Fetch each once: the objects of those that came, and why others did not, by path.

    Raises:
        CredentialsRefused, PermanentFailure, TransientFailure: the server lets nobody in.
    """
    failures: dict[str, PermanentFailure | TransientFailure] = {}
    by_path, keys = {each.file.path: each for each in due}, dict[str, str]()
    for each in due:
        try:
            keys[each.file.path] = done.key(each)
        except PermanentFailure as e:
            failures[each.file.path] = e
    targets = ((by_path[path].file, done.folder / digest(path)) for path in keys)
    go_on = unless_stopped(done.services, done.row)

    def fetched() -> Generator[Fetched, None, None]:
        for each in fetch_all(*reached, targets, done.server.connections, go_on):
            if isinstance(each, Failed):
                failures[each.file.path] = each.failure
            else:
                yield each

    with closing(fetched()) as files:
        return _uploaded(done, files, by_path, keys, numbers), failures


def _uploaded(
    done: _Pass,
    fetched: Iterable[Fetched],
    due: Mapping[str, Due],
    keys: Mapping[str, str],
    numbers: Iterator[int],
) -> dict[str, Landed]:
    """The objects of files that came, by path: put into the landing zone several at once, little behind what comes, and
    noted there whatever ends the pass."""
    services, bucket = done.services, done.services.zones.raw_bucket

    def put(each: Fetched, number: int) -> tuple[str, Chunk]:
        path, size = each.file.path, each.target.stat().st_size
        with aws_failures(keys[path]):
            told = services.store.upload(each.target, bucket, keys[path])
        each.target.unlink()
        row, now, of = done.row, services.now(), _mark(due[path])
        return path, Chunk(row.id, 0, number, keys[path], told.version, size, now, of=of, etag=told.etag)

    objects: dict[str, Landed] = {}
    going: dict[Future[tuple[str, Chunk]], int] = {}
    noted: list[Chunk] = []

    def note(ended: Iterable[Future[tuple[str, Chunk]]], least: int) -> None:
        for path, chunk in (each.result() for each in ended):
            objects[path] = _landed(chunk)
            noted.append(chunk)
        if len(noted) >= least:
            services.ledger.extracts.keep(done.row, *noted)
            noted.clear()

    with Pool(_UPLOADS, thread_name_prefix="upload") as pool:
        try:
            for each in fetched:
                going[pool.submit(put, each, next(numbers))] = each.file.size or 0
                while len(going) > _MOST_BEHIND or sum(going.values()) > _MOST_BYTES_BEHIND:
                    ended, _ = wait(going, return_when=FIRST_COMPLETED)
                    for future in ended:
                        del going[future]
                    note(ended, _NOTED_AT_ONCE)
        finally:
            ended, _ = wait(going)
            note((each for each in ended if each.exception() is None), 1)
    for future in ended:
        future.result()
    return objects


def _mark(due: Due) -> str:
    """Which file a chunk holds, as it was listed."""
    modified = due.file.modified
    return f"{due.file.size} {modified.isoformat() if modified else '-'} {due.file.path}"


def _landed(chunk: Chunk) -> Landed:
    return Landed(chunk.key, chunk.version, chunk.etag)
