"""The day of an Ads account of 300 profiles and 15 reports, reckoned from what ``benchmarks.many_profiles --keep`` has
measured: ``python -m benchmarks.profiles_day`` prints the tables of ``docs/scale.md``. Prices are those of
``deploy/prices.yaml``.
"""

import json
from collections import Counter
from dataclasses import dataclass

from benchmarks.many_profiles import FIGURES, Figures
from deploy.cost import read_prices

PROFILES, TABLES = 300, 15
REPORTS, DATES = 5_235, 145_000
"""Reports and their dates of a day: 17.5 requests a profile, as ``amazon.restatement`` plans them."""
CHANGED = 1 / 3
"""The part of the dates that come with other rows than before; assumed."""
POLLS = 4
"""Of a report, until it is ready; assumed."""
TICKS = 24 * 60 * 2
DATES_OF_A_RUN = 200
START, CPUS, GIGABYTES, LEAST = 6.0, 2, 4, 60.0
"""CPU seconds until a run begins its work, CPUs and memory of its task, and seconds that Fargate bills at least."""
UNITS_OF_DATE, UNITS_OF_REPORT, UNITS_UNCHANGED = 40, 60, 2
"""Write units of the ledger: a row of a transaction is paid twice (DynamoDB Developer Guide, "Read/write capacity")."""
_STORED = ("PutObject", "CopyObject", "ListObjectsV2", "ListObjectVersions")


@dataclass(frozen=True)
class Line:
    """One kind of work of a day: how much of it, its calls and its CPU seconds."""

    what: str
    units: float
    calls: float
    cpu: float
    stored: float


def lines(figures: Figures) -> list[Line]:
    changed = DATES * CHANGED
    work = {
        "planning and ordering": REPORTS,
        "polling": REPORTS * POLLS,
        "a tick": TICKS,
        "published": changed,
        "unchanged": DATES - changed,
    }
    found = []
    for name, units in work.items():
        one = figures[name]
        asked = Counter(one["calls"])
        each = units / one["units"]
        stored = sum(asked[operation] for operation in _STORED) * each
        found.append(Line(name, units, asked.total() * each, one["cpu"] * each, stored))
    return found


def main() -> None:
    figures: Figures = json.loads(FIGURES.read_text())
    prices, day = read_prices(), lines(figures)
    runs = DATES / DATES_OF_A_RUN
    print("| what | a day | calls | CPU s |\n|---|---|---|---|")
    for line in day:
        print(f"| {_called(line.what)} | {line.units:,.0f} | {line.calls:,.0f} | {line.cpu:,.0f} |")
    print(f"| runs that land reports, until they begin | {runs:,.0f} | | {runs * START:,.0f} |")
    calls, cpu = sum(line.calls for line in day), sum(line.cpu for line in day) + runs * START
    print(f"| together | | {calls:,.0f} | {cpu:,.0f} |\n")
    landing = sum(line.cpu for line in day if line.what in ("published", "unchanged")) / runs
    seconds = runs * max(LEAST, START + 2 * landing)  # of a run about half is waiting for answers
    hours = seconds / 3600
    units = DATES * CHANGED * UNITS_OF_DATE + DATES * (1 - CHANGED) * UNITS_UNCHANGED + REPORTS * UNITS_OF_REPORT
    stored = sum(line.stored for line in day)
    task = hours * (CPUS * prices.hourly["fargate_cpu"] + GIGABYTES * prices.hourly["fargate_gigabyte"])
    costs = {
        f"Fargate: {hours:,.1f} hours of tasks with {CPUS} CPUs and {GIGABYTES} GB": task,
        f"S3: {stored:,.0f} puts, copies and listings": stored / 1000 * prices.used["s3_thousand_writes"],
        f"DynamoDB: {units / 1e6:,.1f} million write units": units / 1e6 * prices.used["dynamodb_million_writes"],
        f"SNS: {DATES * CHANGED:,.0f} messages": DATES * CHANGED / 1e6 * prices.used["messages_million"],
    }
    print("| what is paid for | USD a day |\n|---|---|")
    for what, cost in costs.items():
        print(f"| {what} | {cost:,.2f} |")
    print(f"| together | {sum(costs.values()):,.2f} |")


def _called(what: str) -> str:
    names = {"published": "dates with other rows, landed and published", "unchanged": "dates with the same rows"}
    return names.get(what, {"polling": "polls", "a tick": "ticks"}.get(what, f"{what}, reports"))


if __name__ == "__main__":
    main()
