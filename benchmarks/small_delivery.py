"""What a small delivery costs in calls of AWS and in CPU: ``python -m benchmarks.small_delivery [PART...]``, of all
parts or of ``files``, ``scope``, ``dagster``, ``looks``, ``fold`` and ``events``; ``-v`` also says which line of ours
made each call.

A delivery is counted from its event to its published and closed version. Each is of a process that has had one before,
so imports and clients count in none. CPU is this process's and that of the embedded AWS, never time on the clock.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from adplatform.contracts.feed import Feed
from adplatform.flow.budget import Budget
from adplatform.flow.looks import Progress, look_at
from adplatform.flow.provision import provision
from adplatform.flow.source import ScopeKey, Source, make_source
from adplatform_tests.support.changes import followed_source
from adplatform_tests.support.plainly import NoRunIsAlive
from benchmarks.scale import COLUMNS, DAY, World, body, declared, deliver, feed, put, world

ROWS = 9
OPEN = (1, 30, 300)
EVENTS = 10_000
KEYED: Mapping[str, Any] = {
    "key": "id",
    "columns": {**COLUMNS, "id": {"type": "int", "required": True}},
    "landing": "a1/dt={date}/{file}",
}
VERBOSE = "-v"


@contextmanager
def counted(world: World, what: str, *, verbose: bool = False) -> Iterator[None]:
    """Prints what is asked of AWS within, by operation and place, and the CPU."""
    places, row = world.aws.places, dict[str, float]()
    assert places is not None
    before = len(places)
    with world.measured(row) as asked:
        yield
    names = ", ".join(f"{name} {count:,}" for name, count in asked.most_common())
    print(f"| {what} | {asked.total():,} | {row['CPU s']:.2f}, {row['AWS CPU s']:.2f} | {names} |", flush=True)
    for (name, place), count in Counter(places[before:]).items() if verbose else ():
        print(f"    {count:5,} {name:20} {place}")


def small(number: int) -> bytes:
    return b"\n".join([*body(number).splitlines()[: ROWS + 1], b""])


def put_one(world: World, source: Source, below: str, number: int = 0) -> None:
    key = f"{source.prefix}{below}/{number:05d}.csv"
    world.services.s3.put_object(Bucket=world.services.settings.raw_bucket, Key=key, Body=small(number))


def looked(world: World, source: Source) -> Progress:
    """A look that has listed the landing zone, as one does every five minutes."""
    budget = Budget.of(timedelta(minutes=5).total_seconds())
    return look_at(world.services.settler(source), NoRunIsAlive(), budget, Progress())[1]


def of_files(world: World, verbose: bool) -> None:
    """The first delivery of a table, another of it, and one of many files."""
    for number, (what, shown) in enumerate((("warm-up", False), ("one file", verbose))):
        source = declared(world, [feed("tiny", 1)])
        for day in (DAY - timedelta(days=1), DAY):
            before = looked(world, source)
            put_one(world, source, f"tiny/dt={day}", number)
            with counted(world, f"{what}, {'first of its table' if day < DAY else 'another date'}", verbose=shown):
                deliver(world, source, progress=before)
    source = declared(world, [feed("tiny", 100)])
    before = looked(world, source)
    put(world, source, "tiny", 100)
    with counted(world, "100 files", verbose=verbose):
        deliver(world, source, progress=before)


def of_scope(world: World, verbose: bool) -> None:
    """A delivery of a table with a key that is partitioned by a scope beside the date, and a correction of it."""
    for what, shown in (("warm-up", False), ("key and scope", verbose)):
        bucket, declared = world.services.settings.raw_bucket, Feed.model_validate(feed("tiny", 1, **KEYED))
        plain = make_source(f"a{what[:3]}", bucket, [declared])
        source = replace(plain, feeds=tuple(replace(each, scope=ScopeKey("account", "a1")) for each in plain.feeds))
        provision(world.services, [source])
        for number, day in enumerate((DAY - timedelta(days=1), DAY, DAY)):
            before = looked(world, source)
            put_one(world, source, f"a1/dt={day}", number)
            with counted(
                world, f"{what}, {('first of its table', 'another date', 'more of it')[number]}", verbose=shown
            ):
                deliver(world, source, progress=before)


def of_dagster(world: World, verbose: bool) -> None:
    """A delivery through Dagster: the tick that asks for its run, both steps, and the tick after it."""
    import dagster as dg  # noqa: PLC0415 - imports count in no other part

    from adplatform.components import PartnerPush  # noqa: PLC0415
    from adplatform_tests.support.platforms import make_platform  # noqa: PLC0415

    with dg.DagsterInstance.ephemeral() as instance:
        platform = make_platform(world.services, {"source": "shop", "feeds": [feed("tiny", 1)]}, instance, PartnerPush)
        for number, what in enumerate(("warm-up", "another date", "the next")):
            cursor = platform.look().cursor
            put_one(world, platform.source, f"tiny/dt={DAY - timedelta(days=number)}", number)
            with counted(world, f"Dagster, {what}: its tick", verbose=verbose and number == 1):
                tick = platform.look(cursor)
            [request] = tick.run_requests or ()
            with counted(world, f"Dagster, {what}: its run", verbose=verbose and number == 1):
                assert platform.run(request).success, "the run failed"
            with counted(world, f"Dagster, {what}: a tick after it", verbose=verbose and number == 1):
                tick = platform.look(tick.cursor)
            assert not tick.run_requests, "something is due"


def of_looks(world: World, verbose: bool) -> None:
    """A look with nothing due, while a date of each feed waits for its second file."""
    for feeds in OPEN:
        source = declared(world, [feed(f"f{number:03d}", 2) for number in range(feeds)])
        for number in range(feeds):
            put_one(world, source, f"f{number:03d}/dt={DAY}", number)
        progress, budget = Progress(), timedelta(minutes=5).total_seconds()
        for what in ("that takes the events", "with nothing due"):
            with counted(world, f"{feeds} open, a look {what}", verbose=verbose and what == "with nothing due"):
                settler = world.services.settler(source)
                found, progress = look_at(settler, NoRunIsAlive(), Budget.of(budget), progress)
            assert (found.due, len(found.waiting)) == ((), feeds), found


def of_fold(world: World, verbose: bool) -> None:
    """Changes of a table: their delivery, and the merge of it."""
    for what, shown in (("warm-up", False), ("changes", verbose)):
        changes = followed_source(world.services)
        changes.load(*({"id": n, "status": "new"} for n in range(ROWS)))
        changes.file(changes.change("U", id=1, status="sent"))
        with counted(world, f"{what}: the load's delivery"):
            changes.process()
        with counted(world, f"{what}: its merge"):
            changes.fold()
        changes.file(*(changes.change("U", id=n, status="back") for n in range(ROWS)))
        with counted(world, f"{what}: a delivery", verbose=shown):
            changes.process()
        with counted(world, f"{what}: its merge", verbose=shown):
            assert changes.fold()


def of_events(world: World, verbose: bool) -> None:
    """Many events at once, with the time that a tick has."""
    source = declared(world, [feed("tiny", EVENTS)])
    put(world, source, "tiny", EVENTS)
    with counted(world, f"{EVENTS:,} files", verbose=verbose):
        looks = deliver(world, source, timedelta(seconds=world.services.settings.tick_seconds))
    print(f"    settled by look {looks}")


PARTS: Mapping[str, Callable[[World, bool], None]] = {
    "files": of_files,
    "scope": of_scope,
    "dagster": of_dagster,
    "looks": of_looks,
    "fold": of_fold,
    "events": of_events,
}


def main(*asked: str) -> None:
    for part in [each for each in asked if each != VERBOSE] or PARTS:
        print(f"\n| {part} | calls | CPU s: own, AWS | of them |\n|---|---|---|---|")
        with world() as made:
            PARTS[part](made, VERBOSE in asked)


if __name__ == "__main__":
    main(*sys.argv[1:])
