"""Who works on a run, and whether that process still lives, for anybody who shares the ledger.

A process is known by more than its id, because ids are given again and host names change: by the boot of its machine,
its pid namespace and the instant it started (proc(5)). Where those are this process's own the answer is exact;
elsewhere a worker lives for as long as it renews its row.
"""

import logging
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from adplatform.ledger.ledger import Ledger

log = logging.getLogger(__name__)

BEAT_EVERY = timedelta(seconds=20)
ALIVE_FOR = timedelta(minutes=3)
"""How long a worker on another machine is believed to live after its last sign of life."""
_PROC = Path("/proc")
_SEPARATOR = "/"


@dataclass(frozen=True)
class WorkerIdentity:
    """One process of one machine. ``boot`` and ``namespace`` are empty where there is no ``/proc``."""

    host: str
    boot: str
    namespace: str
    pid: int
    started: str

    def __str__(self) -> str:
        return _SEPARATOR.join((self.host, self.boot, self.namespace, str(self.pid), self.started))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The identity that was written as ``text``; None when it is invalid."""
        parts = text.split(_SEPARATOR)
        if len(parts) != 5 or not parts[3].isdigit():
            return None
        return cls(parts[0], parts[1], parts[2], int(parts[3]), parts[4])

    @property
    def is_here(self) -> bool:
        """Whether this process can see it. A host's name may change, so it counts only where nothing else is known."""
        boot, namespace = _machine()
        return (self.boot, self.namespace) == (boot, namespace) and (bool(boot) or self.host == socket.gethostname())

    @property
    def exists(self) -> bool:
        """Whether the process is still there, and is the same one. To be asked only of one that is here."""
        return started(self.pid) == self.started


def identity_of(pid: int) -> WorkerIdentity | None:
    """The identity of a process of this machine; None when there is none of that id."""
    begun = started(pid)
    return None if begun is None else WorkerIdentity(socket.gethostname(), *_machine(), pid, begun)


def this_worker() -> WorkerIdentity:
    found = identity_of(os.getpid())
    if found is None:
        raise ProcessLookupError(f"process {os.getpid()} cannot see itself")
    return found


def started(pid: int) -> str | None:
    """When a process started, in the terms of its machine; None when it is gone, or only its parent has not noticed."""
    if not _PROC.joinpath("self").exists():
        shown = subprocess.run(
            ["ps", "-o", "state=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        state, _, begun = shown.stdout.strip().partition(" ")
        return begun.strip() if begun and not state.startswith("Z") else None
    try:
        stat = _PROC.joinpath(str(pid), "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # proc_pid_stat(5): state is field 3 and starttime, in clock ticks after boot, field 22; the name before them may
    # hold anything.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else fields[19]


def started_at(pid: int) -> float | None:
    """When a process started, in seconds since the epoch, to about a second; None when it is gone or nobody can say."""
    ticks = started(pid)
    if ticks is None or not ticks.isdigit():
        return None
    uptime = float(_PROC.joinpath("uptime").read_text(encoding="ascii").split()[0])
    return time.time() - uptime + int(ticks) / os.sysconf("SC_CLK_TCK")


def _machine() -> tuple[str, str]:
    """The boot of this machine and the namespace of this process's ids."""
    boot = _PROC / "sys/kernel/random/boot_id"
    if not boot.exists():
        return "", ""
    return boot.read_text(encoding="ascii").strip(), str((_PROC / "self/ns/pid").readlink()).strip("pid:[]")


@dataclass(frozen=True)
class Workers:
    """The signs of life in the ledger's table: one row for each piece of work of a run.

    ``pk`` is ``worker#<run id>`` and ``sk`` the work. ``worker`` does it; ``runner`` is the process of the whole run,
    which starts one for each step.
    """

    ledger: Ledger

    @contextmanager
    def beating(
        self, run_id: str, work: str, runner: WorkerIdentity, *, every: timedelta = BEAT_EVERY
    ) -> Iterator[None]:
        """Say that this process works, before it claims anything, and go on saying it. The row is left to whoever ends
        the work: a step may end long before its run does."""
        me = this_worker()
        self.ledger.client.put_item(
            TableName=self.ledger.table,
            Item={
                **_key(run_id, work),
                "worker": {"S": str(me)},
                "runner": {"S": str(runner)},
                "beat_at": {"S": self.ledger.now().isoformat()},
            },
        )
        done = threading.Event()

        def beat() -> None:
            while not done.wait(every.total_seconds()):
                try:
                    if not self._renew(run_id, work, me):
                        return
                except (BotoCoreError, ClientError) as e:
                    log.warning("run %s: its sign of life could not be written: %s", run_id, e)

        keeper = threading.Thread(target=copy_context().run, args=(beat,), name=f"heartbeat {run_id}", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            done.set()

    def live(self, run_id: str) -> bool | None:
        """Whether anybody works on the run; None when nobody ever said so, or all of it has ended."""
        rows = self._rows(run_id)
        return any(map(self._lives, rows)) if rows else None

    def end(self, run_id: str, work: str) -> None:
        self.ledger.client.delete_item(TableName=self.ledger.table, Key=_key(run_id, work))

    def forget(self, run_id: str) -> None:
        """Nobody works on the run any more. Whoever does nevertheless is not believed again."""
        for row in self._rows(run_id):
            self.end(run_id, row["sk"]["S"])

    def _lives(self, row: dict[str, Any]) -> bool:
        processes = [WorkerIdentity.parse(row[name]["S"]) for name in ("worker", "runner")]
        here = [process for process in processes if process is not None and process.is_here]
        if here:
            return any(process.exists for process in here)
        return self.ledger.now() - datetime.fromisoformat(row["beat_at"]["S"]) < ALIVE_FOR

    def _renew(self, run_id: str, work: str, me: WorkerIdentity) -> bool:
        client = self.ledger.client
        try:
            client.update_item(
                TableName=self.ledger.table,
                Key=_key(run_id, work),
                UpdateExpression="SET beat_at = :now",
                ConditionExpression="worker = :me",
                ExpressionAttributeValues={":now": {"S": self.ledger.now().isoformat()}, ":me": {"S": str(me)}},
            )
        except client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def _rows(self, run_id: str) -> list[dict[str, Any]]:
        answer = self.ledger.client.query(
            TableName=self.ledger.table,
            KeyConditionExpression="pk = :p",
            ExpressionAttributeValues={":p": {"S": f"worker#{run_id}"}},
            ConsistentRead=True,
        )
        found: list[dict[str, Any]] = answer["Items"]
        return found


def _key(run_id: str, work: str) -> dict[str, Any]:
    return {"pk": {"S": f"worker#{run_id}"}, "sk": {"S": work}}
