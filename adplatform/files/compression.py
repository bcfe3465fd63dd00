"""Streams out of gzip, zstd and zip, with every checksum they carry verified. Nothing here holds more than a chunk.

DuckDB reads gzip without looking at its checksum, so a damaged file would be read as other data.
"""

import errno
import gzip
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

from isal import igzip, isal_zlib

from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.magic import HEAD, Compression, compression_of

CHUNK = 1 << 20
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_ISAL_ERROR = cast("type[Exception]", isal_zlib.IsalError)  # its stubs call the class an instance
_DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error, _ISAL_ERROR)
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


def _gunzip(file: IO[bytes], origin: str) -> Iterator[bytes]:
    try:
        with igzip.IGzipFile(fileobj=file, mode="rb") as stream:
            yield from chunks_of(stream)
    except _DAMAGED as e:
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


def zip_members(archive: zipfile.ZipFile, origin: str) -> list[zipfile.ZipInfo]:
    """The data files of an archive by name, without directories, ``__MACOSX`` and dot files.

    Raises:
        BadFile: a name is absolute, leaves the archive or stands twice; a member is encrypted or compressed by anything
            but deflate; there are too many; or the archive is an Office document.
    """
    members = sorted(archive.infolist(), key=lambda member: member.filename)
    names = [member.filename for member in members]
    if "[Content_Types].xml" in names:
        raise BadFile(origin, Reason.UNSUPPORTED, "is an Office document; ask for CSV")
    if len(set(names)) != len(names):
        raise BadFile(origin, Reason.UNSAFE_ARCHIVE, "holds two members of one name")
    for member in members:
        _check_member(archive, member, origin)
    files = [member for member in members if not _is_clutter(member.filename)]
    if len(files) > MOST_MEMBERS:
        raise BadFile(
            origin,
            Reason.TOO_LARGE,
            f"is a zip of {len(files):,} files, and at most {MOST_MEMBERS:,} are read; ask for several zips",
        )
    return files


def _check_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, origin: str) -> None:
    name = PurePosixPath(member.filename.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or ":" in "".join(name.parts[:1]):
        raise BadFile(origin, Reason.UNSAFE_ARCHIVE, "holds a member whose name points outside the archive")
    if member.flag_bits & _ENCRYPTED_FLAGS:
        raise BadFile(
            origin, Reason.UNSUPPORTED, "is a zip with a password; ask for a plain zip inside an OpenPGP message"
        )
    if member.compress_type not in _METHODS:
        raise BadFile(
            origin, Reason.UNSUPPORTED, f"holds a member of zip method {member.compress_type}; ask for deflate"
        )
    if member.is_dir() and member.file_size:
        raise BadFile(origin, Reason.DAMAGED, "holds a directory with content; ask for the file again")
    # A changed name could make a data file look like clutter; opening compares it with the member's own header.
    with _zip_damage(origin):
        archive.open(member).close()


def _is_clutter(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return name.endswith("/") or "__MACOSX" in parts or parts[-1].startswith(".")


def member_content(archive: zipfile.ZipFile, member: zipfile.ZipInfo, origin: str) -> Iterator[bytes]:
    """The content of a member, of which the gzip or zstd layer is taken off too if it has one.

    Raises:
        BadFile: truncated or changed (length and CRC-32 are verified), or a zip inside the zip.
    """
    with _zip_damage(origin):
        with archive.open(member) as stream:
            inner = compression_of(stream.read(HEAD))
        if inner is Compression.ZIP:
            raise BadFile(origin, Reason.UNEXPECTED_COMPRESSION, "is a zip inside a zip; ask for one zip")
        # Opened again, because going back in an open member may switch off the CRC check.
        with archive.open(member) as stream:
            yield from decompressed(stream, inner, origin)


@contextmanager
def _zip_damage(origin: str) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError, ValueError, struct.error, OSError) as e:
        if isinstance(e, OSError) and e.errno != errno.EINVAL:  # a seek to an impossible place is damage too
            raise
        raise BadFile(origin, Reason.DAMAGED, "zip archive is truncated or changed; ask for the file again") from e
