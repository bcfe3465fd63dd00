"""A property of a contract as a column of a feed: what the standard has words for, and what they mean here."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from adplatform.contracts.column import IDENTIFIER, RESERVED
from adplatform.contracts.names import catalog_names
from adplatform.contracts.personal_names import PLACES, guessed_kind
from adplatform.contracts.pii import PiiKind
from adplatform.contracts.types import MAX_PRECISION, parse_type
from adplatform.odcs.notes import Notes

DECLARED_AS = "declaredAs"
"""The custom property of a column of a table that is not declared under its name: the column that it is made of, or
null of one that the platform adds."""
_KNOWN = (
    *("id", "name", "physicalName", "physicalType", "logicalType", "logicalTypeOptions", "description", "required"),
    *("unique", "primaryKey", "primaryKeyPosition", "partitioned", "partitionKeyPosition", "classification"),
    *("quality", "customProperties", "properties"),
)
_PHYSICAL: Mapping[str, str] = {
    **dict.fromkeys(
        ("varchar", "char", "character", "character varying", "nvarchar", "nchar", "text", "uuid"), "string"
    ),
    **dict.fromkeys(("varchar2", "str", "clob", "variant"), "string"),
    **dict.fromkeys(("smallint", "tinyint", "int4", "int2", "mediumint", "int32"), "int"),
    **dict.fromkeys(("int8", "int64", "hugeint"), "bigint"),
    **dict.fromkeys(("float", "real", "float8", "float4", "float64", "double precision"), "double"),
    **dict.fromkeys(("timestamptz", "datetime", "timestamp_tz", "timestamp_ntz", "timestamp_ltz"), "timestamp"),
    **dict.fromkeys(("timestamp with time zone", "timestamp without time zone", "datetime2"), "timestamp"),
}
_LOGICAL: Mapping[str, str] = {
    "string": "string",
    "integer": "bigint",
    "number": "double",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp",
    "time": "string",
}
_SIZED = re.compile(r"(decimal|numeric|number)\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)")
_OPEN = frozenset({"public", "internal", "none", "unrestricted", ""})
_PERSONAL = frozenset({"personal", "personal data", "pii", "sensitive"})
_WHOLE = re.compile(r"\^\(\?:(.*)\)\$", re.DOTALL)
_NOTHING = {"mustBe": 0}
_OPERATORS = (
    *("mustBe", "mustNotBe", "mustBeGreaterThan", "mustBeGreaterOrEqualTo", "mustBeLessThan"),
    *("mustBeLessOrEqualTo", "mustBeBetween", "mustNotBeBetween"),
)


def custom(given: Mapping[str, Any]) -> dict[str, Any]:
    """Custom properties by name."""
    return {each["property"]: each.get("value") for each in given.get("customProperties") or ()}


def operator(rule: Mapping[str, Any]) -> dict[str, Any]:
    """What a rule of quality compares with, by the name of the comparison."""
    return {name: rule[name] for name in _OPERATORS if name in rule}


def metric_of(rule: Mapping[str, Any]) -> str:
    """What is measured; ``rule`` is its name in version 3.0."""
    return str(rule.get("metric") or rule.get("rule") or "")


def whole(pattern: str) -> str:
    """A pattern that a whole value must match, for readers who look for one anywhere in it."""
    return f"^(?:{pattern})$"


def called(given: Mapping[str, Any]) -> str:
    """What files and the table call a property."""
    return str(given.get("physicalName") or given["name"])


def names_of(properties: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The name of a column for each property, by what that is called; it stays where it is one of the catalog."""
    every = [called(each) for each in properties]
    valid = {each: each for each in every if IDENTIFIER.fullmatch(each) and each not in RESERVED}
    return {**valid, **catalog_names((each for each in every if each not in valid), valid)}


def column_of(given: Mapping[str, Any], name: str, place: str, notes: Notes, *, ours: bool) -> dict[str, Any] | None:
    """The settings of the column of that name; None for a property that is none. In a contract that is not ``ours``
    names say what may be personal."""
    named, kind = called(given), _type(given, place, notes)
    if kind is None:
        return None
    notes.leave_others(given, _KNOWN, place)
    notes.leave_others(custom(given), (DECLARED_AS, "pii"), f"{place}: custom property")
    settings: dict[str, Any] = {"type": kind}
    if name != named:
        settings["field"] = named
    if given.get("physicalName") and str(given["name"]) != named:
        notes.leave(f"{place}.name", f"the table calls it {named}", "rename the column and give the other as field")
    if given.get("required") or given.get("primaryKey"):
        settings["required"] = True
    for rule in given.get("quality") or ():
        settings |= _of_rule(rule, place, kind, notes)
    settings |= dict(_of_options(given.get("logicalTypeOptions") or {}, place, kind, notes))
    if given.get("description"):
        settings["comment"] = " ".join(str(given["description"]).split())
    return settings if ours else {**settings, **_personal(given, name, kind, place, notes)}


