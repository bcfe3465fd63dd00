"""Slices of one table that a run has put, published together: settled, claimed, judged, shown and closed as each by
itself, by few calls of the ledger and the catalog.

Every write leaves the ledger as it is somewhere on the way of a delivery that is alone, so that whatever is killed here
is taken up there. What is not as it is on ordinary days is left to :func:`adplatform.flow.slices.publish_slice`.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from adplatform.failures import ClaimLost, PermanentFailure, TransientFailure
from adplatform.files.arrivals import Settle, decide
from adplatform.flow import lifecycle
from adplatform.flow.begun import Begun
from adplatform.flow.clean import Transformed, beside_of, counts_of, shown_row, staged_together, table_of
from adplatform.flow.close_together import Closing, close_together
from adplatform.flow.delivery import judge, land, put_away
from adplatform.flow.engine_work import goes_to_engine
from adplatform.flow.measures import count_published
from adplatform.flow.services import Services
from adplatform.flow.settling import Settler, manifest_entry
from adplatform.flow.slices import Brought, publish_slice, slice_settler
from adplatform.flow.small_files import SMALL
from adplatform.flow.source import FeedFlow
from adplatform.flow.telemetry import emit_began
from adplatform.flow.usual_volume import comparable_of, volume_writes
from adplatform.flow.verdicts import require_no_bad_file
from adplatform.flow.version import VersionObject, highest_manifests, identity_of, origin_of
from adplatform.flow.withdrawn import leaves_out
from adplatform.lake.audit import AuditFinding
from adplatform.lake.together import Delivered, may_be_together, publish_together
from adplatform.ledger.deliveries import Settling
from adplatform.ledger.delivery import Delivery
from adplatform.ledger.leases import Beside
from adplatform.ledger.publications import Publication
from adplatform.platform.at_once import at_once
from adplatform.platform.aws_errors import aws_failures
from adplatform.platform.json_logs import about
from adplatform.platform.traces import tracing
from adplatform.transform.compile import output_columns
from adplatform.transform.values import OutputColumn, Staged

log = logging.getLogger(__name__)

MOST_TOGETHER = 45
"""Dates that are published together: each writes two rows by the transaction that takes the lease."""

Audited = Callable[[FeedFlow, date, Iterable[AuditFinding]], None]
"""Learns what the audit of a date found, passed or not, before anything is published."""
Claimed = Callable[[Sequence[tuple[FeedFlow, date]]], None]
"""Is called with the dates that the run holds by now, before readers see them."""


@dataclass(frozen=True)
class Waiting:
    """A date of which something waits to be published, and what this run has just put there, if it has."""

    flow: FeedFlow
    day: date
    brought: Brought | None = None


@dataclass(frozen=True)
class Came:
    """What became of a date: readers see a ``publication`` with these ``columns``, or there was a ``problem``; neither
    where they saw it already, or another run has it."""

    waiting: Waiting
    publication: Publication | None = None
    columns: tuple[OutputColumn, ...] = ()
    problem: PermanentFailure | TransientFailure | None = None


def publish_waiting(
    services: Services,
    waiting: Sequence[Waiting],
    run_id: str,
    work: Path,
    audited: Audited,
    claimed: Claimed = lambda _: None,
) -> Iterator[Came]:
    """Settle and publish dates of one table, as many together as may be; what became of each, in their order."""
    for start in range(0, len(waiting), MOST_TOGETHER):
        some = waiting[start : start + MOST_TOGETHER]
        done: dict[int, Came] = {}
        fit = [each for each in some if _fits(services, each)]
        if fit:
            batch = _Batch(services, run_id, audited, claimed)
            with TemporaryDirectory(dir=work) as folder:
                done = {id(each.waiting): each for each in batch.publish(fit, Path(folder))}
        for each in some:
            yield done[id(each)] if id(each) in done else _alone(services, each, run_id, work, audited, claimed)


def _fits(services: Services, waiting: Waiting) -> bool:
    flow, brought = waiting.flow, waiting.brought
    if (
        brought is None
        or flow.compacted
        or goes_to_engine(services, flow)
        or flow.by_runs
        or flow.every_version
        or leaves_out(flow)
    ):
        return False
    small = brought.object.size <= SMALL and flow.feed.pgp is None and flow.feed.contract.format.prepared == "ndjson"
    return small and may_be_together(table_of(services.settings, flow, output_columns(flow.feed.contract)))


def _alone(services: Services, waiting: Waiting, run_id: str, work: Path, audited: Audited, claimed: Claimed) -> Came:
    flow, day = waiting.flow, waiting.day

    def learned(findings: Iterable[AuditFinding]) -> None:
        claimed([(flow, day)])
        audited(flow, day, findings)

    try:
        with aws_failures(flow.name):
            done = publish_slice(services, flow, day, run_id, work, learned)
    except ClaimLost as e:
        log.info("%s; that one publishes it", e)
        return Came(waiting)
    except (PermanentFailure, TransientFailure) as e:
        return Came(waiting, problem=problem_of(flow, day, e))
    return Came(waiting, *done) if done else Came(waiting)


def problem_of(
    flow: FeedFlow, day: date, error: PermanentFailure | TransientFailure
) -> PermanentFailure | TransientFailure:
    """The failure of a date, which its text names."""
    name, text = f"{flow.name} {day}", str(error)
    return type(error)(text if text.startswith(name) else f"{name}: {text}")


_Decided = tuple[Waiting, Brought, Delivery, int, str]
"""A date, its slice and delivery, and as which version and why that settles."""


def _written(settler: Settler, decided: _Decided) -> str:
    """The key of the manifest of a version, which is written."""
    waiting, brought, _, version, because = decided
    return settler.write_manifest(waiting.flow, waiting.day, version, because, [manifest_entry(brought.object)])


@dataclass(frozen=True)
class _Judged:
    waiting: Waiting
    begun: Begun
    transformed: Transformed
    counted: Publication


@dataclass(frozen=True)
class _Batch:
    """Dates of one table that one run publishes together."""

    services: Services
    run_id: str
    audited: Audited
    claimed: Claimed

    def publish(self, waiting: Sequence[Waiting], work: Path) -> list[Came]:
        """What became of those that could be published together, or not at all. Of the others nothing has changed but
        that the run may hold them."""
        begun: list[tuple[Waiting, Begun]] = []
        done: list[Came] = []
        try:
            with aws_failures(waiting[0].flow.table):
                begun = self._begin(waiting, work)
                self.claimed([(each.flow, each.day) for each, _ in begun])
                made = self._made(begun, work / "together")
                found = [self._judge(each, of, staged) for (each, of), staged in zip(begun, made, strict=True)]
                done += [each for each in found if isinstance(each, Came)]
                judged = [each for each in found if isinstance(each, _Judged)]
                done += self._show(judged, work) if judged else []
        except (PermanentFailure, TransientFailure) as e:
            log.warning("%s: %s; each date is published by itself", waiting[0].flow.table, e)
        except Exception as e:  # a mistake of ours, which the ledger is told of by the date that it concerns
            log.warning("%s: unexpected %s; each date is published by itself", waiting[0].flow.table, type(e).__name__)
        except BaseException:  # interruptions are no Exceptions, whoever raises them
            ended = {id(each.waiting) for each in done}
            for each, of in begun:
                if id(each) not in ended:
                    lifecycle.release(self.services, of.flow, each.day, self.run_id, done=False)
            raise
        return done

    def _begin(self, waiting: Sequence[Waiting], work: Path) -> list[tuple[Waiting, Begun]]:
        """Settle and claim those that may be, each with what is known of it and a directory of its own."""
        services = self.services
        settling: list[tuple[Waiting, Brought, Settling]] = []
        flows = {each.flow.name: each.flow for each in waiting}
        for name, flow in flows.items():
            own = [(each, each.brought) for each in waiting if each.flow.name == name and each.brought is not None]
            days = [each.day for each, _ in own]
            highest = highest_manifests(services.s3, services.zones, name, min(days), max(days))
            settler = slice_settler(services, (flow,))
            wanted: list[_Decided] = []
            for each, brought in own:
                seen, version = brought.delivery, brought.delivery.version + 1
                decision = decide(flow.layout, seen, [brought.object], services.ledger.now())
                if isinstance(decision, Settle) and highest.get(each.day, 0) < version:
                    wanted.append((each, brought, seen, version, decision.because))
            keys = at_once(partial(_written, settler), wanted)
            settling += [
                (each, brought, Settling(name, seen, version, 1, key, because))
                for (each, brought, seen, version, because), key in zip(wanted, keys, strict=True)
            ]
        first = waiting[0].flow
        known = services.ledger.publications.of_deliveries(
            first.table, [(each.feed, each.seen) for _, _, each in settling], comparable_of(first)
        )
        # Versions are numbered without a gap; what else there may be is looked at where a delivery is alone.
        fit = [
            (each, brought, settled, of)
            for (each, brought, settled), of in zip(settling, known, strict=True)
            if not settled.seen.version
            or (of.published and of.placement and of.placement.version == settled.seen.version)
        ]
        rows = services.ledger.deliveries.settle_and_claim([each for _, _, each, _ in fit], self.run_id) if fit else []
        begun = []
        for (each, brought, _, of), (delivery, publication) in zip(fit, rows or (), strict=False):
            folder = work / each.flow.name.replace("/", "-") / each.day.isoformat()
            folder.mkdir(parents=True)
            entry = manifest_entry(brought.object)
            item = VersionObject(brought.object, None, None, origin_of(entry), False)
            made = Begun(services, each.flow, delivery, folder)
            objects = {identity_of(entry): brought.object}
            vars(made).update(
                known=replace(of, latest=publication, objects=objects),
                settlement={"objects": [entry]},
                objects=[item],
                base=None,
                added=[item],
            )
            emit_began(services, each.flow, delivery)
            begun.append((each, made))
        return begun

    def _made(self, begun: Sequence[tuple[Waiting, Begun]], work: Path) -> Sequence[Staged | None]:
        """What the dates are transformed to, where that is done for all of them together."""
        files = [
            (of.objects[0], each.brought.slice.path.read_bytes(), each.day)
            for each, of in begun
            if each.brought is not None
        ]
        if len(files) < 2 or len(files) < len(begun):
            return [None] * len(begun)
        first = begun[0][1]
        return staged_together(self.services, first.flow, files, work, first.known.keys) or [None] * len(begun)

    def _judge(self, waiting: Waiting, begun: Begun, staged: Staged | None) -> "_Judged | Came":
        """The date as it may be shown; or what became of it, which the ledger has then."""
        services, flow, delivery = self.services, begun.flow, begun.delivery
        facts = {"run_id": self.run_id, "source": flow.source, "feed": flow.name}
        content = waiting.brought.slice.path.read_bytes() if waiting.brought else b""
        try:
            with (
                aws_failures(f"{flow.name} {delivery.day}"),
                about(**facts, day=delivery.day, version=delivery.version),
            ):
                landed = land(begun, alone=True, content=content)
                require_no_bad_file(flow, landed)
                audited = partial(self.audited, flow, delivery.day)
                transformed = judge(begun, audited, landed=landed, staged=staged)
        except ClaimLost as e:
            log.info("%s; that one publishes it", e)
            return Came(waiting)
        except (PermanentFailure, TransientFailure) as e:
            with tracing(services.settings.traces, services.ledger.now):
                put_away(services, flow, delivery.day, self.run_id, e)
            return Came(waiting, problem=problem_of(flow, delivery.day, e))
        if transformed is None:
            raise TransientFailure(f"{flow.name} {delivery.day} was published meanwhile")
        return _Judged(
            waiting, begun, transformed, counts_of(services, flow, begun.publication, transformed, self.run_id)
        )

    def _show(self, judged: Sequence[_Judged], work: Path) -> list[Came]:
        services, flow = self.services, judged[0].begun.flow
        table = table_of(services.settings, flow, judged[0].transformed.staged.columns)
        same = [each for each in judged if each.transformed.staged.columns == judged[0].transformed.staged.columns]
        wanted = [
            Delivered(
                each.begun.delivery.day,
                each.begun.delivery.version,
                each.begun.flow.scope.value if each.begun.flow.scope else "",
                each.transformed.staged,
                each.begun.publication.manifest_key,
                each.transformed.key_id,
                each.begun.known.placement is None,
            )
            for each in same
        ]
        published = publish_together(
            services.lake, table, wanted, run_id=self.run_id, temp=work, beside=self._beside(same)
        )
        closing = []
        for each, shown in zip(same, published, strict=True):
            if shown is not None:
                row = shown_row(services, each.begun.flow, each.counted, each.transformed, shown)
                closing.append(self._closing(each, row))
        left = len(judged) - len(closing)
        if left:
            log.info("%s: %d dates are published each by itself", table.qualified, left)
        done = close_together(services, closing)
        by_begun = {(each.begun.flow.name, each.begun.delivery.day): each for each in same}
        return [
            Came(by_begun[each.flow.name, each.delivery.day].waiting, row, table.columns)
            for each, row in zip(closing, done, strict=True)
            if row is not None
        ]

    def _beside(self, judged: Sequence[_Judged]) -> Beside:
        """What notes all versions with their counts, before anybody sees one."""
        besides = [beside_of(self.services, each.begun.flow, each.transformed, each.counted) for each in judged]
        every = [write for beside in besides for write in beside.writes]
        checks = [write for write in every if "ConditionCheck" in write]  # that of the hashing key is the same for all
        writes = [write for write in every if write not in checks]
        writes += [each for number, each in enumerate(checks) if each not in checks[:number]]

        def alone() -> None:
            for beside in besides:
                beside.alone()

        return Beside(writes, alone)

    def _closing(self, judged: _Judged, row: Publication) -> Closing:
        services, begun = self.services, judged.begun
        now = services.ledger.now()
        seconds = (now - (begun.delivery.changed_at or now)).total_seconds()
        files = [each.object for each in begun.objects]

        def noted() -> None:
            count_published(services.metrics, begun.flow, begun.delivery, judged.transformed, files, now, seconds)

        others = volume_writes(services, begun.flow, begun.known, row)
        return Closing(begun.flow, begun.delivery, row, files[0], seconds, noted, others)
