"""What people were notified of, or are still to be: troubles of a source, messages sent once, messages unsent."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Self

from adplatform.ledger.objects import Refused
from adplatform.ledger.rows import Item, digest, from_item
from adplatform.ledger.table import NEW, Table, Write

PLATFORM = "_platform"
"""In the place of a source: messages about the platform, or about several sources."""
REMEMBER_NOTIFIED = timedelta(days=90)
"""For longer than any backfill takes."""


@dataclass(frozen=True)
class Trouble:
    """What is refused to a source or hinders it at present, for example access to a scope. People were notified when
    it began. ``day`` is the date that it is about, where that is one."""

    what: str
    error: str
    since: datetime
    day: date | None = None

    @property
    def sort_key(self) -> str:
        return f"trouble#{self.what}"


@dataclass(frozen=True)
class Notified:
    """A message that many runs may have reason to send and one sends: of a backfill, or of a date's deadline."""

    what: str
    at: datetime

    @property
    def sort_key(self) -> str:
        return f"told#{self.what}"


@dataclass(frozen=True)
class Unsent:
    """A message of a failure that nobody has got yet; ``facts`` is JSON, and an empty ``topic`` the platform's. With a
    ``bus`` it is an event that this bus of EventBridge has not got yet. With a ``form`` it goes to that topic alone, in
    the form that its subscribers read, and ``facts`` has the whole alert."""

    event: str
    subject: str
    facts: str
    topic: str = ""
    bus: str = ""
    form: str = ""

    @classmethod
    def of(cls, topic: str | None, event: str, subject: str, facts: Mapping[str, Any]) -> Self:
        return cls(event, subject, json.dumps(facts, default=str, sort_keys=True), topic or "")

    @classmethod
    def of_bus(cls, bus: str, event: str, detail: Mapping[str, Any]) -> Self:
        return cls(event, "", json.dumps(detail, default=str, sort_keys=True), bus=bus)

    @property
    def sort_key(self) -> str:
        more = filter(None, (self.bus, self.form))
        return f"untold#{digest(self.event, self.subject, self.facts, self.topic, *more)}"


@dataclass(frozen=True)
class Noted:
    """What is noted of a source for people at one time: objects that were refused, troubles by name, messages."""

    refused: Sequence[Refused] = ()
    troubles: Mapping[str, Trouble] = field(default_factory=dict)
    unsent: Sequence[Unsent] = ()


@dataclass(frozen=True)
class Messages:
    """The messages of all sources and feeds."""

    table: Table

    def noted(self, source: str) -> Noted:
        """All of it, by one call. Rows of other kinds whose keys are between are read along: for a source of objects,
        what people were notified of."""
        found: dict[str, list[Item]] = {}
        for item in self.table.items_between(source, "refused#", "untold#~"):
            found.setdefault(item["sk"].partition("#")[0], []).append(item)
        troubles = [from_item(Trouble, item) for item in found.get("trouble", ())]
        return Noted(
            [from_item(Refused, item) for item in found.get("refused", ())],
            {trouble.what: trouble for trouble in troubles},
            [from_item(Unsent, item) for item in found.get("untold", ())],
        )

    def troubles(self, source: str) -> dict[str, Trouble]:
        return {trouble.what: trouble for trouble in self.table.query(Trouble, source, "trouble#")}

    def note_trouble(self, source: str, what: str, error: str) -> Trouble:
        """Remember what is refused, since now."""
        trouble = Trouble(what, error, self.table.now())
        self.table.put(source, [trouble])
        return trouble

    def begin_trouble(self, source: str, what: str, error: str) -> bool:
        """The same for one of many who see it begin; False when somebody has noted it already."""
        return self.table.transact([self.table.put_write(source, Trouble(what, error, self.table.now()), NEW)])

    def trouble_write(self, source: str, trouble: Trouble) -> Write:
        """What notes it, for a transaction."""
        return self.table.put_write(source, trouble)

    def clear_trouble_write(self, source: str, trouble: Trouble) -> Write:
        """What forgets it, for a transaction."""
        return self.table.delete_write(source, trouble.sort_key)

    def clear_trouble(self, source: str, what: str) -> None:
        self.table.delete(source, f"trouble#{what}")

    def unsent(self, source: str) -> list[Unsent]:
        """Messages that are still to be sent."""
        return list(self.table.query(Unsent, source, "untold#"))

    def put_unsent(self, source: str, message: Unsent) -> None:
        self.table.put(source, [message])

    def unsent_write(self, source: str, message: Unsent) -> Write:
        """The same for a transaction."""
        return self.table.put_write(source, message)

    def clear_unsent(self, source: str, message: Unsent) -> None:
        """The message was sent."""
        self.table.delete(source, message.sort_key)

    def note_notified(self, feed: str, what: str) -> Notified | None:
        """Take it upon the caller to notify people; None when somebody did before. Notes of long ago go."""
        note = Notified(what, self.table.now())
        if not self.table.transact([self.table.put_write(feed, note, NEW)]):
            return None
        self._forget_notified(feed, note.at)
        return note

    def clear_notified(self, feed: str, note: Notified) -> None:
        """The message could not be sent: whoever has reason to next does it."""
        self.table.delete(feed, note.sort_key)

    def note_unsent(self, source: str, what: str, message: Unsent) -> bool:
        """Keep a message that is still to be sent, with the note that it is sent once; False when somebody noted it
        before. Both are written or neither. Notes of long ago go."""
        note = Notified(what, self.table.now())
        if not self.table.transact([self.table.put_write(source, note, NEW), self.table.put_write(source, message)]):
            return False
        self._forget_notified(source, note.at)
        return True

    def notified(self, feed: str, what: str) -> Notified | None:
        return self.table.get(Notified, feed, f"told#{what}")

    def put_notified(self, feed: str, what: str) -> None:
        """People were notified, now. Notes of long ago go."""
        note = Notified(what, self.table.now())
        self.table.put(feed, [note])
        self._forget_notified(feed, note.at)

    def _forget_notified(self, feed: str, now: datetime) -> None:
        for old in self.table.query(Notified, feed, "told#"):
            if now - old.at > REMEMBER_NOTIFIED:
                self.table.delete(feed, old.sort_key)
