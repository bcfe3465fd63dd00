"""Data sources and data sets of Amazon QuickSight, with who owns them and when they are imported.

Facts: API reference of QuickSight. An update of a data set replaces all of it and imports it anew, so that it is made
only for what it changes, and with what others have added: calculated fields, folders, security of rows and columns.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from adplatform.consumers.quicksight import COLUMN_TYPES
from adplatform.consumers.registration.changes import differing
from adplatform.consumers.registration.resource import NAME_PREFIX, Kind, Place, Registration, Tagged, There, Wanted
from adplatform.consumers.table import Column, ConsumedTable
from adplatform.contracts.consumers import QuickSight
from adplatform.lake.table import TableName
from adplatform.platform.names import within
from adplatform.platform.settings import PREFIX, Settings

DATA_SOURCE, DATA_SET = "data source", "data set"
SCHEDULE = "adplatform"
"""The id of the schedule of each data set that has one."""
_LONGEST_NAME = 128
"""Characters (API_CreateDataSet)."""
_TABLE = "table"
_CATALOG = "AwsDataCatalog"
_TIME = {"TimeOfTheDay": "06:00", "Timezone": "UTC"}
_SCHEDULES: Mapping[str, Mapping[str, Any]] = {
    "hourly": {"Interval": "HOURLY", "Timezone": "UTC"},
    "daily": {"Interval": "DAILY", **_TIME},
    "weekly": {"Interval": "WEEKLY", "RefreshOnDay": {"DayOfWeek": "MONDAY"}, **_TIME},
    "monthly": {"Interval": "MONTHLY", "RefreshOnDay": {"DayOfMonth": "1"}, **_TIME},
}
_OWNERS: Mapping[str, tuple[str, ...]] = {
    DATA_SOURCE: (
        *("DescribeDataSource", "DescribeDataSourcePermissions", "PassDataSource"),
        *("UpdateDataSource", "DeleteDataSource", "UpdateDataSourcePermissions"),
    ),
    DATA_SET: (
        *("DescribeDataSet", "DescribeDataSetPermissions", "PassDataSet", "DescribeIngestion", "ListIngestions"),
        *("UpdateDataSet", "DeleteDataSet", "CreateIngestion", "CancelIngestion", "UpdateDataSetPermissions"),
    ),
}
"""What an owner may do; other sets of actions than those of owners and viewers are refused."""
_OF_DATA_SET = ("Name", "ImportMode", "PhysicalTableMap")
_OF_OTHERS = (
    *("LogicalTableMap", "ColumnGroups", "FieldFolders", "RowLevelPermissionDataSet"),
    *("RowLevelPermissionTagConfiguration", "ColumnLevelPermissionRules", "DataSetUsageConfiguration"),
    *("DatasetParameters", "PerformanceConfiguration"),
)
"""What people add to a data set."""


def lacking(_: QuickSight, settings: Settings) -> Iterator[str]:
    if not settings.quicksight_principal.startswith("arn:"):
        yield f"nobody would see it: set {PREFIX}QUICKSIGHT_PRINCIPAL to the ARN of a user or group of QuickSight"


def data_set_id(table: ConsumedTable | TableName) -> str:
    """Of the data set of a table, and of its data source, as QuickSight and people know them."""
    return within(_LONGEST_NAME, NAME_PREFIX, f"{table.database}-{table.name}")


def wanted(table: ConsumedTable, settings: QuickSight, place: Place) -> Iterator[Wanted]:
    own, id = place.settings, data_set_id(table)
    of = (id, table.source, table.qualified)
    source = Wanted(
        "quicksight",
        DATA_SOURCE,
        *of,
        {
            "Name": id,
            "Type": "ATHENA",
            "DataSourceParameters": {"AthenaParameters": {"WorkGroup": own.quicksight_workgroup}},
            "Permissions": _owner(DATA_SOURCE, own.quicksight_principal),
            "Failure": "",
        },
        account=place.account,
    )
    yield source
    columns = table.seen.named(settings.columns) if settings.columns else table.seen.presentable
    relational = {
        "DataSourceArn": f"arn:aws:quicksight:{place.region}:{place.account}:datasource/{id}",
        "Catalog": _CATALOG,
        "Schema": table.database,
        "Name": table.name,
        "InputColumns": [{"Name": column.name, "Type": _type(column)} for column in columns],
    }
    definition = {
        "Name": id,
        "ImportMode": "SPICE",
        "PhysicalTableMap": {_TABLE: {"RelationalTable": relational}},
        "Permissions": _owner(DATA_SET, own.quicksight_principal),
        "Schedule": _schedule(settings),
    }
    yield Wanted("quicksight", DATA_SET, *of, definition, requires=(source.key,), account=place.account)


def _type(column: Column) -> str:
    """As QuickSight calls what Athena has; a boolean is 0 or 1 only once it is imported."""
    return "BOOLEAN" if column.type.name == "boolean" else COLUMN_TYPES[column.type.name]


def _owner(kind: str, principal: str) -> list[dict[str, Any]]:
    return [{"Principal": principal, "Actions": sorted(f"quicksight:{action}" for action in _OWNERS[kind])}]


def _schedule(settings: QuickSight) -> dict[str, Any] | None:
    """None where publications import the data set."""
    if settings.refresh == "published":
        return None
    frequency = _SCHEDULES[settings.refresh]
    return {"ScheduleId": SCHEDULE, "ScheduleFrequency": frequency, "RefreshType": "FULL_REFRESH"}


def _read_source(client: Any, wanted: Wanted) -> There | None:
    named = _source(wanted)
    found = _found(client, client.describe_data_source, **named)
    if found is None:
        return None
    source = found["DataSource"]
    granted = client.describe_data_source_permissions(**named)["Permissions"]
    definition = {
        "Name": source["Name"],
        "Type": source["Type"],
        "DataSourceParameters": source.get("DataSourceParameters"),
        "Permissions": _granted(granted, wanted),
        "Failure": source.get("ErrorInfo", {}).get("Message"),
    }
    do = "it reads by something else than Athena: delete it, and apply again"
    return There(definition, _tags(client, source["Arn"]), fixed={"Type": do})


def _create_source(client: Any, wanted: Wanted) -> None:
    given = {name: value for name, value in wanted.definition.items() if name != "Failure"}
    client.create_data_source(**_source(wanted), **given, Tags=_given(wanted))


def _update_source(client: Any, wanted: Wanted, there: There) -> None:
    """Also where the connection has failed, so that it is tried again."""
    changed = differing(wanted, there)
    if changed - {"Permissions"}:
        given = {name: wanted.definition[name] for name in ("Name", "DataSourceParameters")}
        client.update_data_source(**_source(wanted), **given)
    if "Permissions" in changed:
        client.update_data_source_permissions(**_source(wanted), GrantPermissions=wanted.definition["Permissions"])


def _read_set(client: Any, wanted: Wanted) -> There | None:
    named = _set(wanted)
    found = _found(client, client.describe_data_set, **named)
    if found is None:
        return None
    data_set = found["DataSet"]
    granted = client.describe_data_set_permissions(**named)["Permissions"]
    schedules = client.list_refresh_schedules(**named)["RefreshSchedules"]
    definition = {
        "Name": data_set["Name"],
        "ImportMode": data_set["ImportMode"],
        "PhysicalTableMap": {id: _table(table) for id, table in data_set["PhysicalTableMap"].items()},
        "Permissions": _granted(granted, wanted),
        "Schedule": next((_scheduled(each, wanted) for each in schedules if each["ScheduleId"] == SCHEDULE), None),
    }
    do = "publications import it, and nothing is deleted here: delete the schedule"
    fixed = {"Schedule": do} if definition["Schedule"] and not wanted.definition["Schedule"] else {}
    return There(definition, _tags(client, data_set["Arn"]), fixed=fixed)


def _table(table: Mapping[str, Any]) -> dict[str, Any]:
    """Without what QuickSight fills in of columns: ids, and the sub types of decimals."""
    relational = table.get("RelationalTable")
    if relational is None:
        return dict(table)
    columns = [{name: column[name] for name in ("Name", "Type")} for column in relational["InputColumns"]]
    return {"RelationalTable": {**relational, "InputColumns": columns}}


def _scheduled(schedule: Mapping[str, Any], wanted: Wanted) -> dict[str, Any]:
    """Without what QuickSight fills in: when it begins, and the hour of one that has none."""
    declared = wanted.definition["Schedule"]
    frequency = schedule["ScheduleFrequency"]
    if declared and declared["ScheduleFrequency"]["Interval"] == frequency["Interval"]:
        frequency = {name: frequency.get(name) for name in declared["ScheduleFrequency"]}
    return {"ScheduleId": SCHEDULE, "ScheduleFrequency": frequency, "RefreshType": schedule["RefreshType"]}


def _create_set(client: Any, wanted: Wanted) -> None:
    given = {name: wanted.definition[name] for name in (*_OF_DATA_SET, "Permissions")}
    client.create_data_set(**_set(wanted), **given, Tags=_given(wanted))
    if schedule := wanted.definition["Schedule"]:
        client.create_refresh_schedule(**_set(wanted), Schedule=schedule)


def _update_set(client: Any, wanted: Wanted, there: There) -> None:
    named, now, changed = _set(wanted), wanted.definition, differing(wanted, there)
    if changed.intersection(_OF_DATA_SET):
        data_set = client.describe_data_set(**named)["DataSet"]
        kept = {name: data_set[name] for name in _OF_OTHERS if data_set.get(name)}
        client.update_data_set(**named, **kept, **{name: now[name] for name in _OF_DATA_SET})
    if "Permissions" in changed:
        client.update_data_set_permissions(**named, GrantPermissions=now["Permissions"])
    if now["Schedule"] and "Schedule" in changed:
        change = client.update_refresh_schedule if there.definition["Schedule"] else client.create_refresh_schedule
        change(**named, Schedule=now["Schedule"])


def _tagged_sources(client: Any, place: Place) -> Iterator[Tagged]:
    for page in client.get_paginator("list_data_sources").paginate(AwsAccountId=place.account):
        for each in page["DataSources"]:
            yield from _tagged(client, DATA_SOURCE, each["DataSourceId"], each["Arn"])


def _tagged_sets(client: Any, place: Place) -> Iterator[Tagged]:
    for page in client.get_paginator("list_data_sets").paginate(AwsAccountId=place.account):
        for each in page["DataSetSummaries"]:
            yield from _tagged(client, DATA_SET, each["DataSetId"], each["Arn"])


def _tagged(client: Any, kind: str, id: str, arn: str) -> Iterator[Tagged]:
    if id.startswith(f"{NAME_PREFIX}-"):
        yield Tagged(kind, id, _tags(client, arn))


def _found(client: Any, describe: Callable[..., Any], **named: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = describe(**named)
    except client.exceptions.ResourceNotFoundException:
        return None
    return found


def _granted(permissions: list[dict[str, Any]], wanted: Wanted) -> list[dict[str, Any]]:
    """What the declared owner may do; whom else people have let in is theirs."""
    owners = {each["Principal"] for each in wanted.definition["Permissions"]}
    shown = [each for each in permissions if each["Principal"] in owners]
    return [{"Principal": each["Principal"], "Actions": sorted(each["Actions"])} for each in shown]


def _source(wanted: Wanted) -> dict[str, str]:
    return {"AwsAccountId": wanted.account, "DataSourceId": wanted.name}


def _set(wanted: Wanted) -> dict[str, str]:
    return {"AwsAccountId": wanted.account, "DataSetId": wanted.name}


def _given(wanted: Wanted) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in wanted.tags.items()]


def _tags(client: Any, arn: str) -> dict[str, str]:
    return {each["Key"]: each["Value"] for each in client.list_tags_for_resource(ResourceArn=arn)["Tags"]}


REGISTRATION = Registration(
    wanted,
    {
        DATA_SOURCE: Kind("quicksight", _read_source, _create_source, _update_source, _tagged_sources),
        DATA_SET: Kind("quicksight", _read_set, _create_set, _update_set, _tagged_sets),
    },
    lacking,
)
