"""What may be said of the flows of a SaaS application, and what of it AppFlow would not take."""

from datetime import timedelta
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from adplatform.contracts.pii import PiiKind, Treatment
from adplatform.contracts.saas import OWN_CONNECTORS, SaasSource

SCHEMA = Draft202012Validator(SaasSource.model_json_schema())
OWN: dict[str, Any] = {
    "name": "contacts",
    "object": "Contact",
    "columns": {
        "id": {"field": "Id", "required": True},
        "changed_at": {"field": "SystemModstamp", "type": "timestamp"},
    },
}
HOURLY = {"expression": "rate(1hours)"}


def declared(*feeds: Any, **common: Any) -> dict[str, Any]:
    return {"source": "crm", "connection": "crm", "start_date": "2026-01-01", **common, "feeds": list(feeds)}


def source(*feeds: Any, **common: Any) -> SaasSource:
    return SaasSource.model_validate(declared(*feeds, **common))


def test_a_name_is_enough() -> None:
    [contacts] = source("contacts").feeds
    assert (contacts.name, contacts.object, contacts.every) == ("contacts", "Contact", timedelta(days=1))
    assert contacts.key == ("contact_id", "created_year")


def test_anything_of_a_ready_made_feed_may_be_changed() -> None:
    changes = {
        "name": "people",
        "every": "6h",
        "description": "Ours.",
        "start_date": "2026-05-01",
        "fresh_within": None,
    }
    [people] = source({"extends": "contacts", **changes}).feeds
    assert (people.name, people.every, people.description) == ("people", timedelta(hours=6), "Ours.")
    assert str(people.start_date) == "2026-05-01"
    assert people.fresh_within is None


def test_settings_of_a_column_are_laid_over_those_that_are_ready() -> None:
    columns = {
        "email": {"pii": {"kind": "email", "treatment": ["lake", "meta"]}},
        "score": {"field": "Score__c"},
        "title": None,
    }
    [contacts] = source({"extends": "contacts", "columns": columns}).feeds
    email = contacts.column("email")
    assert (email.field, email.pii and email.pii.treatment) == ("Email", (Treatment.LAKE, Treatment.META))
    assert contacts.columns[-1].name == "score"
    assert contacts.column("title").field == "Title"
    phone = contacts.column("phone").pii
    assert phone
    assert phone.kind is PiiKind.PHONE


def test_of_columns_that_are_listed_those_stay_that_place_and_compare_rows() -> None:
    [contacts] = source({"extends": "contacts", "columns": ["email", "phone"]}).feeds
    names = [column.name for column in contacts.columns]
    assert names == ["contact_id", "email", "phone", "mailing_country", "created_at", "changed_at", "created_year"]


def test_columns_may_be_left_out() -> None:
    [whole, less] = source("contacts", {"extends": "contacts", "name": "less", "remove": ["title", "phone"]}).feeds
    assert {c.name for c in whole.columns} - {c.name for c in less.columns} == {"title", "phone"}


def test_one_schedule_takes_the_place_of_the_other() -> None:
    [contacts] = source({"extends": "contacts", "scheduled": HOURLY}).feeds
    assert contacts.every is None
    cloud = {"connector": "SalesforceMarketingCloud"}
    [opens] = source({"extends": "open_events", "every": "1d"}, **cloud).feeds
    assert (opens.scheduled, opens.every) == (None, timedelta(days=1))


def test_the_account_is_put_where_the_names_of_objects_have_it() -> None:
    ads = {"connector": "GoogleAds", "account": "1112931111"}
    assert [feed.object for feed in source("campaigns", "ads", **ads).feeds] == [
        "campaign-1112931111",
        "adGroupAd-1112931111",
    ]


