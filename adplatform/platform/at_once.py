"""Calls of AWS that do not depend on each other, several at once: of many small ones nearly all time is waiting."""

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

MOST = 8


def at_once(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """What ``work`` makes of each item, in their order. ``work`` is called by several threads.

    Once it has failed for an item, no other begins; of those that had begun and failed the first by order raises.
    """
    every = list(items)
    if len(every) < 2:
        return [work(item) for item in every]
    with ThreadPoolExecutor(max_workers=min(MOST, len(every)), thread_name_prefix="at-once") as pool:
        # Each has what its caller's log lines are about.
        futures = [pool.submit(copy_context().run, work, item) for item in every]
        wait(futures, return_when=FIRST_EXCEPTION)
        for future in futures:
            future.cancel()
    return [future.result() for future in futures]
