"""The transform on DuckDB, embedded: a delivery on local disk to typed, de-identified Parquet on local disk.

The parsed rows are materialised once, validated in the same scan; memory is bounded by ``EngineLimits`` because DuckDB
spills what exceeds it to ``temp_directory``. The order of the input is kept, so "the row that came last" is a fact.
"""

import re
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from adplatform.contracts.column import DELIVERY_DATE
from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.model import Contract
from adplatform.failures import PermanentFailure
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.input_file import InputFile, surveyed
from adplatform.files.members import told_of_members
from adplatform.platform.heeding import heeding
from adplatform.platform.late import Late
from adplatform.privacy import duckdb as privacy
from adplatform.privacy.keys import HashKey
from adplatform.transform.compile import (
    Statements,
    compile_contract,
    digests_of,
    emptied_counts,
    output_columns,
    partition_column,
)
from adplatform.transform.exhaustion import is_of_disk, ran_out
from adplatform.transform.json_lines import read_json_lines
from adplatform.transform.layouts import refuse_unread
from adplatform.transform.line_count import count_lines, ends_before
from adplatform.transform.long_records import refuse_long_records
from adplatform.transform.one_line_end import stray_return
from adplatform.transform.parquet import no_utf8, read_parquet
from adplatform.transform.readers import Reading, read_delimited
from adplatform.transform.record_places import Asked, integers
from adplatform.transform.rejects import Reject, with_broken_quotes
from adplatform.transform.rules import identifier, literal
from adplatform.transform.undeclared import judged
from adplatform.transform.values import FileCount, FooterLikeRows, Staged, StagedFile

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq
else:
    duckdb = Late("duckdb")
    pa = Late("pyarrow")
    pq = Late("pyarrow.parquet")

ROW_GROUP_ROWS = 245_760
FILE_SIZE = "384MB"
_READERS = {"csv": read_delimited, "ndjson": read_json_lines, "parquet": read_parquet}


@dataclass(frozen=True)
class EngineLimits:
    """What the engine may use.

    ``memory_limit`` is DuckDB's own budget, such as ``"1200MB"``; the process takes about 0.4 GB more
    (:class:`adplatform.platform.machine.Machine` says what to give it). ``temp_directory`` holds what exceeds it and
    must be a real disk; the work directory when None.
    """

    memory_limit: str = "2GB"
    threads: int = 2
    temp_directory: Path | None = None


