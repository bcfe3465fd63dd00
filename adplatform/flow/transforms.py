"""Deliveries whose transform an engine runs, because they outgrow this machine: what the engine is given, and what of
what it left is used.

The run of a delivery puts a plan into the raw zone and gives the delivery to the engine by one transaction of the
ledger; a run that finds the engine's result goes on with that as with what this machine would have made. Only the
result of exactly the plan that would be made now is used, so whatever changed meanwhile (a key, the contract, an
original that was edited) has the delivery transformed again.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from adplatform.contracts.schema_change import SchemaChange, merged
from adplatform.failures import ClaimLost, PermanentFailure, SenderFailure, listed
from adplatform.files.bad_file import BadFile
from adplatform.flow.accounting import accounted
from adplatform.flow.engine_work import (
    Given,
    are_there,
    output_prefix,
    put_plan,
    require_engine,
    require_fulfilled,
    result_of,
    run_of,
    stored_plan,
)
from adplatform.flow.hashing_keys import HashingKeys, hashing_keys
from adplatform.flow.lifecycle import no_longer_hindered
from adplatform.flow.raw import land
from adplatform.flow.repeats import judged, repeats
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform.flow.telemetry import emit_let_go
from adplatform.flow.verdicts import bad, require_no_bad_file
from adplatform.flow.version import VersionObject, located
from adplatform.lake.parquet import joined
from adplatform.lake.staged_object import StagedObject
from adplatform.lake.zones import Zones
from adplatform.ledger.delivery import Delivery
from adplatform.ledger.engine_run import PURSUED, EngineRun, Intention
from adplatform.ledger.publications import FileOutcome, Outcome
from adplatform.platform.aws_errors import aws_failures
from adplatform.transform.compile import output_columns
from adplatform.transform.job_plan import JobPlan, JobResult, PlannedFile

if TYPE_CHECKING:
    from adplatform.flow.begun import Begun
from adplatform.transform.values import FileCount, Staged

MOST_QUARANTINED = 2 * 2**30
"""Bytes of quarantined rows that are kept: they are fetched, and one file in the end."""
_ROOM = 3
"""How many times the bytes of a delivery its transform takes on the disk: files as they came, unpacked, and made."""
TARGET = "transform-"
"""How targets are called that transform a feed; its name follows."""


@dataclass(frozen=True)
class Made:
    """What an engine has made of the files of a delivery: its ``result``, by the ``plan``, and the ``run`` that left it
    below the key ``prefix``. ``repeated`` are the files that were left out because others have their bytes, by origin,
    with the outcome of those."""

    intention: Intention
    plan: JobPlan
    result: JobResult
    prefix: str
    run: EngineRun | None
    outcomes: Mapping[str, FileOutcome]
    repeated: Mapping[str, FileOutcome]


def target_name(flow: FeedFlow) -> str:
    """What the transforms of a table are called among the targets of its source. No feed has a name with a hyphen."""
    return f"{TARGET}{flow.feed.name}"


def wanted_of(key: str) -> tuple[str, date]:
    """The name of the feed and the date that an intention's key is about."""
    feed, day, _, _ = key.rsplit("/", 3)
    return feed, date.fromisoformat(day)


def by_engine(begun: "Begun", keys: HashingKeys | None = None) -> Given | Made | None:
    """Give the claimed delivery to an engine if that is to transform it, or say what an engine has made of it; None
    where this machine is to transform it. ``keys`` are those of a rotation, which works here.

    Raises:
        PermanentFailure: the engine gave up, its run was cancelled, or it says why the files cannot be transformed.
        SenderFailure: a file is bad and the feed refuses bad files.
        EnvironmentFailure: the feed is declared with an engine that the platform does not have.
        ClaimLost: another run has taken the delivery.
    """
    services, flow, delivery = begun.services, begun.flow, begun.delivery
    if begun.shown or keys is not None:
        return None
    if not require_engine(services, flow) or not (delivery.transform or _outgrows(begun)):
        return None
    hashing = hashing_keys(services, flow)
    intention, landed = _last(services, flow, delivery), begun.landed
    if landed is not None and intention is not None:
        before = stored_plan(services, intention, JobPlan)
        outcomes, plan = _plan(begun, landed, hashing, before)
        if before == plan:
            if intention.state in PURSUED:
                return _given(begun, intention, plan)
            name = f"{flow.name} {delivery.day}"
            require_fulfilled(services, intention, name, f"`adplatform retry {name}` has it transformed again")
            made = _made(begun, intention, plan, outcomes)
            if made is not None and (without := _without_what_is_not_to_be_read(begun, made)) is None:
                return made
            if made is not None and without is not None:
                return _given(begun, _wanted(flow, delivery), _plan(begun, without, hashing)[1])
    if landed is not None or begun.base is not None:
        every = land(services, flow, delivery.day, delivery.version, begun.objects, begun.work)
        require_no_bad_file(flow, every)
    else:
        every = tuple(services.ledger.publications.file_outcomes(flow.name, delivery.day, delivery.version))
    _, plan = _plan(begun, {each.origin: each for each in every}, hashing)
    return _given(begun, _wanted(flow, delivery), plan) if plan.files else None


