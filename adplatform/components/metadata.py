"""Contracts, audits and publications as Dagster shows them: column schemas, column lineage, tables of counts."""

from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg

from adplatform.contracts.model import Contract
from adplatform.flow.source import FeedFlow
from adplatform.lake.zones import Zones
from adplatform.ledger.rows import FileOutcome, Publication, Report
from adplatform.transform.values import OutputColumn


def raw_schema(contract: Contract) -> dg.TableSchema:
    """The columns as the files carry them."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.header,
                column.type,
                column.comment or None,
                dg.TableColumnConstraints(nullable=not column.required),
                {"pii": str(column.pii.kind)} if column.pii else {},
            )
            for column in contract.read_columns
        ]
    )


def clean_schema(columns: Iterable[OutputColumn]) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[dg.TableColumn(c.name, c.type.hive, c.comment or None, tags=dict(c.tags)) for c in columns]
    )


def column_lineage(raw: dg.AssetKey, contract: Contract, columns: Iterable[OutputColumn]) -> dg.TableColumnLineage:
    """Which columns of the files each column of the table is made of."""
    headers = {column.name: column.header for column in contract.read_columns}
    return dg.TableColumnLineage(
        {
            column.name: [dg.TableColumnDep(raw, headers[source]) for source in column.sources if source in headers]
            for column in columns
            if column.sources
        }
    )


def outcome_table(outcomes: Iterable[FileOutcome]) -> dg.TableMetadataValue:
    """One record per file."""
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "file": outcome.origin,
                    "outcome": str(outcome.outcome),
                    "bytes": outcome.bytes,
                    "rows_in": outcome.rows_in,
                    "clean": outcome.clean,
                    "superseded": outcome.superseded,
                    "quarantined": outcome.quarantined,
                    "reason": outcome.reason,
                }
            )
            for outcome in outcomes
        ]
        or [dg.TableRecord({"file": "none"})]
    )


def publication_metadata(flow: FeedFlow, publication: Publication) -> Mapping[str, Any]:
    """What a materialization of the clean asset shows."""
    return {
        "dagster/partition_row_count": publication.clean,
        "adplatform/version": publication.version,
        "adplatform/rows_in": publication.rows_in,
        "adplatform/superseded": publication.superseded,
        "adplatform/quarantined": publication.quarantined,
        "adplatform/quarantine_reasons": dict(publication.reasons),
        "adplatform/locations": list(publication.locations),
        "adplatform/ledger": ledger_hint(flow, str(publication.day)),
    }


def ledger_hint(flow: FeedFlow, day: str) -> dg.MarkdownMetadataValue:
    """How to see the whole history of a delivery."""
    return dg.MetadataValue.md(f"`adplatform ledger {flow.name} {day}`")


def report_metadata(report: Report, zones: Zones, rows: int, changed: bool) -> Mapping[str, Any]:
    """What a date of the raw asset shows of the report that brought it."""
    return {
        "dagster/uri": zones.raw_uri(report.raw_key) if report.raw_key else "",
        "dagster/partition_row_count": rows,
        "adplatform/report_id": report.report_id,
        "adplatform/range": f"{report.start} to {report.end}",
        "adplatform/asked_at": str(report.requested_at),
        "adplatform/changed": changed,
        "adplatform/bytes": report.bytes,
        "adplatform/sha256": report.sha256,
        "adplatform/ledger": dg.MetadataValue.md(f"`adplatform reports {report.feed}`"),
    }
