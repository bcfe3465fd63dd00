"""A standalone cluster of Spark on this machine: a master and workers, each a process of its own, from the pyspark that
is installed.

``python -m adplatform.local.spark_cluster`` keeps one until it is interrupted, and prints the URL of its master.

Facts: Spark documentation, "Spark Standalone Mode".
"""

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from adplatform.failures import PermanentFailure

_LOOPBACK = "127.0.0.1"
_PACKAGE = "org.apache.spark.deploy"
_MEMORY = "1g"
_LOOK_AGAIN_SECONDS = 0.1
_START_SECONDS = 120
_REGISTERED = re.compile(r"Successfully registered with master")


@dataclass(frozen=True)
class Daemon:
    """A process of a cluster, and the file with what it logs."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def kill(self) -> None:
        """End it at once, and the executors of a worker with it, as a lost machine would."""
        for pid in (*descendants(self.process.pid), self.process.pid):
            _kill(pid)
        self.process.wait()


@dataclass(frozen=True)
class Cluster:
    """``url`` is that of the master."""

    url: str
    master: Daemon
    workers: Sequence[Daemon]


@contextmanager
def spark_cluster(workers: int = 2) -> Iterator[Cluster]:
    """A cluster whose workers have a core each, and have registered with their master.

    Raises:
        PermanentFailure: there is no pyspark or no Java, or the cluster does not start.
    """
    home, port = _home(), _free_port()
    url = f"spark://{_LOOPBACK}:{port}"
    with tempfile.TemporaryDirectory(prefix="spark-cluster-") as name, ExitStack() as stack:
        folder = Path(name)
        told = (*("--host", _LOOPBACK, "--port", str(port), "--webui-port", str(_free_port())),)
        master = stack.enter_context(_daemon(home, folder / "master", f"{_PACKAGE}.master.Master", *told))
        _await(master, re.compile(r"I have been elected leader"))
        made = []
        for number in range(workers):
            at = folder / f"worker-{number}"
            own = (*("--host", _LOOPBACK, "--cores", "1", "--memory", _MEMORY, "--webui-port", str(_free_port())),)
            kind = f"{_PACKAGE}.worker.Worker"
            made.append(stack.enter_context(_daemon(home, at, kind, *own, "-d", str(at / "work"), url)))
        for worker in made:
            _await(worker, _REGISTERED)
        yield Cluster(url, master, made)


def descendants(pid: int) -> list[int]:
    """Processes that a process has started, and those that these have."""
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has ended meanwhile
        if parent == pid:
            child = int(path.parent.name)
            found += [child, *descendants(child)]
    return found


@contextmanager
def _daemon(home: Path, folder: Path, kind: str, *arguments: str) -> Iterator[Daemon]:
    folder.mkdir()
    log = folder / "log"
    own = {
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": _LOOPBACK,
        "SPARK_LOCAL_DIRS": str(folder / "local"),
        "SPARK_DAEMON_MEMORY": "256m",
        "PYSPARK_PYTHON": sys.executable,
        # Python processes of executors find the package where this process has it.
        "PYTHONPATH": os.pathsep.join(filter(None, (str(_root()), os.environ.get("PYTHONPATH")))),
    }
    with log.open("wb") as output:
        process = _started([str(home / "bin/spark-class"), kind, *arguments], os.environ | own, output)
    daemon = Daemon(process, log)
    try:
        yield daemon
    finally:
        daemon.kill()


def _started(command: Sequence[str], environ: dict[str, str], output: IO[bytes]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=output)


def _await(daemon: Daemon, said: "re.Pattern[str]") -> None:
    """
    Raises:
        PermanentFailure: it ends, or does not say it in time.
    """
    end = time.monotonic() + _START_SECONDS
    while not said.search(text := daemon.log.read_text(encoding="utf-8", errors="replace")):
        if daemon.process.poll() is not None or time.monotonic() > end:
            raise PermanentFailure(f"the Spark cluster does not start: {text.strip()[-500:]}")
        time.sleep(_LOOK_AGAIN_SECONDS)


def _home() -> Path:
    found = find_spec("pyspark")
    if found is None or found.origin is None:
        raise PermanentFailure("a Spark cluster needs pyspark, the extra `spark` of this package, and Java 17")
    return Path(found.origin).parent


def _root() -> Path:
    """The folder that has this package."""
    return Path(__file__).parents[2]


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind((_LOOPBACK, 0))
        return int(taken.getsockname()[1])


def _kill(pid: int) -> None:
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return


def main() -> None:
    with spark_cluster() as cluster:
        print(cluster.url, flush=True)
        try:
            cluster.master.process.wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
