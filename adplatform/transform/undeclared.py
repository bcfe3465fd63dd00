"""Columns that nobody declared and that hold personal data, which keeps their values out of the table.

It is judged for each file by itself, so that the same comes of files however they are put together in deliveries.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from adplatform.contracts.column import Column
from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.model import Contract
from adplatform.privacy.recognised import (
    Called,
    called,
    holds_digits,
    holds_email,
    holds_phone,
    is_like_phone,
    is_worth_a_look,
)
from adplatform.transform import column_values
from adplatform.transform.rules import identifier
from adplatform.transform.values import Withheld

Ask = Callable[[str], Sequence[Sequence[Any]]]
"""The rows of a query in DuckDB's SQL."""


@dataclass(frozen=True)
class KeptOut:
    """``contract`` stores what may be stored. ``files`` are the ordinals of those whose values are not stored, by the
    column that others have values in; ``withheld`` says of what."""

    contract: Contract
    files: Mapping[str, tuple[int, ...]]
    withheld: tuple[Withheld, ...]


def judged(
    contract: Contract, undeclared: Mapping[str, str], relation: str, ask: Ask, *, typed: bool, some: str = ""
) -> KeptOut:
    """What of the rows of ``relation`` may be stored. ``undeclared`` are the columns that nobody declared, with what
    each may be called; ``typed`` is whether spellings of no value are NULL already. ``some`` are a few of very many
    rows: a column of which these have an address or number in every file needs no look at the others, which only count
    what is kept out.

    The values of all columns are one column to the queries: a query of conditions for each column takes longer to plan
    than to run. Most values are nothing that is worth a closer look, and most columns have no others.
    """
    if not undeclared or contract.undeclared_personal == "clear":
        return KeptOut(contract, {}, ())
    texts = {name: _text(contract.column(name), contract.format, typed) for name in undeclared}
    certain = _certain(ask, texts, some, relation) if some else {}
    rest = {name: text for name, text in texts.items() if name not in certain}
    return _kept_out(contract, undeclared, {**certain, **_found(ask, rest, relation)}, certain.keys())


def _certain(ask: Ask, texts: Mapping[str, str], some: str, relation: str) -> dict[str, dict[int, "_Counted"]]:
    """The columns that some rows show to hold personal data in each file, with what these rows have for certain."""
    files = {int(file) for (file,) in ask(f"select distinct _file from {relation}")}
    found = _found(ask, texts, some)
    shown = {
        name: {file: replace(each, like_phones=0) for file, each in counted.items() if each.emails or each.phones}
        for name, counted in found.items()
    }
    return {name: counted for name, counted in shown.items() if counted.keys() == files}


def _found(ask: Ask, texts: Mapping[str, str], relation: str) -> dict[str, dict[int, "_Counted"]]:
    """Of the columns that have anything suspicious what their values are, by file."""
    kinds = dict[Called, dict[str, str]]()
    for name, text in texts.items():
        kinds.setdefault(called(name), {})[name] = text
    seen = {
        place: counts
        for kind, columns in kinds.items()
        for place, counts in _counted(ask, columns, relation, _suspicious(kind))
    }
    suspects = {name for name, _ in seen}
    if not suspects:
        return {}
    census = _counted(ask, {name: texts[name] for name in texts if name in suspects}, relation, _CENSUS)
    found = dict[str, dict[int, _Counted]]()
    for (name, file), counts in census:
        found.setdefault(name, {})[file] = _Counted(*counts, *seen.get((name, file), (0, 0, 0)))
    return found


def _text(column: Column, fmt: FileFormat, typed: bool) -> str:
    return identifier(column.name) if typed else f"({column_values.of_text(column, fmt)})"


@dataclass(frozen=True)
class _Query:
    """Counts of the values, which are called ``text``, in the places that have any of those ``where`` is for."""

    conditions: tuple[str, ...]
    where: str


_CENSUS = _Query(("true", holds_digits("text")), "text is not null")
"""How many values there are, and with digits."""


def _suspicious(kind: Called) -> _Query:
    """How many have an e-mail address, certainly a phone number, and are written as one."""
    conditions = (holds_email("text"), holds_phone("text"), is_like_phone("text", kind))
    return _Query(conditions, is_worth_a_look("text", kind))


def _counted(
    ask: Ask, columns: Mapping[str, str], relation: str, query: _Query
) -> Iterator[tuple[tuple[str, int], tuple[int, ...]]]:
    """The counts by column and file where not all are 0. ``columns`` are names with SQL of the values."""
    names = {f"c{place}": name for place, name in enumerate(columns)}
    values = ", ".join(f"{text} as c{place}" for place, text in enumerate(columns.values()))
    rows = f"(select _file, {values} from {relation}) unpivot (text for place in ({', '.join(names)}))"
    counts = ", ".join(f"count(case when {each} then 1 end) as n{n}" for n, each in enumerate(query.conditions))
    some = " + ".join(f"n{n}" for n in range(len(query.conditions)))
    by_place = f"select _file, place, {counts} from {rows} where {query.where} group by _file, place"
    for file, place, *numbers in ask(f"select * from ({by_place}) where {some} > 0"):
        yield (names[place], int(file)), tuple(map(int, numbers))


def _kept_out(
    contract: Contract,
    undeclared: Mapping[str, str],
    counted: Mapping[str, Mapping[int, "_Counted"]],
    in_part: Collection[str],
) -> KeptOut:
    """What counts by column and by file forbid to store; those of columns ``in_part`` are of some rows."""
    dropped, files, withheld = set[str](), dict[str, tuple[int, ...]](), []
    for name, shown in undeclared.items():
        found = counted.get(name, {})
        personal = {file: each for file, each in found.items() if each.emails or each.phone_numbers}
        if not personal:
            continue
        if found.keys() - personal.keys():
            files[name] = tuple(sorted(personal))
        else:
            dropped.add(name)
        emails = sum(each.emails for each in personal.values())
        phones = sum(each.phone_numbers for each in personal.values())
        withheld.append(Withheld(shown, emails, phones, name in in_part))
    columns = tuple(_dropped(column) if column.name in dropped else column for column in contract.columns)
    return KeptOut(contract.model_copy(update={"columns": columns}), files, tuple(withheld))


def _dropped(column: Column) -> Column:
    return column.model_copy(update={"drop": True})


@dataclass(frozen=True)
class _Counted:
    """The values of one column in one file."""

    values: int
    with_digits: int
    emails: int
    phones: int
    like_phones: int

    @property
    def phone_numbers(self) -> int:
        """Values that hold one: those that certainly do, or where most look so all of these."""
        return self.like_phones if self.like_phones * 2 > self.with_digits else self.phones
