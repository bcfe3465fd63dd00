"""Contracts, audits and publications as Dagster shows them: column schemas, column lineage, tables of counts."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import dagster as dg

from adplatform.contracts.column import Column
from adplatform.contracts.model import Contract
from adplatform.contracts.schema_change import SchemaChange
from adplatform.contracts.source import Topics
from adplatform.failures import listed, unnamed
from adplatform.flow.source import FeedFlow
from adplatform.lake.audit import AuditFinding
from adplatform.lake.table import table_name
from adplatform.lake.zones import Zones
from adplatform.ledger.engine_run import EngineRun
from adplatform.ledger.observations import Observation
from adplatform.ledger.publications import FileOutcome, Outcome, Publication
from adplatform.ledger.report import Report
from adplatform.ledger.scopes import Scope
from adplatform.platform.settings import read_settings
from adplatform.transform.values import OutputColumn

SHOWN_FILES = 200
FAILURE_TOPIC = "adplatform/failure_topic"
DATA_VERSION_TAG = "dagster/data_version"


def topic_metadata(topics: Topics) -> dict[str, str]:
    """Who hears of failures of an asset, for runs that carry no tags of ours; nothing where it is the platform's."""
    return {FAILURE_TOPIC: topics.failure} if topics.failure else {}


def raw_schema(*contracts: Contract, without: Collection[str] = ()) -> dg.TableSchema:
    """The columns as the files carry them, for all tables that are made of them; ``without`` names headers of ours."""
    columns = {c.field_name: c for contract in contracts for c in contract.read_columns if c.field_name not in without}
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.field_name,
                column.type,
                "; ".join(filter(None, (column.comment, _other_names(column)))) or None,
                dg.TableColumnConstraints(nullable=not column.required),
                {"pii": str(column.pii.kind)} if column.pii else {},
            )
            for column in columns.values()
        ]
    )


def _other_names(column: Column) -> str:
    others = ", ".join(column.field_names[1:])
    return f"also called {others}" if others else ""


def clean_schema(columns: Iterable[OutputColumn]) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[dg.TableColumn(c.name, c.type.hive, c.comment or None, tags=dict(c.tags)) for c in columns]
    )


def declared_table(table: str, columns: Iterable[OutputColumn]) -> Mapping[str, Any]:
    """:func:`table_metadata` of a table that may not be there yet."""
    return table_metadata(table, columns, read_settings().database_prefix)


def table_metadata(table: str, columns: Iterable[OutputColumn], database_prefix: str) -> Mapping[str, Any]:
    """What readers know ``table`` (``"<source>/<feed>"``) by: its name in the catalog, and its columns."""
    named = table_name(table, database_prefix)
    return {"dagster/table_name": f"{named.database}.{named.name}", "dagster/column_schema": clean_schema(columns)}


def column_lineage(
    raw: dg.AssetKey, contract: Contract, columns: Iterable[OutputColumn], without: Collection[str] = ()
) -> dg.TableColumnLineage:
    """Which columns of the files each column of the table is made of; ``without`` names headers of ours."""
    headers = {column.name: column.field_name for column in contract.read_columns if column.field_name not in without}
    return dg.TableColumnLineage(
        {
            column.name: [dg.TableColumnDep(raw, headers[source]) for source in column.sources if source in headers]
            for column in columns
            if any(source in headers for source in column.sources)
        }
    )


def received_table(outcomes: Iterable[FileOutcome]) -> dg.TableMetadataValue:
    """The files of a delivery before anything of them was read: what each was found to be, how large it is, and by
    which key it is signed. Of many files those that are bad come first, and the others together."""

    def record(file: str, of: Sequence[FileOutcome]) -> dg.TableRecord:
        verdicts = ("accepted" if each.outcome is Outcome.LOADED else str(each.outcome) for each in of)
        signers = listed(dict.fromkeys(each.signer for each in of if each.signer))
        return dg.TableRecord(
            {
                "file": file,
                "verdict": listed(dict.fromkeys(verdicts)),
                "bytes": sum(each.bytes for each in of),
                "signed by": signers,
                "reason": of[0].reason if len(of) == 1 else "",
            }
        )

    return _file_table(outcomes, record)


def outcome_table(outcomes: Iterable[FileOutcome]) -> dg.TableMetadataValue:
    """What became of the rows of each file. Of many files those that gave no rows come first, and the others together;
    the ledger has all of them."""

    def record(file: str, of: Sequence[FileOutcome]) -> dg.TableRecord:
        counted = ("bytes", "rows_in", "clean", "superseded", "quarantined", "left_out")
        counts = {name: sum(getattr(each, name) for each in of) for name in counted}
        outcome, reason = (str(of[0].outcome), of[0].reason) if len(of) == 1 else ("", "")
        return dg.TableRecord({"file": file, "outcome": outcome, **counts, "reason": reason})

    return _file_table(outcomes, record)


def _file_table(
    outcomes: Iterable[FileOutcome], record: Callable[[str, Sequence[FileOutcome]], dg.TableRecord]
) -> dg.TableMetadataValue:
    """A record for each file that is shown, and one for the rest. Dagster takes no table whose records have different
    fields."""
    every = list(outcomes)
    if len(every) > SHOWN_FILES:
        every.sort(key=lambda o: o.outcome is Outcome.LOADED)
    shown, rest = every[:SHOWN_FILES], every[SHOWN_FILES:]
    records = [record(each.called, [each]) for each in shown]
    if rest:
        records.append(record(f"and {len(rest):,} more", rest))
    return dg.MetadataValue.table(records or [dg.TableRecord({"file": "none"})])


