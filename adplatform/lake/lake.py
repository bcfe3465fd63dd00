"""The parts of the lake that work together, and the lease that puts publishers of one feed in order."""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from adplatform.lake.catalog import Catalog
from adplatform.lake.store import Store
from adplatform.ledger.leases import Beside, Lease
from adplatform.ledger.ledger import Ledger
from adplatform.platform.aws import CALL_BUDGET, longest_call


def random_token() -> str:
    return secrets.token_hex(4)


@dataclass(frozen=True)
class Lake:
    """The clean zone: its files, its catalog and what the ledger remembers of it.

    ``path_copies`` keeps current files below each table's root for readers of paths (``adplatform.lake.path_copy``).
    A publisher's lease is kept for ``lease_ttl`` at once, and for longer where one of the clients' calls may take
    longer. ``memory_limit`` and ``threads`` bound a merge. A file that is made of what several scopes bring has about
    ``file_size`` bytes at most, unless one of them has more.
    """

    store: Store
    catalog: Catalog
    ledger: Ledger
    sleep: Callable[[float], None] = time.sleep
    token: Callable[[], str] = random_token
    lease_ttl: timedelta = CALL_BUDGET * 1.2
    lease_wait: timedelta = timedelta(minutes=10)
    memory_limit: str = "2GB"
    threads: int = 2
    path_copies: bool = True
    file_size: int = 128 * 2**20

    @property
    def call(self) -> timedelta:
        """What one call of the clients may take, which is what the lease must last before each."""
        return max(map(longest_call, (self.store.s3, self.catalog.glue, self.ledger.client)))

    @contextmanager
    def alone(self, feed: str, run_id: str, beside: Beside | None = None) -> Iterator[Lease]:
        """Hold what readers of ``feed`` follow. Two attempts of one run exclude each other, too. ``beside`` is written
        before.

        Raises:
            TransientFailure: another run held it for longer than ``lease_wait``.
        """
        with self.ledger.lease(
            f"publish/{feed}",
            f"{run_id}/{self.token()}",
            ttl=self.lease_ttl,
            wait=self.lease_wait,
            sleep=self.sleep,
            beside=beside,
        ) as lease:
            yield lease
