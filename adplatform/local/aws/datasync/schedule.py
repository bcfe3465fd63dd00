"""Schedules of DataSync tasks, by the engines' clock."""

import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from moto.backends import get_backend

from adplatform.local.aws import managed
from adplatform.local.aws.datasync import runs
from adplatform.local.aws.datasync.state import DataSyncBackend, Task
from adplatform.local.aws.managed import CONTROL
from adplatform.local.aws.schedule_expressions import next_run
from adplatform.local.aws.state import LOCK

_TICK = 0.2  # seconds of the real clock

_ticking = False


def _disable(task: Task, by: str, reason: str) -> None:
    task.settings["Schedule"] = {**task.settings["Schedule"], "Status": "DISABLED"}
    task.schedule_details = {"StatusUpdateTime": CONTROL.now(), "DisabledBy": by, "DisabledReason": reason}
    task.next_run = None


def run_schedules() -> None:
    """Starts what is due by the engines' clock, in the background, for as long as a schedule is enabled. Callers hold
    the lock."""
    global _ticking  # noqa: PLW0603 - one thread for all backends
    if not _ticking:
        _ticking = True
        managed.behind("datasync", _tick_on)


def _tick_on() -> None:
    global _ticking  # noqa: PLW0603
    while True:
        time.sleep(_TICK)
        with LOCK:
            if not _tick(CONTROL.now()):
                _ticking = False
                return


def _tick(now: datetime) -> bool:
    """Whether any schedule is enabled."""
    enabled = list(_scheduled())
    for backend, task in enabled:
        if CONTROL.take("datasync", "schedule_disabled", task.arn):
            _disable(task, "SERVICE", "The task failed repeatedly with the same error.")
        elif task.next_run is not None and task.next_run <= now:
            task.next_run = next_run(task.settings["Schedule"]["ScheduleExpression"], now)
            refused = task.settings["Options"]["TaskQueueing"] == "DISABLED" and backend.going_on(task.arn)
            if not refused and not backend.is_offline(task):
                runs.start(backend, task, task.settings)
        else:
            continue
        managed.changed("datasync")
    return bool(enabled)


def _scheduled() -> Iterator[tuple[DataSyncBackend, Task]]:
    for _, _, backend in get_backend("datasync").iter_backends():
        for task in list(backend.tasks.values()):
            if task.settings.get("Schedule", {}).get("Status") == "ENABLED":
                yield backend, task


def schedule(task: Task, wanted: Mapping[str, Any]) -> None:
    """Gives a task a schedule, or takes it away by an empty expression. Callers hold the lock."""
    if not wanted["ScheduleExpression"]:
        task.settings.pop("Schedule", None)
        task.schedule_details, task.next_run = {}, None
        return
    task.settings["Schedule"] = {"Status": "ENABLED", **wanted}
    now = CONTROL.now()
    if task.settings["Schedule"]["Status"] == "DISABLED":
        _disable(task, "USER", "Manually disabled by user.")
        return
    task.schedule_details = {"StatusUpdateTime": now}
    task.next_run = next_run(wanted["ScheduleExpression"], now)
    run_schedules()
