"""Deliveries whose transform an engine runs: from the run that gives one away to the run that publishes it."""

import io
import json
import tempfile
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from adplatform.cli.standing import delivery_line
from adplatform.contracts.feed import Feed
from adplatform.engines.spark_work import spark_watch
from adplatform.failures import EnvironmentFailure, PermanentFailure, SenderFailure, TransientFailure
from adplatform.flow.again import Work, settled_again
from adplatform.flow.doctor import examine
from adplatform.flow.engine_work import Given, output_prefix
from adplatform.flow.provision import provision
from adplatform.flow.raw import land
from adplatform.flow.services import Services
from adplatform.flow.small_files import SMALL
from adplatform.flow.source import FeedFlow, Source, make_source
from adplatform.flow.transforming import transforming
from adplatform.flow.version import version_objects
from adplatform.lake.quarantine import read_rows
from adplatform.lake.query import run_query
from adplatform.ledger.delivery import Delivery, DeliveryState
from adplatform.ledger.engine_run import Intention, IntentState, RunState
from adplatform.ledger.publications import FileOutcome, Outcome, Publication
from adplatform.ledger.table import key
from adplatform.platform.aws import Aws
from adplatform.platform.clock import utc_now
from adplatform_tests.flow.persons import JANE, erase_jane
from adplatform_tests.flow.rotations import Club
from adplatform_tests.support.plainly import NoRunIsAlive, killed_at
from adplatform_tests.support.platforms import TODAY, make_services
from adplatform_tests.support.transform_jobs import (
    Job,
    JobEngine,
    by_nothing,
    carry_out,
    look,
    transform_or_give,
    with_spark,
)

DAY = TODAY - timedelta(days=1)
ORDERS: dict[str, Any] = {
    "name": "orders",
    "start_date": "2026-01-01",
    "engine": "spark",
    "arrival": {"complete_when": "count", "expected_files": 1},
    "columns": {"order_id": "int", "email": {"pii": "email"}, "amount": "decimal(12,2)"},
    "bounds": {"max_quarantined": 0.6},
}
TARGET = "transform-orders"


@pytest.fixture
def services(aws: Aws, tmp_path: Path) -> Services:
    return with_spark(make_services(aws, tmp_path / "home"))


@dataclass
class Shop:
    """A source with one feed, its runs without Dagster, and its looks at the engine."""

    services: Services
    source: Source
    runs: int = 0
    starts: Callable[[], None] = field(default=lambda: None)

    @property
    def flow(self) -> FeedFlow:
        return self.source.feeds[0]

    @property
    def delivery(self) -> Delivery:
        return self.services.ledger.deliveries.get(self.flow.name, DAY)

    @property
    def newest(self) -> Publication:
        found = self.services.ledger.publications.get(self.flow.name, DAY, self.delivery.version)
        assert found
        return found

    @property
    def outcomes(self) -> dict[str, FileOutcome]:
        found = self.services.ledger.publications.file_outcomes(self.flow.name, DAY, self.delivery.version)
        return {o.origin.rpartition("/")[2]: o for o in found}

    @property
    def intentions(self) -> list[Intention]:
        return self.services.ledger.engine_runs.intentions(self.source.name, TARGET)

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        prefix = self.services.settings.database_prefix
        sql = f"select order_id, email_lake, amount from {prefix}{self.source.name}.orders"
        return sorted(run_query(self.services.aws, self.services.glue, prefix, sql, 100_000)[1], key=str)

    def put(self, name: str, *rows: str) -> None:
        body = "\n".join(["order_id,email,amount", *rows, ""]).encode()
        key = f"{self.source.prefix}orders/dt={DAY}/{name}"
        self.services.s3.put_object(Bucket=self.services.zones.raw_bucket, Key=key, Body=body)

    def run(self) -> list[object]:
        """Settle what is complete and run what is due; what each run came to."""
        settler = self.services.settler(self.source)
        settler.arrivals.receive()
        settler.arrivals.reconcile(self.source.prefix)
        done: list[object] = []
        for due in settler.due(NoRunIsAlive())[0]:
            self.runs += 1
            with tempfile.TemporaryDirectory() as folder:
                run_id = f"run-{self.runs}-{uuid.uuid4().hex[:6]}"
                done.append(transform_or_give(self.services, due.flow, due.day, run_id, Path(folder)))
        return done

    def look(self) -> int:
        return look(self.services, self.source, self.starts).waiting

    def carry_out(self, job: Job | None = None, *, fails: str = "") -> int:
        return carry_out(self.services, self.source.name, TARGET, job, fails=fails)

    def transform(self, job: Job | None = None) -> list[object]:
        """All that it takes, from what has arrived to what readers see."""
        [given] = self.run()
        assert isinstance(given, Given)
        self.look()
        assert self.carry_out(job) == 1
        assert self.look() == 0
        return self.run()

    def later(self, hours: int = 2) -> None:
        now = self.services.ledger.now() + timedelta(hours=hours)
        self.services = replace(self.services, now=lambda: now)

    def prepared(self) -> list[str]:
        store = self.services.store
        return [each.key for each in store.listing(store.zones.raw_bucket, "prepared/spark/")]


