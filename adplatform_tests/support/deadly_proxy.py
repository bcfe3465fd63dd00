"""A network that kills a client in the middle of a call, or tells it to stop: before the service sees it, or after it
was done."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from adplatform_tests.support.proxy import Exchange, proxied


@dataclass
class Fate:
    """``meets`` looks at target and body of each request; at the first that it meets the process gets the signal, and
    that is its last one if it cannot refuse it."""

    meets: Callable[[str, str], bool]
    after: bool = False
    number: int = signal.SIGKILL
    pid: int = 0
    met: threading.Event = field(default_factory=threading.Event)

    @property
    def is_death(self) -> bool:
        return self.number == signal.SIGKILL

    def strike(self) -> None:
        self.met.set()
        os.kill(self.pid, self.number)


@contextmanager
def deadly(url: str, fate: Fate) -> Iterator[str]:
    """The URL of a proxy before the server at ``url``, for as long as the context lasts."""

    def serve(exchange: Exchange) -> None:
        struck = not fate.met.is_set() and fate.meets(exchange.operation, exchange.body.decode("utf-8", "replace"))
        if struck and not fate.after:
            fate.strike()
        answer = None if struck and fate.is_death and not fate.after else exchange.forward()
        if struck and fate.after:
            fate.strike()
        if answer is None or (struck and fate.is_death):
            exchange.hang_up()
            return
        try:
            exchange.reply(answer)
        except OSError:  # the client has given up
            exchange.hang_up()

    with proxied(url, serve) as through:
        yield through
