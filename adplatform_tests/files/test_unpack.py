"""Compression, archives and containers: what is inside comes out unchanged, or is refused without a trace."""

import bz2
import gzip
import io
import lzma
import os
import stat
import struct
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.limits import Limits
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.input_file import InputFile
from adplatform.files.unpack import unpack

ORIGIN = "s3://raw/partner/orders/orders.csv"
ROWS = b"id,amount\n" + b"".join(b"%d,%d.50\n" % (i, i * 7) for i in range(5_000))
CSV = FileFormat()
LIMITS = Limits()


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


class Desk:
    """A delivered file outside of ``work``, and what unpacking makes of it."""

    def __init__(self, tmp_path: Path) -> None:
        self.delivered = tmp_path / "delivered.bin"
        self.work = tmp_path / "work"
        self.work.mkdir()

    def unpack(self, data: bytes, fmt: FileFormat = CSV, limits: Limits = LIMITS) -> tuple[InputFile, ...]:
        self.delivered.write_bytes(data)
        files = unpack(self.delivered, ORIGIN, fmt, self.work, 3, limits)
        left = set(self.work.iterdir())
        assert left == {file.path for file in files} - {self.delivered}
        return files

    def content(self, data: bytes, fmt: FileFormat = CSV) -> bytes:
        (file,) = self.unpack(data, fmt)
        return file.path.read_bytes()

    def refusal(self, data: bytes, fmt: FileFormat = CSV, limits: Limits = LIMITS) -> BadFile:
        with pytest.raises(BadFile) as failure:
            self.unpack(data, fmt, limits)
        assert list(self.work.iterdir()) == []
        assert self.delivered.read_bytes() == data
        return failure.value


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_plain_file_stays_where_it_is(desk: Desk) -> None:
    assert desk.unpack(ROWS) == (InputFile(desk.delivered, ORIGIN, 3),)


def test_utf8_that_is_broken_is_left_to_the_transform(desk: Desk) -> None:
    assert desk.unpack(b"id\n\xff\n") == (InputFile(desk.delivered, ORIGIN, 3),)


def test_zero_bytes_are_no_file(desk: Desk) -> None:
    empty: tuple[bytes, ...] = (
        b"",
        gzip.compress(b""),
        zstd(b""),
        zipped({"a.csv": b""}),
        gzip.compress(b"\xef\xbb\xbf"),
    )
    for data in empty:
        assert desk.unpack(data) == ()


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(ROWS),
        gzip.compress(ROWS[:1000]) + gzip.compress(b"") + gzip.compress(ROWS[1000:]),
        gzip.compress(ROWS) + bytes(511),
        zstd(ROWS),
        zstd(ROWS[:1000]) + b"\x50\x2a\x4d\x18\x04\x00\x00\x00skip" + zstd(ROWS[1000:]),
        zipped({"orders.csv": ROWS}),
        zipped({"orders.csv": ROWS}, zipfile.ZIP_STORED),
    ],
    ids=["gzip", "gzip members", "gzip padded", "zstd", "zstd frames", "zip", "zip stored"],
)
def test_content_of_every_compression(desk: Desk, data: bytes) -> None:
    assert desk.content(data) == ROWS


@pytest.mark.parametrize("pack", [gzip.compress, zstd], ids=["gzip", "zstd"])
def test_member_of_a_zip_may_be_compressed_once_more(desk: Desk, pack: object) -> None:
    assert callable(pack)
    assert desk.content(zipped({"orders.csv.gz": pack(ROWS)})) == ROWS


def test_members_of_a_zip_come_by_name_with_their_own_origin_and_ordinal(desk: Desk) -> None:
    members = {
        "b.csv": b"b\n",
        "a/2.csv": b"2\n",
        "a/": b"",
        "a/1.csv.gz": gzip.compress(b"1\n"),
        "a/.DS_Store": b"x",
        "__MACOSX/a/._1.csv": b"x",
        "c.csv": b"",
    }
    files = desk.unpack(zipped(members))
    assert [(f.origin, f.ordinal, f.path.read_bytes()) for f in files] == [
        (f"{ORIGIN}#1", 3, b"1\n"),
        (f"{ORIGIN}#2", 4, b"2\n"),
        (f"{ORIGIN}#3", 5, b"b\n"),
    ]


