"""The hashing key of the lake, and the way of each table to another one."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from adplatform.ledger.rows import from_item
from adplatform.ledger.table import NEW, Table

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

    def of_table(self, table: str) -> tuple[LakeKey | None, TableRotation | None]:
        """The key of the lake, and the table's way to another one, by one call."""
        lake, rotation = (KEYS, LAKE_KEY), (KEYS, f"table#{table}")
        found = self.table.get_many([lake, rotation])
        return (
            from_item(LakeKey, found[lake]) if lake in found else None,
            from_item(TableRotation, found[rotation]) if rotation in found else None,
        )

    def rotations(self) -> list[TableRotation]:
        return list(self.table.query(TableRotation, KEYS, "table#"))

    def put_rotation(self, rotation: TableRotation) -> None:
        self.table.put(KEYS, [rotation])
