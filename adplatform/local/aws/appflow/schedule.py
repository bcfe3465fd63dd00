"""Flows that run by themselves, and what comes true with time: held runs, late updates, deactivation."""

import re
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from moto.backends import get_backend

from adplatform.local.aws import managed
from adplatform.local.aws.appflow import reports, runs
from adplatform.local.aws.appflow.state import IN_PROGRESS, AppflowBackend, Flow
from adplatform.local.aws.state import LOCK

LOOK_EVERY_SECONDS = 1.0
CAUGHT_UP = 100
"""How many missed runs are made up for, at most, after the clock was moved."""
_RATE = re.compile(r"rate\((\d+) ?(minute|hour|day|week)s?\)")


def interval(expression: str) -> timedelta | None:
    """How far apart the runs of a schedule are; None if it is no rate."""
    rate = _RATE.fullmatch(expression)
    return None if rate is None else timedelta(**{f"{rate[2]}s": int(rate[1])}) or None


def activate(flow: Flow, now: datetime) -> None:
    """Lets a scheduled flow run from now on. Callers hold the lock."""
    start, every = flow.schedule.get("scheduleStartTime"), _interval(flow)
    flow.next_run = now if start is None else start
    if flow.next_run < now:
        flow.next_run += -(-(now - flow.next_run) // every) * every
    flow.status, flow.message, flow.failures, flow.updated = "Active", "", 0, now


def look() -> None:
    """Begins what is due. Callers hold the lock."""
    now = managed.CONTROL.now()
    for backend, flow in list(_flows()):
        before = (flow.status, flow.next_run, flow.coming, len(flow.runs))
        if flow.coming is not None and flow.coming[0] <= now and flow.running() is None:
            flow.change(flow.coming[1])
            flow.coming = None
        for run in flow.runs.values():
            if run.held is not None and run.status == IN_PROGRESS:
                _miss(flow, min(run.held, now))
                if run.held <= now:
                    runs.proceed(backend, flow, run, look)
        if flow.status == "Active" and flow.trigger == "Scheduled":
            _run_if_due(backend, flow, now)
        if before != (flow.status, flow.next_run, flow.coming, len(flow.runs)):
            managed.changed("appflow")


def _miss(flow: Flow, until: datetime) -> None:
    """A run that takes so long lets those of its schedule fall out."""
    if flow.next_run is not None and flow.next_run <= until:
        flow.next_run += ((until - flow.next_run) // _interval(flow) + 1) * _interval(flow)


def _run_if_due(backend: AppflowBackend, flow: Flow, now: datetime) -> None:
    """Runs that the clock passed follow each other."""
    if flow.next_run is None or flow.next_run > now or flow.running() is not None:
        return
    every, ends = _interval(flow), flow.schedule.get("scheduleEndTime")
    due = flow.next_run + max(0, (now - flow.next_run) // every - CAUGHT_UP) * every
    if ends is None or due <= ends:
        flow.next_run = due + every
        runs.begin(backend, flow, look, scheduled=due)
        return
    flow.status, flow.message = "Suspended", "The schedule has ended"
    detail = reports.deactivated(backend, flow, flow.message, now)
    managed.behind("appflow", partial(reports.publish, backend, flow, reports.DEACTIVATED, detail))


def resume() -> None:
    """Goes on with the runs that the end of the previous child interrupted, and looks once a second what is due."""
    with LOCK:
        for backend, flow in list(_flows()):
            for run in flow.runs.values():
                if run.going_on and run.held is None:
                    runs.proceed(backend, flow, run, look)
    threading.Thread(target=_look_again, daemon=True).start()


def _look_again() -> None:
    while True:
        time.sleep(LOOK_EVERY_SECONDS)
        with LOCK:
            try:
                look()
            except Exception:
                managed.log.exception("schedules of AppFlow")


def _interval(flow: Flow) -> timedelta:
    return interval(flow.schedule["scheduleExpression"]) or timedelta(days=1)


def _flows() -> Iterator[tuple[AppflowBackend, Flow]]:
    backends: Any = get_backend("appflow")
    for _, _, backend in backends.iter_backends():
        for flow in backend.flows.values():
            yield backend, flow
