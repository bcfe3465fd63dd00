"""The jobs of the runs that make of what a source delivered what readers see, named after the source."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import dagster as dg

from adplatform.components.assembly.automation import Automation, Looking, Tick
from adplatform.components.assembly.runs import SOURCE_TAG, returns
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow, Source
from adplatform.ledger.publications import Publication
from adplatform.transform.values import OutputColumn


@dataclass(frozen=True)
class DeliveryJobs:
    """Those of a source. A job of Dagster's has one definition of partitions, so feeds that begin later have another,
    named with their first date. ``starts`` are the first dates of the feeds."""

    source: str
    starts: Mapping[str, date]

    @property
    def name(self) -> str:
        return f"{self.source}_deliveries"

    def of_feed(self, feed: str) -> str:
        start = self.starts[feed]
        return self.name if start == min(self.starts.values()) else f"{self.name}_from_{start:%Y_%m_%d}"

    def of_request(self, request: dg.RunRequest) -> dg.RunRequest:
        """The request with its job; one that names a job, or nothing to make, as it is."""
        keys = request.asset_selection
        if request.job_name or not keys:
            return request
        dated = request.partition_key is not None
        return request.with_replaced_attrs(job_name=self.of_feed(keys[0].path[-1]) if dated else self.name)

    def declared(self, assets: Sequence[dg.AssetsDefinition]) -> list[Any]:
        """The jobs of these assets, as a sensor takes them."""
        of_jobs: dict[str, list[dg.AssetsDefinition]] = {self.name: []}
        for each in assets:
            dated = each.partitions_def is not None
            of_jobs.setdefault(self.of_feed(each.key.path[-1]) if dated else self.name, []).append(each)
        description = f"Publishes what {self.source} delivers, and makes what follows of it. {returns(self.source)}"
        tags = {SOURCE_TAG: self.source}
        return [
            dg.define_asset_job(job, selection=own, description=description, tags=tags) for job, own in of_jobs.items()
        ]


def delivery_jobs(source: Source) -> DeliveryJobs:
    return DeliveryJobs(source.name, {flow.feed.name: flow.feed.start_date for flow in source.feeds})


@dataclass(frozen=True)
class InJobs:
    """An automation whose runs are of these jobs; as ``adplatform.components.assembly.automation.Automation``."""

    automation: Automation
    jobs: DeliveryJobs

    @property
    def source(self) -> str:
        return self.automation.source

    def look(self, services: Services, instance: dg.DagsterInstance, how: Looking) -> Tick:
        tick = self.automation.look(services, instance, how)
        return replace(tick, requests=tuple(self.jobs.of_request(each) for each in tick.requests))

    def new_partitions(
        self, services: Services, instance: dg.DagsterInstance
    ) -> Iterable[dg.AddDynamicPartitionsRequest]:
        return self.automation.new_partitions(services, instance)

    def request(self, flow: FeedFlow, day: date) -> dg.RunRequest:
        return self.jobs.of_request(self.automation.request(flow, day))

    def materialization(
        self, services: Services, flow: FeedFlow, publication: Publication, columns: Iterable[OutputColumn]
    ) -> dg.AssetMaterialization:
        return self.automation.materialization(services, flow, publication, columns)


def in_jobs(automation: Automation, source: Source) -> Automation:
    """The automation of a source, with its runs in the jobs of its deliveries."""
    return InJobs(automation, delivery_jobs(source))
