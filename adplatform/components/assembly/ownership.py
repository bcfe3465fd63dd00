"""One Dagster instance starts the runs of a ledger by itself; sensors and schedules of another say why they do not."""

import functools
import socket
from collections.abc import Callable
from typing import Any

import dagster as dg
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage

from adplatform.failures import PermanentFailure
from adplatform.ledger.automation import EXPIRES_AFTER, Automation, Owner
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.pauses import Pause
from adplatform.platform.calls import CODE_SERVER, acting
from adplatform.resources.named import LedgerResource, services_of


def automated(evaluate: Callable[..., Any]) -> Callable[..., Any]:
    """A sensor's or schedule's function of ``context``, ``ledger`` and other resources that skips where another
    instance owns the automation."""

    @functools.wraps(evaluate)
    @acting(CODE_SERVER)
    def evaluated(
        context: dg.SensorEvaluationContext | dg.ScheduleEvaluationContext, ledger: LedgerResource, **resources: Any
    ) -> Any:
        # Dagster gives every schedule an instance, but not the context of one that is evaluated by hand.
        by_hand = isinstance(context, dg.ScheduleEvaluationContext) and context.instance_ref is None
        why = "" if by_hand else hold(services_of(ledger).ledger, context.instance)
        return dg.SkipReason(why) if why else evaluate(context, ledger=ledger, **resources)

    return evaluated


def hold(ledger: Ledger, instance: dg.DagsterInstance) -> str:
    """Own the automation or go on owning it, "" then; else a sentence that names the owner and says what to do."""
    owner = Automation(ledger).hold(*_identity(instance))
    return _refusal(owner) if owner else ""


def hold_for(source: str, ledger: Ledger, instance: dg.DagsterInstance) -> tuple[str, Pause | None]:
    """The same, and whether the source is paused, by one call."""
    owner, pause = Automation(ledger).hold_for(source, *_identity(instance))
    return _refusal(owner) if owner else "", pause


def take_over(ledger: Ledger, instance: dg.DagsterInstance) -> None:
    """Own the automation from now on, whoever has it."""
    Automation(ledger).take_over(*_identity(instance))


def require(ledger: Ledger, instance: dg.DagsterInstance) -> None:
    """Own the automation.

    Raises:
        PermanentFailure: another instance does; says which, and what to do.
    """
    if why := hold(ledger, instance):
        raise PermanentFailure(why)


def _identity(instance: dg.DagsterInstance) -> tuple[str, str, str]:
    """What an instance is known by, which all processes of one home share: its run storage, or its directory."""
    storage, home = instance.run_storage, instance.root_directory
    name = storage.get_run_storage_id() if isinstance(storage, SqlRunStorage) else home
    return name, socket.gethostname(), home


def _refusal(owner: Owner) -> str:
    minutes = int(EXPIRES_AFTER.total_seconds() // 60)
    return (
        f"another Dagster instance starts the runs of this ledger: the one of {owner.home} on {owner.host}, since "
        f"{owner.since:%Y-%m-%d %H:%M} UTC, last seen {owner.seen_at:%H:%M:%S}. Stop it and wait {minutes} minutes, or "
        "run `adplatform process --take-over` here"
    )