def shop(services: Services, **more: Any) -> Shop:
    declared = Feed.model_validate({**ORDERS, **more})
    source = make_source(f"s{uuid.uuid4().hex[:8]}", services.zones.raw_bucket, [declared])
    provision(services, [source])
    return Shop(services, source)


def here(made: Shop) -> Shop:
    """The same on this machine."""
    return Shop(
        made.services,
        make_source(
            f"s{uuid.uuid4().hex[:8]}",
            made.services.zones.raw_bucket,
            [made.flow.feed.model_copy(update={"engine": "duckdb"})],
        ),
    )


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({}, marks=pytest.mark.slow),
        {"table_format": "iceberg"},
        *(pytest.param(each, marks=pytest.mark.slow) for each in ({"partition_by": "order_id"}, {"key": "order_id"})),
    ],
    ids=["by date", "iceberg", "by column", "keyed"],
)
def test_what_an_engine_transforms_is_what_this_machine_would_have_made(services: Services, more: Any) -> None:
    columns = {**ORDERS["columns"], "order_id": {"type": "int", "required": True}}
    spark = shop(services, columns=columns, **more)
    local = here(spark)
    provision(services, [local.source])
    for each in (spark, local):
        each.put("a.csv", "1,ann@example.com,1.00", "2,bob@example.com,2.00", "x,eve@example.com,3.00")
    assert len(spark.transform()) == 1
    assert not isinstance(local.run()[0], Given)
    assert spark.rows == local.rows
    assert len(spark.rows) == 2
    names = ("rows_in", "clean", "superseded", "quarantined", "reasons", "key_id", "state")
    assert [getattr(spark.newest, name) for name in names] == [getattr(local.newest, name) for name in names]
    files = ("outcome", "rows_in", "clean", "quarantined", "sha256")
    assert [[getattr(o, f) for f in files] for o in spark.outcomes.values()] == [
        [getattr(o, f) for f in files] for o in local.outcomes.values()
    ]
    quarantined = [list(read_rows(e.services.store, e.newest.quarantine_key, e.flow.feed)) for e in (spark, local)]
    assert [(row.line, row.reasons) for row in quarantined[0]] == [(row.line, row.reasons) for row in quarantined[1]]
    assert spark.prepared() == []


def test_a_delivery_waits_for_its_engine_and_costs_no_attempt(services: Services) -> None:
    made = shop(services)
    made.put("a.csv", "1,ann@example.com,1.00")
    [given] = made.run()
    assert isinstance(given, Given)
    assert (given.files, given.plan.endswith("plan.json")) == (1, True)
    delivery = made.delivery
    assert (delivery.state, delivery.run_id) == (DeliveryState.TRANSFORMING, "")
    assert (delivery.attempt, delivery.deaths, delivery.hindered) == (1, 0, 0)
    assert made.run() == []
    assert (made.look(), made.look()) == (1, 1)
    assert [each.state for each in made.intentions] == [IntentState.STARTED]
    assert made.run() == []
    assert made.delivery.published == 0


