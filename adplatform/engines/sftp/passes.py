"""What a listing of a folder comes to: which files are fetched, which folders are listed next, what is cleared away.

A judgement is committed by one conditional write, that of the folder's memory. Before it nothing has happened but that
a plan was written; after it the plan is carried out, by whoever comes: each of its steps may be repeated.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from adplatform.contracts.sftp import SftpSource
from adplatform.engines.runs import slot_before
from adplatform.engines.sftp.ahead import tell_of_clock
from adplatform.engines.sftp.clearing import clearings_of, stuck
from adplatform.engines.sftp.folders import folders_to_list
from adplatform.engines.sftp.listings import MOST_ITEMS
from adplatform.engines.sftp.memories import Memories, Remembered
from adplatform.engines.sftp.plans import Clearing, Plan, Plans, Told, batches_of
from adplatform.engines.sftp.provided_connectors import Connector
from adplatform.failures import PermanentFailure, TransientFailure, clipped, listed, named
from adplatform.flow.outbox import notify
from adplatform.flow.services import Services
from adplatform.flow.source import Source
from adplatform.lake.zones import MAX_KEY
from adplatform.ledger.engine_run import PURSUED, EngineRun, Intention
from adplatform.ledger.messages import Unsent
from adplatform.sftp.choice import Chosen, Due, Known, choose, failed, landed
from adplatform.sftp.connector_listing import ConnectorListing, read_listing
from adplatform.sftp.memory import Memory
from adplatform.sftp.places import rules_of

log = logging.getLogger(__name__)

TRANSFER = "transfer"
"""What the transfers of a source are called among its targets."""
MOST_BATCHES = 100
"""Transfers that wait or go on at the same time: a connector lets 1,000 files wait (Transfer Family quotas)."""
OVERTAKEN = "a later listing was judged before it"
FRESH = timedelta(minutes=10)
"""How old a listing may be by which files are moved or deleted."""
_TELL_FAILURES = 2
"""Fetches of a file in vain of which people are notified: one may pass."""
_LONGEST = 500


@dataclass(frozen=True)
class Place:
    """A folder that is listed by the target ``again``. ``root`` is the one that is listed by schedule, whose folders
    are listed by the target ``below`` as far as ``depth`` levels."""

    folder: str
    root: str
    depth: int
    again: str
    below: str


@dataclass(frozen=True)
class Passes:
    """The judgement of the listings of a source. ``output`` gives what a run wrote; ``most`` is how many transfers
    wait or go on at the same time."""

    services: Services
    declared: SftpSource
    source: Source
    connector: Connector
    plans: Plans
    memories: Memories
    output: Callable[[str], bytes | None]
    most: int = MOST_BATCHES

    def judge(self, place: Place, run: EngineRun) -> str:
        """
        Raises:
            PermanentFailure: the plan is gone, or the memory damaged.
            TransientFailure: AWS does not answer at present, or does not allow it.
        """
        at = run.ended_at or self.services.ledger.now()
        output = self.output(run.run_id)
        if output is None:
            return "its output was gone before anybody looked at it"
        try:
            listing = read_listing(output, place.folder)
        except ValueError as e:
            said = f"the output of listing {run.run_id} of {place.folder} is no listing: {e}"
            self._trouble(place, "unreadable", said)
            return said
        self._trouble(place, "unreadable", "")
        while True:
            seen = self.memories.read(place.folder)
            if seen.run == run.run_id:
                return self._carried_out(place, self.plans.read(seen.plan), clear=False)
            if seen.at is not None and seen.at > at:
                return OVERTAKEN
            memory, plan = self._decided(place, listing, seen.memory, at, run.run_id)
            self.plans.write(plan)
            if self.memories.write(place.folder, Remembered(memory, run.run_id, at, plan.id), seen):
                break
        tell_of_clock(self.services, self.declared, memory.known, at)
        self._trouble(place, "truncated", _truncated(place.folder) if listing.truncated else "")
        return self._carried_out(place, plan, clear=True)

    def _decided(
        self, place: Place, listing: ConnectorListing, memory: Memory, at: datetime, run: str
    ) -> tuple[Memory, Plan]:
        known, told = self._outcomes(memory.known, at)
        rules = rules_of(self.declared)
        chosen = choose(listing.files, known, rules, at, _UNNAMED, whole=not listing.truncated)
        pursued = self.services.ledger.engine_runs.pursued(self.source.name)
        room = self.most - sum(each.target == TRANSFER for each in pursued)
        keyed = [(each, self._key(each)) for each in chosen.due]
        refused = {**chosen.refused, **{each.file.path: _TOO_LONG for each, key in keyed if _is_too_long(key)}}
        due = [(each, key) for each, key in keyed if not _is_too_long(key)]
        due.sort(key=lambda found: (found[0].file.modified or at, found[0].file.path))
        batches = batches_of(due)[: max(room, 0)]
        folders = self._folders(place, listing, pursued, at)
        taken = {wanted.path for batch in batches for wanted in batch}
        if len(taken) < len(due):
            # Once those that go on have ended, there is room.
            folders.append(place.folder)
        next_slot = slot_before(at, self.declared.every, self.declared.offset) + self.declared.every
        again_at = chosen.look_at if chosen.look_at and chosen.look_at < next_slot else None
        if again_at and place.folder not in folders:
            folders.append(place.folder)
        elif again_at:
            again_at = None
        clearings = clearings_of(self.services, self.source, self.declared, listing.files, chosen.known, at)
        new = {path: why for path, why in refused.items() if path not in memory.refused}
        if new:
            told.append(self._told("files_refused", f"{len(new)} files are not fetched", _reasons(new)))
        if stay := stuck(clearings, chosen.known):
            told.append(self._told("files_not_cleared", f"{len(stay)} files stay on the server", _stay(stay)))
        plan = Plan(
            place.folder,
            at,
            run,
            _summed_up(listing, chosen, len(taken), len(refused)),
            tuple(batches),
            tuple(folders),
            tuple(clearings),
            tuple(told),
            again_at,
        )
        asked = {each.path for each in clearings}
        remembered = {path: _named(path, each, at, asked) for path, each in chosen.known.items()}
        for number, batch in enumerate(plan.batches):
            for wanted in batch:
                remembered[wanted.path] = replace(remembered[wanted.path], fetch=plan.part(number))
        return Memory(remembered, refused), plan

    def _outcomes(self, known: Mapping[str, Known], at: datetime) -> tuple[dict[str, Known], list[Told]]:
        """What is remembered once the receipts of transfers that have landed are read."""
        found = dict(known)
        lost: dict[str, str] = {}
        for fetch in sorted({each.fetch for each in known.values() if each.fetch and not each.key}):
            own = [path for path, each in known.items() if each.fetch == fetch and not each.key]
            receipt = self.plans.receipt(fetch)
            if receipt is not None:
                found = landed(found, {path: receipt.landed[path] for path in own if path in receipt.landed})
                why = {path: receipt.failed.get(path, "it was left out") for path in own if path not in receipt.landed}
            else:
                intention = self.services.ledger.engine_runs.intention(self.source.name, TRANSFER, fetch)
                if intention is None or intention.state in PURSUED:
                    # One that nobody wants yet is a plan's that nobody has carried out to its end.
                    self._intend(TRANSFER, fetch)
                    continue
                why = dict.fromkeys(own, intention.error or "its transfer is given up")
            found = failed(found, why, at)
            lost |= {path: said for path, said in why.items() if found[path].failures == _TELL_FAILURES}
        if not lost:
            return found, []
        return found, [self._told("files_not_fetched", f"{len(lost)} files cannot be fetched", _reasons(lost))]

    def _carried_out(self, place: Place, plan: Plan, *, clear: bool) -> str:
        """Files are moved and deleted once only by one listing: what it says of them is soon no longer so. While the
        source is paused that is left for a later one."""
        for number in range(len(plan.batches)):
            self._intend(TRANSFER, plan.part(number))
        for number, folder in enumerate(plan.folders):
            if folder == place.folder:
                self._intend(place.again, plan.part(number), plan.again_at)
            else:
                self._intend(place.below, plan.part(number))
        for each in plan.told:
            facts = {"source": self.source.name, **each.facts}
            message = Unsent.of(self.declared.topics.failure, each.event, each.subject, facts)
            notify(self.services, self.source.name, message)
        clear = clear and self.services.ledger.pauses.of(self.source.name) is None
        if clear and self.services.ledger.now() - plan.at <= FRESH:
            for clearing in plan.clearings:
                try:
                    self.connector.start(clearing.operation, **clearing.arguments)
                except PermanentFailure as e:
                    log.warning("%s: a file is not cleared away: %s", self.source.name, e)
                except TransientFailure as e:
                    log.warning("%s: a file is left for a later listing: %s", self.source.name, e)
                    break
        return plan.said

    def _folders(
        self, place: Place, listing: ConnectorListing, pursued: Iterable[Intention], at: datetime
    ) -> list[str]:
        wanted = folders_to_list(self.declared, place.root, place.depth, listing.folders, at)
        if not wanted:
            return []
        going = {self.plans.folder(each.key) for each in pursued if each.target == place.below}
        return [folder for folder in wanted if folder not in going]

    def _key(self, due: Due) -> str:
        flow = next(flow for flow in self.source.feeds if flow.feed.name == due.feed)
        return flow.layout.key(due.day, due.name)

    def _intend(self, target: str, key: str, not_before: datetime | None = None) -> None:
        wanted = Intention(self.source.name, target, key, not_before=not_before)
        self.services.ledger.engine_runs.intend(wanted)

    def _told(self, event: str, what: str, why: str) -> Told:
        return Told(event, f"{self.source.name}: {what}", {"server": self.connector.url, "error": why})

    def _trouble(self, place: Place, kind: str, error: str) -> None:
        """Notify people of what is wrong with a folder, once for as long as it is so."""
        messages, what = self.services.ledger.messages, f"listing/{place.folder}/{kind}"
        known = messages.troubles(self.source.name).get(what)
        if not error:
            if known is not None:
                messages.clear_trouble(self.source.name, what)
        elif known is None:
            messages.note_trouble(self.source.name, what, error)
            facts = {"source": self.source.name, "server": self.connector.url, "error": clipped(error, _LONGEST)}
            subject = f"{self.source.name}: the listing of {place.folder} is {kind}"
            topic = self.declared.topics.failure
            notify(self.services, self.source.name, Unsent.of(topic, f"listing_{kind}", subject, facts))


_TOO_LONG = f"the key of its object would have more than {MAX_KEY:,} bytes"


def _is_too_long(key: str) -> bool:
    return len(key.encode()) > MAX_KEY


_UNNAMED = "chosen"
"""The name of a pass whose plan has none yet."""


def _named(path: str, known: Known, at: datetime, asked: Collection[str]) -> Known:
    """What was chosen and is in no batch stays due."""
    fetch = "" if known.fetch == _UNNAMED else known.fetch
    if path in asked:
        return replace(known, fetch=fetch, cleared_at=at, clearings=known.clearings + 1)
    return known if fetch == known.fetch else replace(known, fetch=fetch)


def _summed_up(listing: ConnectorListing, chosen: Chosen, taken: int, refused: int) -> str:
    counts = {
        "listed": len(listing.files),
        "fetched": taken,
        "due later": len(chosen.due) - taken,
        "waiting until they are whole": chosen.waiting,
        "resting after failures": chosen.resting,
        "of no feed": chosen.strangers,
        "refused": refused,
    }
    said = [f"{count} {what}" for what, count in counts.items() if count or what == "listed"]
    return "files: " + ", ".join(said) + ("; the listing is truncated" if listing.truncated else "")


def _reasons(files: Mapping[str, str]) -> str:
    said = (f"{named(path)}: {why}" for path, why in sorted(files.items()))
    return clipped(listed(said, separator="; "), _LONGEST)


def _stay(clearings: Sequence[Clearing]) -> str:
    folders = sorted({each.target.rpartition("/")[0] for each in clearings if each.target})
    there = f"have {listed(folders)} made, since a connector makes no folder, and " if folders else ""
    done = "moved" if folders else "deleted"
    paths = listed(named(path) for path in sorted(each.path for each in clearings))
    return clipped(f"{paths} are published and could not be {done}: {there}let the account do so", _LONGEST)


def _truncated(folder: str) -> str:
    return (
        f"folder {folder} has more than the {MOST_ITEMS:,} entries that are listed of it: what was listed is fetched, "
        "and what was not is not seen. Let `afterwards` move or delete what is published, or have the sender use "
        "folders by date"
    )