def transform(
    contract: Contract,
    files: Sequence[InputFile],
    delivery_date: date,
    key: HashKey | None,
    work: Path,
    limits: EngineLimits,
    previous: HashKey | None = None,
    reserved: Iterable[str] = (),
) -> Staged:
    """Validate, quarantine, cast, de-identify and deduplicate the files of one delivery.

    With ``previous`` the digests under that key stand beside those under ``key``. ``reserved`` are names
    that the table has beside the contract's columns. Writes below ``work``, which must be
    an empty directory of this run: ``clean/`` and ``quarantine.parquet``.

    Raises:
        PermanentFailure: a file breaks the contract as a whole, the contract cannot be computed, or it needs a key
            that is not there.
        TransientFailure: the machine ran out of memory.
        EnvironmentFailure: the disk has no room.
    """
    if contract.needs_key and key is None:
        raise PermanentFailure("the contract hashes personal data and no hashing key was given; nothing was read")
    if len({file.ordinal for file in files}) < len(files) or len({file.origin for file in files}) < len(files):
        raise PermanentFailure(
            "two files of the delivery share an ordinal or an origin, so rows could not be told apart"
        )
    if contract.format.prepared != "parquet":
        files = [replace(file, survey=surveyed(file, contract.format)) for file in files]
    refuse_long_records(contract, files)
    with _connect(files, contract.format, work, limits) as con:
        if kinds := {pii.kind for _, pii in contract.pii_columns()}:
            privacy.register(con, key, previous, kinds)
        with told_of_members(contract.format.members):
            reading = _READERS[contract.format.prepared](con, contract, files, work / "links", reserved)
        accepted = reading.accepted
        previous_id = previous.id if previous else None
        statements = compile_contract(
            accepted.contract, key.id if key else None, previous_key_id=previous_id, of_bytes=reading.of_bytes
        )
        refused = {r.origin for r in accepted.refused}
        read = [file for file in files if file.origin not in refused]
        _validate(con, statements, read, reading)
        rejects, breaks = _all_of(con, reading, statements, accepted.contract, read)
        out = judged(
            accepted.contract,
            accepted.undeclared,
            "validated_rows",
            lambda sql: con.execute(sql).fetchall(),
            typed=True,
            some=_some_rows(con) if accepted.undeclared else "",
        )
        repeated = _digests_once(con, statements)
        if out.withheld or repeated:
            clean = compile_contract(
                out.contract,
                key.id if key else None,
                previous_key_id=previous_id,
                kept_out=out.files,
                looked_up=repeated,
            ).clean
            statements = replace(statements, clean=clean)
        _keep_latest(con, statements)
        staged = _write_clean(con, contract, statements, delivery_date, work / "clean")
        _place(con, reading, read, rejects, csv=contract.format.prepared == "csv")
        quarantine = _write_quarantine(con, statements, read, rejects, work / "quarantine.parquet")
        counts = _counts(con, read, rejects, staged)
        if contract.format.prepared == "csv":
            refuse_unread(
                contract,
                [file for file, count in zip(read, counts, strict=True) if count.rows_in == file.left_out.rows],
            )
        return Staged(
            columns=output_columns(out.contract, previous=previous is not None),
            files=staged,
            quarantine=quarantine,
            counts=counts,
            reasons=_reasons(con, quarantine),
            refused=accepted.refused,
            line_breaks=breaks,
            withheld=out.withheld,
            evolved=tuple(accepted.undeclared),
            lacking={name: n for name, n in accepted.lacking.items() if not out.contract.column(name).drop},
            footers=_footers_like_rows(read),
            emptied=emptied_counts(con.execute(statements.emptied).fetchall()) if statements.emptied else {},
            changes=accepted.changes,
            types=accepted.types,
        )


def transform_apart(
    contract: Contract,
    deliveries: Sequence[tuple[InputFile, date]],
    key: HashKey | None,
    work: Path,
    limits: EngineLimits,
    previous: HashKey | None = None,
    reserved: Iterable[str] = (),
) -> list[Staged] | None:
    """:func:`transform` for several deliveries of one file each, by one scan of all: what each of them comes to. None
    where something is wrong with one of their rows, or it has a column that is not declared: then each is to be
    transformed by itself.

    Raises: as :func:`transform`.
    """
    files = [replace(file, survey=surveyed(file, contract.format)) for file, _ in deliveries]
    refuse_long_records(contract, files)
    with _connect(files, contract.format, work, limits) as con:
        if kinds := {pii.kind for _, pii in contract.pii_columns()}:
            privacy.register(con, key, previous, kinds)
        reading = _READERS[contract.format.prepared](con, contract, files, work / "links", reserved)
        accepted, previous_id = reading.accepted, previous.id if previous else None
        if accepted.refused or accepted.undeclared or accepted.lacking or any(_footers_like_rows(files)):
            return None
        statements = compile_contract(
            accepted.contract, key.id if key else None, previous_key_id=previous_id, of_bytes=reading.of_bytes
        )
        _validate(con, statements, files, reading)
        rejects, breaks = _all_of(con, reading, statements, accepted.contract, files)
        [bad] = con.execute("select count(*) filter (_reasons <> '') from validated").fetchone() or (0,)
        if rejects or breaks or bad:
            return None
        # Rows of one key are compared within a file.
        _keep_latest(con, replace(statements, key=(*statements.key, "_file") if statements.key else ()))
        staged = _write_apart(con, statements, {file.ordinal: day for file, day in deliveries}, work / "clean")
        counts = _counts(con, files, (), [each for some in staged.values() for each in some])
        columns = output_columns(accepted.contract, previous=previous is not None)
        return [
            Staged(columns, tuple(staged.get(file.ordinal, ())), None, (count,), {})
            for file, count in zip(files, counts, strict=True)
        ]


