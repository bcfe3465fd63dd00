"""The files of a delivery as rows of text, read where Spark's executors are: the same code prepares them as embedded.

Each task writes what it has read as Parquet, rows and rejects apart, and tells which files these are and what became of
those that it read. Nothing here imports pyspark, and what it imports is in every installation of the job.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter

from adplatform.contracts.column import Column
from adplatform.contracts.limits import Limits
from adplatform.contracts.model import Contract
from adplatform.contracts.schema_change import SchemaChange
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.compression import MOST_MEMBERS
from adplatform.files.input_file import InputFile, surveyed
from adplatform.files.members import told_of_members
from adplatform.files.unpack import unpack
from adplatform.platform.late import Late
from adplatform.transform.copies import Copies
from adplatform.transform.job_plan import JobPlan, WrittenFile
from adplatform.transform.layouts import Lines, Names, accept, empty_texts, first_record, header_of
from adplatform.transform.long_records import refuse_long_records
from adplatform.transform.one_line_end import with_one_line_end
from adplatform.transform.rejects import Reject
from adplatform.transform.spark_files import Task
from adplatform.transform.spark_json import Bad, Documents
from adplatform.transform.spark_objects import Objects
from adplatform.transform.spark_parquet import BadRows, bytes_of, columns_of, texts_of
from adplatform.transform.spark_parts import Fetched, Share, come_to_much, fetched, shares
from adplatform.transform.spark_ranges import Cut
from adplatform.transform.splitting import Count, Rows, Shape, Splitting, shape_of, split
from adplatform.transform.values import FooterLikeRows

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
else:
    np = Late("numpy")
    pa = Late("pyarrow")
    pc = Late("pyarrow.compute")

_AT_ONCE = 1_000
"""Rejects that are held in memory."""
_NO_MARKS = " \t"


@dataclass(frozen=True)
class ReadFile:
    """What was found in one file, which may be a member of an archive. ``header`` are the names of its columns, None
    of one without even those, ``unnamed`` the fields behind them, and ``more`` the names of undeclared ones as their
    texts are ordered in the files of rows."""

    file: int
    origin: str
    header: tuple[str, ...] | None
    more: tuple[str, ...]
    unnamed: int
    skipped: int
    left_out: int
    rows: int
    breaks: int
    rejects: int
    of_bytes: tuple[str, ...] = ()
    """The columns that may be bytes, as the file calls them."""
    footer: FooterLikeRows | None = None
    most: int = 0
    """Bytes that Parquet may come to."""

    def __add__(self, other: "ReadFile") -> "ReadFile":
        """What was found in two parts of one file."""
        return replace(
            self,
            rows=self.rows + other.rows,
            breaks=self.breaks + other.breaks,
            rejects=self.rejects + other.rejects,
            most=self.most + other.most,
        )


T = TypeVar("T")
_Yielded = Generator[tuple[str, "pa.RecordBatch"], None, T]
_Reading = _Yielded[ReadFile]


@dataclass(frozen=True)
class Report:
    """What became of a planned file, or of a part of it, by its place among those of the plan. Of parts that are bad
    the one of the lowest ``rank`` says what the file is refused for."""

    place: int
    sha256: str = ""
    files: tuple[ReadFile, ...] = ()
    bad: tuple[str, Reason, str, tuple[SchemaChange, ...]] | None = None
    rank: tuple[int, ...] = ()


def merged(reports: Iterable[Report]) -> list[Report]:
    """What became of each file, of those in parts together, by their places."""
    return [_merged(place, parts) for place, parts in sorted(_by_place(reports).items())]


def _by_place(reports: Iterable[Report]) -> dict[int, list[Report]]:
    found: dict[int, list[Report]] = {}
    for each in reports:
        found.setdefault(each.place, []).append(each)
    return found


def _merged(place: int, parts: Sequence[Report]) -> Report:
    bad = min((each for each in parts if each.bad), key=lambda each: each.rank, default=None)
    files: dict[int, ReadFile] = {}
    for file in (file for each in parts for file in each.files):
        files[file.file] = files[file.file] + file if file.file in files else file
    sha256 = next((each.sha256 for each in parts if each.sha256), "")
    if bad:
        return replace(bad, sha256=sha256)
    return Report(place, sha256, tuple(files[number] for number in sorted(files)))


@dataclass(frozen=True)
class Received:
    """What a task has read, and the files with the rows and the rejects of that."""

    reports: tuple[Report, ...]
    rows: tuple[WrittenFile, ...]
    rejects: tuple[WrittenFile, ...]


COLUMNS = "report binary"
"""What :class:`Reader` gives Spark: a :class:`Received` in each row."""


def loaded(report: bytes) -> Received:
    received: Received = TypeAdapter(Received).validate_json(report)
    return received


@dataclass(frozen=True)
class Reader:
    """Reads what a task reads in a worker, one of ``tasks`` for each number that it is given, and writes what it has
    read below ``output``."""

    contract: Contract
    limits: Limits
    reserved: tuple[str, ...]
    region: str
    output: str
    tasks: tuple[tuple[Share, ...], ...]

    @classmethod
    def of(cls, plan: JobPlan, output: str, cuts: Mapping[int, Sequence[Cut]]) -> "Reader":
        return cls(plan.contract, plan.limits, plan.reserved, plan.region, output, shares(plan, cuts))

    def again(self, received: Iterable[Received]) -> set[int]:
        """The places of files that were read in parts and have to be read as a whole, because only that tells what they
        are refused for, or that they are not: those that may come to too much together, and those of text of which a
        part is bad, or was understood as another was not."""
        parts = _by_place(report for each in received for report in each.reports)
        files = {share.place: share for each in self.tasks for share in each if share.parts > 1}
        return {place for place, share in files.items() if self._is_read_again(share, parts[place])}

    def _is_read_again(self, share: Share, parts: Sequence[Report]) -> bool:
        files = [file for each in parts for file in each.files]
        if share.cut is None:
            return come_to_much(share.file, self.limits, sum(file.most for file in files))
        return any(each.bad for each in parts) or len({(f.header, f.more, f.unnamed) for f in files}) > 1

    def wholly(self, places: Collection[int]) -> "Reader":
        """What reads these files alone, each as a whole."""
        files = {share.place: share.file for each in self.tasks for share in each if share.place in places}
        return replace(self, tasks=tuple((Share(place, file),) for place, file in files.items()))

    def __call__(self, numbers: "Iterable[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
        for batch in numbers:
            for number in batch.column(0).to_pylist():
                with tempfile.TemporaryDirectory(prefix="spark-") as folder:
                    received = self._received(self.tasks[number], Path(folder))
                content = TypeAdapter(Received).dump_json(received)
                yield pa.RecordBatch.from_pydict({"report": pa.array([content], pa.binary())})

    def _received(self, planned: Iterable[Share], folder: Path) -> Received:
        objects, reports = Objects(self.region), list[Report]()
        tasks = {name: Task(folder, f"{self.output}{name}/", objects) for name in _PARTS}
        written: dict[str, list[WrittenFile]] = {name: [] for name in _PARTS}
        for share in planned:
            work = folder / str(share.place)
            work.mkdir()
            reading = _received(self, share, work)
            report = None
            while report is None:
                try:
                    part, rows = next(reading)
                except StopIteration as e:
                    report = e.value
                else:
                    written[part] += tasks[part].add("", rows)
            reports.append(report)
            shutil.rmtree(work)
        for part, task in tasks.items():
            written[part] += task.end()
        return Received(tuple(reports), tuple(written[_ROWS]), tuple(written[_REJECTS]))


_ROWS, _REJECTS = "received", "rejected"
_PARTS = (_ROWS, _REJECTS)


def columns(contract: Contract) -> list[str]:
    """What the declared columns are called in the files of rows, in the order of the contract's."""
    return [f"c{place}" for place, _ in enumerate(contract.read_columns)]


