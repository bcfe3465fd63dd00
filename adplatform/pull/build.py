"""Building what is made of an account's own tables, the daily fact and histories, one date of one profile at a time,
whenever one of them publishes that date. What is made is a Parquet file that arrives as a feed of its own; the common
flow does the rest.

Nothing gets lost between an input and what is made of it: a run marks the date in the ledger while it holds the input's
delivery and before readers see the new rows. The mark is taken away after a build that began when no run held an input,
and only if nobody has marked the date since that build read the mark.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from adplatform.amazon.row_values import unread
from adplatform.contracts.column import Column
from adplatform.failures import PermanentFailure, listed
from adplatform.flow.services import Services
from adplatform.flow.settling import Problem, Runs
from adplatform.flow.slices import MADE_FILE, build_lease, publish_made, slice_settler
from adplatform.flow.source import FeedFlow
from adplatform.lake.audit import AuditFinding
from adplatform.ledger.delivery import DeliveryState
from adplatform.ledger.derived import Stale
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.publications import Publication
from adplatform.ledger.report import FETCHABLE
from adplatform.platform.heeding import heeding
from adplatform.platform.late import Late
from adplatform.pull.derived import Derived
from adplatform.pull.differences import write
from adplatform.pull.fact import COLUMNS, HEADERS, MEASURES, PROFILE, Fact, FactInput
from adplatform.pull.history import History
from adplatform.pull.shown import download
from adplatform.transform.exhaustion import is_of_disk, ran_out
from adplatform.transform.rules import identifier, literal, sql_type

if TYPE_CHECKING:
    import duckdb
else:
    duckdb = Late("duckdb")

log = logging.getLogger(__name__)

WAITS = timedelta(minutes=30)
"""How long a date waits for reports that are about to be published, so that it is not built once for each of them."""
EQUALS_INPUTS = "equals_inputs"
"""The audit that compares what was built with the tables it was built from."""
EQUALS_DOCUMENTS = "equals_documents"
"""The one that compares it with the documents from which those tables were made. It forbids nothing: what it finds is
lost already, most often to the quarantine of a table, and the rest of the date is right."""

_LOST = (
    "; rows or values of it are not in the fact: look at the checks of the table and its quarantine (`adplatform "
    "quarantine list`)"
)


@dataclass(frozen=True)
class Built:
    """One date of one profile as readers see it now, and the mark for which it was built. The publication is an older
    one when the same rows were built again."""

    flow: FeedFlow
    seen: Stale
    publication: Publication


def facts_due(services: Services, fact: Derived, runs: Runs) -> tuple[list[Stale], list[Problem]]:
    """What to build now: every marked date, once no report is on its way to being published or it has waited for
    ``WAITS``. Deliveries of the fact whose run was killed are freed; those that newly cannot settle are named."""
    ledger = services.ledger
    marked = ledger.derived.stale(fact.table.table)
    if not marked:
        return [], []
    coming = any(r.state in FETCHABLE for r in ledger.reports.active(fact.account.source))
    due = [each for each in marked if not coming or ledger.now() - each.since >= WAITS]
    flows = tuple(fact.flow(scope) for scope in sorted({each.scope for each in due}))
    problems = slice_settler(services, flows).due(runs)[1] if flows else []
    return due, problems


def build(
    services: Services,
    fact: Derived,
    scope: str,
    day: date,
    run_id: str,
    work: Path,
    audited: Callable[[Iterable[AuditFinding]], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Built | None:
    """Build and publish a marked date from what readers see of its tables; :func:`built` takes the mark away.

    None when it is not marked any more, or an input is being published: then the mark stays for a later build.

    Raises:
        TransientFailure: a service did not answer, or another run is at it.
        PermanentFailure: the tables cannot be read as declared, or the audit forbids it.
    """
    flow = fact.flow(scope)
    with build_lease(services, flow, day, run_id, sleep) as lease:
        seen = services.ledger.derived.stale_date(fact.table.table, day, scope)
        if seen is None or _is_being_published(services.ledger, fact, scope, day):
            return None
        with TemporaryDirectory(dir=work) as directory:
            folder = Path(directory)
            finding, doubts = _made(services, fact, scope, day, folder)
            audited((finding, *doubts))
            if not finding.passed:
                raise PermanentFailure(f"{flow.name} {day}: {finding.description}")
            for doubt in doubts:
                if not doubt.passed:
                    log.warning("%s %s: %s", flow.name, day, doubt.description)
            done = publish_made(services, flow, day, folder / MADE_FILE, lease, run_id, work, audited)
            if isinstance(fact, History):
                services.lake.catalog.show_view(fact.versions(services.settings.database_prefix))
        return Built(flow, seen, done)


def built(ledger: Ledger, fact: Derived, done: Built) -> None:
    """Take away the mark for which a date was built, unless it was marked again meanwhile."""
    name, seen = fact.table.table, done.seen
    if not ledger.derived.clear(name, seen) and ledger.derived.stale_date(name, seen.day, seen.scope) is None:
        # Somebody else built it at the same time and this one, which may have read older rows, was the last to publish.
        ledger.derived.mark(name, seen.day, seen.scope)


def _is_being_published(ledger: Ledger, fact: Derived, scope: str, day: date) -> bool:
    flows = (fact.account.scoped(each, scope) for each in fact.tables)
    return any(ledger.deliveries.get(flow.name, day).state is DeliveryState.RUNNING for flow in flows)


def _made(
    services: Services, made: Derived, scope: str, day: date, folder: Path
) -> tuple[AuditFinding, tuple[AuditFinding, ...]]:
    """Write what a date and profile come to, and compare it with the tables, and the fact with the documents, too."""
    if isinstance(made, Fact):
        finding, compared = _write(services, made, scope, day, folder, folder / MADE_FILE)
        return finding, (compared,)
    return write(services, made, scope, day, folder, folder / MADE_FILE), ()


def _write(
    services: Services, fact: Fact, scope: str, day: date, folder: Path, target: Path
) -> tuple[AuditFinding, AuditFinding]:
    """Write the rows of one date and profile, and compare their sums with those of the tables and of the documents."""
    settings = services.settings
    profile = next((s for s in services.ledger.scopes.of_source(fact.account.source) if s.id == scope), None)
    options: dict[str, Any] = {
        "memory_limit": settings.memory_limit,
        "threads": settings.threads,
        "temp_directory": str(folder),
        "autoinstall_known_extensions": False,
    }
    with duckdb.connect(config=options) as plain, heeding(plain) as con:
        con.execute("set TimeZone = 'UTC'")
        try:
            selects, wanted, said = [], {}, []
            for number, each in enumerate(fact.inputs):
                flow = fact.account.scoped(each.table, scope)
                files = download(services, flow, day, folder / str(number))
                if files is not None:
                    said += _said(services.ledger, con, each, flow, day, files)
                if files:
                    table = f"input_{number}"
                    con.execute(f"create view {table} as {_rows(con, each, files)}")
                    selects.append(_grouped(table, each.product))
                    wanted[each.product] = _sums(con, table)
            rows = " union all by name ".join([_no_rows(), *selects])
            names = ", ".join(c.name for c in COLUMNS)
            described = [profile.name or None, profile.country or None] if profile else [None, None]
            con.execute(
                "create table profile as select ?::varchar as profile_name, ?::varchar as country_code", described
            )
            con.execute(
                f"copy (select {names} from ({rows}), profile order by ad_product, campaign_id, ad_group_id)"
                f" to {literal(str(target))} (format parquet, compression snappy)"
            )
            con.execute(f"create view written as select * from read_parquet({literal(str(target))})")
            return _compared(con, wanted), _compared_to_documents(con, said)
        except (duckdb.OutOfMemoryException, duckdb.IOException) as e:
            raise ran_out(f"{fact.table.name} {day}", e, folder) from e
        except duckdb.Error as e:
            if is_of_disk(e):
                raise ran_out(f"{fact.table.name} {day}", e, folder) from e
            raise PermanentFailure(f"{fact.table.name} {day} cannot be computed: {str(e).splitlines()[0]}") from e


def _rows(con: "duckdb.DuckDBPyConnection", each: FactInput, files: Sequence[Path]) -> str:
    """The rows of a table under the fact's column names and types. Files may be older than a column of the table."""
    listed = ", ".join(literal(str(file)) for file in files)
    scan = f"read_parquet([{listed}], union_by_name=true, hive_partitioning=false)"
    present = {name for name, *_ in con.execute(f"describe select * from {scan}").fetchall()}

    def value(column: Column) -> str:
        own = each.columns.get(column.name)
        source = identifier(own) if own in present and own is not None else "null"
        return f"cast({source} as {sql_type(column.data_type)}) as {column.name}"

    return f"select {', '.join(value(c) for c in COLUMNS if c.name in HEADERS)} from {scan}"


