"""Windows of the past, before the stand-in of AppFlow: a copy of the flow pulls each, lands as its feed and is gone."""

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from adplatform.cli.engine_runs import backfilled, run_table
from adplatform.contracts.saas import SaasSource
from adplatform.engines.failed import failed_runs
from adplatform.engines.pattern import EngineFiles, saas_flows
from adplatform.engines.runs import Look, Target, Watch
from adplatform.engines.window_flows import AT_ONCE, Window, WindowFlows, windows_between
from adplatform.failures import PermanentFailure
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.ledger.engine_run import EngineRun, Intention, IntentState, RunState
from adplatform.local.world.saas.server import Server, serving
from adplatform.platform.aws import Aws
from adplatform.platform.clock import utc_now
from adplatform_tests.flow.world import Crash
from adplatform_tests.local.aws.appflow_world import NOW, new_world
from adplatform_tests.support.saas import make_flow, make_profile, order_fault, run_flow

CONTACTS: dict[str, Any] = {
    "name": "contacts",
    "columns": {
        "id": {"field": "Id", "required": True},
        "changed_at": {"field": "SystemModstamp", "type": "timestamp"},
    },
    "key": "id",
    "latest_by": "changed_at",
}
FIELDS = ("Id", "SystemModstamp")
START, END = datetime(2026, 11, 5, tzinfo=UTC), datetime(2026, 11, 8, tzinfo=UTC)
WINDOW = Window(START, END)
TARGET = "window-contacts"


@dataclass
class Fuse:
    """Kills before the call that burns it down."""

    left: int = -1

    def burn(self) -> None:
        self.left -= 1
        if self.left == -1:
            raise Crash


@dataclass(frozen=True)
class MortalAws(Aws):
    """Every call of its clients, of which there is one for each service, burns the fuse."""

    fuse: Fuse = field(default_factory=Fuse)
    made: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str, *more: Any) -> Any:
        if service not in self.made:
            self.made[service] = super().client(service, *more)
            self.made[service].meta.events.register("before-call", lambda **_: self.fuse.burn())
        return self.made[service]