def damaged(data: bytes) -> dict[str, bytes]:
    middle = bytearray(data)
    middle[len(data) // 2] ^= 0x55
    return {
        "half": data[: len(data) // 2],
        "one byte short": data[:-1],
        "header only": data[:6],
        "flipped": bytes(middle),
    }


@pytest.mark.parametrize("damage", ["half", "one byte short", "header only", "flipped"])
@pytest.mark.parametrize(
    "data", [gzip.compress(ROWS), zstd(ROWS), zipped({"o.csv": ROWS})], ids=["gzip", "zstd", "zip"]
)
def test_damaged_file_is_refused(desk: Desk, data: bytes, damage: str) -> None:
    assert desk.refusal(damaged(data)[damage]).reason is Reason.DAMAGED


@pytest.mark.parametrize("damage", ["half", "one byte short", "flipped"])
def test_damaged_gzip_in_a_good_zip_is_refused_and_its_good_neighbour_too(desk: Desk, damage: str) -> None:
    archive = zipped({"a.csv": ROWS, "b.csv.gz": damaged(gzip.compress(ROWS))[damage]})
    failure = desk.refusal(archive)
    assert (failure.reason, failure.origin) == (Reason.DAMAGED, f"{ORIGIN}#2")


@pytest.mark.parametrize("tail", [b"g", b"garbage", bytes(20) + b"g", b"\x1f\x8b"])
def test_garbage_after_a_gzip_or_zstd_stream_is_refused(desk: Desk, tail: bytes) -> None:
    for data in (gzip.compress(ROWS), zstd(ROWS)):
        assert desk.refusal(data + tail).reason is Reason.DAMAGED


@pytest.mark.parametrize("trailer", ["checksum", "length"])
def test_gzip_trailer_is_verified(desk: Desk, trailer: str) -> None:
    data = bytearray(gzip.compress(ROWS))
    data[-8 if trailer == "checksum" else -4] ^= 1
    assert desk.refusal(bytes(data)).reason is Reason.DAMAGED


def test_declared_compression_must_be_there(desk: Desk) -> None:
    packed = {"none": ROWS, "gzip": gzip.compress(ROWS), "zstd": zstd(ROWS), "zip": zipped({"o.csv": ROWS})}
    for declared in packed:
        for found, data in packed.items():
            fmt = FileFormat.model_validate({"compression": declared})
            if declared == found:
                assert desk.content(data, fmt) == ROWS
                for path in desk.work.iterdir():
                    path.unlink()
                continue
            failure = desk.refusal(data, fmt)
            assert failure.reason is Reason.UNEXPECTED_COMPRESSION
            assert declared in failure.message
            assert found in failure.message


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(gzip.compress(ROWS)),
        gzip.compress(zstd(ROWS)),
        zstd(gzip.compress(ROWS)),
        gzip.compress(zipped({"o.csv": ROWS})),
        zipped({"o.zip": zipped({"o.csv": ROWS})}),
        zipped({"o.csv.gz": gzip.compress(gzip.compress(ROWS))}),
    ],
    ids=["gzip gzip", "zstd in gzip", "gzip in zstd", "zip in gzip", "zip in zip", "gzip gzip in zip"],
)
def test_two_layers_are_refused(desk: Desk, data: bytes) -> None:
    assert desk.refusal(data).reason is Reason.UNEXPECTED_COMPRESSION


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (lzma.compress(ROWS), "xz"),
        (bz2.compress(ROWS), "bzip2"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(40), "7-Zip"),
        (zipped({"[Content_Types].xml": b"<x/>", "word/document.xml": b"<x/>"}), "Office"),
        (zipped({"[Content_Types].xml": b"<x/>", "xl/workbook.bin": b"<x/>"}), "xlsb"),
        (zipped({"mimetype": b"x", "content.xml": b"<x/>"}), "OpenDocument"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(40), ".xls"),
        (zipped({"o.csv": ROWS}, zipfile.ZIP_BZIP2), "method 12"),
        (gzip.compress(lzma.compress(ROWS)), "xz"),
    ],
)
def test_containers_that_nothing_reads_are_named(desk: Desk, data: bytes, name: str) -> None:
    failure = desk.refusal(data)
    assert failure.reason is Reason.UNSUPPORTED
    assert name in failure.message


