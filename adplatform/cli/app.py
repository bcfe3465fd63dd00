"""The ``adplatform`` command."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import typer

from adplatform.cli import deliveries, doctor, history, keys, project, quarantine, report_history
from adplatform.cli.context import reported

app = typer.Typer(
    help="Advertising and marketing data into AWS: raw to clean, nothing lost, nothing twice.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _reporting(command: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        with reported():
            return command(*args, **kwargs)

    run.__signature__ = inspect.signature(command)  # type: ignore[attr-defined]  # typer reads the options from it
    return run


def _add(to: typer.Typer, *commands: Callable[..., Any]) -> None:
    for command in commands:
        to.command(command.__name__.strip("_").replace("_", "-"))(_reporting(command))


_add(app, project.demo, project.dev, project.provision, project.validate, project.schema, project.onboard)
_add(app, deliveries.push, deliveries.check_file, deliveries.process, deliveries.settle, deliveries.retry)
_add(app, history.ledger, report_history.reports, history.tables, history.query, history.collect, history.crawl)
_add(app, doctor.doctor)

quarantine_app = typer.Typer(help="Files and rows that broke their contract.", no_args_is_help=True)
_add(quarantine_app, quarantine.list_, quarantine.show, quarantine.replay, quarantine.drop)
app.add_typer(quarantine_app, name="quarantine")

keys_app = typer.Typer(help="The hashing key of personal data: where it is used, and its rotation.")
_add(keys_app, keys.status, keys.rotate, keys.retire)
app.add_typer(keys_app, name="keys")


@keys_app.callback(invoke_without_command=True)
def _keys(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        _reporting(keys.status)()
