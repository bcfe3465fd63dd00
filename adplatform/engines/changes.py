"""The pattern of a database whose changes AWS DMS writes to S3."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from adplatform.changes.counted import Counts, compared, counted
from adplatform.changes.failed import failed_folds
from adplatform.changes.followed import Followed, changes_feed
from adplatform.changes.loads import LoadSeen, await_load, awaited_loads, observe_load, open_load, want_load
from adplatform.changes.made import names_of_merges
from adplatform.contracts.changes import ChangedTable, ChangesSource
from adplatform.engines.declared_replications import (
    DeclaredReplication,
    declared_replication,
    names_of,
    provide_reached,
)
from adplatform.engines.dms import COMPLETED, ERROR, Dms, OfOneLook, Replication, Serverless, TableStatistics, Task
from adplatform.engines.dms_replication import DmsReplication
from adplatform.engines.dms_settings.check import check as checked_settings
from adplatform.engines.dms_settings.described import configuration_of_aws, task_of_aws
from adplatform.engines.dms_settings.documents import Checked, Operation
from adplatform.engines.dms_settings.rule import Severity
from adplatform.engines.engine import Finding
from adplatform.engines.events import replication_events
from adplatform.engines.pattern import EngineFiles
from adplatform.engines.runs import Target, Watch
from adplatform.failures import PermanentFailure
from adplatform.flow.pattern import Failed
from adplatform.flow.services import Services
from adplatform.flow.source import Source, declared_source
from adplatform.ledger.engine_run import RunState
from adplatform.ledger.folds import Generation
from adplatform.ledger.tallies import Tally
from adplatform.platform.settings import Settings

if TYPE_CHECKING:
    from adplatform.ledger.ledger import Ledger

REPLICATION = "replication"
"""What the one target of a source of changes is called."""
LOADS_COME_WITHIN = timedelta(hours=1)
"""How long the rows of a load may take after DMS has written them, before somebody hears of it."""
ASKED_AGAIN = timedelta(minutes=10)
"""When DMS is asked again for a load, where nobody knows what became of the request."""
_CONTROL = re.compile(r"(^|/)awsdms_[^/]*/")
"""Tables of DMS about its own work, beside those of the source (AWS DMS user guide, control table task settings)."""


@dataclass(frozen=True)
class ChangedFiles(EngineFiles):
    """Its feeds are those of changes, and ``followed`` are the tables that are made of them. ``dms`` is the replication
    that writes the files, as one look asks it, None where nobody is to be asked; where it is ``driven``, it is started
    here. ``targets_of`` has what runs for it, and ``replication`` is what of that YAML declares, so that it
    can be made. A clock may be ahead of the database's by ``margin``."""

    followed: tuple[Followed, ...] = ()
    dms: Callable[[Services], OfOneLook | None] = lambda _: None
    targets_of: Callable[[Services, Dms | None], Sequence[Target]] = lambda services, dms: ()
    driven: bool = False
    margin: timedelta = timedelta(0)
    replication: Callable[[Services], DeclaredReplication | None] = lambda _: None

    @property
    def reported_to(self) -> Source:
        """Another than that of its files, whose queue what DMS says would be lost in."""
        return replace(self.source, name=_reported(self.source.name))

    def failing(self, ledger: "Ledger") -> list[str]:
        return [*super().failing(ledger), *(each.name for each in self.followed if each.tables)]

    def failed(self, services: Services) -> Sequence[Failed]:
        return [*super().failed(services), *failed_folds(services.ledger, self.followed)]


@dataclass(frozen=True)
class TableVerdict:
    """What DMS says of a table. ``problem`` is what somebody has to do something about, and ``missing`` says of changes
    that have not come; "" where all is well."""

    followed: Followed
    statistics: TableStatistics | None
    problem: str
    missing: str = ""


def _remedy(source: str, table: ChangedTable) -> str:
    return (
        "Declare a column that was dropped at the source with `optional: true`; which setting of DMS writes Op, "
        f"{table.sequence_field} and {table.time_field} is said by `adplatform dms check`; in the place of files that "
        f"are damaged, load the table again (`adplatform reload {source}/{table.name}`)"
    )


