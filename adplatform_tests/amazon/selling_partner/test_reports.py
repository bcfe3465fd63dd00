"""What may be declared of the Selling Partner API, and what is said to the rest."""

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from adplatform.amazon.definitions import ReportDefinition, feed
from adplatform.amazon.restatement import Period, Window, plan
from adplatform.amazon.selling_partner.definitions import READY_MADE
from adplatform.amazon.sources import SellingPartnerSource
from adplatform_tests.amazon.selling_partner.contract import read

OWN: dict[str, Any] = {
    "name": "fees",
    "report_type": "GET_FBA_STORAGE_FEE_CHARGES_DATA",
    "format": "tsv",
    "date_field": "charge-date",
    "columns": {"asin": {"required": True}, "charge-date": "date", "fee": "decimal(12,2)"},
}
UNDATED = {k: v for k, v in OWN.items() if k != "date_field"}
TABLES = [
    {"name": "a", "records": "a", "date_field": "day", "columns": {"day": "date"}},
    {"name": "b", "records": "b", "columns": {"asin": None}},
]


def source(*reports: Any, **more: Any) -> SellingPartnerSource:
    settings = {"source": "shop", "credentials": "s", "start_date": "2026-01-01", "reports": list(reports)}
    return SellingPartnerSource.model_validate(settings | more)


def definition(report: Any) -> ReportDefinition:
    [found] = source(report).definitions()
    return found


def test_every_ready_made_report_makes_good_tables() -> None:
    needed = {"search_query_performance": {"asin": "B000000001"}}
    for name in READY_MADE:
        found = definition({"name": name, "options": needed[name]} if name in needed else name)
        assert all(feed(d, date(2026, 1, 1), "{feed}/{date}/{file}").columns for d in found.datasets)
        assert all(d.date_field or found.policy.max_range_days == 1 or found.discovered for d in found.datasets)
        kept = {(d.feed, c.name) for d in found.datasets for c in d.columns if not c.drop}
        assert not {name for _, name in kept} & {"marketplace_id", "as_of", "wave", "report_id"}
        plotted = {(d.feed, metric) for d in found.datasets for metric in d.plotted}
        assert plotted <= {(d.feed, c.field_name) for d in found.datasets for c in d.columns}


def test_what_is_not_said_of_an_own_report_is_safe() -> None:
    found = definition(OWN)
    [table] = found.datasets
    assert (found.restricted, found.dates_in, table.schema_policy, table.localized) == (False, "scope", "freeze", False)
    assert (found.policy.max_range_days, found.policy.retention_days, found.policy.closes) == (29, 60, False)
    assert [(c.name, c.field) for c in table.columns] == [
        *(("asin", None), ("charge_date", "charge-date"), ("fee", None)),
    ]
    assert table.date_field == "charge-date"
    undated = definition(UNDATED | {"period": "day"})
    assert undated.policy.max_range_days == 1
    assert undated.policy.requests_per_day >= len(undated.policy.daily) + len(undated.policy.waves)


def test_a_period_is_asked_for_whole_without_an_option_that_amazon_may_not_know() -> None:
    monthly = definition(UNDATED | {"period": "month"})
    assert (monthly.policy.period, monthly.configuration) == (Period.MONTH, {})
    assert monthly.policy.can_be_had(date(2026, 8, 31), date(2026, 9, 3))
    assert not monthly.policy.can_be_had(date(2026, 8, 30), date(2026, 9, 3))


def test_a_snapshot_is_of_its_own_date_alone() -> None:
    dated, snapshot = definition(UNDATED | {"period": "day"}), definition(UNDATED | {"snapshot": True})
    assert (snapshot.snapshot, snapshot.keep, dated.snapshot) == (True, "daily", False)
    assert definition({"name": "fba_inventory", "keep": "newest"}).keep == "newest"
    assert snapshot.definition_hash != dated.definition_hash, "what became of it before says nothing of its dates"
    today = date(2026, 9, 22)
    had = [today + timedelta(days=n) for n in range(-3, 3) if snapshot.policy.can_be_had(today + timedelta(n), today)]
    assert had == [today]
    assert plan(snapshot.policy, today, date(2020, 1, 1), {}).windows == (Window(today, today, {today: 0}),)
    assert plan(snapshot.policy, today, date(2020, 1, 1), {today: today}).windows == ()


def test_another_kind_of_day_is_another_report_to_ask_for() -> None:
    there, utc = definition(OWN), definition(OWN | {"dates_in": "utc"})
    assert there.definition_hash != utc.definition_hash
    described = definition(OWN | {"description": "Fees.", "plotted": ["fee"]})
    assert described.definition_hash == there.definition_hash


