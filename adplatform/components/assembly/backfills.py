"""Backfills of Dagster that nobody has to launch: a sensor asks for the dates that are to be made again, each once."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import dagster as dg
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph
from dagster._core.execution.backfill import PartitionBackfill
from dagster._time import get_current_timestamp
from dagster_aws.secretsmanager.resources import SecretsManagerResource
from pydantic import BaseModel, ConfigDict

from adplatform.components.assembly.cursors import read_cursor
from adplatform.components.assembly.delivery_assets import clean_key, raw_key
from adplatform.components.assembly.ownership import automated
from adplatform.components.assembly.report_assets import partition_key
from adplatform.components.assembly.reports import report_keys
from adplatform.components.assembly.runs import SOURCE_TAG
from adplatform.failures import PermanentFailure
from adplatform.flow.backfills import Wanted, by_contract, by_key
from adplatform.flow.clean import table_of
from adplatform.flow.cost_guard import held
from adplatform.flow.pattern import Pattern
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform.platform.aws_errors import aws_failures
from adplatform.privacy.key_versions import current_version
from adplatform.pull.pattern import PulledReports
from adplatform.pull.watch import to_be_saved
from adplatform.resources.named import (
    CatalogResource,
    LedgerResource,
    MachineResource,
    NotificationsResource,
    services_of,
)
from adplatform.transform.compile import output_columns

EVERY = 300
"""Seconds between two ticks."""
REASON_TAG = "adplatform/backfill_reason"
MOST_DATES = 10_000
"""Of one backfill: Dagster keeps the partitions of it in one row."""


class BackfillsCursor(BaseModel):
    """By what the dates of each feed were last looked through: the digest of its contract, and the hashing key."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    version: Literal[1] = 1
    contracts: dict[str, str] = {}
    keys: dict[str, str] = {}


