"""Servers whose clock is ahead of ours: files without a date in their names wait for the date that it says."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from adplatform.contracts.sftp import SftpSource
from adplatform.failures import listed
from adplatform.flow.services import Services
from adplatform.ledger.messages import Unsent
from adplatform.sftp.choice import Known

TOLERATED = timedelta(minutes=5)
_TOLD = "clock-ahead"


def ahead_of(declared: SftpSource, known: Mapping[str, Known], at: datetime) -> dict[str, timedelta]:
    """The files that were changed after ``at``, when they were listed, by so much more than clocks may differ, and
    whose date nothing but that time says; by path."""
    undated = {feed.name for feed in declared.fetched if "{date" not in feed.remote}
    changed = ((path, each.modified) for path, each in known.items() if each.feed in undated)
    found = {path: modified - at for path, modified in changed if modified is not None}
    return {path: ahead for path, ahead in found.items() if ahead > TOLERATED}


def tell_of_clock(services: Services, declared: SftpSource, known: Mapping[str, Known], at: datetime) -> None:
    """Have people told of such files, once."""
    ahead = ahead_of(declared, known, at)
    if not ahead:
        return
    most = max(ahead.values())
    said = (
        f"the clock of the server, or of whoever writes there, is {_span(most)} ahead: {listed(sorted(ahead))}. Files "
        "without a date in their names are of the date on which they were changed, and are delivered once that has "
        "begun. Have the clock set, or dates written into the names and into `remote`"
    )
    facts = {"source": declared.source, "server": declared.host.url, "error": said}
    message = Unsent.of(
        declared.topics.failure, "clock_ahead", f"{declared.source}: the server's clock is ahead", facts
    )
    services.ledger.messages.note_unsent(declared.source, _TOLD, message)


def date_to_come(known: Known, now: datetime) -> str:
    """Why a file is not delivered that was changed on a date that has not begun; empty where it has."""
    if known.modified is None or known.modified.date() <= now.date():
        return ""
    return f"it was changed on {known.modified:%Y-%m-%d}, which has not begun: the clock there is ahead"


def _span(time: timedelta) -> str:
    minutes = round(time.total_seconds() / 60)
    days, minutes = divmod(minutes, 24 * 60)
    parts = {"d": days, "h": minutes // 60, "min": minutes % 60}
    return " ".join(f"{count} {unit}" for unit, count in parts.items() if count)
