"""Calls of AWS that do not depend on each other, several at once: of many small ones nearly all time is waiting."""

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import ParamSpec, TypeVar

T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")

MOST = 8


class Pool(ThreadPoolExecutor):
    """Threads whose log lines are about what those of their caller are (``platform.json_logs``)."""

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        context = copy_context()
        return super().submit(lambda: context.run(fn, *args, **kwargs))


def at_once(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """What ``work`` makes of each item, in their order. ``work`` is called by several threads.

    Once it has failed for an item, no other begins; of those that had begun and failed the first by order raises.
    """
    every = list(items)
    if len(every) < 2:
        return [work(item) for item in every]
    with Pool(max_workers=min(MOST, len(every)), thread_name_prefix="at-once") as pool:
        futures = [pool.submit(work, item) for item in every]
        wait(futures, return_when=FIRST_EXCEPTION)
        for future in futures:
            future.cancel()
    return [future.result() for future in futures]
