"""From a delivered (and decrypted) file to the files that the transform reads.

What the transform reads is uncompressed, UTF-8 without a byte order mark, NDJSON instead of one JSON array, or Parquet;
a sheet of a workbook becomes csv, Avro becomes Parquet. It lacks the lines that the feed leaves out.
A file that is so already is left where it is. Bytes that are not UTF-8 in a file declared as UTF-8 are left too: the
transform puts such rows into quarantine and keeps the others.
"""

import codecs
import itertools
import os
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.limits import Limits
from adplatform.failures import local_failure
from adplatform.files.avro import avro_to_parquet
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.budget import DEFAULT, Budget
from adplatform.files.compression import (
    CHUNK,
    MOST_MEMBERS,
    chunks_of,
    decompressed,
    file_of,
    member_content,
    opened_zip,
    zip_members,
    zip_names,
)
from adplatform.files.foreign import begins_with_objects, instead_of_lines, page
from adplatform.files.input_file import InputFile, LeftOut, SheetRows
from adplatform.files.json_lines import json_lines
from adplatform.files.left_out import begins_with_separator, without_left_out
from adplatform.files.line_ends import SAMPLE, ends_with_returns, with_line_feeds
from adplatform.files.magic import (
    HEAD,
    WORKBOOK,
    Compression,
    compression_of,
    data_kind_of,
    document_of,
    is_openpgp_head,
    unsupported_format,
)
from adplatform.files.members import Members, told_of_members
from adplatform.files.parquet_size import RowGroups, check_parquet
from adplatform.files.sheet_text import sheet_text
from adplatform.files.survey import Survey, Surveyor
from adplatform.files.tar import BLOCK, is_tar, tar_members
from adplatform.files.text import decode, is_utf8, to_utf8
from adplatform.platform.ahead import ahead

_PARQUET = b"PAR1"
_LEAST_PARQUET = 12
"""Bytes: the magic twice and the length of the footer."""
_WORTH_A_THREAD = 4 << 20
"""Bytes of a compressed file."""
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_WIDE = ("utf-16", "utf-32")
_SUFFIXES = {"csv": ".csv", "ndjson": ".ndjson", "parquet": ".parquet"}


def unpack(
    path: Path,
    origin: str,
    fmt: FileFormat,
    work: Path,
    ordinal: int,
    limits: Limits = DEFAULT,
    received: int | None = None,
    only: RowGroups | None = None,
) -> tuple[InputFile, ...]:
    """The files inside ``path``, in ``work`` or ``path`` itself; none for a file without content.

    Several members of an archive have ``ordinal``, ``ordinal + 1`` and so on, and behind ``#`` in their origin which of
    its files they are, from 1: names may be personal data. Those of a zip are in order of their names, those of a tar
    as they lie in it. Inside an archive each member may be compressed once more. ``received`` are the bytes of the file
    as it was delivered, where it was decrypted since. Of plain Parquet ``only`` these row groups are looked at.

    Raises:
        BadFile: damaged, another format than ``fmt`` says, unsafe or above ``limits``; nothing is left in ``work``.
        EnvironmentFailure: the disk is full, or cannot be written.
    """
    try:
        budget = Budget(origin, path.stat().st_size if received is None else received, limits)
        with told_of_members(fmt.members):
            return _unpack(path, origin, fmt, work, ordinal, budget, only)
    except OSError as e:
        raise local_failure(origin, e, work) from e


def _unpack(
    path: Path, origin: str, fmt: FileFormat, work: Path, ordinal: int, budget: Budget, only: RowGroups | None
) -> tuple[InputFile, ...]:
    size = path.stat().st_size
    if size == 0:
        return ()
    with path.open("rb") as file:
        start = file.read(SAMPLE)
    head = start[:HEAD]
    _check_container(head, origin)
    outer = _declared(_outer(path, head, fmt, origin), fmt, origin)
    if outer is Compression.NONE and not is_tar(start):
        _check_content(start, fmt, origin)
        if is_ready(start, fmt):
            budget.check(size)
            if fmt.kind == "parquet":
                _check_parquet(path, origin)
                return (InputFile(path, origin, ordinal, most=check_parquet(path, origin, budget, only=only)),)
            return (InputFile(path, origin, ordinal, survey=_surveyed(path, fmt, budget)),)
    with tempfile.TemporaryDirectory(prefix=".unpack-", dir=work) as scratch:
        return _written(path, origin, outer, fmt, work, ordinal, budget, Path(scratch))