def row_columns(contract: Contract) -> str:
    """The columns of the files of rows as Spark has them. ``more`` are the texts of undeclared columns, ``no_text``
    the names of those, of the file's, that have bytes that are no text."""
    own = "_file bigint, _row bigint, line bigint, unnamed string, more array<string>, no_text array<string>"
    return ", ".join([own, *(f"{name} string" for name in columns(contract))])


def _schema(contract: Contract) -> "pa.Schema":
    numbers = [(name, pa.int64()) for name in ("_file", "_row", "line")]
    own = [("unnamed", pa.string()), ("more", pa.list_(pa.string())), ("no_text", pa.list_(pa.string()))]
    return pa.schema([*numbers, *own, *((name, pa.string()) for name in columns(contract))])


# -- one planned file


def _received(reader: Reader, share: Share, work: Path) -> "_Yielded[Report]":
    contract, planned = reader.contract, share.file
    report, objects = Report(share.place), Objects(reader.region)
    if share.number is None:
        return replace(report, sha256=_sha256(objects.chunks(planned.uri, planned.version)))
    part = fetched(objects, share, work)
    if part is None:
        return report
    path, groups, first, found = part.path, part.groups, share.place * MOST_MEMBERS, list[ReadFile]()
    try:
        if share.parts == 1:
            report = replace(report, sha256=_sha256(objects.chunks(str(path), "")))
        files = unpack(path, planned.origin, contract.format, work, first, reader.limits, planned.received, groups)
        for file in (replace(file, left_out=part.lacks) if part.lacks else file for file in files):
            with told_of_members(contract.format.members):
                read = yield from _read(contract, file, reader.reserved, work, part)
            found.append(read)
            if file.path != path:
                file.path.unlink()
    except BadFile as e:
        rank = (1, e.column, share.number) if isinstance(e, BadRows) else (0, 0, share.number)
        return replace(report, bad=(e.origin, e.reason, e.message, e.changes), rank=rank)
    return replace(report, files=tuple(found))


