"""Marketing Stream of an Ads account as Dagster runs it: from a queue to sums of hours and days."""

import json
import random
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import duckdb
import pytest

from adplatform.amazon.sources import AdsSource
from adplatform.components import AmazonAdsReports
from adplatform.flow.budget import UNLIMITED
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.flow.slices import build_lease, publish_made
from adplatform.lake.query import run_query
from adplatform.ledger.scopes import Scope
from adplatform.local.world.amazon.accounts import DEMO_ACCOUNTS
from adplatform.local.world.amazon.advertising import Query, rows
from adplatform.local.world.amazon.stream import Record, send, sent
from adplatform.pull.account import account_of
from adplatform.pull.fact import fact_of
from adplatform.pull.stream.agreement import AGREES, JUDGED
from adplatform.pull.stream.messages import provide_queue, take
from adplatform.pull.stream.sums import KNOWN_PROFILES, mark
from adplatform.pull.stream.tables import StreamTables, stream_of
from adplatform.transform.rules import sql_type
from adplatform_tests.support.platforms import resources_with
from adplatform_tests.support.receivers import receiving
from adplatform_tests.support.report_api import MemoryReports
from adplatform_tests.support.waiting import eventually

SEED = 7
PROFILE, *_, STRANGER = DEMO_ACCOUNTS.profiles
DAY = date(2026, 11, 1)
"""On which clocks go back in Los Angeles, and another month has begun by UTC before it ends there."""
POISON = ["not JSON", "5", '{"dataset_id": "budget-usage", "budget": 5}', '{"dataset_id": "sp-traffic"}']


def declared(**stream: Any) -> AdsSource:
    return AdsSource.model_validate(
        {
            "source": "ads",
            "credentials": "ads/secret",
            "simulated": True,
            "start_date": "2026-10-01",
            "profiles": [PROFILE.id],
            "reports": ["sp_campaigns"],
            "stream": {"datasets": ["sp-traffic"], **stream},
        }
    )


@dataclass
class Streaming:
    """An account whose stream is read at ``at``."""

    services: Services
    instance: dg.DagsterInstance
    work: Path
    at: list[datetime]
    source: AdsSource

    @cached_property
    def stream(self) -> StreamTables:
        found = stream_of(account_of(self.source))
        assert found is not None
        return found

    @cached_property
    def url(self) -> str:
        return provide_queue(self.services, self.stream)

    @cached_property
    def defs(self) -> dg.Definitions:
        api = MemoryReports(lambda: self.at[0], lambda *_: [])
        return dg.Definitions.merge(
            dg.component_defs(component=AmazonAdsReports(self.source, lambda *_: api)),
            dg.Definitions(resources=resources_with(self.services), executor=dg.in_process_executor),
        )

    def send(self, bodies: Sequence[Record | str]) -> None:
        send(self.services.sqs, self.url, bodies)

    def asked(self, cursor: str | None = None) -> list[dg.RunRequest]:
        """The runs that a tick asks for of the stream."""
        resources = resources_with(self.services)
        context = dg.build_sensor_context(
            instance=self.instance, definitions=self.defs, resources=resources, cursor=cursor
        )
        found = self.defs.resolve_sensor_def("ads_reports").evaluate_tick(context)
        return [each for each in found.run_requests or () if each.job_name == "ads_stream"]

    def run(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        job = self.defs.resolve_job_def("ads_stream")
        return job.execute_in_process(instance=self.instance, tags=dict(request.tags))

    def died_taking(self, files: int) -> None:
        """A run dies when it has put so many files into the raw zone, before it deletes a message."""
        with closing(take(self.services, self.stream, f"dead-{files}", self.work, UNLIMITED)) as landed:
            for _ in range(files):
                next(landed)

    def report(self, *sums: Any) -> None:
        """Publish impressions, clicks and cost of the date as the daily fact of the reports."""
        fact = fact_of(self.stream.account)
        assert fact is not None
        flow, file = fact.flow(str(PROFILE.id)), self.work / "fact.parquet"
        columns = ", ".join(c.name for c in flow.feed.columns)
        given = {"ad_product": "'SPONSORED_PRODUCTS'", "campaign_id": "1", "as_of": "now()"}
        given |= dict(zip(("impressions", "clicks", "cost"), map(str, sums), strict=True))
        values = ", ".join(
            f"cast({given.get(c.name, 'null')} as {sql_type(c.data_type)}) as {c.name}" for c in flow.feed.columns
        )
        with duckdb.connect() as con:
            con.sql(f"copy (select {columns} from (select {values})) to '{file}' (format parquet)")
        with build_lease(self.services, flow, DAY, "reports") as lease:
            publish_made(self.services, flow, DAY, file, lease, "reports", self.work)

    def question(self) -> tuple[str, str]:
        """What a topic asks before it sends to who has subscribed, and the ARN of the topic."""
        sns = self.services.sns
        topic = sns.create_topic(Name=f"marketing-stream-{uuid4().hex[:8]}")["TopicArn"]
        with receiving(json.loads) as receiver:
            sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=receiver.url)
            (asked,) = eventually(lambda: receiver.taken)
        return json.dumps(asked), topic

    def confirmed(self, topic: str) -> bool:
        (found,) = self.services.sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
        attributes = self.services.sns.get_subscription_attributes(SubscriptionArn=found["SubscriptionArn"])
        return bool(attributes["Attributes"]["PendingConfirmation"] == "false")

    def in_flight(self) -> int:
        """Messages that somebody has received and not deleted."""
        name = "ApproximateNumberOfMessagesNotVisible"
        found = self.services.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=[name])
        return int(found["Attributes"][name])

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        prefix = self.services.settings.database_prefix
        named = sql.replace("stream_", f"{prefix}ads.stream_")
        return run_query(self.services.aws, self.services.glue, prefix, named, 100_000)[1]

    def sums(self, table: str) -> dict[int, tuple[Any, ...]]:
        measures = "sum(impressions), sum(clicks), sum(cost)"
        own = f"dt = '{DAY}' and profile_id = '{PROFILE.id}'"
        found = self.query(f"select keyword_id, {measures} from {table} where {own} group by 1")
        return {key: (i, c, round(cost, 2)) for key, i, c, cost in found if i or c or cost}


