"""What a server had when it was listed last, against what of it has landed and been delivered."""

from collections.abc import Iterator
from datetime import datetime

from adplatform.engines.inventory import Inventory, Item, State
from adplatform.engines.sftp.ahead import date_to_come
from adplatform.engines.sftp.client import remembered
from adplatform.engines.sftp.memories import Memories
from adplatform.engines.sftp.passes import TRANSFER
from adplatform.engines.sftp.plans import Plans
from adplatform.engines.sftp.shown import shown_files
from adplatform.engines.sftp.targets import FILES
from adplatform.flow.services import Services
from adplatform.flow.source import Source
from adplatform.platform.aws_errors import aws_failures
from adplatform.sftp.choice import Known, landed
from adplatform.sftp.memory import Memory


def take_inventory(services: Services, source: Source) -> Inventory:
    """Of a server that our own client or a connector fetches from.

    Raises:
        PermanentFailure: what was remembered is gone or damaged.
        TransientFailure: AWS does not answer at present, or does not allow it.
    """
    runs, now = services.ledger.engine_runs, services.now()
    brought = [
        run for target in (FILES, TRANSFER) for run in runs.runs(source.name, target) if run.landed_at and run.objects
    ]
    with aws_failures(source.name):
        last = services.ledger.extracts.last(source.name, FILES)
        folders = list(Memories(services, source.name).all())
        memories = [_received(services, source, each.memory) for each in folders]
        memories += [remembered(services, last)] if last else []
        items = tuple(item for memory in memories for item in _items(services, source, memory, now))
    at = max((each for each in (last and last.ended_at, *(f.at for f in folders)) if each), default=None)
    seen = f"as listed {at:%Y-%m-%d %H:%M} UTC" if at else "it was not listed yet"
    first, latest = (brought[0], brought[-1]) if brought else (None, None)
    return Inventory(seen, items, first, latest, max(len(brought) - 1, 0))


def _received(services: Services, source: Source, memory: Memory) -> Memory:
    """With what transfers have brought since it was written."""
    plans, known = Plans(services, source.name), dict(memory.known)
    for fetch in {each.fetch for each in memory.known.values() if each.fetch and not each.key}:
        receipt = plans.receipt(fetch)
        known = landed(known, receipt.landed) if receipt is not None else known
    return Memory(known, memory.refused)


def _items(services: Services, source: Source, memory: Memory, now: datetime) -> Iterator[Item]:
    shown = shown_files(services, source, memory.known, now)
    for path, each in memory.known.items():
        yield Item(path, each.size or 0, _state(path, each, shown), _reason(path, each, shown, now))
    yield from (Item(path, 0, State.REFUSED, why) for path, why in memory.refused.items())


def _state(path: str, each: Known, shown: set[str]) -> State:
    if path in shown:
        return State.DELIVERED
    if each.key:
        return State.LANDED
    if each.fetch:
        return State.FETCHED
    return State.FAILED if each.failures else State.WAITING


def _reason(path: str, each: Known, shown: set[str], now: datetime) -> str:
    if each.key and path not in shown:
        return date_to_come(each, now)
    if each.key or each.failed_at is None:
        return ""
    return f"{each.failures} times, last {each.failed_at:%Y-%m-%d %H:%M} UTC; a message says why"
