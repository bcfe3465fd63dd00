"""What the README tells a new user to do, done: its ten-line partner, on a copy of the project."""

import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path

import dagster as dg
import pytest
import yaml
from typer.testing import CliRunner

from adplatform.cli import check_file
from adplatform.cli.app import app
from adplatform.flow.services import Services
from adplatform.local.endpoint import ensure
from adplatform.patterns import DEFS, declared_patterns
from adplatform_tests.support.platforms import make_platform
from adplatform_tests.support.projects import ROOT, adplatform, copy_project

TODAY = datetime.now(UTC).date()
PARTNER = re.compile(r"```yaml\n(type: adplatform.*?)```", re.DOTALL)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return copy_project(tmp_path / "project")


@pytest.fixture
def definitions(tmp_path: Path) -> Path:
    """A copy of what is declared, for commands that are told where that is and run in this process."""
    copied: Path = shutil.copytree(DEFS, tmp_path / "defs")
    return copied


@pytest.mark.slow
def test_the_partner_of_the_readme_is_added_by_yaml_alone(project: Path) -> None:
    # `process` would pull the demo's accounts too, which takes a minute.
    for part in ("amazon", "clouds", "databases", "facts", "saas", "servers"):
        shutil.rmtree(project / "adplatform" / "defs" / part)
    with ensure(project / "home" / "aws"):  # so that not each command starts its own
        _add_the_partner(project)


def _add_the_partner(project: Path) -> None:
    found = PARTNER.search((ROOT / "README.md").read_text(encoding="utf-8"))
    assert found
    folder = project / "adplatform" / "defs" / "partners" / "acme"
    folder.mkdir()
    (folder / "defs.yaml").write_text(found[1], encoding="utf-8")
    assert adplatform(project, "validate").returncode == 0

    orders = project / "orders.csv"
    orders.write_text("order_id,email,amount\n1,Ann@Example.com,9.90\n2,bob@example.com,oops\n", encoding="utf-8")
    tried = adplatform(project, "check-file", "acme/orders", str(orders))
    assert "bad_decimal:amount" in tried.stdout
    pushed = adplatform(project, "push", "acme/orders", str(orders))
    assert pushed.returncode == 0, pushed.stderr
    settled = adplatform(project, "settle", "acme/orders", str(TODAY))
    assert settled.returncode == 0, settled.stderr
    unknown = adplatform(project, "process", "acmee")
    assert "no source 'acmee' (did you mean acme?)" in unknown.stderr
    processed = adplatform(project, "process", "acme")
    assert f"for acme/orders {TODAY}" in processed.stdout
    # One of two rows is broken, and a contract allows 20 % unless it says otherwise.
    assert "failed    acme/orders" in processed.stdout

    text = (folder / "defs.yaml").read_text(encoding="utf-8")
    (folder / "defs.yaml").write_text(text + "      bounds: {max_quarantined: 0.5}\n", encoding="utf-8")
    assert adplatform(project, "retry", "acme/orders", str(TODAY)).returncode == 0
    processed = adplatform(project, "process")
    assert processed.returncode == 0, processed.stdout + processed.stderr
    read = adplatform(project, "query", "select order_id, length(email_lake), amount from clean_acme.orders")
    assert [line.split() for line in read.stdout.splitlines() if "9.90" in line] == [
        ["│", "1", "│", "64", "│", "9.90", "│"]
    ]
    shown = adplatform(project, "quarantine", "show", "acme/orders", str(TODAY))
    assert "bad_decimal:amount" in shown.stdout
    assert "oops" not in shown.stdout
    assert "bob@example.com" not in shown.stdout
    assert "oops" in adplatform(project, "quarantine", "show", "acme/orders", str(TODAY), "--reveal").stdout