def _grouped(table: str, product: str) -> str:
    types = {c.name: sql_type(c.data_type) for c in COLUMNS}
    names = ", ".join(f"max({name}) as {name}" for name in ("campaign_name", "ad_group_name", "currency_code"))
    sums = ", ".join(f"cast(sum({name}) as {types[name]}) as {name}" for name in MEASURES)
    return (
        f"select {literal(product)} as ad_product, campaign_id, ad_group_id, {names}, {sums}, min(as_of) as as_of"
        f" from {table} group by campaign_id, ad_group_id"
    )


def _no_rows() -> str:
    typed = (f"cast(null as {sql_type(c.data_type)}) as {c.name}" for c in COLUMNS if c not in PROFILE)
    return f"select {', '.join(typed)} where false"


def _sums(con: "duckdb.DuckDBPyConnection", relation: str) -> tuple[Any, ...]:
    """Sum and number of values of each measure; nothing and zero are different."""
    wanted = ", ".join(f"sum({name}), count({name}) > 0" for name in MEASURES)
    found = con.execute(f"select {wanted} from {relation}").fetchone()
    return found or ()


@dataclass(frozen=True)
class _Said:
    """What the report whose rows a table shows of a date said of it when its document was read."""

    each: FactInput
    report_id: str
    totals: Mapping[str, Decimal]


