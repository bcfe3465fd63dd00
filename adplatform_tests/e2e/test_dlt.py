"""dlt itself, with the settings and within the policy that `adplatform recipe dlt` prints: a load that is killed before
its marker is not published, one that is written twice is the same table, and persons are hashed."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from adplatform.cli.recipe import dlt_recipe, writer_policy
from adplatform.flow.services import Services
from adplatform_tests.support.platforms import Platform, make_platform

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SHAPE: dict[str, Any] = {
    "start_date": "2026-01-01",
    "format": {"preset": "dlt"},
    "landing": "crm/{feed}/{load}.{file}",
}
ORDERS = {
    **SHAPE,
    "name": "orders",
    "columns": {"order_id": {"type": "bigint", "required": True}, "email": {"pii": "email"}, "_dlt_id": "string"},
    "key": "order_id",
}
ITEMS = {**SHAPE, "name": "orders__items", "columns": {"sku": "string", "_dlt_parent_id": "string"}}
STOCK = {**SHAPE, "name": "stock", "columns": {"sku": "string"}, "arrival": {"loads": "newest"}}
SOURCE = {"source": "shop", "feeds": [ORDERS, ITEMS, STOCK]}
CALL = "call "
PIPELINE = """
import logging, os, re, signal, sys
import dlt
from dlt.destinations.impl.filesystem.filesystem import FilesystemClient

class Calls(logging.Handler):
    def emit(self, record):
        made = re.search(r"name=(\\w+)\\).*'url_path': '([^']*)', 'query_string': (\\{[^}]*\\})", record.getMessage())
        if made:
            prefix = re.search("'prefix': '([^']*)'", made[3])
            print("call", made[1], made[2].partition("?")[0] or "/", prefix[1] if prefix else "", flush=True)

calls = logging.getLogger("botocore.endpoint")
calls.setLevel(logging.DEBUG)
calls.propagate = False
calls.addHandler(Calls())
if "killed" in sys.argv:
    FilesystemClient._store_load = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
pipeline = dlt.pipeline("hub", destination="filesystem", dataset_name="crm", pipelines_dir=sys.argv[1])
orders = [{"order_id": n, "email": f"ann{n}@example.com", "items": [{"sku": f"s{n}"}]} for n in (1, 2)]
stock = [{"sku": sku} for sku in sys.argv[2].split(",")]
if pipeline.has_pending_data:
    pipeline.load()
else:
    tables = [dlt.resource(orders, name="orders"), dlt.resource(stock, name="stock")]
    pipeline.run(tables, loader_file_format="parquet")
