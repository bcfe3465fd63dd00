"""The simulated Ads API reads the documentation for itself; client and simulation have to come to the same."""

from datetime import UTC, date, datetime

import pytest

from adplatform.amazon.ads import report_types as client
from adplatform.amazon.ads.definitions import READY_MADE, ads_definition
from adplatform.local.world.amazon.accounts import DEMO_ACCOUNTS
from adplatform.local.world.amazon.ads import invalid
from adplatform.local.world.amazon.advertising import Query, rows, summary
from adplatform.local.world.amazon.catalogue import report_types


@pytest.mark.parametrize("name", sorted(report_types()))
def test_the_client_believes_of_a_report_type_what_the_api_takes(name: str) -> None:
    taken, believed = report_types()[name], client.report_type(name)
    assert (taken.product, taken.max_range_days, taken.retention_days) == (
        believed.product,
        believed.max_range_days,
        believed.retention_days,
    )
    assert taken.time_units == set(believed.time_units)
    assert taken.groups.keys() == believed.groups.keys()
    for group in taken.groups:
        assert taken.allowed([group]) == believed.allowed([group])
        assert taken.filters[group] == believed.groups[group].filters


def test_every_report_type_is_simulated() -> None:
    assert client.report_types().keys() == report_types().keys()


@pytest.mark.parametrize("name", READY_MADE)
def test_a_ready_made_report_is_taken_and_has_rows(name: str) -> None:
    configuration = ads_definition(name, READY_MADE[name]).configuration
    profile = next(each for each in DEMO_ACCOUNTS.profiles if each.demand_side)
    now, day = datetime(2026, 9, 20, 20, tzinfo=UTC), date(2026, 9, 14)
    body = {"startDate": str(day), "endDate": str(day), "configuration": configuration}
    assert invalid(body, profile, now, ()) == ""
    query = Query(configuration["reportTypeId"], tuple(configuration["groupBy"]), tuple(configuration["columns"]))
    daily = configuration["timeUnit"] == "DAILY"
    found = rows(query, profile, day, now, 7) if daily else summary(query, profile, day, day, now, 7)
    assert found
    assert all(tuple(row) == query.columns for row in found)
