"""Executions of queries of the stand-in of Athena, which run behind the answer."""

import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError
from moto.backends import get_backend

from adplatform.local.aws import managed
from adplatform.local.aws.athena.statements import Result, carry_out
from adplatform.local.aws.catalog_queries import Refused
from adplatform.local.aws.managed import CONTROL
from adplatform.local.aws.state import LOCK

SERVICE = "athena"
FAULTS = {
    "answer_lost": "StartQueryExecution starts a query, and answers with an internal error",
    "no_records": "the next GetQueryExecution does not find the query",
    "run_fails": "the next query fails, because resources are exhausted",
    "stuck": "the next query stays QUEUED, for ever or for `seconds`",
    "throttled": "the next StartQueryExecution is refused as one too many",
}
"""The target is the name of a workgroup."""
ENDED = frozenset({"SUCCEEDED", "FAILED", "CANCELLED"})
KEPT = timedelta(days=45)
"""How long executions are known (Athena User Guide, "View recent queries")."""
_LOOK_AGAIN_SECONDS = 0.02

log = logging.getLogger(__name__)


@dataclass
class Execution:
    """``asked`` is the request, ``output`` where its result goes. ``fails`` and ``stuck`` are faults that were ordered
    for it."""

    id: str
    asked: dict[str, Any]
    group: str
    output: str
    submitted: datetime
    status: str = "QUEUED"
    reason: str = ""
    ended: datetime | None = None
    result: Result | None = None
    fails: bool = False
    stuck: float | None = None

    @property
    def database(self) -> str:
        return str(self.asked.get("QueryExecutionContext", {}).get("Database", ""))

    def end(self, status: str, reason: str = "") -> None:
        self.status, self.reason, self.ended = status, reason, CONTROL.now()


def begin(execution: Execution, region: str) -> None:
    """Callers hold the lock."""
    execution.fails = CONTROL.take(SERVICE, "run_fails", execution.group) is not None
    if stuck := CONTROL.take(SERVICE, "stuck", execution.group):
        execution.stuck = stuck.seconds
    managed.behind(SERVICE, lambda: _run(execution, region))


def fail_interrupted() -> None:
    for _, _, backend in get_backend(SERVICE).iter_backends():
        for execution in backend.executions.values():
            if execution.status not in ENDED:
                execution.end("FAILED", "the embedded AWS ended during the query")


def _run(execution: Execution, region: str) -> None:
    """Without the lock."""
    _wait(execution)
    with LOCK:
        if execution.status in ENDED:
            return
        execution.status = "RUNNING"
    ended = _outcome(execution, region)
    with LOCK:
        if execution.status in ENDED:
            return
        if isinstance(ended, Result):
            execution.result = ended
            execution.end("SUCCEEDED")
        else:
            execution.end("FAILED", ended)
        managed.changed(SERVICE)


def _outcome(execution: Execution, region: str) -> Result | str:
    """What came of it, or why nothing did."""
    if execution.fails:
        return "Query exhausted resources at this scale factor"
    try:
        return carry_out(execution.asked["QueryString"], execution.database, region, execution.id, execution.output)
    except (Refused, ClientError) as e:
        return str(e)
    except Exception:
        log.exception("query %s", execution.id)
        return "GENERIC_INTERNAL_ERROR: an internal error occurred"


def _wait(execution: Execution) -> None:
    if execution.stuck is None:
        return
    until = CONTROL.now() + timedelta(seconds=execution.stuck)
    while execution.status not in ENDED and (not execution.stuck or CONTROL.now() < until):
        time.sleep(_LOOK_AGAIN_SECONDS)
