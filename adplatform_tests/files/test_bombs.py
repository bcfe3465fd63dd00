"""A file that is made to fill disks and memory is refused while it is read, whatever it is packed in."""

import bz2
import gzip
import io
import json
import pickle
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.limits import Limits
from adplatform.failures import EnvironmentFailure
from adplatform.files import avro_blocks
from adplatform.files import budget as budgets
from adplatform.files import workbook as workbooks
from adplatform.files.avro_blocks import Block, written
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.budget import Budget
from adplatform.files.compression import LARGEST_DIRECTORY, MOST_MEMBERS
from adplatform.files.gpg_home import gpg_home
from adplatform.files.gpg_status import SignaturePolicy
from adplatform.files.keyring import Key
from adplatform.files.parquet_pages import BadPage, pages
from adplatform.files.parquet_size import check_parquet
from adplatform.files.pgp import decrypt
from adplatform.files.unpack import unpack
from adplatform_tests.files.openpgp import Partner, Workshop
from adplatform_tests.support.avros import avro, by_hand, record
from adplatform_tests.support.tars import END, entry, tarred
from adplatform_tests.support.workbooks import by_hand as sheet
from adplatform_tests.support.workbooks import changed

ORIGIN = "s3://raw/landing/acme/orders/orders"
ZEROS = b"0" * (8 << 20)
TIGHT = Limits(ratio=50, ratio_from=1 << 17)
"""As the defaults, for bombs that are made in no time."""
PARQUET = FileFormat(kind="parquet")
AVRO = FileFormat(kind="avro")
XLSX = FileFormat(kind="xlsx")
REPEATED_TEXT = '<c t="s"><v>0</v></c>' * 10
"""Cells that refer to one text."""


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def parquet(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def repeated(word: str, times: int) -> pa.Array:
    """One word of a dictionary, over and over."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(times, dtype="i4")), pa.array([word]))


def behind_none(word: str) -> pa.Array:
    """The same behind a row without a value."""
    return pa.DictionaryArray.from_arrays(pa.array([None, 1] + [0] * 1_000, pa.int32()), pa.array([word, "a"]))


def tried(data: bytes, fmt: FileFormat, tmp_path: Path, limits: Limits = TIGHT, received: int | None = None) -> None:
    """Unpack what was delivered; what is refused leaves nothing."""
    delivered, work = tmp_path / "delivered", tmp_path / "work"
    delivered.write_bytes(data)
    work.mkdir(exist_ok=True)
    try:
        unpack(delivered, ORIGIN, fmt, work, 0, limits, received)
    except BadFile:
        assert list(work.iterdir()) == []
        raise


BOMBS: dict[str, tuple[FileFormat, Callable[[], bytes]]] = {
    "gzip": (FileFormat(), lambda: gzip.compress(ZEROS)),
    "gzip of many members": (FileFormat(), lambda: gzip.compress(ZEROS[: 1 << 16]) * 128),
    "zstd": (FileFormat(), lambda: zstandard.compress(ZEROS)),
    "zip": (FileFormat(), lambda: zipped({"o.csv": ZEROS})),
    "zip of many": (FileFormat(), lambda: zipped({f"{n}.csv": ZEROS[: 1 << 20] for n in range(8)})),
    "gzip in zip": (FileFormat(), lambda: zipped({"o.csv.gz": gzip.compress(ZEROS)})),
    "zstd in zip": (FileFormat(), lambda: zipped({"o.csv.zst": zstandard.compress(ZEROS)})),
    "ndjson": (FileFormat(kind="ndjson"), lambda: gzip.compress(b'{"id": 1}\n' * (1 << 20))),
    "json": (FileFormat(kind="json"), lambda: gzip.compress(b"[" + b'{"id": 1},\n' * (1 << 18) + b"1]")),
    "one json value": (FileFormat(kind="json"), lambda: gzip.compress(b'["' + ZEROS + b'"]')),
    "utf-16": (FileFormat(encoding="utf-16"), lambda: gzip.compress(("id\n" * (1 << 21)).encode("utf-16"))),
    "rows": (PARQUET, lambda: parquet(pa.table({"id": pa.array(np.ones(5_000_000, dtype="i8"))}))),
    "no values": (PARQUET, lambda: parquet(pa.table({"id": pa.nulls(5_000_000, pa.int64())}))),
    "zstd pages": (PARQUET, lambda: parquet(pa.table({"x": ["0" * (8 << 20)]}), compression="zstd")),
    "gzip pages": (PARQUET, lambda: parquet(pa.table({"x": [ZEROS]}), compression="gzip", use_dictionary=False)),
    "words": (PARQUET, lambda: parquet(pa.table({"x": repeated("y" * 60_000, 1_000)}), compression="zstd")),
    "words behind none": (PARQUET, lambda: parquet(pa.table({"x": behind_none("y" * 60_000)}), compression="zstd")),
    "words in lists": (
        PARQUET,
        lambda: parquet(
            pa.table({"x": pa.ListArray.from_arrays([0, 500, 1_000], repeated("y" * 60_000, 1_000))}),
            compression="zstd",
        ),
    ),
    "words in structs": (
        PARQUET,
        lambda: parquet(
            pa.table({"x": pa.StructArray.from_arrays([repeated("y" * 60_000, 1_000)], ["a"])}), compression="zstd"
        ),
    ),
    "prefixes": (
        PARQUET,
        lambda: parquet(
            pa.table({"x": ["y" * 20_000] * 1_000}),
            use_dictionary=False,
            column_encoding={"x": "DELTA_BYTE_ARRAY"},
            compression="none",
        ),
    ),
    "fixed lengths": (
        PARQUET,
        lambda: parquet(pa.table({"x": pa.array([b"y" * 60_000] * 1_000, pa.binary(60_000))}), compression="zstd"),
    ),
    "parquet in gzip": (
        PARQUET,
        lambda: gzip.compress(parquet(pa.table({"x": ["0" * (8 << 20)]}), compression="none")),
    ),
    "parquet in zip": (
        PARQUET,
        lambda: zipped({f"{n}.parquet": parquet(pa.table({"x": repeated("y" * 60_000, 60)})) for n in range(20)}),
    ),
    "tar in gzip": (FileFormat(), lambda: gzip.compress(tarred({"o.csv": ZEROS}))),
    "tar of what is skipped": (
        FileFormat(members=("*.csv",)),
        lambda: zstandard.compress(tarred({"o.txt": ZEROS, "o.csv": b"1"})),
    ),
    "gzip in tar": (FileFormat(), lambda: tarred({"o.csv.gz": gzip.compress(ZEROS)})),
    "cells": (XLSX, lambda: sheet("<row><c><v>1</v></c><c><v>1</v></c></row>" * 40_000)),
    "no cells": (XLSX, lambda: sheet("<row/>" * 200_000)),
    "one text of many cells": (
        XLSX,
        lambda: sheet(f"<row>{REPEATED_TEXT}</row>" * 100, texts=f"<si><t>{'y' * 30_000}</t></si>"),
    ),
    "texts": (XLSX, lambda: sheet("<row/>", texts="<si><t>abc</t></si>" * 60_000)),
    "xlsx in zip": (XLSX, lambda: zipped({"a.xlsx": sheet("<row><c><v>1</v></c></row>" * 50_000)})),
    "deflate in avro": (AVRO, lambda: avro(record(("x", "string")), [{"x": "0" * (8 << 20)}], "deflate")),
    "rows of nothing in avro": (AVRO, lambda: by_hand(record(("x", "null")), [Block(5_000_000, b"")])),
    "many columns of nothing in avro": (
        AVRO,
        lambda: by_hand(record(*((f"c{n}", "null") for n in range(1_000))), [Block(5_000, b"")]),
    ),
    "avro in gzip": (AVRO, lambda: gzip.compress(avro(record(("x", "bytes")), [{"x": ZEROS}]))),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_by_ratio_and_by_size_with_the_setting_that_says_so(bomb: str, tmp_path: Path) -> None:
    fmt, make = BOMBS[bomb]
    data = make()
    with pytest.raises(BadFile) as by_ratio:
        tried(data, fmt, tmp_path)
    assert by_ratio.value.reason is Reason.TOO_LARGE
    assert str(by_ratio.value).startswith(f"{ORIGIN}")
    assert f"over 50 times the {len(data):,} that were delivered" in str(by_ratio.value)
    assert "raise ratio in the feed's limits" in str(by_ratio.value)
    with pytest.raises(BadFile, match="raise unpacked in the feed's limits") as by_size:
        tried(data, fmt, tmp_path, Limits(unpacked=1 << 17))
    assert "128KB are allowed" in str(by_size.value)


def test_what_a_delivered_file_comes_to_is_held_against_what_was_delivered_not_against_a_layer_of_it(
    tmp_path: Path,
) -> None:
    inner = gzip.compress(ZEROS)
    within = Limits(ratio=len(ZEROS) / len(inner) + 1, ratio_from=1)
    tried(inner, FileFormat(), tmp_path, within)
    (tmp_path / "again").mkdir()
    with pytest.raises(BadFile, match=r"over .* times the 500 that were delivered"):
        tried(inner, FileFormat(), tmp_path / "again", within, received=500)


LINES = b"id\n" * 100
ROWS: dict[str, tuple[FileFormat, bytes]] = {
    "csv": (FileFormat(), LINES),
    "csv of an old Mac": (FileFormat(), LINES.replace(b"\n", b"\r")),
    "gzip": (FileFormat(), gzip.compress(LINES)),
    "zip": (FileFormat(), zipped({"a.csv": LINES[:150], "b.csv": LINES[150:]})),
    "ndjson": (FileFormat(kind="ndjson"), b"{}\n" * 100),
    "json": (FileFormat(kind="json"), json.dumps([{}] * 100).encode()),
    "parquet": (PARQUET, parquet(pa.table({"id": range(100)}))),
    "parquets": (PARQUET, zipped({n: parquet(pa.table({"id": range(50)})) for n in "ab"})),
    "tar": (FileFormat(), tarred({"a.csv": LINES[:150], "b.csv": LINES[150:]})),
    "xlsx": (XLSX, sheet("<row><c><v>1</v></c></row>" * 100)),
    "avro": (AVRO, avro(record(("id", "int")), [{"id": n} for n in range(100)], "deflate")),
}


@pytest.mark.parametrize("kind", ROWS)
def test_too_many_rows_are_refused_in_every_format(kind: str, tmp_path: Path) -> None:
    fmt, data = ROWS[kind]
    tried(data, fmt, tmp_path, Limits(rows=100))
    (tmp_path / "again").mkdir()
    with pytest.raises(BadFile, match="has 100 rows or more, and 99 are allowed") as refused:
        tried(data, fmt, tmp_path / "again", Limits(rows=99))
    assert refused.value.reason is Reason.TOO_LARGE
    assert "raise rows in the feed's limits" in str(refused.value)


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"id": range(50_000), "name": [f"name {n % 700}" for n in range(50_000)]}),
        pa.table({"tags": [[f"tag {n % 9}", "all"] for n in range(50_000)], "id": range(50_000)}),
        pa.table({"id": range(50_000), "none": pa.nulls(50_000, pa.string())}),
    ],
    ids=["words", "lists", "no values"],
)
@pytest.mark.parametrize("options", [{}, {"use_dictionary": False}, {"version": "1.0", "data_page_version": "2.0"}])
def test_parquet_that_is_no_bomb_is_read_and_counted(table: pa.Table, options: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "file.parquet"
    file.write_bytes(parquet(table, **options))
    budget = Budget(ORIGIN, file.stat().st_size)
    check_parquet(file, ORIGIN, budget, alone=False)
    assert budget.rows == 50_000
    assert budget.unpacked >= 50_000 * 16 * 2


def test_texts_of_a_dictionary_are_counted_by_their_own_lengths(tmp_path: Path) -> None:
    file = tmp_path / "file.parquet"
    words = ["a", "b" * 99_999]
    indices = np.zeros(100_000, dtype="i4")
    indices[7] = 1
    table = pa.table({"x": pa.DictionaryArray.from_arrays(pa.array(indices), pa.array(words)), "id": range(100_000)})
    file.write_bytes(parquet(table))
    budget = Budget(ORIGIN, file.stat().st_size)
    check_parquet(file, ORIGIN, budget)
    assert 199_998 <= budget.unpacked - 2 * 16 * 100_000 < 400_000


def varint(value: int, size: int = 0) -> bytes:
    """A number of the Thrift compact protocol, in as many bytes as are wanted."""
    parts = []
    while value or len(parts) < max(size, 1):
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts[:-1], parts[-1] & 0x7F])


def with_footer_that_says(data: bytes, true: int, said: int) -> bytes:
    """The same Parquet, whose footer has another number in the place of a true one."""
    begin = len(data) - 8 - struct.unpack("<I", data[-8:-4])[0]
    spelled = varint(2 * true)
    assert spelled in data[begin:]
    return data[:begin] + data[begin:].replace(spelled, varint(2 * said, len(spelled)))


def test_pages_count_for_what_they_are_whatever_the_footer_says(tmp_path: Path) -> None:
    data = parquet(pa.table({"x": ["0" * (8 << 20)]}), compression="zstd", use_dictionary=False)
    group = pq.read_metadata(io.BytesIO(data)).row_group(0)
    harmless = with_footer_that_says(data, group.column(0).total_uncompressed_size, 700)
    assert pq.read_metadata(io.BytesIO(harmless)).row_group(0).total_byte_size == 700
    with pytest.raises(BadFile, match="raise ratio in the feed's limits"):
        tried(harmless, PARQUET, tmp_path)


@pytest.mark.parametrize("said", [10, 1_040_000])
def test_a_footer_that_says_another_number_of_rows_than_its_pages_is_damaged(said: int, tmp_path: Path) -> None:
    table = pa.table({"id": pa.array(np.ones(1_000_000, dtype="i8"))})
    data = parquet(table, row_group_size=2_000_000)
    with pytest.raises(BadFile, match="its footer does not fit its pages") as refused:
        tried(with_footer_that_says(data, 1_000_000, said), PARQUET, tmp_path, Limits())
    assert refused.value.reason is Reason.DAMAGED


def test_columns_that_lie_on_top_of_each_other_are_damaged(tmp_path: Path) -> None:
    table = pa.table({"a": range(1_000), "b": range(1_000)})
    data = parquet(table, use_dictionary=False, compression="none")
    first, second = (pq.read_metadata(io.BytesIO(data)).row_group(0).column(n) for n in (0, 1))
    twice = with_footer_that_says(data, second.data_page_offset, first.data_page_offset)
    with pytest.raises(BadFile, match="its footer does not fit its pages"):
        tried(twice, PARQUET, tmp_path, Limits())


@pytest.mark.parametrize("header", [b"", b"\x15", b"\x15\x00\x15\x01\x15\x00\x00", b"\xff" * 40, b"\x1c" * 40])
def test_bytes_that_are_no_page_header_are_told(header: bytes) -> None:
    with pytest.raises(BadPage):
        list(pages(header, 0, len(header) or 1))


def test_a_file_with_damage_anywhere_is_read_or_refused(tmp_path: Path) -> None:
    """Nothing but a BadFile comes of a byte that has changed."""
    data = parquet(pa.table({"id": range(50), "x": ["a", "b"] * 25}), compression="zstd")
    for place in range(4, len(data) - 4, 3):
        changed = bytearray(data)
        changed[place] ^= 0xFF
        try:
            tried(bytes(changed), PARQUET, tmp_path)
        except BadFile as e:
            assert e.reason in (Reason.DAMAGED, Reason.LAYOUT, Reason.TOO_LARGE)


def test_a_footer_that_would_not_fit_memory_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "file.parquet"
    with file.open("wb") as sparse:
        sparse.write(b"PAR1")
        sparse.truncate(100 << 20)
        sparse.seek(0, io.SEEK_END)
        sparse.write(struct.pack("<I", 99 << 20) + b"PAR1")
    with pytest.raises(BadFile, match=r"has a footer of 103,809,024 bytes") as refused:
        unpack(file, ORIGIN, PARQUET, tmp_path, 0)
    assert refused.value.reason is Reason.TOO_LARGE


def test_a_zip_of_too_many_members_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for n in range(MOST_MEMBERS + 1):
            archive.writestr(f"{n}.csv", b"")
    with pytest.raises(BadFile, match="is a zip of 10,001 files, and at most 10,000 are read"):
        tried(buffer.getvalue(), FileFormat(), tmp_path)


def test_a_list_of_members_that_would_not_fit_memory_is_not_read(tmp_path: Path) -> None:
    directory = zipped({"o.csv": b"1\n"})
    size = LARGEST_DIRECTORY + 1
    end = bytearray(directory[-22:])
    end[12:16] = struct.pack("<I", size)
    with pytest.raises(BadFile, match="list of members of 8,388,609 bytes") as refused:
        tried(directory[:-22] + bytes(size) + bytes(end), FileFormat(), tmp_path)
    assert refused.value.reason is Reason.TOO_LARGE


def test_a_block_of_avro_is_unpacked_no_further_than_a_block_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the limits of the feed are: a reader holds all of it."""
    assert avro_blocks.LARGEST_BLOCK == 64 << 20
    monkeypatch.setattr(avro_blocks, "LARGEST_BLOCK", 16 << 20)
    for codec in ("deflate", "snappy", "zstandard", "bzip2", "xz"):
        huge = by_hand(record(("x", "bytes")), [Block(1, bytes((16 << 20) + 1))], codec)
        with pytest.raises(BadFile, match="a block of more than 16,777,216 bytes") as refused:
            tried(huge, AVRO, tmp_path, Limits())
        assert refused.value.reason is Reason.TOO_LARGE


def test_avro_that_says_more_than_there_is_allocates_nothing(tmp_path: Path) -> None:
    for content in (written(1 << 40) + b"abc", written(1 << 62)):
        with pytest.raises(BadFile, match="damaged Avro"):
            tried(by_hand(record(("x", "string")), [Block(1, content)]), AVRO, tmp_path, Limits())


XML: dict[str, tuple[bytes, Reason]] = {
    "entities": (sheet('<!DOCTYPE a [<!ENTITY b "c">]><row/>'), Reason.DAMAGED),
    "levels": (sheet("<a>" * 200 + "</a>" * 200), Reason.UNSAFE_ARCHIVE),
    "tag": (sheet(f'<row a="{"b" * (3 << 20)}"/>'), Reason.UNSAFE_ARCHIVE),
    "text": (sheet(f'<row><c t="str"><v>{"b" * (3 << 20)}</v></c></row>'), Reason.TOO_LARGE),
    "shared text": (sheet("<row/>", texts=f"<si><t>{'b' * (3 << 20)}</t></si>"), Reason.TOO_LARGE),
}


@pytest.mark.parametrize("what", XML)
def test_xml_of_a_workbook_that_is_made_to_fill_memory_is_not_read(what: str, tmp_path: Path) -> None:
    data, reason = XML[what]
    with pytest.raises(BadFile) as refused:
        tried(data, XLSX, tmp_path, Limits())
    assert refused.value.reason is reason


def test_a_workbook_that_declares_entities_is_refused(tmp_path: Path) -> None:
    def declaring(xml: bytes) -> bytes:
        return b'<!DOCTYPE w [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>' + xml

    data = changed(sheet("<row/>"), "xl/worksheets/sheet1.xml", declaring)
    with pytest.raises(BadFile, match="declares a type of document"):
        tried(data, XLSX, tmp_path, Limits())


def test_texts_of_a_workbook_that_would_not_fit_memory_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbooks, "LARGEST_TEXTS", 1 << 20)
    with pytest.raises(BadFile, match="whose texts take more than 1,048,576 bytes") as refused:
        tried(sheet("<row/>", texts="<si><t>abc</t></si>" * 20_000), XLSX, tmp_path, Limits())
    assert refused.value.reason is Reason.TOO_LARGE


