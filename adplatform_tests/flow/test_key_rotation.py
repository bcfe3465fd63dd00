"""Another hashing key never doubles a person, and a rotation brings every table to one key whatever interrupts it."""

import signal
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from adplatform.contracts.feed import Feed
from adplatform.failures import EnvironmentFailure, PermanentFailure, TransientFailure
from adplatform.flow import clean, lifecycle, raw
from adplatform.flow.again import Step
from adplatform.flow.hashing_keys import HashingKeys, KeysDiffer, hashing_keys
from adplatform.flow.key_rotation import Wish, plan, retire_keys, usage
from adplatform.flow.source import make_source
from adplatform.flow.version import version_objects
from adplatform.ledger.delivery import DeliveryState
from adplatform.ledger.keys import LakeKey, RotationState, TableRotation
from adplatform.ledger.placements import Placement
from adplatform.platform.aws import Aws
from adplatform.privacy.key_versions import fetch_earlier_key
from adplatform.privacy.keys import HashKey, fetch_key
from adplatform_tests.flow.rotations import (
    FEEDS,
    JOINED,
    MEMBERS,
    PURCHASES,
    Club,
    day,
    make_club,
    members,
    purchases,
    rotate_killed_at,
    rotate_killed_in,
)

DUAL = Wish(dual=timedelta(days=30))


@pytest.fixture
def table_format() -> str:
    return "parquet"


@pytest.fixture
def club(aws: Aws, tmp_path: Path, table_format: str) -> Club:
    return make_club(aws, tmp_path / "home", [{**feed, "table_format": table_format} for feed in FEEDS])


@pytest.fixture
def busy_club(club: Club) -> Club:
    """Two deliveries of members share partitions; purchases of two dates; buyers are replaced by each delivery."""
    fill(club)
    return club


@pytest.fixture
def small(aws: Aws, tmp_path: Path) -> Club:
    return small_club(aws, tmp_path / "home")


def fill(club: Club) -> None:
    club.put("members", day(3), members(("de", "ann", 1), ("de", "bob", 1), ("fr", "eve", 1)))
    club.put("members", day(2), members(("de", "ann", 2), ("it", "joe", 1)))
    club.put("purchases", day(3), purchases(("ann", "1.00"), ("eve", "2.00")))
    club.put("purchases", day(2), purchases(("ann", "3.00"), ("zoe", "4.00")))
    club.put("latest_buyers", day(3), purchases(("bob", "5.00")))
    club.process()
    club.deliver("latest_buyers", day(2), purchases(("ann", "6.00")))


def small_club(aws: Aws, home: Path) -> Club:
    club = make_club(aws, home, (MEMBERS, PURCHASES))
    club.put("members", day(3), members(("de", "ann", 1), ("fr", "eve", 1)))
    club.put("members", day(2), members(("de", "ann", 2), ("de", "bob", 1)))
    club.put("purchases", day(3), purchases(("ann", "1.00"), ("eve", "2.00")))
    club.process()
    return club


ROWS = "select region, seen, count(*) from {members} group by all"


def key_of(club: Club) -> HashKey:
    return fetch_key(club.services.secrets, club.services.settings.hash_key_secret)


def digest(key: HashKey, person: str) -> str:
    return key.hmac(f"{person}@example.com")


def test_one_person_before_and_after_another_key_is_refused_and_after_a_rotation_one_row(club: Club) -> None:
    club.deliver("members", day(3), members(("de", "ann", 1)))
    club.replace_key()
    club.put("members", day(2), members(("de", "ann", 2)))
    with pytest.raises(KeysDiffer, match="adplatform keys rotate"):
        club.process()
    assert club.query("select seen from {members}") == [(1,)]
    outcome = club.rotate()
    assert (outcome.problems, outcome.left) == ((), ())
    assert outcome.key.key_id == club.key_id
    assert club.query("select region, email_lake, seen, _pii_key_id from {members}") == [
        ("de", digest(key_of(club), "ann"), 2, club.key_id)
    ]
    assert {d.state for d in club.services.ledger.deliveries.of_feed("club/members")} == {DeliveryState.PUBLISHED}


