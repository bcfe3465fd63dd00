"""From a delivered (and decrypted) file to the files that the transform reads.

What the transform reads is uncompressed, UTF-8 without a byte order mark, NDJSON instead of one JSON array, or Parquet,
and lacks the lines that the feed leaves out.
A file that is so already is left where it is. Bytes that are not UTF-8 in a file declared as UTF-8 are left too: the
transform puts such rows into quarantine and keeps the others.
"""

import codecs
import itertools
import os
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.limits import Limits
from adplatform.failures import local_failure
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.budget import DEFAULT, Budget
from adplatform.files.compression import CHUNK, chunks_of, decompressed, member_content, opened_zip, zip_members
from adplatform.files.input_file import InputFile, LeftOut
from adplatform.files.json_lines import json_lines
from adplatform.files.left_out import begins_with_separator, without_left_out
from adplatform.files.magic import HEAD, Compression, compression_of, is_openpgp_head, unsupported_format
from adplatform.files.parquet_size import check_parquet
from adplatform.files.text import decode, is_utf8, to_utf8

_PARQUET = b"PAR1"
_LEAST_PARQUET = 12
"""Bytes: the magic twice and the length of the footer."""
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_WIDE = ("utf-16", "utf-32")
_SUFFIXES = {"csv": ".csv", "ndjson": ".ndjson", "json": ".ndjson", "parquet": ".parquet"}


def unpack(
    path: Path,
    origin: str,
    fmt: FileFormat,
    work: Path,
    ordinal: int,
    limits: Limits = DEFAULT,
    received: int | None = None,
) -> tuple[InputFile, ...]:
    """The files inside ``path``, in ``work`` or ``path`` itself; none for a file without content.

    Several members of a zip archive have ``ordinal``, ``ordinal + 1`` and so on by name, and behind ``#`` in their
    origin which of the data files they are by name, from 1: names may be personal data. Inside a zip each member may be
    compressed once more. ``received`` are the bytes of the file as it was delivered, where it was decrypted since.

    Raises:
        BadFile: damaged, another format than ``fmt`` says, unsafe or above ``limits``; nothing is left in ``work``.
        EnvironmentFailure: the disk is full, or cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".unpack-", dir=work) as scratch:
            budget = Budget(origin, path.stat().st_size if received is None else received, limits)
            return _unpack(path, origin, fmt, work, ordinal, budget, Path(scratch))
    except OSError as e:
        raise local_failure(origin, e, work) from e


def _unpack(
    path: Path, origin: str, fmt: FileFormat, work: Path, ordinal: int, budget: Budget, scratch: Path
) -> tuple[InputFile, ...]:
    size = path.stat().st_size
    if size == 0:
        return ()
    with path.open("rb") as file:
        head = file.read(HEAD)
    _check_container(head, origin)
    outer = _declared(compression_of(head), fmt, origin)
    if outer is Compression.NONE and _is_ready(head, fmt):
        _check_content(head, fmt, origin)
        budget.check(size)
        _check_rows(path, fmt, origin, budget)
        return (InputFile(path, origin, ordinal),)
    written: list[tuple[Path, str, LeftOut]] = []
    for member_origin, chunks in _contents(path, origin, outer, budget, scratch):
        target = scratch / f"{ordinal + len(written):06d}{_SUFFIXES[fmt.kind]}"
        content, left_out = _converted(chunks, fmt, member_origin), LeftOut()
        if fmt.kind != "parquet":
            content = without_left_out(budget.lines(content), fmt, member_origin, left_out)
        if _write(content, target) or left_out.rows:
            written.append((target, member_origin, left_out))
        else:
            target.unlink()
    for target, member_origin, _ in written if fmt.kind == "parquet" else ():
        _check_parquet(target, member_origin)
        check_parquet(target, member_origin, budget, alone=len(written) == 1)
    return tuple(
        InputFile(source.replace(work / source.name), member_origin, ordinal + i, left_out)
        for i, (source, member_origin, left_out) in enumerate(written)
    )


def _declared(found: Compression, fmt: FileFormat, origin: str) -> Compression:
    if fmt.compression not in ("auto", found):
        raise BadFile(
            origin,
            Reason.UNEXPECTED_COMPRESSION,
            f"has compression {found}, but the feed says {fmt.compression}; correct the feed or set compression: auto",
        )
    return found


def _contents(
    path: Path, origin: str, outer: Compression, budget: Budget, disk: Path
) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Each content with its origin. It must be read to its end before the next is asked for."""
    if outer is not Compression.ZIP:
        with path.open("rb") as file:
            yield origin, budget.spend(decompressed(file, outer, origin), disk)
        return
    with opened_zip(path, origin) as archive:
        members = zip_members(archive, origin)
        if not members:
            raise BadFile(origin, Reason.LAYOUT, "is a zip archive without a data file")
        budget.check(sum(member.file_size for member in members))
        for place, member in enumerate(members, start=1):
            member_origin = f"{origin}#{place}"
            yield member_origin, budget.spend(member_content(archive, member, member_origin), disk)


