"""Calls about servers, their users and the keys of these."""

from moto.core.responses import ActionResult, EmptyResult

from adplatform.local.aws.managed import CONTROL
from adplatform.local.aws.transfer import listening, servers
from adplatform.local.aws.transfer.connector_calls import ConnectorCalls
from adplatform.local.aws.transfer.errors import (
    InvalidNextTokenException,
    InvalidRequestException,
    ResourceExistsException,
    ResourceNotFoundException,
)
from adplatform.local.aws.transfer.server_state import OFFLINE, ONLINE, PublicKey, Server, User, new_id

_MOST_KEYS = 50


class ServerCalls(ConnectorCalls):
    def create_server(self) -> ActionResult:
        backend, asked = self.transfer_backend, servers.created(self.params)
        self._require_workflows(asked)
        key = self.params.get("HostKey") or servers.new_host_key()
        servers.host_key(key)
        name = new_id("s")
        server = Server(name, self._arn(f"server/{name}"), asked, key)
        backend.sftp_servers[name] = server
        self._tag(server.arn)
        listening.begin(backend, server)
        return ActionResult({"ServerId": name})

    def describe_server(self) -> ActionResult:
        server = self.transfer_backend.server(self.params["ServerId"])
        return ActionResult({"Server": servers.described(server, self.transfer_backend.tags.get(server.arn, {}))})

    def update_server(self) -> ActionResult:
        server = self.transfer_backend.server(self.params["ServerId"])
        asked = servers.updated(server, self.params)
        self._require_workflows(asked)
        if key := self.params.get("HostKey"):
            servers.host_key(key)
            server.host_key = key
        server.asked = asked
        return ActionResult({"ServerId": server.id})

    def list_servers(self) -> ActionResult:
        told = map(servers.listed, self.transfer_backend.sftp_servers.values())
        return ActionResult(self.page("Servers", told, InvalidNextTokenException))

    def delete_server(self) -> ActionResult:
        server = self.transfer_backend.server(self.params["ServerId"])
        listening.end(server)
        for arn in (server.arn, *(user.arn for user in server.users.values())):
            self.transfer_backend.tags.pop(arn, None)
        del self.transfer_backend.sftp_servers[server.id]
        return EmptyResult()

    def start_server(self) -> ActionResult:
        server = self.transfer_backend.server(self.params["ServerId"])
        server.state = ONLINE
        listening.begin(self.transfer_backend, server)
        return EmptyResult()

    def stop_server(self) -> ActionResult:
        server = self.transfer_backend.server(self.params["ServerId"])
        server.state = OFFLINE
        listening.end(server)
        return EmptyResult()

    def create_user(self) -> ActionResult:
        server, name = self.transfer_backend.server(self.params["ServerId"]), self.params["UserName"]
        if name in server.users:
            raise ResourceExistsException("User", name)
        asked = servers.user_asked(self.params, {})
        body = self.params.get("SshPublicKeyBody")
        keys = [PublicKey(servers.public_key(body), CONTROL.now())] if body else []
        user = User(name, self._arn(f"user/{server.id}/{name}"), asked, keys)
        server.users[name] = user
        self._tag(user.arn)
        return ActionResult({"ServerId": server.id, "UserName": name})

    def describe_user(self) -> ActionResult:
        user = self._user()
        told = servers.user_described(user, self.transfer_backend.tags.get(user.arn, {}))
        return ActionResult({"ServerId": self.params["ServerId"], "User": told})

    def update_user(self) -> ActionResult:
        user = self._user()
        user.asked = servers.user_asked(self.params, user.asked)
        return ActionResult({"ServerId": self.params["ServerId"], "UserName": user.name})

    def list_users(self) -> ActionResult:
        server = self.transfer_backend.server(self.params["ServerId"])
        told = self.page("Users", map(servers.user_listed, server.users.values()), InvalidNextTokenException)
        return ActionResult({"ServerId": server.id, **told})

    def delete_user(self) -> ActionResult:
        user = self._user()
        self.transfer_backend.tags.pop(user.arn, None)
        del self.transfer_backend.server(self.params["ServerId"]).users[user.name]
        return EmptyResult()

    def import_ssh_public_key(self) -> ActionResult:
        user = self._user()
        key = PublicKey(servers.public_key(self.params["SshPublicKeyBody"]), CONTROL.now())
        if key.bare in {each.bare for each in user.keys}:
            raise ResourceExistsException("SshPublicKey", key.body)
        if len(user.keys) >= _MOST_KEYS:
            raise InvalidRequestException(f"A user has {_MOST_KEYS} keys at most.")
        user.keys.append(key)
        return ActionResult({"ServerId": self.params["ServerId"], "UserName": user.name, "SshPublicKeyId": key.id})

    def delete_ssh_public_key(self) -> ActionResult:
        user, name = self._user(), self.params["SshPublicKeyId"]
        if name not in {key.id for key in user.keys}:
            raise ResourceNotFoundException("SshPublicKey", name)
        user.keys = [key for key in user.keys if key.id != name]
        return EmptyResult()

    def _user(self) -> User:
        return self.transfer_backend.user(self.params["ServerId"], self.params["UserName"])

    def _arn(self, name: str) -> str:
        return f"arn:aws:transfer:{self.region}:{self.current_account}:{name}"

    def _require_workflows(self, asked: dict[str, object]) -> None:
        details = asked.get("WorkflowDetails")
        occasions = details.values() if isinstance(details, dict) else ()
        for each in (each for occasion in occasions for each in occasion):
            self.transfer_backend.workflow(each["WorkflowId"])
