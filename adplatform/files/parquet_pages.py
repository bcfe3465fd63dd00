"""The pages of a Parquet file by their own headers. Nothing is decompressed.

What the footer says of sizes and values is not what a reader allocates and decodes: that is in the header before each
page (Apache Parquet, parquet.thrift: PageHeader; Thrift compact protocol).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

_STOP, _TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(13)
_DEEPEST = 8
_OVERHANG = 100
"""Bytes: the size that some writers give of a column lacks the header of its dictionary (PARQUET-816)."""
_LONGEST_VARINT = 10
"""Bytes of 64 bits, seven in each."""


class Encoding(IntEnum):
    """Those by which a value may be longer than what stands for it."""

    PLAIN_DICTIONARY = 2
    DELTA_BYTE_ARRAY = 7
    RLE_DICTIONARY = 8


class BadPage(ValueError):
    """There is no page header where one should be."""


@dataclass(frozen=True)
class Page:
    """``values`` are those that come out of it, also without a value; none of a dictionary, of which there are
    ``words``. ``size`` is in bytes, uncompressed."""

    size: int
    values: int = 0
    words: int = 0
    encoding: int = 0


def pages(file: Any, begin: int, end: int) -> Iterator[Page]:
    """The pages between two places of a file, which is bytes, or a memory map of it.

    Raises:
        BadPage: these bytes are not pages one behind the other.
    """
    place = begin
    while place < end:
        try:
            header, place = _struct(file, place, 0)
            size, compressed = int(header[2]), int(header[3])
            data, words = header.get(8) or header.get(5) or {}, header.get(7) or {}
            encoding = data.get(4 if 8 in header else 2, 0)
            page = Page(size, int(data.get(1, 0)), int(words.get(1, 0)), int(encoding))
        except (IndexError, KeyError, TypeError, AttributeError) as e:
            raise BadPage(f"no page header at byte {place}") from e
        if min(size, compressed, page.values, page.words) < 0:
            raise BadPage(f"a page header before byte {place} has a negative size")
        place += compressed
        yield page
    if place > end + _OVERHANG:
        raise BadPage(f"a page ends at byte {place}, behind its column at {end}")


def _struct(file: Any, place: int, depth: int) -> tuple[dict[int, Any], int]:
    """The fields of a struct by their number, and where it ends."""
    if depth > _DEEPEST:
        raise BadPage("a page header is nested too deeply")
    found: dict[int, Any] = {}
    number = 0
    while True:
        head = file[place]
        place += 1
        kind = head & 0x0F
        if kind == _STOP:
            return found, place
        step = head >> 4
        if step:
            number += step
        else:
            number, place = _integer(file, place)
        if kind in (_TRUE, _FALSE):
            found[number] = kind == _TRUE
        else:
            found[number], place = _value(file, place, kind, depth)


def _value(file: Any, place: int, kind: int, depth: int) -> tuple[Any, int]:
    match kind:
        case k if k in (_I16, _I32, _I64):
            return _integer(file, place)
        case k if k in (_TRUE, _FALSE, _BYTE):
            return file[place], place + 1
        case k if k == _DOUBLE:
            return None, place + 8
        case k if k == _BINARY:
            length, place = _varint(file, place)
            return None, place + length
        case k if k == _STRUCT:
            return _struct(file, place, depth + 1)
        case k if k in (_LIST, _SET):
            head = file[place]
            count, place = (head >> 4, place + 1) if head >> 4 < 15 else _varint(file, place + 1)
            for _ in range(count):
                _, place = _value(file, place, head & 0x0F, depth + 1)
            return None, place
    raise BadPage(f"a page header has a field of type {kind}")


def _integer(file: Any, place: int) -> tuple[int, int]:
    """A number in zigzag: 0, -1, 1, -2, ..."""
    raw, place = _varint(file, place)
    return (raw >> 1) ^ -(raw & 1), place


def _varint(file: Any, place: int) -> tuple[int, int]:
    value = 0
    for n in range(_LONGEST_VARINT):
        byte = file[place + n]
        value |= (byte & 0x7F) << (7 * n)
        if byte < 0x80:
            return value, place + n + 1
    raise BadPage("a page header has a number of more than 64 bits")
