"""Tables of other sources, published as any delivery is, and a fact that is made of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from adplatform.contracts.marketing import MarketingSource
from adplatform.flow.services import Services
from adplatform.lake.audit import AuditFinding
from adplatform.lake.query import run_query
from adplatform.marketing.build import Due, build, built, due
from adplatform.marketing.fact import fact_of
from adplatform_tests.support.platforms import YESTERDAY
from adplatform_tests.support.tables import publish_rows, table_flow

CAMPAIGNS = {
    "name": "campaigns",
    "columns": {
        "campaign_id": "string",
        "curr": "string",
        "views": "bigint",
        "clicks": "bigint",
        "spend": "decimal(12,2)",
        "leads": "int",
        "email": {"pii": "email"},
    },
}
RATES = {"name": "rates", "columns": {"curr": "string", "price": "decimal(12,6)"}}
INPUT: Mapping[str, Any] = {
    "table": "acme/campaigns",
    "values": {"channel": "display", "account": "acme-1"},
    "columns": {
        "campaign": "campaign_id",
        "currency": "curr",
        "impressions": "views",
        "clicks": "clicks",
        "cost": "spend",
        "conversions": "leads",
    },
}
FACT: Mapping[str, Any] = {
    "source": "marketing",
    "start_date": "2026-01-01",
    "currency": "EUR",
    "inputs": [INPUT],
    "rates": {"table": "acme/rates", "currency": "curr", "rate": "price", "is_of": "fact"},
}
BEFORE = YESTERDAY - timedelta(days=1)


@dataclass
class World:
    services: Services
    work: Path
    runs: int = 0
    findings: list[AuditFinding] = field(default_factory=list)
    changes: dict[str, Any] = field(default_factory=dict)

    @property
    def declared(self) -> MarketingSource:
        return MarketingSource.model_validate({**FACT, **self.changes})

    def publish(
        self, declared: Mapping[str, Any], day: date, rows: Iterable[str], *, scope: str = "", source: str = "acme"
    ) -> None:
        """Publish rows of CSV, without their header, as the delivery of a date."""
        publish_rows(self.services, table_flow(declared, scope=scope, source=source), day, rows, self.work)

    def run_id(self) -> str:
        self.runs += 1
        return f"run-{self.runs}"

    def campaigns(self, day: date, *rows: str) -> None:
        self.publish(CAMPAIGNS, day, (f"{row},ann@example.com" for row in rows))

    def rates(self, day: date, **prices: str) -> None:
        self.publish(RATES, day, (f"{name},{price}" for name, price in prices.items()))

    def due(self) -> Due:
        return due(self.services, fact_of(self.declared))

    def build(self) -> list[date]:
        """Build what is due, as a run of the sensor does."""
        found = self.due()
        for day in found.days:
            self.findings.clear()
            made = build(self.services, found.inputs, day, self.run_id(), self.work, self.findings.extend)
            built(self.services, found.inputs, made)
        return list(found.days)

    def rows(self, columns: str, day: date = YESTERDAY) -> list[tuple[Any, ...]]:
        prefix = self.services.settings.database_prefix
        sql = f"select {columns} from {prefix}marketing.marketing_daily where dt = '{day}' order by all"
        return run_query(self.services.aws, self.services.glue, prefix, sql, 100)[1]

    def version(self, day: date = YESTERDAY) -> int:
        return self.services.ledger.deliveries.get("marketing/marketing_daily", day).published

    @property
    def failed(self) -> dict[str, str]:
        return {each.name: each.description for each in self.findings if not each.passed}
