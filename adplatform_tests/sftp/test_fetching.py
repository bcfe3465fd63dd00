"""A file comes whole or not at all, goes on where it broke off, and one that fails ends no other."""

import hashlib
import json
import os
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from adplatform.failures import (
    AccessRefused,
    CredentialsRefused,
    EnvironmentFailure,
    PermanentFailure,
    TransientFailure,
    unnamed,
)
from adplatform.sftp.connection import Credentials, connected
from adplatform.sftp.errors import Changed, NoSuchFile
from adplatform.sftp.fetching import Failed, Fetched, fetch, fetch_all
from adplatform.sftp.listing import RemoteFile
from adplatform.sftp.session import AHEAD, Sftp
from adplatform_tests.sftp.conftest import PASSWORD, WHEN, faulty_host_of, host_of, put, user_of
from adplatform_tests.support.sftp_faults import FaultyHost
from adplatform_tests.support.sftp_host import SftpHost

PARTNER = Credentials("partner", password=PASSWORD)
MIB = 1 << 20


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "fetched"
    folder.mkdir()
    return folder / "file"


@pytest.mark.parametrize("size", [0, 1, 255 * 1024, 255 * 1024 + 1, 10_000_000])
def test_a_file_comes_whole_with_its_digest_and_leaves_nothing_beside(
    sftp: Sftp, sftp_host: SftpHost, target: Path, size: int
) -> None:
    content = os.urandom(size)
    file = put(sftp_host.folder / "a file, Zürich", content)
    target.write_bytes(b"of yesterday")
    assert fetch(sftp, file, target) == Fetched(file, target, sha256(content))
    assert target.read_bytes() == content
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("unknown", [{"size": None}, {"modified": None}])
def test_a_file_of_which_no_change_could_be_seen_is_not_fetched(
    sftp: Sftp, sftp_host: SftpHost, target: Path, unknown: dict[str, None]
) -> None:
    file = replace(put(sftp_host.folder / "file"), **unknown)
    with pytest.raises(PermanentFailure, match="was listed without its size and time"):
        fetch(sftp, file, target)
    assert list(target.parent.iterdir()) == []


def test_a_server_that_gives_little_at_once_is_asked_again(faulty: FaultyHost, faulty_sftp: Sftp, target: Path) -> None:
    content = os.urandom(300_001)
    file = put(faulty.folder / "file", content)
    faulty.faults.most_bytes = 5_000
    assert fetch(faulty_sftp, file, target).sha256 == sha256(content)
    faulty.faults.most_bytes = 7
    small = put(faulty.folder / "small", content[:100])
    assert fetch(faulty_sftp, small, target).sha256 == sha256(content[:100])


def broken_off(faulty: FaultyHost, file: RemoteFile, target: Path, at: int) -> None:
    """The connection drops there, when what is before has come."""
    partial = target.with_name(f".{target.name}.partial")

    def drop(_: str, offset: int) -> object:
        while offset >= at and partial.stat().st_size < at:
            time.sleep(0.01)
        return "drop" if offset >= at else None

    faulty.faults.on_read = drop
    with (
        pytest.raises(TransientFailure, match=r"file .*: the (server ended the connection|connection)"),
        connected(faulty_host_of(faulty), [PARTNER]) as sftp,
    ):
        fetch(sftp, file, target)
    assert not target.exists()


def asked_from(faulty: FaultyHost, file: RemoteFile, target: Path) -> tuple[Fetched, int]:
    """The fetch that goes on, and the least offset that the server was asked for."""
    offsets: list[int] = []
    faulty.faults.on_read = lambda _, offset: offsets.append(offset)
    with connected(faulty_host_of(faulty), [PARTNER]) as sftp:
        return fetch(sftp, file, target), min(offsets)


def test_a_fetch_goes_on_where_it_broke_off(faulty: FaultyHost, target: Path) -> None:
    content = os.urandom(5 * MIB)
    file = put(faulty.folder / "file", content)
    broken_off(faulty, file, target, 3 * MIB)
    fetched, least = asked_from(faulty, file, target)
    assert fetched == Fetched(file, target, sha256(content), resumed=least)
    assert least == 3 * MIB
    assert target.read_bytes() == content
    assert list(target.parent.iterdir()) == [target]


def damaged(_: FaultyHost, target: Path) -> None:
    target.with_name(".file.partial.json").write_text('{"path": ')


def shorter(_: FaultyHost, target: Path) -> None:
    os.truncate(target.with_name(".file.partial"), 1000)


