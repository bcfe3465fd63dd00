"""What the command line tells of a report's life, read from a ledger in which it is written."""

import io
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from rich.console import Console, RenderableType

from adplatform.amazon.sources import AdsSource
from adplatform.cli.report_history import find_report, judged, life, report_feeds, report_tables
from adplatform.failures import PermanentFailure
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.ledger.observations import Observation
from adplatform.ledger.report import Report, ReportState
from adplatform.ledger.scopes import Scope
from adplatform.pull.account import Account, account_of
from adplatform_tests.support.ledger_rows import put_report

NOON = datetime(2026, 6, 10, 19, tzinfo=UTC)
SCOPE = Scope("1460298317755031", "America/Toronto", "CA", "CAD")
ID = "50974386-4509-42e1-9ff5-50716dd8463e"
FEED = f"ads/sp_small/{SCOPE.id}"


@pytest.fixture
def account() -> Account:
    small = {
        "name": "sp_small",
        "report_type": "spCampaigns",
        "group_by": ["campaign"],
        "columns": ["date", "campaignId", "clicks", "sales14d"],
    }
    declared = {"source": "ads", "credentials": "ads/secret", "start_date": "2026-01-01", "reports": [small]}
    return account_of(AdsSource.model_validate(declared))


@pytest.fixture
def timed(services: Services) -> Services:
    moved = replace(services, now=lambda: NOON)
    provision(moved, [])
    moved.ledger.scopes.put("ads", [SCOPE])
    return moved


def asked(account: Account, **changes: object) -> Report:
    first = Report(
        source="ads",
        name="sp_small",
        scope=SCOPE.id,
        asked_on=date(2026, 6, 10),
        start=date(2026, 6, 8),
        end=date(2026, 6, 9),
        sequence=1,
        report_type="spCampaigns",
        definition=account.definitions[0].definition_hash,
        waves={"2026-06-08": 2, "2026-06-09": 1},
        intended_at=NOON - timedelta(minutes=30),
    )
    return replace(first, **changes)  # type: ignore[arg-type]


def said(day: date, age: int, rows: int, content: str, *, landed: bool, report_id: str = ID) -> Observation:
    totals = {"clicks": Decimal(1234), "sales14d": Decimal("58.990000")}
    return Observation(day, NOON - timedelta(days=9 - age), age, age, report_id, rows, content, landed, totals)


def shown(*parts: RenderableType, width: int = 160) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width)
    for part in parts:
        console.print(part)
    return out.getvalue()


def test_the_life_of_a_report_has_every_step_its_document_and_what_it_said(timed: Services, account: Account) -> None:
    report = asked(
        account,
        state=ReportState.DONE,
        report_id=ID,
        adopted=True,
        requested_at=NOON - timedelta(minutes=29),
        polls=4,
        polled_at=NOON - timedelta(minutes=9),
        ready_at=NOON - timedelta(minutes=9),
        stored_at=NOON - timedelta(minutes=8),
        landed_at=NOON - timedelta(minutes=7),
        bytes=3178,
        sha256="ab" * 32,
        raw_key="reports/ads/sp_small.json.gz",
        rows=50,
        outside_rows=3,
        outside_key="quarantine/ads/outside.json.gz",
    )
    put_report(timed.ledger, report)
    timed.ledger.observations.put(FEED, said(date(2026, 6, 8), 2, 25, "c", landed=True))
    text = shown(*life(timed, *find_report(timed.ledger, report_feeds(timed.ledger, [account]), ID[:8])))
    for reported in (
        f"{FEED} 2026-06-10#2026-06-08_2026-06-09#01",
        "Amazon had the order already; its report was taken over; 3 rows of other dates kept aside",
        "1460298317755031 CA CAD America/Toronto",
        "2026-06-08: 2, 2026-06-09: 1",
        f"s3://{timed.zones.raw_bucket}/reports/ads/sp_small.json.gz",
        "3,178",
        "ab" * 32,
        "3 in s3://",
        "intended      2026-06-10 18:30:00",
        "asked for     2026-06-10 18:31:00   60.0",
        "ready         2026-06-10 18:51:00   0.0",
        "landed        2026-06-10 18:53:00   60.0",
        "1,234      58.99   the first rows",
    ):
        assert reported in text


def test_a_list_of_reports_cuts_nothing_even_on_a_narrow_terminal(timed: Services, account: Account) -> None:
    error = "the download broke off after 1234567 bytes (RemoteProtocolError)"
    rests = NOON + timedelta(minutes=5)
    put_report(
        timed.ledger,
        asked(account, state=ReportState.READY, report_id=ID, error=error, not_before=rests, overdue=True),
    )
    feeds = report_feeds(timed.ledger, [account])
    wide, narrow = (shown(*report_tables(timed.ledger, feeds), width=width) for width in (160, 80))
    assert "…" not in wide + narrow
    for reported in (SCOPE.id, ID, "2026-06-08 to 2026-06-09", "ready, overdue", "rests until"):
        assert reported in wide


def test_a_report_that_failed_names_the_order_that_follows_it(timed: Services, account: Account) -> None:
    put_report(timed.ledger, asked(account, state=ReportState.FAILED, report_id=ID, error="INTERNAL_ERROR"))
    timed.ledger.reports.intend(asked(account, sequence=2))
    feeds = report_feeds(timed.ledger, [account], "ads/sp_small")
    text = shown(*life(timed, *find_report(timed.ledger, feeds, "2026-06-10#2026-06-08_2026-06-09#01")))
    assert "INTERNAL_ERROR" in text
    assert "2026-06-10#2026-06-08_2026-06-09#02: intended" in text
    assert "number 2 of these dates on that day" in shown(
        *life(timed, *find_report(timed.ledger, feeds, "2026-06-10#2026-06-08_2026-06-09#02"))
    )


def test_names_that_fit_nothing_or_too_much_say_what_there_is(timed: Services, account: Account) -> None:
    for sequence in (1, 2):
        timed.ledger.reports.intend(asked(account, sequence=sequence, report_id=f"{ID}-{sequence}"))
    with pytest.raises(PermanentFailure, match="no report 'ads/sp'; there are ads/sp_small"):
        report_feeds(timed.ledger, [account], "ads/sp")
    feeds = report_feeds(timed.ledger, [account])
    with pytest.raises(PermanentFailure, match="2 reports are called"):
        find_report(timed.ledger, feeds, ID)
    with pytest.raises(PermanentFailure, match="no report 'zzz'"):
        find_report(timed.ledger, feeds, "zzz")
    assert find_report(timed.ledger, feeds, f"{ID}-2")[1].sequence == 2


def test_an_account_that_has_asked_for_nothing_yet_is_no_mistake(services: Services, account: Account) -> None:
    provision(services, [])
    assert report_feeds(services.ledger, [account], "ads/sp_small") == []


def test_each_report_of_a_date_is_judged_by_what_it_changed() -> None:
    day = date(2026, 6, 1)
    rows = judged(
        [
            said(day, 1, 25, "a", landed=True),
            said(day, 2, 25, "a", landed=False),
            said(day, 3, 24, "b", landed=True),
            said(day, 4, 30, "c", landed=False),
        ]
    )
    assert [brought for _, brought in rows] == [
        "the first rows",
        "the same rows",
        "other rows",
        "nothing: a newer report was there",
    ]
