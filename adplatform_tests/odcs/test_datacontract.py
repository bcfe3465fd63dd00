"""Contracts as tools of others take them, in an environment of their own: the standard's JSON Schema, and
datacontract-cli over published Parquet."""

import os
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
import yaml
from typer.testing import CliRunner

from adplatform.cli import contract
from adplatform.cli.app import app
from adplatform.described.documents import yaml_of
from adplatform.flow.services import Services
from adplatform.patterns import faultless_defs
from adplatform_tests.odcs.test_contracts import contracts
from adplatform_tests.support.downloads import downloaded
from adplatform_tests.support.platforms import YESTERDAY, make_platform

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
VALIDATE = """
import json, sys
from pathlib import Path
import datacontract, jsonschema, yaml

[schema] = Path(datacontract.__file__).parent.glob("schemas/odcs-3.1.0.schema.json")
schema = json.loads(schema.read_text())
validator = jsonschema.validators.validator_for(schema)(schema)
for file in sorted(Path(sys.argv[1]).glob("*.yaml")):
    for error in validator.iter_errors(yaml.safe_load(file.read_text())):
        print(file.name, error.json_path, error.message[:500])
print("done")
"""
ORDERS: dict[str, Any] = {
    "name": "orders",
    "start_date": "2026-01-01",
    "arrival": {"complete_when": "count", "expected_files": 1, "deadline": "6h"},
    "columns": {
        "order": {"type": "bigint", "required": True, "min": 1},
        "line": {"type": "int", "required": True},
        "email": {"pii": "email"},
        "status": {"required": True, "allowed": ["NO", "placed"]},
        "stars": {"type": "int", "allowed": ["1", "2"]},
        "net": {"type": "decimal(12,2)", "min": "-0.50", "max": "1000"},
        "country": {"pattern": "[A-Z]{2}"},
        "placed_at": {"type": "timestamp"},
        "sent_on": {"type": "date", "min": "2026-01-01"},
        "birth_date": {"type": "date", "drop": True},
    },
    "key": ["order", "line"],
    "bounds": {"min_rows": 1},
}
BODY = b"""order,line,email,status,stars,net,country,placed_at,sent_on,birth_date
1,1,ann@example.com,NO,1,9.90,DE,2026-01-01T10:00:00Z,2026-01-02,2000-01-01
1,2,-,placed,,-0.50,,,,
2,1,,placed,2,,US,,,
"""
BROKEN = (
    "*",
    '* replace (0 as "order")',
    '* replace (91 as "order", null as line)',
    "* replace (92 as \"order\", 'gone' as status)",
    "* replace (94 as \"order\", date '2025-12-31' as sent_on)",
    "* replace (93 as \"order\", 'x' as country)",
)


@pytest.fixture(scope="module")
def python() -> Path:
    found = Path.cwd() / os.environ.get("ODCS_PYTHON", ".venv-odcs/bin/python")
    if not found.exists():
        pytest.skip("needs what `make odcs` installs, or ODCS_PYTHON")
    return found


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"COLUMNS": "250"}
    return subprocess.run([*map(str, command)], env=environment, capture_output=True, text=True, check=False)


def tool(python: Path, *arguments: str | Path, passes: bool = True) -> str:
    """What datacontract-cli prints."""
    done = run(python.with_name("datacontract"), *arguments)
    assert (done.returncode == 0) is passes, done.stdout[-5000:] + done.stderr[-5000:]
    return done.stdout


def failed(said: str) -> set[str]:
    """The checks that did not pass, in a table of datacontract-cli."""
    lines = [line.split("│") for line in said.splitlines() if line.startswith("│ failed") or line.startswith("│ error")]
    return {cells[2].strip().removeprefix("Check that ") for cells in lines}


def test_contracts_of_every_declared_feed_are_valid(python: Path, tmp_path: Path) -> None:
    for declared in faultless_defs():
        for feed, origin, made in contracts(declared):
            (tmp_path / f"{origin.source}.{feed.name}.yaml").write_text(yaml_of(made))
    done = run(python, "-c", VALIDATE, tmp_path)
    assert done.stdout == "done\n", done.stdout + done.stderr
    for name in ("clubcard.members", "northwind_ads.ads_daily", "northwind_live.customers"):
        assert "Data contract is valid against ODCS v3.1.0" in tool(python, "lint", tmp_path / f"{name}.yaml")


def test_published_parquet_keeps_its_contract_and_what_breaks_it_is_found(
    python: Path, services: Services, instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attributes = {"source": "acme", "feeds": [ORDERS]}
    platform = make_platform(services, attributes, instance)
    platform.put(f"orders/dt={YESTERDAY}/orders.csv", BODY)
    [result] = platform.process()
    assert result.success
    zone = downloaded(services, tmp_path / "clean", "acme/")
    defs = tmp_path / "defs" / "defs.yaml"
    defs.parent.mkdir()
    defs.write_text(yaml.safe_dump({"type": "adplatform.components.PartnerPush", "attributes": attributes}))
    monkeypatch.setattr(contract, "faultless_defs", partial(faultless_defs, defs.parent))
    monkeypatch.setattr(contract, "connect", lambda: services)
    exported = CliRunner().invoke(app, ["contract", "export", "acme/orders"])
    assert exported.exit_code == 0, exported.output
    made = yaml.safe_load(exported.output)
    [path] = [each["location"].partition("/acme/")[2] for each in made["servers"] if each["type"] == "s3"]
    made["servers"] = [{"server": "here", "type": "local", "path": str(zone / "acme" / path), "format": "parquet"}]
    file = tmp_path / "orders.odcs.yaml"
    file.write_text(yaml_of(made))
    assert failed(tool(python, "test", file)) == set()
    [parquet] = zone.glob("acme/orders/*/*.parquet")
    with duckdb.connect() as connection:
        one = f"from (from read_parquet('{parquet}', hive_partitioning = false) limit 1)"
        rows = connection.sql(" union all ".join(f"select {broken} {one}" for broken in BROKEN))
        rows.write_parquet(str(parquet.with_name("broken.parquet")))
    assert failed(tool(python, "test", file, passes=False)) == {
        "primary key (dt, order, line) has no duplicate values",
        "field line has no missing values",
        "field order has a minimum of 1",
        "field sent_on has a minimum of 2026-01-01",
        "field status has invalid_count = 0",
        "field country matches regex pattern ^(?:[A-Z]{2})$",
    }
