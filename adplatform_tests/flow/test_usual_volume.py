"""A date with unusually many or few rows is published, and people hear of it until one as late has as many as usual."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adplatform.contracts.feed import Feed
from adplatform.contracts.usual_volume import FEWEST, UsualVolume
from adplatform.flow.notices import notify_stuck
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.flow.source import Source, make_source
from adplatform.flow.usual_volume import finding_of, judged, verdict_of
from adplatform.ledger.placements import Placement
from adplatform_tests.flow.test_alerts import closed, later
from adplatform_tests.flow.test_calls import OF_A_DELIVERY, deliver
from adplatform_tests.support.calls import CountedAws
from adplatform_tests.support.channels import Channels
from adplatform_tests.support.plainly import killed_at, process
from adplatform_tests.support.platforms import YESTERDAY

THURSDAY = date(2026, 11, 19)
SETTINGS = UsualVolume(holidays=("US-CA", "DE"), closed=(date(2026, 11, 12),))
WEEK = timedelta(weeks=1)


def of_weeks(*rows: int, before: date = THURSDAY) -> dict[date, int]:
    """Rows of the dates one week, two weeks ... before."""
    return {before - number * WEEK: each for number, each in enumerate(rows, start=1)}


@given(
    st.dates(date(2020, 1, 1), date(2030, 1, 1)),
    st.dictionaries(st.integers(1, 120), st.integers(0, 10_000)),
    st.integers(0, 20_000),
    st.integers(FEWEST, 12),
    st.integers(1, 200),
)
def test_the_usual_number_is_the_median_of_the_newest_dates_that_qualify(
    day: date, ago: Mapping[int, int], rows: int, weekdays: int, percent: int
) -> None:
    usual = SETTINGS.model_copy(update={"weekdays": weekdays, "within": percent / 100})
    known = {day - timedelta(days=days): each for days, each in ago.items()}
    found = judged(usual, day, rows, known)
    alike = [each for each in known if each.weekday() == day.weekday() and not usual.set_apart(each)]
    newest = sorted(each for each in alike if day - each <= 2 * weekdays * WEEK)[-weekdays:]
    if usual.set_apart(day) or len(newest) < FEWEST:
        assert (found.usual, found.is_usual, finding_of(found).passed) == (None, None, True)
        return
    assert (list(found.compared), found.usual) == (newest, median(known[each] for each in newest))
    assert found.is_usual is (200 * abs(rows - found.usual) <= 2 * percent * found.usual)
    assert found == judged(usual, day, rows, {each: known[each] for each in newest})


@pytest.mark.parametrize(
    ("day", "rows", "known", "is_usual", "why"),
    [
        (THURSDAY, 50, of_weeks(7, 100, 90, 110), True, "50 rows; 100 are usual, the median of 3 Thursdays"),
        (THURSDAY, 49, of_weeks(7, 100, 90, 110), False, "49 rows, 51.0% fewer; 100 are usual"),
        (THURSDAY, 5, of_weeks(7, 0, 0, 0), False, "5 rows; 0 are usual"),
        (THURSDAY, 0, of_weeks(7, 0, 0, 0), True, "0 rows; 0 are usual"),
        (THURSDAY, 1, of_weeks(7, 100, 90), None, "2 earlier Thursdays can be compared, 3 are needed"),
        (date(2026, 11, 26), 1, of_weeks(9, 9, 9, 9, before=date(2026, 11, 26)), None, "is Thanksgiving Day (US-CA)"),
        (date(2026, 12, 3), 1, {**of_weeks(*[9] * 5, before=date(2026, 12, 3)), date(2026, 11, 26): 1}, False, "9 are"),
        (date(2026, 5, 1), 1, of_weeks(9, 9, 9, 9, before=date(2026, 5, 1)), None, "is Labor Day (DE)"),
    ],
)
def test_holidays_are_compared_with_nothing_and_few_dates_give_no_verdict(
    day: date, rows: int, known: Mapping[date, int], is_usual: bool | None, why: str
) -> None:
    found = finding_of(judged(SETTINGS, day, rows, known))
    assert (found.passed, found.blocking) == (is_usual is not False, False)
    assert why in found.description


def test_of_a_date_that_comes_in_parts_too_few_rows_are_judged_once_it_is_over() -> None:
    feed = {"name": "visits", "start_date": "2026-01-01", "columns": {"id": "int"}, "usual_volume": True}
    [quiet] = make_source("shop", "raw", [Feed.model_validate(feed)]).feeds
    counted = {**feed, "arrival": {"complete_when": "count", "expected_files": 1}}
    [whole] = make_source("shop", "raw", [Feed.model_validate(counted)]).feeds
    placed = {day: Placement(day, 24, rows=rows) for day, rows in of_weeks(*[1000] * 8).items()}
    noon, over = (datetime.combine(THURSDAY, time(12), UTC), datetime.combine(THURSDAY + timedelta(1), time(), UTC))

    def said(flow: Any, version: int, rows: int, at: datetime) -> bool | None:
        found = verdict_of(flow, THURSDAY, version, rows, placed, at)
        return found.is_usual if found else None

    assert said(quiet, 12, 10, noon) is None
    assert said(quiet, 12, 2000, noon) is said(quiet, 24, 10, noon) is said(quiet, 12, 10, over) is False
    assert said(whole, 1, 10, noon) is False


FEED: dict[str, Any] = {
    "name": "orders",
    "start_date": "2026-01-01",
    "arrival": {"complete_when": "count", "expected_files": 1},
    "columns": {"order_id": {"type": "int", "required": True}, "email": {"pii": "email"}},
    "usual_volume": True,
}


def shop_of(services: Services) -> Source:
    source = make_source("shop", services.zones.raw_bucket, [Feed.model_validate(FEED)])
    provision(services, [source])
    for day, rows in of_weeks(90, 100, 110, 100, 100, before=YESTERDAY).items():
        services.ledger.placements.put("shop/orders", Placement(day, 0, rows=rows))
    return source


def put(services: Services, source: Source, name: str, ids: Iterable[object], day: date = YESTERDAY) -> None:
    body = "order_id,email\n" + "".join(f"{each},ann@example.com\n" for each in ids)
    key = f"{source.prefix}orders/dt={day}/{name}.csv"
    services.s3.put_object(Bucket=services.zones.raw_bucket, Key=key, Body=body.encode())


def test_an_unusual_date_is_published_and_is_said_once_until_one_as_late_is_not(
    services: Services, tmp_path: Path
) -> None:
    source = shop_of(services)
    put(services, source, "0", [1])
    aws = CountedAws(services.aws.region, services.aws.endpoint_url)
    with aws.most(OF_A_DELIVERY):
        deliver(replace(services, aws=aws), source, 0)
    channels = Channels.of(services, tmp_path, "warning")
    services = channels.services
    delivery = services.ledger.deliveries.get("shop/orders", YESTERDAY)
    version = services.ledger.publications.get("shop/orders", YESTERDAY, 1)
    placement = services.ledger.placements.get("shop/orders", YESTERDAY)
    assert version and placement and (delivery.published, version.clean, placement.rows) == (1, 1, 1)
    notify_stuck(services, "shop", [])
    [said] = channels.chat()
    assert said["content"]["title"].endswith(f"shop/orders {YESTERDAY}: 1 row, 100 are usual")
    assert f"adplatform ledger shop/orders {YESTERDAY}" in json.dumps(said)
    put(services, source, "1", [2])  # the version before was compared alike: that is no news
    process(services, source, "b")
    put(services, source, "earlier", range(100), YESTERDAY - WEEK)
    process(services, source, "c")
    assert services.ledger.publications.of_feed("shop/orders", YESTERDAY - WEEK)[-1].clean == 100
    notify_stuck(services, "shop", [])
    an_hour_on = later(services, timedelta(hours=1))
    closed(an_hour_on)
    assert channels.chat() == [], "an earlier date ends nothing"
    put(services, source, "2", range(3, 100))
    process(services, source, "d")
    whole = services.ledger.placements.get("shop/orders", YESTERDAY)
    assert whole and (whole.version, whole.rows) == (3, 99)
    closed(an_hour_on)
    [ended] = channels.chat()
    assert ended["metadata"]["threadId"] == said["metadata"]["threadId"] == "shop/volume_unusual/shop/orders"
    assert "shop/orders: volume unusual no longer; it was since" in ended["content"]["title"]
    assert [action for action, _ in channels.incidents()] == ["trigger", "resolve"]


@pytest.mark.slow
@pytest.mark.parametrize(("call", "when"), [(5, "before-call"), (6, "before-call"), (6, "after-call")])
def test_whoever_is_killed_while_an_unusual_date_is_published_has_it_said_once(
    services: Services, call: int, when: str
) -> None:
    source = shop_of(services)
    put(services, source, "0", [1])
    killed = partial(process, source=source, run_id="killed")
    assert killed_at(services, killed, call, ("TransactWriteItems",), when)[0] < 0
    process(services, source, "b")
    assert services.ledger.deliveries.get("shop/orders", YESTERDAY).published == 1
    [said] = services.ledger.messages.unsent("shop")
    [trouble] = services.ledger.messages.troubles("shop").values()
    assert (said.event, trouble.day) == ("volume_unusual", YESTERDAY)
