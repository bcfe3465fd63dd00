"""What measures from time to time what does not happen, tables that nothing is published to and deliveries that wait,
and what sources use."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import dagster as dg

from adplatform.components.assembly.ownership import automated
from adplatform.flow.cost_guard import guard
from adplatform.flow.measures import measure, tables_watched
from adplatform.flow.pattern import Pattern
from adplatform.resources.named import LedgerResource, MachineResource, NotificationsResource, services_of

EVERY = 300
"""Seconds between two ticks."""


def measures_sensor(patterns: Callable[[], Sequence[Pattern]], status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    """No run measures this: of a pipeline that is dead none begins. ``patterns`` are the declared sources."""

    @dg.sensor(
        name="measures",
        description="Says in metrics how fresh tables are, what is late and what waits for the platform, and keeps "
        "sources within their budgets.",
        default_status=status,
        minimum_interval_seconds=EVERY,
    )
    @automated
    def measures(
        context: dg.SensorEvaluationContext,
        ledger: LedgerResource,
        notifications: NotificationsResource,
        machine: MachineResource,
    ) -> dg.SkipReason:
        services = services_of(ledger, notifications, machine)
        every = patterns()
        guard(services, (each.source for each in every))
        if not services.metrics.on:
            return dg.SkipReason("no metrics are written: ADPLATFORM_METRICS is off")
        published = _published(context.instance, [flow.table for each in every for flow in tables_watched(each.source)])
        for pattern in every:
            measure(services, pattern, published)
        return dg.SkipReason(f"{len(every)} sources were measured")

    return measures


def _published(instance: dg.DagsterInstance, tables: Sequence[str]) -> Mapping[str, datetime]:
    """When Dagster has last seen something published to each table, if it has."""
    keys = {dg.AssetKey(["clean", *table.split("/")]): table for table in tables}
    latest = {
        record.asset_entry.asset_key: record.asset_entry.last_materialization_record
        for record in instance.get_asset_records(list(keys))
    }
    return {keys[key]: datetime.fromtimestamp(at.timestamp, UTC) for key, at in latest.items() if at is not None}
