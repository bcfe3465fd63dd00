"""What the words of the standard mean for a feed: of our own contracts and of others' alike."""

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

from adplatform.contracts.column import DELIVERY_DATE
from adplatform.contracts.durations import write_duration
from adplatform.contracts.names import feed_name
from adplatform.odcs.columns import DECLARED_AS, called, column_of, custom, metric_of, names_of, operator
from adplatform.odcs.notes import Notes

ENGINE = "adplatform"
"""Of rules of quality that are ours."""
_KNOWN = (
    *("id", "name", "logicalType", "physicalName", "physicalType", "description", "properties", "quality"),
    "customProperties",
)
_UNITS: Mapping[str, str] = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), "seconds"),
    **dict.fromkeys(("m", "min", "minute", "minutes"), "minutes"),
    **dict.fromkeys(("h", "hr", "hour", "hours"), "hours"),
    **dict.fromkeys(("d", "day", "days"), "days"),
}
_LONGEST = 10_000
_LATENCY = ("latency", "ly")
_FRESHNESS = ("freshness", "fr")


def told(obj: Mapping[str, Any], contract: Mapping[str, Any], notes: Notes, *, ours: bool) -> dict[str, Any]:
    """The settings of the feed that an object of a contract's schema is, by the standard's words alone; its columns
    by name. In a contract that is not ``ours`` names of columns say what may be personal."""
    place = str(obj["name"])
    same = ours or obj.get("physicalName") in (None, obj["name"])
    notes.leave_others(obj, _KNOWN if same else [each for each in _KNOWN if each != "physicalName"], place)
    settings: dict[str, Any] = {"name": feed_name(str(obj["name"]))}
    purpose = contract.get("description")
    described = obj.get("description") or (purpose.get("purpose") if isinstance(purpose, Mapping) else purpose)
    if described:
        settings["description"] = " ".join(str(described).split())
    properties = obj.get("properties") or []
    columns, names = _columns(properties, place, notes, ours)
    settings |= {"columns": columns, **_keyed(properties, names, place, notes)}
    for rule in obj.get("quality") or ():
        if not ours or rule.get("type") != "text":
            _of_rule(rule, place, settings, notes)
    for agreed in contract.get("slaProperties") or ():
        if _concerns(agreed, obj):
            _of_agreement(agreed, settings, notes)
    return settings


