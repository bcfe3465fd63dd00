"""Source pattern 1: reports of the Amazon Ads API."""

from dataclasses import dataclass
from typing import Self

import dagster as dg
from pydantic import BaseModel

from adplatform.amazon.sources import AdsSource
from adplatform.components.assembly.automation import Automation
from adplatform.components.assembly.declared import declared
from adplatform.components.assembly.report_account import account_definitions
from adplatform.components.assembly.reports import account_automation
from adplatform.components.assembly.scaffold import AccountOptions, SourceScaffolder
from adplatform.contracts.templates import templated
from adplatform.pull.account import account_of
from adplatform.pull.connect import Connect
from adplatform.resources.report_apis import open_api


class AmazonAdsReportsScaffolder(SourceScaffolder):
    since = 30
    options = AccountOptions
    template = """\
type: adplatform.components.AmazonAdsReports
attributes:
  source: {source}
  region: {region}                           # na, eu or fe
  credentials: adplatform/{source}     # secret with client_id, client_secret and refresh_token
  start_date: {start_date}
  reports:                             # `adplatform ready-made` lists them
    - sp_campaigns
    - sb_campaigns
  # profiles: {{countries: [US, CA]}}    # by default all that the credentials can read
"""


@dg.scaffold_with(AmazonAdsReportsScaffolder)
@dataclass(frozen=True)
class AmazonAdsReports(dg.Component):
    """An Amazon Ads account: the reports of its profiles, or with ``api: v1`` of its advertiser accounts, pulled again
    for as long as Amazon restates them.

    Each report definition is a raw asset and a clean asset, partitioned by report date and profile. What is asked for
    when follows from the report type's limits and attribution windows; see ``adplatform.amazon.restatement``. How each
    table is restated is watched by an asset of its own.

    Example:

        ```yaml
        type: adplatform.components.AmazonAdsReports
        attributes:
          source: acme
          region: na
          credentials: adplatform/acme
          start_date: 2026-01-01
          reports:
            - sp_campaigns
            - sb_campaigns
        ```
    """

    declared: AdsSource
    connect: Connect = open_api

    @classmethod
    def get_model_cls(cls) -> type[AdsSource]:
        return templated(AdsSource)

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        return cls(declared(AdsSource, attributes, context))

    def get_asset_spec(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        """Called with the spec of every asset; override it in a subclass to change owners, tags, kinds, group,
        description or metadata. Keys and partitions are fixed: runs, ledger and tables know the asset by them."""
        return spec

    def automation(self) -> Automation:
        return account_automation(account_of(self.declared), self.connect)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        return account_definitions(self.declared, self.connect, self.get_asset_spec)
