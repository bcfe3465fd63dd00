"""Pipelines of Amazon SageMaker: one execution for the newest publication, or for each date.

Facts: SageMaker API reference, StartPipelineExecution, DescribePipelineExecution, StopPipelineExecution.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from adplatform.engines.engine import Finding, Limits, Postponed, Run
from adplatform.engines.runs import BUSY_FOR
from adplatform.engines.workloads.engine import SEEN_SOON, token_of
from adplatform.failures import clipped
from adplatform.flow.workloads import filled
from adplatform.lake.table import TableName
from adplatform.ledger.engine_run import EngineRun, Intention, RunState
from adplatform.platform.aws_errors import aws_failures

_STATES = {
    "Executing": RunState.RUNNING,
    "Stopping": RunState.RUNNING,
    "Stopped": RunState.CANCELLED,
    "Failed": RunState.FAILED,
    "CompletedWithFailures": RunState.FAILED,
    "Succeeded": RunState.SUCCEEDED,
}
_LONGEST = 500
"""Characters of what SageMaker says of an execution that are kept."""


@dataclass(frozen=True)
class PipelineExecution:
    """Of the pipeline ``name``, with these ``parameters``, in which ``{table}`` and ``{date}`` are filled in. The
    ``client`` is one of SageMaker."""

    client: Any
    name: str
    table: TableName
    parameters: Mapping[str, str] = field(default_factory=dict)

    limits = Limits(
        called="sagemaker",
        token=32,
        token_life=timedelta(hours=8),
        history=timedelta(days=90),
        patience=SEEN_SOON | {RunState.RUNNING: timedelta(hours=24)},
        alone=True,
    )

    def check(self) -> Sequence[Finding]:
        with self._failures():
            try:
                self.client.describe_pipeline(PipelineName=self.name)
            except self.client.exceptions.ResourceNotFound:
                return [Finding(f"SageMaker has no pipeline {self.name}: make it, or correct sagemaker.pipeline")]
        return []

    def start(self, intention: Intention, others: Collection[str]) -> str:
        given = {name: filled(value, self.table, intention) for name, value in self.parameters.items()}
        parameters = [{"Name": name, "Value": value} for name, value in given.items()]
        with self._failures():
            try:
                started = self.client.start_pipeline_execution(
                    PipelineName=self.name,
                    ClientRequestToken=token_of(intention),
                    **({"PipelineParameters": parameters} if parameters else {}),
                )
            except self.client.exceptions.ResourceLimitExceeded as e:
                raise Postponed("as many executions of SageMaker go on as may be", BUSY_FOR) from e
        return str(started["PipelineExecutionArn"])

    def look(self, run_id: str) -> Run | None:
        with self._failures():
            try:
                told = self.client.describe_pipeline_execution(PipelineExecutionArn=run_id)
            except self.client.exceptions.ResourceNotFound:
                return None
        said = told["PipelineExecutionStatus"]
        state = _STATES.get(said, RunState.RUNNING)
        final = state is not RunState.RUNNING
        return Run(
            run_id=run_id,
            state=state,
            said=said,
            message=clipped(told.get("FailureReason", ""), _LONGEST),
            final=final,
            started_at=told.get("CreationTime"),
            ended_at=told.get("LastModifiedTime") if final else None,
        )

    def cancel(self, run_id: str) -> None:
        with self._failures():
            self.client.stop_pipeline_execution(PipelineExecutionArn=run_id)

    def result(self, run: EngineRun) -> str:
        return f"the pipeline {self.name} succeeded"

    def _failures(self) -> Any:
        return aws_failures(f"pipeline {self.name} of SageMaker")
