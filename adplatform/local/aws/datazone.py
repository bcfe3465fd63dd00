"""Lineage events of Amazon DataZone, which moto does not have.

Missing: domains, which are of any valid id; lineage nodes, and all else of the service. Not documented by AWS, and
decided here: a token that comes again with another event is a conflict.
"""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from moto.core.base_backend import BaseBackend
from moto.core.responses import ActionResult

from adplatform.local.aws import managed, modelled
from adplatform.local.aws.managed import CONTROL
from adplatform.local.aws.modelled import ModelledResponse, Refusal

SERVICE = "datazone"
LARGEST = 300_000
"""Bytes of an event (Amazon DataZone API Reference, PostLineageEvent)."""
_PAGE = 50


class DataZoneBackend(BaseBackend):
    """``events`` are by domain, in the order in which they came."""

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.events: dict[str, list[dict[str, Any]]] = {}


class DataZoneResponse(ModelledResponse):
    service = SERVICE
    subjects = ("domainIdentifier",)

    def post_lineage_event(self) -> ActionResult:
        domain, body = self.asked["domainIdentifier"], self.body
        raw = body if isinstance(body, bytes) else body.encode()
        event = _run_event(raw)
        token = self.headers.get("Client-Token") or uuid4().hex
        known = self.backend.events.setdefault(domain, [])
        found = next((each for each in known if each["token"] == token), None)
        if found is None:
            found = {"id": uuid4().hex[:14], "token": token, "event": raw, "at": datetime.now(UTC), "run": event}
            known.append(found)
        elif found["event"] != raw:
            raise Refusal("ConflictException", "The client token was used with another event.")
        return ActionResult({"id": found["id"], "domainId": domain})

    def list_lineage_events(self) -> ActionResult:
        domain = self.asked["domainIdentifier"]
        entries = [
            {
                "id": each["id"],
                "domainId": domain,
                "processingStatus": "SUCCESS",
                "eventTime": each["run"]["eventTime"],
                "createdAt": each["at"],
                "eventSummary": {"openLineageRunEventSummary": {"eventType": each["run"]["eventType"]}},
            }
            for each in self.backend.events.get(domain, [])
        ]
        return ActionResult(self.page("items", entries, _PAGE))

    def get_lineage_event(self) -> ActionResult:
        domain, id = self.asked["domainIdentifier"], self.asked["identifier"]
        found = next((each for each in self.backend.events.get(domain, []) if each["id"] == id), None)
        if found is None:
            raise Refusal("ResourceNotFoundException", f"Lineage event {id} is not in the domain.")
        return ActionResult({"id": id, "domainId": domain, "event": found["event"], "createdAt": found["at"]})


def _run_event(body: bytes) -> dict[str, Any]:
    """
    Raises:
        Refusal: it is too large, or no event of a run.
    """
    if len(body) > LARGEST:
        raise Refusal("ValidationException", f"The event has more than {LARGEST} bytes.")
    try:
        event = json.loads(body)
    except ValueError:
        raise Refusal("ValidationException", "The event is not JSON.") from None
    missing = [each for each in ("eventTime", "eventType", "run", "job", "producer") if each not in event]
    if missing:
        raise Refusal("ValidationException", f"The event has no {missing[0]}: only run events are supported.")
    return dict(event)


def install() -> None:
    managed.host(SERVICE, DataZoneBackend, DataZoneResponse, {"{0}/.*$": DataZoneResponse.dispatch})
    CONTROL.known[SERVICE] = modelled.FAULTS
