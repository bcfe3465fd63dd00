"""The arrival side as a state machine: partners, lost events, killed processes and dying runs in any order.

Whatever happened, when the faults stop the platform must come to rest with everything that arrived published.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from random import Random
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow import lifecycle
from adplatform.flow.budget import Budget
from adplatform.flow.close import close
from adplatform.flow.looks import Progress, look_at
from adplatform.flow.patience import MAX_ATTEMPTS
from adplatform.flow.settling import Due, Ending
from adplatform.flow.source import FeedFlow
from adplatform.flow.version import located
from adplatform.ledger.delivery import Delivery, DeliveryState
from adplatform_tests.flow.world import ARRIVALS, Crash, World, crash

FILES = ("a.csv", "b.csv", "sub/c.csv")
BODIES = st.sampled_from([b"1", b"2", b"33"])
ACCIDENTS = st.none() | st.tuples(st.sampled_from(["crash", "arrival", "tick"]), st.integers(0, 12))
ENDINGS = ("publishes", "publishes", "publishes", "dies", "fails", "fails for good")
Accident = tuple[str, int] | None
Course = tuple[int, str, Accident]
COURSES = st.tuples(st.integers(0, 5), st.sampled_from(ENDINGS), ACCIDENTS)


@dataclass(frozen=True)
class Put:
    """One object version that a partner wrote."""

    feed: str
    day: date
    file: str
    key: str
    version: str
    body: bytes


@dataclass(frozen=True)
class Run:
    """A run as Dagster knows it. One that ended may still be at work, which Dagster does not know."""

    run_id: str
    due: Due
    delivery: Delivery | None = None
    ended: bool = False


class SettlingMachine(RuleBasedStateMachine):
    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        today = world.clock().date()
        self.days = [today - timedelta(days=1), today, today + timedelta(days=1)]
        self.feed = "quiet"
        self.progress = Progress()
        self.puts: list[Put] = []
        self.excluded: set[str] = set()
        self.runs: dict[str, Run] = {}
        self.meaning: dict[str, tuple[str, date, int, int]] = {}
        self.faults: Counter[tuple[date, int]] = Counter()
        self.tables: dict[date, tuple[int, dict[str, bytes]]] = {}

    @initialize(
        feed=st.sampled_from(sorted(ARRIVALS)), files=st.sets(st.sampled_from(FILES), min_size=1), marked=st.booleans()
    )
    def a_first_delivery(self, feed: str, files: set[str], marked: bool) -> None:
        self.feed = feed
        for file in sorted(files):
            self._put(self.days[1], file, b"1")
        if marked:
            self._mark(files)

    @property
    def flow(self) -> FeedFlow:
        return self.world.flow(self.feed)

    def delivery(self, day: date) -> Delivery:
        return self.world.ledger.deliveries.get(self.flow.name, day)

    # -- what Dagster knows

    def alive(self, run_id: str) -> bool:
        return run_id in self.runs and not self.runs[run_id].ended

    def spent(self, run_key: str) -> bool:
        mine = [r for r in self.runs.values() if r.due.run_key == run_key]
        return bool(mine) and all(r.ended for r in mine)

    def ending(self, run: str) -> Ending:
        return Ending.DIED

    # -- partners

    @rule(day=st.sampled_from([1, 1, 1, 1, 0, 2]), file=st.sampled_from(FILES), body=BODIES, course=COURSES)
    def put(self, day: int, file: str, body: bytes, course: Course) -> None:
        self._put(self.days[day], file, body)
        self._proceed(course)

    @precondition(lambda self: self.feed in ("done", "listed"))
    @rule(files=st.sets(st.sampled_from(FILES), max_size=2), sized=st.booleans(), broken=st.booleans(), course=COURSES)
    def put_marker(self, files: set[str], sized: bool, broken: bool, course: Course) -> None:
        self._mark(files, sized=sized, whole=not broken)
        self._proceed(course)

    def _mark(self, files: set[str], *, sized: bool = False, whole: bool = True) -> None:
        listed = [{"name": f, **({"bytes": 1} if sized else {})} for f in sorted(files)]
        if self.feed == "done":
            self._put(self.days[1], "_SUCCESS", b"")
        if self.feed == "listed":
            self._put(self.days[1], "manifest.json", json.dumps({"files": listed}).encode() if whole else b"{")

    @rule(place=st.sampled_from(["quiet/dt=2026-02-30/a.csv", "nowhere/a.csv", "count/dt=2026-03-14/a.csv.part"]))
    def put_noise(self, place: str) -> None:
        self.world.put(self.world.source.prefix + place, b"1")

    def _put(self, day: date, file: str, body: bytes) -> None:
        key = self.world.key(self.feed, day, file)
        self.puts.append(Put(self.feed, day, file, key, self.world.put(key, body), body))

    # -- the world

    @rule(minutes=st.sampled_from([0.001, 3, 6, 40]))
    def time_passes(self, minutes: float) -> None:
        self.world.clock.pass_by(timedelta(minutes=minutes))

    @rule(fault=st.sampled_from(["lost", "twice", "shuffled"]), seed=st.integers(0, 99))
    def events_suffer(self, fault: str, seed: int) -> None:
        random = Random(seed)
        change: dict[str, Callable[[list[str]], list[str]]] = {
            "lost": lambda bodies: bodies[1:],
            "twice": lambda bodies: bodies + bodies,
            "shuffled": lambda bodies: random.sample(bodies, len(bodies)),
        }
        self.world.messages(change[fault])

    @rule(lagging=st.booleans())
    def index_lags(self, lagging: bool) -> None:
        if hasattr(self.world.dynamo, "lagging"):
            self.world.dynamo.lagging = lagging

    def _with(self, accident: Accident, work: Callable[[], Any]) -> bool:
        """Do the work while something else happens in the middle of it; whether it got to its end."""
        what, when = accident or ("", -1)
        self.world.fuse.happens = {"crash": crash, "arrival": self._arrival, "tick": self._tick}.get(what, crash)
        self.world.fuse.left = when
        try:
            work()
        except Crash:
            return False
        finally:
            self.world.fuse.left = -1
        return True

    def _arrival(self) -> None:
        self._put(self.days[1], FILES[0], b"late")
        self.world.settler.arrivals.receive()

    # -- the platform

    @rule(course=COURSES)
    def proceed(self, course: Course) -> None:
        self._proceed(course)

    def _proceed(self, course: Course) -> None:
        """The usual course of things up to some step, which an accident may meet."""
        length, ending, accident = course
        usual: list[Callable[[Accident], None]] = [
            self._ticks,
            lambda _: self.world.clock.pass_by(timedelta(minutes=6)),
            self._ticks,
            self._run_starts,
            lambda accident: self._run_ends(ending, accident),
        ]
        for number, step in enumerate(usual[:length], start=1):
            step(accident if number == length else None)

    @rule(ending=st.sampled_from(ENDINGS), accident=ACCIDENTS)
    def a_run_goes_on(self, ending: str, accident: Accident) -> None:
        if self._choose(0, started=True):
            self._run_ends(ending, accident)
        else:
            self._run_starts(accident)

    @rule(accident=ACCIDENTS)
    def list_landing(self, accident: Accident) -> None:
        self._with(accident, self.world.settler.arrivals.reconcile)

    def _ticks(self, accident: Accident) -> None:
        self._with(accident, self._tick)

    @rule(calls=st.integers(0, 60), times=st.integers(1, 3), accident=ACCIDENTS)
    def ticks_without_time(self, calls: int, times: int, accident: Accident) -> None:
        """Each goes on where the last stopped; one that dies leaves nothing behind."""
        for _ in range(times):
            self._with(accident, lambda: self._hasty_tick(calls))

    def _hasty_tick(self, calls: int) -> None:
        budget = Budget.of(calls, lambda: self.world.fuse.burned)
        found, self.progress = look_at(self.world.settler, self, budget, self.progress, timedelta(minutes=1))
        self._launch(found.due)

    def _tick(self) -> None:
        self.world.settler.arrivals.receive()
        due, _ = self.world.settler.due(self)
        self._launch(due)

    def _launch(self, due: Iterable[Due]) -> None:
        for each in due:
            meaning = (each.flow.name, each.day, each.version, each.launch)
            assert self.meaning.setdefault(each.run_key, meaning) == meaning
            if each.run_key not in {r.due.run_key for r in self.runs.values()}:
                run_id = f"run-{len(self.runs)}"
                self.runs[run_id] = Run(run_id, each)

    # -- runs

    def _choose(self, seed: int, *, started: bool, ended: bool = False) -> Run | None:
        found = [r for r in self.runs.values() if bool(r.delivery) is started and r.ended is ended]
        return found[seed % len(found)] if found else None

    def _run_starts(self, accident: Accident) -> None:
        if run := self._choose(0, started=False):
            self._start(run, accident)

    def _start(self, run: Run, accident: Accident = None) -> None:
        free = self.delivery(run.due.day).state is not DeliveryState.RUNNING
        taken: list[Delivery] = []
        try:
            self._with(
                accident,
                lambda: taken.append(lifecycle.claim(self.world.ledger, run.due.flow, run.due.day, run.run_id)),
            )
        except TransientFailure:
            assert not free
        if not taken:
            self._fault(run)
        self.runs[run.run_id] = replace(run, delivery=taken[0] if taken else None, ended=not taken)

    def _run_ends(self, ending: str, accident: Accident) -> None:
        run = self._choose(0, started=True) or self._choose(0, started=False)
        if run is None:
            return
        if ending == "publishes" and run.delivery:
            self._finish(run, accident)
            return
        self._fault(run)
        if ending != "dies" and run.delivery:
            error = PermanentFailure("bad file") if ending == "fails for good" else TransientFailure("slow")
            reported = self._with(accident, lambda: self._fail(run, error))
            # A tick after the failure was written may have settled what is pending as the next version.
            if reported and (accident or ("",))[0] != "tick":
                assert self.delivery(run.due.day).permanent is isinstance(error, PermanentFailure)
        self.runs[run.run_id] = replace(self.runs[run.run_id], ended=True)

    def _fail(self, run: Run, error: Exception) -> None:
        lifecycle.fail(self.world, run.due.flow, run.due.day, run.run_id, error)

    @rule(seed=st.integers(0, 9), accident=ACCIDENTS)
    def run_thought_dead_publishes(self, seed: int, accident: Accident) -> None:
        if run := self._choose(seed, started=True, ended=True):
            self._finish(run, accident)

    def _finish(self, run: Run, accident: Accident = None) -> None:
        """Publish, then close. Another run may have taken the delivery from a run that was thought dead."""
        delivery = run.delivery
        assert delivery is not None
        held = self.delivery(delivery.day).is_held_by(run.run_id) and not run.ended
        if delivery.version >= self.tables.get(delivery.day, (0, {}))[0]:
            self.tables[delivery.day] = delivery.version, self._read(delivery)
        try:
            whole = self._with(accident, lambda: close(self.world, self.flow, delivery, 1.0))
        except TransientFailure as e:
            assert not held
            self._fail(run, e)
        else:
            if not whole:
                self._fault(run)
        self.runs[run.run_id] = replace(run, ended=True)

    def _fault(self, run: Run) -> None:
        self.faults[run.due.day, self.delivery(run.due.day).version] += 1

    def _read(self, delivery: Delivery) -> dict[str, bytes]:
        """The version's objects, read as a run reads them: exactly what the partner wrote as that version."""
        document = json.loads(self.world.body(self.world.zones.raw_bucket, delivery.manifest_key) or b"")
        known = {(o.key, o.version): o for o in self.world.ledger.objects.of_day(self.flow.name, delivery.day)}
        written = {(p.key, p.version): p.body for p in self.puts}
        read = {}
        for entry in document["objects"]:
            where = located(known[entry["key"], entry["version"]])
            body = self.world.body(where["Bucket"], where["Key"], where.get("VersionId"))
            assert body == written[entry["key"], entry["version"]]
            read[entry["key"]] = body
        return read

    # -- operators

    @rule(does=st.sampled_from(["retries", "settles", "drops"]), file=st.sampled_from(FILES), accident=ACCIDENTS)
    def operator(self, does: str, file: str, accident: Accident) -> None:
        delivery = self.delivery(self.days[1])
        if not delivery.arrivals:
            return
        if does == "settles" and delivery.pending:
            self._with(accident, lambda: self.world.settler.settle(self.flow, delivery, anyway=True))
        if does == "drops":
            key = self.world.key(self.feed, delivery.day, file)
            for obj in (o for o in self.world.ledger.objects.of_day(self.flow.name, delivery.day) if o.key == key):
                self.excluded.add(obj.version)
                self.world.ledger.objects.exclude(self.flow.name, obj, "dropped")
        if does != "settles":
            self.world.ledger.deliveries.reopen(self.flow.name, delivery.day)

    # -- what must hold

    @invariant()
    def numbers_have_no_gaps(self) -> None:
        for flow in self.world.source.feeds:
            for delivery in self.world.ledger.deliveries.of_feed(flow.name):
                versions = [p.version for p in self.world.ledger.publications.of_feed(flow.name, delivery.day)]
                assert versions == list(range(1, delivery.version + 1))
                numbers = [o.number for o in self.world.ledger.objects.of_day(flow.name, delivery.day) if o.number]
                assert len(set(numbers)) == len(numbers)
                assert max(numbers, default=0) <= delivery.arrivals

    def nothing_is_lost(self) -> None:
        archived = {
            (o.key, o.version): o.archived_key
            for flow in self.world.source.feeds
            for day in self.days
            for o in self.world.ledger.objects.of_day(flow.name, day)
        }
        for put in self.puts:
            there = self.world.body(self.world.source.bucket, put.key, put.version)
            copy = archived.get((put.key, put.version), "")
            kept = self.world.body(self.world.zones.raw_bucket, copy) if copy else None
            assert put.body in (there, kept)

    # -- the end

    def teardown(self) -> None:
        self._heal()
        for minutes in (*[10] * 6, 24 * 60, 24 * 60, *[10] * 4):
            self._work()
            self.world.clock.pass_by(timedelta(minutes=minutes))
        for delivery in self.world.ledger.deliveries.of_feed(self.flow.name):
            if delivery.state is DeliveryState.FAILED and delivery.version:
                assert delivery.permanent or self.faults[delivery.day, delivery.version] >= MAX_ATTEMPTS, delivery
                self.world.ledger.deliveries.reopen(self.flow.name, delivery.day)
        for _ in range(4):
            self._work()
            self.world.clock.pass_by(timedelta(minutes=10))
        self.nothing_is_lost()
        for day in self.days:
            self._check_published(day)
        self._check_idle()

    def _heal(self) -> None:
        if hasattr(self.world.dynamo, "lagging"):
            self.world.dynamo.lagging = False
            self.world.dynamo.catch_up()
            self.world.bare_sqs.time_out()

    def _work(self) -> None:
        self.world.settler.arrivals.reconcile()
        self._tick()
        for run in list(self.runs.values()):
            if not run.ended and run.delivery is None:
                self._start(run)
        for run in list(self.runs.values()):
            if not run.ended and run.delivery is not None:
                self._finish(run)

    def _check_published(self, day: date) -> None:
        delivery = self.delivery(day)
        newest = {p.key: p for p in self.puts if p.day == day and p.version not in self.excluded}
        data = {k: p.body for k, p in newest.items() if p.file in FILES}
        markers = [p for p in self.puts if p.day == day and p.file not in FILES and p.body != b"{"][-1:]
        assert delivery.state not in (DeliveryState.SETTLED, DeliveryState.RUNNING)
        match self.feed:
            case "quiet":
                expected = data if data or delivery.version else None
            case "count":
                expected = data if len(data) >= 2 else None
            case "done":
                expected = data if markers else None
            case _:
                expected = self._listed(markers, data)
        if expected is None or "operator" in delivery.settled_because:
            return
        assert delivery.state is DeliveryState.PUBLISHED, delivery
        assert self.tables[day] == (delivery.published, expected)

    def _listed(self, markers: list[Put], data: dict[str, bytes]) -> dict[str, bytes] | None:
        if not markers:
            return None
        found = {}
        for file in json.loads(markers[0].body)["files"]:
            key = self.world.key(self.feed, markers[0].day, file["name"])
            if key not in data or len(data[key]) != file.get("bytes", len(data[key])):
                return None
            found[key] = data[key]
        return found

    def _check_idle(self) -> None:
        before = len(self.runs)
        self.world.clock.pass_by(timedelta(days=3))
        assert self.world.settler.arrivals.receive() == 0
        assert self.world.settler.arrivals.reconcile() == 0
        assert self.world.settler.due(self) == ([], [])
        assert len(self.runs) == before
