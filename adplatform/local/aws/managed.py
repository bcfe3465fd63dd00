"""What the stand-ins of managed engines share: hosting of services that moto lacks, a clock that can be moved, faults
that can be ordered, events on the default bus, and work that goes on after the answer.

``GET /_adplatform/engines`` shows the clock and which faults there are; ``POST`` moves the one (``{"advance": 3600}``,
in seconds) and orders the others (``{"fault": {"service": "appflow", "name": "lost_event", "times": 2}}``); ``DELETE``
takes every fault back. What an engine can be asked beside its API, ``POST`` asks it
(``{"ask": {"service": "dms", "what": "flush", "target": "<ARN>"}}``).
"""

import json
import logging
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

from moto.backend_index import backend_url_patterns
from moto.core.base_backend import AccountSpecificBackend, BackendDict

from adplatform.local.aws.event_bus import deliver
from adplatform.local.aws.state import LOCK
from adplatform.platform.access_keys import AccessKey

_LOOK_AGAIN_SECONDS = 0.05

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong the next ``times`` that it can, with the flow or task ``target`` or with any.
    ``seconds`` and ``count`` mean what the fault says."""

    service: str
    name: str
    target: str = ""
    times: int = 1
    seconds: float = 0.0
    count: int = 1


@dataclass
class Control:
    """The clock and the faults of every managed engine. ``known`` says of each service what its faults mean;
    ``answers`` has what answers a question to it. ``saved`` says whether what had changed of a service at a moment of
    the monotonic clock would survive the end of the process."""

    ahead: timedelta = timedelta(0)
    faults: list[Fault] = field(default_factory=list)
    known: dict[str, Mapping[str, str]] = field(default_factory=dict)
    answers: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = field(default_factory=dict)
    endpoint_url: str = ""
    key: AccessKey = field(default_factory=lambda: AccessKey("", ""))
    data: Path = Path()
    changed: Callable[[str], None] = lambda _: None
    saved: Callable[[str, float], bool] = lambda _service, _moment: True

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def take(self, service: str, name: str, target: str) -> Fault | None:
        """The fault that is to happen now, once less after this."""
        for at, fault in enumerate(self.faults):
            if (fault.service, fault.name) == (service, name) and fault.target in ("", target):
                left = replace(fault, times=fault.times - 1)
                self.faults[at : at + 1] = [left] if left.times else []
                return fault
        return None

    def order(self, fault: Fault) -> None:
        """
        Raises:
            ValueError: there is no such fault; lists those there are.
        """
        names = self.known.get(fault.service, {})
        if fault.name not in names:
            there = "; ".join(f"{service}: {', '.join(known)}" for service, known in sorted(self.known.items()))
            raise ValueError(f"no fault {fault.service} {fault.name}; there are {there}")
        self.faults.append(fault)


CONTROL = Control()


def host(service: str, backend: type, response: type, url_paths: Mapping[str, Any]) -> None:
    """Make ``moto.<service>``, so that moto's dispatch, its backends and the snapshots find what it does not have."""
    package, models, urls = (ModuleType(f"moto.{service}{part}") for part in ("", ".models", ".urls"))
    # moto finds the URLs of a backend by the module of its class.
    backend.__module__ = models.__name__
    backends = {f"{service}_backends": BackendDict(backend, service, additional_regions=_more_regions(service))}
    models.__dict__.update({backend.__name__: backend, **backends})
    base = rf"https?://{service}\.(.+)\.amazonaws\.com"
    urls.__dict__.update(url_bases=[base], url_paths=dict(url_paths))
    backend_url_patterns.append((service, re.compile(base)))
    package.__dict__.update(__path__=[], models=models, urls=urls, responses=response, **backends)
    for module in (package, models, urls):
        sys.modules[module.__name__] = module


def _more_regions(service: str) -> list[str]:
    """Those of the catalog, for a service of which botocore lists none."""
    session = AccountSpecificBackend.get_session()
    listed: list[str] = session.get_available_regions("glue")
    return [] if session.get_available_regions(service) else listed


def behind(service: str, work: Callable[[], None]) -> None:
    """Do the work after the answer, without the lock, which it takes where it changes state."""

    def do() -> None:
        try:
            work()
        except Exception:
            log.exception("%s: work behind an answer ended", service)

    threading.Thread(target=do, daemon=True).start()


def at(due: datetime, work: Callable[[], None]) -> None:
    """Do the work when the engines' clock has come to ``due``; callers do not hold the lock."""
    wait_until(due)
    work()


def wait_until(due: datetime) -> None:
    """Until the engines' clock has come to ``due``; callers do not hold the lock."""
    while CONTROL.now() < due:
        time.sleep(_LOOK_AGAIN_SECONDS)


def changed(service: str) -> None:
    """Note, under the lock, that something of the service changed outside of a request."""
    CONTROL.changed(service)


def own_client(service: str) -> Any:
    """A boto3 client of the embedded AWS itself, so that what an engine writes makes events as anybody's writes do."""
    import boto3  # noqa: PLC0415 - an engine that never runs needs none

    session = boto3.Session(CONTROL.key.id, CONTROL.key.secret, region_name="us-east-1")
    return session.client(service, endpoint_url=CONTROL.endpoint_url)


def own_environment(region: str) -> dict[str, str]:
    """What a process gets that is to talk to the embedded AWS."""
    return {
        "AWS_ENDPOINT_URL": CONTROL.endpoint_url,
        "AWS_ACCESS_KEY_ID": CONTROL.key.id,
        "AWS_SECRET_ACCESS_KEY": CONTROL.key.secret,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
    }


@cache
def own_s3() -> Any:
    """One client for all runs of all engines: a new one costs more than many a run."""
    return own_client("s3")


def publish(
    service: str, account: str, region: str, detail_type: str, resources: Iterable[str], detail: Mapping[str, Any]
) -> None:
    """Put an event of ``aws.<service>`` on the default bus. Callers do not hold the lock."""
    event = {
        "version": "0",
        "id": str(uuid4()),
        "detail-type": detail_type,
        "source": f"aws.{service}",
        "account": account,
        "time": CONTROL.now().timestamp(),  # moto writes it as text
        "region": region,
        "resources": list(resources),
        "detail": dict(detail),
    }
    with LOCK:
        deliver(account, region, event)
        changed("events")


def administer(method: str, body: bytes) -> tuple[int, dict[str, Any]]:
    """Status and answer of a request to ``ADMIN_PATH``."""
    answered: dict[str, Any] = {}
    try:
        if method == "DELETE":
            CONTROL.faults.clear()
        elif method == "POST":
            asked = json.loads(body)
            CONTROL.ahead += timedelta(seconds=float(asked.get("advance", 0)))
            if "fault" in asked:
                CONTROL.order(Fault(**asked["fault"]))
            if "ask" in asked:
                answered = {"answer": CONTROL.answers[asked["ask"]["service"]](asked["ask"])}
    except (ValueError, TypeError, KeyError) as e:
        return 400, {"error": str(e)}
    return 200, {
        "now": CONTROL.now().isoformat(),
        "faults": [asdict(fault) for fault in CONTROL.faults],
        "known": {service: dict(names) for service, names in CONTROL.known.items()},
        **answered,
    }
