"""Deliveries and everything that may happen to one, each step by its name.

A step that is given the delivery as it was ``seen`` writes only if nobody has written it since, and returns None
otherwise: somebody else was faster, and the caller looks again. A step that is given a run applies to the delivery as
it is, anew when an object arrives meanwhile, and returns None when the run does not hold it. A step that the delivery
is not in a state for raises ``IllegalStep``. ``feed`` is ``<source>/<feed>``, with ``/<scope>`` where there are any.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from adplatform.failures import PermanentFailure
from adplatform.ledger.delivery import (
    BUSY,
    Delivery,
    DeliveryState,
    active_deliveries,
    advance,
    delivery_write,
    move,
    read_delivery,
)
from adplatform.ledger.engine_run import Intention, intended
from adplatform.ledger.keys import TableRotation, rotation_key
from adplatform.ledger.messages import Unsent
from adplatform.ledger.publications import Publication
from adplatform.ledger.rows import IllegalStep, from_item, plain
from adplatform.ledger.table import NEW, Table, Write, unwire

Pause = Callable[[int], timedelta]
"""How long a delivery rests after so many of a kind."""
_SETTLED, _RUNNING, _FAILED = DeliveryState.SETTLED, DeliveryState.RUNNING, DeliveryState.FAILED
_TRANSFORMING = DeliveryState.TRANSFORMING
_DUE = (_SETTLED, _RUNNING)


MOST_SETTLED = 50
"""Deliveries of one write, of which each takes two of its actions."""


@dataclass(frozen=True)
class Settling:
    """A delivery as it was ``seen``, whose ``objects`` are to become ``version``."""

    feed: str
    seen: Delivery
    version: int
    objects: int
    manifest_key: str
    because: str

    def rows(self, now: datetime) -> tuple[Delivery, Publication]:
        """The delivery and its version, settled ``now``.

        Raises:
            IllegalStep: a version is due or under way, or this is no newer one.
        """
        seen = self.seen
        _require(seen.state not in BUSY, self.feed, seen, "settled")
        _require(self.version > seen.version, self.feed, seen, f"settled as version {self.version}")
        settled = replace(
            seen,
            state=_SETTLED,
            version=self.version,
            settled_arrivals=seen.arrivals,
            attempt=1,
            launches=1,
            deaths=0,
            hindered=0,
            not_before=None,
            run_id="",
            transform="",
            manifest_key=self.manifest_key,
            settled_at=now,
            settled_because=self.because,
            error="",
            permanent=False,
        )
        return settled, Publication(seen.day, self.version, self.objects, self.manifest_key, now, self.because)


@dataclass(frozen=True)
class Deliveries:
    """The deliveries of all feeds."""

    table: Table

    def get(self, feed: str, day: date) -> Delivery:
        """The delivery of that date; a fresh one when nothing has arrived yet."""
        return read_delivery(self.table, feed, day)

    def of_days(self, wanted: Iterable[tuple[str, date]]) -> dict[tuple[str, date], Delivery]:
        """Those of these deliveries, by feed and date, that there are; by few calls."""
        return self.with_rotations((feed, day, None) for feed, day in wanted)[0]

    def with_rotations(
        self, wanted: Iterable[tuple[str, date, str | None]]
    ) -> tuple[dict[tuple[str, date], Delivery], dict[str, TableRotation]]:
        """Deliveries by feed and date, and the ways of their tables to another hashing key by table, by few calls. Of
        each is named the table that has one."""
        asked = list(wanted)
        rows = {(feed, Delivery(day).sort_key): (feed, day) for feed, day, _ in asked}
        keys = {rotation_key(table): table for _, _, table in asked if table}
        found = self.table.get_many([*rows, *keys])
        return (
            {each: from_item(Delivery, found[key]) for key, each in rows.items() if key in found},
            {table: from_item(TableRotation, found[key]) for key, table in keys.items() if key in found},
        )

    def of_feed(self, feed: str) -> list[Delivery]:
        """The deliveries of a feed, oldest date first."""
        return list(self.table.query(Delivery, feed, "delivery#"))

    def newest(self, feed: str, most: int) -> list[Delivery]:
        """The deliveries of a feed's newest dates, newest first; one call, however many dates there are."""
        return list(self.table.range(Delivery, feed, "delivery#", "delivery#~", forward=False, most=most))

    def newest_published(self, feed: str) -> Delivery | None:
        """The delivery of the newest date that readers can see."""
        newest_first = self.table.range(Delivery, feed, "delivery#", "delivery#~", forward=False)
        return next((delivery for delivery in newest_first if delivery.published), None)

    def active(self, source: str) -> list[tuple[str, Delivery]]:
        """Deliveries of a source with something to do, each with the name of its feed, sorted by it and the date.

        One query for all feeds: an account may have thousands. The index is eventually consistent: a later tick sees
        what one misses.
        """
        found = self.table.active(active_deliveries(source))
        named = [(str(i["pk"]).removeprefix("feed#"), from_item(Delivery, i)) for i in found]
        return sorted(named, key=lambda each: (each[0], each[1].day))

    def reopen(self, feed: str, day: date) -> Delivery:
        """Make a new version due although nothing arrived: the contract, a key or a decision changed."""
        while True:
            seen = self.get(feed, day)
            if (written := move(self.table, feed, seen, replace(seen, arrivals=seen.arrivals + 1))) is not None:
                return written

    def settle(
        self,
        feed: str,
        seen: Delivery,
        *,
        objects: int,
        manifest_key: str,
        because: str,
        version: int = 0,
        settled_arrivals: int | None = None,
    ) -> Delivery | None:
        """Close the set of objects as ``version``, by default the next, with its publication. Arrivals above
        ``settled_arrivals``, none by default, stay pending.

        Raises:
            IllegalStep: a version is due or under way, or ``version`` is no newer one.
        """
        number = version or seen.version + 1
        arrivals = seen.arrivals if settled_arrivals is None else settled_arrivals
        _require(arrivals <= seen.arrivals, feed, seen, f"settled with {arrivals} arrivals")
        settling = Settling(feed, seen, number, objects, manifest_key, because)
        settled, publication = settling.rows(self.table.now())
        settled = replace(settled, settled_arrivals=arrivals)
        return move(self.table, feed, seen, settled, self.table.put_write(feed, publication, NEW))

    def settle_and_claim(self, wanted: Sequence[Settling], run_id: str) -> list[tuple[Delivery, Publication]] | None:
        """Close the sets of objects of up to ``MOST_SETTLED`` deliveries as they were seen, and take all of them for a
        run, by one write: the deliveries and their versions as they are then. None, and nothing is written, where
        somebody else has changed one of them.

        Raises:
            IllegalStep: as :meth:`settle`.
        """
        now, done = self.table.now(), []
        writes: list[Write] = []
        for each in wanted:
            settled, publication = each.rows(now)
            running = replace(settled, state=_RUNNING, run_id=run_id)
            write = delivery_write(self.table, each.feed, each.seen, running)
            writes += [write, self.table.put_write(each.feed, publication, NEW)]
            done.append((from_item(Delivery, unwire(write["Put"]["Item"])), publication))
        return done if self.table.transact(writes) else None

    def same_again(self, feed: str, seen: Delivery) -> Delivery | None:
        """What came is what is published: nothing is pending any more, and there is no new version.

        Raises:
            IllegalStep: its latest version is not published.
        """
        _require(_is_closed(seen), feed, seen, "left as it is")
        return move(self.table, feed, seen, replace(seen, settled_arrivals=seen.arrivals))

    def note_waiting(self, feed: str, seen: Delivery, because: str, until: datetime | None, judged: str) -> None:
        """Remember what the delivery lacks, unless somebody else changed it since ``seen``. Nothing about it changes,
        so this is no new revision."""
        values = {":waiting": because, ":as": judged, ":r": seen.revision}
        when = "SET waiting_until = :until," if until else "REMOVE waiting_until SET"
        update = f"{when} waiting = :waiting, waiting_as = :as"
        given = {**values, **({":until": plain(until)} if until else {})}
        self.table.update_if(feed, seen.sort_key, update, "revision = :r", given)

    def stuck(self, feed: str, seen: Delivery, error: str, message: Unsent) -> Delivery | None:
        """What came cannot settle; the ``message`` of it is written in the same transaction, or neither is. A failed
        version with attempts left keeps them.

        Raises:
            IllegalStep: a version is due or under way.
        """
        _require(seen.state not in BUSY, feed, seen, "stuck")
        permanent = seen.permanent or seen.state is not _FAILED
        stuck = replace(seen, state=_FAILED, permanent=permanent, error=error)
        return move(self.table, feed, seen, stuck, self._message(feed, message))

    def no_longer_stuck(self, feed: str, seen: Delivery, *, closed: bool) -> Delivery | None:
        """What kept it from settling is mended; it is published again if its latest version is ``closed``, or open.

        Raises:
            IllegalStep: it is not stuck, or has a version that was not closed.
        """
        _require(seen.state is _FAILED and seen.permanent, feed, seen, "mended")
        _require(seen.published == seen.version if closed else not seen.version, feed, seen, "mended")
        state = DeliveryState.PUBLISHED if closed else DeliveryState.OPEN
        return move(self.table, feed, seen, replace(seen, state=state, permanent=False, error=""))

    def restore(
        self,
        feed: str,
        seen: Delivery,
        *,
        version: int,
        published: int,
        arrivals: int,
        settled_arrivals: int,
        manifest_key: str,
        settled_at: datetime,
        settled_because: str,
    ) -> Delivery | None:
        """Remember again what readers see, after the ledger forgot it. ``version`` is the highest that there was.

        Raises:
            IllegalStep: a run or an engine is at it, or the numbers contradict each other or what the ledger knows.
        """
        _require(seen.state not in (_RUNNING, _TRANSFORMING), feed, seen, "restored")
        _require(seen.version <= version >= published, feed, seen, f"restored as version {published} of {version}")
        _require(settled_arrivals <= arrivals, feed, seen, f"restored with {settled_arrivals} of {arrivals} arrivals")
        restored = replace(
            seen,
            state=DeliveryState.PUBLISHED,
            version=version,
            published=published,
            settled_arrivals=settled_arrivals,
            arrivals=arrivals,
            manifest_key=manifest_key,
            settled_at=settled_at,
            settled_because=settled_because,
            attempt=0,
            run_id="",
            transform="",
            error="",
            permanent=False,
        )
        return move(self.table, feed, seen, restored)

    def claim(self, feed: str, day: date, run_id: str) -> tuple[bool, Delivery]:
        """Take the latest settled version for a run, by one write; whether it was taken, and the delivery as it is
        then. It is not while a run has it, this one or another. One that an engine has can be taken: the run finds what
        became of it.

        Raises:
            PermanentFailure: nothing has settled for that date.
        """
        taken, delivery = self.table.change_if(
            Delivery,
            feed,
            Delivery(day).sort_key,
            "SET #state = :running, #run_id = :run, #changed_at = :now, #active_feed = :active "
            "REMOVE #not_before, #error, #permanent ADD #revision :one",
            "#version > :none AND #state <> :running",
            {
                ":running": str(_RUNNING),
                ":run": run_id,
                ":one": 1,
                ":now": plain(self.table.now()),
                ":active": active_deliveries(feed.partition("/")[0]),
                ":none": 0,
            },
            ("state", "run_id", "revision", "changed_at", "active_feed", "not_before", "error", "permanent", "version"),
        )
        if delivery is None or not delivery.version:
            raise PermanentFailure(
                f"{feed} {day}: no delivery has settled; `adplatform ledger {feed} {day}` shows what arrived"
            )
        return taken, delivery

    def held_write(self, feed: str, day: date, run_id: str) -> Write:
        """For a transaction that is not written unless the run has the delivery."""
        held = {":running": str(_RUNNING), ":run": run_id}
        condition = "#state = :running AND #run_id = :run"
        return self.table.check_write(feed, Delivery(day).sort_key, condition, held, ("state", "run_id"))

    def release(self, feed: str, day: date, run_id: str, *, closed: bool) -> Delivery | None:
        """The run lets go of it: published again if its latest version is published and ``closed``, due otherwise."""

        def released(seen: Delivery) -> Delivery:
            state = DeliveryState.PUBLISHED if closed and seen.published == seen.version else _SETTLED
            return replace(seen, state=state, run_id="", launches=seen.launch + 1)

        return self._advance_held(feed, day, run_id, released)

    def hand_over(self, feed: str, day: date, run_id: str, intention: Intention) -> Delivery | None:
        """The run gives it to an engine, for an intention that is remembered with it unless it is known already; its
        number of launches goes into no other intention."""
        while True:
            seen = self.get(feed, day)
            if not seen.is_held_by(run_id):
                return None
            known = self.table.get(Intention, intention.owner, intention.sort_key) is not None
            given = replace(
                seen, state=_TRANSFORMING, run_id="", transform=intention.key, launches=seen.launch + 1, hindered=0
            )
            others = [] if known else [intended(self.table, intention)]
            if (written := move(self.table, feed, seen, given, *others)) is not None:
                return written

    def handed_back(self, feed: str, seen: Delivery) -> Delivery | None:
        """The engine is done with it: it is due again.

        Raises:
            IllegalStep: no engine has it.
        """
        _require(seen.state is _TRANSFORMING, feed, seen, "due again")
        return move(self.table, feed, seen, replace(seen, state=_SETTLED))

    def close(
        self, feed: str, day: date, run_id: str, version: int, seen: Delivery | None = None, *others: Write
    ) -> Delivery | None:
        """The run has published ``version`` and moved its objects to the archive. ``seen`` is the delivery as the run
        held it a moment ago, which saves reading it; ``others`` are written in the same transaction, or neither is.

        Raises:
            IllegalStep: the run holds another version.
        """

        held = seen if seen is not None and seen.is_held_by(run_id) else None
        return self._advance_held(feed, day, run_id, lambda held: _closed(feed, held, version), held, *others)

    def close_write(self, feed: str, seen: Delivery, run_id: str, version: int) -> Write:
        """The same for a transaction, which is not written where the delivery has changed since ``seen``.

        Raises:
            IllegalStep: the run holds another version, or not the delivery.
        """
        _require(seen.is_held_by(run_id), feed, seen, "closed")
        return delivery_write(self.table, feed, seen, _closed(feed, seen, version))

    def fail_for_good(self, feed: str, day: date, run_id: str, error: str, *, visible: bool) -> Delivery | None:
        """The run failed, and trying again cannot help. ``visible`` when readers see its version all the same."""

        def failed(seen: Delivery) -> Delivery:
            return replace(_failed(seen, error, visible), permanent=True, hindered=0)

        return self._advance_held(feed, day, run_id, failed)

    def fail_attempt(
        self, feed: str, day: date, run_id: str, error: str, pause: Pause, *, visible: bool
    ) -> Delivery | None:
        """The run failed; it is tried again after the ``pause`` that follows an attempt of its number."""
        now = self.table.now

        def failed(seen: Delivery) -> Delivery:
            until = now() + pause(seen.attempt)
            return replace(_failed(seen, error, visible), attempt=seen.attempt + 1, hindered=0, not_before=until)

        return self._advance_held(feed, day, run_id, failed)

    def fail_hindered(
        self, feed: str, day: date, run_id: str, error: str, pause: Pause, *, visible: bool
    ) -> Delivery | None:
        """The place where the run works hindered it, which is no attempt; it rests the longer the more often that
        happened."""
        now = self.table.now

        def failed(seen: Delivery) -> Delivery:
            times = seen.hindered + 1
            return replace(_failed(seen, error, visible), hindered=times, not_before=now() + pause(times))

        return self._advance_held(feed, day, run_id, failed)

    def free(self, feed: str, seen: Delivery) -> Delivery | None:
        """Its run is dead: it is due again, in the same launch.

        Raises:
            IllegalStep: no run has it.
        """
        _require(seen.state is _RUNNING, feed, seen, "freed")
        return move(self.table, feed, seen, replace(seen, state=_SETTLED, run_id=""))

    def stopped(self, feed: str, seen: Delivery, error: str, *, visible: bool) -> Delivery | None:
        """Its run was stopped from outside: it is due again, in a launch of its own.

        Raises:
            IllegalStep: no run has it or was asked for.
        """
        _require(seen.state in _DUE, feed, seen, "due again")
        return move(self.table, feed, seen, _launched(replace(_shown(seen, visible), error=error)))

    def hindered(self, feed: str, seen: Delivery, error: str, pause: Pause, *, visible: bool) -> Delivery | None:
        """The place where its run works hindered it: it rests.

        Raises:
            IllegalStep: no run has it or was asked for.
        """
        _require(seen.state in _DUE, feed, seen, "left to rest")
        times = seen.hindered + 1
        until = self.table.now() + pause(times)
        rests = replace(_failed(seen, error, visible), hindered=times, run_id="", not_before=until)
        return move(self.table, feed, seen, rests)

    def died(self, feed: str, seen: Delivery, error: str, pause: Pause, *, visible: bool) -> Delivery | None:
        """Its run ended without a word: it is due again, at once or after the ``pause`` that follows so many deaths.

        Raises:
            IllegalStep: no run has it or was asked for.
        """
        _require(seen.state in _DUE, feed, seen, "due again")
        dead = replace(_shown(seen, visible), deaths=seen.deaths + 1, hindered=0, error=error)
        if not (rest := pause(dead.deaths)):
            return move(self.table, feed, seen, _launched(dead))
        rests = replace(dead, state=_FAILED, run_id="", not_before=self.table.now() + rest)
        return move(self.table, feed, seen, rests)

    def give_up(self, feed: str, seen: Delivery, error: str, message: Unsent) -> Delivery | None:
        """Its runs died too often; the ``message`` of it is written in the same transaction, or neither is.

        Raises:
            IllegalStep: no run has it or was asked for.
        """
        _require(seen.state in _DUE, feed, seen, "given up")
        dead = replace(seen, deaths=seen.deaths + 1, hindered=0, error=error)
        given_up = replace(dead, state=_FAILED, run_id="", not_before=None)
        return move(self.table, feed, seen, given_up, self._message(feed, message))

    def launch_again(self, feed: str, seen: Delivery) -> Delivery | None:
        """Its rest is over: it is due again, in a launch of its own.

        Raises:
            IllegalStep: it has not failed.
        """
        _require(seen.state is _FAILED, feed, seen, "due again")
        return move(self.table, feed, seen, _launched(seen))

    def retry(self, feed: str, seen: Delivery) -> Delivery | None:
        """An operator wants it tried again now, with all its attempts.

        Raises:
            IllegalStep: it has not failed, or trying the same version again cannot help.
        """
        _require(seen.state is _FAILED and not seen.permanent and seen.version > 0, feed, seen, "tried again")
        return move(self.table, feed, seen, _launched(replace(seen, attempt=1, deaths=0, transform="")))

    def readmit(self, feed: str, seen: Delivery) -> Delivery | None:
        """What its table refused is taken by now: it is tried again, with all its attempts, as if it had never failed.

        Raises:
            IllegalStep: it has not failed, or has no version.
        """
        _require(seen.state is _FAILED and seen.version > 0, feed, seen, "tried again")
        return move(self.table, feed, seen, _launched(_afresh(seen)))

    def _advance_held(
        self,
        feed: str,
        day: date,
        run_id: str,
        step: Callable[[Delivery], Delivery],
        seen: Delivery | None = None,
        *others: Write,
    ) -> Delivery | None:
        return advance(
            self.table, feed, day, lambda held: step(held) if held.is_held_by(run_id) else None, seen, *others
        )

    def _message(self, feed: str, message: Unsent) -> Write:
        return self.table.put_write(feed.partition("/")[0], message)


