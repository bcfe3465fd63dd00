"""Which commands act, and how the ledger knows of it: before a command has services, so that one that is killed is
seen, and once more when it ends. A command that fails before it has any has done nothing, and leaves nothing.

Every command begins here, so what only those need that act is imported where they do.
"""
# ruff: noqa: PLC0415

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click
import typer

if TYPE_CHECKING:
    from adplatform.flow.services import Services
    from adplatform.ledger.actions import Action, ActionOutcome

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}(/[A-Za-z0-9_.-]{1,200}){0,2}")
"""What may be called by a command. Anything else is a mistake that the command refuses, and may be anything."""


@dataclass(frozen=True)
class Acts:
    """A ``command`` that acts, as it is called. ``of`` are its parameters that name what it is for, a source before
    what is of it, ``first`` and ``last`` those with dates. With ``unless``, or without ``only``, it only
    looks."""

    command: str
    of: tuple[str, ...] = ()
    first: str = ""
    last: str = ""
    unless: str = ""
    only: str = ""


ACTING: Mapping[tuple[str, str], Acts] = {
    ("deliveries", "retry"): Acts("retry", ("name",), "day", "day"),
    ("deliveries", "settle"): Acts("settle", ("feed",), "day", "day"),
    ("backfills", "backfill"): Acts("backfill", ("feed",), "since", "until", unless="dry_run"),
    ("reload", "reload"): Acts("reload", ("table",)),
    ("pauses", "pause"): Acts("pause", ("source",)),
    ("pauses", "resume"): Acts("resume", ("source",)),
    ("erase", "erase"): Acts("erase", ("source",), unless="dry_run"),
    ("history", "collect"): Acts("collect", unless="dry_run"),
    ("doctor", "doctor"): Acts("doctor", only="repair"),
    ("quarantine", "replay"): Acts("quarantine replay", ("feed",), "day", "day"),
    ("quarantine", "drop"): Acts("quarantine drop", ("feed",), "day", "day"),
    ("keys", "rotate"): Acts("keys rotate", unless="plan"),
    ("keys", "retire"): Acts("keys retire"),
    ("engine_runs", "start"): Acts("engines start", ("name",)),
    ("engine_runs", "cancel"): Acts("engines cancel", ("name",)),
    ("engine_runs", "backfill"): Acts("engines backfill", ("source", "feed"), "first", "last"),
    ("budgets", "allow"): Acts("budget allow", ("source",)),
    ("rates", "rates"): Acts("rates", ("fact",), "first", "last"),
}
"""By module and name, as ``adplatform.cli.app`` has them."""


class _Noting:
    """A command that is being called, and its action once it is noted."""

    def __init__(self, acts: Acts, given: Mapping[str, Any]) -> None:
        self.acts, self.given = acts, given
        self.noted: tuple[Services, Action] | None = None


_noting: ContextVar[_Noting | None] = ContextVar("noting", default=None)


@contextmanager
def noted(acts: Acts | None, given: Mapping[str, Any]) -> Iterator[None]:
    """Around a command that is called with these parameters; nothing where it does not act."""
    if acts is None or given.get(acts.unless) or (acts.only and not given.get(acts.only)):
        yield
        return
    noting = _Noting(acts, given)
    before = _noting.set(noting)
    try:
        yield
    except BaseException as e:
        from botocore.exceptions import BotoCoreError, ClientError

        with suppress(BotoCoreError, ClientError):  # what the command failed for is what people have to know
            _end(noting, e)
        raise
    else:
        _end(noting, None)
    finally:
        _noting.reset(before)


def note(services: "Services") -> None:
    """The command that is being called, if it acts, has services now. It may ask for them more than once."""
    import uuid

    noting = _noting.get()
    if noting is not None and noting.noted is None:
        action = action_of(noting.acts, noting.given, str(uuid.uuid4()), identity(services), services.now())
        services.ledger.actions.put(action)
        noting.noted = services, action


def _end(noting: _Noting, error: BaseException | None) -> None:
    if noting.noted is None:
        return
    services, action = noting.noted
    services.ledger.actions.put(replace(action, outcome=outcome_of(error), ended_at=services.now()))
    services.ledger.actions.forget(services.now() - timedelta(days=services.settings.action_days))


def outcome_of(error: BaseException | None) -> "ActionOutcome":
    """How a command ended that raised this."""
    from adplatform.ledger.actions import ActionOutcome

    if error is None or (isinstance(error, typer.Exit) and not error.exit_code):
        return ActionOutcome.DONE
    failed = isinstance(error, Exception) and not isinstance(error, click.Abort)
    return ActionOutcome.FAILED if failed else ActionOutcome.STOPPED


def action_of(acts: Acts, given: Mapping[str, Any], identifier: str, by: str, at: datetime) -> "Action":
    """What the ledger keeps of a command that is called with these parameters: names and dates, and nothing else."""
    from adplatform.ledger.actions import Action

    name = "/".join(str(given[parameter]) for parameter in acts.of if given.get(parameter))
    of = name if _NAME.fullmatch(name) else ""
    first, last = _day(given.get(acts.first)), _day(given.get(acts.last))
    return Action(identifier, acts.command, by, _release(), at, of, first, last or first)


def identity(services: "Services") -> str:
    """Who calls: the ARN of an identity of IAM, or on a laptop the user and the machine."""
    if services.settings.env == "aws":
        return str(services.aws.client("sts").get_caller_identity()["Arn"])
    return user_here()


def user_here() -> str:
    """The user and the machine."""
    import getpass
    import socket

    return f"{getpass.getuser()}@{socket.gethostname()}"


def _day(value: object) -> date | None:
    if isinstance(value, datetime):
        return value.date()
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _release() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("adplatform")
    except PackageNotFoundError:
        return ""