def gone(_: FaultyHost, target: Path) -> None:
    target.with_name(".file.partial").unlink()


def other_name(_: FaultyHost, target: Path) -> None:
    note = target.with_name(".file.partial.json")
    note.write_text(json.dumps({**json.loads(note.read_text()), "path": "/elsewhere"}))


@pytest.mark.parametrize("happens", [damaged, shorter, gone, other_name])
def test_what_is_not_sure_to_be_of_the_file_is_fetched_again(
    faulty: FaultyHost, target: Path, happens: Callable[[FaultyHost, Path], None]
) -> None:
    content = os.urandom(5 * MIB)
    file = put(faulty.folder / "file", content)
    broken_off(faulty, file, target, 3 * MIB)
    happens(faulty, target)
    fetched, least = asked_from(faulty, file, target)
    assert (fetched.sha256, fetched.resumed, least) == (sha256(content), 0, 0)


@pytest.mark.parametrize("later", [0, 60])
def test_a_part_of_what_the_file_was_before_is_not_kept(faulty: FaultyHost, target: Path, later: int) -> None:
    broken_off(faulty, put(faulty.folder / "file", os.urandom(5 * MIB)), target, 3 * MIB)
    content = os.urandom(5 * MIB + (0 if later else 1))
    file = put(faulty.folder / "file", content)
    if later:
        os.utime(file.path, (0, WHEN.timestamp() + later))
        file = RemoteFile(file.path, file.size, WHEN + timedelta(seconds=later))
    fetched, least = asked_from(faulty, file, target)
    assert (fetched.sha256, fetched.resumed, least) == (sha256(content), 0, 0)
    assert target.read_bytes() == content


def test_a_note_is_gone_before_bytes_of_another_file_come(faulty: FaultyHost, target: Path) -> None:
    broken_off(faulty, put(faulty.folder / "file", os.urandom(5 * MIB)), target, 3 * MIB)
    note = target.with_name(".file.partial.json")
    assert note.exists()
    noted: list[bool] = []
    faulty.faults.on_read = lambda _path, _offset: noted.append(note.exists())
    file = put(faulty.folder / "file", bytes(MIB))
    with connected(faulty_host_of(faulty), [PARTNER]) as sftp:
        fetch(sftp, file, target)
    assert set(noted) == {False}


def test_bytes_after_those_that_are_sure_are_not_believed(faulty: FaultyHost, target: Path) -> None:
    content = os.urandom(5 * MIB)
    file = put(faulty.folder / "file", content)
    broken_off(faulty, file, target, 3 * MIB)
    with target.with_name(".file.partial").open("ab") as partial:
        partial.write(bytes(MIB * 4))
    fetched, _ = asked_from(faulty, file, target)
    assert fetched.sha256 == sha256(content) == sha256(target.read_bytes())


def grows(path: Path) -> None:
    with path.open("ab") as out:
        out.write(b"more")
    os.utime(path, (0, WHEN.timestamp()))


def is_touched(path: Path) -> None:
    os.utime(path, (0, WHEN.timestamp() + 60))


def shrinks(path: Path) -> None:
    os.truncate(path, 10)
    os.utime(path, (0, WHEN.timestamp()))


def is_replaced(path: Path) -> None:
    path.rename(path.with_name("old"))
    path.write_bytes(b"new")


def is_renamed(path: Path) -> None:
    path.rename(path.with_name("old"))


@pytest.mark.parametrize("happens", [grows, is_touched, shrinks, is_replaced])
def test_a_file_that_is_another_than_was_listed_is_not_fetched(
    sftp: Sftp, sftp_host: SftpHost, target: Path, happens: Callable[[Path], None]
) -> None:
    file = put(sftp_host.folder / "file", b"content of a file")
    happens(Path(file.path))
    with pytest.raises(Changed, match="is another than was listed: list it again"):
        fetch(sftp, file, target)
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize("happens", [grows, is_touched, shrinks, is_replaced, is_renamed, Path.unlink])
def test_a_file_that_changes_while_it_is_fetched_leaves_nothing(
    faulty: FaultyHost, faulty_sftp: Sftp, target: Path, happens: Callable[[Path], None]
) -> None:
    file = put(faulty.folder / "file", os.urandom(5 * MIB))
    once = [happens]
    faulty.faults.on_read = lambda _, offset: once.pop()(Path(file.path)) if once and offset > 2 * MIB else None
    with pytest.raises(Changed, match="was changed or taken away while it was fetched"):
        fetch(faulty_sftp, file, target)
    assert not once
    assert list(target.parent.iterdir()) == []