@pytest.mark.parametrize(
    "data",
    [b"\xef\xbb\xbf-----BEGIN PGP MESSAGE-----\n\n", b"\x84\x5e\x03" + os.urandom(100), b"\xa3\x02" + bytes(50)],
    ids=["armour", "binary", "compressed packet"],
)
def test_encrypted_file_of_a_feed_without_pgp_or_encrypted_twice_is_reported(desk: Desk, data: bytes) -> None:
    for wrapped in (data, gzip.compress(data), zipped({"o.csv.pgp": data})):
        assert desk.refusal(wrapped).reason is Reason.ENCRYPTED


@pytest.mark.parametrize("name", ["../o.csv", "a/../../o.csv", "/etc/passwd", "C:\\o.csv", "..\\o.csv", "\\o.csv"])
def test_member_that_points_outside_is_refused(desk: Desk, name: str) -> None:
    assert desk.refusal(zipped({"a.csv": ROWS, name: ROWS})).reason is Reason.UNSAFE_ARCHIVE


def test_link_in_an_archive_is_data_and_never_followed(desk: Desk) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        link = zipfile.ZipInfo("o.csv")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    assert desk.content(buffer.getvalue()) == b"/etc/passwd"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(desk: Desk) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("o.csv", b"1")
        archive.writestr("o.csv", b"2")
    assert desk.refusal(buffer.getvalue()).reason is Reason.UNSAFE_ARCHIVE


def patched(archive: bytes, central_offset: int, local_offset: int, value: int) -> bytes:
    """The same two-byte field changed in the central directory and in the local header of a one-member archive."""
    data = bytearray(archive)
    struct.pack_into("<H", data, archive.index(b"PK\x01\x02") + central_offset, value)
    struct.pack_into("<H", data, archive.index(b"PK\x03\x04") + local_offset, value)
    return bytes(data)


def test_zip_with_a_password_is_refused(desk: Desk) -> None:
    failure = desk.refusal(patched(zipped({"o.csv": ROWS}), 8, 6, 0x1))
    assert (failure.reason, "password" in failure.message) == (Reason.UNSUPPORTED, True)


@pytest.mark.parametrize("method", [9, 93, 98])
def test_zip_methods_beyond_deflate_are_refused(desk: Desk, method: int) -> None:
    failure = desk.refusal(patched(zipped({"o.csv": ROWS}), 10, 8, method))
    assert (failure.reason, f"method {method}" in failure.message) == (Reason.UNSUPPORTED, True)


def test_zip_without_a_data_file_is_refused(desk: Desk) -> None:
    for members in ({}, {"a/": b""}, {".hidden": b"x"}):
        assert desk.refusal(zipped(members)).reason is Reason.LAYOUT


def test_data_file_whose_name_was_damaged_into_clutter_is_not_skipped(desk: Desk) -> None:
    archive = zipped({"data.csv": ROWS, "other.csv": ROWS})
    central = archive.index(b"PK\x01\x02")
    for name in (b".ata.csv", b"data.cs/"):
        at = archive.index(b"data.csv", central)
        assert desk.refusal(archive[:at] + name + archive[at + 8 :]).reason is Reason.DAMAGED


def test_member_that_vanished_from_a_damaged_directory_is_missed(desk: Desk) -> None:
    archive = bytearray(zipped({"a.csv": ROWS, "b.csv": ROWS}))
    struct.pack_into("<H", archive, archive.index(b"PK\x01\x02") + 32, 51)  # its comment now covers the next entry
    with zipfile.ZipFile(io.BytesIO(bytes(archive))) as seen:
        assert seen.namelist() == ["a.csv"]
    assert desk.refusal(bytes(archive)).reason is Reason.DAMAGED


