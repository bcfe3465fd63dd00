"""The clean step: prepared files become staged Parquet, are audited, and only then become visible."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from hashlib import sha256
from pathlib import Path

from adplatform.contracts.schema_change import SchemaChange, merged
from adplatform.failures import PermanentFailure, TransientFailure, listed, naming
from adplatform.files.bad_file import BadFile
from adplatform.files.budget import require_room
from adplatform.files.input_file import InputFile
from adplatform.files.unpack import unpack
from adplatform.flow.accounting import accounted
from adplatform.flow.claims import claims_of
from adplatform.flow.fitness import delivered_fitness
from adplatform.flow.hashing_keys import HashingKeys, hashing_keys, one_key_finding, require_current
from adplatform.flow.parts import Base, basis, extended, fits
from adplatform.flow.repeats import judged, repeats, said_of
from adplatform.flow.services import Services
from adplatform.flow.small_files import Contents, Kept, named
from adplatform.flow.source import FeedFlow
from adplatform.flow.telemetry import run_key
from adplatform.flow.transforms import Made, outcomes_of, staged
from adplatform.flow.verdicts import bad, require_no_bad_file
from adplatform.flow.version import VersionObject, download, save
from adplatform.lake.attempt import Published, Result
from adplatform.lake.audit import BOUNDS, AuditFinding, audit
from adplatform.lake.details import with_details
from adplatform.lake.evolved import compared_to, emptied_said, footers_said, lacking_said, withheld_said
from adplatform.lake.filled import filled, remembered, vanished
from adplatform.lake.publish import publish
from adplatform.lake.quarantine import store_rows
from adplatform.lake.rotation import stage_version
from adplatform.lake.shared_dates import Share, publish_shares
from adplatform.lake.table import TableSpec, table_spec
from adplatform.ledger.keys import TableKeys
from adplatform.ledger.leases import Beside
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.publications import FileOutcome, Outcome, Publication, Recorded, TakenOver, part_rows
from adplatform.platform.at_once import at_once
from adplatform.platform.aws_errors import aws_failures
from adplatform.platform.settings import Settings
from adplatform.platform.traces import linked, span
from adplatform.transform.duckdb_engine import EngineLimits, transform, transform_apart
from adplatform.transform.rejects import SWALLOWED
from adplatform.transform.values import OutputColumn, Staged

log = logging.getLogger(__name__)

_RECEIVED = "received"
_NOTHING = Kept()
_MOST_TOGETHER = 50
"""Rows of outcomes that are written by one transaction with the counts of their version."""
_MOST_FILES = 200
"""Files whose rows the ledger keeps; a date that comes in parts has few."""


@dataclass(frozen=True)
class Transformed:
    """A delivery version on local disk, judged but not visible yet."""

    staged: Staged
    outcomes: tuple[FileOutcome, ...]
    findings: tuple[AuditFinding, ...]
    key_id: str = ""
    """Names the key that hashed the personal columns; "" when the contract needs none."""
    previous_key_id: str = ""
    """Names the key of the digests that are kept beside those; "" when there are none."""
    filled: Mapping[str, int] = field(default_factory=dict)
    """Rows with a value by column, where that is watched."""
    base: Publication | None = None
    """The version of which it took over what it did not read; None where all files were read."""
    kept: bool = False
    """Whether its rows are those that readers see, under the hashing key that they are under."""
    rows: tuple[FileOutcome | TakenOver, ...] = ()
    """Rows of outcomes that the ledger does not have yet."""
    last: Publication | None = None
    """What readers saw of the date or the newest before, where columns are compared with those that it had."""

    @property
    def refusals(self) -> tuple[AuditFinding, ...]:
        return tuple(f for f in self.findings if f.blocking and not f.passed)


def transform_version(
    services: Services,
    flow: FeedFlow,
    day: date,
    version: int,
    objects: Sequence[VersionObject],
    work: Path,
    keys: HashingKeys | None = None,
    kept: Kept = _NOTHING,
    *,
    rows_before: int | None = None,
    known: TableKeys | None = None,
    made: Staged | None = None,
) -> Transformed:
    """Fetch, unpack, transform and audit the files of a version that the raw step loaded. ``keys`` are those of a
    rotation; by default the feed's own, for which ``known`` is as in :func:`hashing_keys`. Of what was ``kept`` of the
    raw step nothing is fetched. ``rows_before`` are what readers see of the delivery. ``made`` is what they were
    transformed to already (:func:`staged_together`).

    Raises:
        PermanentFailure: a file is bad and the feed refuses bad files, or the hashing key cannot be had.
        KeysDiffer: the delivery's table is under another hashing key.
        TransientFailure: a service did not answer.
    """
    keys = keys or hashing_keys(services, flow, known)
    with span("transform"):
        staged, outcomes, _ = _read(services, flow, day, version, objects, work, keys, kept, made=made)
    promised = {item.origin: item.rows for item in objects if item.rows is not None}
    transformed = _transformed(services, flow, day, promised, staged, outcomes, keys, rows_before, work, known=known)
    return _with_rows(services, flow, transformed, outcomes)


def staged_together(
    services: Services,
    flow: FeedFlow,
    files: Sequence[tuple[VersionObject, bytes, date]],
    work: Path,
    known: TableKeys | None = None,
) -> list[Staged] | None:
    """What deliveries of one table become, each of one small file, of which these are the contents: by one transform of
    all. None where each is to be transformed by itself. ``work`` is a directory of this run, ``known`` as in
    :func:`transform_version`.

    Raises: as :func:`transform_version`.
    """
    contract, keys = flow.feed.contract, hashing_keys(services, flow, known)
    inputs: list[tuple[InputFile, date]] = []
    for number, (item, content, day) in enumerate(files):
        local = work / str(number) / "0.file"
        local.parent.mkdir(parents=True)
        with naming(local):
            local.write_bytes(content)
        unpacked = unpack(local, item.object.file_id, contract.format, local.parent, number, flow.feed.limits)
        if len(unpacked) != 1:
            return None
        inputs.append((unpacked[0], day))
    limits = EngineLimits(services.settings.memory_limit, services.settings.threads)
    current, previous = (keys.current, keys.previous) if keys else (None, None)
    reserved = (flow.scope.column,) if flow.scope else ()
    try:
        return transform_apart(contract, inputs, current, work / "transform", limits, previous, reserved)
    except BadFile:
        return None


def transformed_by_engine(
    services: Services,
    flow: FeedFlow,
    day: date,
    objects: Sequence[VersionObject],
    work: Path,
    made: Made,
    *,
    rows_before: int | None,
    known: TableKeys | None = None,
) -> Transformed:
    """As :func:`transform_version`, of what an engine has made of the files.

    Raises:
        SenderFailure: more rows broke the contract than are kept. Otherwise as :func:`transform_version`.
    """
    keys = hashing_keys(services, flow, known)
    outcomes = outcomes_of(flow, made, objects)
    services.ledger.publications.put_file_outcomes(flow.name, outcomes)
    promised = {item.origin: item.rows for item in objects if item.rows is not None}
    made_here = staged(services, made, work)
    return _transformed(services, flow, day, promised, made_here, outcomes, keys, rows_before, work, known=known)


def transform_part(
    services: Services,
    flow: FeedFlow,
    day: date,
    version: int,
    added: Sequence[VersionObject],
    work: Path,
    base: Base,
    kept: Kept = _NOTHING,
    *,
    promised: Mapping[str, int],
    rows_before: int | None,
    known: TableKeys | None = None,
) -> Transformed | None:
    """As :func:`transform_version` for one that takes over what there is of ``base``, to which it adds files; None when
    they came to something that does not go together with that. ``promised`` are the rows of all of its objects, where
    the sender says so, by origin.

    Raises:
        Gone: the base is not there any more. Otherwise as :func:`transform_version`.
    """
    keys = hashing_keys(services, flow, known)
    before = base.outcomes.values()
    with span("transform"):
        staged, outcomes, recorded = _read(services, flow, day, version, added, work, keys, kept, before)
    if not fits(base, flow, staged, keys):
        return None
    (work / "base").mkdir()
    whole, every = extended(services, base, flow, staged, outcomes, work / "base")
    accounted = tuple(replace(each, version=version) for each in every)
    transformed = _transformed(
        services, flow, day, promised, whole, accounted, keys, rows_before, work, new=staged, known=known
    )
    rows = part_rows(accounted, base.outcomes, recorded)
    return replace(_with_rows(services, flow, transformed, rows), base=base.row)


def _with_rows(
    services: Services, flow: FeedFlow, transformed: Transformed, rows: Sequence[FileOutcome | TakenOver]
) -> Transformed:
    """The same with the rows of its outcomes, which are noted with its counts; many are written at once."""
    if len(rows) <= _MOST_TOGETHER:
        return replace(transformed, rows=tuple(rows))
    services.ledger.publications.put_file_outcomes(flow.name, rows)
    return transformed


def _read(
    services: Services,
    flow: FeedFlow,
    day: date,
    version: int,
    objects: Sequence[VersionObject],
    work: Path,
    keys: HashingKeys | None,
    kept: Kept,
    before: Iterable[FileOutcome] = (),
    made: Staged | None = None,
) -> tuple[Staged, tuple[FileOutcome, ...], Recorded]:
    """What the files become, what became of each, with counts, and what was recorded of the version before. ``before``
    are the outcomes of files of the date that are taken over, ``made`` is as in :func:`transform_version`.

    Raises:
        PermanentFailure: a file has the bytes of another, and the feed refuses that. Otherwise as
            :func:`transform_version`.
    """
    if all(item.origin in kept.outcomes for item in objects):
        recorded = Recorded({item.origin: kept.outcomes[item.origin] for item in objects}, {})
    else:
        recorded = services.ledger.publications.recorded(flow.name, day, version)
    landed = recorded.all
    outcomes = {item.origin: landed[item.origin] for item in objects}
    (work / _RECEIVED).mkdir()
    wanted = [
        (item, outcomes[item.origin], work / _RECEIVED / f"{place}.file")
        for place, item in enumerate(objects)
        if outcomes[item.origin].outcome is Outcome.LOADED
    ]
    inputs: dict[str, tuple[InputFile, ...]] = {}
    fetched = list(zip(wanted, at_once(partial(_fetched, services, kept.contents), wanted), strict=True))
    repeated = repeats(services, flow, day, ((item, outcome) for (item, _, _), outcome in fetched), before)
    ordinal = 0
    for (item, _, local), outcome in fetched:
        if item.origin in repeated:
            outcomes[item.origin] = replace(outcome, outcome=Outcome.REPEATED)
            continue
        outcomes[item.origin], inputs[item.origin] = _unpacked(flow, item, outcome, ordinal, local)
        ordinal += len(inputs[item.origin])
    try:
        good = made and all(each.outcome is Outcome.LOADED for each in outcomes.values())
        staged = (
            made
            if made and good
            else _transform_good(services.settings, flow, objects, inputs, outcomes, day, keys, work)
        )
    except (PermanentFailure, TransientFailure):
        services.ledger.publications.put_file_outcomes(flow.name, tuple(outcomes.values()))
        raise
    counts = {each.origin: each for each in staged.counts}
    counted = tuple(
        accounted(
            outcome,
            [counts[file.origin] for file in inputs.get(origin, ()) if file.origin in counts],
            max((file.skipped for file in inputs.get(origin, ())), default=0),
        )
        for origin, outcome in outcomes.items()
    )
    if repeated:
        counted = judged(flow, counted, repeated, {item.origin: item for item in objects})
        if any(each.outcome is Outcome.REFUSED for each in counted):
            services.ledger.publications.put_file_outcomes(flow.name, counted)
            require_no_bad_file(flow, counted)
    return staged, counted, recorded


def _transformed(
    services: Services,
    flow: FeedFlow,
    day: date,
    promised: Mapping[str, int],
    staged: Staged,
    outcomes: tuple[FileOutcome, ...],
    keys: HashingKeys | None,
    rows_before: int | None,
    work: Path,
    new: Staged | None = None,
    known: TableKeys | None = None,
) -> Transformed:
    """The audited version. ``new`` is what of it was read, by default all."""
    evolves = flow.feed.contract.schema_policy == "evolve"
    compares = flow.by_runs or (evolves and flow.feed.contract.format.prepared != "ndjson")  # as compared_to does
    last = published_before(services.ledger, flow, day) if compares else None
    now = filled(new or staged) if flow.by_runs else {}
    before = last.filled if last and flow.by_runs else {}
    if evolves:
        staged = compared_to(staged, flow.feed.contract, last.evolved if last else ())
    with span("audit"):
        findings = (
            *audit(staged, flow.feed.contract, rows_before),
            *_promised_rows(promised, outcomes, staged.reasons.get(SWALLOWED, 0)),
            *_engine_counts(services, flow, day, outcomes),
            *((vanished(now, before),) if flow.by_runs else ()),
            one_key_finding(services.ledger, flow, keys, known),
            *delivered_fitness(services.settings, flow, staged, work),
        )
    return Transformed(
        staged,
        outcomes,
        findings,
        keys.current.id if keys else "",
        keys.previous_id if keys else "",
        remembered(now, before),
        last=last,
    )


def without_bounds(transformed: Transformed) -> Transformed:
    """The same where the bounds of the contract do not forbid to publish: what was taken out of a delivery that was
    within them is no fault of it."""
    findings = tuple(replace(f, blocking=False) if f.name == BOUNDS else f for f in transformed.findings)
    return replace(transformed, findings=findings)


def publish_version(
    services: Services,
    flow: FeedFlow,
    row: Publication,
    transformed: Transformed,
    run_id: str,
    work: Path,
    *,
    first: bool = False,
    fresh: bool = False,
) -> Publication:
    """Make an audited version visible. The row of the version with where its rows went, which is still to be noted
    (:func:`adplatform.flow.close.close`); ``row`` is as it was. ``first`` and ``fresh`` are as in
    :func:`adplatform.lake.publish.publish`.

    Raises:
        PermanentFailure: the ledger lacks versions of this delivery, or readers see another one.
        EnvironmentFailure: the hashing key was replaced meanwhile.
        TransientFailure: as :func:`adplatform.lake.publish.publish`.
    """
    staged, scope, day, version = transformed.staged, flow.scope, row.day, row.version
    _require_earlier(services.ledger, flow, day, version)
    counted = counts_of(services, flow, row, transformed, run_id)
    table = table_of(services.settings, flow, staged.columns)
    published = publish(
        services.lake,
        table,
        day,
        version,
        staged,
        run_id=run_id,
        temp=work,
        scope=scope.value if scope else "",
        key_id=transformed.key_id,
        manifest=row.manifest_key,
        first=first,
        fresh=fresh,
        # Noted before anybody sees it: whoever closes the version after this run has died finds its counts.
        beside=beside_of(services, flow, transformed, counted),
    )
    hidden = "" if published.result is not Result.SUPERSEDED else _not_shown(flow, table, day, version, published)
    return shown_row(services, flow, counted, transformed, published, hidden)


def shown_row(
    services: Services,
    flow: FeedFlow,
    counted: Publication,
    transformed: Transformed,
    published: Published,
    hidden: str = "",
) -> Publication:
    """The row of a version that was published, ``counted`` before; ``hidden`` says why readers do not see it."""
    staged = transformed.staged
    seen = (withheld_said(staged), lacking_said(staged), footers_said(staged), emptied_said(staged))
    note = "; ".join(filter(None, (hidden, said_of(transformed.outcomes), *seen)))
    shown = with_details(services.store, flow.name, counted, published.locations, staged.reasons)
    return replace(shown, note=note, files=published.files if len(published.files) <= _MOST_FILES else {})


def publish_versions(
    services: Services, versions: Sequence[tuple[FeedFlow, Publication, Transformed]], run_id: str, work: Path
) -> list[Publication]:
    """As :func:`publish_version`, of audited versions of one date that scopes of a compacted table bring, together.

    Raises: as :func:`publish_version`; then none of them counts as published by this run.
    """
    shares, rows = [], []
    for flow, row, transformed in versions:
        _require_earlier(services.ledger, flow, row.day, row.version)
        counted = counts_of(services, flow, row, transformed, run_id)
        table = table_of(services.settings, flow, transformed.staged.columns)
        scope, beside = flow.scope.value if flow.scope else "", beside_of(services, flow, transformed, counted)
        own = row.version, transformed.staged, transformed.key_id, row.manifest_key, beside
        shares.append(Share(table, scope, *own))
        rows.append(counted)
    published = publish_shares(services.lake, versions[0][1].day, shares, run_id=run_id, temp=work)
    found = []
    for (flow, _, transformed), share, counted, done in zip(versions, shares, rows, published, strict=True):
        superseded = done.result is Result.SUPERSEDED
        hidden = _not_shown(flow, share.table, counted.day, counted.version, done) if superseded else ""
        found.append(shown_row(services, flow, counted, transformed, done, hidden))
    return found


def beside_of(services: Services, flow: FeedFlow, transformed: Transformed, counted: Publication) -> Beside:
    """What notes the version with its counts and the outcomes of its files, unless the hashing key was replaced."""
    publications, key_id = services.ledger.publications, "" if transformed.kept else transformed.key_id

    def alone() -> None:
        """
        Raises:
            EnvironmentFailure: as :func:`require_current`.
        """
        require_current(services, flow, key_id)
        publications.put_file_outcomes(flow.name, transformed.rows)
        publications.note(flow.name, counted)

    rows = publications.outcome_writes(flow.name, transformed.rows)
    current = [services.ledger.keys.current_write(key_id)] if key_id else []
    return Beside([publications.note_write(flow.name, counted), *rows, *current], alone)


def stage_for_rotation(
    services: Services, flow: FeedFlow, day: date, version: int, transformed: Transformed, run_id: str, work: Path
) -> None:
    """Keep an audited version where it can be shown together with the others of its table.

    Raises: as :func:`adplatform.lake.rotation.stage_version`.
    """
    _require_earlier(services.ledger, flow, day, version)
    row = services.ledger.publications.get(flow.name, day, version)
    if row is None:
        raise PermanentFailure(f"{flow.name} {day}: version {version} was never settled")
    services.ledger.publications.put_file_outcomes(flow.name, transformed.rows)
    counted = counts_of(services, flow, row, transformed, run_id)
    stage_version(
        services.lake,
        table_of(services.settings, flow, transformed.staged.columns),
        day,
        version,
        transformed.staged,
        run_id=run_id,
        temp=work,
        key_id=transformed.key_id,
        manifest=row.manifest_key,
    )
    services.ledger.publications.note(flow.name, counted)


def table_of(settings: Settings, flow: FeedFlow, columns: Iterable[OutputColumn]) -> TableSpec:
    return table_spec(
        flow.table,
        flow.feed.contract,
        columns,
        description=flow.feed.description,
        database_prefix=settings.database_prefix,
        scope=flow.scope.column if flow.scope else None,
        compacted=flow.compacted,
    )


def counts_of(
    services: Services, flow: FeedFlow, row: Publication, transformed: Transformed, run_id: str
) -> Publication:
    """The row of a version with where its rows went; the quarantined ones are stored."""
    staged = transformed.staged
    quarantine_key = ""
    if staged.quarantine is not None:
        quarantine_key = store_rows(services.store, flow.name, row.day, row.version, staged.quarantine)
    counted = replace(
        row,
        run_id=run_id,
        rows_in=staged.rows_in,
        clean=staged.clean,
        superseded=staged.superseded,
        quarantined=staged.quarantined,
        left_out=staged.left_out,
        bytes=sum(each.bytes for each in transformed.outcomes),
        table=table_of(services.settings, flow, staged.columns).qualified,
        quarantine_key=quarantine_key,
        key_id=transformed.key_id,
        previous_key_id=transformed.previous_key_id,
        basis=basis(flow, staged.columns),
        contract=flow.feed.contract.rows_digest,
        filled=transformed.filled,
        evolved=staged.evolved,
        lacking=staged.lacking,
        emptied=staged.emptied,
    )
    return with_details(services.store, flow.name, counted, (), staged.reasons)


def _require_earlier(ledger: Ledger, flow: FeedFlow, day: date, version: int) -> None:
    """Refuse to publish a version, which the ledger has, unless it has those before it as well: they are numbered
    without a gap, except above settlements that the ledger has forgotten."""
    if version == 1 or ledger.publications.are_without_gap(flow.name, day, version):
        return
    rows = {row.version for row in ledger.publications.of_feed(flow.name, day)}
    if version not in rows:
        raise PermanentFailure(f"{flow.name} {day}: version {version} was never settled")
    if lost := [str(number) for number in range(1, version) if number not in rows]:
        raise PermanentFailure(
            f"{flow.name} {day}: the ledger knows nothing of version {', '.join(lost)}, which readers may see; "
            f"version {version} is not published. `adplatform doctor` compares, and restores the ledger with --repair"
        )


def _not_shown(flow: FeedFlow, table: TableSpec, day: date, version: int, published: Published) -> str:
    """What to say of a version that is published behind another date.

    Raises:
        PermanentFailure: every date of the table has readers of its own.
    """
    if table.partition is None and published.newer_day:
        return f"{published.note}, which replaces this one"
    raise PermanentFailure(
        f"{flow.name} {day}: version {version} is not shown: {published.note}, which the ledger places above it; "
        "`adplatform doctor` compares them"
    )


def _fetched(services: Services, contents: Contents, wanted: tuple[VersionObject, FileOutcome, Path]) -> FileOutcome:
    """Have the file in its place; the outcome with its checksum."""
    item, outcome, local = wanted
    with aws_failures(item.object.file_id):
        if outcome.prepared_key:
            prepared = services.s3.get_object(Bucket=services.zones.raw_bucket, Key=outcome.prepared_key)
            content = save(prepared["Body"], local, prepared["ContentLength"], item.object.file_id)
            return replace(outcome, decrypted_sha256=content)
        kept = contents.get(named(item.object))
        if kept is None:
            return replace(outcome, sha256=download(services.s3, item.object, local))
        require_room(local.parent, len(kept), item.object.file_id)
        with naming(local):
            local.write_bytes(kept)
        return replace(outcome, sha256=sha256(kept).hexdigest())


def _unpacked(
    flow: FeedFlow, item: VersionObject, outcome: FileOutcome, ordinal: int, local: Path
) -> tuple[FileOutcome, tuple[InputFile, ...]]:
    contract, received = flow.feed.contract, item.object.size if outcome.prepared_key else None
    try:
        called, limits = item.object.file_id, flow.feed.limits
        files = unpack(local, called, contract.format, local.parent, ordinal, limits, received)
    except BadFile as e:
        return bad(flow, item, outcome, e), ()
    return (outcome, files) if files else (replace(outcome, outcome=Outcome.EMPTY, reason="no bytes"), ())


def _transform_good(
    settings: Settings,
    flow: FeedFlow,
    objects: Sequence[VersionObject],
    inputs: dict[str, tuple[InputFile, ...]],
    outcomes: dict[str, FileOutcome],
    day: date,
    keys: HashingKeys | None,
    work: Path,
) -> Staged:
    """Transform the files that are good; ``outcomes`` learns of those that are not."""
    limits = EngineLimits(settings.memory_limit, settings.threads)
    reserved = (flow.scope.column,) if flow.scope else ()
    owner = {file.origin: origin for origin, files in inputs.items() for file in files}
    changes: list[SchemaChange] = []
    items = {item.origin: item for item in objects}
    while True:
        require_no_bad_file(flow, outcomes.values(), changes)
        good = [f for origin, files in inputs.items() if outcomes[origin].outcome is Outcome.LOADED for f in files]
        folder = work / f"transform-{len(good)}"
        try:
            current, previous = (keys.current, keys.previous) if keys else (None, None)
            staged = transform(flow.feed.contract, good, day, current, folder, limits, previous, reserved)
        except BadFile as e:
            origin = owner[e.origin]
            outcomes[origin] = bad(flow, items[origin], outcomes[origin], e)
            changes += e.changes
            continue
        for aside in staged.refused:
            origin = owner[aside.origin]
            outcomes[origin] = replace(outcomes[origin], outcome=Outcome.QUARANTINED, reason=aside.reason)
        return replace(staged, changes=merged([*changes, *staged.changes])) if changes else staged


def _engine_counts(
    services: Services, flow: FeedFlow, day: date, outcomes: Iterable[FileOutcome]
) -> tuple[AuditFinding, ...]:
    """The engine that wrote the files says how many records its runs moved; what was read should agree."""
    if not flow.by_runs:
        return ()
    read = {o.origin: o.rows_in for o in outcomes if o.outcome in (Outcome.LOADED, Outcome.EMPTY)}
    moved, runs, silent = 0, 0, 0
    for each, files in claims_of(services.s3, services.zones, services.ledger, flow.name, day):
        linked(run_key(flow.source, each.run_id))
        if files and all(services.zones.raw_uri(file.name) in read for file in files):
            runs, moved, silent = runs + 1, moved + (each.records or 0), silent + (each.records is None)
    rows = sum(read.values())
    agrees = silent > 0 or rows == moved
    text = f"{rows} rows read; {runs} runs of the engine say {moved}{' and more' if silent else ''}"
    return (AuditFinding("engine_counts", agrees, False, text, {"rows": rows, "records": moved}),)


def published_before(ledger: Ledger, flow: FeedFlow, day: date) -> Publication | None:
    """What readers see of that date or the newest before, with which columns are compared: a sender may lose one, or
    the permission to read it."""
    placement = ledger.placements.latest(flow.name, day)
    return ledger.publications.get(flow.name, placement.day, placement.version) if placement else None


def _promised_rows(
    promised: Mapping[str, int], outcomes: Collection[FileOutcome], swallowed: int
) -> tuple[AuditFinding, ...]:
    """The sender's manifest says how many rows each file has; what was read must agree, without what the feed leaves
    out. So many lines of records that cannot be split count as rows, and may be none."""
    read = {o.origin: o.records for o in outcomes if o.outcome in (Outcome.LOADED, Outcome.EMPTY)}
    told = {origin: rows for origin, rows in promised.items() if origin in read}
    beyond = {origin: read[origin] - rows for origin, rows in told.items()}
    unsure = sum(more for more in beyond.values() if more > 0) <= swallowed
    wrong = {origin: told[origin] for origin, more in beyond.items() if more < 0 or (more > 0 and not unsure)}
    called = {o.origin: o.called for o in outcomes}
    text = listed((f"{called[o]}: {read[o]} rows, the manifest says {n}" for o, n in wrong.items()), separator="; ")
    return (AuditFinding("manifest_rows", not wrong, True, text or "as the manifest says", {"files": len(told)}),)
