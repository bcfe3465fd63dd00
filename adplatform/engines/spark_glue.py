"""A job of AWS Glue that transforms deliveries and merges changes, as an engine.

Glue takes no token: a run is known by the plan and the output that its arguments name.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from adplatform.engines import made_jobs
from adplatform.engines.declared_spark import TARGET, glue_job
from adplatform.engines.engine import Busy, Claim, Finding, Limits, Run, Started
from adplatform.engines.glue_runs import GOING, HISTORY, LONGEST, GlueRuns, argument, earliest, state_of
from adplatform.engines.spark_runs import LONGEST_RUN, arguments
from adplatform.failures import clipped
from adplatform.flow.services import Services
from adplatform.ledger.engine_run import Intention, RunState
from adplatform.transform.job_plan import OUTPUT, PLAN

_CLOCKS = timedelta(minutes=5)
"""By how much the clocks of AWS and of the ledger may differ."""
_HOUR = 3600


@dataclass(frozen=True)
class SparkOnGlue:
    """The runs of the job that are ``mark``'s: what makes a table."""

    services: Services
    mark: str
    runs: GlueRuns

    limits = Limits(
        called="glue",
        history=HISTORY,
        patience={
            RunState.UNSEEN: timedelta(minutes=15),
            RunState.WAITING: timedelta(hours=1),
            RunState.RUNNING: LONGEST_RUN + timedelta(minutes=15),
        },
    )

    def check(self) -> Sequence[Finding]:
        there = self.runs.described_job()
        installed = (there.get("DefaultArguments") or {}).get("--additional-python-modules", "")
        wanted = glue_job(self.services.settings, self.services.zones, installed)
        return [*made_jobs.drift(wanted, there), *made_jobs.script_findings(self.services, wanted)]

    def start(self, intention: Intention, *, others: Collection[str] = ()) -> Started | Busy:
        given, settings = arguments(self.services, intention, self.mark), self.services.settings
        if intention.begun > 1:
            since = (intention.intended_at or intention.begun_at or self.services.now()) - _CLOCKS
            same = [each for each in self.runs.since(since) if _is_of(each, given)]
            own = [each for each in same if each["Id"] not in others]
            if own:
                return Started(earliest(own)["Id"], adopted=True)
        return self.runs.start(given, settings.spark_worker_type, settings.spark_workers, LONGEST_RUN)

    def observe(self, run_ids: Collection[str]) -> Mapping[str, Run]:
        described = (self.runs.described(run_id) for run_id in run_ids)
        return {said["Id"]: self._run(said) for said in described if said is not None}

    def recent(self, since: datetime) -> Iterator[Run]:
        return (self._run(said) for said in self.runs.since(since) if argument(said, TARGET) == self.mark)

    def claims(self, run: Run) -> Iterator[Claim]:
        """None: what a run stages is published, and not delivered."""
        return iter(())

    def cancel(self, run_id: str) -> bool:
        said = self.runs.described(run_id)
        return said is not None and self.runs.stop(said)

    def _run(self, said: Mapping[str, Any]) -> Run:
        state, region = state_of(said), self.services.aws.region
        place = f"#/job/{quote(self.runs.job, safe='')}/run/{said['Id']}"
        return Run(
            run_id=said["Id"],
            state=state,
            said=said["JobRunState"],
            message=clipped(said.get("ErrorMessage") or "", LONGEST),
            final=state not in GOING,
            started_at=said["StartedOn"],
            ended_at=said.get("CompletedOn") if state not in GOING else None,
            usage={"dpu_hours": hours} if (hours := _dpu_hours(said)) is not None else {},
            link=f"https://{region}.console.aws.amazon.com/gluestudio/home?region={region}{place}",
        )


def _is_of(said: Mapping[str, Any], given: Mapping[str, str]) -> bool:
    return all(argument(said, name) == given[name] for name in (PLAN, OUTPUT))


def _dpu_hours(said: Mapping[str, Any]) -> Decimal | None:
    """What an ended run is charged by. Glue says it where workers are added as they are needed (GetJobRun,
    DPUSeconds); otherwise all of them are there for all of the time."""
    if said.get("CompletedOn") is None:
        return None
    seconds = said.get("DPUSeconds")
    if seconds is None:
        seconds = (said.get("ExecutionTime") or 0) * (said.get("MaxCapacity") or 0)
    return round(Decimal(str(seconds)) / _HOUR, 4)
