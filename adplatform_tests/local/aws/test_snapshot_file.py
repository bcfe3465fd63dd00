import json
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adplatform.failures import PermanentFailure
from adplatform.local.aws.snapshot_file import read_snapshot, write_snapshot


def test_snapshot_is_read_as_written(tmp_path: Path) -> None:
    path = tmp_path / "glue.snapshot"
    write_snapshot(path, b"old")
    write_snapshot(path, b"new\nwith a line")
    assert read_snapshot(path) == b"new\nwith a line"
    assert [file.name for file in tmp_path.iterdir()] == ["glue.snapshot"]


@given(data=st.data())
def test_any_damaged_byte_or_missing_tail_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("damage") / "glue.snapshot"
    write_snapshot(path, b"payload of a snapshot")
    whole = path.read_bytes()
    at = data.draw(st.integers(whole.index(b"\n") + 1, len(whole) - 1))
    flipped = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    for damaged in (flipped, whole[:at], whole[: data.draw(st.integers(0, len(whole) - 1))]):
        path.write_bytes(damaged)
        with pytest.raises(PermanentFailure, match=r"glue\.snapshot .* is damaged.*to start glue empty"):
            read_snapshot(path)


def test_snapshot_of_another_minor_version_of_moto_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "glue.snapshot"
    write_snapshot(path, b"payload")
    header, _, payload = path.read_bytes().partition(b"\n")
    major, minor, *_ = version("moto").split(".")
    for release, accepted in ((f"{major}.{minor}.999", True), (f"{major}.{int(minor) + 1}.0", False)):
        path.write_bytes(json.dumps(json.loads(header) | {"moto": release}).encode() + b"\n" + payload)
        if accepted:
            assert read_snapshot(path) == b"payload"
            continue
        with pytest.raises(PermanentFailure, match=rf"moto {release} wrote the snapshot .*delete the directory"):
            read_snapshot(path)
        assert path.exists()
