"""NDJSON on DuckDB: read as lines, because its JSON reader aborts on, or silently loses, a line it cannot parse."""

import re
from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from adplatform.contracts.column import Column
from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.model import Contract
from adplatform.files.input_file import InputFile
from adplatform.files.record_lines import Dialect
from adplatform.transform.copies import Copies
from adplatform.transform.joined import Joined, JoinedFile, join_small_files
from adplatform.transform.layouts import Accepted, Layout, Lines, accept
from adplatform.transform.one_line_end import with_one_line_end
from adplatform.transform.readers import Reading, csv_options, define_raw, no_lines, record_size, scanned_files
from adplatform.transform.record_places import Asked, lines_of_records, of_rejects
from adplatform.transform.rejects import Reject, stored_rejects
from adplatform.transform.rules import identifier, literal
from adplatform.transform.schema_differences import unmissed

if TYPE_CHECKING:
    import duckdb

_SIGNIFICANT = 16
_INEXACT = "|".join((*(f"[0-9]{{{n}}}[.][0-9]{{{_SIGNIFICANT - n}}}" for n in range(1, _SIGNIFICANT)), "[.]00000"))
"""Numbers that DuckDB's JSON parser would round to a double, or print with an exponent."""
_IS_INEXACT = re.compile(_INEXACT)
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[-+]?[0-9A-Za-z][-+.0-9A-Za-z]*')
_DELIMITER = "\x01"
"""No JSON text holds a raw control character, so this one never splits a good line."""
_NO_TEXTS = "select ''::varchar as text, 0 as _file where false"
_WORDS = ("true", "false", "null")


def read_json_lines(
    con: "duckdb.DuckDBPyConnection",
    contract: Contract,
    files: Sequence[InputFile],
    links: Path,
    reserved: Iterable[str] = (),
) -> Reading:
    """``raw`` over files of one JSON object a line; a member that is absent is NULL, ``a.b`` names a nested member, or
    one that is called so, and ``a.0`` one of an array by its place, from 0. Of a member that stands twice in an object
    the first counts.

    Raises:
        PermanentFailure: members that the contract does not declare, where it freezes the schema.
    """
    con.create_function("exact_numbers", _exact_numbers, ["VARCHAR"], "VARCHAR")
    alike = with_one_line_end(contract.format, files, links)
    layouts = [Layout(("text",), alike.instead(files))] if files else []
    dialect = replace(Dialect.of(contract.format), delimiter=_DELIMITER.encode())
    joined = join_small_files(layouts, dialect, links, header=False, longest=contract.format.max_record)
    texts = [_texts(contract.format, each, links) for each in joined.layouts]
    texts += [_texts(contract.format, each.layout, links, joined=True) for each in joined.files]
    con.execute(
        "create temp table lines as select _file, json_type(line) = 'OBJECT' as good, line, text from"
        " (select _file, case when json_valid(text) then case when regexp_matches(text,"
        f" {literal(_INEXACT)}) then exact_numbers(text) else text end end as line, text"
        f" from ({' union all by name '.join(texts) or _NO_TEXTS}))"
    )
    accepted = accept(contract, [(file, names, Lines()) for file, names in _members(con, contract, files)], reserved)
    # Any document may be without any member, so none is missed.
    accepted = replace(accepted, lacking={}, changes=unmissed(accepted.changes))
    _define_raw(con, accepted)
    read = [file for layout in accepted.layouts for file in layout.files]
    aside = cache(partial(_aside, con, read, alike, joined.files, contract.format))
    # The lines of a document are made here, one for each record.
    lines = partial(_lines, aside, contract.format) if contract.format.kind == "ndjson" else no_lines
    return Reading(accepted, Joined(), partial(_rejects, read, aside), lines)


def _texts(fmt: FileFormat, layout: Layout, links: Path, *, joined: bool = False) -> str:
    paths, ordinal = scanned_files(layout.files, links)
    types = ({"_file": "INTEGER"} if joined else {}) | {"text": "VARCHAR"}
    options = csv_options(
        columns=str(types), header="false", delim=literal(_DELIMITER), quote="''", escape="''", **record_size(fmt)
    )
    return f"select text, {'_file' if joined else f'{ordinal} as _file'} from read_csv({paths}, {options})"


