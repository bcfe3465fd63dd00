"""Merges that an engine makes, from the run that gives one away to the run that publishes it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

from adplatform.changes.fold import Folded
from adplatform.changes.merge_plan import MergePlan
from adplatform.changes.spark_merge import carry_out as carry_out_merge
from adplatform.flow.engine_work import Given
from adplatform.flow.services import Services
from adplatform.ledger.engine_run import Intention
from adplatform.ledger.folds import Fold
from adplatform.transform.job_plan import RESULT
from adplatform.transform.spark_objects import Objects
from adplatform_tests.support.changes import Changes
from adplatform_tests.support.transform_jobs import Job, carry_out, look

TARGET = "merge-orders"


def by_session(session: Any, shards: int = 1) -> Job:
    """The job of Spark in this session, with so many tasks for buckets as a large table has."""
    return partial(_by_session, session, shards)


def _by_session(session: Any, shards: int, services: Services, plan: str, output: str) -> None:
    objects, zones = Objects(services.settings.region), services.zones
    given = MergePlan.model_validate_json(objects.read(zones.raw_uri(plan))).model_copy(update={"shards": shards})
    result = carry_out_merge(session, given, zones.raw_uri(output))
    objects.write(zones.raw_uri(f"{output}{RESULT}"), result.model_dump_json().encode())


@dataclass
class ByEngine:
    """The merges of one table by the jobs of an engine."""

    shop: Changes
    job: Job

    @property
    def services(self) -> Services:
        return self.shop.services

    @property
    def row(self) -> Fold:
        return self.services.ledger.folds.get(self.shop.pattern.source.name, "orders")

    @property
    def intentions(self) -> list[Intention]:
        return self.services.ledger.engine_runs.intentions(self.shop.pattern.source.name, TARGET)

    def look(self, starts: Callable[[], None] = lambda: None) -> int:
        return look(self.services, self.shop.pattern.source, starts).waiting

    def carry_out(self, job: Job | None = None, *, fails: str = "") -> int:
        return carry_out(self.services, self.shop.pattern.source.name, TARGET, job or self.job, fails=fails)

    def merge(self) -> Folded | None:
        """All that it takes, of what was published; None when there is nothing to merge."""
        given = self.shop.step()
        if given is None:
            return None
        assert isinstance(given, Given)
        assert self.look() == 1
        assert self.carry_out() == 1
        assert self.look() == 0
        return self.shop.fold()

    def later(self, hours: int = 2) -> None:
        now = self.services.ledger.now() + timedelta(hours=hours)
        self.shop.services = replace(self.services, now=lambda: now)

    def left(self) -> list[str]:
        """What is there of the work of engines."""
        store = self.services.store
        return [each.key for each in store.listing(store.zones.raw_bucket, "prepared/spark/")]