def test_a_delivery_waits_where_nobody_knows_the_key_of_its_table(club: Club) -> None:
    ledger, flow, key = club.services.ledger, club.flow("members"), club.key_id
    ledger.placements.put(flow.name, Placement(day(3), 1, rows=1))
    ledger.keys.begin(key)
    assert hashing_keys(club.services, flow) == HashingKeys(key_of(club))
    ledger.keys.put(LakeKey(key, ledger.now(), "earlier", rotating=True))
    with pytest.raises(KeysDiffer, match="under hashing key unknown"):
        hashing_keys(club.services, flow)


def test_deliveries_of_two_keys_do_not_meet_where_the_personal_column_is_not_in_the_key_either(
    aws: Aws, tmp_path: Path
) -> None:
    feed = {**MEMBERS, "key": ["region", "seen"], "latest_by": []}
    club = make_club(aws, tmp_path, [feed])
    club.deliver("members", day(3), members(("de", "ann", 1)))
    club.replace_key()
    with pytest.raises(KeysDiffer, match=r"club/members waits"):
        club.deliver("members", day(2), members(("de", "ann", 2)))
    assert len(club.keys("members")) == 1


def test_a_date_under_another_key_than_the_lake_is_published_with_a_warning(club: Club) -> None:
    club.deliver("purchases", day(3), purchases(("ann", "1.00")))
    before, after = club.key_id, club.replace_key()
    club.deliver("purchases", day(2), purchases(("ann", "2.00")))
    assert club.keys("purchases") == {before, after}
    found = {(u.table, u.key_id): (u.deliveries, u.rows) for u in usage(club.services.ledger, club.flows)}
    assert found == {("club/purchases", before): (1, 1), ("club/purchases", after): (1, 1)}


@pytest.mark.parametrize("table_format", ["parquet", pytest.param("iceberg", marks=pytest.mark.slow)])
def test_rotations_one_after_the_other_bring_every_table_to_one_key_and_joins_count_the_same_persons(
    busy_club: Club,
) -> None:
    club, ledger = busy_club, busy_club.services.ledger
    ids, joined, rows = [club.key_id], club.query(JOINED), club.query(ROWS)
    assert [tuple(map(int, found)) for found in joined] == [(2, 3, 6)]
    outcome = club.rotate()
    assert (outcome.problems, outcome.made) == ((), 5)
    ids.append(club.key_id)
    require_one_key(club, outcome.key.key_id)
    assert (club.query(JOINED), club.query(ROWS)) == (joined, rows)
    assert plan(club.services, club.flows, club.key_id) == []
    assert [d.version for d in ledger.deliveries.of_feed("club/purchases")] == [2, 2]

    before = club.key_id, [d.version for d in ledger.deliveries.of_feed("club/members")]
    nothing = club.rotate(Wish(adopt=True))
    assert (nothing.made, nothing.problems, nothing.key.rotating) == (0, (), False)
    assert (club.key_id, [d.version for d in ledger.deliveries.of_feed("club/members")]) == before

    ids.append(club.replace_key())
    outcome = club.rotate()
    assert outcome.key.key_id == club.key_id == ids[-1]
    require_one_key(club, ids[-1])
    assert club.query(JOINED) == joined
    assert len(set(ids)) == 3
    for earlier in ids[:-1]:
        assert fetch_earlier_key(club.services.secrets, club.services.settings.hash_key_secret, earlier).id == earlier

    club.put("members", day(1), members(("de", "ann", 9), ("it", "new", 1)))
    club.put("members", day(2), members(("de", "bob", 7)), "corrected.csv")
    club.process()
    assert club.query("select region, seen from {members}") == [("de", 7), ("de", 9), ("fr", 1), ("it", 1), ("it", 1)]
    assert club.keys("members") == {ids[-1]}


