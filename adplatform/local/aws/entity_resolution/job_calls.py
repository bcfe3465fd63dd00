"""The calls about jobs."""

from uuid import uuid4

from moto.core.responses import ActionResult

from adplatform.local.aws.entity_resolution import SERVICE
from adplatform.local.aws.entity_resolution.state import Job, Workflow
from adplatform.local.aws.managed import CONTROL
from adplatform.local.aws.modelled import ModelledResponse, Refusal

_PAGE = 25


class JobCalls(ModelledResponse):
    service = SERVICE
    subjects = ("workflowName", "schemaName", "resourceArn")

    def start_matching_job(self) -> ActionResult:
        from adplatform.local.aws.entity_resolution import jobs  # noqa: PLC0415 - what matches, only jobs need

        workflow = self.workflow()
        if any(not job.has_ended for job in workflow.jobs.values()):
            raise Refusal("ConflictException", f"Matching workflow {self.about} has a job that is going on.")
        job = Job(uuid4().hex, workflow.asked, CONTROL.now())
        workflow.jobs[job.id] = job
        jobs.begin(self.backend, job)
        return ActionResult({"jobId": job.id})

    def get_matching_job(self) -> ActionResult:
        workflow, id = self._looked_at(), self.asked["jobId"]
        if id not in workflow.jobs:
            raise Refusal("ResourceNotFoundException", f"Job {id} does not exist.")
        return ActionResult(workflow.jobs[id].described)

    def list_matching_jobs(self) -> ActionResult:
        """The newest first."""
        workflow = self._looked_at()
        if CONTROL.take(SERVICE, "no_records", self.about):
            return ActionResult({"jobs": []})
        if "nextToken" not in self.asked and CONTROL.take(SERVICE, "on_page_2", self.about):
            return ActionResult({"jobs": [], "nextToken": "0"})
        return ActionResult(self.page("jobs", [job.summary for job in reversed(workflow.jobs.values())], _PAGE))

    def workflow(self) -> Workflow:
        found: Workflow | None = self.backend.workflows.get(self.asked["workflowName"])
        if found is None:
            raise Refusal("ResourceNotFoundException", f"Matching workflow {self.about} does not exist.")
        return found

    def _looked_at(self) -> Workflow:
        workflow = self.workflow()
        if CONTROL.take(SERVICE, "history_expired", self.about):
            workflow.jobs = {id: job for id, job in workflow.jobs.items() if not job.has_ended}
        return workflow
