"""How long processes would have taken with the cores of this machine for themselves, though others work on it, too.

The threads that can run are counted fifty times a second, and the CPU that their processes have had (proc(5),
``stat``). What one thread does takes as long as its CPU; what several do at once is shared by them, as far as there are
cores; and what none does, because all wait, takes the time that it took. Caches are colder on a crowded machine, so
that CPU and the times reckoned from it are longer than on a quiet one.
"""

import itertools
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

_EVERY = 0.02
CORES = os.cpu_count() or 1
_TICK = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Look:
    """At a moment of the monotonic clock: threads that can run, and the CPU seconds so far, by process."""

    at: float
    running: tuple[int, ...]
    cpu: tuple[float, ...]


def reckoned(looks: Sequence[Look], without: tuple[float, float], cores: int, processes: int) -> float:
    """The seconds that the first so many of the processes would have taken on these cores if the others did their work
    in no time, less what lies ``without``, an interval of the monotonic clock."""
    seconds = 0.0
    for before, after in itertools.pairwise(looks):
        if without[0] <= before.at < without[1]:
            continue
        spent = [late - early for early, late in zip(before.cpu, after.cpu, strict=True)]
        running = [(one + two) / 2 for one, two in zip(before.running, after.running, strict=True)]
        if not any(spent) and not any(running):
            seconds += after.at - before.at
        seconds += sum(spent[:processes]) / min(cores, max(1.0, sum(running[:processes])))
    return seconds


@dataclass
class Watch:
    """Looks at processes until it is ended."""

    pids: tuple[int, ...]
    looks: list[Look] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Watch":
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(_EVERY):
            seen = [_look_at(pid) for pid in self.pids]
            if None not in seen:
                found = [each for each in seen if each]
                running, cpu = tuple(each[0] for each in found), tuple(each[1] for each in found)
                self.looks.append(Look(time.perf_counter(), running, cpu))


def _look_at(pid: int) -> tuple[int, float] | None:
    """None once the process has ended."""
    process = Path("/proc") / str(pid)
    try:
        states = [_stat(thread)[0] for thread in (process / "task").iterdir() if (thread / "stat").exists()]
        used = _stat(process)
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return None
    return sum(state in ("R", "D") for state in states), (int(used[11]) + int(used[12])) * _TICK


def _stat(folder: Path) -> list[str]:
    """From the state on."""
    return (folder / "stat").read_text(encoding="latin-1").rpartition(") ")[2].split()
