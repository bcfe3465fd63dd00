"""The columns a file really has, held against the contract before any engine reads it.

An engine given column names reads whatever stands in the file under those names: swapped columns of one type would
pass unseen. So names are compared here, and files are grouped by their layout.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from adplatform.contracts.column import DELIVERY_DATE, IDENTIFIER, MOST_CHARACTERS, SYSTEM_COLUMNS, Column
from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.model import Contract
from adplatform.failures import clipped, listed
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.input_file import InputFile
from adplatform.transform.compile import INTERNAL_COLUMNS, stored_names
from adplatform.transform.long_records import MOST_UNDECLARED
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
    undeclared: Mapping[str, str] = field(default_factory=dict)
    """What each of those columns may be called before anybody, by its name."""


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


def accept(
    contract: Contract, headers: Sequence[tuple[InputFile, tuple[str, ...], Lines]], reserved: Iterable[str] = ()
) -> Accepted:
    """Hold the column names of each file, as the file spells them, against the contract. ``reserved`` are names that
    the table has already beside the contract's columns.

    Raises:
        BadFile: a declared column is missing, a column stands twice, the order differs where it is strict, or a column
            is undeclared and the contract freezes the schema, or lets it evolve and the table cannot have that column.
    """
    taken = _taken(contract, reserved)
    names = {column.field_name: column.name for column in contract.read_columns}
    extra: dict[str, Column] = {}
    called: dict[str, str] = {}
    refused: list[RefusedFile] = []
    grouped: dict[tuple[tuple[str, ...], Lines], list[InputFile]] = {}
    for file, header, lines in sorted(headers, key=lambda entry: entry[0].ordinal):
        _check_declared(contract, file, header)
        undeclared = [name for name in header if name not in names]
        if undeclared and contract.schema_policy != "evolve":
            reason = f"columns not declared in the contract: {_shown(header, undeclared)}"
            if contract.schema_policy == "freeze":
                raise BadFile(file.origin, Reason.LAYOUT, f"{reason}; declare them, or set schema_policy")
            refused.append(RefusedFile(file.origin, reason))
            continue
        for name in undeclared:
            if name not in extra:
                extra[name] = _evolved(extra, taken, file, header, name).with_defaults(contract.defaults)
                called[extra[name].name] = _called(contract.format, header, name)
        columns = tuple(names.get(name) or extra[name].name for name in header)
        grouped.setdefault((columns, lines), []).append(file)
    layouts = tuple(Layout(columns, tuple(files), lines) for (columns, lines), files in grouped.items())
    evolved = contract.model_copy(update={"columns": (*contract.columns, *extra.values())}) if extra else contract
    return Accepted(evolved, layouts, tuple(refused), called)


def accept_delimited(contract: Contract, files: Sequence[InputFile], reserved: Iterable[str] = ()) -> Accepted:
    """The layouts of CSV files. A file without even a header has no rows and belongs to no layout.

    Raises:
        PermanentFailure: see :func:`first_record` and :func:`accept`.
    """
    records = [(file, first_record(file, contract.format)) for file in files]
    declared = tuple(column.field_name for column in contract.read_columns)
    return accept(
        contract,
        [
            (file, record.fields if contract.format.has_header else declared, record.lines)
            for file, record in records
            if record is not None
        ],
        reserved,
    )


def _check_declared(contract: Contract, file: InputFile, header: tuple[str, ...]) -> None:
    declared = [column.field_name for column in contract.read_columns]
    known, counts = frozenset(declared), Counter(header)
    others = {name.lower(): name for name in header if name not in known}
    for name in declared:
        if name not in counts and (other := others.get(name.lower())) is not None:
            raise BadFile(
                file.origin,
                Reason.LAYOUT,
                f"has a column {clipped(other, 100)!r} and no {clipped(name, 100)!r}: names are told apart by upper "
                "and lower case; have it written as declared, or declare it as the files write it (field)",
            )
    missing = [c.field_name for c in contract.read_columns if c.field_name not in counts and not c.optional]
    if missing:
        # What was found is not reported: without a header it is the first row, which may hold personal data.
        raise BadFile(file.origin, Reason.LAYOUT, f"declared columns are missing from the header: {_listed(missing)}")
    twice = sorted(name for name, count in counts.items() if count > 1)
    if twice:
        raise BadFile(file.origin, Reason.LAYOUT, f"columns stand twice: {_shown(header, twice)}")
    if contract.format.header_order == "strict" and [name for name in header if name in known] != declared:
        raise BadFile(file.origin, Reason.LAYOUT, "columns are not in the declared order, and header_order is strict")


def _evolved(
    extra: Mapping[str, Column], taken: Mapping[str, str], file: InputFile, names: Sequence[str], header: str
) -> Column:
    """The column of text that a header which nobody declared becomes.

    Raises:
        BadFile: the table cannot have it, or has another of that name.
    """
    name = re.sub(r"[^a-z0-9_]+", "_", header.lower()).strip("_")
    others = {column.name: _other(written) for written, column in extra.items()}
    why = ""
    if _VALUE.search(header):
        why = "is called as a value would be, with an @ or many digits (see that the file has a header)"
    elif _CONTROL.search(header):
        why = "holds control characters"
    elif owner := taken.get(name) or others.get(name):
        why = f"would be {name} in the table, which is the name of {owner}"
    elif len(name) > MOST_CHARACTERS:
        why = f"would have {len(name)} characters in the table, where {MOST_CHARACTERS} are allowed"
    elif not IDENTIFIER.fullmatch(name):
        why = "has no letters a to z that it could be called by, or begins with a digit"
    elif len(extra) >= MOST_UNDECLARED:
        why = f"is one of more than {MOST_UNDECLARED} that nobody declared"
    if why:
        raise BadFile(
            file.origin,
            Reason.LAYOUT,
            f"undeclared column {_shown(names, [header])} cannot be added by schema_policy: evolve: it {why}; declare "
            "it with field under a name of its own, leave it out with drop, or have it renamed",
        )
    return Column(name=name, field=header)


def _taken(contract: Contract, reserved: Iterable[str]) -> dict[str, str]:
    """Names that a column of the table cannot have, each with what has it."""
    names = dict.fromkeys(reserved, "a partition column")
    names |= dict.fromkeys((DELIVERY_DATE, *SYSTEM_COLUMNS, *INTERNAL_COLUMNS), "a column that the platform adds")
    for column in contract.columns:
        names |= dict.fromkeys(stored_names(column), f"what {column.name} is stored as")
    return names | {column.name: "a declared column" for column in contract.columns}


_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_VALUE = re.compile(r"@|[0-9]{5}")


def _is_plain(name: str) -> bool:
    return bool(_PLAIN.fullmatch(name) and not _VALUE.search(name))


def _other(name: str) -> str:
    return _listed([name]) if _is_plain(name) else "another that nobody declared"


def _shown(header: Sequence[str], undeclared: Iterable[str]) -> str:
    """Names that nobody declared, as far as they are certainly names: of others, which may be values of a file that has
    no header, the place."""
    plain = [name for name in undeclared if _is_plain(name)]
    hidden = [str(header.index(name) + 1) for name in undeclared if name not in plain]
    places = [f"number {listed(hidden)} (not shown, as it may be a value)"] if hidden else []
    return ", ".join([*([_listed(plain)] if plain else []), *places])


def _called(fmt: FileFormat, header: Sequence[str], name: str) -> str:
    """The same of one; members of JSON may stand within others."""
    parts = name.split(".") if fmt.kind in ("json", "ndjson") else [name]
    return _listed([name]) if all(map(_is_plain, parts)) else _shown(header, [name])


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
        if record and _has_data_after(file.path, record.size if contract.format.has_header else 0):
            raise BadFile(
                file.origin, Reason.LAYOUT, "has data but no record could be read; check its line ends and quotes"
            )


def empty_texts(contract: Contract, present: Sequence[str]) -> list[str]:
    """The columns of csv files whose empty fields are text."""
    if contract.format.empty == "null":
        return []
    return [c.name for c in contract.read_columns if c.name in present and c.data_type.name == "string"]
