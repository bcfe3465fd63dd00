"""What a rule is, and what it finds."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from adplatform.engines.dms_settings.documents import Checked

UNCERTAIN = frozenset(
    {6, 9, 10, 14, 17, 18, 19, 21, 23, 24, 25, 32, 33, 34, 35, 39, 40, 41, 42, 43, 44, 46, 47, 48},
)
"""Rules about what AWS documents in part only, or differently from edition to edition."""
_CAUTION = "Check with your DMS version: this is documented in part only."


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Spot:
    """Where a rule applies, the words that its sentence lacks, and what to set there where that differs."""

    where: str
    words: Mapping[str, object] = field(default_factory=dict)
    paste: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Rule:
    """Something that loses or reorders data. ``number`` is for people to refer to; ``sentence`` may hold words of its
    spots in braces; ``paste`` is JSON to set, None where there is none or its spots have it."""

    number: int
    severity: Severity
    applies: Callable[[Checked], Iterable[Spot]]
    sentence: str
    paste: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Finding:
    """``where`` is a file or ARN and a JSON path in it, or a place in a database."""

    number: int
    severity: Severity
    where: str
    text: str
    paste: Mapping[str, Any] | None = None

    @property
    def json(self) -> str:
        """What to paste; empty if nothing."""
        return "" if self.paste is None else json.dumps(self.paste, indent=2)


def findings_of(rule: Rule, checked: Checked) -> list[Finding]:
    caution = f" {_CAUTION}" if rule.number in UNCERTAIN else ""
    return [
        Finding(
            rule.number,
            rule.severity,
            spot.where,
            f"{rule.sentence.format_map(dict(spot.words))}{caution}",
            spot.paste if rule.paste is None else rule.paste,
        )
        for spot in rule.applies(checked)
    ]
