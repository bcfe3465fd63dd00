"""Taking records out of a file that a sender wrote, with all others as they were written.

A file keeps its compression, encoding and layout, so that the feed reads what is left as it read the whole. What is
taken out goes as a whole record: a line with its quoted line ends, an element of a JSON array, a row of Parquet.
"""

import csv
import gzip
import io
import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any

from adplatform.contracts.file_format import FileFormat, LineStart
from adplatform.contracts.limits import Limits
from adplatform.failures import local_failure
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.budget import DEFAULT, Budget
from adplatform.files.compression import chunks_of, decompressed, opened_zip
from adplatform.files.delimited import records
from adplatform.files.lines import Place, placed
from adplatform.files.magic import HEAD, Compression, compression_of, is_openpgp_head, unsupported_format
from adplatform.platform.json_text import parsed
from adplatform.platform.late import Late

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
else:
    pa = Late("pyarrow")
    pq = Late("pyarrow.parquet")

_PARQUET = b"PAR1"
_LONGEST = 1000
"""Lines of one record, at most: a quote that nobody closes must not take the rest of the file with it."""
_BATCH = 20_000
_NO_COLUMNS: Mapping[str, str] = MappingProxyType({})
_ERASED = "erased"
"""Stands in a line that must stay for what it said."""
_EPOCH = (1980, 1, 1, 0, 0, 0)

Judge = Callable[[str, Mapping[str, str]], bool]
"""Whether a record is to be taken out, by its text as it is written and by its texts by column where it has columns."""


@dataclass(frozen=True)
class Parted:
    """How many records were ``taken`` out of a file, and how many are ``left``."""

    taken: int
    left: int


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
    if outer is Compression.ZIP and not inner:
        return _part_zip(path, target, form, judge, budget, scratch)
    if outer is not Compression.NONE:
        plain, left = scratch / "plain", scratch / "left"
        with path.open("rb") as file, plain.open("wb") as out:
            out.writelines(budget.spend(decompressed(file, outer, origin), scratch))
        parted = _part_content(plain, left, form, judge, origin)
        _compress(left, target, outer)
        return parted
    return _part_content(path, target, form, judge, origin)


def _part_content(path: Path, target: Path, form: FileFormat | None, judge: Judge, origin: str) -> Parted:
    with path.open("rb") as file:
        head = file.read(HEAD)
    if head.startswith(_PARQUET):
        return _part_parquet(path, target, judge, origin)
    if form is None:
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
    """Each member by itself. One whose name is judged to go has its place as its name."""
    taken = left = 0
    with opened_zip(path, budget.origin) as archive, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as out:
        for place, member in enumerate(archive.infolist(), start=1):
            if member.is_dir():
                continue
            source, parted, within = scratch / "member", scratch / "parted", scratch / "within"
            within.mkdir(exist_ok=True)
            with archive.open(member) as stream, source.open("wb") as copy:
                copy.writelines(budget.spend(chunks_of(stream), scratch))
            found = _part(source, parted, form, judge, budget, within, inner=True)
            named = judge(member.filename, {})
            taken, left = taken + found.taken + named, left + found.left
            name = f"member-{place:04d}{Path(member.filename).suffix}" if named else member.filename
            with parted.open("rb") as content, out.open(zipfile.ZipInfo(name, _EPOCH), "w") as stream:
                shutil.copyfileobj(content, stream)
    return Parted(taken, left)


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
    plain = {"header": False, "comment": None, "skip_footer": 0, "repeated_header": "read", "skip_lines": 0}
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
        yield _Written(line, dict(_texts(value, "")))


def _texts(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """The texts within a JSON value by the name of the member that each is in, the keys of members too."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield f"{key}?", key
            yield from _texts(each, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _texts(each, f"{name}[{number}]")
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield name, str(value)


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
    found[:] = [each for each in found if not judge(json.dumps(each, ensure_ascii=False), dict(_texts(each, "")))]
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
    taken = left = 0
    try:
        with pq.ParquetFile(path) as file:
            codec = file.metadata.row_group(0).column(0).compression if file.metadata.num_row_groups else "SNAPPY"
            with pq.ParquetWriter(target, file.schema_arrow, compression=codec.lower()) as writer:
                for batch in file.iter_batches(_BATCH):
                    kept = [not each for each in rows_judged(batch, judge)]
                    taken, left = taken + kept.count(False), left + kept.count(True)
                    writer.write_batch(batch.filter(pa.array(kept, pa.bool_())))
    except pa.ArrowException as e:
        raise BadFile(origin, Reason.DAMAGED, "is no Parquet that can be read") from e
    return Parted(taken, left)


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
