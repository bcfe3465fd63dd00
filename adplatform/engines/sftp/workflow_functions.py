"""The Lambda functions that managed workflows call: their handlers, and what those need of where they run."""

from collections.abc import Iterator
from datetime import timedelta

from adplatform.contracts.sftp_server import Workflow
from adplatform.platform.settings import PREFIX, Settings

HANDLERS = "adplatform.engines.sftp.transfer_workflow"
"""Where the handlers are."""
_LONGEST = timedelta(minutes=15)
"""What a function may take at most (Lambda API reference, CreateFunction, Timeout)."""
_AHEAD, _LEAST_AHEAD = 0.1, timedelta(seconds=2)
"""By which share of a step's time, and by how much at least, its function ends before it: for its answer to count, and
because the step's time runs while the function is still started."""


def functions_of(workflow: Workflow) -> Iterator[tuple[str, str]]:
    """The functions that a workflow calls, by name or ARN, each with its handler's name."""
    if workflow.check:
        yield workflow.function, "custom_step"
    yield workflow.partial_function, "partial_step"
    yield workflow.exception_function, "exception_step"


def time_of(workflow: Workflow) -> timedelta:
    """How long a function of it may run, in whole seconds."""
    ahead = max(workflow.timeout * _AHEAD, _LEAST_AHEAD)
    return timedelta(seconds=int(min(workflow.timeout - ahead, _LONGEST).total_seconds()))


def environment_of(settings: Settings) -> dict[str, str]:
    """What the handlers need of the settings, as variables of their environment."""
    names = ("raw_bucket", "ledger_table", "failure_topic", "largest_file", "malware_scan")
    return {f"{PREFIX}{name.upper()}": str(getattr(settings, name)) for name in names}