def _said(
    ledger: Ledger,
    con: "duckdb.DuckDBPyConnection",
    each: FactInput,
    flow: FeedFlow,
    day: date,
    files: Sequence[Path],
) -> list[_Said]:
    """Nothing where that is not known. Without rows it is the newest report that brought what is shown."""
    paths = ", ".join(literal(str(file)) for file in files)
    ids = con.execute(f"select distinct report_id from read_parquet([{paths}])").fetchall() if files else []
    landed = [o for o in ledger.observations.of_day(flow.name, day) if o.landed]
    of_rows = [o for o in landed if (o.report_id,) in ids] if ids else landed
    return [_Said(each, o.report_id, o.totals) for o in of_rows[-1:]]


def _compared_to_documents(con: "duckdb.DuckDBPyConnection", said: Sequence[_Said]) -> AuditFinding:
    problems, details = [], []
    for one in said:
        product = one.each.product
        told = {m: (one.totals.get(name), one.totals.get(unread(name))) for m, name in one.each.members.items()}
        measures = [measure for measure, of in told.items() if of != (None, None)]
        if not measures:
            continue
        sums = ", ".join(f"coalesce(sum({name}), 0)" for name in measures)
        found = con.execute(f"select {sums} from written where ad_product = {literal(product)}").fetchone() or ()
        lost = [
            {"ad_product": product, "measure": measure, "fact": _plain(have), "document": _told(*told[measure])}
            for measure, have in zip(measures, map(Decimal, found), strict=True)
            if told[measure] != (have, None)
        ]
        if lost:
            differ = listed(f"{each['measure']} {each['fact']} of {each['document']}" for each in lost)
            problems.append(f"{product} has {differ} (report {one.report_id})")
        details += [{**each, "report": one.report_id} for each in lost]
    text = "; ".join(problems) + _LOST if problems else "sums are those of the documents"
    return AuditFinding(EQUALS_DOCUMENTS, not problems, False, text, {"ad_products": len(said)}, tuple(details))


def _told(total: Decimal | None, no_numbers: Decimal | None) -> str:
    beside = f" and {_plain(no_numbers)} that are no numbers" if no_numbers else ""
    return f"{_plain(total or Decimal(0))}{beside}"


def _plain(value: Decimal) -> str:
    return f"{value.normalize():f}"


def _compared(con: "duckdb.DuckDBPyConnection", wanted: Mapping[str, tuple[Any, ...]]) -> AuditFinding:
    problems = [
        product
        for product, sums in wanted.items()
        if _sums(con, f"(select * from written where ad_product = {literal(product)})") != sums
    ]
    (rows,) = con.execute("select count(*) from written").fetchone() or (0,)
    text = f"sums of {', '.join(problems)} differ from the tables" if problems else "sums are those of the tables"
    return AuditFinding(EQUALS_INPUTS, not problems, True, text, {"rows": rows, "ad_products": len(wanted)})
