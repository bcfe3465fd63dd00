"""Taking records out of a file that a sender wrote, with all others as they were written.

A file keeps its compression, encoding and layout, so that the feed reads what is left as it read the whole. What is
taken out goes as a whole record: a line with its quoted line ends, an element of a JSON array, a row of Parquet, of
Avro or of a sheet.
"""

import codecs
import csv
import gzip
import io
import json
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any

from adplatform.contracts.file_format import FileFormat, LineStart
from adplatform.contracts.limits import Limits
from adplatform.failures import local_failure
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.budget import DEFAULT, Budget
from adplatform.files.compression import chunks_of, decompressed, opened_zip, zip_names
from adplatform.files.delimited import records
from adplatform.files.lines import Place, placed
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
from adplatform.files.members import is_named
from adplatform.files.parted import Judge, Parted, texts_of
from adplatform.files.parted_avro import part_avro
from adplatform.files.parted_workbook import part_workbook
from adplatform.files.tar import BLOCK, is_tar, tar_members
from adplatform.platform.json_text import parsed
from adplatform.platform.late import Late
from adplatform.platform.parquet_files import batches_of, opened, row_groups

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
else:
    pa = Late("pyarrow")
    pq = Late("pyarrow.parquet")

_PDF = b"%PDF-"
_ENCRYPTED = 0x1
_LONGEST = 1000
"""Lines of one record, at most: a quote that nobody closes must not take the rest of the file with it."""
_NO_COLUMNS: Mapping[str, str] = MappingProxyType({})
_ERASED = "erased"
"""Stands in a line that must stay for what it said."""
_EPOCH = (1980, 1, 1, 0, 0, 0)