def details_metadata(finding: AuditFinding) -> Mapping[str, dg.TableMetadataValue]:
    """What a check found, record by record; nothing where it has no records."""
    records = [dg.TableRecord(dict(each)) for each in finding.details]
    return {"findings": dg.MetadataValue.table(records)} if records else {}


def publication_metadata(flow: FeedFlow, publication: Publication) -> Mapping[str, Any]:
    """What a materialization of the clean asset shows."""
    return {
        "dagster/partition_row_count": publication.clean,
        "adplatform/version": publication.version,
        "adplatform/rows_in": publication.rows_in,
        "adplatform/superseded": publication.superseded,
        "adplatform/quarantined": publication.quarantined,
        **({"adplatform/left_out": publication.left_out} if publication.left_out else {}),
        "adplatform/quarantine_reasons": dict(publication.reasons),
        "adplatform/locations": list(publication.locations),
        "adplatform/location_count": publication.location_count,
        **({"adplatform/columns_lacking": dict(publication.lacking)} if publication.lacking else {}),
        **({"adplatform/values_emptied": dict(publication.emptied)} if publication.emptied else {}),
        **({"adplatform/note": publication.note} if publication.note else {}),
        "adplatform/ledger": ledger_hint(flow, str(publication.day)),
    }


def schema_metadata(changes: Iterable[SchemaChange]) -> Mapping[str, Any]:
    """How columns of the files differ from the declared ones; nothing where they do not."""
    said = [f"{change}, first in {change.file}" for change in islice(changes, SHOWN_FILES)]
    return {"adplatform/schema_changes": said} if said else {}


def clean_metadata(
    zones: Zones, flow: FeedFlow, publication: Publication, columns: Iterable[OutputColumn]
) -> Mapping[str, Any]:
    """The same with the table, its columns and where it is."""
    return {
        **publication_metadata(flow, publication),
        "dagster/table_name": publication.table,
        "dagster/uri": zones.clean_uri(zones.clean(flow.table)),
        "dagster/column_schema": clean_schema(columns),
    }


def ledger_hint(flow: FeedFlow, day: str) -> dg.MarkdownMetadataValue:
    """How to see the whole history of a delivery."""
    return dg.MetadataValue.md(f"`adplatform ledger {flow.name} {day}`")


def report_metadata(report: Report, scope: Scope | None = None) -> Mapping[str, Any]:
    """Where a report stands; what is not known yet is left out."""
    described = f"{scope.id} {scope.country} {scope.currency} {scope.timezone}" if scope else report.scope
    instants = {"asked_at": report.requested_at, "ready_at": report.ready_at}
    shown = {
        "state": f"{report.state}, overdue" if report.overdue and not report.ended else str(report.state),
        "report_id": report.report_id,
        "report_type": report.report_type,
        "scope": described,
        "range": f"{report.start} to {report.end}",
        **{name: dg.MetadataValue.timestamp(at) for name, at in instants.items() if at},
        "polls": report.polls,
        "taken_over": "yes: Amazon had the order already" if report.adopted else "",
        "bytes": report.bytes,
        "sha256": report.sha256,
        "rows_of_other_dates": report.outside_rows,
        "note": report.error,
        "warning": report.doubt,
        "ledger": dg.MetadataValue.md(f"`adplatform reports {report.feed} {report.report_id or report.key}`"),
    }
    return {f"adplatform/{name}": value for name, value in shown.items() if value}


def engine_run_metadata(run: EngineRun) -> Mapping[str, Any]:
    """Where a run of a managed engine stands; what is not known yet is left out."""
    instants = {"started_at": run.started_at, "ended_at": run.ended_at, "landed_at": run.landed_at}
    window = f"{run.window_start:%Y-%m-%d %H:%M} to {run.window_end:%Y-%m-%d %H:%M} UTC" if run.window_end else ""
    shown = {
        "state": f"{run.state}, overdue" if run.overdue and not run.ended else str(run.state),
        "run": run.run_id,
        "said": run.said,
        "started_by": "the platform" if run.intent else "somebody else",
        **{name: dg.MetadataValue.timestamp(at) for name, at in instants.items() if at},
        "window": window if run.window_start else "",
        "records": run.records,
        "bytes": run.bytes,
        "objects": run.objects,
        **{name: float(amount) for name, amount in run.usage.items()},
        "link": dg.MetadataValue.url(run.link) if run.link else "",
        "note": unnamed(run.error or run.message),
        "ledger": dg.MetadataValue.md(f"`adplatform runs {run.source}`"),
    }
    return {f"adplatform/{name}": value for name, value in shown.items() if value}


def slice_metadata(
    report: Report, scope: Scope | None, zones: Zones, *, age: int, wave: int, rows: int, changed: bool
) -> Mapping[str, Any]:
    """What a date of the raw asset shows of the report that brought it. ``age`` is the date's when it was asked for."""
    return {
        **({"dagster/uri": zones.raw_uri(report.raw_key)} if report.raw_key else {}),
        "dagster/partition_row_count": rows,
        "adplatform/age": age,
        "adplatform/wave": wave,
        "adplatform/changed": changed,
        **report_metadata(report, scope),
    }


def observation_metadata(observed: Observation | None) -> Mapping[str, Any]:
    """As of when the rows of a date are, and which report brought them."""
    if observed is None:
        return {}
    return {
        "adplatform/as_of": dg.MetadataValue.timestamp(observed.as_of),
        "adplatform/age": observed.age,
        "adplatform/wave": observed.wave,
        "adplatform/report_id": observed.report_id,
    }
