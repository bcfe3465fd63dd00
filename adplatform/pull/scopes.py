"""Which profiles or marketplaces an account has."""

from dataclasses import replace

from adplatform.amazon.reports import ReportApi
from adplatform.failures import (
    PermanentFailure,
    listed,
)
from adplatform.flow.services import Services
from adplatform.pull.account import Account
from adplatform.pull.notices import MOST_NAMED, notify


def refresh_scopes(services: Services, account: Account, api: ReportApi) -> None:
    """Learn from Amazon which profiles or marketplaces there are; those it no longer names stay as they were. Declared
    ones that it never named hold up no others, and people are notified of them once.

    Raises:
        PermanentFailure: none that is wanted was ever among those that the credentials can read.
    """
    ledger = services.ledger
    found = [replace(scope, seen_at=ledger.now()) for scope in api.scopes()]
    ledger.scopes.put(account.source, found)
    scopes = ledger.scopes.of_source(account.source)
    readable = listed(sorted(s.id for s in found), MOST_NAMED) or "none"
    can = f"in region {account.region} these credentials can read {readable}"
    if not any(account.wants(scope) for scope in scopes):
        wanted = listed(account.wanted, MOST_NAMED) or f"a {account.dimension} that is wanted"
        raise PermanentFailure(
            f"{account.source}: {wanted} cannot be read: {can}. Correct the list, the region, or who authorised them"
        )
    known, troubles = {scope.id for scope in scopes}, ledger.messages.troubles(account.source)
    for scope in account.wanted:
        if scope in known and missing(scope) in troubles:
            ledger.messages.clear_trouble(account.source, missing(scope))
        elif scope not in known and missing(scope) not in troubles:
            what = f"{account.dimension} {scope} cannot be read: {can}"
            facts = {"source": account.source, account.dimension: scope, "error": what}
            notify(services, account, "access_refused", f"{account.source}: {what}", facts)
            ledger.messages.note_trouble(account.source, missing(scope), what)


def missing(scope: str) -> str:
    """Under which name it is noted that a declared scope was never named by Amazon."""
    return f"missing/{scope}"