def require_one_key(club: Club, key_id: str) -> None:
    assert club.key_id == key_id
    assert club.keys("members") == club.keys("purchases") == club.keys("latest_buyers") == {key_id}
    assert {u.key_id for u in usage(club.services.ledger, club.flows)} == {key_id}


@pytest.mark.slow
def test_a_correction_that_was_refused_stays_due_and_the_rows_that_readers_see_move_to_the_new_key(club: Club) -> None:
    club.deliver("purchases", day(3), purchases(("ann", "1.00")))
    with pytest.raises(PermanentFailure, match="bounds"):
        club.deliver("purchases", day(3), b"email,amount\na@example.com,many\n", "part.csv")
    outcome = club.rotate()
    assert outcome.problems == ()
    assert club.query("select amount::int, _pii_key_id from {purchases}") == [(1, club.key_id)]
    delivery = club.services.ledger.deliveries.get("club/purchases", day(3))
    assert delivery.pending == 1
    with pytest.raises(PermanentFailure, match="bounds"):
        club.process()


def test_a_table_on_its_way_takes_the_correction_that_its_failure_asks_for(club: Club) -> None:
    club.deliver("members", day(3), members(("de", "ann", 1)))
    stored = stored_original(club, "members", 3)
    club.services.s3.put_object(**stored, Body=b"region,email,seen\nde,ann@example.com,?\n")
    [problem] = club.rotate().problems
    assert "bounds" in problem
    rotation = club.services.ledger.keys.rotation("club/members")
    assert rotation is not None
    assert rotation.state is RotationState.RUNNING
    club.put("members", day(3), members(("de", "ann", 5)))
    club.process()
    assert club.query("select seen from {members}") == [(1,)]
    assert club.rotate().problems == ()
    assert club.query("select seen, _pii_key_id from {members}") == [(5, club.key_id)]
    assert club.services.ledger.deliveries.get("club/members", day(3)).state is DeliveryState.PUBLISHED


@pytest.mark.slow
def test_a_version_that_settles_while_its_table_is_shown_is_not_taken_for_the_one_that_readers_see(club: Club) -> None:
    club.deliver("members", day(3), members(("de", "ann", 1)))
    services, flow = club.services, club.flow("members")

    def settle_another(step: Step) -> None:
        if step.what == "shown":
            lifecycle.claim(services.ledger, flow, day(3), "other")
            lifecycle.fail(services, flow, day(3), "other", PermanentFailure("refused"))
            club.put("members", day(3), members(("de", "ann", 7)))
            settler = services.settler(club.source)
            settler.arrivals.receive()
            assert settler.settle(flow, services.ledger.deliveries.get(flow.name, day(3))) is not None

    assert club.rotate(watch=settle_another).problems == ()
    delivery = services.ledger.deliveries.get(flow.name, day(3))
    assert (delivery.state, delivery.version, delivery.published) == (DeliveryState.SETTLED, 3, 1)
    assert club.query("select seen, _pii_key_id from {members}") == [(1, club.key_id)]
    club.process()
    assert club.query("select seen, _pii_key_id from {members}") == [(7, club.key_id)]
    originals = services.s3.list_objects_v2(Bucket=services.zones.raw_bucket, Prefix="archive/")
    assert originals["KeyCount"] == 2


