"""Transforms of deliveries by Spark, as a kind of what it does."""

from collections.abc import Iterator
from functools import partial

from adplatform.engines.engine import BroughtNothing
from adplatform.engines.spark_kind import Kind, Waiting
from adplatform.flow.engine_work import goes_to_engine, result_of
from adplatform.flow.services import Services
from adplatform.flow.source import Source
from adplatform.flow.transforms import TARGET, target_name, wanted_of
from adplatform.ledger.delivery import Delivery, DeliveryState
from adplatform.ledger.engine_run import Intention
from adplatform.transform.job_plan import JobResult


def _targets(services: Services, source: Source) -> set[str]:
    return {target_name(flow) for flow in source.feeds if goes_to_engine(services, flow)}


def _is_wanted(services: Services, intention: Intention) -> bool:
    feed, day = wanted_of(intention.key)
    delivery = services.ledger.deliveries.get(feed, day)
    if delivery.transform != intention.key:
        return False
    return not (delivery.state in (DeliveryState.OPEN, DeliveryState.PUBLISHED) or delivery.permanent)


def _waiting(services: Services, source: Source) -> Iterator[Waiting]:
    for name, delivery in services.ledger.deliveries.active(source.name):
        if delivery.state is DeliveryState.TRANSFORMING:
            target = f"{TARGET}{name.split('/')[1]}"
            yield Waiting(target, delivery.transform, partial(_hand_back, services, name, delivery))


def _hand_back(services: Services, name: str, delivery: Delivery) -> None:
    seen = services.ledger.deliveries.get(name, delivery.day)
    if seen.state is DeliveryState.TRANSFORMING and seen.transform == delivery.transform:
        services.ledger.deliveries.handed_back(name, seen)


def _came_to(services: Services, intention: Intention) -> str:
    result = result_of(services, intention, JobResult)
    if result is None:
        raise BroughtNothing("it ended without a result: is its script adplatform.jobs.spark?")
    if result.failure or result.bad:
        return "it read files that are not to be read, or says why the delivery cannot be transformed"
    return f"{sum(count.clean for count in result.counts):,} clean rows in {len(result.clean):,} files"


TRANSFORMS = Kind(TARGET, "transforms {} deliveries", _targets, _is_wanted, _waiting, _came_to)
