"""Which tables are to be merged with the changes that have come, and what each merge takes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from adplatform.changes.generations import doubted, newest_of_load, put_in_another_order, sequence_of_load
from adplatform.changes.made import MadeTable
from adplatform.changes.pulled import Pulled, complete_reading
from adplatform.flow.services import Services
from adplatform.flow.settling import Runs
from adplatform.flow.tried import free
from adplatform.flow.version import identity_of, read_settlement
from adplatform.ledger.folds import Fold, FoldState, Generation, Plan, Reached
from adplatform.ledger.placements import Placement
from adplatform.ledger.publications import Publication


@dataclass(frozen=True)
class FoldDue:
    """A merge that needs a run."""

    followed: MadeTable
    fold: Fold


def folds_due(
    services: Services, followed: Iterable[MadeTable], runs: Runs, *, everything: bool = False
) -> list[FoldDue]:
    """The merges that nobody works on, after those that have become due were planned; ``everything`` takes what has
    come without waiting for the time that a feed sets."""
    found = []
    for each in followed:
        if not each.declared.outputs:
            continue
        row = services.ledger.folds.get(each.source, each.target)
        if not row.plan:
            planned = _planned(services, each, row, everything)
        elif row.state is FoldState.FAILED:
            planned = _after_load(services, each, row)
        elif row.state is FoldState.WITH_ENGINE:
            anew = _as_things_are(services, each, row)
            planned = anew if anew is not row else None
        else:
            free_one = free(services.ledger.folds, row, runs, services.ledger.now())
            planned = _as_things_are(services, each, free_one) if free_one is not None else None
        if planned is not None:
            found.append(FoldDue(each, planned))
    return found


def _planned(services: Services, followed: MadeTable, row: Fold, everything: bool) -> Fold | None:
    """The merge that is planned now; None when nothing is to be merged, or not yet."""
    ledger, known = services.ledger, row.merged
    placed = ledger.placements.of_feed(followed.changes.name)
    changed = [each for each in placed if known.versions.get(each.day.isoformat()) != each.version]
    generations = ledger.folds.generations(followed.source, followed.target)
    whole = _loaded(services, followed, known, generations)
    generation = max(whole, default=known.generation)
    complete = complete_reading(services, followed, known.complete) if isinstance(followed, Pulled) else ""
    reshaped, loaded = bool(row.number) and known.shape != followed.shape, generation > known.generation
    read, heard = complete != known.complete, len(generations) != known.opened
    if not (changed or loaded or reshaped or read or heard):
        return None
    # Nobody sees a table before its first load is whole.
    if not row.number and not loaded and ledger.folds.all_generations(followed.source, followed.target):
        return None
    if not (everything or reshaped or loaded or read or _is_time(ledger.now(), followed, row, changed)):
        return None
    plan = _plan(services, followed, row, placed, whole, generations, complete)
    if plan is None:
        return None
    if plan.reached.numbers == known.numbers and not (plan.whole or plan.anew or loaded or read):
        ledger.folds.look(row, plan.reached)
        return None
    return ledger.folds.plan(row, plan)


def _after_load(services: Services, followed: MadeTable, row: Fold) -> Fold | None:
    """A merge that has failed, planned anew with a load that is whole since: what it could not put in order is older.
    None without one."""
    folds = services.ledger.folds
    generations = folds.generations(followed.source, followed.target)
    if not _loaded(services, followed, row.next_plan.reached, generations):
        return None
    placed = services.ledger.placements.of_feed(followed.changes.name)
    loaded = _loaded(services, followed, row.merged, generations)
    plan = _plan(services, followed, row, placed, loaded, generations, row.merged.complete)
    again = folds.retry(row) if plan is not None else None
    return folds.replan(again, plan) if again is not None and plan is not None else None


def _as_things_are(services: Services, followed: MadeTable, row: Fold) -> Fold | None:
    """The merge that is planned: planned anew where an erasure has left less of its changes since, and with a table
    made anew where they have got another hashing key since. None while they are under several."""
    ledger, plan = services.ledger, row.next_plan
    placed = ledger.placements.of_feed(followed.changes.name)
    keys = {each.key_id for each in placed if each.rows}
    if len(keys) > 1:
        return None
    if any(_has_less(services, followed.changes.name, each, plan.reached) for each in placed):
        generations = ledger.folds.generations(followed.source, followed.target)
        loaded = _loaded(services, followed, row.merged, generations)
        left = _plan(services, followed, row, placed, loaded, generations, plan.reached.complete)
        return ledger.folds.replan(row, left) if left is not None else None
    if keys <= {plan.reached.key_id}:
        return row
    reached = replace(plan.reached, key_id=keys.pop())
    return ledger.folds.replan(row, replace(plan, reached=reached, anew=bool(row.number)))


def _has_less(services: Services, name: str, placed: Placement, planned: Reached) -> bool:
    """Whether an erasure has left less of a date of the feed ``name`` than what was ``planned`` to be merged."""
    version = planned.versions.get(placed.day.isoformat(), placed.version)
    if version == placed.version or not placed.manifest:
        return False
    entries = read_settlement(services.s3, services.zones, placed.manifest)["objects"]
    return is_of_less(services, name, placed.day, version, entries)


def _is_time(now: datetime, followed: MadeTable, row: Fold, changed: Sequence[Placement]) -> bool:
    if row.folded_at is None or now - row.folded_at >= followed.declared.fold.every:
        return True
    known = row.merged.rows
    new = sum(max(0, each.rows - known.get(each.day.isoformat(), 0)) for each in changed)
    return new > followed.declared.fold.share * max(row.rows, 1)


def _plan(
    services: Services,
    followed: MadeTable,
    row: Fold,
    placed: Sequence[Placement],
    loaded: Sequence[int],
    generations: Sequence[Generation],
    complete: str,
) -> Plan | None:
    """What a merge takes of what is placed, and of loads that were ``loaded`` since the last one; None while deliveries
    are under different hashing keys."""
    known, name, ledger = row.merged, followed.changes.name, services.ledger
    keys = {each.key_id for each in placed if each.rows}
    if complete and isinstance(followed, Pulled) and followed.keys:
        compared = ledger.placements.get(followed.keys.name, date.fromisoformat(complete.partition("/")[0]))
        keys |= {compared.key_id} if compared and compared.key_id else set()
    if len(keys) > 1:
        return None
    key_id = next(iter(keys), known.key_id)
    anew = bool(row.number) and (key_id != known.key_id or followed.shape != known.shape)
    numbers, objects, whole, basis = dict(known.numbers), dict(known.objects), [], known.basis
    since = min((each.opened_at.date() for each in generations[known.opened :]), default=date.max)
    for each in placed:
        day = each.day.isoformat()
        same = known.versions.get(day) == each.version
        if same and each.day < since:
            continue
        publication = ledger.publications.get(name, each.day, each.version)
        if publication is None:
            return None  # placed by a run that has not noted it yet
        settlement = read_settlement(services.s3, services.zones, publication.manifest_key)
        entries = settlement["objects"]
        basis = publication.basis.partition("/")[0]
        if day in known.numbers and (
            (not same and _read_again(services, followed, each, known, basis, entries))
            or _of_other_loads(known.numbers[day], entries, generations, generations[: known.opened])
        ):
            whole.append(day)
        if day in known.numbers and put_in_another_order(entries, known.numbers[day], generations):
            anew = bool(row.number)
        # Rows that are no longer among the changes stay in a table that is not made of them again.
        if not same and day in known.numbers and is_of_less(services, name, each.day, known.versions[day], entries):
            anew = bool(row.number)
        numbers[day] = max((entry["number"] for entry in entries), default=0)
        objects[day] = len(entries)
    loads = (*known.loads, *loaded)
    if anew or whole:
        # Files of a load may have come under the names of those of one before, of which nothing is known any more; and
        # what is made anew knows also of one that became whole after a later one.
        there = _loaded(services, followed, Reached(), generations)
        loads = there if anew else tuple(number for number in loads if number in there)
    reached = Reached(
        versions={**known.versions, **{each.day.isoformat(): each.version for each in placed}},
        numbers=numbers,
        objects=objects,
        rows={**known.rows, **{each.day.isoformat(): each.rows for each in placed}},
        basis=basis,
        key_id=key_id,
        generation=max((*loads, known.generation)),
        shape=followed.shape,
        opened=len(generations),
        complete=complete,
        loads=loads,
    )
    today = ledger.now().date()
    return Plan(reached, max(today, row.day or today), tuple(whole), anew)


def _read_again(
    services: Services,
    followed: MadeTable,
    placed: Placement,
    known: Reached,
    basis: str,
    entries: Sequence[Mapping[str, Any]],
) -> bool:
    """Whether a date may have other rows than those that were merged, in objects that were: somebody had it read again,
    it is read by another declaration, or it has other objects, because one came under the name of another."""
    publications, name, day = services.ledger.publications, followed.changes.name, placed.day.isoformat()
    before = publications.get(name, placed.day, known.versions[day])
    if before is None or before.basis.partition("/")[0] != basis:
        return True
    settled = [_settlement(services, before)]
    for version in range(before.version + 1, placed.version + 1):
        if (row := publications.get(name, placed.day, version)) is not None:
            settled.append(_settlement(services, row))
    if any(each.get("again") for each in settled[1:]):
        return True
    merged = {entry["number"] for entry in settled[0]["objects"]}
    return merged != {entry["number"] for entry in entries if entry["number"] <= known.numbers[day]}


def is_of_less(services: Services, name: str, day: date, version: int, entries: Sequence[Mapping[str, Any]]) -> bool:
    """Whether an erasure has left less of a date, which has these ``entries`` now, than what its ``version`` had."""
    before = services.ledger.publications.get(name, day, version)
    settled = _settlement(services, before)["objects"] if before is not None else ()
    was = {identity_of(entry): entry.get("edited_key", "") for entry in settled}
    return any(entry.get("edited_key", "") != was.get(identity_of(entry), "") for entry in entries)


def _settlement(services: Services, row: Publication) -> dict[str, Any]:
    return read_settlement(services.s3, services.zones, row.manifest_key)


def _of_other_loads(
    last: int, entries: Sequence[Mapping[str, Any]], now: Sequence[Generation], before: Sequence[Generation]
) -> bool:
    """Whether a file of a load that was merged, up to number ``last``, belongs to another load by what is known now."""
    return any(
        sequence_of_load(entry, now) != sequence_of_load(entry, before) for entry in entries if entry["number"] <= last
    )


def _loaded(services: Services, followed: MadeTable, known: Reached, found: Sequence[Generation]) -> tuple[int, ...]:
    """The numbers of the loads since the one that is ``known`` that are whole and of which all rows have come. Rows
    that are not in a load end with it, so that none may be missing."""
    return tuple(
        each.number
        for each in found
        if each.number > known.generation and each.loaded_at is not None and _has_come(services, followed, each, found)
    )


def _has_come(
    services: Services, followed: MadeTable, generation: Generation, generations: Sequence[Generation]
) -> bool:
    """Whether as many rows of a load are in the table of changes as it has, where that is known; otherwise whether no
    file waits to be there, or was refused."""
    ledger, name = services.ledger, followed.changes.name
    rows, since = 0, generation.opened_at.date()
    for placement in ledger.placements.of_feed(name):
        publication = ledger.publications.get(name, placement.day, placement.version)
        if publication is None or placement.day < since:
            continue
        entries = read_settlement(services.s3, services.zones, publication.manifest_key)["objects"]
        if any(doubted(entry, generations) == generation for entry in entries):
            return False
        own = newest_of_load(entries, generations, generation)
        outcomes = ledger.publications.file_outcomes(name, placement.day, placement.version) if own else ()
        rows += sum(each.rows_in for each in outcomes if each.origin in own)
    if generation.rows is None:
        return not any(each == name and row.day >= since for each, row in ledger.deliveries.active(followed.source))
    return rows >= generation.rows
