"""The SQL that the stand-in of Redshift understands, and what it does to a database."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from adplatform.local.aws.catalog_queries import Answer, Refused, answer, put_parquet, translated
from adplatform.local.aws.redshift.state import Database, External, Grant, Identity
from adplatform.transform.rules import literal

_NAME = r"(\"(?:[^\"]|\"\")+\"|[A-Za-z_][\w$]*)"
_TEXT = r"'((?:[^']|'')*)'"
_TO = rf"((?:role\s+|group\s+)?{_NAME})"


def carry_out(database: Database, sql: str, region: str) -> tuple[Database, Answer | None]:
    """What the database is after a statement, and the rows that it gives. Callers do not hold the lock.

    Raises:
        Refused: the statement fails.
    """
    text = sql.strip().rstrip(";").strip()
    for pattern, act in _ACTS:
        if found := re.fullmatch(pattern, text, re.IGNORECASE | re.DOTALL):
            return act(database, found), None
    if found := re.fullmatch(rf"refresh\s+materialized\s+view\s+{_NAME}", text, re.IGNORECASE):
        select(database, _known(database.views, _plain(found[1]), "materialized view"), region)
        return database, None
    unload = rf"unload\s*\(\s*{_TEXT}\s*\)\s*to\s+{_TEXT}\s+iam_role\s+{_TEXT}\s+format\s+(?:as\s+)?parquet\b.*"
    if found := re.fullmatch(unload, text, re.IGNORECASE | re.DOTALL):
        put_parquet(select(database, _text(found[1]), region), f"{_text(found[2])}0000_part_00.parquet")
        return database, None
    if re.match(r"(select|with)\b", text, re.IGNORECASE):
        return database, select(database, text, region)
    raise Refused(f'ERROR: syntax error at or near "{text.split()[0] if text else ""}"')


def with_parameters(sql: str, parameters: Iterable[Mapping[str, str]]) -> str:
    """The statement with the values of its ``:names``."""
    values = {each["name"]: literal(each["value"]) for each in parameters}
    return re.sub(r"(?<!:):([A-Za-z_]\w*)", lambda found: values.get(found[1], found[0]), sql)


def select(database: Database, sql: str, region: str) -> Answer:
    schemas = {name: schema.database for name, schema in database.schemas.items()}
    views = {
        name: translated(query, "redshift", schemas, {})
        for name, query in database.views.items()
        if name in sql.lower()
    }
    return answer(translated(sql, "redshift", schemas, {**views, **_system_views(database)}), region)


def _system_views(database: Database) -> dict[str, str]:
    schemas = [
        (100_000 + number, 1, name, 100, schema.database, f'{{"IAM_ROLE":"{schema.role}"}}')
        for number, (name, schema) in enumerate(sorted(database.schemas.items()))
    ]
    grants = [
        (each.schema, each.privilege, 100, each.to.name, each.to.kind, False, "SCHEMA")
        for each in sorted(database.grants)
    ]
    return {
        "svv_external_schemas": _rows(
            ("esoid", "eskind", "schemaname", "esowner", "databasename", "esoptions"), schemas
        ),
        "svv_schema_privileges": _rows(
            (
                *("namespace_name", "privilege_type", "identity_id", "identity_name", "identity_type"),
                *("admin_option", "privilege_scope"),
            ),
            grants,
        ),
    }


def _rows(names: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    values = [tuple(literal(each) if isinstance(each, str) else str(each) for each in row) for row in rows]
    shown = ", ".join(f"({', '.join(row)})" for row in values) or f"({', '.join(['null'] * len(names))})"
    return f"select * from (values {shown}) as t({', '.join(names)}){'' if values else ' limit 0'}"


def _create_schema(database: Database, found: re.Match[str]) -> Database:
    name = _plain(found[2])
    if name in database.schemas:
        if found[1]:
            return database
        raise Refused(f'ERROR: Schema "{name}" already exists')
    return database.with_schema(name, External(_text(found[3]), _text(found[4])))


def _alter_schema(database: Database, found: re.Match[str]) -> Database:
    name = _plain(found[1])
    return database.with_schema(name, replace(_known(database.schemas, name, "schema"), role=_text(found[2])))


def _drop_schema(database: Database, found: re.Match[str]) -> Database:
    name = _plain(found[2])
    if not found[1]:
        _known(database.schemas, name, "schema")
    left = {each: schema for each, schema in database.schemas.items() if each != name}
    return replace(database, schemas=left, grants=frozenset(each for each in database.grants if each.schema != name))


def _create_identity(database: Database, found: re.Match[str]) -> Database:
    made = Identity(found[1].lower(), _plain(found[2]))
    return replace(database, identities=database.identities | {made})


def _grant(database: Database, found: re.Match[str]) -> Database:
    return replace(database, grants=database.grants | _grants(database, found))


def _revoke(database: Database, found: re.Match[str]) -> Database:
    return replace(database, grants=database.grants - _grants(database, found))


def _grants(database: Database, found: re.Match[str]) -> frozenset[Grant]:
    schema = _plain(found[2])
    _known(database.schemas, schema, "schema")
    granted = []
    for to in re.finditer(_TO, found[3], re.IGNORECASE):
        kind = next((kind for kind in ("role", "group") if re.match(rf"{kind}\s", to[1], re.IGNORECASE)), "user")
        identity = Identity(kind, _plain(to[2]))
        if identity not in database.identities:
            raise Refused(f'ERROR: {kind} "{identity.name}" does not exist')
        granted.append(Grant(schema, found[1].upper(), identity))
    return frozenset(granted)


def _create_view(database: Database, found: re.Match[str]) -> Database:
    name = _plain(found[1])
    if name in database.views:
        raise Refused(f'ERROR: relation "{name}" already exists')
    return replace(database, views={**database.views, name: found[2]})


_ACTS: tuple[tuple[str, Callable[[Database, re.Match[str]], Database]], ...] = (
    (
        rf"create\s+external\s+schema\s+(if\s+not\s+exists\s+)?{_NAME}\s+from\s+data\s+catalog\s+database\s+{_TEXT}"
        rf"\s+(?:region\s+'[\w-]+'\s+)?iam_role\s+{_TEXT}",
        _create_schema,
    ),
    (rf"alter\s+external\s+schema\s+{_NAME}\s+iam_role\s+{_TEXT}", _alter_schema),
    (rf"drop\s+schema\s+(if\s+exists\s+)?{_NAME}(?:\s+cascade|\s+restrict)?", _drop_schema),
    (rf"create\s+(role|group|user)\s+{_NAME}(?:\s+password\s+.*)?", _create_identity),
    (rf"grant\s+(usage|create|alter)\s+on\s+schema\s+{_NAME}\s+to\s+({_TO}(?:\s*,\s*{_TO})*)", _grant),
    (rf"revoke\s+(usage|create|alter)\s+on\s+schema\s+{_NAME}\s+from\s+({_TO}(?:\s*,\s*{_TO})*)", _revoke),
    (rf"create\s+materialized\s+view\s+{_NAME}\s+(?:auto\s+refresh\s+\w+\s+)?as\s+(.+)", _create_view),
)


def _known(among: Mapping[str, Any], name: str, what: str) -> Any:
    if name not in among:
        raise Refused(f'ERROR: {what} "{name}" does not exist')
    return among[name]


def _plain(name: str) -> str:
    """An identifier; Redshift folds to lower case, in quotes, too (enable_case_sensitive_identifier is off)."""
    return (name[1:-1].replace('""', '"') if name.startswith('"') else name).lower()


def _text(quoted: str) -> str:
    return quoted.replace("''", "'")
