"""The shop of the demo through the command: read, traded with, killed, and read again from another address."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from adplatform.local.endpoint import ensure
from adplatform.local.world.shop.endpoint import connection
from adplatform.local.world.shop.world import forget
from adplatform_tests.local.world.shop.support import admin
from adplatform_tests.support.projects import adplatform, copy_project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    made = copy_project(tmp_path / "project")
    for part in ("amazon", "clouds", "partners", "saas", "databases/shop_changes"):
        shutil.rmtree(made / "adplatform" / "defs" / part)
    yield made
    forget(made / "home" / "aws" / "shop")


def done(project: Path, *arguments: str) -> str:
    ended = adplatform(project, *arguments)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.slow
def test_the_shop_of_the_demo_is_described_checked_read_and_read_again(project: Path) -> None:
    shop = project / "home" / "aws" / "shop"
    with ensure(project / "home" / "aws"):
        published = [line.split()[:2] for line in done(project, "process").splitlines()]
        assert published == [["published", f"northwind_shop/{name}"] for name in ("customers", "orders")]
        record = json.loads((shop / "endpoint.json").read_text(encoding="utf-8"))
        admin(record["url"], "trade", {"orders": 10})
        before = connection(record["url"])["port"]
        os.kill(record["pid"], signal.SIGKILL)

        described = done(project, "describe", "northwind_shop", "--table", "public.orders")
        assert "amount: decimal(12,2)" in described
        assert "every flow, task" in done(project, "engines", "check")
        url = json.loads((shop / "endpoint.json").read_text(encoding="utf-8"))["url"]
        assert connection(url)["port"] != before
        assert "is wanted" in done(project, "engines", "start", "northwind_shop/orders")
        done(project, "process")
        runs = done(project, "runs", "northwind_shop/orders")
        assert "3,000" in runs
        # New orders, changed ones, and what was changed in the last minutes before the first reading.
        [records] = [int(line.split()[5]) for line in runs.splitlines() if "asked/" in line]
        assert 20 <= records <= 25, runs
        rows = done(project, "query", "select count(distinct id) from clean_northwind_shop.orders")
    assert "3010" in rows
