"""Source pattern 6: files of other clouds and of shares, replicated by AWS DataSync."""

from dataclasses import dataclass
from typing import Self

import dagster as dg
from pydantic import BaseModel

from adplatform.components.assembly.automation import Automation
from adplatform.components.assembly.declared import declared
from adplatform.components.assembly.delivery_jobs import in_jobs
from adplatform.components.assembly.engine_runs import EngineRuns, engine_definitions
from adplatform.components.assembly.origins import Origin
from adplatform.components.assembly.scaffold import FeedOptions, SourceScaffolder
from adplatform.components.assembly.transforms import with_engines
from adplatform.contracts.replication import ReplicatedSource
from adplatform.contracts.templates import templated
from adplatform.engines.pattern import EngineFiles, replicated_files
from adplatform.platform.settings import Settings, read_settings


class ReplicatedFilesScaffolder(SourceScaffolder):
    since = 7
    options = FeedOptions
    template = """\
type: adplatform.components.ReplicatedFiles
attributes:
  source: {source}
  from:                       # `adplatform provision` makes the task; or task: <name or ARN> of one that is there
    kind: gcs                 # or s3, object_storage, azure_blob, nfs, smb
    bucket: acme-exports
    secret: {source}/hmac-key # a JSON object with access_key and secret_key
  every: 1h                   # leave it out where the task has a schedule of its own
  feeds:
    - name: {feed}            # files below {feed}/dt=<date>/ of the replicated store
      start_date: {start_date}
      columns:                # as the files name them: a type, or a mapping with settings
        order_id: {{type: bigint, required: true}}
        email: {{pii: email}}   # stored as a keyed digest
        amount: decimal(12,2)
      key: order_id
"""


@dg.scaffold_with(ReplicatedFilesScaffolder)
@dataclass(frozen=True)
class ReplicatedFiles(dg.Component):
    """Files of another cloud's object storage, of an NFS or an SMB share, that a task of AWS DataSync replicates: one
    pair of assets per feed.

    The task is made from what ``from`` says of the store, or is there already. It is started here, or runs by its own
    schedule and is watched. Every execution that has ended is landed once, by what its report says of each file;
    originals stay in the landing zone, where DataSync compares.

    Example:

        ```yaml
        type: adplatform.components.ReplicatedFiles
        attributes:
          source: gcs_exports
          from: {kind: gcs, bucket: acme-exports, secret: gcs_exports/hmac-key}
          every: 1h
          feeds:
            - name: orders
              start_date: 2026-01-01
              columns:
                order_id: {type: bigint, required: true}
                email: {pii: email}
                amount: decimal(12,2)
              key: order_id
        ```
    """

    declared: ReplicatedSource

    @classmethod
    def get_model_cls(cls) -> type[ReplicatedSource]:
        return templated(ReplicatedSource)

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        return cls(declared(ReplicatedSource, attributes, context))

    def get_asset_spec(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        """Called with the spec of every asset; override it in a subclass to change owners, tags, kinds, group,
        description or metadata. Keys and partitions are fixed: runs, ledger and tables know the asset by them."""
        return spec

    def pattern(self, settings: Settings) -> EngineFiles:
        return replicated_files(self.declared, settings)

    def automation(self) -> Automation:
        pattern = self.pattern(read_settings())
        return in_jobs(with_engines(EngineRuns(pattern), pattern.source), pattern.source)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        pattern = self.pattern(read_settings())
        store = self.declared.from_
        by = "DataSync" if store else f"the task {self.declared.task} of DataSync"
        origin = Origin(f"The store whose files {by} copies", store.kind if store else "datasync")
        return engine_definitions(pattern, self.declared, {"s3", "datasync"}, origin, self.get_asset_spec)
