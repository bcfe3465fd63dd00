"""What all rows of the ledger share: their keys and their DynamoDB form. Each subject has a file with its rows.

One table, partition key ``pk``, sort key ``sk``, one sparse index ``active`` (``active_feed``, ``sk``):

============================  ===================================  ==================================================
pk                            sk                                   row
============================  ===================================  ==================================================
``feed#<source>/<feed>``      ``delivery#<day>``                   :class:`Delivery`, in ``active`` while work is due
``feed#<source>/<feed>``      ``object#<day>#<digest>``            :class:`RawObject`, one per object version
``feed#<source>/<feed>``      ``version#<day>#<0001>``             :class:`Publication`, one per settled version
``feed#<source>/<feed>``      ``file#<day>#<0001>#<digest>``       :class:`FileOutcome`, one per file of a version
``feed#<source>/<feed>``      ``file#<day>#<0001>#+<n>``           :class:`TakenOver`, many that a version took over
``feed#<source>/<feed>``      ``slice#<digest>#<day>#<0001>``      :class:`Slice`, what a version gives a partition
``feed#<source>/<feed>``      ``placement#<day>``                  :class:`Placement`, what readers see of a delivery
``feed#<source>/<feed>``      ``retired#<digest>``                 :class:`Retired`, a location nothing refers to
``feed#<src>/<name>/<scope>`` ``report#<asked>#<start>_<end>#<n>`` :class:`Report`, in ``active`` until it has ended
``feed#<src>/<feed>/<scope>`` ``observed#<day>#<as_of>#<report>``  :class:`Observation`, what a report said of a date
``feed#<source>/@<target>``   ``intent#<key>``                     :class:`Intention`, in ``active`` until it has ended
``feed#<source>/@<target>``   ``run#<id>``                         :class:`EngineRun`, in ``active`` until it landed
``feed#<source>/@<target>``   ``extract#<id>``                     :class:`Extract`, in ``active`` until it has ended
``feed#<source>/@<target>``   ``chunk#<id>#<0001>#<000001>``       :class:`Chunk`, one piece of a reading that is kept
``feed#<source>/<feed>``      ``fold``                             :class:`Fold`, how far a table's changes are merged
``feed#<source>/<feed>``      ``generation#<000001>``              :class:`Generation`, a load of such a table
``feed#<source>/<feed>``      ``schema``                           :class:`ReceivedSchema`, how its files differ
``feed#<source>/<feed>``      ``change#<day>#<0001>#<digest>``     :class:`NotedChange`, of one column of its files
``feed#<source>/<feed>``      ``tally``                            :class:`Tally`, what DMS has counted of a table
``feed#<source>/<feed>``      ``landed#<day>#<digest>``            :class:`Landed`, what a run brought to a delivery
``feed#<source>``             ``ignored#<digest>``                 :class:`Ignored`, where an ignored object's row is
``feed#<source>``             ``arrived#<digest>``                 :class:`Arrived`, where an object has arrived
``feed#<source>``             ``refused#<digest>``                 :class:`Refused`, of which nobody was notified yet
``feed#<source>``             ``planned#<name>/<scope>``           :class:`Planned`, the last day that was planned
``feed#<source>``             ``turn#<at>#<digest>``                :class:`Turn`, when a report's rest is over
``feed#<source>``             ``unplanned#<of>#<report>#<what>``   :class:`Note`, what its plans do not know of a report
``feed#<source>``             ``opening``                          :class:`Opening`, until when nothing is to be planned
``feed#<source>``             ``scope#<id>``                       :class:`Scope`, what its reports are asked for
``feed#<source>``             ``upload#<execution>``               :class:`Upload`, what a workflow found of a file
``feed#<source>``             ``cutoff#<digest>``                  :class:`CutOff`, an upload that is not whole
``feed#<source>``             ``trouble#<what>``                   :class:`Trouble`, what is refused or hindered now
``feed#<source>``             ``untold#<digest>``                  :class:`Unsent`, a message that is still to be sent
``feed#<source>``             ``spent#<day>``                      :class:`Spent`, what it has used on a day
``feed#<source>``             ``erasure#<id>``                     :class:`Erasure`, of a person
``feed#<source>``             ``erased#<id>#<digest>``             :class:`ErasedObject`, what it did to an object
``feed#<source>/<feed>``      ``told#<what>``                      :class:`Notified`, a message that is sent only once
``feed#<source>/<feed>``      ``stale#<day>/<scope>``              :class:`Stale`, a derived date to be built anew
``feed#<source>/<feed>``      ``basis#<day>``                      :class:`Basis`, what a derived date is made of
``feed#_platform``            ``alert#<thread>``                   :class:`OpenAlert`, a cause that has not ended
``feed#_actions``             ``action#<begun>#<id>``              :class:`Action`, what somebody did by a command
``feed#_pauses``              ``source#<source>``                  :class:`Pause`, a source that is paused
``feed#_keys``                ``lake``                             :class:`LakeKey`, the hashing key of the lake
``feed#_keys``                ``table#<source>/<feed>``            :class:`TableRotation`, its way to another key
``lease#<name>``              ``lease``                            holder and expiry of a lease
``rate#<name>``               ``rate``                             when the next call of an operation may be made
``worker#<run>``              the work                             who works on a run (``adplatform.ledger.workers``)
``automation``                ``owner``                            which orchestrator starts runs by itself
============================  ===================================  ==================================================

An item may have 400 KB (DynamoDB Developer Guide, "Constraints"), so none grows with the data: texts are cut at
``MAX_TEXT`` characters, and what there may be any number of is in an object that the item names.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, asdict, fields, is_dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from functools import cache
from types import UnionType
from typing import Any, ClassVar, Protocol, TypeVar, cast, get_args, get_origin, get_type_hints, runtime_checkable

from adplatform.failures import clipped
from adplatform.ledger.item_size import require_fit

Item = dict[str, Any]
SCHEMA = "schema"
"""The sort key of a :class:`ReceivedSchema`."""
_TEXTS = frozenset({"error", "note", "reason", "doubt", "otherwise", "settled_because", "waiting"})


class Row(Protocol):
    """A dataclass that the table keeps."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def sort_key(self) -> str: ...


