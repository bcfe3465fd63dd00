"""Days of the stream against the reports of the same account."""

from decimal import Decimal

from adplatform.pull.stream.agreement import compare

REPORTED = {("1", "SPONSORED_PRODUCTS"): [Decimal(1000), Decimal(50), Decimal("12.50")]}


def test_what_differs_by_no_more_than_the_tolerance_agrees() -> None:
    streamed = {("1", "SPONSORED_PRODUCTS"): [Decimal(1020), Decimal(49), Decimal("12.5000")]}
    found = compare(REPORTED, streamed, 2.0)
    assert (found.passed, found.metrics) == (True, {"compared": 1, "greatest_percent": 2.0})


def test_what_differs_more_is_said_of_each_measure_and_only_warns() -> None:
    streamed = {("1", "SPONSORED_PRODUCTS"): [Decimal(1021), Decimal(50), Decimal(25)]}
    found = compare(REPORTED, streamed, 2.0)
    assert not found.passed and not found.blocking
    assert [(each["measure"], each["percent"]) for each in found.details] == [
        ("impressions", "2.10"),
        ("cost", "100.00"),
    ]


def test_a_product_that_one_side_lacks_differs_altogether() -> None:
    assert [each["percent"] for each in compare(REPORTED, {}, 50).details] == ["100.00"] * 3
    assert [each["reports"] for each in compare({}, REPORTED, 50).details] == ["0"] * 3
