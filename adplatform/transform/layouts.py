"""The columns a file really has, held against the contract before any engine reads it.

An engine given column names reads whatever stands in the file under those names: swapped columns of one type would
pass unseen. So names are compared here, and files are grouped by their layout.
"""

import csv
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from adplatform.contracts.column import DELIVERY_DATE, IDENTIFIER, MOST_CHARACTERS, SYSTEM_COLUMNS, Column
from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.model import Contract
from adplatform.contracts.naming import named_columns
from adplatform.contracts.schema_change import SchemaChange, merged
from adplatform.contracts.undeclared_names import comment_of, is_certainly_name, is_like_value, plain_name
from adplatform.failures import PermanentFailure, clipped, listed
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.delimited import records
from adplatform.files.input_file import InputFile
from adplatform.transform.compile import INTERNAL_COLUMNS, stored_names
from adplatform.transform.header_advice import advice
from adplatform.transform.long_records import MOST_UNDECLARED
from adplatform.transform.schema_differences import differences
from adplatform.transform.values import RefusedFile

UNNAMED = "_unnamed"
"""What fields are read as that stand behind the last column of csv; in rows where they have a value they break the
contract, and nothing of them is stored."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Lines:
    """How the lines of a file are to be read. ``skip`` lines stand before the first record.

    ``newline`` is set where DuckDB would take a line break within quotes for the file's, None otherwise. Behind the
    columns rows have ``unnamed`` fields in quotes, which should be empty.
    """

    skip: int = 0
    newline: str | None = None
    unnamed: int = 0


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
    lacking: Mapping[str, int] = field(default_factory=dict)
    """How many files lack a column that they should have, by column."""
    changes: tuple[SchemaChange, ...] = ()
    """How columns of files differ from the declared ones, also of those that are ``refused``."""
    types: Mapping[str, str] = field(default_factory=dict)
    """The type that the first file has for a column, where it knows types, by column."""


@dataclass(frozen=True)
class FirstRecord:
    """The first record of a delimited file, which ends ``size`` bytes into it."""

    fields: tuple[str, ...]
    size: int
    lines: Lines


def first_record(file: InputFile, file_format: FileFormat) -> FirstRecord | None:
    """The header (or first row) of a CSV file, None when the file has none.

    Raises:
        PermanentFailure: not UTF-8, a quoted field that does not end, or fewer lines than are skipped.
    """
    consumed, count = 0, 0
    lines: list[str] = []
    with file.path.open("rb") as stream:

        def texts() -> Iterable[str]:
            nonlocal consumed, count
            for number, line in enumerate(stream):
                consumed += len(line)
                count += 1
                if number >= file_format.skip_lines:
                    lines.append(line.decode("utf-8-sig" if number == 0 else "utf-8"))
                    yield lines[-1]

        reader = records(texts(), file_format, strict=True)
        try:
            blank, fields = 0, next(reader, None)
            while fields == []:
                blank, fields = blank + 1, next(reader, None)
        except (csv.Error, UnicodeDecodeError) as e:
            raise BadFile(file.origin, Reason.LAYOUT, f"the first line cannot be read as a record: {e}") from e
    if fields is None:
        if 0 < count < file_format.skip_lines + file_format.has_header:
            raise BadFile(
                file.origin,
                Reason.LAYOUT,
                f"has {count} lines, and skip_lines leaves out {file_format.skip_lines} before the table; ask "
                "for the whole file, or correct skip_lines",
            )
        return None
    in_quotes = any("\n" in field for field in fields)
    newline = ("\r\n" if lines[-1].endswith("\r\n") else "\n") if in_quotes else None
    return FirstRecord(tuple(fields), consumed, Lines(file_format.skip_lines + blank, newline))


Types = Callable[[InputFile], Mapping[str, str]]
Changes = Callable[[], tuple[SchemaChange, ...]]
"""How the columns of a file differ from the declared ones."""


def accept(
    contract: Contract,
    headers: Sequence[tuple[InputFile, tuple[str, ...], Lines]],
    reserved: Iterable[str] = (),
    types: Types = lambda _: {},
) -> Accepted:
    """Hold the column names of each file, as the file spells them, against the contract. ``reserved`` are names that
    the table has already beside the contract's columns. ``types`` are those of the columns of a file, by name, where
    it knows types.

    Raises:
        BadFile: a declared column is missing and the contract freezes the schema or cannot do without it, a column
            stands twice or under two of its names, the order differs where it is strict, or a column is undeclared and
            the contract freezes the schema, or lets it evolve and the table cannot have that column.
    """
    taken = names_taken(contract, reserved)
    names = Names.of(contract)
    extra: dict[str, Column] = {}
    called: dict[str, str] = {}
    lacking: Counter[str] = Counter()
    refused: list[RefusedFile] = []
    found: list[SchemaChange] = []
    typed: dict[str, str] = {}
    grouped: dict[tuple[tuple[str, ...], Lines], list[InputFile]] = {}
    for file, header, lines in sorted(headers, key=lambda entry: entry[0].ordinal):
        changes = partial(_changes, names, file, header, types)
        missing = _missing(contract, names, file, header, changes)
        undeclared = [name for name in header if names.column(name) is None]
        if missing or undeclared:
            found += changes()
        typed = typed or {name: kind for each, kind in types(file).items() if (name := names.column(each))}
        if missing and contract.schema_policy == "quarantine":
            refused.append(RefusedFile(file.origin, _without(contract, missing)))
            continue
        if undeclared and contract.schema_policy != "evolve":
            reason = f"columns not declared in the contract: {_shown(header, undeclared)}"
            if contract.schema_policy == "freeze":
                raise BadFile(file.origin, Reason.LAYOUT, f"{reason}; declare them, or set schema_policy", changes())
            refused.append(RefusedFile(file.origin, reason))
            continue
        lacking.update(column.name for column in missing)
        lacking.update(column.name for written, column in extra.items() if written not in undeclared)
        for name in undeclared:
            if name not in extra:
                extra[name] = _evolved(extra, taken, file, header, name, changes).with_defaults(contract.defaults)
                called[extra[name].name] = _called(contract.format, header, name)
        columns = tuple(names.column(name) or extra[name].name for name in header)
        grouped.setdefault((columns, lines), []).append(file)
    layouts = tuple(Layout(columns, tuple(files), lines) for (columns, lines), files in grouped.items())
    evolved = contract.model_copy(update={"columns": (*contract.columns, *extra.values())}) if extra else contract
    return Accepted(evolved, layouts, tuple(refused), called, lacking, merged(found), typed)


def accept_delimited(contract: Contract, files: Sequence[InputFile], reserved: Iterable[str] = ()) -> Accepted:
    """The layouts of CSV files. A file without even a header has no rows and belongs to no layout.

    Raises:
        PermanentFailure: see :func:`first_record` and :func:`accept`.
    """
    found = [(file, first_record(file, contract.format)) for file in files]
    headers = [(file, *header_of(contract, file, record)) for file, record in found if record is not None]
    return accept_headers(contract, headers, reserved)


def accept_headers(
    contract: Contract, headers: Sequence[tuple[InputFile, tuple[str, ...], Lines]], reserved: Iterable[str] = ()
) -> Accepted:
    """:func:`accept` for CSV files, with a column for what rows have behind the others.

    Raises:
        PermanentFailure: see :func:`accept`.
    """
    accepted = accept(contract, headers, reserved)
    if not any(layout.lines.unnamed for layout in accepted.layouts):
        return accepted
    if any(column.name == UNNAMED for column in contract.columns):
        raise PermanentFailure(f"column {UNNAMED} has a name the transform uses itself; rename it and give field")
    unnamed = Column(name=UNNAMED, drop=True, allowed=("",))
    columns = (*accepted.contract.columns, unnamed)
    return replace(accepted, contract=accepted.contract.model_copy(update={"columns": columns}))


def header_of(contract: Contract, file: InputFile, record: FirstRecord) -> tuple[tuple[str, ...], Lines]:
    """The names of the columns, without empty ones at the end: DuckDB leaves out empty fields behind the last column,
    but not where they are in quotes, so these are read as columns."""
    fmt = contract.format
    names = [column.field_name for column in contract.read_columns]
    if fmt.has_header:
        names = list(record.fields)
        while names and not names[-1].strip():
            names.pop()
    unnamed = _fields_in_quotes(file, fmt, record.size if fmt.has_header else 0, len(names))
    return tuple(names), replace(record.lines, unnamed=unnamed)


def _fields_in_quotes(file: InputFile, fmt: FileFormat, at: int, columns: int) -> int:
    """How many fields that are empty and in quotes stand behind the columns of the first row."""
    if not fmt.quote:
        return 0
    with file.path.open("rb") as stream:
        stream.seek(at)
        skipped = 0 if fmt.has_header else fmt.skip_lines
        first = next((line for n, line in enumerate(stream) if n >= skipped and line.strip(b"\r\n")), b"")
        if not first.rstrip(b"\r\n").endswith(f"{fmt.delimiter}{fmt.quote}{fmt.quote}".encode()):
            return 0
    try:
        fields = next(records([first.decode()], fmt, strict=True), [])
    except (csv.Error, UnicodeDecodeError):
        return 0  # the row is judged where it is read
    return len(fields) - columns if len(fields) > columns and not any(fields[columns:]) else 0


@dataclass(frozen=True)
class Names:
    """What files may call the declared columns: names as they are compared, each with the column's own."""

    contract: Contract
    known: Mapping[str, str]

    @classmethod
    def of(cls, contract: Contract) -> "Names":
        return cls(contract, {contract.compared(n): c.name for c in contract.read_columns for n in c.field_names})

    def column(self, header: str) -> str | None:
        return self.known.get(self.contract.compared(header))


