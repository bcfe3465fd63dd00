"""An event loop in a thread of its own, for callers that are not asynchronous."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any, TypeVar

_Result = TypeVar("_Result")


@contextmanager
def running_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop for as long as the block lasts; what still runs on it then is cancelled."""
    loop = asyncio.new_event_loop()
    stopped = asyncio.Event()

    def serve() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(stopped.wait())

    thread = Thread(target=serve, name="sftp", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join()


def waited_for(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, _Result]) -> _Result:
    """What the work comes to, on the loop of another thread. It is cancelled where the wait is broken off."""
    future = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise
