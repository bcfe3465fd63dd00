"""What commands show of a contract that was tried on a file: counts, rows that it does not read, and what would."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import ValidationError
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from adplatform.contracts import written
from adplatform.contracts.column import Column
from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.model import Contract
from adplatform.drafting.draft import draft_of
from adplatform.drafting.format_changes import format_changes
from adplatform.drafting.reads import Reader
from adplatform.drafting.reasons import in_words
from adplatform.drafting.suggestions import Suggestion, changed, suggestions
from adplatform.drafting.trial import Trial, try_contract
from adplatform.failures import PermanentFailure
from adplatform.lake.evolved import FOOTER_ADVICE, LACKING_ADVICE, footers_said, lacking_said
from adplatform.lake.quarantine import QuarantinedRow

MOST_SUGGESTIONS = 5
"""For one column and reason."""
LARGEST_RETRIED = 16 << 20
"""Bytes of a file that is tried again as a whole for each setting that may help."""


def show_counts(trial: Trial, console: Console) -> None:
    staged = trial.staged
    table = Table("rows", "count", box=SIMPLE)
    table.add_row("in", str(staged.rows_in))
    table.add_row("clean", str(staged.clean))
    table.add_row("superseded", str(staged.superseded))
    if staged.left_out:
        table.add_row("left out on purpose", str(staged.left_out))
    for reason, count in staged.reasons.items():
        table.add_row(f"quarantined: {reason}", str(count))
    console.print(table)
    for withheld in staged.withheld:
        console.print(str(withheld), highlight=False, soft_wrap=True)
    if lacking := lacking_said(staged):
        console.print(lacking + LACKING_ADVICE, highlight=False, soft_wrap=True)
    if footers := footers_said(staged):
        console.print(footers + FOOTER_ADVICE, highlight=False, soft_wrap=True)
    for refused in staged.refused:
        console.print(f"put aside: {refused.reason}", highlight=False, soft_wrap=True)


def show_rows(trial: Trial, console: Console, limit: int, *, reveal: bool) -> None:
    """The first of the rows that the contract does not read, one line for each reason. Values are masked as by
    ``quarantine show``."""
    if not trial.staged.quarantined:
        return
    table = Table("line", "column", "value", "why", box=SIMPLE)
    rows = trial.masked(limit, reveal=reveal)
    for row in rows:
        for name, value, words in _faults(row, trial.contract):
            table.add_row(str(row.line or ""), name, Text(value), words)
    console.print(table)
    if trial.staged.quarantined > limit:
        console.print(f"and {trial.staged.quarantined - limit:,} rows more (--limit)", highlight=False)


def _faults(row: QuarantinedRow, contract: Contract) -> Iterator[tuple[str, str, str]]:
    for reason in row.reasons:
        name, words = in_words(reason, contract)
        fields = row.fields or {}
        whole = row.raw if row.raw is not None else json.dumps(dict(fields), ensure_ascii=False)
        yield name, (fields.get(name) or "") if name else whole, words


def show_suggestions(trial: Trial, file: Path, work: Path, console: Console) -> None:
    """The settings that read what the contract does not, as far as there are any: each was tried."""
    lines = [*_of_columns(trial, file, work), *_of_format(trial, file, work)]
    if lines:
        console.print("What would read them; each was tried by itself:")
    for line in lines:
        console.print(Text(f"  {line}"), soft_wrap=True)


def _of_columns(trial: Trial, file: Path, work: Path) -> Iterator[str]:
    values: dict[tuple[str, str], list[str]] = {}
    for row in trial.rows:
        for reason in row.reasons:
            kind, _, name = reason.partition(":")
            if name and row.fields is not None and kind != "check":
                values.setdefault((name, kind), []).append(row.fields.get(name) or "")
    columns: Mapping[str, Column] = {column.name: column for column in trial.contract.columns}
    with Reader() as reader:
        for (name, kind), texts in values.items():
            if (column := columns.get(name)) is None or column.expression:
                continue
            for each in suggestions(column, trial.contract.format, kind, texts, reader)[:MOST_SUGGESTIONS]:
                if (effect := _effect(trial, each, file, work)) is not None:
                    yield f"{name}: {each.text}   ({effect})"


def _effect(trial: Trial, suggestion: Suggestion, file: Path, work: Path) -> str | None:
    """How many rows a setting reads; None where it breaks as many others. Of a large file, how many values."""
    if file.stat().st_size > LARGEST_RETRIED:
        return f"{suggestion.reads} of {suggestion.values} different values"
    columns = tuple(
        changed(c, suggestion.settings) or c if c.name == suggestion.column else c for c in trial.contract.columns
    )
    contract = trial.contract.model_copy(update={"columns": columns})
    with TemporaryDirectory(dir=work) as place:
        other = try_contract(contract, file, Path(place) / "trial")
    before, after = (_faults_of(each, suggestion.column) for each in (trial, other))
    return f"{before - after} of {before} rows" if after < before else None


def _faults_of(trial: Trial, column: str) -> int:
    return sum(count for reason, count in trial.staged.reasons.items() if reason.partition(":")[2] == column)


def _of_format(trial: Trial, file: Path, work: Path) -> Iterator[str]:
    structural = {r: n for r, n in trial.staged.reasons.items() if ":" not in r}
    if not structural or file.stat().st_size > LARGEST_RETRIED:
        return
    before = sum(structural.values())
    for number, change in enumerate(format_changes(structural)):
        fmt = trial.contract.format.model_copy(update=dict(change.settings))
        try:
            other = try_contract(trial.contract.model_copy(update={"format": fmt}), file, work / f"format-{number}")
        except PermanentFailure:
            continue
        left = sum(n for r, n in other.staged.reasons.items() if ":" not in r)
        if left < before:
            said = ", ".join(f"{name}: {value!r}" for name, value in change.settings.items())
            yield f"format: {{{said}}}   ({before - left} of {before} rows: {change.why})"


def show_other_format(contract: Contract, file: Path, work: Path, console: Console) -> None:
    """Of a file that is refused, the settings of the format by which it looks to be written, if those read it."""
    if file.stat().st_size > LARGEST_RETRIED:
        return
    try:
        with Reader() as reader:
            drafted = draft_of(file, reader).format
        settings = {name: value for name, (value, _) in drafted.items()}
        fmt = FileFormat.model_validate({**_kept_of(contract.format), **settings})
        trial = try_contract(contract.model_copy(update={"format": fmt}), file, work / "other")
    except (PermanentFailure, ValidationError):
        return
    changed = {n: v for n, v in fmt.model_dump(exclude_unset=True).items() if getattr(contract.format, n) != v}
    if changed and trial.staged.clean:
        said = written.flow({name: _plain(value) for name, value in changed.items()})
        rows = f"{trial.staged.clean:,} of {trial.staged.records:,} rows"
        console.print(Text(f"What would read the file; it was tried:\n  format: {said}   ({rows})"), soft_wrap=True)


_OF_DIALECT = frozenset(
    {"kind", "encoding", "delimiter", "quote", "escape", "header", "skip_lines", "comment", "skip_footer", "records"}
    | {"repeated_header", "ragged_rows", "sheet", "range", "members"}
)


def _kept_of(fmt: FileFormat) -> dict[str, Any]:
    """Settings that no draft makes."""
    return {name: value for name, value in fmt.model_dump(exclude_unset=True).items() if name not in _OF_DIALECT}


def _plain(value: Any) -> Any:
    """A setting as YAML has it, with one text in the place of a list of one."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, tuple | list):
        return value[0] if len(value) == 1 else list(value)
    return value
