"""The blocks of an Avro container file (Apache Avro 1.12, Object Container Files), unpacked one by one within limits.

A codec's library unpacks a block to whatever size it has, and a reader believes how many records a block says it has;
so both are held against the limits here, before records are read.
"""

import bz2
import json
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from adplatform.files.bad_file import BadFile, Reason
from adplatform.platform.late import Late

if TYPE_CHECKING:
    import pyarrow as pa
else:
    pa = Late("pyarrow")

MAGIC = b"Obj\x01"
SYNC = 16
LARGEST_BLOCK = 64 << 20
"""Bytes, unpacked: a reader holds all of a block."""
_LARGEST_HEADER = 4 << 20
_CHECKSUM = 4
_LONGEST_NUMBER = 10
_CODECS = ("null", "deflate", "snappy", "zstandard", "bzip2", "xz")


@dataclass(frozen=True)
class Header:
    """``schema`` is JSON as it was written, ``sync`` what stands behind each block."""

    schema: Any
    codec: str
    metadata: Mapping[str, bytes]
    sync: bytes


@dataclass(frozen=True)
class Block:
    """``content`` are ``count`` records, unpacked."""

    count: int
    content: bytes


def read_header(file: IO[bytes], origin: str) -> Header:
    """
    Raises:
        BadFile: it is no Avro, damaged, or packed by a codec that is not read here.
    """
    if file.read(len(MAGIC)) != MAGIC:
        raise BadFile(origin, Reason.LAYOUT, "is no Avro container file: it does not begin with Obj and 1")
    metadata: dict[str, bytes] = {}
    left = _LARGEST_HEADER
    while count := _number(file, origin):
        if count < 0:
            _number(file, origin)
        for _ in range(abs(count)):
            name, value = _bytes(file, left, origin), _bytes(file, left, origin)
            left -= len(name) + len(value) + 2
            metadata[name.decode("utf-8", "replace")] = value
            if left < 0:
                raise damaged(origin)
    codec = metadata.get("avro.codec", b"null").decode("utf-8", "replace")
    if codec not in _CODECS:
        raise BadFile(
            origin, Reason.UNSUPPORTED, f"is Avro with codec {codec[:40]!r}; ask for one of {', '.join(_CODECS)}"
        )
    try:
        schema = json.loads(metadata.get("avro.schema", b""))
    except (ValueError, RecursionError) as e:
        raise damaged(origin) from e
    return Header(schema, codec, metadata, _exactly(file, SYNC, origin))


def read_blocks(file: IO[bytes], header: Header, origin: str, take: Callable[[int, int], None]) -> Iterator[Block]:
    """The blocks behind a header. ``take`` is asked about the rows and bytes of each before there are any, and raises
    where they are too many.

    Raises:
        BadFile: truncated or damaged; a block that is too large.
    """
    while (first := file.read(1)) != b"":
        count, size = _number(file, origin, first), _number(file, origin)
        if count < 0 or not 0 <= size <= LARGEST_BLOCK:
            raise damaged(origin) if size < 0 or count < 0 else _too_large(origin)
        take(count, 0)
        packed = _exactly(file, size, origin)
        if _exactly(file, SYNC, origin) != header.sync:
            raise damaged(origin)
        content = unpacked(packed, header.codec, origin)
        take(0, len(content))
        yield Block(count, content)


def unpacked(packed: bytes, codec: str, origin: str) -> bytes:
    """
    Raises:
        BadFile: damaged, or larger than a block may be.
    """
    try:
        content, ended = _unpacked(packed, codec, origin)
    except (zlib.error, lzma.LZMAError, OSError, ValueError, EOFError) as e:
        raise damaged(origin) from e
    if len(content) > LARGEST_BLOCK:
        raise _too_large(origin)
    if not ended:
        raise damaged(origin)
    return content


