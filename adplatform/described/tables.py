"""The tables of a source as dbt is to know them: by their contracts, and by the catalog where it has them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from adplatform.changes.made import MadeTable, history_columns
from adplatform.changes.views import views_of
from adplatform.contracts.column import DELIVERY_DATE
from adplatform.contracts.column import Column as Declared
from adplatform.contracts.feed import Feed
from adplatform.contracts.naming import named_columns
from adplatform.contracts.types import DataType
from adplatform.engines.changes import ChangedFiles
from adplatform.engines.databases import PulledFiles
from adplatform.flow.pattern import Pattern
from adplatform.flow.source import FeedFlow
from adplatform.lake.catalog import Table as Catalogued
from adplatform.lake.table import Named, TableSpec, table_spec
from adplatform.lake.views import View
from adplatform.privacy.outputs import pii_outputs
from adplatform.pull.history import histories_of
from adplatform.pull.pattern import PulledReports
from adplatform.transform.compile import output_columns
from adplatform.transform.values import OutputColumn

AS_OF = "as_of"
"""The column of reports that says when its values were asked for."""


@dataclass(frozen=True)
class Column:
    """``type`` is as the catalog spells it. ``pii`` has what personal data it holds and in which form, by name; nothing
    for other columns. A value is one of those ``allowed``, where there are any, and missing in no row that is
    ``required`` to have it."""

    name: str
    type: str
    description: str = ""
    pii: Mapping[str, str] = field(default_factory=dict)
    required: bool = False
    allowed: tuple[str | int, ...] = ()


@dataclass(frozen=True)
class Freshness:
    """The table is stale when ``loaded_at``, SQL that Athena and DuckDB understand alike, is longer ago than
    ``within`` in every row."""

    loaded_at: str
    within: timedelta


@dataclass(frozen=True)
class Table:
    """A clean table of ``feed`` (``"<source>/<feed>"``), or a view, which is of none. No two rows are alike in the
    columns of ``unique``, if there are any. ``columns`` end with those of ``partitions``; ``has_texts`` says that the
    values of these are texts in the catalog. One with a ``path`` has its current files below that, relative to the
    clean bucket."""

    database: str
    name: str
    description: str
    columns: tuple[Column, ...]
    feed: str = ""
    partitions: tuple[str, ...] = ()
    has_texts: bool = True
    unique: tuple[str, ...] = ()
    freshness: Freshness | None = None
    path: str = ""

    @property
    def asset_key(self) -> tuple[str, ...]:
        """Of the asset that is the table; () where none is."""
        return ("clean", *self.feed.split("/")) if self.feed else ()


def tables_of(
    pattern: Pattern, database_prefix: str, catalogued: Callable[[Named], Catalogued | None], *, path_copies: bool
) -> tuple[Table, ...]:
    """Every table and view of a source, by name. A table that is in the catalog has the columns that it has there.

    Raises:
        PermanentFailure: a contract makes no table.
    """
    merged = _merged(pattern)
    flows = {flow.table: flow for flow in (*pattern.source.feeds, *pattern.source.derived)}
    found = []
    for name, flow in flows.items():
        of_scope = pattern.part(flow, "any") if pattern.part and name not in merged else flow
        spec = _spec(of_scope, merged.get(name), database_prefix)
        table = _of_merge(spec, merged[name]) if name in merged else _of_feed(spec, of_scope)
        if path_copies and spec.partitions and not spec.is_iceberg:
            table = replace(table, path="/".join((name, *("*" for _ in spec.partitions), "*.parquet")))
        found.append(_as_catalogued(table, catalogued(spec)))
    shown = (_of_view(view) for view in _views(pattern, merged, database_prefix))
    return tuple(sorted((*found, *shown), key=lambda table: table.name))


def _views(pattern: Pattern, merged: Mapping[str, MadeTable], prefix: str) -> Iterator[View]:
    if isinstance(pattern, PulledReports):
        yield from (history.versions(prefix) for history in histories_of(pattern.account))
    for name, made in merged.items():
        if name == made.name:
            yield from views_of(made, _rows(made), prefix)


def _of_view(view: View) -> Table:
    columns = tuple(_column(column, None) for column in view.columns)
    return Table(view.database, view.name, view.description, columns)


def _merged(pattern: Pattern) -> Mapping[str, MadeTable]:
    """The tables that are made by merges, by name."""
    made: Iterable[MadeTable] = ()
    if isinstance(pattern, ChangedFiles):
        made = pattern.followed
    elif isinstance(pattern, PulledFiles):
        made = pattern.pulled
    return {table: each for each in made for table in each.tables}


def _spec(flow: FeedFlow, made: MadeTable | None, prefix: str) -> TableSpec:
    if made is not None:
        columns = history_columns(_rows(made)) if flow.table == made.history else _rows(made)
        return made.spec(flow.table, columns, made.declared.description, prefix)
    contract, scope = flow.feed.contract, flow.scope.column if flow.scope else None
    return table_spec(
        flow.table,
        contract,
        output_columns(contract),
        description=flow.feed.description,
        database_prefix=prefix,
        scope=scope,
        compacted=flow.compacted,
    )


def _rows(made: MadeTable) -> tuple[OutputColumn, ...]:
    return made.columns((column.name, column.type) for column in made.stored.values())


def _of_merge(spec: TableSpec, made: MadeTable) -> Table:
    """A table of rows has one of each key. What its merges take has been judged, so that declared columns have values;
    those of what was deleted or has ended may lack them."""
    of_rows = spec.feed == made.name
    declared = _declared(made.declared) if of_rows else {}
    table = _shown(spec, declared)
    described = {
        made.name: spec.description or f"Rows of {made.table}, up to the last merge.",
        made.deleted: f"Rows of {made.table} that were deleted, with their last values.",
        made.history: f"Versions of rows of {made.table} that have ended.",
    }
    key = made.keyed(spec.columns).key if of_rows else ()
    return replace(table, description=described[spec.feed], unique=key)


def _of_feed(spec: TableSpec, flow: FeedFlow) -> Table:
    declared = _declared(flow.feed)
    table = _shown(spec, declared)
    return replace(table, unique=_unique(spec, flow), freshness=_freshness(spec, flow, declared.get(AS_OF)))


def _declared(feed: Feed) -> dict[str, Declared]:
    """What is promised of columns: of those that are declared, and of those that naming conventions make."""
    named = {each.name: Declared(name=each.name, allowed=each.allowed) for each in named_columns(feed.naming)}
    return {**{column.name: column for column in feed.columns}, **named}


def _unique(spec: TableSpec, flow: FeedFlow) -> tuple[str, ...]:
    """The columns of the key as they are stored, with those within whose values rows are compared."""
    if spec.by_column:
        return spec.key
    contract = flow.feed.contract
    columns = [contract.column(name) for name in contract.key]
    stored = ["" if column.drop else _compared(column) for column in columns]
    return (*spec.folder_names, *stored) if stored and all(stored) else ()


def _compared(column: Declared) -> str:
    """The stored column by which rows of a delivery are told apart; "" where none is stored."""
    if column.pii is None:
        return column.name
    forms = {each.form: each.name for each in reversed(pii_outputs(column, column.pii))}
    return forms.get("digest") or forms.get("clear", "")


def _freshness(spec: TableSpec, flow: FeedFlow, as_of: Declared | None) -> Freshness | None:
    """When rows were asked for is known of reports alone. Of others it is the end of the delivery date."""
    within = flow.feed.fresh_within
    if within is None:
        return None
    if as_of is not None:
        return Freshness(AS_OF, within) if as_of.required else None
    if spec.partition is None or spec.partition.name != DELIVERY_DATE:
        return None
    return Freshness(f"cast(cast({DELIVERY_DATE} as date) + interval '1' day as timestamp)", within)


def _shown(spec: TableSpec, declared: Mapping[str, Declared]) -> Table:
    keys = tuple(replace(_column(_key(key, spec), declared.get(key.name)), required=True) for key in spec.partitions)
    return Table(
        feed=spec.feed,
        database=spec.database,
        name=spec.name,
        description=spec.description,
        columns=(*(_column(column, declared.get(column.name)) for column in spec.columns), *keys),
        partitions=spec.partition_names,
        has_texts=all(key.type == "string" for key in keys),
    )


def _key(column: OutputColumn, spec: TableSpec) -> OutputColumn:
    """In the catalog a partition column that is a date is a string (``adplatform.lake.catalog``)."""
    return replace(column, type=DataType("string")) if column.type.name == "date" and not spec.is_iceberg else column


def _column(output: OutputColumn, declared: Declared | None) -> Column:
    """What is promised of values goes for those that are stored as they came."""
    plain = declared if declared is not None and declared.pii is None else None
    return Column(
        name=output.name,
        type=output.type.hive,
        description=output.comment,
        pii=dict(output.tags),
        required=plain is not None and plain.required,
        allowed=_allowed(plain) if plain is not None else (),
    )


def _allowed(column: Declared) -> tuple[str | int, ...]:
    """The values that a column may have, where the texts that files may have say so."""
    texts = dict.fromkeys((*column.allowed, *([str(column.default)] if column.default is not None else ())))
    if not column.allowed or column.expression:
        return ()
    if column.data_type.name == "string":
        return tuple(texts)
    whole = column.data_type.name in ("int", "bigint") and all(text.isascii() and text.isdigit() for text in texts)
    return tuple(int(text) for text in texts) if whole else ()


def _as_catalogued(table: Table, found: Catalogued | None) -> Table:
    """The table with the columns that the catalog has, also those that nobody declared."""
    if found is None:
        return table
    known = {column.name: column for column in table.columns}
    there = [
        replace(known[name], type=kind) if name in known else _undeclared(name, kind, found)
        for name, kind in found.columns
    ]
    columns = (*there, *(known[name] for name in table.partitions))
    unique = table.unique if {*table.unique} <= {column.name for column in columns} else ()
    return replace(table, columns=columns, unique=unique)


def _undeclared(name: str, kind: str, found: Catalogued) -> Column:
    pii = {"pii": "undeclared"} if name in found.personal else {}
    return Column(name, kind, found.comments.get(name, ""), pii)