@pytest.mark.slow
def test_deliveries_without_their_originals_are_left_and_keep_the_key_of_a_table_in_which_they_meet_others(
    small: Club,
) -> None:
    club, before, rows = small, small.key_id, small.query(ROWS)
    club.deliver("purchases", day(2), purchases(("ann", "3.00"), ("zoe", "4.00")))
    remove_originals(club, "members", 3)
    remove_originals(club, "purchases", 3)
    outcome = club.rotate()
    assert [left.name for left in outcome.left] == [f"club/members {day(3)}", f"club/purchases {day(3)}"]
    assert outcome.problems == ()
    assert (club.keys("members"), club.keys("purchases")) == ({before}, {before, club.key_id})
    assert (club.query(ROWS), club.query("select sum(amount)::int from {purchases}")) == (rows, [(10,)])
    rotation = club.services.ledger.keys.rotation("club/purchases")
    assert rotation is not None
    assert (rotation.state, rotation.left) == (RotationState.DONE, 1)
    assert {(u.table, u.key_id) for u in usage(club.services.ledger, [club.flow("purchases")])} == {
        ("club/purchases", before),
        ("club/purchases", club.key_id),
    }
    assert retire_keys(club.services, club.flows) == ([], [before])
    club.deliver("members", day(1), members(("de", "ann", 9)))
    assert club.keys("members") == {before}
    assert club.query("select max(seen), count(*) from {members} where region = 'de'") == [(9, 2)]
    assert club.rotate().key.key_id != outcome.key.key_id
    assert club.keys("members") == {before}


@pytest.mark.slow
def test_a_table_that_cannot_be_moved_is_a_problem_of_its_own_and_those_behind_it_move(club: Club) -> None:
    club.put("members", day(3), members(("de", "ann", 1)))
    club.put("purchases", day(3), purchases(("ann", "1.00")))
    club.process()
    before = club.key_id
    for _ in range(2):  # of two values given by hand the first stays reachable and the one before it does not
        after = club.replace_key()
    remove_originals(club, "members", 3)
    outcome = club.rotate()
    [problem] = outcome.problems
    assert f"club/members: originals of 1 deliveries are gone, so it cannot leave key {before}" in problem
    assert (outcome.key.rotating, outcome.lost) == (True, (before,))
    assert (club.keys("members"), club.keys("purchases")) == ({before}, {after})


def test_a_new_key_keeps_the_one_of_the_lake_and_those_of_tables_that_stay_reachable(club: Club) -> None:
    club.put("members", day(3), members(("de", "ann", 1)))
    club.put("purchases", day(3), purchases(("ann", "1.00")))
    club.process()
    before = key_of(club)
    remove_originals(club, "members", 3)
    by_hand = club.replace_key()
    outcome = club.rotate(Wish(new_key=True, dual=timedelta(days=30)))
    assert (outcome.problems, outcome.lost) == ((), ())
    assert outcome.key.key_id == club.key_id != by_hand
    assert (club.keys("members"), club.keys("purchases")) == ({before.id}, {club.key_id})
    assert club.query("select email_lake_previous from {purchases}") == [(digest(before, "ann"),)]
    # Elsewhere the source of the table that stays is not declared.
    retired = retire_keys(club.services, [club.flow("purchases")], end_dual=True)
    assert retired == ([by_hand], [before.id])
    club.deliver("members", day(2), members(("de", "ann", 2)))
    assert club.keys("members") == {before.id}


def stored_original(club: Club, feed: str, ago: int) -> dict[str, str]:
    """Where the archive has the one file of a delivery."""
    [obj] = club.services.ledger.objects.of_day(f"club/{feed}", day(ago))
    return {"Bucket": club.services.zones.raw_bucket, "Key": obj.archived_key}


def remove_originals(club: Club, feed: str, ago: int) -> None:
    s3, bucket = club.services.s3, club.services.zones.raw_bucket
    for obj in club.services.ledger.objects.of_day(f"club/{feed}", day(ago)):
        for version in s3.list_object_versions(Bucket=bucket, Prefix=obj.archived_key)["Versions"]:
            s3.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])


