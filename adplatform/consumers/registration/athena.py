"""Workgroups of Amazon Athena, each with queries by name, and views of the Data Catalog.

Facts: API reference of Athena. A view is written to the catalog as Athena writes it, with the types of its columns as
Athena finds them; its tags are parameters of the table, which Athena drops when somebody makes the view anew.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from adplatform.consumers.registration.changes import differing
from adplatform.consumers.registration.resource import (
    NAME_PREFIX,
    SOURCE,
    TABLE,
    Kind,
    Place,
    Registration,
    Tagged,
    There,
    Wanted,
)
from adplatform.consumers.registration.waiting import awaited
from adplatform.consumers.table import ConsumedTable
from adplatform.contracts.consumers import Athena
from adplatform.contracts.types import DataType, parse_type
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.lake.table import TableName
from adplatform.lake.views import VIEW, View, statement_of
from adplatform.lake.zones import Zones
from adplatform.platform.names import within
from adplatform.transform.rules import identifier
from adplatform.transform.values import OutputColumn

WORKGROUP, CATALOG_VIEW = "workgroup", "view"
_LONGEST_NAME = 128
"""Characters (API_CreateWorkGroup)."""
_BATCH = 50
"""Queries that BatchGetNamedQuery takes."""
_CUTOFF, _RESULTS = "BytesScannedCutoffPerQuery", "ResultConfiguration"
_OF_WORKGROUP = ("EnforceWorkGroupConfiguration", "PublishCloudWatchMetricsEnabled", _CUTOFF)
_TYPES = {"varchar": "string", "integer": "int"}


def workgroup_name(table: ConsumedTable | TableName) -> str:
    return within(_LONGEST_NAME, NAME_PREFIX, f"{table.database}-{table.name}")


def wanted(table: ConsumedTable, settings: Athena, place: Place) -> Iterator[Wanted]:
    of = (table.source, table.qualified)
    own, name = place.settings, workgroup_name(table)
    results: dict[str, Any] = {"OutputLocation": f"s3://{own.raw_bucket}/{Zones.query_results(table.feed)}"}
    if place.key:
        results["EncryptionConfiguration"] = {"EncryptionOption": "SSE_KMS", "KmsKey": place.key}
    columns = ", ".join(identifier(column.name) for column in table.seen.presentable)
    definition = {
        "Description": f"Queries of the table {table.qualified}, declared by the feed {table.feed}.",
        "State": "ENABLED",
        "EnforceWorkGroupConfiguration": True,
        "PublishCloudWatchMetricsEnabled": True,
        _CUTOFF: settings.scan_limit,
        _RESULTS: results,
        "Queries": {
            f"rows of {table.name}": _rows(table.database, table.name, columns),
            **{f"rows of {view}": _rows(table.database, view, "*") for view in settings.views},
        },
    }
    group = Wanted("athena", WORKGROUP, name, *of, {**definition, "Database": table.database}, (), place.account)
    yield group
    for view, query in settings.views.items():
        given = {"Query": query, "Workgroup": name}
        yield Wanted("athena", CATALOG_VIEW, f"{table.database}.{view}", *of, given, (group.key,), place.account)


def _rows(database: str, name: str, columns: str) -> str:
    return f"SELECT {columns} FROM {identifier(database)}.{identifier(name)} LIMIT 100"


def _read_group(client: Any, wanted: Wanted) -> There | None:
    if not any(each == wanted.name for each in _groups(client)):
        return None
    group = client.get_work_group(WorkGroup=wanted.name)["WorkGroup"]
    configuration = group["Configuration"]
    results = configuration.get(_RESULTS, {})
    queries = {each["Name"]: each["QueryString"] for each in _queries(client, wanted).values()}
    definition = {
        "Description": group.get("Description"),
        "State": group["State"],
        **{name: configuration.get(name) for name in _OF_WORKGROUP},
        _RESULTS: {name: results.get(name) for name in ("OutputLocation", "EncryptionConfiguration")},
        "Queries": queries,
        "Database": wanted.definition["Database"],
    }
    return There(definition, _tags(client, wanted.account, wanted.name))


def _create_group(client: Any, wanted: Wanted) -> None:
    now = wanted.definition
    configuration = {name: now[name] for name in (*_OF_WORKGROUP, _RESULTS) if now[name] is not None}
    tags = [{"Key": key, "Value": value} for key, value in wanted.tags.items()]
    client.create_work_group(Name=wanted.name, Description=now["Description"], Configuration=configuration, Tags=tags)
    _make_queries(client, wanted)


def _update_group(client: Any, wanted: Wanted, there: There) -> None:
    now = wanted.definition
    if differing(wanted, there) - {"Queries"}:
        results = {**now[_RESULTS]}
        if "EncryptionConfiguration" not in results:
            results["RemoveEncryptionConfiguration"] = True
        limit = {_CUTOFF: now[_CUTOFF]} if now[_CUTOFF] else {f"Remove{_CUTOFF}": True}
        flags = {name: now[name] for name in _OF_WORKGROUP if name != _CUTOFF}
        client.update_work_group(
            WorkGroup=wanted.name,
            Description=now["Description"],
            State=now["State"],
            ConfigurationUpdates={**flags, **limit, "ResultConfigurationUpdates": results},
        )
    _make_queries(client, wanted)


def _make_queries(client: Any, wanted: Wanted) -> None:
    """Those that are missing, and those that somebody has changed; queries by other names are people's own."""
    there = _queries(client, wanted)
    for name, query in wanted.definition["Queries"].items():
        found = there.get(name)
        if found is None:
            client.create_named_query(
                Name=name, Database=wanted.definition["Database"], QueryString=query, WorkGroup=wanted.name
            )
        elif found["QueryString"] != query:
            client.update_named_query(NamedQueryId=found["NamedQueryId"], Name=name, QueryString=query)