def _exact_numbers(line: str) -> str:
    """A valid document with every number as text, spelled as it stands in the file. Not by a JSON parser: those of
    Python end at some depth of nesting."""
    return _TOKEN.sub(_as_text, line)


def _as_text(token: "re.Match[str]") -> str:
    return token[0] if token[0][0] == '"' or token[0] in _WORDS else f'"{token[0]}"'


def _members(
    con: "duckdb.DuckDBPyConnection", contract: Contract, files: Iterable[InputFile]
) -> Iterable[tuple[InputFile, tuple[str, ...]]]:
    members = ", ".join(
        f"list_transform(json_keys(line, {literal(_json_path(same_path(above)))}),"
        f" lambda k: concat({literal(above + '.')}, k))"
        for above in opened(contract)
    )
    found: dict[int, list[str]] = dict(
        con.execute(
            "select _file, list(distinct member order by member) from (select _file,"
            f" unnest(flatten([json_keys(line){', ' + members if members else ''}])) as member from lines where good)"
            " group by _file"
        ).fetchall()
    )
    names = field_names(contract)
    known = {*names, *_above(names)}
    renamed = _renamed(con, contract)
    for file in files:
        there = renamed.get(file.ordinal, {})
        declared = tuple(name for c in contract.read_columns for name in there.get(c.name, c.field_names[:1]))
        yield file, declared + tuple(name for name in found.get(file.ordinal, ()) if name not in known)


def field_names(contract: Contract) -> list[str]:
    return [name for column in contract.read_columns for name in column.field_names]


def _renamed(con: "duckdb.DuckDBPyConnection", contract: Contract) -> dict[int, Mapping[str, list[str]]]:
    """The names that each file has for columns with several, where it has any."""
    columns = [column for column in contract.read_columns if len(column.field_names) > 1]
    several = [(column.name, name) for column in columns for name in column.field_names]
    if not several:
        return {}
    there = ", ".join(f"count({_type_of('line', name)})" for _, name in several)
    renamed: dict[int, Mapping[str, list[str]]] = {}
    for ordinal, *counts in con.execute(f"select _file, {there} from lines where good group by _file").fetchall():
        names: dict[str, list[str]] = {}
        for (column, name), count in zip(several, counts, strict=True):
            if count:
                names.setdefault(column, []).append(name)
        renamed[ordinal] = names
    return renamed


def _above(headers: Iterable[str]) -> set[str]:
    """The paths of all members that others are read of."""
    return {".".join(parts[:n]) for parts in (header.split(".") for header in headers) for n in range(1, len(parts))}


def opened(contract: Contract) -> list[str]:
    """The objects of which columns are read, but for those that a column has as a whole."""
    declared = set(field_names(contract))
    return sorted(path for path in _above(declared) if not declared & {path, *_above([path])})


def _define_raw(con: "duckdb.DuckDBPyConnection", accepted: Accepted) -> None:
    names = field_names(accepted.contract)
    paths = [path for name in names for path in _json_paths(name)]
    places = {path: f"v[{n}]" for n, path in enumerate(paths, start=1)}
    values = ", ".join(
        f"coalesce({', '.join(_spelled(c, name, places) for name in c.field_names)}) as {identifier(c.name)}"
        for c in accepted.contract.read_columns
    )
    files = [str(file.ordinal) for layout in accepted.layouts for file in layout.files]
    scan = (
        f"select {values}, _file from (select _file, text,"
        f" json_extract_string(line, [{', '.join(map(literal, paths))}]) as v"
        f" from lines where good and _file in ({', '.join(files)}))"
    )
    define_raw(con, accepted.contract, [scan] if files else [])


def _spelled(column: Column, name: str, places: Mapping[str, str]) -> str:
    """The text of a member. One that is a number has a point, whatever the column's texts are written with."""
    found = f"coalesce({', '.join(places[path] for path in _json_paths(name))})"
    if column.decimal_mark == ".":
        return found
    return f"case when {_type_of('text', name)} <> 'VARCHAR' then replace({found}, '.', ',') else {found} end"


