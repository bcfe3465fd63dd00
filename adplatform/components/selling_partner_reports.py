"""Source pattern 1: reports of the Selling Partner API."""

from dataclasses import dataclass
from typing import Self

import dagster as dg
from pydantic import BaseModel

from adplatform.amazon.sources import SellingPartnerSource
from adplatform.components.assembly.automation import Automation
from adplatform.components.assembly.declared import declared
from adplatform.components.assembly.report_account import account_definitions
from adplatform.components.assembly.reports import account_automation
from adplatform.components.assembly.scaffold import AccountOptions, SourceScaffolder
from adplatform.contracts.templates import templated
from adplatform.pull.account import account_of
from adplatform.pull.connect import Connect
from adplatform.resources.report_apis import open_api


class SellingPartnerReportsScaffolder(SourceScaffolder):
    since = 30
    options = AccountOptions
    template = """\
type: adplatform.components.SellingPartnerReports
attributes:
  source: {source}
  region: {region}                           # na, eu or fe
  credentials: adplatform/{source}     # secret with client_id, client_secret and refresh_token
  start_date: {start_date}
  reports:                             # `adplatform ready-made` lists them
    - sales_and_traffic
    - all_orders
  # marketplaces: {{countries: [US]}}    # by default all in which the seller takes part
"""


@dg.scaffold_with(SellingPartnerReportsScaffolder)
@dataclass(frozen=True)
class SellingPartnerReports(dg.Component):
    """A seller or vendor: the reports of its marketplaces.

    Reports that can be asked for are pulled again while Amazon corrects them; those of a present state are asked for
    once a day; settlements, which Amazon makes by itself, are found. Each report is a raw asset and a clean asset per
    table, partitioned by report date and marketplace.

    Example:

        ```yaml
        type: adplatform.components.SellingPartnerReports
        attributes:
          source: acme
          region: na
          credentials: adplatform/acme
          start_date: 2026-01-01
          reports:
            - sales_and_traffic
            - all_orders
        ```
    """

    declared: SellingPartnerSource
    connect: Connect = open_api

    @classmethod
    def get_model_cls(cls) -> type[SellingPartnerSource]:
        return templated(SellingPartnerSource)

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        return cls(declared(SellingPartnerSource, attributes, context))

    def get_asset_spec(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        """Called with the spec of every asset; override it in a subclass to change owners, tags, kinds, group,
        description or metadata. Keys and partitions are fixed: runs, ledger and tables know the asset by them."""
        return spec

    def automation(self) -> Automation:
        return account_automation(account_of(self.declared), self.connect)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        return account_definitions(self.declared, self.connect, self.get_asset_spec)