def test_what_a_ready_made_report_drops_may_be_kept_by_who_says_so() -> None:
    kept = {"customer-comments": {"pii": {"kind": "generic_id", "treatment": "clear"}}}
    [table] = definition({"name": "customer_returns", "columns": kept}).datasets
    assert [c.drop for c in table.columns if c.field_name == "customer-comments"] == [False]


def test_an_own_report_may_be_xml_with_attributes_and_a_table_of_repeated_elements(tmp_path: Path) -> None:
    orders = "<E><Order id='7'><Day>2026-01-02</Day><Item><Price currency='EUR'>1.5</Price></Item><Item/></Order></E>"
    price = {"Item.Price.#text": "decimal(8,2)", "Item.Price.@currency": None}
    own = {
        "name": "orders",
        "report_type": "GET_XML",
        "format": "xml",
        "records": "E.Order",
        "each": "Item",
        "date_field": "Day",
        "columns": {"@id": None, "Day": "date", **price},
    }
    day = date(2026, 1, 2)
    [row] = read(definition(own), orders.encode(), day, day, tmp_path)["orders"]
    assert (row["id"], row["day"], row["item_price_text"], row["item_price_currency"]) == (
        "7",
        day,
        Decimal("1.5"),
        "EUR",
    )


def test_numbers_whose_names_look_personal_are_none() -> None:
    assert definition(OWN | {"columns": {**OWN["columns"], "emailClicks": "bigint"}}).datasets


def test_what_is_said_of_an_own_report_holds() -> None:
    more = {
        "dates_in": "utc",
        "max_range_days": 7,
        "retention_days": 365,
        "options": {"custom": "true"},
        "date_field": "charge_date",
        "plotted": ["fee"],
        "schema_policy": "evolve",
        "localized": True,
        "description": "Fees.",
        "restatement": {"daily": [1], "waves": [5]},
    }
    found = definition(OWN | more)
    [table] = found.datasets
    assert (found.dates_in, dict(found.configuration), table.description) == ("utc", {"custom": "true"}, "Fees.")
    policy = found.policy
    assert (policy.max_range_days, policy.retention_days, policy.daily, policy.waves) == (7, 365, (1,), (5,))
    assert (table.date_field, table.plotted, table.localized) == ("charge-date", ("fee",), True)


def test_a_period_makes_one_request_for_each() -> None:
    weekly = definition({"name": "vendor_sales", "options": {"reportPeriod": "WEEK"}})
    assert (weekly.policy.period, weekly.policy.max_range_days) == (Period.WEEK, 1)
    own = definition(OWN | {"format": "json", "options": {"reportPeriod": "MONTH"}})
    assert (own.policy.period, own.policy.max_range_days) == (Period.MONTH, 1)


def test_more_ages_of_a_report_of_one_day_are_more_requests() -> None:
    found = definition({"name": "sales_and_traffic", "restatement": {"daily": list(range(1, 11)), "waves": [20]}})
    assert found.policy.requests_per_day == 11


def test_an_extended_report_has_a_name_and_tables_of_its_own() -> None:
    both = source("all_orders", {"name": "eu_orders", "extends": "all_orders", "columns": {"is-iba": "boolean"}})
    first, second = both.definitions()
    assert [d.feed for d in (*first.datasets, *second.datasets)] == ["all_orders", "eu_orders"]
    assert second.datasets[0].columns == (*first.datasets[0].columns, second.datasets[0].columns[-1])
    assert (second.datasets[0].columns[-1].name, second.datasets[0].columns[-1].field) == ("is_iba", "is-iba")
    assert second.report_type == first.report_type
    spelled = definition({"name": "all_orders", "localized": True})
    assert [each.datasets[0].localized for each in (first, spelled)] == [False, True]