def _type(given: Mapping[str, Any], place: str, notes: Notes) -> str | None:
    physical, logical = (str(given.get(name) or "").strip().lower() for name in ("physicalType", "logicalType"))
    if logical in ("object", "array") or given.get("properties"):
        of = "a list" if logical == "array" else "an object"
        notes.leave(place, f"it is {of}, and columns are flat", "declare its members as columns, or the whole as text")
        return None
    base = physical.partition("(")[0].strip()
    if sized := _SIZED.fullmatch(physical):
        precision, scale = int(sized[2]), int(sized[3] or 0)
        if 1 <= precision <= MAX_PRECISION and scale <= precision:
            return f"decimal({precision},{scale})"
    if base in ("string", "int", "integer", "bigint", "long", "double", "boolean", "bool", "date", "timestamp"):
        return parse_type(base).hive
    kind = _PHYSICAL.get(base) or _LOGICAL.get(logical)
    if kind is None:
        notes.ask(f"{place}: type {physical or logical or 'missing'} is not known here; it is read as text")
    elif kind == "double" and base not in _PHYSICAL:
        notes.ask(f"{place}: a number without precision is read as double; for amounts write decimal(18,2)")
    elif logical == "time":
        notes.ask(f"{place}: a time of day is kept as text")
    return kind or "string"


def _of_rule(rule: Mapping[str, Any], place: str, kind: str, notes: Notes) -> dict[str, Any]:
    metric, compared = metric_of(rule), operator(rule)
    arguments = {**rule, **(rule.get("arguments") or {})}
    if metric in ("nullValues", "nullCheck", "missingValues") and compared == _NOTHING:
        return {"required": True}
    valid = arguments.get("validValues")
    if metric in ("invalidValues", "validValues") and compared in ({}, _NOTHING):
        if isinstance(valid, list) and valid and all(isinstance(each, str | int) for each in valid):
            return {"allowed": [str(each).lower() if isinstance(each, bool) else str(each) for each in valid]}
        if isinstance(arguments.get("pattern"), str):
            return _pattern(arguments["pattern"], f"{place}: quality", notes)
    if metric in ("duplicateValues", "duplicateCount") and compared in ({}, _NOTHING):
        notes.leave(f"{place}: quality {metric}", "rows are told apart by key alone", f"set key, if {place} is one")
        return {}
    notes.leave(
        f"{place}: quality {metric or rule.get('name') or rule.get('type', '')}".rstrip(),
        f"rules of type {rule.get('type') or 'library'} are not carried",
        "write it as row_checks, or test it behind the table",
    )
    return {}


def _of_options(options: Mapping[str, Any], place: str, kind: str, notes: Notes) -> Iterator[tuple[str, Any]]:
    bounded = kind not in ("string", "boolean")
    for name, value in options.items():
        at = f"{place}: {name}"
        if name in ("minimum", "maximum") and bounded:
            yield name[:3], str(value)
        elif name == "pattern" and kind == "string":
            yield from _pattern(str(value), at, notes).items()
        elif name in ("minLength", "maxLength"):
            notes.leave(at, "lengths are no setting", f"write pattern, such as '.{{{_lengths(options)}}}'")
        elif name in ("exclusiveMinimum", "exclusiveMaximum"):
            sign = ">" if name == "exclusiveMinimum" else "<"
            notes.leave(at, "min and max take the bound itself, too", f"write row_checks with {sign} {value}")
        elif name == "format" and kind in ("date", "timestamp"):
            notes.leave(at, f"{value} is no pattern of strptime", "set formats where files write other than ISO 8601")
        elif name not in ("timezone", "defaultTimezone") or value not in (False, "Etc/UTC", "UTC"):
            notes.leave(at, "a declaration has no word for it", "write row_checks, or timezone for a zone")


def _lengths(options: Mapping[str, Any]) -> str:
    return f"{options.get('minLength', 0)},{options.get('maxLength', '')}"


def _pattern(pattern: str, place: str, notes: Notes) -> dict[str, Any]:
    """A pattern of others may match anywhere in a value; ours matches the whole."""
    if problem := _problem(pattern):
        notes.leave(place, f"{pattern!r} is no regular expression here ({problem})", "write pattern in Python's form")
        return {}
    found = _WHOLE.fullmatch(pattern)
    if found and not _problem(found[1]):
        return {"pattern": found[1]}
    begins, ends = pattern.startswith("^"), pattern.endswith("$") and not pattern.endswith(r"\$")
    if _alternates(pattern):
        begins = ends = False
    return {"pattern": pattern if begins and ends else f"{'' if begins else '.*'}(?:{pattern}){'' if ends else '.*'}"}


def _problem(pattern: str) -> str:
    """Why a text is no regular expression; "" where it is one."""
    try:
        re.compile(pattern)
    except re.error as e:
        return str(e)
    return ""


def _alternates(pattern: str) -> bool:
    """Whether an anchor at an end of a pattern is that of one of several forms alone."""
    bare = re.sub(r"\\.|\[\^?\]?[^\]]*\]", "", pattern)
    while (shorter := re.sub(r"\([^()]*\)", "", bare)) != bare:
        bare = shorter
    return "|" in bare


def _personal(given: Mapping[str, Any], name: str, kind: str, place: str, notes: Notes) -> dict[str, Any]:
    """Contracts say how confidential a value is, not what it is. What its name tells is taken, to be looked at."""
    said = str(given.get("classification") or "").lower()
    guessed = guessed_kind(name)
    if said == "public" or (guessed in PLACES and said in _OPEN):
        return {}
    found = guessed or (PiiKind.GENERIC_ID if said in _PERSONAL else None)
    if found is None:
        if said not in _OPEN:
            notes.ask(f"{place}: classification {said}: if it is personal data, say pii and its kind")
        return {}
    if kind != "string":
        notes.ask(f"{place}: it may be personal data, which is text: give it type string and pii, or drop it")
        return {}
    notes.ask(f"{place}: it is taken for {found}, and stored as a keyed digest; look whether that is right")
    return {"pii": str(found)}