def _sha256(chunks: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def _read(contract: Contract, file: InputFile, reserved: Sequence[str], work: Path, part: Fetched) -> _Reading:
    kind = contract.format.prepared
    if kind == "parquet":
        return (yield from _read_parquet(contract, file, reserved, part.groups.places if part.groups else None))
    file = replace(file, survey=surveyed(file, contract.format))
    refuse_long_records(contract, [file])
    alike = with_one_line_end(contract.format, [file], work / "alike")
    read = _read_delimited if kind == "csv" else _read_json
    return (yield from read(contract, file, reserved, alike, part.rows_before))


@dataclass(frozen=True)
class _Header:
    """Where the columns of a file go. ``declared`` has for each of its columns the place of the contract's, None of
    an undeclared one."""

    names: tuple[str, ...]
    declared: tuple[int | None, ...]

    @classmethod
    def of(cls, contract: Contract, names: tuple[str, ...]) -> "_Header":
        known = Names.of(contract)
        places = {column.name: place for place, column in enumerate(contract.read_columns)}
        owners = (known.column(name) for name in names)
        return cls(names, tuple(None if owner is None else places[owner] for owner in owners))

    @property
    def undeclared(self) -> tuple[str, ...]:
        return tuple(name for name, place in zip(self.names, self.declared, strict=True) if place is None)


def _read_delimited(
    contract: Contract, delivered: InputFile, reserved: Sequence[str], alike: Copies, before: int
) -> _Reading:
    [file] = alike.instead([delivered])
    record = first_record(file, contract.format)
    if record is None:
        return _read_file(file, None, (), Count())
    names, lines = header_of(contract, file, record)
    accept(contract, [(file, names, lines)], reserved)
    header, count = _Header.of(contract, names), Count()
    batches = _Batches(contract, file.ordinal, alike, count)
    fmt = contract.format
    shape = shape_of(file, fmt, len(names) + lines.unnamed, record)
    for each in split(file, fmt, Splitting.of(fmt), shape, count, delivered):
        if isinstance(each, Reject):
            yield from batches.add(file, each)
        else:
            placed = _placed(contract, header, each, lines.unnamed)
            yield batches.rows(file, before + each.numbers, each.lines, *placed)
    yield from batches.rest(file)
    return replace(_read_file(file, names, header.undeclared, count), unnamed=lines.unnamed)


def _placed(
    contract: Contract, header: _Header, rows: Rows, unnamed: int
) -> "tuple[list[pa.Array], pa.Array | None, pa.Array | None]":
    """The texts of the contract's columns, those of undeclared ones, and what stands behind all of them."""
    count = len(rows.numbers)
    texts: list[pa.Array | None] = [None] * len(contract.read_columns)
    more: list[pa.Array] = []
    for place, column in zip(header.declared, rows.columns, strict=False):
        if place is None:
            more.append(column)
        else:
            texts[place] = column
    behind = rows.columns[len(header.names) :]
    beside = pc.binary_join_element_wise(*(pc.fill_null(each, "") for each in behind), "") if unnamed else None
    of_text = set(empty_texts(contract, [c.name for c in contract.read_columns]))
    found = [
        _absent(column, count) if text is None else pc.fill_null(text, "") if column.name in of_text else text
        for column, text in zip(contract.read_columns, texts, strict=True)
    ]
    return found, _lists(more, count) if more and contract.schema_policy == "evolve" else None, beside


def _absent(column: Column, count: int) -> "pa.Array":
    """The texts of a column that a file lacks."""
    return pa.nulls(count, pa.string()) if column.default is None else pa.repeat(column.default, count)


def _lists(columns: "Sequence[pa.Array]", count: int) -> "pa.Array":
    """The values of each row as one list."""
    width = len(columns)
    flat = pa.chunked_array(columns).combine_chunks()
    order = np.arange(width * count).reshape(width, count).T.reshape(-1)
    return pa.ListArray.from_arrays(
        pa.array(np.arange(0, width * count + 1, width), pa.int32()), flat.take(pa.array(order))
    )


def _read_json(
    contract: Contract, delivered: InputFile, reserved: Sequence[str], alike: Copies, before: int
) -> _Reading:
    [file] = alike.instead([delivered])
    fmt, count, documents = contract.format, Count(), Documents(contract)
    batches = _Batches(contract, file.ordinal, alike, count)
    with file.path.open("rb") as stream:
        first = stream.readline()
    shape = Shape(1, crlf=first.endswith(b"\r\n") if first.endswith(b"\n") else None)
    rows = 0
    for each in split(file, fmt, Splitting.of_lines(fmt), shape, count, delivered):
        if isinstance(each, Reject):
            reasons = tuple("bad_json" if reason == "column_count" else reason for reason in each.reasons)
            yield from batches.add(file, replace(each, reasons=reasons))
            continue
        found: list[tuple[int, int, list[str | None], list[str | None]]] = []
        places = (each.numbers.tolist(), each.lines.tolist(), each.places.tolist())
        for number, line, at, text in zip(*places, each.columns[0].to_pylist(), strict=True):
            if text is None or not text.strip(_NO_MARKS):
                continue
            try:
                found.append((number, line, *documents.texts(text)))
            except Bad:
                delivered_at = file.delivered_line(line), file.delivered_at(line, at)
                yield from batches.add(file, Reject(file.ordinal, *delivered_at, ("bad_json",), text))
        if not found:
            continue
        rows += len(found)
        numbers, lines, declared, more = zip(*found, strict=True)
        texts = [pa.array(column, pa.string()) for column in zip(*declared, strict=True)]
        keeps = contract.schema_policy == "evolve" and documents.names
        placed = np.array(lines if fmt.kind == "ndjson" else [0] * len(lines), np.int64)
        yield batches.rows(
            file,
            before + np.array(numbers, np.int64),
            placed,
            texts,
            pa.array(more, pa.list_(pa.string())) if keeps else None,
        )
    yield from batches.rest(file)
    accept(contract, [(file, documents.header(), Lines())], reserved)
    return replace(_read_file(file, documents.header(), tuple(documents.names), count), rows=rows, breaks=0)


def _read_parquet(
    contract: Contract, file: InputFile, reserved: Sequence[str], groups: Sequence[int] | None
) -> _Reading:
    names = columns_of(file.path, file.origin)
    accept(contract, [(file, names, Lines())], reserved)
    header, count = _Header.of(contract, names), Count()
    batches = _Batches(contract, file.ordinal, Copies({}), count)
    evolved = Column(name="evolved").with_defaults(contract.defaults)
    wanted = [
        contract.read_columns[place] if place is not None else evolved if contract.schema_policy == "evolve" else None
        for place in header.declared
    ]
    of_bytes = bytes_of(file.path, names, wanted)
    for texts in texts_of(file, wanted, of_bytes, groups):
        size = texts.rows
        found: list[Any] = [None] * len(contract.read_columns)
        more = []
        for place, text in zip(header.declared, texts.columns, strict=True):
            if place is not None:
                found[place] = text
            elif text is not None:
                more.append(text)
        declared = [
            _absent(column, size) if text is None else text
            for column, text in zip(contract.read_columns, found, strict=True)
        ]
        numbers = np.arange(texts.number, texts.number + size, dtype=np.int64)
        flags = pa.array(texts.without, pa.list_(pa.string())) if texts.without else None
        nowhere = np.zeros(size, np.int64)
        yield batches.rows(file, numbers, nowhere, declared, _lists(more, size) if more else None, no_text=flags)
        count.rows += size
    return replace(_read_file(file, names, header.undeclared, count), of_bytes=of_bytes, most=file.most)


def _read_file(file: InputFile, header: tuple[str, ...] | None, more: tuple[str, ...], count: Count) -> ReadFile:
    left_out = file.left_out
    counts = (left_out.rows, count.rows, count.breaks, count.rejects)
    found = ReadFile(file.ordinal, file.origin, header, more, 0, file.skipped, *counts)
    if left_out.footer is None or not left_out.footer.like_rows:
        return found
    line = file.sheet.of(left_out.footer.line)
    return replace(found, footer=FooterLikeRows(file.origin, line, left_out.footer.behind))


# -- batches


@dataclass
class _Batches:
    """Record batches for one file, which may be read from a copy."""

    contract: Contract
    file: int
    alike: Copies
    count: Count
    _rejects: list[Reject] = field(default_factory=list)

    def rows(
        self,
        file: InputFile,
        numbers: Any,
        lines: Any,
        texts: "Sequence[pa.Array]",
        more: "pa.Array | None",
        unnamed: "pa.Array | None" = None,
        no_text: "pa.Array | None" = None,
    ) -> "tuple[str, pa.RecordBatch]":
        count = len(numbers)
        delivered = pa.array(_delivered(file, lines), pa.int64(), mask=lines == 0)
        own = {"_row": pa.array(numbers), "line": delivered, "unnamed": unnamed, "more": more, "no_text": no_text}
        own |= {"_file": pa.repeat(pa.scalar(self.file, pa.int64()), count)}
        own |= dict(zip(columns(self.contract), texts, strict=True))
        schema = _schema(self.contract)
        arrays = [pa.nulls(count, each.type) if own[each.name] is None else own[each.name] for each in schema]
        return _ROWS, pa.RecordBatch.from_arrays(arrays, schema=schema)

    def add(self, file: InputFile, reject: Reject) -> "Iterator[tuple[str, pa.RecordBatch]]":
        self._rejects.append(reject)
        self.count.rejects += 1
        if len(self._rejects) >= _AT_ONCE:
            yield from self.rest(file)

    def rest(self, file: InputFile) -> "Iterator[tuple[str, pa.RecordBatch]]":
        rejects, self._rejects = self.alike.as_written(self._rejects), []
        if not rejects:
            return
        found = {
            "_file": pa.array([self.file] * len(rejects), pa.int64()),
            "line": pa.array([file.sheet.of(r.line) for r in rejects], pa.int64()),
            "byte_position": pa.array([r.byte_position for r in rejects], pa.int64()),
            "reasons": pa.array([";".join(r.reasons) for r in rejects], pa.string()),
            "raw": pa.array([r.raw for r in rejects], pa.string()),
        }
        yield _REJECTS, pa.RecordBatch.from_pydict(found)


def _delivered(file: InputFile, lines: Any) -> Any:
    """The lines of the delivered file, or the rows of its sheet, which these lines are."""
    left_out = file.left_out
    if left_out.kept:
        place = np.searchsorted(np.frombuffer(left_out.kept, np.int64), lines - 1, side="right")
        lines = lines + np.concatenate(([0], np.frombuffer(left_out.lines, np.int64)))[place]
    if file.sheet.lines:
        lines = np.array([file.sheet.of(line) for line in lines.tolist()], np.int64)
    return lines
