"""A network that kills a client in the middle of a call: before the service sees it, or after it was done."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from adplatform_tests.support.proxy import Exchange, proxied


@dataclass
class Fate:
    """``meets`` looks at target and body of each request; the first that it meets is the last of the process."""

    meets: Callable[[str, str], bool]
    after: bool = False
    pid: int = 0
    met: threading.Event = field(default_factory=threading.Event)

    def strike(self) -> None:
        self.met.set()
        os.kill(self.pid, signal.SIGKILL)


@contextmanager
def deadly(url: str, fate: Fate) -> Iterator[str]:
    """The URL of a proxy before the server at ``url``, for as long as the context lasts."""

    def serve(exchange: Exchange) -> None:
        struck = not fate.met.is_set() and fate.meets(exchange.operation, exchange.body.decode("utf-8", "replace"))
        if struck and not fate.after:
            fate.strike()
            exchange.hang_up()
            return
        answer = exchange.forward()
        if struck:
            fate.strike()
            exchange.hang_up()
        else:
            exchange.reply(answer)

    with proxied(url, serve) as through:
        yield through