def test_a_row_of_which_each_cell_is_one_long_text_is_not_written_out(tmp_path: Path) -> None:
    row = f"<row>{REPEATED_TEXT * 1_600}</row>"
    with pytest.raises(BadFile, match="row 1 of a sheet has more than 67,108,864 characters") as refused:
        tried(sheet(row, texts=f"<si><t>{'y' * 1_000_000}</t></si>"), XLSX, tmp_path, Limits(ratio=10**9))
    assert refused.value.reason is Reason.TOO_LARGE


def test_a_tar_that_says_more_than_there_is_is_truncated(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="truncated tar"):
        tried(entry("a.csv", b"0", 1 << 33) + b"1\n" * 256 + END, FileFormat(), tmp_path, Limits())


def test_a_disk_is_not_filled_to_its_last_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "_SPARE", 1 << 60)
    disk = tmp_path / "work"
    disk.mkdir()
    budgets.require_room(disk, 1, ORIGIN)
    with pytest.raises(EnvironmentFailure, match=f"{ORIGIN}: the local disk of {disk} has .* bytes free"):
        budgets.require_room(disk, 1 << 59, ORIGIN)


@pytest.fixture(scope="module")
def workshop() -> Iterator[Workshop]:
    with Workshop.open() as workshop:
        yield workshop