def _unpacked(packed: bytes, codec: str, origin: str) -> tuple[bytes, bool]:
    """What was packed, or one byte more than is allowed of it, and whether that is all."""
    match codec:
        case "null":
            return packed, True
        case "deflate":
            inflating = zlib.decompressobj(-15)
            return inflating.decompress(packed, LARGEST_BLOCK + 1), inflating.eof
        case "bzip2":
            bunzip = bz2.BZ2Decompressor()
            return bunzip.decompress(packed, LARGEST_BLOCK + 1), bunzip.eof
        case "xz":
            unxz = lzma.LZMADecompressor(memlimit=LARGEST_BLOCK)
            return unxz.decompress(packed, LARGEST_BLOCK + 1), unxz.eof
        case "zstandard":
            with pa.CompressedInputStream(pa.BufferReader(packed), "zstd") as stream:
                return bytes(stream.read(LARGEST_BLOCK + 1)), True
        case _:
            return _unsnapped(packed, origin), True


def _unsnapped(packed: bytes, origin: str) -> bytes:
    """Snappy begins with the size; behind it stands a CRC-32 of what was packed."""
    body, checksum = packed[:-_CHECKSUM], packed[-_CHECKSUM:]
    size, shift = 0, 0
    for byte in body[:5]:
        size |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            break
    if size > LARGEST_BLOCK:
        raise _too_large(origin)
    content = pa.decompress(body, size, "snappy", asbytes=True)
    if len(content) != size or zlib.crc32(content).to_bytes(_CHECKSUM, "big") != checksum:
        raise damaged(origin)
    return bytes(content)


def packed(content: bytes, codec: str) -> bytes:
    """A block as a codec packs it; the same content gives the same bytes."""
    match codec:
        case "deflate":
            deflating = zlib.compressobj(wbits=-15)
            return deflating.compress(content) + deflating.flush()
        case "bzip2":
            return bz2.compress(content)
        case "xz":
            return lzma.compress(content)
        case "zstandard":
            return bytes(pa.compress(content, "zstd", asbytes=True))
        case "snappy":
            checksum = zlib.crc32(content).to_bytes(_CHECKSUM, "big")
            return bytes(pa.compress(content, "snappy", asbytes=True)) + checksum
        case _:
            return content


def written_header(metadata: Mapping[str, bytes], sync: bytes) -> bytes:
    pairs = b"".join(written(len(b)) + b for each in metadata.items() for b in (each[0].encode(), each[1]))
    return MAGIC + (written(len(metadata)) + pairs if metadata else b"") + written(0) + sync


def written_block(block: Block, codec: str, sync: bytes) -> bytes:
    body = packed(block.content, codec)
    return written(block.count) + written(len(body)) + body + sync


def written(number: int) -> bytes:
    """A number that is not negative, in the zigzag coding of Avro."""
    number, parts = number << 1, bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def _number(file: IO[bytes], origin: str, first: bytes = b"") -> int:
    value = shift = 0
    for place in range(_LONGEST_NUMBER):
        byte = (first if place == 0 and first else _exactly(file, 1, origin))[0]
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return (value >> 1) ^ -(value & 1)
    raise damaged(origin)


def _bytes(file: IO[bytes], most: int, origin: str) -> bytes:
    size = _number(file, origin)
    if not 0 <= size <= most:
        raise damaged(origin)
    return _exactly(file, size, origin)


def _exactly(file: IO[bytes], size: int, origin: str) -> bytes:
    content = file.read(size) if size else b""
    if len(content) < size:
        raise BadFile(origin, Reason.DAMAGED, "is truncated Avro; ask for the file again")
    return content


def damaged(origin: str) -> BadFile:
    return BadFile(origin, Reason.DAMAGED, "is damaged Avro; ask for the file again")


def _too_large(origin: str) -> BadFile:
    return BadFile(
        origin, Reason.TOO_LARGE, f"has a block of more than {LARGEST_BLOCK:,} bytes; ask for smaller blocks"
    )
