"""A person who is erased is nowhere any more, and everybody else is where they were."""

import gzip
import json
import signal
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import pytest

from adplatform.contracts.activation import Activation, Activations
from adplatform.contracts.feed import Feed
from adplatform.failures import PermanentFailure
from adplatform.flow.decisions import try_again
from adplatform.flow.doctor import examine
from adplatform.flow.erasure.search import Search
from adplatform.flow.erasure.state import DELETED, EDITED, REMADE, REWRITTEN
from adplatform.flow.exports import Export, export, exported, exports_due, read_manifest
from adplatform.flow.services import Services
from adplatform.flow.source import make_source
from adplatform.lake.table import table_name
from adplatform.ledger.delivery import DeliveryState
from adplatform.ledger.erasures import ErasureState
from adplatform.ledger.table import table_definition
from adplatform.platform.aws import Aws
from adplatform.privacy.keys import fetch_key
from adplatform.privacy.person import person_of, read_identifiers
from adplatform_tests.files.openpgp import Workshop
from adplatform_tests.flow.persons import (
    JANE,
    PURCHASES,
    Club,
    erase_in_child,
    erase_jane,
    fill,
    in_statistics,
    jane,
    make_persons,
    members,
    places_of,
    purchases,
)
from adplatform_tests.flow.rotations import day, make_club
from adplatform_tests.support.tars import tarred
from adplatform_tests.support.workbooks import workbook

COLUMNS = {"members": "region, email_lake, email_meta, seen", "purchases": "dt, email_lake, amount"}


def others(club: Club) -> list[tuple[Any, ...]]:
    """The rows of all tables that there are."""
    rows = []
    for name, what in COLUMNS.items():
        if club.services.lake.catalog.table(table_name(f"club/{name}", club.services.settings.database_prefix)):
            rows += club.query(f"select {what} from {{{name}}}")
    return rows


def test_files_for_ad_platforms_lose_the_person_and_their_manifest_before_they_are_made_anew(
    aws: Aws, tmp_path: Path
) -> None:
    club = make_persons(aws, tmp_path / "home")
    few(club)
    services, person = club.services, jane(club)
    (members_flow,) = (flow for flow in club.flows if flow.feed.name == "members")
    feed = members_flow.feed.model_copy(update={"activations": Activations(meta=Activation())})
    wanted = Export(replace(members_flow, feed=feed), "meta")
    before = export(services, wanted, tmp_path)
    assert before is not None
    exported(services.ledger, wanted, before[0])
    assert any(place.startswith("exports/") for place in places_of(club, person))
    assert erase_jane(club).problems == ()
    assert places_of(club, person) == []
    assert read_manifest(services, wanted) is None
    assert list(exports_due(services, [wanted.flow])) == [wanted]
    made = export(services, wanted, tmp_path)
    assert made is not None
    assert made[0].rows > 0
    assert places_of(club, person) == []


def conserved(club: Club) -> None:
    """Every row of every version that readers see is accounted for."""
    ledger = club.services.ledger
    for flow in club.flows:
        for delivery in ledger.deliveries.of_feed(flow.name):
            assert delivery.state is DeliveryState.PUBLISHED, delivery
            row = ledger.publications.get(flow.name, delivery.day, delivery.published)
            assert row is not None
            assert row.rows_in == row.clean + row.superseded + row.quarantined + row.left_out
            outcomes = ledger.publications.file_outcomes(flow.name, delivery.day, delivery.published)
            assert sum(o.rows_in for o in outcomes) == row.rows_in


def joe(club: Club) -> tuple[Any, ...]:
    key = fetch_key(club.services.secrets, club.services.settings.hash_key_secret)
    return "it", key.hmac("joe@x.org"), sha256(b"joe@x.org").hexdigest(), 1


