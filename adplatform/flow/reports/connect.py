"""The report API of an account, opened with its credentials: the real one, or the simulated one of this machine."""

import time
from collections.abc import Callable

from adplatform.amazon.ads import open_ads
from adplatform.amazon.reports import ReportApi
from adplatform.failures import PermanentFailure
from adplatform.flow.reports.account import Account
from adplatform.flow.services import Services

Connect = Callable[[Services, Account], ReportApi]


def open_api(services: Services, account: Account) -> ReportApi:
    """Credentials are read when the first call needs a token.

    Raises:
        PermanentFailure: a simulated account outside local mode.
    """
    endpoint = None
    if account.simulated:
        endpoint = services.simulated_amazon
        if endpoint is None:
            raise PermanentFailure(f"{account.source} is simulated, which only the local mode can be")
        endpoint = f"{endpoint}/{account.region}"
    directory = services.settings.home / "tokens"
    return open_ads(
        services.secrets,
        account.credentials,
        account.region,
        services.ledger,
        directory,
        sleep=time.sleep,
        endpoint=endpoint,
    )
