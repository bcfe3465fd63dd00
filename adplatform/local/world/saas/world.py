"""The state of the simulated CRM: clock, settings, tokens, cursors, faults and counters; it survives a restart."""

import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from adplatform.local.world import stored
from adplatform.local.world.clock import Clock
from adplatform.local.world.draws import draw
from adplatform.local.world.faults import Faults
from adplatform.local.world.saas.accounts import DEMO_APP, App
from adplatform.local.world.saas.faults import Fault
from adplatform.local.world.saas.records import Origin, records
from adplatform.local.world.saas.schema import OBJECTS, Field

HISTORY = timedelta(days=180)
"""How long a new CRM has been in use."""
_CURSORS_KEPT = 1000


@dataclass(frozen=True)
class Settings:
    """How the server behaves. ``began``: the day of the first records, by default ``HISTORY`` before the server's first
    start. ``scale``: what multiplies the number of records. ``token_seconds``: how long an access token is good.
    ``page_size``: records on a page, unless a query asks for fewer. ``requests_per_second`` and ``daily_requests``:
    what the API takes, None for no limit; a day is one of UTC. ``added`` and ``removed``: fields of objects that
    appeared (name and type) or vanished.
    """

    seed: int = 11
    began: date | None = None
    scale: float = 1.0
    token_seconds: int = 7200
    page_size: int = 2000
    requests_per_second: float | None = None
    daily_requests: int | None = 100_000
    added: dict[str, dict[str, str]] = field(default_factory=dict)
    removed: dict[str, list[str]] = field(default_factory=dict)

    def changed(self, changes: Mapping[str, Any]) -> "Settings":
        """These settings with some changed.

        Raises:
            ValueError: there is no such setting, or it does not take the value.
        """
        known = [f.name for f in fields(self)]
        if unknown := sorted(set(changes) - set(known)):
            raise ValueError(f"unknown setting {', '.join(unknown)}; known are {', '.join(known)}")
        return _SETTINGS.validate_python({**asdict(self), **changes})


_SETTINGS = TypeAdapter(Settings)


@dataclass
class Cursor:
    """Where a query goes on: what it selected, at which instant, from which record on."""

    soql: str
    deleted: bool
    at: str
    size: int
    offset: int


