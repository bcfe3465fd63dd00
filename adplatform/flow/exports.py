"""Files of a table's hashed identifiers for ad platforms, in the raw bucket below ``exports/<destination>/``.

Each attempt writes into a folder of its own. The manifest, whose key is always the same, is put last: by one call, so
who reads it finds the files of one export, all of them, or those of the one before. An export is due when the table
shows something else than it was made of, which the ledger names; a run that dies leaves that as it was.

Of a table by delivery date each date is exported by itself, of any other the whole table.
"""

import hashlib
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from itertools import count
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from adplatform.consumers.activation import Given, given, unfit
from adplatform.consumers.finding import Finding
from adplatform.consumers.table import Table, as_seen
from adplatform.contracts.activation import Activation, DestinationName
from adplatform.contracts.column import DELIVERY_DATE
from adplatform.contracts.pii import PiiKind
from adplatform.failures import PermanentFailure, listed
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform.lake import formats
from adplatform.lake.audit import AuditFinding
from adplatform.lake.catalog import Partition
from adplatform.lake.limited import limited
from adplatform.lake.shown_files import download_shown, scan_shown
from adplatform.lake.table import TableSpec, table_spec
from adplatform.lake.zones import EXPORTS, Zones
from adplatform.ledger.derived import Basis
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.rows import digest
from adplatform.platform.late import Late
from adplatform.platform.parquet_files import opened
from adplatform.transform.compile import output_columns
from adplatform.transform.rules import identifier, literal

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    import pyarrow.csv as pcsv
else:
    duckdb = Late("duckdb")
    pa = Late("pyarrow")
    pcsv = Late("pyarrow.csv")

MANIFEST = "manifest.json"
ROWS_ACCOUNTED = "rows_accounted"
"""The audit that says what became of each row of the table."""
FILES_AS_LISTED = "files_as_listed"
"""The audit that reads what was written."""
_ALLOWED = "_consented"
_CHUNK = 1 << 20
_BATCH = 1 << 16
_WHOLE = date(1970, 1, 1)
"""In the ledger the date of an export of a whole table."""


@dataclass(frozen=True)
class Export:
    """Files for a destination of a table: of one ``day`` of a table by delivery date, else of all of it (None)."""

    flow: FeedFlow
    destination: DestinationName
    day: date | None = None

    @property
    def name(self) -> str:
        """What the ledger calls it."""
        return _row_name(self.flow.table, self.destination)

    @property
    def row(self) -> date:
        """The date of its row in the ledger."""
        return self.day or _WHOLE

    @property
    def prefix(self) -> str:
        """Below which its manifest and its files are."""
        own = f"{Zones.exports(self.destination, self.flow.source)}{self.flow.feed.name}/"
        return f"{own}{DELIVERY_DATE}={self.day}/" if self.day else own

    @property
    def manifest_key(self) -> str:
        return f"{self.prefix}{MANIFEST}"

    @property
    def settings(self) -> Activation:
        return self.flow.feed.activations.declared[self.destination]

    def __str__(self) -> str:
        return f"{self.flow.table} for {self.destination}" + (f", {self.day}" if self.day else "")


@dataclass(frozen=True)
class ExportedFile:
    """A file of an export. ``sha256`` and ``bytes`` are of the file as it is stored."""

    key: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Exported:
    """What an export came to, as its manifest says. Counts are rows: ``read`` of the table, ``rows`` in the files,
    ``withheld`` without consent, ``repeated`` that were the same as others, ``unidentified`` without anything that
    could be matched."""

    destination: str
    table: str
    date: str
    columns: tuple[str, ...]
    contract: str
    made_of: str
    made_at: str
    read: int
    rows: int
    withheld: int
    repeated: int
    unidentified: int
    bytes: int
    files: tuple[ExportedFile, ...]


def _row_name(table: str, destination: str) -> str:
    return f"{table}/@{destination}"


def by_date(flow: FeedFlow) -> bool:
    """Whether each date of a table is exported by itself."""
    return flow.feed.contract.partition_by == DELIVERY_DATE


def unfit_exports(flow: FeedFlow) -> dict[DestinationName, list[Finding]]:
    """What keeps files from being made, by the contract alone.

    Raises:
        PermanentFailure: the contract makes no table.
    """
    declared = flow.feed.activations.declared
    if not declared:
        return {}
    table = _table(flow, _spec(flow, ""))
    return {name: unfit(table, name, settings) for name, settings in declared.items()}


