"""The views of a table that is made of changes."""

from collections.abc import Iterator

from adplatform.changes.made import MadeTable, history_columns
from adplatform.contracts.changes import CHANGED_AT, LIVE, OP, SEQUENCE, VERSIONS
from adplatform.lake.delta import current_sql
from adplatform.lake.keyed import CLOSED_BY, VALID_TO
from adplatform.lake.table import table_name
from adplatform.lake.views import View
from adplatform.transform.rules import identifier, literal
from adplatform.transform.values import OutputColumn

VALID_FROM = "_valid_from"


def views_of(followed: MadeTable, columns: tuple[OutputColumn, ...], prefix: str, floor: str = "") -> Iterator[View]:
    """What readers may ask beside the tables; ``columns`` are those of the rows, and ``floor`` is the sequence with
    which the last load began that is complete."""
    if followed.has_live:
        yield _live(followed, columns, prefix, floor)
    if followed.has_history:
        yield _versions(followed, columns, prefix)


def _live(followed: MadeTable, columns: tuple[OutputColumn, ...], prefix: str, floor: str) -> View:
    """The rows as they are with the changes that were published and not merged yet, of whatever date: one that was
    merged may get others, and those that are merged change nothing. Rows of a load have no sequence of their own, so a
    new load shows once it is merged, and changes from before it do not count."""
    named, table = table_name(f"{followed.name}{LIVE}", prefix), followed.keyed(columns)
    own = ", ".join(map(identifier, (*table.columns, OP, SEQUENCE, CHANGED_AT)))
    there = [
        f"{identifier(SEQUENCE)} <> ''",
        f"{identifier(SEQUENCE)} >= {literal(floor)}",
        *(f"{identifier(name)} is not null" for name in table.key),
    ]
    changes = f"(select {own} from {_relation(followed.changes.table, prefix)} where {' and '.join(there)})"
    rows, deleted = _relation(followed.name, prefix), _relation(followed.deleted, prefix)
    sql = current_sql(table, rows, deleted, changes)
    return View(named.database, named.name, columns, sql, "Rows as they are with changes that are not merged yet.")


def _versions(followed: MadeTable, columns: tuple[OutputColumn, ...], prefix: str) -> View:
    """Every version of every row: those that have ended, and the present ones, which have no end."""
    named = table_name(f"{followed.base}{VERSIONS}", prefix)
    own = ", ".join(identifier(column.name) for column in columns if column.name != CHANGED_AT)
    begin, end, by = identifier(VALID_FROM), identifier(VALID_TO), identifier(CLOSED_BY)
    at = f"{identifier(CHANGED_AT)} as {begin}"
    sql = (
        f"select {own}, {at}, cast(null as timestamp) as {end}, cast(null as varchar) as {by}"
        f" from {_relation(followed.name, prefix)} union all"
        f" select {own}, {at}, {end}, {by} from {_relation(followed.history, prefix)}"
    )
    by_name = {column.name: column for column in history_columns(columns)}
    began = OutputColumn(VALID_FROM, by_name[CHANGED_AT].type, "When the version began.")
    shown = (*(c for c in columns if c.name != CHANGED_AT), began, by_name[VALID_TO], by_name[CLOSED_BY])
    return View(named.database, named.name, shown, sql, "Every version of every row; the present one has no end.")


def _relation(table: str, prefix: str) -> str:
    named = table_name(table, prefix)
    return f"{identifier(named.database)}.{identifier(named.name)}"