@pytest.fixture(scope="module")
def us(workshop: Workshop) -> Partner:
    return workshop.partner("us")


HUGE = 80 << 20


@pytest.fixture(scope="module")
def message(workshop: Workshop, us: Partner) -> bytes:
    """Unsigned, and a few hundred bytes: gpg packs what is packed already once more."""
    return workshop.encrypt(bytes(HUGE), us, compress="bzip2")


def test_an_openpgp_bomb_is_refused_while_it_is_decrypted_signed_or_not(
    workshop: Workshop, us: Partner, message: bytes, tmp_path: Path
) -> None:
    assert len(message) < 2_000
    source, target = tmp_path / "message", tmp_path / "plain"
    source.write_bytes(message)
    for allow_unsigned in (False, True):
        with gpg_home([Key("ours", us.private.encode(), None)]) as home, pytest.raises(BadFile) as refused:
            decrypt(source, target, home, SignaturePolicy(frozenset(), allow_unsigned), ORIGIN)
        assert refused.value.reason is Reason.TOO_LARGE
        found = int(str(refused.value).split("comes to ")[1].split()[0].replace(",", ""))
        assert found < (64 << 20) + (1 << 17)
        assert f"the {len(message):,} that were delivered" in str(refused.value)
        assert [path.name for path in tmp_path.iterdir()] == ["message"]


