"""The audit of a staged delivery, before anyone can read it.

The names of the findings are stable; checks and dashboards refer to them: ``row_conservation``, ``schema``, ``bounds``,
``no_personal_data_in_clear`` and ``suspected_personal_data``; where columns are lenient ``metrics_of_their_type``,
and where names have conventions ``naming``.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from adplatform.contracts.model import Contract
from adplatform.contracts.naming import Naming
from adplatform.failures import listed
from adplatform.lake.evolved import (
    EMPTIED_ADVICE,
    FOOTER_ADVICE,
    LACKING_ADVICE,
    emptied_columns,
    emptied_said,
    footers_said,
    lacking_said,
    withheld_said,
)
from adplatform.lake.parquet import arrow_type
from adplatform.platform.at_once import at_once
from adplatform.platform.late import Late
from adplatform.privacy.scan import scan_for_leaks
from adplatform.transform.values import Staged, StagedParquet

if TYPE_CHECKING:
    import pyarrow.parquet as pq

    from adplatform.lake import conforming
else:
    pq = Late("pyarrow.parquet")
    conforming = Late("adplatform.lake.conforming")

BOUNDS = "bounds"
METRICS = "metrics_of_their_type"
NAMING = "naming"
_ADVICE = "; declare under pii what is stored, or drop it"
_CODEC = "SNAPPY"  # the codec that Clean Rooms, Entity Resolution and Athena all read


@dataclass(frozen=True)
class AuditFinding:
    """One check and its result. A ``blocking`` one that did not pass forbids publishing. ``details`` are records of
    what was found, all with the same fields."""

    name: str
    passed: bool
    blocking: bool
    description: str
    metrics: Mapping[str, int | float] = field(default_factory=dict)
    details: tuple[Mapping[str, str], ...] = ()


def audit(staged: Staged, contract: Contract, published_before: int | None = None) -> tuple[AuditFinding, ...]:
    """All findings, passed or not. ``published_before`` is the number of rows that readers see of this delivery now."""
    footers = dict(zip(staged.files, at_once(lambda file: pq.read_metadata(file.opened()), staged.files), strict=True))
    return (
        _row_conservation(staged, footers),
        _schema(staged, footers),
        _bounds(staged, contract, published_before),
        *_personal_data(staged, contract),
        *([_metrics(staged)] if any(column.lenient for column in contract.columns) else []),
        *([_naming(staged, contract.naming, contract)] if contract.naming else []),
    )


def _row_conservation(staged: Staged, footers: "Mapping[StagedParquet, pq.FileMetaData]") -> AuditFinding:
    written = sum(footers[file].num_rows for file in staged.files) + staged.carried_rows
    aside = staged.forgotten + (pq.read_metadata(staged.quarantine).num_rows if staged.quarantine else 0)
    problems = [
        f"{c.origin}: {c.rows_in} rows in, {c.clean + c.superseded + c.quarantined + c.left_out} accounted for"
        for c in staged.counts
        if not c.is_whole
    ]
    problems += [
        f"{file.name} has {footers[file].num_rows} rows instead of {file.rows}"
        for file in staged.files
        if footers[file].num_rows != file.rows
    ]
    if written != staged.clean:
        problems.append(f"{staged.clean} clean rows, {written} in the files")
    if aside != staged.quarantined:
        problems.append(f"{staged.quarantined} quarantined rows, {aside} in the quarantine file")
    counted = {
        "rows_in": staged.rows_in,
        "clean": staged.clean,
        "superseded": staged.superseded,
        "quarantined": staged.quarantined,
        "left_out": staged.left_out,
        "line_breaks_in_values": staged.line_breaks,
    }
    if staged.footers and not problems:
        counted["lines_behind_footers"] = sum(each.behind for each in staged.footers)
        return AuditFinding("row_conservation", False, False, footers_said(staged) + FOOTER_ADVICE, counted)
    good = "every row is clean, superseded, quarantined or left out on purpose"
    return AuditFinding("row_conservation", not problems, True, _described(problems, good), counted)


def _schema(staged: Staged, footers: "Mapping[StagedParquet, pq.FileMetaData]") -> AuditFinding:
    problems = [f"{file.name}: {problem}" for file, footer in footers.items() for problem in _misfits(staged, footer)]
    groups = [footer.row_group(i) for footer in footers.values() for i in range(footer.num_row_groups)]
    metrics = {
        "files": len(footers),
        "bytes": sum(file.size for file in footers),
        "row_groups": len(groups),
        "largest_row_group": max((group.num_rows for group in groups), default=0),
        "chunks_without_statistics": sum(
            not group.column(i).is_stats_set for group in groups for i in range(group.num_columns)
        ),
    }
    if (lacking := lacking_said(staged)) and not problems:
        metrics["columns_lacking"] = len(staged.lacking)
        return AuditFinding("schema", False, False, lacking + LACKING_ADVICE, metrics)
    return AuditFinding(
        "schema", not problems, True, _described(problems, "the files have the declared columns"), metrics
    )


def _misfits(staged: Staged, footer: "pq.FileMetaData") -> Iterator[str]:
    found = footer.schema.to_arrow_schema()
    names = [column.name for column in staged.columns]
    if found.names != names:
        lost, extra = set(names) - set(found.names), set(found.names) - set(names)
        yield (
            f"columns differ: lacks {listed(sorted(lost)) or 'none'}, adds {listed(sorted(extra)) or 'none'}"
            if lost or extra
            else "columns are out of order"
        )
        return
    for column in staged.columns:
        if (actual := found.field(column.name).type) != (wanted := arrow_type(column.type)):
            yield f"column {column.name} is {actual} instead of {wanted}"
    codecs = {
        footer.row_group(g).column(c).compression for g in range(footer.num_row_groups) for c in range(len(names))
    }
    if codecs - {_CODEC}:
        yield f"compressed with {', '.join(sorted(codecs))} instead of {_CODEC}"


def _bounds(staged: Staged, contract: Contract, published_before: int | None) -> AuditFinding:
    bounds, rows = contract.bounds, staged.records
    share = staged.quarantined / rows if rows else 0.0
    problems = []
    if bounds.min_rows is not None and rows < bounds.min_rows:
        problems.append(f"{rows} rows came in, at least {bounds.min_rows} expected")
    if bounds.max_rows is not None and rows > bounds.max_rows:
        problems.append(f"{rows} rows came in, at most {bounds.max_rows} expected")
    if published_before and not staged.clean and bounds.min_rows is None:
        problems.append(
            f"no row is left of the {published_before} that readers see; if that is right, set bounds.min_rows: 0"
        )
    if share > bounds.max_quarantined:
        reasons = sorted(staged.reasons.items(), key=lambda item: -item[1])[:3]
        named = ", ".join(f"{reason} ({count})" for reason, count in reasons)
        problems.append(
            f"{share:.1%} of the rows quarantined, {bounds.max_quarantined:.1%} allowed; most often {named}"
        )
    metrics: dict[str, int | float] = {"rows_in": staged.rows_in, "quarantined_share": share}
    if staged.left_out:
        metrics["left_out"] = staged.left_out
    if published_before is not None:
        metrics["rows_published_before"] = published_before
    return AuditFinding(BOUNDS, not problems, True, _described(problems, "within the contract's bounds"), metrics)


def _metrics(staged: Staged) -> AuditFinding:
    found = emptied_columns(staged)
    counted = {"columns": len({column for column, *_ in found}), "values": sum(rows for *_, rows in found)}
    details = tuple({"column": column, "reason": reason, "rows": str(rows)} for column, reason, rows in found)
    text = emptied_said(staged) + EMPTIED_ADVICE if found else "every value is of its column's type"
    return AuditFinding(METRICS, not found, False, text, counted, details)


def _naming(staged: Staged, naming: Naming, contract: Contract) -> AuditFinding:
    found = conforming.conforming(staged.files, contract, naming)
    wanting = [str(each) for each in found if not each.is_enough(naming)]
    asked = f"{100 * naming.at_least:g}% wanted" if naming.at_least < 1 else "all wanted"
    text = (
        f"{listed(wanting, separator='; ')} conform, {asked}{conforming.ADVICE}" if wanting else "enough names conform"
    )
    metrics = {name: value for each in found for name, value in each.metrics.items()}
    return AuditFinding(NAMING, not wanting, False, text, metrics)


def _personal_data(staged: Staged, contract: Contract) -> Iterator[AuditFinding]:
    files = staged.files
    scan = scan_for_leaks([file.opened() for file in files], contract, addresses=[file.addresses for file in files])
    leaks = [f"column {leak.column} {leak.reason}" for leak in scan.leaks]
    yield AuditFinding(
        "no_personal_data_in_clear",
        not leaks,
        True,
        _described(leaks, "every personal column holds what its profile allows"),
        {"columns": len(leaks), "rows": sum(leak.rows for leak in scan.leaks)},
    )
    withheld = withheld_said(staged)
    suspicions = [f"column {s.column} holds e-mail addresses in {s.rows} rows" for s in scan.suspicions]
    yield AuditFinding(
        "suspected_personal_data",
        not (suspicions or withheld),
        False,
        _described(
            [*filter(None, [withheld]), *suspicions],
            "no other column looks personal",
            _ADVICE if suspicions else "",
        ),
        {
            "columns": len(suspicions),
            "rows": sum(s.rows for s in scan.suspicions),
            "columns_withheld": len(staged.withheld),
            "rows_withheld": sum(each.emails + each.phones for each in staged.withheld),
        },
    )


def _described(problems: Sequence[str], good: str, advice: str = "") -> str:
    return listed(problems, separator="; ") + advice if problems else good
