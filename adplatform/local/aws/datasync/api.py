"""What the operations of the stand-in of DataSync share: refusals, tags, lists in pages, and filters of lists."""

import operator
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from moto.backends import get_backend
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse

from adplatform.local.aws.answers import after, hang_up
from adplatform.local.aws.datasync.state import DataSyncBackend, InternalException, InvalidRequestException

_MOST_TAGS = 50
_PAGE = 100
_OF_TEXT = frozenset({"Contains", "NotContains", "BeginsWith"})
_COMPARED: Mapping[str, Callable[[Any, Any], bool]] = {
    "Equals": operator.eq,
    "NotEquals": operator.ne,
    "LessThanOrEqual": operator.le,
    "LessThan": operator.lt,
    "GreaterThanOrEqual": operator.ge,
    "GreaterThan": operator.gt,
    "Contains": operator.contains,
    "NotContains": lambda text, part: part not in text,
    "BeginsWith": str.startswith,
}


class DataSyncAnswers(BaseResponse):
    """``params`` is the request as the service model parses it."""

    def __init__(self) -> None:
        super().__init__(service_name="datasync")
        self.automated_parameter_parsing = True
        self.drop_answer = False

    @property
    def backend(self) -> DataSyncBackend:
        found: DataSyncBackend = get_backend("datasync")[self.current_account][self.region]
        return found

    def refusal(self) -> ServiceException | None:
        """Why the request is refused before its operation sees it; None if it is not."""
        raise NotImplementedError

    def call_action(self) -> Any:
        refusal = self.refusal()
        if refusal is None:
            status, headers, body = super().call_action()
            return status, headers, after([hang_up], body) if self.drop_answer else body
        status, headers, body = self.serialized(ActionResult(refusal))
        return 500 if isinstance(refusal, InternalException) else status, headers, body

    def serialized(self, action_result: ActionResult) -> Any:
        status, headers, body = super().serialized(action_result)
        return status, {**headers, "Content-Type": "application/x-amz-json-1.1"}, body

    def tag(self, arn: str) -> None:
        """Gives a resource the tags of the request.

        Raises:
            InvalidRequestException: it would have too many.
        """
        tags = {**self.backend.tags.get(arn, {})}
        tags |= {tag["Key"]: tag.get("Value", "") for tag in self.params.get("Tags", ())}
        if len(tags) > _MOST_TAGS:
            raise InvalidRequestException(f"{arn} would have {len(tags)} tags; {_MOST_TAGS} are allowed.")
        self.backend.tags[arn] = tags

    def page(self, name: str, entries: Iterable[Mapping[str, Any]]) -> ActionResult:
        """
        Raises:
            InvalidRequestException: the token is not from a page before.
        """
        told = list(entries)
        token = self.params.get("NextToken", "0")
        if not token.isdecimal() or int(token) > len(told):
            raise InvalidRequestException(f"Invalid NextToken {token}.")
        begin = int(token)
        end = begin + (self.params.get("MaxResults") or _PAGE)
        return ActionResult({name: told[begin:end], "NextToken": str(end) if end < len(told) else None})

    def filtered(self, entries: Iterable[Any], values: Callable[[Any], Mapping[str, Any]]) -> list[Any]:
        """The entries whose values pass every filter of the request.

        Raises:
            InvalidRequestException: a value of a filter cannot be compared.
        """
        filters = self.params.get("Filters", ())
        return [entry for entry in entries if all(_passes(values(entry)[rule["Name"]], rule) for rule in filters)]


def _passes(value: Any, rule: Mapping[str, Any]) -> bool:
    compared = [_moment(each) for each in rule["Values"]] if isinstance(value, datetime) else list(rule["Values"])
    if rule["Operator"] == "In":
        return value in compared
    if not compared or (isinstance(value, datetime) and rule["Operator"] in _OF_TEXT):
        raise InvalidRequestException(f"Invalid filter of {rule['Name']}.")
    return _COMPARED[rule["Operator"]](value, compared[0])


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as e:
        raise InvalidRequestException(f"{text!r} is no time in ISO 8601.") from e
    return found if found.tzinfo else found.replace(tzinfo=UTC)
