"""Ingestions of the stand-in of QuickSight: one of a data set at a time, the others wait in the order in which they
were asked for; an edit of the data set goes before them and ends them."""

import logging
import time
from datetime import timedelta
from typing import Any

from adplatform.local.aws import managed
from adplatform.local.aws.managed import CONTROL
from adplatform.local.aws.quicksight.reading import Read, Unreadable, read
from adplatform.local.aws.quicksight.state import (
    ENDED,
    KEPT,
    DataSet,
    Ingestion,
    InvalidParameterValueException,
    LimitExceededException,
    ResourceExistsException,
    ResourceNotFoundException,
)
from adplatform.local.aws.state import LOCK

MOST_A_DAY = 32
"""Refreshes of a data set that are asked for in 24 hours, of the Enterprise edition (API_CreateIngestion)."""
FAULTS = {
    "answer_lost": "CreateIngestion begins an ingestion, and answers with an internal failure",
    "history_expired": "ingestions of the data set that have ended are gone from the next look on",
    "no_records": "the next DescribeIngestion or ListIngestions shows none",
    "quota": "the next CreateIngestion is refused, because there were too many of a day",
    "rows_dropped": "the next ingestion drops `count` of the rows that it would take",
    "run_fails": "the next ingestion cannot connect to its source",
    "stuck": "the next ingestion reads nothing yet, for ever or for `seconds`",
    "throttled": "the next call about the data set is refused as one too many",
}
"""The target is the id of a data set."""
_SERVICE = "quicksight"
_LOOK_AGAIN_SECONDS = 0.02
_SUPERSEDED = "The data set was edited, which begins an ingestion of its own."

log = logging.getLogger(__name__)


def begin(data_set: DataSet, id: str, kind: str, region: str) -> Ingestion:
    """Callers hold the lock.

    Raises:
        ResourceExistsException: there is one of this id.
        InvalidParameterValueException: the data set is not one of SPICE.
        LimitExceededException: of a day there were as many as may be.
    """
    forget(data_set)
    if not data_set.is_imported:
        raise InvalidParameterValueException(f"DataSet {data_set.id} is not imported into SPICE")
    if id in data_set.ingestions:
        raise ResourceExistsException(f"Ingestion {id} already exists")
    now = CONTROL.now()
    ingestion = Ingestion(id, f"{data_set.arn}/ingestion/{id}", kind, now)
    recent = [
        each for each in data_set.ingestions.values() if each.is_manual and each.created > now - timedelta(days=1)
    ]
    if ingestion.is_manual and (len(recent) >= MOST_A_DAY or CONTROL.take(_SERVICE, "quota", data_set.id)):
        raise LimitExceededException(f"The maximum of {MOST_A_DAY} refreshes in 24 hours is reached")
    if kind == "EDIT":
        for place, each in enumerate(data_set.going_on):
            reason = "REFRESH_SUPPRESSED_BY_EDIT" if place else "INGESTION_SUPERSEDED"
            each.end("FAILED", now, (reason, _SUPERSEDED))
    if stuck := CONTROL.take(_SERVICE, "stuck", data_set.id):
        ingestion.stuck = stuck.seconds
    ingestion.fails = CONTROL.take(_SERVICE, "run_fails", data_set.id) is not None
    if drops := CONTROL.take(_SERVICE, "rows_dropped", data_set.id):
        ingestion.drops = drops.count
    if data_set.going_on:
        ingestion.status = "QUEUED"
    data_set.ingestions[id] = ingestion
    resume(data_set, region)
    return ingestion


def resume(data_set: DataSet, region: str) -> None:
    """Let the oldest run that has not ended, unless another one runs. Callers hold the lock."""
    if data_set.going_on and (first := data_set.going_on[0]).arn not in _RUNNING:
        first.status = "INITIALIZED"
        _RUNNING.add(first.arn)
        managed.behind(_SERVICE, lambda: _run(data_set, first, region))


_RUNNING: set[str] = set()
"""ARNs of ingestions for which there is a thread."""


