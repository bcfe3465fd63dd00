"""Reads what PostgreSQL's output plugin ``pgoutput`` writes, protocol version 1: the messages B, C, R, I, U, D and T
of the PostgreSQL manual, "Logical Replication Message Formats". Others are passed over.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


class Unchanged:
    """The value of a column that lies apart and that an update did not touch: it is not sent."""

    def __repr__(self) -> str:
        return "UNCHANGED"


UNCHANGED: Final = Unchanged()
Value = str | None | Unchanged
"""As the type's output function writes it."""


@dataclass(frozen=True)
class Column:
    """``is_key`` when it belongs to the replica identity; with that of FULL, all do. ``modifier`` is the type's, -1 for
    none."""

    name: str
    type_oid: int
    modifier: int = -1
    is_key: bool = False


@dataclass(frozen=True, eq=False)
class Relation:
    """One message about a table: another one is another relation. ``identity`` is d for the primary key, f for the
    whole row, i for an index, n for nothing."""

    oid: int
    schema: str
    name: str
    identity: str
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Begin:
    """``lsn`` is that of the commit, ``at`` its time."""

    lsn: int
    at: datetime


@dataclass(frozen=True)
class Commit:
    """``end`` is where the next transaction may begin: a slot that is advanced to it sends this one no more."""

    end: int


@dataclass(frozen=True)
class Change:
    """``op`` is I, U or D. ``old`` is there for a D, and for a U that changes the identity or whose identity is the
    whole row; of columns beyond the identity it has None. ``new`` is empty for a D."""

    op: str
    relation: Relation
    old: tuple[Value, ...]
    new: tuple[Value, ...]


@dataclass(frozen=True)
class Truncate:
    relations: tuple[Relation, ...]


Message = Begin | Commit | Change | Truncate


def messages(sent: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, Message]]:
    """What one look into a slot found, each with its LSN. Every look begins with the relations anew."""
    relations: dict[int, Relation] = {}
    for lsn, data in sent:
        kind, body = chr(data[0]), data[1:]
        if kind == "R":
            found = _relation(body)
            relations[found.oid] = found
        elif kind == "B":
            commit, at = struct.unpack_from(">Qq", body)
            yield lsn, Begin(commit, _EPOCH + timedelta(microseconds=at))
        elif kind == "C":
            yield lsn, Commit(struct.unpack_from(">BQQ", body)[2])
        elif kind == "T":
            (count,) = struct.unpack_from(">I", body)
            oids = struct.unpack_from(f">{count}I", body, 5)
            yield lsn, Truncate(tuple(relations[oid] for oid in oids))
        elif kind in "IUD":
            yield lsn, _change(kind, relations[struct.unpack_from(">I", body)[0]], body)


def _relation(body: bytes) -> Relation:
    (oid,) = struct.unpack_from(">I", body)
    schema, at = _text(body, 4)
    name, at = _text(body, at)
    identity, count = struct.unpack_from(">cH", body, at)
    at += 3
    columns = []
    for _ in range(count):
        is_key = bool(body[at] & 1)
        column, at = _text(body, at + 1)
        type_oid, modifier = struct.unpack_from(">Ii", body, at)
        at += 8
        columns.append(Column(column, type_oid, modifier, is_key))
    return Relation(oid, schema, name, identity.decode(), tuple(columns))


def _change(kind: str, relation: Relation, body: bytes) -> Change:
    tuples: dict[str, tuple[Value, ...]] = {}
    at = 4
    while at < len(body):
        mark = chr(body[at])
        tuples[mark], at = _tuple(body, at + 1)
    return Change(kind, relation, tuples.get("K") or tuples.get("O") or (), tuples.get("N", ()))


def _tuple(body: bytes, at: int) -> tuple[tuple[Value, ...], int]:
    (count,) = struct.unpack_from(">H", body, at)
    at += 2
    values: list[Value] = []
    for _ in range(count):
        kind = chr(body[at])
        at += 1
        if kind == "t":
            (size,) = struct.unpack_from(">i", body, at)
            at += 4 + size
            values.append(body[at - size : at].decode())
        else:
            values.append(None if kind == "n" else UNCHANGED)
    return tuple(values), at


def _text(body: bytes, at: int) -> tuple[str, int]:
    end = body.index(0, at)
    return body[at:end].decode(), end + 1
