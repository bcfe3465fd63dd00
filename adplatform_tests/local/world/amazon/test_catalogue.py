"""The simulated Ads API reads the documentation for itself; client and simulation have to come to the same."""

import pytest

from adplatform.amazon.ads import report_types as client
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
