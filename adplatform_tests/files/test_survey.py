"""One pass over a text: its lines, and whether a record might be too long, however the text comes in chunks."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isal import igzip

from adplatform.contracts.file_format import FileFormat
from adplatform.files.input_file import InputFile, surveyed
from adplatform.files.survey import LONG_LINE, LONG_QUOTES, Survey, Surveyor, survey
from adplatform.files.unpack import unpack

CSV = FileFormat()
LENGTHS = st.sampled_from([0, 1, 7, LONG_LINE - 2, LONG_LINE - 1, LONG_LINE, LONG_LINE + 1, 3 * LONG_LINE])


def chunked(text: bytes, sizes: list[int]) -> Iterator[bytes]:
    at = 0
    for size in sizes:
        yield text[at : at + size]
        at += size
    yield text[at:]


def found(text: bytes, sizes: list[int], fmt: FileFormat = CSV) -> Survey:
    surveyor = Surveyor(fmt)
    for chunk in chunked(text, sizes):
        surveyor.take(chunk)
    return surveyor.found


@given(
    st.lists(LENGTHS, max_size=6),
    st.booleans(),
    st.lists(st.one_of(st.integers(0, 9), st.integers(0, 2 * LONG_LINE)), max_size=8),
)
def test_lines_and_long_ones_are_found_whatever_the_chunks(lengths: list[int], ends: bool, sizes: list[int]) -> None:
    text = b"\n".join(b"x" * length for length in lengths) + (b"\n" if ends else b"")
    lines = text.split(b"\n")
    counted = len(lines) - (lines[-1] == b"")
    assert found(text, sizes) == Survey(counted, any(len(line) >= LONG_LINE for line in lines))


@given(st.lists(st.sampled_from(["\n", "\r\n", "\r"])), st.lists(st.integers(0, 3), max_size=20))
def test_line_ends_of_two_kinds_are_found_whatever_the_chunks(ends: list[str], sizes: list[int]) -> None:
    text = "".join(f"a{end}" for end in ends)
    assert found(text.encode(), sizes).mixed == ({"\n", "\r\n"} <= set(ends))


@pytest.mark.parametrize(
    ("text", "suspect"),
    [
        (b'"a\n' + b"b\n" * LONG_QUOTES, True),
        (b'"a"\n' + b"b\n" * (LONG_QUOTES // 4), False),
        (b'"a\n' + b'""b\n' * LONG_QUOTES, True),
        (b'"a"\n"b"\n' * (LONG_QUOTES // 4), False),
        (b"b\n" * LONG_QUOTES, False),
    ],
    ids=["open", "few lines behind it", "open, with doubled ones", "closed again and again", "no quotes"],
)
@pytest.mark.parametrize("size", [1 << 20, 333_333])
def test_quotes_that_might_stay_open_for_long_are_suspect(text: bytes, suspect: bool, size: int) -> None:
    assert found(text, [size] * (len(text) // size)).suspect is suspect
    assert not found(text, [], FileFormat(quote="")).suspect
    assert not found(text, [], FileFormat(kind="ndjson")).suspect


@pytest.mark.parametrize("compressed", [True, False], ids=["gzip", "plain"])
def test_a_file_is_surveyed_while_it_is_unpacked_and_not_read_again_for_that(tmp_path: Path, compressed: bool) -> None:
    text = b"id,name\n" + b'1,"a\nb"\n' * 1_000 + b"2," + b"x" * LONG_LINE
    delivered = tmp_path / "delivered"
    delivered.write_bytes(igzip.compress(text) if compressed else text)
    [file] = unpack(delivered, "s3://raw/a", CSV, tmp_path, 0)
    assert file.survey == Survey(2_002, True) == survey(file.path, CSV)
    file.path.unlink()
    assert surveyed(file, CSV) is file.survey


def test_a_file_that_nobody_has_surveyed_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"id\n1")
    assert surveyed(InputFile(tmp_path / "a", "s3://raw/a", 0), CSV) == Survey(2, False)
