"""What steps and schedules of feeds are called in Dagster, where names are those of a code location."""

from collections.abc import Iterable

from adplatform.flow.source import FeedFlow


def step_name(kind: str, flow: FeedFlow) -> str:
    """The step that makes an asset of the feed, of the ``kind`` raw or clean."""
    return f"{kind}__{flow.source}__{flow.feed.name}"


def processing_name(flow: FeedFlow) -> str:
    return f"{flow.source}_{flow.feed.name}_processing"


def deadline_name(flow: FeedFlow) -> str:
    return f"{flow.source}_{flow.feed.name}_deadline"


def clashes(flows: Iterable[FeedFlow]) -> list[str]:
    """Feeds of different sources of which something would have the same name, which Dagster refuses to load."""
    taken: dict[str, FeedFlow] = {}
    found = []
    for flow in flows:
        for name in _names(flow):
            other = taken.setdefault(name, flow)
            if other.source != flow.source:
                found.append(
                    f"{other.source}/{other.feed.name} and {flow.source}/{flow.feed.name} would both have {name} in "
                    "Dagster: give one of the two sources or feeds another name"
                )
    return found


def _names(flow: FeedFlow) -> list[str]:
    scheduled = [processing_name(flow)] if flow.feed.schedule else []
    expected = [deadline_name(flow)] if flow.feed.arrival.deadline is not None else []
    return [step_name("raw", flow), *scheduled, *expected]
