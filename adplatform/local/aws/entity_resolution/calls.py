"""The calls about schema mappings, matching workflows and tags."""

from collections.abc import Iterator, Sequence
from typing import Any

from moto.core.responses import ActionResult, EmptyResult

from adplatform.local.aws.entity_resolution.job_calls import JobCalls
from adplatform.local.aws.entity_resolution.state import Schema, Workflow
from adplatform.local.aws.managed import CONTROL
from adplatform.local.aws.modelled import Refusal

_PAGE = 25


class EntityResolutionResponse(JobCalls):
    def create_schema_mapping(self) -> ActionResult:
        name, asked = self.asked["schemaName"], self.definition
        if name in self.backend.schemas:
            raise Refusal("ConflictException", f"Schema mapping {name} already exists.")
        _check(_faults_of_fields(asked["mappedInputFields"]))
        now = CONTROL.now()
        schema = Schema(self.backend.arn("schemamapping", name), asked, now, now)
        self.backend.schemas[name] = schema
        self.backend.tags[schema.arn] = dict(self.asked.get("tags", {}))
        return ActionResult({"schemaArn": schema.arn, "description": "", **asked})

    def update_schema_mapping(self) -> ActionResult:
        schema, asked = self._schema(), self.definition
        if self.backend.uses(self.asked["schemaName"]):
            raise Refusal("ConflictException", f"Schema mapping {asked['schemaName']} is used by a workflow.")
        _check(_faults_of_fields(asked["mappedInputFields"]))
        schema.asked, schema.updated = asked, CONTROL.now()
        return ActionResult({"schemaArn": schema.arn, **asked})

    def get_schema_mapping(self) -> ActionResult:
        schema = self._schema()
        return ActionResult({**schema.asked, **self._told(schema), "schemaArn": schema.arn, **self._used(schema)})

    def list_schema_mappings(self) -> ActionResult:
        listed = [
            {
                "schemaName": name,
                "schemaArn": schema.arn,
                "createdAt": schema.created,
                "updatedAt": schema.updated,
                **self._used(schema),
            }
            for name, schema in sorted(self.backend.schemas.items())
        ]
        return ActionResult(self.page("schemaList", listed, _PAGE))

    def delete_schema_mapping(self) -> ActionResult:
        name = self.asked["schemaName"]
        if self.backend.uses(name):
            raise Refusal("ConflictException", f"Schema mapping {name} is used by a workflow.")
        self.backend.schemas.pop(name, None)
        return ActionResult({"message": f"Schema mapping {name} was deleted."})

    def create_matching_workflow(self) -> ActionResult:
        name, asked = self.asked["workflowName"], self.definition
        if name in self.backend.workflows:
            raise Refusal("ConflictException", f"Matching workflow {name} already exists.")
        _check(self._faults_of_workflow(asked))
        now = CONTROL.now()
        workflow = Workflow(self.backend.arn("matchingworkflow", name), asked, now, now)
        self.backend.workflows[name] = workflow
        self.backend.tags[workflow.arn] = dict(self.asked.get("tags", {}))
        return ActionResult({"workflowArn": workflow.arn, **asked})

    def update_matching_workflow(self) -> ActionResult:
        workflow, asked = self.workflow(), self.definition
        _check(self._faults_of_workflow(asked))
        workflow.asked, workflow.updated = asked, CONTROL.now()
        return ActionResult(asked)

    def get_matching_workflow(self) -> ActionResult:
        workflow = self.workflow()
        return ActionResult({**workflow.asked, **self._told(workflow), "workflowArn": workflow.arn})

    def list_matching_workflows(self) -> ActionResult:
        listed = [
            {
                "workflowName": name,
                "workflowArn": workflow.arn,
                "createdAt": workflow.created,
                "updatedAt": workflow.updated,
                "resolutionType": workflow.asked["resolutionTechniques"]["resolutionType"],
            }
            for name, workflow in sorted(self.backend.workflows.items())
        ]
        return ActionResult(self.page("workflowSummaries", listed, _PAGE))

    def delete_matching_workflow(self) -> ActionResult:
        name = self.asked["workflowName"]
        workflow = self.backend.workflows.get(name)
        if workflow is not None and any(not job.has_ended for job in workflow.jobs.values()):
            raise Refusal("ConflictException", f"Matching workflow {name} has a job that is going on.")
        self.backend.workflows.pop(name, None)
        return ActionResult({"message": f"Matching workflow {name} was deleted."})

    def list_tags_for_resource(self) -> ActionResult:
        return ActionResult({"tags": self._tags()})

    def tag_resource(self) -> EmptyResult:
        self._tags().update(self.asked["tags"])
        return EmptyResult()

    def untag_resource(self) -> EmptyResult:
        for key in self.asked["tagKeys"]:
            self._tags().pop(key, None)
        return EmptyResult()

    @property
    def definition(self) -> dict[str, Any]:
        return {name: value for name, value in self.asked.items() if name != "tags"}

    def _schema(self) -> Schema:
        name = self.asked["schemaName"]
        found: Schema | None = self.backend.schemas.get(name)
        if found is None:
            raise Refusal("ResourceNotFoundException", f"Schema mapping {name} does not exist.")
        return found

    def _used(self, schema: Schema) -> dict[str, bool]:
        return {"hasWorkflows": self.backend.uses(schema.asked["schemaName"])}

    def _told(self, kept: Schema | Workflow) -> dict[str, Any]:
        return {"createdAt": kept.created, "updatedAt": kept.updated, "tags": self.backend.tags.get(kept.arn, {})}

    def _tags(self) -> dict[str, str]:
        arn = self.asked["resourceArn"]
        if arn not in {each.arn for each in (*self.backend.schemas.values(), *self.backend.workflows.values())}:
            raise Refusal("ResourceNotFoundException", f"{arn} does not exist.")
        tags: dict[str, str] = self.backend.tags.setdefault(arn, {})
        return tags

    def _faults_of_workflow(self, asked: dict[str, Any]) -> Iterator[str]:
        """
        Raises:
            NotImplementedError: it matches in a way that the embedded AWS does not know.
        """
        techniques = asked["resolutionTechniques"]
        if techniques["resolutionType"] != "RULE_MATCHING" or "ruleBasedProperties" not in techniques:
            raise NotImplementedError(f"matching by {techniques['resolutionType']} without simple rules")
        names = [each["schemaName"] for each in asked["inputSourceConfig"]]
        missing = [name for name in names if name not in self.backend.schemas]
        if missing:
            yield from (f"Schema mapping {name} does not exist" for name in missing)
            return
        fields = [each for name in names for each in self.backend.schemas[name].fields]
        keys = {each["matchKey"] for each in fields if each.get("matchKey")}
        for rule in techniques["ruleBasedProperties"]["rules"]:
            for key in rule["matchingKeys"]:
                if key not in keys:
                    yield f"Rule {rule['ruleName']} has the match key {key}, which is not in the schema mapping"
        known = {each["fieldName"] for each in fields}
        for output in asked["outputSourceConfig"][0]["output"]:
            if output["name"] not in known:
                yield f"Output field {output['name']} is not in the schema mapping"


def _faults_of_fields(fields: Sequence[dict[str, Any]]) -> Iterator[str]:
    names = [each["fieldName"] for each in fields]
    if len(set(names)) < len(names):
        yield "Field names are not unique"
    if sum(each["type"] == "UNIQUE_ID" for each in fields) != 1:
        yield "A schema mapping needs exactly one field of the type UNIQUE_ID"
    groups: dict[str, set[str]] = {}
    for each in fields:
        if each.get("groupName"):
            groups.setdefault(each["groupName"], set()).add(each.get("matchKey", ""))
    yield from (f"Group {name} has more than one match key" for name, keys in groups.items() if len(keys) > 1)


def _check(faults: Iterator[str]) -> None:
    """
    Raises:
        Refusal: there is a fault.
    """
    if found := list(faults):
        raise Refusal("ValidationException", "; ".join(found))