def _footers_like_rows(files: Sequence[InputFile]) -> tuple[FooterLikeRows, ...]:
    found = ((file, file.left_out.footer) for file in files)
    return tuple(
        FooterLikeRows(file.origin, file.sheet.of(footer.line), footer.behind)
        for file, footer in found
        if footer and footer.like_rows
    )


@contextmanager
def _connect(
    files: Sequence[InputFile], fmt: FileFormat, work: Path, limits: EngineLimits
) -> "Iterator[duckdb.DuckDBPyConnection]":
    directory = limits.temp_directory or work
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="spill-", dir=directory) as spill:
        settings = {
            "memory_limit": limits.memory_limit,
            "threads": limits.threads,
            "temp_directory": spill,
            "autoinstall_known_extensions": False,
            "preserve_insertion_order": True,
            # What is looked up stands on the right of a join. By its estimates, a fifth of the rows for each condition,
            # DuckDB would keep the wide rows in memory instead.
            "disabled_optimizers": "build_side_probe_side",
        }
        con = duckdb.connect(":memory:", config=settings)
        try:
            con.execute("set TimeZone = 'UTC'")
            _close_off(con, [work, directory], [file.path for file in files])
            with heeding(con) as heedful:
                yield heedful
        except (duckdb.OutOfMemoryException, duckdb.IOException) as e:
            raise ran_out(f"the transform under a limit of {limits.memory_limit}", e, directory) from e
        except duckdb.Error as e:
            if is_of_disk(e):
                raise ran_out(f"the transform under a limit of {limits.memory_limit}", e, directory) from None
            # Without "from e": DuckDB quotes the offending line, which may hold personal data.
            raise _unreadable(e, files, fmt, work) from None
        finally:
            con.close()


def _close_off(con: "duckdb.DuckDBPyConnection", directories: Sequence[Path], files: Sequence[Path]) -> None:
    """What a contract says in SQL reads a row; if it could say more, it would still reach no other file."""
    for setting, paths in (("allowed_directories", directories), ("allowed_paths", files)):
        listed = ", ".join(literal(str(path.resolve())) for path in paths)
        con.execute(f"set {setting} = [{listed}]")
    con.execute("set enable_external_access = false")
    con.execute("set lock_configuration = true")


def _unreadable(error: "duckdb.Error", files: Sequence[InputFile], fmt: FileFormat, work: Path) -> PermanentFailure:
    parsed = [file for file in files if f"file = {work / 'links' / str(file.ordinal)}\n" in f"{error}\n"]
    if parsed:
        return stray_return(parsed[0], fmt)
    named = [file.origin for file in files if f'Parquet file "{work / "links" / str(file.ordinal)}"' in str(error)]
    if named and "is not valid UTF8" in str(error):
        return BadFile(
            named[0],
            Reason.LAYOUT,
            no_utf8(file.path for file in files if file.origin == named[0]),
        )
    if isinstance(error, duckdb.BinderException | duckdb.CatalogException | duckdb.ParserException):
        return PermanentFailure(f"the contract cannot be computed: {str(error).splitlines()[0]}")
    why = f"DuckDB cannot read it ({type(error).__name__}); check that it is what the contract says, its kind first"
    links = re.escape(str(work / "links"))
    named = [file.origin for file in files if re.search(rf"{links}/{file.ordinal}(?![0-9])", str(error))]
    if named:
        return BadFile(named[0], Reason.LAYOUT, why)
    return PermanentFailure(f"{files[0].origin if len(files) == 1 else f'one of {len(files)} files'}: {why}")


