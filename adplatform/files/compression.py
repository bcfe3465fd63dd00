"""Streams out of gzip, zstd and zip, with every checksum they carry verified. Nothing here holds more than a chunk.

DuckDB reads gzip without looking at its checksum, so a damaged file would be read as other data.
"""

import errno
import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.magic import HEAD, Compression, compression_of
from adplatform.files.members import Members, checked_name, is_clutter

CHUNK = 1 << 20
_SMALL_CHUNK = 1 << 16
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error)
LARGEST_DIRECTORY = 8 << 20
"""Bytes of the list of members, which is held in memory as objects of several times its size."""
MOST_MEMBERS = 10_000
"""Data files of an archive."""
_END_OF_DIRECTORY = 22  # bytes, before a comment of at most 65535
_IN_ZIP64 = 0xFFFFFFFF
_ENCRYPTED_FLAGS = 0x1 | 0x40 | 0x2000  # APPNOTE.TXT 4.4.4: encrypted, strongly encrypted, encrypted directory


def decompressed(file: IO[bytes], compression: Compression, origin: str) -> Iterator[bytes]:
    """The content of a gzip or zstd stream of one or more members, or of a plain one.

    After the last gzip member zero bytes are padding; anything else is damage. A zstd frame without a checksum, which
    the ``zstd`` tool never writes but libraries may, is verified only as far as its structure goes.

    Raises:
        BadFile: truncated, changed, or followed by other data; raised at the end of the content at the latest.
    """
    match compression:
        case Compression.GZIP:
            return _gunzip(file, origin)
        case Compression.ZSTD:
            return _unzstd(file, origin)
        case _:
            return chunks_of(file)