def part(
    path: Path,
    target: Path,
    form: FileFormat | None,
    judge: Judge,
    origin: str,
    limits: Limits = DEFAULT,
) -> Parted:
    """Write to ``target`` the file without the records that are judged to go. ``form`` is how the feed reads it, None
    where no feed does. The same file and the same judgement give the same bytes.

    Raises:
        BadFile: it cannot be read, or comes to more than ``limits``, so nobody knows what it holds.
        EnvironmentFailure: the disk is full, or cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".part-", dir=target.parent) as scratch:
            budget = Budget(origin, path.stat().st_size, limits)
            return _part(path, target, form, judge, budget, Path(scratch))
    except OSError as e:
        raise local_failure(origin, e) from e


def _part(
    path: Path,
    target: Path,
    form: FileFormat | None,
    judge: Judge,
    budget: Budget,
    scratch: Path,
    *,
    inner: bool = False,
) -> Parted:
    origin = budget.origin
    with path.open("rb") as file:
        head = file.read(HEAD)
    outer = compression_of(head)
    if is_openpgp_head(head):
        raise BadFile(origin, Reason.ENCRYPTED, "is an OpenPGP message")
    if container := unsupported_format(head):
        raise BadFile(origin, Reason.UNSUPPORTED, f"is {container}, which is not read here")
    if outer is Compression.ZIP and document_of(zip_names(path)) == WORKBOOK:
        return part_workbook(path, target, form, judge, budget)
    if outer is Compression.ZIP and not inner:
        return _part_zip(path, target, form, judge, budget, scratch)
    if outer is not Compression.NONE:
        plain, left = scratch / "plain", scratch / "left"
        with path.open("rb") as file, plain.open("wb") as out:
            out.writelines(budget.spend(decompressed(file, outer, origin), scratch))
        parted = _part_content(plain, left, form, judge, budget, scratch, inner=inner)
        _compress(left, target, outer)
        return parted
    return _part_content(path, target, form, judge, budget, scratch, inner=inner)


def _part_content(
    path: Path, target: Path, form: FileFormat | None, judge: Judge, budget: Budget, scratch: Path, *, inner: bool
) -> Parted:
    origin = budget.origin
    with path.open("rb") as file:
        head = file.read(BLOCK)
    if is_tar(head) and not inner:
        return _part_tar(path, target, form, judge, budget, scratch)
    match data_kind_of(head):
        case "Parquet":
            return _part_parquet(path, target, judge, origin)
        case "Avro":
            return part_avro(path, target, judge, budget)
    if compression_of(head) is Compression.ZIP and document_of(zip_names(path)) == WORKBOOK:
        return part_workbook(path, target, form, judge, budget)
    if form is None or form.kind not in ("csv", "ndjson", "json"):
        form = FileFormat(kind="ndjson" if head.lstrip().startswith((b"{", b"[")) else "csv", header=False)
    if form.kind == "json":
        return _part_json(path, target, form, judge, origin)
    return _part_text(path, target, form, judge, origin)


# -- compressed


def _compress(path: Path, target: Path, compression: Compression) -> None:
    """Without times and names, so that the same content gives the same bytes."""
    with path.open("rb") as content, target.open("wb") as out:
        if compression is Compression.GZIP:
            with gzip.GzipFile(filename="", mode="wb", fileobj=out, mtime=0) as packed:
                shutil.copyfileobj(content, packed)
            return
        with pa.CompressedOutputStream(pa.PythonFile(out, "w"), "zstd") as stream:
            for chunk in chunks_of(content):
                stream.write(chunk)


def _part_zip(path: Path, target: Path, form: FileFormat | None, judge: Judge, budget: Budget, scratch: Path) -> Parted:
    parts = _Parts(form, judge, budget, scratch)
    with opened_zip(path, budget.origin) as archive, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as out:
        for member in archive.infolist():
            if member.is_dir():
                continue
            if member.flag_bits & _ENCRYPTED or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                parts.count_unseen(member.filename)
                continue
            with archive.open(member) as stream:
                name = parts.add(member.filename, budget.spend(chunks_of(stream), scratch))
            if name:
                with parts.left.open("rb") as content, out.open(zipfile.ZipInfo(name, _EPOCH), "w") as stream:
                    shutil.copyfileobj(content, stream)
    return parts.done(path, target)


def _part_tar(path: Path, target: Path, form: FileFormat | None, judge: Judge, budget: Budget, scratch: Path) -> Parted:
    """What is no file with content goes where anything does: a copy has no use for links and devices."""
    parts = _Parts(form, judge, budget, scratch)
    with path.open("rb") as file, tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as out:
        for member in tar_members(file, budget.origin, clutter=True):
            if member.kind:
                parts.taken += judge(f"{member.name} {member.link}", {})
                continue
            if name := parts.add(member.name, member.content):
                entry = tarfile.TarInfo(name)
                entry.size = parts.left.stat().st_size
                with parts.left.open("rb") as content:
                    out.addfile(entry, content)
    return parts.done(path, target)


@dataclass
class _Parts:
    """The members of an archive, each parted by itself. One whose name is judged to go has its place as its name."""

    form: FileFormat | None
    judge: Judge
    budget: Budget
    scratch: Path
    taken: int = 0
    kept: int = 0
    unseen: int = 0
    _place: int = 0

    @property
    def left(self) -> Path:
        """What is left of the member that was added last."""
        return self.scratch / "parted"

    def add(self, name: str, content: Iterable[bytes]) -> str:
        """What a member is called from now on; "" where nothing of it is kept."""
        source, within = self.scratch / "member", self.scratch / "within"
        within.mkdir(exist_ok=True)
        with source.open("wb") as copy:
            copy.writelines(content)
        if self._is_read(name):
            found = _part(source, self.left, self.form, self.judge, self.budget, within, inner=True)
        elif (seen := _part_beside(source, self.left, self.judge, self.budget, within)) is not None:
            found = seen
        else:
            self.count_unseen(name)
            return ""
        return self._counted(name, found)

    def count_unseen(self, name: str) -> None:
        """
        Raises:
            BadFile: it is a member that the feed reads.
        """
        self._place += 1
        if self._is_read(name):
            raise BadFile(self.budget.origin, Reason.UNSUPPORTED, "holds a member that cannot be read")
        self.unseen += 1
        self.taken += self.judge(name, {})

    def _counted(self, name: str, found: Parted) -> str:
        self._place += 1
        named = self.judge(name, {})
        self.taken, self.kept, self.unseen = (
            self.taken + found.taken + named,
            self.kept + found.left,
            self.unseen + found.unseen,
        )
        return f"member-{self._place:04d}{PurePosixPath(name).suffix}" if named else name

    def _is_read(self, name: str) -> bool:
        patterns = self.form.members if self.form else ()
        return is_named(PurePosixPath(name), patterns)

    def done(self, path: Path, target: Path) -> Parted:
        """Where nothing is taken out, the file is left as it is, with what nobody has seen."""
        if not self.taken:
            shutil.copyfile(path, target)
        return Parted(self.taken, self.kept, self.unseen)


def _part_beside(path: Path, target: Path, judge: Judge, budget: Budget, scratch: Path) -> Parted | None:
    """A member that the feed does not read; None where nobody here can look into it."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    if compression_of(head) is Compression.NONE and data_kind_of(head) is None and not _is_text(path):
        return None
    try:
        return _part(path, target, None, judge, budget, scratch, inner=True)
    except BadFile as e:
        if e.reason is Reason.TOO_LARGE:
            raise
        return None


