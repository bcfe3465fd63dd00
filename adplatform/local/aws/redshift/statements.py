"""Statements of the stand-in of Redshift, which run behind the answer, one after the other."""

import logging
import threading
import time
from datetime import timedelta
from typing import Any

from adplatform.local.aws import managed
from adplatform.local.aws.catalog_queries import Answer, Refused
from adplatform.local.aws.managed import CONTROL
from adplatform.local.aws.redshift.sql import carry_out, with_parameters
from adplatform.local.aws.redshift.state import ENDED, SAVED_AS, SERVICE, Database, Known, Part, Statement, all_known
from adplatform.local.aws.state import LOCK

KEPT = timedelta(hours=24)
"""How long results, and tokens, are known (Redshift Management Guide, "Considerations when calling the Data API")."""
FAULTS = {
    "answer_lost": "ExecuteStatement or BatchExecuteStatement submits, and answers with an internal error",
    "no_records": "the next DescribeStatement or ListStatements shows none",
    "run_fails": "the next statement fails, because the database is not available",
    "stuck": "the next statement stays PICKED, for ever or for `seconds`",
    "throttled": "the next call that submits is refused as one too many",
}
"""The target is the name of a cluster or workgroup."""
_LOOK_AGAIN_SECONDS = 0.02
_ONE_AFTER_THE_OTHER = threading.Lock()

log = logging.getLogger(__name__)


def begin(known: Known, statement: Statement, account: str, region: str) -> None:
    """Callers hold the lock."""
    statement.fails = CONTROL.take(SERVICE, "run_fails", statement.target) is not None
    if stuck := CONTROL.take(SERVICE, "stuck", statement.target):
        statement.stuck = stuck.seconds
    known.statements[statement.id] = statement
    managed.behind(SERVICE, lambda: _run(known, statement, account, region))


def forget(known: Known) -> None:
    since = CONTROL.now() - KEPT
    for id in [each.id for each in known.statements.values() if each.parts[0].created < since]:
        del known.statements[id]


def cancel(statement: Statement) -> None:
    """Callers hold the lock."""
    for part in statement.parts:
        if part.status not in ENDED:
            part.status, part.updated = "ABORTED", CONTROL.now()
    statement.status = "ABORTED"


def fail_interrupted() -> None:
    for known in all_known():
        for statement in known.statements.values():
            if statement.status not in ENDED:
                _end(statement.parts[0], "FAILED", "ERROR: the embedded AWS ended during the statement")
                statement.status = "FAILED"


def _run(known: Known, statement: Statement, account: str, region: str) -> None:
    """Without the lock."""
    with LOCK:
        if statement.status not in ENDED:
            statement.status = "PICKED"
    _wait(statement)
    with _ONE_AFTER_THE_OTHER:
        _carry_out_all(known, statement, region)
    if statement.asked.get("WithEvent"):
        _announce(statement, account, region)


def _carry_out_all(known: Known, statement: Statement, region: str) -> None:
    """As one transaction, unless it is asked for otherwise."""
    with LOCK:
        if statement.status in ENDED:
            return
        statement.status = "STARTED"
        before = known.databases.get(statement.where, Database())
    alone = statement.asked.get("ExecutionMode") == "AUTO_COMMIT"
    failed = False
    for part in statement.parts:
        if failed and not alone:
            _end(part, "ABORTED")
        else:
            failed = not _carried_out(known, statement, part, region) or failed
    with LOCK:
        if failed and not alone:
            known.databases[statement.where] = before
        if statement.status not in ENDED:
            statement.status = "FAILED" if failed else "FINISHED"
        managed.changed(SAVED_AS)


def _carried_out(known: Known, statement: Statement, part: Part, region: str) -> bool:
    """Whether the part has not failed."""
    with LOCK:
        part.status = "STARTED"
        database = known.databases.get(statement.where, Database())
    sql = with_parameters(part.sql, statement.asked.get("Parameters", ()))
    try:
        if statement.fails:
            raise Refused("ERROR: the database is not available")
        after, found = carry_out(database, sql, region)
    except Refused as e:
        _end(part, "FAILED", str(e))
        return False
    except Exception:
        log.exception("statement %s", statement.id)
        _end(part, "FAILED", "ERROR: an internal error occurred")
        return False
    with LOCK:
        if after is not database:
            known.databases[statement.where] = after
        _end(part, "FINISHED", answer=found)
    return True


def _end(part: Part, status: str, error: str = "", answer: Answer | None = None) -> None:
    part.status, part.error, part.answer, part.updated = status, error, answer, CONTROL.now()


def _wait(statement: Statement) -> None:
    if statement.stuck is None:
        return
    until = CONTROL.now() + timedelta(seconds=statement.stuck)
    while statement.status not in ENDED and (not statement.stuck or CONTROL.now() < until):
        time.sleep(_LOOK_AGAIN_SECONDS)


def _announce(statement: Statement, account: str, region: str) -> None:
    """Redshift Management Guide, "Monitoring events for the Data API in EventBridge"."""
    detail: dict[str, Any] = {
        "principal": f"arn:aws:iam::{account}:user/local",
        "statementId": statement.id,
        "state": statement.status,
        "statementName": statement.asked.get("StatementName", ""),
    }
    managed.publish(SERVICE, account, region, "Redshift Data Statement Status Change", (), detail)