@runtime_checkable
class Indexed(Protocol):
    """A row that the index ``active`` lists while there is something to do about it."""

    def index_name(self, feed: str) -> str:
        """Under which name the index lists it; "" when nothing is to be done."""


R = TypeVar("R", bound=Row)


class IllegalStep(RuntimeError):
    """A step that the row is not in a state for. No other process brings that about: the caller is mistaken."""


def digest(*parts: str) -> str:
    """A short, stable name for values too long for a sort key (DynamoDB Developer Guide: 1,024 bytes)."""
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:32]


def to_item(feed: str, row: Row) -> Item:
    """The row as a DynamoDB item (resource-style values); optional attributes that are empty are left out.

    Raises:
        PermanentFailure: DynamoDB takes no item of that size, or no such sort key.
    """
    item: Item = {"pk": f"feed#{feed}", "sk": row.sort_key}
    kind = type(row)
    for name, required in _attributes(kind):
        value = getattr(row, name)
        if required or value not in ("", None, (), {}):
            item[name] = attribute(name, _as_plain_values(value))
    if _is_indexed(kind) and (name := cast(Indexed, row).index_name(feed)):
        item["active_feed"] = name
    require_fit(item)
    return item


@cache
def _attributes(kind: type[Row]) -> tuple[tuple[str, bool], ...]:
    """Their names, and whether a row has to be given them."""
    return tuple((f.name, f.default is MISSING and f.default_factory is MISSING) for f in fields(kind))


@cache
def _is_indexed(kind: type[Row]) -> bool:
    """Python holds every class against all of a protocol anew, which takes longer than to make the item."""
    return issubclass(kind, Indexed)


def _as_plain_values(value: Any) -> Any:
    """Rows within a row as mappings."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, tuple):
        return tuple(map(_as_plain_values, value))
    return {name: _as_plain_values(each) for name, each in value.items()} if isinstance(value, dict) else value


def from_item(kind: type[R], item: Mapping[str, Any]) -> R:
    return kind(**{name: read(item[name]) for name, read in _readers(kind) if name in item})


@cache
def _readers(kind: type[Any]) -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    """How to read each attribute. To find that out takes longer than all the rest of reading a row."""
    hints = get_type_hints(kind)
    return tuple((f.name, _reader(hints[f.name])) for f in fields(kind))


def attribute(name: str, value: Any) -> Any:
    """A named attribute as DynamoDB keeps it, a text for people cut to its limit."""
    return clipped(value) if name in _TEXTS else plain(value)


def plain(value: Any) -> Any:
    """An attribute as DynamoDB keeps it: dates and instants as ISO 8601 text, instants in UTC."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, tuple):
        return [plain(v) for v in value]
    return str(value) if isinstance(value, StrEnum) else value


def _reader(hint: Any) -> Callable[[Any], Any]:
    if isinstance(hint, UnionType):
        hint = next(a for a in get_args(hint) if a is not type(None))
    origin = get_origin(hint) or hint
    if origin is tuple:
        return tuple
    if origin in (datetime, date):
        return origin.fromisoformat  # type: ignore[no-any-return]  # of a hint that is any type
    if isinstance(origin, type) and issubclass(origin, Mapping):
        number = get_args(hint)[1]
        return lambda value: {k: number(v) for k, v in value.items()}
    return hint if hint in (int, Decimal) or issubclass(hint, StrEnum) else _as_it_is


def _as_it_is(value: Any) -> Any:
    return value
