"""The lives of runs: their beginning, their end, what it means for the flow, and their report."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from uuid import uuid4

from botocore.exceptions import ClientError

from adplatform.local.aws import managed
from adplatform.local.aws.appflow import reports
from adplatform.local.aws.appflow.source import Failed, Unauthorized
from adplatform.local.aws.appflow.state import (
    CANCEL_STARTED,
    CANCELED,
    ERROR,
    FOR_EVER,
    SUCCESSFUL,
    AppflowBackend,
    Flow,
    Run,
)
from adplatform.local.aws.appflow.tasks import Terminated
from adplatform.local.aws.appflow.transfer import Cancelled, transfer
from adplatform.local.aws.state import LOCK

FIRST_PULL = timedelta(days=30)
_ENDS: dict[str, threading.Event] = {}


def begin(backend: AppflowBackend, flow: Flow, then: Callable[[], None], scheduled: datetime | None = None) -> Run:
    """A new run of the flow, whose work goes on behind the answer; ``then`` follows under the lock. Callers hold it."""
    now = managed.CONTROL.now()
    run = Run(str(uuid4()), now, now, scheduled=scheduled)
    if flow.trigger == "Scheduled" and flow.schedule.get("dataPullMode", "Incremental") == "Incremental":
        run.pull_end = (scheduled or now) - timedelta(seconds=flow.schedule.get("scheduleOffset", 0))
        first = flow.schedule.get("firstExecutionFrom") or run.pull_end - FIRST_PULL
        run.pull_start = flow.pulled_until or first
    stuck = managed.CONTROL.take("appflow", "stuck", flow.name)
    if stuck is not None:
        run.held = now + timedelta(seconds=stuck.seconds) if stuck.seconds else FOR_EVER
    flow.runs[run.id] = run
    _ENDS[run.id] = threading.Event()
    if run.held is None:
        proceed(backend, flow, run, then)
    return run


def proceed(backend: AppflowBackend, flow: Flow, run: Run, then: Callable[[], None]) -> None:
    """Does the work of a run behind the answer, then ``then`` under the lock. Callers hold it."""
    run.held = None
    managed.behind("appflow", partial(_work, backend, flow, run, then))


def wait(run: str, seconds: float = 30.0) -> None:
    """Until the run has ended and its report is sent. Callers do not hold the lock."""
    end = _ENDS.get(run)
    if end is not None:
        end.wait(seconds)


def cancel(run: Run) -> None:
    """Lets a run end. Callers hold the lock."""
    run.updated = managed.CONTROL.now()
    run.status = CANCEL_STARTED if run.held is None else CANCELED


def _work(backend: AppflowBackend, flow: Flow, run: Run, then: Callable[[], None]) -> None:
    reports.publish(backend, flow, reports.STARTED, reports.started(backend, flow, run))
    try:
        transfer(backend, flow, run)
    except Cancelled:
        status, message = CANCELED, ""
    except Unauthorized as e:
        status, message = ERROR, f"ConnectorAuthenticationException: {e}"
    except Failed as e:
        status, message = ERROR, f"The request failed because the source returned the following error: {e}"
    except ClientError as e:
        status, message = ERROR, f"The destination returned the following error: {e}"
    except Terminated as e:
        status, message = ERROR, f"The flow was terminated by a validation: {e}"
    except Exception as e:
        managed.log.exception("flow %s: run %s", flow.name, run.id)
        status, message = ERROR, f"{type(e).__name__}: {e}"
    else:
        status, message = SUCCESSFUL, ""
    with LOCK:
        run.status = CANCELED if run.status == CANCEL_STARTED else status
        run.message, run.updated = message, managed.CONTROL.now()
        why = _counted(flow, run)
        if flow.status == "Deleted":
            backend.flows.pop(flow.name, None)
        managed.changed("appflow")
    _report(backend, flow, run, why)
    if run.id in _ENDS:
        _ENDS.pop(run.id).set()
    with LOCK:
        then()


def _counted(flow: Flow, run: Run) -> str:
    """Notes how a run ended; why the flow is deactivated, if it is. Callers hold the lock."""
    if run.status == SUCCESSFUL:
        flow.failures = 0
        flow.pulled_until = run.pull_end or flow.pulled_until
        if flow.status == "Errored":
            flow.status, flow.message = "Active", ""
        return ""
    if run.status != ERROR or flow.status == "Deleted":
        return ""
    flow.failures += 1
    refused = run.message.startswith("ConnectorAuthentication")
    if flow.trigger != "Scheduled":
        flow.status, flow.message = ("Errored", run.message) if refused else (flow.status, flow.message)
        return ""
    most = flow.schedule.get("flowErrorDeactivationThreshold")
    if refused or (most is not None and flow.failures >= most):
        why = run.message if refused else f"The flow failed {flow.failures} times in a row"
        flow.status, flow.message = "Suspended", why
        return why
    return ""


def _report(backend: AppflowBackend, flow: Flow, run: Run, deactivated: str) -> None:
    if deactivated:
        detail = reports.deactivated(backend, flow, deactivated, run.updated)
        reports.publish(backend, flow, reports.DEACTIVATED, detail)
    with LOCK:
        take = partial(managed.CONTROL.take, "appflow", target=flow.name)
        lost = run.status == CANCELED or take("event_lost") is not None
        late, twice = (None, None) if lost else (take("event_late"), take("event_twice"))
    if lost:
        return
    send = partial(reports.publish, backend, flow, reports.ENDED, reports.ended(backend, flow, run))
    if late is not None:
        due = managed.CONTROL.now() + timedelta(seconds=late.seconds)
        managed.behind("appflow", lambda: managed.at(due, send))
        return
    send()
    if twice is not None:
        send()
