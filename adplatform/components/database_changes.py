"""Source pattern 4, by changes: tables of a relational database that AWS DMS follows."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Self

import dagster as dg
from pydantic import BaseModel

from adplatform.components.assembly.arrivals import Arrivals, deadline_schedule
from adplatform.components.assembly.automation import Automation, source_sensor
from adplatform.components.assembly.care import care_schedules
from adplatform.components.assembly.declared import declared
from adplatform.components.assembly.delivery_assets import clean_asset, raw_asset
from adplatform.components.assembly.delivery_jobs import delivery_jobs, in_jobs
from adplatform.components.assembly.engine_runs import TICKS
from adplatform.components.assembly.folds import fold_asset, with_folds
from adplatform.components.assembly.origins import Origin, origin_asset, origin_key
from adplatform.components.assembly.replications import replication_checks, with_replication
from adplatform.components.assembly.scaffold import FeedOptions, SourceScaffolder
from adplatform.components.assembly.specs import tags_of, with_hook
from adplatform.components.assembly.transforms import with_engines
from adplatform.components.assembly.workloads import workload_assets
from adplatform.contracts.changes import ChangesSource
from adplatform.contracts.templates import templated
from adplatform.engines.changes import ChangedFiles, database_changes
from adplatform.platform.settings import Settings, read_settings


class DatabaseChangesScaffolder(SourceScaffolder):
    since = 7
    options = FeedOptions
    template = """\
type: adplatform.components.DatabaseChanges
attributes:
  source: {source}
  feeds:
    - name: {feed}              # DMS writes below landing/{source}/public/{feed}/
      table: public.{feed}
      start_date: {start_date}
      outputs: [current]      # and history, where earlier versions of rows are wanted
      columns:                # as the database names them: a type, or a mapping with settings
        id: {{type: bigint, required: true}}
        email: {{pii: email}}   # stored as a keyed digest
        updated_at: timestamp
      key: id
"""


@dg.scaffold_with(DatabaseChangesScaffolder)
@dataclass(frozen=True)
class DatabaseChanges(dg.Component):
    """Tables of a relational database, followed by the changes that AWS DMS writes to S3.

    Every change of a table is kept in a table of changes, validated against the feed's contract and de-identified as
    any delivery is. By schedule or size the changes are merged into the rows that there are, in order of their
    sequence; rows that were deleted and, where they are wanted, versions that have ended are tables of their own.

    Example:

        ```yaml
        type: adplatform.components.DatabaseChanges
        attributes:
          source: shop
          feeds:
            - name: customers
              table: public.customers
              start_date: 2026-01-01
              outputs: [current, history]
              columns:
                id: {type: bigint, required: true}
                email: {pii: email}
                created_at: timestamp
              key: id
        ```
    """

    declared: ChangesSource

    @classmethod
    def get_model_cls(cls) -> type[ChangesSource]:
        return templated(ChangesSource)

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        return cls(declared(ChangesSource, attributes, context))

    def get_asset_spec(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        """Called with the spec of every asset; override it in a subclass to change owners, tags, kinds, group,
        description or metadata. Keys and partitions are fixed: runs, ledger and tables know the asset by them."""
        return spec

    def pattern(self, settings: Settings) -> ChangedFiles:
        return database_changes(self.declared, settings)

    def automation(self) -> Automation:
        pattern = self.pattern(read_settings())
        arrivals = with_engines(Arrivals(pattern.source), pattern.source)
        every = timedelta(seconds=self.declared.check_every)
        return in_jobs(with_replication(with_folds(arrivals, pattern.followed), pattern, every), pattern.source)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        settings = read_settings()
        pattern = self.pattern(settings)
        source, owners, tags = pattern.source, self.declared.owners, tags_of(self.declared)
        sensor_status = dg.DefaultSensorStatus.RUNNING if settings.automation else dg.DefaultSensorStatus.STOPPED
        schedule_status = dg.DefaultScheduleStatus.RUNNING if settings.automation else dg.DefaultScheduleStatus.STOPPED
        database = self.declared.from_
        origin = Origin("The database whose changes AWS DMS writes", database.kind if database else "sql")
        assets: list[dg.AssetsDefinition] = []
        schedules = care_schedules(source, schedule_status, pattern.watch)
        for followed in pattern.followed:
            flow = followed.changes
            checks = replication_checks(pattern, flow)
            raw = raw_asset(flow, owners, {"s3", "dms"}, tags, checks, [origin_key(source.name)])
            own = [raw, clean_asset(flow, owners, tags)]
            if flow.feed.arrival.deadline is not None:
                schedules.append(deadline_schedule(source, flow, own, schedule_status))
            if followed.tables:
                own.append(fold_asset(followed, owners, tags))
            assets += with_hook(own, self.get_asset_spec)
        sensor = source_sensor(
            self.automation(),
            f"{source.name}_arrivals",
            f"Settles the changes of {source.name}, starts their runs, merges them and watches DMS.",
            min(self.declared.check_every, TICKS) if pattern.names_of_targets else self.declared.check_every,
            sensor_status,
            jobs=delivery_jobs(source).declared(assets),
            kinds=("s3", "eventbridge", "sqs", "dms"),
        )
        assets += workload_assets(source, owners, tags, self.get_asset_spec)
        outside = origin_asset(source.name, origin, owners, tags, self.get_asset_spec)
        return dg.Definitions(assets=[outside, *assets], sensors=[sensor], schedules=schedules)
