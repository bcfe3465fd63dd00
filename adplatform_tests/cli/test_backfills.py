"""`adplatform backfill`: what it says a backfill would take, and that Dagster has it then."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from typer.testing import CliRunner

from adplatform.cli.app import app
from adplatform.components.assembly.backfills import REASON_TAG
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.ledger.scopes import Scope
from adplatform.platform.clock import utc_now
from adplatform_tests.operations.history import publish
from adplatform_tests.support.platforms import YESTERDAY
from adplatform_tests.support.projects import Project


def named(services: Services, aws_endpoint: str) -> Mapping[str, str]:
    return {"ADPLATFORM_LEDGER_TABLE": services.settings.ledger_table, "AWS_ENDPOINT_URL": aws_endpoint}


def said(environment: Mapping[str, str], *arguments: str) -> tuple[int, str]:
    ended = CliRunner().invoke(app, ["backfill", *arguments], env=dict(environment))
    return ended.exit_code, " ".join((ended.stdout + ended.stderr).split())


def test_a_dry_run_says_what_dates_of_a_feed_take_and_which_cannot_be_made(
    services: Services, aws_endpoint: str
) -> None:
    provision(services, [])
    days = [YESTERDAY - timedelta(days=n) for n in range(3)]
    for day in days[:2]:
        publish(services, "clubcard/purchases", day, utc_now(), rows_in=1_000, bytes=5_000, seconds=30)
    environment = named(services, aws_endpoint)
    code, text = said(environment, "clubcard/purchases", "--from", f"{days[-1]}", "--to", f"{days[0]}", "--dry-run")
    assert code == 0, text
    assert "clubcard/purchases: 2 dates" in text
    assert "of 10.0 kB, 2,000 rows; when they were last made that took 1.0 minutes of one process" in text
    assert f"without {days[-1]}: nothing was published of them" in text
    assert "nothing was started" in text
    code, text = said(environment, "clubcard/members", "--changed")
    assert (code, text) == (0, "clubcard/members: no date of these was made by another contract and can be made again")


def test_a_dry_run_says_how_many_requests_dates_of_a_report_take(services: Services, aws_endpoint: str) -> None:
    provision(services, [])
    services.ledger.scopes.put("northwind_ads", [Scope("111", "Asia/Tokyo", "US"), Scope("222", "Asia/Tokyo", "US")])
    environment = named(services, aws_endpoint)
    first, last = YESTERDAY - timedelta(days=41), YESTERDAY - timedelta(days=2)
    code, text = said(environment, "northwind_ads/sp_ad_groups", "--from", f"{first}", "--to", f"{last}", "--dry-run")
    assert code == 0, text
    assert "40 dates of 2 profiles, of which 80 are not there: 4 requests to Amazon" in text
    code, text = said(environment, "northwind_ads/sp_ad_groups", "--from", f"{first}", "--scope", "333", "--dry-run")
    assert (code, "no profile 333 of northwind_ads; there are 111, 222" in text) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["acme/nothing", "--from", "2026-01-01"], "no feed or report 'acme/nothing'; there are"),
        (["clubcard/purchases"], "say which dates: --from 2026-11-01 --to 2026-11-30"),
        (["clubcard/purchases", "--from", "2026-01-02", "--to", "2026-01-01"], "--to 2026-01-01 is before --from"),
        (["clubcard/purchases", "--from", "1.1.2026"], "'1.1.2026' is not a date: write YYYY-MM-DD"),
        (["clubcard/purchases", "--from", "2026-01-02", "--scope", "1"], "clubcard/purchases has no scopes"),
        (["northwind_ads/sp_ad_groups", "--changed"], "--changed is for feeds"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(
    services: Services, aws_endpoint: str, arguments: list[str], text: str
) -> None:
    provision(services, [])
    code, found = said(named(services, aws_endpoint), *arguments)
    assert code == 1
    assert text in found


@pytest.mark.slow
def test_a_backfill_is_one_of_dagster(services: Services, tmp_path: Path) -> None:
    project = Project.copy(tmp_path, services)
    provision(services, [project.source])
    project.deliver(YESTERDAY)
    assert project.run("process").returncode == 0
    ended = project.run("backfill", "acme/orders", "--from", str(YESTERDAY))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    with dg.DagsterInstance.from_config(str(project.home / "dagster")) as instance:
        [made] = instance.get_backfills()
    assert made.tags[REASON_TAG] == "by-hand"
    assert made.backfill_id in ended.stdout
