"""Which columns may tell rows apart.

A key is one column with a value in every row and none twice; or else a date with the fewest ids and other texts that
together have no combination twice. Amounts, counts and times are never part of one.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LEAST_ROWS = 20
"""With fewer rows almost every column has no value twice."""
MOST_PARTS = 6
_ID = re.compile(r"(.*_)?(id|ids|uuid|guid|key|number|no|nr|code|sku|asin|ean|gtin|isbn|gclid|hash|reference|ref)")
_MEASURE = re.compile(
    r"(.*_)?(impressions?|clicks?|cost|spend|sales|revenue|amount|price|total|views?|conversions?|quantity|qty|units?"
    r"|kosten|umsatz|klicks|betrag|preis|menge|montant|importe|orders|ctr|cpc|cpm|acos|roas|rate|share|count|budget|bid|reach|frequency|value)(_.*)?"
)


@dataclass(frozen=True)
class Candidate:
    columns: tuple[str, ...]
    sure: bool
    """Whether it is an id by its name, alone, in enough rows."""


def is_id(name: str) -> bool:
    return bool(_ID.fullmatch(name))


def key_candidate(columns: Mapping[str, Sequence[str | None]], types: Mapping[str, str]) -> Candidate | None:
    """``columns`` are the texts of each by name, ``types`` their types; names of personal columns are left out."""
    rows = len(next(iter(columns.values()), ()))
    if rows < 2:
        return None
    full = [
        name
        for name in columns
        if all(columns[name]) and types[name].partition("(")[0] in ("string", "bigint", "date", "int")
    ]
    able = [name for name in full if types[name] != "date" and (is_id(name) or not _MEASURE.fullmatch(name))]
    able.sort(key=lambda name: not is_id(name))
    for name in able:
        if len(set(columns[name])) == rows and (is_id(name) or types[name] == "string"):
            return Candidate((name,), is_id(name) and rows >= LEAST_ROWS)
    days = [name for name in full if types[name] == "date"]
    ids = [name for name in able if is_id(name)]
    texts = [name for name in able if name not in ids and types[name] == "string"]
    for base in ([*days[:1], *ids], [*days[:1], *ids, *texts]):
        if len(base) > 1 and (found := _fewest(columns, base, rows)):
            return Candidate(found, sure=False)
    return None


def _fewest(columns: Mapping[str, Sequence[str | None]], names: Sequence[str], rows: int) -> tuple[str, ...] | None:
    """The names that are left when each that is not needed is taken away, the last first."""
    if not _unique(columns, names, rows):
        return None
    kept = list(names)
    for name in reversed(names[1:]):
        fewer = [each for each in kept if each != name]
        if len(fewer) > 1 and _unique(columns, fewer, rows):
            kept = fewer
    return tuple(kept) if len(kept) <= MOST_PARTS else None


def _unique(columns: Mapping[str, Sequence[str | None]], names: Sequence[str], rows: int) -> bool:
    return len(set(zip(*(columns[name] for name in names), strict=True))) == rows
