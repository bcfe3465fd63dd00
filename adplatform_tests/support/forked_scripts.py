"""Scripts of engines' runs in processes that are forked from one which has imported what they need: most of what a
script costs that reads three rows."""

import multiprocessing
import os
import runpy
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

_PROCESSES = multiprocessing.get_context("forkserver")
LEADS_HERE = "sitecustomize.py"
"""In the environment of a script that has this machine's modules."""
_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
_PROCESSES.set_forkserver_preload(["adplatform_tests.support.preloaded_scripts"])


class Forked:
    """As ``subprocess.Popen``."""

    def __init__(self, process: BaseProcess) -> None:
        self._process = process
        self.pid = process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()

    def wait(self) -> int | None:
        self._process.join()
        return self._process.exitcode


def started(
    spawned: Callable[..., Any], command: Sequence[str], folder: Path, environ: Mapping[str, str], errors: Path
) -> Any:
    """In the place of ``adplatform.local.aws.scripts._started``, which is ``spawned``: it starts what has its own
    modules."""
    python, *script = command
    if python != sys.executable and not (folder / "environment" / LEADS_HERE).exists():
        return spawned(command, folder, environ, errors)
    process = _PROCESSES.Process(target=_run, args=(script, folder, dict(environ), errors))
    process.start()
    return Forked(process)


def _run(command: list[str], folder: Path, environ: dict[str, str], errors: Path) -> None:
    for number, (path, how) in enumerate(((os.devnull, os.O_RDONLY), (os.devnull, os.O_WRONLY), (errors, _NEW))):
        os.dup2(os.open(path, how, 0o600), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = command
    sys.path.insert(0, str(folder))
    runpy.run_path(command[0], run_name="__main__")
