"""The columns a file really has, held against the contract before any engine reads it.

An engine given column names reads whatever stands in the file under those names: swapped columns of one type would
pass unseen. So names are compared here, and files are grouped by their layout.
"""

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from adplatform.contracts.model import IDENTIFIER, Column, Contract, FileFormat
from adplatform.failures import clipped, listed
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.input_file import InputFile
from adplatform.transform.values import RefusedFile

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Lines:
    """How the lines of a file are to be read. ``skip`` lines stand before the first record.

    ``newline`` is set where DuckDB would take a line break within quotes for the file's, None otherwise.
    """

    skip: int = 0
    newline: str | None = None


@dataclass(frozen=True)
class Layout:
    """The columns of some files in file order, by contract name, and those files in the order they arrived."""

    columns: tuple[str, ...]
    files: tuple[InputFile, ...]
    lines: Lines = Lines()


@dataclass(frozen=True)
class Accepted:
    """What may be read. ``contract`` has the undeclared columns that ``schema_policy: evolve`` took in as text."""

    contract: Contract
    layouts: tuple[Layout, ...]
    refused: tuple[RefusedFile, ...]


@dataclass(frozen=True)
class FirstRecord:
    """The first record of a delimited file, which ends ``size`` bytes into it."""

    fields: tuple[str, ...]
    size: int
    lines: Lines


def first_record(file: InputFile, file_format: FileFormat) -> FirstRecord | None:
    """The header (or first row) of a CSV file, None when the file has none.

    Raises:
        PermanentFailure: not UTF-8, or a quoted field that does not end.
    """
    doubled = file_format.escape in (file_format.quote, "")
    consumed = 0
    lines: list[str] = []
    with file.path.open("rb") as stream:

        def texts() -> Iterable[str]:
            nonlocal consumed
            for number, line in enumerate(stream):
                consumed += len(line)
                if number >= file_format.skip_lines:
                    lines.append(line.decode("utf-8-sig" if number == 0 else "utf-8"))
                    yield lines[-1]

        reader = csv.reader(
            texts(),
            delimiter=file_format.delimiter,
            quotechar=file_format.quote or None,
            quoting=csv.QUOTE_MINIMAL if file_format.quote else csv.QUOTE_NONE,
            doublequote=doubled,
            escapechar=None if doubled else file_format.escape,
            strict=True,
        )
        try:
            blank, fields = 0, next(reader, None)
            while fields == []:
                blank, fields = blank + 1, next(reader, None)
        except (csv.Error, UnicodeDecodeError) as e:
            raise BadFile(file.origin, Reason.LAYOUT, f"the first line cannot be read as a record: {e}") from e
    if fields is None:
        return None
    in_quotes = any("\n" in field for field in fields)
    newline = ("\r\n" if lines[-1].endswith("\r\n") else "\n") if in_quotes else None
    return FirstRecord(tuple(fields), consumed, Lines(file_format.skip_lines + blank, newline))


def accept(contract: Contract, headers: Sequence[tuple[InputFile, tuple[str, ...], Lines]]) -> Accepted:
    """Hold the column names of each file, as the file spells them, against the contract.

    Raises:
        PermanentFailure: a declared column is missing, a column stands twice, the order differs where it is strict,
            or a column is undeclared and the contract freezes the schema.
    """
    names = {column.field_name: column.name for column in contract.read_columns}
    extra: dict[str, Column] = {}
    refused: list[RefusedFile] = []
    grouped: dict[tuple[tuple[str, ...], Lines], list[InputFile]] = {}
    for file, header, lines in sorted(headers, key=lambda entry: entry[0].ordinal):
        _check_declared(contract, file, header)
        undeclared = [name for name in header if name not in names]
        if undeclared and contract.schema_policy != "evolve":
            reason = f"columns not declared in the contract: {_listed(undeclared)}"
            if contract.schema_policy == "freeze":
                raise BadFile(file.origin, Reason.LAYOUT, f"{reason}; declare them, or set schema_policy")
            refused.append(RefusedFile(file.origin, reason))
            continue
        for name in undeclared:
            if name not in extra:
                extra[name] = _evolved(contract, extra, file, name)
        columns = tuple(names.get(name) or extra[name].name for name in header)
        grouped.setdefault((columns, lines), []).append(file)
    layouts = tuple(Layout(columns, tuple(files), lines) for (columns, lines), files in grouped.items())
    evolved = contract.model_copy(update={"columns": (*contract.columns, *extra.values())}) if extra else contract
    return Accepted(evolved, layouts, tuple(refused))


