"""Operations of the stand-in of QuickSight."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import uuid4

from moto.backends import get_backend
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse

from adplatform.local.aws import shapes
from adplatform.local.aws.managed import CONTROL
from adplatform.local.aws.quicksight import ingestions
from adplatform.local.aws.quicksight.state import (
    ACTIONS,
    DataSet,
    DataSource,
    Ingestion,
    InternalFailureException,
    InvalidParameterValueException,
    LimitExceededException,
    QuickSightBackend,
    ResourceExistsException,
    ResourceNotFoundException,
    Shared,
    ThrottlingException,
)

_SERVICE = "quicksight"
_PAGE = 100
_MOST_SCHEDULES = 5
_NOT_KEPT = frozenset({"AwsAccountId", "DataSetId", "DataSourceId", "Permissions", "Tags", "Type", "FolderArns"})
"""Members of a request that are no settings of what it makes."""
_SHOWN_AS = {"BIT": "INTEGER", "BOOLEAN": "INTEGER", "JSON": "STRING"}


class QuickSightResponse(BaseResponse):
    """``params`` is the request as the service model parses it."""

    def __init__(self) -> None:
        super().__init__(service_name=_SERVICE)
        self.automated_parameter_parsing = True

    @property
    def backend(self) -> QuickSightBackend:
        found: QuickSightBackend = get_backend(_SERVICE)[self.current_account][self.region]
        return found

    def call_action(self) -> Any:
        refusal = self._refusal()
        return super().call_action() if refusal is None else self.serialized(ActionResult(refusal))

    def _refusal(self) -> ServiceException | None:
        """Why the request is refused before its operation sees it; None if it is not."""
        if CONTROL.take(_SERVICE, "throttled", self.params.get("DataSetId", "")):
            return ThrottlingException("Rate exceeded")
        refusal = shapes.refusal(_SERVICE, self._get_action(), self.params)
        return InvalidParameterValueException(refusal) if refusal else None

    def create_data_source(self) -> ActionResult:
        id, now = self.params["DataSourceId"], CONTROL.now()
        if id in self.backend.data_sources:
            raise ResourceExistsException(f"DataSource {id} already exists")
        made = DataSource(id, self.backend.arn(f"datasource/{id}"), self._settings, now, now, kind=self.params["Type"])
        self._grant(made, "datasource", self.params.get("Permissions", ()))
        self.backend.data_sources[id] = made
        self._tag(made.arn)
        self._connect(made, "CREATION")
        return _source_answer(made, 202, CreationStatus="CREATION_IN_PROGRESS")

    def update_data_source(self) -> ActionResult:
        source = self._data_source
        source.settings, source.updated = self._settings, CONTROL.now()
        self._connect(source, "UPDATE")
        return _source_answer(source, 202, UpdateStatus="UPDATE_IN_PROGRESS")

    def describe_data_source(self) -> ActionResult:
        source = self._data_source
        failed = {"ErrorInfo": {"Type": "GENERIC_SQL_FAILURE", "Message": source.error}} if source.error else {}
        told = {**_told(source), "DataSourceId": source.id, "Type": source.kind, "Status": source.status, **failed}
        return ActionResult({"DataSource": told, "Status": 200})

    def delete_data_source(self) -> ActionResult:
        source = self._data_source
        del self.backend.data_sources[source.id]
        self.backend.tags.pop(source.arn, None)
        return _source_answer(source, 200)

    def list_data_sources(self) -> ActionResult:
        return self._page(
            "DataSources", ({**_told(e), "DataSourceId": e.id} for e in self.backend.data_sources.values())
        )

    def describe_data_source_permissions(self) -> ActionResult:
        source = self._data_source
        return ActionResult({"DataSourceArn": source.arn, "DataSourceId": source.id, **_granted(source)})

    def update_data_source_permissions(self) -> ActionResult:
        source = self._data_source
        self._change_grants(source, "datasource")
        return ActionResult({"DataSourceArn": source.arn, "DataSourceId": source.id, **_granted(source)})

    def create_data_set(self) -> ActionResult:
        id, now = self.params["DataSetId"], CONTROL.now()
        if id in self.backend.data_sets:
            raise ResourceExistsException(f"DataSet {id} already exists")
        self._check_tables()
        made = DataSet(id, self.backend.arn(f"dataset/{id}"), self._settings, now, now)
        self._grant(made, "dataset", self.params.get("Permissions", ()))
        self.backend.data_sets[id] = made
        self._tag(made.arn)
        return self._data_set_answer(made, 201, "INITIAL_INGESTION")

    def update_data_set(self) -> ActionResult:
        data_set = self._data_set
        self._check_tables()
        data_set.settings, data_set.updated = self._settings, CONTROL.now()
        return self._data_set_answer(data_set, 200, "EDIT")

    def describe_data_set(self) -> ActionResult:
        data_set = self._data_set
        ended = [each for each in data_set.ingestions.values() if each.status == "COMPLETED"]
        told = {
            **_told(data_set),
            "DataSetId": data_set.id,
            "OutputColumns": _output(data_set),
            "ConsumedSpiceCapacityInBytes": ended[-1].bytes if ended else 0,
        }
        return ActionResult({"DataSet": told, "Status": 200})

    def delete_data_set(self) -> ActionResult:
        data_set = self._data_set
        del self.backend.data_sets[data_set.id]
        self.backend.tags.pop(data_set.arn, None)
        for ingestion in data_set.going_on:
            ingestion.end("FAILED", CONTROL.now(), ("DATA_SET_DELETED", "The data set was deleted."))
        return ActionResult({"Arn": data_set.arn, "DataSetId": data_set.id, "Status": 200})

    def list_data_sets(self) -> ActionResult:
        return self._page(
            "DataSetSummaries",
            (
                {**_told(each), "DataSetId": each.id, "ImportMode": each.settings["ImportMode"]}
                for each in self.backend.data_sets.values()
            ),
        )

    def describe_data_set_permissions(self) -> ActionResult:
        data_set = self._data_set
        return ActionResult({"DataSetArn": data_set.arn, "DataSetId": data_set.id, **_granted(data_set)})

    def update_data_set_permissions(self) -> ActionResult:
        data_set = self._data_set
        self._change_grants(data_set, "dataset")
        return ActionResult({"DataSetArn": data_set.arn, "DataSetId": data_set.id, **_granted(data_set)})

    def create_refresh_schedule(self) -> ActionResult:
        data_set, id = self._data_set, self.params["Schedule"]["ScheduleId"]
        if id in data_set.schedules:
            raise ResourceExistsException(f"Schedule {id} already exists")
        if not data_set.is_imported:
            raise InvalidParameterValueException(f"DataSet {data_set.id} is not imported into SPICE")
        if len(data_set.schedules) >= _MOST_SCHEDULES:
            raise LimitExceededException(f"A data set has {_MOST_SCHEDULES} schedules at most")
        return self._schedule(data_set)

    def update_refresh_schedule(self) -> ActionResult:
        data_set = self._data_set
        self._known_schedule(data_set, self.params["Schedule"]["ScheduleId"])
        return self._schedule(data_set)

    def describe_refresh_schedule(self) -> ActionResult:
        found = self._known_schedule(self._data_set, self.params["ScheduleId"])
        return ActionResult({"RefreshSchedule": found, "Arn": found["Arn"], "Status": 200})

    def list_refresh_schedules(self) -> ActionResult:
        return ActionResult({"RefreshSchedules": [*self._data_set.schedules.values()], "Status": 200})

    def delete_refresh_schedule(self) -> ActionResult:
        gone = self._known_schedule(self._data_set, self.params["ScheduleId"])
        del self._data_set.schedules[gone["ScheduleId"]]
        return ActionResult({"ScheduleId": gone["ScheduleId"], "Arn": gone["Arn"], "Status": 200})

    def create_ingestion(self) -> ActionResult:
        kind = self.params.get("IngestionType", "FULL_REFRESH")
        begun = ingestions.begin(self._data_set, self.params["IngestionId"], kind, self.region)
        if CONTROL.take(_SERVICE, "answer_lost", self._data_set.id):
            raise InternalFailureException("An internal failure occurred.")
        return _ingestion_answer(begun, 201, IngestionStatus=begun.status)

    def describe_ingestion(self) -> ActionResult:
        data_set = self._data_set
        found = ingestions.found(data_set, self.params["IngestionId"])
        return ActionResult({"Ingestion": ingestions.described(data_set, found), "Status": 200})

    def list_ingestions(self) -> ActionResult:
        """The newest first."""
        data_set = self._data_set
        ingestions.forget(data_set)
        hidden = CONTROL.take(_SERVICE, "no_records", data_set.id)
        shown = () if hidden else reversed(data_set.ingestions.values())
        return self._page("Ingestions", (ingestions.described(data_set, each) for each in shown))

    def cancel_ingestion(self) -> ActionResult:
        data_set = self._data_set
        cancelled = ingestions.found(data_set, self.params["IngestionId"])
        ingestions.cancel(data_set, cancelled, self.region)
        return _ingestion_answer(cancelled, 200)

    def tag_resource(self) -> ActionResult:
        self._tag(self._taggable)
        return ActionResult({"Status": 200})

    def untag_resource(self) -> ActionResult:
        tags = self.backend.tags.get(self._taggable, {})
        for key in self.params["TagKeys"]:
            tags.pop(key, None)
        return ActionResult({"Status": 200})

    def list_tags_for_resource(self) -> ActionResult:
        tags = self.backend.tags.get(self._taggable, {})
        return ActionResult(
            {"Tags": [{"Key": key, "Value": value} for key, value in sorted(tags.items())], "Status": 200}
        )

    @property
    def _settings(self) -> dict[str, Any]:
        return {name: value for name, value in self.params.items() if name not in _NOT_KEPT}

    @property
    def _data_source(self) -> DataSource:
        return self.backend.data_source(self.params["DataSourceId"])

    @property
    def _data_set(self) -> DataSet:
        return self.backend.data_set(self.params["DataSetId"])

    @property
    def _taggable(self) -> str:
        arn: str = self.params["ResourceArn"]
        if not any(arn == each.arn for each in (*self.backend.data_sources.values(), *self.backend.data_sets.values())):
            raise ResourceNotFoundException(f"Resource {arn} is not found")
        return arn

    def _tag(self, arn: str) -> None:
        tags = {tag["Key"]: tag["Value"] for tag in self.params.get("Tags", ())}
        self.backend.tags[arn] = {**self.backend.tags.get(arn, {}), **tags}

    def _connect(self, source: DataSource, act: str) -> None:
        """Tries the connection, as QuickSight does behind the answer."""
        group = source.settings.get("DataSourceParameters", {}).get("AthenaParameters", {}).get("WorkGroup", "primary")
        there = group in get_backend("athena")[self.current_account][self.region].work_groups
        source.status = f"{act}_SUCCESSFUL" if there else f"{act}_FAILED"
        source.error = "" if there else f"WorkGroup {group} is not found."

    def _check_tables(self) -> None:
        """
        Raises:
            NotImplementedError: the data set is not one that the stand-in reads.
            ResourceNotFoundException: there is no data source of it.
            InvalidParameterValueException: a column has no type, or two have one name.
        """
        [*tables] = self.params["PhysicalTableMap"].values()
        if len(tables) != 1 or not {"RelationalTable", "CustomSql"} & tables[0].keys():
            raise NotImplementedError("a data set of other than one table or query")
        [table] = tables[0].values()
        if table["DataSourceArn"] not in {each.arn for each in self.backend.data_sources.values()}:
            raise ResourceNotFoundException(f"DataSource {table['DataSourceArn']} is not found")
        names = [column["Name"] for column in table.get("InputColumns", table.get("Columns", ()))]
        if not names or len(set(names)) < len(names):
            raise InvalidParameterValueException("A table needs columns, each with a name of its own")

    def _data_set_answer(self, data_set: DataSet, status: int, kind: str) -> ActionResult:
        told = {"Arn": data_set.arn, "DataSetId": data_set.id, "Status": status}
        if data_set.is_imported:
            begun = ingestions.begin(data_set, str(uuid4()), kind, self.region)
            told |= {"IngestionArn": begun.arn, "IngestionId": begun.id}
        return ActionResult(told)

    def _grant(self, to: Shared, kind: str, permissions: Iterable[Mapping[str, Any]]) -> None:
        """
        Raises:
            InvalidParameterValueException: such actions are not granted together.
        """
        asked = {each["Principal"]: frozenset(each["Actions"]) for each in permissions}
        for principal, actions in asked.items():
            if to.granted.get(principal, frozenset()) | actions not in ACTIONS[kind]:
                raise InvalidParameterValueException(f"Invalid set of actions: {', '.join(sorted(actions))}")
        to.granted.update({principal: to.granted.get(principal, frozenset()) | asked[principal] for principal in asked})

    def _change_grants(self, of: Shared, kind: str) -> None:
        for each in self.params.get("RevokePermissions", ()):
            left = of.granted.get(each["Principal"], frozenset()) - frozenset(each["Actions"])
            if left and left not in ACTIONS[kind]:
                raise InvalidParameterValueException(f"Invalid set of actions: {', '.join(sorted(left))}")
            of.granted = {**of.granted, each["Principal"]: left}
            if not left:
                del of.granted[each["Principal"]]
        self._grant(of, kind, self.params.get("GrantPermissions", ()))

    def _schedule(self, data_set: DataSet) -> ActionResult:
        asked = self.params["Schedule"]
        arn = f"{data_set.arn}/refresh-schedule/{asked['ScheduleId']}"
        data_set.schedules[asked["ScheduleId"]] = {**asked, "Arn": arn}
        return ActionResult({"ScheduleId": asked["ScheduleId"], "Arn": arn, "Status": 200})

    def _known_schedule(self, data_set: DataSet, id: str) -> dict[str, Any]:
        if id not in data_set.schedules:
            raise ResourceNotFoundException(f"Schedule {id} is not found")
        return data_set.schedules[id]

    def _page(self, name: str, entries: Iterable[Mapping[str, Any]]) -> ActionResult:
        told = list(entries)
        begin = int(self.params.get("NextToken", "0"))
        end = begin + (self.params.get("MaxResults") or _PAGE)
        more = {"NextToken": str(end)} if end < len(told) else {}
        return ActionResult({name: told[begin:end], **more, "Status": 200})


def _told(of: Shared) -> dict[str, Any]:
    return {**of.settings, "Arn": of.arn, "CreatedTime": of.created, "LastUpdatedTime": of.updated}


def _output(data_set: DataSet) -> list[dict[str, str]]:
    [described] = data_set.settings["PhysicalTableMap"].values()
    [table] = described.values()
    return [
        {"Name": column["Name"], "Type": _SHOWN_AS.get(column["Type"], column["Type"])}
        for column in table.get("InputColumns", table.get("Columns", ()))
    ]


def _granted(of: Shared) -> dict[str, Any]:
    grants = [{"Principal": principal, "Actions": sorted(actions)} for principal, actions in of.granted.items()]
    return {"Permissions": grants, "Status": 200}


def _source_answer(source: DataSource, status: int, **more: str) -> ActionResult:
    return ActionResult({"Arn": source.arn, "DataSourceId": source.id, "Status": status, **more})


def _ingestion_answer(ingestion: Ingestion, status: int, **more: str) -> ActionResult:
    return ActionResult({"Arn": ingestion.arn, "IngestionId": ingestion.id, "Status": status, **more})
