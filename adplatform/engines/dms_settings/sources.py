"""What rules ask of a source database: facts, wherever they were read."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")


@dataclass(frozen=True)
class SourceColumn:
    """``lob`` is what DMS moves as a large object, ``wide`` what may exceed 2 kB and is stored apart, ``unbounded`` a
    decimal without precision. ``longest`` is in bytes, None where nobody measured."""

    name: str
    said: str
    lob: bool = False
    wide: bool = False
    unbounded: bool = False
    longest: int | None = None


@dataclass(frozen=True)
class SourceTable:
    """``identity`` is PostgreSQL's replica identity in a word. ``captured`` and ``logs_key``, ``logs_all`` say what SQL
    Server and Oracle write to their logs of it."""

    schema: str
    name: str
    key: tuple[str, ...] = ()
    columns: tuple[SourceColumn, ...] = ()
    identity: str = "default"
    captured: bool = True
    logs_key: bool = True
    logs_all: bool = True

    @property
    def shown(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def sql(self) -> str:
        """Its name in SQL, in quotes where it has to be."""
        parts = (self.schema, self.name)
        return ".".join(p if _PLAIN.fullmatch(p) else '"' + p.replace('"', '""') + '"' for p in parts)

    def measured(self, longest: Mapping[str, int]) -> "SourceTable":
        """The same with how long the longest values of some columns are, in bytes."""
        columns = tuple(replace(c, longest=longest[c.name]) if c.name in longest else c for c in self.columns)
        return replace(self, columns=columns)


@dataclass(frozen=True)
class Slot:
    """A logical replication slot; ``behind`` is in bytes of log that it keeps, None once they are gone."""

    name: str
    active: bool
    status: str
    behind: int | None


@dataclass(frozen=True)
class PostgresSource:
    """``keeps_mb`` is max_slot_wal_keep_size: -1 has no limit, None where the server has no such setting."""

    place: str
    tables: Sequence[SourceTable] = ()
    wal_level: str = "logical"
    keeps_mb: int | None = 10_240
    slots: Sequence[Slot] = ()


@dataclass(frozen=True)
class MySqlSource:
    """MySQL or MariaDB. ``retention_hours`` is None where logs are kept for ever."""

    place: str
    tables: Sequence[SourceTable] = ()
    log_bin: bool = True
    binlog_format: str = "ROW"
    row_image: str = "FULL"
    retention_hours: float | None = None
    managed: bool = False


@dataclass(frozen=True)
class SqlServerSource:
    place: str
    tables: Sequence[SourceTable] = ()
    captures: bool = True
    recovery_model: str = "FULL"


@dataclass(frozen=True)
class OracleSource:
    """``archive_hours`` is None where nobody says how long archived logs are kept."""

    place: str
    tables: Sequence[SourceTable] = ()
    logs_minimal: bool = True
    archives: bool = True
    archive_hours: float | None = None


Source = PostgresSource | MySqlSource | SqlServerSource | OracleSource