@pytest.mark.parametrize("table_format", ["parquet", pytest.param("iceberg", marks=pytest.mark.slow)])
def test_a_person_is_nowhere_after_an_erasure_and_others_are_as_before(
    aws: Aws, tmp_path: Path, table_format: str
) -> None:
    club = make_persons(aws, tmp_path / "home", table_format)
    fill(club)
    person, before = jane(club), others(club)
    held = places_of(club, person)
    assert bool(in_statistics(club, person)) == (table_format == "iceberg")
    assert {place.partition("/")[0] for place in held} >= {"archive", "quarantine", "table-versions"}
    receipt = erase_jane(club)
    assert (receipt.problems, receipt.unreadable, receipt.lost_keys) == ((), (), ())
    assert places_of(club, person) == []
    assert in_statistics(club, person) == []
    left = others(club)
    hers = [row for row in before if set(row) & person.digests]
    assert len(hers) == 3
    assert [row for row in before if row not in left and row not in hers] == [joe(club)]  # a remark on him named her
    assert [row for row in left if row not in before] == []
    conserved(club)
    assert receipt.counts[EDITED] == 5
    assert receipt.counts[REMADE] == 4

    kept = club.services.s3.get_object(Bucket=club.services.zones.raw_bucket, Key=receipt.erasure.receipt_key)
    document = json.loads(kept["Body"].read())
    assert document["counts"] == receipt.counts
    assert document["out_of_reach"]
    [row] = club.services.ledger.erasures.of_source("club")
    assert (row.state, row.mark, row.id) == (ErasureState.DONE, "", receipt.erasure.id)

    club.process()
    assert others(club) == left


def test_a_dry_run_says_what_is_done_then_and_what_is_delivered_later_meets_what_an_erasure_has_left(
    aws: Aws, tmp_path: Path
) -> None:
    club = make_persons(aws, tmp_path / "home")
    few(club)
    held = places_of(club, jane(club))
    looked = erase_jane(club, dry_run=True)
    assert places_of(club, jane(club)) == held
    assert club.services.ledger.erasures.of_source("club") == []
    assert {each.what for each in looked.done} == {EDITED, REWRITTEN, DELETED}
    assert {each.place for each in looked.done} <= {each.place for each in erase_jane(club).done}
    assert erase_jane(club).done == ()
    before = others(club)
    club.put("purchases", day(3), purchases(("new@x.org", "7.00")), "more.ndjson")
    club.process()
    assert len(others(club)) == len(before) + 1
    club.put("members", day(1), members(f"de,{JANE},,1,", "de,bob@example.com,,99,"))
    club.process()
    assert places_of(club, jane(club)) != []  # a new fact, which another erasure removes
    assert erase_jane(club).problems == ()
    assert places_of(club, jane(club)) == []
    conserved(club)


def test_without_versions_and_not_yet_archived_a_person_is_erased_as_well(aws: Aws, tmp_path: Path) -> None:
    club = make_persons(aws, tmp_path / "home", versioned=False)
    club.put("purchases", day(3), purchases((JANE, "1.00"), ("eve@x.org", "2.00")))
    settler = club.services.settler(club.source)
    settler.arrivals.reconcile()
    club.put("members", day(3), members(f"de,{JANE},,1,", "de,bob@example.com,,1,"))
    assert erase_jane(club).problems == ()
    assert places_of(club, jane(club)) == []
    club.process()
    assert len(others(club)) == 2
    conserved(club)


@pytest.mark.slow
def test_a_name_of_a_file_loses_the_person_wherever_it_is(aws: Aws, tmp_path: Path) -> None:
    club = make_persons(aws, tmp_path / "home")
    club.put("purchases", day(3), purchases(("eve@x.org", "2.00"), (JANE, "x")), f"{JANE}.ndjson")
    club.put("purchases", day(2), purchases(("bob@x.org", "2.00")), "jane.doe%40example.com.ndjson")
    club.process()
    before = others(club)
    assert any(place.startswith("manifests") for place in places_of(club, jane(club)))
    assert any(place.startswith("ledger") for place in places_of(club, jane(club)))
    receipt = erase_jane(club)
    assert receipt.problems == ()
    assert JANE not in json.dumps(receipt.document)
    assert places_of(club, jane(club)) == []
    assert others(club) == before
    conserved(club)
    club.put("purchases", day(3), purchases(("new@x.org", "7.00")), "more.ndjson")
    club.process()
    assert len(others(club)) == len(before) + 1
    conserved(club)


