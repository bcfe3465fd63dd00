"""A daily marketing fact over the tables of all sources."""

from dataclasses import dataclass
from typing import Self

import dagster as dg
from pydantic import BaseModel, ConfigDict

from adplatform.components.assembly.automation import Automation
from adplatform.components.assembly.declared import declared
from adplatform.components.assembly.marketing import marketing_automation, marketing_definitions
from adplatform.components.assembly.scaffold import SourceScaffolder
from adplatform.contracts.marketing import MarketingSource
from adplatform.contracts.templates import templated
from adplatform.marketing.pattern import MadeOfOthers, marketing_fact
from adplatform.platform.settings import Settings, read_settings


class FactOptions(BaseModel):
    """Options of a fact."""

    model_config = ConfigDict(extra="forbid")

    currency: str = "EUR"


class MarketingFactScaffolder(SourceScaffolder):
    since = 30
    options = FactOptions
    template = """\
type: adplatform.components.MarketingFact
attributes:
  source: {source}
  start_date: {start_date}
  currency: {currency}                   # of cost and sales, cost_eur for example; cost_original is as billed
  inputs:
    - table: acme/campaign_daily    # any table that is partitioned by date
      values: {{channel: display, currency: {currency}}}
      columns: {{campaign: campaign_id, impressions: impressions, clicks: clicks, cost: cost}}
  # - table: acme_ads/ads_daily     # the daily fact of an Ads account needs no columns
  # rates: {{table: treasury/rates, date: dt, currency: currency, rate: rate}}
"""


@dg.scaffold_with(MarketingFactScaffolder)
@dataclass(frozen=True)
class MarketingFact(dg.Component):
    """A daily fact over the tables of all ad sources: channel, account, campaign, traffic, cost in one currency, sales.

    A date is built anew when one of its tables shows something else than it was made of, at the rates that it was first
    converted at. It is published like every table, and only if its sums are those of the tables and every amount has a
    rate.

    Example:

        ```yaml
        type: adplatform.components.MarketingFact
        attributes:
          source: marketing
          start_date: 2026-01-01
          currency: EUR
          inputs:
            - table: acme_ads/ads_daily
            - table: acme/campaign_daily
              values: {channel: display, currency: EUR}
              columns: {campaign: campaign_id, impressions: impressions, clicks: clicks, cost: cost}
          rates:
            table: treasury/rates
            date: dt
            currency: currency
            rate: rate
        ```
    """

    declared: MarketingSource

    @classmethod
    def get_model_cls(cls) -> type[MarketingSource]:
        return templated(MarketingSource)

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        return cls(declared(MarketingSource, attributes, context))

    def get_asset_spec(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        """Called with the spec of every asset; override it in a subclass to change owners, tags, kinds, group,
        description or metadata. Keys and partitions are fixed: runs, ledger and tables know the asset by them."""
        return spec

    def pattern(self, settings: Settings) -> MadeOfOthers:
        return marketing_fact(self.declared, settings)

    def automation(self) -> Automation:
        return marketing_automation(self.pattern(read_settings()))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        return marketing_definitions(self.pattern(read_settings()), self.get_asset_spec)
