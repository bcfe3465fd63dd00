"""The calls about runs."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from moto.core.responses import ActionResult

from adplatform.local.aws import managed
from adplatform.local.aws.answers import hang_up
from adplatform.local.aws.appflow import runs, schedule
from adplatform.local.aws.appflow.api import PAGE, Api, next_token, paged, position
from adplatform.local.aws.appflow.errors import ConflictException, UnsupportedOperationException
from adplatform.local.aws.appflow.state import Run


class RunCalls(Api):
    def start_flow(self) -> ActionResult:
        asked = self._asked
        flow, now = self._flow(asked), managed.CONTROL.now()
        of = f"StartFlow {flow.name}"
        kept = self._backend.answered(of, asked.get("clientToken"), now)
        if kept is not None:
            return ActionResult(kept)
        if flow.status == "Deleted":
            raise ConflictException(f"Flow {flow.name} is being deleted.")
        if flow.trigger == "Scheduled":
            if flow.status != "Active":
                schedule.activate(flow, now)
                schedule.look()
            return self._kept(of, asked, {"flowArn": flow.arn, "flowStatus": flow.status})
        if flow.running() is not None:
            raise ConflictException(f"Flow {flow.name} is already running.")
        run = runs.begin(self._backend, flow, schedule.look)
        if managed.CONTROL.take("appflow", "event_early", flow.name):
            self._before_answer.append(lambda: runs.wait(run.id))
        if managed.CONTROL.take("appflow", "answer_lost", flow.name):
            self._before_answer.append(hang_up)
        return self._kept(of, asked, {"flowArn": flow.arn, "flowStatus": flow.status, "executionId": run.id})

    def stop_flow(self) -> ActionResult:
        flow = self._flow(self._asked)
        if flow.trigger == "OnDemand":
            raise UnsupportedOperationException("Flows that run on demand cannot be stopped.")
        if flow.status != "Active":
            raise ConflictException(f"Flow {flow.name} is {flow.status}.")
        flow.status, flow.next_run, flow.updated = "Suspended", None, managed.CONTROL.now()
        return ActionResult({"flowArn": flow.arn, "flowStatus": flow.status})

    def cancel_flow_executions(self) -> ActionResult:
        asked = self._asked
        flow = self._flow(asked)
        going_on = {run.id: run for run in flow.runs.values() if run.going_on}
        wanted = asked.get("executionIds", list(going_on))
        for name in wanted:
            if name in going_on:
                runs.cancel(going_on[name])
        return ActionResult({"invalidExecutions": [name for name in wanted if name not in going_on]})

    def describe_flow_execution_records(self) -> ActionResult:
        """The order says nothing: it is that of the random ids."""
        asked = self._asked
        flow, first = self._flow(asked), "nextToken" not in asked
        expired = managed.CONTROL.take("appflow", "history_expired", flow.name)
        if expired is not None:
            oldest = managed.CONTROL.now() - timedelta(seconds=expired.seconds)
            flow.runs = {run.id: run for run in flow.runs.values() if run.going_on or run.started >= oldest}
            managed.changed("appflow")
        if managed.CONTROL.take("appflow", "no_records", flow.name):
            return ActionResult({"flowExecutions": []})
        listed = sorted(flow.runs.values(), key=lambda run: run.id)
        newest = flow.last()
        if first and newest and managed.CONTROL.take("appflow", "on_page_2", flow.name):
            others = [run for run in listed if run is not newest][: asked.get("maxResults", PAGE)]
            following = next_token({"after": others[-1].id if others else "", "again": newest.id})
            return ActionResult({"flowExecutions": [run.described() for run in others], "nextToken": following})
        page, token = _records(listed, asked)
        return ActionResult({"flowExecutions": [run.described() for run in page], "nextToken": token})


def _records(listed: Sequence[Run], asked: dict[str, Any]) -> tuple[list[Run], str | None]:
    """A page of records; the one that the first page left out comes first on the second."""
    page, token = paged(listed, asked, lambda run: run.id)
    again = position(asked)["again"] if "nextToken" in asked else ""
    if again:
        page = [run for run in listed if run.id == again] + [run for run in page if run.id != again]
    return page, token
