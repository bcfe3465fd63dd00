"""A listing has every entry, says which it does not take and why, and needs no more memory for many."""

import os
import threading
import tracemalloc
from itertools import islice
from pathlib import Path

import pytest

from adplatform.failures import AccessRefused, TransientFailure, unnamed
from adplatform.sftp.connection import Credentials, connected
from adplatform.sftp.errors import NoSuchFile
from adplatform.sftp.listing import Refused, RemoteFile, listed
from adplatform.sftp.session import Sftp
from adplatform_tests.sftp.conftest import PASSWORD, WHEN, faulty_host_of, host_of, put, user_of
from adplatform_tests.support.sftp_faults import FaultyHost
from adplatform_tests.support.sftp_host import SftpHost


def files_of(sftp: Sftp, folder: Path, depth: int = 0) -> list[RemoteFile]:
    return sorted((entry for entry in listed(sftp, str(folder), depth) if isinstance(entry, RemoteFile)), key=by_path)


def refused_of(sftp: Sftp, folder: Path, depth: int = 0) -> dict[str, str]:
    """Reasons by name."""
    every = [entry for entry in listed(sftp, str(folder), depth) if isinstance(entry, Refused)]
    return {entry.path.removeprefix(f"{folder}/"): entry.reason for entry in every}


def by_path(entry: RemoteFile) -> str:
    return entry.path


def test_files_have_size_and_time_in_utc(sftp: Sftp, sftp_host: SftpHost) -> None:
    for name in ("a b.csv", "Zürich 東京.csv", "report..csv", "-rf", ".hidden"):
        put(sftp_host.folder / name, name.encode())
    found = files_of(sftp, sftp_host.folder)
    assert found == sorted(
        (RemoteFile(str(path), path.stat().st_size, WHEN) for path in sftp_host.folder.iterdir()),
        key=by_path,
    )
    assert len(found) == 5
    assert files_of(sftp, Path(f"{sftp_host.folder}/")) == found


def test_folders_are_listed_as_deep_as_is_asked(sftp: Sftp, sftp_host: SftpHost) -> None:
    paths = [put(sftp_host.folder / name).path for name in ("top", "a/one", "b/two", "b/c/three", "b/c/d/four")]
    for depth, count in ((0, 1), (1, 3), (2, 4), (9, 5)):
        assert [file.path for file in files_of(sftp, sftp_host.folder, depth)] == sorted(paths[:count])


def test_links_are_taken_to_files_below_the_folder_only(sftp: Sftp, sftp_host: SftpHost, tmp_path: Path) -> None:
    folder = sftp_host.folder / "feed"
    put(folder / "deep/file", b"four more")
    outside = put(tmp_path / "outside").path
    beside = put(sftp_host.folder / "feed-of-others").path
    for name, target in {
        "good": "deep/file",
        "outside": outside,
        "beside": beside,
        "up": "../feed-of-others",
        "folder": "deep",
        "itself": "itself",
        "nowhere": "nothing",
    }.items():
        (folder / name).symlink_to(target)
    assert files_of(sftp, folder) == [RemoteFile(str(folder / "good"), 9, WHEN, is_link=True)]
    refused = refused_of(sftp, folder)
    assert {name for name, reason in refused.items() if "which is not below the folder" in reason} == {
        "outside",
        "beside",
        "up",
    }
    assert outside in refused["outside"]
    assert outside not in unnamed(refused["outside"])
    assert refused["folder"] == "it is a link to something that is no file"
    assert {"itself", "nowhere"} <= set(refused)


def test_a_link_is_refused_where_the_server_does_not_tell_its_end(faulty: FaultyHost, faulty_sftp: Sftp) -> None:
    faulty.faults.resolves_links = False
    put(faulty.folder / "file")
    (faulty.folder / "link").symlink_to("file")
    assert refused_of(faulty_sftp, faulty.folder) == {
        "link": "it is a link, and the server does not tell where it leads"
    }


def test_names_that_cannot_be_part_of_a_path_are_refused_and_shown_escaped(sftp: Sftp, sftp_host: SftpHost) -> None:
    put(sftp_host.folder / "good")
    for name in (b"two\nlines", b"bell\x07", b"latin-\xe9", "line\u2028separator".encode()):
        (Path(os.fsdecode(bytes(sftp_host.folder) + b"/" + name))).touch()
    assert refused_of(sftp, sftp_host.folder) == {
        r"two\nlines": "its name has control characters or line breaks",
        r"bell\x07": "its name has control characters or line breaks",
        r"line\u2028separator": "its name has control characters or line breaks",
        r"latin-\xe9": "its name is not UTF-8",
    }
    assert [file.path for file in files_of(sftp, sftp_host.folder)] == [str(sftp_host.folder / "good")]


