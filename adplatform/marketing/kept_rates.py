"""Rates that a date of the fact keeps: those that it was first converted at, as readers see them. They change when
somebody asks for it, and says why."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from adplatform.flow.services import Services
from adplatform.lake import formats
from adplatform.lake.shown_files import download_shown, scan_shown
from adplatform.lake.table import table_spec
from adplatform.marketing.fact import OWN_SOURCE, Fact, worth_of
from adplatform.marketing.rates import Rate
from adplatform.transform.compile import output_columns
from adplatform.transform.rules import literal

if TYPE_CHECKING:
    import duckdb


def kept_rates(
    services: Services, con: "duckdb.DuckDBPyConnection", fact: Fact, day: date, folder: Path
) -> Mapping[str, Rate]:
    """The rates of the version of a date that readers see, by currency; none of a version in another currency, or of
    before versions said where their rates are from. Its files are fetched into ``folder``, which is made.

    Raises:
        TransientFailure: a newer version took its place meanwhile.
    """
    contract, prefix = fact.flow.feed.contract, services.settings.database_prefix
    spec = table_spec(fact.flow.table, contract, output_columns(contract), database_prefix=prefix)
    shown = formats.partition(services.lake, spec, day.isoformat())
    rows = shown and scan_shown(con, [({}, download_shown(services.store, shown, folder, fact.flow.name))])
    if not rows:
        return {}
    present = {name for name, *_ in con.execute(f"describe {rows}").fetchall()}
    if not {worth_of("cost", fact.declared.currency), "fx_source"} <= present:
        return {}
    found = con.execute(
        f"select distinct currency, fx_date, fx_rate, fx_source from ({rows})"
        f" where fx_rate is not null and fx_source <> {literal(OWN_SOURCE)}"
    ).fetchall()
    return {currency: Rate(currency, on, factor, source=source) for currency, on, factor, source in found}


def take_anew(services: Services, fact: Fact, first: date, last: date, reason: str) -> list[date]:
    """Have dates take the rates that the table has by then when they are built next, which they are due for now; those
    among the dates from ``first`` to ``last`` that were built before."""
    derived, asked = services.ledger.derived, f"{services.now():%Y-%m-%d %H:%M:%S} {reason}"
    bases = [basis for day, basis in derived.bases(fact.flow.table).items() if first <= day <= last]
    for basis in bases:
        derived.note_basis(fact.flow.table, replace(basis, inputs="", error="", retake=asked))
    return [basis.day for basis in bases]
