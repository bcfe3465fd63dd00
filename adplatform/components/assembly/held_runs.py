"""Backfills of what comes later. Dagster takes a backfill for failed when its runs have ended and dates are not
materialized, so where a run has asked for dates, another of the same backfill waits for them in Dagster's queue: it
costs nothing there, and is let go when nothing is on its way any more.

The sensor of the source makes that run and lets it go, so nothing waits where nobody would bring the dates.
"""

import time
from collections.abc import Callable, Mapping, Sequence

import dagster as dg

from adplatform.components.assembly.runs import BACKFILL_TAG, RANGE_END, RANGE_START, RUN_KEY_TAG
from adplatform.failures import PermanentFailure

FOLLOW_TAG = "adplatform/to_be_followed"
"""On a run that asks for a run which waits: the source."""
HELD_TAG, WAITS, LET_GO = "adplatform/held", "until its dates have come", "nothing is on its way any more"
LIMIT: Mapping[str, str | int] = {"key": HELD_TAG, "value": WAITS, "limit": 0}
"""What ``concurrency.runs.tag_concurrency_limits`` of ``dagster.yaml`` has for runs to wait."""
_PARTITION = "dagster/partition"
FOLLOWED_WITHIN = 600.0
"""Seconds after which a sensor that has made no run does not work."""
_LOOK_AGAIN = 1.0


def is_follower(run: dg.DagsterRun) -> bool:
    """Whether the run has waited, and only says what has come. Whoever executes it again has a copy of its tags."""
    return HELD_TAG in run.tags and run.parent_run_id is None


def await_follower(
    instance: dg.DagsterInstance,
    run: dg.DagsterRun,
    source: str,
    sensor: str,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> str:
    """Have the sensor make the run that waits in the place of this one; its id.

    Raises:
        PermanentFailure: the instance would not let it wait, or the sensor does nothing.
    """
    if not _waits(instance):
        raise PermanentFailure(
            "its dates are asked for and come by themselves, but this backfill cannot wait for them: add "
            f"`- {{key: {HELD_TAG}, value: {WAITS}, limit: 0}}` to concurrency.runs.tag_concurrency_limits of "
            "dagster.yaml and launch it again"
        )
    instance.add_run_tags(run.run_id, {FOLLOW_TAG: source})
    until = clock() + FOLLOWED_WITHIN
    while clock() < until:
        made = instance.get_runs(filters=dg.RunsFilter(tags={RUN_KEY_TAG: _run_key(run)}), limit=1)
        if made:
            return made[0].run_id
        sleep(_LOOK_AGAIN)
    raise PermanentFailure(
        f"its dates are noted, but the sensor {sensor} has done nothing for {FOLLOWED_WITHIN / 60:.0f} minutes, so "
        "nobody brings them: turn it on, or resume the source, and launch the backfill again"
    )


def followers(instance: dg.DagsterInstance, source: str, job: str, tags: Mapping[str, str]) -> list[dg.RunRequest]:
    """The runs that are to wait in the place of those that have asked for dates of the source."""
    started = dg.RunsFilter(tags={FOLLOW_TAG: source}, statuses=[dg.DagsterRunStatus.STARTED])
    return [_follower(run, job, tags) for run in instance.get_runs(filters=started)]


def _follower(run: dg.DagsterRun, job: str, tags: Mapping[str, str]) -> dg.RunRequest:
    one = run.tags.get(_PARTITION, "")
    return dg.RunRequest(
        run_key=_run_key(run),
        job_name=job,
        asset_selection=sorted(run.asset_selection) if run.asset_selection else None,
        tags={
            **tags,
            BACKFILL_TAG: run.tags[BACKFILL_TAG],
            HELD_TAG: WAITS,
            RANGE_START: run.tags.get(RANGE_START, one),
            RANGE_END: run.tags.get(RANGE_END, one),
        },
    )


def let_go(instance: dg.DagsterInstance, source: str, waits: Callable[[dg.DagsterRun], bool]) -> int:
    """Let the runs of a source begin whose dates are not on their way any more; how many go on waiting."""
    queued = dg.RunsFilter(tags={HELD_TAG: WAITS, "source": source}, statuses=[dg.DagsterRunStatus.QUEUED])
    left = 0
    for run in instance.get_runs(filters=queued):
        if waits(run):
            left += 1
        else:
            instance.add_run_tags(run.run_id, {HELD_TAG: LET_GO})
    return left


def _run_key(run: dg.DagsterRun) -> str:
    return f"held:{run.run_id}"


def _waits(instance: dg.DagsterInstance) -> bool:
    queue = instance.get_concurrency_config().run_queue_config
    limits: Sequence[Mapping[str, object]] = queue.tag_concurrency_limits if queue else ()
    return any(dict(limit) == LIMIT for limit in limits)
