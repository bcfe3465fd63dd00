"""Building the marketing fact, one date at a time, from what readers see of its tables. What is made is a Parquet file
that arrives as a delivery of its own; the common flow does the rest.

A date is due when what it would be made of is not what it was made of: the ledger has the name of that. A run that dies
at any point leaves the name as it was, so the date is due again, and the same rows are published once.
"""

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
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
from adplatform.marketing.converted import MONEY, SUMS, converted, rates_table
from adplatform.marketing.fact import Fact
from adplatform.marketing.inputs import Inputs, Shown, look_at_inputs
from adplatform.marketing.kept_rates import kept_rates
from adplatform.marketing.rates import Rate, own_rate, rates_on
from adplatform.platform.late import Late
from adplatform.transform.rules import identifier, literal

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
    changed = tuple(day for day in days if day not in bases or not _is_made_of(bases[day], inputs))
    stuck = {day: base.error for day, base in bases.items() if base.error and day not in changed}
    problems = slice_settler(services, (fact.flow,)).due(runs)[1] if runs is not None and changed else ()
    return Due(inputs, changed, stuck, problems)


def _is_made_of(basis: Basis, inputs: Inputs) -> bool:
    return basis.inputs in (inputs.named(basis.day), inputs.named(basis.day, with_rates=True))


@dataclass(frozen=True)
class Made:
    """What was published of a date. ``basis`` names what it was made of, when ``retake`` was asked for."""

    publication: Publication
    basis: Basis
    retake: str


def build(
    services: Services,
    inputs: Inputs,
    day: date,
    run_id: str,
    work: Path,
    audited: Audited = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Made:
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
        before = services.ledger.derived.basis(flow.table, day) or Basis(day, "")
        early = services.now().date() <= day
        try:
            findings = _write(services, inputs, day, folder, work, folder / MADE_FILE, before)
            audited(findings)
            if wrong := [each.description for each in findings if each.blocking and not each.passed]:
                raise SenderFailure(f"{flow.name} {day}: {'; '.join(wrong)}")
            publication = publish_made(services, flow, day, folder / MADE_FILE, lease, run_id, work, audited)
        except SenderFailure as e:
            stuck = replace(before, inputs=inputs.named(day, with_rates=True), error=str(e))
            services.ledger.derived.note_built(flow.table, stuck, before.retake)
            raise
    lacks = any(each.name == RATES_KNOWN and not each.passed for each in findings)
    named = inputs.named(day, with_rates=lacks or early)
    return Made(publication, Basis(day, named, retaken=before.retake or before.retaken, early=early), before.retake)


def built(services: Services, inputs: Inputs, made: Made) -> None:
    """Note what a date was made of. One that was asked to take new rates meanwhile stays due."""
    services.ledger.derived.note_built(inputs.fact.flow.table, made.basis, made.retake)


def _write(
    services: Services, inputs: Inputs, day: date, folder: Path, kept: Path, target: Path, before: Basis
) -> tuple[AuditFinding, ...]:
    """Write the rows of one date, and compare them with the tables. It keeps the rates that it was converted at
    ``before``, unless it was asked not to."""
    fact, settings = inputs.fact, services.settings
    with limited(settings.memory_limit, settings.threads, folder) as con:
        try:
            absent = [
                shown.name for table, shown in inputs.tables if not _view(services, con, table, shown, day, folder)
            ]
            rates = _rates(services, con, inputs, day, kept)
            if fact.declared.rates and not before.retake:
                first = kept_rates(services, con, fact, day, folder / "before")
                # A date that was not over when it was built may have got a rate of its own since.
                rates |= {name: rate for name, rate in first.items() if rate.day == day or not before.early}
            own = own_rate(fact.declared.currency, day)
            rates_table(con, {**rates, own.currency: own}.values())
            mapped = [
                f"select * from mapped_{_id(table)}" for table, shown in inputs.tables if shown.name not in absent
            ]
            con.execute(f"create view mapped as {' union all by name '.join([_no_rows(), *mapped])}")
            unknown = _unknown_rates(con, inputs, day, before.retake or before.retaken)
            con.execute(
                f"copy (select {', '.join(c.name for c in fact.flow.feed.columns)} from ({converted(fact)})"
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
    for name in SUMS:
        yield f"cast({_column(table, name)} as {MONEY}) as {name}"


def _column(table: FactTable, name: Mapped) -> str:
    return identifier(table.columns[name]) if name in table.columns else "null"


def _no_rows() -> str:
    texts = ("input", "channel", "account", "campaign", "campaign_name", "currency")
    typed = [*(f"null::varchar as {name}" for name in texts), *(f"null::{MONEY} as {name}" for name in SUMS)]
    return f"select {', '.join(typed)} where false"


def _rates(
    services: Services, con: "duckdb.DuckDBPyConnection", inputs: Inputs, day: date, kept: Path
) -> dict[str, Rate]:
    """The rates that count on a date, by currency, also those that cannot be used."""
    fact, found = inputs.fact.declared, dict[str, Rate]()
    if (shown := inputs.rates) and fact.rates:
        parts = ((shown.values_of(part), _kept(services, part, kept, shown.name)) for part in inputs.rates_of(day))
        if rows := scan_shown(con, parts):
            found = dict(rates_on(con, f"({rows})", fact.rates, fact.currency, day))
    return found


def _kept(services: Services, part: Partition, kept: Path, called: str) -> list[Path]:
    """The files of a partition that the next dates need, too."""
    folder = kept / f"rates-{digest(part.location)[:16]}"
    if not folder.exists():
        with TemporaryDirectory(dir=kept) as fetched:
            download_shown(services.store, part, Path(fetched) / "files", called)
            (Path(fetched) / "files").rename(folder)  # only when all of them are there
    return sorted(folder.iterdir())


def _unknown_rates(con: "duckdb.DuckDBPyConnection", inputs: Inputs, day: date, retaken: str) -> AuditFinding:
    """Which amounts have no rate. Rows without an amount need none. ``retaken`` says when and why rates are not those
    of first use."""
    rows = con.execute(
        "select input, m.currency, problem, count(*), sum(cost), sum(sales) from mapped m left join rates using"
        " (currency) where fx_rate is null and (coalesce(cost, 0) <> 0 or coalesce(sales, 0) <> 0)"
        " group by all order by all"
    ).fetchall()
    texts = [_said(inputs, day, *row) for row in rows]
    details = tuple(
        {"input": name, "currency": _called(currency), "rows": str(count), "cost": str(cost), "sales": str(sales)}
        for name, currency, _, count, cost, sales in rows
    )
    every = "every amount has a rate" + (f"; new ones were asked for at {retaken}" if retaken else "")
    count = sum(row[3] for row in rows)
    holds = inputs.fact.declared.rates is None or inputs.fact.declared.rates.missing == "hold"
    return AuditFinding(
        RATES_KNOWN, not rows, holds, listed(texts, separator="; ") or every, {"rows_without_rate": count}, details
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
        own = [f"sum(cast({identifier(table.columns[name])} as {MONEY}))" for name in measures]
        made = [f"sum({SUMS[name]})" for name in measures]
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