def staged(services: Services, made: Made, work: Path) -> Staged:
    """What the engine made, as a transform of this machine says it; the quarantined rows are fetched.

    Raises:
        SenderFailure: more rows are quarantined than are kept.
        EnvironmentFailure: the disk has no room for them.
    """
    result, store, raw = made.result, services.store, services.zones.raw_uri("")
    quarantined = sum(file.size for file in result.quarantine)
    if quarantined > MOST_QUARANTINED:
        reasons = sorted(result.reasons.items(), key=lambda each: -each[1])[:3]
        raise SenderFailure(
            f"{sum(c.quarantined for c in result.counts):,} rows broke the contract, {quarantined:,} bytes, more than "
            f"is kept; most often {listed(f'{reason} ({count:,})' for reason, count in reasons)}"
        )
    files = tuple(
        StagedObject(store, file.uri.removeprefix(raw), file.size, file.partition, file.rows, file.addresses)
        for file in result.clean
    )
    quarantine = work / "quarantine.parquet" if result.quarantine else None
    if quarantine is not None:
        rows = [StagedObject(store, f.uri.removeprefix(raw), f.size, "", f.rows) for f in result.quarantine]
        with TemporaryDirectory(dir=work) as folder:
            joined((each.on_disk(Path(folder)) for each in rows), quarantine)
    return Staged(
        columns=output_columns(result.contract, previous=made.plan.previous_key_id is not None),
        files=files,
        quarantine=quarantine,
        counts=result.counts,
        reasons=dict(result.reasons),
        refused=result.refused,
        line_breaks=result.line_breaks,
        withheld=result.withheld,
        evolved=result.evolved,
        lacking=dict(result.lacking),
        changes=merged([*_changes(result), *result.changes]),
        footers=result.footers,
        emptied=dict(result.emptied),
    )


def _changes(result: JobResult) -> list[SchemaChange]:
    """How columns of bad files differ from the declared ones."""
    return [change for file in result.bad for change in file.changes]


def outcomes_of(flow: FeedFlow, made: Made, objects: Sequence[VersionObject]) -> tuple[FileOutcome, ...]:
    """What became of each file of the version."""
    outcomes, counts = dict(made.outcomes), dict[str, list[FileCount]]()
    items = {item.object.file_id: item for item in objects}
    for reported in made.result.bad:
        item = items[_file(reported.origin)]
        told = BadFile(reported.origin, reported.reason, reported.message, reported.changes)
        outcomes[item.origin] = bad(flow, item, outcomes[item.origin], told)
    for aside in made.result.refused:
        origin = items[_file(aside.origin)].origin
        outcomes[origin] = replace(outcomes[origin], outcome=Outcome.QUARANTINED, reason=aside.reason)
    for count in made.result.counts:
        counts.setdefault(_file(count.origin), []).append(count)
    read = {file.origin for file in made.plan.files}
    known = [
        accounted(outcomes[item.origin], counts.get(called, ()), made.result.skipped.get(called, 0))
        if called in read
        else outcomes[item.origin]
        for called, item in items.items()
    ]
    return (
        judged(flow, known, made.repeated, {item.origin: item for item in objects}) if made.repeated else tuple(known)
    )


def _file(origin: str) -> str:
    """The file that an origin names, or a member of which."""
    return origin.partition("#")[0]


def _outgrows(begun: "Begun") -> bool:
    """Whether the delivery is more than this machine is for; of one that comes in parts, what is new."""
    if begun.flow.feed.engine == "spark":
        return True
    size = sum(item.object.stored_size for item in begun.added)
    return size >= begun.services.settings.spark_from or size * _ROOM > shutil.disk_usage(begun.work).free


def _wanted(flow: FeedFlow, delivery: Delivery) -> Intention:
    key = f"{flow.name}/{delivery.day}/v{delivery.version}/a{delivery.launch}"
    return Intention(flow.source, target_name(flow), key)


def _last(services: Services, flow: FeedFlow, delivery: Delivery) -> Intention | None:
    """Why an engine was given the version last, as far as that is remembered."""
    if not delivery.transform:
        return None
    return services.ledger.engine_runs.intention(flow.source, target_name(flow), delivery.transform)


def _plan(
    begun: "Begun", known: Mapping[str, FileOutcome], keys: HashingKeys | None, before: JobPlan | None = None
) -> tuple[dict[str, FileOutcome], JobPlan]:
    """What would be given to an engine now, and the outcomes of all files as they were when they landed. Of files of a
    plan ``before`` an earlier run may have said since what became of them, so these are to be read; but for those that
    it found to be repeated."""
    services, flow, settings = begun.services, begun.flow, begun.services.settings
    planned = {file.origin for file in before.files} if before else set()
    outcomes = dict(known)
    files: list[PlannedFile] = []
    for item in begun.objects:
        outcome = outcomes[item.origin]
        if item.object.file_id in planned:
            outcome = outcomes[item.origin] = _as_landed(outcome)
        if outcome.outcome is Outcome.LOADED:
            uri, version = _place(services.zones, item, outcome)
            files.append(
                PlannedFile(
                    uri=uri,
                    version=version,
                    origin=item.object.file_id,
                    ordinal=len(files),
                    size=_prepared_size(services, outcome) if outcome.prepared_key else item.object.stored_size,
                    received=item.object.size if outcome.prepared_key else None,
                )
            )
    plan = JobPlan(
        contract=flow.feed.contract,
        day=begun.delivery.day,
        files=tuple(files),
        limits=flow.feed.limits,
        bad_file=flow.feed.bad_file,
        reserved=(flow.scope.column,) if flow.scope else (),
        key_secret=settings.hash_key_secret if keys else None,
        key_id=keys.current.id if keys else None,
        previous_key_id=(keys.previous_id or None) if keys else None,
        region=settings.region,
    )
    return outcomes, JobPlan.model_validate_json(plan.model_dump_json())


