"""A MariaDB server for tests, where Debian's is installed."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROGRAMS = ("mariadbd", "mariadb-install-db")
_NOBODY = 65534


@dataclass(frozen=True)
class MariaDb:
    """A running server. Its user ``reader`` may do anything and has the ``password``."""

    port: int
    password: str = field(default="not-so-secret", repr=False)

    def secret(self, database: str) -> dict[str, Any]:
        return {
            "engine": "mariadb",
            "host": "127.0.0.1",
            "port": self.port,
            "username": "reader",
            "password": self.password,
            "dbname": database,
        }

    @contextmanager
    def connect(self, database: str | None = None) -> Iterator[Any]:
        import pymysql  # noqa: PLC0415 - tests of other databases need none

        connection = pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user="reader",
            password=self.password,
            database=database,
            autocommit=True,
            charset="utf8mb4",
        )
        with connection, connection.cursor() as cursor:
            yield cursor


def is_installed() -> bool:
    return all(shutil.which(program) for program in PROGRAMS)


@contextmanager
def mariadb_server() -> Iterator[MariaDb]:
    """A server on a free port for as long as the block lasts; it leaves nothing."""
    with tempfile.TemporaryDirectory(prefix="mariadb-", ignore_cleanup_errors=True) as folder:
        home, owner = Path(folder), {}
        if os.geteuid() == 0:
            os.chown(home, _NOBODY, _NOBODY)
            owner = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
        made = [
            "mariadb-install-db",
            "--no-defaults",
            f"--datadir={home}/data",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ]
        subprocess.run(made, cwd=home, check=True, capture_output=True, **owner)
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        server = MariaDb(port)
        first = home / "first.sql"
        first.write_text(
            # The server reads a statement a line.
            f"CREATE USER reader@'127.0.0.1' IDENTIFIED BY '{server.password}';\n"
            "GRANT ALL ON *.* TO reader@'127.0.0.1' WITH GRANT OPTION;\n",
            encoding="utf-8",
        )
        first.chmod(0o644)
        started = [
            "mariadbd",
            "--no-defaults",
            f"--datadir={home}/data",
            f"--port={port}",
            f"--socket={home}/socket",
            f"--pid-file={home}/pid",
            f"--init-file={first}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--log-bin",
            "--binlog-format=ROW",
            "--binlog-row-image=FULL",
            "--server-id=1",
            "--innodb-flush-log-at-trx-commit=0",
        ]
        with (home / "log").open("wb") as log:
            process = subprocess.Popen(started, cwd=home, stdout=log, stderr=log, **owner)
        try:
            _wait(server, process, home / "log")
            yield server
        finally:
            process.kill()
            process.wait()


def _wait(server: MariaDb, process: "subprocess.Popen[bytes]", log: Path) -> None:
    import pymysql  # noqa: PLC0415 - as above

    deadline = time.monotonic() + 60
    while True:
        try:
            with server.connect():
                return
        except pymysql.err.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(log.read_text(encoding="utf-8", errors="replace")[-2000:]) from None
            time.sleep(0.1)
