"""What a server had when it was listed last, against what of it has landed and been delivered."""

from collections.abc import Iterator
from datetime import datetime

from adplatform.engines.inventory import Inventory, Item, State
from adplatform.engines.sftp_client import TARGET, remembered
from adplatform.engines.sftp_shown import shown_files
from adplatform.flow.services import Services
from adplatform.flow.source import Source
from adplatform.platform.aws_errors import aws_failures
from adplatform.sftp.choice import Known
from adplatform.sftp.memory import Memory


def take_inventory(services: Services, source: Source) -> Inventory:
    """
    Raises:
        PermanentFailure: what was remembered is gone or damaged.
        TransientFailure: AWS does not answer at present, or does not allow it.
    """
    last = services.ledger.extracts.last(source.name, TARGET)
    runs = services.ledger.engine_runs.runs(source.name, TARGET)
    brought = [run for run in runs if run.landed_at and run.objects]
    with aws_failures(source.name):
        memory = remembered(services, last)
        items = tuple(_items(services, source, memory, services.now()))
    seen = f"as listed {last.ended_at:%Y-%m-%d %H:%M} UTC" if last and last.ended_at else "it was not listed yet"
    first, latest = (brought[0], brought[-1]) if brought else (None, None)
    return Inventory(seen, items, first, latest, max(len(brought) - 1, 0))


def _items(services: Services, source: Source, memory: Memory, now: datetime) -> Iterator[Item]:
    shown = shown_files(services, source, memory.known, now)
    for path, each in memory.known.items():
        yield Item(path, each.size or 0, _state(path, each, shown), _reason(each))
    yield from (Item(path, 0, State.REFUSED, why) for path, why in memory.refused.items())


def _state(path: str, each: Known, shown: set[str]) -> State:
    if path in shown:
        return State.DELIVERED
    if each.key:
        return State.LANDED
    return State.FAILED if each.failures else State.WAITING


def _reason(each: Known) -> str:
    if each.key or each.failed_at is None:
        return ""
    return f"{each.failures} times, last {each.failed_at:%Y-%m-%d %H:%M} UTC; a message says why"
