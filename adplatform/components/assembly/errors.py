"""What Dagster recorded of an error as a sentence for people: our own text, without the names of classes around it.

The text of a mistake of ours, a ``KeyError`` for example, may quote data, so it stays in the log.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import dagster as dg

from adplatform.failures import clipped

if TYPE_CHECKING:
    from dagster._core.execution.plan.objects import StepFailureData
    from dagster_shared.error import SerializableErrorInfo

_OURS = ("adplatform.", "dagster._core.definitions.events.Failure:")
_SHOWN = (*_OURS, "dagster", "botocore.")
"""Beginnings of errors whose text says what happened and quotes no data."""
_STOPPED = frozenset({"DagsterExecutionInterruptedError", "KeyboardInterrupt"})
_CLASS = re.compile(r"\b(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Failure|Warning)(?:: |$)", re.MULTILINE)


def step_error(failure: "StepFailureData | None", step: str) -> str:
    """The text of a step that failed; "" when there is none."""
    if failure is None:
        return ""
    reported = failure.user_failure_data
    return (
        clipped(reported.description) if reported and reported.description else sentence(failure.error, f"step {step}")
    )


def sentence(error: "SerializableErrorInfo | None", where: str) -> str:
    """The first text of ours among an error and its causes, else that of the innermost; "" when there is none."""
    if error is None:
        return ""
    chain = list(_chain(error))
    if any(e.cls_name in _STOPPED for e in chain):
        return f"{where} was stopped from outside"
    found = next((e for e in chain if e.message.startswith(_OURS)), chain[-1])
    if not found.message.startswith(_SHOWN):
        return f"unexpected error in {where}; its log says more"
    name, _, text = found.message.partition(":")
    own = text if name.rpartition(".")[2].strip() == found.cls_name else found.message
    return without_classes(own) or f"{where} failed; its log says more"


def without_classes(text: str) -> str:
    """A text without the names of classes that Dagster and Python put into it."""
    return clipped(_CLASS.sub("", text).strip())


def run_error(context: dg.RunFailureSensorContext) -> str:
    """The text of the step that failed, which says what to do, else that of the run."""
    events = context.get_step_failure_events()
    steps = [step_error(e.step_failure_data, e.step_key or "of the run") for e in events]
    return next(filter(None, steps), without_classes(context.failure_event.message or ""))


def _chain(error: "SerializableErrorInfo") -> Iterator["SerializableErrorInfo"]:
    found: SerializableErrorInfo | None = error
    while found is not None:
        yield found
        found = found.cause
