"""What all calls share: refusals, faults, pages, and what happens before an answer."""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from moto.backends import get_backend
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.transfer.responses import TransferResponse

from adplatform.local.aws import managed, shapes
from adplatform.local.aws.answers import after
from adplatform.local.aws.managed import CONTROL
from adplatform.local.aws.transfer.errors import (
    STATUS,
    InternalServiceError,
    InvalidRequestException,
    ServiceUnavailableException,
    ThrottlingException,
)
from adplatform.local.aws.transfer.state import ConnectorBackend

_PAGE = 1000
_AN_HOUR = 3600.0
_SUBJECTS = ("ConnectorId", "ServerId", "WorkflowId")


class ConnectorAnswers(TransferResponse):
    """``params`` is the request as the service model parses it."""

    def __init__(self) -> None:
        super().__init__()
        self.automated_parameter_parsing = True
        self.before_answer: list[Callable[[], None]] = []

    @property
    def transfer_backend(self) -> ConnectorBackend:
        found: ConnectorBackend = get_backend("transfer")[self.current_account][self.region]
        return found

    def call_action(self) -> Any:
        refusal = self._refusal()
        if refusal is None:
            status, headers, body = super().call_action()
            return status, headers, after(self.before_answer, body) if self.before_answer else body
        status, headers, body = self.serialized(ActionResult(refusal))
        return STATUS.get(type(refusal), status), headers, body

    def page(
        self,
        name: str,
        entries: Iterable[Mapping[str, Any]],
        refused: type[ServiceException] = InvalidRequestException,
    ) -> dict[str, Any]:
        """
        Raises:
            ServiceException: as ``refused``: the token is not from a page before.
        """
        told = list(entries)
        token = self.params.get("NextToken", "0")
        if not token.isdecimal() or int(token) > len(told):
            raise refused(f"Invalid NextToken {token}.")
        begin = int(token)
        end = begin + (self.params.get("MaxResults") or _PAGE)
        return {name: told[begin:end], "NextToken": str(end) if end < len(told) else None}

    def _refusal(self) -> ServiceException | None:
        """Why the request is refused before its operation sees it; None if it is not."""
        about = next((self.params[name] for name in _SUBJECTS if self.params.get(name)), "")
        if CONTROL.take("transfer", "internal_error", about):
            return InternalServiceError()
        if CONTROL.take("transfer", "unavailable", about):
            return ServiceUnavailableException()
        if throttled := CONTROL.take("transfer", "throttled", about):
            return ThrottlingException(throttled.seconds or 1)
        if refusal := shapes.refusal("transfer", self._get_action(), self.params):
            return InvalidRequestException(refusal)
        _take_faults(self.transfer_backend, about)
        return None


def _take_faults(backend: ConnectorBackend, about: str) -> None:
    """Those that change what is told of a connector, at whichever call about it comes next."""
    connector = backend.connectors.get(about)
    if connector is None:
        return
    for name, status in (("connector_errored", "ERRORED"), ("connector_pending", "PENDING")):
        if fault := CONTROL.take("transfer", name, about):
            connector.condition = (status, CONTROL.now() + timedelta(seconds=fault.seconds or _AN_HOUR))
            managed.changed("transfer")
    if fault := CONTROL.take("transfer", "listing_rate", about):
        backend.listings_limited_until[about] = CONTROL.now() + timedelta(seconds=fault.seconds or _AN_HOUR)
        managed.changed("transfer")
    if CONTROL.take("transfer", "history_expired", about):
        backend.operations = {
            name: each for name, each in backend.operations.items() if each.connector != about or not each.has_ended
        }
        managed.changed("transfer")
