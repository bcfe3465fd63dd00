"""What all calls of the API have in common: valid requests, client tokens, pages, and what happens before an answer.

Requests and answers have the shapes of botocore's service model, and so do the errors.
"""

import base64
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from moto.backends import get_backend
from moto.core.responses import ActionResult, BaseResponse

from adplatform.local.aws import managed, shapes
from adplatform.local.aws.answers import after
from adplatform.local.aws.appflow import schedule
from adplatform.local.aws.appflow.errors import ResourceNotFoundException, ThrottlingException, ValidationException
from adplatform.local.aws.appflow.state import AppflowBackend, Flow

T = TypeVar("T")

PAGE = 20


class Api(BaseResponse):
    def __init__(self) -> None:
        super().__init__(service_name="appflow")
        self.automated_parameter_parsing = True
        self._before_answer: list[Callable[[], None]] = []

    @property
    def _backend(self) -> AppflowBackend:
        backend: AppflowBackend = get_backend("appflow")[self.current_account][self.region]
        return backend

    @property
    def _asked(self) -> dict[str, Any]:
        """The request, valid in every constraint of the model."""
        asked: dict[str, Any] = _aware(dict(self.params) | dict(self.uri_match or {}))
        if refusal := shapes.refusal("appflow", self._get_action(), asked):
            raise ValidationException(refusal)
        if managed.CONTROL.take("appflow", "throttled", asked.get("flowName", "")):
            raise ThrottlingException("Rate exceeded")
        return asked

    def call_action(self) -> Any:
        """As moto's, but what is to happen between the change and the answer happens without the lock, while the
        server asks for the body."""
        schedule.look()
        status, headers, body = super().call_action()
        return status, headers, after(self._before_answer, body) if self._before_answer else body

    def _flow(self, asked: dict[str, Any]) -> Flow:
        flow = self._backend.flows.get(asked["flowName"])
        if flow is None:
            raise ResourceNotFoundException(f"Flow {asked['flowName']} does not exist.")
        return flow

    def _kept(self, of: str, asked: dict[str, Any], answer: dict[str, Any]) -> ActionResult:
        if asked.get("clientToken"):
            self._backend.tokens[of, asked["clientToken"]] = (answer, managed.CONTROL.now())
        return ActionResult(answer)


def _aware(value: Any) -> Any:
    """The value with the instants that moto reads as naive ones in UTC."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value
    if isinstance(value, dict):
        return {name: _aware(item) for name, item in value.items()}
    return [_aware(item) for item in value] if isinstance(value, list) else value


def next_token(place: dict[str, str]) -> str:
    """A nextToken."""
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def position(asked: dict[str, Any]) -> dict[str, str]:
    """Where the nextToken of a request goes on.

    Raises:
        ValidationException: it is not valid.
    """
    try:
        found = json.loads(base64.urlsafe_b64decode(asked["nextToken"]))
        return {"after": str(found["after"]), "again": str(found.get("again", ""))}
    except (KeyError, TypeError, ValueError) as e:
        raise ValidationException("The nextToken is not valid.") from e


def paged(items: Sequence[T], asked: dict[str, Any], name: Callable[[T], str]) -> tuple[list[T], str | None]:
    """The items of a page, in the order of their names, and the token for the next."""
    after = position(asked)["after"] if "nextToken" in asked else ""
    left = [item for item in items if name(item) > after]
    shown = left[: asked.get("maxResults", PAGE)]
    return shown, next_token({"after": name(shown[-1])}) if len(shown) < len(left) else None
