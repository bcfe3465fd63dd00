"""One run of a delivery, the same for every pattern: claimed, landed, judged, published and closed, or failed in the
ledger."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from adplatform.failures import (
    ClaimLost,
    EnvironmentFailure,
    PermanentFailure,
    SenderFailure,
    TransientFailure,
    described,
)
from adplatform.flow import clean, lifecycle, raw
from adplatform.flow.begun import Begun
from adplatform.flow.close import close
from adplatform.flow.engine_work import tidy
from adplatform.flow.hashing_keys import HashingKeys
from adplatform.flow.measures import count_judged, count_published
from adplatform.flow.schema_changes import note_refused, note_schema
from adplatform.flow.services import Services
from adplatform.flow.small_files import Kept, keep, named, peek, take
from adplatform.flow.source import FeedFlow
from adplatform.flow.telemetry import emit_began, run_key
from adplatform.flow.transforms import Made
from adplatform.flow.usual_volume import finding_of, verdict_of, volume_writes
from adplatform.flow.verdicts import FilesRefused, require_no_bad_file
from adplatform.lake.audit import AuditFinding
from adplatform.lake.parts import Gone
from adplatform.ledger.objects import RawObject
from adplatform.ledger.publications import FileOutcome, Publication
from adplatform.platform.aws_errors import aws_failures
from adplatform.platform.json_logs import about
from adplatform.platform.traces import linked, span, tracing
from adplatform.transform.compile import output_columns
from adplatform.transform.values import OutputColumn, Staged

log = logging.getLogger(__name__)

Audited = Callable[[Iterable[AuditFinding]], None]
"""Learns what an audit found, passed or not, before anything is published."""


class NotWritten(EnvironmentFailure):
    """A failure of which the ledger knows nothing: it kept the run from claiming the delivery, or could not be written.
    It is no attempt."""


def _stopped() -> AbstractContextManager[TransientFailure | None]:
    return nullcontext()


@contextmanager
def working(
    services: Services,
    flow: FeedFlow,
    day: date,
    run_id: str,
    directory: AbstractContextManager[Path | str],
    stopped: Callable[[], AbstractContextManager[TransientFailure | None]] = _stopped,
) -> Iterator[Begun]:
    """Claim the delivery and work on it in a private directory; a failure is written to the ledger before it is raised.

    Retries are the ledger's (``flow.settling``): they survive a crash of this process. Within ``stopped`` the delivery
    is put away when the work is interrupted from outside: released, or failed with what that yields.

    Raises:
        ClaimLost: another run has the delivery.
        NotWritten: the delivery could not be claimed, or a failure not be written.
        PermanentFailure: a file or the audit forbids it.
        TransientFailure: a service did not answer.
    """
    with (
        tracing(services.settings.traces, services.ledger.now),
        _working(services, flow, day, run_id, directory, stopped) as begun,
    ):
        yield begun


@contextmanager
def _working(
    services: Services,
    flow: FeedFlow,
    day: date,
    run_id: str,
    directory: AbstractContextManager[Path | str],
    stopped: Callable[[], AbstractContextManager[TransientFailure | None]],
) -> Iterator[Begun]:
    name, claimed = f"{flow.name} {day}", False
    try:
        with aws_failures(name):
            with span("claim"):
                delivery = lifecycle.claim(services.ledger, flow, day, run_id)
            claimed = True
            facts = {"run_id": run_id, "source": flow.source, "feed": flow.name}
            with directory as work, about(**facts, day=day, version=delivery.version):
                before = peek(run_id).begun
                if before is None:
                    emit_began(services, flow, delivery)
                yield Begun(services, flow, delivery, Path(work)).going_on(before)
    except ClaimLost:
        raise
    except (PermanentFailure, TransientFailure) as e:
        if not claimed and isinstance(e, TransientFailure):
            raise NotWritten(str(e)) from e
        if claimed and not put_away(services, flow, day, run_id, e):
            raise ClaimLost(str(e)) from e
        raise
    except GeneratorExit:  # the orchestrator stopped between two events; the next look asks it why
        raise
    except Exception as e:
        lifecycle.fail(services, flow, day, run_id, TransientFailure(f"unexpected {_told(e)}"))
        raise
    except BaseException:  # interruptions are no Exceptions, whoever raises them
        with stopped() as failure:
            if failure is None:
                lifecycle.release(services, flow, day, run_id, done=False)
            else:
                lifecycle.fail(services, flow, day, run_id, failure)
        raise


def _told(error: Exception) -> str:
    """A mistake of ours without its text, which may quote data; of the system's errors what it says."""
    return f"{type(error).__name__}: {described(error)}" if isinstance(error, OSError) else type(error).__name__


