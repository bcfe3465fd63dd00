"""How often, and after which pause, work is tried again: it failed, its run died, or it could not run where it was."""

from datetime import timedelta

from adplatform.ledger.delivery import Delivery

MAX_ATTEMPTS = 3
RETRY_AFTER = timedelta(minutes=2)
"""The wait after the first attempt that failed; doubled after each that follows."""
MAX_DEATHS = 6
"""Runs that may die without a word, of a mistake of ours or for lack of memory, before the work is given up."""
DIED_AGAIN_AFTER = timedelta(minutes=5)
HINDERED_AGAIN_AFTER = timedelta(minutes=5)
LONGEST_PAUSE = timedelta(hours=2)


def after_failure(attempt: int) -> timedelta:
    """The wait after the attempt of that number failed."""
    return min(RETRY_AFTER * float(2 ** min(attempt - 1, 10)), LONGEST_PAUSE)


def after_death(deaths: int) -> timedelta:
    """The wait after the latest of so many deaths: none after the first."""
    return min(DIED_AGAIN_AFTER * float(2 ** min(deaths - 2, 10)), LONGEST_PAUSE) if deaths > 1 else timedelta(0)


def after_hindrance(times: int) -> timedelta:
    """The wait after the place where work runs hindered it so many times in a row."""
    return min(HINDERED_AGAIN_AFTER * float(2 ** min(times - 1, 10)), LONGEST_PAUSE)


def is_given_up(delivery: Delivery) -> bool:
    """Whether only a new object or an operator moves a failed delivery on. One that readers see is closed, however long
    that takes."""
    hidden = delivery.published < delivery.version
    return delivery.permanent or (hidden and (delivery.attempt > MAX_ATTEMPTS or delivery.deaths > MAX_DEATHS))
