"""Operations of the stand-in of DataSync on tasks and executions, and on tags."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, EmptyResult

from adplatform.local.aws import managed, shapes
from adplatform.local.aws.datasync import runs, tasks
from adplatform.local.aws.datasync.ends import wait_for_announcement
from adplatform.local.aws.datasync.place_calls import PlacesAnswers
from adplatform.local.aws.datasync.state import (
    ENDED,
    DataSyncBackend,
    InternalException,
    InvalidRequestException,
    Task,
)
from adplatform.local.aws.managed import CONTROL

_AN_HOUR = 3600.0


class ThrottlingException(ServiceException):
    code = "ThrottlingException"
    message = "Rate exceeded"


class DataSyncResponse(PlacesAnswers):
    def refusal(self) -> ServiceException | None:
        about = self.params.get("TaskArn") or self.params.get("TaskExecutionArn") or self.params.get("ResourceArn", "")
        task = about.partition("/execution/")[0]
        if CONTROL.take("datasync", "internal_error", task):
            return InternalException()
        if CONTROL.take("datasync", "throttled", task):
            return ThrottlingException()
        if refusal := shapes.refusal("datasync", self._get_action(), self.params):
            return InvalidRequestException(refusal)
        if task in self.backend.tasks:
            _take_faults(self.backend, self.backend.tasks[task])
        return None

    def create_task(self) -> ActionResult:
        task = tasks.create(self.backend, self.params)
        self.tag(task.arn)
        return ActionResult({"TaskArn": task.arn})

    def describe_task(self) -> ActionResult:
        return ActionResult(tasks.describe(self.backend, self.backend.task(self.params["TaskArn"])))

    def update_task(self) -> ActionResult:
        tasks.update(self.backend, self.params)
        return EmptyResult()

    def delete_task(self) -> ActionResult:
        tasks.delete(self.backend, self.params["TaskArn"])
        return EmptyResult()

    def list_tasks(self) -> ActionResult:
        def values(task: Task) -> Mapping[str, Any]:
            ends = f"{task.source} {task.destination}"
            return {"LocationId": ends, "CreationTime": task.created}

        return self.page(
            "Tasks",
            (
                {
                    "TaskArn": task.arn,
                    "Status": self.backend.status(task),
                    "Name": task.settings.get("Name"),
                    "TaskMode": task.mode,
                }
                for task in self.filtered(self.backend.tasks.values(), values)
            ),
        )

    def start_task_execution(self) -> ActionResult:
        task = self.backend.task(self.params["TaskArn"])
        execution = runs.start(self.backend, task, tasks.for_execution(task, self.params))
        self.tag(execution.arn)
        if "event_early" in execution.faults:
            wait_for_announcement(execution)
        if CONTROL.take("datasync", "answer_lost", task.arn):
            self.drop_answer = True
        return ActionResult({"TaskExecutionArn": execution.arn})

    def describe_task_execution(self) -> ActionResult:
        return ActionResult(tasks.describe_execution(self.backend.execution(self.params["TaskExecutionArn"])))

    def list_task_executions(self) -> ActionResult:
        task = self.params.get("TaskArn", "")
        self.backend.forget()
        found = self.backend.executions_of(self.backend.task(task).arn) if task else self.backend.executions.values()
        return self.page(
            "TaskExecutions",
            ({"TaskExecutionArn": each.arn, "Status": each.status, "TaskMode": each.mode} for each in found),
        )

    def cancel_task_execution(self) -> ActionResult:
        runs.cancel(self.backend.execution(self.params["TaskExecutionArn"]))
        return EmptyResult()

    def update_task_execution(self) -> ActionResult:
        execution = self.backend.execution(self.params["TaskExecutionArn"])
        changed = {name: self.params["Options"][name] for name in ("BytesPerSecond",) if name in self.params["Options"]}
        if execution.status in ENDED or set(changed) != set(self.params["Options"]):
            raise InvalidRequestException("Only BytesPerSecond of an execution that goes on can be changed.")
        options = execution.settings["Options"]
        execution.settings["Options"] = tasks.options(execution.mode, options, changed)
        return EmptyResult()

    def tag_resource(self) -> ActionResult:
        arn = self._taggable()
        self.tag(arn)
        return EmptyResult()

    def untag_resource(self) -> ActionResult:
        tags = self.backend.tags.get(self._taggable(), {})
        for key in self.params["Keys"]:
            tags.pop(key, None)
        return EmptyResult()

    def list_tags_for_resource(self) -> ActionResult:
        tags = self.backend.tags.get(self._taggable(), {})
        return self.page("Tags", ({"Key": key, "Value": value} for key, value in sorted(tags.items())))

    def _taggable(self) -> str:
        arn: str = self.params["ResourceArn"]
        backend = self.backend
        backend.forget()
        if not any(arn in known for known in (backend.agents, backend.locations, backend.tasks, backend.executions)):
            raise InvalidRequestException(f"Resource {arn} is not found.")
        return arn


def _take_faults(backend: DataSyncBackend, task: Task) -> None:
    """Those that change what is told of a task, at whichever call about it comes next."""
    if fault := CONTROL.take("datasync", "agent_offline", task.arn):
        task.unavailable_until = CONTROL.now() + timedelta(seconds=fault.seconds or _AN_HOUR)
        for agent in backend.agents_of(task):
            agent.offline_until = task.unavailable_until
        managed.changed("datasync")
    if CONTROL.take("datasync", "history_expired", task.arn):
        backend.drop([each.arn for each in backend.executions_of(task.arn) if each.status in ENDED])
        managed.changed("datasync")
