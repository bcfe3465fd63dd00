"""Windows of the past through AppFlow: each is pulled by a copy of the feed's flow, which filters by its date field,
runs once, and is deleted when its run has landed.

The flow itself is never changed for that: an update is not applied at once, and others start the flow, too. A copy
exists only while its intention is pursued, so that one that a crash left is found again.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from adplatform.contracts.saas import FlowFeed
from adplatform.engines.appflow import AppFlow, NoFlow
from adplatform.engines.declared_flows import FOLDERS, check_operators
from adplatform.engines.engine import Busy, Claim, Finding, Run, Started
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.files.landing import WINDOW_MARK
from adplatform.ledger.engine_run import Intention, IntentState
from adplatform.platform.aws_errors import aws_failures
from adplatform.platform.clock import utc_now

AT_ONCE = 3
"""Copies of one flow that run at the same time, so that a long window does not use up what the application allows."""
_LONGEST_NAME = 256
"""Characters of a flow's name (AppFlow API reference, CreateFlow)."""
_TARGET = "window-"
_INSTANT = timedelta(milliseconds=1)
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Window:
    """What is pulled: from ``start`` on and before ``end``, in UTC."""

    start: datetime
    end: datetime

    @property
    def key(self) -> str:
        """The key of an intention to pull it."""
        return f"window/{self.start:%Y-%m-%dT%H:%M:%SZ}_{self.end:%Y-%m-%dT%H:%M:%SZ}"


def target_name(feed: str) -> str:
    """What the windows of a feed are called among the targets of its source. No feed has a name with a hyphen."""
    return f"{_TARGET}{feed}"


def feed_name(target: str) -> str:
    """The feed that a target of its source brings, be it the flow or its windows."""
    return target.removeprefix(_TARGET)


def windows_between(first: date, last: date, days_per_run: int | None, now: datetime) -> list[Window]:
    """The days from ``first`` to ``last``, both included, in one window or in several of so many days.

    Raises:
        PermanentFailure: ``first`` is after ``last``, or something of it is in the future.
    """
    if first > last:
        raise PermanentFailure(f"the window is empty: it begins with {first}, after its last day {last}")
    if first > now.date():
        raise PermanentFailure(f"the window is in the future: it begins with {first}")
    if last >= now.date():
        yesterday = now.date() - _DAY
        raise PermanentFailure(
            f"the window ends with {last}, which is not over yet: its last day is {yesterday} or before"
        )
    found, begin, past = [], datetime.combine(first, time(), UTC), datetime.combine(last + _DAY, time(), UTC)
    step = timedelta(days=days_per_run) if days_per_run else past - begin
    while begin < past:
        found.append(Window(begin, min(begin + step, past)))
        begin += step
    return found


