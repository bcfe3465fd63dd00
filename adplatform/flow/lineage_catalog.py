"""Events of OpenLineage in a domain of Amazon SageMaker Catalog, which are posted by the API of Amazon DataZone."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from adplatform.failures import PermanentFailure

LARGEST = 300_000
"""Bytes of an event (Amazon DataZone API Reference, PostLineageEvent)."""
LEFT_OUT = "left_out"
"""The tag of a run whose event says less than it might."""


def post(datazone: Any, domain: str, event: Mapping[str, Any]) -> None:
    """Post an event; once, however often a call is repeated.

    Raises:
        PermanentFailure: the event is too large, or the domain does not take it.
    """
    token = f"{event['run']['runId']}-{event['eventType']}"
    try:
        datazone.post_lineage_event(domainIdentifier=domain, event=within(event), clientToken=token)
    except ClientError as e:
        code = e.response["Error"]["Code"]
        raise PermanentFailure(f"the domain {domain} of SageMaker Catalog does not take lineage: {code}") from None


def within(event: Mapping[str, Any], largest: int = LARGEST) -> bytes:
    """The event in at most ``largest`` bytes: without lineage of columns where that is too much, then without the
    columns of what is read, at last without those of what is made. What is left out is a tag of the run.

    Raises:
        PermanentFailure: it is larger nevertheless.
    """
    left_out: list[str] = []
    body = _encoded(event)
    for name, leave_out in _LESS.items():
        if len(body) <= largest:
            return body
        left_out.append(name)
        event = _tagged(leave_out(event), ", ".join(left_out))
        body = _encoded(event)
    if len(body) > largest:
        job = event["job"]["name"]
        raise PermanentFailure(f"{job}: an event of lineage has {len(body):,} bytes, of which {largest:,} are taken")
    return body


def _encoded(event: Mapping[str, Any]) -> bytes:
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()


def _without(facet: str, datasets: str) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
    def leave_out(event: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**event, datasets: [_less(each, facet) for each in event[datasets]]}

    return leave_out


def _less(dataset: Mapping[str, Any], facet: str) -> Mapping[str, Any]:
    return {**dataset, "facets": {name: each for name, each in dataset["facets"].items() if name != facet}}


def _tagged(event: Mapping[str, Any], left_out: str) -> Mapping[str, Any]:
    run = event["run"]
    tags = run["facets"]["tags"]
    before = [each for each in tags["tags"] if each["key"] != LEFT_OUT]
    told = [*before, {"key": LEFT_OUT, "value": left_out, "source": event["producer"]}]
    return {**event, "run": {**run, "facets": {**run["facets"], "tags": {**tags, "tags": told}}}}


_LESS: Mapping[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = {
    "lineage of columns": _without("columnLineage", "outputs"),
    "columns of inputs": _without("schema", "inputs"),
    "columns of outputs": _without("schema", "outputs"),
}
