"""What a Parquet file comes to when it is read, before it is read.

First by what its footer says, then by the headers of its pages, because a footer may say anything. A few bytes of
dictionary or of prefixes can stand for long texts: where such columns could come to too much, their texts are measured,
in bounded memory.
"""

import mmap
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.budget import Budget
from adplatform.files.parquet_pages import BadPage, Encoding, Page, pages
from adplatform.platform.late import Late
from adplatform.platform.parquet_files import opened

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
else:
    pa = Late("pyarrow")
    pc = Late("pyarrow.compute")
    pq = Late("pyarrow.parquet")

VALUE = 16
"""Bytes that a value takes at least when it is read."""
LARGEST_FOOTER = 64 << 20
"""Bytes: it is held in memory as objects of several times its size."""
LARGEST_PAGE = 512 << 20
"""Bytes, uncompressed: a reader holds all of a page."""
_AT_ONCE = 32 << 20
"""Bytes of text that a measurement decodes at once."""
_MOST_AT_ONCE = 65_536
_DICTIONARIES = (Encoding.PLAIN_DICTIONARY, Encoding.RLE_DICTIONARY)
_TAIL = 8
"""Bytes behind the footer: its length, and the magic."""


@dataclass(frozen=True)
class _Chunk:
    """A column of a row group: what its values come to without texts of which nobody knows the length yet, how many
    those are, and how long one may be. They are ``prefixed``, or ``words`` of a dictionary."""

    group: int
    column: int
    known: int
    unknown: int = 0
    longest: int = 0
    words: int = 0
    prefixed: bool = False


@dataclass(frozen=True)
class RowGroups:
    """Some of a file's, by their places, which are there while the rest may lack its content: those of one of so many
    ``parts`` of it."""

    places: tuple[int, ...]
    parts: int


def check_parquet(path: Path, origin: str, budget: Budget, *, alone: bool = True, only: RowGroups | None = None) -> int:
    """Hold what a file comes to against the budget, which it has ``alone`` or shares with others. ``origin`` names it.
    With ``only`` that is what these row groups come to. Returns the most that this can be, in bytes.

    Raises:
        BadFile: it is above a limit, or its footer and its pages do not go together.
    """
    try:
        _check_footer(path, origin)
        metadata = pq.read_metadata(path)
        check_metadata(metadata, budget)
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            chunks = list(_chunks(metadata, content, origin, only))
        budget.check(budget.unpacked + sum(chunk.known for chunk in chunks))
        budget.unpacked += sum(chunk.known for chunk in chunks)
        unknown = [chunk for chunk in chunks if chunk.unknown]
        more = _fitting(path, metadata, unknown, budget, only.parts if only else 1) if alone else None
        if more is None:
            for chunk in unknown:
                _measure(path, metadata, chunk, budget)
        return budget.unpacked + (more or 0)
    except (pa.ArrowException, BadPage, OSError) as e:
        if isinstance(e, OSError) and e.errno is not None:
            raise
        raise BadFile(origin, Reason.LAYOUT, "is not a readable Parquet file") from e


def check_metadata(metadata: "pq.FileMetaData", budget: Budget) -> None:
    """Hold what a footer says against the budget.

    Raises:
        BadFile: it is above a limit.
    """
    budget.add_rows(metadata.num_rows)
    groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
    budget.check(budget.unpacked + sum(group.total_byte_size for group in groups))


def _check_footer(path: Path, origin: str) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - _TAIL))
        footer = int.from_bytes(file.read(4), "little")
    if footer > LARGEST_FOOTER:
        raise BadFile(
            origin,
            Reason.TOO_LARGE,
            f"has a footer of {footer:,} bytes, and at most {LARGEST_FOOTER:,} are read; ask for larger row groups",
        )


def bytes_of_group(group: "pq.RowGroupMetaData") -> list[tuple[int, int]]:
    """Where each column of a row group begins and ends, by what the footer says."""
    chunks = [group.column(column) for column in range(group.num_columns)]
    begins = [min((at for at in (c.dictionary_page_offset, c.data_page_offset) if at), default=0) for c in chunks]
    return [(at, at + each.total_compressed_size) for at, each in zip(begins, chunks, strict=True)]


def _chunks(metadata: "pq.FileMetaData", content: mmap.mmap, origin: str, only: RowGroups | None) -> Iterator[_Chunk]:
    places: list[tuple[int, int]] = []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for column, (begin, end) in enumerate(bytes_of_group(group)):
            if not 0 < begin <= end <= len(content):
                raise _damaged(origin)
            places.append((begin, end))
            if only and number not in only.places:
                continue
            declared = metadata.schema.column(column)
            found = list(pages(content, begin, end))
            values, rows = sum(page.values for page in found), group.num_rows
            if values < rows or (values > rows and not declared.max_repetition_level):
                raise _damaged(origin)
            if (largest := max((page.size for page in found), default=0)) > LARGEST_PAGE:
                raise BadFile(
                    origin,
                    Reason.TOO_LARGE,
                    f"has a page of {largest:,} bytes, and at most {LARGEST_PAGE:,} are read; ask for smaller pages",
                )
            yield _chunk(number, column, declared, found)
    places.sort()
    if any(begin < end for (_, end), (begin, _) in pairwise(places)):
        raise _damaged(origin)