@dataclass
class Crm:
    """A source whose contacts a flow brings, and what looks at it. ``ahead`` is how much its clock is ahead."""

    services: Services
    saas: Server
    flow: str
    pattern: EngineFiles
    fuse: Fuse
    ahead: timedelta = timedelta(0)

    @classmethod
    def make(cls, services: Services, saas: Server, **feed: Any) -> "Crm":
        """``feed`` changes what is declared; with an ``object`` the flow is made as declared, else by hand."""
        flow, source = f"contacts-{uuid.uuid4().hex[:8]}", f"crm_{uuid.uuid4().hex[:8]}"
        profile = make_profile(services.aws, saas.url)
        declared = {"source": source, "connection": profile, "start_date": "2026-01-01"}
        contacts = {**CONTACTS, "flow": flow, **feed}
        fuse = Fuse()
        mortal = MortalAws(services.aws.region, services.aws.endpoint_url, fuse)
        settings = SaasSource.model_validate({**declared, "feeds": [contacts]})
        pattern = saas_flows(settings, services.settings)
        made = cls(Services(services.settings, mortal), saas, contacts["flow"], pattern, fuse)
        made.services = Services(services.settings, mortal, lambda: utc_now() + made.ahead)
        provision(services, [pattern.source])
        if "object" in contacts:
            pattern.provision(services)
        else:
            bucket = services.zones.raw_bucket
            make_flow(services.aws, saas.url, flow, "Contact", FIELDS, bucket, f"landing/{source}", profile=profile)
        return made

    @property
    def watch(self) -> Watch:
        return self.pattern.watch(self.services)

    @property
    def target(self) -> Target:
        return next(target for target in self.watch.targets if target.name == TARGET)

    @property
    def engine(self) -> WindowFlows:
        engine = self.target.engine
        assert isinstance(engine, WindowFlows)
        return engine

    def want(self, *windows: Window) -> bool:
        return backfilled(self.services, [(self.watch, self.target, self.engine)], windows or [WINDOW])

    def look(self) -> Look:
        return self.watch.look()

    def finish(self) -> None:
        """Look until nothing is pursued."""
        deadline = time.monotonic() + 30
        while any(i.state in (IntentState.INTENDED, IntentState.STARTED) for i in self.intentions()):
            self.look()
            assert time.monotonic() < deadline, self.intentions()
            self.ahead += timedelta(minutes=2)
            time.sleep(0.02)

    def run_ends(self) -> None:
        """Wait until the only run has ended in AppFlow."""
        [run] = [run for run in self.runs() if not run.ended]
        deadline = time.monotonic() + 20
        while not (shown := self.engine.observe([run.run_id]).get(run.run_id)) or not shown.final:
            assert time.monotonic() < deadline

    def intentions(self) -> list[Intention]:
        return self.services.ledger.engine_runs.intentions(self.pattern.source.name, TARGET)

    def runs(self, target: str = TARGET) -> list[EngineRun]:
        return self.services.ledger.engine_runs.runs(self.pattern.source.name, target)

    def copies(self) -> list[str]:
        """The flows of AppFlow that are copies of this one."""
        client, found, page = self.services.aws.client("appflow"), [], {}
        while True:
            answer = client.list_flows(maxResults=100, **page)
            found += [flow["flowName"] for flow in answer["flows"]]
            if not answer.get("nextToken"):
                return [name for name in found if name.startswith(f"{self.flow}.")]
            page = {"nextToken": answer["nextToken"]}

    def truth(self, start: datetime = START, end: datetime = END) -> list[str]:
        """The contacts that changed between."""
        records = self.saas.world.records("Contact", NOW)
        changed = {r["Id"]: datetime.fromisoformat(r["SystemModstamp"]) for r in records if not r["IsDeleted"]}
        return sorted(name for name, at in changed.items() if start <= at < end)

    def landed(self, run_id: str = "") -> list[str]:
        """The ids of contacts in what has landed, or in what one run brought."""
        ids = []
        today = utc_now().date()
        for day in (today - timedelta(days=1), today):
            for landed in self.services.ledger.engine_runs.landed_on(f"{self.pattern.source.name}/contacts", day):
                if run_id not in ("", landed.run_id):
                    continue
                for entry in json.loads(self._read(landed.claims_key))["files"]:
                    ids += [json.loads(line)["Id"] for line in self._read(entry["key"]).splitlines()]
        return sorted(ids)

    def _read(self, key: str) -> bytes:
        body: bytes = self.services.s3.get_object(Bucket=self.services.zones.raw_bucket, Key=key)["Body"].read()
        return body


@pytest.fixture
def saas() -> Iterator[Server]:
    with serving(new_world()) as server:
        yield server


@pytest.fixture
def crm(services: Services, saas: Server) -> Crm:
    return Crm.make(services, saas)


def test_a_window_is_pulled_by_a_copy_of_the_flow_that_is_gone_afterwards(crm: Crm) -> None:
    appflow = crm.services.aws.client("appflow")
    before = appflow.describe_flow(flowName=crm.flow)
    assert crm.want()
    crm.look()
    [copy] = crm.copies()
    assert copy == f"{crm.flow}.window-20261105-20261108"
    described = appflow.describe_flow(flowName=copy)
    assert described["triggerConfig"] == {"triggerType": "OnDemand"}
    assert described["sourceFlowConfig"]["connectorProfileName"] == before["sourceFlowConfig"]["connectorProfileName"]
    crm.finish()
    assert len(crm.truth()) > 3
    assert crm.landed() == crm.truth()
    assert crm.copies() == []
    [run] = crm.runs()
    assert (run.state, run.window_start, run.window_end, run.records) == (
        RunState.SUCCEEDED,
        START,
        END,
        len(crm.truth()),
    )
    assert [(i.state, i.run_id) for i in crm.intentions()] == [(IntentState.FULFILLED, run.run_id)]
    after = appflow.describe_flow(flowName=crm.flow)
    assert {k: v for k, v in before.items() if k != "ResponseMetadata"} == {
        k: v for k, v in after.items() if k != "ResponseMetadata"
    }


def test_a_flow_that_is_declared_and_scheduled_is_copied_as_one_on_demand(services: Services, saas: Server) -> None:
    scheduled = {"expression": "rate(1days)", "first_from": "2026-11-19T00:00:00Z"}
    crm = Crm.make(services, saas, object="Contact", scheduled=scheduled, incremental_by="changed_at")
    crm.want()
    crm.look()
    described = crm.services.aws.client("appflow").describe_flow(flowName=crm.copies()[0])
    assert described["triggerConfig"] == {"triggerType": "OnDemand"}
    assert "incrementalPullConfig" not in described["sourceFlowConfig"]
    crm.finish()
    assert set(crm.truth()) <= set(crm.landed())
    [run] = crm.runs()
    assert run.records == len(crm.truth())