def _type_of(document: str, name: str) -> str:
    return f"coalesce({', '.join(f'json_type({document}, {literal(path)})' for path in _json_paths(name))})"


def paths_of(header: str) -> list[tuple[str | int, ...]]:
    """Where a column's value may be, as the names of members or places in arrays, in the order in which these count:
    the last is a member that has dots in its name, as flattened documents have."""
    members = same_path(header)
    places = tuple(int(name) if name.isdecimal() else name for name in members)
    return list(dict.fromkeys([members, places, (header,)]))


def same_path(header: str) -> tuple[str, ...]:
    """The members within each other that a name with dots is of."""
    return tuple(header.split("."))


def _json_paths(header: str) -> list[str]:
    return [_json_path(path) for path in paths_of(header)]


def _json_path(path: Iterable[str | int]) -> str:
    return "$" + "".join(f"[{name}]" if isinstance(name, int) else f'."{name}"' for name in path)


def is_inexact(text: str) -> bool:
    """Whether a document has numbers that DuckDB would not write as they stand."""
    return _IS_INEXACT.search(text) is not None


@dataclass(frozen=True)
class _Aside:
    """What of the files is no object, by file: ``unread`` is not even in ``lines``, ``bad`` are the texts there, by
    their place among those of the file, from 1, in ascending order."""

    unread: Mapping[int, Sequence[Reject]]
    bad: Mapping[int, Mapping[int, str | None]]


def _aside(
    con: "duckdb.DuckDBPyConnection",
    files: Sequence[InputFile],
    alike: Copies,
    joined: Iterable[JoinedFile],
    fmt: FileFormat,
) -> _Aside:
    unread: dict[int, list[Reject]] = defaultdict(list)
    bad: dict[int, dict[int, str | None]] = defaultdict(dict)
    for reject in alike.as_written(stored_rejects(con, alike.instead(files), fmt, joined) if files else []):
        unread[reject.file].append(reject)
    for ordinal, position, text in con.execute(
        "select _file, position, text from (select _file, good, text,"
        " row_number() over (partition by _file order by rowid) as position from lines) where good is not true"
        " order by _file, position"
    ).fetchall():
        bad[ordinal][position] = text
    return _Aside(unread, bad)


def _rejects(files: Sequence[InputFile], aside: Callable[[], _Aside]) -> list[Reject]:
    split: list[Reject] = []
    for file in files:
        unread = aside().unread.get(file.ordinal, ())
        split += (Reject(r.file, r.line, r.byte_position, _as_json(r.reasons), r.raw) for r in unread)
        bad = {n: text for n, text in aside().bad.get(file.ordinal, {}).items() if text and text.strip(" \t")}
        split += _bad_lines(file, bad, [reject.line for reject in unread])
    return sorted(split, key=lambda r: (r.file, r.line))


def _lines(
    aside: Callable[[], _Aside], fmt: FileFormat, file: InputFile, asked: Asked, rejects: Sequence[Reject]
) -> "array[int]":
    """Of ``rejects`` some are in ``lines``, where every line is a record."""
    ahead = [place - n for n, place in enumerate(aside().bad.get(file.ordinal, ()))]
    places = array("q", (record + bisect_right(ahead, record) for record in asked.wanted))
    outside = of_rejects(aside().unread.get(file.ordinal, ()), empty_are_records=True)
    return lines_of_records(file, fmt, Asked(places, len(places)), outside)


def _as_json(reasons: tuple[str, ...]) -> tuple[str, ...]:
    return tuple("bad_json" if reason == "column_count" else reason for reason in reasons)


def _bad_lines(file: InputFile, bad: dict[int, str], outside: Sequence[int]) -> Iterable[Reject]:
    """Place lines that are in ``lines``: their position there does not count the lines that were not even read."""
    if not bad:
        return
    skipped, position, at, last = set(outside), 0, 0, max(bad)
    with file.path.open("rb") as stream:
        for number, content in enumerate(stream, start=1):
            if number not in skipped:
                position += 1
                if position in bad:
                    yield Reject(file.ordinal, number, at, ("bad_json",), bad[position])
            at += len(content)
            if position == last:
                return
