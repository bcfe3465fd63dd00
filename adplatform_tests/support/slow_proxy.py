"""A network that holds back chosen calls of an AWS client: before the service has them, or before it answers."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from adplatform_tests.support.proxy import Exchange, proxied


@dataclass
class Slow:
    """Holds the first ``times`` requests of an operation (the end of ``X-Amz-Target``) until it is let go.

    None is held for more than ``longest`` seconds. ``request`` holds what goes to the service, else its answer.
    ``reached`` is set by the first, ``landed`` counts those that the service has dealt with.
    """

    operation: str
    times: int
    request: bool
    longest: float = 60.0
    go: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)
    held: int = 0
    landed: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def takes(self, target: str) -> bool:
        with self._lock:
            mine = target.endswith(f".{self.operation}") and self.held < self.times
            self.held += mine
        if mine:
            self.reached.set()
        return mine

    def let_go(self) -> None:
        """Let everything go that is held, and wait until the service has dealt with it."""
        self.go.set()
        for _ in range(self.held):
            assert self.landed.acquire(timeout=30)


@contextmanager
def slowed(url: str, slow: Slow) -> Iterator[str]:
    """The URL of a proxy before the server at ``url``, for as long as the context lasts."""

    def serve(exchange: Exchange) -> None:
        held = slow.takes(exchange.operation)
        if held and slow.request:
            slow.go.wait(slow.longest)
        answer = exchange.forward()
        if held:
            slow.landed.release()
            if not slow.request:
                slow.go.wait(slow.longest)
        try:
            exchange.reply(answer)
        except OSError:  # the client has given up
            exchange.hang_up()

    try:
        with proxied(url, serve) as through:
            yield through
    finally:
        slow.go.set()