@pytest.mark.slow
def test_a_long_window_is_pulled_in_parts_of_which_few_run_at_once(crm: Crm, aws_endpoint: str) -> None:
    windows = windows_between(date(2026, 11, 2), date(2026, 11, 11), 2, crm.services.now())
    assert len(windows) == 5
    order_fault(aws_endpoint, "stuck", times=1000, seconds=1)
    crm.want(*windows)
    crm.look()
    assert len(crm.copies()) == AT_ONCE
    crm.finish()
    assert crm.landed() == crm.truth(datetime(2026, 11, 2, tzinfo=UTC), datetime(2026, 11, 12, tzinfo=UTC))
    assert len(crm.runs()) == 5
    assert crm.copies() == []


def test_a_window_that_a_run_of_the_flow_has_pulled_is_fulfilled_by_that(services: Services, saas: Server) -> None:
    crm = Crm.make(services, saas)
    ledger, source = crm.services.ledger.engine_runs, crm.pattern.source.name
    run_id = run_flow(crm.services.aws, crm.flow)["executionId"]
    row = EngineRun(source, "contacts", run_id)
    ledger.found(row)
    found = ledger.run(source, "contacts", run_id)
    assert found
    pulled = replace(found, state=RunState.SUCCEEDED, said="Successful", final=True, window_start=START, window_end=END)
    seen = ledger.observed(found, pulled)
    assert seen
    ledger.landed(seen)
    crm.want()
    crm.look()
    assert [(i.state, i.run_id) for i in crm.intentions()] == [(IntentState.FULFILLED, run_id)]
    assert (crm.copies(), crm.runs()) == ([], [])


def test_a_failed_run_is_tried_again_with_the_same_copy_and_given_up_without_it(crm: Crm, aws_endpoint: str) -> None:
    copy = f"{crm.flow}.window-20261105-20261108"
    order_fault(aws_endpoint, "run_fails", copy, times=3, count=0)
    crm.want()
    crm.finish()
    assert [(i.state, i.attempt) for i in crm.intentions()] == [(IntentState.GIVEN_UP, 3)]
    assert (crm.copies(), crm.landed()) == ([], [])
    [failed] = failed_runs(crm.services.ledger, crm.pattern.source.name, [TARGET])
    assert failed.retry(crm.services).changed
    assert failed_runs(crm.services.ledger, crm.pattern.source.name, [TARGET]) == []
    crm.finish()
    assert crm.landed() == crm.truth()
    assert crm.copies() == []


def test_a_cancelled_window_is_not_pulled_again_and_its_copy_is_gone(crm: Crm, aws_endpoint: str) -> None:
    order_fault(aws_endpoint, "stuck", f"{crm.flow}.window-20261105-20261108")
    crm.want()
    crm.look()
    crm.look()
    [run] = crm.runs()
    crm.watch.cancel(crm.target, run)
    crm.finish()
    assert [run.state for run in crm.runs()] == [RunState.CANCELLED]
    assert [i.state for i in crm.intentions()] == [IntentState.GIVEN_UP]
    assert (crm.copies(), crm.landed()) == ([], [])


@pytest.mark.slow
def test_a_copy_that_somebody_starts_as_well_is_landed_before_it_is_deleted(crm: Crm, aws_endpoint: str) -> None:
    crm.want()
    crm.look()
    [copy] = crm.copies()
    crm.run_ends()
    order_fault(aws_endpoint, "stuck", copy, seconds=1)
    crm.services.aws.client("appflow").start_flow(flowName=copy)
    crm.finish()
    assert len(crm.runs()) == 2
    assert crm.landed() == sorted([*crm.truth(), *crm.truth()])
    assert crm.copies() == []


