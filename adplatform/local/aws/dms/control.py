"""Control tables of a task, which lie beside its data as folders of their own: what the task's settings ask for.

Their columns are those that the user guide names ("Control table task settings"); what DMS measures there and this
stand-in does not is 0 or empty.
"""

from collections.abc import Mapping

from adplatform.local.aws.dms.files import Field
from adplatform.local.aws.dms.state import Table
from adplatform.local.aws.dms.work import Work
from adplatform.local.aws.managed import CONTROL

STATUS, SUSPENDED, HISTORY = "awsdms_status", "awsdms_suspended_tables", "awsdms_history"


def status(work: Work, now: str) -> None:
    """The task has come into a state.

    Raises:
        ClientError: S3 refuses the object.
    """
    at = f"{CONTROL.now():%Y-%m-%d %H:%M:%S}"
    row = {
        "task_status": now.upper(),
        "status_time": at,
        "pending_changes": "0",
        "disk_swap_size": "0",
        "task_memory": "0",
        "source_current_position": work.replication.checkpoint,
        "source_current_timestamp": at,
        "source_tail_position": "",
        "source_tail_timestamp": "",
        "source_timestamp_applied": at,
    }
    _write(work, STATUS, row)


def history(work: Work, kind: str, inserts: int) -> None:
    """A load has ended."""
    at = f"{CONTROL.now():%Y-%m-%d %H:%M:%S}"
    row = {
        "timeslot_type": kind,
        "timeslot": at,
        "timeslot_duration": "0",
        "timeslot_latency": "0",
        "timeslot_records": str(inserts),
        "timeslot_volume": "0",
    }
    _write(work, HISTORY, row)


def suspended(work: Work, table: Table) -> None:
    """A table ended in error."""
    at = f"{CONTROL.now():%Y-%m-%d %H:%M:%S}"
    row = {
        "table_owner": table.schema,
        "table_name": table.name,
        "suspend_reason": "TABLE ERROR",
        "suspend_timestamp": at,
    }
    _write(work, SUSPENDED, row)


def _write(work: Work, name: str, values: Mapping[str, str]) -> None:
    if name not in work.options.control_tables:
        return
    row = {"server_name": "embedded", "task_name": work.replication.name, **values}
    key = f"{work.target.folder}{work.options.control_folder}{name}/{work.next_name()}{work.target.suffix}"
    work.put_rows(key, [Field(column) for column in row], [list(row.values())])
