"""A source whose files a connector of the embedded AWS fetches from a real SFTP server, looked at by hand."""

import itertools
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from adplatform.contracts.sftp import SftpSource
from adplatform.engines.pattern import EngineFiles
from adplatform.engines.runs import Look, Target, Watch
from adplatform.engines.sftp.connector import connector_files, connector_targets
from adplatform.engines.sftp.memories import Memories
from adplatform.engines.sftp.passes import MOST_BATCHES, TRANSFER
from adplatform.failures import ClaimLost
from adplatform.flow import lifecycle
from adplatform.flow.arrivals import Arrivals
from adplatform.flow.close import close
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.flow.settling import Settler
from adplatform.flow.source import FeedFlow
from adplatform.flow.version import read_settlement
from adplatform.ledger.engine_run import EngineRun, Intention
from adplatform.platform.aws import CALL_BUDGET, Aws
from adplatform.sftp.choice import Known
from adplatform_tests.flow.world import Fuse, NoRuns
from adplatform_tests.support.clocks import Clock
from adplatform_tests.support.connectors import make_secret, order_connector_fault
from adplatform_tests.support.sftp_host import SftpHost
from adplatform_tests.support.waiting import turns

DAY = date(2026, 3, 14)
ORDERS: dict[str, Any] = {
    "name": "orders",
    "start_date": "2026-01-01",
    "columns": {"id": {"type": "bigint", "required": True}},
    "ready": {"stable_for": "0s"},
}


_READING = ("Get", "Head", "List", "Describe", "Query", "BatchGet")


@dataclass(frozen=True)
class FusedAws(Aws):
    """Its clients burn the fuse before each call that changes something: between two of these there is nothing that
    can be lost. S3 dates objects by the clock."""

    fuse: Fuse = field(default_factory=Fuse)
    clock: Clock = field(default_factory=lambda: Clock(timedelta(0)))
    made: dict[tuple[str, bool], Any] = field(default_factory=dict)

    def client(self, service: str, budget: timedelta = CALL_BUDGET) -> Any:
        return self._fused(service, False, super().client)

    def client_once(self, service: str, budget: timedelta = CALL_BUDGET) -> Any:
        return self._fused(service, True, super().client_once)

    def _fused(self, service: str, once: bool, make: Callable[[str], Any]) -> Any:
        if (service, once) not in self.made:
            self.made[service, once] = self._hearing(make(service))
        return self.made[service, once]

    def _hearing(self, client: Any) -> Any:
        events = client.meta.events
        events.register("before-call", self._burn)
        events.register("after-call.s3.HeadObject", self._date)
        return client

    def _burn(self, model: Any, **_: Any) -> None:
        if not model.name.startswith(_READING):
            self.fuse.burn()

    def _date(self, parsed: dict[str, Any], **_: Any) -> None:
        if "LastModified" in parsed:
            parsed["LastModified"] += self.clock.ahead


