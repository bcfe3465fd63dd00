"""Merges that are given to an engine: whatever fails or changes meanwhile, nothing is lost, and nothing comes twice."""

from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from adplatform.changes.fold import Folded
from adplatform.changes.targets import with_engines
from adplatform.contracts.changes import ChangesSource
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow.engine_work import Given
from adplatform.flow.services import Services
from adplatform.ledger.engine_run import IntentState, RunState
from adplatform.ledger.folds import FoldState
from adplatform.platform.aws import Aws
from adplatform.platform.clock import utc_now
from adplatform_tests.changes.test_erased_rows import JANE
from adplatform_tests.changes.test_loads import began, whole
from adplatform_tests.changes.test_rotated_keys import PEOPLE, key_of
from adplatform_tests.flow.persons import erase_jane, jane, places_of
from adplatform_tests.flow.rotations import Club
from adplatform_tests.support import plainly
from adplatform_tests.support.changes import ORDERS, changes_of, followed_source
from adplatform_tests.support.merge_jobs import TARGET, ByEngine, by_session
from adplatform_tests.support.platforms import make_services
from adplatform_tests.support.transform_jobs import by_nothing, with_spark

EXACT: dict[str, Any] = {**ORDERS, "outputs": ["current", "history"], "engine": "spark"}