def exports_due(services: Services, flows: Iterable[FeedFlow]) -> Iterator[Export]:
    """The exports whose table shows something else than they were made of. Of a date that was published before files
    that are made now would have been kept none is due."""
    ledger = services.ledger
    for flow in flows:
        declared = flow.feed.activations.declared
        stands = _stands(services, flow) if declared else {}
        for destination in declared if stands else ():
            bases = ledger.derived.bases(Export(flow, destination).name)
            for day, made_of in stands.items():
                wanted = Export(flow, destination, day)
                base = bases.get(wanted.row)
                if base is None or base.inputs != _named(wanted, made_of):
                    yield wanted


def _stands(services: Services, flow: FeedFlow) -> dict[date | None, str]:
    """Names what readers see: by date, or of the whole table; nothing before anything was published. Of a table that
    deliveries share the catalog alone says when they see it."""
    if flow.feed.contract.partition_by not in (None, DELIVERY_DATE):
        shown = _shown(services, _spec(flow, services.settings.database_prefix), None)
        return {None: _locations(shown)} if shown else {}
    keep = flow.retention.exports
    since = services.ledger.now() - keep if keep is not None and by_date(flow) else None
    placed = [each for each in services.ledger.placements.of_feed(flow.name, since) if each.location]
    if by_date(flow):
        return {each.day: each.location for each in placed}
    return {None: placed[-1].location} if placed else {}


def _locations(shown: Iterable[Partition]) -> str:
    return digest(*sorted(part.location for part in shown))


def _named(export: Export, made_of: str) -> str:
    settings = export.settings
    # Exports that were made before anybody could demand consent are not made again for that.
    return digest(settings.model_dump_json(exclude=None if settings.consent else {"consent"}), made_of)


def export(services: Services, wanted: Export, work: Path) -> tuple[Exported, tuple[AuditFinding, ...]] | None:
    """Write the files and then the manifest; :func:`exported` notes what they were made of. None when the table shows
    nothing.

    Raises:
        PermanentFailure: the table cannot be handed over as declared, or an audit forbids it.
        TransientFailure: a service did not answer, or newer files took the place of those that were to be read.
    """
    flow, zones = wanted.flow, services.zones
    spec = _spec(flow, services.settings.database_prefix)
    shown = _shown(services, spec, wanted.day)
    if not shown:
        return None
    made_of = _locations(shown) if spec.by_column else shown[0].location
    what = given(_table(flow, spec), wanted.destination, wanted.settings)
    with TemporaryDirectory(dir=work) as directory:
        folder = Path(directory)
        files, counts = _write(services, wanted, what, shown, folder)
        folder_key = f"{wanted.prefix}{secrets.token_hex(8)}/"
        listed_files = tuple(
            ExportedFile(f"{folder_key}{path.name}", rows, path.stat().st_size, _sha256(path)) for path, rows in files
        )
        done = Exported(
            destination=wanted.destination,
            table=flow.table,
            date=str(wanted.day or ""),
            columns=tuple(what.headers),
            contract=spec.contract_hash,
            made_of=_named(wanted, made_of),
            made_at=services.ledger.now().isoformat(timespec="seconds"),
            **counts,
            bytes=sum(each.bytes for each in listed_files),
            files=listed_files,
        )
        findings = (_accounted(done), _as_listed(services, done, [path for path, _ in files], folder))
        if wrong := [each.description for each in findings if not each.passed]:
            raise PermanentFailure(f"{wanted}: {'; '.join(wrong)}")
        for (path, _), each in zip(files, listed_files, strict=True):
            services.store.upload(path, zones.raw_bucket, each.key)
        body = json.dumps(asdict(done), indent=1, sort_keys=True).encode()
        services.s3.put_object(Bucket=zones.raw_bucket, Key=wanted.manifest_key, Body=body, **zones.put_arguments)
    return done, findings


def exported(ledger: Ledger, wanted: Export, done: Exported) -> None:
    """Note what an export was made of."""
    ledger.derived.note_basis(wanted.name, Basis(wanted.row, done.made_of))


def _spec(flow: FeedFlow, prefix: str) -> TableSpec:
    contract, scope = flow.feed.contract, flow.scope.column if flow.scope else None
    return table_spec(flow.table, contract, output_columns(contract), database_prefix=prefix, scope=scope)


def _table(flow: FeedFlow, spec: TableSpec) -> Table:
    return as_seen(spec, flow.feed.contract)