def _validate(
    con: "duckdb.DuckDBPyConnection", statements: Statements, files: Sequence[InputFile], reading: Reading
) -> None:
    origins = pa.table(
        {"_file": [f.ordinal for f in files], "_origin": [f.origin for f in files]},
        pa.schema([("_file", pa.int32()), ("_origin", pa.string())]),
    )
    con.register("files", origins)
    if few := _have_few_rows(reading.scanned.opened):
        con.execute("create temp table read_rows as select * from raw")
        con.execute("create or replace temp view raw as select * from read_rows")
    con.execute(f"create temp table validated_rows as {statements.validate}")
    if few:
        con.execute("drop view raw; drop table read_rows")
    con.execute("create temp view validated as select rowid as _row, * from validated_rows")


_MANY, _SMALL = 100, 200_000
"""Files, and bytes of one on average."""


def _have_few_rows(files: Sequence[InputFile]) -> bool:
    """Whether files are many of a few rows each. DuckDB evaluates expressions for up to 2,048 rows at once, of one
    file, which costs the same for any number; rows that were read before come in full."""
    return len(files) >= _MANY and sum(file.path.stat().st_size for file in files) < _SMALL * len(files)


def _all_of(
    con: "duckdb.DuckDBPyConnection",
    reading: Reading,
    statements: Statements,
    contract: Contract,
    files: Sequence[InputFile],
) -> tuple[list[Reject], int]:
    """The rejects, and the line ends within values, once files of which DuckDB has lost something are split anew."""
    if contract.format.prepared != "csv":
        return reading.rejects(), 0
    anew: dict[int, int] = {}
    lost = frozenset(with_broken_quotes(con, reading.scanned.files))
    while True:
        if lost:
            anew |= reading.anew(lost)
            con.execute(f"delete from validated_rows where _file in ({', '.join(map(str, lost))})")
            con.execute(f"insert into validated_rows {statements.validate}")
        rejects = reading.rejects()
        lines = count_lines(con, contract, [file for file in files if file.ordinal not in anew], rejects)
        lost = lines.lost
        if not lost:
            return rejects, lines.breaks + sum(anew.values())


_SOME_ROWS = 20_000
_TIMES = 4
"""Times as many, of which some are looked at first, for what undeclared columns hold."""


def _some_rows(con: "duckdb.DuckDBPyConnection") -> str:
    """A relation of some rows out of all of ``validated_rows``; "" where these are few."""
    [count] = con.execute("select count(*) from validated_rows").fetchone() or (0,)
    every = count // _SOME_ROWS
    return f"(select * from validated_rows where rowid % {every} = 0)" if every >= _TIMES else ""


def _keep_latest(con: "duckdb.DuckDBPyConnection", statements: Statements) -> None:
    """Define ``latest`` by finding what it leaves out.

    Few rows are superseded, so the window runs only over keys whose 64-bit hash occurs twice (a chance collision costs
    time, not rows); the window over all rows takes twice the time of the whole step.
    """
    if not statements.key:
        con.execute("create temp view latest as select * from validated where _reasons = ''")
        con.execute("create temp table superseded (_row bigint, _file integer)")
        return
    key = ", ".join(statements.key)
    con.execute(
        f"create temp table superseded as with"
        f" repeated as (select hash({key}) as h from validated where _reasons = '' group by h having count(*) > 1)"
        f" select _row, _file from (select _row, _file, row_number() over"
        f" (partition by {key} order by {statements.latest_first}) as _place from validated"
        f" where _reasons = '' and hash({key}) in (select h from repeated)) where _place > 1"
    )
    con.execute(
        "create temp view latest as select * from validated as v where _reasons = ''"
        " and not exists (select 1 from superseded as s where s._row = v._row)"
    )


_REPEATED = 0.6
"""The share of distinct values up to which to find them and to look their digests up is cheaper than to hash all."""


