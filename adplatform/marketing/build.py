"""Building the marketing fact, one date at a time, from what readers see of its tables. What is made is a Parquet file
that arrives as a delivery of its own; the common flow does the rest.

A date is due when what it would be made of is not what it was made of: the ledger has the name of that. A run that dies
at any point leaves the name as it was, so the date is due again, and the same rows are published once.
"""

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from adplatform.contracts.marketing import CURRENCY, FactTable, Mapped
from adplatform.failures import SenderFailure, listed
from adplatform.flow.services import Services
from adplatform.flow.settling import Problem, Runs
from adplatform.flow.slices import MADE_FILE, Audited, build_lease, publish_made, slice_settler
from adplatform.lake.audit import AuditFinding
from adplatform.lake.catalog import Partition
from adplatform.lake.limited import limited
from adplatform.lake.shown_files import download_shown, scan_shown
from adplatform.ledger.derived import Basis
from adplatform.ledger.publications import Publication
from adplatform.ledger.rows import digest
from adplatform.marketing.fact import Fact
from adplatform.marketing.inputs import Inputs, Shown, look_at_inputs
from adplatform.marketing.rates import Rate, own_rate, rates_on
from adplatform.platform.late import Late
from adplatform.transform.rules import identifier, literal, sql_type

if TYPE_CHECKING:
    import duckdb
else:
    duckdb = Late("duckdb")

EQUALS_INPUTS = "equals_inputs"
"""The audit that compares what was built with the tables it was built from."""
RATES_KNOWN = "rates_known"
"""The audit that finds amounts without a rate."""
INPUTS_PRESENT = "inputs_present"
"""What says which tables have nothing of a date."""
_MONEY = "decimal(38,6)"
_SUMS: Mapping[Mapped, str] = {
    "impressions": "impressions",
    "clicks": "clicks",
    "cost": "cost_original",
    "conversions": "conversions",
    "sales": "sales_original",
}
"""The column of the fact in which each measure is added up as the source has it."""


@dataclass(frozen=True)
class Due:
    """The dates to build, oldest first, and what cannot be built of what there is, with the reason. Deliveries that
    newly cannot settle are the ``problems``."""

    inputs: Inputs
    days: tuple[date, ...]
    stuck: Mapping[date, str]
    problems: Sequence[Problem] = ()


def due(services: Services, fact: Fact, runs: Runs | None = None) -> Due:
    """Compare what the tables show with what the fact was made of. With ``runs`` deliveries of the fact whose run was
    killed are freed.

    Raises:
        PermanentFailure: a table has not what is mapped, or it is personal.
    """
    inputs = look_at_inputs(services.lake, fact, services.settings.database_prefix)
    bases = services.ledger.derived.bases(fact.flow.table)
    last = services.now().date()
    days = sorted(day for day in inputs.days | bases.keys() if fact.declared.start_date <= day <= last)
    stands = {day: inputs.named(day) for day in days}
    changed = tuple(day for day in days if day not in bases or bases[day].inputs != stands[day])
    stuck = {day: base.error for day, base in bases.items() if base.error and day not in changed}
    problems = slice_settler(services, (fact.flow,)).due(runs)[1] if runs is not None and changed else ()
    return Due(inputs, changed, stuck, problems)


