"""The hashing key of the lake, and the way of each table to another one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from adplatform.ledger.rows import Item, from_item
from adplatform.ledger.table import NEW, Table, Write

KEYS = "_keys"
"""In the place of a feed: what concerns the hashing key of the lake."""
LAKE_KEY = "lake"


@dataclass(frozen=True)
class LakeKey:
    """The hashing key that all tables of the lake are to share, by its id.

    ``previous_id`` is the key before it. ``next_version`` is the secret's version of a key that is about to be made,
    ``next_dual_until`` its ``dual_until``: when digests under the previous key are no longer stored beside the current
    ones. ``rotating`` until every delivery that can be made again is under this key.
    """

    key_id: str
    since: datetime
    previous_id: str = ""
    next_version: str = ""
    next_dual_until: datetime | None = None
    dual_until: datetime | None = None
    rotating: bool = False

    @property
    def sort_key(self) -> str:
        return LAKE_KEY

    def is_of_unrecorded(self, key_id: str) -> bool:
        """Whether rows whose key was not recorded count as made with this one, the lake's: no rotation
        is bringing them to it."""
        return key_id == self.key_id and not self.rotating

    def dual(self, now: datetime) -> bool:
        """Whether digests under the previous key are to be stored, too."""
        return bool(self.previous_id) and self.dual_until is not None and now < self.dual_until


class RotationState(StrEnum):
    """KEPT: the table stays under its key, because originals that it is made of are gone."""

    RUNNING = "running"
    DONE = "done"
    KEPT = "kept"


@dataclass(frozen=True)
class TableRotation:
    """The way of one table from the key ``from_id`` ("" when unknown) to ``key_id``. ``staged`` of ``deliveries`` are
    made and not shown yet; ``left`` deliveries stay under an earlier key because their originals are gone."""

    table: str
    from_id: str
    key_id: str
    state: RotationState
    started_at: datetime
    deliveries: int = 0
    staged: int = 0
    left: int = 0

    @property
    def sort_key(self) -> str:
        return f"table#{self.table}"


@dataclass(frozen=True)
class TableKeys:
    """What was known at one time of the key of the lake, and of a table's way to another one."""

    lake: LakeKey | None
    rotation: TableRotation | None


@dataclass(frozen=True)
class Keys:
    """The rows of hashing keys."""

    table: Table

    def lake_key(self) -> LakeKey | None:
        return self.table.get(LakeKey, KEYS, LAKE_KEY)

    def begin(self, key_id: str) -> LakeKey:
        """The key of the lake; ``key_id`` from now on when there was none."""
        first = LakeKey(key_id, self.table.now())
        self.table.transact([self.table.put_write(KEYS, first, NEW)])
        return self.lake_key() or first

    def put(self, key: LakeKey) -> None:
        self.table.put(KEYS, [key])

    def rotation(self, table: str) -> TableRotation | None:
        return self.table.get(TableRotation, KEYS, f"table#{table}")

    def of_table(self, table: str) -> TableKeys:
        """The key of the lake, and the table's way to another one, by one call."""
        return table_keys(self.table.get_many(keys_of(table)), table)

    def current_write(self, key_id: str) -> Write:
        """For a transaction that is not written where the lake has another key."""
        condition = "attribute_not_exists(pk) OR #key_id = :key"
        return self.table.check_write(KEYS, LAKE_KEY, condition, {":key": key_id}, ["key_id"])

    def rotations(self) -> list[TableRotation]:
        return list(self.table.query(TableRotation, KEYS, "table#"))

    def put_rotation(self, rotation: TableRotation) -> None:
        self.table.put(KEYS, [rotation])


def keys_of(table: str) -> list[tuple[str, str]]:
    """Feed and sort key of the rows that :func:`table_keys` reads."""
    return [(KEYS, LAKE_KEY), rotation_key(table)]


def rotation_key(table: str) -> tuple[str, str]:
    """The same of its :class:`TableRotation`."""
    return KEYS, f"table#{table}"


def table_keys(found: Mapping[tuple[str, str], Item], table: str) -> TableKeys:
    """What rows that were read together say of a table's keys."""
    lake, rotation = (found.get(each) for each in keys_of(table))
    return TableKeys(
        from_item(LakeKey, lake) if lake else None, from_item(TableRotation, rotation) if rotation else None
    )