def chunks_of(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk


class _Chunks(io.RawIOBase):
    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._left = chunks, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._left = memoryview(chunk)
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size


def file_of(chunks: Iterator[bytes]) -> IO[bytes]:
    """A file to read that has the chunks as its content; what they raise, reading it raises."""
    return io.BufferedReader(_Chunks(chunks), CHUNK)


@cache
def _gzip() -> tuple[Callable[..., Any], tuple[type[Exception], ...]]:
    """What opens gzip, and its errors: isal, or where that is not installed, as on Glue, Python's own."""
    if find_spec("isal") is None:
        return gzip.GzipFile, _DAMAGED
    from isal import igzip, isal_zlib  # noqa: PLC0415

    error: Any = isal_zlib.IsalError  # its stubs call the class an instance
    return igzip.IGzipFile, (*_DAMAGED, error)


def _gunzip(file: IO[bytes], origin: str) -> Iterator[bytes]:
    opened, damaged = _gzip()
    try:
        with opened(fileobj=file, mode="rb") as stream:
            yield from chunks_of(stream)
    except damaged as e:
        raise BadFile(
            origin, Reason.DAMAGED, "gzip data is truncated, changed or followed by other data; ask for the file again"
        ) from e


def _unzstd(file: IO[bytes], origin: str) -> Iterator[bytes]:
    # zstandard's reader takes the end of a truncated file for the end of its content; Arrow's does not.
    import pyarrow as pa  # noqa: PLC0415

    try:
        with pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd") as stream:
            yield from chunks_of(stream)
    except OSError as e:
        if e.errno is not None:
            raise
        raise BadFile(
            origin, Reason.DAMAGED, "zstd data is truncated, changed or followed by other data; ask for the file again"
        ) from e


@contextmanager
def opened_zip(path: Path, origin: str) -> Iterator[zipfile.ZipFile]:
    """The archive, for ``zip_members`` and ``member_content``.

    Raises:
        BadFile: it has no readable directory, or one that is too large.
    """
    with _zip_damage(origin):
        end = _end_of_directory(path)
        if LARGEST_DIRECTORY < end.directory <= path.stat().st_size:
            raise BadFile(
                origin,
                Reason.TOO_LARGE,
                f"is a zip with a list of members of {end.directory:,} bytes, and at most {LARGEST_DIRECTORY:,} are "
                "read; ask for fewer members",
            )
        archive = zipfile.ZipFile(path)
    with archive:
        if len(archive.infolist()) & 0xFFFF != end.entries:
            raise BadFile(origin, Reason.DAMAGED, "zip archive has lost members; ask for the file again")
        yield archive


@dataclass(frozen=True)
class _End:
    """What the end of the central directory says (APPNOTE.TXT 4.3.14, 4.3.16): how many members there are, of more than
    65,535 the rest of a division by that, and how many bytes the directory has."""

    entries: int
    directory: int


def _end_of_directory(path: Path) -> _End:
    """zipfile does not compare the number of entries, so one changed length in the directory could make a member
    vanish."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _END_OF_DIRECTORY - 0xFFFF))
        tail = file.read()
    zip64, end = tail.rfind(b"PK\x06\x06"), tail.rfind(b"PK\x05\x06")
    if end < 0:
        return _End(0, 0)
    entries, small = _number(tail, end + 10, 2), _number(tail, end + 12, 4)
    directory = small if small != _IN_ZIP64 else 0
    if zip64 < 0:
        return _End(entries, directory)
    return _End(_number(tail, zip64 + 32, 2), max(directory, _number(tail, zip64 + 40, 8)))


def _number(content: bytes, place: int, size: int) -> int:
    return int.from_bytes(content[place : place + size], "little")


def zip_members(
    archive: zipfile.ZipFile, origin: str, patterns: tuple[str, ...] = ()
) -> tuple[list[tuple[int, zipfile.ZipInfo]], Members]:
    """The files of an archive that are read, each with its place among all by name, from 1. Folders, ``__MACOSX`` and
    dot files count for nothing.

    Raises:
        BadFile: none is read; a name is absolute, leaves the archive or stands twice; one that is read is encrypted or
            compressed by anything but deflate; there are too many.
    """
    members, place = Members(origin, patterns), 0
    taken: list[tuple[int, zipfile.ZipInfo]] = []
    _require_unique(archive, origin)
    for member in sorted(archive.infolist(), key=lambda each: each.filename):
        checked_name(member.filename, origin)
        if member.is_dir() and member.file_size:
            raise BadFile(origin, Reason.DAMAGED, "holds a directory with content; ask for the file again")
        is_data = not is_clutter(member.filename)
        if is_read := is_data and members.takes(member.filename):
            _require_readable(member, origin)
        place += is_data
        # A changed name could make a data file look like another; opening compares it with the member's own header.
        with _zip_damage(origin), nullcontext() if is_read else suppress(RuntimeError):
            archive.open(member).close()
        if is_read:
            taken.append((place, member))
    members.require_some("zip")
    if len(taken) > MOST_MEMBERS:
        raise BadFile(
            origin,
            Reason.TOO_LARGE,
            f"is a zip of {len(taken):,} files, and at most {MOST_MEMBERS:,} are read; ask for several zips",
        )
    return taken, members


def _require_unique(archive: zipfile.ZipFile, origin: str) -> None:
    names = archive.namelist()
    if len(set(names)) != len(names):
        raise BadFile(origin, Reason.UNSAFE_ARCHIVE, "holds two members of one name")


def _require_readable(member: zipfile.ZipInfo, origin: str) -> None:
    if member.flag_bits & _ENCRYPTED_FLAGS:
        raise BadFile(
            origin, Reason.UNSUPPORTED, "is a zip with a password; ask for a plain zip inside an OpenPGP message"
        )
    if member.compress_type not in _METHODS:
        raise BadFile(
            origin, Reason.UNSUPPORTED, f"holds a member of zip method {member.compress_type}; ask for deflate"
        )


def zip_names(path: Path) -> frozenset[str]:
    """The names of the members of a zip; none where they cannot be read."""
    try:
        if _end_of_directory(path).directory > LARGEST_DIRECTORY:
            return frozenset()
        with zipfile.ZipFile(path) as archive:
            return frozenset(archive.namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error):
        return frozenset()


def member_content(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, origin: str, *, zipped: bool = False
) -> Iterator[bytes]:
    """The content of a member, of which the gzip or zstd layer is taken off too if it has one. It may itself be
    ``zipped``, as a workbook is.

    Raises:
        BadFile: truncated or changed (length and CRC-32 are verified), or a zip inside the zip.
    """
    with _zip_damage(origin):
        with archive.open(member) as stream:
            inner = compression_of(stream.read(HEAD))
        if inner is Compression.ZIP and not zipped:
            raise BadFile(origin, Reason.UNEXPECTED_COMPRESSION, "is a zip inside a zip; ask for one zip")
        # Opened again, because going back in an open member may switch off the CRC check.
        with archive.open(member) as stream:
            yield from decompressed(stream, inner, origin)


def part_content(archive: zipfile.ZipFile, name: str, origin: str) -> Iterator[bytes]:
    """The content of a part of a package, as it is.

    Raises:
        BadFile: it is not there, truncated or changed.
    """
    if name not in archive.NameToInfo:
        raise BadFile(origin, Reason.DAMAGED, "is a package that lacks a part; ask for the file again")
    with _zip_damage(origin), archive.open(name) as stream:
        while chunk := stream.read(_SMALL_CHUNK):
            yield chunk


@contextmanager
def _zip_damage(origin: str) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError, ValueError, struct.error, OSError) as e:
        if isinstance(e, OSError) and e.errno != errno.EINVAL:  # a seek to an impossible place is damage too
            raise
        raise BadFile(origin, Reason.DAMAGED, "zip archive is truncated or changed; ask for the file again") from e
