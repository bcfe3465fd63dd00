"""What an Ads account of many profiles costs: ``python -m benchmarks.many_profiles [PROFILES [REPORTS [LANDED]]]``, by
default 100 profiles and 10 reports, of which so many ``LANDED`` (20) of one table are landed and published; ``-v`` also
says which line of ours made each call, ``--keep`` writes the figures down for ``benchmarks.profiles_day``.

The account is the simulated Amazon's, in a process of its own; the platform is run through Dagster in this one. Calls
are those of AWS, counted by operation before they are sent; CPU is this process's and that of the embedded AWS, never
time on the clock. The first tick, orders and run of the process pay for imports, so one profile goes before the others.
"""

import json
import multiprocessing
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import dagster as dg
import httpx

from adplatform.amazon.sources import AdsSource
from adplatform.components import AmazonAdsReports
from adplatform.components.assembly.report_assets import APART, REPORT_TAG
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.local.endpoint import ensure
from adplatform.local.world.amazon.accounts import DEMO_ACCOUNTS, Profile
from adplatform.local.world.amazon.server import serving
from adplatform.local.world.amazon.world import Settings as AmazonSettings
from adplatform.local.world.amazon.world import World
from adplatform.platform.aws import local_aws
from adplatform.platform.settings import Settings
from adplatform.pull.account import account_of
from adplatform.pull.due import deliveries_due, orders_are_due, reports_due
from adplatform.pull.plan import intend_days, plan_turns, turns
from adplatform_tests.support.calls import CountedAws
from adplatform_tests.support.platforms import resources_with
from adplatform_tests.support.runs import Nobody
from benchmarks.transform_jobs import cpu_of_tree

NOON = datetime(2026, 6, 10, 20, tzinfo=UTC)
DAYS = 30
"""Dates of each report."""
READY_AFTER = timedelta(minutes=10)
VERBOSE, KEEP = "-v", "--keep"
FIGURES = Path(__file__).with_suffix(".json")


@dataclass
class Clock:
    """The time of the platform and of the simulated Amazon: it stands still until it is moved."""

    url: str
    at: datetime

    def __call__(self) -> datetime:
        return self.at

    def later(self, by: timedelta) -> None:
        self.at += by
        self.tell()

    def tell(self) -> None:
        httpx.post(f"{self.url}/_admin/clock", json={"now": self.at.isoformat(), "frozen": True}, trust_env=False)


def profiles(count: int) -> tuple[Profile, ...]:
    """So many sellers of a few campaigns each."""
    first = next(each for each in DEMO_ACCOUNTS.profiles if each.country == "US")
    return tuple(replace(first, id=10**15 + n, name=f"Shop {n}", entity=f"ENTITY{n}") for n in range(count))


def _amazon(count: int, told: Connection) -> None:
    """The simulated Amazon, until it is told to end."""
    world = World(
        AmazonSettings(queue_seconds=60, processing_seconds=60), replace(DEMO_ACCOUNTS, profiles=profiles(count))
    )
    with serving(world) as server:
        told.send(server.url)
        told.recv()


def declared(count: int, reports: int, source: str) -> AdsSource:
    one = {
        "report_type": "spCampaigns",
        "group_by": ["campaign"],
        "columns": ["date", "campaignId", "campaignName", "impressions", "clicks", "cost", "purchases14d", "sales14d"],
    }
    return AdsSource.model_validate(
        {
            "source": source,
            "credentials": "adplatform/demo-ads",
            "simulated": True,
            "start_date": (NOON - timedelta(days=DAYS)).date(),
            "spread": "0s",
            "profiles": [each.id for each in profiles(count)],
            "reports": [{"name": f"report_{n}", **one} for n in range(reports)],
        }
    )


Figures = dict[str, dict[str, Any]]
"""Of each thing that was measured: of how many units, their ``calls`` by operation, and ``cpu`` seconds, all in all."""


