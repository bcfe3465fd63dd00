"""One run of a delivery, the same for every pattern: claimed, landed, judged, published and closed, or failed in the
ledger."""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from adplatform.failures import (
    ClaimLost,
    EnvironmentFailure,
    PermanentFailure,
    SenderFailure,
    TransientFailure,
    described,
)
from adplatform.flow import clean, lifecycle, raw
from adplatform.flow.close import close
from adplatform.flow.hashing_keys import HashingKeys
from adplatform.flow.measures import count_judged, count_published
from adplatform.flow.parts import Base, base_of
from adplatform.flow.services import Services
from adplatform.flow.shown import is_placed
from adplatform.flow.small_files import Contents, keep, take
from adplatform.flow.source import FeedFlow
from adplatform.flow.transforms import Given, Made, by_engine, clear, goes_to_engine
from adplatform.flow.verdicts import require_no_bad_file
from adplatform.flow.version import VersionObject, objects_of, origin_of, read_settlement
from adplatform.lake.audit import AuditFinding
from adplatform.lake.parts import Gone
from adplatform.ledger.delivery import Delivery
from adplatform.ledger.publications import FileOutcome, Publication, Versions
from adplatform.platform.aws_errors import aws_failures
from adplatform.platform.json_logs import about
from adplatform.transform.compile import output_columns
from adplatform.transform.values import OutputColumn

log = logging.getLogger(__name__)

Audited = Callable[[Iterable[AuditFinding]], None]
"""Learns what an audit found, passed or not, before anything is published."""


@dataclass(frozen=True)
class Begun:
    """A delivery that this run has claimed, and a private directory to work on it in."""

    services: Services
    flow: FeedFlow
    delivery: Delivery
    work: Path

    @cached_property
    def known(self) -> Versions:
        """What the ledger knew of the delivery when that was first asked."""
        return self.services.ledger.publications.of_delivery(self.flow.name, self.delivery)

    @property
    def publication(self) -> Publication:
        """The row of its version.

        Raises:
            PermanentFailure: it was never settled.
        """
        if self.known.latest is None:
            raise PermanentFailure(
                f"{self.flow.name} {self.delivery.day}: version {self.delivery.version} was never settled"
            )
        return self.known.latest

    @cached_property
    def settlement(self) -> dict[str, Any]:
        """The manifest of its version."""
        return read_settlement(self.services.s3, self.services.zones, self.publication.manifest_key)

    @cached_property
    def objects(self) -> list[VersionObject]:
        """What its version consists of."""
        return objects_of(self.services.ledger, self.flow, self.publication, self.settlement["objects"])

    @cached_property
    def base(self) -> Base | None:
        """What its version can take over, by what was seen when that was first asked."""
        return base_of(self.services, self.flow, self.delivery.version, self.known, self.settlement)

    @cached_property
    def added(self) -> list[VersionObject]:
        """What its version has beside that."""
        if self.base is None:
            return self.objects
        taken = self.base.outcomes
        entries = [e for e in self.settlement["objects"] if origin_of(e) not in taken]
        return objects_of(self.services.ledger, self.flow, self.publication, entries)

    @cached_property
    def landed(self) -> dict[str, FileOutcome] | None:
        """What became of its files, by origin, where a run landed all of them before an engine was given the version:
        they are not looked at again. None where they are to land."""
        if not self.delivery.transform or not goes_to_engine(self.services, self.flow):
            return None
        day, version = self.delivery.day, self.delivery.version
        known = {
            each.origin: each for each in self.services.ledger.publications.file_outcomes(self.flow.name, day, version)
        }
        return known if all(item.origin in known for item in self.objects) else None

    @property
    def promised(self) -> dict[str, int]:
        """The rows of each object by its origin, where a manifest of the sender says how many."""
        entries = self.settlement["objects"]
        return {origin_of(e): e["rows"] for e in entries if e["rows"] is not None}

    @property
    def rows_before(self) -> int | None:
        """How many rows of the delivery readers saw when it was claimed; None when there was none."""
        if self.lessened:
            return None
        return self.known.published.clean if self.known.published else None

    @property
    def lessened(self) -> bool:
        """Whether the version is made again because an erasure has left less of its files."""
        return bool(self.settlement.get("erasure"))

    @property
    def shown(self) -> bool:
        """Whether readers saw the version when that was first asked, so that nothing but closing it is left to do."""
        return is_placed(self.known.placement, self.delivery)


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
    name, claimed = f"{flow.name} {day}", False
    try:
        with aws_failures(name):
            delivery = lifecycle.claim(services.ledger, flow, day, run_id)
            claimed = True
            facts = {"run_id": run_id, "source": flow.source, "feed": flow.name}
            with directory as work, about(**facts, day=day, version=delivery.version):
                yield Begun(services, flow, delivery, Path(work))
    except ClaimLost:
        raise
    except (PermanentFailure, TransientFailure) as e:
        if not claimed and isinstance(e, TransientFailure):
            raise NotWritten(str(e)) from e
        if claimed and not _failed(services, flow, day, run_id, e):
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
                lifecycle.release(services.ledger, flow, day, run_id)
            else:
                lifecycle.fail(services, flow, day, run_id, failure)
        raise


