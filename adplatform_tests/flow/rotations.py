"""A club of members and their purchases, and rotations of its hashing key without Dagster, in this process or in one
that is killed."""

import os
import signal
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from adplatform.contracts.feed import Feed
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow.again import Step, Work
from adplatform.flow.delivery import publish_delivery
from adplatform.flow.key_rotation import RUN_PREFIX, RotationResult, Wish, rotate
from adplatform.flow.private_directory import private_directory
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow, Source, make_source
from adplatform.lake.query import run_query
from adplatform.platform.aws import Aws
from adplatform.privacy.key_versions import current_version
from adplatform_tests.support import plainly
from adplatform_tests.support.plainly import NoRunIsAlive
from adplatform_tests.support.platforms import TODAY, make_services

ARRIVAL = {"complete_when": "count", "expected_files": 1}
MEMBERS: dict[str, Any] = {
    "name": "members",
    "start_date": "2026-01-01",
    "arrival": ARRIVAL,
    "columns": {
        "region": {"type": "string", "required": True},
        "email": {"pii": "email", "required": True},
        "seen": {"type": "int", "required": True},
    },
    "key": ["region", "email"],
    "latest_by": "seen",
    "partition_by": "region",
}
PURCHASES: dict[str, Any] = {
    "name": "purchases",
    "start_date": "2026-01-01",
    "arrival": ARRIVAL,
    "columns": {"email": {"pii": "email"}, "amount": "decimal(10,2)"},
}
PRICES: dict[str, Any] = {**PURCHASES, "name": "latest_buyers", "partition_by": None}
FEEDS = (MEMBERS, PURCHASES, PRICES)
JOINED = (
    "select count(distinct m.email_lake), count(*), sum(p.amount) from {members} m"
    " join {purchases} p using (email_lake)"
)


def day(ago: int) -> date:
    return TODAY - timedelta(days=ago)


def members(*rows: tuple[str, str, int]) -> bytes:
    return "".join(["region,email,seen\n", *(f"{r},{e}@example.com,{s}\n" for r, e, s in rows)]).encode()


def purchases(*rows: tuple[str, str]) -> bytes:
    return "".join(["email,amount\n", *(f"{e}@example.com,{a}\n" for e, a in rows)]).encode()


@dataclass(frozen=True)
class Club:
    services: Services
    source: Source

    def flow(self, name: str) -> FeedFlow:
        return next(f for f in self.source.feeds if f.feed.name == name)

    @property
    def flows(self) -> tuple[FeedFlow, ...]:
        return self.source.feeds

    def put(self, feed: str, when: date, body: bytes, name: str = "part.csv") -> None:
        key = f"landing/club/{feed}/dt={when}/{name}"
        self.services.s3.put_object(Bucket=self.services.zones.raw_bucket, Key=key, Body=body)

    def deliver(self, feed: str, when: date, body: bytes, name: str = "part.csv") -> None:
        self.put(feed, when, body, name)
        self.process()

    def process(self) -> None:
        plainly.process(self.services, self.source, f"run-{uuid.uuid4().hex[:6]}")

    @property
    def key_id(self) -> str:
        return current_version(self.services.secrets, self.services.settings.hash_key_secret).id

    def replace_key(self) -> str:
        """As somebody does who knows nothing of rotations."""
        secrets, name = self.services.secrets, self.services.settings.hash_key_secret
        secrets.put_secret_value(SecretId=name, SecretBinary=os.urandom(32))
        return self.key_id

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        prefix = self.services.settings.database_prefix
        named = sql.format(**{f.feed.name: f"{prefix}club.{f.feed.name}" for f in self.flows})
        return sorted(run_query(self.services.aws, self.services.glue, prefix, named, 100_000)[1], key=str)

    def keys(self, feed: str) -> set[str]:
        return {key for (key,) in self.query(f"select distinct _pii_key_id from {{{feed}}}")}

    def later(self, by: timedelta) -> "Club":
        """The same at a later time, when the leases of the dead have run out."""
        services = Services(self.services.settings, self.services.aws)
        ledger = services.ledger
        services.__dict__["ledger"] = replace(ledger, now=lambda: ledger.now() + by)
        return replace(self, services=services)

    @cached_property
    def texts(self) -> dict[tuple[str, ...], tuple[str, ...]]:
        """What is in objects that were looked at, by bucket, key, version and ETag."""
        return {}

    @cached_property
    def never_alive(self) -> NoRunIsAlive:
        return NoRunIsAlive()

    @contextmanager
    def working(self, prefix: str, watch: Callable[[Step], None] = lambda _: None) -> Iterator[Work]:
        """How deliveries are made again, by a run whose id begins with ``prefix``."""
        services = self.services

        def make(flow: FeedFlow, when: date) -> str:
            try:
                publish_delivery(services, flow, when, f"run-{uuid.uuid4().hex[:6]}", temp)
            except (PermanentFailure, TransientFailure) as e:
                return str(e)
            return ""

        settler = services.settler(self.source)
        run_id = prefix + uuid.uuid4().hex[:6]
        with private_directory(services.settings.temp, run_id) as temp:
            yield Work(lambda _: settler, make, NoRunIsAlive(), temp, run_id, lambda _: None, watch)

    def rotate(self, wish: Wish = Wish(), watch: Callable[[Step], None] = lambda _: None) -> RotationResult:  # noqa: B008
        with self.working(RUN_PREFIX, watch) as work:
            return rotate(self.services, self.flows, wish, work, version=str(uuid.uuid4()), random_bytes=os.urandom)


def make_club(aws: Aws, home: Path, feeds: Iterable[dict[str, Any]] = FEEDS) -> Club:
    services = make_services(aws, home)
    source = make_source("club", services.settings.raw_bucket, [Feed.model_validate(feed) for feed in feeds])
    provision(services, [source])
    return Club(services, source)


def rotate_killed_at(club: Club, writes: int) -> tuple[int, int]:
    """Rotate in a child that is killed before its ``writes``-th write to AWS, 0 for never; exit code and writes."""
    counted = plainly.PROCESSES.Value("i", 0)
    return _in_child(club, _rotate_until_write, writes, counted), counted.value


def rotate_killed_in(club: Club, table: str, done: int) -> int:
    """Rotate in a child that is killed when ``done`` deliveries of a table are made; its exit code."""
    return _in_child(club, _rotate_until_step, table, done)


def _in_child(club: Club, target: Callable[..., None], *arguments: Any) -> int:
    aws = Aws(club.services.aws.region, club.services.aws.endpoint_url)
    blank = Club(Services(club.services.settings, aws), club.source)
    child = plainly.PROCESSES.Process(target=target, args=(blank, *arguments))
    child.start()
    child.join(120)
    if child.exitcode is None:
        raise TimeoutError("the child neither ended nor was killed")
    return child.exitcode


def _rotate_until_write(club: Club, writes: int, counted: Any) -> None:
    def on_write() -> None:
        with counted.get_lock():
            counted.value += 1
            now = counted.value
        if now == writes:
            os.kill(os.getpid(), signal.SIGKILL)

    aws = plainly.CountingAws(club.services.aws.region, club.services.aws.endpoint_url, on_write)
    Club(Services(club.services.settings, aws), club.source).rotate()


def _rotate_until_step(club: Club, table: str, done: int) -> None:
    def watch(step: Step) -> None:
        if (step.table, step.done) == (table, done):
            os.kill(os.getpid(), signal.SIGKILL)

    club.rotate(watch=watch)
