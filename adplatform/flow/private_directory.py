"""Work directories that nobody else can read, and that do not outlive their run."""

import fcntl
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from adplatform.failures import EnvironmentFailure, described, naming

log = logging.getLogger(__name__)

LOCK = ".lock"


@contextmanager
def private_directory(temp: Path, run_id: str) -> Iterator[Path]:
    """A directory of this run. Those of killed runs, which may hold personal data in clear, are removed first.

    Each is known by a lock that its process holds and the kernel releases when the process dies, so that it does not
    matter who else knows the run.

    An error of the machine that names no file names the directory.

    Raises:
        EnvironmentFailure: ``temp`` cannot be used.
    """
    try:
        work, lock = _made(temp, run_id)
    except OSError as e:
        raise EnvironmentFailure(
            f"work directory {temp} cannot be used: {described(e)}. Make room there, let this process write it, or set "
            "ADPLATFORM_HOME to another place"
        ) from e
    with lock:
        try:
            with naming(work):
                yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)


def remove_left(temp: Path) -> None:
    """Remove what killed runs have left: a delivery that only has to be closed makes no directory of its own."""
    if not temp.is_dir():
        return
    try:
        with _door(temp):
            _remove_left(temp)
    except OSError as e:
        log.warning("work directories in %s cannot be looked through: %s", temp, e.strerror)


@contextmanager
def _door(temp: Path) -> Iterator[None]:
    """One at a time: between its making and its locking a directory looks like one of a dead run."""
    with temp.with_name(f"{temp.name}{LOCK}").open("w", encoding="ascii") as door:
        fcntl.flock(door, fcntl.LOCK_EX)
        yield


def _remove_left(temp: Path) -> None:
    for left in temp.iterdir():
        if left.is_dir() and not _is_held(left / LOCK):
            shutil.rmtree(left, ignore_errors=True)


def _made(temp: Path, run_id: str) -> tuple[Path, IO[str]]:
    temp.mkdir(parents=True, exist_ok=True)
    with _door(temp):
        _remove_left(temp)
        work = Path(tempfile.mkdtemp(prefix=f"{run_id}_", dir=temp))
        lock = (work / LOCK).open("w", encoding="ascii")
        fcntl.flock(lock, fcntl.LOCK_EX)
    return work, lock


def _is_held(lock: Path) -> bool:
    try:
        with lock.open(encoding="ascii") as seen:
            fcntl.flock(seen, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    except PermissionError:
        log.warning("%s belongs to another user and is left alone", lock.parent)
        return True
    return False