@pytest.fixture
def services(aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Services:
    monkeypatch.setenv("AWS_ENDPOINT_URL", str(aws.endpoint_url))
    return with_spark(make_services(aws, tmp_path / "home"))


def waiting(services: Services, sail: SparkSession, feed: dict[str, Any] = EXACT) -> ByEngine:
    """A table with changes that wait to be merged."""
    shop = followed_source(services, [feed])
    shop.file(
        shop.change("I", id=1, status="a"), shop.change("I", id=2, status="b"), shop.change("U", id=1, status="c")
    )
    shop.process()
    return ByEngine(shop, by_session(sail))


def rows(made: ByEngine) -> list[tuple[Any, ...]]:
    return made.shop.rows(columns="id, status")


def test_a_merge_waits_for_its_engine_and_costs_no_attempt(services: Services, sail: SparkSession) -> None:
    made = waiting(services, sail)
    given = made.shop.step()
    assert isinstance(given, Given) and given.files == 1
    assert (made.row.state, made.row.run_id, made.row.attempt) == (FoldState.WITH_ENGINE, "", 0)
    assert made.shop.step() is None
    assert (made.look(), made.look()) == (1, 1)
    assert [each.state for each in made.intentions] == [IntentState.STARTED]
    assert made.shop.step() is None
    assert (made.carry_out(), made.look()) == (1, 0)
    done = made.shop.fold()
    assert done and done.engine_run and done.engine_run.usage
    assert (rows(made), done.changes, made.left()) == ([(1, "c"), (2, "b")], 3, [])
    assert (made.row.state, made.row.number, made.row.job) == (FoldState.SUCCEEDED, 1, "")


def test_a_small_merge_is_made_here_where_the_engine_is_left_to_the_platform(
    services: Services, sail: SparkSession
) -> None:
    made = waiting(services, sail, {**EXACT, "engine": "auto"})
    done = made.shop.step()
    assert not isinstance(done, Given) and rows(made) == [(1, "c"), (2, "b")]
    small = replace(services, settings=replace(services.settings, spark_from=1))
    shop = changes_of(small, made.shop.declared)
    shop.file(shop.change("I", id=3, status="d"))
    shop.process()
    assert isinstance(shop.step(), Given)


def test_runs_that_fail_or_end_without_a_result_are_repeated_and_in_the_end_the_merge_fails(
    services: Services, sail: SparkSession
) -> None:
    made = waiting(services, sail)
    made.shop.step()
    for job, fails in ((None, "out of memory"), (by_nothing, ""), (by_nothing, "")):
        made.look()
        assert made.carry_out(job, fails=fails) == 1
        made.look()
        made.later()
    runs = services.ledger.engine_runs.runs(made.shop.pattern.source.name, TARGET)
    assert [each.state for each in runs] == [RunState.FAILED] * 3
    with pytest.raises(PermanentFailure, match="its 3 Spark runs, the last of which failed: it ended without a result"):
        made.shop.step()
    folds = services.ledger.folds
    failed = folds.fail(made.row, "given up")
    assert failed and folds.retry(failed)
    assert made.merge()
    assert rows(made) == [(1, "c"), (2, "b")]
    assert [each.state for each in made.intentions] == [IntentState.GIVEN_UP, IntentState.FULFILLED]


@pytest.mark.slow
def test_a_contradiction_fails_the_merge_as_on_this_machine(services: Services, sail: SparkSession) -> None:
    made = waiting(services, sail)
    made.merge()
    change = made.shop.change("I", id=7, status="a")
    made.shop.file(change, {**change, "status": "b"})
    made.shop.process()
    with pytest.raises(PermanentFailure, match="1 rows have two different changes of one sequence"):
        made.merge()


def _lost() -> None:
    raise TransientFailure("no answer")


@pytest.mark.slow
def test_a_start_whose_answer_is_lost_costs_no_second_result(services: Services, sail: SparkSession) -> None:
    made = waiting(services, sail)
    made.shop.step()
    made.look(_lost)
    made.later()
    made.look()
    made.carry_out()
    made.look()
    made.shop.fold()
    assert len(services.ledger.engine_runs.runs(made.shop.pattern.source.name, TARGET)) == 1
    assert rows(made) == [(1, "c"), (2, "b")]


@pytest.mark.slow
def test_a_result_of_a_merge_that_is_planned_anew_is_not_used(services: Services, sail: SparkSession) -> None:
    made = waiting(services, sail)
    made.shop.step()
    made.look()
    made.carry_out(fails="out of memory")
    made.look()
    folds = services.ledger.folds
    failed = folds.fail(made.row, "given up")
    assert failed
    load = began(made.shop)
    made.shop.load({"id": 2, "status": "loaded"})
    made.shop.process()
    whole(made.shop, load, 1)
    given = made.shop.step()
    assert isinstance(given, Given)
    made.later()
    made.look()
    assert made.carry_out() == 1
    made.look()
    assert made.shop.fold()
    assert rows(made) == [(2, "loaded")]
    assert [each.state for each in made.intentions] == [IntentState.GIVEN_UP, IntentState.FULFILLED]
    assert made.left() == []


@pytest.mark.slow
def test_changes_that_are_published_meanwhile_wait_for_the_next_merge(services: Services, sail: SparkSession) -> None:
    made = waiting(services, sail)
    made.shop.step()
    made.shop.file(made.shop.change("I", id=3, status="d"))
    made.shop.process()
    made.look()
    made.carry_out()
    made.look()
    made.shop.fold()
    assert rows(made) == [(1, "c"), (2, "b")]
    assert made.merge()
    assert rows(made) == [(1, "c"), (2, "b"), (3, "d")]


def test_a_run_that_nobody_waits_for_any_more_is_stopped(services: Services, sail: SparkSession) -> None:
    made = waiting(services, sail)
    made.shop.step()
    made.look()
    assert services.ledger.folds.fail(made.row, "given up")
    made.look()
    made.look()
    [run] = services.ledger.engine_runs.runs(made.shop.pattern.source.name, TARGET)
    assert run.state is RunState.CANCELLED
    assert [each.state for each in made.intentions] == [IntentState.GIVEN_UP]


def test_without_a_spark_this_machine_makes_what_an_engine_had(services: Services, sail: SparkSession) -> None:
    made = waiting(services, sail, {**EXACT, "engine": "auto"})
    made.shop.services = replace(services, settings=replace(services.settings, spark_from=1))
    assert isinstance(made.shop.step(), Given)
    made.look()
    made.shop.services = replace(services, settings=replace(services.settings, spark=""))
    made.look()
    assert made.shop.fold()
    assert rows(made) == [(1, "c"), (2, "b")]


def _step(services: Services, declared: ChangesSource, later: timedelta) -> None:
    """As of some time from now: what has died before rests for a while."""
    changes_of(replace(services, now=lambda: utc_now() + later), declared).step()


def killed(made: ByEngine, moments: list[int], hours: int = 3) -> None:
    """Runs that are killed before their write of so many, one after the other."""
    declared = made.shop.declared
    for n, moment in enumerate(moments, 1):
        step = partial(_step, declared=declared, later=timedelta(hours=n * hours))
        code, _ = plainly.killed_at(made.services, step, moment)
        assert code in (0, -9)
    made.later(hours * (len(moments) + 1))


@pytest.mark.parametrize("moments", [[4], pytest.param([1, 2, 3, 5, 6], marks=pytest.mark.slow)])
def test_a_run_that_is_killed_while_it_gives_a_merge_away_is_followed_by_one_that_does(
    services: Services, sail: SparkSession, moments: list[int]
) -> None:
    made = waiting(services, sail)
    killed(made, moments)
    if made.row.state is not FoldState.WITH_ENGINE:
        assert isinstance(made.shop.step(), Given)
    assert len(made.intentions) == 1
    made.look()
    assert made.carry_out() == 1
    made.look()
    assert made.shop.fold()
    assert (rows(made), made.row.number, made.shop.step()) == ([(1, "c"), (2, "b")], 1, None)


@pytest.mark.parametrize("moments", [[9], *(pytest.param([n], marks=pytest.mark.slow) for n in range(2, 40, 3))])
def test_a_run_that_is_killed_while_it_publishes_what_an_engine_made_is_followed_by_one_that_does(
    services: Services, sail: SparkSession, moments: list[int]
) -> None:
    made = waiting(services, sail)
    made.merge()
    made.shop.file(made.shop.change("D", id=1), made.shop.change("U", id=2, status="e"))
    made.shop.process()
    made.shop.step()
    made.look()
    made.carry_out()
    made.look()
    killed(made, moments)
    assert rows(made) in ([(1, "c"), (2, "b")], [(2, "e")])
    made.shop.fold()
    assert made.shop.seen(_="id, status", _deleted="id, status", _history="id, status") == [
        [(2, "e")],
        [(1, "c")],
        [(1, "a"), (1, "c"), (2, "b")],
    ]
    assert (made.row.number, len(made.intentions)) == (2, 2)


@pytest.mark.slow
def test_a_hashing_key_that_is_rotated_meanwhile_takes_the_merge_from_its_engine(
    services: Services, sail: SparkSession
) -> None:
    shop = followed_source(services, [{**PEOPLE, "engine": "spark"}])
    made = ByEngine(shop, by_session(sail))
    shop.file(*(shop.change("I", id=n, status=f"p{n}@example.com") for n in range(3)))
    shop.process()
    made.merge()
    shop.file(shop.change("U", id=7, status="p1@example.com"))
    shop.process()
    assert isinstance(shop.step(), Given)
    made.look()
    Club(services, shop.pattern.source).rotate()
    assert isinstance(shop.step(), Given)
    made.look()
    assert made.carry_out() == 1
    made.look()
    assert shop.fold()
    assert shop.rows(columns="id, _pii_key_id") == [(n, key_of(services).id) for n in (0, 2, 7)]
    runs = services.ledger.engine_runs.runs(shop.pattern.source.name, TARGET)
    assert sorted(each.state for each in runs) == [RunState.CANCELLED, RunState.SUCCEEDED, RunState.SUCCEEDED]


def test_an_erasure_meanwhile_takes_the_merge_from_its_engine(services: Services, sail: SparkSession) -> None:
    for bucket in (services.zones.raw_bucket, services.zones.clean_bucket):
        services.s3.create_bucket(Bucket=bucket)
        enabled = {"Status": "Enabled"}
        services.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=enabled)
    shop = followed_source(services, [{**PEOPLE, "engine": "spark"}])
    made, club = ByEngine(shop, by_session(sail)), Club(services, shop.pattern.source)
    shop.file(*(shop.change("I", id=n, status=who) for n, who in ((1, JANE), (2, "bob@x.org"))))
    shop.process()
    made.merge()
    shop.file(shop.change("U", id=1, status=JANE), shop.change("I", id=3, status="eve@x.org"))
    shop.process()
    assert isinstance(shop.step(), Given)
    made.look()
    assert made.carry_out() == 1

    def follow() -> list[str]:
        while isinstance(shop.step(), Folded):
            pass
        return [row.name for row in with_engines(services, shop.pattern.source)]

    person = jane(club)
    assert erase_jane(club, follow=follow).problems == (made.row.name,)
    made.look()
    assert made.carry_out() == 1
    made.look()
    assert erase_jane(club, follow=follow).problems == ()
    assert (places_of(club, person), shop.rows(columns="id")) == ([], [(2,), (3,)])