def accept_delimited(contract: Contract, files: Sequence[InputFile]) -> Accepted:
    """The layouts of CSV files. A file without even a header has no rows and belongs to no layout.

    Raises:
        PermanentFailure: see :func:`first_record` and :func:`accept`.
    """
    records = [(file, first_record(file, contract.format)) for file in files]
    declared = tuple(column.field_name for column in contract.read_columns)
    return accept(
        contract,
        [
            (file, record.fields if contract.format.header else declared, record.lines)
            for file, record in records
            if record is not None
        ],
    )


def _check_declared(contract: Contract, file: InputFile, header: tuple[str, ...]) -> None:
    declared = [column.field_name for column in contract.read_columns]
    others = {name.lower(): name for name in header if name not in declared}
    for name in declared:
        if name not in header and (other := others.get(name.lower())) is not None:
            raise BadFile(
                file.origin,
                Reason.LAYOUT,
                f"has a column {clipped(other, 100)!r} and no {clipped(name, 100)!r}: names are told apart by upper "
                "and lower case; have it written as declared, or declare it as the files write it (field)",
            )
    missing = [c.field_name for c in contract.read_columns if c.field_name not in header and not c.optional]
    if missing:
        # What was found is not reported: without a header it is the first row, which may hold personal data.
        raise BadFile(file.origin, Reason.LAYOUT, f"declared columns are missing from the header: {_listed(missing)}")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise BadFile(file.origin, Reason.LAYOUT, f"columns stand twice: {_listed(twice)}")
    if contract.format.header_order == "strict" and [name for name in header if name in declared] != declared:
        raise BadFile(file.origin, Reason.LAYOUT, "columns are not in the declared order, and header_order is strict")


def _evolved(contract: Contract, extra: dict[str, Column], file: InputFile, header: str) -> Column:
    name = re.sub(r"[^a-z0-9_]+", "_", header.lower()).strip("_")
    taken = {c.name for c in (*contract.columns, *extra.values())}
    if not IDENTIFIER.fullmatch(name) or name in taken or _CONTROL.search(header):
        raise BadFile(
            file.origin,
            Reason.LAYOUT,
            f"undeclared column {clipped(header, 100)!r} has no name of its own in the table; declare it with field",
        )
    return Column(name=name, field=header)


def _listed(names: Iterable[str]) -> str:
    return listed(repr(clipped(name, 100)) for name in names)


def _has_data_after(path: Path, offset: int) -> bool:
    """Whether anything but line ends stands after ``offset`` bytes."""
    with path.open("rb") as stream:
        stream.seek(offset)
        return any(chunk.strip(b"\r\n") for chunk in iter(lambda: stream.read(1 << 20), b""))


def refuse_unread(contract: Contract, files: Iterable[InputFile]) -> None:
    """Check that CSV files which gave neither rows nor rejects hold none.

    Raises:
        PermanentFailure: a file has data and was not understood.
    """
    for file in files:
        record = first_record(file, contract.format)
        if record and _has_data_after(file.path, record.size if contract.format.header else 0):
            raise BadFile(
                file.origin, Reason.LAYOUT, "has data but no record could be read; check its line ends and quotes"
            )


def empty_texts(contract: Contract, present: Sequence[str]) -> list[str]:
    """The columns of csv files whose empty fields are text."""
    if contract.format.empty == "null":
        return []
    return [c.name for c in contract.read_columns if c.name in present and c.data_type.name == "string"]