def _written(
    path: Path,
    origin: str,
    outer: Compression,
    fmt: FileFormat,
    work: Path,
    ordinal: int,
    budget: Budget,
    scratch: Path,
) -> tuple[InputFile, ...]:
    """The files inside one that cannot be left as it is."""
    written: list[tuple[Path, str, LeftOut, Survey | None, SheetRows]] = []
    members: Members | None = None
    for content in _contents(path, origin, outer, fmt, budget, scratch):
        target = scratch / f"{ordinal + len(written):06d}{_SUFFIXES[fmt.prepared]}"
        members = content.members
        left_out, surveyor, sheet = LeftOut(), Surveyor(fmt), SheetRows()
        if _write_content(content, fmt, target, budget, scratch, left_out, surveyor, sheet) or left_out.rows:
            found = None if fmt.prepared == "parquet" else surveyor.found
            written.append((target, content.origin, left_out, found, sheet))
        else:
            target.unlink(missing_ok=True)
    for target, member_origin, *_ in written if fmt.kind == "parquet" else ():
        _check_parquet(target, member_origin)
        check_parquet(target, member_origin, budget, alone=len(written) == 1)
    skipped = members.skipped if members else 0
    return tuple(
        InputFile(source.replace(work / source.name), member_origin, ordinal + i, left_out, skipped, found, sheet)
        for i, (source, member_origin, left_out, found, sheet) in enumerate(written)
    )


def _outer(path: Path, head: bytes, fmt: FileFormat, origin: str) -> Compression:
    """How a file is compressed: a document that is a zip is not.

    Raises:
        BadFile: it is a document of another kind than ``fmt`` says.
    """
    outer = compression_of(head)
    document = document_of(zip_names(path)) if outer is Compression.ZIP else None
    if document is None:
        return outer
    if document != WORKBOOK:
        raise BadFile(origin, Reason.UNSUPPORTED, f"is {document}, which is not read here; ask for xlsx or csv")
    if fmt.kind != "xlsx":
        raise BadFile(
            origin, Reason.LAYOUT, f"is {document}, but the feed says {fmt.kind}; set kind: xlsx in the feed's format"
        )
    return Compression.NONE


@dataclass(frozen=True)
class _Content:
    """What is in a file, or in a member of it: its bytes, which must be read to their end before the next is asked for,
    or where it lies plain."""

    origin: str
    chunks: Iterator[bytes]
    plain: Path | None = None
    members: Members | None = None


def _write_content(
    content: _Content,
    fmt: FileFormat,
    target: Path,
    budget: Budget,
    scratch: Path,
    left_out: LeftOut,
    surveyor: Surveyor,
    sheet: SheetRows,
) -> int:
    """The bytes written for the engines to read; ``left_out`` learns of lines that are not, ``surveyor`` of the others
    of text and ``sheet`` of the rows of one."""
    origin = content.origin
    match fmt.kind:
        case "xlsx":
            packed = content.plain or scratch / "packed"
            if content.plain is None and not _write(content.chunks, packed):
                packed.unlink()
                return 0
            _require_workbook(packed, origin)
            text = sheet_text(packed, fmt, origin, budget, scratch, sheet)
            size = _write(_kept_text(text, fmt, origin, budget, left_out, surveyor), target)
            if content.plain is None:
                packed.unlink()
            return size
        case "avro":
            head, chunks = _begun(content.chunks)
            if not head:
                return 0
            _check_inside(head, fmt, origin)
            avro_to_parquet(file_of(chunks), target, origin, budget, scratch)
            return target.stat().st_size
        case "parquet":
            return _write(_converted(content.chunks, fmt, origin), target)
        case _:
            text = _converted(content.chunks, fmt, origin)
            return _write(_kept_text(text, fmt, origin, budget, left_out, surveyor), target)


def _kept_text(
    text: Iterable[bytes], fmt: FileFormat, origin: str, budget: Budget, left_out: LeftOut, surveyor: Surveyor
) -> Iterator[bytes]:
    if fmt.leaves_out_lines:
        delivered = budget.lines(text, Surveyor(fmt))
        return surveyor.over(without_left_out(delivered, fmt, origin, left_out))
    return budget.lines(without_left_out(text, fmt, origin, left_out), surveyor)