def reported(age: int) -> dict[int, tuple[Any, ...]]:
    """What a report of the date says that is asked for at that age."""
    query = Query("spTargeting", ("targeting",), ("keywordId", "impressions", "clicks", "cost"))
    found = rows(query, PROFILE, DAY, datetime(2026, 11, 1, 20, tzinfo=UTC) + timedelta(days=age), SEED)
    return {r["keywordId"]: (r["impressions"], r["clicks"], round(Decimal(str(r["cost"])), 2)) for r in found}


def found(run: dg.ExecuteInProcessResult, check: str) -> list[dg.AssetCheckEvaluation]:
    """What a check has found in a run."""
    every = (e.asset_check_evaluation_data for e in run.all_events if e.event_type_value == "ASSET_CHECK_EVALUATION")
    return [each for each in every if each.check_name == check]


@pytest.fixture
def streaming(services: Services, instance: dg.DagsterInstance, tmp_path: Path) -> Streaming:
    at = [datetime(2026, 11, 1, 20, tzinfo=UTC)]
    moved = replace(services, now=lambda: at[0])
    provision(moved, [])
    known = Scope(str(PROFILE.id), PROFILE.timezone, "US", "USD", owner=PROFILE.entity, place=PROFILE.marketplace)
    moved.ledger.scopes.put("ads", [known])
    return Streaming(moved, instance, tmp_path, at, declared())


