"""The check itself: every rule on one task, and what could not be looked at."""

from collections.abc import Iterator, Sequence

from adplatform.engines.dms_settings import (
    mapping_rules,
    operation_rules,
    other_source_rules,
    postgres_rules,
    target_rules,
    task_rules,
)
from adplatform.engines.dms_settings.documents import Checked
from adplatform.engines.dms_settings.rule import Finding, Rule, Severity, Spot, findings_of


def _unreadable(checked: Checked) -> Iterator[Spot]:
    sections = [checked.target, checked.task, *([checked.endpoint.settings] if checked.endpoint else [])]
    for each in (*(m for s in sections for m in s.unreadable()), *checked.mappings.mistakes):
        yield Spot(each.where, {"reason": each.reason})


RULES: Sequence[Rule] = sorted(
    (
        Rule(0, Severity.ERROR, _unreadable, "This setting {reason}."),
        *target_rules.RULES,
        *task_rules.RULES,
        *mapping_rules.RULES,
        *postgres_rules.RULES,
        *other_source_rules.RULES,
        *operation_rules.RULES,
    ),
    key=lambda rule: rule.number,
)
"""By number. Number 0 is for settings that cannot be read."""


def check(checked: Checked) -> list[Finding]:
    """What of a task's settings loses or reorders data, errors first."""
    found = [finding for rule in RULES for finding in findings_of(rule, checked)]
    return sorted(found, key=lambda finding: finding.severity is not Severity.ERROR)


def not_looked_at(checked: Checked) -> list[str]:
    """What some rules ask for and nobody has shown, for people."""
    missing = []
    if checked.source is None:
        missing.append("the source database: its keys, its log, its large values (--source)")
    else:
        large = [column for table in checked.source.tables for column in table.columns if column.lob]
        if large and all(column.longest is None for column in large):
            missing.append("how long the longest values are, against LobMaxSize (--longest, reads the tables whole)")
    if checked.endpoint is None:
        missing.append("the source endpoint: heartbeat and DDL")
    if checked.others is None:
        missing.append("other tasks that may write to the same folder")
    if checked.bucket is None:
        missing.append("whether the bucket keeps versions")
    if checked.operation.generation is None and not checked.operation.start:
        missing.append("whether it was loaded again (--generation), or is to be (--start)")
    return missing
