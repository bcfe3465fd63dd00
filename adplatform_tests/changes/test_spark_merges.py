"""Merges that Spark makes come to the same tables as those of this machine, row for row."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from adplatform.changes.generations import next_generation
from adplatform.flow.services import Services
from adplatform.ledger.folds import Generation
from adplatform.platform.aws import Aws
from adplatform_tests.support.changes import ORDERS, Changes, followed_source
from adplatform_tests.support.merge_jobs import ByEngine, by_session
from adplatform_tests.support.platforms import make_services
from adplatform_tests.support.transform_jobs import with_spark
from adplatform_tests.support.waiting import next_second

EXACT: dict[str, Any] = {**ORDERS, "outputs": ["current", "history"], "buckets": 5, "unchanged": "status"}
VALUES = "id, status, amount, _seq, _changed_at"


@pytest.fixture
def services(aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Services:
    monkeypatch.setenv("AWS_ENDPOINT_URL", str(aws.endpoint_url))
    return with_spark(make_services(aws, tmp_path / "home"))


def seen(shop: Changes) -> list[list[tuple[Any, ...]]]:
    return shop.seen(_=VALUES, _deleted=VALUES, _history=f"{VALUES}, _valid_to, _closed_by")


def test_the_same_changes_come_to_the_same_tables_whoever_merges_them(sail: SparkSession, services: Services) -> None:
    spark, local = (followed_source(services, [{**EXACT, "engine": engine}]) for engine in ("spark", "duckdb"))
    by_spark, shops = ByEngine(spark, by_session(sail, shards=3)), (spark, local)

    def merged(write: Callable[[Changes], object]) -> dict[str, int]:
        for shop in shops:
            write(shop)
            shop.process()
        made, here = by_spark.merge(), local.fold()
        assert made and here
        assert seen(spark) == seen(local)
        names = ("changes", "applied", "superseded", "unplaced", "rebuilt", "closed", "read", "set_aside")
        assert [getattr(made, name) for name in names] == [getattr(here, name) for name in names]
        return {name: getattr(made, name) for name in names}

    late: dict[int, dict[str, Any]] = {}

    def with_a_key_that_half_of_them_have(shop: Changes) -> None:
        shop.load(*({"id": n, "status": "long", "amount": Decimal(n)} for n in range(2, 20)))
        updates = [shop.change("U", id=2, amount=Decimal(n)) for n in range(20)]
        late[id(shop)] = shop.change("U", id=3, status="late")
        shop.file(*updates[:10], shop.change("D", id=4), *(shop.change("U", id=n, status="x") for n in range(5, 9)))
        shop.file(*updates[10:], shop.change("U", id=3, amount=Decimal(33)), shop.change("I", id=1, status="new"))

    def with_one_that_is_late_and_one_that_is_there_again(shop: Changes) -> None:
        shop.file(late[id(shop)], shop.change("I", id=4, status="again"), shop.change("D", id=9))

    loads: list[Generation] = []

    def with_a_load_that_lacks_rows(shop: Changes) -> None:
        load = loads[0] if loads else next_generation([], services.now(), "a test")
        loads.append(load)
        assert services.ledger.folds.open(shop.pattern.source.name, "orders", load)
        shop.load({"id": 1, "status": "loaded"}, {"id": 4, "status": "loaded"}, number=2)
        _is_whole(shop, load, 2)

    assert merged(with_a_key_that_half_of_them_have)["closed"] > 20
    assert merged(with_one_that_is_late_and_one_that_is_there_again)["rebuilt"] == 1
    next_second()
    merged(with_a_load_that_lacks_rows)
    assert [row[:2] for row in seen(spark)[0]] == [(1, "loaded"), (4, "loaded")]
    assert by_spark.left() == []


def _is_whole(shop: Changes, load: Generation, rows: int) -> None:
    shop.services.ledger.folds.loaded(shop.pattern.source.name, "orders", load, rows)
