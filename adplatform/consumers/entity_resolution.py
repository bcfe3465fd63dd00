"""What AWS Entity Resolution takes: plain Parquet of texts, an id for each row, and hashed values of persons."""

import re
from collections.abc import Iterator

from adplatform.consumers.finding import Finding
from adplatform.consumers.table import Column, Table, misnamed
from adplatform.consumers.values import Asked
from adplatform.contracts.entity_resolution import EntityResolution, match_key
from adplatform.failures import listed

NAME = re.compile(r"[a-zA-Z_0-9- ]*")
MOST_CHARACTERS = 255
FEWEST_FIELDS, MOST_FIELDS = 2, 60
"""Of a schema mapping, with the unique id."""
LONGEST_ID = 38
"""API_Record, uniqueId; User Guide, "Preparing first-party input data"."""
RESERVED = frozenset(
    {"emailaddress", "inputsourcearn", "matchrule", "matchid", "hashingprotocol", "confidencelevel", "source"}
)
"""What the results have names for, compared without case."""
_OF_PERSONS = frozenset(
    {
        *("NAME", "NAME_FIRST", "NAME_MIDDLE", "NAME_LAST", "ADDRESS", "ADDRESS_STREET1", "ADDRESS_STREET2"),
        *("ADDRESS_STREET3", "PHONE", "PHONE_NUMBER", "EMAIL_ADDRESS", "PROVIDER_ID", "IPV4", "IPV6", "MAID"),
    }
)
_DIGEST_CHARACTERS = 64
_TEXT_BY_CAST = ("int", "bigint", "date")
"""Types whose values are texts once they are cast; it is not documented which others than text are read."""


def asked(table: Table, settings: EntityResolution) -> Asked:
    id_ = table.get(settings.unique_id)
    if id_ is None or id_.is_hashed:
        return Asked(repeated=frozenset({settings.unique_id} - table.unique))
    lengths = {id_.name: 0} if id_.type.name == "string" else {}
    return Asked(lengths, frozenset({id_.name} - table.unique))


def findings(table: Table, settings: EntityResolution) -> Iterator[Finding]:
    if table.is_iceberg:
        text = "it reads plain Parquet, and the table is Iceberg: leave table_format out, for a table that is new"
        yield Finding("error", text)
    yield from misnamed(table, {"unique_id": (settings.unique_id,), "columns": settings.columns})
    yield from _fields(table, settings)
    id_ = table.get(settings.unique_id)
    if id_ is not None and not id_.is_bare:
        yield from _unique_id(table, id_)
    keys = {match_key(name, column) for name, column in settings.columns.items()}
    for rule in settings.rules:
        for key in (key for key in rule.match if key not in keys):
            known = listed(sorted(keys))
            text = f"rule {rule.name} matches by {key}, which no column has as its match key; there are {known}"
            yield Finding("error", text, setting="rules")


def _fields(table: Table, settings: EntityResolution) -> Iterator[Finding]:
    count = len({settings.unique_id, *settings.columns})
    if not FEWEST_FIELDS <= count <= MOST_FIELDS:
        text = f"a mapping has {FEWEST_FIELDS} to {MOST_FIELDS} columns with the unique id, and this has {count}"
        yield Finding("error", text, setting="columns")
    if settings.unique_id in settings.columns:
        text = "it is the unique id, and is mapped as that; leave it out of columns"
        yield Finding("error", text, settings.unique_id, "columns")
    groups: dict[str, set[str]] = {}
    for name, mapped in settings.columns.items():
        if mapped.group:
            groups.setdefault(mapped.group, set()).add(match_key(name, mapped))
        column = table.get(name)
        if column is None or column.is_bare:
            continue
        if mapped.type in _OF_PERSONS and not column.kind:
            text = (
                f"as {mapped.type} it is personal, and the contract does not say so: declare its pii, with a treatment "
                "that hashes it; digests that are delivered are known by amazon_ads, and not hashed again"
            )
            yield Finding("error", text, name, "columns")
        yield from _text_of(column, "columns")
    for group, keys in groups.items():
        if len(keys) > 1:
            text = f"the columns of group {group} have different match keys, {listed(sorted(keys))}; give them one"
            yield Finding("error", text, setting="columns")
    for column in table.named((settings.unique_id, *settings.columns)):
        if column.name.casefold() in RESERVED:
            text = "its name is one of the results'; rename it, and give the files' spelling as field"
            yield Finding("error", text, column.name, "columns")
        if len(column.name) > MOST_CHARACTERS or not NAME.fullmatch(column.name):
            text = f"its name is not one of Entity Resolution, which takes {MOST_CHARACTERS} letters, digits and _"
            yield Finding("error", text, column.name, "columns")


def _text_of(column: Column, setting: str) -> Iterator[Finding]:
    kind = column.type.name
    if kind in _TEXT_BY_CAST:
        text = f"it is {kind}, and values are texts; hand over one by expression: cast({column.name} as string)"
        yield Finding("warning", text, column.name, setting)
    elif kind != "string":
        text = f"it is {column.type.hive}, and values are texts; declare it as string"
        yield Finding("error", text, column.name, setting)


def _unique_id(table: Table, id_: Column) -> Iterator[Finding]:
    values = table.values.get(id_.name)
    characters = _DIGEST_CHARACTERS if id_.form == "digest" else values.characters if values else None
    if id_.form == "digest":
        short = f"{id_.declared}_short_id"
        do = f"name {short}"
        if table.get(short) is None:
            do = f"give {id_.declared} the treatment short_id, too, and {do}"
        text = f"a digest has {_DIGEST_CHARACTERS} characters, and a unique id {LONGEST_ID} at most: {do}"
        yield Finding("error", text, id_.name, "unique_id")
    elif characters is not None and characters > LONGEST_ID:
        text = (
            f"its longest value has {characters} characters, and a unique id {LONGEST_ID} at most: declare it as pii: "
            "{kind: generic_id, treatment: [lake, short_id]}, and name what short_id is stored as"
        )
        yield Finding("error", text, id_.name, "unique_id")
    if not id_.is_hashed:
        yield from _text_of(id_, "unique_id")
    if values and values.nulls:
        text = f"rows without one: {values.nulls:,}, which are not matched; make it required"
        yield Finding("error", text, id_.name, "unique_id")
    if values and values.repeated:
        text = f"values of more than one row: {values.repeated:,}, whose rows are not matched; make it the key"
        yield Finding("error", text, id_.name, "unique_id")
    if id_.name not in table.unique:
        text = "nothing says that each row has another value: make it the key, or see that it is unique"
        yield Finding("warning", text, id_.name, "unique_id")
    elif not table.whole:
        text = (
            "each row of a delivery has another value, but the table has those of all dates: where each delivery is "
            "the whole list, set partition_by: null"
        )
        yield Finding("warning", text, id_.name, "unique_id")
