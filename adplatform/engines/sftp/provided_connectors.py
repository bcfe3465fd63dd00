"""SFTP connectors of AWS Transfer Family: made and changed as YAML declares them, found again, compared and called.

Facts: Transfer Family API reference and user guide ("Configure SFTP connectors").
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any

from adplatform.contracts.sftp import SftpSource
from adplatform.contracts.sftp_host import Lattice, SftpConnector
from adplatform.engines.engine import Finding, Postponed
from adplatform.failures import PermanentFailure, clipped
from adplatform.flow.services import Services
from adplatform.platform.arns import role_arn
from adplatform.platform.aws_errors import aws_failures, secret_failures
from adplatform.platform.names import OWNER_TAG

SOURCE, BUCKET = OWNER_TAG, "adplatform:bucket"
"""Tags of a connector: the source in YAML, and the raw bucket, which tells platforms of one account apart."""
_ACTIVE, _OK = "ACTIVE", "OK"
_LONGEST = 500
"""Characters of what AWS says of a connector that a message quotes."""
_LONGEST_REST = timedelta(minutes=15)


@dataclass
class Connector:
    """The connector of a source: the one that is declared by its id, else the one with the source's tags. ``ids`` keeps
    what was found by tags for as long as its owner lives."""

    services: Services
    declared: SftpSource
    at: SftpConnector
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """
        Raises:
            PermanentFailure: there is none, or there are several.
        """
        if self.at.connector:
            return self.at.connector
        if self.declared.source not in self.ids:
            found = self.found()
            if found is None:
                raise self._missing()
            self.ids[self.declared.source] = found
        return self.ids[self.declared.source]

    @property
    def url(self) -> str:
        return self.at.url

    @property
    def role(self) -> str:
        """The ARN of the role with which it works."""
        return self._arn(self.at.role)

    @property
    def tags(self) -> dict[str, str]:
        return {SOURCE: self.declared.source, BUCKET: self.services.zones.raw_bucket}

    def found(self) -> str | None:
        """The id of the connector with the source's tags; None where there is none.

        Raises:
            PermanentFailure: there are several.
        """
        with aws_failures(f"the connector of {self.declared.source}"):
            every = self._client.get_paginator("list_connectors").paginate()
            listed = [each for page in every for each in page["Connectors"]]
            own = [each["ConnectorId"] for each in listed if self.tags.items() <= self._tags(each["Arn"]).items()]
        if len(own) > 1:
            raise PermanentFailure(
                f"the connectors {', '.join(sorted(own))} have the tags of {self.declared.source}: "
                "delete what is not used"
            )
        return own[0] if own else None

    def start(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """Ask for something that goes on behind the answer. It is asked once: the client does not repeat it.

        Raises:
            Postponed: AWS has had enough calls for now; nothing was started.
            PermanentFailure: there is no such connector, or AWS refuses.
            TransientFailure: no answer, or not allowed.
        """
        client = self._once
        with aws_failures(f"connector {self.id}"):
            try:
                started: dict[str, Any] = getattr(client, operation)(ConnectorId=self.id, **arguments)
            except client.exceptions.ThrottlingException as e:
                rest = _seconds(e.response.get("RetryAfterSeconds"))
                raise Postponed(f"connector {self.id}: Transfer Family has had enough calls", rest) from e
            except client.exceptions.ResourceNotFoundException as e:
                raise self._gone() from e
        return started

    def results(self, transfer: str) -> dict[str, dict[str, Any]] | None:
        """What became of the files of a transfer, by path; None where Transfer Family knows it not, or no longer."""
        with aws_failures(f"transfer {transfer} of connector {self.id}"):
            pages = self._client.get_paginator("list_file_transfer_results")
            asked = {"ConnectorId": self.id, "TransferId": transfer}
            try:
                return {r["FilePath"]: r for page in pages.paginate(**asked) for r in page["FileTransferResults"]}
            except self._client.exceptions.ResourceNotFoundException:
                return None

    def findings(self, *, test: bool) -> list[Finding]:
        """What keeps it from being used, and what differs from what is declared. With a ``test`` it connects.

        Raises: as :meth:`start`.
        """
        said = self.described()
        found = list(self._differences(said))
        if said["Status"] != _ACTIVE:
            why = clipped(said.get("ErrorMessage") or "no reason is given", _LONGEST)
            found.append(Finding(f"connector {self.id} is {said['Status']}: {why}"))
        elif test:
            found += self._tested()
        return found

    def described(self) -> dict[str, Any]:
        """As AWS describes it.

        Raises: as :meth:`start`.
        """
        with aws_failures(f"connector {self.id}"):
            try:
                described: dict[str, Any] = self._client.describe_connector(ConnectorId=self.id)["Connector"]
            except self._client.exceptions.ResourceNotFoundException as e:
                raise self._gone() from e
        return described

    def provide(self) -> bool:
        """Make the connector, or change what differs; False where nothing does. It is never deleted.

        Raises:
            PermanentFailure: the secret is not there, several connectors have the source's tags, or AWS refuses.
            TransientFailure: AWS does not answer at present, or does not allow it.
        """
        if self.at.connector:
            return False
        found, wanted = self.found(), self._wanted()
        with aws_failures(f"the connector of {self.declared.source}"):
            if found is None:
                made = self._once.create_connector(
                    **wanted, Tags=connector_tags(self.declared.source, self.tags[BUCKET])
                )
                self.ids[self.declared.source] = made["ConnectorId"]
                return True
            self.ids[self.declared.source] = found
            if not list(self._differences(self.described())):
                return False
            self._client.update_connector(ConnectorId=found, **wanted)
        return True

    @cached_property
    def _client(self) -> Any:
        return self.services.aws.client("transfer")

    @cached_property
    def _once(self) -> Any:
        return self.services.aws.client_once("transfer")

    def _tags(self, arn: str) -> Mapping[str, str]:
        pages = self._client.get_paginator("list_tags_for_resource").paginate(Arn=arn)
        return {tag["Key"]: tag["Value"] for page in pages for tag in page.get("Tags") or ()}

    def _wanted(self) -> dict[str, Any]:
        return connector_request(self.at, self.services.account, self._secret())

    def _arn(self, role: str) -> str:
        return role_arn(role, self.services.account)

    def _secret(self) -> str:
        """The ARN of the secret.

        Raises:
            EnvironmentFailure: it is not there.
        """
        if self.at.secret.startswith("arn:"):
            return self.at.secret
        with secret_failures(f"secret {self.at.secret} (a JSON object with Username, and PrivateKey or Password)"):
            return str(self.services.secrets.describe_secret(SecretId=self.at.secret)["ARN"])

    def _differences(self, said: Mapping[str, Any]) -> Iterator[Finding]:
        """Of a connector that is named only what it must be to be the declared server's."""
        config, remedy = said.get("SftpConfig") or {}, "`adplatform provision` changes it"
        if self.at.connector:
            remedy = "change one of them"
        if self.at.lattice is not None:
            way = ((said.get("EgressConfig") or {}).get("VpcLattice") or {}).get("ResourceConfigurationArn")
            if way != self.at.lattice.resource:
                text = (
                    f"connector {self.id} goes by {way or 'the internet'}, and {self.at.lattice.resource} is declared"
                )
                yield Finding(f"{text}: {remedy}")
        elif said.get("Url", "").rstrip("/") not in (self.url, self.url.removesuffix(":22")):
            yield Finding(f"connector {self.id} is for {said.get('Url')}, and {self.url} is declared: {remedy}")
        trusted, declared = set(_bare(config.get("TrustedHostKeys"))), set(self.at.host_keys)
        if trusted != declared:
            yield Finding(
                f"connector {self.id} trusts the host keys {_prints(trusted)}, and {_prints(declared)} are declared: "
                f"{remedy}"
            )
        role, counts = said.get("AccessRole"), not self.at.connector or "role" in self.at.model_fields_set
        if counts and role != self.role:
            yield Finding(f"connector {self.id} works as {role}, and {self.role} is declared: {remedy}")
        if self.at.connector:
            return
        if not _same_secret(config.get("UserSecretId", ""), self.at.secret):
            yield Finding(f"connector {self.id} logs in by another secret than {self.at.secret}: {remedy}", fatal=False)
        if self.at.logging_role and said.get("LoggingRole") != (logs := self._arn(self.at.logging_role)):
            yield Finding(f"connector {self.id} does not log as {logs}, which is declared: {remedy}", fatal=False)
        if self.at.security_policy and said.get("SecurityPolicyName") != self.at.security_policy:
            has = said.get("SecurityPolicyName")
            text = f"connector {self.id} has the security policy {has}, and {self.at.security_policy} is declared"
            yield Finding(f"{text}: {remedy}", fatal=False)
        if config.get("MaxConcurrentConnections", 1) != self.at.connections:
            yield Finding(
                f"connector {self.id} opens {config.get('MaxConcurrentConnections', 1)} connections, and "
                f"{self.at.connections} are declared: {remedy}",
                fatal=False,
            )

    def _tested(self) -> Iterator[Finding]:
        with aws_failures(f"connector {self.id}"):
            said = self._client.test_connection(ConnectorId=self.id)
        if said.get("Status") == _OK:
            return
        shown = (said.get("SftpConnectionDetails") or {}).get("HostKey", "")
        why = clipped(said.get("StatusMessage") or "no reason is given", _LONGEST)
        key = next(iter(_bare([shown])), "")
        if key and key not in self.at.host_keys:
            yield Finding(
                f"{self.url} shows the host key {_prints([key])}, and {_prints(self.at.host_keys)} are declared: ask "
                f"who runs it whether that is right, and then add {key!r} to host_keys"
            )
        else:
            yield Finding(f"connector {self.id} cannot connect to {self.url}: {why}")

    def _gone(self) -> PermanentFailure:
        if self.at.connector:
            return PermanentFailure(f"there is no connector {self.at.connector}: make it, or correct `connector`")
        self.ids.pop(self.declared.source, None)
        return self._missing()

    def _missing(self) -> PermanentFailure:
        """The same whether it was there before, so that people are told once."""
        return PermanentFailure(f"there is no connector for {self.declared.source}: `adplatform provision` makes it")


