"""One look at a source: events, a part of a listing and deliveries, each with its share of the time."""

from dataclasses import dataclass
from datetime import timedelta

from adplatform.flow.budget import Budget
from adplatform.flow.listing import Round, new_round
from adplatform.flow.settling import MOST_STARTED, Look, Mark, Runs, Settler

LIST_EVERY = timedelta(minutes=5)
"""How often the landing zone is listed for objects whose events were lost."""
LIST_FLOODED_EVERY = timedelta(minutes=1)
"""The same while more events wait than a look can take: those of another feed may be the last of them, and a listing
takes the feeds in turns."""
MOST_EVENTS = 10_000
"""Messages that one look takes, if it has the time."""
EVENTS, LISTING = 0.35, 0.5
"""Parts of the time that is left when events are received, and then when the landing zone is listed."""


@dataclass(frozen=True)
class Progress:
    """What one look leaves to the next: a round of listing, and where it stopped if it did not come to its end."""

    listing: Round | None = None
    mark: Mark | None = None

    @property
    def at_end(self) -> bool:
        """Whether everything was looked at."""
        return self.mark is None and self.listing is not None and not self.listing.left


def look_at(
    settler: Settler, runs: Runs, budget: Budget, before: Progress, every: timedelta = LIST_EVERY
) -> tuple[Look, Progress]:
    """Receive events, go on listing or begin anew when it is time, and look at deliveries, as far as the budget goes.

    Everything found is in the ledger at once, so whoever dies here loses nothing, and ``before`` may be anything.
    """
    _, received = settler.arrivals.receive_messages(MOST_EVENTS, budget.share(EVENTS))
    now = settler.ledger.now()
    listing = before.listing
    every = every if received else min(every, LIST_FLOODED_EVERY)
    if listing is None or listing.started > now or (not listing.left and now - listing.started >= every):
        listing = new_round(now, settler.source.lanes)
    if listing.left:
        _, listing = settler.arrivals.go_on(listing, budget.share(LISTING))
    found = settler.look(runs, budget, before.mark, listing=listing, most=MOST_STARTED)
    return found, Progress(listing, found.mark)
