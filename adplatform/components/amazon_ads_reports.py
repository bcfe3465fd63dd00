"""Source pattern 1: reports of the Amazon Ads API."""

from dataclasses import dataclass
from typing import Self

import dagster as dg
from pydantic import BaseModel

from adplatform.amazon.sources import AdsSource
from adplatform.components.report_assets import report_assets
from adplatform.components.report_automation import orders_job, reports_sensor
from adplatform.flow.reports.account import account_of
from adplatform.flow.reports.connect import Connect, open_api
from adplatform.flow.settings import read_settings


@dataclass(frozen=True)
class AmazonAdsReports(dg.Component):
    """An Amazon Ads account: the reports of its profiles, pulled again for as long as Amazon restates them.

    Each report definition is a raw asset and a clean asset, partitioned by report date and profile. What is asked for
    when follows from the report type's limits and attribution windows; see ``adplatform.amazon.restatement``.
    """

    declared: AdsSource
    connect: Connect = open_api

    @classmethod
    def get_model_cls(cls) -> type[AdsSource]:
        return AdsSource

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        if not isinstance(attributes, AdsSource):
            raise dg.DagsterInvalidDefinitionError(f"{context.path}: AmazonAdsReports needs attributes")
        return cls(attributes)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        settings, account = read_settings(), account_of(self.declared)
        status = dg.DefaultSensorStatus.RUNNING if settings.automation else dg.DefaultSensorStatus.STOPPED
        owners, tags = self.declared.owners, self.declared.tags
        assets = [
            report_assets(
                account, definition, [t for d, t in account.tables() if d is definition], owners, tags, self.connect
            )
            for definition in account.definitions
        ]
        orders = orders_job(account, self.connect)
        sensor = reports_sensor(account, assets, orders, self.declared.check_every, status, self.connect)
        return dg.Definitions(assets=assets, jobs=[orders], sensors=[sensor])