def connector_request(at: SftpConnector, account: str, secret: str) -> dict[str, Any]:
    """What CreateConnector and UpdateConnector are asked for, without tags; ``secret`` is the ARN of the log-in."""
    return {
        **({"EgressConfig": _egress(at.lattice)} if at.lattice else {"Url": at.url}),
        "AccessRole": role_arn(at.role, account),
        **({"LoggingRole": role_arn(at.logging_role, account)} if at.logging_role else {}),
        **({"SecurityPolicyName": at.security_policy} if at.security_policy else {}),
        "SftpConfig": {
            "UserSecretId": secret,
            "TrustedHostKeys": list(at.host_keys),
            "MaxConcurrentConnections": at.connections,
        },
    }


def connector_tags(source: str, bucket: str) -> list[dict[str, str]]:
    """The tags by which the connector of a source is found again."""
    tags = {"Name": f"adplatform-{source}", SOURCE: source, BUCKET: bucket}
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _egress(lattice: Lattice) -> dict[str, Any]:
    return {"VpcLattice": {"ResourceConfigurationArn": lattice.resource, "PortNumber": lattice.port}}


def fingerprint(key: str) -> str:
    """Of a host key "type base64", as ``ssh-keygen -l`` prints it."""
    try:
        digest = hashlib.sha256(base64.b64decode(key.split(" ")[1], validate=True)).digest()
    except (ValueError, IndexError):
        return clipped(key, 40)
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def _prints(keys: Any) -> str:
    return ", ".join(sorted(map(fingerprint, keys))) or "none"


def _bare(keys: Any) -> Iterator[str]:
    """Host keys as "type base64", of lines that may begin with the name of the host or end with a comment."""
    for line in keys or ():
        parts = line.split()
        begin = next((n for n, part in enumerate(parts) if part.startswith(("ssh-", "ecdsa-", "rsa-"))), 0)
        if parts:
            yield " ".join(parts[begin : begin + 2])


def _same_secret(there: str, declared: str) -> bool:
    """An ARN of a secret is its name and six random characters (Secrets Manager user guide)."""
    if there == declared:
        return True
    return there.rpartition(":secret:")[2].rpartition("-")[0] == declared or there.endswith(f":secret:{declared}")


def _seconds(text: Any) -> timedelta:
    try:
        rest = timedelta(seconds=float(text))
    except (TypeError, ValueError, OverflowError):
        rest = timedelta(minutes=1)
    return min(max(rest, timedelta(seconds=1)), _LONGEST_REST)
