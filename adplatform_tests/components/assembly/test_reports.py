"""What starts the runs of a report account, when runs are killed or fail for long, the YAML changes, and there are many
profiles."""

import subprocess
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from adplatform.amazon.sources import AdsSource
from adplatform.components import AmazonAdsReports
from adplatform.components.assembly.automation import Looking
from adplatform.components.assembly.reports import Reports
from adplatform.components.assembly.runs import NOTIFIED_TAG, WORKER_TAG, may_start, runs_of, said_of
from adplatform.flow.budget import UNLIMITED
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.ledger.report import ReportState
from adplatform.ledger.scopes import Scope
from adplatform.ledger.workers import identity_of, this_worker
from adplatform.pull.account import account_of
from adplatform_tests.components.test_amazon_ads_reports import NOON, definitions, rows, tick
from adplatform_tests.support.platforms import resources_with
from adplatform_tests.support.report_api import MemoryReports

SMALL = {"source": "ads", "credentials": "ads/secret", "start_date": "2026-06-05", "spread": "0s"}
REPORT = {
    "name": "sp_small",
    "report_type": "spCampaigns",
    "group_by": ["campaign"],
    "columns": ["date", "campaignId", "clicks", "sales14d"],
}


@pytest.fixture
def at() -> list[datetime]:
    return [NOON]


@pytest.fixture
def timed(services: Services, at: list[datetime]) -> Services:
    moved = replace(services, now=lambda: at[0])
    provision(moved, [])
    return moved


def declared(services: Services, api: MemoryReports, **changes: Any) -> dg.Definitions:
    source = AdsSource.model_validate({**SMALL, "profiles": [111], "reports": [REPORT], **changes})
    resources = resources_with(services)
    return dg.Definitions.merge(
        dg.component_defs(component=AmazonAdsReports(source, lambda *_: api)),
        dg.Definitions(resources=resources, executor=dg.in_process_executor),
    )


def orders(defs: dg.Definitions, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return defs.resolve_job_def("ads_orders").execute_in_process(instance=instance, raise_on_error=False)


def test_orders_go_on_after_the_process_that_placed_them_was_killed(
    timed: Services, at: list[datetime], instance: dg.DagsterInstance
) -> None:
    api = MemoryReports(lambda: at[0], rows)
    defs = definitions(timed, api)
    ended = orders(defs, instance)
    assert ended.success
    reported = instance.get_run_by_id(ended.run_id)
    assert reported is not None
    assert said_of(reported, WORKER_TAG) == str(this_worker())
    gone = subprocess.Popen(["sleep", "600"])
    dying = identity_of(gone.pid)
    gone.kill()
    gone.wait()
    instance.create_run_for_job(
        defs.resolve_job_def("ads_orders"), status=dg.DagsterRunStatus.STARTED, tags={WORKER_TAG: str(dying)}
    )
    at[0] += timedelta(days=1)
    tick(defs, timed, instance)
    assert [r.status for r in instance.get_runs(limit=1)] == [dg.DagsterRunStatus.FAILURE]
    assert may_start(
        runs_of(timed.ledger, instance), dg.RunsFilter(job_name="ads_orders"), datetime.now(UTC).timestamp() + 601
    )


def test_orders_that_keep_failing_are_reported_once_and_tried_less_and_less_often(
    timed: Services, at: list[datetime], instance: dg.DagsterInstance
) -> None:
    api = MemoryReports(lambda: at[0], rows, revoked=True)
    defs, alike = definitions(timed, api), dg.RunsFilter(job_name="ads_orders")
    waits, reported = [], []
    for _ in range(6):
        run = instance.get_run_by_id(orders(defs, instance).run_id)
        assert run is not None
        reported.append(not said_of(run, NOTIFIED_TAG))
        now = datetime.now(UTC).timestamp()
        waits.append(
            next(m for m in range(0, 200, 5) if may_start(runs_of(timed.ledger, instance), alike, now + 60 * m + 30))
        )
    assert reported == [True, False, False, False, False, False]
    assert waits == [10, 20, 40, 80, 120, 120]
    api.revoked = False
    assert orders(defs, instance).success
    assert may_start(runs_of(timed.ledger, instance), alike, datetime.now(UTC).timestamp())


@pytest.mark.parametrize(
    "gone", [{"reports": [{**REPORT, "name": "sp_new"}]}, {"profiles": [222]}], ids=["report", "profile"]
)
def test_what_is_removed_from_yaml_on_its_way_breaks_no_tick(
    timed: Services, at: list[datetime], instance: dg.DagsterInstance, gone: dict[str, Any]
) -> None:
    api = MemoryReports(lambda: at[0], rows)
    orders(declared(timed, api), instance)
    at[0] += timedelta(minutes=20)
    (download,) = tick(declared(timed, api), timed, instance)
    assert download.tags["adplatform/feed"] == "ads/sp_small/111"
    assert [r.job_name for r in tick(declared(timed, api, **gone), timed, instance)] == ["ads_orders"]
    (report,) = timed.ledger.reports.of_feed("ads/sp_small/111")
    assert report.state is ReportState.FAILED


def test_a_look_at_many_profiles_asks_the_ledger_no_more_often_than_one_at_few(
    timed: Services, at: list[datetime], instance: dg.DagsterInstance
) -> None:
    account = account_of(AdsSource.model_validate({**SMALL, "reports": [REPORT, "sp_ad_groups", "sb_campaigns"]}))
    asked: Counter[str] = Counter()
    timed.ledger.client.meta.events.register("before-call.dynamodb", lambda model, **_: asked.update([model.name]))

    def calls() -> Counter[str]:
        asked.clear()
        Reports(account, lambda *_: MemoryReports(lambda: at[0], rows)).look(timed, instance, Looking(UNLIMITED))
        return Counter(asked)

    timed.ledger.scopes.put("ads", [Scope("100", "America/Los_Angeles")])
    few = calls()
    timed.ledger.scopes.put("ads", [Scope(str(101 + n), "America/Los_Angeles") for n in range(30)])
    assert calls() == few
    assert few.total() < 20
