"""What an account declares about time, and of columns that nobody declared."""

from typing import Any

import pytest
from pydantic import ValidationError

from adplatform.amazon.sources import AdsSource
from adplatform.pull.account import account_of


def declare(**times: Any) -> AdsSource:
    account = {"source": "ads", "credentials": "ads", "start_date": "2026-01-01", "reports": ["sp_campaigns"]}
    return AdsSource.model_validate(account | times)


@pytest.mark.parametrize(
    ("times", "reported"),
    [
        ({"request_at": "23:30", "spread": "1h"}, "request_at 23:30 and spread 1:00:00 go past midnight"),
        ({"request_at": "00:00", "spread": "24h"}, "go past midnight"),
        ({"poll_every": "0s"}, "must grow in this order"),
        ({"overdue_after": "30s"}, "must grow in this order"),
        ({"give_up_after": "2h"}, "must grow in this order"),
    ],
)
def test_times_at_which_nothing_would_be_asked_or_reported_are_refused(times: dict[str, str], reported: str) -> None:
    with pytest.raises(ValidationError, match=reported):
        declare(**times)


def test_requests_may_be_spread_until_midnight() -> None:
    assert declare(request_at="22:59", spread="1h").request_at.hour == 22


@pytest.mark.parametrize("said", ["quarantine", "clear"])
def test_the_tables_store_undeclared_personal_data_where_the_account_says_so(said: str) -> None:
    [(_, flow)] = account_of(declare(undeclared_personal=said)).tables()
    assert (flow.feed.contract.schema_policy, flow.feed.contract.undeclared_personal) == ("evolve", said)
