"""A copy of the project with one partner, driven by the real command in real processes, on an AWS that tests share."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from adplatform.contracts.feed import Feed
from adplatform.flow.services import Services
from adplatform.flow.source import Source, make_source
from adplatform.platform.calls import RECORD

ROOT = Path(__file__).parents[2]
ORDERS: dict[str, Any] = {
    "name": "orders",
    "start_date": "2026-01-01",
    "arrival": {"complete_when": "done_file"},
    "columns": {"order_id": {"type": "bigint", "required": True}, "amount": "decimal(12,2)"},
    "key": "order_id",
}


def inherited() -> dict[str, str]:
    """What processes get of the environment of the tests; where their calls are noted, too."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", RECORD) if name in os.environ}


def copy_project(target: Path) -> Path:
    target.mkdir()
    # With its bytecode: its commands start in half the time.
    shutil.copytree(ROOT / "adplatform", target / "adplatform")
    shutil.copy(ROOT / "pyproject.toml", target)
    return target


def adplatform(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "adplatform.cli", *arguments],
        cwd=project,
        env={**inherited(), "PYTHONPATH": str(project), "ADPLATFORM_HOME": str(project / "home")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@dataclass(frozen=True)
class Project:
    """``services`` are those of the test, for its own looks."""

    folder: Path
    services: Services
    feeds: list[dict[str, Any]] = field(default_factory=lambda: [ORDERS])
    name: str = "acme"

    @classmethod
    def copy(
        cls,
        folder: Path,
        services: Services,
        feed: dict[str, Any] | None = None,
        *,
        source: str = "acme",
        feeds: list[dict[str, Any]] | None = None,
    ) -> "Project":
        project = cls(folder / "project", services, feeds or [feed or dict(ORDERS)], source)
        copy_project(project.folder)
        for part in ("amazon", "clouds", "databases", "facts", "partners", "saas", "servers"):
            shutil.rmtree(project.folder / "adplatform" / "defs" / part)
        declared = {
            "type": "adplatform.components.PartnerPush",
            "attributes": {"source": project.name, "feeds": project.feeds},
        }
        place = project.folder / "adplatform" / "defs" / "partners" / project.name
        place.mkdir(parents=True)
        (place / "defs.yaml").write_text(yaml.safe_dump(declared), encoding="utf-8")
        return project

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def source(self) -> Source:
        return make_source(self.name, self.services.settings.raw_bucket, [Feed.model_validate(f) for f in self.feeds])

    def start(
        self,
        *arguments: str,
        module: str = "adplatform.cli",
        home: Path | None = None,
        endpoint: str | None = None,
        stdin: int | None = None,
        **environment: str,
    ) -> "subprocess.Popen[str]":
        """A process of a module; by default a command of ours."""
        settings = self.services.settings
        names = {
            **inherited(),
            "PYTHONPATH": f"{self.folder}{os.pathsep}{ROOT}",
            "AWS_ENDPOINT_URL": endpoint or str(self.services.aws.endpoint_url),
            **{name: os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")},
            "ADPLATFORM_HOME": str(home or self.home),
            "ADPLATFORM_RAW_BUCKET": settings.raw_bucket,
            "ADPLATFORM_CLEAN_BUCKET": settings.clean_bucket,
            "ADPLATFORM_LEDGER_TABLE": settings.ledger_table,
            "ADPLATFORM_DATABASE_PREFIX": settings.database_prefix,
            "ADPLATFORM_QUEUE_PREFIX": settings.queue_prefix,
            "ADPLATFORM_SUCCESS_TOPIC": settings.success_topic,
            "ADPLATFORM_FAILURE_TOPIC": settings.failure_topic,
            "ADPLATFORM_HASH_KEY_SECRET": settings.hash_key_secret,
        }
        command = [sys.executable, "-W", "ignore", "-m", module, *arguments]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env={**names, **environment},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        with self.start(*arguments, **options) as process:
            out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def deliver(self, day: date, rows: int = 2) -> None:
        body = "order_id,amount\n" + "".join(f"{n},{n}.50\n" for n in range(1, rows + 1))
        for name, content in (("orders.csv", body.encode()), ("_SUCCESS", b"")):
            key = f"landing/acme/orders/dt={day}/{name}"
            self.services.s3.put_object(Bucket=self.services.settings.raw_bucket, Key=key, Body=content)