def test_a_refused_audit_shows_nothing(services: Services) -> None:
    made = shop(services, bounds={"min_rows": 5})
    made.put("a.csv", "1,ann@example.com,1.00")
    with pytest.raises(SenderFailure, match="at least 5 expected"):
        made.transform()
    assert (made.delivery.state, made.delivery.permanent) == (DeliveryState.FAILED, True)
    store = made.services.store
    assert list(store.listing(store.zones.clean_bucket, "")) == []


@pytest.mark.slow
def test_a_delivery_without_rows_is_published(services: Services) -> None:
    made = shop(services)
    made.put("a.csv")
    assert len(made.transform()) == 1
    assert (made.newest.state, made.newest.clean, made.rows) == (DeliveryState.PUBLISHED, 0, [])
    assert made.outcomes["a.csv"].outcome is Outcome.EMPTY


def test_runs_that_end_well_without_a_result_have_failed_and_in_the_end_the_delivery(services: Services) -> None:
    made = shop(services)
    made.put("a.csv", "1,ann@example.com,1.00")
    made.run()
    for _ in range(3):
        made.look()
        assert made.carry_out(by_nothing) == 1
        made.look()
        made.later()
    assert [each.state for each in made.intentions] == [IntentState.GIVEN_UP]
    runs = made.services.ledger.engine_runs.runs(made.source.name, TARGET)
    assert {each.state for each in runs} == {RunState.FAILED}
    with pytest.raises(PermanentFailure, match="its 3 Spark runs, the last of which failed: it ended without a result"):
        made.run()
    assert (made.delivery.state, made.delivery.permanent) == (DeliveryState.FAILED, True)


def test_a_run_that_failed_is_followed_by_another_with_a_place_of_its_own(services: Services) -> None:
    made = shop(services)
    made.put("a.csv", "1,ann@example.com,1.00")
    made.run()
    made.look()
    made.carry_out(fails="out of memory")
    made.look()
    [intention] = made.intentions
    assert (intention.state, intention.attempt, intention.error) == (IntentState.INTENDED, 2, "out of memory")
    made.later()
    made.look()
    assert made.carry_out() == 1
    assert any(key.startswith(output_prefix(replace(intention, attempt=2))) for key in made.prepared())
    made.look()
    made.run()
    assert len(made.rows) == 1


@pytest.mark.slow
def test_a_cancelled_run_fails_its_delivery_and_trying_again_is_another(services: Services) -> None:
    made = shop(services)
    made.put("a.csv", "1,ann@example.com,1.00")
    made.run()
    made.look()
    engine = JobEngine(made.services, made.source.name, TARGET)
    [run] = engine.recent(made.services.now() - timedelta(days=1))
    assert engine.cancel(run.run_id)
    made.look()
    with pytest.raises(PermanentFailure, match=f"its Spark run {run.run_id} was cancelled"):
        made.run()
    made.services.ledger.deliveries.reopen(made.flow.name, DAY)
    made.transform()
    assert len(made.rows) == 1
    assert [each.state for each in made.intentions] == [IntentState.GIVEN_UP, IntentState.FULFILLED]


def test_what_the_engine_says_against_the_files_fails_the_delivery(services: Services) -> None:
    made = shop(services, columns={**ORDERS["columns"], "half": {"type": "int", "expression": "order_id / 'x'"}})
    made.put("a.csv", "1,ann@example.com,1.00")
    with pytest.raises(PermanentFailure):
        made.transform()
    assert made.delivery.permanent


