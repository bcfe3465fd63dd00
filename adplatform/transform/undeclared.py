"""Columns that nobody declared and that hold personal data, which keeps their values out of the table.

It is judged for each file by itself, so that the same comes of files however they are put together in deliveries.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adplatform.contracts.column import Column
from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.model import Contract
from adplatform.privacy.recognised import (
    holds_digits,
    holds_email,
    holds_phone,
    is_like_phone,
    may_be_phone,
    may_hold_email,
    may_hold_phone,
)
from adplatform.transform import column_values
from adplatform.transform.rules import identifier
from adplatform.transform.values import Withheld

_COUNTS, _GUARDS = 5, 3
Ask = Callable[[str], Sequence[Sequence[Any]]]
"""The rows of a query in DuckDB's SQL."""


@dataclass(frozen=True)
class KeptOut:
    """``contract`` stores what may be stored. ``files`` are the ordinals of those whose values are not stored, by the
    column that others have values in; ``withheld`` says of what."""

    contract: Contract
    files: Mapping[str, tuple[int, ...]]
    withheld: tuple[Withheld, ...]


def judged(contract: Contract, undeclared: Mapping[str, str], relation: str, ask: Ask, *, typed: bool) -> KeptOut:
    """What of the rows of ``relation`` may be stored. ``undeclared`` are the columns that nobody declared, with what
    each may be called; ``typed`` is whether spellings of no value are NULL already.

    Most columns hold nothing that is worth a closer look, which takes ten times as long.
    """
    if not undeclared or contract.undeclared_personal == "clear":
        return KeptOut(contract, {}, ())
    texts = {name: _text(contract.column(name), contract.format, typed) for name in undeclared}
    guards = [guard for name, text in texts.items() for guard in _guards(text, name)]
    counted = ", ".join(f"count(case when {guard} then 1 end)" for guard in guards)
    [counts] = ask(f"select {counted} from {relation}")
    worth = {name: counts[n * _GUARDS : (n + 1) * _GUARDS] for n, name in enumerate(texts)}
    suspects = {name: undeclared[name] for name, found in worth.items() if any(found)}
    if not suspects:
        return KeptOut(contract, {}, ())
    counted = ", ".join(_census(texts[name], name, worth[name]) for name in suspects)
    return _kept_out(contract, suspects, ask(f"select _file, {counted} from {relation} group by _file"))


def _text(column: Column, fmt: FileFormat, typed: bool) -> str:
    return identifier(column.name) if typed else f"({column_values.of_text(column, fmt)})"


def _guards(text: str, name: str) -> tuple[str, ...]:
    return may_hold_email(text), may_hold_phone(text), may_be_phone(text, name)


def _census(text: str, name: str, worth: Sequence[int]) -> str:
    """How many values a column has, with an e-mail address, certainly with a phone number, written as one, and with
    digits; what is not ``worth`` to be looked at has none."""
    conditions = (holds_email(text), holds_phone(text), is_like_phone(text, name))
    asked = [condition if count else "false" for condition, count in zip(conditions, worth, strict=True)]
    asked.append(holds_digits(text) if worth[-1] else "false")
    return ", ".join((f"count({text})", *(f"count(case when {condition} then 1 end)" for condition in asked)))


def _kept_out(contract: Contract, undeclared: Mapping[str, str], counted: Iterable[Sequence[Any]]) -> KeptOut:
    """What counts of columns by file forbid to store: of each row the ordinal, and for each of ``undeclared`` those of
    :class:`_Counted`."""
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
