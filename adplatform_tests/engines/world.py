"""A source whose files an engine in memory writes, over a ledger and a store in memory."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

from adplatform.contracts.feed import Feed
from adplatform.engines.runs import Look, Target, Watch
from adplatform.failures import ClaimLost
from adplatform.flow import lifecycle
from adplatform.flow.arrivals import Arrivals
from adplatform.flow.close import close
from adplatform.flow.settling import Settler
from adplatform.flow.source import FeedFlow, Source, make_source
from adplatform.ledger.engine_run import EngineRun, Intention
from adplatform.ledger.ledger import Ledger
from adplatform_tests.engines.fake_engine import FakeEngine
from adplatform_tests.flow.world import NoRuns, World, fake_world

FEED: dict[str, Any] = {
    "name": "contacts",
    "start_date": "2026-01-01",
    "columns": {"id": "string"},
    "landing": "contacts/{date:%Y/%m/%d}/*/{file}",
    "arrival": {"complete_when": "engine", "accept_early": None},
}
TARGET = "contacts"


@dataclass
class Brought:
    """``base`` has the clock, the ledger and the store; every call of the platform burns its fuse."""

    base: World
    engine: FakeEngine
    every: timedelta | None = timedelta(hours=1)
    messages: list[tuple[Any, ...]] = field(default_factory=list)
    newest: dict[str, datetime] = field(default_factory=dict)
    target_name: str = TARGET
    once: bool = False
    processes: Iterator[int] = field(default_factory=itertools.count)

    @classmethod
    def make(
        cls, every: timedelta | None = timedelta(hours=1), arrival: dict[str, Any] | None = None, **feed: Any
    ) -> "Brought":
        """``arrival`` and the rest change what the feed declares."""
        declared = {**FEED, **feed, "arrival": {**FEED["arrival"], **(arrival or {})}}
        source = replace(make_source("crm", "raw", [Feed.model_validate(declared)]), takes_files=False)
        base = replace(fake_world({}), source=source)
        engine = FakeEngine(base.clock, base.put, base.exists, f"{source.prefix}contacts/", base.fuse.burn)
        made = cls(base, engine, every)
        base.reported = lambda *message: made.messages.append(message)
        return made

    def renamed(self, feed: str) -> "Brought":
        """The same with the feed under another name; the flow stays as it is."""
        declared = {**FEED, "name": feed}
        source = replace(make_source("crm", "raw", [Feed.model_validate(declared)]), takes_files=False)
        return replace(self, base=replace(self.base, source=source), target_name=feed, newest={})

    @property
    def source(self) -> Source:
        return self.base.source

    @property
    def flow(self) -> FeedFlow:
        return self.source.feeds[0]

    @property
    def ledger(self) -> Ledger:
        """Without the fuse, for the test's own looks."""
        return Ledger(self.base.dynamo, self.base.table, self.base.clock)

    @property
    def target(self) -> Target:
        return Target(self.target_name, self.engine, self.every, once=self.once)

    @property
    def watch(self) -> Watch:
        services: Any = self.base
        return Watch(services, self.source, [self.target])

    def later(self, **time: float) -> None:
        self.base.clock.pass_by(timedelta(**time))

    def look(self) -> Look:
        found = self.watch.look(self.newest)
        self.newest = dict(found.newest)
        return found

    def settle(self) -> None:
        """What is complete is settled, and published and closed at once."""
        settler = Settler(Arrivals(self.source, self.base.s3, self.base.ledger), self.base.zones)
        for due in settler.look(NoRuns()).due:
            run_id = f"process-{next(self.processes)}"
            services: Any = self.base
            try:
                delivery = lifecycle.claim(self.base.ledger, due.flow, due.day, run_id)
                close(services, due.flow, delivery, 1.0)
            except ClaimLost:
                continue

    def runs(self) -> list[EngineRun]:
        return self.ledger.engine_runs.runs("crm", self.target_name)

    def run(self, run_id: str) -> EngineRun:
        found = self.ledger.engine_runs.run("crm", self.target_name, run_id)
        assert found
        return found

    def intentions(self) -> list[Intention]:
        return self.ledger.engine_runs.intentions("crm", self.target_name)

    def delivered(self, day: date) -> list[str]:
        """The keys of the newest settled version of a date."""
        return sorted(entry["key"] for entry in settled_entries(self, day))


def settled_entries(brought: Brought, day: date) -> list[dict[str, Any]]:
    """The objects of the newest settled version of a date."""
    delivery = brought.ledger.deliveries.get(brought.flow.name, day)
    if not delivery.manifest_key:
        return []
    body = brought.base.bare_s3.get_object(Bucket="raw", Key=delivery.manifest_key)["Body"].read()
    entries: list[dict[str, Any]] = json.loads(body)["objects"]
    return entries