def database_changes(declared: ChangesSource, settings: Settings) -> ChangedFiles:
    """The pattern that YAML declares.

    Raises:
        PermanentFailure: AWS takes no queue of the source's name.
    """
    settings.queue_name(declared.source)
    feeds = [changes_feed(table) for table in declared.feeds]
    source = declared_source(declared.model_copy(update={"feeds": feeds}), settings.raw_bucket)
    # DMS writes every load under the same names, and what only the one before said is a version of a row all the same.
    flows = tuple(
        replace(
            flow,
            every_version=True,
            remedy=_remedy(source.name, table),
            keep_originals=declared.keep_originals,
            merged_as=table.name if table.outputs else "",
        )
        for table, flow in zip(declared.feeds, source.feeds, strict=True)
    )
    source = replace(source, feeds=flows)
    followed = tuple(Followed(source.name, table, flow) for table, flow in zip(declared.feeds, flows, strict=True))
    derived = tuple(flow for each in followed for flow in each.flows)
    source = replace(source, derived=derived, merges=names_of_merges(followed), aside=_CONTROL)

    named = declared.serverless or declared.task
    if named:
        settings.queue_name(_reported(source.name))

    def dms(services: Services) -> OfOneLook | None:
        if named is None:
            return None
        kind = Serverless if declared.serverless else Task
        return OfOneLook(kind(services.aws.client("dms"), named))

    def targets(services: Services, replication: Dms | None) -> Sequence[Target]:
        if replication is None:
            return ()

        def opening(reason: str) -> None:
            awaited_loads(services.ledger, followed, services.ledger.now(), reason)

        def unfit() -> Sequence[Finding]:
            client, s3 = services.aws.client("dms"), services.s3
            if declared.serverless:
                checked = configuration_of_aws(client, s3, declared.serverless)
            else:
                checked = task_of_aws(client, s3, str(declared.task))
            operation = operated(services.ledger, followed, checked.operation)
            return _findings(replace(checked, operation=operation), services.zones.raw_bucket, source.prefix)

        engine = DmsReplication(replication, opening, unfit)
        return [Target(REPLICATION, engine, judge=lambda run: run.message)]

    def replication(services: Services) -> DeclaredReplication | None:
        return declared_replication(declared, services.zones.raw_bucket, source.prefix)

    def provision(services: Services) -> None:
        made = replication(services)
        if made is not None and made.database is not None:
            client, key = services.aws.client("dms"), services.settings.kms_key_id
            if key is None and services.settings.env == "aws":
                raise PermanentFailure(
                    f"DMS {made.name}: the raw bucket takes files that are encrypted by KMS, and DMS has to be told "
                    "the key: set ADPLATFORM_KMS_KEY_ID to its ARN"
                )
            provide_reached(client, services.secrets, made, services.account, key)

    return ChangedFiles(
        source,
        events=replication_events(named) if named else {},
        topics=declared.topics,
        targets=lambda services: targets(services, dms(services)),
        targets_of=targets,
        replication=replication,
        provision=provision,
        names_of_targets=(REPLICATION,) if named else (),
        followed=followed,
        dms=dms,
        driven=declared.driven,
        margin=declared.clock_margin,
    )


def keep_running(services: Services, pattern: ChangedFiles, watch: Watch) -> None:
    """Want a run of a replication that is driven and does not run, unless somebody has stopped it.

    Raises:
        PermanentFailure: there is no such replication.
        TransientFailure: DMS does not answer.
    """
    if not pattern.driven:
        return
    [target] = watch.targets
    runs, name = services.ledger.engine_runs, pattern.source.name
    latest = max(runs.runs(name, REPLICATION), key=lambda run: run.run_id, default=None)
    if latest is None or (latest.ended and latest.state is RunState.FAILED):
        watch.intend(target, f"kept/{latest.run_id if latest else 'first'}")


