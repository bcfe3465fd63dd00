"""A contract in the Open Data Contract Standard as the declaration of a source."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from adplatform.contracts.orchestration import is_owner
from adplatform.contracts.snake_case import snake
from adplatform.contracts.yaml_nodes import nodes_of, plain
from adplatform.failures import PermanentFailure
from adplatform.odcs.columns import custom
from adplatform.odcs.notes import Left, Notes, one_line
from adplatform.odcs.reading import ENGINE, told
from adplatform.odcs.shape import misshapen

_KNOWN = (
    *("apiVersion", "kind", "id", "name", "version", "status", "servers", "description", "schema", "slaProperties"),
    *("team", "customProperties", "domain", "tenant", "dataProduct", "contractCreatedTs"),
)
_DESCRIBED = ("purpose",)
PARTNER = "PartnerPush"
_KINDS: Mapping[str, str] = {"csv": "csv", "json": "ndjson", "ndjson": "ndjson", "parquet": "parquet", "avro": "avro"}


@dataclass(frozen=True)
class Imported:
    """What a contract declares: ``feeds`` of a ``source`` with columns by name, as a ``component`` has them. ``made``
    says that the platform makes the feeds of something else that is declared. ``left`` is what is not carried, and
    ``asks`` what has to be decided. ``about`` calls the contract by its version and id."""

    about: str
    source: str
    component: str
    made: bool
    owners: tuple[str, ...]
    retention: Mapping[str, str | None]
    feeds: tuple[Mapping[str, Any], ...]
    left: tuple[Left, ...]
    asks: tuple[str, ...]


def imported(text: str, start: str) -> Imported:
    """The declaration of a contract. Feeds begin at ``start`` ("2026-01-31") where it does not say when.

    Raises:
        PermanentFailure: the text is no contract of version 3 of the standard.
    """
    contract = _parsed(text)
    about = f"version {contract.get('version')} of {contract.get('id')}"
    ours, notes = _of_ours(contract), Notes()
    notes.leave_others(contract, _KNOWN, "")
    notes.leave_others(custom(contract), (ENGINE,), "custom property")
    every = [(obj["name"], _feed(obj, contract, start, notes, ours=bool(ours))) for obj in contract["schema"]]
    for name in [name for name, feed in every if not feed["columns"]]:
        notes.leave(str(name), "no property of it is a column", "declare its columns by a sample, `adplatform draft`")
    feeds = tuple(feed for _, feed in every if feed["columns"])
    if not ours:
        _ask_of_others(contract, notes)
    return Imported(
        about=one_line(about),
        source=str(ours.get("source") or _source(contract)),
        component=one_line(str(ours.get("component") or PARTNER)),
        made=bool(ours.get("made")),
        owners=tuple(_owners(contract, notes)),
        retention={
            str(each["id"]): None if each.get("value") is None else f"{each['value']}d"
            for each in contract.get("slaProperties") or ()
            if ours and each.get("property") == "retention" and each.get("unit", "d") == "d" and "id" in each
        },
        feeds=feeds,
        left=tuple(dict.fromkeys(notes.left)),
        asks=tuple(dict.fromkeys(notes.asks)),
    )


def _parsed(text: str) -> Mapping[str, Any]:
    try:
        nodes = nodes_of(text)
        found = plain(nodes[0]) if len(nodes) == 1 else None
    except yaml.YAMLError as e:
        raise PermanentFailure(f"it is no YAML: {e}") from e
    if not isinstance(found, Mapping) or found.get("kind") != "DataContract":
        raise PermanentFailure("it is not one contract of the standard, which has kind: DataContract")
    version = str(found.get("apiVersion") or "")
    if not version.startswith("v3."):
        raise PermanentFailure(f"apiVersion is {version or 'missing'}: bring the contract to v3 first")
    if problem := next(misshapen(found), None):
        raise PermanentFailure(problem)
    if not found.get("schema"):
        raise PermanentFailure("schema has no objects: there is nothing to declare")
    return found


def _of_ours(contract: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a contract of ours says of the source; nothing of others."""
    said = custom(contract).get(ENGINE)
    return said if isinstance(said, Mapping) else {}


