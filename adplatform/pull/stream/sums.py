"""What messages of the Marketing Stream come to, by hours and days: made anew of the tables of messages for each date
that is marked, which it is before readers see new messages of it. The mark is taken away after a build that began when
none of its tables was being published, and only if nobody has marked the date since."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from adplatform.amazon.ads.stream import DataSet
from adplatform.contracts.column import Column
from adplatform.failures import PermanentFailure, listed
from adplatform.flow.services import Services
from adplatform.flow.slices import MADE_FILE, build_lease, publish_made
from adplatform.flow.source import FeedFlow
from adplatform.lake import formats
from adplatform.lake.audit import AuditFinding
from adplatform.lake.limited import limited
from adplatform.lake.shown_files import download_shown, scan_shown
from adplatform.lake.table import table_spec
from adplatform.ledger.delivery import DeliveryState
from adplatform.ledger.derived import Basis, Stale
from adplatform.ledger.publications import Publication
from adplatform.ledger.rows import digest
from adplatform.ledger.scopes import Scope
from adplatform.platform.late import Late
from adplatform.pull.stream.tables import DIMENSIONS, HOURS, MEASURES, NAMED, StreamTables
from adplatform.transform.compile import output_columns
from adplatform.transform.rules import identifier, literal, sql_type

if TYPE_CHECKING:
    import duckdb
else:
    duckdb = Late("duckdb")

EQUALS_MESSAGES = "equals_messages"
"""The audit that compares sums with the tables of messages."""
KNOWN_PROFILES = "known_profiles"
"""What says of which advertisers messages come that are no declared profile."""
UNJUDGED = ""
"""What a date is made of as long as it was not compared with reports."""
_TYPES: Mapping[str, str] = {c.name: sql_type(c.data_type) for c in (*DIMENSIONS, *HOURS, *NAMED, *MEASURES)}
_SUMMED = tuple(c.name for c in MEASURES if c.name != "messages")
_PROFILE = "profile_id"


@dataclass(frozen=True)
class Built:
    """A date as readers see it now, by hours and by day. With messages of nobody who is known ``profiles`` names those
    that were."""

    seen: Stale
    publications: tuple[tuple[FeedFlow, Publication], ...]
    profiles: str = ""


def sums_due(services: Services, stream: StreamTables) -> list[Stale]:
    """The dates to build, oldest first."""
    return services.ledger.derived.stale(stream.daily.table)


def mark(services: Services, stream: StreamTables, day: date) -> None:
    """Say that messages of a date are about to be published, or that somebody wants its sums."""
    services.ledger.derived.mark(stream.daily.table, day)


def mark_unknown(services: Services, stream: StreamTables) -> None:
    """Mark the dates with messages of nobody who was known, where other profiles are known by now."""
    bases = services.ledger.derived.bases(stream.hourly.table)
    waiting = [day for day, basis in bases.items() if basis.inputs]
    known = _named(_profiles(services, stream)) if waiting else ""
    for day in waiting:
        if bases[day].inputs != known:
            mark(services, stream, day)


def _profiles(services: Services, stream: StreamTables) -> list[Scope]:
    return [scope for scope in services.ledger.scopes.of_source(stream.account.source) if scope.owner]


def _named(profiles: Iterable[Scope]) -> str:
    return digest(*sorted(f"{each.id} {each.owner} {each.place} {each.timezone}" for each in profiles))


def build(
    services: Services,
    stream: StreamTables,
    day: date,
    run_id: str,
    work: Path,
    audited: Callable[[FeedFlow, Iterable[AuditFinding]], None],
    sleep: Callable[[float], None] = time.sleep,
) -> Built | None:
    """Build and publish a marked date, by hours and by day; :func:`built` takes the mark away. None when it is not
    marked any more, or messages of it are being published.

    Raises:
        TransientFailure: a service did not answer, or another run is at it.
        PermanentFailure: the tables cannot be read as declared, or the audit forbids it.
    """
    with build_lease(services, stream.daily, day, run_id, sleep) as lease, TemporaryDirectory(dir=work) as directory:
        seen = services.ledger.derived.stale_date(stream.daily.table, day)
        states = (services.ledger.deliveries.get(flow.name, day).state for _, flow in stream.deltas)
        if seen is None or DeliveryState.RUNNING in states:
            return None
        folder = Path(directory)
        tables = ((stream.hourly, folder / "hourly"), (stream.daily, folder / "daily"))
        for _, target in tables:
            target.mkdir()
        profiles = _profiles(services, stream)
        findings = _write(services, stream, day, folder, {flow.feed.name: target for flow, target in tables}, profiles)
        done = []
        for flow, target in tables:
            audited(flow, findings)
            if wrong := [each.description for each in findings if each.blocking and not each.passed]:
                raise PermanentFailure(f"{flow.name} {day}: {'; '.join(wrong)}")
            made = publish_made(services, flow, day, target / MADE_FILE, lease, run_id, work, partial(audited, flow))
            done.append((flow, made))
        unknown = not all(each.passed for each in findings if each.name == KNOWN_PROFILES)
        return Built(seen, tuple(done), _named(profiles) if unknown else "")


def built(services: Services, stream: StreamTables, done: Built) -> None:
    """Take the mark of a date away, unless it was marked again meanwhile; what it comes to is not judged yet."""
    derived, name, seen = services.ledger.derived, stream.daily.table, done.seen
    derived.note_basis(stream.hourly.table, Basis(seen.day, done.profiles))
    derived.note_basis(name, Basis(seen.day, UNJUDGED))
    if not derived.clear(name, seen) and derived.stale_date(name, seen.day) is None:
        # Somebody else built it at the same time, and this one, which may have read older rows, was the last.
        derived.mark(name, seen.day)


def _write(
    services: Services,
    stream: StreamTables,
    day: date,
    folder: Path,
    targets: Mapping[str, Path],
    profiles: Sequence[Scope],
) -> tuple[AuditFinding, ...]:
    settings = services.settings
    wanted = [scope.id for scope in profiles if stream.account.wants(scope)]
    with limited(settings.memory_limit, settings.threads, folder) as con:
        try:
            selects = list(_inputs(services, con, stream, day, folder))
            con.execute(f"create view messages as {' union all by name '.join([_no_rows(), *selects])}")
            _profiles_table(con, profiles)
            con.execute(
                "create table placed as select m.*, p.profile_id, h.hour_of_day from messages m"
                " left join profiles p using (advertiser_id, marketplace_id)"
                " left join hours h on h.profile_id = p.profile_id and h.hour = m.hour"
            )
            for flow, columns in ((stream.hourly, HOURS), (stream.daily, ())):
                con.execute(_copied(flow, columns, targets[flow.feed.name] / MADE_FILE))
            return _compared(con, stream, targets), _unknown(con, wanted)
        except (duckdb.DataError, duckdb.ProgrammingError) as e:
            raise PermanentFailure(f"{stream.daily.name} {day} cannot be computed: {str(e).splitlines()[0]}") from e


def _inputs(
    services: Services, con: "duckdb.DuckDBPyConnection", stream: StreamTables, day: date, folder: Path
) -> Iterator[str]:
    """The rows of each table of messages under the names of the sums."""
    for dataset, flow in stream.deltas:
        contract = flow.feed.contract
        spec = table_spec(
            flow.table, contract, output_columns(contract), database_prefix=services.settings.database_prefix
        )
        shown = formats.partition(services.lake, spec, day.isoformat())
        if shown is None:
            continue
        files = download_shown(services.store, shown, folder / dataset.feed, f"{flow.name} {day}")
        if rows := scan_shown(con, [({}, files)]):
            con.execute(f"create view {dataset.feed} as {rows}")
            yield _mapped(con, dataset)


def _mapped(con: "duckdb.DuckDBPyConnection", dataset: DataSet) -> str:
    # Files may be older than a column of the table.
    present = {name for name, *_ in con.execute(f"describe {dataset.feed}").fetchall()}

    def value(name: str) -> str:
        if name == "ad_product":
            return literal(dataset.product)
        own = "time_window_start" if name == "hour" else dataset.names.get(name, name)
        return identifier(own) if own in present else "null"

    names = [c.name for c in (*DIMENSIONS, *HOURS[:1], *NAMED) if c.name != _PROFILE] + list(_SUMMED)
    chosen = ", ".join(f"cast({value(name)} as {_TYPES[name]}) as {name}" for name in names)
    return f"select {chosen} from {dataset.feed}"


def _no_rows() -> str:
    names = [c.name for c in (*DIMENSIONS, *HOURS[:1], *NAMED) if c.name != _PROFILE] + list(_SUMMED)
    return f"select {', '.join(f'cast(null as {_TYPES[name]}) as {name}' for name in names)} where false"


def _profiles_table(con: "duckdb.DuckDBPyConnection", known: Sequence[Scope]) -> None:
    """Which profile an advertiser is in a marketplace, and what its clocks show at each hour."""
    con.execute("create table profiles (profile_id varchar, advertiser_id varchar, marketplace_id varchar)")
    con.execute("create table hours (profile_id varchar, hour timestamptz, hour_of_day int)")
    if known:
        con.executemany("insert into profiles values (?, ?, ?)", [(p.id, p.owner, p.place) for p in known])
    zones = {p.id: ZoneInfo(p.timezone) for p in known}
    begun = con.execute(
        "select distinct profile_id, epoch(hour) from messages join profiles using (advertiser_id, marketplace_id)"
    ).fetchall()
    shown = [(name, at, datetime.fromtimestamp(at, zones[name]).hour) for name, at in begun]
    if shown:
        con.executemany("insert into hours values (?, to_timestamp(?), ?)", shown)


def _copied(flow: FeedFlow, more: tuple[Column, ...], target: Path) -> str:
    """Write the rows of a table of sums, grouped by all that is no measure or name."""
    groups = ", ".join(c.name for c in (*DIMENSIONS, *more))
    named = ", ".join(f"max({c.name}) as {c.name}" for c in NAMED)
    sums = ", ".join(f"cast(sum({name}) as {_TYPES[name]}) as {name}" for name in _SUMMED)
    names = ", ".join(c.name for c in flow.feed.columns)
    return (
        f"copy (select {names} from (select {groups}, {named}, {sums}, count(*) as messages from placed"
        f" group by {groups}) order by all) to {literal(str(target))} (format parquet, compression snappy)"
    )


def _compared(con: "duckdb.DuckDBPyConnection", stream: StreamTables, targets: Mapping[str, Path]) -> AuditFinding:
    """The sums of what was written, and of the tables of messages under their own names."""
    views = {name for (name,) in con.execute("select view_name from duckdb_views() where not internal").fetchall()}
    parts: dict[str, list[str]] = {name: [] for name in (*_SUMMED, "messages")}
    for dataset, _ in stream.deltas:
        if dataset.feed in views:
            parts["messages"].append(f"(select count(*) from {dataset.feed})")
            own = {name for name, *_ in con.execute(f"describe {dataset.feed}").fetchall()}
            for name in own.intersection(_SUMMED):
                parts[name].append(f"(select coalesce(sum({identifier(name)}), 0) from {dataset.feed})")
    wanted = _row(con, f"select {', '.join(' + '.join(each) or '0' for each in parts.values())}")
    problems = []
    for name, target in targets.items():
        sums = ", ".join(f"coalesce(sum({each}), 0)" for each in parts)
        there = _row(con, f"select {sums} from read_parquet({literal(str(target / MADE_FILE))})")
        differing = [each for each, a, b in zip(parts, wanted, there, strict=True) if a != b]
        problems += [f"{each} of {name}" for each in differing]
    text = f"{listed(problems)} differ from the messages" if problems else "the sums are those of the messages"
    return AuditFinding(EQUALS_MESSAGES, not problems, True, text, {"messages": int(wanted[-1])})


def _row(con: "duckdb.DuckDBPyConnection", query: str) -> tuple[Any, ...]:
    return con.execute(query).fetchone() or ()


def _unknown(con: "duckdb.DuckDBPyConnection", wanted: Iterable[str]) -> AuditFinding:
    """Of whom messages come that are no profile of the account, or one that is not declared."""
    con.execute("create table wanted (profile_id varchar)")
    if names := [(name,) for name in wanted]:
        con.executemany("insert into wanted values (?)", names)
    found = con.execute(
        "select advertiser_id, marketplace_id, profile_id, count(*) from placed anti join wanted using (profile_id)"
        " group by all order by all"
    ).fetchall()
    details = tuple(
        {"advertiser_id": str(owner), "marketplace_id": str(place), "profile_id": name or "", "messages": str(count)}
        for owner, place, name, count in found
    )
    of = listed(f"advertiser {each['advertiser_id']} in {each['marketplace_id']}" for each in details)
    text = f"messages come of profiles that are not declared: {of}" if details else "every message is of a profile"
    metrics = {"messages": sum(count for *_, count in found)}
    return AuditFinding(KNOWN_PROFILES, not details, False, text, metrics, details)
