"""What the commands for deliveries take for a name."""

from datetime import UTC, datetime

import pytest

from adplatform.cli.context import declared_accounts, declared_sources
from adplatform.cli.deliveries import require_known
from adplatform.failures import PermanentFailure
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.ledger.scopes import Scope
from adplatform.pull.fact import all_tables


def test_what_is_to_be_retried_is_looked_up_among_all_that_is_declared(services: Services) -> None:
    sources, accounts = declared_sources(services.settings), declared_accounts()
    source, account = sources[0], accounts[0]
    provision(services, [])
    services.ledger.scopes.put(account.source, [Scope("111", "UTC", seen_at=datetime.now(UTC))])
    table, report = all_tables(account)[0].table, f"{account.source}/{account.definitions[0].name}"
    for name in (source.name, source.feeds[0].name, account.source, table, f"{table}/111", report, f"{report}/111"):
        require_known(services.ledger, sources, accounts, name)
    for wrong in ("typo", f"{source.name}/typo", f"{source.feeds[0].name}/111", f"{table}/222", f"{report}/222"):
        with pytest.raises(PermanentFailure, match="there are"):
            require_known(services.ledger, sources, accounts, wrong)
