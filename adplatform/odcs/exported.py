"""A feed as a contract in the Open Data Contract Standard 3.1: what its table promises, and what its files are.

Properties of the schema are the columns of the clean table. What the standard has words for is said by them alone; what
is then missing of the feed is in custom properties, so that the feed can be made of its contract again.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any

from adplatform.contracts.column import DELIVERY_DATE
from adplatform.contracts.column import Column as Declared
from adplatform.contracts.feed import Feed
from adplatform.contracts.model import Bounds
from adplatform.contracts.source import RETENTION, Retention
from adplatform.described.tables import AS_OF, Column, Table
from adplatform.odcs.columns import DECLARED_AS, whole
from adplatform.odcs.declared import column_settings, feed_settings, plain
from adplatform.odcs.notes import Notes
from adplatform.odcs.reading import ENGINE, told
from adplatform.privacy.outputs import pii_outputs

API_VERSION = "v3.1.0"
_LOGICAL: Mapping[str, str] = {"int": "integer", "bigint": "integer", "decimal": "number", "double": "number"}
_PII: Mapping[str, str] = {"pii": "kind", "profile": "treatment"}
"""Tags of columns as declarations call what they say."""
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_UNITS = (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("m", timedelta(minutes=1)), ("s", timedelta(seconds=1)))


@dataclass(frozen=True)
class Readers:
    """Where tables are read. The standard asks for an ``account`` with Glue, and with Athena for where results are
    ``staged`` ("s3://..."); without them these servers are not named."""

    clean_bucket: str
    region: str
    account: str | None = None
    staged: str | None = None


@dataclass(frozen=True)
class Origin:
    """Of which source a feed is, and by which component it is declared. A feed that is ``made`` is no part of the
    declaration as it is: a report of an account, for example."""

    source: str
    component: str
    made: bool
    owners: tuple[str, ...] = ()
    retention: Retention | None = None


def contract_of(feed: Feed, table: Table, origin: Origin, readers: Readers) -> dict[str, Any]:
    """The contract of ``table``, which is that of ``feed``. The same input gives the same contract; its version changes
    with what it says."""
    obj = _object(feed, table)
    agreed = [*_agreements(feed, table), *_retained(origin.retention)]
    body: dict[str, Any] = {
        "name": f"{origin.source}/{feed.name}",
        "status": "active",
        **({"description": {"purpose": feed.description}} if feed.description else {}),
        "servers": list(_servers(table, readers)),
        "schema": [obj],
        **({"slaProperties": agreed} if agreed else {}),
        **({"team": {"members": [{"username": each} for each in origin.owners]}} if origin.owners else {}),
    }
    said = {"source": origin.source, "component": origin.component, **({"made": True} if origin.made else {})}
    body["customProperties"] = [_custom(ENGINE, said)]
    if rest := _rest(feed, told(obj, body, Notes(), ours=True)):
        obj["customProperties"] = [_custom(name, value) for name, value in rest.items()]
    digest = sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:8]
    return {
        "apiVersion": API_VERSION,
        "kind": "DataContract",
        "id": f"urn:adplatform:{origin.source}:{feed.name}",
        "version": f"1.0.0+{digest}",
        **body,
    }


def _custom(name: str, value: Any) -> dict[str, Any]:
    return {"property": name, "value": value}


def _servers(table: Table, readers: Readers) -> Iterator[dict[str, Any]]:
    if table.path:
        location = f"s3://{readers.clean_bucket}/{table.path}"
        yield {"server": "s3", "type": "s3", "location": location, "format": "parquet"}
    if readers.staged:
        named = {"schema": table.database, "stagingDir": readers.staged, "regionName": readers.region}
        yield {"server": "athena", "type": "athena", **named}
    if readers.account:
        yield {"server": "glue", "type": "glue", "account": readers.account, "database": table.database}


def _object(feed: Feed, table: Table) -> dict[str, Any]:
    plainly = {column.name: column for column in feed.columns if column.pii is None and not column.drop}
    of_personal = {
        output.name: column.name
        for column, pii in feed.pii_columns()
        if not column.drop
        for output in pii_outputs(column, pii, previous=True)
    }
    key = _key(table)
    quality = [*_of_key(table, key), *_of_delivery(feed)]
    return {
        "name": feed.name,
        "logicalType": "object",
        "physicalName": table.name,
        "physicalType": "table",
        **({"description": table.description} if table.description else {}),
        "properties": [
            _property(column, table, key, plainly.get(column.name), of_personal.get(column.name))
            for column in table.columns
        ],
        **({"quality": quality} if quality else {}),
    }


def _key(table: Table) -> tuple[str, ...]:
    """The columns of the key, where it is one of the standard: no digest has a value in every row."""
    known = {column.name for column in table.columns if column.required}
    return table.unique if {*table.unique} <= known else ()


def _property(
    column: Column, table: Table, key: tuple[str, ...], declared: Declared | None, made_of: str | None
) -> dict[str, Any]:
    name, parts = column.name, table.partitions
    customs = [] if declared is not None else [_custom(DECLARED_AS, made_of)]
    customs += [_custom("pii", {_PII.get(tag, tag): said for tag, said in column.pii.items()})] if column.pii else []
    as_declared = declared is not None and declared.data_type.hive == column.type
    options = _options(declared) if declared is not None and as_declared else {}
    return {
        "name": name,
        "logicalType": _LOGICAL.get(column.type.partition("(")[0], column.type),
        "physicalType": column.type,
        **({"description": column.description} if column.description else {}),
        **({"required": True} if column.required else {}),
        **({"primaryKey": True, "primaryKeyPosition": key.index(name) + 1} if name in key else {}),
        **({"partitioned": True, "partitionKeyPosition": parts.index(name) + 1} if name in parts else {}),
        **({"logicalTypeOptions": options} if options else {}),
        **({"classification": "personal"} if column.pii else {}),
        **({"quality": [_allowed(column)]} if column.allowed else {}),
        **({"customProperties": customs} if customs else {}),
    }


def _allowed(column: Column) -> dict[str, Any]:
    return {"metric": "invalidValues", "arguments": {"validValues": list(column.allowed)}, "mustBe": 0}


def _options(column: Declared) -> dict[str, Any]:
    """Bounds and patterns that go for stored values as they do for those of files."""
    kind = column.data_type
    bounds = {"minimum": column.min, "maximum": column.max}
    if kind.is_number:
        return {name: json.loads(text) for name, text in bounds.items() if text and _is_json(text)}
    if kind.name == "date":
        return {name: text for name, text in bounds.items() if text and _DAY.fullmatch(text)}
    stored = kind.name == "string" and column.pattern is not None and column.default is None
    return {"pattern": whole(str(column.pattern))} if stored else {}


def _is_json(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None and not re.match(r"-?0[0-9]", text)


def _of_key(table: Table, key: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    if table.unique and not key:
        about = f"No two rows have the same values of {', '.join(table.unique)}, where these have values."
        yield {"type": "text", "description": about}


def _of_delivery(feed: Feed) -> Iterator[dict[str, Any]]:
    """What is asked of deliveries: the standard counts rows of a table, and has SQL of none in particular."""
    if feed.bounds != Bounds():
        yield _rule(_in_words(feed.bounds), {"bounds": plain(feed.bounds)})
    for check in feed.row_checks:
        yield _rule(f"In every row: {check.expression}", {"row_check": plain(check)})


def _rule(description: str, implementation: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "custom", "engine": ENGINE, "description": description, "implementation": dict(implementation)}


def _in_words(bounds: Bounds) -> str:
    least = f" {bounds.min_rows} rows at least" if bounds.min_rows is not None else ""
    most = f" {bounds.max_rows} rows at most" if bounds.max_rows is not None else ""
    counted = f"{' and'.join(filter(None, (least, most)))}, of which" if least or most else " rows, of which"
    return f"A delivery has{counted} {bounds.max_quarantined:.0%} may be quarantined."


def _agreements(feed: Feed, table: Table) -> Iterator[dict[str, Any]]:
    daily = table.partitions[-1:] == (DELIVERY_DATE,)
    element = {"element": f"{feed.name}.{DELIVERY_DATE}"} if daily else {"element": feed.name}
    if feed.schedule is not None:
        yield {"property": "frequency", "value": 1, "unit": "d", **element, "scheduler": "cron"} | {
            "schedule": feed.schedule
        }
    elif daily:
        yield {"property": "frequency", "value": 1, "unit": "d", **element}
    if feed.arrival.deadline is not None:
        about = "After the end of the delivery date (UTC)."
        yield {"property": "latency", **_length(feed.arrival.deadline), **element, "description": about}
    if feed.fresh_within is not None:
        about = "Since the last publication."
        # Tools measure the age of what an element names, which of a date is no age of a publication.
        asked = table.freshness is not None and table.freshness.loaded_at == AS_OF
        measured = {"element": f"{feed.name}.{AS_OF}" if asked else feed.name}
        yield {"property": "freshness", **_length(feed.fresh_within), **measured, "description": about}


def _retained(retention: Retention | None) -> Iterator[dict[str, Any]]:
    of = {"quarantine": "Quarantined rows.", "archive": "Originals of published files.", "exports": "Exported files."}
    for name, about in of.items():
        keep = getattr(retention, name, None)
        if keep is not None:
            yield {"id": name, "property": "retention", **_length(keep), "description": about}
        elif retention is not None and getattr(RETENTION, name) is not None:
            yield {"id": name, "property": "retention", "value": None, "description": f"{about} For ever."}


def _length(length: timedelta) -> dict[str, Any]:
    for unit, one in _UNITS:
        if not length % one:
            return {"value": length // one, "unit": unit}
    return {"value": length.total_seconds(), "unit": "s"}


_MISSING = object()


def _rest(feed: Feed, standard: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a feed that the words of the standard do not say, or say otherwise."""
    names = [name for name in type(feed).model_fields if name in {**feed_settings(feed), **standard}]
    rest = {
        name: left
        for name in names
        if name != "columns"
        and (left := _differing(plain(getattr(feed, name)), standard.get(name, _MISSING))) is not _MISSING
    }
    columns = {column.name: column_settings(column, feed) for column in feed.columns}
    known = standard["columns"]
    if list(columns.items()) != list(known.items()):
        rest["columns"] = {
            column.name: _of_column(column, columns[column.name], known.get(column.name, {})) for column in feed.columns
        }
    return rest


def _of_column(column: Declared, said: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    more = {name: value for name, value in said.items() if known.get(name, _MISSING) != value}
    return {**more, **{name: plain(getattr(column, name)) for name in known if name not in said}}


def _differing(value: Any, known: Any) -> Any:
    """What of a setting has to be said beside what is known."""
    if value == known or not isinstance(value, Mapping) or not isinstance(known, Mapping):
        return _MISSING if value == known else value
    left = {name: each for name, each in value.items() if known.get(name, _MISSING) != each}
    return left or _MISSING
