"""What of the declared resources services have: planned for people, and made so."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from adplatform.consumers.fitness import declared_fitness
from adplatform.consumers.registration.changes import Change, compare
from adplatform.consumers.registration.kinds import REGISTRATIONS, kind_of
from adplatform.consumers.registration.resource import TABLE, Definition, Kind, Place, Tagged, There, Wanted
from adplatform.consumers.table import ConsumedTable
from adplatform.contracts.consumers import ConsumerName
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.platform.aws import Aws
from adplatform.platform.aws_errors import aws_failures


@dataclass(frozen=True)
class Refused:
    """A table that is not registered with a service, and why."""

    consumer: ConsumerName
    table: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Given:
    """What people give a service themselves for a table."""

    consumer: ConsumerName
    table: str
    definition: Definition


@dataclass(frozen=True)
class Declared:
    """What services are to have, what others require first, which tables are not registered, and what people give."""

    wanted: tuple[Wanted, ...] = ()
    refused: tuple[Refused, ...] = ()
    given: tuple[Given, ...] = ()


@dataclass(frozen=True)
class Done:
    """What became of a change: made, or why not."""

    change: Change
    failure: str = ""


@dataclass(frozen=True)
class Clients:
    """boto3 clients, one for each service; those of ``once`` repeat no call by themselves."""

    aws: Aws
    _made: dict[tuple[str, bool], Any] = field(default_factory=dict)

    def of(self, service: str, *, once: bool = False) -> Any:
        if (service, once) not in self._made:
            make = self.aws.client_once if once else self.aws.client
            self._made[service, once] = make(service)
        return self._made[service, once]

    def for_(self, kind: Kind, *, once: bool = False) -> tuple[Any, ...]:
        """What functions of a kind are given first."""
        return tuple(self.of(service, once=once) for service in (kind.service, kind.also) if service)


def declared(tables: Iterable[ConsumedTable], place: Place, is_in_catalog: Callable[[ConsumedTable], bool]) -> Declared:
    """What the tables that are fit and in the catalog declare. Of a service that nothing registers with there is
    nothing."""
    wanted: list[Wanted] = []
    refused: list[Refused] = []
    given: list[Given] = []
    for table in tables:
        unfit = {name: [e for e in found if e.level == "error"] for name, found in declared_fitness(table).items()}
        known = [name for name in table.consumers.declared if name in REGISTRATIONS]
        missing = bool(known) and not is_in_catalog(table)
        for name in known:
            reasons = [f"{each.setting}: {each}" if each.setting else str(each) for each in unfit[name]]
            if missing:
                reasons.append("it is not in the catalog yet: the first publication of the feed makes it")
            settings = table.consumers.declared[name]
            reasons += REGISTRATIONS[name].lacking(settings, place.settings)
            if reasons:
                refused.append(Refused(name, table.qualified, tuple(reasons)))
                continue
            wanted += REGISTRATIONS[name].wanted(table, settings, place)
            if (definition := REGISTRATIONS[name].given(table, settings, place)) is not None:
                given.append(Given(name, table.qualified, definition))
    return Declared(tuple(wanted), tuple(refused), tuple(given))


def planned(clients: Clients, wanted: Iterable[Wanted]) -> Iterator[Change]:
    """How each resource differs from what is there. What cannot be looked at is refused."""
    for each in wanted:
        try:
            yield compare(each, _read(clients, each))
        except (PermanentFailure, TransientFailure) as e:
            yield Change(each, "refused", refusals=(str(e),))


def registered(clients: Clients, wanted: Sequence[Wanted]) -> Iterator[Done]:
    """Make each resource what it is to be, what others require first, and say what became of it. What fails keeps only
    those from being made that require it."""
    lacking: set[str] = set()
    for each in wanted:
        required = [key for key in each.requires if key in lacking]
        if required:
            done = Done(Change(each, "refused"), f"it requires the {required[0]}, which is not as declared")
        else:
            done = _registered(clients, each)
        if done.failure:
            lacking.add(each.key)
        yield done


def undeclared(clients: Clients, place: Place, known: Declared) -> tuple[list[Tagged], list[str]]:
    """What has tags of this platform and nothing declares any more, and why some services could not be asked. What is
    of a table that is refused is not among it. An account need not have a service that no table declares."""
    wanted = {(each.kind, each.name) for each in known.wanted}
    refused = {(each.consumer, each.table) for each in known.refused}
    used = {each.consumer for each in known.wanted} | {each.consumer for each in known.refused}
    found: list[Tagged] = []
    failures: list[str] = []
    for consumer, registration in REGISTRATIONS.items():
        for kind in registration.kinds.values():
            try:
                with aws_failures(f"what {kind.service} has"):
                    tagged = list(kind.tagged(*clients.for_(kind), place))
            except (PermanentFailure, TransientFailure) as e:
                failures += [str(e)] if consumer in used else []
                continue
            found += [
                each
                for each in tagged
                if place.is_own(each.tags)
                and (each.kind, each.name) not in wanted
                and (consumer, each.tags.get(TABLE)) not in refused
            ]
    return found, failures


def _registered(clients: Clients, wanted: Wanted) -> Done:
    change = Change(wanted, "refused")
    try:
        there = _read(clients, wanted)
        change = compare(wanted, there)
        if change.state == "create":
            _make(clients, wanted)
        elif there is not None:
            _mend(clients, change, there)
    except (PermanentFailure, TransientFailure) as e:
        return Done(change, str(e))
    return Done(change, "; ".join(change.refusals))


def _make(clients: Clients, wanted: Wanted) -> None:
    """Make the resource. Where the answer was lost that says so, or somebody else was faster, it is there, and what of
    it is still missing is made.

    Raises:
        TransientFailure, PermanentFailure: it is not there.
    """
    kind = kind_of(wanted)
    try:
        with aws_failures(wanted.key):
            kind.create(*clients.for_(kind, once=not kind.unique), wanted)
    except (PermanentFailure, TransientFailure):
        there = _read(clients, wanted)
        if there is None or compare(wanted, there).refusals:
            raise
        _mend(clients, compare(wanted, there), there)


def _mend(clients: Clients, change: Change, there: There) -> None:
    if change.state == "update":
        kind = kind_of(change.wanted)
        with aws_failures(change.wanted.key):
            kind.update(*clients.for_(kind), change.wanted, there)


def _read(clients: Clients, wanted: Wanted) -> There | None:
    kind = kind_of(wanted)
    with aws_failures(wanted.key):
        return kind.read(*clients.for_(kind), wanted)
