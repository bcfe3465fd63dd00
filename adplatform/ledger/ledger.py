"""The workflow metadata repository: every object, delivery, publication and report, in one DynamoDB table.

Each subject has a file of its own with its rows and what may happen to them; ``adplatform.ledger.rows`` lists the keys.
The ledger knows no rules of arrival; ``adplatform.files.arrivals`` decides, this remembers.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from adplatform.ledger.actions import Actions
from adplatform.ledger.alerts import OpenAlerts
from adplatform.ledger.deliveries import Deliveries
from adplatform.ledger.derived import Derived
from adplatform.ledger.engine_runs import EngineRuns
from adplatform.ledger.erasures import Erasures
from adplatform.ledger.extracts import Extracts
from adplatform.ledger.folds import Folds
from adplatform.ledger.forgetting import Forgetting
from adplatform.ledger.keys import Keys
from adplatform.ledger.leases import Beside, Lease, leased
from adplatform.ledger.messages import PLATFORM, Messages
from adplatform.ledger.objects import Objects
from adplatform.ledger.observations import Observations
from adplatform.ledger.pauses import Pauses
from adplatform.ledger.placements import Placements
from adplatform.ledger.plans import Plans
from adplatform.ledger.publications import Publications
from adplatform.ledger.reports import Reports
from adplatform.ledger.scopes import Scopes
from adplatform.ledger.spendings import Spendings
from adplatform.ledger.table import Table
from adplatform.ledger.tallies import Tallies
from adplatform.ledger.uploads import Uploads
from adplatform.platform.clock import utc_now

if TYPE_CHECKING:
    from adplatform.ledger.schemas import Schemas


@dataclass(frozen=True)
class Ledger:
    """The ledger in ``table``, by subject. ``client`` is a boto3 DynamoDB client. What needs one subject takes that."""

    client: Any
    table: str
    now: Callable[[], datetime] = utc_now
    sleep: Callable[[float], None] = time.sleep

    @cached_property
    def access(self) -> Table:
        return Table(self.client, self.table, self.now, self.sleep)

    @cached_property
    def objects(self) -> Objects:
        return Objects(self.access)

    @cached_property
    def deliveries(self) -> Deliveries:
        return Deliveries(self.access)

    @cached_property
    def publications(self) -> Publications:
        return Publications(self.access)

    @cached_property
    def placements(self) -> Placements:
        return Placements(self.access)

    @cached_property
    def schemas(self) -> "Schemas":
        from adplatform.ledger.schemas import Schemas  # noqa: PLC0415 - few need it

        return Schemas(self.access)

    @cached_property
    def derived(self) -> Derived:
        return Derived(self.access)

    @cached_property
    def reports(self) -> Reports:
        return Reports(self.access)

    @cached_property
    def plans(self) -> Plans:
        return Plans(self.access)

    @cached_property
    def engine_runs(self) -> EngineRuns:
        return EngineRuns(self.access)

    @cached_property
    def extracts(self) -> Extracts:
        return Extracts(self.access)

    @cached_property
    def forgetting(self) -> Forgetting:
        return Forgetting(self.access)

    @cached_property
    def folds(self) -> Folds:
        return Folds(self.access)

    @cached_property
    def tallies(self) -> Tallies:
        return Tallies(self.access)

    @cached_property
    def observations(self) -> Observations:
        return Observations(self.access)

    @cached_property
    def scopes(self) -> Scopes:
        return Scopes(self.access)

    @cached_property
    def messages(self) -> Messages:
        return Messages(self.access)

    @cached_property
    def alerts(self) -> OpenAlerts:
        return OpenAlerts(self.access, PLATFORM)

    @cached_property
    def uploads(self) -> Uploads:
        return Uploads(self.access)

    @cached_property
    def spendings(self) -> Spendings:
        return Spendings(self.access)

    @cached_property
    def pauses(self) -> Pauses:
        return Pauses(self.access)

    @cached_property
    def actions(self) -> Actions:
        return Actions(self.access)

    @cached_property
    def erasures(self) -> Erasures:
        return Erasures(self.access)

    @cached_property
    def keys(self) -> Keys:
        return Keys(self.access)

    def lease(
        self,
        name: str,
        owner: str,
        *,
        ttl: timedelta,
        wait: timedelta,
        sleep: Callable[[float], None],
        beside: Beside | None = None,
    ) -> AbstractContextManager[Lease]:
        """Hold ``name`` alone. A holder that died is displaced after ``ttl``. ``beside`` is written before.

        Raises:
            LeaseHeld: another holder kept it for longer than ``wait``.
        """
        return leased(self.access, name, owner, ttl=ttl, wait=wait, sleep=sleep, beside=beside)