@pytest.mark.parametrize(
    ("feeds", "common", "problem"),
    [
        (
            ["contcts"],
            {},
            r"no ready-made feed 'contcts' for Salesforce \(did you mean contacts\?\); there are accounts, ",
        ),
        ([{"extends": 5}], {}, "no ready-made feed 5 for Salesforce; there are accounts, "),
        (
            ["leads"],
            {"connector": "Marktoo"},
            r"for the connector Marktoo \(did you mean Marketo\?\); there are for Face",
        ),
        ([{"extends": "contacts", "remove": "nme"}], {}, "the ready-made feed has no column nme; it has contact_id, "),
        (
            [{"extends": "contacts", "columns": ["nme"]}],
            {},
            "the ready-made feed has no column nme; it has contact_id, ",
        ),
        ([{"extends": "contacts", "columns": [5]}], {}, "are named, each by a text"),
        ([{"extends": "contacts", "remove": 5}], {}, "remove is a list of columns"),
        (
            [{"extends": "contacts", "remove": ["contact_id"]}],
            {},
            "key names column 'contact_id', which is not declared",
        ),
        ([{"extends": "contacts", "colums": {}}], {}, "Extra inputs are not permitted"),
        ([{"extends": "contacts", "columns": {"email": "strnig"}}], {}, "columns.email.type: unknown type 'strnig'"),
        ([{"extends": "contacts", "columns": {"email": {"typ": 1}}}], {}, "columns.email.typ: Extra inputs are not"),
        (["contacts"], {"start_date": None}, "Field required"),
        (["contacts", "contacts"], {}, "feed contacts is declared twice"),
        (["contacts"], {"connection": None}, "connection is missing: feed contacts has an object"),
        (
            ["contacts"],
            {"connector": "HubSpot", "simulated": True},
            "simulated: true is a CRM of Salesforce, none of Hub",
        ),
        (["campaigns"], {"connector": "GoogleAds"}, "account is missing: the object is campaign-{account}"),
        ([OWN], {"connector": "Salesforec"}, r"none of AppFlow's own connectors \(did you mean Salesforce\?\)"),
        ([{**OWN, "every": "1h", "scheduled": HOURLY}], {}, "every and scheduled exclude each other"),
        ([{**OWN, "scheduled": HOURLY}], {}, "incremental_by is missing"),
        ([{**OWN, "object": None, "scheduled": HOURLY}], {}, "scheduled: only for a flow that is made here"),
        ([{**OWN, "incremental_by": "id"}], {}, "'id', which is no timestamp or date of columns"),
        (
            [{**OWN, "include_deleted": True}],
            {"connector": "Zendesk"},
            "include_deleted is for Salesforce, not Zendesk",
        ),
        (
            [{**OWN, "incremental_by": "changed_at", "scheduled": HOURLY, "partition_by": None}],
            {},
            "no more than the last incremental run",
        ),
        ([{**OWN, "scheduled": {"expression": "rate(1 fortnight)"}}], {}, "is no rate: write rate"),
        ([{**OWN, "scheduled": {"expression": "rate(0hours)"}}], {}, "is no rate: write rate"),
        ([{**OWN, "scheduled": {"expression": "hourly"}}], {}, "should match pattern"),
        ([{**OWN, "scheduled": {**HOURLY, "first_from": "2026-01-01T00:00:00"}}], {}, "first_from is an instant"),
        (
            [{"extends": "leads", "scheduled": {"expression": "rate(30minutes)"}}],
            {"connector": "Marketo"},
            "feed leads: AppFlow runs flows of Marketo by a schedule every 1h at most",
        ),
        ([{**OWN, "filters": [{"field": "A", "operator": "between", "values": ["1"]}]}], {}, "between takes 2, not 1"),
        ([{**OWN, "filters": [{"field": "A", "values": []}]}], {}, "equal_to takes 1, not 0"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(feeds: list[Any], common: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        source(*feeds, **common)


@pytest.mark.parametrize(
    "feed",
    [
        "contacts",
        {"extends": "contacts"},
        {"extends": "contacts", "every": None, "columns": ["email"]},
        {"extends": "contacts", "columns": {"email": {"pii": "email"}, "score": "int"}, "remove": "title"},
        {**OWN, "incremental_by": "changed_at", "scheduled": {**HOURLY, "first_from": "2026-01-01T00:00:00Z"}},
        {**OWN, "filters": [{"field": "Type", "values": ["Customer", "Partner"]}]},
    ],
)
def test_the_schema_accepts_names_changes_and_feeds_of_ones_own(feed: Any) -> None:
    source(feed)
    assert [error.message for error in SCHEMA.iter_errors(declared(feed))] == []


@pytest.mark.parametrize("feed", [5, {"extends": "contacts", "colums": {}}, {"extends": "contacts", "columns": 5}, {}])
def test_the_schema_refuses_what_no_feed_is(feed: Any) -> None:
    with pytest.raises(ValidationError):
        source(feed)
    assert not SCHEMA.is_valid(declared(feed))


def test_a_connector_that_is_appflows_own_needs_no_version() -> None:
    assert source(OWN, connector="Zendesk").version is None
    assert source(OWN, connector="Shopify", api_version="2026-01").version == "2026-01"
    assert source("contacts", connector="HubSpot").version == "v3"
    assert "Salesforce" in OWN_CONNECTORS


@pytest.mark.parametrize("change", [{"columns": ["contact_id", "email"]}, {"remove": "is_deleted"}])
def test_deleted_records_are_not_brought_without_the_column_that_tells_them(change: dict[str, Any]) -> None:
    declared = {"source": "crm", "start_date": "2026-01-01", "connection": "crm"}
    source = SaasSource.model_validate({**declared, "feeds": [{"extends": "contacts", **change}]})
    [feed] = source.feeds
    assert not feed.include_deleted or "is_deleted" in [column.name for column in feed.columns]