def test_a_file_that_is_gone_or_may_not_be_read_says_so(faulty: FaultyHost, faulty_sftp: Sftp, target: Path) -> None:
    file = put(faulty.folder / "fi\nle", b"content")
    faulty.faults.denied.add(file.path)
    with pytest.raises(AccessRefused, match=r"file .*fi\\nle\u2069: the user may not do that") as refused:
        fetch(faulty_sftp, file, target)
    assert "nle" not in unnamed(str(refused.value))
    Path(file.path).unlink()
    faulty.faults.denied.clear()
    with pytest.raises(NoSuchFile, match="there is no such file"):
        fetch(faulty_sftp, file, target)
    assert faulty_sftp.is_usable


def test_a_file_that_ends_too_early_is_not_whole(faulty: FaultyHost, faulty_sftp: Sftp, target: Path) -> None:
    content = os.urandom(3 * MIB)
    file = put(faulty.folder / "file", content)
    faulty.faults.on_read = lambda _, offset: "end" if offset >= 2 * MIB else None
    with pytest.raises(TransientFailure, match=f"ended after 2,097,152 of its {len(content):,} bytes"):
        fetch(faulty_sftp, file, target)
    assert not target.exists()
    faulty.faults.on_read = lambda _path, _offset: None
    assert fetch(faulty_sftp, file, target).sha256 == sha256(content)


def test_a_server_that_falls_silent_in_mid_file_is_not_waited_for(faulty: FaultyHost, target: Path) -> None:
    file = put(faulty.folder / "file", bytes(3 * MIB))
    released = threading.Event()
    faulty.faults.on_read = lambda _, offset: released.wait(30) if offset > 2 * MIB else None
    with connected(faulty_host_of(faulty, silent_seconds=2), [PARTNER]) as sftp:
        with pytest.raises(TransientFailure, match="did not answer in time"):
            fetch(sftp, file, target)
        assert not sftp.is_usable
        released.set()


def test_a_disk_that_does_not_take_it_is_not_the_servers_fault(sftp: Sftp, sftp_host: SftpHost, target: Path) -> None:
    file = put(sftp_host.folder / "file", bytes(2 * MIB))
    target.with_name(".file.partial").symlink_to("/dev/full")
    with pytest.raises(EnvironmentFailure, match=r"file .*: local disk: No space left on device"):
        fetch(sftp, file, target)
    assert not target.exists()
    with pytest.raises(TransientFailure, match="local disk"):
        fetch(sftp, file, target.parent / "nowhere/file")


def test_whoever_is_asked_may_break_a_fetch_off_and_what_came_is_kept(
    sftp: Sftp, sftp_host: SftpHost, target: Path
) -> None:
    content = os.urandom(9 * MIB)
    file = put(sftp_host.folder / "file", content)
    asked = iter(range(20))

    def go_on() -> None:
        if next(asked) == 15:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(sftp, file, target, go_on)
    assert not target.exists()
    fetched = fetch(sftp, file, target)
    assert (fetched.sha256, fetched.resumed > MIB) == (sha256(content), True)


def test_memory_is_bounded_whatever_the_size(sftp: Sftp, sftp_host: SftpHost, target: Path) -> None:
    path = sftp_host.folder / "file"
    put(path, b"")
    os.truncate(path, 48 * MIB)
    os.utime(path, (0, WHEN.timestamp()))
    file = RemoteFile(str(path), 48 * MIB, WHEN)
    tracemalloc.start()
    try:
        fetch(sftp, file, target)
        assert tracemalloc.get_traced_memory()[1] < 4 * AHEAD
    finally:
        tracemalloc.stop()


def pairs(files: list[RemoteFile], target: Path) -> list[tuple[RemoteFile, Path]]:
    return [(file, target.parent / Path(file.path).name) for file in files]


def test_many_files_come_over_several_connections(faulty: FaultyHost, target: Path) -> None:
    files = [put(faulty.folder / f"{number}", f"{number}".encode() * 1000) for number in range(40)]
    together = threading.Barrier(3)
    waiting = iter(range(3))

    def meet(_path: str, _offset: int) -> None:
        if next(waiting, None) is not None:
            together.wait(20)

    faulty.faults.on_read = meet
    done = list(fetch_all(faulty_host_of(faulty), [PARTNER], pairs(files, target), 3))
    assert sorted(one.file.path for one in done if isinstance(one, Fetched)) == sorted(file.path for file in files)
    assert {path.name: path.read_bytes() for path in target.parent.iterdir()} == {
        f"{number}": f"{number}".encode() * 1000 for number in range(40)
    }
    assert faulty.faults.connections == 3


