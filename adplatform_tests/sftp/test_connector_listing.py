"""What connectors of Transfer Family write of a folder, read with suspicion."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from adplatform.sftp.connector_listing import ConnectorListing, read_listing
from adplatform.sftp.listing import Refused, RemoteFile


def listing(*files: dict[str, Any], folder: str = "/out", **more: Any) -> ConnectorListing:
    return read_listing(json.dumps({"files": files, "truncated": "false", **more}).encode(), folder)


def refused(path: str, folder: str = "/out") -> str:
    [file] = listing({"filePath": path, "size": 1}, folder=folder).files
    assert file.path.isprintable()
    return file.reason if isinstance(file, Refused) else ""


def test_files_have_size_and_time_and_folders_a_path() -> None:
    file = {"filePath": "/out/a b.csv", "modifiedTimestamp": "2026-03-14T09:00:00.5Z", "size": 12}
    found = listing(file, paths=[{"path": "/out/2026"}, {"path": "/out/more/"}])
    assert found.files == (RemoteFile("/out/a b.csv", 12, datetime(2026, 3, 14, 9, tzinfo=UTC)),)
    assert found.folders == ("/out/2026", "/out/more")
    assert not found.truncated


@pytest.mark.parametrize(("said", "truncated"), [("true", True), (True, True), ("false", False), (False, False)])
def test_truncated_is_text_or_a_boolean(said: Any, truncated: bool) -> None:
    assert listing(truncated=said).truncated is truncated


def test_size_and_time_may_be_missing_or_senseless() -> None:
    assert listing({"filePath": "/out/a"}).files == (RemoteFile("/out/a", None, None),)
    strange = {"filePath": "/out/a", "modifiedTimestamp": "yesterday", "size": "many"}
    assert listing(strange).files == (RemoteFile("/out/a", None, None),)


def test_paths_may_be_relative_to_the_folder() -> None:
    found = listing({"filePath": "a.csv"}, {"filePath": "./b.csv"}, paths=[{"path": "more"}])
    assert [file.path for file in found.files] == ["/out/a.csv", "/out/b.csv"]
    assert found.folders == ("/out/more",)
    assert [file.path for file in listing({"filePath": "/a"}, folder="/").files] == ["/a"]


@pytest.mark.parametrize("path", ["/out/a\nb", "/out/a\rb", "/out/\x00", "/out/a\u2028b", "/out/\x7f", "/out/\ud800"])
def test_names_with_line_breaks_and_controls_are_refused(path: str) -> None:
    assert "control characters or line breaks" in refused(path)


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/out/../a", "../a", "/out/b/a", "/outside", "/out/", "/out/..", "/out/."]
)
def test_paths_outside_of_the_folder_are_refused(path: str) -> None:
    assert "not in the folder /out" in refused(path)


def test_names_that_are_not_text_or_too_long_are_refused() -> None:
    assert "not UTF-8" in refused("/out/\ufffd.csv")
    assert "more than 1,024 characters" in refused("/out/" + "x" * 1020)
    assert refused("/out/" + "x" * 1019) == ""


def test_folders_that_nobody_can_ask_for_are_left_out() -> None:
    paths = [{"path": "/out/a\nb"}, {"path": "/etc"}, {"path": "/out/.."}, {"path": "/out/ok"}]
    assert listing(paths=paths).folders == ("/out/ok",)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"files": 1}',
        b'{"files": [1]}',
        b'{"files": [{"size": 1}]}',
        b'{"paths": [{}]}',
        b"\xff",
    ],
)
def test_what_is_no_listing_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_listing(body, "/out")