def test_rows_whose_originals_are_gone_leave_the_table(aws: Aws, tmp_path: Path) -> None:
    club = make_persons(aws, tmp_path / "home")
    club.put("members", day(2), members(f"de,{JANE},,9,", f'it,joe@x.org,,1,"said:\n{JANE}"', "it,ann@x.org,,1,"))
    few(club)
    services, before = club.services, others(club)
    versions = services.s3.list_object_versions(Bucket=services.zones.raw_bucket, Prefix="archive/")["Versions"]
    services.store.delete_versions(services.zones.raw_bucket, [(v["Key"], v["VersionId"]) for v in versions])
    receipt = erase_jane(club)
    assert receipt.problems == ()
    assert places_of(club, jane(club)) == []
    assert len(others(club)) == len(before) - 3
    conserved(club)


@pytest.mark.parametrize("gone", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["originals", "rows"])
def test_rows_that_were_left_out_stay_counted_without_the_person(aws: Aws, tmp_path: Path, gone: bool) -> None:
    club = make_persons(aws, tmp_path / "home")
    club.put("purchases", day(3), purchases((JANE, "1.00"), ("bob@example.com", "2.00"), ("all", "total")))
    club.process()
    services = club.services
    if gone:
        held = services.s3.list_object_versions(Bucket=services.zones.raw_bucket, Prefix="archive/")["Versions"]
        services.store.delete_versions(services.zones.raw_bucket, [(v["Key"], v["VersionId"]) for v in held])
    assert erase_jane(club).problems == ()
    conserved(club)
    [row] = [each for each in services.ledger.publications.of_feed("club/purchases", day(3)) if each.version == 2]
    assert (row.rows_in, row.clean, row.left_out) == (2, 1, 1)


def test_a_delivery_of_nobody_else_is_published_empty_although_its_bounds_forbid_that(aws: Aws, tmp_path: Path) -> None:
    club = make_persons(aws, tmp_path / "home")
    club.put("purchases", day(3), purchases((JANE, "1.00")))
    club.process()
    assert erase_jane(club).problems == ()
    assert others(club) == []
    conserved(club)


def test_an_erasure_that_is_killed_goes_on_and_ends_the_same(aws: Aws, tmp_path: Path) -> None:
    whole = make_persons(aws, tmp_path / "whole")
    small(whole)
    code, writes = erase_in_child(whole, 0)
    assert code == 0
    killed_and_gone_on(aws, tmp_path / "killed", [int(writes * 0.3), int(writes * 0.4)], others(whole))


def few(club: Club) -> None:
    club.put("members", day(3), members(f"de,{JANE},,1,", "de,bob@example.com,,1,ok", f"it,x@x.org,,?,{JANE}"))
    club.put("purchases", day(3), purchases((JANE, "1.00"), ("eve@x.org", "2.00")), f"{JANE}.json")
    club.process()


def small(club: Club) -> None:
    """Of two hashing keys."""
    club.put("members", day(3), members(f"de,{JANE},,1,", "de,bob@example.com,,1,ok", f"it,x@x.org,,?,{JANE}"))
    club.process()
    club.replace_key()
    club.put("purchases", day(3), purchases((JANE, "1.00"), ("eve@x.org", "2.00")), f"{JANE}.json")
    club.process()


def killed_and_gone_on(aws: Aws, home: Path, moments: list[int], expected: list[tuple[Any, ...]]) -> None:
    """Each try goes on with what the one before has left."""
    club = make_persons(aws, home)
    small(club)
    rows = len(others(club))
    for hours, moment in enumerate(moments):
        code, _ = erase_in_child(club, moment, timedelta(hours=hours))
        assert code == -signal.SIGKILL, moment
        assert len(expected) <= len(others(club)) <= rows, moment
    later = club.later(timedelta(hours=len(moments)))
    receipt = erase_jane(later)
    assert receipt.problems == (), moment
    assert places_of(club, jane(club)) == [], moment
    assert [len(row) for row in others(club)] == [len(row) for row in expected], moment
    kept = club.services.ledger.erasures
    assert {each.state for each in kept.of_source("club")} == {ErasureState.DONE}, moment
    # One that was killed behind its end is over, and the next has nothing to do.
    assert len([each for each in kept.of_source("club") if kept.erased("club", each.id)]) == 1, moment
    later.process()
    conserved(club)