def _digests_once(con: "duckdb.DuckDBPyConnection", statements: Statements) -> list[str]:
    """The columns with values that come again, of which each value is hashed once now."""
    if not statements.digests:
        return []
    counts = (f"approx_count_distinct({c}), count({c})" for c in map(identifier, statements.digests))
    found = con.execute(f"select {', '.join(counts)} from validated where _reasons = ''").fetchone() or ()
    pairs = zip(statements.digests, found[::2], found[1::2], strict=True)
    repeated = [column for column, distinct, count in pairs if distinct < _REPEATED * count]
    for column in repeated:
        con.execute(f"create temp table {identifier(digests_of(column))} as {statements.digests[column]}")
    return repeated


def _write_apart(
    con: "duckdb.DuckDBPyConnection", statements: Statements, days: Mapping[int, date], directory: Path
) -> dict[int, list[StagedFile]]:
    """The clean rows of each file in files of their own, by its ordinal."""
    con.execute(
        "copy (select c.*, _file as _partition from"
        f" ({statements.clean}) as c join files on _source_file = _origin) to {literal(str(directory))}"
        f" (format parquet, compression snappy, row_group_size {ROW_GROUP_ROWS}, partition_by (_partition))"
    )
    found: dict[int, list[StagedFile]] = {}
    for path in sorted(directory.glob("*/*.parquet")):
        ordinal = int(path.parent.name.removeprefix("_partition="))
        found.setdefault(ordinal, []).append(_staged(path, days[ordinal].isoformat()))
    return found


def _write_clean(
    con: "duckdb.DuckDBPyConnection", contract: Contract, statements: Statements, delivery_date: date, directory: Path
) -> tuple[StagedFile, ...]:
    options = f"format parquet, compression snappy, row_group_size {ROW_GROUP_ROWS}, file_size_bytes '{FILE_SIZE}'"
    partition = partition_column(contract)
    if partition is None:
        con.execute(f"copy ({statements.clean}) to {literal(str(directory))} ({options})")
        value = delivery_date.isoformat() if contract.partition_by == DELIVERY_DATE else ""
        return tuple(_staged(path, value) for path in sorted(directory.glob("*.parquet")))
    name = identifier(partition.name)
    # Directories carry numbers, not values: a value may hold any character and be longer than a file name.
    con.execute(
        f"create temp table partitions as select _value, row_number() over (order by _value) as _partition"
        f" from (select distinct {name} as _value from validated where _reasons = '')"
    )
    con.execute(
        f"copy (select c.* exclude ({name}), _partition from ({statements.clean}) as c"
        f" join partitions on _value = {name}) to {literal(str(directory))} ({options}, partition_by (_partition))"
    )
    values = dict(con.execute("select _partition, cast(_value as varchar) from partitions").fetchall())
    return tuple(
        _staged(path, values[int(path.parent.name.removeprefix("_partition="))])
        for path in sorted(directory.glob("*/*.parquet"))
    )


def _staged(path: Path, partition: str) -> StagedFile:
    return StagedFile(path, partition, pq.read_metadata(path).num_rows)


def _place(
    con: "duckdb.DuckDBPyConnection",
    reading: Reading,
    files: Sequence[InputFile],
    rejects: Sequence[Reject],
    *,
    csv: bool,
) -> None:
    """Define ``places``, the lines in which quarantined rows begin. The rows of a file stand together."""
    con.execute("create temp table places (_row bigint, line bigint)")
    found = con.execute(
        "select _file, min(_row), max(_row), count(*), count(*) filter (_reasons <> '') as bad from validated"
        " group by _file having bad > 0 order by _file"
    ).fetchall()
    if not found:
        return
    rows = integers(con.execute("select _row from validated where _reasons <> '' order by _file, _row"))
    ends = ends_before(con) if csv else None
    of, rejected = {file.ordinal: file for file in files}, dict[int, list[Reject]]()
    for reject in rejects:
        rejected.setdefault(reject.file, []).append(reject)
    placed, at = array("q"), 0
    for before, (ordinal, first, last, count, bad) in enumerate(found):
        wanted = array("q", (row - first + 1 for row in rows[at : at + bad]))
        asked = Asked(wanted, count, ends and ends[at + before : at + before + bad + 1])
        at += bad
        if last - first + 1 == count:
            placed.extend(map(of[ordinal].sheet.of, reading.lines(of[ordinal], asked, rejected.get(ordinal, ()))))
        else:
            placed.extend(0 for _ in wanted)
    con.register("placed", pa.table({"_row": pa.array(rows, pa.int64()), "line": pa.array(placed, pa.int64())}))
    con.execute("insert into places from placed where line > 0")
    con.unregister("placed")


