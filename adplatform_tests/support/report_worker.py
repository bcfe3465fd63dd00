"""A report account's work without Dagster, in this process or in one that is killed: what its jobs and runs do, in the
same order, against the simulated Amazon."""

import json
import os
import signal
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from adplatform.amazon.ads.client import open_ads
from adplatform.amazon.reports import ReportApi
from adplatform.amazon.selling_partner.client import open_selling_partner
from adplatform.amazon.sources import AdsSource, SellingPartnerSource
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow.services import Services
from adplatform.flow.slices import publish_slice
from adplatform.flow.together import Waiting, publish_waiting
from adplatform.ledger.report import Report
from adplatform.local.world.amazon.accounts import DEMO_CREDENTIALS
from adplatform.platform.aws import CALL_BUDGET, Aws
from adplatform.platform.settings import Settings
from adplatform.pull.account import Account, account_of
from adplatform.pull.due import deliveries_due, place_orders, poll_reports, reports_due
from adplatform.pull.land import Landed, claim, failed, finish, land
from adplatform_tests.support.plainly import PROCESSES, WRITES, NoRunIsAlive


@dataclass
class Clock:
    """The time of a worker and of the simulated Amazon: it stands still until somebody sleeps."""

    url: str
    at: datetime

    def __call__(self) -> datetime:
        return self.at

    def later(self, by: timedelta) -> None:
        self.at += by
        httpx.post(f"{self.url}/_admin/clock", json={"now": self.at.isoformat(), "frozen": True}, trust_env=False)

    def sleep(self, seconds: float) -> None:
        self.later(timedelta(seconds=seconds))


def publish_landed(services: Services, slices: Iterable[Landed], run_id: str, work: Path) -> None:
    """Publish what a report has changed, as its run does."""
    tables: dict[str, list[Waiting]] = {}
    for part in slices:
        if part.changed:
            tables.setdefault(part.flow.table, []).append(Waiting(part.flow, part.day, part.brought))
    for some in tables.values():
        for came in publish_waiting(services, some, run_id, work, lambda *_: None):
            if came.problem is not None:
                raise came.problem


@dataclass
class Worker:
    """Somebody who does all that is due of an account. ``amazon`` is the URL that it believes to be Amazon's."""

    services: Services
    account: Account
    clock: Clock
    amazon: str
    home: Path
    runs: list[str] = field(default_factory=list)

    def api(self) -> ReportApi:
        selling = self.account.api == "selling_partner"
        opened = open_selling_partner if selling else open_ads
        secret = f"{self.services.settings.ledger_table}/{self.account.source}"
        with suppress(self.services.secrets.exceptions.ResourceExistsException):
            app = DEMO_CREDENTIALS["selling_partner" if selling else "ads"]
            self.services.secrets.create_secret(Name=secret, SecretString=json.dumps(asdict(app)))
        return opened(
            self.services.secrets,
            secret,
            self.account.region,
            self.services.ledger,
            self.home / "tokens",
            sleep=self.clock.sleep,
            endpoint=f"{self.amazon}/{self.account.region}",
        )

    def orders(self) -> list[Report]:
        return place_orders(self.services, self.account, self.api(), sleep=self.clock.sleep)

    def poll(self) -> list[Report]:
        return poll_reports(self.services, self.account, self.api)

    def fetch(self) -> None:
        for due in reports_due(self.services, self.account, NoRunIsAlive()):
            self.run(due.report)

    def run(self, report: Report) -> None:
        run_id = uuid4().hex
        self.runs.append(run_id)
        with tempfile.TemporaryDirectory(dir=self.home) as folder:
            work = Path(folder)
            claimed = claim(self.services.ledger, report, run_id)
            try:
                landed, slices = land(self.services, self.account, self.api, claimed, work, sleep=self.clock.sleep)
            except (PermanentFailure, TransientFailure) as e:
                failed(self.services, self.account, claimed, e)
                return
            publish_landed(self.services, slices, run_id, work)
            finish(self.services.ledger, landed)

    def publish(self) -> None:
        """What earlier workers landed and did not publish."""
        for due in deliveries_due(self.services, self.account, NoRunIsAlive())[0]:
            with tempfile.TemporaryDirectory(dir=self.home) as folder:
                publish_slice(self.services, due.flow, due.day, uuid4().hex, Path(folder))

    def look(self) -> None:
        """One round of everything; what fails for now is left to the next."""
        for step in (self.orders, self.poll, self.fetch, self.publish):
            try:
                step()
            except TransientFailure:
                continue

    def day(self, takes: timedelta) -> None:
        self.look()
        self.clock.later(takes)
        self.look()


def account(declared: dict[str, Any]) -> Account:
    model = SellingPartnerSource if "marketplaces" in declared else AdsSource
    return account_of(model.model_validate(declared))


@dataclass(frozen=True)
class WatchedAws(Aws):
    """Shows the body of each request that changes something before it is sent."""

    on_write: Callable[[str], None] = lambda _: None

    def client(self, service: str, budget: timedelta = CALL_BUDGET) -> Any:
        client = super().client(service, budget)

        def before(model: Any, params: dict[str, Any], **_: Any) -> None:
            if model.name.startswith(WRITES):
                body = params.get("body")
                self.on_write(body.decode() if isinstance(body, bytes) else str(body))

        client.meta.events.register("before-call", before)
        return client


@dataclass(frozen=True)
class Order:
    """What a worker in a process of its own is to do. It is killed before its ``writes``-th write, or before the first
    write of a report in this ``state``; with neither it does all."""

    settings: Settings
    region: str
    endpoint: str | None
    declared: dict[str, Any]
    amazon: str
    at: datetime
    takes: timedelta
    writes: int = 0
    state: str = ""


def killed(order: Order) -> tuple[int, int]:
    """Do a day's work in a process that is killed; its exit code and how many writes it made or was about to make."""
    counted = PROCESSES.Value("i", 0)
    child = PROCESSES.Process(target=_work, args=(order, counted))
    child.start()
    child.join(180)
    if child.exitcode is None:
        raise TimeoutError("the child neither ended nor was killed")
    return child.exitcode, counted.value


def _work(order: Order, counted: Any) -> None:
    def on_write(body: str) -> None:
        with counted.get_lock():
            counted.value += 1
            now = counted.value
        if now == order.writes or (order.state and f'"state": {{"S": "{order.state}"}}' in body):
            os.kill(os.getpid(), signal.SIGKILL)

    worker(order, WatchedAws(order.region, order.endpoint, on_write)).day(order.takes)


def worker(order: Order, aws: Aws) -> Worker:
    clock = Clock(order.amazon, order.at)
    order.settings.home.mkdir(parents=True, exist_ok=True)
    services = Services(order.settings, aws, now=clock)
    return Worker(services, account(order.declared), clock, order.amazon, order.settings.home)