def _changes(names: Names, file: InputFile, header: Sequence[str], types: Types) -> tuple[SchemaChange, ...]:
    return differences(names.contract, header, names.column, file.origin, types(file))


def _missing(
    contract: Contract, names: Names, file: InputFile, header: tuple[str, ...], changes: Changes
) -> list[Column]:
    """The declared columns that a file lacks and may lack by the schema policy; those that are optional do not count.

    Raises:
        BadFile: as :func:`accept`.
    """
    found: dict[str, list[str]] = {}
    for name in header:
        if (owner := names.column(name)) is not None:
            found.setdefault(owner, []).append(name)
    for owner, written in found.items():
        if len(set(written)) > 1:
            raise BadFile(
                file.origin,
                Reason.LAYOUT,
                f"has {_listed(written)}, which are names of one column, {owner}; have one of them left out, or "
                "declare a column of its own for one (field, header_match)",
            )
    twice = sorted(name for name, count in Counter(header).items() if count > 1)
    if twice:
        raise BadFile(file.origin, Reason.LAYOUT, f"columns stand twice: {_shown(header, twice)}")
    missing = [column for column in contract.read_columns if column.name not in found and not column.optional]
    others = {name.lower(): name for name in header if names.column(name) is None}
    for column in (c for c in contract.read_columns if c.name not in found):
        if (other := next((others[n.lower()] for n in column.field_names if n.lower() in others), None)) is not None:
            raise BadFile(
                file.origin,
                Reason.LAYOUT,
                f"has a column {clipped(other, 100)!r} and no {clipped(column.field_name, 100)!r}: names are told "
                "apart by upper and lower case; have it written as declared, declare it as the files write it (field), "
                "or set header_match: loose",
                changes(),
            )
    known = [name for written in found.values() for name in written]
    _require_missing_allowed(contract, file, missing, header, known, changes)
    declared = [column.name for column in contract.read_columns if column.name in found]
    if contract.format.header_order == "strict" and list(found) != declared:
        raise BadFile(file.origin, Reason.LAYOUT, "columns are not in the declared order, and header_order is strict")
    return missing


