"""A delivery that a run works on, with what is known of its version."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from adplatform.failures import PermanentFailure
from adplatform.flow.engine_work import goes_to_engine
from adplatform.flow.parts import Base, base_of
from adplatform.flow.services import Services
from adplatform.flow.shown import is_placed
from adplatform.flow.source import FeedFlow
from adplatform.flow.usual_volume import comparable_of
from adplatform.flow.version import VersionObject, identity_of, objects_of, origin_of, read_settlement
from adplatform.ledger.delivery import Delivery
from adplatform.ledger.publications import MOST_READ_BESIDE, FileOutcome, Publication, Versions

_READ = ("known", "settlement", "objects", "base", "added")
"""What is read of a delivery once, of the properties of one that has begun."""


@dataclass(frozen=True)
class Begun:
    """A delivery that this run has claimed, and a private directory to work on it in."""

    services: Services
    flow: FeedFlow
    delivery: Delivery
    work: Path

    def going_on(self, before: "Begun | None") -> Self:
        """The same with what a step before has read of the delivery, if it is still as it was then."""
        if before is not None and (before.flow, before.delivery) == (self.flow, self.delivery):
            read = {name: vars(before)[name] for name in _READ if name in vars(before)}
            vars(self).update(read)
        return self

    @cached_property
    def known(self) -> Versions:
        """What the ledger knew of the delivery when that was first asked. Of a version that nobody can have shown, its
        objects, too, if they are few."""
        entries = self.settlement["objects"] if self.is_first and self.delivery.manifest_key else ()
        few = entries if len(entries) <= MOST_READ_BESIDE else ()
        publications, comparable = self.services.ledger.publications, comparable_of(self.flow)
        return publications.of_delivery(
            self.flow.name, self.flow.table, self.delivery, map(identity_of, few), comparable
        )

    @property
    def is_first(self) -> bool:
        """Whether nothing says that another run has had the version before."""
        seen = self.delivery
        return seen.attempt <= 1 and seen.launch <= 1 and not seen.deaths and seen.published < seen.version

    @property
    def publication(self) -> Publication:
        """The row of its version.

        Raises:
            PermanentFailure: it was never settled.
        """
        if self.known.latest is None:
            raise PermanentFailure(
                f"{self.flow.name} {self.delivery.day}: version {self.delivery.version} was never settled"
            )
        return self.known.latest

    @cached_property
    def settlement(self) -> dict[str, Any]:
        """The manifest of its version."""
        key = self.delivery.manifest_key or self.publication.manifest_key
        return read_settlement(self.services.s3, self.services.zones, key)

    @cached_property
    def objects(self) -> list[VersionObject]:
        """What its version consists of."""
        return self._objects_of(self.settlement["objects"])

    def _objects_of(self, entries: Sequence[Mapping[str, Any]]) -> list[VersionObject]:
        return objects_of(self.services.ledger, self.flow, self.publication, entries, self.known.objects)

    @cached_property
    def base(self) -> Base | None:
        """What its version can take over, by what was seen when that was first asked."""
        return base_of(self.services, self.flow, self.delivery.version, self.known, self.settlement)

    @cached_property
    def added(self) -> list[VersionObject]:
        """What its version has beside that."""
        if self.base is None:
            return self.objects
        taken = self.base.outcomes
        return self._objects_of([e for e in self.settlement["objects"] if origin_of(e) not in taken])

    @cached_property
    def landed(self) -> dict[str, FileOutcome] | None:
        """What became of its files, by origin, where a run landed all of them before an engine was given the version:
        they are not looked at again. None where they are to land."""
        if not self.delivery.transform or not goes_to_engine(self.services, self.flow):
            return None
        day, version = self.delivery.day, self.delivery.version
        known = {
            each.origin: each for each in self.services.ledger.publications.file_outcomes(self.flow.name, day, version)
        }
        return known if all(item.origin in known for item in self.objects) else None

    @property
    def promised(self) -> dict[str, int]:
        """The rows of each object by its origin, where a manifest of the sender says how many."""
        entries = self.settlement["objects"]
        return {origin_of(e): e["rows"] for e in entries if e["rows"] is not None}

    @property
    def rows_before(self) -> int | None:
        """How many rows of the delivery readers saw when it was claimed; None when there was none."""
        if self.lessened:
            return None
        return self.known.published.clean if self.known.published else None

    @property
    def lessened(self) -> bool:
        """Whether the version is made again because an erasure has left less of its files."""
        return bool(self.settlement.get("erasure"))

    @property
    def shown(self) -> bool:
        """Whether readers saw the version when that was first asked, so that nothing but closing it is left to do."""
        return is_placed(self.known.placement, self.delivery)
