"""What the stand-in of Redshift remembers: databases of clusters and workgroups, and statements."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

from moto.backends import get_backend

from adplatform.local.aws.catalog_queries import Answer

SERVICE = "redshift-data"
SAVED_AS = "redshiftdata"
"""What moto calls it, and so the snapshot with its state."""
ENDED = frozenset({"FINISHED", "ABORTED", "FAILED"})


class Identity(NamedTuple):
    kind: str
    name: str


class Grant(NamedTuple):
    schema: str
    privilege: str
    to: Identity


@dataclass(frozen=True)
class External:
    """An external schema: the database of the catalog that it shows, and the role that reads it."""

    database: str
    role: str


@dataclass(frozen=True)
class Database:
    """``views`` has the queries of materialized views."""

    schemas: dict[str, External] = field(default_factory=dict)
    identities: frozenset[Identity] = frozenset()
    grants: frozenset[Grant] = frozenset()
    views: dict[str, str] = field(default_factory=dict)

    def with_schema(self, name: str, schema: External) -> "Database":
        return replace(self, schemas={**self.schemas, name: schema})


@dataclass
class Part:
    """One statement of SQL; ``error`` is why it failed."""

    sql: str
    created: datetime
    updated: datetime
    status: str = "SUBMITTED"
    error: str = ""
    answer: Answer | None = None


@dataclass
class Statement:
    """What one request has submitted. ``fails`` and ``stuck`` are faults that were ordered for it."""

    id: str
    asked: dict[str, Any]
    parts: list[Part]
    is_batch: bool
    status: str = "SUBMITTED"
    fails: bool = False
    stuck: float | None = None

    @property
    def target(self) -> str:
        return str(self.asked.get("WorkgroupName") or self.asked.get("ClusterIdentifier"))

    @property
    def where(self) -> tuple[str, str]:
        return self.target, str(self.asked["Database"])

    @property
    def error(self) -> str:
        return next((part.error for part in self.parts if part.error), "")


@dataclass
class Known:
    """Of one account and region."""

    databases: dict[tuple[str, str], Database] = field(default_factory=dict)
    statements: dict[str, Statement] = field(default_factory=dict)


def known(account: str, region: str) -> Known:
    return _of(get_backend(SAVED_AS)[account][region])


def all_known() -> Iterator[Known]:
    for _, _, backend in get_backend(SAVED_AS).iter_backends():
        yield _of(backend)


def _of(backend: Any) -> Known:
    """Kept with moto's own, so that it is in its snapshot."""
    found: Known = backend.__dict__.setdefault("known", Known())
    return found
