"""What an account declares about time, and of columns that nobody declared."""

from typing import Any

import pytest
from pydantic import ValidationError

from adplatform.amazon.sources import AdsSource
from adplatform.contracts.file_format import FileFormat
from adplatform.failures import wrapped
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


def test_the_tables_that_have_a_column_have_its_convention() -> None:
    naming = {"campaign_name": "{market}_{what}", "ad_group_name": "{market}-{what}", "by": "cost"}
    declared = declare(naming=naming, reports=["sp_campaigns", "sp_ad_groups", "campaigns_metadata"])
    conventions = {flow.feed.name: flow.feed.naming for _, flow in account_of(declared).tables()}
    found = {table: (list(each.columns), each.by) for table, each in conventions.items() if each}
    assert found == {
        "sp_campaigns": (["campaign_name"], "cost"),
        "sp_ad_groups": (["campaign_name", "ad_group_name"], "cost"),
        "campaigns_metadata": (["campaign_name"], None),
    }


@pytest.mark.parametrize(
    ("naming", "reason"),
    [
        ({"campaignname": "{a}"}, r"naming: no report has a column 'campaignname' \(did you mean campaign_name"),
        ({"campaign_name": "{a}", "by": "spent"}, "naming: no report has a column 'spent'"),
        ({"campaign_name": {"patterns": "{id}", "prefix": "campaign"}}, "campaign_id is a declared column"),
    ],
)
def test_conventions_that_no_report_can_have_are_refused(naming: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        declare(naming=naming)


@pytest.mark.parametrize(
    ("profiles", "where", "reason"),
    [
        ({"countries": ["US", "usa"]}, ("countries", 1), "'usa' is no country: give its two capital letters"),
        ({"countries": [False]}, ("countries", 0), "Input should be a valid string"),
        ({"country": ["US"]}, ("country",), "Extra inputs are not permitted"),
        ({"types": ["sellers"]}, ("types", 0), "Input should be 'seller', 'vendor' or 'agency'"),
        (["a b"], (0,), "'a b' is not an id"),
        ("all", (), "Input should be a valid tuple"),
    ],
)
def test_a_wrong_choice_of_profiles_gets_one_message(profiles: Any, where: tuple[Any, ...], reason: str) -> None:
    with pytest.raises(ValidationError) as failure:
        declare(profiles=profiles)
    [error] = failure.value.errors()
    assert (error["loc"][0], error["loc"][2:]) == ("profiles", where)
    assert reason in error["msg"]


def test_a_setting_that_has_two_forms_is_wrong_in_one() -> None:
    for setting in ("header", "skip_footer"):
        with pytest.raises(ValidationError) as failure:
            FileFormat.model_validate({setting: {"starts": "Date"}})
        assert {error["loc"][1] for error in failure.value.errors()} == {"(settings)"}


def test_many_names_are_wrapped_and_few_are_not() -> None:
    assert wrapped(["one", "two"]) == "one, two"
    many = wrapped(f"report_{n}" for n in range(30))
    assert many.startswith("report_0, report_1, ")
    assert "\n    report_" in many
    assert len(many.splitlines()) > 3
    assert max(map(len, many.splitlines())) <= 100
    assert " ".join(many.split()) == ", ".join(f"report_{n}" for n in range(30))
    with pytest.raises(ValidationError, match=r"there is no ready-made report 'sp'.*; there are s[^\n]*\n    s"):
        declare(reports=["sp"])