def _columns(
    properties: Iterable[Mapping[str, Any]], place: str, notes: Notes, ours: bool
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Columns by name, and names of columns by those of properties."""
    every = list(properties)
    catalog = names_of(each for each in every if DECLARED_AS not in custom(each))
    columns: dict[str, dict[str, Any]] = {}
    names: dict[str, str] = {}
    for each in every:
        at = f"{place}.{each['name']}"
        if DECLARED_AS in custom(each):
            names[str(each["name"])] = str(custom(each)[DECLARED_AS] or "")
            continue
        if str(each["name"]) == DELIVERY_DATE and each.get("partitioned"):
            continue
        name = catalog[called(each)]
        if name in columns:
            notes.leave(at, f"another property is called {called(each)}, too", "declare it under another name")
        elif (settings := column_of(each, name, at, notes, ours=ours)) is not None:
            columns[name], names[str(each["name"])] = settings, name
    return columns, names


def _keyed(
    properties: Iterable[Mapping[str, Any]], names: Mapping[str, str], place: str, notes: Notes
) -> dict[str, Any]:
    every = list(properties)
    primary = [each for each in every if each.get("primaryKey")]
    primary.sort(key=_position)
    unique = [each for each in every if each.get("unique") and not each.get("primaryKey")]
    if not primary and len(unique) == 1:
        primary, unique = unique, []
    for each in unique:
        at = f"{place}.{each['name']}.unique"
        notes.leave(at, "a table has one key", "test it behind the table, or have the key name it")
    key = [names.get(str(each["name"]), "") for each in primary]
    partitions = [str(each["name"]) for each in every if each.get("partitioned")]
    by = [names[each] for each in partitions if names.get(each)]
    settings: dict[str, Any] = {"key": [each for each in key if each]} if any(key) else {}
    if by and len(partitions) == 1 and (not settings or by[0] in settings["key"]) and _partitions(every, partitions[0]):
        settings["partition_by"] = by[0]
    elif by:
        notes.leave(
            f"{place}: partitions {', '.join(by)}",
            "a table is partitioned by delivery date, or by one required column of its key",
            "set partition_by, and name that column in key",
        )
    return settings


def _position(given: Mapping[str, Any]) -> int:
    found = given.get("primaryKeyPosition")
    return found if isinstance(found, int) else 0


def _partitions(properties: Iterable[Mapping[str, Any]], name: str) -> bool:
    [found] = [each for each in properties if str(each["name"]) == name]
    return bool(found.get("required")) and found.get("logicalType") in ("string", "date", "integer")


def _of_rule(rule: Mapping[str, Any], place: str, settings: dict[str, Any], notes: Notes) -> None:
    if rule.get("type") == "custom" and rule.get("engine") == ENGINE:
        said = rule.get("implementation")
        said = said if isinstance(said, Mapping) else {}
        settings |= {"bounds": said["bounds"]} if "bounds" in said else {}
        if "row_check" in said:
            settings.setdefault("row_checks", []).append(said["row_check"])
        return
    metric, compared = metric_of(rule), operator(rule)
    at = f"{place}: quality {metric or rule.get('name') or rule.get('type', '')}".rstrip()
    if metric == "rowCount" and (bounds := _bounds(compared)):
        settings["bounds"] = {**settings.get("bounds", {}), **bounds}
        notes.ask(f"{at}: bounds are those of each delivery, and not of the table; look whether they are meant so")
        return
    if metric.startswith("duplicate") and compared in ({}, {"mustBe": 0}):
        wanted = [str(each) for each in (rule.get("arguments") or {}).get("properties") or ()]
        if wanted and not set(wanted) <= {*settings.get("key", ()), DELIVERY_DATE}:
            notes.leave(at, "rows are told apart by key alone", f"set key: [{', '.join(wanted)}], if it is one")
        return
    kind = rule.get("type") or "library"
    notes.leave(at, f"rules of type {kind} are not carried", "write it as row_checks, or test it behind the table")


def _bounds(compared: Mapping[str, Any]) -> dict[str, int]:
    match compared:
        case {"mustBeGreaterThan": int(least)}:
            return {"min_rows": least + 1}
        case {"mustBeGreaterOrEqualTo": int(least)}:
            return {"min_rows": least}
        case {"mustBeLessThan": int(most)}:
            return {"max_rows": most - 1}
        case {"mustBeLessOrEqualTo": int(most)}:
            return {"max_rows": most}
        case {"mustBeBetween": [int(least), int(most)]}:
            return {"min_rows": least, "max_rows": most}
        case {"mustBe": int(exact)}:
            return {"min_rows": exact, "max_rows": exact}
    return {}


def _concerns(agreed: Mapping[str, Any], obj: Mapping[str, Any]) -> bool:
    elements = [each.strip().partition(".")[0] for each in str(agreed.get("element") or "").split(",")]
    return elements == [""] or bool({obj["name"], obj.get("physicalName")} & set(elements))


def _of_agreement(agreed: Mapping[str, Any], settings: dict[str, Any], notes: Notes) -> None:
    name = str(agreed["property"])
    length, at = _length(agreed), f"slaProperties: {name}"
    if agreed.get("schedule") and str(agreed.get("scheduler") or "cron") == "cron" and name == "frequency":
        settings["schedule"] = str(agreed["schedule"])
    elif name.lower() in _LATENCY and length:
        settings["arrival"] = {**settings.get("arrival", {}), "deadline": length}
    elif name.lower() in _FRESHNESS and length:
        settings["fresh_within"] = length
    elif name == "generalAvailability" and (start := _day(agreed.get("value"))):
        settings["start_date"] = start
    elif name == "retention" and str(agreed.get("id") or "") in ("quarantine", "archive", "exports"):
        return  # of the source
    elif name == "frequency" and (agreed.get("value"), agreed.get("unit")) == (1, "d"):
        return  # as every delivery date has one delivery
    elif name == "retention":
        notes.leave(at, "tables are kept", "set retention of the source for originals and quarantined rows")
    elif name == "frequency":
        notes.leave(at, "deliveries are processed when they are there", "set schedule, a cron line, for set times")
    else:
        notes.leave(at, "a declaration has no word for it", "set arrival.deadline or fresh_within, if it is a time")


def _length(agreed: Mapping[str, Any]) -> str:
    unit, value = _UNITS.get(str(agreed.get("unit") or "").lower()), agreed.get("value")
    if not unit or not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= _LONGEST:
        return ""
    return write_duration(timedelta(**{unit: value}))


def _day(value: Any) -> str:
    if isinstance(value, date):
        return value.isoformat()[:10]
    text = str(value)[:10]
    return text if len(text) == 10 and text[4] + text[7] == "--" and text.replace("-", "").isdigit() else ""
