"""A replication of AWS DMS as an engine. Its run lasts from a start to a stop and brings no objects by itself: what it
writes arrives as files do, while it goes on."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from adplatform.engines.dms import RESUME, START, Dms, Replication
from adplatform.engines.engine import Busy, Claim, Finding, Limits, Run, Started
from adplatform.failures import PermanentFailure, TransientFailure, clipped
from adplatform.ledger.engine_run import Intention, RunState

_NEVER_RUN = ("ready", "creating", "created")
_GOING = ("starting", "running", "stopping", "modifying", "testing", "moving")
_DONE = ("FULL_LOAD_ONLY_FINISHED", "STOPPED_AFTER_FULL_LOAD", "STOPPED_AFTER_CACHED_EVENTS", "STOPPED_AT_")
"""Reasons for which a replication has stopped as it was to (AWS DMS API reference, ReplicationTask.StopReason)."""
_CLOCKS = timedelta(minutes=1)
"""By how much the clock of DMS and ours may differ."""
_LONGEST = 500
"""Characters of what DMS says that are kept."""


@dataclass(frozen=True)
class DmsReplication:
    """``opening`` is called before a load begins, which ends what was loaded before; ``unfit`` finds what must not be
    so for a start."""

    dms: Dms
    opening: Callable[[str], None]
    unfit: Callable[[], Sequence[Finding]] = lambda: ()

    limits = Limits("dms", history=timedelta(days=3650), patience={RunState.WAITING: timedelta(hours=1)})

    def check(self) -> Sequence[Finding]:
        self.dms.described()
        return self.unfit()

    def start(self, intention: Intention, *, others: Collection[str] = ()) -> Started | Busy:
        """As ``adplatform.engines.engine.Engine``. One that has run before goes on where it stopped."""
        said = self.dms.described()
        if _goes_on(said):
            begun, since = said.begun, (intention.begun_at or datetime.now(UTC)) - _CLOCKS
            if intention.begun > 1 and begun is not None and begun >= since:
                return Started(run_id(said), adopted=True)
            return Busy(run_id(said) if begun else "")
        kind = START if said.begun is None or said.status in _NEVER_RUN else RESUME
        if kind == RESUME and said.migration == "full-load":
            raise PermanentFailure(
                f"DMS {self.dms.named} has loaded its tables and follows no changes; `adplatform reload` loads one"
            )
        if kind == START:
            self.opening("the replication was started")
        if not self.dms.start(kind):
            return Busy()
        after = self.dms.described()
        if after.begun is None or after.begun == said.begun:
            raise TransientFailure(f"DMS {self.dms.named} was started and does not show it yet")
        return Started(run_id(after))

    def observe(self, run_ids: Collection[str]) -> Mapping[str, Run]:
        said = self.dms.described()
        if said.begun is None:
            return {}
        now = _run(said)
        ended = {
            each: Run(each, RunState.SUCCEEDED, "started again", final=True) for each in run_ids if each < now.run_id
        }
        return {**ended, now.run_id: now}

    def recent(self, since: datetime) -> Iterator[Run]:
        said = self.dms.described()
        if said.begun is not None and (said.begun >= since or _goes_on(said)):
            yield _run(said)

    def claims(self, run: Run) -> Iterator[Claim]:
        return iter(())

    def cancel(self, run_id_: str) -> bool:
        said = self.dms.described()
        if said.begun is None or run_id(said) != run_id_ or not _goes_on(said):
            return False
        return self.dms.stop()


def run_id(said: Replication) -> str:
    """That of the present run; those of later runs are greater."""
    return f"{said.begun.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z" if said.begun else ""


def _goes_on(said: Replication) -> bool:
    """Whether it does something now. DMS Serverless has more states on the way to ``running``."""
    return said.status in _GOING or (said.status not in (*_NEVER_RUN, "stopped", "failed", "deleting", "failed-move"))


def _run(said: Replication) -> Run:
    state = _state(said)
    final = state not in (RunState.WAITING, RunState.RUNNING)
    errored = f"{said.errored} tables are in error and not followed any more" if said.errored else ""
    reasons = [errored, said.message, said.stop_reason if final else ""]
    return Run(
        run_id=run_id(said),
        state=state,
        said=said.status,
        message=clipped("; ".join(filter(None, reasons)), _LONGEST),
        final=final,
        started_at=said.begun,
        ended_at=said.ended if final else None,
        failed=said.errored or None,
    )


def _state(said: Replication) -> RunState:
    if said.status == "running":
        return RunState.RUNNING
    if _goes_on(said):
        return RunState.WAITING
    if said.status == "stopped":
        reason = said.stop_reason.upper()
        if any(done in reason for done in _DONE):
            return RunState.SUCCEEDED
        return RunState.CANCELLED if "NORMAL" in reason or not reason else RunState.FAILED
    return RunState.FAILED