def cancel(data_set: DataSet, ingestion: Ingestion, region: str) -> None:
    """
    Raises:
        InvalidParameterValueException: it has ended.
    """
    if ingestion.status in ENDED:
        raise InvalidParameterValueException(f"Ingestion {ingestion.id} is {ingestion.status}")
    ingestion.end("CANCELLED", CONTROL.now(), ("INGESTION_CANCELED", "The ingestion was cancelled by a user."))
    resume(data_set, region)


def found(data_set: DataSet, id: str) -> Ingestion:
    """
    Raises:
        ResourceNotFoundException: there is no such ingestion, or not any more.
    """
    forget(data_set)
    if id not in data_set.ingestions or CONTROL.take(_SERVICE, "no_records", data_set.id):
        raise ResourceNotFoundException(f"Ingestion {id} of DataSet {data_set.id} is not found")
    return data_set.ingestions[id]


def forget(data_set: DataSet) -> None:
    """Drops what is listed no longer."""
    all_ended = CONTROL.take(_SERVICE, "history_expired", data_set.id) is not None
    since = CONTROL.now() - KEPT
    gone = [e.id for e in data_set.ingestions.values() if e.ended and (all_ended or e.ended < since)]
    for id in gone:
        del data_set.ingestions[id]


def described(data_set: DataSet, ingestion: Ingestion) -> dict[str, Any]:
    """As DescribeIngestion tells it."""
    told: dict[str, Any] = {
        "Arn": ingestion.arn,
        "IngestionId": ingestion.id,
        "IngestionStatus": ingestion.status,
        "CreatedTime": ingestion.created,
        "RequestSource": "MANUAL",
        "RequestType": ingestion.kind,
    }
    if ingestion.status == "QUEUED":
        told["QueueInfo"] = {"WaitingOnIngestion": ingestion.id, "QueuedIngestion": data_set.going_on[0].id}
    if ingestion.error:
        told["ErrorInfo"] = dict(zip(("Type", "Message"), ingestion.error, strict=True))
    if ingestion.status == "COMPLETED":
        rows = {"RowsIngested": ingestion.rows, "RowsDropped": ingestion.dropped, "TotalRowsInDataset": ingestion.rows}
        told |= {"RowInfo": rows, "IngestionSizeInBytes": ingestion.bytes}
    if ingestion.ended:
        told["IngestionTimeInSeconds"] = round((ingestion.ended - ingestion.created).total_seconds())
    return told


def _run(data_set: DataSet, ingestion: Ingestion, region: str) -> None:
    """Without the lock."""
    try:
        _wait(ingestion)
        with LOCK:
            if ingestion.status in ENDED:
                return
            ingestion.status = "RUNNING"
            settings = data_set.settings
            managed.changed(_SERVICE)
        outcome = _outcome(settings, ingestion, region)
        with LOCK:
            if ingestion.status not in ENDED:
                _end(ingestion, outcome)
    finally:
        with LOCK:
            _RUNNING.discard(ingestion.arn)
            resume(data_set, region)
            managed.changed(_SERVICE)


def _wait(ingestion: Ingestion) -> None:
    if ingestion.stuck is None:
        return
    until = CONTROL.now() + timedelta(seconds=ingestion.stuck)
    while ingestion.status not in ENDED and (not ingestion.stuck or CONTROL.now() < until):
        time.sleep(_LOOK_AGAIN_SECONDS)


def _outcome(settings: dict[str, Any], ingestion: Ingestion, region: str) -> Read | tuple[str, str]:
    """What was read, or the type and message of why nothing was."""
    if ingestion.fails:
        return "CONNECTION_FAILURE", "QuickSight could not connect to the data source."
    try:
        return read(settings, region)
    except Unreadable as e:
        return e.kind, str(e)
    except Exception:
        log.exception("ingestion %s", ingestion.arn)
        return "INTERNAL_SERVICE_ERROR", "An internal error occurred."


def _end(ingestion: Ingestion, outcome: Read | tuple[str, str]) -> None:
    if isinstance(outcome, Read):
        dropped = min(ingestion.drops, outcome.rows)
        ingestion.rows, ingestion.dropped = outcome.rows - dropped, outcome.dropped + dropped
        ingestion.bytes = outcome.bytes
        ingestion.end("COMPLETED", CONTROL.now())
    else:
        ingestion.end("FAILED", CONTROL.now(), outcome)
