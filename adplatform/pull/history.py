"""The history of campaigns, ad groups, ads and targets (SCD2), as tables that are made of their daily snapshots.

``campaigns_changes`` has for every date the campaigns that were there for the first time, were another than before, or
were there no more; ``adplatform.pull.differences`` makes a date of the snapshots of that date and of the one before it.
``campaigns_versions`` is a view of that: each version with the dates from which and until which it was valid. Since the
end of a version is the beginning of the next one and stands nowhere else, no two versions are valid on one date,
whichever dates have been made.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from adplatform.amazon.ads.metadata import ENTITIES, UNTRACKED, Entity
from adplatform.amazon.definitions import STAMPS
from adplatform.contracts.column import Column
from adplatform.contracts.feed import Arrival, Feed
from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.model import Bounds
from adplatform.contracts.types import DataType
from adplatform.failures import PermanentFailure
from adplatform.files.landing import layout_of
from adplatform.flow.source import FeedFlow
from adplatform.lake.table import table_name
from adplatform.lake.views import View
from adplatform.pull.account import Account
from adplatform.transform.compile import output_columns
from adplatform.transform.rules import identifier, literal
from adplatform.transform.values import OutputColumn

CHANGE = "change"
KINDS = (BEGAN, CHANGED, REMOVED, UNREAD) = ("began", "changed", "removed", "unread")
_CHANGE = Column(
    name=CHANGE,
    required=True,
    allowed=KINDS,
    comment="began: not in the snapshot before; changed: other than in it; removed: not in this one. unread: not in "
    "this one, of which rows are in quarantine, so that nothing is known of it; it stays as it was.",
)
_AS_OF = next(column for column in STAMPS if column.name == "as_of").model_copy(
    update={"required": False, "field": None, "comment": "When the snapshot was asked for."}
)


@dataclass(frozen=True)
class History:
    """The history of one kind of entity of an account. ``snapshots`` are its daily snapshots, ``table`` is the feed of
    its changes, both for all profiles together."""

    account: Account
    entity: Entity
    snapshots: FeedFlow
    table: FeedFlow

    def flow(self, scope: str) -> FeedFlow:
        return self.account.scoped(self.table, scope)

    def takes(self, flow: FeedFlow) -> bool:
        return flow.table == self.snapshots.table

    @property
    def tables(self) -> tuple[FeedFlow, ...]:
        """Those that it is made of."""
        return (self.snapshots,)

    @property
    def lineage(self) -> Mapping[str, list[tuple[FeedFlow, str]]]:
        """Which columns of them each column is made of."""
        return {name: [(self.snapshots, name)] for name in (*self.columns, _AS_OF.name)}

    @property
    def key(self) -> tuple[str, str]:
        """What an entity is known by."""
        return "ad_product", self.entity.key

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the entity, its key among them, whose values make a version."""
        return tuple(column.name for column in tracked(self.entity))

    def versions(self, database_prefix: str) -> View:
        """The view of versions; ``valid_to`` is the first date on which a version was valid no more."""
        named, changes = table_name(versions_of(self), database_prefix), table_name(self.table.table, database_prefix)
        scope, own = self.account.scope_column, ", ".join(map(identifier, self.columns))
        by = ", ".join(map(identifier, (scope, *self.key)))
        sql = (
            f"select {own}, {identifier(scope)}, valid_from, valid_to, valid_to is null as is_current"
            f" from (select {own}, {identifier(scope)}, {CHANGE}, cast(dt as date) as valid_from,"
            f" lead(cast(dt as date)) over (partition by {by} order by dt) as valid_to"
            f" from {identifier(changes.database)}.{identifier(changes.name)} where {CHANGE} <> {literal(UNREAD)})"
            f" as changes where {CHANGE} <> {literal(REMOVED)}"
        )
        types = {column.name: column for column in output_columns(self.table.feed.contract)}
        shown = (
            *(types[name] for name in self.columns),
            OutputColumn(scope, DataType("string")),
            OutputColumn("valid_from", DataType("date"), "The first date of the version."),
            OutputColumn("valid_to", DataType("date"), "The first date on which it was valid no more; NULL for none."),
            OutputColumn("is_current", DataType("boolean"), "Whether the newest snapshot has it."),
        )
        return View(named.database, named.name, shown, sql, f"Versions: {self.entity.description}")


def tracked(entity: Entity) -> tuple[Column, ...]:
    """The columns of an entity that belong to its history."""
    return tuple(column.model_copy(update={"field": None}) for column in entity.columns if column.name not in UNTRACKED)


def versions_of(history: History) -> str:
    """The view's name, as that of a table."""
    return f"{history.account.source}/{history.entity.name}_versions"


def histories_of(account: Account) -> tuple[History, ...]:
    """Those of the entities whose metadata are among the reports of an account.

    Raises:
        PermanentFailure: a report of the account has the name of one, or of its view.
    """
    if account.api != "ads":
        return ()
    tables = account.tables()
    found = tuple(
        _history(account, ENTITIES[definition.report_type], table)
        for definition, table in tables
        if definition.report_type in ENTITIES
    )
    _require_free(found, (table.table for _, table in tables))
    return found


def _require_free(histories: Iterable[History], taken: Iterable[str]) -> None:
    names = set(taken)
    for history in histories:
        for name in (history.table.table, versions_of(history)):
            if name in names:
                source, _, feed = name.partition("/")
                raise PermanentFailure(
                    f"{source}: {feed} is a name of the history of its {history.entity.name}; call the report otherwise"
                )


def _history(account: Account, entity: Entity, snapshots: FeedFlow) -> History:
    declared = Feed(
        name=f"{entity.name}_changes",
        description=f"Changes from one snapshot to the next: {entity.description}",
        start_date=account.start_date,
        landing=account.landing,
        table_format=account.table_format,
        consumers=account.consumers,
        columns=(*tracked(entity), _CHANGE, _AS_OF),
        format=FileFormat(kind="parquet"),
        arrival=Arrival(complete_when="count", expected_files=1, accept_early=None),
        bounds=Bounds(min_rows=0, max_quarantined=0),
        fresh_within=snapshots.feed.fresh_within,
    )
    layout = layout_of(account.slices, declared.model_copy(update={"landing": account.landing.replace("{scope}", "*")}))
    flow = FeedFlow(
        account.source,
        declared,
        layout,
        account.topics,
        account.archive,
        retention=account.retention,
        made_of=(snapshots.table,),
    )
    return History(account, entity, snapshots, flow)
