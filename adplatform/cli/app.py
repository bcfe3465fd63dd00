"""The ``adplatform`` command. What a command needs is imported when it is called, because all of it takes seconds."""

import functools
import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import click
import typer
from typer.core import TyperGroup
from typer.main import get_command_from_info
from typer.models import CommandInfo

from adplatform.cli.actions import ACTING, Acts, noted
from adplatform.cli.context import reported
from adplatform.platform.calls import CODE_SERVER, NOBODY, OPERATOR, acting
from adplatform.platform.garbage import collected_rarely

PROJECT, DELIVERIES, HISTORY, REPORTS = "project", "deliveries", "history", "report_history"
COMMANDS: Mapping[str, tuple[str, str]] = {
    "demo": (PROJECT, "Partners deliver, accounts are pulled, flows run; see what becomes of it."),
    "spark-demo": ("spark_demo", "Have a delivery transformed by a Spark cluster of this machine."),
    "dev": (PROJECT, "Start the UI with sensors and schedules on."),
    "provision": (PROJECT, "Make what the declared sources need and does not exist yet."),
    "validate": (PROJECT, "Check every declared source."),
    "ready-made": ("ready_made", "List reports and feeds that need no more than their name."),
    "schema": (PROJECT, "Print the JSON Schema of a component's attributes."),
    "onboard": (PROJECT, "Print the page to send to a partner."),
    "push": (DELIVERIES, "Drop files into a feed's landing zone, as a partner would."),
    "draft": ("draft", "Propose a feed's contract from a sample of its files."),
    "check-file": ("check_file", "Try a decrypted file against a feed's contract, and say what would read it."),
    "process": (DELIVERIES, "Process whatever is due, here and now."),
    "pause": ("pauses", "Start nothing more of a source."),
    "resume": ("pauses", "Go on with a paused source."),
    "settle": (DELIVERIES, "Settle a delivery with what is there."),
    "retry": (DELIVERIES, "Process again what has failed."),
    "backfill": ("backfills", "Make dates of a feed or report again."),
    "reload": ("reload", "Load a table again whose changes are followed."),
    "rates": ("rates", "Have dates of a marketing fact take new rates of exchange."),
    "status": ("status", "Show where everything stands: what is stale, waits or has failed."),
    "ledger": (HISTORY, "Show what arrived, what became of it, and why."),
    "reports": (REPORTS, "Show the reports that were asked for and where each stands."),
    "stream": ("stream", "Say what Marketing Stream of an Ads account still needs."),
    "runs": ("engine_runs", "Show the runs of managed engines, AppFlow for example."),
    "uploads": ("uploads", "Show what workflows found of files that were uploaded by SFTP."),
    "describe": ("describe", "Write the declaration of a database's tables from its catalogue."),
    "inventory": ("inventory", "Compare a store elsewhere with what has landed and been delivered."),
    "tables": (HISTORY, "List the clean tables, their columns and partitions."),
    "query": (HISTORY, "Query the clean tables on this machine."),
    "naming": ("naming", "List names that do not conform to their conventions."),
    "mcp": ("mcp", "Serve read-only tools to an assistant, over stdio."),
    "erase": ("erase", "Erase a person from all that a source has stored."),
    "collect": (HISTORY, "Remove table versions that nothing refers to."),
    "crawl": (HISTORY, "Compare what a Glue crawler finds with what is registered."),
    "string-keys": ("string_keys", "Make date keys of older tables strings, by which engines filter."),
    "doctor": ("doctor", "Compare ledger, catalog, manifests and raw zone."),
}
"""The module and the line in the list of each command; its own help is its function's docstring."""
QUARANTINE: Mapping[str, tuple[str, str]] = {
    "list": ("quarantine", "List deliveries whose latest version has broken rows or files."),
    "show": ("quarantine", "Show the quarantined rows of a delivery."),
    "replay": ("quarantine", "Process the delivery again from its originals."),
    "drop": ("quarantine", "Leave a file out of its delivery for good."),
}
KEYS: Mapping[str, tuple[str, str]] = {
    "status": ("keys", "Show which tables are under which key."),
    "rotate": ("keys", "Bring every table to one hashing key."),
    "retire": ("keys", "Give up earlier keys that nothing needs any more."),
}
ENGINES: Mapping[str, tuple[str, str]] = {
    "check": ("engine_runs", "Compare declared flows with what AWS has."),
    "start": ("engine_runs", "Want a run of a flow now."),
    "cancel": ("engine_runs", "Stop exactly one run."),
    "backfill": ("engine_runs", "Pull a window of the past through AppFlow."),
}
CONSUMERS: Mapping[str, tuple[str, str]] = {
    "plan": ("consumers", "Say what services that read tables lack of what is declared."),
    "apply": ("consumers", "Make what they lack, and change what differs."),
    "check": ("consumers", "Compare what they have with what is declared."),
}
BUDGET: Mapping[str, tuple[str, str]] = {
    "show": ("budgets", "Show what sources have used of what they may."),
    "allow": ("budgets", "Allow a source to use more today."),
}
AMAZON: Mapping[str, tuple[str, str]] = {
    "catalogue": ("catalogue", "Show which reports can be asked for, with their columns and limits."),
}
DMS: Mapping[str, tuple[str, str]] = {
    "check": ("dms", "Refuse settings of AWS DMS that lose or reorder data."),
    "settings": ("dms", "Print settings that pass, to paste into AWS."),
}
CONTRACT: Mapping[str, tuple[str, str]] = {
    "export": ("contract", "Write feeds as data contracts (ODCS)."),
    "import": ("contract", "Make a declaration of a data contract (ODCS)."),
}
DBT: Mapping[str, tuple[str, str]] = {
    "export": ("dbt", "Write the tables of a source as sources of dbt."),
}
ALERTS: Mapping[str, tuple[str, str]] = {
    "test": ("alerts", "Send a test message by each route, and say where it went."),
}
RECIPE: Mapping[str, tuple[str, str]] = {
    "dlt": ("recipe", "Print how dlt writes tables of a source."),
}

