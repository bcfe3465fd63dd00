"""Source pattern 4, in batches: tables of a relational database."""

from dataclasses import dataclass
from typing import Self

import dagster as dg
from pydantic import BaseModel

from adplatform.changes.pulled import with_keys
from adplatform.components.assembly.automation import Automation
from adplatform.components.assembly.declared import declared
from adplatform.components.assembly.delivery_jobs import in_jobs
from adplatform.components.assembly.engine_runs import EngineRuns, engine_definitions
from adplatform.components.assembly.extracts import extract_job, table_readings, with_extracts
from adplatform.components.assembly.folds import fold_asset, with_folds
from adplatform.components.assembly.origins import Origin
from adplatform.components.assembly.scaffold import FeedOptions, SourceScaffolder
from adplatform.components.assembly.specs import tags_of, with_hook
from adplatform.components.assembly.transforms import with_engines
from adplatform.contracts.database import DatabaseSource
from adplatform.contracts.templates import templated
from adplatform.engines.databases import PulledFiles, database_tables
from adplatform.platform.settings import Settings, read_settings


class DatabaseTablesScaffolder(SourceScaffolder):
    since = 7
    options = FeedOptions
    template = """\
type: adplatform.components.DatabaseTables
attributes:
  source: {source}
  connection: {source}/database   # a secret as Amazon RDS keeps it: engine, host, port, username, password, dbname
  feeds:                          # `adplatform describe {source}` writes them from the database's catalogue
    - name: {feed}
      table: public.{feed}
      start_date: {start_date}
      every: 1d
      columns:                    # as the database names them: a type, or a mapping with settings
        id: {{type: bigint, required: true}}
        email: {{pii: email}}       # stored as a keyed digest
        updated_at: timestamp
      key: id
"""


@dg.scaffold_with(DatabaseTablesScaffolder)
@dataclass(frozen=True)
class DatabaseTables(dg.Component):
    """Tables of a relational database, read in batches: one pair of assets per table.

    A table is read whole or by what changed, in chunks of one view of the database; its values are kept as the database
    writes them, validated against the feed's contract, de-identified, audited and published as a Glue table.

    Example:

        ```yaml
        type: adplatform.components.DatabaseTables
        attributes:
          source: shop
          connection: shop/database
          feeds:
            - name: customers
              table: public.customers
              start_date: 2026-01-01
              every: 1d
              columns:
                id: {type: bigint, required: true}
                email: {pii: email}
                created_at: timestamp
              key: id
        ```
    """

    declared: DatabaseSource

    @classmethod
    def get_model_cls(cls) -> type[DatabaseSource]:
        return templated(DatabaseSource)

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        return cls(declared(DatabaseSource, attributes, context))

    def get_asset_spec(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        """Called with the spec of every asset; override it in a subclass to change owners, tags, kinds, group,
        description or metadata. Keys and partitions are fixed: runs, ledger and tables know the asset by them."""
        return spec

    def pattern(self, settings: Settings) -> PulledFiles:
        return database_tables(self.declared, settings)

    def automation(self) -> Automation:
        pattern = self.pattern(read_settings())
        automation = with_folds(with_engines(EngineRuns(pattern), pattern.source), pattern.pulled)
        return in_jobs(with_extracts(automation, table_readings(with_keys(self.declared))), pattern.source)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        pattern, declared = self.pattern(read_settings()), with_keys(self.declared)
        readings = table_readings(declared)
        made = [fold_asset(each, declared.owners, tags_of(declared)) for each in pattern.pulled]
        return engine_definitions(
            pattern,
            declared,
            {"s3", "sql"},
            Origin(f"The database of the secret {declared.connection}", declared.dialect or "sql"),
            self.get_asset_spec,
            wrap=lambda automation: with_extracts(with_folds(automation, pattern.pulled), readings),
            jobs=[extract_job(readings)],
            made=with_hook(made, self.get_asset_spec),
        )
