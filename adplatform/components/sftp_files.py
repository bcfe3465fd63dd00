"""Source pattern 5: files of SFTP servers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import dagster as dg
from pydantic import BaseModel

from adplatform.components.assembly.automation import Automation
from adplatform.components.assembly.crawls import with_crawls
from adplatform.components.assembly.engine_runs import EngineRuns, engine_definitions
from adplatform.components.assembly.extracts import Readings, reading_jobs, with_extracts
from adplatform.components.assembly.scaffold import FeedOptions, SourceScaffolder
from adplatform.contracts.sftp import SftpSource
from adplatform.engines.pattern import EngineFiles
from adplatform.engines.sftp_client import TARGET, Server, fetch_files
from adplatform.engines.sftp_source import sftp_files
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
    kind: client                # our own workers fetch; connector: AWS Transfer Family does
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

    The server is looked at every so often; a file is fetched once it is whole, and again when it changes. Whoever
    fetches, a file lies under the same name in the landing zone, is validated against the feed's contract,
    de-identified, audited and published as part of a Glue table; then it may be moved or deleted on the server.

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
        return SftpSource

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        if not isinstance(attributes, SftpSource):
            raise dg.DagsterInvalidDefinitionError(f"{context.path}: SftpFiles needs attributes")
        return cls(attributes)

    def get_asset_spec(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        """Called with the spec of every asset; override it in a subclass to change owners, tags, kinds, group,
        description or metadata. Keys and partitions are fixed: runs, ledger and tables know the asset by them."""
        return spec

    def pattern(self, settings: Settings) -> EngineFiles:
        return sftp_files(self.declared, settings)

    def automation(self) -> Automation:
        pattern = self.pattern(read_settings())
        automation = with_crawls(EngineRuns(pattern), pattern.source)
        return with_extracts(automation, self._readings(pattern))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        pattern = self.pattern(read_settings())
        readings = self._readings(pattern)
        return engine_definitions(
            pattern,
            self.declared,
            {"s3", "sftp"},
            self.get_asset_spec,
            wrap=lambda automation: with_extracts(automation, readings),
            jobs=lambda assets: reading_jobs(readings, assets),
        )

    def _readings(self, pattern: EngineFiles) -> Readings:
        server = Server(self.declared, pattern.source)

        def read(services: Services, row: Extract, last: Extract | None, folder: Path) -> Extract:
            return fetch_files(services, server, row, last, folder)

        return Readings(self.declared.source, (TARGET,), "file", "those of an SFTP server that are due", read)
