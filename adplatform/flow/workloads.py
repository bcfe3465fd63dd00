"""What services do with a table when it was published: what each declaration asks for, and what a publication wants.

That a run is wanted is in the ledger by the transaction with which the version counts as published, so nobody has to
look for publications, and none is missed. ``adplatform.engines.workloads`` has the runs.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from adplatform.contracts.consumers import Athena, ConsumerName, Consumers, QuickSight, Redshift, SageMaker
from adplatform.contracts.entity_resolution import EntityResolution
from adplatform.contracts.workloads import DATE, TABLE
from adplatform.failures import PermanentFailure
from adplatform.lake.table import TableName
from adplatform.ledger.engine_run import Intention
from adplatform.ledger.table import Write

if TYPE_CHECKING:
    from adplatform.ledger.ledger import Ledger


@dataclass(frozen=True)
class Workload:
    """What ``service`` does with the table ``source/feed``; ``name`` tells several of one service apart. It waits for
    that date of the tables ``after``. One that is ``dated`` is run for each date, others for the whole table. One that
    is ``asked`` is run when somebody wants it, and not by a publication. ``results`` is the feed that they become, if
    any."""

    table: str
    service: ConsumerName
    name: str = ""
    after: tuple[str, ...] = ()
    dated: bool = False
    asked: bool = False
    results: str = ""

    @property
    def source(self) -> str:
        return self.table.partition("/")[0]

    @property
    def feed(self) -> str:
        return self.table.partition("/")[2]

    @property
    def target(self) -> str:
        """What it is called among the targets of its source. No feed has a name with a hyphen."""
        return "-".join(filter(None, (self.service, self.feed, self.name)))


def workloads_of(table: str, consumers: Consumers) -> tuple[Workload, ...]:
    """What services do with a table ``source/feed`` that is declared so."""
    return tuple(_workloads(table, consumers))


def awaiting(table: str, others: Iterable[tuple[str, Consumers]]) -> tuple[Workload, ...]:
    """What services do with ``others`` of its source that waits for the table, too."""
    found = (each for name, consumers in others for each in workloads_of(name, consumers))
    return tuple(each for each in found if table in each.after)


def wanted(
    ledger: "Ledger", workloads: Iterable[Workload], table: str, day: date, version: int, scope: str = ""
) -> list[Write]:
    """What is to be written with that a version of ``table``, or of one ``scope`` of it, is published: that runs are
    wanted of what waits for nothing else of that date."""
    key = "/".join([*filter(None, (table, scope)), str(day), f"v{version}"])
    found = []
    for each in workloads:
        others = [f"{name}/{scope}" if scope else name for name in (each.table, *each.after) if name != table]
        if not each.asked and (not others or ledger.placements.are_there(others, day)):
            found.append(ledger.engine_runs.intend_write(Intention(each.source, each.target, key)))
    return found


def filled(text: str, table: TableName, intention: Intention) -> str:
    """What is declared of a run, with ``{table}`` and ``{date}`` filled in.

    Raises:
        PermanentFailure: it is of a date, and the intention of none.
    """
    date = published_date(intention.key)
    if DATE in text and not date:
        raise PermanentFailure(f"it is run for a date ({DATE}), which only a publication has")
    return text.replace(TABLE, f'"{table.database}"."{table.name}"').replace(DATE, date)


def published_date(key: str) -> str:
    """The date that the key of an intention is about; "" where somebody wants the run otherwise."""
    *_, day, version = ["", *key.partition(" ")[0].split("/")]
    return day if version.startswith("v") else ""


def _workloads(table: str, consumers: Consumers) -> Iterator[Workload]:
    source = table.partition("/")[0]

    def after(names: Iterable[str]) -> tuple[str, ...]:
        return tuple(f"{source}/{name}" for name in names)

    for service, settings in consumers.declared.items():
        match settings:
            case Athena():
                for name, query in settings.unloads.items():
                    yield Workload(table, service, name, after(settings.after), dated=DATE in query)
            case QuickSight() if settings.refresh == "published":
                yield Workload(table, service, after=after(settings.after))
            case EntityResolution():
                asked, results = settings.run == "asked", settings.results or ""
                yield Workload(table, service, after=after(settings.after), asked=asked, results=results)
            case SageMaker() if settings.pipeline:
                dated = any(DATE in value for value in settings.parameters.values())
                yield Workload(table, service, after=after(settings.after), dated=dated)
            case Redshift() if settings.refresh:
                yield Workload(table, service, after=after(settings.after))
            case _:
                continue