def _chunk(group: int, column: int, declared: "pq.ColumnSchema", found: Sequence[Page]) -> _Chunk:
    values, size = sum(page.values for page in found), sum(page.size for page in found)
    match declared.physical_type:
        case "BYTE_ARRAY":
            dictionaries = [page for page in found if page.words]
            repeated = [page for page in found if page.encoding in _DICTIONARIES]
            prefixed = [page for page in found if page.encoding == Encoding.DELTA_BYTE_ARRAY]
            longest = max((page.size for page in (*(dictionaries if repeated else ()), *prefixed)), default=0)
            unknown = sum(page.values for page in (*repeated, *prefixed))
            words = sum(page.words for page in dictionaries)
            return _Chunk(group, column, values * VALUE + size, unknown, longest, words, bool(prefixed))
        case "FIXED_LEN_BYTE_ARRAY":
            return _Chunk(group, column, max(values * max(VALUE, declared.length), size))
        case _:
            return _Chunk(group, column, max(values * VALUE, size))


def _fitting(
    path: Path, metadata: "pq.FileMetaData", chunks: Sequence[_Chunk], budget: Budget, parts: int
) -> int | None:
    """What the texts come to, were each as long as one of its column may be, if that fits into one of so many ``parts``
    of the budget, and otherwise None; first by the sizes of pages, then by the longest word of each dictionary."""
    room = min(budget.limits.unpacked, budget.most_by_ratio) // parts - budget.unpacked
    if (most := sum(chunk.unknown * chunk.longest for chunk in chunks)) <= room:
        return most
    most = sum(chunk.unknown * _longest(path, metadata, chunk) for chunk in chunks)
    return most if most <= room else None


def _longest(path: Path, metadata: "pq.FileMetaData", chunk: _Chunk) -> int:
    """Bytes of the longest text that a column of a row group may have."""
    if chunk.prefixed:
        return chunk.longest
    with closing(_batches(path, metadata, chunk, 1)) as batches:
        found = [each.dictionary for each in next(batches, ()) if pa.types.is_dictionary(each.type)]
    # The first row may have no value, and then no words come with it.
    if sum(map(len, found)) != chunk.words:
        return chunk.longest
    return max((int(pc.max(pc.binary_length(words)).as_py() or 0) for words in found), default=0)


def _measure(path: Path, metadata: "pq.FileMetaData", chunk: _Chunk, budget: Budget) -> None:
    """Add the texts of a column of a row group. What repeats words of a dictionary stays numbers of words."""
    at_once = max(1, _AT_ONCE // chunk.longest) if chunk.prefixed else _MOST_AT_ONCE
    with closing(_batches(path, metadata, chunk, at_once)) as batches:
        for texts in batches:
            size = sum(map(_length, texts))
            budget.check(budget.unpacked + size)
            budget.unpacked += size


def _batches(
    path: Path, metadata: "pq.FileMetaData", chunk: _Chunk, rows: int
) -> "Generator[list[pa.Array], None, None]":
    """The texts of a column of a row group. Arrow keeps words apart only where no prefixes are; of those it decodes
    what is asked for."""
    name = metadata.schema.column(chunk.column).path
    with opened(path, metadata=metadata, read_dictionary=None if chunk.prefixed else [name]) as file:
        for batch in file.iter_batches(rows, row_groups=[chunk.group], columns=[name], use_threads=False):
            yield [texts for column in batch.columns for texts in _texts(column)]


def _texts(array: "pa.Array") -> "Iterator[pa.Array]":
    """The texts within the lists, structs and maps of a column."""
    kind = array.type
    if pa.types.is_struct(kind):
        for child in array.flatten():
            yield from _texts(child)
    elif pa.types.is_map(kind):
        yield from _texts(array.keys)
        yield from _texts(array.items)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        yield from _texts(array.flatten())
    else:
        yield array


def _length(texts: "pa.Array") -> int:
    """Bytes of all texts together; of those of a dictionary without writing them out."""
    if pa.types.is_dictionary(texts.type):
        return int(pc.sum(pc.binary_length(texts.dictionary).take(texts.indices)).as_py() or 0)
    if pa.types.is_primitive(texts.type) or pa.types.is_null(texts.type):
        return 0
    return int(pc.sum(pc.binary_length(texts)).as_py() or 0)


def _damaged(origin: str) -> BadFile:
    return BadFile(origin, Reason.DAMAGED, "is damaged Parquet: its footer does not fit its pages; ask for it again")
