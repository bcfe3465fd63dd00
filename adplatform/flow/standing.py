"""What happens next to a delivery, and what a person can do."""

from adplatform.files.arrivals import Wait
from adplatform.flow.failed import instant
from adplatform.flow.patience import MAX_ATTEMPTS, is_given_up
from adplatform.ledger.delivery import Delivery, DeliveryState
from adplatform.ledger.folds import Fold, FoldState


def waits(wait: Wait) -> str:
    return f"waits: {wait.because}" + (f", until {instant(wait.until)}" if wait.until else "")


def next_step(name: str, delivery: Delivery, wait: Wait | None, work: str = "") -> str:
    """What happens next to a delivery, and what a person can do; ``work`` is what an engine does for it."""
    match delivery.state:
        case DeliveryState.SETTLED:
            return f"the next look starts attempt {delivery.attempt} of {MAX_ATTEMPTS}"
        case DeliveryState.RUNNING:
            return f"run {delivery.run_id} is at work"
        case DeliveryState.TRANSFORMING:
            return work
    if wait and wait.because == delivery.error:
        return f"judged again when an object comes; `adplatform settle {name} {delivery.day}` takes what is there"
    if wait:
        return waits(wait)
    if delivery.state is DeliveryState.FAILED:
        if not is_given_up(delivery):
            when = f" from {instant(delivery.not_before)}" if delivery.not_before else ""
            return f"it is tried again by itself{when}"
        return f"nothing until an object comes, or `adplatform retry {name} {delivery.day}`"
    if delivery.state is DeliveryState.PUBLISHED:
        return "nothing; a late or corrected file opens the date again"
    return "nothing has arrived"


def merge_line(row: Fold) -> str:
    """Where the merges of a table stand, and what happens next."""
    seen = f"readers see merge {row.number}" if row.number else "readers see nothing yet"
    match row.state:
        case FoldState.WITH_ENGINE:
            now = f"an engine makes merge {row.next}; `adplatform runs {row.source}` shows the run"
        case FoldState.RUNNING:
            now = f"run {row.run_id} makes merge {row.next}"
        case FoldState.WAITING:
            when = f" from {instant(row.not_before)}" if row.not_before else ""
            now = f"merge {row.next} waits for a run{when}" + (f": {row.error}" if row.error else "")
        case FoldState.FAILED:
            now = f"merge {row.next} has failed: {row.error}; mend it, then `adplatform retry {row.name}`"
        case FoldState.SUCCEEDED:
            now = "the next one is planned when there are changes"
    return f"{row.name}: {seen}; {now}"
