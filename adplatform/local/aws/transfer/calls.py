"""Calls that start what a connector does, and the one that tells of transfers."""

from collections import deque
from datetime import timedelta
from typing import Any

from moto.core.responses import ActionResult

from adplatform.local.aws.answers import hang_up
from adplatform.local.aws.managed import CONTROL
from adplatform.local.aws.transfer import places, runs
from adplatform.local.aws.transfer.errors import InvalidRequestException, ThrottlingException
from adplatform.local.aws.transfer.listings import ITEMS, MOST_ITEMS, output_name
from adplatform.local.aws.transfer.state import LISTINGS_A_SECOND, ConnectorBackend, File, Kind, Operation
from adplatform.local.aws.transfer.workflow_calls import WorkflowCalls


class ConnectorResponse(WorkflowCalls):
    """Every call."""

    def start_file_transfer(self) -> ActionResult:
        retrieved, sent = self.params.get("RetrieveFilePaths"), self.params.get("SendFilePaths")
        if bool(retrieved) == bool(sent):
            raise InvalidRequestException("Either RetrieveFilePaths or SendFilePaths is required.")
        if retrieved:
            _require_bucket("LocalDirectoryPath", self.params.get("LocalDirectoryPath", ""))
        for path in sent or ():
            _require_bucket("SendFilePaths", path)
            if not places.place(path).key:
                raise InvalidRequestException(f"SendFilePaths: {path} is no object.")
        transfer = self._start("RETRIEVE" if retrieved else "SEND", [File(path) for path in retrieved or sent])
        return ActionResult({"TransferId": transfer.id})

    def list_file_transfer_results(self) -> ActionResult:
        connector = self.transfer_backend.connector(self.params["ConnectorId"])
        transfer = self.transfer_backend.transfer(connector.id, self.params["TransferId"])
        return ActionResult(self.page("FileTransferResults", map(_result, transfer.files)))

    def start_directory_listing(self) -> ActionResult:
        _require_bucket("OutputDirectoryPath", self.params["OutputDirectoryPath"])
        if self.params.get("MaxItems", ITEMS) > MOST_ITEMS:
            raise InvalidRequestException(f"MaxItems is {MOST_ITEMS} at most.")
        _require_rate(self.transfer_backend, self.params["ConnectorId"])
        listing = self._start("LIST")
        return ActionResult({"ListingId": listing.id, "OutputFileName": output_name(listing)})

    def start_remote_move(self) -> ActionResult:
        return ActionResult({"MoveId": self._start("MOVE").id})

    def start_remote_delete(self) -> ActionResult:
        return ActionResult({"DeleteId": self._start("DELETE").id})

    def _start(self, kind: Kind, files: list[File] | None = None) -> Operation:
        """
        Raises:
            InvalidRequestException: the connector is not ACTIVE.
            ResourceNotFoundException: there is no such connector.
        """
        connector = self.transfer_backend.connector(self.params["ConnectorId"])
        if connector.status != "ACTIVE":
            raise InvalidRequestException(f"Connector {connector.id} is {connector.status}.")
        self.transfer_backend.forget()
        operation = Operation(kind, connector.id, dict(self.params), CONTROL.now(), files or [])
        runs.begin(self.transfer_backend, operation)
        if "event_early" in operation.faults:
            self.before_answer.append(lambda: runs.wait(operation.id))
        if CONTROL.take("transfer", "answer_lost", connector.id):
            self.before_answer.append(hang_up)
        return operation


def _result(file: File) -> dict[str, Any]:
    code, message = file.failure or (None, None)
    return {"FilePath": file.path, "StatusCode": file.status, "FailureCode": code, "FailureMessage": message}


def _require_bucket(name: str, path: str) -> None:
    if not places.place(path).bucket:
        raise InvalidRequestException(f"{name} must begin with a bucket: /bucket/prefix.")


def _require_rate(backend: ConnectorBackend, connector: str) -> None:
    """AWS counts those of an account. Here they are those of a connector, so that a fault is nobody else's."""
    now, limited = CONTROL.now(), backend.listings_limited_until.get(connector)
    if limited is None or now >= limited:
        return
    listed = backend.listed.setdefault(connector, deque(maxlen=LISTINGS_A_SECOND))
    if len(listed) == LISTINGS_A_SECOND and now - listed[0] < timedelta(seconds=1):
        raise ThrottlingException(1)
    listed.append(now)