def test_a_name_never_leads_out_of_its_folder(faulty: FaultyHost, faulty_sftp: Sftp) -> None:
    faulty.faults.more_names = ["../../etc/passwd", "/etc/passwd", "a/b", "", ".", ".."]
    assert refused_of(faulty_sftp, faulty.folder) == {
        "../../etc/passwd": "its name leads to another folder",
        "/etc/passwd": "its name leads to another folder",
        "a/b": "its name leads to another folder",
        "": "it has no name",
    }
    assert files_of(faulty_sftp, faulty.folder) == []


def test_what_is_no_file_or_has_no_time_is_refused(
    sftp: Sftp, sftp_host: SftpHost, faulty: FaultyHost, faulty_sftp: Sftp
) -> None:
    os.mkfifo(sftp_host.folder / "pipe")
    assert "it is no file" in refused_of(sftp, sftp_host.folder)["pipe"]
    put(faulty.folder / "file")
    faulty.faults.hides_times = True
    assert refused_of(faulty_sftp, faulty.folder) == {"file": "the server does not tell its size and time"}


def test_a_folder_that_cannot_be_read_is_an_error_and_one_below_it_an_entry(
    faulty: FaultyHost, faulty_sftp: Sftp
) -> None:
    put(faulty.folder / "open/file"), put(faulty.folder / "closed/file")
    faulty.faults.denied.add(str(faulty.folder / "closed"))
    assert [file.path for file in files_of(faulty_sftp, faulty.folder, 1)] == [str(faulty.folder / "open/file")]
    assert "the user may not do that" in refused_of(faulty_sftp, faulty.folder, 1)["closed"]
    with pytest.raises(AccessRefused, match=r"folder .*closed: the user may not do that"):
        list(listed(faulty_sftp, str(faulty.folder / "closed")))
    with pytest.raises(NoSuchFile, match=r"folder .*nothing: there is no such file or folder"):
        list(listed(faulty_sftp, str(faulty.folder / "nothing")))


def test_a_session_may_be_used_while_and_after_a_listing_goes_on(sftp: Sftp, sftp_host: SftpHost) -> None:
    for number in range(300):
        put(sftp_host.folder / f"{number}", b"x" * number)
    for entry in listed(sftp, str(sftp_host.folder)):
        assert isinstance(entry, RemoteFile)
        assert sftp.stat(entry.path).size == entry.size
    entries = listed(sftp, str(sftp_host.folder))
    next(entries)
    entries.close()
    assert len(files_of(sftp, sftp_host.folder)) == 300


def test_a_listing_goes_with_the_folder_that_is_taken_away_meanwhile(faulty: FaultyHost, faulty_sftp: Sftp) -> None:
    put(faulty.folder / "file"), put(faulty.folder / "sub/file")
    entries = listed(faulty_sftp, str(faulty.folder), 1)
    assert isinstance(next(entries), RemoteFile)
    (faulty.folder / "sub/file").unlink()
    (faulty.folder / "sub").rmdir()
    assert list(entries) == []


def test_a_server_that_falls_silent_while_it_lists_is_not_waited_for(faulty: FaultyHost) -> None:
    put(faulty.folder / "file")
    released = threading.Event()
    faulty.faults.on_list = lambda: released.wait(30)
    with connected(faulty_host_of(faulty, silent_seconds=2), [Credentials("partner", password=PASSWORD)]) as sftp:
        with pytest.raises(TransientFailure, match=r"folder .*: the server did not answer in time"):
            list(listed(sftp, str(faulty.folder)))
        released.set()


def test_memory_is_bounded_however_many_entries_there_are(sftp_host: SftpHost) -> None:
    for number in range(20_000):
        (sftp_host.folder / f"an-entry-with-a-rather-long-name-{number:06}").touch()
    with connected(host_of(sftp_host), [user_of(sftp_host)]) as sftp:
        entries = listed(sftp, str(sftp_host.folder))
        tracemalloc.start()
        try:
            assert sum(1 for _ in islice(entries, 10_000)) == 10_000
            assert tracemalloc.get_traced_memory()[1] < 3_000_000
        finally:
            tracemalloc.stop()
        assert sum(1 for _ in entries) == 10_000