GROUPS = 8


@pytest.mark.slow
@pytest.mark.parametrize("group", range(GROUPS))
def test_an_erasure_killed_at_any_write_goes_on_and_ends_the_same(aws: Aws, tmp_path: Path, group: int) -> None:
    whole = make_persons(aws, tmp_path / "whole")
    small(whole)
    code, writes = erase_in_child(whole, 0)
    assert code == 0
    for moment in range(1 + group, writes + 1, GROUPS):
        killed_and_gone_on(aws, tmp_path / f"at-{moment}", [moment], others(whole))


def test_a_signed_original_is_kept_decrypted_without_the_person_and_is_read_again(aws: Aws, tmp_path: Path) -> None:
    with Workshop.open() as workshop:
        us, them = workshop.partner("us"), workshop.partner("them")
        unique = tmp_path.name
        feed = {
            **PURCHASES,
            "pgp": {"private_keys": [f"{unique}/us"], "signer_keys": [f"{unique}/them"], "signers": [them.fingerprint]},
        }
        club = make_club(aws, tmp_path / "home", [feed])
        for name, key in (("us", us.private), ("them", them.public)):
            club.services.secrets.create_secret(Name=f"{unique}/{name}", SecretString=key)
        body = gzip.compress(purchases((JANE, "1.00"), ("eve@x.org", "2.00")))
        club.put("purchases", day(3), workshop.encrypt(body, us, signers=[them]), "a.gz.pgp")
        club.process()
        assert {row[-1] for row in others(club)} == {Decimal(1), Decimal(2)}
        assert [each.what for each in erase_jane(club, dry_run=True).done].count(EDITED) == 1
        receipt = erase_jane(club)
        assert (receipt.problems, receipt.unreadable) == ((), ())
        assert places_of(club, jane(club)) == []
        assert {row[-1] for row in others(club)} == {Decimal(2)}
        [obj] = club.services.ledger.objects.of_day("club/purchases", day(3))
        assert obj.edited == receipt.erasure.id
        assert erase_jane(club).done == ()  # nothing that is encrypted for us is left that holds her
        club.put("purchases", day(3), workshop.encrypt(purchases(("new@x.org", "7.00")), us, signers=[them]), "b.pgp")
        club.process()
        assert {row[-1] for row in others(club)} == {Decimal(2), Decimal(7)}
        conserved(club)


def test_what_nobody_can_read_is_said_and_stays(aws: Aws, tmp_path: Path) -> None:
    club = make_persons(aws, tmp_path / "home")
    club.put("purchases", day(3), gzip.compress(purchases((JANE, "1.00")))[:-5])
    with pytest.raises(PermanentFailure):
        club.process()
    receipt = erase_jane(club)
    assert receipt.problems == ()
    [unreadable] = receipt.unreadable
    assert unreadable.endswith("part.csv: damaged")


@pytest.mark.slow
def test_a_person_goes_from_sheets_and_archives_and_what_nobody_has_seen_is_named(aws: Aws, tmp_path: Path) -> None:
    sheets = {**PURCHASES, "name": "sheets", "format": {"kind": "xlsx"}}
    packs = {**PURCHASES, "name": "packs", "format": {"kind": "ndjson", "members": "*.json"}}
    club = make_club(aws, tmp_path / "home", [sheets, packs])
    club.put("sheets", day(3), workbook(One=[["email", "amount"], [JANE, 1], ["eve@x.org", 2]]), "a.xlsx")
    club.put("packs", day(3), tarred({"a.json": purchases((JANE, "3.00"), ("eve@x.org", "4.00")), "a.pdf": b"%PDF-"}))
    club.put("packs", day(2), tarred({"a.json": purchases(("eve@x.org", "5.00")), "a.pdf": b"%PDF-"}))
    club.process()

    def amounts() -> list[list[Decimal]]:
        tables = ("sheets", "packs")
        return [[row[0] for row in club.query(f"select amount from {{{name}}} order by 1")] for name in tables]

    assert amounts() == [[Decimal(1), Decimal(2)], [Decimal(3), Decimal(4), Decimal(5)]]
    receipt = erase_jane(club)
    assert receipt.problems == ()
    [unread] = receipt.unreadable
    assert f"dt={day(2)}" in unread
    assert unread.endswith("holds what no feed reads, in no form that is known here (1)")
    assert amounts() == [[Decimal(2)], [Decimal(4), Decimal(5)]]
    assert places_of(club, jane(club)) == []
    assert erase_jane(club).done == ()


