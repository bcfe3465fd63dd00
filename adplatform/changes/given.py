"""Merges that an engine makes, because they outgrow this machine: what the engine is given, and what of what it left is
used.

The run of a merge puts a plan into the raw zone and gives the merge to the engine by one transaction of the ledger; a
run that finds the engine's result goes on with that as with what this machine would have made. Only the result of the
merge that is planned now is used. Of a date that was published again meanwhile it has what was published before, which
the next merge brings up to date.
"""

import shutil
from collections.abc import Iterable

from adplatform.changes.arrived import Change
from adplatform.changes.begun import Begun, Ended, Made, MadeBucket
from adplatform.changes.folds_due import is_of_less
from adplatform.changes.gathered import all_changes
from adplatform.changes.here import merged_files, require_all
from adplatform.changes.merge_plan import BaseBucket, EndedFile, MergePlan, MergeResult
from adplatform.changes.state import Counts
from adplatform.changes.targets import last_intention, target_name
from adplatform.changes.versions import files_at
from adplatform.failures import ClaimLost, PermanentFailure, TransientFailure
from adplatform.flow.engine_work import (
    Given,
    are_there,
    put_plan,
    require_engine,
    require_fulfilled,
    result_of,
    stored_plan,
)
from adplatform.flow.version import read_settlement
from adplatform.lake.staged_object import StagedObject
from adplatform.ledger.engine_run import PURSUED, Intention
from adplatform.transform.job_plan import WrittenFile

_ROOM = 3
"""How many times its bytes a merge takes on the disk: files as they are, changes in order, and what is made."""
_SHARD = 256 << 20
"""Bytes that one task of a job merges."""


def by_engine(doing: Begun) -> Given | Made | None:
    """Give the claimed merge to an engine if that is to make it, or say what an engine has made of it; None where this
    machine is to make it.

    Raises:
        PermanentFailure: the engine gave up, its run was cancelled, or it says why there can be no such merge.
        TransientFailure: something is being published, or not all changes were read.
        EnvironmentFailure: the table is declared with an engine that the platform does not have.
        ClaimLost: another run has taken the merge.
    """
    services, row, name = doing.services, doing.row, doing.followed.name
    if not require_engine(services, doing.followed.changes):
        return None
    intention = last_intention(services, row)
    plan = stored_plan(services, intention, MergePlan) if intention is not None else None
    if intention is not None and plan is not None and _is_present(doing, plan):
        if intention.state in PURSUED:
            return _given(doing, intention, plan)
        require_fulfilled(services, intention, name, f"`adplatform retry {name}` has it merged again")
        made = _made(doing, intention, plan)
        if made is not None:
            return made
    if not (row.job or doing.followed.declared.engine == "spark" or _outgrows(doing)):
        return None
    wanted = Intention(row.source, target_name(row.target), f"{row.name}/{row.next}/{row.revision}")
    return _given(doing, wanted, _planned(doing))


