"""Calls about connectors themselves."""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from moto.core.responses import ActionResult, EmptyResult

from adplatform.local.aws.state import released
from adplatform.local.aws.transfer import connectors, sessions, sftp
from adplatform.local.aws.transfer.api import ConnectorAnswers
from adplatform.local.aws.transfer.credentials import login
from adplatform.local.aws.transfer.errors import (
    InvalidNextTokenException,
    InvalidRequestException,
    ResourceNotFoundException,
)

_MOST_TAGS = 50


class ConnectorCalls(ConnectorAnswers):
    def create_connector(self) -> ActionResult:
        connector = self.transfer_backend.new_connector(connectors.created(self.params))
        self._tag(connector.arn)
        return ActionResult({"ConnectorId": connector.id})

    def describe_connector(self) -> ActionResult:
        connector = self.transfer_backend.connector(self.params["ConnectorId"])
        tags = self.transfer_backend.tags.get(connector.arn, {})
        return ActionResult({"Connector": connectors.described(connector, tags)})

    def update_connector(self) -> ActionResult:
        connector = self.transfer_backend.connector(self.params["ConnectorId"])
        connector.asked = connectors.updated(connector, self.params)
        sessions.look()
        return ActionResult({"ConnectorId": connector.id})

    def delete_connector(self) -> ActionResult:
        connector = self.transfer_backend.connector(self.params["ConnectorId"])
        self.transfer_backend.tags.pop(connector.arn, None)
        del self.transfer_backend.connectors[connector.id]
        sessions.look()
        return EmptyResult()

    def list_connectors(self) -> ActionResult:
        known = self.transfer_backend.connectors.values()
        told = ({"Arn": each.arn, "ConnectorId": each.id, "Url": each.asked["Url"]} for each in known)
        return ActionResult(self.page("Connectors", told, InvalidNextTokenException))

    def test_connection(self) -> ActionResult:
        connector = self.transfer_backend.connector(self.params["ConnectorId"])
        said = {"ConnectorId": connector.id, "Status": "OK", "StatusMessage": "Connection succeeded"}
        try:
            where, who = sessions.server(connector), login(self.transfer_backend, connector)
            with released():
                key = sftp.test(where, who)
        except sftp.Failed as e:
            key = e.host_key
            said |= {"Status": "ERROR", "StatusMessage": e.message}
        return ActionResult({**said, **({"SftpConnectionDetails": {"HostKey": key}} if key else {})})

    def tag_resource(self) -> ActionResult:
        self._tag(self._taggable())
        return EmptyResult()

    def untag_resource(self) -> ActionResult:
        tags = self.transfer_backend.tags.get(self._taggable(), {})
        for key in self.params["TagKeys"]:
            tags.pop(key, None)
        return EmptyResult()

    def list_tags_for_resource(self) -> ActionResult:
        arn = self._taggable()
        tags: Mapping[str, str] = self.transfer_backend.tags.get(arn, {})
        told = ({"Key": key, "Value": value} for key, value in sorted(tags.items()))
        return ActionResult({"Arn": arn, **self.page("Tags", told, InvalidNextTokenException)})

    def _tag(self, arn: str) -> None:
        """
        Raises:
            InvalidRequestException: it would have too many.
        """
        given = {tag["Key"]: tag["Value"] for tag in self.params.get("Tags", ())}
        tags = {**self.transfer_backend.tags.get(arn, {}), **given}
        if len(tags) > _MOST_TAGS:
            raise InvalidRequestException(f"{arn} would have {len(tags)} tags; {_MOST_TAGS} are allowed.")
        self.transfer_backend.tags[arn] = tags

    def _taggable(self) -> str:
        arn: str = self.params["Arn"]
        backend = self.transfer_backend
        users = (user for server in backend.sftp_servers.values() for user in server.users.values())
        known: Iterable[Any] = chain(
            backend.connectors.values(), backend.sftp_servers.values(), backend.workflows.values(), users
        )
        if arn not in {each.arn for each in known}:
            raise ResourceNotFoundException(arn.rpartition(":")[2].partition("/")[0].capitalize(), arn)
        return arn
