"""What can go wrong with a task, for ``POST /_adplatform/engines``. The target is the ARN of the task."""

from collections.abc import Mapping

OF_EXECUTIONS: Mapping[str, str] = {
    "event_early": "StartTaskExecution is answered after the event of the execution's end",
    "event_late": "the event of the execution's end is sent `seconds` late, by the clock of the engines",
    "event_lost": "the event of the execution's end is never sent",
    "event_twice": "the event of the execution's end is sent twice",
    "report_fails": "the report ends in ERROR and is not written",
    "report_late": "the report is PENDING for `seconds` longer, by the clock of the engines",
    "run_fails": "the execution ends in ERROR once `count` files are transferred",
    "stuck_launching": "the execution stays in LAUNCHING for `seconds`, 0 for until it is cancelled",
    "stuck_queued": "the execution stays QUEUED for `seconds`, 0 for until it is cancelled",
    "transfer_failures": "the execution is a SUCCESS, but its first `count` files are not transferred",
    "verify_failures": "the execution is a SUCCESS, but its first `count` files differ from their source",
}
"""They are taken when an execution starts, and are its own from then on."""

FAULTS: Mapping[str, str] = {
    **OF_EXECUTIONS,
    "agent_offline": "the task is UNAVAILABLE for `seconds`, 0 for an hour, and its agents are OFFLINE",
    "answer_lost": "the execution starts, but the connection ends before the answer",
    "history_expired": "all executions of the task that have ended are forgotten",
    "internal_error": "the next call about the task fails with InternalException and does nothing",
    "schedule_disabled": "the service disables the schedule of the task",
    "throttled": "the next call about the task is refused as one too many",
}
