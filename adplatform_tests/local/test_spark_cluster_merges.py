"""A merge on a cluster of several processes, one of which is lost."""

from dataclasses import replace

import pytest

from adplatform.changes.merge_plan import MergePlan
from adplatform.engines.declared_spark import SCRIPT
from adplatform.engines.spark_work import look_at_spark
from adplatform.flow.engine_work import Given, output_prefix, plan_key
from adplatform.ledger.engine_run import IntentState
from adplatform_tests.local.test_spark_cluster import Ground, ground
from adplatform_tests.support.changes import ORDERS, changes_of, followed_source
from adplatform_tests.support.spark_runs import on_emr, put_entry_point
from adplatform_tests.support.waiting import turns

__all__ = ["ground"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
BUCKETS, ROWS = 16, 2_000


def test_a_merge_survives_a_worker_that_is_killed_and_has_every_row_once(ground: Ground) -> None:
    services = on_emr(ground.services, ground.application)
    put_entry_point(services, SCRIPT)
    feed = {**ORDERS, "engine": "spark", "outputs": ["current", "history"], "buckets": BUCKETS}
    shop = followed_source(services, [feed])
    for n in range(4):
        shop.file(*(shop.change("I" if n == 0 else "U", id=each, status=f"{n}") for each in range(ROWS)))
    shop.process()
    given = shop.step()
    assert isinstance(given, Given)
    bucket, key = services.zones.raw_bucket, plan_key(given.intention)
    plan = MergePlan.model_validate_json(services.s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    spread = plan.model_copy(update={"shards": BUCKETS})
    services.s3.put_object(Bucket=bucket, Key=key, Body=spread.model_dump_json().encode())
    source, runs = shop.pattern.source, services.ledger.engine_runs
    look_at_spark(services, source)
    written = output_prefix(given.intention)
    assert any(list(services.store.listing(bucket, written)) for _ in turns(900))
    ground.cluster.workers[1].kill()

    def state() -> IntentState:
        look_at_spark(services, source)
        [intention] = runs.intentions(source.name, "merge-orders")
        return intention.state

    assert any(state() is IntentState.FULFILLED for _ in turns(900))
    later = changes_of(replace(services), shop.declared)
    done = later.fold()
    assert done and (done.changes, done.applied + done.superseded) == (4 * ROWS, 4 * ROWS)
    assert later.rows(columns="count(*), count(distinct id), min(status)") == [(ROWS, ROWS, "3")]
    assert later.rows("_history", "count(*), count(distinct (id, _seq))") == [(3 * ROWS, 3 * ROWS)]
