"""Whether a table is fit for the services that are to read it: by its contract, and by what a delivery brings."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import reduce
from io import RawIOBase
from operator import or_
from pathlib import Path

from adplatform.consumers import athena, clean_rooms, entity_resolution, quicksight, redshift, sagemaker
from adplatform.consumers.finding import Finding
from adplatform.consumers.table import ConsumedTable, Table
from adplatform.consumers.values import Asked, values_of
from adplatform.contracts.clean_rooms import CleanRooms
from adplatform.contracts.consumers import Athena, Consumer, ConsumerName, QuickSight, Redshift, SageMaker
from adplatform.contracts.entity_resolution import EntityResolution
from adplatform.failures import listed
from adplatform.lake.audit import AuditFinding


def fitness(table: Table, consumer: Consumer) -> list[Finding]:
    """What keeps a service from reading the table as its settings say, errors first."""
    return sorted(_findings(table, consumer), key=lambda each: each.level != "error")


def check_name(consumer: ConsumerName) -> str:
    """The name of the check that says whether a delivery is fit for a service."""
    return f"fit_for_{consumer}"


def declared_fitness(table: ConsumedTable) -> dict[ConsumerName, list[Finding]]:
    """What each service that is to read the table could not take, by the contract alone."""
    return {name: fitness(table.seen, settings) for name, settings in table.consumers.declared.items()}


def fit_for(
    table: ConsumedTable, parquet: Sequence[Path | RawIOBase], work: Path, memory_limit: str, threads: int
) -> list[AuditFinding]:
    """One finding for each service that is to read the table, by its contract and the files of a delivery.

    Raises:
        TransientFailure: as :func:`adplatform.consumers.values.values_of`.
    """
    declared = table.consumers.declared
    if not declared:
        return []
    asked = reduce(or_, (_asked(table.seen, settings) for settings in declared.values()), Asked())
    known = replace(table.seen, values=values_of(parquet, asked, work, memory_limit, threads))
    return [_judged(name, fitness(known, settings)) for name, settings in declared.items()]


def _judged(consumer: ConsumerName, findings: Iterable[Finding]) -> AuditFinding:
    found = list(findings)
    errors = sum(each.level == "error" for each in found)
    return AuditFinding(
        check_name(consumer),
        not errors,
        False,
        listed(map(str, found), separator="; ") or "nothing keeps it from reading the table",
        {"errors": errors, "warnings": len(found) - errors},
        tuple({"level": e.level, "column": e.column, "setting": e.setting, "text": e.text} for e in found),
    )


def _findings(table: Table, consumer: Consumer) -> Iterable[Finding]:
    match consumer:
        case CleanRooms():
            return clean_rooms.findings(table, consumer)
        case EntityResolution():
            return entity_resolution.findings(table, consumer)
        case Athena():
            return athena.findings(table, consumer)
        case Redshift():
            return redshift.findings(table)
        case SageMaker():
            return sagemaker.findings(table, consumer)
        case QuickSight():
            return quicksight.findings(table, consumer)


def _asked(table: Table, consumer: Consumer) -> Asked:
    match consumer:
        case CleanRooms():
            return clean_rooms.asked(table, consumer)
        case EntityResolution():
            return entity_resolution.asked(table, consumer)
        case Redshift():
            return redshift.asked(table)
        case QuickSight():
            return quicksight.asked(table, consumer)
        case _:
            return Asked()
