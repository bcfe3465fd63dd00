"""A contract tried on a file, by the very code that reads deliveries, and a draft brought to what reads its sample."""

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from adplatform.contracts.limits import Limits
from adplatform.contracts.model import Contract
from adplatform.drafting.draft import MOST_TOTALS, Draft, DraftColumn, with_columns
from adplatform.drafting.exporters import with_presets
from adplatform.drafting.format_changes import format_changes
from adplatform.failures import PermanentFailure
from adplatform.files.unpack import unpack
from adplatform.lake.quarantine import QuarantinedRow, stored_rows
from adplatform.privacy.keys import HashKey
from adplatform.transform.duckdb_engine import EngineLimits, transform
from adplatform.transform.values import Staged

_DAY = date(2000, 1, 1)
"""Of a delivery that never was."""
_NO_LIMITS = Limits()
MOST_ROWS = 10_000
"""Quarantined rows that are looked at."""
_ROUNDS = 4


@dataclass(frozen=True)
class Trial:
    """What became of the rows, and the first of those that were quarantined, with all that they hold."""

    contract: Contract
    staged: Staged
    rows: tuple[QuarantinedRow, ...]

    def masked(self, limit: int, *, reveal: bool) -> Iterator[QuarantinedRow]:
        """Rows as commands may show them. Only while the files of the trial are there."""
        if self.staged.quarantine:
            yield from islice(stored_rows(self.staged.quarantine, self.contract, reveal=reveal), limit)


def try_contract(contract: Contract, file: Path, work: Path, limits: Limits = _NO_LIMITS) -> Trial:
    """What would become of one decrypted file. Personal columns are hashed with a key that is thrown away. ``work``
    must be an empty directory, or one that is not there yet.

    Raises:
        PermanentFailure: the file would be refused.
    """
    work.mkdir(exist_ok=True)
    inputs = unpack(file, str(file), contract.format, work, 0, limits)
    key = HashKey("trial", os.urandom(32))
    staged = transform(contract, inputs, _DAY, key, work / "transform", EngineLimits())
    rows = stored_rows(staged.quarantine, contract, reveal=True) if staged.quarantine else iter(())
    return Trial(contract, staged, tuple(islice(rows, MOST_ROWS)))


@dataclass(frozen=True)
class Settled:
    """A draft that was tried, and in ``changed`` what had to be changed for its first form to read the sample."""

    draft: Draft
    trial: Trial
    changed: tuple[str, ...] = ()


def contract_of(drafted: Draft) -> Contract:
    """
    Raises:
        PermanentFailure: its settings go together with no contract.
    """
    try:
        return Contract.model_validate(drafted.settings())
    except ValidationError as e:
        first = e.errors(include_url=False)[0]
        raise PermanentFailure(f"the draft is no contract: {first['msg'].removeprefix('Value error, ')}") from e


def settled(drafted: Draft, file: Path, work: Path) -> Settled:
    """The draft tried on ``file``, or on what of it was looked at; where that leaves rows in quarantine, with the
    settings that read more of them.

    Raises:
        PermanentFailure: the file would be refused under any of them.
    """
    work.mkdir(exist_ok=True)
    if drafted.sampled is not None:
        file = work / "sample"
        file.write_bytes(drafted.sampled)
    places = (work / str(n) for n in range(10_000))
    trial, failed = _tried(drafted, file, next(places))
    changed: list[str] = []
    for _ in range(_ROUNDS):
        if trial and not trial.staged.quarantined:
            break
        better = None
        for other, said in _others(drafted, trial):
            attempt, _ = _tried(other, file, next(places))
            if attempt and (trial is None or attempt.staged.quarantined < trial.staged.quarantined):
                better = other, attempt, said
                break
        if better is None:
            break
        drafted, trial = better[0], better[1]
        changed.append(better[2])
    if trial is None:
        raise failed or PermanentFailure(f"{file}: no contract reads it")
    for other in with_presets(drafted):
        attempt, _ = _tried(other, file, next(places))
        if attempt and _reads_as_much(attempt.staged, trial.staged):
            return Settled(other, attempt, tuple(changed))
    return Settled(drafted, trial, tuple(changed))


def _reads_as_much(by_preset: Staged, drafted: Staged) -> bool:
    """Whether nothing is quarantined or left out beyond rows of totals that the draft did not know."""
    fewer = drafted.clean - by_preset.clean
    return by_preset.clean > 0 and not by_preset.quarantined and not by_preset.refused and fewer <= MOST_TOTALS


def _tried(drafted: Draft, file: Path, work: Path) -> tuple[Trial | None, PermanentFailure | None]:
    try:
        return try_contract(contract_of(drafted), file, work), None
    except PermanentFailure as e:
        return None, e


def _others(drafted: Draft, trial: Trial | None) -> Iterator[tuple[Draft, str]]:
    """Drafts that may read what this one does not, each with what is changed."""
    reasons = trial.staged.reasons if trial else {}
    for change in format_changes(reasons if trial else None):
        if all(drafted.format.get(name, (None,))[0] != value for name, value in change.settings.items()):
            whys = {name: (value, change.why) for name, value in change.settings.items()}
            yield replace(drafted, format={**drafted.format, **whys}), _said(change.settings)
    if no_text := _by_column(reasons, ("bad_bytes",)):
        yield (
            with_columns(drafted, (_of_bytes(c, no_text[c.name]) for c in drafted.columns if c.name in no_text)),
            "bytes: hex of " + ", ".join(no_text),
        )
    if unfit := _by_column(reasons, _OF_TYPES):
        yield (
            with_columns(drafted, (_looser(c, unfit[c.name]) for c in drafted.columns if c.name in unfit)),
            ("type: string of " + ", ".join(unfit)),
        )


def _said(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"format.{name}: {value}" for name, value in settings.items())


_OF_TYPES = ("bad_int", "bad_bigint", "bad_decimal", "bad_double", "bad_boolean", "bad_date", "bad_timestamp")


def _by_column(reasons: Mapping[str, int], kinds: Collection[str]) -> dict[str, int]:
    """Rows with a value of which one of these kinds of reasons is given, by column."""
    found: dict[str, int] = {}
    for reason, count in reasons.items():
        kind, _, name = reason.partition(":")
        if kind in kinds:
            found[name] = found.get(name, 0) + count
    return found


def _of_bytes(column: DraftColumn, rows: int) -> DraftColumn:
    why = f"REVIEW: {rows:,} values are bytes that are no text"
    return replace(column, settings={**column.settings, "bytes": "hex"}, why=why)


_KEPT = ("field", "required", "pii", "drop")


def _looser(column: DraftColumn, rows: int) -> DraftColumn:
    kept = {name: value for name, value in column.settings.items() if name in _KEPT}
    return replace(column, settings={"type": "string", **kept}, why=f"REVIEW: {rows:,} values are no {column.type}")
