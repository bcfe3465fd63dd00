"""What the simulated Ads account of the demo goes through: faults, days that have passed, and Marketing Stream."""

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import dagster as dg
import httpx
from rich.console import Console

from adplatform.amazon.sources import AdsSource
from adplatform.cli.headless import process_all
from adplatform.cli.stream import send_days
from adplatform.components import AmazonAdsReports
from adplatform.flow.services import Services
from adplatform.patterns import faultless_defs
from adplatform.platform.clock import utc_now
from adplatform.platform.settings import Settings
from adplatform.pull.pattern import PulledReports
from adplatform.resources.named import LedgerResource, resources_of
from adplatform.resources.report_apis import simulated_amazon

EARLIER = timedelta(days=3)
"""Before today one report is read for the first time, so that its dates have been restated since."""
STREAMED = (6, 4, 0)
"""The ages in days of the dates of which Marketing Stream sends. The second is compared with the reports: it has
settled, and it is none of the first two days of the data set."""
REPORTS_TAKE = 15
"""Seconds without anything to do after which no report of the simulated Amazon is on its way."""
_REST = 2
"""The same where no source waits for anything."""
FAULTS = (
    {"operation": "create_report", "fault": "reset", "match": {"report_type": "spTargeting"}},
    {"operation": "get_report", "fault": "throttle_silent"},
    {"operation": "download", "fault": "expired_url"},
)
"""An answer that is lost on its way back, a 429 that does not say for how long, an address that has expired."""


def disturb(settings: Settings) -> None:
    """Order the faults that the reports will have to survive."""
    for fault in FAULTS:
        _administer(settings, "faults", fault)


def pull_earlier(services: Services, console: Console, errors: Console) -> None:
    """Read the last report of simulated Ads accounts as if it were some days ago, here and at Amazon."""
    declared = [each.model for each in faultless_defs() if isinstance(each.model, AdsSource) and each.model.simulated]
    simulated = [
        AmazonAdsReports(model.model_copy(update={"reports": model.reports[-1:], "stream": None})) for model in declared
    ]
    resources = resources_of(services.settings)
    ledger = _EarlierLedger(**resources["ledger"].model_dump())
    bound = dg.Definitions(resources={**resources, "ledger": ledger}, executor=dg.in_process_executor)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)  # as Dagster does where it loads a project
        loaded = dg.Definitions.merge(*(dg.component_defs(component=each) for each in simulated), bound)
    automations = [each.automation() for each in simulated]
    then = replace(services, now=_earlier)
    _administer(services.settings, "clock", {"now": then.now().isoformat()})
    try:
        process_all(then, automations, REPORTS_TAKE, console, errors, rest=_REST, loaded=loaded)
    finally:
        _administer(services.settings, "clock", {"now": services.now().isoformat()})


def send_stream(services: Services, accounts: Iterable[PulledReports], console: Console) -> None:
    """Have Marketing Stream send what it says of some dates, once."""
    for stream in (each.stream for each in accounts if each.stream and each.account.simulated):
        if not services.ledger.publications.of_feed(stream.daily.name):
            today = services.now().date()
            count = send_days(services, stream, [today - timedelta(days=age) for age in STREAMED])
            console.print(f"{stream.account.source}: Amazon sends {count:,} messages", highlight=False)


class _EarlierLedger(LedgerResource):
    """The ledger as somebody writes it who lives before today."""

    @property
    def now(self) -> Callable[[], datetime]:
        return _earlier


def _earlier() -> datetime:
    return utc_now() - EARLIER


def _administer(settings: Settings, what: str, given: Mapping[str, object]) -> None:
    with httpx.Client(trust_env=False) as http:
        http.post(f"{simulated_amazon(settings)}/_admin/{what}", json=given).raise_for_status()