def _write_quarantine(
    con: "duckdb.DuckDBPyConnection",
    statements: Statements,
    files: Sequence[InputFile],
    rejects: Sequence[Reject],
    path: Path,
) -> Path | None:
    sheets = {file.ordinal: file.sheet for file in files}
    con.register(
        "rejects",
        pa.table(
            {
                "_file": [r.file for r in rejects],
                "line": [sheets[r.file].of(r.line) for r in rejects],
                "byte_position": [r.byte_position for r in rejects],
                "reasons": [r.reasons for r in rejects],
                "raw": [r.raw for r in rejects],
            },
            pa.schema(
                [
                    ("_file", pa.int32()),
                    ("line", pa.int64()),
                    ("byte_position", pa.int64()),
                    ("reasons", pa.list_(pa.string())),
                    ("raw", pa.string()),
                ]
            ),
        ),
    )
    con.execute(
        f"copy (select _origin as source_file, line, byte_position, reasons, raw, fields from"
        f" (from rejects union all by name select * from ({statements.quarantine}) left join places using (_row))"
        " join files using (_file))"
        f" to {literal(str(path))} (format parquet, compression snappy)"
    )
    if pq.read_metadata(path).num_rows:
        return path
    path.unlink()
    return None


def _counts(
    con: "duckdb.DuckDBPyConnection",
    files: Sequence[InputFile],
    rejects: Sequence[Reject],
    staged: Sequence[StagedFile],
) -> tuple[FileCount, ...]:
    """Where the rows of each file went, the clean ones counted in the files written.

    Raises:
        PermanentFailure: a row is not accounted for.
    """
    read = {
        file: (rows, bad, left_out)
        for file, rows, bad, left_out in con.execute(
            "select _file, count(*), count(*) filter (_reasons <> ''), count(*) filter (_reasons is null)"
            " from validated group by _file"
        ).fetchall()
    }
    superseded = dict(con.execute("select _file, count(*) from superseded group by _file").fetchall())
    clean = {}
    if staged:
        paths = ", ".join(literal(str(s.path)) for s in staged)
        clean = dict(con.execute(f"select _source_file, count(*) from read_parquet([{paths}]) group by 1").fetchall())
    counts, rejected = [], Counter(reject.file for reject in rejects)
    for file in files:
        rows, bad, left_out = read.get(file.ordinal, (0, 0, 0))
        structural = rejected[file.ordinal]
        count = FileCount(
            origin=file.origin,
            rows_in=rows + structural + file.left_out.rows,
            clean=clean.get(file.origin, 0),
            superseded=superseded.get(file.ordinal, 0),
            quarantined=bad + structural,
            left_out=left_out + file.left_out.rows,
        )
        if not count.is_whole:
            raise PermanentFailure(f"{file.origin}: rows are not accounted for: {count}")
        counts.append(count)
    return tuple(counts)


def _reasons(con: "duckdb.DuckDBPyConnection", quarantine: Path | None) -> dict[str, int]:
    if quarantine is None:
        return {}
    source = f"read_parquet({literal(str(quarantine))})"
    return dict(
        con.execute(
            f"select reason, count(*) from (select unnest(reasons) as reason from {source}) group by 1"
        ).fetchall()
    )
