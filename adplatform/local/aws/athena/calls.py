"""Operations of the stand-in of Athena: those that moto lacks, or whose answers are not Athena's."""

import copy
import re
import uuid
from collections.abc import Mapping
from typing import Any

from moto.athena.responses import AthenaResponse
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, EmptyResult

from adplatform.local.aws import shapes
from adplatform.local.aws.athena import executions
from adplatform.local.aws.athena.executions import ENDED, KEPT, SERVICE, Execution
from adplatform.local.aws.managed import CONTROL

_PAGE = 1_000
_TRINO = {"string": "varchar", "int": "integer"}


class InvalidRequestException(ServiceException):
    code = "InvalidRequestException"


class TooManyRequestsException(ServiceException):
    code = "TooManyRequestsException"


class InternalServerException(ServiceException):
    code = "InternalServerException"


class LocalAthenaResponse(AthenaResponse):
    """``params`` is the request as the service model parses it."""

    def __init__(self) -> None:
        super().__init__()
        self.automated_parameter_parsing = True

    def call_action(self) -> Any:
        if refusal := shapes.refusal(SERVICE, self._get_action(), self.params):
            return self.serialized(ActionResult(InvalidRequestException(refusal)))
        return super().call_action()

    def serialized(self, action_result: ActionResult) -> Any:
        status, headers, body = super().serialized(action_result)
        return 500 if isinstance(action_result.result, InternalServerException) else status, headers, body

    def get_work_group(self) -> Any:
        """moto answers with nothing of one that is not there."""
        self._group(self.params["WorkGroup"])
        return super().get_work_group()

    def update_work_group(self) -> Any:
        """moto has none."""
        group, asked = self._group(self.params["WorkGroup"]), self.params.get("ConfigurationUpdates", {})
        changed = {name: value for name, value in asked.items() if not name.startswith("Remove")}
        results = changed.pop("ResultConfigurationUpdates", {})
        group.configuration = _updated({**group.configuration, **changed}, asked)
        before = group.configuration.get("ResultConfiguration", {})
        group.configuration["ResultConfiguration"] = _updated({**before, **_kept(results)}, results)
        group.description = self.params.get("Description", group.description)
        group.state = self.params.get("State", group.state)
        return EmptyResult()

    def list_tags_for_resource(self) -> Any:
        """To moto what has no tags is not there."""
        tags = self.athena_backend.list_tags_for_resource(self.params["ResourceARN"]) or {"Tags": []}
        return ActionResult({"Tags": tags["Tags"]})

    def create_named_query(self) -> Any:
        """moto forgets tokens."""
        tokens = self.athena_backend.__dict__.setdefault("tokens", {})
        token = self.params.get("ClientRequestToken")
        if token in tokens:
            return ActionResult({"NamedQueryId": tokens[token]})
        group = self._group(self.params.get("WorkGroup", "primary"))
        asked = (self.params.get("Description", ""), self.params["Database"], self.params["QueryString"])
        id = self.athena_backend.create_named_query(self.params["Name"], *asked, group.name)
        if token:
            tokens[token] = id
        return ActionResult({"NamedQueryId": id})

    def update_named_query(self) -> Any:
        """moto has none."""
        query = self.athena_backend.get_named_query(self.params["NamedQueryId"])
        if query is None:
            raise InvalidRequestException(f"NamedQuery {self.params['NamedQueryId']} was not found")
        query.name, query.query_string = self.params["Name"], self.params["QueryString"]
        query.description = self.params.get("Description", query.description)
        return EmptyResult()

    def batch_get_named_query(self) -> Any:
        """moto has none."""
        queries = [self.athena_backend.get_named_query(id) for id in self.params["NamedQueryIds"]]
        told = [
            {
                "Name": each.name,
                "Description": each.description,
                "Database": each.database,
                "QueryString": each.query_string,
                "NamedQueryId": each.id,
                "WorkGroup": each.workgroup.name,
            }
            for each in queries
            if each is not None
        ]
        return ActionResult({"NamedQueries": told, "UnprocessedNamedQueryIds": []})

    def start_query_execution(self) -> Any:
        """moto forgets tokens, where results go, and what was asked."""
        asked, known = dict(self.params), self._executions
        group = self._group(asked.get("WorkGroup", "primary"))
        token = asked.get("ClientRequestToken")
        again = next((each for each in known.values() if token and each.asked.get("ClientRequestToken") == token), None)
        if again is not None and again.asked != asked:
            raise InvalidRequestException("Idempotent parameters do not match")
        if CONTROL.take(SERVICE, "throttled", group.name):
            raise TooManyRequestsException("Rate exceeded")
        made = again or self._begun(group, asked)
        if CONTROL.take(SERVICE, "answer_lost", group.name):
            raise InternalServerException("An internal error occurred.")
        return ActionResult({"QueryExecutionId": made.id})

    def get_query_execution(self) -> Any:
        return ActionResult({"QueryExecution": _told(self._execution())})

    def batch_get_query_execution(self) -> Any:
        known = self._executions
        ids = self.params["QueryExecutionIds"]
        return ActionResult({"QueryExecutions": [_told(known[id]) for id in ids if id in known]})

    def get_query_runtime_statistics(self) -> Any:
        """moto's are the same for each."""
        execution = self._execution()
        rows = execution.result.written or len(execution.result.answer.rows) if execution.result else 0
        return ActionResult({"QueryRuntimeStatistics": {"Rows": {"OutputRows": rows}}})

    def get_query_results(self) -> Any:
        execution = self._execution()
        if execution.result is None:
            raise InvalidRequestException(f"Query did not finish successfully. Final query state: {execution.status}")
        found = execution.result
        head = [found.answer.names] if found.answer.names else []
        rows = [*head, *found.answer.rows]
        begin, most = int(self.params.get("NextToken", "0")), self.params.get("MaxResults") or _PAGE
        shown = [{"Data": [_value(each) for each in row]} for row in rows[begin : begin + most]]
        columns = [_column(name, kind) for name, kind in found.types.items()]
        more = {"NextToken": str(begin + most)} if len(rows) > begin + most else {}
        return ActionResult({"ResultSet": {"Rows": shown, "ResultSetMetadata": {"ColumnInfo": columns}}, **more})

    def stop_query_execution(self) -> Any:
        execution = self._execution()
        if execution.status not in ENDED:
            execution.end("CANCELLED", "Query cancelled by user")
        return EmptyResult()

    def list_query_executions(self) -> Any:
        """The newest first."""
        group = self.params.get("WorkGroup", "primary")
        ids = [each.id for each in reversed(self._executions.values()) if each.group == group]
        begin, most = int(self.params.get("NextToken", "0")), self.params.get("MaxResults") or 50
        more = {"NextToken": str(begin + most)} if len(ids) > begin + most else {}
        return ActionResult({"QueryExecutionIds": ids[begin : begin + most], **more})

    @property
    def _executions(self) -> dict[str, Execution]:
        known: dict[str, Any] = self.athena_backend.executions
        since = CONTROL.now() - KEPT
        for id in [each.id for each in known.values() if each.submitted < since]:
            del known[id]
        return known

    def _execution(self) -> Execution:
        found = self._executions.get(self.params["QueryExecutionId"])
        if found is None or CONTROL.take(SERVICE, "no_records", found.group):
            raise InvalidRequestException(f"QueryExecution {self.params['QueryExecutionId']} was not found")
        return found

    def _group(self, name: str) -> Any:
        if name not in self.athena_backend.work_groups:
            raise InvalidRequestException(f"WorkGroup {name} is not found.")
        return self.athena_backend.work_groups[name]

    def _begun(self, group: Any, asked: dict[str, Any]) -> Execution:
        if group.state != "ENABLED":
            raise InvalidRequestException(f"WorkGroup {group.name} is disabled.")
        enforced = group.configuration.get("EnforceWorkGroupConfiguration")
        own, theirs = group.configuration.get("ResultConfiguration", {}), asked.get("ResultConfiguration", {})
        place = (own if enforced else {**own, **theirs}).get("OutputLocation")
        if not place:
            raise InvalidRequestException(
                "No output location provided. An output location is required either through the Workgroup result "
                "configuration setting or as an API input."
            )
        id = str(uuid.uuid4())
        made = Execution(id, asked, group.name, f"{place.rstrip('/')}/{id}.csv", CONTROL.now())
        self._executions[id] = made
        executions.begin(made, self.region)
        return made


