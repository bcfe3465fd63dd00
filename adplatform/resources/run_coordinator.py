"""Dagster's queue of runs on ECS, which says of each run with which role and on what capacity its task is started."""

import json
from collections.abc import Mapping
from typing import Any, Self

import dagster as dg
from dagster._core.run_coordinator.base import SubmitRunContext
from dagster._core.storage.tags import BACKFILL_ID_TAG
from dagster._serdes import ConfigurableClassData

from adplatform.platform.names import FEED_TAG, SOURCE_TAG, run_role
from adplatform.resources.run_queue import NewestFirst

TASK_TAG, OVERRIDES_TAG = "ecs/run_task_kwargs", "ecs/task_overrides"
"""What the ECS launcher adds to its call of RunTask for a run, and to the overrides of that, as JSON (dagster-aws 0.29:
``ecs/launcher.py``)."""


class TaskPlacement(NewestFirst):
    """The queue in which backfills come last, and a run is tagged with the role of its source, with which it reaches
    what is that source's own, and a run of a backfill with the capacity provider that its task is to have.

    ECS takes a Spot task away by SIGTERM, two minutes ahead. A delivery whose run ends so is asked for again at once,
    by a run that is none of a backfill, and so has capacity that stays. A run that has such a tag already keeps its
    own.
    """

    def __init__(
        self,
        capacity_provider: str,
        roles: str,
        inst_data: ConfigurableClassData | None = None,
        **queue: Any,
    ) -> None:
        super().__init__(inst_data=inst_data, **queue)
        self._capacity_provider = capacity_provider
        self._roles = roles

    @classmethod
    def config_type(cls) -> Any:
        provider = dg.Field(
            dg.StringSource,
            description="The capacity provider of the cluster for runs of backfills: FARGATE_SPOT, or FARGATE.",
        )
        roles = dg.Field(
            dg.StringSource,
            description="Where the roles of runs are: the beginning of their ARNs, up to the name.",
        )
        queue: Any = super().config_type()
        return {**queue, "capacity_provider": provider, "roles": roles}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        return cls(inst_data=inst_data, **config_value)

    def submit_run(self, context: SubmitRunContext) -> dg.DagsterRun:
        """
        Raises:
            DagsterInvariantViolationError: the run has assets of several sources, none of whose roles reaches all.
        """
        run = context.dagster_run
        tags: dict[str, str] = {}
        if BACKFILL_ID_TAG in run.tags and TASK_TAG not in run.tags:
            strategy = {"capacityProviderStrategy": [{"capacityProvider": self._capacity_provider, "weight": 1}]}
            tags[TASK_TAG] = json.dumps(strategy)
        source = source_of(run)
        if source is not None and OVERRIDES_TAG not in run.tags:
            tags[OVERRIDES_TAG] = json.dumps({"taskRoleArn": f"{self._roles}{run_role(source)}"})
        if tags:
            self._instance.add_run_tags(run.run_id, tags)
        return super().submit_run(context)


def source_of(run: dg.DagsterRun) -> str | None:
    """The source that a run works for; None for one that works for none.

    Raises:
        DagsterInvariantViolationError: as :meth:`TaskPlacement.submit_run`.
    """
    if SOURCE_TAG in run.tags:
        return run.tags[SOURCE_TAG]
    if FEED_TAG in run.tags:
        return run.tags[FEED_TAG].partition("/")[0]
    checked = {each.asset_key for each in run.asset_check_selection or ()}
    # Keys of assets are raw or clean, source and feed.
    found = sorted({key.path[1] for key in {*(run.asset_selection or ()), *checked} if len(key.path) > 2})
    if len(found) > 1:
        raise dg.DagsterInvariantViolationError(
            f"a run has the rights of one source, and this one has assets of {', '.join(found)}: launch a run for each"
        )
    return found[0] if found else None