@dataclass(frozen=True)
class Bench:
    """An account on a platform of its own."""

    services: Services
    aws: CountedAws
    server: int
    clock: Clock
    declared: AdsSource
    instance: dg.DagsterInstance
    figures: Figures = field(default_factory=dict)

    def __post_init__(self) -> None:
        provision(self.services, [])

    @property
    def definitions(self) -> dg.Definitions:
        return dg.Definitions.merge(
            dg.component_defs(component=AmazonAdsReports(self.declared)),
            dg.Definitions(resources=resources_with(self.services), executor=dg.in_process_executor),
        )

    def tick(self) -> list[dg.RunRequest]:
        definitions = self.definitions
        context = dg.build_sensor_context(
            instance=self.instance, definitions=definitions, resources=resources_with(self.services)
        )
        sensor = definitions.resolve_sensor_def(f"{self.declared.source}_reports")
        return list(sensor.evaluate_tick(context).run_requests or ())

    def run(self, request: dg.RunRequest) -> None:
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        if not request.asset_selection:
            job = self.definitions.resolve_job_def(str(request.job_name))
            result = job.execute_in_process(instance=self.instance, tags=request.tags, run_config=quiet)
        else:
            key = request.asset_selection[0]
            result = dg.materialize(
                [self.definitions.resolve_assets_def(key)],
                instance=self.instance,
                partition_key=request.partition_key,
                tags={**request.tags, "dagster/run_key": str(request.run_key)},
                run_config=quiet,
            )
        assert result.success

    @contextmanager
    def counted(self, what: str, per: int, unit: str, *, verbose: bool = False) -> Iterator[None]:
        """Prints what is asked of AWS within, for each of so many units and by operation, and the CPU."""
        places = self.aws.places
        assert places is not None
        before = len(self.aws.names), time.process_time(), cpu_of_tree(self.server)
        yield
        cpu, server = time.process_time() - before[1], cpu_of_tree(self.server) - before[2]
        asked = Counter(self.aws.names[before[0] :])
        self.figures.setdefault(what.partition(",")[0], {"units": per, "calls": dict(asked), "cpu": round(cpu, 2)})
        names = ", ".join(f"{name} {count / per:,.2f}" for name, count in asked.most_common())
        print(
            f"| {what} | {per:,} {unit} | {asked.total():,} | {asked.total() / per:,.1f} |"
            f" {cpu / per:.3f}, {server / per:.3f} | {names} |",
            flush=True,
        )
        for (name, place), count in Counter(places[before[0] :]).most_common() if verbose else ():
            print(f"    {count / per:8,.2f} {name:20} {place}")


def _day(bench: Bench, landed: int, *, verbose: bool) -> None:
    """From the plan to the tables, and once more with the same rows."""
    account, clock = account_of(bench.declared), bench.clock
    count, reports = len(account.wanted), len(account.definitions)
    orders = count * reports
    with bench.counted("planning and ordering", orders, "reports", verbose=verbose):
        [request] = bench.tick()
        bench.run(request)
    with bench.counted("is anything to be planned", 1, "looks", verbose=verbose):
        assert not orders_are_due(bench.services.ledger, account), "orders are left"
    with bench.counted(f"a tick, {orders:,} active, none due", 1, "ticks", verbose=verbose):
        assert not bench.tick(), "something is due"
    clock.later(READY_AFTER)
    requests: list[dg.RunRequest] = []
    with bench.counted("polling", orders, "reports", verbose=verbose):
        requests = bench.tick()
    with bench.counted(f"a tick, {orders:,} ready", 1, "ticks", verbose=verbose):
        requests = bench.tick()
    print(f"| runs asked for by a tick, {orders:,} ready | {len(requests):,} | | | | |", flush=True)
    _land(bench, requests, landed, "published", verbose=verbose)
    if (left := len(reports_due(bench.services, account, Nobody()))) and orders > landed:
        with bench.counted(f"a tick, {left:,} ready or more", 1, "ticks", verbose=verbose):
            bench.tick()
    clock.later(timedelta(minutes=1))
    first, ledger = account.definitions[0], bench.services.ledger
    for report in ledger.reports.active(account.source):
        ledger.reports.withdraw(report, "not measured")
    days = {NOON.date() - timedelta(days=n) for n in range(1, DAYS + 1)}
    for scope in [
        each
        for each in account.wanted
        if ledger.observations.since(f"{account.source}/{first.name}/{each}", NOON.date() - timedelta(days=DAYS))
    ]:
        intend_days(ledger, account, first, scope, days)
    bench.run(dg.RunRequest(job_name=f"{account.source}_orders", tags={"adplatform/feed": account.source}))
    clock.later(READY_AFTER)
    for _ in range(3):
        requests = bench.tick()
        clock.later(timedelta(seconds=30))
    again = [each for each in requests if _is_of(each, account.source, first.name)]
    _land(bench, again, landed, "unchanged", verbose=verbose)
    assert not deliveries_due(bench.services, account, Nobody())[0], "dates are left unpublished"
    clock.later(timedelta(days=1))
    due = turns(ledger, account)
    with bench.counted("planning alone, the day after", len(due), "reports and profiles", verbose=verbose):
        assert len(list(plan_turns(ledger, account, due))) == orders


