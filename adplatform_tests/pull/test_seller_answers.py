"""What becomes of a seller's reports when Amazon answers otherwise than it says it does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from adplatform.flow.services import Services
from adplatform.ledger.report import ReportState
from adplatform.local.world.amazon.accounts import DEMO_ACCOUNTS
from adplatform.local.world.amazon.products import products
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