def test_a_bad_file_is_refused_or_put_aside_as_on_this_machine(services: Services) -> None:
    two = {"complete_when": "count", "expected_files": 2}
    strict, lenient = shop(services, arrival=two), shop(services, arrival=two, bad_file="quarantine")
    for made in (strict, lenient):
        made.put("a.csv", "1,ann@example.com,1.00")
        key = f"{made.source.prefix}orders/dt={DAY}/b.csv"
        services.s3.put_object(Bucket=services.zones.raw_bucket, Key=key, Body=b"PK\x03\x04 no zip at all")
    with pytest.raises(SenderFailure, match="1 file\\(s\\) refused"):
        strict.transform()
    assert strict.outcomes["b.csv"].outcome is Outcome.REFUSED
    lenient.transform()
    assert lenient.outcomes["b.csv"].outcome is Outcome.QUARANTINED
    assert len(lenient.rows) == 1


@pytest.mark.slow
def test_a_file_with_the_bytes_of_another_is_left_out_by_transforming_the_rest(services: Services) -> None:
    made = shop(services, arrival={"complete_when": "count", "expected_files": 3})
    for name, row in {"a.csv": "1,a@example.com,1.00", "b.csv": "1,a@example.com,1.00", "c.csv": "2,,2.00"}.items():
        made.put(name, row)
    [given] = made.transform()
    assert isinstance(given, Given)
    assert given.files == 2
    made.look()
    assert made.carry_out() == 1
    made.look()
    assert len(made.run()) == 1
    assert [row[0] for row in made.rows] == [1, 2]
    found = {name: o.outcome for name, o in made.outcomes.items()}
    assert sorted(found.values()) == [Outcome.LOADED, Outcome.LOADED, Outcome.REPEATED]
    assert found["c.csv"] is Outcome.LOADED
    assert made.newest.note.startswith("1 file is left out")


@pytest.mark.slow
def test_rows_that_a_manifest_promises_are_counted(services: Services) -> None:
    made = shop(services, arrival={"complete_when": "manifest"})
    made.put("a.csv", "1,ann@example.com,1.00")
    body = b'{"files": [{"name": "a.csv", "rows": 2}]}'
    key = f"{made.source.prefix}orders/dt={DAY}/manifest.json"
    services.s3.put_object(Bucket=services.zones.raw_bucket, Key=key, Body=body)
    with pytest.raises(SenderFailure, match="1 rows, the manifest says 2"):
        made.transform()


def test_what_arrives_meanwhile_waits_and_becomes_the_next_version(services: Services) -> None:
    made = shop(services)
    made.put("a.csv", "1,ann@example.com,1.00")
    made.run()
    made.look()
    made.put("a.csv", "1,ann@example.com,7.00")
    assert made.run() == []
    assert (made.delivery.version, made.delivery.pending) == (1, 1)
    made.carry_out()
    made.look()
    made.run()
    assert [str(row[2]) for row in made.rows] == ["1.00"]
    made.transform()
    assert [str(row[2]) for row in made.rows] == ["7.00"]
    assert [each.key.rsplit("/", 2)[1] for each in made.intentions] == ["v1", "v2"]


def test_a_result_by_another_contract_is_not_used_and_its_run_is_stopped(services: Services) -> None:
    made = shop(services)
    made.put("a.csv", "1,ann@example.com,1.00")
    made.run()
    made.look()
    columns = {**ORDERS["columns"], "amount": "string"}
    declared = Feed.model_validate({**ORDERS, "columns": columns})
    made.source = make_source(made.source.name, services.zones.raw_bucket, [declared])
    services.ledger.deliveries.claim(made.flow.name, DAY, "person")
    services.ledger.deliveries.free(made.flow.name, made.delivery)
    [given] = made.run()
    assert isinstance(given, Given)
    assert made.look() == 1
    states = {each.key: each.state for each in made.intentions}
    assert len(states) == 2
    runs = {run.intent: run for run in services.ledger.engine_runs.runs(made.source.name, TARGET)}
    assert [runs[key].unwanted for key in sorted(states)] == [True, False]
    assert made.carry_out() == 1
    assert made.look() == 0
    made.run()
    assert [row[2] for row in made.rows] == ["1.00"]
    assert sorted(each.state for each in made.intentions) == [IntentState.FULFILLED, IntentState.GIVEN_UP]