def look_at_tables(services: Services, pattern: ChangedFiles, dms: Dms | None = None) -> list[TableVerdict]:
    """What DMS says of each table, asked by ``dms`` where a look has one. Loads that it shows are taken down, what it
    has counted is compared with what was read, and tables are loaded again that want that.

    Raises:
        PermanentFailure: there is no such replication.
        TransientFailure: DMS does not answer.
    """
    asked = dms or pattern.dms(services)
    replication = asked.described() if asked else None
    if asked is None or replication is None or replication.begun is None:
        return []
    said = {each.name: each for each in asked.statistics()}
    if not said:
        return []
    return [_verdict(services, pattern, asked, replication, each, said) for each in pattern.followed]


def reload(
    services: Services, pattern: ChangedFiles, followed: Followed, reason: str, dms: Dms | None = None
) -> Generation:
    """Load a table again: the load is in the ledger before DMS is asked. Without a replication somebody has to ask DMS,
    and say when the load is whole.

    Raises:
        PermanentFailure: the replication does not run, or has not loaded its tables yet.
    """
    ledger, dms = services.ledger, dms or pattern.dms(services)
    if not followed.tables:
        raise PermanentFailure(f"{followed.name} keeps changes only, so there is nothing that a load would replace")
    if dms is not None and dms.described().status != "running":
        raise PermanentFailure(f"DMS {dms.named} does not run, and only then it loads a table again; start it first")
    if dms is None:
        return open_load(ledger, followed, ledger.now() - pattern.margin, reason)
    said = {each.name: each for each in dms.statistics()}
    if (before := said.get(followed.declared.table)) is not None:
        _observed(ledger, pattern, followed, before)  # or it would be taken for the one that is awaited
    now = ledger.now()
    generation = await_load(ledger, followed, now, reason)
    wanted = ledger.folds.asked(followed.source, followed.target, generation, now)
    if wanted is not None:
        _ask(ledger, followed, wanted, dms)
    return generation


def _ask(ledger: "Ledger", followed: Followed, load: Generation, dms: Dms) -> None:
    """Ask DMS for a load that is awaited, unless another look does. Where the request is lost, it is repeated.

    Raises:
        PermanentFailure: DMS loads no table again now; it is asked again.
    """
    folds, source, target, now = ledger.folds, followed.source, followed.target, ledger.now()
    asking = folds.asked(source, target, load, now + ASKED_AGAIN)
    if asking is None:
        return
    taken = dms.reload([names_of(followed.declared.table)])
    folds.asked(source, target, asking, None if taken else now)
    if not taken:
        raise PermanentFailure(
            f"DMS {dms.named} loads no table again now: it has stopped, or has not loaded its tables a first "
            "time; reload again once it runs and has"
        )


def _verdict(
    services: Services,
    pattern: ChangedFiles,
    dms: Dms,
    replication: Replication,
    followed: Followed,
    said: Mapping[str, TableStatistics],
) -> TableVerdict:
    ledger, table = services.ledger, followed.declared.table
    found = said.get(table)
    if found is None:
        return TableVerdict(followed, None, f"DMS does not follow {table}: add it to the table mappings of the task")
    _observed(ledger, pattern, followed, found)
    tally = _tallied(services, followed, replication, found)
    if found.state == ERROR:
        name = followed.name
        return TableVerdict(
            followed,
            found,
            f"DMS has given up {table}: its log says why. Mend that, then `adplatform reload {name}`",
        )
    if _wants_reload(followed, replication, found, tally):
        reason, noted = f"{tally.altered} statements about the table itself", replace(tally, reloaded=tally.altered)
        want_load(ledger, followed, ledger.now(), reason, tally, noted)
    paused = ledger.pauses.of(followed.source) is not None
    if not paused and (load := _to_ask_for(ledger, followed)) is not None and _ready(followed, replication, found):
        _ask(ledger, followed, load, dms)
    problem = _altered(followed, tally) or _missing(ledger, followed)
    return TableVerdict(followed, found, problem, _not_read(followed, tally))


def _observed(ledger: "Ledger", pattern: ChangedFiles, followed: Followed, found: TableStatistics) -> None:
    if found.load_begun is not None and followed.tables:
        whole = found.load_ended if found.state == COMPLETED else None
        seen = LoadSeen(found.load_begun, whole, found.loaded if whole else None)
        observe_load(ledger, followed, seen, pattern.margin)


