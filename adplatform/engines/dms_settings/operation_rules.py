"""How a task is started, and loaded again."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from adplatform.engines.dms_settings.documents import CHANGES, RELOAD, RESUME, Checked
from adplatform.engines.dms_settings.rule import Rule, Severity, Spot

ERROR, WARNING = Severity.ERROR, Severity.WARNING
_SEQUENCE = re.compile(r"\d{16}\d*")


def moment(text: str) -> datetime | None:
    """The moment of a date, or of a value of ``$AR_H_CHANGE_SEQ``, in UTC; None if it is neither."""
    text = text.strip()
    if _SEQUENCE.fullmatch(text):
        text = f"{text[:8]}T{text[8:14]}"
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _gap(checked: Checked) -> Iterator[Spot]:
    operation = checked.operation
    if checked.migration != CHANGES or not operation.position or operation.start == RESUME:
        return
    begins, last = moment(operation.position), operation.last_change
    if last is not None and begins is not None:
        if begins > last:
            why = f"which is later than the newest change that is applied ({last:%Y-%m-%d %H:%M:%S} UTC)"
            yield Spot("CdcStartPosition", {"position": operation.position, "why": why})
    else:
        why = "which cannot be compared with the newest change that is applied (--last-change says it)"
        yield Spot("CdcStartPosition", {"position": operation.position, "why": why})


def _loaded_over(checked: Checked) -> Iterator[Spot]:
    operation = checked.operation
    loads = [each.at for each in operation.reloads]
    if operation.start == RELOAD and (
        operation.generation is None or any(each >= operation.generation for each in loads)
    ):
        yield Spot("StartReplicationTaskType", {"what": "The task is about to be loaded again"})
    for each in operation.reloads:
        if operation.generation is not None and each.at > operation.generation and operation.start != RELOAD:
            yield Spot(each.what, {"what": f"{each.what} was loaded again at {each.at:%Y-%m-%d %H:%M:%S} UTC"})


RULES = (
    Rule(
        44,
        WARNING,
        _gap,
        "Changes start at {position}, {why}: what lies between would be missing. Start at or before it; what comes "
        "twice is applied once.",
    ),
    Rule(
        45,
        ERROR,
        _loaded_over,
        "{what}, and no generation was opened for that: its files have the names of the load before and replace them. "
        "Open a generation first, into a folder of its own (--generation says when).",
    ),
)