def _queries(client: Any, wanted: Wanted) -> dict[str, dict[str, Any]]:
    """Those of the declared names; of two of one name, one of them."""
    pages = client.get_paginator("list_named_queries").paginate(WorkGroup=wanted.name)
    ids = [id for page in pages for id in page.get("NamedQueryIds") or ()]
    found = {}
    for begin in range(0, len(ids), _BATCH):
        for query in client.batch_get_named_query(NamedQueryIds=ids[begin : begin + _BATCH])["NamedQueries"]:
            if query["Name"] in wanted.definition["Queries"]:
                found[query["Name"]] = query
    return found


def _tagged_groups(client: Any, place: Place) -> Iterator[Tagged]:
    for name in _groups(client):
        if name.startswith(f"{NAME_PREFIX}-"):
            yield Tagged(WORKGROUP, name, _tags(client, place.account, name))


def _groups(client: Any) -> Iterator[str]:
    """By a list: an error for one that is not there is as one for a request that is not valid. boto3 has no pages of
    it."""
    page: dict[str, Any] = {}
    while not page or page.get("NextToken"):
        page = client.list_work_groups(**({"NextToken": page["NextToken"]} if page else {}))
        yield from (each["Name"] for each in page["WorkGroups"])


def _tags(client: Any, account: str, name: str) -> dict[str, str]:
    arn = f"arn:aws:athena:{client.meta.region_name}:{account}:workgroup/{name}"
    pages = client.get_paginator("list_tags_for_resource").paginate(ResourceARN=arn)
    return {each["Key"]: each["Value"] for page in pages for each in page["Tags"]}


def _read_view(glue: Any, athena: Any, wanted: Wanted) -> There | None:
    database, _, name = wanted.name.partition(".")
    try:
        table = glue.get_table(DatabaseName=database, Name=name)["Table"]
    except glue.exceptions.EntityNotFoundException:
        return None
    return There({"Query": statement_of(table), "Workgroup": wanted.definition["Workgroup"]}, _view_tags(table))


def _create_view(glue: Any, athena: Any, wanted: Wanted) -> None:
    glue.create_table(DatabaseName=wanted.name.partition(".")[0], TableInput=_view(athena, wanted))


def _update_view(glue: Any, athena: Any, wanted: Wanted, there: There) -> None:
    glue.update_table(DatabaseName=wanted.name.partition(".")[0], TableInput=_view(athena, wanted))


def _view(athena: Any, wanted: Wanted) -> dict[str, Any]:
    """As Glue takes it."""
    database, _, name = wanted.name.partition(".")
    columns = tuple(OutputColumn(column, kind) for column, kind in _columns(athena, wanted))
    view = View(database, name, columns, wanted.definition["Query"]).table_input
    return {**view, "Parameters": {**view["Parameters"], **wanted.tags}}


def _columns(athena: Any, wanted: Wanted) -> Iterator[tuple[str, DataType]]:
    """Of a view, by a query that asks for no row.

    Raises:
        PermanentFailure: Athena refuses the query, or a column has a type that tables here have not.
        TransientFailure: there is no answer for too long.
    """
    id = athena.start_query_execution(
        QueryString=f"SELECT * FROM (\n{wanted.definition['Query']}\n) LIMIT 0",
        QueryExecutionContext={"Database": wanted.name.partition(".")[0]},
        WorkGroup=wanted.definition["Workgroup"],
    )["QueryExecutionId"]
    status = awaited(partial(_ended, athena, id))
    if status is None:
        athena.stop_query_execution(QueryExecutionId=id)
        raise TransientFailure(f"{wanted.key}: Athena did not answer the query {id} in time; apply again")
    if status["State"] != "SUCCEEDED":
        raise PermanentFailure(f"{wanted.key}: Athena refuses it: {status.get('StateChangeReason', status['State'])}")
    found = athena.get_query_results(QueryExecutionId=id)["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]
    for column in found:
        kind = _TYPES.get(column["Type"], column["Type"])
        if kind == "decimal":
            kind = f"decimal({column['Precision']},{column['Scale']})"
        try:
            yield column["Name"], parse_type(kind)
        except ValueError as e:
            raise PermanentFailure(f"{wanted.key}: column {column['Name']}: {e}; cast it") from e


def _ended(athena: Any, id: str) -> dict[str, Any] | None:
    status: dict[str, Any] = athena.get_query_execution(QueryExecutionId=id)["QueryExecution"]["Status"]
    return status if status["State"] in ("SUCCEEDED", "FAILED", "CANCELLED") else None


def _tagged_views(glue: Any, athena: Any, place: Place) -> Iterator[Tagged]:
    prefix = place.settings.database_prefix
    for databases in glue.get_paginator("get_databases").paginate():
        for database in (each["Name"] for each in databases["DatabaseList"] if each["Name"].startswith(prefix)):
            for page in glue.get_paginator("get_tables").paginate(DatabaseName=database):
                for table in page["TableList"]:
                    if table.get("TableType") == VIEW and (tags := _view_tags(table)):
                        yield Tagged(CATALOG_VIEW, f"{database}.{table['Name']}", tags)


def _view_tags(table: dict[str, Any]) -> dict[str, str]:
    return {name: value for name, value in table.get("Parameters", {}).items() if name in (SOURCE, TABLE)}


_VIEWS = Kind("glue", _read_view, _create_view, _update_view, _tagged_views, also="athena", deployable=False)
REGISTRATION = Registration(
    wanted,
    {
        WORKGROUP: Kind("athena", _read_group, _create_group, _update_group, _tagged_groups),
        CATALOG_VIEW: _VIEWS,
    },
)