def _is_closed(seen: Delivery) -> bool:
    return seen.state is DeliveryState.PUBLISHED and seen.published == seen.version


def _closed(feed: str, seen: Delivery, version: int) -> Delivery:
    _require(seen.version == version, feed, seen, f"closed as version {version}")
    return replace(seen, state=DeliveryState.PUBLISHED, published=version, deaths=0, hindered=0)


def _shown(seen: Delivery, visible: bool) -> Delivery:
    """``visible`` when readers see the latest version, which its run could not say any more."""
    return replace(seen, published=seen.version) if visible else seen


def _failed(seen: Delivery, error: str, visible: bool) -> Delivery:
    return replace(_shown(seen, visible), state=_FAILED, error=error)


def _launched(seen: Delivery) -> Delivery:
    """Due again, under a run key of its own: a run key launches only one run, ever."""
    return replace(seen, state=_SETTLED, launches=seen.launch + 1, run_id="", not_before=None)


def _afresh(seen: Delivery) -> Delivery:
    return replace(seen, attempt=1, deaths=0, error="", permanent=False, transform="")


def _require(allowed: bool, feed: str, seen: Delivery, done: str) -> None:
    if not allowed:
        raise IllegalStep(f"{feed} {seen.day} is {seen.state} with version {seen.version} and cannot be {done}")
