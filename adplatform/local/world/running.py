"""A simulated partner as a process: by itself, or as the child of ``endpoint.ensure``."""

import argparse
import logging
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from adplatform.failures import PermanentFailure
from adplatform.local.child import alone_in, recorded, report, stop_requested

STATE_NAME = "world.json"
SAVE_EVERY_SECONDS = 0.5


class Kept(Protocol):
    """A world that writes its state to a file."""

    def served(self) -> int:
        """How many requests it has answered."""

    def save(self) -> None:
        """Raises: OSError: the disk does not take it."""


W = TypeVar("W", bound=Kept)


@dataclass(frozen=True)
class Partner(Generic[W]):
    """How one is started: ``make`` its world, anew or as a file keeps it; serve it, which gives the URL; and describe
    it to the person who started it."""

    module: str
    description: str
    make: Callable[[Path | None], W]
    serving: Callable[[W, int, Callable[[], bool]], AbstractContextManager[str]]
    described: Callable[[str, W], str]


def main(partner: Partner[W]) -> int:
    """Does what the command line says; the exit status."""
    parser = argparse.ArgumentParser(prog=f"python -m {partner.module}", description=partner.description)
    parser.add_argument("data", type=Path, nargs="?", help="directory to keep its state in; default: nothing is kept")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--owner-pid", type=int, help="end with this parent process, and when stdin ends")
    parser.add_argument("--report-fd", type=int, default=2, help="where to say why it ends before it should")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    try:
        if arguments.data is None:
            serve(partner, partner.make(None), arguments.port, arguments.owner_pid)
        else:
            serve_from(partner, arguments.data.resolve(), arguments.port, arguments.owner_pid)
    except PermanentFailure as failure:
        return report(arguments.report_fd, str(failure))
    except OSError as e:
        return report(arguments.report_fd, f"the state cannot be saved, and what changed last is lost: {e}")
    return 0


def serve_from(partner: Partner[W], data: Path, port: int, owner_pid: int | None) -> None:
    """Serves the world that ``data`` keeps.

    Raises:
        PermanentFailure: the state is damaged, or another process serves ``data``.
    """
    with alone_in(data):
        store = data / STATE_NAME
        try:
            world = partner.make(store)
        except (KeyError, TypeError, ValueError) as e:
            raise PermanentFailure(f"{store} is damaged ({e}); remove it to start anew") from e
        serve(partner, world, port, owner_pid, data)


def serve(partner: Partner[W], world: W, port: int, owner_pid: int | None, data: Path | None = None) -> None:
    """Serves the world until SIGTERM or Ctrl-C, and with an owner until the end of stdin or of that process."""
    stop = stop_requested(with_input=owner_pid is not None)

    def alive() -> bool:
        # A process forked from the owner may keep stdin open; the parent's id tells the owner's end all the same.
        return not stop.is_set() and owner_pid in (None, os.getppid())

    with partner.serving(world, port, alive) as url:
        if owner_pid is None:
            print(partner.described(url, world), flush=True)
        if data is None:
            stop.wait()
            return
        with recorded(data, url):
            seen = 0
            while not stop.wait(SAVE_EVERY_SECONDS) and alive():
                served = world.served()
                if served == seen:
                    continue
                with suppress(OSError):  # reported to whoever changes something, and at the end
                    world.save()
                    seen = served