def _is_of(request: dg.RunRequest, source: str, name: str) -> bool:
    return dg.AssetKey(["raw", source, name]) in (request.asset_selection or ())


def _land(bench: Bench, requests: list[dg.RunRequest], landed: int, what: str, *, verbose: bool) -> None:
    """The runs of the first table, of so many reports at most."""
    account = account_of(bench.declared)
    runs = [each for each in requests if _is_of(each, account.source, account.definitions[0].name)]

    def ended() -> int:
        feeds = (f"{account.source}/{account.definitions[0].name}/{scope}" for scope in account.wanted)
        return sum(each.ended for feed in feeds for each in bench.services.ledger.reports.of_feed(feed))

    before, made = ended(), 0
    names = len(bench.aws.names)
    cpu, server = time.process_time(), cpu_of_tree(bench.server)
    asked_for = 0
    while runs and asked_for < landed:
        request = runs.pop(0)
        bench.run(request)
        made, asked_for = made + 1, asked_for + len(request.tags[REPORT_TAG].split(APART))
    cpu, server = time.process_time() - cpu, cpu_of_tree(bench.server) - server
    asked = Counter(bench.aws.names[names:])
    places = (bench.aws.places or [])[names:]
    done = ended() - before
    dates = done * DAYS
    bench.figures[what] = {"units": dates, "calls": dict(asked), "cpu": round(cpu, 2), "runs": made, "reports": done}
    each = ", ".join(f"{name} {count / dates:,.2f}" for name, count in asked.most_common())
    print(
        f"| dates that are {what}: {made} runs, {done} reports | {dates:,} dates | {asked.total():,} |"
        f" {asked.total() / dates:,.1f} | {cpu / dates:.3f}, {server / dates:.3f} | {each} |",
        flush=True,
    )
    print(f"|   for each report | {done} reports | | {asked.total() / done:,.1f} | {cpu / done:.2f} | |", flush=True)
    for (name, place), count in Counter(places).most_common() if verbose else ():
        print(f"    {count / dates:8,.2f} {name:20} {place}")


@contextmanager
def _account(count: int, reports: int, source: str) -> Iterator[Bench]:
    ours, told = multiprocessing.get_context("spawn").Pipe()
    amazon = multiprocessing.get_context("spawn").Process(target=_amazon, args=(count, told), daemon=True)
    with tempfile.TemporaryDirectory(prefix="profiles-") as home, ensure(Path(home) / "aws") as endpoint:
        assert endpoint.process, "the embedded AWS is another process's"
        amazon.start()
        try:
            clock = Clock(ours.recv(), NOON)
            clock.tell()
            plain = local_aws(endpoint.url)
            aws = CountedAws(plain.region, plain.endpoint_url, places=[])
            settings = Settings(env="local", home=Path(home), simulated_amazon=clock.url)
            services = Services(settings, aws, now=clock)
            with dg.DagsterInstance.ephemeral() as instance:
                yield Bench(services, aws, endpoint.process.pid, clock, declared(count, reports, source), instance)
        finally:
            ours.send("end")
            amazon.join()


def main(*asked: str) -> None:
    warnings.simplefilter("ignore")
    sizes: list[Any] = [int(each) for each in asked if each not in (VERBOSE, KEEP)]
    count, reports, landed = [*sizes, 100, 10, 20][: len(sizes)] + [100, 10, 20][len(sizes) :]
    for number, (profiles_, reports_, landed_) in enumerate(((1, 1, 1), (count, reports, landed))):
        with _account(profiles_, reports_, "ads") as bench:
            if number:
                print("| what | of | calls | calls each | CPU s each: own, AWS | of them, each |")
                print("|---|---|---|---|---|---|")
            else:
                print("warm-up:")
            _day(bench, min(landed_, profiles_), verbose=VERBOSE in asked and bool(number))
            if number and KEEP in asked:
                FIGURES.write_text(json.dumps(bench.figures, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