def _planned(doing: Begun) -> MergePlan:
    how, every = doing.merging, list[Change]()
    if (how.history or how.table.unchanged) and not how.table.repeats and not doing.plan.anew:
        every = list(all_changes(doing.services, doing.followed, doing.plan, doing.generations))
    shards = min(how.table.buckets, max(1, -(-_bytes(doing) // _SHARD)))
    return _plan(doing, doing.changes, every).model_copy(update={"shards": shards})


def _plan(doing: Begun, changes: Iterable[Change], every: Iterable[Change]) -> MergePlan:
    """The plan of a job that takes these changes."""
    services, zones = doing.services, doing.services.zones
    base = [
        BaseBucket(number=n, rows=rows and zones.clean_uri(rows), deleted=gone and zones.clean_uri(gone))
        for n, (rows, gone) in doing.base.items()
    ]
    compared, shown = doing.compared, doing.shown_deleted
    ended = [
        EndedFile(day=day, uri=zones.clean_uri(file.key))
        for day, location in sorted(doing.ended_before.items() if doing.merging.history else ())
        for name, file in sorted(files_at(services, location).items())
        if day != doing.plan.day or name in {each.name for each in doing.before.closed}
    ]
    plan = MergePlan(
        name=doing.followed.name,
        number=doing.row.next,
        fold=doing.row.plan,
        merging=doing.merging,
        clean=zones.clean_uri(""),
        changes=tuple(changes),
        every=tuple(every),
        base=tuple(base),
        whole=doing.needs_all,
        present=tuple(zones.clean_uri(file.key) for file in compared.files) if compared else (),
        shown=None if shown is None else tuple(zones.clean_uri(file.key) for file in shown),
        ended=tuple(ended) if not doing.plan.anew else (),
        beyond=doing.looks_beyond,
        region=services.settings.region,
    )
    return MergePlan.model_validate_json(plan.model_dump_json())


def _is_present(doing: Begun, plan: MergePlan) -> bool:
    """Whether a plan is of the merge that is planned now.

    Raises:
        TransientFailure: a date has got another hashing key since.
    """
    key_id, name = doing.plan.reached.key_id, doing.followed.changes.name
    placed = doing.services.ledger.placements.of_feed(name)
    others = [str(each.day) for each in placed if each.rows and each.key_id != key_id]
    if others:
        raise TransientFailure(f"{name} {others[0]}: it has got another hashing key since this merge was planned")
    if _is_of_more(doing, plan):
        return False
    now = _plan(doing, plan.changes, plan.every).model_copy(update={"shards": plan.shards})
    # What a try has shown that was of the same result replaces nothing that this one has to take from readers.
    if any(each.state.job == doing.row.job for each in doing.tries):
        now = now.model_copy(update={"shown": plan.shown})
    return now == plan


def _is_of_more(doing: Begun, plan: MergePlan) -> bool:
    """Whether an erasure has left less of a date than what the plan takes of it."""
    services, name = doing.services, doing.followed.changes.name
    taken = {change.day: change.version for change in (*plan.changes, *plan.every)}
    for each in services.ledger.placements.of_feed(name):
        version = taken.get(each.day.isoformat(), each.version)
        if version == each.version:
            continue
        row = services.ledger.publications.get(name, each.day, each.version)
        entries = read_settlement(services.s3, services.zones, row.manifest_key)["objects"] if row else ()
        if is_of_less(services, name, each.day, version, entries):
            return True
    return False


def _outgrows(doing: Begun) -> bool:
    """Whether the merge is more than this machine is for."""
    size = _bytes(doing)
    return size >= doing.services.settings.spark_from or size * _ROOM > shutil.disk_usage(doing.work).free


def _bytes(doing: Begun) -> int:
    """Those of the changes, and of the buckets that they may fall into."""
    services, where, buckets = doing.services, doing.row.locations, len(doing.before.buckets)
    changes = sum(file.size for each in doing.changes for file in each.files)
    if not buckets:
        return changes
    tables = (doing.followed.name, doing.followed.deleted)
    base = sum(file.size for table in tables for file in files_at(services, where.get(table, "")).values())
    touched = buckets if doing.needs_all else min(buckets, sum(each.rows for each in doing.changes))
    return changes + base * touched // buckets


def _given(doing: Begun, intention: Intention, plan: MergePlan) -> Given:
    """Put the plan, and then give the merge away, together with what is wanted of it."""
    place = put_plan(doing.services, intention, plan)
    if doing.services.ledger.folds.hand_over(doing.row, intention) is None:
        raise ClaimLost(f"{doing.followed.name}: another run has taken merge {doing.row.next}")
    files = [file for each in plan.changes for file in each.files]
    return Given(intention, place, len(files), sum(file.size for file in files))


def _made(doing: Begun, intention: Intention, plan: MergePlan) -> Made | None:
    """What the engine made by the plan; None where not all of it is there any more.

    Raises:
        PermanentFailure: the engine says why there can be no such merge.
        TransientFailure: not all changes were read.
    """
    services, name = doing.services, doing.followed.name
    result = result_of(services, intention, MergeResult)
    if result is None or not are_there(services, intention, result.files):
        return None
    if result.failure:
        raise PermanentFailure(f"{name}: {result.failure}")
    require_all(name, result.changes, plan.changes, result.implied)
    store, raw = services.store, services.zones.raw_uri("")

    def staged(file: WrittenFile | None) -> StagedObject | None:
        return StagedObject(store, file.uri.removeprefix(raw), file.size, "", file.rows) if file else None

    def every(files: Iterable[WrittenFile | None]) -> tuple[StagedObject, ...]:
        return tuple(each for each in map(staged, files) if each is not None)

    ended = {}
    for day in sorted({each.file.day for each in result.ended}):
        own = [each for each in result.ended if each.file.day == day]
        if not all(each.stays for each in own):
            stay = {each.file.uri.rpartition("/")[2]: each.rows for each in own if each.stays}
            ended[day] = Ended(stay, every(each.left for each in own))
    return Made(
        buckets=tuple(
            MadeBucket(each.number, staged(each.rows), staged(each.deleted), each.rows_stay, each.deleted_stay)
            for each in result.buckets
        ),
        closed=every(result.closed),
        ended=ended,
        revived=every(result.revived),
        merged=merged_files(doing, plan.changes),
        counts=Counts(
            changes=result.changes,
            applied=result.applied,
            superseded=result.superseded,
            unplaced=result.unplaced,
            rebuilt=result.rebuilt,
            closed=sum(file.rows for file in result.closed),
            read=sum(each.read for each in plan.changes),
            set_aside=sum(each.set_aside for each in plan.changes),
            implied=result.implied,
        ),
        job=intention.key,
    )
