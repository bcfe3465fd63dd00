"""Scripts of engines' runs, each a child process of this machine, and what can happen to them on the way.

What a script that transforms deliveries finds as its Spark: the cluster that ``ADPLATFORM_LOCAL_SPARK`` names by the
URL of its master, ``spark://127.0.0.1:7077`` for example; without it a server of Sail in the process of the script,
where Sail is installed; otherwise the Spark of this machine, with all of its cores.
"""

import logging
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from adplatform.local.aws import with_sail
from adplatform.local.aws.managed import CONTROL, Fault, own_environment, own_s3
from adplatform.local.aws.reported_state import ReportedState
from adplatform.local.aws.state import LOCK

log = logging.getLogger(__name__)

CLUSTER = "ADPLATFORM_LOCAL_SPARK"
_LOOK_AGAIN_SECONDS = 0.02
_LONGEST_MESSAGE = 400
_PROCESSES: dict[str, "subprocess.Popen[bytes]"] = {}
"""The scripts that run, by the id of the run."""


@dataclass(frozen=True)
class Script:
    """``place`` is that of the script, ``s3://``; ``environment`` is set beside what every script has."""

    place: str
    arguments: Sequence[str]
    region: str
    environment: Mapping[str, str] = field(default_factory=dict)
    before: Sequence[str] = ()
    """A script of this machine, and its arguments, that runs the script."""
    python: str = sys.executable


@dataclass(frozen=True)
class Ended:
    """``status`` of the process, 0 for success, and the last line of what it wrote to its standard error."""

    status: int | None
    said: str


@dataclass(frozen=True)
class Work:
    """A run whose script is to be run behind the answer that says that it was begun. ``before_the_script`` says of
    faults how a run ends whose script never begins, ``failed`` what a run is called that has failed. ``script`` runs it
    in a folder of its own, to its end or to where the fault cuts it, and says how the run has ended."""

    service: str
    target: str
    run: ReportedState
    before_the_script: Mapping[str, tuple[str, str | None]]
    failed: str
    script: Callable[[Path, Fault | None], tuple[str, str | None]]
    changed: Callable[[], None]


def begin(work: Work) -> None:
    """Callers hold the lock."""
    names = ("stuck", "run_times_out", *work.before_the_script)
    taken = {name: CONTROL.take(work.service, name, work.target) for name in names}
    faults = {name: fault for name, fault in taken.items() if fault}
    threading.Thread(target=_run, args=(work, faults), daemon=True).start()


def _run(work: Work, faults: Mapping[str, Fault]) -> None:
    run = work.run
    if "stuck" in faults:
        run.stay(faults["stuck"].seconds)
    ended = next((work.before_the_script[name] for name in faults if name in work.before_the_script), None)
    try:
        if ended is None:
            with tempfile.TemporaryDirectory(prefix=f"{work.service}-") as folder:
                ended = work.script(Path(folder), faults.get("run_times_out"))
    except Exception as e:
        log.exception("%s %s", work.service, work.target)
        ended = work.failed, f"{type(e).__name__}: {e}"
    with LOCK:
        run.finish(*ended)
        work.changed()


def carry_out(run_id: str, script: Script, folder: Path, going: Callable[[], bool]) -> Ended:
    """Run a script to its end, or for as long as it is ``going``."""
    file, errors = folder / "script.py", folder / "stderr"
    fetch(script.place, file)
    errors.touch()
    environment = {**os.environ, **own_environment(script.region), **script.environment}
    process = _started([script.python, *script.before, str(file), *script.arguments], folder, environment, errors)
    _PROCESSES[run_id] = process
    try:
        while process.poll() is None and going():
            time.sleep(_LOOK_AGAIN_SECONDS)
    finally:
        process.kill()
        process.wait()
        del _PROCESSES[run_id]
    said = errors.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    last = said[-1] if said else f"the script ended with {process.returncode}"
    return Ended(process.returncode, last[:_LONGEST_MESSAGE])


def _started(
    command: Sequence[str], folder: Path, environ: Mapping[str, str], errors: Path
) -> "subprocess.Popen[bytes]":
    """A process in ``folder``; the command begins with a Python and a script."""
    with errors.open("wb") as stderr:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )


def fetch(place: str, target: Path) -> None:
    """An object, by its ``s3://`` place."""
    found = urlsplit(place)
    own_s3().download_file(found.netloc, found.path.lstrip("/"), str(target))


def kill(asked: Mapping[str, Any]) -> dict[str, Any]:
    """End the script of the run ``target`` as a lost machine would. Callers hold the lock."""
    process = _PROCESSES.get(str(asked["target"]))
    if process is not None:
        process.kill()
    return {"killed": process is not None}


def cut_at(fault: Fault | None) -> float:
    """When the time-out is over that a fault orders, by the monotonic clock."""
    return time.monotonic() + fault.seconds if fault else math.inf


def with_spark(script: Script, folder: Path, environ: Mapping[str, str] = os.environ) -> Script:
    """A script that transforms deliveries, with the Spark that it is to find; logs which that is."""
    master = environ.get(CLUSTER)
    if master is None and find_spec("pysail"):
        log.warning("%s runs on Sail", script.place)
        return replace(script, before=(str(with_sail.__file__),))
    log.warning("%s runs on the Spark %s", script.place, master or "of this machine")
    environment = {**own_environment(script.region), **script.environment}
    settings = {
        "spark.master": master or "local[*]",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.executor.cores": "1",
        "spark.executor.memory": "512m",
        "spark.sql.shuffle.partitions": "4",
        **{f"spark.executorEnv.{name}": value for name, value in environment.items()},
    }
    file = folder / "spark.conf"
    file.touch(0o600)  # it has the access key
    file.write_text("".join(f"{name} {value}\n" for name, value in settings.items()), encoding="utf-8")
    given = {
        "PYSPARK_PYTHON": script.python,
        "PYSPARK_DRIVER_PYTHON": script.python,
        "PYSPARK_SUBMIT_ARGS": f"--properties-file {file} pyspark-shell",
    }
    return replace(script, environment={**script.environment, **given})