def _shown(services: Services, spec: TableSpec, day: date | None) -> list[Partition]:
    """What readers see of the date, or of the whole table."""
    lake = services.lake
    if day is not None:
        found = formats.partition(lake, spec, str(day))
        return [found] if found else []
    table = formats.table(lake, spec)
    if table is None:
        return []
    return (
        list(formats.partitions(lake, spec, table))
        if table.partitions
        else [Partition("", table.location, table.parameters)]
    )


def _write(
    services: Services, wanted: Export, what: Given, shown: Sequence[Partition], folder: Path
) -> tuple[list[tuple[Path, int]], dict[str, int]]:
    """The files, each with its rows, and the counts of an :class:`Exported`. DuckDB sorts them within its limit of
    memory, and Arrow writes them batch by batch."""
    column = wanted.flow.feed.contract.partition_by
    parts = [
        (
            {column: part.value} if column and part.value else {},
            download_shown(services.store, part, folder / "table" / str(number), str(wanted)),
        )
        for number, part in enumerate(shown)
    ]
    destination, settings = what.destination, services.settings
    any_of = " or ".join(
        f"({' and '.join(f'{identifier(destination.headers[kind])} is not null' for kind in sorted(each))})"
        for each in destination.identifiers
        if all(what.has(kind) for kind in each)
    )
    distinct = folder / "distinct.parquet"
    source = f"read_parquet({literal(str(distinct))})"
    handed_over = f"select distinct * exclude ({_ALLOWED}) from rows where {_ALLOWED} and ({any_of})"
    with limited(settings.memory_limit, settings.threads, folder) as con:
        try:
            con.execute(f"create view rows as {_rows(con, what, parts)}")
            con.execute(f"copy ({handed_over} order by all) to {literal(str(distinct))} (format parquet)")
            (read, withheld, identified) = _one(
                con,
                f"select count(*), count(*) filter (where not {_ALLOWED}), "
                f"count(*) filter (where {_ALLOWED} and ({any_of})) from rows",
            )
            (rows,) = _one(con, f"select count(*) from {source}")
            longest = _rows_of(con, what, wanted.settings, source)
        except (duckdb.DataError, duckdb.ProgrammingError) as e:
            raise PermanentFailure(f"{wanted}: the table cannot be read: {str(e).splitlines()[0]}") from e
    limits = (longest, wanted.settings.rows_per_file, max(rows, 1))
    written = list(_split(what, wanted.settings, distinct, min(filter(None, limits)), folder))
    counts = {
        "read": read,
        "rows": rows,
        "withheld": withheld,
        "repeated": identified - rows,
        "unidentified": read - withheld - identified,
    }
    return written, counts


def _rows(
    con: "duckdb.DuckDBPyConnection", what: Given, parts: Sequence[tuple[Mapping[str, str], Sequence[Path]]]
) -> str:
    """The rows of the table under the headers of the destination, and whether each may be handed over."""
    scan = scan_shown(con, parts)
    present = {name for name, *_ in con.execute(f"describe {scan}").fetchall()} if scan else set[str]()

    def value(kind: PiiKind) -> str:
        if kind not in what.columns:
            return literal(what.country)
        column = what.columns[kind]
        if column not in present:
            return "null::varchar"
        text = f"nullif(cast({identifier(column)} as varchar), '')"
        if kind is not PiiKind.COUNTRY or kind not in what.destination.in_clear:
            return text
        # Whatever else is in a column that is not personal would be handed over in clear.
        return f"case when regexp_full_match(upper(trim({text})), '[A-Z]{{2}}') then upper(trim({text})) end"

    def consents(column: str, allowed: Sequence[str]) -> str:
        if column not in present:
            return "false"
        return f"coalesce(cast({identifier(column)} as varchar) in ({', '.join(map(literal, allowed))}), false)"

    headers = {kind: header for kind, header in what.destination.headers.items() if what.has(kind)}
    allowed = " and ".join(consents(column, values) for column, values in what.consent.items()) or "true"
    columns = ", ".join(f"{value(kind)} as {identifier(header)}" for kind, header in headers.items())
    columns = f"{columns}, {allowed} as {_ALLOWED}"
    return f"select {columns} from ({scan})" if scan else f"select {columns} where false"


def _split(what: Given, settings: Activation, distinct: Path, most: int, folder: Path) -> Iterator[tuple[Path, int]]:
    """Write the rows as CSV with a header, at most so many into a file."""
    packed = settings.compress == "gzip" if settings.compress else what.destination.compress
    batches = _batches(distinct, most)
    left = next(batches, None)
    for number in count(1):
        if left is None:
            return
        path, rows = folder / f"part-{number:05d}.csv{'.gz' if packed else ''}", 0
        with pa.output_stream(path, compression="gzip" if packed else None) as out:
            out.write(f"{','.join(what.headers)}\n".encode())
            while left is not None and rows + left.num_rows <= most:
                pcsv.write_csv(left, out, pcsv.WriteOptions(include_header=False))
                rows += left.num_rows
                left = next(batches, None)
        yield path, rows