@pytest.mark.slow
def test_zip_of_more_members_than_the_old_format_counts(desk: Desk) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("data.csv", ROWS)
        for i in range(65_600):
            archive.writestr(f"{i}/", b"")
    assert desk.content(buffer.getvalue()) == ROWS


@pytest.mark.parametrize(
    "data",
    [gzip.compress(b"0" * (8 << 20)), zstd(b"0" * (8 << 20)), zipped({"o.csv": b"0" * (8 << 20)})],
    ids=["gzip", "zstd", "zip"],
)
def test_bomb_is_refused_by_size_and_by_ratio(desk: Desk, data: bytes) -> None:
    by_size = desk.refusal(data, limits=Limits(unpacked=4 << 20))
    by_ratio = desk.refusal(data, limits=Limits(ratio=100, ratio_from=1 << 20))
    assert (by_size.reason, by_ratio.reason) == (Reason.TOO_LARGE, Reason.TOO_LARGE)
    assert len(desk.unpack(data, limits=Limits(ratio=1, ratio_from=8 << 20))) == 1


BIG = b"id,amount\n" + b"1,2.50\n" * (6 << 20 >> 3)
"""Of a size that is decompressed ahead of whoever writes it, when it is packed as it is."""


@pytest.mark.parametrize(
    "data", [gzip.compress(BIG, 0), zipped({"o.csv": BIG}, zipfile.ZIP_STORED)], ids=["gzip", "zip"]
)
def test_large_file_is_whole_or_refused(desk: Desk, data: bytes) -> None:
    assert len(data) > 5 << 20
    assert desk.content(data) == BIG
    for path in desk.work.iterdir():
        path.unlink()
    for damage in ("half", "one byte short", "flipped"):
        assert desk.refusal(damaged(data)[damage]).reason is Reason.DAMAGED
    assert desk.refusal(data, limits=Limits(unpacked=2 << 20)).reason is Reason.TOO_LARGE
    assert desk.refusal(data, limits=Limits(rows=1000)).reason is Reason.TOO_LARGE


def test_bomb_of_many_small_members_is_refused(desk: Desk) -> None:
    archive = zipped({f"{i}.csv": b"0" * (1 << 20) for i in range(8)})
    assert desk.refusal(archive, limits=Limits(unpacked=4 << 20)).reason is Reason.TOO_LARGE


def test_gzip_bomb_inside_a_zip_is_refused(desk: Desk) -> None:
    archive = zipped({"o.csv.gz": gzip.compress(b"0" * (64 << 20))})
    assert desk.refusal(archive, limits=Limits(unpacked=4 << 20)).reason is Reason.TOO_LARGE


def parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": [1, 2, 3]}), sink)
    return sink.getvalue()


def test_parquet_passes_as_it_is(desk: Desk) -> None:
    fmt = FileFormat(kind="parquet")
    assert desk.unpack(parquet(), fmt) == (InputFile(desk.delivered, ORIGIN, 3),)
    assert desk.content(gzip.compress(parquet()), fmt) == parquet()


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_what_is_not_whole_parquet_is_refused(desk: Desk, pack: object) -> None:
    assert callable(pack)
    fmt = FileFormat(kind="parquet")
    assert desk.refusal(pack(parquet()[:-1]), fmt).reason is Reason.DAMAGED
    assert desk.refusal(pack(b"PAR1"), fmt).reason is Reason.DAMAGED
    assert desk.refusal(pack(ROWS), fmt).reason is Reason.LAYOUT
    assert desk.refusal(pack(parquet())).reason is Reason.LAYOUT


@pytest.mark.parametrize("kind", ["csv", "ndjson", "json"])
def test_binary_data_is_no_text(desk: Desk, kind: str) -> None:
    damaged_magic = b"\x1e" + gzip.compress(ROWS, mtime=0)[1:]
    assert desk.refusal(damaged_magic, FileFormat.model_validate({"kind": kind})).reason is Reason.LAYOUT


def test_unpacking_again_over_an_earlier_attempt_gives_the_same(desk: Desk) -> None:
    first = desk.unpack(gzip.compress(ROWS))
    assert desk.unpack(gzip.compress(ROWS)) == first