def _feed(
    obj: Mapping[str, Any], contract: Mapping[str, Any], start: str, notes: Notes, *, ours: bool
) -> dict[str, Any]:
    settings = told(obj, contract, notes, ours=ours)
    own = custom(obj)
    if not ours:
        notes.leave_others(own, (), f"{obj['name']}: custom property")
        if "start_date" not in settings:
            notes.ask(f"{settings['name']}: start_date is missing in the contract; files of earlier dates are refused")
        files = _format(contract)
        return {"name": settings["name"], "start_date": start, **settings, **({"format": files} if files else {})}
    columns = _columns(settings["columns"], own.pop("columns", None), str(obj["name"]), notes)
    merged = {
        name: {**settings[name], **value}
        if isinstance(value, Mapping) and isinstance(settings.get(name), Mapping)
        else value
        for name, value in own.items()
    }
    return {"name": settings["name"], "start_date": start, **settings, **merged, "columns": columns}


def _columns(
    known: Mapping[str, Mapping[str, Any]], listed: Mapping[str, Mapping[str, Any]] | None, place: str, notes: Notes
) -> dict[str, dict[str, Any]]:
    """Columns in the order in which they were declared, then those that somebody has added to the contract."""
    if listed is not None and not _is_of_settings(listed):
        raise PermanentFailure(f"{place}: custom property columns has no settings by name: export the contract again")
    columns: dict[str, dict[str, Any]] = {}
    for name, more in (known if listed is None else listed).items():
        settings = {**known.get(name, {}), **(more if listed is not None else {})}
        if "type" in settings:
            columns[name] = settings
        else:
            notes.leave(f"{place}.{name}", "its property is not there any more", "take it out of columns, too")
    return columns | {name: dict(settings) for name, settings in known.items() if name not in columns}


def _is_of_settings(listed: Any) -> bool:
    return isinstance(listed, Mapping) and all(isinstance(each, Mapping) for each in listed.values())


def _format(contract: Mapping[str, Any]) -> dict[str, Any]:
    """How files are written, where one server says so."""
    said = [each for each in contract.get("servers") or () if str(each.get("format")).lower() in _KINDS]
    kinds = {_KINDS[str(each["format"]).lower()] for each in said}
    if len(kinds) != 1:
        return {}
    kind = kinds.pop()
    delimiter = next((each["delimiter"] for each in said if len(str(each.get("delimiter") or "")) == 1), "")
    if kind == "csv":
        return {"delimiter": delimiter} if delimiter and delimiter != "," else {}
    return {"kind": kind}


def _ask_of_others(contract: Mapping[str, Any], notes: Notes) -> None:
    for each in contract.get("servers") or ():
        where = each.get("location") or each.get("path") or each.get("database") or each.get("host") or each["type"]
        notes.leave(
            f"servers.{each['server']}",
            f"data is not fetched from where it lies ({where})",
            "have files pushed to the source's landing zone, or declare a source that fetches them",
        )
    if not _format(contract):
        notes.ask("format: the contract does not say how files are written; csv with a header is taken")
    notes.ask(
        "arrival: the contract does not say when a delivery is complete; five minutes without a new file are taken"
    )
    described = contract.get("description")
    if isinstance(described, Mapping):
        notes.leave_others(described, _DESCRIBED, "description")


def _source(contract: Mapping[str, Any]) -> str:
    names = (contract.get(each) for each in ("domain", "dataProduct", "tenant", "name", "id"))
    found = next((snake(str(each)) for each in names if each and snake(str(each))), "source")
    return (found if found[0].isalpha() else f"s_{found}")[:63]


def _owners(contract: Mapping[str, Any], notes: Notes) -> Iterator[str]:
    team = contract.get("team") or ()
    members = team.get("members") or () if isinstance(team, Mapping) else team
    if isinstance(team, Mapping) and team.get("name"):
        yield f"team:{team['name']}"
    for each in members:
        name = str(each.get("username") or "")
        if is_owner(name):
            yield name
        else:
            notes.leave(
                "team.members", "an owner is an e-mail address or team:<name>", "add it to owners of the source"
            )
