"""From an ended run to its deliveries: what it wrote is found in the raw zone, claimed and recorded, once.

Repeating it, after a crash at any point, changes nothing that somebody may have built on.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import PurePosixPath
from typing import Any

from adplatform.engines.engine import Claim
from adplatform.failures import listed, named
from adplatform.files.arrivals import ClaimedFile
from adplatform.files.landing import Part
from adplatform.flow.arrivals import Arrivals
from adplatform.flow.claims import claimed_files, claims_in, write_claims
from adplatform.flow.listing import Version, list_versions
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow, Source
from adplatform.flow.version import read_settlement
from adplatform.ledger.engine_run import SEVERAL, EngineRun, Landed
from adplatform.ledger.objects import UNPLACED, ObjectState, RawObject


@dataclass(frozen=True)
class Landing:
    """What became of the claims of a ``run``, whose ``objects`` are with deliveries: the keys of those that are with
    none, by the reason."""

    run: EngineRun
    left: dict[str, list[str]] = field(default_factory=dict)

    @property
    def incomplete(self) -> str:
        """A text for people; empty when all that was claimed has landed."""
        return "; ".join(f"{len(keys)} objects {why}: {listed(map(named, keys))}" for why, keys in self.left.items())


@dataclass(frozen=True)
class _Found:
    """One claim with its object as S3 has it, and where that belongs. Without a version it is in the archive."""

    flow: FeedFlow
    object: RawObject
    version: Version | None
    rows: int | None = None

    @property
    def file(self) -> ClaimedFile:
        obj = self.object
        return ClaimedFile(name=obj.key, version=obj.version_id or "", bytes=obj.size, rows=self.rows)


def land(
    services: Services, source: Source, run: EngineRun, claims: Sequence[Claim], *, replaces: bool = False
) -> Landing:
    """Give what the run wrote to its deliveries, where it ``replaces`` what earlier runs brought, or adds to it.

    The claims are written before the objects are recorded: what has arrived and does not count is not looked at again
    when a version settles. A try that was cut short may have brought what is in the archive by now and listed no
    longer, and may not have found what is there now: its claims are kept and added to.
    """
    left: dict[str, list[str]] = defaultdict(list)
    found = _counted(services, source, _found(services, source, run, claims, left), left)
    deliveries: dict[tuple[str, date], list[_Found]] = defaultdict(list)
    for each in found:
        deliveries[each.flow.name, each.object.day].append(each)
    runs, arrivals = services.ledger.engine_runs, Arrivals(source, services.s3, services.ledger)
    earlier = {each: runs.landed_of(*each, run.run_id) for each in deliveries}
    claimed = {each: _claimed(services, earlier[each], own) for each, own in deliveries.items()}
    only, objects = _only(run, deliveries), max(run.objects, sum(map(len, claimed.values())))
    if found and (objects, only) != (run.objects, run.only):
        run = runs.lands(run, objects, only) or run
    records = run.records if only != SEVERAL else None
    for (feed, day), own in deliveries.items():
        known, files = earlier[feed, day], claimed[feed, day]
        if known is None or (known.objects, known.records) != (len(files), records):
            landed = write_claims(services.s3, services.zones, services.ledger, feed, day, run, files.values())
            runs.bring(feed, replace(landed, records=records, replaces=replaces))
        arrivals.record([each.version for each in own if each.version is not None])
        if _passed_over(services, feed, day, own):
            services.ledger.deliveries.reopen(feed, day)
    return Landing(run, dict(left))


def _claimed(services: Services, known: Landed | None, own: Iterable[_Found]) -> dict[tuple[str, str], ClaimedFile]:
    """The files of a delivery that were claimed before and those that are found now, by key and version."""
    before = claims_in(services.s3, services.zones, known) if known is not None else []
    return {(file.name, file.version): file for file in (*before, *(each.file for each in own))}


def _only(run: EngineRun, deliveries: Iterable[tuple[str, date]]) -> str:
    """The name of the only delivery that has objects of the run, found now or before; else ``SEVERAL``, or empty."""
    names = {f"{feed}/{day}" for feed, day in deliveries} | ({run.only} if run.only else set())
    return SEVERAL if len(names) > 1 else next(iter(names), "")


def _found(
    services: Services, source: Source, run: EngineRun, claims: Iterable[Claim], left: dict[str, list[str]]
) -> Iterator[_Found]:
    by_folder: dict[str, dict[str, Claim]] = defaultdict(dict)
    for claim in claims:
        if claim.fault:
            left[claim.fault].append(claim.key)
            continue
        by_folder[str(PurePosixPath(claim.key).parent)][claim.key] = claim
    arrivals = Arrivals(source, services.s3, services.ledger)
    days: dict[tuple[str, date], list[RawObject]] = {}
    for own in by_folder.values():
        there = _listed(services.s3, source.bucket, own)
        for claim in own.values():
            version = there.get(claim.key)
            if version is None:
                known = _archived(services, source, claim, run.ended_at or services.ledger.now(), days)
                if known is None:
                    left["that it reports are not there"].append(claim.key)
                else:
                    yield replace(known, rows=claim.rows)
                continue
            name, obj = arrivals.object_of(version)
            placed = source.place(obj.key, obj.last_modified)
            if placed is None or name.endswith(f"/{UNPLACED}"):
                left["fit no feed"].append(claim.key)
            elif claim.size is not None and claim.size != obj.size:
                left["have another size than it reports"].append(claim.key)
            elif placed[1].part is not Part.NOISE:
                yield _Found(placed[0], obj, version, claim.rows)


def _listed(s3: Any, bucket: str, claims: dict[str, Claim]) -> dict[str, Version]:
    """The claimed version of each key, or its newest where none is named; those that are not there are left out."""
    there: dict[str, Version] = {}
    begins = os.path.commonprefix(list(claims))  # noqa: RUF071 - a prefix of S3 may end anywhere
    for page in list_versions(s3, bucket, begins):
        for each in page.versions:
            claim = claims.get(each["Key"])
            if claim is not None and claim.version in ("", each.get("VersionId")):
                there.setdefault(each["Key"], each)
    return there


def _archived(
    services: Services, source: Source, claim: Claim, at: datetime, days: dict[tuple[str, date], list[RawObject]]
) -> _Found | None:
    """The object in the archive, where it is by now if an earlier try has landed it."""
    placed = source.place(claim.key, at)
    if placed is None:
        return None
    flow, day = placed[0], placed[1].day
    if (flow.name, day) not in days:
        days[flow.name, day] = services.ledger.objects.of_day(flow.name, day)
    same = [o for o in days[flow.name, day] if o.key == claim.key and claim.version in ("", o.version)]
    return next((_Found(flow, o, None) for o in reversed(same) if o.archived_key), None)


def _counted(services: Services, source: Source, found: Iterable[_Found], left: dict[str, list[str]]) -> list[_Found]:
    """Those that are of no other delivery: a feed that took another's files has none of those that came before."""
    every = list(found)
    elsewhere = services.ledger.objects.elsewhere(source.name, ((each.flow.name, each.object) for each in every))
    for each in every:
        if each.object.identity in elsewhere:
            left[f"are deliveries of {elsewhere[each.object.identity]} already"].append(each.object.key)
    return [each for each in every if each.object.identity not in elsewhere]


def _passed_over(services: Services, feed: str, day: date, own: Sequence[_Found]) -> bool:
    """Whether one of these objects was known when a version settled and is not part of it, because the claims came
    later."""
    ledger, delivery = services.ledger, services.ledger.deliveries.get(feed, day)
    rows = ledger.objects.known((feed, each.object) for each in own).values()
    early = [o for o in rows if o.state is ObjectState.ARRIVED and o.number <= delivery.settled_arrivals]
    if not early or not delivery.manifest_key:
        return False
    claimed = claimed_files(services.s3, services.zones, ledger, feed, day) or {}
    wanted = {(o.key, o.version) for o in early if o.key in claimed and claimed[o.key].version in ("", o.version)}
    settled = read_settlement(services.s3, services.zones, delivery.manifest_key)["objects"]
    return not wanted <= {(entry["key"], entry["version"]) for entry in settled}