class World:
    """Everything that requests change. ``lock`` is held while one is answered; ``store`` is the file that keeps it."""

    def __init__(
        self,
        settings: Settings | None = None,
        app: App = DEMO_APP,
        *,
        store: Path | None = None,
        real_time: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.settings = settings or Settings()
        self.app = app
        self.clock = Clock(real_time)
        self.sleep = sleep
        self.lock = threading.RLock()
        self.faults = Faults()
        self.counts: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.tokens: dict[str, float] = {}
        self.cursors: dict[str, Cursor] = {}
        self.revoked = False
        self.changed = False
        self.spent: tuple[str, int] = ("", 0)
        self.bucket: tuple[float, float] = (0.0, 0.0)
        self._store = store
        kept = stored.read(store)
        if kept is not None:
            self._restore(kept)
        if self.settings.began is None:
            self.settings = self.settings.changed({"began": (self.now() - HISTORY).date()})

    def now(self) -> datetime:
        return self.clock.now()

    def served(self) -> int:
        return self.counts.total()

    def fault(
        self,
        operation: str,
        fault: str,
        *,
        times: int | None = 1,
        skip: int = 0,
        match: Mapping[str, str] | None = None,
        seconds: float = 1.0,
    ) -> None:
        """Order a fault; see :class:`~adplatform.local.world.saas.faults.Fault`.

        Raises:
            ValueError: there is no such fault.
        """
        ordered = {"operation": operation, "fault": fault, "times": times, "skip": skip, "seconds": seconds}
        with self.lock:
            self.faults.add(TypeAdapter(Fault).validate_python({**ordered, "match": dict(match or {})}))
            self.changed = True

    def set(self, **settings: Any) -> None:
        """Change settings.

        Raises:
            ValueError: there is no such setting, or it does not take the value.
        """
        with self.lock:
            self.settings = self.settings.changed(settings)
            self.changed = True

    def issue(self) -> str:
        """A new access token."""
        token = f"00DAd000000demo!{secrets.token_urlsafe(48)}"
        now = self.now().timestamp()
        self.tokens = {text: expires for text, expires in self.tokens.items() if expires > now}
        self.tokens[token] = now + self.settings.token_seconds
        self.changed = True
        return token

    def revoke(self, *, revoked: bool = True) -> None:
        """The user withdraws its permission, and no access token is good any more; or gives it again."""
        with self.lock:
            self.revoked = revoked
            self.changed = True
            if revoked:
                self.tokens.clear()

    def fields(self, name: str) -> tuple[Field, ...]:
        """The fields that an object has now."""
        added = (Field(*pair) for pair in self.settings.added.get(name, {}).items())
        gone = self.settings.removed.get(name, ())
        return tuple(known for known in (*OBJECTS[name].fields, *added) if known.name not in gone)

    def records(self, name: str, at: datetime, *, since: datetime | None = None) -> list[dict[str, Any]]:
        """As :func:`~adplatform.local.world.saas.records.records`, with the fields that the object has now."""
        settings, names = self.settings, [known.name for known in self.fields(name)]
        origin = Origin(settings.seed, settings.began or at.date(), settings.scale)
        added = settings.added.get(name, {})
        return [
            {known: _added(origin, record["Id"], known, added[known]) if known in added else record[known]
             for known in names}
            for record in records(origin, name, at, since=since)
        ]  # fmt: skip

    def keep(self, cursor: Cursor) -> str:
        """The name under which a query goes on."""
        name = f"01gAd{secrets.token_hex(5)}-{cursor.offset}"
        self.cursors[name] = cursor
        for old in list(self.cursors)[:-_CURSORS_KEPT]:
            del self.cursors[old]
        self.changed = True
        return name

    def save(self) -> None:
        """Write the state to the store as a whole, if it has one.

        Raises:
            OSError: the disk does not take it; the next save tries again.
        """
        with self.lock:
            if self._store is not None:
                stored.write(self._store, self._saved())
            self.changed = False

    def _saved(self) -> dict[str, Any]:
        return {
            "clock": self.clock.saved(),
            "settings": _SETTINGS.dump_python(self.settings, mode="json"),
            "faults": self.faults.pending(),
            "counts": dict(self.counts),
            "answers": dict(self.answers),
            "tokens": self.tokens,
            "cursors": {name: asdict(cursor) for name, cursor in self.cursors.items()},
            "revoked": self.revoked,
            "spent": self.spent,
        }

    def _restore(self, saved: Mapping[str, Any]) -> None:
        self.clock.restore(saved["clock"])
        self.settings = _SETTINGS.validate_python(saved["settings"])
        for fault in saved["faults"]:
            self.faults.add(Fault(**fault))
        self.counts, self.answers = Counter(saved["counts"]), Counter(saved["answers"])
        self.tokens, self.revoked = dict(saved["tokens"]), saved["revoked"]
        self.cursors = {name: Cursor(**cursor) for name, cursor in saved["cursors"].items()}
        day, count = saved["spent"]
        self.spent = (day, count)


def _added(origin: Origin, record: str, name: str, kind: str) -> Any:
    """The value of a field that appeared."""
    drawn = draw(origin.seed, record, name)[0]
    if kind in ("double", "currency", "percent"):
        return round(drawn * 1000, 2)
    if kind == "int":
        return int(drawn * 1000)
    if kind == "boolean":
        return drawn < 0.5
    if kind in ("date", "datetime"):
        day = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=int(drawn * 300))
        return str(day.date()) if kind == "date" else day.strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    return f"{name} {int(drawn * 100)}"
