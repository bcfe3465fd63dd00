"""What the calls of the stand-in of DMS share: refusals, filters, and lists in pages."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from moto.backends import get_backend
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.dms.responses import DatabaseMigrationServiceResponse

from adplatform.local.aws import shapes
from adplatform.local.aws.dms.errors import InvalidParameterValueException, ThrottlingException
from adplatform.local.aws.dms.state import DmsBackend
from adplatform.local.aws.managed import CONTROL

T = TypeVar("T")

_PAGE, _LEAST = 100, 20
_ABOUT = ("ReplicationTaskArn", "ReplicationConfigArn")
_NAMED = ("replication-task-arn", "replication-config-arn")


class DmsAnswers(DatabaseMigrationServiceResponse):
    """``params`` is the request as the service model parses it."""

    def __init__(self) -> None:
        super().__init__()
        self.automated_parameter_parsing = True

    @property
    def backend(self) -> DmsBackend:
        found: DmsBackend = get_backend("dms")[self.current_account][self.region]
        return found

    def call_action(self) -> Any:
        refusal = self._refusal()
        return super().call_action() if refusal is None else self.serialized(ActionResult(refusal))

    def serialized(self, action_result: ActionResult) -> Any:
        status, headers, body = super().serialized(action_result)
        return status, {**headers, "Content-Type": "application/x-amz-json-1.1"}, body

    def _refusal(self) -> ServiceException | None:
        named = (rule["Values"][0] for rule in self.params.get("Filters", ()) if rule.get("Name") in _NAMED)
        about = next((self.params[name] for name in _ABOUT if name in self.params), next(named, ""))
        if CONTROL.take("dms", "throttled", about):
            return ThrottlingException("Rate exceeded")
        refusal = shapes.refusal("dms", self._get_action(), self.params)
        return InvalidParameterValueException(refusal) if refusal else None

    def asked(self) -> dict[str, Any]:
        """The request, its moments with their zone."""
        return {name: _aware(value) for name, value in self.params.items()}

    def filtered(self, entries: Iterable[T], values: Mapping[str, Callable[[T], Iterable[str]]]) -> list[T]:
        """The entries of which each filter of the request has some value.

        Raises:
            InvalidParameterValueException: there is no such filter.
        """
        found = list(entries)
        for rule in self.params.get("Filters", ()):
            read = values.get(rule["Name"])
            if read is None:
                raise InvalidParameterValueException(f"Invalid filter name {rule['Name']}.")
            found = [entry for entry in found if set(rule["Values"]).intersection(read(entry))]
        return found

    def page(self, name: str, entries: Iterable[Any], *, most: int = 100, **more: Any) -> ActionResult:
        """
        Raises:
            InvalidParameterValueException: the size is out of bounds, or the marker is not from a page before.
        """
        told = list(entries)
        marker, size = self.params.get("Marker") or "0", self.params.get("MaxRecords") or _PAGE
        if not marker.isdecimal() or int(marker) > len(told):
            raise InvalidParameterValueException(f"Invalid marker {marker}.")
        if not _LEAST <= size <= most:
            raise InvalidParameterValueException(f"MaxRecords is from {_LEAST} to {most}, not {size}.")
        end = int(marker) + size
        return ActionResult({name: told[int(marker) : end], "Marker": str(end) if end < len(told) else None, **more})


def _aware(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value