@dataclass
class Fetched:
    """``services`` are the platform's; ``bare`` are the test's own, whose calls burn no fuse."""

    bare: Services
    host: SftpHost
    declared: SftpSource
    clock: Clock = field(default_factory=lambda: Clock(timedelta(0)))
    fuse: Fuse = field(default_factory=Fuse)
    most: int = MOST_BATCHES
    attributes: dict[str, Any] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    newest: dict[str, datetime] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    """The connector that its tags have led to, as a code location keeps it: to find it takes a call for every connector
    that tests have left."""

    @cached_property
    def services(self) -> Services:
        """Nothing else is in memory but clients: all is made anew at each look, as after a restart."""
        real = self.bare.aws
        aws = FusedAws(real.region, real.endpoint_url, self.fuse, self.clock)
        return Services(self.bare.settings, aws, self.clock)

    @property
    def pattern(self) -> EngineFiles:
        return connector_files(self.declared, self.bare.settings)

    @property
    def watch(self) -> Watch:
        pattern = self.pattern
        targets = connector_targets(self.services, self.declared, pattern.source, self.ids, most=self.most)
        return pattern.watch_of(self.services, targets)

    @property
    def connector(self) -> str:
        """Not by its port, which one of an ended test may have had before."""
        client, tag = self.bare.aws.client("transfer"), {"Key": "adplatform:source", "Value": self.declared.source}
        listed = [each for page in client.get_paginator("list_connectors").paginate() for each in page["Connectors"]]
        tagged = [each for each in listed if tag in client.list_tags_for_resource(Arn=each["Arn"])["Tags"]]
        [found] = [each["ConnectorId"] for each in tagged]
        return str(found)

    @property
    def folder(self) -> str:
        return str(self.host.folder)

    def target(self, begins: str = "listing-") -> Target:
        return next(target for target in self.watch.targets if target.name.startswith(begins))

    def put(self, path: str, body: str = "id\n1\n", at: datetime | None = None) -> Path:
        """A file of the server, below the folder where sessions begin."""
        file = self.host.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(body)
        if at is not None:
            os.utime(file, (at.timestamp(), at.timestamp()))
        return file

    def order(self, fault: str, **settings: Any) -> None:
        order_connector_fault(self.bare.aws, fault, self.connector, **settings)

    def later(self, **time: float) -> None:
        self.clock.ahead += timedelta(**time)

    def look(self) -> Look:
        found = self.watch.look(self.newest)
        self.newest = dict(found.newest)
        return found

    def list_again(self, begins: str = "listing-") -> None:
        """Somebody wants another listing."""
        self.watch.intend(self.target(begins), f"asked/{next(self.numbers)}")

    def until(self, done: Callable[[], Any], seconds: float = 60.0) -> None:
        """Looks until it is so."""
        for _ in turns(seconds):
            if done():
                return
            self.look()
        raise AssertionError([*self.intentions(), *self.runs()])

    def work(self) -> None:
        """Looks until nothing is wanted and nothing goes on."""
        self.look()
        self.until(lambda: all(self._waits(each) for each in self.pursued()))

    def pass_by(self) -> None:
        """Another listing, and whatever comes of it."""
        self.list_again()
        self.work()

    def pass_by_once(self) -> None:
        """Another listing, whatever else goes on."""
        self.list_again()
        self.look()
        self.until(lambda: not any(each.target.startswith("listing") for each in self.pursued()))

    def _waits(self, intention: Intention) -> bool:
        """Whether it is wanted for later, as another look at files that are to stay as they are."""
        begins = intention.not_before
        return begins is not None and begins > self.clock() and not (intention.begun or intention.error)

    def settle(self) -> None:
        """What is complete is settled, and published and closed at once."""
        services = self.services
        source = replace(self.pattern.source, bucket=services.zones.raw_bucket)
        settler = Settler(Arrivals(source, services.s3, services.ledger), services.zones)
        for due in settler.look(NoRuns()).due:
            try:
                run_id = f"process-{next(self.numbers)}"
                close(services, due.flow, lifecycle.claim(services.ledger, due.flow, due.day, run_id), 1.0)
            except ClaimLost:
                continue

    def delivered(self, day: date = DAY, feed: str = "orders") -> dict[str, str]:
        """The contents of the newest settled version of a date, by the names of the files."""
        flow, services = self.flow(feed), self.bare
        delivery = services.ledger.deliveries.get(flow.name, day)
        if not delivery.manifest_key:
            return {}
        found = read_settlement(services.s3, services.zones, delivery.manifest_key)["objects"]
        objects = {o.identity: o for o in services.ledger.objects.of_day(flow.name, day)}
        by_version = {(o.key, o.version): o for o in objects.values()}
        bodies = {}
        for entry in found:
            obj = by_version[entry["key"], entry["version"]]
            place = {"Key": obj.archived_key} if obj.archived_key else {"Key": obj.key, "VersionId": obj.version}
            body = services.s3.get_object(Bucket=services.zones.raw_bucket, **place)["Body"].read()
            bodies[entry["key"].partition(f"dt={day}/")[2]] = body.decode()
        return bodies

    def versions(self, day: date = DAY, feed: str = "orders") -> list[str]:
        """The keys of all object versions that have arrived for a date: what was landed twice is there twice."""
        objects = self.bare.ledger.objects.of_day(self.flow(feed).name, day)
        return sorted(o.key.partition(f"dt={day}/")[2] for o in objects)

    def flow(self, feed: str) -> FeedFlow:
        return next(flow for flow in self.pattern.source.feeds if flow.feed.name == feed)

    def runs(self, begins: str = "") -> list[EngineRun]:
        names = [target.name for target in self.pattern.targets(self.bare) if target.name.startswith(begins)]
        return [run for name in names for run in self.bare.ledger.engine_runs.runs(self.declared.source, name)]

    def intentions(self, begins: str = "") -> list[Intention]:
        names = [target.name for target in self.pattern.targets(self.bare) if target.name.startswith(begins)]
        return [each for name in names for each in self.bare.ledger.engine_runs.intentions(self.declared.source, name)]

    def pursued(self) -> list[Intention]:
        return self.bare.ledger.engine_runs.pursued(self.declared.source)

    def transfers(self) -> list[EngineRun]:
        return self.runs(TRANSFER)

    def left(self) -> list[str]:
        """What lies where transfers write."""
        return [each["Key"] for each in self.objects(self.bare.zones.sftp_transfers(self.declared.source))]

    def objects(self, prefix: str) -> list[dict[str, Any]]:
        """All versions of objects of the raw bucket."""
        listed = self.bare.s3.list_object_versions(Bucket=self.bare.zones.raw_bucket, Prefix=prefix)
        return list(listed.get("Versions", ()))

    def remembered(self) -> dict[str, Known]:
        """What is remembered of the folder of the first feed."""
        memories = Memories(self.bare, self.declared.source)
        return dict(memories.read(self.declared.feeds[0].folder).memory.known)

    def on_server(self) -> list[str]:
        return sorted(str(path.relative_to(self.host.folder)) for path in self.host.folder.rglob("*") if path.is_file())


def fetched_source(
    services: Services, host: SftpHost, *feeds: Mapping[str, Any], remote: str = "", **more: Any
) -> Fetched:
    """A source with these feeds, or with orders below the folder where sessions begin; its connector is made."""
    secret = more.pop("secret", None) or make_secret(services.aws, Username=host.user, PrivateKey=host.private_key)
    where = {"kind": "connector", "host": host.host, "port": host.port, "secret": secret}
    orders = {**ORDERS, "remote": remote or f"{host.folder}/orders_{{date:%Y%m%d}}_*.csv"}
    # A slot has begun five minutes ago, so that none begins while a test runs.
    began = (services.now().minute - 5) % 15
    declared = {
        "offset": f"{began}m",
        "source": f"partner_{uuid.uuid4().hex[:8]}",
        "from": {**where, "host_keys": host.host_keys, **more.pop("from_", {})},
        "feeds": [*feeds] or [orders],
        **more,
    }
    made = Fetched(services, host, SftpSource.model_validate(declared), attributes=declared)
    provision(services, [made.pattern.source])
    made.pattern.provision(services)
    return made
