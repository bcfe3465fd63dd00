"""What was fetched is archived or deleted, and nothing else; doing it again changes nothing."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adplatform.failures import AccessRefused, PermanentFailure, TransientFailure
from adplatform.sftp.connection import Credentials, connected
from adplatform.sftp.errors import Changed, NoSuchFile, sftp_failures
from adplatform.sftp.listing import RemoteFile
from adplatform.sftp.moving import delete, move
from adplatform.sftp.session import Sftp
from adplatform_tests.sftp.conftest import PASSWORD, faulty_host_of, put
from adplatform_tests.support.sftp_faults import FaultyHost
from adplatform_tests.support.sftp_host import SftpHost


@pytest.fixture(params=["posix-rename", "rename"])
def session(request: pytest.FixtureRequest) -> Iterator[tuple[Sftp, Path]]:
    """With a server that replaces what is at the target of a rename, and with one that refuses to; and its folder."""
    if request.param == "posix-rename":
        host: SftpHost = request.getfixturevalue("sftp_host")
        yield request.getfixturevalue("sftp"), host.folder
    else:
        faulty: FaultyHost = request.getfixturevalue("faulty")
        yield request.getfixturevalue("faulty_sftp"), faulty.folder


def test_both_ways_to_rename_are_tested(sftp: Sftp, faulty_sftp: Sftp) -> None:
    with pytest.raises(NoSuchFile), sftp_failures("file"):
        sftp.posix_rename("/nothing", "/anything")
    with pytest.raises(PermanentFailure, match="does not know that request"), sftp_failures("file"):
        faulty_sftp.posix_rename("/nothing", "/anything")


def test_a_file_is_moved_once_into_a_folder_that_is_made(session: tuple[Sftp, Path]) -> None:
    sftp, folder = session
    file, target = put(folder / "file"), folder / "archive/2026/11/file"
    for _ in range(3):
        move(sftp, file, str(target))
        assert target.read_bytes() == b"content"
        assert not (folder / "file").exists()
    other = put(folder / "other")
    move(sftp, other, str(folder / "archive/2026/11/other"))
    assert sorted(path.name for path in target.parent.iterdir()) == ["file", "other"]


def test_a_file_of_the_same_size_at_the_target_is_replaced(session: tuple[Sftp, Path]) -> None:
    sftp, folder = session
    file = put(folder / "file", b"content")
    target = folder / "archive"
    target.write_bytes(b"CONTENT")
    move(sftp, file, str(target))
    assert (target.read_bytes(), (folder / "file").exists()) == (b"content", False)


def test_a_file_of_another_size_at_the_target_stays_and_so_does_this_one(session: tuple[Sftp, Path]) -> None:
    sftp, folder = session
    file = put(folder / "file", b"content")
    target = folder / "archive"
    target.write_bytes(b"of yesterday")
    with pytest.raises(PermanentFailure, match="there is another file already, of 12 bytes where this one has 7"):
        move(sftp, file, str(target))
    assert (target.read_bytes(), (folder / "file").read_bytes()) == (b"of yesterday", b"content")


def test_a_file_is_deleted_once(session: tuple[Sftp, Path]) -> None:
    sftp, folder = session
    file = put(folder / "file")
    for _ in range(3):
        delete(sftp, file)
        assert not (folder / "file").exists()


@pytest.mark.parametrize(
    "act", [delete, lambda sftp, file: move(sftp, file, f"{file.path}-archived")], ids=["delete", "move"]
)
@pytest.mark.parametrize("content", [b"longer content", b"CONTENT"])
def test_a_file_that_came_anew_is_left_for_the_next_fetch(
    session: tuple[Sftp, Path], act: Callable[[Sftp, RemoteFile], None], content: bytes
) -> None:
    sftp, folder = session
    file = put(folder / "file")
    (folder / "file").write_bytes(content)
    with pytest.raises(Changed, match="is another than was listed, and stays"):
        act(sftp, file)
    assert [path.read_bytes() for path in folder.iterdir()] == [content]


def test_a_file_that_is_nowhere_was_not_moved(session: tuple[Sftp, Path]) -> None:
    sftp, folder = session
    file = put(folder / "file")
    (folder / "file").unlink()
    with pytest.raises(NoSuchFile, match="was not moved"):
        move(sftp, file, str(folder / "archive"))
    (folder / "archive").write_bytes(b"of yesterday")
    with pytest.raises(NoSuchFile, match="was not moved"):
        move(sftp, file, str(folder / "archive"))


def test_a_link_is_deleted_and_not_moved(sftp: Sftp, sftp_host: SftpHost) -> None:
    real = put(sftp_host.folder / "real")
    (sftp_host.folder / "link").symlink_to("real")
    link = RemoteFile(str(sftp_host.folder / "link"), real.size, real.modified, is_link=True)
    with pytest.raises(PermanentFailure, match="is a link, which may lead elsewhere from there"):
        move(sftp, link, str(sftp_host.folder / "archive/link"))
    delete(sftp, link)
    assert [path.name for path in sftp_host.folder.iterdir()] == ["real"]


def test_a_move_whose_answer_is_lost_is_found_done(faulty: FaultyHost) -> None:
    file, target = put(faulty.folder / "file"), str(faulty.folder / "archive/file")
    host, user = faulty_host_of(faulty), [Credentials("partner", password=PASSWORD)]
    faulty.faults.on_rename = lambda _source, _target: "drop"
    with pytest.raises(TransientFailure, match="connection"), connected(host, user) as sftp:
        move(sftp, file, target)
    with connected(host, user) as sftp:
        move(sftp, file, target)
    assert faulty.faults.requests == ["rename file"]


@pytest.mark.parametrize("act", [shutil.move, shutil.copy2], ids=["did not", "copied"])
def test_a_server_that_only_says_it_has_moved_is_not_believed(
    faulty: FaultyHost, faulty_sftp: Sftp, act: Callable[[str, str], object]
) -> None:
    file, target = put(faulty.folder / "file"), faulty.folder / "archive"
    faulty.faults.on_rename = lambda source, target: act(target, source)
    with pytest.raises(TransientFailure, match="says it is moved, and it is not"):
        move(faulty_sftp, file, str(target))
    assert (faulty.folder / "file").exists()


def test_what_may_not_be_moved_or_deleted_says_so(faulty: FaultyHost, faulty_sftp: Sftp) -> None:
    file = put(faulty.folder / "file")
    faulty.faults.read_only = True
    with pytest.raises(AccessRefused, match="the user may not do that"):
        move(faulty_sftp, file, str(faulty.folder / "archive"))
    with pytest.raises(AccessRefused, match="the user may not do that"):
        move(faulty_sftp, file, str(faulty.folder / "archive/file"))
    with pytest.raises(AccessRefused, match="the user may not do that"):
        delete(faulty_sftp, file)
    assert (faulty.folder / "file").exists()
