"""Source pattern 2: SaaS applications through Amazon AppFlow."""

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
from adplatform.contracts.saas import SaasSource
from adplatform.contracts.templates import templated
from adplatform.engines.pattern import EngineFiles, saas_flows
from adplatform.platform.settings import Settings, read_settings


class SaasFlowsScaffolder(SourceScaffolder):
    since = 7
    options = FeedOptions
    template = """\
type: adplatform.components.SaasFlows
attributes:
  source: {source}
  # connector: Salesforce     # or another; with connection: its connection in AppFlow, a feed may be no more than a
  feeds:                      # name of `adplatform ready-made`, such as contacts, and its flow is made
    - name: {feed}            # a flow {source}-{feed} that writes below landing/{source}/
      start_date: {start_date}
      every: 1h               # leave it out where the flow has a schedule of its own
      columns:                # as the application names them: a type, or a mapping with settings
        id: {{field: Id, required: true}}
        email: {{field: Email, pii: email}}   # stored as a keyed digest
        changed_at: {{field: SystemModstamp, type: timestamp}}
      key: id
      latest_by: changed_at
"""


@dg.scaffold_with(SaasFlowsScaffolder)
@dataclass(frozen=True)
class SaasFlows(dg.Component):
    """A SaaS application whose data Amazon AppFlow brings: one pair of assets per flow.

    Feeds are ready-made ones of the connector, by name or with changes, or your own. A flow with an object is made
    here; it is started here, or runs by its own schedule and is watched. Every run that has ended is landed once,
    whoever started it; its files are validated against the feed's contract, de-identified, audited and published as a
    Glue table.

    Example:

        ```yaml
        type: adplatform.components.SaasFlows
        attributes:
          source: crm
          connector: Salesforce
          connection: salesforce
          start_date: 2026-01-01
          feeds:
            - campaigns
            - {extends: contacts, every: 1h, remove: [title]}
            - name: cases
              flow: crm-cases
              columns:
                case_id: {field: Id, required: true}
                changed_at: {field: SystemModstamp, type: timestamp}
              key: case_id
              latest_by: changed_at
        ```
    """

    declared: SaasSource

    @classmethod
    def get_model_cls(cls) -> type[SaasSource]:
        return templated(SaasSource)

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        return cls(declared(SaasSource, attributes, context))

    def get_asset_spec(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        """Called with the spec of every asset; override it in a subclass to change owners, tags, kinds, group,
        description or metadata. Keys and partitions are fixed: runs, ledger and tables know the asset by them."""
        return spec

    def pattern(self, settings: Settings) -> EngineFiles:
        return saas_flows(self.declared, settings)

    def automation(self) -> Automation:
        pattern = self.pattern(read_settings())
        return in_jobs(with_engines(EngineRuns(pattern), pattern.source), pattern.source)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        pattern = self.pattern(read_settings())
        origin = Origin(f"The account of {self.declared.connector} that AppFlow's flows read", self.declared.connector)
        return engine_definitions(pattern, self.declared, {"s3", "appflow"}, origin, self.get_asset_spec)
