"""The pattern of files that partners upload to an SFTP server of ours: they land as files do that are pushed to S3.

A managed workflow is never needed for that. It does not begin for empty files nor for more than 100 uploads at once,
and gives up above 10 GB; whatever it would have found of a file the flow looks for itself.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from adplatform.contracts.sftp import SftpSource
from adplatform.contracts.sftp_server import SftpServer
from adplatform.engines.sftp.provided_servers import DeclaredServer, find_server, folder_of, provide, put_keys
from adplatform.failures import PermanentFailure
from adplatform.flow.pushed import PushedFiles
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow, Source, declared_source
from adplatform.platform.aws_errors import aws_failures
from adplatform.platform.settings import Settings

_PORT = 22


@dataclass(frozen=True)
class Address:
    """Where clients connect. ``fingerprint`` is that of the server's host key, as OpenSSH shows it."""

    host: str
    port: int
    fingerprint: str


@dataclass(frozen=True)
class UploadedFiles(PushedFiles):
    """As ``adplatform.flow.pattern.Pattern``."""

    server: SftpServer = field(kw_only=True)

    def declared(self, services: Services) -> DeclaredServer:
        source, bucket = self.source, services.zones.raw_bucket
        return DeclaredServer(
            source.name, self.server, bucket, source.prefix, services.account, services.settings.region
        )

    def provision(self, services: Services) -> str:
        """Make the server, its users and its workflow what they are declared to be; the server's id.

        Raises:
            PermanentFailure, TransientFailure: as :func:`adplatform.engines.sftp.provided_servers.provide`.
        """
        return provide(services.aws.client("transfer"), services.secrets, self.declared(services))

    def fill(self, services: Services) -> None:
        """Put the keys of workflows that decrypt where the server looks for them.

        Raises:
            PermanentFailure, TransientFailure: as :func:`adplatform.engines.sftp.provided_servers.put_keys`.
        """
        put_keys(services.aws.client("transfer"), services.secrets, self.declared(services))

    def address(self, services: Services) -> Address | None:
        """Where the server is; None while nobody has made it.

        Raises:
            PermanentFailure, TransientFailure: AWS refuses something.
        """
        client = services.aws.client("transfer")
        with aws_failures(f"SFTP server {self.server.server}"):
            server = find_server(client, self.declared(services))
            if server is None:
                return None
            known = client.describe_server(ServerId=server)["Server"]
        return _address(known, services.settings)


def server_files(declared: SftpSource, settings: Settings) -> UploadedFiles:
    """The pattern that YAML declares with ``kind: server``.

    Raises:
        PermanentFailure: AWS takes no queue of the source's name, a landing template is invalid, two feeds have the
            same, or no user sees where a feed lands.
    """
    server = declared.server
    settings.queue_name(declared.source)
    source = declared_source(declared, settings.raw_bucket)
    _require_reachable(source, server)
    feeds = tuple(replace(flow, uploaded=server.workflow is not None) for flow in source.feeds)
    return UploadedFiles(replace(source, feeds=feeds), server=server)


def require_agreement(servers: Iterable[tuple[str, SftpServer]]) -> None:
    """Sources, each named with its server, that share one say the same of it, and have users of their own.

    Raises:
        PermanentFailure: they do not; names them and what differs.
    """
    first: dict[str, tuple[str, SftpServer]] = {}
    users: dict[tuple[str, str], str] = {}
    for source, server in servers:
        other, same = first.setdefault(server.server, (source, server))
        for name in type(server).model_fields:
            if name not in ("users", "role") and getattr(server, name) != getattr(same, name):
                raise PermanentFailure(
                    f"sources {other} and {source} share the SFTP server {server.server}, and `{name}` of it differs: "
                    "declare the same, or another `server`"
                )
        for user in server.users:
            owner = users.setdefault((server.server, user.name), source)
            if owner != source:
                raise PermanentFailure(
                    f"sources {owner} and {source} both have a user {user.name} on the SFTP server {server.server}: "
                    "give one another name"
                )


def seen_at(flow: FeedFlow, folder: str) -> str | None:
    """The landing template of a feed as a user sees it whose ``/`` is ``folder``; None where it is elsewhere."""
    template = flow.layout.template
    return f"/{template.removeprefix(folder)}" if template.startswith(folder) else None


def _require_reachable(source: Source, server: SftpServer) -> None:
    folders = [folder_of(source.prefix, user) for user in server.users]
    for flow in source.feeds:
        if not any(seen_at(flow, folder) or folder.startswith(flow.layout.prefix) for folder in folders):
            raise PermanentFailure(
                f"feed {flow.feed.name}: no user of the SFTP server sees {flow.layout.prefix}: correct `folder` of a "
                "user, or `landing`"
            )


def _address(known: dict[str, Any], settings: Settings) -> Address:
    ports = known.get("ProtocolDetails", {}).get("SftpPorts") or [{"SftpPort": _PORT}]
    tags = {tag["Key"]: tag["Value"] for tag in known.get("Tags", ())}
    name = tags.get("transfer:customHostname") or f"{known['ServerId']}.server.transfer.{settings.region}.amazonaws.com"
    host = "127.0.0.1" if settings.env == "local" else name
    return Address(host, int(ports[0]["SftpPort"]), known.get("HostKeyFingerprint", ""))
