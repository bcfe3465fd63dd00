"""`adplatform dev` at work while partners deliver and processes of it are killed at random, the same way for the same
seed as far as the machine's pace allows. ``python -m adplatform_tests.support.hurt_platform SEED KILLS [HOME]``."""

import csv
import io
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from botocore.exceptions import BotoCoreError, ClientError

from adplatform.flow.services import Services
from adplatform.lake.query import open_tables, run_query
from adplatform.ledger.delivery import DeliveryState
from adplatform.local.endpoint import RECORD_NAME, ensure
from adplatform.platform.aws import local_aws
from adplatform.platform.settings import Settings
from adplatform_tests.support.projects import copy_project, inherited

ORDERS: dict[str, Any] = {
    "name": "orders",
    "start_date": "2026-01-01",
    "arrival": {"complete_when": "done_file"},
    "columns": {"order_id": {"type": "bigint", "required": True}, "amount": "decimal(12,2)"},
    "key": "order_id",
}
EVENTS: dict[str, Any] = {
    "name": "events",
    "start_date": "2026-01-01",
    "arrival": {"complete_when": "count", "expected_files": 1},
    "columns": {
        "event_id": {"type": "bigint", "required": True},
        "region": {"type": "string", "required": True},
        "amount": "decimal(12,2)",
    },
    "partition_by": "region",
}
PARTNERS = {"acme": ORDERS, "globex": EVENTS}
DAYS = 5
ROWS = 40
STOP_WITHIN = 15.0
QUIET_WITHIN = 1500.0
STARTS_WITHIN = 180.0
KINDS = ("run worker", "run worker", "run worker", "daemon", "code server", "process", "dev", "dagster", "webserver")
"""What is killed, likelier the more often it is listed."""
_MARKS = (
    ("run worker", ("multiprocessing.spawn", "execute_run")),
    ("daemon", ("dagster._daemon",)),
    ("webserver", ("dagster_webserver",)),
    ("code server", ("api\0grpc", "code-server\0start")),
    ("dagster", ("dagster\0dev",)),
    ("dev", ("adplatform.cli\0dev",)),
    ("process", ("adplatform.cli\0process",)),
    ("aws", ("adplatform.local.aws\0",)),
)

Row = tuple[object, ...]


@dataclass(frozen=True)
class Hurt:
    """What was done and what was seen in the end. ``leftovers`` should be empty."""

    kills: Counter[str]
    pushed: int
    rows: int
    stop_seconds: float
    leftovers: list[str]


