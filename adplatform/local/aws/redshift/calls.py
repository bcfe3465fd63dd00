"""Operations of the stand-in of the Data API of Redshift."""

import time
import uuid
from collections.abc import Mapping
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse

from adplatform.local.aws import shapes
from adplatform.local.aws.catalog_queries import Answer
from adplatform.local.aws.managed import CONTROL
from adplatform.local.aws.redshift import statements
from adplatform.local.aws.redshift.state import ENDED, SERVICE, Known, Part, Statement, known
from adplatform.local.aws.state import released

_PAGE = 100
_LOOK_AGAIN_SECONDS = 0.02
_NOT_ASKED = frozenset({"WaitTimeSeconds"})


class ValidationException(ServiceException):
    code = "ValidationException"


class ResourceNotFoundException(ServiceException):
    code = "ResourceNotFoundException"


class ActiveStatementsExceededException(ServiceException):
    code = "ActiveStatementsExceededException"


class InternalServerException(ServiceException):
    code = "InternalServerException"


class RedshiftDataResponse(BaseResponse):
    """``params`` is the request as the service model parses it."""

    def __init__(self) -> None:
        super().__init__(service_name=SERVICE)
        self.automated_parameter_parsing = True

    @property
    def known(self) -> Known:
        return known(self.current_account, self.region)

    def call_action(self) -> Any:
        if refusal := shapes.refusal(SERVICE, self._get_action(), self.params):
            return self.serialized(ActionResult(ValidationException(refusal)))
        return super().call_action()

    def serialized(self, action_result: ActionResult) -> Any:
        status, headers, body = super().serialized(action_result)
        return 500 if isinstance(action_result.result, InternalServerException) else status, headers, body

    def execute_statement(self) -> ActionResult:
        return self._submit([self.params["Sql"]], is_batch=False)

    def batch_execute_statement(self) -> ActionResult:
        return self._submit(self.params["Sqls"], is_batch=True)

    def describe_statement(self) -> ActionResult:
        found, part = self._statement()
        self._wait_for(found)
        told = _told(part) if part else {**_told(found.parts[0]), "Status": found.status}
        if found.is_batch and part is None:
            subs = [{**_told(each), "Id": f"{found.id}:{n}"} for n, each in enumerate(found.parts, 1)]
            told |= {"SubStatements": subs, "HasResultSet": any(each["HasResultSet"] for each in subs)}
            told.pop("QueryString")
        error = {"Error": part.error if part else found.error}
        return ActionResult({**_asked(found), **told, **{n: v for n, v in error.items() if v}, "Id": self.params["Id"]})

    def get_statement_result(self) -> ActionResult:
        found, part = self._statement()
        self._wait_for(found)
        if part is None and found.is_batch:
            raise ResourceNotFoundException("A batch has results of its statements only.")
        answer = (part or found.parts[0]).answer
        if answer is None:
            raise ResourceNotFoundException("Query does not have result.")
        return ActionResult(_result(answer))

    def list_statements(self) -> ActionResult:
        statements.forget(self.known)
        shown = [
            {
                "Id": each.id,
                "Status": each.status,
                "StatementName": each.asked.get("StatementName"),
                "CreatedAt": each.parts[0].created,
                "UpdatedAt": each.parts[-1].updated,
                "IsBatchStatement": each.is_batch,
                **(
                    {"QueryStrings": [p.sql for p in each.parts]}
                    if each.is_batch
                    else {"QueryString": each.parts[0].sql}
                ),
            }
            for each in reversed(self.known.statements.values())
            if self._is_asked_for(each)
        ]
        if CONTROL.take(SERVICE, "no_records", ""):
            shown = []
        begin, most = int(self.params.get("NextToken", "0")), self.params.get("MaxResults") or _PAGE
        more = {"NextToken": str(begin + most)} if len(shown) > begin + most else {}
        return ActionResult({"Statements": shown[begin : begin + most], **more})

    def cancel_statement(self) -> ActionResult:
        found, _ = self._statement()
        if found.status in ENDED:
            raise ValidationException(f"Could not cancel a query that is already in {found.status} state")
        statements.cancel(found)
        return ActionResult({"Status": True})

    def _submit(self, sqls: list[str], *, is_batch: bool) -> ActionResult:
        """A token that is known is for what was submitted with it."""
        statements.forget(self.known)
        asked = {name: value for name, value in self.params.items() if name not in _NOT_ASKED}
        if not asked.get("WorkgroupName") and not asked.get("ClusterIdentifier"):
            raise ValidationException("Either ClusterIdentifier or WorkgroupName is needed.")
        if not asked.get("Database"):
            raise ValidationException("Database is needed.")
        token = asked.get("ClientToken")
        again = [each for each in self.known.statements.values() if token and each.asked.get("ClientToken") == token]
        if again and again[0].asked != asked:
            raise ValidationException("The client token was used with other parameters.")
        now = CONTROL.now()
        made = again[0] if again else Statement(str(uuid.uuid4()), asked, [Part(s, now, now) for s in sqls], is_batch)
        if CONTROL.take(SERVICE, "throttled", made.target):
            raise ActiveStatementsExceededException("The number of active statements exceeds the limit.")
        if not again:
            statements.begin(self.known, made, self.current_account, self.region)
        if CONTROL.take(SERVICE, "answer_lost", made.target):
            raise InternalServerException("An internal error occurred.")
        self._wait_for(made)
        return ActionResult({**_asked(made), "Id": made.id, "CreatedAt": made.parts[0].created, "Status": made.status})

    def _statement(self) -> tuple[Statement, Part | None]:
        """What is asked for, and which part of it where one is."""
        statements.forget(self.known)
        id, _, number = self.params["Id"].partition(":")
        found = self.known.statements.get(id)
        if found is None or CONTROL.take(SERVICE, "no_records", found.target) or int(number or 1) > len(found.parts):
            raise ResourceNotFoundException(f"Query does not exist: {self.params['Id']}")
        return found, found.parts[int(number) - 1] if number else None

    def _wait_for(self, statement: Statement) -> None:
        """For as long as the request says; the lock is held again after that."""
        end = time.monotonic() + (self.params.get("WaitTimeSeconds") or 0)
        while statement.status not in ENDED and time.monotonic() < end:
            with released():
                time.sleep(_LOOK_AGAIN_SECONDS)

    def _is_asked_for(self, statement: Statement) -> bool:
        """By default those that have finished."""
        status, name = self.params.get("Status", "FINISHED"), self.params.get("StatementName", "")
        return status in ("ALL", statement.status) and str(statement.asked.get("StatementName", "")).startswith(name)


