"""Pipelines of SageMaker whose executions last, fail and can be stopped; no step of one is carried out. moto's have
succeeded when they are started, once for each time that they are asked for, and cannot be stopped.
"""

import time
from functools import partial
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.sagemaker.responses import SageMakerResponse

from adplatform.local.aws import managed
from adplatform.local.aws.managed import CONTROL
from adplatform.local.aws.state import LOCK

SERVICE = "sagemaker"
FAULTS = {
    "no_records": "the next DescribePipelineExecution finds none",
    "run_fails": "the next execution fails",
    "stuck": "the next execution goes on for ever, or for `seconds`",
    "throttled": "the next StartPipelineExecution is refused as one too many",
}
"""The target is the name of a pipeline. An answer of StartPipelineExecution may be lost, too."""
_GOING = frozenset({"Executing", "Stopping"})
_LOOK_AGAIN_SECONDS = 0.02


class ResourceNotFound(ServiceException):
    code = "ResourceNotFound"


class ThrottlingException(ServiceException):
    code = "ThrottlingException"


class InternalFailure(ServiceException):
    code = "InternalFailure"


class PipelineCalls(SageMakerResponse):
    def describe_pipeline(self) -> Any:
        self._pipeline(self._get_param("PipelineName"))
        return super().describe_pipeline()

    def start_pipeline_execution(self) -> Any:
        name, token = self._get_param("PipelineName"), self._get_param("ClientRequestToken")
        pipeline = self._pipeline(name)
        if CONTROL.take(SERVICE, "throttled", name):
            raise ThrottlingException("Rate exceeded")
        made = next((e for e in pipeline.pipeline_executions.values() if e.client_request_token == token), None)
        if made is None:
            super().start_pipeline_execution()
            made = list(pipeline.pipeline_executions.values())[-1]
            made.pipeline_execution_status = "Executing"
            stuck, fails = CONTROL.take(SERVICE, "stuck", name), CONTROL.take(SERVICE, "run_fails", name)
            seconds = None if stuck is None else stuck.seconds
            managed.behind(SERVICE, partial(_carry_out, made, seconds, fails=fails is not None))
        if CONTROL.take(SERVICE, "answer_lost", name):
            raise InternalFailure("An internal failure occurred.")
        return ActionResult({"PipelineExecutionArn": made.arn})

    def describe_pipeline_execution(self) -> Any:
        execution = self._execution()
        told = {
            "PipelineExecutionArn": execution.arn,
            "PipelineExecutionStatus": execution.pipeline_execution_status,
            "FailureReason": execution.pipeline_execution_failure_reason,
            "CreationTime": execution.creation_time,
            "LastModifiedTime": execution.last_modified_time,
        }
        return ActionResult({name: value for name, value in told.items() if value is not None})

    def stop_pipeline_execution(self) -> Any:
        execution = self._execution()
        if execution.pipeline_execution_status == "Executing":
            _become(execution, "Stopping")
            managed.behind(SERVICE, partial(_end, execution, "Stopped"))
        return ActionResult({"PipelineExecutionArn": execution.arn})

    def _pipeline(self, name: str) -> Any:
        found = self.sagemaker_backend.pipelines.get(name)
        if found is None:
            raise ResourceNotFound(f"Pipeline '{name}' does not exist.")
        return found

    def _execution(self) -> Any:
        arn = self._get_param("PipelineExecutionArn")
        pipeline = self._pipeline(arn.split("pipeline/")[1].split("/")[0])
        found = pipeline.pipeline_executions.get(arn)
        if found is None or CONTROL.take(SERVICE, "no_records", pipeline.pipeline_name):
            raise ResourceNotFound(f"Pipeline execution with ARN {arn} does not exist.")
        return found


def _carry_out(execution: Any, seconds: float | None, *, fails: bool) -> None:
    """``seconds`` are those for which it goes on, 0 for ever."""
    end = time.monotonic() + (seconds or 0)
    while execution.pipeline_execution_status in _GOING and seconds is not None:
        if seconds and time.monotonic() >= end:
            break
        time.sleep(_LOOK_AGAIN_SECONDS)
    if fails:
        execution.pipeline_execution_failure_reason = "Step failure: one or multiple steps failed."
    _end(execution, "Failed" if fails else "Succeeded")


def _end(execution: Any, status: str) -> None:
    with LOCK:
        if execution.pipeline_execution_status in _GOING:
            _become(execution, status)
            managed.changed(SERVICE)


def _become(execution: Any, status: str) -> None:
    execution.pipeline_execution_status, execution.last_modified_time = status, utcnow()
