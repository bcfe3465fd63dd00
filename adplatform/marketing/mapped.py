"""What a fact maps of tables that are declared here, held against their contracts before anything is published."""

from collections.abc import Iterable, Iterator, Mapping

from adplatform.consumers.finding import Finding
from adplatform.consumers.table import as_seen
from adplatform.contracts.column import DELIVERY_DATE
from adplatform.contracts.hints import did_you_mean
from adplatform.contracts.marketing import MarketingSource
from adplatform.contracts.model import Contract
from adplatform.flow.source import FeedFlow
from adplatform.lake.table import table_spec
from adplatform.transform.compile import output_columns

Path = tuple[int | str, ...]
"""Of a setting below the attributes."""


def misfits(declared: MarketingSource, tables: Mapping[str, FeedFlow]) -> Iterator[tuple[Path, Finding]]:
    """What the tables, by name, do not have of what is mapped, each with its setting. A table that nobody declares here
    may be another project's."""
    for number, each in enumerate(declared.inputs):
        place: Path = ("inputs", number)
        flow = tables.get(each.table)
        if flow is None:
            yield (*place, "table"), _undeclared(each.table, tables)
            continue
        if not _is_by_date(flow.feed.contract):
            yield (
                (*place, "table"),
                Finding("error", f"{each.table} is not partitioned by a date: dt, or a column of it"),
            )
        columns = ((name, own, "number" if name in each.measures else "") for name, own in each.columns.items())
        yield from _columns(flow, (*place, "columns"), columns)
    rates = declared.rates
    if rates is None:
        return
    flow = tables.get(rates.table)
    if flow is None:
        yield ("rates", "table"), _undeclared(rates.table, tables)
        return
    partition = flow.feed.contract.partition_by
    if partition is not None and partition != rates.date:
        text = f"{rates.table} is partitioned by {partition}, and rates are looked for by {rates.date}"
        yield ("rates", "date"), Finding("error", f"{text}: partition it by that, or not at all")
    # What partitions a table is a date by its values, whatever its type.
    dated = "" if partition == rates.date else "date"
    if rates.currencies:
        named = [("currencies", column, "number") for column in rates.columns_of_rates.values()]
    else:
        named = [("currency", rates.currency, ""), ("rate", rates.rate, "number")]
    yield from _columns(flow, ("rates",), [("date", rates.date, dated), *named])


def _undeclared(name: str, tables: Mapping[str, FeedFlow]) -> Finding:
    near = did_you_mean(name, tables)
    return Finding("warning", f"no source declared here has the table {name}{near}; another project may have it")


def _is_by_date(contract: Contract) -> bool:
    if contract.partition_by in (None, DELIVERY_DATE):
        return contract.partition_by is not None
    return contract.column(str(contract.partition_by)).data_type.name == "date"


def _columns(flow: FeedFlow, place: Path, mapped: Iterable[tuple[str, str, str]]) -> Iterator[tuple[Path, Finding]]:
    """``mapped`` are settings, the columns that they name, and what that has to be: ``number``, ``date`` or, "",
    anything."""
    contract, scope = flow.feed.contract, flow.scope.column if flow.scope else None
    table = as_seen(
        table_spec(flow.table, contract, output_columns(contract), scope=scope, compacted=flow.compacted), contract
    )
    for setting, name, wanted in mapped:
        column = table.get(name)
        if column is None:
            near = did_you_mean(name, (each.name for each in table.columns))
            yield (*place, setting), Finding("error", f"{flow.table} has no column {name}{near}")
        elif column.kind:
            text = f"{name} of {flow.table} is personal, and a fact of campaigns has nothing of persons"
            yield (*place, setting), Finding("error", text)
        elif (wanted == "number" and not column.type.is_number) or (
            wanted == "date" and column.type.name not in ("date", "timestamp")
        ):
            yield (*place, setting), Finding("error", f"{name} of {flow.table} is {column.type.hive}, and no {wanted}")
