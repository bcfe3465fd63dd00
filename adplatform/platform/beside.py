"""What a process does beside its work, for others to watch it: it neither holds that work up nor fails it."""

import logging
from collections.abc import Callable
from multiprocessing.util import Finalize
from queue import Full, Queue
from threading import Lock, Thread
from time import monotonic

from adplatform.failures import PermanentFailure

log = logging.getLogger(__name__)

Task = Callable[[], object]


class Beside:
    """A thread of its own does what it is given, in that order. At most ``most`` wait, and what comes when so many do
    is left out. When the process ends, it waits ``seconds`` for the rest at most."""

    def __init__(self, called: str, most: int = 1000, seconds: float = 5.0) -> None:
        self._called, self._seconds = called, seconds
        self._waiting: Queue[Task | None] = Queue(most)
        self._starting, self._failing = Lock(), False
        self._thread: Thread | None = None

    def give(self, task: Task) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = Thread(target=self._work, name=self._called, daemon=True)
                self._thread.start()
                # Unlike atexit it is heeded by children of multiprocessing, too.
                Finalize(None, self.end, exitpriority=1)
        try:
            self._waiting.put_nowait(task)
        except Full:
            self._failed("more waits than it may")

    def end(self) -> bool:
        """Whether all was done in time; what is given from now on is done by another thread."""
        with self._starting:
            thread, self._thread = self._thread, None
        if thread is None:
            return True
        until = monotonic() + self._seconds
        try:
            self._waiting.put(None, timeout=self._seconds)
        except Full:
            return False
        thread.join(max(0.0, until - monotonic()))
        return not thread.is_alive()

    def _work(self) -> None:
        while (task := self._waiting.get()) is not None:
            try:
                task()
                self._failing = False
            except PermanentFailure as e:
                self._failed(str(e))
            except Exception as e:  # whatever a library or a receiver does is not the work's concern
                self._failed(type(e).__name__)

    def _failed(self, why: str) -> None:
        """Say so once, until it works again."""
        if not self._failing:
            self._failing = True
            log.warning("%s: not everything is sent: %s", self._called, why)
