"""Calls of a service whose requests and answers have the shapes of botocore's model: valid requests, refusals, pages,
tags, and faults that every call may have."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from moto.backends import get_backend
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse

from adplatform.local.aws import shapes
from adplatform.local.aws.answers import after, hang_up
from adplatform.local.aws.managed import CONTROL

FAULTS: Mapping[str, str] = {
    "answer_lost": "the next call that changes something does, but its connection ends before the answer",
    "refused": "the next call that changes something is not allowed, and changes nothing",
    "throttled": "the next call is refused as one too many",
}
"""Of each such service, by the name of what the call is about."""


class Refusal(ServiceException):
    """An error of the service's model, which says which HTTP status it has: a code and a message."""


class ModelledResponse(BaseResponse):
    """``service`` is the name of boto3, ``subjects`` the parameters that name what a call is about."""

    service: ClassVar[str]
    subjects: ClassVar[tuple[str, ...]]

    def __init__(self) -> None:
        BaseResponse.__init__(self, service_name=self.service)
        self.automated_parameter_parsing = True
        self._before_answer: list[Callable[[], None]] = []

    @property
    def backend(self) -> Any:
        return get_backend(self.service)[self.current_account][self.region]

    @property
    def asked(self) -> dict[str, Any]:
        """The request, those of its path among the members."""
        return {**self.params, **(self.uri_match or {})}

    @property
    def about(self) -> str:
        return next((str(self.asked[name]) for name in self.subjects if self.asked.get(name)), "")

    def call_action(self) -> Any:
        """As moto's, but for what is refused before, and answers that are lost."""
        refusal = self._refusal()
        if refusal is not None:
            return self.serialized(ActionResult(refusal))
        status, headers, body = super().call_action()
        lost = status < 300 and self._changes and CONTROL.take(self.service, "answer_lost", self.about)
        return status, headers, after([hang_up], body) if lost else body

    def page(self, name: str, entries: Iterable[Mapping[str, Any]], most: int) -> dict[str, Any]:
        """
        Raises:
            Refusal: the token is not from a page before.
        """
        told, asked = list(entries), self.asked
        token = asked.get("nextToken", "0")
        if not token.isdecimal() or int(token) > len(told):
            raise Refusal("ValidationException", "The nextToken is not valid.")
        begin = int(token)
        end = begin + int(asked.get("maxResults") or most)
        return {name: told[begin:end], "nextToken": str(end) if end < len(told) else None}

    @property
    def _changes(self) -> bool:
        return not self._get_action().startswith(("Get", "List"))

    def _refusal(self) -> Refusal | None:
        if CONTROL.take(self.service, "throttled", self.about):
            return Refusal("ThrottlingException", "Rate exceeded")
        if self._changes and CONTROL.take(self.service, "refused", self.about):
            return Refusal("AccessDeniedException", f"{self._get_action()} is not authorized")
        refusal = shapes.refusal(self.service, self._get_action(), self.asked)
        return Refusal("ValidationException", refusal) if refusal else None