def _is_ready(head: bytes, fmt: FileFormat) -> bool:
    if fmt.kind == "parquet":
        return True
    if fmt.kind == "json" or not is_utf8(fmt.encoding) or head.startswith(codecs.BOM_UTF8):
        return False
    return not fmt.leaves_out_lines and not begins_with_separator(head, fmt)


def _converted(chunks: Iterator[bytes], fmt: FileFormat, origin: str) -> Iterator[bytes]:
    head = b""
    while len(head) < HEAD and (chunk := next(chunks, b"")):
        head += chunk
    if not head:
        return iter(())
    _check_container(head[:HEAD], origin)
    _check_content(head[:HEAD], fmt, origin)
    if fmt.kind == "parquet":
        return itertools.chain([head], chunks)
    if fmt.kind == "json":
        return json_lines(decode(itertools.chain([head], chunks), fmt.encoding, origin), fmt.records, origin)
    if is_utf8(fmt.encoding):
        return itertools.chain([head.removeprefix(codecs.BOM_UTF8)], chunks)
    return to_utf8(itertools.chain([head], chunks), fmt.encoding, origin)


def _check_container(head: bytes, origin: str) -> None:
    if is_openpgp_head(head):
        raise BadFile(
            origin,
            Reason.ENCRYPTED,
            "is an OpenPGP message: set pgp on the feed; inside another, ask for one layer only",
        )
    container = unsupported_format(head)
    if container:
        raise BadFile(origin, Reason.UNSUPPORTED, f"is {container}, which is not read here; ask for gzip, zstd or zip")


def _check_content(head: bytes, fmt: FileFormat, origin: str) -> None:
    """Refuses what is plainly something else than ``fmt`` says, with a better message than a parser would have."""
    again = compression_of(head)
    if again is not Compression.NONE:
        raise BadFile(origin, Reason.UNEXPECTED_COMPRESSION, f"is compressed twice ({again} inside); ask for one layer")
    if fmt.kind != "parquet" and head.startswith(_PARQUET):
        raise BadFile(origin, Reason.LAYOUT, f"is Parquet, but the feed says {fmt.kind}; correct kind")
    if fmt.kind != "parquet" and is_utf8(fmt.encoding) and head.startswith(_UTF16_MARKS):
        raise BadFile(origin, Reason.ENCODING, "is UTF-16, but the feed says UTF-8; set encoding: utf-16")
    if fmt.kind != "parquet" and b"\0" in head and not codecs.lookup(fmt.encoding).name.startswith(_WIDE):
        raise BadFile(origin, Reason.LAYOUT, f"is binary data, but the feed says {fmt.kind} in {fmt.encoding}")


def _check_rows(path: Path, fmt: FileFormat, origin: str, budget: Budget) -> None:
    """Of a file that is left where it is. Text has no more lines than bytes, so most need not be counted."""
    if fmt.kind == "parquet":
        _check_parquet(path, origin)
        check_parquet(path, origin, budget)
    elif path.stat().st_size > budget.limits.rows:
        with path.open("rb") as file:
            deque(budget.lines(chunks_of(file)), maxlen=0)


def _check_parquet(path: Path, origin: str) -> None:
    with path.open("rb") as file:
        head = file.read(4)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 4))
        tail = file.read(4)
    if head != _PARQUET:
        raise BadFile(origin, Reason.LAYOUT, "is not Parquet: it does not begin with PAR1")
    if tail != _PARQUET or size < _LEAST_PARQUET:
        raise BadFile(origin, Reason.DAMAGED, "is truncated Parquet: it does not end with PAR1; ask for the file again")


def _write(chunks: Iterable[bytes], target: Path) -> int:
    """The bytes written."""
    with target.open("xb", buffering=CHUNK) as output:
        return sum(output.write(chunk) for chunk in chunks)
