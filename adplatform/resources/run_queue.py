"""Dagster's queue of runs, in which runs of backfills come behind all others, and of these the newest date first."""

from collections.abc import Mapping
from datetime import UTC, date, datetime

import dagster as dg
from dagster._core.run_coordinator.base import SubmitRunContext
from dagster._core.run_coordinator.queued_run_coordinator import QueuedRunCoordinator
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    BACKFILL_ID_TAG,
    PARTITION_NAME_TAG,
    PRIORITY_TAG,
)


class NewestFirst(QueuedRunCoordinator[dg.DagsterInstance]):
    """Dagster's own queue with priorities: a run has 0, one of a backfill less than that by the days that its date is
    ago. Dagster makes the runs of a backfill with the oldest date first. A run that has a priority keeps it."""

    def submit_run(self, context: SubmitRunContext) -> dg.DagsterRun:
        run = context.dagster_run
        if BACKFILL_ID_TAG in run.tags and PRIORITY_TAG not in run.tags:
            self._instance.add_run_tags(run.run_id, {PRIORITY_TAG: str(priority(run.tags, datetime.now(UTC).date()))})
        return super().submit_run(context)


def priority(tags: Mapping[str, str], today: date) -> int:
    """That of a run of a backfill with these tags: at most -1."""
    partition = tags.get(ASSET_PARTITION_RANGE_END_TAG) or tags.get(PARTITION_NAME_TAG, "")
    # Of a partition by date and profile the date comes first.
    text = partition.partition("|")[0]
    day = date.fromisoformat(text) if is_date(text) else date.min
    return min(-1, (day - today).days)


def is_date(text: str) -> bool:
    return len(text) == 10 and text[4] == text[7] == "-" and text.replace("-", "").isdigit()
