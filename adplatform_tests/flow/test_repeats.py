"""A file whose bytes came before under another name is no second delivery of its rows."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from adplatform.contracts.feed import Feed
from adplatform.failures import PermanentFailure
from adplatform.flow.repeats import repeats, said_of
from adplatform.flow.services import Services
from adplatform.flow.source import make_source
from adplatform.flow.version import VersionObject
from adplatform.ledger.publications import FileOutcome, Outcome
from adplatform.platform.aws import Aws
from adplatform_tests.flow.test_parts import DAY, ORDERS, Shop, shop
from adplatform_tests.ledger.test_objects import OBJECT
from adplatform_tests.support.platforms import make_services

ROWS = ("1,a@example.com,1.00", "2,b@example.com,2.00")


@pytest.fixture
def services(aws: Aws, tmp_path: Path) -> Services:
    return make_services(aws, tmp_path / "home")


def files(made: Shop) -> dict[str, tuple[str, int]]:
    outcomes = made.services.ledger.publications.file_outcomes(made.flow.name, DAY, made.newest.version)
    return {o.origin.rpartition("/")[2]: (o.outcome, o.rows_in) for o in outcomes}


def test_the_same_bytes_under_a_new_name_are_left_out_and_said(services: Services) -> None:
    made = shop(services)
    made.deliver("a.csv", *ROWS)
    made.deliver("a_copy.csv", *ROWS)
    made.deliver("b.csv", "3,c@example.com,3.00")
    assert [row[0] for row in made.rows] == [1, 2, 3]
    assert files(made) == {
        "a.csv": (Outcome.LOADED, 2),
        "a_copy.csv": (Outcome.REPEATED, 0),
        "b.csv": (Outcome.LOADED, 1),
    }
    assert made.newest.note.startswith("1 file is left out that has the bytes of others: file:")


def test_of_files_with_the_same_bytes_that_settle_together_the_first_is_read(services: Services) -> None:
    made = shop(services, {**ORDERS, "arrival": {"complete_when": "count", "expected_files": 4}})
    for name, rows in {"z.csv": ROWS, "a.csv": ROWS, "empty.csv": (), "empty_too.csv": ()}.items():
        made.put(name, *rows)
    made.process()
    found = files(made)
    assert sorted((found["a.csv"], found["z.csv"])) == [(Outcome.LOADED, 2), (Outcome.REPEATED, 0)]
    assert {found["empty.csv"][0], found["empty_too.csv"][0]} == {Outcome.EMPTY}
    assert [row[0] for row in made.rows] == [1, 2]


def test_a_feed_may_refuse_a_repeated_file(services: Services) -> None:
    made = shop(services, {**ORDERS, "duplicate_content": "refuse"})
    made.deliver("a.csv", *ROWS)
    with pytest.raises(PermanentFailure, match=r"its bytes came as file:[0-9a-f]{32} before, under another name"):
        made.deliver("a_copy.csv", *ROWS)
    delivery = services.ledger.deliveries.get(made.flow.name, DAY)
    assert (delivery.published, delivery.permanent) == (1, True)
    assert files(made)["a_copy.csv"] == (Outcome.REFUSED, 0)


def outcome(content: str, name: str, **more: Any) -> FileOutcome:
    return FileOutcome(DAY, 1, f"s3://raw/{name}", Outcome.LOADED, sha256=content, file_id=f"file:{name}", **more)


def fetched(content: str, name: str, number: int, **more: Any) -> tuple[VersionObject, FileOutcome]:
    obj = replace(OBJECT, key=f"landing/acme/orders/{name}", number=number)
    return VersionObject(obj, None, None, f"s3://raw/{name}", False), outcome(content, name, **more)


def found(services: Services, *came: tuple[VersionObject, FileOutcome], before: Any = (), **settings: Any) -> list[str]:
    declared = Feed.model_validate({**ORDERS, **settings})
    [flow] = make_source("acme", "raw", [declared]).feeds
    return sorted(origin.rpartition("/")[2] for origin in repeats(services, flow, DAY, came, before))


def test_what_came_first_is_read_whatever_its_name(services: Services) -> None:
    assert found(services, fetched("x", "a", 2), fetched("x", "b", 1), fetched("y", "c", 3)) == ["a"]


def test_only_a_file_that_brought_rows_is_repeated(services: Services) -> None:
    before = [outcome("x", "loaded", rows_in=3), outcome("y", "without-rows", rows_in=0)]
    assert found(services, fetched("x", "a", 1), fetched("y", "b", 2), before=before) == ["a"]


def test_an_encrypted_file_is_known_by_what_it_holds(services: Services) -> None:
    came = [
        fetched(cipher, name, n, decrypted_sha256="same") for n, (cipher, name) in enumerate((("1", "a"), ("2", "b")))
    ]
    assert found(services, *came) == ["b"]


@pytest.mark.parametrize("settings", [{"duplicate_content": "allow"}, {"key": "order_id"}], ids=["allowed", "key"])
def test_repeated_files_are_read_where_that_is_allowed_or_a_key_tells_rows_apart(
    services: Services, settings: dict[str, Any]
) -> None:
    assert found(services, fetched("x", "a", 1), fetched("x", "b", 2), **settings) == []


@pytest.mark.parametrize(("days", "expected"), [(0, []), (2, ["today"])])
def test_earlier_dates_are_looked_at_where_the_feed_says_so(services: Services, days: int, expected: list[str]) -> None:
    made = shop(services, {**ORDERS, "duplicate_days": days})
    earlier: date = DAY - timedelta(days=2)
    ledger, name = services.ledger, made.flow.name
    key = f"landing/{made.source.name}/orders/dt={earlier}/a.csv"
    body = "\n".join(["order_id,email,amount", *ROWS, ""]).encode()
    services.s3.put_object(Bucket=services.zones.raw_bucket, Key=key, Body=body)
    made.process()
    [first] = ledger.publications.file_outcomes(name, earlier, 1)
    again = repeats(services, made.flow, DAY, [fetched(first.sha256, "today", 1)])
    assert [origin.rpartition("/")[2] for origin in again] == expected


def test_nothing_is_said_where_nothing_is_left_out() -> None:
    assert said_of([outcome("x", "a")]) == ""