def _asked(statement: Statement) -> dict[str, Any]:
    """What answers repeat of a request."""
    names = ("ClusterIdentifier", "WorkgroupName", "Database", "DbUser", "SecretArn")
    return {name: statement.asked[name] for name in names if name in statement.asked}


def _told(part: Part) -> dict[str, Any]:
    rows = len(part.answer.rows) if part.answer else -1
    return {
        "Status": part.status,
        "CreatedAt": part.created,
        "UpdatedAt": part.updated,
        "Duration": round((part.updated - part.created).total_seconds() * 10**9),
        "HasResultSet": part.answer is not None,
        "QueryString": part.sql,
        "ResultRows": rows,
        "ResultSize": rows,
        **({"Error": part.error} if part.error else {}),
    }


def _result(answer: Answer) -> dict[str, Any]:
    columns = [{"name": name, "label": name} for name in answer.names]
    records = [[_field(value) for value in row] for row in answer.rows]
    return {"Records": records, "ColumnMetadata": columns, "TotalNumRows": len(records)}


def _field(value: Any) -> Mapping[str, Any]:
    match value:
        case None:
            return {"isNull": True}
        case bool():
            return {"booleanValue": value}
        case int():
            return {"longValue": value}
        case float():
            return {"doubleValue": value}
        case _:
            return {"stringValue": str(value)}