def _batches(distinct: Path, most: int) -> Iterator[Any]:
    """The rows of a Parquet file in batches that together fill files of ``most`` rows."""
    filled = 0
    with opened(distinct) as file:
        for batch in file.iter_batches(_BATCH):
            while batch.num_rows:
                taken = batch.slice(0, most - filled)
                batch = batch.slice(taken.num_rows)  # noqa: PLW2901 - what is left of it
                filled = (filled + taken.num_rows) % most
                yield taken


def _rows_of(con: "duckdb.DuckDBPyConnection", what: Given, settings: Activation, source: str) -> int | None:
    """How many rows a file may have so that it is surely no larger than it may be: as if all were as long as the
    longest, with quotes around and within."""
    limits = [each for each in (what.destination.largest_file, settings.largest_file) if each]
    if not limits:
        return None
    doubled = (f"replace({identifier(name)}, '\"', '\"\"')" for name in what.headers)
    long = " + ".join(f"coalesce(octet_length(encode({value})), 0)" for value in doubled)
    (longest,) = _one(con, f"select coalesce(max({long}), 0) from {source}")
    row = longest + 3 * len(what.headers)
    header = sum(len(name) + 3 for name in what.headers)
    return max(int(min(limits) - header) // int(row), 1)


def _one(con: "duckdb.DuckDBPyConnection", query: str) -> tuple[Any, ...]:
    found = con.execute(query).fetchone()
    return found or ()


def _sha256(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()


def _accounted(done: Exported) -> AuditFinding:
    passed = done.read == done.rows + done.withheld + done.repeated + done.unidentified
    text = (
        f"{done.read} rows were read: {done.rows} are handed over, {done.withheld} have no consent, "
        f"{done.repeated} were the same as others, {done.unidentified} have nothing that could be matched"
    )
    names = ("read", "rows", "withheld", "repeated", "unidentified")
    counts = {name: getattr(done, name) for name in names}
    return AuditFinding(ROWS_ACCOUNTED, passed, True, text, counts)


def _as_listed(services: Services, done: Exported, paths: Sequence[Path], folder: Path) -> AuditFinding:
    """Read the files as anybody would."""
    wrong = []
    settings = services.settings
    with limited(settings.memory_limit, settings.threads, folder) as con:
        for path, each in zip(paths, done.files, strict=True):
            read = f"header=true, auto_detect=false, columns={_typed(done)}"
            (rows,) = _one(con, f"select count(*) from read_csv({literal(str(path))}, {read})")
            if rows != each.rows:
                wrong.append(f"{path.name} has {rows} rows and should have {each.rows}")
    counts = {"files": len(paths), "bytes": done.bytes}
    text = listed(wrong, separator="; ") or f"{len(paths)} files have the rows that the manifest says"
    return AuditFinding(FILES_AS_LISTED, not wrong, True, text, counts)


def _typed(done: Exported) -> str:
    return "{" + ", ".join(f"{literal(name)}: 'varchar'" for name in done.columns) + "}"


def read_manifest(services: Services, wanted: Export) -> Mapping[str, Any] | None:
    """The manifest of the export that is there; None when there is none."""
    return _read(services, wanted.manifest_key)


def _read(services: Services, key: str) -> Mapping[str, Any] | None:
    try:
        body = services.s3.get_object(Bucket=services.zones.raw_bucket, Key=key)["Body"].read()
    except services.s3.exceptions.NoSuchKey:
        return None
    found: Mapping[str, Any] = json.loads(body)
    return found


def is_export(key: str) -> bool:
    """Whether an object of the raw bucket is for an ad platform."""
    return key.startswith(EXPORTS)


def withdraw(services: Services, key: str) -> None:
    """Before an exported file is deleted: take away the manifest that lists it, if one does, and have the files be made
    again."""
    manifest = f"{PurePosixPath(key).parent.parent}/{MANIFEST}"
    found = _read(services, manifest)
    if found is None or key not in {each["key"] for each in found["files"]}:
        return
    day = date.fromisoformat(found["date"]) if found["date"] else _WHOLE
    services.ledger.derived.note_basis(_row_name(found["table"], found["destination"]), Basis(day, ""))
    services.s3.delete_object(Bucket=services.zones.raw_bucket, Key=manifest)
