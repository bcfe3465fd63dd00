"""The state of a test server: clock, settings, tokens, reports, faults and counters; it survives a restart."""

import secrets
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from adplatform.local.world import stored
from adplatform.local.world.amazon.accounts import DEMO_ACCOUNTS, Accounts, Api
from adplatform.local.world.amazon.faults import Fault
from adplatform.local.world.clock import Clock
from adplatform.local.world.faults import Faults

REPORT_DAYS = 90
"""How long Amazon keeps a report."""
_CREATES_KEPT = 5_000
_BODIES_KEPT = 16


@dataclass(frozen=True)
class Settings:
    """How the server behaves; times in seconds.

    ``memo_seconds``: how long an Ads report that is ready answers an equal order. ``ads_queue_limit``: unfinished Ads
    reports of a region beyond which it throttles, ``exports_at_once`` the same of each kind of export. ``sp_speed``:
    what the Selling Partner API's real rates are multiplied by, None for no limits. ``search_terms``: terms of a Brand
    Analytics report, about 700 bytes each. ``ready_days``: age from which dates of analytical Selling Partner reports
    are ready. ``ads_retry_after``: whether a full queue tells how long to wait. ``withdrawn_columns``: columns that Ads
    reports do not take any more.
    ``restricted_types``: Selling Partner reports whose documents open only with a restricted data token.
    """

    seed: int = 7
    queue_seconds: float = 2.0
    processing_seconds: float = 3.0
    memo_seconds: float = 0.0
    token_seconds: int = 3600
    ads_url_seconds: int = 3600
    sp_url_seconds: int = 300
    ads_queue_limit: int | None = None
    sp_speed: float | None = None
    search_terms: int = 200
    ready_days: int = 1
    exports_at_once: int = 5
    ads_retry_after: bool = True
    withdrawn_columns: tuple[str, ...] = ()
    restricted_types: tuple[str, ...] = ()

    def changed(self, changes: Mapping[str, Any]) -> "Settings":
        """These settings with some changed.

        Raises:
            ValueError: there is no such setting, or it does not take the value.
        """
        known = [f.name for f in fields(self)]
        if unknown := sorted(set(changes) - set(known)):
            raise ValueError(f"unknown setting {', '.join(unknown)}; known are {', '.join(known)}")
        return TypeAdapter(Settings).validate_python({**asdict(self), **changes})