def test_a_result_that_is_gone_is_made_again(services: Services) -> None:
    made = shop(services)
    made.put("a.csv", "1,ann@example.com,1.00")
    made.run()
    made.look()
    made.carry_out()
    made.look()
    gone = next(key for key in made.prepared() if key.endswith(".parquet"))
    services.store.delete(services.zones.raw_bucket, [gone])
    [given] = made.run()
    assert isinstance(given, Given)
    made.look()
    assert made.carry_out() == 1
    made.look()
    made.run()
    assert len(made.rows) == 1


@pytest.mark.slow
def test_a_run_of_somebody_while_the_engine_works_gives_the_delivery_back_to_it(services: Services) -> None:
    made = shop(services)
    made.put("a.csv", "1,ann@example.com,1.00")
    made.run()
    made.look()
    with tempfile.TemporaryDirectory() as folder:
        assert isinstance(transform_or_give(services, made.flow, DAY, "by-hand", Path(folder)), Given)
    assert (made.delivery.state, len(made.intentions)) == (DeliveryState.TRANSFORMING, 1)
    assert made.look() == 1
    made.carry_out()
    made.look()
    made.run()
    assert len(made.rows) == 1


def test_a_start_whose_answer_is_lost_is_adopted(services: Services) -> None:
    lost = ["once"]

    def starts() -> None:
        if lost:
            lost.pop()
            raise TransientFailure("the answer is lost")

    made = shop(services)
    made.starts = starts
    made.put("a.csv", "1,ann@example.com,1.00")
    made.run()
    made.look()
    assert [each.state for each in made.intentions] == [IntentState.INTENDED]
    made.later()
    made.look()
    [run] = services.ledger.engine_runs.runs(made.source.name, TARGET)
    assert (run.intent, run.adopted) == (made.intentions[0].key, True)
    assert made.carry_out() == 1
    made.look()
    made.run()
    assert len(made.rows) == 1


def test_where_there_is_no_spark_any_more_deliveries_are_made_here(services: Services) -> None:
    made = shop(services, engine="auto")
    made.services = replace(services, settings=replace(services.settings, spark_from=1))
    made.put("a.csv", "1,ann@example.com,1.00")
    [given] = made.run()
    assert isinstance(given, Given)
    made.look()
    made.services = replace(services, settings=replace(services.settings, spark=""))
    assert made.look() == 0
    [done] = made.run()
    assert not isinstance(done, Given)
    assert len(made.rows) == 1


@pytest.mark.parametrize(
    ("engine", "spark", "spark_from", "given"),
    [
        ("auto", "glue", 1, True),
        ("auto", "glue", 10**9, False),
        ("auto", "", 1, False),
        ("duckdb", "glue", 1, False),
        ("spark", "glue", 10**9, True),
    ],
)
def test_who_transforms_a_delivery(services: Services, engine: str, spark: str, spark_from: int, given: bool) -> None:
    made = shop(services, engine=engine)
    made.services = replace(services, settings=replace(services.settings, spark=spark, spark_from=spark_from))
    made.put("a.csv", "1,ann@example.com,1.00")
    [done] = made.run()
    assert isinstance(done, Given) is given


def test_a_feed_for_spark_waits_until_the_platform_has_one(services: Services) -> None:
    made = shop(services)
    made.services = replace(services, settings=replace(services.settings, spark=""))
    made.put("a.csv", "1,ann@example.com,1.00")
    with pytest.raises(EnvironmentFailure, match="ADPLATFORM_SPARK names no Spark"):
        made.run()
    assert (made.delivery.state, made.delivery.hindered, made.delivery.attempt) == (DeliveryState.FAILED, 1, 1)


def _runs(services: Services, source: Source, hours: int) -> None:
    """What a look finds to be dead is run by a later one."""
    made = Shop(services, source)
    made.later(hours)
    made.run()
    made.later(12)
    made.run()


def _looks(services: Services, source: Source) -> None:
    Shop(services, source).look()


