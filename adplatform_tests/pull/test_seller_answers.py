"""What becomes of a seller's reports when Amazon answers otherwise than it says it does."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from adplatform.amazon.definitions import Dataset, columns_of
from adplatform.amazon.reports import MadeOtherwise, Progress, ReportOrder, ReportStatus
from adplatform.amazon.slices import SliceFile
from adplatform.failures import CredentialsRefused, PermanentFailure
from adplatform.flow.services import Services
from adplatform.ledger.report import Report, ReportState
from adplatform.local.world.amazon.accounts import DEMO_ACCOUNTS
from adplatform.local.world.amazon.products import products
from adplatform.pull.otherwise import as_taken, checked
from adplatform_tests.pull.seller import Simulated, declared, simulated_seller

JAPAN = next(m for m in DEMO_ACCOUNTS.marketplaces if m.country == "JP")


@pytest.fixture
def seller(services: Services, tmp_path: Path) -> Iterator[Simulated]:
    with simulated_seller(services, tmp_path) as made:
        yield made


def test_a_japanese_file_whose_header_says_latin_1_comes_out_in_japanese(services: Services, tmp_path: Path) -> None:
    with simulated_seller(services, tmp_path, JAPAN) as seller:
        seller.account = declared("all_orders", region="fe", history="2d")
        seller.world.fault("sp_create", "lying_charset")
        seller.day()
        [report] = seller.reports("all_orders")
        assert (report.state, report.charset.lower(), report.doubt) == (ReportState.DONE, "iso-8859-1", "")
        names = {name for (name,) in seller.table("all_orders", "product_name")}
        assert names <= {p.name for p in products("JP", "JPY")}
        assert not all(map(str.isascii, names))


def test_a_report_that_names_another_end_is_taken_where_its_rows_have_the_dates_that_were_ordered(
    seller: Simulated,
) -> None:
    seller.account = declared("sales_and_traffic", history="2d")
    seller.world.fault("sp_create", "other_end")
    seller.day()
    [report] = seller.reports("sales_and_traffic")
    assert report.state is ReportState.DONE
    assert re.search(r"data from 2026-09-20\S+ to 2026-09-19\S+ instead of .*; its rows have the dates", report.doubt)
    assert seller.table("sales_and_traffic_by_date", "dt") == [(date(2026, 9, 20),)]


@pytest.mark.slow
def test_a_report_that_is_made_otherwise_every_day_can_be_accepted(seller: Simulated) -> None:
    for policy, state in (("refuse", ReportState.FAILED), ("accept", ReportState.DONE)):
        seller.account = declared("all_orders", history="2d", made_otherwise=policy)
        seller.world.fault("sp_create", "bigger_range" if policy == "accept" else "other_end")
        seller.day()
        report = seller.reports("all_orders")[-1]
        assert report.state is state
        assert "instead of" in (report.error or report.doubt)
        seller.later(days=1)
    assert report.outside_rows


@pytest.mark.slow
def test_options_that_a_document_says_it_was_made_with_are_a_warning(seller: Simulated) -> None:
    seller.account = declared("sales_and_traffic", history="2d")
    seller.world.fault("sp_create", "other_option")
    seller.day()
    [report] = seller.reports("sales_and_traffic")
    assert report.state is ReportState.DONE
    assert report.doubt == "Amazon says that it made it with asinGranularity SKU instead of CHILD"


BY_DATE = Dataset("by_date", columns_of([("date", "date")]), date_field="date")
UNDATED = replace(BY_DATE, date_field=None)
FROM, TO = datetime(2026, 9, 19, tzinfo=UTC), datetime(2026, 9, 20, 23, 59, 59, tzinfo=UTC)
A_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Said:
    """A report of two dates as Amazon describes it, and the rows of each."""

    made_from: datetime = FROM
    made_to: datetime = TO
    rows: tuple[int, int] = (1, 1)
    outside: int = 0
    datasets: tuple[Dataset, ...] = (BY_DATE,)
    policy: str = "check"
    flat: bool = False

    def check(self) -> str:
        account = declared("all_orders", "sales_and_traffic", made_otherwise=self.policy)
        definition = replace(account.definitions[0 if self.flat else 1], datasets=self.datasets)
        days = [FROM.date(), TO.date()]
        asked = (days[0], days[0], days[1], 1, definition.report_type, definition.definition_hash)
        report = Report("seller", definition.name, JAPAN.id, *asked)
        report = replace(report, otherwise="made otherwise", made_from=self.made_from, made_to=self.made_to)
        order = ReportOrder("x", definition.report_type, JAPAN.id, *days, {}, "UTC")
        slices = [SliceFile("x", day, Path(), n, "", {}) for day, n in zip(days, self.rows, strict=True)]
        return checked(account, definition, order, report, slices, self.outside)


@pytest.mark.parametrize(
    "said",
    [
        Said(made_to=TO - A_DAY),
        Said(made_to=TO + timedelta(seconds=1)),
        Said(made_to=TO - timedelta(seconds=30), rows=(0, 0)),
        Said(made_from=FROM - A_DAY, made_to=TO + A_DAY, rows=(0, 0)),
        Said(made_to=TO.replace(hour=0, minute=0, second=0)),
        Said(datasets=(BY_DATE, UNDATED), made_to=TO - A_DAY),
        Said(outside=3, policy="accept"),
        Said(made_to=TO - A_DAY / 2, policy="accept", flat=True),
        Said(datasets=(UNDATED,), policy="accept"),
    ],
)
def test_a_range_that_differs_is_taken_where_the_rows_show_that_nothing_lacks(said: Said) -> None:
    assert said.check() == "Amazon says of it: made otherwise; its rows have the dates that were ordered"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (Said(made_to=TO - A_DAY, rows=(1, 0)), "is not about 2026-09-20 and has no rows of that"),
        (Said(made_to=TO - A_DAY, rows=(1, 0), policy="accept"), "is not about 2026-09-20 and has no rows of that"),
        (Said(made_from=FROM - 9 * A_DAY, made_to=FROM - A_DAY, rows=(0, 0)), "not about 2026-09-19, 2026-09-20"),
        (Said(made_to=TO - A_DAY / 2, flat=True), "has only a part of 2026-09-20"),
        (Said(made_from=FROM - A_DAY, outside=12), "12 rows of other dates; `made_otherwise: accept` of seller takes"),
        (Said(datasets=(UNDATED,)), "no date by which it could be checked; `made_otherwise: accept` of seller"),
    ],
)
def test_a_report_that_lacks_a_date_or_has_others_changes_nothing(said: Said, why: str) -> None:
    with pytest.raises(PermanentFailure, match=why):
        said.check()


def test_a_report_of_other_options_is_taken_by_a_setting_alone() -> None:
    ready = Progress("1", ReportStatus.READY, "1")
    other = MadeOtherwise("filters [x]", ready, FROM, TO, options=True).refused
    refused = as_taken(declared("all_orders"), other)
    assert refused.status is ReportStatus.FAILED
    assert "filters [x]; order what it makes, or take it as it is by `made_otherwise: accept`" in refused.reason
    assert as_taken(declared("all_orders", made_otherwise="accept"), other) is ready
    empty = MadeOtherwise("data of", replace(ready, status=ReportStatus.EMPTY), FROM, TO).refused
    assert as_taken(declared("all_orders"), empty).status is ReportStatus.FAILED, "no rows show its dates"


def test_an_expired_client_secret_is_said_to_who_can_replace_it_and_ends_no_report(seller: Simulated) -> None:
    seller.account = declared("all_orders", history="2d")
    seller.orders()
    asked = seller.world.requests.counts.total()
    for operation in ("sp_get", "sp_participations"):
        seller.world.fault(operation, "expired_secret", times=9)
    seller.later(minutes=20)
    for do in (seller.poll, seller.orders):
        with pytest.raises(
            CredentialsRefused, match=r"secret .*seller/secret: .*LWA secret.*expired.*: who registered"
        ):
            do()
    assert seller.world.requests.counts.total() == asked + 2 * 2 + 2, "each twice, and two new tokens"
    assert [r.state for r in seller.reports("all_orders")] == [ReportState.REQUESTED]
