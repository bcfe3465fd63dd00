"""`adplatform status`: what it prints, and how it ends."""

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
import typer
from typer.testing import CliRunner

from adplatform.cli.app import app
from adplatform.cli.status import report
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.ledger.delivery import Delivery
from adplatform.operations.board import look_over
from adplatform_tests.operations.history import FEED, NOON, TODAY, acme, days_before, publish
from adplatform_tests.support.ledger_rows import put_delivery


@pytest.fixture
def timed(services: Services) -> Services:
    moved = replace(services, now=lambda: NOON)
    provision(moved, [])
    return moved


def test_where_nothing_has_failed_it_ends_well_and_says_what_waits(
    timed: Services, capsys: pytest.CaptureFixture[str]
) -> None:
    for n in (1, 2, 3):
        publish(timed, "acme/orders", days_before(n), NOON - timedelta(days=n - 1, hours=5), rows_in=1_000, bytes=5_000)
    put_delivery(timed.ledger, "acme/orders", Delivery(TODAY, arrivals=1, waiting="1 of 2 files"))
    budgeted = acme(timed, budget={"day": {"dpu_hours": "1.5"}})
    timed.ledger.spendings.add("acme", {"dpu_hours": Decimal("0.5")})
    report(look_over(timed, [budgeted]))
    said = capsys.readouterr().out
    assert "waits: 1 of 2 files" in said
    assert "nothing has failed, nothing is overdue" in said
    assert "1.5 DPU-hours" in said
    report(look_over(timed, [budgeted]), as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert (document["at"], document["troubles"]) == (NOON.isoformat(), [])
    [table] = document["tables"]
    assert (table["newest"], table["age_seconds"], table["counts"]["bytes"]) == ("2026-06-09", 5 * 3600, 15_000)
    [budget] = document["budgets"]
    assert (budget["unit"], budget["used"], budget["limit"]) == ("dpu_hours", 0.5, 1.5)


def test_where_something_is_overdue_it_ends_with_status_1(timed: Services, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended:
        report(look_over(timed, [acme(timed, {**FEED, "fresh_within": None})]))
    assert ended.value.exit_code == 1
    assert "3 failed or overdue" in capsys.readouterr().out


def test_it_takes_a_declared_source_alone(services: Services, aws_endpoint: str) -> None:
    provision(services, [])
    environment = {"ADPLATFORM_LEDGER_TABLE": services.settings.ledger_table, "AWS_ENDPOINT_URL": aws_endpoint}
    shown = CliRunner().invoke(app, ["status", "clubcard", "--json"], env=environment)
    named = {each["table"] for each in json.loads(shown.stdout)["tables"]}
    assert named == {"clubcard/members", "clubcard/member_matches", "clubcard/purchases"}
    refused = CliRunner().invoke(app, ["status", "clubcrad"], env=environment)
    assert refused.exit_code == 1
    assert "no source 'clubcrad'" in refused.output
