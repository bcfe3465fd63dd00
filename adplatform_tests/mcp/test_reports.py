"""What an assistant is told of an account's reports, by a ledger in which their life is written."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from pydantic_core import to_jsonable_python

from adplatform.amazon.sources import AdsSource
from adplatform.failures import PermanentFailure, named
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.ledger.observations import Observation
from adplatform.ledger.report import Report, ReportState
from adplatform.ledger.scopes import Scope
from adplatform.mcp.answers import restatement
from adplatform.mcp.known import Known
from adplatform.mcp.missing import why_missing
from adplatform.pull.pattern import PulledReports, pulled_reports
from adplatform_tests.support.ledger_rows import put_report

NOON = datetime(2026, 6, 10, 19, tzinfo=UTC)
CANADA, JAPAN = Scope("11", "America/Toronto", "CA", "CAD"), Scope("22", "Asia/Tokyo", "JP", "JPY")
FEED = f"ads/sp_campaigns/{CANADA.id}"


@pytest.fixture
def known(services: Services) -> Known:
    timed = replace(services, now=lambda: NOON)
    provision(timed, [])
    timed.ledger.scopes.put("ads", [CANADA, JAPAN])
    declared = {"source": "ads", "credentials": "any", "start_date": "2026-01-01", "reports": ["sp_campaigns"]}
    return Known(timed, [pulled_reports(AdsSource.model_validate(declared), timed.settings)])


def ask_for(known: Known, day: date, **changes: object) -> None:
    [pattern] = known.patterns
    assert isinstance(pattern, PulledReports)
    report = Report(
        source="ads",
        name="sp_campaigns",
        scope=CANADA.id,
        asked_on=NOON.date(),
        start=day,
        end=day,
        sequence=1,
        report_type="spCampaigns",
        definition=pattern.account.definitions[0].definition_hash,
        intended_at=NOON,
    )
    put_report(known.services.ledger, replace(report, **changes))  # type: ignore[arg-type]


def say(known: Known, day: date, age: int, clicks: int) -> None:
    at = datetime(day.year, day.month, day.day, 19, tzinfo=UTC) + timedelta(days=age)
    said = Observation(day, at, age, age, f"r{age}", 5, str(clicks), totals={"clicks": Decimal(clicks)})
    known.services.ledger.observations.put(FEED, said)


def test_restatement_says_which_dates_changed_and_which_are_final(known: Known) -> None:
    old, new = date(2026, 4, 1), date(2026, 6, 8)
    for age, clicks in ((1, 10), (2, 12), (67, 12)):
        say(known, old, age, clicks)
    say(known, new, 1, 7)
    found = to_jsonable_python(restatement(known, "ads/sp_campaigns", None))
    assert found["final_at_age"] == max(found["asked_for_again_at_ages"])
    canada, japan = found["profiles"]
    assert canada == {
        "id": "11",
        "newest_date": "2026-06-08",
        "dates": 2,
        "dates_not_final": 1,
        "dates_that_changed": 1,
        "unusual": [],
    }
    assert japan["dates"] == 0
    [only] = to_jsonable_python(restatement(known, FEED, old))["profiles"]
    assert [(each["age"], each["totals"]) for each in only["reports_said"]] == [
        (1, {"clicks": "10"}),
        (2, {"clicks": "12"}),
        (67, {"clicks": "12"}),
    ]
    assert only["final"]
    with pytest.raises(PermanentFailure, match=r"no table of reports 'ads/other'; there are ads/sp_campaigns"):
        restatement(known, "ads/other", None)


def test_a_date_of_a_table_is_missing_for_each_profile_by_its_own_reason(known: Known) -> None:
    day = date(2026, 6, 8)
    until = NOON + timedelta(minutes=5)
    ask_for(known, day, state=ReportState.REQUESTED, error=f"{named('zelda.csv')} broke off", not_before=until)
    found = why_missing(known, "ads/sp_campaigns", day)
    canada, japan = found["deliveries"]
    assert canada["delivery"] == FEED
    assert canada["why"][0] == "nothing has arrived"
    assert canada["why"][1].startswith("report of sp_campaigns asked for on 2026-06-10 is requested, rests until 2026")
    assert japan["why"] == ["nothing has arrived", "no report of sp_campaigns was asked for that has the date"]
    assert why_missing(known, FEED, day)["deliveries"] == [canada]
    [of_canada, _] = why_missing(known, "ads/ads_daily", day)["deliveries"]
    assert of_canada["why"] == ["nothing has arrived", f"it is made of ads/sp_campaigns: ask why these lack {day}"]
