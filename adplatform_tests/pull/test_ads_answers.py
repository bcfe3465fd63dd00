"""What becomes of the reports of profiles of which Amazon makes none, or not all."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from adplatform.amazon.ads.client import open_ads
from adplatform.amazon.sources import AdsSource
from adplatform.flow.services import Services
from adplatform.ledger.report import Report, ReportState
from adplatform.pull.account import account_of
from adplatform_tests.pull.seller import Simulated, simulated
from adplatform_tests.support.platforms import Inbox

US, CANADA = "3184075526400117", "1460298317755031"
ACCOUNT = account_of(
    AdsSource.model_validate(
        {
            "source": "ads",
            "credentials": "ads/secret",
            "start_date": "2026-09-20",
            "spread": "0s",
            "reports": ["sp_campaigns", "sb_campaigns"],
        }
    )
)


@pytest.fixture
def ads(services: Services, tmp_path: Path) -> Iterator[Simulated]:
    with simulated(services, tmp_path, ACCOUNT, open_ads) as made:
        yield made


def reports(ads: Simulated, name: str, scope: str = CANADA) -> list[Report]:
    return ads.services.ledger.reports.of_feed(f"ads/{name}/{scope}")


def creates(ads: Simulated) -> Counter[str]:
    """How often an order was placed for each profile."""
    return Counter(each["scope"] for each in ads.world.requests.creates)


def test_an_agency_is_refused_once_for_all_its_reports_with_what_to_do(ads: Simulated) -> None:
    inbox = Inbox.subscribe(ads.services)
    ads.world.fault("create_report", "agency_profile", times=99, match={"scope": CANADA})
    ads.later(hours=9)
    ads.orders()
    assert creates(ads) == {US: 2, CANADA: 1}, "the first refusal of a profile is enough"
    for name in ("sp_campaigns", "sb_campaigns"):
        [report] = reports(ads, name)
        assert report.state is ReportState.INTENDED
        assert "the profile is an agency's" in report.error
        assert "`profiles: {types: [seller, vendor]}`" in report.error
        assert "definition" not in report.error
    ads.later(days=1)
    ads.orders()
    assert creates(ads)[CANADA] == 2
    events = [message["event"] for message in inbox.read()]
    assert events == ["access_refused"]


def test_a_report_that_a_country_does_not_have_holds_up_no_other_and_is_asked_for_ever_less_often(
    ads: Simulated,
) -> None:
    inbox = Inbox.subscribe(ads.services)
    ads.world.fault("create_report", "bad_request", times=99, match={"scope": CANADA, "report_type": "spCampaigns"})
    for _ in range(8):
        ads.orders()
        ads.later(hours=1)
    assert {r.state for r in reports(ads, "sb_campaigns")} == {ReportState.REQUESTED}
    [report] = reports(ads, "sp_campaigns")
    assert report.state is ReportState.INTENDED
    assert "compare `region`, or leave the report out there" in report.error
    assert "definition" not in report.error
    assert creates(ads)[CANADA] <= 1 + 7
    [message] = [m for m in inbox.read() if m["event"] != "report_overdue"]
    assert (message["event"], message["refused"]) == ("access_refused", f"sp_campaigns/{CANADA}")
    ads.world.faults.clear()
    ads.later(hours=3)
    ads.orders()
    assert {r.state for r in reports(ads, "sp_campaigns")} == {ReportState.REQUESTED}
    assert not ads.services.ledger.messages.troubles("ads")


@pytest.mark.slow
def test_a_report_of_another_option_is_refused_with_the_setting_that_takes_it(ads: Simulated) -> None:
    ads.later(hours=9)
    for policy, state in (("check", ReportState.FAILED), ("accept", ReportState.DONE)):
        ads.account = replace(ACCOUNT, made_otherwise=policy, wanted=(US,))
        ads.world.fault("create_report", "other_option", match={"report_type": "spCampaigns"})
        ads.day()
        report = reports(ads, "sp_campaigns", US)[-1]
        assert report.state is state
        assert "filters" in (report.error or report.doubt)
        assert ("made_otherwise: accept` of ads" in report.error) == (policy == "check")
        ads.later(days=1)
