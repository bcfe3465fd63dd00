"""Listings of a server's folders by a connector, as runs: one call lists one folder, and its output is the only record.

Facts: Transfer Family API reference, StartDirectoryListing (at most 3 a second for an account; the output is called by
the connector and the listing).
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from adplatform.engines.engine import Busy, Claim, Finding, Limits, Postponed, Run, Started
from adplatform.engines.sftp.provided_connectors import Connector
from adplatform.failures import PermanentFailure
from adplatform.flow.services import Services
from adplatform.ledger.engine_run import Intention, RunState
from adplatform.ledger.rate_limits import RateLimits
from adplatform.platform.aws_errors import aws_failures

MOST_ITEMS = 10_000
"""Entries of a listing (Transfer Family quotas)."""
PATIENCE = timedelta(minutes=15)
"""How long an output may take."""
UNUSABLE = timedelta(minutes=5)
"""How long what needs an unusable connector rests."""
_A_SECOND = 3.0
_BUCKET = "transfer/listings"
_LONGEST_PAUSE = 1.0


@dataclass(frozen=True)
class Listings:
    """The listings that are called ``target`` among those of a source. ``folder_of`` says what an intention lists,
    ``begun`` when a run was started. One ``tells`` what is wrong with the connector; the others wait. With ``doubtful``
    the connector is tried before it is used. ``wait`` passes seconds."""

    services: Services
    connector: Connector
    source: str
    target: str
    folder_of: Callable[[Intention], str]
    begun: Callable[[str], datetime | None]
    findings: Callable[[], Sequence[Finding]]
    tells: bool = True
    wait: Callable[[float], None] = time.sleep

    limits = Limits("transfer", history=timedelta(days=1), alone=True)

    def check(self) -> Sequence[Finding]:
        return self.findings() if self.tells else ()

    def start(self, intention: Intention, *, others: Collection[str] = ()) -> Started | Busy:
        folder = self.folder_of(intention)
        require_usable(self.connector, () if self.tells else self.findings())
        self._take_turn()
        try:
            started = self.connector.start(
                "start_directory_listing",
                RemoteDirectoryPath=folder,
                MaxItems=MOST_ITEMS,
                OutputDirectoryPath=f"/{self.services.zones.raw_bucket}/{self._prefix.rstrip('/')}",
            )
        except Postponed as e:
            RateLimits(self.services.ledger).pause(_BUCKET, self.services.ledger.now() + e.rest, _A_SECOND, 1)
            raise
        return Started(str(started["ListingId"]))

    def observe(self, run_ids: Collection[str]) -> Mapping[str, Run]:
        return {run_id: self._run(run_id) for run_id in run_ids}

    def recent(self, since: datetime) -> Iterator[Run]:
        """None: Transfer Family does not tell of listings, and whoever starts one has it written elsewhere."""
        return iter(())

    def claims(self, run: Run) -> Iterator[Claim]:
        return iter(())

    def cancel(self, run_id: str) -> bool:
        raise PermanentFailure("Transfer Family stops no listing; it ends by itself")

    def output(self, run_id: str) -> bytes | None:
        """What a run wrote; None where that has expired."""
        s3, key = self.services.s3, self._key(run_id)
        with aws_failures(self.services.zones.raw_uri(key)):
            try:
                body: bytes = s3.get_object(Bucket=self.services.zones.raw_bucket, Key=key)["Body"].read()
            except s3.exceptions.NoSuchKey:
                return None
        return body

    def _run(self, run_id: str) -> Run:
        begun, now = self.begun(run_id), self.services.ledger.now()
        written = self._written(run_id)
        if written is not None:
            # When it was written is nearest to when the server was looked at.
            return Run(run_id, RunState.SUCCEEDED, "COMPLETED", final=True, started_at=begun, ended_at=written)
        if begun is not None and now - begun > PATIENCE:
            why = f"it wrote no listing within {PATIENCE}: the log of connector {self.connector.id} says why"
            return Run(run_id, RunState.FAILED, "no output", why, final=True, started_at=begun, ended_at=now)
        return Run(run_id, RunState.RUNNING, "IN_PROGRESS", started_at=begun)

    def _written(self, run_id: str) -> datetime | None:
        zones, key = self.services.zones, self._key(run_id)
        with aws_failures(zones.raw_uri(key)):
            head = self.services.store.head(zones.raw_bucket, key)
        return head["LastModified"] if head else None

    def _take_turn(self) -> None:
        limits = RateLimits(self.services.ledger)
        while seconds := limits.take(_BUCKET, _A_SECOND, int(_A_SECOND)):
            if seconds > _LONGEST_PAUSE:
                raise Postponed("Transfer Family has had enough listings", timedelta(seconds=seconds))
            self.wait(seconds)

    @property
    def _prefix(self) -> str:
        return f"{self.services.zones.sftp_listings(self.source)}{self.target}/"

    def _key(self, run_id: str) -> str:
        return f"{self._prefix}{self.connector.id}-{run_id}.json"


def require_usable(connector: Connector, findings: Sequence[Finding]) -> None:
    """
    Raises:
        Postponed: the connector cannot be used, which the listing that tells has people know of.
    """
    if any(each.fatal for each in findings):
        raise Postponed(f"the connector to {connector.url} cannot be used at present", UNUSABLE)
