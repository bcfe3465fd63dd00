"""Source pattern 3: partners push files to S3."""

from dataclasses import dataclass
from typing import Self

import dagster as dg
from pydantic import BaseModel

from adplatform.components.assembly.arrivals import arrivals_automation
from adplatform.components.assembly.automation import Automation
from adplatform.components.assembly.declared import declared
from adplatform.components.assembly.origins import Origin
from adplatform.components.assembly.pushed import pushed_definitions
from adplatform.components.assembly.scaffold import FeedOptions, SourceScaffolder
from adplatform.contracts.source import PushedSource
from adplatform.contracts.templates import templated
from adplatform.flow.pushed import PushedFiles, pushed_files
from adplatform.platform.settings import Settings, read_settings


class PartnerPushScaffolder(SourceScaffolder):
    since = 7
    options = FeedOptions
    template = """\
type: adplatform.components.PartnerPush
attributes:
  source: {source}
  feeds:
    - name: {feed}            # files land below landing/{source}/{feed}/dt=<date>/
      start_date: {start_date}
      columns:                # as the files name them: a type, or a mapping with settings
        order_id: {{type: bigint, required: true}}
        email: {{pii: email}}   # stored as a keyed digest
        amount: decimal(12,2)
      key: order_id
      # arrival: {{complete_when: done_file}}   # or manifest, count, load_marker; by default five quiet minutes
"""


@dg.scaffold_with(PartnerPushScaffolder)
@dataclass(frozen=True)
class PartnerPush(dg.Component):
    """A partner that pushes files into the landing zone: one pair of assets per feed.

    Files settle by manifest, done-file, count or quiet period. A settled delivery is decrypted, validated against the
    feed's contract, de-identified, audited and published as a Glue table; only then its files are archived.

    Example:

        ```yaml
        type: adplatform.components.PartnerPush
        attributes:
          source: acme
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

    declared: PushedSource

    @classmethod
    def get_model_cls(cls) -> type[PushedSource]:
        return templated(PushedSource)

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        return cls(declared(PushedSource, attributes, context))

    def get_asset_spec(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        """Called with the spec of every asset; override it in a subclass to change owners, tags, kinds, group,
        description or metadata. Keys and partitions are fixed: runs, ledger and tables know the asset by them."""
        return spec

    def pattern(self, settings: Settings) -> PushedFiles:
        return pushed_files(self.declared, settings)

    def automation(self) -> Automation:
        return arrivals_automation(self.pattern(read_settings()).source)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        source = self.pattern(read_settings()).source
        origin = Origin(f"The partner that puts files into s3://{source.bucket}/{source.prefix}", "s3")
        return pushed_definitions(source, self.declared, {"s3"}, origin, self.get_asset_spec)