@pytest.mark.parametrize("pack", [gzip.compress, lambda data: zipped({"o.csv": data})], ids=["gzip", "zip"])
def test_a_bomb_within_openpgp_is_refused(
    pack: Callable[[bytes], bytes], workshop: Workshop, us: Partner, tmp_path: Path
) -> None:
    (tmp_path / "message").write_bytes(workshop.encrypt(pack(ZEROS), us))
    with gpg_home([Key("ours", us.private.encode(), None)]) as home:
        policy = SignaturePolicy(frozenset(), allow_unsigned=True)
        decrypt(tmp_path / "message", tmp_path / "plain", home, policy, ORIGIN, limits=TIGHT)
    received = (tmp_path / "message").stat().st_size
    with pytest.raises(BadFile, match=f"the {received:,} that were delivered"):
        tried((tmp_path / "plain").read_bytes(), FileFormat(), tmp_path, TIGHT, received)


def test_bzip2_is_not_read_at_all(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="is bzip2, which is not read here"):
        tried(bz2.compress(ZEROS), FileFormat(), tmp_path)


MEASURED = """
import pickle, sys
from pathlib import Path
from adplatform.files.bad_file import BadFile
from adplatform.files.unpack import unpack
def peak():
    # Not ru_maxrss: it would begin with that of the process that started this one.
    return int(next(l for l in Path("/proc/self/status").read_text().splitlines() if l.startswith("VmHWM:")).split()[1])
first, path, fmt, work = pickle.load(sys.stdin.buffer)
unpack(first, "s3://raw/small", fmt, work, 0)
before = peak()
try:
    unpack(path, "s3://raw/large", fmt, work, 0)
    print("read")
except BadFile as e:
    print(e.reason, peak() - before)
"""


@pytest.mark.parametrize(
    "make",
    [
        lambda: pa.table({f"c{n}": pa.array(np.ones(5_000_000, dtype="i8")) for n in range(4)}),
        lambda: pa.table({"x": repeated("y" * (1 << 20), 500_000)}),
        pytest.param(lambda: pa.table({"x": pa.array(["y" * (96 << 20)])}), marks=pytest.mark.slow),
    ],
    ids=["rows", "words", "page"],
)
def test_memory_does_not_grow_with_what_a_parquet_bomb_stands_for(make: Callable[[], pa.Table], tmp_path: Path) -> None:
    first, bomb = tmp_path / "small.parquet", tmp_path / "bomb.parquet"
    pq.write_table(pa.table({"x": repeated("a", 9)}), first)
    pq.write_table(make(), bomb, compression="zstd", use_dictionary=True, write_statistics=False)
    assert bomb.stat().st_size < 600_000
    work = pickle.dumps((first, bomb, PARQUET, tmp_path))
    run = subprocess.run([sys.executable, "-c", MEASURED], input=work, stdout=subprocess.PIPE, check=True)
    reason, grown = run.stdout.split()
    assert reason == b"too_large"
    assert int(grown) < 60 << 10
