"""Every ready-made feed is one that the platform and AppFlow take, and says what becomes of personal data."""

import re
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from adplatform.contracts.column import Column
from adplatform.contracts.pii import PiiKind, Treatment
from adplatform.contracts.ready_made import connectors, ready_made_of
from adplatform.contracts.saas import FlowFeed, SaasSource
from adplatform.engines.declared_flows import flow_request
from adplatform.transform.compile import compile_contract

CREATE_FLOW = (
    ServiceModel(Loader().load_service_model("appflow", "service-2")).operation_model("CreateFlow").input_shape
)
PERSONAL = re.compile(
    r"e-?mail|phone|fax|first.?name|last.?name|street|^address$|^city$|billingcity|mailingcity|zip|postal.?code"
    r"|subscriberkey|ip.?address|anonymousip|birth|cookie|user.?id",
    re.IGNORECASE,
)
"""What fields with personal data are called."""
NOT_PERSONAL = ("EmailName", "EmailTypePreference")
"""Such that are of a message, or say nothing of who it is."""


def source(connector: str, *feeds: Any) -> SaasSource:
    common = {
        "source": "app",
        "connector": connector,
        "connection": "app",
        "account": "123",
        "start_date": "2026-01-01",
    }
    return SaasSource.model_validate({**common, "feeds": feeds})


def all_feeds() -> list[tuple[str, str]]:
    return [(name, feed) for name in connectors() for feed in (ready_made_of(name) or pytest.fail(name)).feeds]


@pytest.fixture(params=all_feeds(), ids="-".join)
def names(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Of a connector and of a ready-made feed of it."""
    connector, feed = request.param
    return connector, feed


@pytest.fixture
def feed(names: tuple[str, str]) -> FlowFeed:
    [made] = source(*names).feeds
    return made


def test_there_are_those_that_advertisers_ask_for() -> None:
    assert set(connectors()) == {
        *("FacebookAds", "GoogleAds", "GoogleAnalytics4", "HubSpot", "LinkedInAds", "Marketo", "Salesforce"),
        "SalesforceMarketingCloud",
    }


def test_a_feed_says_what_it_holds_and_comes_by_itself(feed: FlowFeed) -> None:
    assert feed.description.endswith(".")
    assert feed.every or feed.scheduled
    assert feed.object


def test_a_feed_has_a_contract_that_engines_take(feed: FlowFeed) -> None:
    compile_contract(feed.contract)


def test_rows_have_a_key_by_which_later_deliveries_replace_them(feed: FlowFeed) -> None:
    assert feed.key
    assert feed.partition_by in (None, "dt", *feed.key)
    if feed.partition_by is None:
        assert feed.incremental_by is None, "a table that is replaced needs complete runs"


def test_columns_that_look_personal_say_what_becomes_of_them(feed: FlowFeed) -> None:
    unsaid = [column.name for column in feed.columns if _looks_personal(column) and column.pii is None]
    assert unsaid == []


def test_no_more_of_a_person_than_the_country_is_readable(feed: FlowFeed) -> None:
    kept = {pii.kind for _, pii in feed.contract.pii_columns() if Treatment.CLEAR in pii.treatment}
    assert kept <= {PiiKind.COUNTRY}


def _looks_personal(column: Column) -> bool:
    text = column.data_type.name == "string" and column.field_name not in NOT_PERSONAL
    return text and PERSONAL.search(column.field_name) is not None


@pytest.mark.parametrize("pull", [None, "complete", "incremental"])
def test_its_flow_is_one_that_appflow_takes(names: tuple[str, str], feed: FlowFeed, pull: str | None) -> None:
    if pull == "incremental" and feed.incremental_by is None:
        pytest.skip("it has no date by which it could be incremental")
    change = {"scheduled": {"expression": "rate(1days)", "pull": pull}} if pull else {}
    declared = source(names[0], {"extends": names[1], **change})
    request = flow_request(
        declared.feeds[0],
        flow="app-feed",
        connector=declared.connector,
        connection="app",
        bucket="raw",
        prefix="landing/app/",
        api_version=declared.version,
    )
    report = ParamValidator().validate(request, CREATE_FLOW)
    assert not report.has_errors(), report.generate_report()
    read = request["sourceFlowConfig"]
    custom = read["connectorType"] == "CustomConnector"
    assert custom == (declared.connector not in ("Salesforce", "Marketo"))
    assert custom == ("apiVersion" in read)
