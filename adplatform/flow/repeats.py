"""Files whose bytes came before under another name: a sender who sends a file again in that way means it only once.

What is compared is the SHA-256 of the content as it is read, decrypted, which is computed while a file is fetched. Only
a file that brought rows is repeated, of another date only one that readers see.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta

from adplatform.failures import listed
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform.flow.verdicts import refused, verdict
from adplatform.flow.version import VersionObject
from adplatform.ledger.publications import FileOutcome, Outcome

log = logging.getLogger(__name__)


def repeats(
    services: Services,
    flow: FeedFlow,
    day: date,
    fetched: Iterable[tuple[VersionObject, FileOutcome]],
    before: Iterable[FileOutcome] = (),
) -> dict[str, FileOutcome]:
    """Of the fetched files those that repeat one that came earlier, which is left, by origin, with the outcome of that.
    ``before`` are files of the same date that are not read again."""
    if not _are_looked_for(flow):
        return {}
    first = {o.content: o for o in before if _brought_rows(o)}
    found: dict[str, FileOutcome] = {}
    new: list[FileOutcome] = []
    for item, outcome in sorted(fetched, key=lambda each: each[0].object.number):
        if original := first.get(outcome.content):
            found[item.origin] = original
        else:
            first[outcome.content] = outcome
            new.append(outcome)
    shown = _shown_lately(services, flow, day) if new and flow.feed.duplicate_days else {}
    return found | {each.origin: shown[each.content] for each in new if each.content in shown}


def judged(
    flow: FeedFlow,
    outcomes: Sequence[FileOutcome],
    repeated: Mapping[str, FileOutcome],
    items: Mapping[str, VersionObject],
) -> tuple[FileOutcome, ...]:
    """The outcomes with what becomes of those ``repeated``, once it is known whether the first brought rows."""
    now = {each.origin: each for each in outcomes}
    done = []
    for each in outcomes:
        first = repeated.get(each.origin)
        if first is None:
            done.append(each)
        elif not _brought_rows(now.get(first.origin, first)):
            done.append(
                replace(each, outcome=now.get(first.origin, first).outcome, reason="as the file with its bytes")
            )
        else:
            of = "" if first.day == each.day else f" of {first.day}"
            text = f"its bytes came as {first.called}{of} before, under another name"
            if flow.feed.duplicate_content == "refuse":
                text += "; set duplicate_content to ignore or allow, or leave it out"
                done.append(replace(refused(each, "repeated", text), outcome=verdict(flow, items[each.origin])))
            else:
                log.warning("%s is left out: %s", each.called, text)
                done.append(replace(each, outcome=Outcome.REPEATED, reason=text))
    return tuple(done)


def said_of(outcomes: Sequence[FileOutcome]) -> str:
    """What to know of a version that leaves files, or members of archives, out; "" where there is nothing."""
    said: list[str] = []
    if left := [each.called for each in outcomes if each.outcome is Outcome.REPEATED]:
        files = "1 file is left out that has" if len(left) == 1 else f"{len(left)} files are left out that have"
        said.append(f"{files} the bytes of others: {listed(left)}")
    if skipped := sum(each.skipped for each in outcomes):
        of = listed([each.called for each in outcomes if each.skipped])
        said.append(f"{skipped:,} member{'s are' if skipped > 1 else ' is'} not read of the archives {of}")
    return "; ".join(said)


def _are_looked_for(flow: FeedFlow) -> bool:
    """A key tells rows apart by itself, and versions of one file are meant to be read."""
    setting = flow.feed.duplicate_content
    return not flow.every_version and (setting == "refuse" or (setting == "ignore" and not flow.feed.key))


def _brought_rows(outcome: FileOutcome) -> bool:
    return outcome.outcome is Outcome.LOADED and outcome.rows_in > 0 and bool(outcome.content)


def _shown_lately(services: Services, flow: FeedFlow, day: date) -> dict[str, FileOutcome]:
    """The files that readers see of the dates before, by their content."""
    ledger, found = services.ledger, dict[str, FileOutcome]()
    for days in range(1, flow.feed.duplicate_days + 1):
        earlier = day - timedelta(days=days)
        published = ledger.deliveries.get(flow.name, earlier).published
        outcomes = ledger.publications.file_outcomes(flow.name, earlier, published) if published else ()
        found |= {each.content: each for each in outcomes if _brought_rows(each)}
    return found