ROLES: Mapping[str, str] = {
    "process": CODE_SERVER,
    "provision": NOBODY,
    "demo": NOBODY,
    "dev": NOBODY,
    "push": NOBODY,
    "spark-demo": NOBODY,
    "string-keys": NOBODY,
}
"""As whom a command calls AWS, if not as an operator. The runs that ``process`` makes have roles of their own."""


def lazy_group(commands: Mapping[str, tuple[str, str]]) -> type[TyperGroup]:
    """A group that lists commands without importing them."""

    class Lazy(TyperGroup):
        def main(self, *args: Any, **kwargs: Any) -> Any:
            with collected_rarely():
                return super().main(*args, **kwargs)

        def list_commands(self, ctx: click.Context) -> list[str]:
            return [*commands, *super().list_commands(ctx)]

        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
            if cmd_name in commands:
                return click.Command(cmd_name, help=commands[cmd_name][1])
            return super().get_command(ctx, cmd_name)

        def resolve_command(
            self, ctx: click.Context, args: list[str]
        ) -> tuple[str | None, click.Command | None, list[str]]:
            name, command, rest = super().resolve_command(ctx, args)
            return name, imported(commands, name) if name is not None and name in commands else command, rest

    return Lazy


def imported(commands: Mapping[str, tuple[str, str]], name: str) -> click.Command:
    """The command itself."""
    place = commands[name][0]
    module = import_module(f"adplatform.cli.{place}")
    attribute = name.replace("-", "_")
    function = getattr(module, attribute if hasattr(module, attribute) else f"{attribute}_")
    info = CommandInfo(
        name=name,
        callback=_reporting(function, ROLES.get(name, OPERATOR), ACTING.get((place, name))),
        context_settings=_HELP_OPTIONS,
    )
    return get_command_from_info(info, pretty_exceptions_short=True, rich_markup_mode="rich")


