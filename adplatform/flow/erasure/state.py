"""An erasure while it works: what was wished, what was done, and what is in the way."""

from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow.again import Work
from adplatform.flow.erasure.search import ERASED, Search
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow, Source
from adplatform.lake.versions import StoredVersion
from adplatform.ledger.erasures import ErasedObject, Erasure
from adplatform.ledger.leases import Lease
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.objects import RawObject
from adplatform.platform.aws_errors import aws_failures
from adplatform.privacy.person import Identifier, Person

ADVICE = "`adplatform erase`"
EDITED, REWRITTEN, DELETED, REMADE, RENAMED = "edited", "rewritten", "deleted", "published again", "renamed"
"""What was done: a sender's file has fewer records and lies in the archive, decrypted; a file of the platform's has
fewer rows under its key; a version is gone; a delivery is a new version; a row of the ledger has other names."""


@dataclass(frozen=True)
class Wish:
    """Whom to erase. ``readers`` have so long to turn to what was published again before earlier files are deleted; a
    ``dry_run`` only looks."""

    identifiers: Sequence[Identifier] = field(repr=False)
    readers: timedelta = timedelta(0)
    dry_run: bool = False


@dataclass
class Erasing:
    """What the steps of an erasure share. ``done`` and ``problems``, by place, grow while it works; ``days`` keeps what
    was read of deliveries."""

    services: Services
    source: Source
    flows: Sequence[FeedFlow]
    tables: Sequence[FeedFlow]
    person: Person
    erasure: Erasure
    search: Search
    work: Work
    wish: Wish
    lease: Lease
    done: list[ErasedObject] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    days: dict[tuple[str, date], list[RawObject]] = field(default_factory=dict)

    @property
    def ledger(self) -> Ledger:
        return self.services.ledger

    def note(self, stored: StoredVersion, what: str, rows: int = 0) -> None:
        """Before it is done, in the ledger, with names without the person."""
        place = f"s3://{stored.bucket}/{self.person.without(stored.key, ERASED)}"
        self.note_place(place, stored.version, what, rows)

    def note_place(self, place: str, stored: str, what: str, rows: int = 0) -> None:
        done = ErasedObject(self.erasure.id, place, stored, what, rows)
        self.done.append(done)
        if not self.wish.dry_run:
            self.ledger.erasures.note(self.source.name, [done])

    def delete(self, stored: StoredVersion) -> None:
        self.services.store.delete_versions(stored.bucket, [(stored.key, stored.version)])


@contextmanager
def apart(name: str, problems: dict[str, str]) -> Any:
    """A failure of one delivery is noted among the problems, so that the others go on."""
    try:
        with aws_failures(name):
            yield
    except (PermanentFailure, TransientFailure) as e:
        text = str(e)
        problems[name] = text if name in text else f"{name}: {text}"
