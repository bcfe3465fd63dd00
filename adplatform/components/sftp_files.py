"""Source pattern 5: files of SFTP servers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import dagster as dg
from pydantic import BaseModel

from adplatform.components.assembly.arrivals import arrivals_automation
from adplatform.components.assembly.automation import Automation
from adplatform.components.assembly.declared import declared
from adplatform.components.assembly.delivery_jobs import in_jobs
from adplatform.components.assembly.engine_runs import EngineRuns, engine_definitions
from adplatform.components.assembly.extracts import Readings, extract_job, with_extracts
from adplatform.components.assembly.origins import Origin
from adplatform.components.assembly.pushed import pushed_definitions
from adplatform.components.assembly.scaffold import FeedOptions, SourceScaffolder
from adplatform.components.assembly.transforms import with_engines
from adplatform.contracts.sftp import SftpSource
from adplatform.contracts.sftp_host import SftpClient
from adplatform.contracts.sftp_server import SftpServer
from adplatform.contracts.templates import templated
from adplatform.engines.pattern import EngineFiles
from adplatform.engines.sftp.client import Server, fetch_files
from adplatform.engines.sftp.server import UploadedFiles
from adplatform.engines.sftp.source import sftp_files
from adplatform.engines.sftp.targets import FILES
from adplatform.flow.services import Services
from adplatform.ledger.extracts import Extract
from adplatform.platform.settings import Settings, read_settings


class SftpFilesScaffolder(SourceScaffolder):
    since = 7
    options = FeedOptions
    template = """\
type: adplatform.components.SftpFiles
attributes:
  source: {source}
  from:
    kind: client                # our own workers fetch; connector: AWS Transfer Family; server: uploads
    host: sftp.example.com
    secret: {source}/sftp       # a JSON object with Username, and PrivateKey or Password
    host_keys:                  # what `ssh-keyscan sftp.example.com` prints, confirmed by the server's owner
      - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f
  every: 15m
  feeds:
    - name: {feed}
      remote: /out/{feed}/{feed}_{{date:%Y%m%d}}*.csv
      start_date: {start_date}
      columns:                  # as the files name them: a type, or a mapping with settings
        order_id: {{type: bigint, required: true}}
        email: {{pii: email}}     # stored as a keyed digest
        amount: decimal(12,2)
      key: order_id
"""


@dg.scaffold_with(SftpFilesScaffolder)
@dataclass(frozen=True)
class SftpFiles(dg.Component):
    """Files of an SFTP server: one pair of assets per feed.

    A partner's server is looked at every so often, by our own workers or by a connector of AWS Transfer Family; a file
    is fetched once it is whole, and again when it changes, and may be moved or deleted there once readers see it. To a
    server of ours, of AWS Transfer Family, partners upload. Files are validated against the feed's contract,
    de-identified, audited and published as a Glue table.

    Example:

        ```yaml
        type: adplatform.components.SftpFiles
        attributes:
          source: acme
          from:
            kind: client
            host: sftp.acme.example
            secret: acme/sftp
            host_keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f]
          afterwards: {move_to: done}
          feeds:
            - name: orders
              remote: /out/orders_{date:%Y%m%d}*.csv
              start_date: 2026-01-01
              columns:
                order_id: {type: bigint, required: true}
                email: {pii: email}
                amount: decimal(12,2)
              key: order_id
        ```
    """

    declared: SftpSource

    @classmethod
    def get_model_cls(cls) -> type[SftpSource]:
        return templated(SftpSource)

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        return cls(declared(SftpSource, attributes, context))

    def get_asset_spec(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        """Called with the spec of every asset; override it in a subclass to change owners, tags, kinds, group,
        description or metadata. Keys and partitions are fixed: runs, ledger and tables know the asset by them."""
        return spec

    def pattern(self, settings: Settings) -> EngineFiles | UploadedFiles:
        return sftp_files(self.declared, settings)

    def automation(self) -> Automation:
        pattern = self.pattern(read_settings())
        if isinstance(pattern, UploadedFiles):
            return arrivals_automation(pattern.source)
        automation = with_engines(EngineRuns(pattern), pattern.source)
        if self._readings is not None:
            automation = with_extracts(automation, self._readings)
        return in_jobs(automation, pattern.source)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        pattern, readings = self.pattern(read_settings()), self._readings
        server = self.declared.from_
        called = "The partner that uploads files to our SFTP server"
        if not isinstance(server, SftpServer):
            called = f"The SFTP server {server.host or 'in the own network'}, whose files a {server.kind} fetches"
        origin = Origin(called, "sftp")
        if isinstance(pattern, UploadedFiles):
            return pushed_definitions(pattern.source, self.declared, {"s3", "sftp"}, origin, self.get_asset_spec)
        if readings is None:
            return engine_definitions(pattern, self.declared, {"s3", "sftp"}, origin, self.get_asset_spec)
        return engine_definitions(
            pattern,
            self.declared,
            {"s3", "sftp"},
            origin,
            self.get_asset_spec,
            wrap=lambda automation: with_extracts(automation, readings),
            jobs=[extract_job(readings)],
        )

    @property
    def _readings(self) -> Readings | None:
        """What our own workers read; None where a connector fetches, or partners upload."""
        if not isinstance(self.declared.from_, SftpClient):
            return None

        def read(services: Services, row: Extract, last: Extract | None, folder: Path) -> Extract:
            server = Server(self.declared, self.pattern(services.settings).source)
            return fetch_files(services, server, row, last, folder)

        how, pattern = "those of an SFTP server that are due", self.declared.pattern
        return Readings(self.declared.source, pattern, (FILES,), "file", how, read)