def put_away(services: Services, flow: FeedFlow, day: date, run_id: str, error: Exception) -> bool:
    """Write the failure of a delivery to the ledger; whether this run still has it.

    Raises:
        NotWritten: the ledger takes nothing.
    """
    try:
        with aws_failures(f"{flow.name} {day}"):
            if isinstance(error, FilesRefused) and error.changes:
                note_refused(services, flow, day, run_id, error.changes)
            return lifecycle.fail(services, flow, day, run_id, error)
    except EnvironmentFailure as e:
        raise NotWritten(str(e)) from e


def land(begun: Begun, *, alone: bool = False, content: bytes | None = None) -> tuple[FileOutcome, ...]:
    """What became of each file of the claimed version; a version that readers see is not looked at again. One run does
    all of it ``alone``, in this process. ``content`` is that of its only file for who has just put it there."""
    services, flow, delivery = begun.services, begun.flow, begun.delivery
    if begun.shown:
        return tuple(services.ledger.publications.file_outcomes(flow.name, delivery.day, delivery.version))
    if begun.landed is not None:
        return tuple(begun.landed[item.origin] for item in begun.objects)
    taken = begun.base.outcomes_of(delivery.version) if begun.base else ()
    contents = {} if content is None else {named(begun.objects[0].object): content}
    recorded = not (alone and begun.is_first)
    with span("verify"):
        landed = raw.land(
            services, flow, delivery.day, delivery.version, begun.added, begun.work, contents, recorded=recorded
        )
    keep(delivery.run_id, Kept.of(contents, landed, begun))
    return (*taken, *landed)


def judge(
    begun: Begun,
    audited: Audited = lambda _: None,
    keys: HashingKeys | None = None,
    made: Made | None = None,
    landed: Sequence[FileOutcome] = (),
    staged: Staged | None = None,
) -> clean.Transformed | None:
    """Transform and audit the files of the claimed version that have landed; None when readers see it already.
    ``keys`` are those of a rotation, ``made`` is what an engine has made of the files, and ``landed`` is what became of
    them for who has just landed them. ``staged`` is what they were transformed to already, with those of other dates.

    Raises:
        SenderFailure: the audit refuses it; what it found was given to ``audited`` before.
    """
    services, flow, day, version = begun.services, begun.flow, begun.delivery.day, begun.delivery.version
    if begun.shown:
        return None
    kept, transformed, known = take(begun.delivery.run_id), None, begun.known.keys
    if not begun.is_first:  # another attempt may have recorded more
        kept = Kept(kept.contents)
    elif landed:
        added = {item.origin for item in begun.added}
        kept = Kept(kept.contents, {each.origin: each for each in landed if each.origin in added})
    rows_before = begun.rows_before
    if made is not None:
        if made.run is not None:
            linked(run_key(made.run.source, made.run.run_id))
        transformed = clean.transformed_by_engine(
            services, flow, day, begun.objects, begun.work, made, rows_before=rows_before, known=known
        )
    elif keys is None:
        transformed = _transformed_part(begun, kept)
    if transformed is None:
        transformed = clean.transform_version(
            *(services, flow, day, version, begun.objects, begun.work, keys, kept),
            rows_before=rows_before,
            known=known,
            made=staged,
        )
    if begun.lessened:
        transformed = clean.without_bounds(transformed)
    elif flow.feed.usual_volume:
        transformed = _compared(begun, transformed)
    note_schema(services, flow, begun.delivery, begun.known.schema, transformed)
    audited(transformed.findings)
    count_judged(services.metrics, flow, begun.delivery, transformed)
    if transformed.refusals:
        services.ledger.publications.put_file_outcomes(flow.name, transformed.rows)
        reasons = "; ".join(f"{f.name}: {f.description}" for f in transformed.refusals)
        raise SenderFailure(f"{flow.name} {day}: the audit refused version {version}: {reasons}")
    return transformed