def _told(error: Exception) -> str:
    """A mistake of ours without its text, which may quote data; of the system's errors what it says."""
    return f"{type(error).__name__}: {described(error)}" if isinstance(error, OSError) else type(error).__name__


def _failed(services: Services, flow: FeedFlow, day: date, run_id: str, error: Exception) -> bool:
    """Write the failure to the ledger; whether this run still has the delivery."""
    try:
        with aws_failures(f"{flow.name} {day}"):
            return lifecycle.fail(services, flow, day, run_id, error)
    except EnvironmentFailure as e:
        raise NotWritten(str(e)) from e


def land(begun: Begun) -> tuple[FileOutcome, ...]:
    """What became of each file of the claimed version; a version that readers see is not looked at again."""
    services, flow, delivery = begun.services, begun.flow, begun.delivery
    if begun.shown:
        return tuple(services.ledger.publications.file_outcomes(flow.name, delivery.day, delivery.version))
    if begun.landed is not None:
        return tuple(begun.landed[item.origin] for item in begun.objects)
    taken = begun.base.outcomes_of(delivery.version) if begun.base else ()
    contents: dict[str, bytes] = {}
    landed = raw.land(services, flow, delivery.day, delivery.version, begun.added, begun.work, contents)
    keep(delivery.run_id, contents)
    return (*taken, *landed)


def judge(
    begun: Begun, audited: Audited = lambda _: None, keys: HashingKeys | None = None, made: Made | None = None
) -> clean.Transformed | None:
    """Transform and audit the files of the claimed version that have landed; None when readers see it already.
    ``keys`` are those of a rotation, ``made`` is what an engine has made of the files.

    Raises:
        SenderFailure: the audit refuses it; what it found was given to ``audited`` before.
    """
    services, flow, day, version = begun.services, begun.flow, begun.delivery.day, begun.delivery.version
    if begun.shown:
        return None
    contents, transformed = take(begun.delivery.run_id), None
    if made is not None:
        transformed = clean.transformed_by_engine(
            services, flow, day, begun.objects, begun.work, made, rows_before=begun.rows_before
        )
    elif keys is None:
        transformed = _transformed_part(begun, contents)
    if transformed is None:
        transformed = clean.transform_version(
            services, flow, day, version, begun.objects, begun.work, keys, contents, rows_before=begun.rows_before
        )
    if begun.lessened:
        transformed = clean.without_bounds(transformed)
    audited(transformed.findings)
    count_judged(services.metrics, flow, begun.delivery, transformed)
    if transformed.refusals:
        reasons = "; ".join(f"{f.name}: {f.description}" for f in transformed.refusals)
        raise SenderFailure(f"{flow.name} {day}: the audit refused version {version}: {reasons}")
    return transformed


def _transformed_part(begun: Begun, contents: Contents) -> clean.Transformed | None:
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
            contents,
            promised=begun.promised,
            rows_before=begun.rows_before,
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
    services, flow, delivery = begun.services, begun.flow, begun.delivery
    columns, row = output_columns(flow.feed.contract), None
    if judged is not None:
        row = clean.publish_version(
            services, flow, begun.publication, judged, delivery.run_id, begun.work, first=_is_first(delivery)
        )
        columns = judged.staged.columns
    now = services.ledger.now()
    seconds = (now - (delivery.changed_at or now)).total_seconds()
    if judged is not None and row is not None and not begun.lessened:
        files = [each.object for each in (begun.added if judged.base else begun.objects)]
        count_published(services.metrics, flow, delivery, judged, files, now, seconds)
    closed = begun.base.settled if judged is not None and begun.base and not flow.by_runs else 0
    done = close(services, flow, delivery, seconds, row=row, closed=closed)
    if made is not None:
        _clear(services, made)
    return done, columns


def _clear(services: Services, made: Made) -> None:
    """Readers see the version whether or not that can be removed, and the bucket does in some days."""
    try:
        with aws_failures(made.prefix):
            clear(services, made.intention)
    except (PermanentFailure, TransientFailure) as e:
        log.warning("%s is left where it is: %s", made.prefix, e)


def _is_first(delivery: Delivery) -> bool:
    """Whether nothing says that another run has had the version before."""
    return delivery.attempt <= 1 and delivery.launch <= 1 and not delivery.deaths


def publish_delivery(
    services: Services, flow: FeedFlow, day: date, run_id: str, temp: Path, audited: Audited = lambda _: None
) -> tuple[Publication, tuple[OutputColumn, ...]]:
    """All of it in one go and on this machine, with a directory of its own below ``temp``, which is this run's.

    Raises: as :func:`working`.
    """
    with working(services, flow, day, run_id, TemporaryDirectory(dir=temp)) as begun:
        require_no_bad_file(flow, land(begun))
        return publish(begun, judge(begun, audited))


def transform_or_give(
    services: Services, flow: FeedFlow, day: date, run_id: str, temp: Path, audited: Audited = lambda _: None
) -> tuple[Publication, tuple[OutputColumn, ...]] | Given:
    """The same where an engine may transform the delivery: as far as it goes in one run.

    Raises: as :func:`working`.
    """
    with working(services, flow, day, run_id, TemporaryDirectory(dir=temp)) as begun:
        require_no_bad_file(flow, land(begun))
        made = by_engine(begun)
        if isinstance(made, Given):
            return made
        return publish(begun, judge(begun, audited, made=made), made)
