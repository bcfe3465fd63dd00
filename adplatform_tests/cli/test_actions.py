"""What the ledger knows of commands that act."""

import inspect
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from typing import Any

import click
import pytest
import typer
from typer.testing import CliRunner

from adplatform.cli.actions import ACTING, action_of, identity, noted, outcome_of, user_here
from adplatform.cli.app import app
from adplatform.failures import TransientFailure
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.ledger.actions import Action, ActionOutcome

LOOKING = {
    *(("catalogue", "catalogue"), ("check_file", "check-file"), ("describe", "describe")),
    *(("dbt", "export"), ("dms", "check"), ("dms", "settings"), ("draft", "draft"), ("engine_runs", "check")),
    *(("engine_runs", "runs"), ("history", "crawl"), ("history", "ledger"), ("history", "query")),
    *(("history", "tables"), ("inventory", "inventory"), ("keys", "status"), ("budgets", "show")),
    *(("project", "onboard"), ("project", "schema"), ("project", "validate"), ("quarantine", "list")),
    *(("quarantine", "show"), ("ready_made", "ready-made"), ("report_history", "reports"), ("status", "status")),
    *(("stream", "stream"), ("uploads", "uploads"), ("consumers", "plan"), ("consumers", "check")),
    *(("contract", "export"), ("contract", "import"), ("mcp", "mcp"), ("recipe", "dlt"), ("alerts", "test")),
    ("naming", "naming"),
}
"""Commands that look."""
WORKING = {
    *(("project", "demo"), ("project", "dev"), ("project", "provision"), ("spark_demo", "spark-demo")),
    *(("deliveries", "push"), ("deliveries", "process"), ("string_keys", "string-keys"), ("consumers", "apply")),
}
"""Commands that do what a deployment, a sender or a schedule does."""
AT = datetime(2026, 6, 10, 12, tzinfo=UTC)


def test_of_every_command_somebody_has_decided_whether_it_acts() -> None:
    modules = vars(import_module("adplatform.cli.app"))
    groups = [value for value in modules.values() if isinstance(value, Mapping) and value is not ACTING]
    every = {(place[0], name) for group in groups for name, place in group.items() if isinstance(place, tuple)}
    assert every == ACTING.keys() | LOOKING | WORKING, "enter it in ACTING of cli/actions.py, or here"


def test_they_are_noted_by_parameters_that_they_have() -> None:
    for (module, name), acts in ACTING.items():
        function = getattr(import_module(f"adplatform.cli.{module}"), name)
        named = {*acts.of, acts.first, acts.last, acts.unless, acts.only} - {""}
        assert named <= inspect.signature(function).parameters.keys(), acts


@pytest.mark.parametrize(
    ("place", "given", "kept"),
    [
        (("deliveries", "retry"), {"name": None, "day": None, "everything": True}, ("", None, None)),
        (("deliveries", "retry"), {"name": "acme/orders/111", "day": "2026-01-02"}, ("acme/orders/111", 2, 2)),
        (("deliveries", "retry"), {"name": "ann@example.com", "day": "+49 170"}, ("", None, None)),
        (("backfills", "backfill"), {"feed": "a/b", "since": "2026-01-01", "until": "2026-01-09"}, ("a/b", 1, 9)),
        (("backfills", "backfill"), {"feed": "a/b", "since": "2026-01-01", "until": None}, ("a/b", 1, 1)),
        (("quarantine", "drop"), {"feed": "a/b", "day": "2026-01-03", "key": "ann.csv"}, ("a/b", 3, 3)),
        (("engine_runs", "backfill"), {"source": "crm", "feed": None, "first": AT, "last": AT}, ("crm", AT, AT)),
        (("engine_runs", "backfill"), {"source": "crm", "feed": "contacts"}, ("crm/contacts", None, None)),
        (("pauses", "pause"), {"source": "acme", "why": "Ann asked", "by": "Bob"}, ("acme", None, None)),
    ],
)
def test_names_and_dates_are_kept_and_nothing_else(
    place: tuple[str, str], given: Mapping[str, Any], kept: tuple[str, Any, Any]
) -> None:
    def day(said: Any) -> date | None:
        return said.date() if isinstance(said, datetime) else said and date(2026, 1, said)

    action = action_of(ACTING[place], given, "1", "me", AT)
    assert action == Action("1", ACTING[place].command, "me", action.release, AT, kept[0], day(kept[1]), day(kept[2]))


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "done"),
        (typer.Exit(0), "done"),
        (typer.Exit(1), "failed"),
        (TransientFailure("throttled"), "failed"),
        (click.Abort(), "stopped"),
        (KeyboardInterrupt(), "stopped"),
        (SystemExit(143), "stopped"),
    ],
)
def test_how_it_ended_is_what_it_raised(error: BaseException | None, outcome: str) -> None:
    assert outcome_of(error) == outcome


def test_a_command_is_known_while_it_runs_and_once_and_one_that_only_looks_is_not(
    services: Services, aws_endpoint: str
) -> None:
    provision(services, [])
    now = services.now()
    old = Action("0", "retry", "me", "", now - timedelta(days=401))
    killed = replace(old, id="1", begun_at=now - timedelta(days=399))
    for each in (old, killed):
        services.ledger.actions.put(each)
    environment = {"ADPLATFORM_LEDGER_TABLE": services.settings.ledger_table, "AWS_ENDPOINT_URL": aws_endpoint}

    def called(*command: str) -> list[tuple[str, str, str]]:
        CliRunner().invoke(app, command, env=environment)
        return [(each.command, each.of, each.outcome) for each in services.ledger.actions.every()]

    begun = ("retry", "", "begun")
    assert called("retry") == [("retry", "", "begun"), begun], "it was refused before it could do anything"
    assert called("backfill", "clubcard/purchases", "--from", "2026-06-01", "--dry-run")[2:] == []
    assert called("pause", "clubcard", "--why", "ann@example.com") == [begun, ("pause", "clubcard", "done")]
    replayed = called("quarantine", "replay", "clubcard/purchases", "2026-06-01")
    assert replayed[2:] == [("quarantine replay", "clubcard/purchases", "failed")]
    [*_, last] = services.ledger.actions.every()
    assert (last.by, last.first_day, last.ended_at is not None) == (user_here(), date(2026, 6, 1), True)
    assert last.outcome is ActionOutcome.FAILED
    assert identity(replace(services, settings=replace(services.settings, env="aws"))).startswith("arn:aws:")


KILLED = """
import os, signal
from adplatform.cli.actions import ACTING, noted
from adplatform.cli.context import connect
with noted(ACTING["erase", "erase"], {"source": "acme"}):
    connect()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_command_that_is_killed_stays_begun(services: Services, aws_endpoint: str) -> None:
    provision(services, [])
    environment = {"ADPLATFORM_LEDGER_TABLE": services.settings.ledger_table, "AWS_ENDPOINT_URL": aws_endpoint}
    ended = subprocess.run([sys.executable, "-c", KILLED], env={**os.environ, **environment}, check=False)
    [action] = services.ledger.actions.every()
    assert ended.returncode == -signal.SIGKILL
    assert (action.command, action.of, action.outcome, action.ended_at) == ("erase", "acme", "begun", None)


def test_what_nobody_has_services_for_leaves_nothing() -> None:
    with noted(ACTING["keys", "retire"], {}):
        pass