@dataclass
class Requests:
    """What was asked of the server: requests by operation, answers by operation and status, and every create."""

    counts: Counter[str] = field(default_factory=Counter)
    answers: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    creates: list[dict[str, Any]] = field(default_factory=list)
    refreshes: Counter[str] = field(default_factory=Counter)

    def saved(self) -> dict[str, Any]:
        return {
            "counts": dict(self.counts),
            "answers": {operation: dict(counts) for operation, counts in self.answers.items()},
            "creates": self.creates[-_CREATES_KEPT:],
            "refreshes": dict(self.refreshes),
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        self.counts = Counter(saved["counts"])
        self.answers = defaultdict(Counter, {k: Counter(v) for k, v in saved["answers"].items()})
        self.creates = list(saved["creates"])
        self.refreshes = Counter(saved["refreshes"])


@dataclass
class Credentials:
    """An app's login as it is now: secrets change, and an account can withdraw its permission."""

    client_id: str
    secret: str = field(repr=False)
    refresh_token: str = field(repr=False)
    previous_secret: str | None = field(default=None, repr=False)
    revoked: bool = False


@dataclass
class AccessToken:
    """One access token. ``path`` is what a restricted one is for; a ``grantless`` one opens no seller's data."""

    api: Api
    expires: float
    path: str = ""
    grantless: bool = False


@dataclass
class AdsReport:
    """One report of the Ads API; ``created`` in epoch seconds, dates in ISO form."""

    id: str
    region: str
    scope: str
    name: str | None
    start: str
    end: str
    configuration: dict[str, Any]
    created: float
    fate: str = ""
    size: int | None = None


@dataclass
class AdsExport:
    """One export of the Ads API; ``created`` in epoch seconds, ``filters`` the values of each."""

    id: str
    region: str
    scope: str
    kind: str
    filters: dict[str, list[Any]]
    created: float
    fate: str = ""


@dataclass
class SpReport:
    """One report of the Selling Partner API; ``created`` in epoch seconds, ``start`` and ``end`` in ISO form."""

    id: str
    region: str
    type: str
    marketplaces: list[str]
    start: str
    end: str
    options: dict[str, str]
    created: float
    status: str
    error: str = ""
    fate: str = ""


class World:
    """Everything that requests change. ``lock`` is held while one is answered; ``store`` is the file that keeps it."""

    def __init__(
        self,
        settings: Settings | None = None,
        accounts: Accounts = DEMO_ACCOUNTS,
        *,
        store: Path | None = None,
        real_time: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.settings = settings or Settings()
        self.accounts = accounts
        self.clock = Clock(real_time)
        self.sleep = sleep
        self.lock = threading.RLock()
        self.requests = Requests()
        self.faults = Faults()
        self.credentials: dict[Api, Credentials] = {
            api: Credentials(app.client_id, app.client_secret, app.refresh_token) for api, app in accounts.apps.items()
        }
        self.tokens: dict[str, AccessToken] = {}
        self.ads_reports: dict[str, AdsReport] = {}
        self.ads_exports: dict[str, AdsExport] = {}
        self.sp_reports: dict[str, SpReport] = {}
        self.buckets: dict[str, tuple[float, float]] = {}
        self.bodies: dict[str, bytes] = {}
        self.changed = False
        self._number = 50_000_000_000
        self._store = store
        kept = stored.read(store)
        if kept is not None:
            self._restore(kept)

    def now(self) -> datetime:
        return self.clock.now()

    def served(self) -> int:
        return self.requests.counts.total()

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
        """Order a fault; see :class:`~adplatform.local.world.amazon.faults.Fault`.

        Raises:
            ValueError: there is no such fault.
        """
        reported = {name: str(value) for name, value in (match or {}).items()}
        ordered = {"operation": operation, "fault": fault, "times": times, "skip": skip, "seconds": seconds}
        with self.lock:
            self.faults.add(TypeAdapter(Fault).validate_python({**ordered, "match": reported}))
            self.changed = True

    def set(self, **settings: Any) -> None:
        """Change settings.

        Raises:
            ValueError: there is no such setting, or it does not take the value.
        """
        with self.lock:
            self.settings = self.settings.changed(settings)
            self.changed = True

    def issue(self, api: Api, path: str = "", *, grantless: bool = False) -> str:
        """A new access token, with a path a restricted one."""
        token = f"{'Atz.sprdt|' if path else 'Atza|'}{secrets.token_hex(24)}"
        now = self.now().timestamp()
        self.tokens = {text: known for text, known in self.tokens.items() if known.expires > now - 86_400}
        self.tokens[token] = AccessToken(api, now + self.settings.token_seconds, path, grantless)
        self.changed = True
        return token

    def revoke(self, api: Api | None = None, *, revoked: bool = True) -> None:
        """The account withdraws its permission from an app, or gives it again."""
        with self.lock:
            for login in self.credentials.values() if api is None else (self._login(api),):
                login.revoked = revoked
            self.changed = True

    def rotate_secret(self, api: Api, *, keep_previous: bool = True) -> str:
        """A new client secret; with ``keep_previous`` the old one stays valid, too."""
        with self.lock:
            login = self._login(api)
            login.previous_secret = login.secret if keep_previous else None
            login.secret = f"demo-secret-{secrets.token_hex(8)}"
            self.changed = True
            return login.secret

    def _login(self, api: Api) -> Credentials:
        if api not in self.credentials:
            raise ValueError(f"there is no API {api!r}; known are {', '.join(self.credentials)}")
        return self.credentials[api]

    def expire_tokens(self) -> None:
        with self.lock:
            for token in self.tokens.values():
                token.expires = self.now().timestamp()
            self.changed = True

    def next_number(self) -> str:
        """A report id of the Selling Partner API that was never given before."""
        self._number += 1
        self.changed = True
        return str(self._number)

    def forget_old_reports(self) -> None:
        oldest = self.now().timestamp() - REPORT_DAYS * 86_400
        self.ads_reports = {k: r for k, r in self.ads_reports.items() if r.created > oldest}
        self.ads_exports = {k: e for k, e in self.ads_exports.items() if e.created > oldest}
        self.sp_reports = {k: r for k, r in self.sp_reports.items() if r.created > oldest}

    def keep_body(self, name: str, body: bytes) -> None:
        """Keep the bytes of a document, of a few at a time."""
        for old in list(self.bodies)[: -_BODIES_KEPT + 1]:
            self.bodies.pop(old, None)
        self.bodies[name] = body

    def finished(self, created: float) -> float:
        return created + self.settings.queue_seconds + self.settings.processing_seconds

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
            "number": self._number,
            "settings": asdict(self.settings),
            "requests": self.requests.saved(),
            "faults": self.faults.pending(),
            "credentials": {api: asdict(login) for api, login in self.credentials.items()},
            "tokens": {text: asdict(token) for text, token in self.tokens.items()},
            "ads_reports": [asdict(report) for report in self.ads_reports.values()],
            "ads_exports": [asdict(export) for export in self.ads_exports.values()],
            "sp_reports": [asdict(report) for report in self.sp_reports.values()],
        }

    def _restore(self, saved: Mapping[str, Any]) -> None:
        self.clock.restore(saved["clock"])
        self._number = saved["number"]
        self.settings = Settings().changed(saved["settings"])
        self.requests.restore(saved["requests"])
        for fault in saved["faults"]:
            self.faults.add(Fault(**fault))
        self.credentials = {api: Credentials(**login) for api, login in saved["credentials"].items()}
        self.tokens = {text: AccessToken(**token) for text, token in saved["tokens"].items()}
        self.ads_reports = {r["id"]: AdsReport(**r) for r in saved["ads_reports"]}
        self.ads_exports = {e["id"]: AdsExport(**e) for e in saved.get("ads_exports", ())}
        self.sp_reports = {r["id"]: SpReport(**r) for r in saved["sp_reports"]}