def _reporting(command: Callable[..., Any], role: str, acts: Acts | None) -> Callable[..., Any]:
    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        with reported(), acting(role), noted(acts, kwargs):
            return command(*args, **kwargs)

    run.__signature__ = inspect.signature(command)  # type: ignore[attr-defined]  # typer reads the options from it
    return run


_HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}
app = typer.Typer(
    cls=lazy_group(COMMANDS),
    help="Advertising and marketing data into AWS: raw to clean, nothing lost, nothing twice.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    context_settings=_HELP_OPTIONS,
)
quarantine_app = typer.Typer(
    cls=lazy_group(QUARANTINE), help="Files and rows that broke their contract.", no_args_is_help=True
)
keys_app = typer.Typer(
    cls=lazy_group(KEYS), help="The hashing key of personal data: where it is used, and its rotation."
)
engines_app = typer.Typer(
    cls=lazy_group(ENGINES), help="Engines that AWS runs: checks, starts and stops.", no_args_is_help=True
)
consumers_app = typer.Typer(
    cls=lazy_group(CONSUMERS), help="Services that read tables: what they are to have.", no_args_is_help=True
)
contract_app = typer.Typer(
    cls=lazy_group(CONTRACT), help="Feeds as data contracts, and contracts of others as feeds.", no_args_is_help=True
)
dms_app = typer.Typer(
    cls=lazy_group(DMS), help="AWS DMS, which brings the changes of a database: its settings.", no_args_is_help=True
)
dbt_app = typer.Typer(cls=lazy_group(DBT), help="What dbt is given of clean tables.", no_args_is_help=True)
recipe_app = typer.Typer(
    cls=lazy_group(RECIPE), help="How other loaders write into a landing zone.", no_args_is_help=True
)
budget_app = typer.Typer(cls=lazy_group(BUDGET), help="What sources may use, and what they have used.")
amazon_app = typer.Typer(
    cls=lazy_group(AMAZON), help="Reports of the Ads API and of the Selling Partner API.", no_args_is_help=True
)
alerts_app = typer.Typer(
    cls=lazy_group(ALERTS), help="Messages to people: by which routes they go.", no_args_is_help=True
)
app.add_typer(alerts_app, name="alerts")
app.add_typer(amazon_app, name="amazon")
app.add_typer(budget_app, name="budget")
app.add_typer(engines_app, name="engines")
app.add_typer(consumers_app, name="consumers")
app.add_typer(contract_app, name="contract")
app.add_typer(dbt_app, name="dbt")
app.add_typer(dms_app, name="dms")
app.add_typer(quarantine_app, name="quarantine")
app.add_typer(recipe_app, name="recipe")
app.add_typer(keys_app, name="keys")


@app.callback()
def _app() -> None:
    """Without a callback typer makes no group of an app that has no commands of its own."""


@quarantine_app.callback()
def _quarantine() -> None:
    """As above."""


@engines_app.callback()
def _engines() -> None:
    """As above."""


@dms_app.callback()
def _dms() -> None:
    """As above."""


@contract_app.callback()
def _contract() -> None:
    """As above."""


@dbt_app.callback()
def _dbt() -> None:
    """As above."""


@alerts_app.callback()
def _alerts() -> None:
    """As above."""


@recipe_app.callback()
def _recipe() -> None:
    """As above."""


@amazon_app.callback()
def _amazon() -> None:
    """As above."""


@consumers_app.callback()
def _consumers() -> None:
    """As above."""


@budget_app.callback(invoke_without_command=True)
def _budget(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        imported(BUDGET, "show").main([], standalone_mode=False)


@keys_app.callback(invoke_without_command=True)
def _keys(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        imported(KEYS, "status").main([], standalone_mode=False)