def _as_landed(outcome: FileOutcome) -> FileOutcome:
    return replace(
        outcome,
        outcome=Outcome.LOADED,
        reason="",
        rows_in=0,
        clean=0,
        superseded=0,
        quarantined=0,
        left_out=0,
        skipped=0,
    )


def _place(zones: Zones, item: VersionObject, outcome: FileOutcome) -> tuple[str, str]:
    """URI and version of what is to be read of a file."""
    if outcome.prepared_key:
        return zones.raw_uri(outcome.prepared_key), ""
    where = located(item.object)
    return f"s3://{where['Bucket']}/{where['Key']}", where.get("VersionId", "")


def _prepared_size(services: Services, outcome: FileOutcome) -> int:
    """Bytes of the decrypted file; 0 where it is gone, so that no plan with it is the one that was made."""
    with aws_failures(outcome.called):
        head = services.store.head(services.zones.raw_bucket, outcome.prepared_key)
    return int(head["ContentLength"]) if head else 0


def _given(begun: "Begun", intention: Intention, plan: JobPlan) -> Given:
    """Put the plan, and then give the delivery away, together with what is wanted of it."""
    services, flow, delivery = begun.services, begun.flow, begun.delivery
    place = put_plan(services, intention, plan)
    if services.ledger.deliveries.hand_over(flow.name, delivery.day, delivery.run_id, intention) is None:
        raise ClaimLost(f"{flow.name} {delivery.day} was taken by another run")
    emit_let_go(services, flow, delivery, done=True)
    if delivery.hindered:
        no_longer_hindered(services.ledger, flow, delivery.day)
    return Given(intention, place, len(plan.files), sum(file.size for file in plan.files))


def _made(begun: "Begun", intention: Intention, plan: JobPlan, outcomes: Mapping[str, FileOutcome]) -> Made | None:
    """What the engine made by the plan; None where not all of it is there any more.

    Raises:
        PermanentFailure: the engine says why it cannot be transformed.
    """
    services, flow, prefix = begun.services, begun.flow, output_prefix(intention)
    result = result_of(services, intention, JobResult)
    if result is None or not are_there(services, intention, (*result.clean, *result.quarantine)):
        return None
    if result.failure:
        raise PermanentFailure(f"{flow.name} {begun.delivery.day}: {result.failure}")
    hashed: dict[str, FileOutcome] = dict(outcomes)
    for item in begun.objects:
        outcome, digest = hashed[item.origin], result.sha256.get(item.object.file_id, "")
        if digest and outcome.outcome is Outcome.LOADED:
            prepared = bool(outcome.prepared_key)
            hashed[item.origin] = (
                replace(outcome, decrypted_sha256=digest) if prepared else replace(outcome, sha256=digest)
            )
    candidates = [(item, hashed[item.origin]) for item in begun.objects if hashed[item.origin].content]
    repeated = repeats(services, flow, begun.delivery.day, candidates)
    return Made(intention, plan, result, prefix, run_of(services, intention), hashed, repeated)


def _without_what_is_not_to_be_read(begun: "Begun", made: Made) -> dict[str, FileOutcome] | None:
    """The outcomes with which to transform the rest, where the engine has read what is not to be read: a file with the
    bytes of another, or a bad one that was sent again; None where there is none.

    Raises:
        SenderFailure: a file is refused.
    """
    services, flow = begun.services, begun.flow
    outcomes = {each.origin: each for each in outcomes_of(flow, made, begun.objects)}
    if any(each.outcome is Outcome.REFUSED for each in outcomes.values()):
        services.ledger.publications.put_file_outcomes(flow.name, outcomes.values())
        require_no_bad_file(flow, outcomes.values(), _changes(made.result))
    named = {item.object.file_id: item.origin for item in begun.objects}
    unread = {named[_file(each.origin)] for each in made.result.bad} if flow.feed.bad_file == "refuse" else set()
    planned = {named[file.origin] for file in made.plan.files}
    if not (unread | made.repeated.keys()) & planned:
        return None
    left = {
        origin: replace(made.outcomes[origin], outcome=Outcome.REPEATED)
        if origin in made.repeated
        else (outcomes[origin] if origin in unread else each)
        for origin, each in made.outcomes.items()
    }
    services.ledger.publications.put_file_outcomes(flow.name, left.values())
    return left
