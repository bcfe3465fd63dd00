"""The calls about flows."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from moto.backends import get_backend
from moto.core.responses import ActionResult, EmptyResult

from adplatform.local.aws import managed
from adplatform.local.aws.appflow import reports, runs, schedule, tasks
from adplatform.local.aws.appflow.api import Api, paged
from adplatform.local.aws.appflow.errors import ConflictException, ResourceNotFoundException, ValidationException
from adplatform.local.aws.appflow.state import Flow, first_status

SOURCES = ("Salesforce", "CustomConnector")


class FlowCalls(Api):
    def create_flow(self) -> ActionResult:
        asked = self._asked
        name, now = asked["flowName"], managed.CONTROL.now()
        kept = self._backend.answered(f"CreateFlow {name}", asked.get("clientToken"), now)
        if kept is not None:
            return ActionResult(kept)
        if name in self._backend.flows:
            raise ConflictException(f"Flow {name} already exists.")
        self._check(asked, "Create")
        status = first_status(asked)
        flow = Flow(name, self._backend.arn("flow", name), asked, status, now, now, asked.get("tags", {}))
        self._backend.flows[name] = flow
        return self._kept(f"CreateFlow {name}", asked, {"flowArn": flow.arn, "flowStatus": flow.status})

    def update_flow(self) -> ActionResult:
        asked = self._asked
        flow, now = self._flow(asked), managed.CONTROL.now()
        if flow.running() is not None:
            raise ConflictException(f"Flow {flow.name} is running.")
        before, after = (
            a["destinationFlowConfigList"][0]["destinationConnectorProperties"] for a in (flow.asked, asked)
        )
        if _target(before) != _target(after):
            raise _refused("Update", ["Destination object for the destination connector can not be updated"])
        if flow.asked["sourceFlowConfig"]["connectorType"] != asked["sourceFlowConfig"]["connectorType"]:
            raise _refused("Update", ["Source connector can not be updated"])
        self._check(asked, "Update")
        asked = {"kmsArn": flow.asked.get("kmsArn"), **asked}
        flow.updated = now
        late = managed.CONTROL.take("appflow", "update_late", flow.name)
        if late is not None:
            flow.coming = (now + timedelta(seconds=late.seconds), asked)
        else:
            flow.change(asked)
        return ActionResult({"flowStatus": flow.status})

    def describe_flow(self) -> ActionResult:
        flow = self._flow(self._asked)
        return ActionResult({**flow.asked, **self._common(flow), "schemaVersion": flow.schema_version})

    def list_flows(self) -> ActionResult:
        asked = self._asked
        flows = sorted(self._backend.flows.values(), key=lambda flow: flow.name)
        page, token = paged(flows, asked, lambda flow: flow.name)
        listed = [
            {
                **self._common(flow),
                "description": flow.asked.get("description"),
                "sourceConnectorType": flow.source["connectorType"],
                "destinationConnectorType": flow.asked["destinationFlowConfigList"][0]["connectorType"],
                "triggerType": flow.trigger,
            }
            for flow in page
        ]
        return ActionResult({"flows": listed, "nextToken": token})

    def delete_flow(self) -> ActionResult:
        asked = self._asked
        flow = self._flow(asked)
        run = flow.running()
        in_use = run is not None or (flow.trigger == "Scheduled" and flow.status == "Active")
        if in_use and not asked.get("forceDelete"):
            raise ConflictException(f"Flow {flow.name} is in use.")
        if run is not None:
            runs.cancel(run)
        flow.status = "Deleted"
        if flow.running() is None:
            del self._backend.flows[flow.name]
        return EmptyResult()

    def _check(self, asked: dict[str, Any], verb: str) -> None:
        """
        Raises:
            ValidationException: AppFlow would refuse the flow.
            NotImplementedError: it has something that the embedded AWS does not know.
        """
        source, trigger = asked["sourceFlowConfig"], asked["triggerConfig"]
        kinds = [target["connectorType"] for target in asked["destinationFlowConfigList"]]
        if source["connectorType"] not in SOURCES or kinds != ["S3"]:
            raise NotImplementedError(f"flows from {source['connectorType']} to {', '.join(kinds)}")
        if trigger["triggerType"] == "Event":
            raise NotImplementedError("flows that events start")
        found = tasks.problems(tasks.read(asked["tasks"]))
        found = [f"Task Validation Error: {problem}" for problem in found]
        found += self._problems(source, trigger, asked["destinationFlowConfigList"][0])
        if found:
            raise _refused(verb, found)

    def _problems(self, source: dict[str, Any], trigger: dict[str, Any], target: dict[str, Any]) -> Iterator[str]:
        if source["connectorType"] not in source["sourceConnectorProperties"]:
            yield "Source connector properties do not match the connector type"
        profile = self._backend.profiles.get(source.get("connectorProfileName", ""))
        if profile is None:
            yield f"Connector profile {source.get('connectorProfileName', '')} does not exist"
        elif profile.connector != source["connectorType"]:
            yield f"Connector profile {profile.name} is for {profile.connector}"
        s3 = target["destinationConnectorProperties"].get("S3")
        if s3 is None:
            yield "Destination connector properties do not match the connector type"
            return
        if s3["bucketName"] not in get_backend("s3")[self.current_account]["aws"].buckets:
            yield f"The bucket {s3['bucketName']} does not exist or AppFlow may not write to it"
        output = s3.get("s3OutputFormatConfig", {})
        whole = output.get("aggregationConfig", {}).get("aggregationType") == "SingleFile"
        if whole and output.get("fileType") == "PARQUET":
            yield "Parquet files cannot be aggregated into a single file"
        if trigger["triggerType"] == "Scheduled":
            scheduled = trigger.get("triggerProperties", {}).get("Scheduled")
            if scheduled is None or schedule.interval(scheduled["scheduleExpression"]) is None:
                yield "The schedule expression is not valid: the embedded AWS knows rates such as rate(5minutes)"

    def _common(self, flow: Flow) -> dict[str, Any]:
        last = flow.last()
        details = last and {
            "mostRecentExecutionMessage": last.message or None,
            "mostRecentExecutionTime": last.started,
            "mostRecentExecutionStatus": last.status,
        }
        return {
            "flowName": flow.name,
            "flowArn": flow.arn,
            "flowStatus": flow.status,
            "flowStatusMessage": flow.message or None,
            "createdAt": flow.created,
            "lastUpdatedAt": flow.updated,
            "createdBy": reports.creator(self.current_account),
            "lastUpdatedBy": reports.creator(self.current_account),
            "tags": flow.tags,
            "lastRunExecutionDetails": details,
        }

    def tag_resource(self) -> ActionResult:
        asked = self._asked
        self._tagged(asked).update(asked["tags"])
        return EmptyResult()

    def untag_resource(self) -> ActionResult:
        asked = self._asked
        tags = self._tagged(asked)
        for name in asked["tagKeys"]:
            tags.pop(name, None)
        return EmptyResult()

    def list_tags_for_resource(self) -> ActionResult:
        return ActionResult({"tags": self._tagged(self._asked)})

    def _tagged(self, asked: dict[str, Any]) -> dict[str, str]:
        flow = next((f for f in self._backend.flows.values() if f.arn == asked["resourceArn"]), None)
        if flow is None:
            raise ResourceNotFoundException(f"{asked['resourceArn']} does not exist.")
        return flow.tags


def _refused(verb: str, problems: list[str]) -> ValidationException:
    return ValidationException(f"{verb} Flow request failed due to:[{', '.join(problems)}]")


def _target(properties: dict[str, Any]) -> tuple[Any, ...]:
    return tuple((kind, p.get("bucketName")) for kind, p in properties.items())
