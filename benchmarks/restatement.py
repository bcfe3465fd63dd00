"""What policies of reading reports again cost, and what they miss, on an account whose dates Amazon restates.

``python -m benchmarks.restatement [days]``: the account is the simulated Amazon's, so the truth is known; ``days`` is
how long each policy runs, 180 by default, after it has read the history that Amazon keeps. Judged are the dates that
are older than 50 days at the end: by then all that Amazon restates of 14-day columns has come.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import ceil

from adplatform.amazon.ads.definitions import READY_MADE, ads_definition
from adplatform.amazon.restatement import plan
from adplatform.local.world.amazon.accounts import DEMO_ACCOUNTS, Profile
from adplatform.local.world.amazon.advertising import Query, rows, truth

SALES = "sales14d"
QUERY = Query("spCampaigns", ("campaign",), ("date", "campaignId", "impressions", "clicks", "cost", SALES))
JUDGED_FROM = 51
"""The age from which a date is judged."""
_ASKED_AT = 20
"""Hour of day, in UTC, of every request: noon where the profile is."""

Range = tuple[date, date]
Policy = Callable[[date, date, Mapping[date, date]], Iterable[Range]]
"""Today, the oldest date that is wanted, and when each date was last read, to the ranges to ask for."""


@dataclass(frozen=True)
class Outcome:
    """What a policy cost and left behind. ``missed`` and ``taken_back`` are shares of the true sales: what the table
    lacks, and what it has although Amazon took it back."""

    requests: int
    dates: int
    wrong: int
    missed: float
    taken_back: float


def ours(today: date, first: date, read: Mapping[date, date]) -> list[Range]:
    """What the platform plans for a ready-made report."""
    policy = ads_definition("sp_campaigns", READY_MADE["sp_campaigns"]).policy
    return [(window.start, window.end) for window in plan(policy, today, first, read).windows]


def lookback(days: int, longest: int = 31) -> Policy:
    """The last ``days`` dates every day; on the first day all the history there is."""

    def policy(today: date, first: date, read: Mapping[date, date]) -> list[Range]:
        oldest = max(first, today - timedelta(days=days if read else 90))
        length = (today - oldest).days
        starts = [oldest + timedelta(days=longest * n) for n in range(ceil(length / longest))]
        return [(start, min(start + timedelta(days=longest - 1), today - timedelta(days=1))) for start in starts]

    return policy


POLICIES: Mapping[str, Policy] = {
    "naive: 42 days, every day": lookback(42),
    "ours": ours,
    "3-day look-back": lookback(3),
    "14-day look-back": lookback(14),
}


def run(policy: Policy, profile: Profile, seed: int, first: date, start: date, days: int) -> Outcome:
    """One policy on each day from ``start``; every request is answered."""
    read: dict[date, date] = {}
    requests = 0
    for today in (start + timedelta(days=n) for n in range(days)):
        for begin, end in policy(today, first, dict(read)):
            requests += 1
            read |= {begin + timedelta(days=n): today for n in range((end - begin).days + 1)}
    last = start + timedelta(days=days - 1)
    judged = [first + timedelta(days=n) for n in range((last - first).days - JUDGED_FROM + 1)]
    wrong, true_sales, missed, taken_back = 0, 0.0, 0.0, 0.0
    for day in judged:
        said = rows(QUERY, profile, day, _noon(read[day]), seed) if day in read else []
        final = truth(QUERY, profile, day, seed)
        wrong += said != final
        shown, true = ({row["campaignId"]: row[SALES] or 0.0 for row in table} for table in (said, final))
        true_sales += sum(true.values())
        for campaign in shown.keys() | true.keys():
            difference = true.get(campaign, 0.0) - shown.get(campaign, 0.0)
            missed += max(difference, 0.0)
            taken_back += max(-difference, 0.0)
    return Outcome(requests, len(judged), wrong, missed / true_sales, taken_back / true_sales)


def _noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, _ASKED_AT, tzinfo=UTC)


def main() -> None:
    days = int(sys.argv[1]) if len(sys.argv) > 1 else 180
    profile = next(p for p in DEMO_ACCOUNTS.profiles if p.country == "US")
    start = date(2026, 6, 1)
    print(f"{'policy':28}{'requests':>10}{'dates wrong':>15}{'sales missed':>15}{'taken back':>13}")
    for name, policy in POLICIES.items():
        found = run(policy, profile, seed=7, first=start - timedelta(days=60), start=start, days=days)
        wrong = f"{found.wrong} of {found.dates}"
        print(f"{name:28}{found.requests:>10}{wrong:>15}{found.missed:>15.1%}{found.taken_back:>13.1%}")


if __name__ == "__main__":
    main()
