"""A delivery's run without Dagster, in this process or in one that is killed."""

import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from adplatform.flow.delivery import publish_delivery
from adplatform.flow.services import Services
from adplatform.flow.settling import Due, Ending
from adplatform.flow.source import Source
from adplatform.platform.aws import CALL_BUDGET, Aws


class NoRunIsAlive:
    """After a crash: whatever ran is dead, and a run key that was used is spent."""

    def __init__(self, spent: frozenset[str] = frozenset()) -> None:
        self._spent = spent

    def alive(self, run_id: str) -> bool:
        return False

    def spent(self, run_key: str) -> bool:
        return run_key in self._spent

    def ending(self, run: str) -> Ending:
        return Ending.DIED


def run(services: Services, due: Due, run_id: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        publish_delivery(services, due.flow, due.day, run_id, Path(folder))


def process(services: Services, source: Source, run_id: str) -> int:
    """Settle and run until nothing is due; returns how many runs it took."""
    settler, runs = services.settler(source), 0
    settler.arrivals.receive()
    settler.arrivals.reconcile()
    while due := settler.due(NoRunIsAlive())[0]:
        for each in due:
            runs += 1
            run(services, each, f"{run_id}-{runs}")
    return runs


WRITES = ("Put", "Create", "Update", "Delete", "Transact", "Copy", "Complete", "Batch", "Publish")
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["adplatform_tests.support.preloaded"])


@dataclass(frozen=True)
class CountingAws(Aws):
    """Calls ``on_write`` before each request that changes something, or at the moment ``when`` of those ``named``."""

    on_write: Callable[[], None] = lambda: None
    named: tuple[str, ...] = WRITES
    when: str = "before-call"

    def client(self, service: str, budget: timedelta = CALL_BUDGET) -> Any:
        client = super().client(service, budget)

        def before(model: Any, **_: Any) -> None:
            if model.name.startswith(self.named):
                self.on_write()

        client.meta.events.register(self.when, before)
        return client


def process_killed_at(services: Services, source: Source, writes: int) -> tuple[int, int]:
    """Process in a child that is killed before its ``writes``-th write to AWS, 0 for never; exit code and writes."""
    return killed_at(services, partial(process, source=source, run_id="killed"), writes)


def killed_at(
    services: Services,
    work: Callable[[Services], object],
    writes: int,
    named: tuple[str, ...] = WRITES,
    when: str = "before-call",
) -> tuple[int, int]:
    """The same of any ``work`` with the services, and of requests that are ``named``, at this moment of one."""
    counted = PROCESSES.Value("i", 0)
    blank = Services(services.settings, Aws(services.aws.region, services.aws.endpoint_url))
    child = PROCESSES.Process(target=_work_until_killed, args=(blank, work, writes, counted, named, when))
    child.start()
    child.join(120)
    if child.exitcode is None:
        raise TimeoutError("the child neither ended nor was killed")
    return child.exitcode, counted.value


def _work_until_killed(
    services: Services,
    work: Callable[[Services], object],
    writes: int,
    counted: Any,
    named: tuple[str, ...],
    when: str,
) -> None:
    def on_write() -> None:
        with counted.get_lock():
            counted.value += 1
            now = counted.value
        if now == writes:
            os.kill(os.getpid(), signal.SIGKILL)

    aws = CountingAws(services.aws.region, services.aws.endpoint_url, on_write, named, when)
    work(Services(services.settings, aws))
