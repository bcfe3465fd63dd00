"""What the README shows of other readers, run as it stands there but for the names of bucket, database and table, with
no more than the environment that it names."""

import ast
import json
import os
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from adplatform.lake.lake import Lake
from adplatform.lake.publish import publish
from adplatform.lake.table import TableSpec
from adplatform.platform.access_keys import key_for
from adplatform.platform.aws import Aws
from adplatform_tests.lake.support import contract, source_name, spec_of, staged
from adplatform_tests.support.projects import ROOT

SECTION = (ROOT / "README.md").read_text(encoding="utf-8").split("## Reading the tables")[1].split("\n## ")[0]
DAYS = (date(2026, 10, 31), date(2026, 11, 1))


def shown(language: str, containing: str) -> str:
    return next(each for each in re.findall(rf"```{language}\n(.*?)```", SECTION, re.DOTALL) if containing in each)


def results(lake: Lake, spec: TableSpec, aws: Aws, temp: Path, code: str) -> list[int]:
    """How many rows each expression of the code gives."""
    names = {"adplatform-clean/northwind/campaign_daily": f"{lake.store.zones.clean_bucket}/{spec.feed}"}
    names |= {"clean_northwind": spec.database, "campaign_daily": spec.name}
    for name, own in names.items():
        code = code.replace(name, own)
    parts = ast.parse(code).body
    prints = [f"print(json.dumps(len({ast.unparse(p)})))" if isinstance(p, ast.Expr) else ast.unparse(p) for p in parts]
    key, credentials = key_for(aws.endpoint_url), temp / "credentials"
    credentials.write_text(f"[default]\naws_access_key_id = {key.id}\naws_secret_access_key = {key.secret}\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | {
        "AWS_SHARED_CREDENTIALS_FILE": str(credentials),
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": str(aws.endpoint_url),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    script = "\n".join(["import json", *prints])
    ran = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


@pytest.fixture
def spec(lake: Lake, temp: Path) -> TableSpec:
    spec = spec_of(contract({"id": "bigint"}), source=source_name())
    for day in DAYS:
        delivery = staged(spec, temp, {"": [{"id": 1}, {"id": 2}]})
        publish(lake, spec, day, 1, delivery, run_id="r", temp=temp)
    return spec


def test_readers_of_python_read_as_the_readme_says(lake: Lake, spec: TableSpec, aws: Aws, temp: Path) -> None:
    """The second keeps to the dates of November."""
    assert results(lake, spec, aws, temp, shown("python", "awswrangler")) == [4, 2, 4, 4]


def test_duckdb_reads_as_the_readme_says(lake: Lake, spec: TableSpec, aws: Aws, temp: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    con = duckdb.connect()
    try:
        con.execute("load httpfs")
        con.execute("load aws")
    except duckdb.Error:
        pytest.skip("DuckDB's extensions for S3 are not on this machine")
    host = str(aws.endpoint_url).removeprefix("http://")
    secret = f"create secret (type s3, provider credential_chain, endpoint '{host}', use_ssl false, url_style 'path')"
    setup = f"import duckdb\nduckdb.execute('load httpfs')\nduckdb.execute('load aws')\nduckdb.execute({secret!r})\n"
    assert results(lake, spec, aws, temp, setup + f"duckdb.sql({shown('sql', 'read_parquet')!r})") == [4]