@pytest.mark.slow
def test_digests_under_both_keys_join_with_exports_made_before_until_the_period_is_over(small: Club) -> None:
    club = small
    before = key_of(club)
    export = {email for (email,) in club.query("select email_lake from {members}")}
    assert club.rotate(DUAL).problems == ()
    after = key_of(club)
    shown = club.query("select email_lake, email_lake_previous, _pii_key_id, _pii_previous_key_id from {members}")
    assert {previous for _, previous, *_ in shown} == export
    assert {row[2:] for row in shown} == {(after.id, before.id)}
    assert digest(after, "ann") in {now for now, *_ in shown}
    club.deliver("purchases", day(1), purchases(("ann", "7.00")))
    both = (digest(after, "ann"), digest(before, "ann"))
    assert club.query("select email_lake, email_lake_previous from {purchases} where amount = 7") == [both]
    catalog = {c["Name"]: c for c in columns(club, "members")}
    assert catalog["email_lake_previous"]["Parameters"]["key"] == "previous"
    with pytest.raises(PermanentFailure, match="--now"):
        retire_keys(club.services, club.flows)
    over = club.later(timedelta(days=31))
    over.put("purchases", day(0), purchases(("ann", "8.00")))
    over.process()
    assert club.query("select email_lake, email_lake_previous from {purchases} where amount = 8") == [
        (digest(after, "ann"), None)
    ]
    assert retire_keys(over.services, over.flows) == ([before.id], [])
    with pytest.raises(EnvironmentFailure, match=before.id):
        fetch_earlier_key(club.services.secrets, club.services.settings.hash_key_secret, before.id)


@pytest.mark.slow
def test_digests_under_both_keys_can_be_asked_for_when_a_rotation_is_over(busy_club: Club) -> None:
    club = busy_club
    before = key_of(club)
    club.rotate()
    outcome = club.rotate(Wish(adopt=True, dual=timedelta(days=1)))
    assert (outcome.problems, outcome.made) == ((), 5)
    assert outcome.key.key_id == club.key_id
    wanted = {(digest(before, person),) for person in ("ann", "bob", "eve", "joe")}
    assert set(club.query("select email_lake_previous from {members}")) == wanted
    club.rotate(Wish(adopt=True))
    assert club.rotate(Wish(adopt=True)).made == 0


def columns(club: Club, table: str) -> list[dict[str, Any]]:
    database = f"{club.services.settings.database_prefix}club"
    found: list[dict[str, Any]] = club.services.glue.get_table(DatabaseName=database, Name=table)["Table"][
        "StorageDescriptor"
    ]["Columns"]
    return found


@pytest.mark.slow
def test_new_deliveries_of_a_table_on_its_way_wait_without_an_attempt_and_are_taken_in(small: Club) -> None:
    club = small
    assert rotate_killed_in(club, "club/members", 1) == -signal.SIGKILL
    rotation = club.services.ledger.keys.rotation("club/members")
    assert rotation is not None
    assert rotation.state is RotationState.RUNNING
    assert len(list(club.services.settings.temp.iterdir())) == 1  # what the killed one left
    club.put("members", day(1), members(("de", "ann", 9)))
    later = club.later(timedelta(hours=1))
    later.process()
    waiting = club.services.ledger.deliveries.get("club/members", day(1))
    assert (waiting.state, waiting.pending, waiting.version) == (DeliveryState.OPEN, 1, 0)
    with pytest.raises(KeysDiffer, match=r"on its way to hashing key .*deliveries are made"):
        hashing_keys(later.services, later.flow("members"))
    assert later.rotate().problems == ()
    assert list(club.services.settings.temp.iterdir()) == []
    later.process()
    assert club.query("select max(seen), count(*) from {members} where region = 'de'") == [(9, 2)]
    assert club.keys("members") == {club.key_id}


def test_a_rotation_ends_the_way_of_a_table_that_hashes_nothing_any_more(club: Club) -> None:
    ledger, bare = club.services.ledger, {**PURCHASES, "columns": {"amount": "decimal(10,2)"}}
    ledger.keys.put_rotation(TableRotation("club/purchases", "k1", "k2", RotationState.RUNNING, ledger.now()))
    changed = make_source("club", club.services.settings.raw_bucket, [Feed.model_validate(bare)])
    assert replace(club, source=changed).rotate().problems == ()
    assert [r.state for r in ledger.keys.rotations()] == [RotationState.DONE]


