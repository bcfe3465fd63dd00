"""Operations of the stand-in of DataSync on agents and locations."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from moto.core.responses import ActionResult, EmptyResult

from adplatform.local.aws.datasync import locations
from adplatform.local.aws.datasync.api import DataSyncAnswers
from adplatform.local.aws.datasync.state import Agent, InvalidRequestException, Location
from adplatform.local.aws.managed import CONTROL

_OUT_OF_CONTACT = timedelta(minutes=5)
"""After which AWS calls an agent offline."""


class PlacesAnswers(DataSyncAnswers):
    def create_agent(self) -> ActionResult:
        endpoint = "PRIVATE_LINK" if "VpcEndpointId" in self.params else "PUBLIC"
        arn = self.backend.new_arn("agent", "agent")
        agent = Agent(arn, self.params.get("AgentName", ""), endpoint, CONTROL.now())
        self.tag(arn)
        self.backend.agents[arn] = agent
        return ActionResult({"AgentArn": arn})

    def describe_agent(self) -> ActionResult:
        agent = self.backend.agent(self.params["AgentArn"])
        silent = _OUT_OF_CONTACT if _status(agent) == "OFFLINE" else timedelta(0)
        return ActionResult(
            {
                **_listed_agent(agent),
                "LastConnectionTime": CONTROL.now() - silent,
                "CreationTime": agent.created,
                "EndpointType": agent.endpoint,
            }
        )

    def list_agents(self) -> ActionResult:
        return self.page("Agents", map(_listed_agent, self.backend.agents.values()))

    def update_agent(self) -> ActionResult:
        agent = self.backend.agent(self.params["AgentArn"])
        agent.name = self.params.get("Name", agent.name)
        return EmptyResult()

    def delete_agent(self) -> ActionResult:
        arn = self.backend.agent(self.params["AgentArn"]).arn
        users = [location.arn for location in self.backend.locations.values() if arn in location.agents]
        if users:
            raise InvalidRequestException(f"Agent {arn} is in use by {users[0]}.")
        self.backend.tags.pop(arn, None)
        del self.backend.agents[arn]
        return EmptyResult()

    def create_location_s3(self) -> ActionResult:
        return self._create_location("S3")

    def create_location_object_storage(self) -> ActionResult:
        return self._create_location("OBJECT_STORAGE")

    def create_location_azure_blob(self) -> ActionResult:
        return self._create_location("AZURE_BLOB")

    def create_location_nfs(self) -> ActionResult:
        return self._create_location("NFS")

    def create_location_smb(self) -> ActionResult:
        return self._create_location("SMB")

    def describe_location_s3(self) -> ActionResult:
        return self._describe_location("S3")

    def describe_location_object_storage(self) -> ActionResult:
        return self._describe_location("OBJECT_STORAGE")

    def describe_location_azure_blob(self) -> ActionResult:
        return self._describe_location("AZURE_BLOB")

    def describe_location_nfs(self) -> ActionResult:
        return self._describe_location("NFS")

    def describe_location_smb(self) -> ActionResult:
        return self._describe_location("SMB")

    def list_locations(self) -> ActionResult:
        def values(location: Location) -> Mapping[str, Any]:
            return {"LocationUri": location.uri, "LocationType": location.kind, "CreationTime": location.created}

        found = self.filtered(self.backend.locations.values(), values)
        return self.page("Locations", ({"LocationArn": each.arn, "LocationUri": each.uri} for each in found))

    def delete_location(self) -> ActionResult:
        arn = self.backend.location(self.params["LocationArn"]).arn
        users = [task.arn for task in self.backend.tasks.values() if arn in (task.source, task.destination)]
        if users:
            raise InvalidRequestException(f"Location {arn} is in use by {users[0]}.")
        self.backend.tags.pop(arn, None)
        del self.backend.locations[arn]
        return EmptyResult()

    def _create_location(self, kind: str) -> ActionResult:
        location = locations.create(self.backend, kind, dict(self.params))
        self.tag(location.arn)
        return ActionResult({"LocationArn": location.arn})

    def _describe_location(self, kind: str) -> ActionResult:
        location = self.backend.location(self.params["LocationArn"], kind)
        told = {name: location.request[name] for name in locations.DESCRIBED[kind] if name in location.request}
        said = {"LocationArn": location.arn, "LocationUri": location.uri, "CreationTime": location.created}
        return ActionResult({**said, **told})


def _status(agent: Agent) -> str:
    return "OFFLINE" if agent.offline_until is not None and agent.offline_until > CONTROL.now() else "ONLINE"


def _listed_agent(agent: Agent) -> dict[str, Any]:
    return {"AgentArn": agent.arn, "Name": agent.name, "Status": _status(agent), "Platform": {"Version": "2"}}