"""


@dataclass(frozen=True)
class Dlt:
    """dlt in an environment of its own, with the settings that the recipe prints."""

    python: Path
    directory: Path
    endpoint: str
    bucket: str

    def run(self, state: str, stock: str = "a", *more: str, ends: int = 0) -> list[tuple[str, str, str]]:
        """Run the pipeline with its working directory in ``state``: the calls of S3 that it makes, each with key and
        prefix."""
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        credentials = "DESTINATION__FILESYSTEM__CREDENTIALS__"
        environment |= {
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            "AWS_SHARED_CREDENTIALS_FILE": str(self.directory / "credentials"),
            "AWS_CONFIG_FILE": str(self.directory / "credentials"),
            f"{credentials}ENDPOINT_URL": self.endpoint,
        }
        command = [str(self.python), "-c", PIPELINE, str(self.directory / state), stock, *more]
        done = subprocess.run(command, cwd=self.directory, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == ends, done.stdout[-3000:] + done.stderr[-5000:]
        said = [line.removeprefix(CALL) for line in done.stdout.splitlines() if line.startswith(CALL)]
        made = [(*line.split(" "), "")[:3] for line in said]
        return [(call, path.removeprefix(f"/{self.bucket}").lstrip("/"), prefix) for call, path, prefix in made]


@pytest.fixture
def platform(services: Services, instance: dg.DagsterInstance) -> Platform:
    return make_platform(services, SOURCE, instance)


@pytest.fixture
def dlt(services: Services, platform: Platform, aws_endpoint: str, tmp_path: Path) -> Iterator[Dlt]:
    python = Path.cwd() / os.environ.get("DLT_PYTHON", ".venv-dlt/bin/python")
    if not python.exists():
        pytest.skip("needs what `make dlt` installs, or DLT_PYTHON")
    page = dlt_recipe(platform.source, services.settings)
    (tmp_path / ".dlt").mkdir()
    for name, text in zip(("config", "secrets"), page.split("```toml\n")[1:], strict=True):
        (tmp_path / ".dlt" / f"{name}.toml").write_text(text.partition("```")[0])
    keys = f"aws_access_key_id = {os.environ['AWS_ACCESS_KEY_ID']}\n"
    keys += f"aws_secret_access_key = {os.environ['AWS_SECRET_ACCESS_KEY']}\n"
    (tmp_path / "credentials").write_text(f"[shop-writer]\n{keys}[profile shop-writer]\n{keys}")
    platform.put("crm/init", b'{"initial_version": 2, "current_version": 2}\n')
    for own in ("_dlt_version", "_dlt_pipeline_state"):
        platform.put(f"crm/{own}/first", b"")
    yield Dlt(python, tmp_path, aws_endpoint, services.settings.raw_bucket)


def published(platform: Platform) -> list[list[tuple[Any, ...]]]:
    results = platform.process()
    assert all(result.success for result in results)
    joined = "{orders} join {orders__items} on _dlt_parent_id = _dlt_id"
    orders = f"select order_id, length(email_lake), sku from {joined} order by 1"
    return [platform.query(orders), platform.query("select sku from {stock} order by 1")]


def test_a_load_that_is_killed_before_its_marker_is_published_when_dlt_has_gone_on_with_it_and_only_once(
    platform: Platform, dlt: Dlt
) -> None:
    dlt.run("first", "a,b", "killed", ends=-signal.SIGKILL)
    assert platform.process() == []
    shutil.copytree(dlt.directory / "first", dlt.directory / "second")
    dlt.run("first")
    whole = [[(1, 64, "s1"), (2, 64, "s2")], [("a",), ("b",)]]
    assert published(platform) == whole
    dlt.run("second")
    assert published(platform) == whole
    listed = platform.services.s3.list_objects_v2(Bucket=dlt.bucket, Prefix="landing/shop/crm/_dlt_loads/")
    assert listed["KeyCount"] == 1
    assert platform.messages.read() == []


def test_loads_of_a_day_add_up_and_a_table_that_is_whole_each_time_shows_the_newest(
    platform: Platform, dlt: Dlt
) -> None:
    dlt.run("state", "a,b")
    dlt.run("state", "c")
    orders, stock = published(platform)
    assert stock == [("c",)]
    assert {row[0] for row in orders} == {1, 2}


def test_dlt_calls_nothing_that_the_policy_of_the_recipe_does_not_allow(platform: Platform, dlt: Dlt) -> None:
    policy = writer_policy(platform.source, ["crm"], platform.services.settings)
    made = [*dlt.run("state"), *dlt.run("state"), *dlt.run("elsewhere")]
    refused = [call for call in made if not _allowed(policy, dlt.bucket, *call)]
    assert made
    assert refused == []
    there = platform.services.s3.list_objects_v2(Bucket=dlt.bucket, Prefix="landing/shop/")
    keys = {each["Key"] for each in there["Contents"]}
    assert {key for call, key, _ in made if call == "HeadObject"} <= keys, "S3 says 403 of what is not there"


ACTIONS = {"HeadObject": "s3:GetObject", "ListObjectsV2": "s3:ListBucket"}
PROBES = {"HeadBucket"}
"""Of which s3fs takes that they are refused, and asks for the bucket's region."""


def _allowed(policy: dict[str, Any], bucket: str, call: str, key: str, prefix: str) -> bool:
    if call in PROBES:
        return True
    action, arn = ACTIONS.get(call, f"s3:{call}"), f"arn:aws:s3:::{bucket}" + (f"/{key}" if key else "")
    for statement in policy["Statement"]:
        patterns = statement.get("Condition", {"StringLike": {"s3:prefix": ["*"]}})["StringLike"]["s3:prefix"]
        fits = any(fnmatchcase(arn, each) for each in statement["Resource"])
        if action in statement["Action"] and fits and any(fnmatchcase(prefix, each) for each in patterns):
            return True
    return False
