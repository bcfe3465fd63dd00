"""The report API of an account, opened with its credentials: the real one, or the simulated one of this machine."""

import json
import time
from dataclasses import asdict
from datetime import timedelta

from adplatform.amazon.ads.client import open_ads
from adplatform.amazon.http import PATIENCE
from adplatform.amazon.reports import ReportApi
from adplatform.amazon.selling_partner.client import open_selling_partner
from adplatform.failures import PermanentFailure
from adplatform.flow.cost_guard import budget_of
from adplatform.flow.services import Services
from adplatform.platform.extras import LOCAL, extra
from adplatform.platform.metrics import API_CALLS, API_THROTTLED, SOURCE, Metric
from adplatform.platform.settings import Settings
from adplatform.pull.account import Account
from adplatform.resources.request_meter import RequestMeter

METER = RequestMeter()


def open_api(services: Services, account: Account, patience: timedelta = PATIENCE) -> ReportApi:
    """Credentials are read when the first call needs a token.

    Raises:
        PermanentFailure: a simulated account outside local mode.
    """
    endpoint = None
    if account.simulated:
        if services.settings.env == "aws":
            raise PermanentFailure(f"{account.source} is simulated, which only the local mode can be")
        endpoint = f"{simulated_amazon(services.settings)}/{account.region}"
        _keep_credentials(services, account)
    directory = services.settings.home / "tokens"
    given = (services.secrets, account.credentials, account.region, services.ledger, directory)

    limited = budget_of(services.settings, account.budget) is not None

    def counted(operation: str, throttled: bool) -> None:
        values: dict[Metric, float | None] = {API_CALLS: 1, API_THROTTLED: int(throttled)}
        services.metrics.put(values, {SOURCE: account.source}, operation=operation)
        if limited:
            METER.count(services.ledger, account.source)

    if account.api == "selling_partner":
        marketplaces = account.wanted if account.vendor else ()
        return open_selling_partner(
            *given, sleep=time.sleep, endpoint=endpoint, marketplaces=marketplaces, patience=patience, counted=counted
        )
    ads = open_ads(*given, sleep=time.sleep, endpoint=endpoint, patience=patience, counted=counted)
    return ads.unified if account.unified else ads


def simulated_amazon(settings: Settings) -> str:
    """Where the simulated Amazon listens: on this machine, and nowhere else; started if no process has it running."""
    if settings.simulated_amazon:
        return settings.simulated_amazon
    with extra(LOCAL):
        from adplatform.local.world.amazon.endpoint import ensure  # noqa: PLC0415 - not everywhere
    return ensure(settings.home / "amazon").url


def _keep_credentials(services: Services, account: Account) -> None:
    """What the simulated Amazon takes is no secret; where the account's secret is missing, it is put there."""
    with extra(LOCAL):
        from adplatform.local.world.amazon.accounts import DEMO_CREDENTIALS  # noqa: PLC0415 - as above
    secrets = services.secrets
    app = DEMO_CREDENTIALS["selling_partner" if account.api == "selling_partner" else "ads"]
    try:
        secrets.create_secret(Name=account.credentials, SecretString=json.dumps(asdict(app)))
    except secrets.exceptions.ResourceExistsException:
        return