def _require_workbook(path: Path, origin: str) -> None:
    with path.open("rb") as file:
        head = file.read(HEAD)
    _check_container(head, origin)
    document = document_of(zip_names(path))
    if document not in (None, WORKBOOK):
        raise BadFile(origin, Reason.UNSUPPORTED, f"is {document}, which is not read here; ask for xlsx or csv")
    if compression_of(head) is not Compression.ZIP:
        found = data_kind_of(head)
        what = f"; it is {found}: set kind: {found.lower()}" if found else "; of text the kind is csv, ndjson or json"
        raise BadFile(origin, Reason.LAYOUT, f"is not an Excel workbook (xlsx), but the feed says so{what}")
    if document is None:
        # Damage is told by whoever reads it.
        with opened_zip(path, origin):
            raise BadFile(origin, Reason.LAYOUT, "is a zip, but not an Excel workbook, as the feed says")


def _declared(found: Compression, fmt: FileFormat, origin: str) -> Compression:
    if fmt.compression not in ("auto", found):
        raise BadFile(
            origin,
            Reason.UNEXPECTED_COMPRESSION,
            f"has compression {found}, but the feed says {fmt.compression}; correct the feed or set compression: auto",
        )
    return found


def _contents(
    path: Path, origin: str, outer: Compression, fmt: FileFormat, budget: Budget, disk: Path
) -> Iterator[_Content]:
    if outer is Compression.ZIP:
        yield from _zip_contents(path, origin, fmt, budget, disk)
        return
    with path.open("rb") as file, _ahead(decompressed(file, outer, origin), path.stat().st_size) as unpacked:
        start, chunks = _begun(budget.spend(unpacked, disk), BLOCK)
        if is_tar(start):
            yield from _tar_contents(file_of(chunks), origin, fmt, budget, disk)
        else:
            yield _Content(origin, chunks, path if outer is Compression.NONE else None)


def _ahead(chunks: Iterator[bytes], packed: int) -> AbstractContextManager[Iterator[bytes]]:
    """Large files are decompressed while their text is looked at and written."""
    return ahead(chunks) if packed >= _WORTH_A_THREAD else nullcontext(chunks)


def _zip_contents(path: Path, origin: str, fmt: FileFormat, budget: Budget, disk: Path) -> Iterator[_Content]:
    with opened_zip(path, origin) as archive:
        taken, members = zip_members(archive, origin, fmt.members)
        budget.check(sum(member.file_size for _, member in taken))
        for place, member in taken:
            member_origin = f"{origin}#{place}"
            content = member_content(archive, member, member_origin, zipped=fmt.kind == "xlsx")
            with _ahead(content, member.compress_size) as chunks:
                yield _Content(member_origin, budget.spend(chunks, disk), members=members)


def _tar_contents(file: IO[bytes], origin: str, fmt: FileFormat, budget: Budget, disk: Path) -> Iterator[_Content]:
    members = Members(origin, fmt.members)
    for member in tar_members(file, origin):
        if not members.takes(member.name):
            continue
        if member.kind:
            raise BadFile(
                origin,
                Reason.UNSAFE_ARCHIVE,
                f"holds {member.kind} as a member; ask for files, or leave it out by members",
            )
        if members.found - members.skipped > MOST_MEMBERS:
            raise BadFile(origin, Reason.TOO_LARGE, f"is a tar of more than {MOST_MEMBERS:,} files; ask for several")
        member_origin = f"{origin}#{members.found}"
        head, chunks = _begun(member.content)
        inner = compression_of(head)
        if inner is Compression.ZIP and fmt.kind != "xlsx":
            raise BadFile(member_origin, Reason.UNEXPECTED_COMPRESSION, "is a zip inside a tar; ask for one archive")
        if inner in (Compression.GZIP, Compression.ZSTD):
            chunks = budget.spend(decompressed(file_of(chunks), inner, member_origin), disk)
        yield _Content(member_origin, chunks, members=members)
    members.require_some("tar")