@pytest.mark.parametrize(
    ("looks", "every"),
    [
        (1, 25),
        *(pytest.param(n, 1, marks=pytest.mark.slow) for n in (0, 1)),
        pytest.param(0, 9, marks=pytest.mark.slow),
    ],
)
def test_a_kill_at_any_call_leads_to_one_run_whose_copy_is_gone(crm: Crm, looks: int, every: int) -> None:
    """Of the look that makes and starts the copy, or of that which lands its run and deletes it."""
    for wanted, call in enumerate(range(0, 200, every), start=1):
        window = Window(START, END + timedelta(minutes=call))
        crm.want(window)
        for _ in range(looks):
            crm.look()
            crm.run_ends()
        crm.fuse.left = call
        try:
            crm.look()
            killed = False
        except Crash:
            killed = True
        finally:
            crm.fuse.left = -1
        crm.finish()
        assert crm.copies() == [], call
        [run] = [run for run in crm.runs() if run.window_end == window.end]
        assert (run.state, run.ended) == (RunState.SUCCEEDED, True), call
        assert crm.landed(run.run_id) == crm.truth(START, window.end), call
        assert [i.state for i in crm.intentions()] == [IntentState.FULFILLED] * wanted, call
        if not killed:
            break
    assert call > 10


def test_a_feed_without_a_date_field_is_told_of_and_nothing_is_wanted(
    services: Services, saas: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    crm = Crm.make(
        services, saas, object="Account", columns={"id": {"field": "Id", "required": True}}, key="id", latest_by=[]
    )
    assert not crm.want()
    assert "feed contacts: there is no date field to filter on" in capsys.readouterr().err
    assert crm.intentions() == []


def test_a_name_that_would_be_too_long_or_files_that_would_not_be_found_are_told_of(crm: Crm) -> None:
    long = replace(crm.engine, flow="f" * 240)
    with pytest.raises(PermanentFailure, match="a name has 256 characters at most"):
        long.request(WINDOW)
    elsewhere = replace(crm.engine, feed=crm.engine.feed.model_copy(update={"landing": "contacts/{date}/{file}"}))
    with pytest.raises(PermanentFailure, match=r"does not have \{flow\}"):
        elsewhere.request(WINDOW)


def test_a_window_is_of_days_that_are_over() -> None:
    now = datetime(2026, 11, 20, 18, tzinfo=UTC)
    first, last = date(2026, 10, 1), date(2026, 10, 31)
    assert windows_between(first, last, None, now) == [
        Window(datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))
    ]
    parts = windows_between(first, last, 10, now)
    assert [part.end for part in parts[:-1]] == [part.start for part in parts[1:]]
    assert (parts[0].start.day, parts[-1].start.day, parts[-1].end.month) == (1, 31, 11)
    with pytest.raises(PermanentFailure, match="the window is empty"):
        windows_between(last, first, None, now)
    with pytest.raises(PermanentFailure, match=r"ends with 2026-11-20, which is not over yet: .* 2026-11-19 or before"):
        windows_between(first, date(2026, 11, 20), None, now)
    with pytest.raises(PermanentFailure, match="the window is in the future: it begins with 2026-12-01"):
        windows_between(date(2026, 12, 1), date(2026, 12, 31), None, now)


@pytest.mark.slow
def test_a_window_that_is_on_its_way_or_pulled_is_not_wanted_twice_and_one_that_failed_is(
    crm: Crm, aws_endpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    order_fault(aws_endpoint, "run_fails", f"{crm.flow}.window-20261105-20261108", times=3, count=0)
    for said, more in (("1 wanted now", 1), ("1 on their way already", 1)):
        crm.want()
        assert (len(crm.intentions()), said in capsys.readouterr().out) == (more, True)
    crm.finish()
    for said, more in (("1 wanted now", 2), ("1 pulled already", 2)):
        crm.want()
        assert (len(crm.intentions()), said in capsys.readouterr().out) == (more, True)
        crm.finish()


def test_runs_are_shown_with_their_windows(crm: Crm) -> None:
    crm.want()
    table = run_table(crm.services.ledger, crm.pattern.source.name, TARGET, 20)
    cells = {column.header: list(column.cells) for column in table.columns}
    assert [str(each) for each in cells["window"]] == ["2026-11-05 to 2026-11-08"]
    assert [str(each) for each in cells["state"]] == ["intended"]
    crm.finish()
    table = run_table(crm.services.ledger, crm.pattern.source.name, TARGET, 20)
    cells = {column.header: list(column.cells) for column in table.columns}
    assert [str(each) for each in cells["window"]] == ["2026-11-05 to 2026-11-08"]
    assert [str(each) for each in cells["state"]] == ["succeeded"]