def test_one_file_that_fails_ends_no_other(faulty: FaultyHost, target: Path) -> None:
    files = [put(faulty.folder / f"{number}", b"content") for number in range(20)]
    faulty.faults.denied.add(files[3].path)
    Path(files[7].path).unlink()
    grows(Path(files[8].path))
    faulty.faults.on_read = lambda path, _: "drop" if path == files[12].path else None
    done = list(fetch_all(faulty_host_of(faulty), [PARTNER], pairs(files, target), 2))
    failed = {int(Path(one.file.path).name): type(one.failure) for one in done if isinstance(one, Failed)}
    assert failed == {3: AccessRefused, 7: NoSuchFile, 8: Changed, 12: TransientFailure}
    assert len(done) == 20
    assert len(list(target.parent.iterdir())) == 16


def test_no_more_connections_are_made_than_the_server_allows(faulty: FaultyHost, target: Path) -> None:
    files = [put(faulty.folder / f"{number}", b"content") for number in range(30)]
    faulty.faults.sessions = 1
    done = list(fetch_all(faulty_host_of(faulty), [PARTNER], pairs(files, target), 4))
    assert [one for one in done if isinstance(one, Failed)] == []
    assert len(done) == 30


def test_what_was_refused_once_is_not_tried_by_every_connection(faulty: FaultyHost, target: Path) -> None:
    files = [put(faulty.folder / f"{number}", b"content") for number in range(30)]
    old = Credentials("partner", password="old", stage="AWSPENDING")
    list(fetch_all(faulty_host_of(faulty), [old, PARTNER], pairs(files, target), 3))
    assert faulty.faults.log_ins.count("password refused") == 1
    with pytest.raises(CredentialsRefused):
        list(fetch_all(faulty_host_of(faulty), [old], pairs(files, target), 3))


def test_a_server_that_goes_for_good_fails_every_file_that_is_left(sftp_host: SftpHost, target: Path) -> None:
    files = [put(sftp_host.folder / f"{number}", b"content") for number in range(30)]
    fetches = fetch_all(host_of(sftp_host), [user_of(sftp_host)], pairs(files, target), 2)
    assert isinstance(next(fetches), Fetched)
    sftp_host.stop()
    rest = list(fetches)
    assert len(rest) == 29
    assert isinstance(rest[-1], Failed)
    assert isinstance(rest[-1].failure, TransientFailure)


class Enough(Exception):
    pass


def test_files_are_drawn_little_ahead_and_their_error_is_the_callers(sftp_host: SftpHost, target: Path) -> None:
    drawn = []

    def files() -> Iterator[tuple[RemoteFile, Path]]:
        for number in range(100):
            drawn.append(number)
            file = put(sftp_host.folder / f"{number}", b"content")
            yield file, target.parent / f"{number}"
        raise Enough

    fetches = fetch_all(host_of(sftp_host), [user_of(sftp_host)], files(), 2)
    next(fetches)
    assert len(drawn) <= 17
    with pytest.raises(Enough):
        list(fetches)


def test_a_caller_that_stops_breaks_off_what_is_under_way(faulty: FaultyHost, target: Path) -> None:
    files = [put(faulty.folder / "small", b"content"), put(faulty.folder / "large", bytes(40 * MIB))]
    before = set(threading.enumerate())
    reached = threading.Event()
    faulty.faults.on_read = lambda path, _: reached.set() if path == files[1].path else None
    fetches = fetch_all(faulty_host_of(faulty), [PARTNER], pairs(files, target), 2)
    assert next(fetches).file == files[0]
    assert reached.wait(20)
    fetches.close()
    assert not (target.parent / "large").exists()
    new = set(threading.enumerate()) - before
    assert [thread.name for thread in new if "ThreadPool" in thread.name] == []


def test_whoever_is_asked_may_break_all_of_it_off(faulty: FaultyHost, target: Path) -> None:
    files = [put(faulty.folder / f"{number}", bytes(1000)) for number in range(50)]
    asked = iter(range(100))

    def go_on() -> None:
        if next(asked) == 3:
            raise Enough

    with pytest.raises(Enough):
        list(fetch_all(faulty_host_of(faulty), [PARTNER], pairs(files, target), 2, go_on))
    assert len(list(target.parent.iterdir())) < 50