def test_sums_are_those_of_the_reports_whatever_comes_in_whatever_order_and_however_often(
    streaming: Streaming,
) -> None:
    shuffled = random.Random(5)
    first = sent("sp-traffic", PROFILE, DAY - timedelta(days=2), SEED, 0)[:1]
    stranger = sent("sp-traffic", STRANGER, DAY - timedelta(days=2), SEED, 0)[:1]
    question, topic = streaming.question()
    early = [*first, *stranger, *sent("sp-traffic", PROFILE, DAY, SEED, 0), *POISON]
    shuffled.shuffle(early)
    streaming.send(early)
    streaming.died_taking(2)
    assert streaming.in_flight() == len(early), "nothing is deleted before the ledger has all files of the batch"
    streaming.send([*early, *early[:20], question])
    (request,) = streaming.asked()
    ran = streaming.run(request)
    assert ran.success
    assert streaming.confirmed(topic)
    assert {each.description for each in found(ran, KNOWN_PROFILES) if not each.passed} == {
        "messages come of profiles that are not declared: advertiser ENTITY4DEMOJP in A1VC38T7YXB528"
    }
    assert streaming.sums("stream_daily") == streaming.sums("stream_hourly") == reported(0)
    [(hours, midnight, offsets)] = streaming.query(
        "select count(distinct hour), min(hour_of_day), count(distinct date_diff('hour', timestamptz"
        " '2026-11-01 07:00:00+00', hour) - hour_of_day) from stream_hourly"
        f" where profile_id is not null and dt = '{DAY}'"
    )
    assert (midnight, offsets) == (0, 2), "two offsets from UTC on a date on which clocks go back"
    assert hours <= 25
    shown = streaming.services.ledger.publications.since("ads/stream_sp_traffic", DAY, 0)[-1]
    assert set(shown.reasons) == {"bad_json", "required:idempotency_id", "required:time_window_start"}
    assert shown.quarantined >= len(POISON)
    recently = f'"{streaming.at[0].isoformat()}"'
    assert streaming.asked(recently) == [], "what came after a dead run's files had settled is published, too"
    mark(streaming.services, streaming.stream, DAY)
    assert len(streaming.asked(recently)) == 1, "a run that died before it had the sums is followed by another"
    late = [*sent("sp-traffic", PROFILE, DAY, SEED, 9), *early[:5]]
    shuffled.shuffle(late)
    streaming.at[0] += timedelta(days=9)
    streaming.send(late)
    list(take(streaming.services, streaming.stream, "dead-after", streaming.work, UNLIMITED))
    (request,) = streaming.asked(cursor=f'"{streaming.at[0].isoformat()}"')
    known = Scope("5", STRANGER.timezone, "JP", "JPY", owner=STRANGER.entity, place=STRANGER.marketplace)
    streaming.services.ledger.scopes.put("ads", [known])
    streaming.report(*map(sum, zip(*reported(9).values(), strict=True)))
    ran = streaming.run(request)
    assert ran.success, "what a dead run has taken is published, though the queue is empty"
    assert [each.passed for each in found(ran, AGREES)] == [True], "the date has settled by now, and has reports"
    assert streaming.sums("stream_daily") == streaming.sums("stream_hourly") == reported(9)
    hours_of_known = "select hour_of_day from stream_hourly where profile_id = '5'"
    assert len(streaming.query(hours_of_known)) == 1, "a date is built anew once it is known who an advertiser is"
    assert streaming.asked() == []
    assert streaming.services.ledger.derived.bases("ads/stream_daily")[DAY].inputs == JUDGED, "and not again"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_any_split_into_batches_comes_to_the_same(streaming: Streaming, seed: int) -> None:
    """Both data sets, in batches of any size and order, of which runs die at any place."""
    streaming.source = declared(datasets=["sp-traffic", "sp-conversion"])
    chance = random.Random(seed)
    streaming.at[0] += timedelta(days=45)
    every = [each for name in ("sp-traffic", "sp-conversion") for each in sent(name, PROFILE, DAY, SEED, 45)]
    left = [*every, *chance.choices(every, k=50)]
    chance.shuffle(left)
    while left:
        size = chance.randint(1, 400)
        batch, left = left[:size], left[size:]
        streaming.send(batch)
        left += batch[:20] if chance.random() < 0.3 else []
        if chance.random() < 0.5:
            streaming.died_taking(1)
            streaming.send(batch)
        for request in streaming.asked():
            assert streaming.run(request).success
    streaming.send(every)
    (request,) = streaming.asked()
    assert streaming.run(request).success
    assert streaming.sums("stream_daily") == streaming.sums("stream_hourly") == reported(45)
    (sales,) = streaming.query("select sum(attributed_sales_14d) from stream_daily")
    query = Query("spTargeting", ("targeting",), ("sales14d",))
    found = rows(query, PROFILE, DAY, datetime(2026, 12, 16, 20, tzinfo=UTC), SEED)
    assert round(sales[0], 2) == sum(round(Decimal(str(each["sales14d"])), 2) for each in found)
