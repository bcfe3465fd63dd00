"""Changes that DMS has counted against those that were read: what is missing is said, and what is more is not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from adplatform.changes.counted import COME_WITHIN, Counts, compared, counted
from adplatform.flow.services import Services
from adplatform.ledger.tallies import Tally
from adplatform_tests.support.changes import followed_source

AT = datetime(2026, 11, 28, 12, tzinfo=UTC)
SAID = Counts(AT, AT, 0, 0)
FIRST = counted(None, SAID, AT)


def after(*said: Counts) -> Tally:
    """The tally after looks, one each minute."""
    tally = FIRST
    for minute, each in enumerate(said, start=1):
        tally = counted(tally, each, AT + timedelta(minutes=minute))
    return tally


def changes(*counts: int) -> list[Counts]:
    return [replace(SAID, changes=count) for count in counts]


def test_what_is_added_between_looks_counts_and_is_due_from_the_first_look_that_has_it() -> None:
    tally = after(*changes(3, 3, 10))
    assert (tally.counted, tally.due, tally.due_at) == (10, 3, AT + timedelta(minutes=1))


def test_counts_that_begin_anew_take_nothing_away_and_add_nothing_that_was_not_seen() -> None:
    resumed = [replace(each, begun=AT + timedelta(minutes=2)) for each in changes(0, 4)]
    assert after(*changes(10), *resumed).counted == 14


def test_of_a_replication_that_ran_for_long_only_what_is_added_counts() -> None:
    old = replace(SAID, begun=AT - timedelta(days=1), changes=1_000)
    tally = counted(None, old, AT)
    assert (tally.counted, tally.files_from) == (0, AT - COME_WITHIN)
    assert counted(tally, replace(old, changes=1_002), AT).counted == 2


def test_a_new_load_makes_what_is_missing_and_what_was_altered_a_thing_of_the_past() -> None:
    before = replace(after(*changes(10)), missing=4, altered=2, statements=2)
    loaded = counted(before, Counts(AT, AT + timedelta(hours=1), 10, 2), AT + timedelta(hours=1))
    assert (loaded.missing, loaded.altered, loaded.counted) == (0, 0, 0)
    assert loaded.files_from == AT + timedelta(minutes=59)


@pytest.mark.parametrize(("statements", "altered"), [((1,), 1), ((1, 1, 3), 3), ((2, 0, 1), 3)])
def test_statements_about_the_table_are_those_since_its_load(statements: tuple[int, ...], altered: int) -> None:
    assert after(*(replace(SAID, statements=each) for each in statements)).altered == altered


def test_rows_that_were_read_are_those_of_files_of_changes_since_the_count_began(services: Services) -> None:
    shop = followed_source(services)
    shop.load({"id": 1, "status": "a"}, {"id": 2, "status": "a"})
    shop.file(shop.change("U", id=1, status="b"), shop.change("D", id=2))
    shop.file({**shop.change("U", id=1), "ar_h_change_seq": "none"})  # is in quarantine, and was read
    shop.process()
    now = services.now()
    hour = replace(services, now=lambda: now + COME_WITHIN)
    tally = replace(FIRST, files_from=now - timedelta(minutes=1), first_day=now.date(), due_at=now)
    assert compared(hour, shop.followed, replace(tally, due=3)).missing == 0
    assert compared(hour, shop.followed, replace(tally, due=5)).missing == 2
    assert compared(hour, shop.followed, replace(tally, due=1)).missing == 0
    assert compared(services, shop.followed, replace(tally, due=5)).missing == 0
    later = replace(tally, due=3, files_from=now + timedelta(minutes=1))
    assert compared(hour, shop.followed, later).missing == 3


def test_a_table_that_is_not_loaded_yet_has_a_tally_that_can_be_read_again(services: Services) -> None:
    source = followed_source(services).pattern.source.name
    tally = counted(None, replace(SAID, load_begun=None), AT)
    written = services.ledger.tallies.put(source, "orders", None, tally)
    assert written == replace(tally, revision=1)
    assert services.ledger.tallies.get(source, "orders") == written


def test_dates_that_are_long_past_are_read_once_and_what_comes_late_is_missing_no_more(services: Services) -> None:
    shop = followed_source(services)
    shop.file(shop.change("U", id=1, status="b"))
    shop.process()
    now = services.now()
    tally = replace(FIRST, files_from=now - timedelta(minutes=1), first_day=now.date(), counted=2, due=2, due_at=now)
    missing = compared(replace(services, now=lambda: now + COME_WITHIN), shop.followed, tally)
    assert (missing.missing, missing.due_at) == (1, now + COME_WITHIN)
    shop.file(shop.change("U", id=1, status="c"))
    shop.process()
    week = compared(replace(services, now=lambda: now + timedelta(days=8)), shop.followed, missing)
    assert (week.missing, week.read, week.due_at) == (0, 2, None)
    assert week.first_day == (now + timedelta(days=1)).date()