def _tallied(services: Services, followed: Followed, replication: Replication, found: TableStatistics) -> Tally:
    tallies, source, target = services.ledger.tallies, followed.source, followed.target
    before, now = tallies.get(source, target), services.ledger.now()
    counts = Counts(replication.begun or now, found.load_begun, found.changes, found.ddls)
    after = compared(services, followed, counted(before, counts, now))
    if after == before:
        return after
    # Another look may have written it; then that one counts, and this one at the next time.
    return tallies.put(source, target, before, after) or tallies.get(source, target) or after


def _ready(followed: Followed, replication: Replication, found: TableStatistics) -> bool:
    """Whether DMS would load the table again."""
    return replication.status == "running" and found.state == COMPLETED and bool(followed.tables)


def _wants_reload(followed: Followed, replication: Replication, found: TableStatistics, tally: Tally) -> bool:
    altered = followed.declared.altered == "reload" and tally.altered > tally.reloaded
    return altered and _ready(followed, replication, found)


def _to_ask_for(ledger: "Ledger", followed: Followed) -> Generation | None:
    """The load that is awaited and that DMS has not been asked for."""
    known = ledger.folds.all_generations(followed.source, followed.target)
    last = known[-1] if known else None
    due = last is not None and last.awaited and last.ask_at is not None and last.ask_at <= ledger.now()
    return last if due else None


def _altered(followed: Followed, tally: Tally) -> str:
    if not tally.altered or not followed.tables or followed.declared.altered != "check":
        return ""
    return (
        f"DMS has counted {tally.altered} statements about {followed.declared.table} itself since its load, and does "
        f"not say which: what TRUNCATE or DROP has taken away is still here. `adplatform reload {followed.name}`; "
        "altered: reload has that done at once, and altered: ignore is for a table that nobody truncates"
    )


def _not_read(followed: Followed, tally: Tally) -> str:
    if not tally.missing:
        return ""
    return (
        f"of {tally.due} changes that DMS has counted, {tally.missing} have not been read after more than an hour: "
        f"look for files that are missing or refused by `adplatform ledger {followed.changes.name}`, or `adplatform "
        f"reload {followed.name}`"
    )


def _missing(ledger: "Ledger", followed: Followed) -> str:
    """What DMS has loaded and has not come, although it is a while ago."""
    known = ledger.folds.generations(followed.source, followed.declared.name)
    last = known[-1] if known else None
    if last is None or last.loaded_at is None or ledger.now() - last.loaded_at < LOADS_COME_WITHIN:
        return ""
    if ledger.folds.get(followed.source, followed.declared.name).merged.generation >= last.number:
        return ""
    return (
        f"DMS has loaded {last.rows} rows of {followed.declared.table} since {last.opened_at:%Y-%m-%d %H:%M} UTC, and "
        f"not all of them are merged: look at `adplatform ledger {followed.changes.name}`, then `adplatform reload "
        f"{followed.name}`"
    )


def operated(ledger: "Ledger", followed: Sequence[Followed], operation: Operation) -> Operation:
    """The operation of a replication whose tables are followed here, with what is known of it: that every load is taken
    down by now, where one is, and that somebody is notified of tables in error."""
    taken_down = any(ledger.folds.all_generations(*table.name.split("/")) for table in followed)
    return replace(operation, watched=True, generation=ledger.now() if taken_down else operation.generation)


def _findings(checked: Checked, bucket: str, prefix: str) -> Sequence[Finding]:
    found = [
        Finding(f"rule {each.number}, {each.where}: {each.text}", fatal=each.severity is Severity.ERROR)
        for each in checked_settings(checked)
    ]
    writes = f"{checked.target.text('BucketName')}/{checked.target.text('BucketFolder').strip('/')}/"
    if writes != f"{bucket}/{prefix}":
        found.append(
            Finding(
                f"it writes to s3://{writes}, and the source reads s3://{bucket}/{prefix}: set BucketFolder to that"
            )
        )
    return found


def _reported(source: str) -> str:
    return f"{source}-runs"