def _kept(updates: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in updates.items() if not name.startswith("Remove")}


def _updated(configuration: dict[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is asked to be removed, as ``RemoveOutputLocation``."""
    gone = {re.sub(r"^Remove", "", name) for name, value in asked.items() if name.startswith("Remove") and value}
    return copy.deepcopy({name: value for name, value in configuration.items() if name not in gone})


def _told(execution: Execution) -> dict[str, Any]:
    took = round(((execution.ended or CONTROL.now()) - execution.submitted).total_seconds() * 1000)
    result = execution.result
    status = {
        "State": execution.status,
        "SubmissionDateTime": execution.submitted,
        **({"CompletionDateTime": execution.ended} if execution.ended else {}),
        **({"StateChangeReason": execution.reason} if execution.reason else {}),
    }
    return {
        "QueryExecutionId": execution.id,
        "Query": execution.asked["QueryString"],
        "StatementType": result.kind if result else "DML",
        **({"SubstatementType": result.substatement} if result else {}),
        "ResultConfiguration": {"OutputLocation": execution.output},
        "QueryExecutionContext": execution.asked.get("QueryExecutionContext", {}),
        "Status": status,
        "Statistics": {
            "EngineExecutionTimeInMillis": took,
            "TotalExecutionTimeInMillis": took,
            "DataScannedInBytes": 0,
        },
        "WorkGroup": execution.group,
    }


def _value(value: Any) -> dict[str, str]:
    if value is None:
        return {}
    return {"VarCharValue": str(value).lower() if isinstance(value, bool) else str(value)}


def _column(name: str, kind: str) -> dict[str, Any]:
    base, _, size = kind.partition("(")
    precision, _, scale = size.rstrip(")").partition(",")
    return {
        "CatalogName": "hive",
        "Name": name,
        "Label": name,
        "Type": _TRINO.get(base, base),
        "Precision": int(precision or 0),
        "Scale": int(scale or 0),
    }