def _is_text(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        if file.read(len(_PDF)) == _PDF:
            return False
        file.seek(0)
        try:
            return not any("\0" in decoder.decode(chunk) for chunk in chunks_of(file)) and not decoder.decode(b"", True)
        except UnicodeDecodeError:
            return False


# -- text


@dataclass(frozen=True)
class _Written:
    """A record, or a line beside the records, as it is written. One without ``values`` is not judged; ``instead`` is
    what stands in the place of one that is taken out."""

    text: str
    values: Mapping[str, str] | None
    instead: str = ""
    is_record: bool = True


def _part_text(path: Path, target: Path, form: FileFormat, judge: Judge, origin: str) -> Parted:
    try:
        return _part_lines(path, target, form, judge, origin)
    except BadFile as e:
        if e.reason is not Reason.LAYOUT or not form.leaves_out_lines:
            raise
    # The feed refuses such a file, so no line of it is left out or is a header.
    plain = {"header": False, "comment": (), "skip_footer": 0, "repeated_header": "read", "skip_lines": 0}
    return _part_lines(path, target, form.model_copy(update=plain), judge, origin)


def _part_lines(path: Path, target: Path, form: FileFormat, judge: Judge, origin: str) -> Parted:
    taken = left = 0
    with _reading(path, form.encoding) as text, _writing(target, form.encoding) as out:
        written = _json_records(text) if form.kind == "ndjson" else _csv_records(text, form, origin)
        try:
            for each in written:
                if each.values is not None and judge(each.text, each.values):
                    taken += 1
                    out.write(each.instead)
                    continue
                left += each.values is not None and each.is_record
                out.write(each.text)
        except UnicodeError as e:
            raise BadFile(origin, Reason.ENCODING, f"is not {form.encoding}") from e
    return Parted(taken, left)


def _line_end(record: str) -> str:
    return record[len(record.rstrip("\r\n")) :]


def _reading(path: Path, encoding: str) -> IO[str]:
    """Bytes that are no text are kept as they are."""
    return io.TextIOWrapper(path.open("rb"), encoding, errors="surrogateescape", newline="")


def _writing(path: Path, encoding: str) -> IO[str]:
    return io.TextIOWrapper(path.open("wb"), encoding, errors="surrogateescape", newline="")


def _json_records(lines: Iterable[str]) -> Iterator[_Written]:
    for line in lines:
        try:
            value = parsed(line)
        except json.JSONDecodeError:
            yield _Written(line, _NO_COLUMNS if line.strip() else None)
            continue
        yield _Written(line, dict(texts_of(value, "")))


def _csv_records(lines: Iterable[str], form: FileFormat, origin: str) -> Iterator[_Written]:
    """Each record with its fields by the names of the header, and all lines beside them."""
    encoded = (line.encode("utf-8", "surrogateescape") for line in lines)
    names: list[str] = []
    for place, group in groupby(placed(encoded, form, origin), key=itemgetter(0)):
        texts = (text.decode("utf-8", "surrogateescape") for _, text in group)
        if place is Place.HEADER:
            # Where its quotes stay open, what follows is no header.
            first, *others = _joined(io.StringIO("".join(texts), newline="\n"), form)
            names = [field.strip().removeprefix("\ufeff") for field in _fields(first, form)]
            yield _Written(first, None)
            yield from (_record(each, names, form) for each in others)
        elif place is Place.RECORD:
            yield from (_record(each, names, form) for each in _joined(texts, form))
        else:
            yield from (_beside(place, text, form) for text in texts)


def _record(text: str, names: Sequence[str], form: FileFormat) -> _Written:
    fields = enumerate(_fields(text, form))
    values = {names[n] if n < len(names) else f"[{n}]": field for n, field in fields}
    return _Written(text, values if text.strip() else None)


def _beside(place: Place, text: str, form: FileFormat) -> _Written:
    """A line that is no record. Where lines are counted as many must stay, and none that was not empty may be."""
    end, stays = _line_end(text), ""
    if place is Place.SKIPPED:
        stays = end
    elif place is Place.TOTALS and isinstance(form.skip_footer, LineStart):
        stays = next(each for each in form.skip_footer.starts_with if each in text) + end
    elif place is Place.FOOTER and isinstance(form.skip_footer, int) and text.strip("\r\n"):
        stays = _ERASED + end
    judged = place not in (Place.SEPARATOR, Place.REPEATED)
    return _Written(text, _NO_COLUMNS if judged else None, stays, is_record=False)


def _fields(record: str, form: FileFormat) -> list[str]:
    try:
        return next(records(io.StringIO(record, newline=""), form), [])
    except csv.Error:
        return record.split(form.delimiter)


def _joined(lines: Iterable[str], form: FileFormat) -> Iterator[str]:
    """Lines, those within quotes joined. Where a quote stays open for too long, each line is a record of its own."""
    held: list[str] = []
    for line in lines:
        if not held and (not form.quote or form.quote not in line):
            yield line
            continue
        held.append(line)
        if not _is_open("".join(held), form):
            yield "".join(held)
            held = []
        elif len(held) >= _LONGEST:
            yield from held
            held = []
    yield from held


def _is_open(text: str, form: FileFormat) -> bool:
    """Whether a quoted field, which begins where a field does, goes on behind the text."""
    place, begins, quote, delimiter = 0, True, form.quote, form.delimiter
    while place < len(text):
        if begins and text[place] == quote:
            end = _closing(text, place + 1, quote, form.escape)
            if end is None:
                return True
            place = end + 1
            begins = False
            continue
        between = text.startswith(delimiter, place)
        begins = between or text[place] in "\n\r"
        place += len(delimiter) if between else 1
    return False


def _closing(text: str, start: int, quote: str, escape: str) -> int | None:
    place = start
    while place < len(text):
        if escape and escape != quote and text[place] == escape:
            place += 2
            continue
        if text[place] == quote:
            if escape in ("", quote) and text[place + 1 : place + 2] == quote:
                place += 2
                continue
            return place
        place += 1
    return None


# -- JSON documents and Parquet


def _part_json(path: Path, target: Path, form: FileFormat, judge: Judge, origin: str) -> Parted:
    """The array of records without some; what stands beside it has its texts blanked that are judged to go."""
    try:
        text = path.read_bytes().decode(form.encoding).removeprefix("\ufeff")
        document = parsed(text) if text.strip() else []
    except (UnicodeError, json.JSONDecodeError):
        raise BadFile(origin, Reason.LAYOUT, "is no JSON document") from None
    names = form.records.split(".") if form.records else []
    found = document
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, list):
        raise BadFile(origin, Reason.LAYOUT, "has no array of records where the feed says")
    before = len(found)
    found[:] = [each for each in found if not judge(json.dumps(each, ensure_ascii=False), dict(texts_of(each, "")))]
    rest, blanked = _blanked(document, found, judge)
    target.write_bytes(json.dumps(rest, ensure_ascii=False).encode(form.encoding))
    return Parted(before - len(found) + blanked, len(found))