def _compared(begun: Begun, transformed: clean.Transformed) -> clean.Transformed:
    """The same with how many rows there are beside those of other dates."""
    day, version, rows = begun.delivery.day, begun.delivery.version, transformed.staged.clean
    placed, now = begun.known.volumes.placed, begun.services.ledger.now()
    verdict = verdict_of(begun.flow, day, version, rows, placed, now)
    return replace(transformed, findings=(*transformed.findings, finding_of(verdict))) if verdict else transformed


def _transformed_part(begun: Begun, kept: Kept) -> clean.Transformed | None:
    """The version with only its new files read; None when all of them have to be."""
    services, flow, day, version = begun.services, begun.flow, begun.delivery.day, begun.delivery.version
    if begun.base is None:
        return None
    work = begun.work / "part"
    work.mkdir()
    try:
        part = clean.transform_part(
            services,
            flow,
            day,
            version,
            begun.added,
            work,
            begun.base,
            kept,
            promised=begun.promised,
            rows_before=begun.rows_before,
            known=begun.known.keys,
        )
    except Gone as e:
        log.warning("%s %s: %s", flow.name, day, e)
        part = None
    if part is None:
        require_no_bad_file(flow, raw.land(services, flow, day, version, begun.objects, begun.work))
    return part


def publish(
    begun: Begun, judged: clean.Transformed | None, made: Made | None = None
) -> tuple[Publication, tuple[OutputColumn, ...]]:
    """Publish and close the claimed version; without something that was ``judged``, only close it. The publication,
    and the columns of its table. What an engine ``made`` is removed.

    Raises: as :func:`working`.
    """
    row = None
    if judged is not None:
        with span("publish"):
            row = clean.publish_version(
                begun.services,
                begun.flow,
                begun.publication,
                judged,
                begun.delivery.run_id,
                begun.work,
                first=begun.is_first,
                fresh=begun.is_first and begun.known.placement is None,
            )
    return close_version(begun, judged, row, made)


def close_version(
    begun: Begun, judged: clean.Transformed | None, row: Publication | None, made: Made | None = None
) -> tuple[Publication, tuple[OutputColumn, ...]]:
    """Close the claimed version; ``row`` is that of one that was ``judged`` and has just been shown. The publication,
    and the columns of its table. What an engine ``made`` is removed.

    Raises: as :func:`working`.
    """
    services, flow, delivery = begun.services, begun.flow, begun.delivery
    columns, objects, closed = output_columns(flow.feed.contract), None, 0
    if judged is not None:
        columns = judged.staged.columns
        closed = begun.base.settled if begun.base and not flow.by_runs else 0
        objects = _every_object(begun, closed)
    now = services.ledger.now()
    seconds = (now - (delivery.changed_at or now)).total_seconds()

    def noted() -> None:
        if judged is not None and not begun.lessened:
            files = [each.object for each in (begun.added if judged.base else begun.objects)]
            count_published(services.metrics, flow, delivery, judged, files, now, seconds)

    with span("close"):
        used = (
            {"bytes": sum(each.object.size for each in begun.added)} if flow.budget or services.settings.budget else {}
        )
        compared = flow.feed.usual_volume is not None and not begun.lessened
        others = volume_writes(services, flow, begun.known, row or begun.publication) if compared else ()
        done = close(
            services,
            flow,
            delivery,
            seconds,
            row=row,
            closed=closed,
            objects=objects,
            noted=noted,
            used=used,
            others=others,
        )
    if made is not None:
        tidy(services, made.intention)
    return done, columns


def _every_object(begun: Begun, closed: int) -> list[RawObject] | None:
    """The objects of the delivery that arrived after so many that are ``closed``, as they were read for its version;
    None where others may have arrived, or were left out of it."""
    delivery = begun.delivery
    objects = [each.object for each in (begun.added if begun.base else begun.objects)]
    numbers = {obj.number for obj in objects}
    whole = not delivery.pending and numbers == set(range(closed + 1, delivery.settled_arrivals + 1))
    return objects if whole and not begun.flow.by_runs else None


def publish_delivery(
    services: Services, flow: FeedFlow, day: date, run_id: str, temp: Path, audited: Audited = lambda _: None
) -> tuple[Publication, tuple[OutputColumn, ...]]:
    """All of it in one go and on this machine, with a directory of its own below ``temp``, which is this run's.

    Raises: as :func:`working`.
    """
    with working(services, flow, day, run_id, TemporaryDirectory(dir=temp)) as begun:
        landed = land(begun, alone=True)
        require_no_bad_file(flow, landed)
        return publish(begun, judge(begun, audited, landed=landed))
