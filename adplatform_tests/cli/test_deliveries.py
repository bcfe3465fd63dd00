"""What the commands for deliveries take for a name."""

from datetime import UTC, datetime

import pytest

from adplatform.failures import PermanentFailure
from adplatform.flow.pattern import require_known
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.ledger.scopes import Scope
from adplatform.patterns import declared_patterns, of_kind
from adplatform.pull.pattern import PulledReports


def test_what_is_to_be_retried_is_looked_up_among_all_that_is_declared(services: Services) -> None:
    patterns = declared_patterns(services.settings)
    account = of_kind(patterns, PulledReports)[0].account
    source = next(pattern.source for pattern in patterns if pattern.source.takes_files)
    provision(services, [])
    services.ledger.scopes.put(account.source, [Scope("111", "UTC", seen_at=datetime.now(UTC))])
    table, report = account.tables()[0][1].table, f"{account.source}/{account.definitions[0].name}"
    for name in (source.name, source.feeds[0].name, account.source, table, f"{table}/111", report, f"{report}/111"):
        require_known(services.ledger, patterns, name)
    for wrong in ("typo", f"{source.name}/typo", f"{source.feeds[0].name}/111", f"{table}/222", f"{report}/222"):
        with pytest.raises(PermanentFailure, match="there are"):
            require_known(services.ledger, patterns, wrong)