@dataclass(frozen=True)
class WindowFlows:
    """The windows of one feed, as ``adplatform.engines.engine.Engine``. ``flow`` is the name of the flow that is
    copied, ``declared`` the request that makes it, where YAML has that; ``bucket`` and ``prefix`` are where copies
    write. ``windows`` gives the intentions that are pursued. ``client`` and ``s3`` are boto3 clients."""

    client: Any
    s3: Any
    feed: FlowFeed
    flow: str
    bucket: str
    prefix: str
    windows: Callable[[], Sequence[Intention]]
    now: Callable[[], datetime] = utc_now
    declared: Mapping[str, Any] | None = None

    limits = AppFlow.limits

    def check(self) -> Sequence[Finding]:
        """What is wrong with the flow is said of that."""
        return []

    def start(self, intention: Intention, *, others: Collection[str] = ()) -> Started | Busy:
        window = _window(intention)
        if window is None:
            raise PermanentFailure(
                f"feed {self.feed.name}: no window is given: `adplatform engines backfill` takes one"
            )
        going = [each for each in self.windows() if each.state is IntentState.STARTED]
        if len(going) >= AT_ONCE:
            return Busy(going[0].run_id)
        if self._made(window, intention):
            # Nothing can have been started before.
            intention = replace(intention, begun=1, begun_at=None)
        return self._copy(window).start(intention, others=others)

    def observe(self, run_ids: Collection[str]) -> Mapping[str, Run]:
        return {run.run_id: run for run in self._runs(lambda copy: copy.observe(run_ids).values())}

    def recent(self, since: datetime) -> Iterator[Run]:
        return self._runs(lambda copy: copy.recent(since))

    def claims(self, run: Run) -> Iterator[Claim]:
        begun = self._begun()
        own = [window for intention, window in begun if intention.run_id == run.run_id]
        for window in own or [window for _, window in begun]:
            yield from self._copy(window).claims(run)

    def cancel(self, run_id: str) -> bool:
        for _, window in self._begun():
            with suppress(NoFlow):
                if run_id in self._copy(window).observe([run_id]):
                    return self._copy(window).cancel(run_id)
        raise PermanentFailure(f"no copy of flow {self.flow} shows run {run_id}")

    def release(self, intention: Intention) -> bool:
        """Delete the copy of a window; False while it runs.

        Raises: as ``aws_failures``.
        """
        window = _window(intention)
        if window is None:
            return True
        name = self._name(window)
        with aws_failures(f"flow {name}"):
            try:
                self.client.delete_flow(flowName=name)
            except self.client.exceptions.ResourceNotFoundException:
                return True
            except self.client.exceptions.ConflictException:
                return False
        return True

    def request(self, window: Window) -> dict[str, Any]:
        """What CreateFlow is asked for: the flow on demand, with a condition on its date field.

        Raises:
            PermanentFailure: it has no such field or is not there, its connector cannot compare, its name is too long,
                or its files would not be found.
            TransientFailure: AppFlow does not answer at present.
        """
        name = self._name(window)
        if len(name) > _LONGEST_NAME:
            raise PermanentFailure(
                f"feed {self.feed.name}: the copy of its flow would be called {name}, and a name has {_LONGEST_NAME} "
                "characters at most: give the flow a shorter one"
            )
        if "{flow}" not in self.feed.landing:
            raise PermanentFailure(
                f"feed {self.feed.name}: what a copy of its flow writes would not be found, because landing "
                f"{self.feed.landing!r} does not have {{flow}} in the place of the flow's name"
            )
        base = self.declared or self._described()
        source = base["sourceFlowConfig"]
        [connector] = source["sourceConnectorProperties"]
        s3 = base["destinationFlowConfigList"][0]["destinationConnectorProperties"].get("S3") or {}
        output = {**(s3.get("s3OutputFormatConfig") or {}), "prefixConfig": FOLDERS}
        destination = {
            "bucketName": self.bucket,
            "bucketPrefix": self.prefix.rstrip("/"),
            "s3OutputFormatConfig": output,
        }
        tasks = list(base["tasks"])
        filters = sum(1 for task in tasks if task["taskType"] == "Filter")
        tasks = sorted(tasks, key=lambda task: task["taskType"] != "Filter")
        request = {
            "flowName": name,
            "description": f"A window of {self.flow}, which is deleted after its run",
            "triggerConfig": {"triggerType": "OnDemand"},
            "sourceFlowConfig": {name: value for name, value in source.items() if name != "incrementalPullConfig"},
            "destinationFlowConfigList": [
                {"connectorType": "S3", "destinationConnectorProperties": {"S3": destination}},
            ],
            "tasks": [*tasks[:filters], self._condition(source, connector, window), *tasks[filters:]],
            **({"kmsArn": base["kmsArn"]} if base.get("kmsArn") else {}),
        }
        check_operators(self.client, request)
        return request

    def _condition(self, source: Mapping[str, Any], connector: str, window: Window) -> dict[str, Any]:
        """AppFlow leaves both bounds out (as operators of Apache Airflow have it); where it does not, a record comes
        twice and counts once."""
        field, kind = self._dated(source)
        if kind == "date":
            last = (window.end - _INSTANT).date()
            lower, upper = str(window.start.date() - _DAY), str(last + _DAY)
        else:
            lower, upper = (str(int(at.timestamp() * 1000)) for at in (window.start - _INSTANT, window.end))
        return {
            "taskType": "Filter",
            "sourceFields": [field],
            "connectorOperator": {connector: "BETWEEN"},
            "taskProperties": {"DATA_TYPE": kind, "LOWER_BOUND": lower, "UPPER_BOUND": upper},
        }

    def _dated(self, source: Mapping[str, Any]) -> tuple[str, str]:
        """The field that says when a record changed, as the application names it, and AppFlow's type of it.

        Raises:
            PermanentFailure: there is none.
        """
        pulled = (source.get("incrementalPullConfig") or {}).get("datetimeTypeFieldName")
        columns = [self.feed.column(name) for name in (self.feed.incremental_by, *self.feed.latest_by) if name]
        dated = [c for c in columns if c.data_type.name in ("timestamp", "date") and not c.expression]
        for column in dated:
            if pulled is None or pulled in column.field_names:
                return pulled or column.field_name, "date" if column.data_type.name == "date" else "datetime"
        if pulled:
            return str(pulled), "datetime"
        raise PermanentFailure(
            f"feed {self.feed.name}: there is no date field to filter on: name a timestamp or date that says when a "
            "record changed as `latest_by`, or as `incremental_by` of a flow that is made here"
        )

    def _made(self, window: Window, intention: Intention) -> bool:
        """Make the copy; False when it is there."""
        name = self._name(window)
        with aws_failures(f"flow {name}"):
            try:
                status = self.client.describe_flow(flowName=name)["flowStatus"]
            except self.client.exceptions.ResourceNotFoundException:
                status = ""
        if status == "Deleted":
            raise TransientFailure(f"flow {name} is still being deleted")
        if status:
            return False
        request = self.request(window)
        with aws_failures(f"flow {name}"):
            self.client.create_flow(**request, clientToken=intention.token(self.limits.token))
        return True

    def _described(self) -> Mapping[str, Any]:
        described: Mapping[str, Any] = self._named(self.flow).describe()
        return described

    def _runs(self, ask: Callable[[AppFlow], Collection[Run] | Iterator[Run]]) -> Iterator[Run]:
        """The runs of all copies with their windows; copies that are not there have none."""
        for _, window in self._begun():
            found: list[Run] = []
            with suppress(NoFlow):
                found = list(ask(self._copy(window)))
            yield from (replace(run, window_start=window.start, window_end=window.end) for run in found)

    def _begun(self) -> list[tuple[Intention, Window]]:
        """The windows of which there may be a copy."""
        found = ((each, _window(each)) for each in self.windows() if each.begun or each.run_id)
        return [(intention, window) for intention, window in found if window is not None]

    def _name(self, window: Window) -> str:
        start, end = (f"{at:%Y%m%dT%H%M}".removesuffix("T0000") for at in (window.start, window.end))
        return f"{self.flow}{WINDOW_MARK}{start}-{end}"

    def _copy(self, window: Window) -> AppFlow:
        return self._named(self._name(window))

    def _named(self, flow: str) -> AppFlow:
        return AppFlow(self.client, self.s3, flow, self.bucket, self.prefix, self.now)


def _window(intention: Intention) -> Window | None:
    if intention.window_start is None or intention.window_end is None:
        return None
    return Window(intention.window_start, intention.window_end)
