"""External schemas of Amazon Redshift over databases of the Data Catalog, and who may use them, by the Data API.

Facts: Redshift Database Developer Guide (CREATE EXTERNAL SCHEMA, GRANT, SVV_EXTERNAL_SCHEMAS, SVV_SCHEMA_PRIVILEGES).
Redshift has no tags: a schema that shows the database is the declared one, whoever made it. Tables of one source share
a schema, unless they name another.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from adplatform.consumers.registration.changes import differing
from adplatform.consumers.registration.resource import Kind, Place, Registration, Tagged, There, Wanted
from adplatform.consumers.registration.waiting import awaited
from adplatform.consumers.table import ConsumedTable
from adplatform.contracts.consumers import Redshift
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.platform.arns import role_arn
from adplatform.platform.settings import PREFIX, Settings
from adplatform.transform.rules import identifier, literal

EXTERNAL_SCHEMA = "external schema"
_OF_CATALOG = 1
"""The kind of an external schema over a data catalog."""
_BATCH = 40
"""Statements of a batch (API_BatchExecuteStatement)."""
_SCHEMA = "SELECT eskind, databasename, esoptions FROM svv_external_schemas WHERE schemaname = :schema"
_USAGE = (
    "SELECT identity_type, identity_name FROM svv_schema_privileges"
    " WHERE namespace_name = :schema AND privilege_type = 'USAGE'"
)


def lacking(_: Redshift, settings: Settings) -> Iterator[str]:
    if bool(settings.redshift_workgroup) == bool(settings.redshift_cluster):
        yield f"set {PREFIX}REDSHIFT_WORKGROUP or {PREFIX}REDSHIFT_CLUSTER to what is to read it, and not both"
    if not settings.redshift_role:
        yield f"set {PREFIX}REDSHIFT_ROLE to the IAM role with which Redshift reads the catalog and the clean zone"


def warehouse(settings: Settings) -> dict[str, str]:
    """How calls of the Data API name the database."""
    if settings.redshift_workgroup:
        return {"WorkgroupName": settings.redshift_workgroup, "Database": settings.redshift_database}
    user = {"DbUser": settings.redshift_user} if settings.redshift_user else {}
    return {"ClusterIdentifier": settings.redshift_cluster, "Database": settings.redshift_database, **user}


def schema_name(table: ConsumedTable, settings: Redshift) -> str:
    return settings.external_schema or table.database


def wanted(table: ConsumedTable, settings: Redshift, place: Place) -> Iterator[Wanted]:
    own = place.settings
    schema, at = schema_name(table, settings), own.redshift_workgroup or own.redshift_cluster
    definition = {
        "Warehouse": warehouse(own),
        "Schema": schema,
        "Database": table.database,
        "Region": place.region,
        "Role": role_arn(own.redshift_role, place.account),
        "Usage": sorted({grant.lower() for grant in settings.grants}),
    }
    name = f"{at}.{own.redshift_database}.{schema}"
    yield Wanted("redshift", EXTERNAL_SCHEMA, name, table.source, table.qualified, definition)


def _read(client: Any, wanted: Wanted) -> There | None:
    """Whom else people have let in is theirs."""
    declared = wanted.definition
    found = _rows(client, wanted, _SCHEMA)
    if not found:
        return None
    [(kind, database, options)] = found
    granted = {f"{of}:{name}".lower() for of, name in _rows(client, wanted, _USAGE)}
    definition = {
        **declared,
        "Database": database if kind == _OF_CATALOG else f"{database}, which is none of the catalog",
        "Role": json.loads(str(options) or "{}").get("IAM_ROLE"),
        "Usage": sorted(granted.intersection(declared["Usage"])),
    }
    do = "a schema shows one database for ever: give another external_schema, or drop this one, and apply again"
    return There(definition, wanted.tags, fixed={"Database": do})


def _create(client: Any, wanted: Wanted) -> None:
    now = wanted.definition
    made = (
        f"CREATE EXTERNAL SCHEMA IF NOT EXISTS {identifier(now['Schema'])} FROM DATA CATALOG"
        f" DATABASE {literal(now['Database'])} REGION {literal(now['Region'])} IAM_ROLE {literal(now['Role'])}"
    )
    _carry_out(client, wanted, [made, *(_grant(now["Schema"], grant) for grant in now["Usage"])])


def _update(client: Any, wanted: Wanted, there: There) -> None:
    now = wanted.definition
    role = f"ALTER EXTERNAL SCHEMA {identifier(now['Schema'])} IAM_ROLE {literal(now['Role'])}"
    altered = [role] if "Role" in differing(wanted, there) else []
    missing = [grant for grant in now["Usage"] if grant not in there.definition["Usage"]]
    _carry_out(client, wanted, [*altered, *(_grant(now["Schema"], grant) for grant in missing)])


def _tagged(client: Any, place: Place) -> Sequence[Tagged]:
    """Redshift has no tags, so that nobody knows which schemas were made here."""
    return ()


def _grant(schema: str, grant: str) -> str:
    kind, _, name = grant.partition(":")
    to = identifier(name) if kind == "user" else f"{kind.upper()} {identifier(name)}"
    return f"GRANT USAGE ON SCHEMA {identifier(schema)} TO {to}"


def _carry_out(client: Any, wanted: Wanted, statements: Sequence[str]) -> None:
    """Each is committed by itself, and may be repeated: one that fails undoes none before it."""
    for begin in range(0, len(statements), _BATCH):
        submitted = client.batch_execute_statement(
            **wanted.definition["Warehouse"],
            Sqls=list(statements[begin : begin + _BATCH]),
            ExecutionMode="AUTO_COMMIT",
            StatementName="adplatform-consumers",
        )
        _finished(client, wanted, submitted["Id"])


def _rows(client: Any, wanted: Wanted, sql: str) -> list[tuple[Any, ...]]:
    """Of a query about the schema."""
    schema = {"name": "schema", "value": wanted.definition["Schema"]}
    submitted = client.execute_statement(**wanted.definition["Warehouse"], Sql=sql, Parameters=[schema])
    _finished(client, wanted, submitted["Id"])
    found: list[tuple[Any, ...]] = []
    more: dict[str, str] = {}
    while True:
        page = client.get_statement_result(Id=submitted["Id"], **more)
        found += [tuple(map(_value, row)) for row in page["Records"]]
        if not page.get("NextToken"):
            return found
        more = {"NextToken": page["NextToken"]}


def _value(field: Mapping[str, Any]) -> Any:
    return None if field.get("isNull") else next(iter(field.values()))


def _finished(client: Any, wanted: Wanted, id: str) -> None:
    """
    Raises:
        PermanentFailure: the statement has failed.
        TransientFailure: it goes on for too long.
    """
    ended = awaited(partial(_ended, client, id))
    if ended is None:
        raise TransientFailure(f"{wanted.key}: Redshift did not finish the statement {id} in time; apply again")
    if ended["Status"] != "FINISHED":
        reason = ended.get("Error") or ended["Status"]
        raise PermanentFailure(f"{wanted.key}: Redshift refuses it: {reason}")


def _ended(client: Any, id: str) -> dict[str, Any] | None:
    told: dict[str, Any] = client.describe_statement(Id=id)
    return told if told["Status"] in ("FINISHED", "FAILED", "ABORTED") else None


_SCHEMAS = Kind("redshift-data", _read, _create, _update, _tagged, deployable=False)
REGISTRATION = Registration(wanted, {EXTERNAL_SCHEMA: _SCHEMAS}, lacking)
