"""Calls about managed workflows and their executions, which are known while they are in progress."""

from typing import Any

from moto.core.responses import ActionResult, EmptyResult

from adplatform.local.aws.transfer import executions
from adplatform.local.aws.transfer.errors import (
    InvalidNextTokenException,
    InvalidRequestException,
    ResourceNotFoundException,
)
from adplatform.local.aws.transfer.server_calls import ServerCalls
from adplatform.local.aws.transfer.server_state import Execution, FileLocation, Workflow, new_id

_MOST_WORKFLOWS = 10
"""Of an account in a region (AWS General Reference, quotas of Transfer Family)."""
_DETAILS = {
    "COPY": "CopyStepDetails",
    "CUSTOM": "CustomStepDetails",
    "TAG": "TagStepDetails",
    "DELETE": "DeleteStepDetails",
    "DECRYPT": "DecryptStepDetails",
}


class WorkflowCalls(ServerCalls):
    def create_workflow(self) -> ActionResult:
        backend = self.transfer_backend
        if len(backend.workflows) >= _MOST_WORKFLOWS:
            raise InvalidRequestException(f"The account has {_MOST_WORKFLOWS} workflows, which is the most.")
        names = ("Description", "Steps", "OnExceptionSteps")
        asked = {name: self.params[name] for name in names if self.params.get(name) is not None}
        for step in (*asked["Steps"], *asked.get("OnExceptionSteps", ())):
            if not step.get(_DETAILS.get(step.get("Type", ""), "")):
                raise InvalidRequestException(f"A step of type {step.get('Type')} lacks its details.")
        name = new_id("w")
        workflow = Workflow(name, self._arn(f"workflow/{name}"), asked)
        backend.workflows[name] = workflow
        self._tag(workflow.arn)
        return ActionResult({"WorkflowId": name})

    def describe_workflow(self) -> ActionResult:
        workflow = self.transfer_backend.workflow(self.params["WorkflowId"])
        tags = self.transfer_backend.tags.get(workflow.arn, {})
        told = [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
        return ActionResult(
            {"Workflow": {**workflow.asked, "Arn": workflow.arn, "WorkflowId": workflow.id, "Tags": told or None}}
        )

    def list_workflows(self) -> ActionResult:
        known = self.transfer_backend.workflows.values()
        told = (
            {"Arn": each.arn, "WorkflowId": each.id, "Description": each.asked.get("Description")} for each in known
        )
        return ActionResult(self.page("Workflows", told, InvalidNextTokenException))

    def delete_workflow(self) -> ActionResult:
        workflow = self.transfer_backend.workflow(self.params["WorkflowId"])
        self.transfer_backend.tags.pop(workflow.arn, None)
        del self.transfer_backend.workflows[workflow.id]
        return EmptyResult()

    def list_executions(self) -> ActionResult:
        workflow = self.transfer_backend.workflow(self.params["WorkflowId"])
        known = self.transfer_backend.executions.values()
        told = (_about(each) for each in known if each.workflow == workflow.id)
        page = self.page("Executions", told, InvalidNextTokenException)
        return ActionResult({"WorkflowId": workflow.id, **page})

    def describe_execution(self) -> ActionResult:
        execution = self._execution()
        results = {"Steps": execution.results or None, "OnExceptionSteps": execution.handled or None}
        told = {**_about(execution), "ExecutionRole": execution.role, "Results": results}
        return ActionResult({"WorkflowId": execution.workflow, "Execution": told})

    def send_workflow_step_state(self) -> ActionResult:
        execution = self._execution()
        if not execution.token or execution.token != self.params["Token"] or execution.answer:
            raise InvalidRequestException("No step awaits an answer with this token.")
        executions.answer(execution, self.params["Status"])
        return EmptyResult()

    def _execution(self) -> Execution:
        """
        Raises:
            ResourceNotFoundException: there is none, or it has ended.
        """
        name = self.params["ExecutionId"]
        found = self.transfer_backend.executions.get(name)
        if found is None or found.workflow != self.params["WorkflowId"]:
            raise ResourceNotFoundException("Execution", name)
        return found


def _about(execution: Execution) -> dict[str, Any]:
    user = {"UserName": execution.user, "ServerId": execution.server, "SessionId": execution.session}
    return {
        "ExecutionId": execution.id,
        "InitialFileLocation": {"S3FileLocation": _place(execution.original)},
        "ServiceMetadata": {"UserDetails": user},
        "Status": execution.status,
    }


def _place(file: FileLocation) -> dict[str, str | None]:
    return {"Bucket": file.bucket, "Key": file.key, "Etag": file.etag, "VersionId": file.version}