@pytest.mark.slow
def test_a_partner_is_added_by_scaffolding_alone(project: Path) -> None:
    for command in (
        ("scaffold", "defs", "adplatform.components.PartnerPush", "partners/acme", "--feed", "members"),
        ("check", "defs"),  # checks YAML first
    ):
        done = subprocess.run(
            [Path(sys.executable).parent / "dg", *command],
            cwd=project,
            env={**os.environ, "PYTHONPATH": str(project)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert adplatform(project, "validate").returncode == 0
    members = project / "members.csv"
    members.write_text("order_id,email,amount\n1,Ann@Example.com,9.90\n", encoding="utf-8")
    tried = adplatform(project, "check-file", "acme/members", str(members))
    assert tried.returncode == 0, tried.stdout + tried.stderr


@pytest.mark.slow
def test_a_partner_is_added_from_a_sample_and_tried_on_other_files(project: Path) -> None:
    members = project / "members.csv"
    rows = "".join(f"{n};0{n % 9 + 1}.01.2026;m{n}@example.com;1.234,50\n" for n in range(1, 40))
    members.write_text(f"member_id;joined;email;spent\n{rows}", encoding="utf-8")
    drafted = adplatform(project, "draft", "acme/members", str(members), "--write")
    assert drafted.returncode == 0, drafted.stdout + drafted.stderr
    assert "example.com" not in drafted.stdout + drafted.stderr
    members.write_text("member_id;joined;email;spent\n1;2026/01/31;a@example.com;1,50\n", encoding="utf-8")
    tried = adplatform(project, "check-file", "acme/members", str(members))
    assert tried.returncode == 1
    assert "joined: formats: ['%d.%m.%Y', '%Y/%m/%d']   (1 of 1 rows)" in tried.stdout
    assert "example.com" not in tried.stdout


def test_a_file_that_is_tried_is_said_to_lack_columns_or_to_be_put_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_file, "declared_patterns", partial(declared_patterns, folder=tmp_path))
    feeds = [
        {"name": policy, "start_date": "2026-01-01", "columns": {"a": "int", "b": None}, "schema_policy": policy}
        for policy in ("evolve", "quarantine")
    ]
    declared = {"type": "adplatform.components.PartnerPush", "attributes": {"source": "acme", "feeds": feeds}}
    (tmp_path / "defs.yaml").write_text(yaml.safe_dump(declared), encoding="utf-8")
    file = tmp_path / "a.csv"
    file.write_text("a\n2\n", encoding="utf-8")
    evolving = CliRunner().invoke(app, ["check-file", "acme/evolve", str(file)])
    assert evolving.exit_code == 0, evolving.output
    assert "files lack columns, whose rows have no value there: b (1 of 1 files); have them sent" in evolving.stdout
    aside = CliRunner().invoke(app, ["check-file", "acme/quarantine", str(file)])
    assert aside.exit_code == 1
    assert "put aside: declared columns are missing from the header: 'b'" in aside.stdout


def test_a_mistake_in_yaml_is_reported_with_file_line_and_reason(definitions: Path) -> None:
    file = definitions / "partners" / "northwind" / "defs.yaml"
    lines = file.read_text(encoding="utf-8").splitlines()
    wrong = next(n for n, line in enumerate(lines) if "campaign_id:" in line)
    lines[wrong] = lines[wrong].replace("bigint", "biggint")
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    reported = CliRunner().invoke(app, ["validate", str(definitions)])
    assert reported.exit_code == 1
    assert f"{file}:{wrong + 1}:" in reported.stderr
    assert "unknown type 'biggint'" in reported.stderr
    assert "Traceback" not in reported.stderr


def test_the_partner_of_the_readme_publishes_the_good_row_once_half_of_them_may_be_bad(
    services: Services, instance: dg.DagsterInstance
) -> None:
    found = PARTNER.search((ROOT / "README.md").read_text(encoding="utf-8"))
    assert found
    attributes = yaml.safe_load(found[1])["attributes"]
    [feed] = attributes["feeds"]
    at_once = {**feed, "arrival": {"complete_when": "count", "expected_files": 1}}
    strict = make_platform(services, {**attributes, "feeds": [at_once]}, instance)
    strict.put(
        f"orders/dt={TODAY}/orders.csv", b"order_id,email,amount\n1,Ann@Example.com,9.90\n2,bob@example.com,oops\n"
    )
    assert [result.success for result in strict.process()] == [False]
    assert "bounds" in strict.delivery("orders", TODAY).error
    services.ledger.deliveries.reopen("acme/orders", TODAY)
    lenient = {**at_once, "bounds": {"max_quarantined": 0.5}}
    platform = make_platform(services, {**attributes, "feeds": [lenient]}, instance)
    assert [result.success for result in platform.process()] == [True]
    assert platform.query("select order_id, length(email_lake), amount from {orders}") == [(1, 64, Decimal("9.90"))]


def test_local_mode_refuses_an_endpoint_that_is_not_this_machine(project: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(project), "AWS_ENDPOINT_URL": "http://203.0.113.7:4566"}
    command = [sys.executable, "-W", "ignore", "-m", "adplatform.cli", "tables"]
    reported = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert reported.returncode == 1
    assert "is not a loopback address" in reported.stderr


def test_the_accounts_of_the_readme_are_valid_and_a_wrong_column_is_reported_with_its_line(definitions: Path) -> None:
    _, account, everywhere, seller, crm, cloud, server, shop, live, fact, rates, alerts = PARTNER.findall(
        (ROOT / "README.md").read_text(encoding="utf-8")
    )
    amazon = definitions / "amazon"
    (amazon / "seller" / "defs.yaml").write_text(seller, encoding="utf-8")
    defs = amazon / "ads" / "defs.yaml"
    defs.write_text(account, encoding="utf-8")
    (definitions / "clouds" / "exports" / "defs.yaml").write_text(cloud, encoding="utf-8")
    (definitions / "servers" / "parcels" / "defs.yaml").write_text(server, encoding="utf-8")
    databases = definitions / "databases"
    (databases / "shop" / "defs.yaml").write_text(shop, encoding="utf-8")
    (databases / "shop_changes" / "defs.yaml").write_text(live, encoding="utf-8")
    (definitions / "saas" / "crm" / "defs.yaml").write_text(crm, encoding="utf-8")
    (definitions / "facts" / "marketing" / "defs.yaml").write_text(fact, encoding="utf-8")
    for name, declared in (("everywhere", everywhere), ("ecb", rates)):
        (definitions / name).mkdir()
        (definitions / name / "defs.yaml").write_text(declared, encoding="utf-8")
    alerts = alerts.replace("acme", "ecb").replace("globex", "crm")
    (definitions / "alerts.yaml").write_text(alerts, encoding="utf-8")
    reported = CliRunner().invoke(app, ["validate", str(definitions)])
    assert reported.exit_code == 0, reported.output
    defs.write_text(account.replace("keywordId,", "keywordID,"), encoding="utf-8")
    refused = CliRunner().invoke(app, ["validate", str(definitions)])
    assert refused.exit_code == 1
    assert "did you mean keywordId?" in refused.stderr
