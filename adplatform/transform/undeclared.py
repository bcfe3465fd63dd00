"""Columns that nobody declared and that hold personal data, which keeps their values out of the table.

It is judged for each file by itself, so that the same comes of files however they are put together in deliveries.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adplatform.contracts.column import Column
from adplatform.contracts.model import Contract
from adplatform.privacy.recognised import holds_digits, holds_email, holds_phone, is_like_phone
from adplatform.transform import column_values
from adplatform.transform.rules import identifier
from adplatform.transform.values import Withheld

_COUNTS = 5


@dataclass(frozen=True)
class KeptOut:
    """``contract`` stores what may be stored. ``files`` are the ordinals of those whose values are not stored, by the
    column that others have values in; ``withheld`` says of what."""

    contract: Contract
    files: Mapping[str, tuple[int, ...]]
    withheld: tuple[Withheld, ...]


def census(contract: Contract, undeclared: Iterable[str], relation: str, *, typed: bool) -> str:
    """SQL: for each file of ``relation`` the ordinal, and for each undeclared column how many values it has, with an
    e-mail address, certainly with a phone number, written as one, and with digits. ``typed`` is whether spellings of no
    value are NULL already."""
    counts = []
    for column in map(contract.column, undeclared):
        text = identifier(column.name) if typed else f"({column_values.of_text(column, contract.format)})"
        conditions = (holds_email(text), holds_phone(text), is_like_phone(text, column.name), holds_digits(text))
        counts += [f"count({text})", *(f"count(case when {condition} then 1 end)" for condition in conditions)]
    return f"select _file, {', '.join(counts)} from {relation} group by _file"


def kept_out(contract: Contract, undeclared: Mapping[str, str], counted: Iterable[Sequence[Any]]) -> KeptOut:
    """What rows of :func:`census` forbid to store. ``undeclared`` are the columns with what each may be called."""
    rows = [(int(file), [int(count) for count in counts]) for file, *counts in counted]
    dropped, files, withheld = set[str](), dict[str, tuple[int, ...]](), []
    for place, (name, shown) in enumerate(undeclared.items()):
        at = slice(place * _COUNTS, (place + 1) * _COUNTS)
        found = {file: _Counted(*counts[at]) for file, counts in rows}
        personal = {file: each for file, each in found.items() if each.emails or each.phone_numbers}
        if not personal:
            continue
        if any(each.values for file, each in found.items() if file not in personal):
            files[name] = tuple(sorted(personal))
        else:
            dropped.add(name)
        emails = sum(each.emails for each in personal.values())
        phones = sum(each.phone_numbers for each in personal.values())
        withheld.append(Withheld(shown, emails, phones))
    columns = tuple(_dropped(column) if column.name in dropped else column for column in contract.columns)
    return KeptOut(contract.model_copy(update={"columns": columns}), files, tuple(withheld))


def _dropped(column: Column) -> Column:
    return column.model_copy(update={"drop": True})


@dataclass(frozen=True)
class _Counted:
    """The values of one column in one file."""

    values: int
    emails: int
    phones: int
    like_phones: int
    with_digits: int

    @property
    def phone_numbers(self) -> int:
        """Values that hold one: those that certainly do, or where most look so all of these."""
        return self.like_phones if self.like_phones * 2 > self.with_digits else self.phones