def test_a_file_that_is_not_recorded_yet_is_not_taken_for_one_of_nobody(aws: Aws, tmp_path: Path) -> None:
    club = make_persons(aws, tmp_path / "home")
    club.put("purchases", day(3), purchases((JANE, "1.00"), ("eve@x.org", "2.00")))
    club.put("nothing", day(3), f"{JANE}\n".encode())
    assert erase_jane(club).problems == ()
    club.process()
    assert [row[-1] for row in others(club)] == [Decimal(2)]
    assert places_of(club, jane(club)) == []


def test_a_ledger_that_was_lost_is_restored_with_what_an_erasure_has_left(aws: Aws, tmp_path: Path) -> None:
    club = make_persons(aws, tmp_path / "home")
    club.put("purchases", day(3), purchases((JANE, "1.00"), ("eve@x.org", "2.00")), f"{JANE}.json")
    club.process()
    erase_jane(club)
    client, table = club.services.ledger.client, club.services.settings.ledger_table
    client.delete_table(TableName=table)
    client.create_table(**table_definition(table))
    list(examine(club.services, club.source, "doctor", repair=True))
    flow = club.flow("purchases")
    [obj] = club.services.ledger.objects.of_day(flow.name, day(3))
    assert (bool(obj.edited), bool(obj.known_as), obj.archived_key != "") == (True, True, True)
    try_again(club.services.ledger, flow, day(3))
    club.process()
    assert [row[-1] for row in others(club)] == [Decimal(2)]
    assert places_of(club, jane(club)) == []


def test_results_of_matching_that_hold_the_person_go_and_others_stay(aws: Aws, tmp_path: Path) -> None:
    club = make_persons(aws, tmp_path / "home")
    few(club)
    zones, s3 = club.services.zones, club.services.s3
    key = fetch_key(club.services.secrets, club.services.settings.hash_key_secret)
    below = f"{zones.matches('club/purchases')}workflow/job/success/"
    for name, who in (("hers", JANE), ("others", "eve@x.org")):
        row = f"InputSourceARN,email_short_id,MatchID\narn:any,{key.hmac(who)[:32]},0a\n"
        s3.put_object(Bucket=zones.raw_bucket, Key=f"{below}{name}.csv", Body=row.encode())
    receipt = erase_jane(club)
    assert (receipt.problems, receipt.unreadable) == ((), ())
    left = s3.list_object_versions(Bucket=zones.raw_bucket, Prefix=below)["Versions"]
    assert [each["Key"] for each in left] == [f"{below}others.csv"]


@pytest.mark.parametrize("match", ["exact", "loose"])
def test_ids_are_found_under_each_name_that_files_have_for_their_column(tmp_path: Path, match: str) -> None:
    columns = {"member": {"pii": "generic_id", "field": ["Member ID", "Client"]}, "amount": "int"}
    feed = {**PURCHASES, "columns": columns, "format": {"header_match": match}, "skip_rows_where": None}
    source = make_source("club", "raw", [Feed.model_validate(feed)])
    person = person_of(read_identifiers("generic_id 4711\n"), (), ())
    judge = Search(cast("Services", None), source, source.feeds, person, tmp_path).judge(source.feeds[0])

    def found(name: str) -> bool:
        return judge("4711,1", {name: "4711", "amount": "1"})

    assert [found(name) for name in ("Member ID", "Client", "member")] == [True] * 3
    assert [found(name) for name in ("member_id", "CLIENT")] == [match == "loose"] * 2
    assert not found("amount_2")