def _begun(chunks: Iterator[bytes], size: int = HEAD) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes, and all."""
    head = b""
    while len(head) < size and (chunk := next(chunks, b"")):
        head += chunk
    return head[:size], itertools.chain([head], chunks) if head else iter(())


def is_ready(head: bytes, fmt: FileFormat) -> bool:
    """Whether plain content that begins so is read as it lies."""
    if fmt.kind == "parquet":
        return True
    if fmt.kind not in ("csv", "ndjson") or not is_utf8(fmt.encoding) or head.startswith(codecs.BOM_UTF8):
        return False
    return not (fmt.leaves_out_lines or begins_with_separator(head, fmt) or ends_with_returns(head, fmt))


def _converted(chunks: Iterator[bytes], fmt: FileFormat, origin: str) -> Iterator[bytes]:
    start, content = _begun(chunks, SAMPLE)
    if not start:
        return iter(())
    if is_tar(start):
        raise BadFile(origin, Reason.UNEXPECTED_COMPRESSION, "is a tar inside an archive; ask for one archive")
    _check_inside(start, fmt, origin)
    if fmt.kind == "parquet":
        return content
    if fmt.kind == "json":
        return json_lines(decode(content, fmt.encoding, origin), fmt.records, origin)
    if is_utf8(fmt.encoding):
        first = next(content)
        return with_line_feeds(itertools.chain([first.removeprefix(codecs.BOM_UTF8)], content), fmt)
    return with_line_feeds(to_utf8(content, fmt.encoding, origin), fmt)


def _check_inside(sample: bytes, fmt: FileFormat, origin: str) -> None:
    _check_container(sample[:HEAD], origin)
    again = compression_of(sample)
    if again is not Compression.NONE:
        raise BadFile(origin, Reason.UNEXPECTED_COMPRESSION, f"is compressed twice ({again} inside); ask for one layer")
    _check_content(sample, fmt, origin)


def _check_container(head: bytes, origin: str) -> None:
    if is_openpgp_head(head):
        raise BadFile(
            origin,
            Reason.ENCRYPTED,
            "is an OpenPGP message: set pgp on the feed; inside another, ask for one layer only",
        )
    container = unsupported_format(head)
    if container:
        raise BadFile(
            origin,
            Reason.UNSUPPORTED,
            f"is {container}, which is not read here; ask for gzip, zstd, zip or tar, or of a workbook for xlsx",
        )


def _check_content(sample: bytes, fmt: FileFormat, origin: str) -> None:
    """Refuses what is plainly something else than ``fmt`` says, with a better message than a parser would have."""
    if instead := page(sample):
        raise BadFile(
            origin,
            Reason.LAYOUT,
            f"is {instead}, and the feed says kind: {fmt.kind}; see what the export or the link gives, and ask for the "
            "file again",
        )
    head = sample[:HEAD]
    found = data_kind_of(head)
    if found is not None and found.lower() != fmt.kind:
        raise BadFile(
            origin, Reason.LAYOUT, f"is {found}, but the feed says {fmt.kind}; set kind: {found.lower()} in its format"
        )
    if fmt.kind == "avro" and found is None:
        raise BadFile(
            origin, Reason.LAYOUT, "is not Avro, but the feed says so; of text the kind is csv, ndjson or json"
        )
    if fmt.kind in ("parquet", "avro", "xlsx"):
        return
    if encoding := _other_encoding(head, codecs.lookup(fmt.encoding).name):
        raise BadFile(
            origin,
            Reason.ENCODING,
            f"is {encoding.upper()}, but the feed says {fmt.encoding.upper()}; set encoding: {encoding}",
        )
    if b"\0" in head and not codecs.lookup(fmt.encoding).name.startswith(_WIDE):
        raise BadFile(origin, Reason.LAYOUT, f"is binary data, but the feed says {fmt.kind} in {fmt.encoding}")
    if fmt.kind == "csv" and fmt.has_header and begins_with_objects(sample):
        raise BadFile(
            origin, Reason.LAYOUT, "is JSON, one object a line, but the feed says csv; set kind: ndjson in its format"
        )
    if fmt.kind == "ndjson" and (instead := instead_of_lines(sample, whole=len(sample) < SAMPLE)):
        raise BadFile(origin, Reason.LAYOUT, f"is {instead}")


def _other_encoding(head: bytes, declared: str) -> str | None:
    """The encoding that a text is plainly in, which is not the declared one: by its mark, or by where its zeros are."""
    if declared.startswith("utf-32"):
        return None
    if head.startswith(_UTF16_MARKS):
        marked = "utf-16-le" if head.startswith(codecs.BOM_UTF16_LE) else "utf-16-be"
        return None if declared in ("utf-16", marked) else "utf-16"
    if head.startswith(codecs.BOM_UTF8):
        return None if declared.startswith("utf-8") else "utf-8"
    even, odd = head[::2], head[1::2]
    found = None
    if 0 not in even and 0 in odd and odd.count(0) * 4 >= len(even) * 3:
        found = "utf-16-le"
    elif 0 not in odd and 0 in even and even.count(0) * 4 >= len(even) * 3:
        found = "utf-16-be"
    return None if found == declared else found


def _surveyed(path: Path, fmt: FileFormat, budget: Budget) -> Survey:
    """Of a file that is left where it is."""
    surveyor = Surveyor(fmt)
    with path.open("rb") as file:
        deque(budget.lines(chunks_of(file), surveyor), maxlen=0)
    return surveyor.found


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