@dataclass
class Trial:
    """One platform of its own in ``folder``."""

    folder: Path
    seed: int
    port: int = 0
    began: float = field(default_factory=time.monotonic)
    newest: dict[tuple[str, date], list[Row]] = field(default_factory=dict)
    pushed: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    beside: "list[subprocess.Popen[bytes]]" = field(default_factory=list)
    dev: "subprocess.Popen[bytes] | None" = None
    found: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.port = self.port or _free_port()
        self.project = copy_project(self.folder / "project")
        self.home = self.folder / "home"
        for part in ("amazon", "databases", "partners"):
            shutil.rmtree(self.project / "adplatform" / "defs" / part)
        for source, feed in PARTNERS.items():
            attributes = {"source": source, "feeds": [feed]}
            place = self.project / "adplatform" / "defs" / "partners" / source
            place.mkdir(parents=True)
            declared = {"type": "adplatform.components.PartnerPush", "attributes": attributes}
            (place / "defs.yaml").write_text(yaml.safe_dump(declared), encoding="utf-8")
        # The workspace is looked up beside the package.
        shutil.copy(Path(__file__).parents[2] / "workspace.yaml", self.project)

    # -- processes

    def run(self, command: Sequence[str], log: str) -> "subprocess.Popen[bytes]":
        with (self.folder / f"{log}.log").open("ab") as output:
            return subprocess.Popen(
                command,
                cwd=self.project,
                env={**inherited(), "PYTHONPATH": str(self.project), "ADPLATFORM_HOME": str(self.home)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def command(self, *arguments: str, within: Sequence[str] = ()) -> "subprocess.Popen[bytes]":
        """One of ours, run ``within`` another command that takes it as its arguments."""
        return self.run([*within, sys.executable, "-W", "ignore", "-m", "adplatform.cli", *arguments], arguments[0])

    def living(self) -> dict[int, str]:
        """Every process of this platform and what it is, found by its environment."""
        mark, found = f"ADPLATFORM_HOME={self.home}\0".encode(), {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if mark not in (folder / "environ").read_bytes() + b"\0":
                    continue
                line = (folder / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            kind = next((kind for kind, marks in _MARKS if any(m in line for m in marks)), "other")
            if line:  # a zombie has none
                found[int(folder.name)] = kind
        return found

    def start_dev(self, within: Sequence[str] = ()) -> None:
        self.say("start dev")
        self.dev = self.command("dev", "--port", str(self.port), within=within)
        self.await_(self.ui_answers, STARTS_WITHIN, "the UI does not answer")

    def ui_answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/server_info", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def restart_dev_if_it_ended(self) -> None:
        assert self.dev is not None
        if self.dev.poll() is None:
            return
        self.say(f"dev ended with {self.dev.returncode}")
        try:
            self.await_(lambda: not self._tree(), 30, "processes outlive dev")
        except TimeoutError:
            self.found.append(f"30 s after dev ended ({self.dev.returncode}) there still are {self._tree()}")
            for pid in self._tree():
                _kill(pid, signal.SIGKILL)
        self.start_dev()

    def _tree(self) -> dict[int, str]:
        return {pid: kind for pid, kind in self.living().items() if kind not in ("process", "aws")}

    def end_all(self) -> None:
        for pid in self.living():
            _kill(pid, signal.SIGKILL)

    def kill(self) -> None:
        victims = self.living()
        wanted = self.chance.choice([kind for kind in KINDS if kind in victims.values()] or ["dev"])
        pids = sorted(pid for pid, kind in victims.items() if kind == wanted)
        if pids:
            pid = self.chance.choice(pids)
            self.say(f"kill {wanted} {pid}")
            _kill(pid, signal.SIGKILL)
            self.kills[wanted] += 1

    # -- partners

    def push(self) -> None:
        """A new or corrected file of one partner for one of the dates."""
        source = self.chance.choice(list(PARTNERS))
        day = datetime.now(UTC).date() - timedelta(days=self.chance.randrange(1, 1 + DAYS))
        self.pushed += 1
        numbers = self.chance.sample(range(1000), self.chance.randrange(1, ROWS))
        amount = f"{self.pushed}.50"
        if source == "acme":
            rows: list[Row] = [(n, amount) for n in numbers]
            header, name = ("order_id", "amount"), "orders"
        else:
            rows = [(n, self.chance.choice("ABC"), amount) for n in numbers]
            header, name = ("event_id", "region", "amount"), "events"
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([header, *rows])
        prefix = f"landing/{source}/{name}/dt={day}/"
        self.say(f"push {source} {day} #{self.pushed} {len(rows)} rows")
        self._put(f"{prefix}{name}.csv", out.getvalue().encode())
        if source == "acme":
            self._put(f"{prefix}_SUCCESS", b"")
        self.newest[source, day] = rows

    def _put(self, key: str, body: bytes) -> None:
        def put() -> bool:
            try:
                self.services().s3.put_object(Bucket=Settings("local", self.home).raw_bucket, Key=key, Body=body)
            except (OSError, BotoCoreError, ClientError):
                self.restart_dev_if_it_ended()
                return False
            return True

        self.await_(put, 120, f"{key} cannot be delivered")

    def services(self) -> Services:
        url = str(_json(self.home / "aws" / RECORD_NAME)["url"])
        return Services(Settings("local", self.home), local_aws(url))

    # -- the end

    def restless(self) -> list[str]:
        """What is not as it should be when everything has been done."""
        services, left = self.services(), []
        for source, day in sorted(self.newest):
            name = f"{source}/{PARTNERS[source]['name']}"
            d = services.ledger.deliveries.get(name, day)
            if d.state is not DeliveryState.PUBLISHED or d.pending or d.published != d.version:
                left.append(f"{name} {day}: {d.state}, version {d.version}, attempt {d.attempt}, error {d.error!r}")
        with dg.DagsterInstance.from_config(str(self.home / "dagster")) as instance:
            runs = [run for run in instance.get_runs() if not run.is_finished]
        left += [f"run {run.run_id} is {run.status.value}: {dict(run.tags)}" for run in runs]
        left += [f"work directory {path}" for path in sorted((self.home / "tmp").glob("*"))]
        return left

    def differences(self, services: Services) -> list[str]:
        left, tables = [], {table.qualified for table in open_tables(services.glue, "clean_")}
        for source, feed in PARTNERS.items():
            columns, table = ", ".join(feed["columns"]), f"clean_{source}.{feed['name']}"
            wanted = Counter(
                tuple(map(str, row)) for (s, _), rows in self.newest.items() if s == source for row in rows
            )
            # A slow machine may have had time for files of one partner only.
            sql = f"select {columns} from {table}"
            rows = run_query(services.aws, services.glue, "clean_", sql, 1_000_000)[1] if table in tables else []
            seen = Counter(tuple(map(str, row)) for row in rows)
            if seen != wanted:
                left.append(f"{source}: missing {dict(wanted - seen)}, too many {dict(seen - wanted)}")
        return left

    def await_(self, happened: Callable[[], bool], seconds: float, otherwise: str) -> None:
        end = time.monotonic() + seconds
        while not happened():
            if time.monotonic() > end:
                raise TimeoutError(f"{otherwise} after {seconds:.0f} s; logs are in {self.folder}")
            time.sleep(0.5)

    def say(self, what: str) -> None:
        print(f"{time.monotonic() - self.began:7.1f} {what}", flush=True)


def hurt(folder: Path, seed: int, kills: int) -> Hurt:
    """Let partners deliver and ``kills`` processes die, wait until the platform is quiet, and compare."""
    trial = Trial(folder, seed)
    try:
        trial.start_dev()
        trial.push()
        while trial.kills.total() < kills:
            time.sleep(trial.chance.uniform(1, 8))
            trial.restart_dev_if_it_ended()
            act = trial.chance.random()
            if act < 0.45:
                trial.push()
            elif act < 0.6 and not any(p.poll() is None for p in trial.beside):
                trial.say("start process beside")
                trial.beside.append(trial.command("process"))
            else:
                trial.kill()
        trial.push()
        return _end(trial)
    finally:
        trial.end_all()


def _end(trial: Trial) -> Hurt:
    def quiet() -> bool:
        trial.restart_dev_if_it_ended()
        try:
            return not trial.restless() and all(p.poll() is not None for p in trial.beside)
        except (OSError, BotoCoreError, ClientError):  # dev is about to end
            return False

    try:
        trial.await_(quiet, QUIET_WITHIN, "it does not become quiet")
        trial.say("quiet")
    except TimeoutError:
        trial.found += trial.restless()
    assert trial.dev is not None
    began = time.monotonic()
    trial.dev.terminate()
    try:
        trial.dev.wait(timeout=60)
        trial.await_(lambda: not trial.living(), 30, "processes outlive dev")
    except (TimeoutError, subprocess.TimeoutExpired):
        trial.found.append(f"after SIGTERM there still are {trial.living()}")
    seconds = time.monotonic() - began
    trial.say(f"stopped within {seconds:.1f} s")
    with ensure(trial.home / "aws") as endpoint:
        trial.found += trial.differences(Services(Settings("local", trial.home), local_aws(endpoint.url)))
    return Hurt(trial.kills, trial.pushed, sum(map(len, trial.newest.values())), seconds, trial.found)


def _kill(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _json(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def main() -> int:
    seed, kills = map(int, sys.argv[1:3])
    folder = Path(sys.argv[3] if len(sys.argv) > 3 else tempfile.mkdtemp(prefix="hurt-"))
    folder.mkdir(exist_ok=True)
    seen = hurt(folder, seed, kills)
    print(f"seed {seed}: {seen.kills.total()} kills {dict(seen.kills)}")
    print(f"{seen.pushed} files, {seen.rows} rows compared, stopped within {seen.stop_seconds:.1f} s")
    print("\n".join(seen.leftovers) or "nothing left over")
    return 1 if seen.leftovers or seen.stop_seconds > STOP_WITHIN else 0


if __name__ == "__main__":
    sys.exit(main())