def build(
    services: Services,
    inputs: Inputs,
    day: date,
    run_id: str,
    work: Path,
    audited: Audited = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Publication:
    """Build and publish a date; :func:`built` notes what it was made of. The publication is an older one when the same
    rows were built again. Files that several dates need are kept in ``work``.

    Raises:
        SenderFailure: the audit forbids it; the ledger has noted that nothing else can come of these inputs.
        TransientFailure: a service did not answer, or another run is at it.
    """
    flow = inputs.fact.flow
    with (
        build_lease(services, flow, day, run_id, sleep) as lease,
        TemporaryDirectory(dir=work) as directory,
    ):
        folder = Path(directory)
        try:
            findings = _write(services, inputs, day, folder, work, folder / MADE_FILE)
            audited(findings)
            if wrong := [each.description for each in findings if each.blocking and not each.passed]:
                raise SenderFailure(f"{flow.name} {day}: {'; '.join(wrong)}")
            return publish_made(services, flow, day, folder / MADE_FILE, lease, run_id, work, audited)
        except SenderFailure as e:
            services.ledger.derived.note_basis(flow.table, Basis(day, inputs.named(day), str(e)))
            raise


def built(services: Services, inputs: Inputs, day: date) -> None:
    """Note what a date was made of."""
    services.ledger.derived.note_basis(inputs.fact.flow.table, Basis(day, inputs.named(day)))


def _write(
    services: Services, inputs: Inputs, day: date, folder: Path, kept: Path, target: Path
) -> tuple[AuditFinding, ...]:
    """Write the rows of one date, and compare them with the tables."""
    fact, settings = inputs.fact, services.settings
    with limited(settings.memory_limit, settings.threads, folder) as con:
        try:
            absent = [
                shown.name for table, shown in inputs.tables if not _view(services, con, table, shown, day, folder)
            ]
            _rates_view(services, con, inputs, day, kept)
            mapped = [
                f"select * from mapped_{_id(table)}" for table, shown in inputs.tables if shown.name not in absent
            ]
            con.execute(f"create view mapped as {' union all by name '.join([_no_rows(), *mapped])}")
            unknown = _unknown_rates(con, inputs, day)
            con.execute(
                f"copy (select {', '.join(c.name for c in fact.flow.feed.columns)} from ({_grouped(fact)})"
                f" order by input, channel, account, campaign, currency) to {literal(str(target))}"
                " (format parquet, compression snappy)"
            )
            con.execute(f"create view written as select * from read_parquet({literal(str(target))})")
            compared = _compared(con, [table for table, shown in inputs.tables if shown.name not in absent])
        except (duckdb.DataError, duckdb.ProgrammingError) as e:
            raise SenderFailure(f"{fact.flow.name} {day} cannot be computed: {str(e).splitlines()[0]}") from e
    return compared, unknown, _present(absent, day)


def _id(table: FactTable) -> str:
    return digest(table.table)[:16]


def _view(
    services: Services,
    con: "duckdb.DuckDBPyConnection",
    table: FactTable,
    shown: Shown,
    day: date,
    folder: Path,
) -> bool:
    """Make the rows of a date of a table a view, and those under the fact's names another; False where it has none."""
    parts = shown.of(day, day)
    rows = scan_shown(
        con,
        (
            (shown.values_of(part), download_shown(services.store, part, folder / _id(table) / str(number), shown.name))
            for number, part in enumerate(parts)
        ),
    )
    if not rows:
        return False
    raw = f"raw_{_id(table)}"
    present = {name for name, *_ in con.execute(f"describe {rows}").fetchall()}
    # Files may be older than a column of the table.
    lacking = (f", null as {identifier(name)}" for name in sorted({*table.columns.values()} - present))
    con.execute(f"create view {raw} as select *{''.join(lacking)} from ({rows})")
    con.execute(f"create view mapped_{_id(table)} as select {', '.join(_values(table))} from {raw}")
    return True


def _values(table: FactTable) -> Iterable[str]:
    yield f"{literal(table.table)} as input"
    for name in ("channel", "account", "campaign", "campaign_name", "currency"):
        value = literal(table.values[name]) if name in table.values else f"cast({_column(table, name)} as varchar)"
        yield f"upper(trim({value})) as currency" if name == "currency" else f"{value} as {name}"
    for name in _SUMS:
        yield f"cast({_column(table, name)} as {_MONEY}) as {name}"


def _column(table: FactTable, name: Mapped) -> str:
    return identifier(table.columns[name]) if name in table.columns else "null"


def _no_rows() -> str:
    texts = ("input", "channel", "account", "campaign", "campaign_name", "currency")
    typed = [*(f"null::varchar as {name}" for name in texts), *(f"null::{_MONEY} as {name}" for name in _SUMS)]
    return f"select {', '.join(typed)} where false"


def _rates_view(services: Services, con: "duckdb.DuckDBPyConnection", inputs: Inputs, day: date, kept: Path) -> None:
    """Make the rates that count on a date a table, also those that cannot be used."""
    fact, found = inputs.fact.declared, dict[str, Rate]()
    if (shown := inputs.rates) and fact.rates:
        parts = ((shown.values_of(part), _kept(services, part, kept, shown.name)) for part in inputs.rates_of(day))
        if rows := scan_shown(con, parts):
            found = dict(rates_on(con, f"({rows})", fact.rates, day))
    found[fact.currency] = own_rate(fact.currency, day)
    con.execute("create table rates (currency varchar, rate_date date, rate decimal(38,18), problem varchar)")
    con.executemany(
        "insert into rates values (?, ?, ?, ?)",
        [(each.currency, each.day, each.factor, each.problem) for each in found.values()],
    )


def _kept(services: Services, part: Partition, kept: Path, called: str) -> list[Path]:
    """The files of a partition that the next dates need, too."""
    folder = kept / f"rates-{digest(part.location)[:16]}"
    if not folder.exists():
        with TemporaryDirectory(dir=kept) as fetched:
            download_shown(services.store, part, Path(fetched) / "files", called)
            (Path(fetched) / "files").rename(folder)  # only when all of them are there
    return sorted(folder.iterdir())


def _grouped(fact: Fact) -> str:
    """The rows of the fact: sums of rows of the same input, campaign and currency, and then their worth."""
    types = {c.name: sql_type(c.data_type) for c in fact.flow.feed.columns}
    sums = ", ".join(f"cast(sum({name}) as {types[own]}) as {own}" for name, own in _SUMS.items())
    grouped = (
        "select input, channel, account, campaign, max(campaign_name) as campaign_name, currency,"
        f" {sums}, count(*) as source_rows from mapped group by input, channel, account, campaign, currency"
    )
    return (
        f"select g.*, rate, rate_date, {_worth('cost')}, {_worth('sales')}"
        f" from ({grouped}) g left join rates using (currency)"
    )


def _worth(name: str) -> str:
    """An amount in the currency of the fact. Nothing is worth nothing in every currency."""
    own = f"{name}_original"
    return f"case when {own} = 0 then 0 else cast({own} * rate as {_MONEY}) end as {name}"


def _unknown_rates(con: "duckdb.DuckDBPyConnection", inputs: Inputs, day: date) -> AuditFinding:
    """Which amounts have no rate. Rows without an amount need none."""
    rows = con.execute(
        "select input, m.currency, problem, count(*), sum(cost), sum(sales) from mapped m left join rates using"
        " (currency) where rate is null and (coalesce(cost, 0) <> 0 or coalesce(sales, 0) <> 0)"
        " group by all order by all"
    ).fetchall()
    texts = [_said(inputs, day, *row) for row in rows]
    details = tuple(
        {"input": name, "currency": _called(currency), "rows": str(count), "cost": str(cost), "sales": str(sales)}
        for name, currency, _, count, cost, sales in rows
    )
    every = "every amount has a rate"
    count = sum(row[3] for row in rows)
    return AuditFinding(
        RATES_KNOWN, not rows, True, listed(texts, separator="; ") or every, {"rows_without_rate": count}, details
    )


def _said(
    inputs: Inputs, day: date, name: str, currency: str | None, problem: str | None, count: int, cost: Any, sales: Any
) -> str:
    amounts = ", ".join(f"{what} {amount:f}" for what, amount in (("cost", cost), ("sales", sales)) if amount)
    rows = f"{count} rows of {name} ({amounts})"
    rates = inputs.fact.declared.rates
    if not currency or not re.fullmatch(CURRENCY, currency):
        return f"{rows} have amounts and {_called(currency)}: mend its contract or map another column"
    if problem:
        return f"{rows}: {problem}; deliver that date of it again"
    if rates is None:
        return f"{rows} are in {currency}, and no rates are declared"
    return (
        f"{rows} are in {currency}, of which {rates.table} has no rate of {day} or the {rates.at_most.days} days "
        "before: deliver one, or lengthen at_most"
    )


def _called(currency: str | None) -> str:
    """A currency; of anything else, which may be any text, only that it is none."""
    if not currency:
        return "no currency"
    return currency if re.fullmatch(CURRENCY, currency) else "a currency that is no code of three letters"


def _compared(con: "duckdb.DuckDBPyConnection", tables: Sequence[FactTable]) -> AuditFinding:
    """The sums of each input in its own currencies, from its files and from what was written."""
    problems = []
    for table in tables:
        of_table = f"written where input = {literal(table.table)}"
        measures = list(table.measures)
        own = [f"sum(cast({identifier(table.columns[name])} as {_MONEY}))" for name in measures]
        made = [f"sum({_SUMS[name]})" for name in measures]
        currency = literal(table.values["currency"]) if "currency" in table.values else "null"
        if "currency" in table.columns:
            currency = f"upper(trim(cast({identifier(table.columns['currency'])} as varchar)))"
        there = _sums(
            con, f"select {currency} as currency, count(*), {', '.join(own)} from raw_{_id(table)} group by 1"
        )
        here = _sums(con, f"select currency, sum(source_rows), {', '.join(made)} from {of_table} group by 1")
        for value in sorted({*there, *here}, key=str):
            in_table, in_fact = there.get(value), here.get(value)
            if in_table is None or in_fact is None:
                where = "the fact" if in_table is None else table.table
                problems.append(f"only {where} has rows of {table.table} in {_called(value)}")
                continue
            problems += [
                f"{table.table} has {name} of {a} in {_called(value)}, and the fact {b}"
                for name, a, b in zip(("rows", *measures), in_table, in_fact, strict=True)
                if a != b
            ]
    (rows,) = con.execute("select count(*) from written").fetchone() or (0,)
    text = listed(problems, separator="; ") or "the sums of each table and currency are those of the table"
    return AuditFinding(EQUALS_INPUTS, not problems, True, text, {"rows": rows, "inputs": len(tables)})


def _sums(con: "duckdb.DuckDBPyConnection", query: str) -> Mapping[str | None, tuple[Any, ...]]:
    return {currency: tuple(values) for currency, *values in con.execute(query).fetchall()}


def _present(absent: Sequence[str], day: date) -> AuditFinding:
    text = f"{listed(absent)} have nothing of {day} so far" if absent else "every table has the date"
    return AuditFinding(INPUTS_PRESENT, not absent, False, text, {"absent": len(absent)})