def _killed_in_looks(made: Shop) -> int:
    """Looks, of which each is killed before a write later than the one before, until one comes to its end; how many
    were killed."""
    for writes in range(1, 40):
        code, _ = killed_at(made.services, partial(_looks, source=made.source), writes)
        if code == 0:
            return writes - 1
    raise AssertionError("no look came to its end")


def test_people_are_told_which_run_has_a_delivery_and_what_to_do(services: Services) -> None:
    made = shop(services)
    made.put("a.csv", "1,ann@example.com,1.00")
    made.run()
    name, of = made.source.name, f"{made.source.name}/{TARGET}"
    since = f"glue transforms it since {made.intentions[0].intended_at:%Y-%m-%d %H:%M} UTC"
    told = transforming(services, made.flow.name, made.delivery)
    assert told == f"{since}; its run is not started yet, which a look of {name} does: `adplatform runs {of}`"
    made.look()
    made.look()
    run = made.intentions[0].run_id
    told = transforming(services, made.flow.name, made.delivery)
    assert told == (
        f"{since}, run {run} (running), https://console.example.com/{run}; `adplatform runs {of}` follows it, "
        f"`adplatform engines cancel {of} {run}` stops it"
    )
    console = Console(width=4000, record=True, file=io.StringIO())
    console.print(delivery_line(services, made.flow.name, made.delivery, None))
    assert told in console.export_text()
    ledger = services.ledger
    ledger.client.delete_item(TableName=ledger.table, Key=key(made.flow.name, made.newest.sort_key))
    [finding] = examine(services, made.source, "doctor", repair=False)
    assert finding.problem == f"the ledger lacks version 1; {told}; look again when it has ended"


def test_looks_that_are_killed_anywhere_start_one_run_and_lose_nothing(services: Services) -> None:
    made = shop(services)
    made.put("a.csv", "1,ann@example.com,1.00")
    made.run()
    assert _killed_in_looks(made) >= 3
    engine = JobEngine(services, made.source.name, TARGET)
    assert len(engine.rows()) == 1
    assert made.carry_out() == 1
    assert _killed_in_looks(made) >= 3
    assert made.delivery.state is DeliveryState.SETTLED
    made.run()
    assert len(made.rows) == 1
    assert [each.state for each in made.intentions] == [IntentState.FULFILLED]
    assert len(services.ledger.engine_runs.runs(made.source.name, TARGET)) == 1


def _killed_in_runs(made: Shop, *moments: int) -> int:
    """Runs of what is due, each killed before that write of its own, until one comes to its end; how many were
    killed."""
    for killed, writes in enumerate(moments):
        hours = round((made.services.now() - utc_now()) / timedelta(hours=1))
        if killed_at(made.services, partial(_runs, source=made.source, hours=hours), writes)[0] == 0:
            return killed
        made.later(24)
    made.run()
    made.later(12)
    made.run()
    return len(moments)


def test_runs_that_are_killed_anywhere_give_and_publish_once(services: Services) -> None:
    made = shop(services)
    made.put("a.csv", "1,ann@example.com,1.00")
    made.services.settler(made.source).arrivals.reconcile(made.source.prefix)
    assert _killed_in_runs(made, 5, 6, 7) >= 2
    assert made.delivery.state is DeliveryState.TRANSFORMING
    assert len(made.intentions) == 1
    made.look()
    assert made.carry_out() == 1
    made.look()
    assert _killed_in_runs(made, 4, 9) >= 2
    assert (len(made.rows), made.delivery.state) == (1, DeliveryState.PUBLISHED)
    assert [each.state for each in made.intentions] == [IntentState.FULFILLED]
    assert [row.state for row in services.ledger.publications.of_feed(made.flow.name)] == [DeliveryState.PUBLISHED]