@pytest.mark.parametrize(
    ("report", "says"),
    [
        ("sales_and_trafic", "did you mean sales_and_traffic"),
        ({"name": "orders"}, "there is no ready-made report 'orders'"),
        ({"name": "orders", "columns": {"a": None}}, "orders: give report_type and format, or extends"),
        ("search_query_performance", "needs the options asin"),
        ({"name": "repeat_purchase", "options": {"reportPeriod": "DAY"}}, "is 'DAY'; Amazon takes WEEK, MONTH"),
        ({"name": "vendor_sales", "options": {"distributorview": "SOURCING"}}, "did you mean distributorView"),
        ({"name": "search_query_performance", "options": {"asin": "B" * 201}}, "201 characters, and Amazon takes 200"),
        ({"name": "x", "extends": "all_orders", "format": "tsv"}, "format go with report_type"),
        (
            {"name": "x", "extends": "sales_and_traffic", "columns": {"a": None}},
            "one of its tables: sales_and_traffic_by",
        ),
        ({"name": "x", "extends": "all_orders", "tables": [TABLES[1] | {"name": "y"}]}, "all_orders has no table y"),
        ({"name": "x", "extends": "all_orders", "columns": {"sku": None}}, "column sku is declared twice"),
        ({"name": "x", "extends": "all_orders", "columns": {"buyer-email": None}}, "buyer-email looks personal"),
        (OWN | {"extends": "all_orders"}, "report_type or extends, not both"),
        ({k: v for k, v in OWN.items() if k != "format"}, "give the format of GET_FBA_STORAGE_FEE_CHARGES_DATA"),
        ({k: v for k, v in OWN.items() if k != "columns"}, "declare at least one column"),
        (OWN | {"date_field": "day"}, "date_field names day, which is no column; there are asin, charge-date, fee"),
        (OWN | {"date_field": "fee"}, "date_field names fee, a column of type decimal"),
        (OWN | {"plotted": ["asin"]}, "plotted names asin, a column of type string"),
        (OWN | {"columns": {"a-b": "date", "a_b": "date"}}, "both called a_b"),
        (OWN | {"columns": {"report-id": None}}, "the platform adds report_id itself"),
        (OWN | {"columns": {"asin": "text"}}, "text"),
        (
            OWN | {"columns": {"asin": {"field": ["asin", "sku"]}}},
            "a report is asked for fields by name: give one field",
        ),
        (OWN | {"columns": {"ship-city": None}}, "column ship-city looks personal"),
        (OWN | {"restricted": True}, "a restricted report holds personal data"),
        (OWN | {"restricted": True, "schema_policy": "evolve"}, "needs schema_policy: freeze"),
        (OWN | {"records": "rows"}, "a tsv report is one table, without records"),
        (OWN | {"each": "items"}, "a tsv report is one table, without records and each"),
        (OWN | {"format": "xml"}, "give records, the path from the root to the elements that are rows"),
        (OWN | {"options": {"from": "{begin}"}}, "option from has {begin}; what is replaced is {start}, {end}"),
        ({"name": "customer_returns", "columns": {"customer-comments": None}}, "customer-comments looks personal"),
        (OWN | {"tables": TABLES}, "columns, date_field stand in each of its tables"),
        ({"name": "x", "report_type": "T", "format": "tsv", "tables": TABLES}, "a tsv report is one table"),
        (
            {"name": "x", "report_type": "T", "format": "json", "tables": TABLES, "max_range_days": 2, "period": "day"},
            "max_range_days must be 1, as b has no date_field",
        ),
        (OWN | {"options": {"reportPeriod": "WEEK"}, "max_range_days": 7}, "must be 1, as a report is about one WEEK"),
        (UNDATED, "fees has no date_field, so nothing says which date its rows are of. Write `snapshot: true` if"),
        (UNDATED | {"period": "day", "options": {"reportPeriod": "DAY"}}, "period out: option reportPeriod says it"),
        (UNDATED | {"period": "day", "discovered": True}, "leave period out: Amazon makes it by itself"),
        (UNDATED | {"snapshot": True, "retention_days": 9, "period": "day"}, "leave period, retention_days out"),
        (UNDATED | {"snapshot": True, "restatement": {"daily": [1]}}, "once a day: leave restatement out"),
        (OWN | {"snapshot": True}, "of the day on which it is asked for: leave date_field out"),
        (OWN | {"keep": "newest"}, "keep goes with snapshot: true"),
        (OWN | {"options": {"reportPeriod": "HOUR"}}, "'HOUR' is no period"),
        (OWN | {"discovered": True}, "give no options and no date_field"),
        (OWN | {"restatement": {"daily": [59, 60]}, "retention_days": 60}, "first asked for at an age of 59 days"),
        (OWN | {"report_type": "get_orders"}, "pattern"),
        (OWN | {"colums": {}}, "Extra inputs"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(report: Any, says: str) -> None:
    with pytest.raises(ValidationError) as refused:
        source(report)
    assert says in str(refused.value)
    assert refused.value.error_count() == 1


def test_two_reports_may_not_fill_one_table() -> None:
    with pytest.raises(ValidationError, match="fees is declared twice"):
        source(OWN, OWN | {"report_type": "GET_OTHER"})


@pytest.mark.parametrize(
    ("marketplaces", "says"),
    [({"countries": ["US"]}, "list those of the vendor by id"), (["ATVPDKIKX0DE"], "ATVPDKIKX0DE is no marketplace")],
)
def test_marketplaces_of_a_vendor_are_listed(marketplaces: Any, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        source("vendor_sales", partner="vendor", marketplaces=marketplaces)