def test_a_key_that_was_replaced_while_a_delivery_was_made_is_not_shown(club: Club) -> None:
    club.deliver("purchases", day(3), purchases(("ann", "1.00")))
    services, flow = club.services, club.flow("purchases")
    club.put("purchases", day(2), purchases(("ann", "2.00")))
    settler = services.settler(club.source)
    settler.arrivals.receive()
    assert len(settler.due(club.never_alive)[0]) == 1
    folder = services.settings.home / "slow"
    folder.mkdir(parents=True)
    claimed = lifecycle.claim(services.ledger, flow, day(2), "slow")
    objects = version_objects(services.s3, services.zones, services.ledger, flow, day(2), claimed.version)
    raw.land(services, flow, day(2), claimed.version, objects, folder)
    made = clean.transform_version(services, flow, day(2), claimed.version, objects, folder)
    settled = services.ledger.publications.get(flow.name, day(2), claimed.version)
    assert settled
    club.rotate()
    with pytest.raises(TransientFailure, match="made again"):
        clean.publish_version(services, flow, settled, made, "slow", folder)
    assert club.keys("purchases") == {club.key_id}


GROUPS = 6
"""Each group kills at every sixth write, all in ``make slow``; a few moments are part of every run."""


def seen(club: Club) -> tuple[Any, ...]:
    """What readers see, and how many originals are in the archive."""
    archived = club.services.s3.list_objects_v2(Bucket=club.services.zones.raw_bucket, Prefix="archive/")
    return club.query(JOINED), club.query(ROWS), archived["KeyCount"]


def kill_and_go_on(aws: Aws, home: Path, moment: int) -> None:
    club = small_club(aws, home)
    before = seen(club)
    code, _ = rotate_killed_at(club, moment)
    assert code == -signal.SIGKILL, moment
    assert club.query("select count(distinct (region, email_lake)), count(*) from {members}") == [(3, 3)], moment
    assert club.query("select region from {members} group by 1 having count(distinct _pii_key_id) > 1") == [], moment
    later = club.later(timedelta(hours=1))
    done = later.rotate()
    later.process()
    assert done.problems == (), moment
    assert seen(club) == before, moment
    assert club.keys("members") == club.keys("purchases") == {club.key_id}, moment
    deliveries = [d for f in club.flows for d in club.services.ledger.deliveries.of_feed(f.name)]
    assert {d.state for d in deliveries} == {DeliveryState.PUBLISHED}, moment
    # One new version each, and one more at most for the delivery whose run was killed.
    assert {d.version for d in deliveries} <= {2, 3}, moment
    later.rotate(Wish(adopt=True))
    assert deliveries == [d for f in club.flows for d in club.services.ledger.deliveries.of_feed(f.name)], moment


@pytest.mark.parametrize("share", [0.4, pytest.param(0.8, marks=pytest.mark.slow)])
def test_a_killed_rotation_goes_on_and_ends_with_the_same_rows_under_one_key(
    aws: Aws, tmp_path: Path, share: float
) -> None:
    kill_and_go_on(aws, tmp_path, round(share * WRITES))


WRITES = 78
"""About as many as the rotation of the small club makes."""


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("group", range(GROUPS))
def test_a_rotation_killed_at_any_write_goes_on_and_ends_with_the_same_rows_under_one_key(
    aws: Aws, tmp_path: Path, group: int
) -> None:
    code, writes = rotate_killed_at(small_club(aws, tmp_path / "whole"), 0)
    assert code == 0
    for moment in range(1 + group, writes + 1, GROUPS):
        kill_and_go_on(aws, tmp_path / f"at-{moment}", moment)