def _require_missing_allowed(
    contract: Contract,
    file: InputFile,
    missing: Sequence[Column],
    header: Sequence[str],
    known: Collection[str],
    changes: Changes,
) -> None:
    """``known`` are the names of the header that are declared."""
    if not missing or contract.schema_policy == "quarantine":
        return
    if contract.schema_policy == "freeze" or not known:
        names = [column.field_names for column in missing]
        said = advice(file, contract.format, names, header, known)
        raise BadFile(file.origin, Reason.LAYOUT, f"{_without(contract, missing)}{said}", changes())
    if needed := [column for column in missing if column.name in contract.indispensable]:
        why = "schema_policy: evolve goes on without others, but not without what is required or named by key, "
        why += "latest_by or country_column"
        raise BadFile(file.origin, Reason.LAYOUT, f"{_without(contract, needed)}; {why}", changes())


def _without(contract: Contract, missing: Iterable[Column]) -> str:
    names = _listed(column.field_name for column in missing)
    return f"declared columns are missing from the header: {names}"


def _evolved(
    extra: Mapping[str, Column],
    taken: Mapping[str, str],
    file: InputFile,
    names: Sequence[str],
    header: str,
    changes: Changes,
) -> Column:
    """The column of text that a header which nobody declared becomes.

    Raises:
        BadFile: the table cannot have it, or has another of that name.
    """
    name = plain_name(header)
    others = {column.name: _other(written) for written, column in extra.items()}
    why = ""
    if is_like_value(header):
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
            changes(),
        )
    return Column(name=name, field=header, comment=comment_of(header))


def names_taken(contract: Contract, reserved: Iterable[str]) -> dict[str, str]:
    """Names that a column of the table cannot have, each with what has it."""
    names = dict.fromkeys(reserved, "a partition column")
    added = (DELIVERY_DATE, *SYSTEM_COLUMNS, *INTERNAL_COLUMNS, UNNAMED)
    names |= dict.fromkeys(added, "a column that the platform adds")
    for column in contract.columns:
        names |= dict.fromkeys(stored_names(column), f"what {column.name} is stored as")
    names |= {each.name: f"what naming makes of {each.column}" for each in named_columns(contract.naming)}
    return names | {column.name: "a declared column" for column in contract.columns}


def _other(name: str) -> str:
    return _listed([name]) if is_certainly_name(name) else "another that nobody declared"


def _shown(header: Sequence[str], undeclared: Iterable[str]) -> str:
    """Names that nobody declared, as far as they are certainly names: of others, which may be values of a file that has
    no header, the place."""
    plain = [name for name in undeclared if is_certainly_name(name)]
    nameless = [str(n) for n, name in enumerate(header, start=1) if not name.strip() and name in undeclared]
    hidden = [str(header.index(name) + 1) for name in undeclared if name not in plain and name.strip()]
    places = [f"number {listed(hidden)} (not shown, as it may be a value)"] if hidden else []
    if nameless:
        places.append(f"number {listed(nameless)} without a name, as of an index (field: '' is its name here)")
    return ", ".join([*([_listed(plain)] if plain else []), *places])


def _called(fmt: FileFormat, header: Sequence[str], name: str) -> str:
    """The same of one; members of JSON may stand within others."""
    parts = name.split(".") if fmt.kind in ("json", "ndjson") else [name]
    return _listed([name]) if all(map(is_certainly_name, parts)) else _shown(header, [name])


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