def _blanked(value: Any, records: list[Any], judge: Judge) -> tuple[Any, int]:
    if value is records:
        return value, 0
    if isinstance(value, str):
        return ("", 1) if judge(value, {}) else (value, 0)
    if isinstance(value, list):
        pairs = [_blanked(each, records, judge) for each in value]
        return [each for each, _ in pairs], sum(count for _, count in pairs)
    if isinstance(value, dict):
        members = {name: _blanked(each, records, judge) for name, each in value.items()}
        return {name: each for name, (each, _) in members.items()}, sum(count for _, count in members.values())
    return value, 0


def _part_parquet(path: Path, target: Path, judge: Judge, origin: str) -> Parted:
    left = 0
    try:
        with opened(path) as file:
            with pq.ParquetWriter(target, file.schema_arrow, compression=_codec(file.metadata)) as writer:
                for group in row_groups(_without(batches_of(file), judge)):
                    left += group.num_rows
                    writer.write_table(group)
            rows = sum(file.metadata.row_group(number).num_rows for number in range(file.num_row_groups))
            return Parted(rows - left, left)
    except pa.ArrowException as e:
        raise BadFile(origin, Reason.DAMAGED, "is no Parquet that can be read") from e


def _without(batches: "Iterable[pa.RecordBatch]", judge: Judge) -> "Iterator[pa.RecordBatch]":
    for batch in batches:
        yield batch.filter(pa.array([not each for each in rows_judged(batch, judge)], pa.bool_()))


def _codec(metadata: "pq.FileMetaData") -> str:
    """As writers call it what the first column of a file is compressed with."""
    if not metadata.num_row_groups:
        return "snappy"
    named: str = metadata.row_group(0).column(0).compression
    return "none" if named == "UNCOMPRESSED" else named.lower()


def rows_judged(batch: "pa.RecordBatch", judge: Judge) -> list[bool]:
    """For each row whether it is judged to go. Each distinct text of a column is judged once."""
    found = [False] * batch.num_rows
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        known: dict[str, bool] = {}
        for row, value in enumerate(column.to_pylist() if _may_hold_text(column.type) else ()):
            text = value if isinstance(value, str) else _written(value)
            if text is None or found[row]:
                continue
            if text not in known:
                known[text] = judge(text, {name: text})
            found[row] = known[text]
    return found


def _may_hold_text(kind: "pa.DataType") -> bool:
    clear = (pa.types.is_floating, pa.types.is_boolean, pa.types.is_temporal, pa.types.is_decimal)
    return not any(is_kind(kind) for is_kind in clear)


def _written(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value) if isinstance(value, int) else json.dumps(value, ensure_ascii=False, default=str)
