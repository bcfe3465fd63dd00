"""For any truncation and any changed byte: the same content as before, or a refusal. Never other content."""

import gzip
import io
import tempfile
import zipfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from adplatform.contracts.file_format import FileFormat
from adplatform.files.bad_file import BadFile
from adplatform.files.unpack import unpack
from adplatform_tests.support.examples import examples

ROWS = b"id,amount\n" + b"".join(b"%d,%d.50\n" % (i, i * i) for i in range(300))


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


PACKED = {
    "gzip": gzip.compress(ROWS, mtime=0),
    "gzip of two members": gzip.compress(ROWS[:99], mtime=0) + gzip.compress(ROWS[99:], mtime=0),
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress(ROWS),
    "zip": zipped(("a.csv", ROWS[:99]), ("b.csv", ROWS[99:])),
    "zip stored": zipped(("a.csv", ROWS[:99]), ("b.csv", ROWS[99:]), method=zipfile.ZIP_STORED),
    "gzip in zip": zipped(("a.csv.gz", gzip.compress(ROWS, mtime=0))),
}


def contents(data: bytes, compression: str) -> bytes | None:
    """What came out, all files after each other; None when the file was refused."""
    with tempfile.TemporaryDirectory() as directory:
        path, work = Path(directory) / "delivered", Path(directory) / "work"
        path.write_bytes(data)
        work.mkdir()
        fmt = FileFormat.model_validate({"compression": compression})
        try:
            files = unpack(path, "s3://raw/x", fmt, work, 0)
        except BadFile:
            assert list(work.iterdir()) == []
            return None
        return b"".join(file.path.read_bytes() for file in files)


def declared(kind: str) -> str:
    """The outer compression: with ``auto`` a damaged magic number would make the file plain text."""
    return "zip" if "zip" in kind.removeprefix("gzip") else kind.partition(" ")[0]


@pytest.mark.parametrize("kind", PACKED)
def test_undamaged_file_is_the_control(kind: str) -> None:
    assert contents(PACKED[kind], "auto") == ROWS


@settings(max_examples=examples(30), deadline=None)
@given(st.sampled_from(list(PACKED)), st.data())
def test_one_changed_byte(kind: str, data: st.DataObject) -> None:
    changed = bytearray(PACKED[kind])
    position = data.draw(st.integers(0, len(changed) - 1))
    changed[position] ^= data.draw(st.integers(1, 255))
    assert contents(bytes(changed), declared(kind)) in (None, ROWS)


@settings(max_examples=examples(20), deadline=None)
@given(st.sampled_from(list(PACKED)), st.data())
def test_any_truncation(kind: str, data: st.DataObject) -> None:
    whole = PACKED[kind]
    length = data.draw(st.integers(1, len(whole) - 1))
    if kind == "gzip of two members" and length == len(gzip.compress(ROWS[:99], mtime=0)):
        return  # a whole file of its own: only a manifest can tell
    assert contents(whole[:length], declared(kind)) is None


@settings(max_examples=examples(20), deadline=None)
@given(st.sampled_from(list(PACKED)), st.binary(min_size=1, max_size=40))
def test_anything_after_the_end(kind: str, tail: bytes) -> None:
    assert contents(PACKED[kind] + tail, declared(kind)) in (None, ROWS)
