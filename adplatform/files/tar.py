"""Members of a tar, read from a stream that goes forward only, with nothing of it held but a header.

The headers are those of POSIX.1-2017 (pax, Interchange Format) and of GNU tar (Basic Tar Format), each of which the
standard library reads. It would hold the long headers whole, of any length, and follow links; so what stands around
headers is here.
"""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, NoReturn

from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.members import checked_name, is_clutter

BLOCK = 512
_PIECE = 1 << 20
_LARGEST_HEADER = 64 << 10
"""Bytes of an extended header, of which there is a name and a size to know."""
_LONGEST_NAME = 1024
_MOST_HEADERS = 50_000
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_PAX = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
_KINDS = {
    tarfile.LNKTYPE: "a link",
    tarfile.SYMTYPE: "a link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}


@dataclass(frozen=True)
class TarMember:
    """``kind`` says what it is where that is no file with content; "" for one. ``link`` is what a link leads to."""

    name: str
    kind: str
    content: Iterator[bytes]
    link: str = ""


def is_tar(head: bytes) -> bool:
    """Whether a file that begins with these bytes, a block of them, is a tar: its header has the right checksum."""
    if len(head) < BLOCK:
        return False
    try:
        tarfile.TarInfo.frombuf(head[:BLOCK], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def tar_members(file: IO[bytes], origin: str, *, clutter: bool = False) -> Iterator[TarMember]:
    """The members in the order of the archive, without folders, and without ``clutter`` unless it is wanted. What is
    not read of one's content before the next is asked for is passed over.

    Raises:
        BadFile: truncated, damaged, followed by other data, or with headers that nobody needs so long.
    """
    whole: dict[str, str] = {}
    special: dict[str, str] = {}
    for _ in range(_MOST_HEADERS):
        block = _exactly(file, BLOCK, origin)
        if not block.strip(b"\0"):
            _require_end(file, origin)
            return
        header = _header(block, origin)
        if header.type in _PAX:
            found = _pax(_long(file, header, origin), origin)
            whole, special = ({**whole, **found}, special) if header.type == tarfile.XGLTYPE else (whole, found)
            continue
        if header.type in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
            text = _long(file, header, origin).rstrip(b"\0").decode("utf-8", "surrogateescape")
            special = {**special, "path": text} if header.type == tarfile.GNUTYPE_LONGNAME else special
            continue
        said = {**whole, **special}
        special = {}
        yield from _member(file, header, said, origin, clutter=clutter)
    _refuse(origin, Reason.TOO_LARGE, f"is a tar of more than {_MOST_HEADERS:,} members; ask for several")


def _member(
    file: IO[bytes], header: tarfile.TarInfo, said: dict[str, str], origin: str, *, clutter: bool
) -> Iterator[TarMember]:
    name, size = said.get("path", header.name), header.size
    if "size" in said:
        size = int(said["size"]) if said["size"].isdecimal() and len(said["size"]) < 20 else -1
    sparse = any(key.startswith("GNU.sparse") for key in said)
    if header.type not in _FILES:
        # Of links and devices a size is that of what they stand for: no content follows (POSIX, pax, typeflag).
        size = size if header.type not in _KINDS or header.type == tarfile.GNUTYPE_SPARSE else 0
    if size < 0 or not name:
        _refuse(origin, Reason.DAMAGED, "is a damaged tar; ask for the file again")
    if len(name) > _LONGEST_NAME:
        _refuse(origin, Reason.UNSAFE_ARCHIVE, f"holds a member with a name of more than {_LONGEST_NAME:,} characters")
    checked_name(name, origin)
    content = _content(file, size, origin)
    if header.type != tarfile.DIRTYPE and not name.endswith("/") and (clutter or not is_clutter(name)):
        known = "" if header.type in _FILES else _KINDS.get(header.type, "a member of a kind that is not known here")
        yield TarMember(name, "a sparse file" if sparse else known, content, said.get("linkpath", header.linkname))
    for _ in content:
        pass
    _exactly(file, -size % BLOCK, origin)


def _content(file: IO[bytes], size: int, origin: str) -> Iterator[bytes]:
    left = size
    while left:
        yield (piece := _exactly(file, min(left, _PIECE), origin))
        left -= len(piece)


def _header(block: bytes, origin: str) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as e:
        raise BadFile(origin, Reason.DAMAGED, "is a damaged tar; ask for the file again") from e


def _long(file: IO[bytes], header: tarfile.TarInfo, origin: str) -> bytes:
    if not 0 <= header.size <= _LARGEST_HEADER:
        _refuse(origin, Reason.UNSAFE_ARCHIVE, f"is a tar with a header of more than {_LARGEST_HEADER:,} bytes")
    return _exactly(file, header.size + -header.size % BLOCK, origin)[: header.size]


def _pax(content: bytes, origin: str) -> dict[str, str]:
    """The records of an extended header: each its own length, a blank, and a name with a value."""
    records: dict[str, str] = {}
    while content.strip(b"\0"):
        length, _, rest = content.partition(b" ")
        size = int(length) if length.isdigit() and len(length) < 9 else 0
        key, equals, value = rest[: size - len(length) - 1].partition(b"=")
        if not len(length) + 1 < size <= len(content) or not equals or not value.endswith(b"\n"):
            _refuse(origin, Reason.DAMAGED, "is a damaged tar; ask for the file again")
        records[key.decode("utf-8", "surrogateescape")] = value[:-1].decode("utf-8", "surrogateescape")
        content = content[size:]
    return records


def _require_end(file: IO[bytes], origin: str) -> None:
    """Zeros follow to the end: a second tar behind the first would be lost without a word."""
    while block := file.read(_PIECE):
        if block.strip(b"\0"):
            _refuse(origin, Reason.DAMAGED, "is a tar followed by other data; ask for one archive in a file")


def _exactly(file: IO[bytes], size: int, origin: str) -> bytes:
    content = file.read(size) if size else b""
    if len(content) < size:
        _refuse(origin, Reason.DAMAGED, "is a truncated tar: it ends without the mark of its end; ask for it again")
    return content


def _refuse(origin: str, reason: Reason, message: str) -> NoReturn:
    raise BadFile(origin, reason, message)