def test_what_makes_deliveries_again_waits_for_the_engine(services: Services) -> None:
    made = shop(services)
    made.put("a.csv", "1,ann@example.com,1.00")
    made.run()
    work = Work(
        lambda _: services.settler(made.source), lambda *_: "", NoRunIsAlive(), Path(), "keys-1", lambda _: None
    )
    seen, why = settled_again(services.ledger, made.flow, DAY, 1, "another key", work, "rotate")
    assert seen is None
    assert why == f"{made.flow.name} {DAY}: an engine transforms it; rotate again when that has ended"
    assert made.delivery.state is DeliveryState.TRANSFORMING


def _through(made: Shop) -> None:
    """Until what the engine is given is published."""
    for _ in range(3):
        made.look()
        if all(not isinstance(each, Given) for each in made.run()) and made.delivery.published:
            return
        made.look()
        made.carry_out()
    raise AssertionError(made.delivery)


@pytest.mark.parametrize("ends", ["before", pytest.param("after", marks=pytest.mark.slow)])
def test_what_is_made_under_a_key_that_is_rotated_meanwhile_is_not_published(services: Services, ends: str) -> None:
    made = shop(services)
    club, local = Club(services, made.source), here(made)
    made.put("a.csv", "1,ann@example.com,1.00")
    made.run()
    made.look()
    before = club.key_id
    if ends == "before":
        assert made.carry_out() == 1
    rotated = club.rotate()
    assert rotated.problems == ()
    if ends == "after":
        assert made.carry_out() == 1
    _through(made)
    assert before != club.key_id == made.newest.key_id
    assert made.delivery.version == 1
    provision(services, [local.source])
    local.put("a.csv", "1,ann@example.com,1.00")
    local.run()
    assert made.rows == local.rows


def test_what_an_engine_staged_of_a_person_is_not_published_after_an_erasure(services: Services) -> None:
    made = shop(services)
    club = Club(services, made.source)
    made.put("a.csv", f"1,{JANE},1.00", "2,bob@example.com,2.00")
    made.run()
    made.look()
    assert made.carry_out() == 1
    assert any(key.endswith(".parquet") for key in made.prepared())
    receipt = erase_jane(club)
    assert receipt.counts
    _through(made)
    assert [row[0] for row in made.rows] == [2]
    assert erase_jane(club).problems == ()
    assert [row[0] for row in made.rows] == [2]
    assert not [key for key in made.prepared() if key.endswith(".parquet")]


def test_a_run_that_somebody_stops_is_no_more_wanted(services: Services) -> None:
    made = shop(services)
    made.put("a.csv", "1,ann@example.com,1.00")
    made.run()
    made.look()
    [run] = services.ledger.engine_runs.runs(made.source.name, TARGET)
    watch = spark_watch(services, made.source, JobEngine)
    watch.cancel(watch.targets[0], run)
    assert made.look() == 0
    with pytest.raises(PermanentFailure, match="was cancelled"):
        made.run()
    assert made.carry_out() == 0


@pytest.mark.parametrize("promised", ["the digest", "another"])
def test_a_large_file_is_held_against_its_promised_digest_without_room_for_it(
    services: Services, promised: str
) -> None:
    made = shop(services, arrival={"complete_when": "manifest"})
    body = b"order_id,email,amount\n" + b"1,ann@example.com,1.00\n" * (SMALL // 20)
    digest = sha256(body if promised == "the digest" else b"").hexdigest()
    listed = {"files": [{"name": "a.csv", "sha256": digest}]}
    for name, content in {"a.csv": body, "manifest.json": json.dumps(listed).encode()}.items():
        key = f"{made.source.prefix}orders/dt={DAY}/{name}"
        services.s3.put_object(Bucket=services.zones.raw_bucket, Key=key, Body=content)
    settler = services.settler(made.source)
    settler.arrivals.reconcile(made.source.prefix)
    settler.due(NoRunIsAlive())
    objects = version_objects(services.s3, services.zones, services.ledger, made.flow, DAY, 1)
    [outcome] = land(services, made.flow, DAY, 1, objects, Path("/nowhere"))
    assert outcome.outcome is (Outcome.LOADED if promised == "the digest" else Outcome.REFUSED)
