"""Whether as many clean rows are published of a date as usual: a check that keeps nothing from being published, and a
message when a date is unusual, which ends with a date as late that is not."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from statistics import median, median_low

from adplatform.contracts.usual_volume import FEWEST, UsualVolume
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform.lake.audit import AuditFinding
from adplatform.ledger.messages import Trouble, Unsent
from adplatform.ledger.placements import Placement
from adplatform.ledger.publications import Comparable, Publication, Versions
from adplatform.ledger.table import Write
from adplatform.ledger.volumes import trouble_name
from adplatform.platform.alert import VOLUME_UNUSUAL

USUAL_VOLUME = "usual_volume"
_WHOLE = ("count", "done_file", "manifest")
"""Rules of arrival by which a sender says that all has come."""


@dataclass(frozen=True)
class Verdict:
    """What the ``rows`` of a date are beside those of ``compared`` dates, whose median is ``usual``; None where there
    are too few. It ``is_usual`` or not, or neither may be said, in words ``why``."""

    rows: int
    compared: Mapping[date, int]
    usual: float | None
    is_usual: bool | None
    why: str

    @property
    def change(self) -> float | None:
        """By what share of the usual number there are more rows, or fewer below 0."""
        return self.rows / self.usual - 1 if self.usual else None


def judged(usual: UsualVolume, day: date, rows: int, known: Mapping[date, int], growing: str = "") -> Verdict:
    """What ``rows`` of a date are beside the ``known`` ones of other dates. Of a date that is still ``growing``, which
    says before when and why, too few are not judged."""
    if apart := usual.set_apart(day):
        return Verdict(rows, {}, None, None, f"{day} {apart}, and is compared with nothing")
    compared = {each: known[each] for each in comparable_days(usual, day, known)}
    kind = "months" if usual.months else f"{day:%A}s"
    if len(compared) < FEWEST:
        have = f"{len(compared)} earlier {kind} can be compared"
        return Verdict(rows, compared, None, None, f"nothing is said: {have}, {FEWEST} are needed")
    middle = median(compared.values())
    of = f"{_number(middle)} are usual, the median of {len(compared)} {kind} from {min(compared)} to {max(compared)}"
    came = _rows(rows)
    if abs(rows - Fraction(middle)) <= Fraction(str(usual.within)) * Fraction(middle):
        return Verdict(rows, compared, middle, True, f"{came}; {of}")
    if growing and rows < middle:
        return Verdict(rows, compared, middle, None, f"{came} so far; {of}. Fewer are not judged before {growing}")
    by = f", {abs(rows / middle - 1):.1%} {'more' if rows > middle else 'fewer'}" if middle else ""
    return Verdict(rows, compared, middle, False, f"{came}{by}; {of}, and up to {100 * usual.within:g}% more or fewer")


def comparable_of(flow: FeedFlow) -> Comparable:
    """Of each date those that it may be compared with."""
    usual = flow.feed.usual_volume
    return usual.comparable if usual else lambda _: ()


def comparable_days(usual: UsualVolume, day: date, known: Mapping[date, object]) -> list[date]:
    """The dates that a date is compared with, of those that are ``known``, the oldest first."""
    return sorted([each for each in usual.comparable(day) if each in known][: usual.most])


def verdict_of(
    flow: FeedFlow, day: date, version: int, rows: int, placed: Mapping[date, Placement], at: datetime
) -> Verdict | None:
    """The verdict on a version with so many clean rows, published ``at`` an instant, by what readers see of other
    dates; None where the feed asks for none."""
    usual = flow.feed.usual_volume
    if usual is None:
        return None
    known = {each: placement.rows for each, placement in placed.items()}
    return judged(usual, day, rows, known, _growing(flow, usual, day, version, placed, at))


def _growing(
    flow: FeedFlow, usual: UsualVolume, day: date, version: int, placed: Mapping[date, Placement], at: datetime
) -> str:
    """Before when more may come of a date, whose earlier ones came in more versions; "" where nothing says so."""
    arrival = flow.feed.arrival
    due = datetime.combine(day + timedelta(days=1), time(), UTC) + (arrival.deadline or timedelta(0))
    versions = [placed[each].version for each in comparable_days(usual, day, placed)]
    is_whole = flow.sent and arrival.complete_when in _WHOLE
    if is_whole or at >= due or not versions or version >= median_low(versions):
        return ""
    return f"{due:%Y-%m-%d %H:%M} UTC, for earlier dates came in {median_low(versions)} versions"


def finding_of(verdict: Verdict) -> AuditFinding:
    """The check ``usual_volume`` of the clean asset."""
    metrics: dict[str, int | float] = {"rows": verdict.rows, "dates_compared": len(verdict.compared)}
    if verdict.usual is not None:
        metrics["usual_rows"] = verdict.usual
    if verdict.change is not None:
        metrics["change"] = verdict.change
    details = tuple({"date": day.isoformat(), "rows": str(rows)} for day, rows in verdict.compared.items())
    return AuditFinding(USUAL_VOLUME, verdict.is_usual is not False, False, verdict.why, metrics, details)


def volume_writes(services: Services, flow: FeedFlow, known: Versions, version: Publication) -> list[Write]:
    """What is to be written with that a version is published, for people: that its date is unusual, unless that was
    said of the version before; or that it is not, where it is as late as the one that was. ``known`` is as before."""
    now, day, messages = services.ledger.now(), version.day, services.ledger.messages
    trouble, before = known.volumes.trouble, known.published
    placed = known.volumes.placed
    verdict = verdict_of(flow, day, version.version, version.clean, placed, now)
    if verdict is None or verdict.is_usual is None:
        return []
    is_newest = trouble is None or trouble.day is None or trouble.day <= day
    if verdict.is_usual:
        return [messages.clear_trouble_write(flow.source, trouble)] if trouble and is_newest else []
    if before is not None and before.version < version.version:  # a run that died may have shown it already
        said = verdict_of(flow, day, before.version, before.clean, placed, before.finished_at or now)
        if said is not None and said.is_usual is False:
            return []
    noted = Trouble(trouble_name(flow.name), verdict.why, trouble.since if trouble else now, day)
    writes = [messages.unsent_write(flow.source, _message(flow, day, version.version, verdict))]
    return [*writes, messages.trouble_write(flow.source, noted)] if is_newest else writes


def _message(flow: FeedFlow, day: date, version: int, verdict: Verdict) -> Unsent:
    facts = {
        "feed": flow.name,
        "unusual_date": day.isoformat(),
        "version": version,
        "rows": verdict.rows,
        "usual_rows": verdict.usual,
        "change": None if verdict.change is None else f"{verdict.change:+.1%}",
        "compared": [each.isoformat() for each in verdict.compared],
    }
    subject = f"{flow.name} {day}: {_rows(verdict.rows)}, {_number(verdict.usual or 0)} are usual"
    return Unsent.of(flow.topics.failure, VOLUME_UNUSUAL, subject, facts)


def _rows(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows:,} rows"


def _number(number: float) -> str:
    return f"{number:,.0f}" if number == int(number) else f"{number:,.1f}"