def backfills_sensor(patterns: Callable[[], Sequence[Pattern]], status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    """``patterns`` are the declared sources. What it finds is asked for by the next tick, too, where a tick dies: a
    backfill has an id by its dates and their reason."""

    @dg.sensor(
        name="backfills",
        description="Launches backfills of dates that another contract or hashing key has made, and of reports that "
        "Amazon will soon not keep any more; each once, as the Backfills page shows with the reason among its tags.",
        default_status=status,
        minimum_interval_seconds=EVERY,
    )
    @automated
    def backfills(
        context: dg.SensorEvaluationContext,
        secrets: SecretsManagerResource,
        catalog: CatalogResource,
        ledger: LedgerResource,
        notifications: NotificationsResource,
        machine: MachineResource,
    ) -> dg.SensorResult:
        repository = context.repository_def
        if repository is None:
            return dg.SensorResult(skip_reason="it is evaluated without a code location")
        services, graph = services_of(secrets, catalog, ledger, notifications, machine), repository.asset_graph
        seen = Seen.of(read_cursor(context.cursor, BackfillsCursor))
        said: list[str] = []
        with aws_failures("backfills"):
            key = _present_key(services, patterns())
            for pattern in patterns():
                found = list(looked_through(services, pattern, seen, key))
                wanted = [each for look in found for each in look.wanted]
                if wanted and (why := _waits(services, pattern)):
                    said.append(why)
                    continue
                said += filter(None, (launch(context.instance, graph, pattern, each) for each in wanted))
                said += (look.hindered for look in found if look.hindered)
                for look in found:
                    look.remember(seen)
        return dg.SensorResult(skip_reason="; ".join(said) or "no date is to be made again", cursor=seen.cursor())

    return backfills


@dataclass
class Seen:
    """By what the dates of each feed were last looked through."""

    contracts: dict[str, str]
    keys: dict[str, str]

    @classmethod
    def of(cls, cursor: BackfillsCursor | None) -> "Seen":
        return cls(dict(cursor.contracts), dict(cursor.keys)) if cursor else cls({}, {})

    def cursor(self) -> str:
        return BackfillsCursor(contracts=self.contracts, keys=self.keys).model_dump_json()


@dataclass(frozen=True)
class Looked:
    """What a look through a feed's dates found, and by what it was; or why they cannot be made again yet."""

    wanted: tuple[Wanted, ...]
    feed: str = ""
    contract: str = ""
    key: str = ""
    hindered: str = ""

    def remember(self, seen: Seen) -> None:
        if self.contract:
            seen.contracts[self.feed] = self.contract
        if self.key:
            seen.keys[self.feed] = self.key


def looked_through(services: Services, pattern: Pattern, seen: Seen, key: str) -> Iterator[Looked]:
    """The dates of a source that are to be made again. The ledger is asked of a feed where its contract or the hashing
    ``key`` is another than it was seen with, and of reports where a plan left dates at risk."""
    ledger = services.ledger
    if isinstance(pattern, PulledReports):
        yield Looked(tuple(to_be_saved(ledger, pattern.account)))
        return
    for flow in _delivered(pattern):
        contract = flow.feed.contract.rows_digest
        if (before := seen.contracts.get(flow.name, "")) != contract:
            wanted = by_contract(ledger, flow, also_unrecorded=bool(before))
            why = _unfit(services, flow) if wanted else ""
            yield Looked((), hindered=why) if why else Looked(_some(wanted), flow.name, contract=contract)
        if key and flow.feed.contract.needs_key and seen.keys.get(flow.name) != key:
            yield Looked(_some(by_key(ledger, flow, key)), flow.name, key=key)


def launch(instance: dg.DagsterInstance, graph: BaseAssetGraph[Any], pattern: Pattern, wanted: Wanted) -> str:
    """Have Dagster's daemon work on a backfill of these dates; a sentence about it, "" where there is one already or
    none of them is a partition.

    Raises:
        PermanentFailure: they are more than one backfill takes.
    """
    keys = _keys(pattern, wanted)
    partitions = partitions_of(instance, graph, pattern, wanted, keys)
    if not partitions or instance.get_backfill(wanted.id) is not None:
        return ""
    if len(partitions) > MOST_DATES:
        raise PermanentFailure(
            f"{wanted.feed}: one backfill takes {MOST_DATES:,} dates at most, not {len(partitions):,}; ask for fewer"
        )
    instance.add_backfill(
        PartitionBackfill.from_asset_partitions(
            backfill_id=wanted.id,
            asset_graph=graph,
            partition_names=partitions,
            asset_selection=keys,
            backfill_timestamp=get_current_timestamp(),
            tags=tags_of(pattern, wanted),
            dynamic_partitions_store=instance,
            all_partitions=False,
            title=f"{wanted.feed}: {wanted.reason}",
            description=wanted.why,
            run_config=None,
        )
    )
    return f"backfill {wanted.id}: {wanted.why}"


def tags_of(pattern: Pattern, wanted: Wanted) -> Mapping[str, str]:
    """What the backfill and each of its runs carry: those of a source count for its limits and have its role."""
    source = pattern.source.name
    return {REASON_TAG: wanted.reason.value, SOURCE_TAG: source, "source": source}


def partitions_of(
    instance: dg.DagsterInstance,
    graph: BaseAssetGraph[Any],
    pattern: Pattern,
    wanted: Wanted,
    keys: Sequence[dg.AssetKey],
) -> list[str]:
    """The partitions of the dates that Dagster knows, the newest first."""
    account = pattern.account if isinstance(pattern, PulledReports) else None
    named = [partition_key(account, day, wanted.scope) if account else day.isoformat() for day in wanted.days]
    definitions = [graph.get(key).partitions_def for key in keys]
    with dg.partition_loading_context(dynamic_partitions_store=instance):
        return [each for each in named if all(d is not None and d.has_partition_key(each) for d in definitions)]


def _keys(pattern: Pattern, wanted: Wanted) -> list[dg.AssetKey]:
    if isinstance(pattern, PulledReports):
        name = wanted.feed.split("/")[1]
        definition = pattern.account.definition(name)
        return report_keys(pattern.account, definition) if definition else []
    flow = next((each for each in _delivered(pattern) if each.name == wanted.feed), None)
    return [raw_key(flow), clean_key(flow)] if flow else []


def _delivered(pattern: Pattern) -> list[FeedFlow]:
    """The feeds whose dates are deliveries, each of its own."""
    return [flow for flow in pattern.source.feeds if not flow.made_of]


def _unfit(services: Services, flow: FeedFlow) -> str:
    """Why the table cannot take what the present contract makes, so that every date would fail."""
    spec = table_of(services.settings, flow, output_columns(flow.feed.contract))
    if spec.is_iceberg:  # what its columns are stands in the clean zone, which the code location does not read
        return ""
    try:
        services.lake.catalog.check(spec)
    except PermanentFailure as e:
        return str(e)
    return ""


def _some(wanted: Wanted | None) -> tuple[Wanted, ...]:
    return (wanted,) if wanted else ()


def _present_key(services: Services, patterns: Iterable[Pattern]) -> str:
    """The id of the hashing key; "" where no feed has one, or a rotation is bringing tables to another."""
    hashed = any(flow.feed.contract.needs_key for pattern in patterns for flow in pattern.source.feeds)
    lake = services.ledger.keys.lake_key() if hashed else None
    if lake is None or lake.rotating or lake.next_version:
        return ""
    return current_version(services.secrets, services.settings.hash_key_secret).id


def _waits(services: Services, pattern: Pattern) -> str:
    """Why nothing of a source is asked for now."""
    source = pattern.source
    pause = services.ledger.pauses.of(source.name)
    return str(pause) if pause else held(services, source.name, source.budget)
