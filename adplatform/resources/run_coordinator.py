"""Dagster's queue of runs on ECS, which says on what capacity the runs of backfills are started."""

import json
from collections.abc import Mapping
from typing import Any, Self

import dagster as dg
from dagster._core.run_coordinator.base import SubmitRunContext
from dagster._core.run_coordinator.queued_run_coordinator import QueuedRunCoordinator
from dagster._core.storage.tags import BACKFILL_ID_TAG
from dagster._serdes import ConfigurableClassData

TASK_TAG = "ecs/run_task_kwargs"
"""What the ECS launcher adds to its call of RunTask for a run, as JSON (dagster-aws 0.29: ``ecs/launcher.py``)."""


class BackfillCapacity(QueuedRunCoordinator[dg.DagsterInstance]):
    """Dagster's own queue, in which a run of a backfill is tagged with the capacity provider that its task is to have.

    ECS takes a Spot task away by SIGTERM, two minutes ahead. A delivery whose run ends so is asked for again at once,
    by a run that is none of a backfill, and so has capacity that stays. A run that has the tag already keeps its own.
    """

    def __init__(self, capacity_provider: str, inst_data: ConfigurableClassData | None = None, **queue: Any) -> None:
        super().__init__(inst_data=inst_data, **queue)
        self._capacity_provider = capacity_provider

    @classmethod
    def config_type(cls) -> Any:
        provider = dg.Field(
            dg.StringSource,
            description="The capacity provider of the cluster for runs of backfills: FARGATE_SPOT, or FARGATE.",
        )
        queue: Any = super().config_type()
        return {**queue, "capacity_provider": provider}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        return cls(inst_data=inst_data, **config_value)

    def submit_run(self, context: SubmitRunContext) -> dg.DagsterRun:
        run = context.dagster_run
        if BACKFILL_ID_TAG in run.tags and TASK_TAG not in run.tags:
            strategy = {"capacityProviderStrategy": [{"capacityProvider": self._capacity_provider, "weight": 1}]}
            self._instance.add_run_tags(run.run_id, {TASK_TAG: json.dumps(strategy)})
        return super().submit_run(context)
