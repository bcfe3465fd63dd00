"""The beginning of a file, and its end where that is cheap to have, whatever it is compressed by or packed into."""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath

from adplatform.failures import PermanentFailure
from adplatform.files.compression import (
    decompressed,
    file_of,
    member_content,
    opened_zip,
    zip_members,
    zip_names,
)
from adplatform.files.magic import (
    HEAD,
    WORKBOOK,
    Compression,
    compression_of,
    document_of,
    is_openpgp_head,
    unsupported_format,
)
from adplatform.files.tar import BLOCK, is_tar, tar_members

MOST_BYTES = 4 << 20
"""Of the beginning."""
MOST_SKIPPED = 64 << 20
"""Bytes that are decompressed to reach an end."""
END_BYTES = 32 << 10
_TABLES = (".csv", ".tsv", ".txt", ".tab", ".psv", ".json", ".ndjson", ".jsonl")


@dataclass(frozen=True)
class Sample:
    """``end`` is empty where ``start`` is all of the file, or its end is too far away. ``packed`` is whether anything
    had to be taken off. Of an archive ``files`` says how many there are, and ``start`` and ``end`` are of the first
    that looks like a table by its name; ``pattern`` is one of those names where there are others as well."""

    start: bytes
    end: bytes = b""
    whole: bool = True
    packed: bool = False
    files: int = 1
    pattern: str = ""


def is_workbook(path: Path) -> bool:
    """
    Raises:
        PermanentFailure: it is a document of another kind.
    """
    document = document_of(zip_names(path)) if compression_of(_head(path)) is Compression.ZIP else None
    if document not in (None, WORKBOOK):
        raise PermanentFailure(f"{path} is {document}, which is not read here; ask for xlsx or csv")
    return document == WORKBOOK


def sample(path: Path, most: int = MOST_BYTES, skipped: int = MOST_SKIPPED) -> Sample:
    """
    Raises:
        PermanentFailure: encrypted, damaged, or in a container that nothing here reads.
    """
    head = _head(path)
    if is_openpgp_head(head):
        raise PermanentFailure(f"{path} is an OpenPGP message: decrypt it first; the feed then needs pgp")
    if container := unsupported_format(head):
        raise PermanentFailure(f"{path} is {container}, which is not read here; ask for gzip, zstd, zip or tar")
    compression = compression_of(head)
    if compression is Compression.NONE and not is_tar(head):
        return _plain(path, most)
    with _content(path, compression) as (files, pattern, chunks):
        start = b""
        for chunk in chunks:
            start += chunk
            if len(start) > most:
                break
        last, more, ended = deque[bytes](maxlen=2), 0, True
        for chunk in chunks:
            last.append(chunk)
            more += len(chunk)
            if more > skipped:
                ended = False
                break
    whole = ended and not more and len(start) <= most
    end = (start[most:] + b"".join(last))[-END_BYTES:] if ended and not whole else b""
    return Sample(start[:most], end, whole, packed=True, files=files, pattern=pattern)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(max(HEAD, BLOCK))


def _plain(path: Path, most: int) -> Sample:
    with path.open("rb") as file:
        start = file.read(most)
        size = path.stat().st_size
        if size <= most:
            return Sample(start)
        file.seek(max(most, size - END_BYTES))
        return Sample(start, file.read(), whole=False)


@contextmanager
def _content(path: Path, compression: Compression) -> Iterator[tuple[int, str, Iterator[bytes]]]:
    """How many files there are, the pattern of those that are tables, and the content of the first of them."""
    origin = str(path)
    if compression is Compression.ZIP:
        with opened_zip(path, origin) as archive:
            members = [member for _, member in zip_members(archive, origin)[0]]
            place, pattern = _table([member.filename for member in members])
            yield len(members), pattern, member_content(archive, members[place], origin)
        return
    with _unpacked(path, compression) as (is_archive, chunks):
        if not is_archive:
            yield 1, "", chunks
            return
        names = [member.name for member in tar_members(file_of(chunks), origin)]
    if not names:
        raise PermanentFailure(f"{path} is a tar archive without a data file")
    place, pattern = _table(names)
    with _unpacked(path, compression) as (_, chunks):
        for number, member in enumerate(tar_members(file_of(chunks), origin)):
            if number == place:
                yield len(names), pattern, _inner(member.content, origin)
                return


@contextmanager
def _unpacked(path: Path, compression: Compression) -> Iterator[tuple[bool, Iterator[bytes]]]:
    """Whether a file is a tar once its compression is taken off, and what is then in it."""
    with path.open("rb") as file:
        chunks = decompressed(file, compression, str(path))
        first = next(chunks, b"")
        yield is_tar(first[:BLOCK]), chain([first], chunks)


def _inner(chunks: Iterator[bytes], origin: str) -> Iterator[bytes]:
    first = next(chunks, b"")
    inner, chunks = compression_of(first), chain([first], chunks)
    packed = inner in (Compression.GZIP, Compression.ZSTD)
    yield from decompressed(file_of(chunks), inner, origin) if packed else chunks


def _table(names: Sequence[str]) -> tuple[int, str]:
    """Which of the files of an archive is looked at, and the pattern of its name where others have another."""
    endings = [
        "".join(s for s in PurePosixPath(n).suffixes[-2:] if s.lower() in (*_TABLES, ".gz", ".zst")) for n in names
    ]
    counted = Counter(each for each in endings if each)
    if not counted:
        return 0, ""
    # Archives have a text about them more often than a text that is the table.
    ending = max(counted, key=lambda each: (not each.startswith(".txt"), counted[each], -endings.index(each)))
    return endings.index(ending), f"*{ending}" if len(counted) > 1 or counted[ending] < len(names) else ""
