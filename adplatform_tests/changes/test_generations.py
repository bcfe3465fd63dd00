"""In which order rows of loads are, by the files that have them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from adplatform.changes.generations import (
    FIRST,
    newest_of_load,
    put_in_another_order,
    sequence_at,
    sequences,
)
from adplatform.ledger.folds import Generation

AT = datetime(2026, 11, 28, 12, tzinfo=UTC)
LATER = AT + timedelta(hours=1)


def load(at: datetime, number: int = 1) -> Generation:
    return Generation(number, sequence_at(at), at, "a test", ended=at + timedelta(minutes=30))


def file(number: int, at: datetime, name: str = "LOAD00000001", content: str = "", **more: Any) -> dict[str, Any]:
    origin = f"s3://raw/t/{name}?versionId={number}"
    entry = {"key": f"t/{name}.csv", "last_modified": at.isoformat(), "number": number, "origin": origin}
    return {**entry, "etag": content or str(number), "size": 1, **more}


def order(entries: list[dict[str, Any]], *loads: Generation) -> list[str]:
    found = sequences(entries, loads)
    return [found[entry["origin"]] for entry in entries]


def test_a_file_of_each_load_has_the_sequence_of_its_own() -> None:
    loads = [load(AT), load(LATER, 2)]
    files = [file(1, AT), file(2, AT, "LOAD00000002"), file(3, LATER)]
    assert order(files, *loads) == [loads[0].sequence, loads[0].sequence, loads[1].sequence]
    assert sequences([file(1, AT, "20261128-120000123")], loads) == {}


def test_a_file_that_its_load_was_written_over_is_older_than_the_load_and_younger_than_any_change_before() -> None:
    known = load(AT)
    over, broken, other, again = order(
        [file(1, AT), file(2, AT + timedelta(seconds=1)), file(3, AT, "LOAD00000002"), file(4, LATER)], known
    )
    before = f"{int(known.sequence) - 10**6:035}"
    assert before < over < broken < f"{int(known.sequence) - 1:035}" < other == again == known.sequence


def test_the_same_bytes_again_are_the_same_file() -> None:
    assert order([file(1, AT, content="x"), file(2, LATER, content="x")], load(AT)) == [load(AT).sequence] * 2
    one, two = order([file(1, AT, content="x"), file(2, LATER, content="x")])
    assert one == two


def test_files_of_loads_that_nobody_has_recorded_are_in_the_order_in_which_they_were_written() -> None:
    files = [
        file(3, AT),
        file(1, AT + timedelta(minutes=1), "LOAD00000002"),
        file(2, AT + timedelta(minutes=2)),
        file(4, AT + timedelta(minutes=3), "LOAD00000003"),
        file(5, AT + timedelta(days=1)),
    ]
    found = order(files)
    assert found[0] == found[1] < found[2] == found[3] < found[4] < sequence_at(AT)
    assert found[0] > FIRST


def test_versions_of_one_second_are_in_the_order_of_their_places() -> None:
    newer, older = order([file(1, AT, place=2), file(2, AT, place=1)])
    assert older < newer


def test_rows_of_a_load_that_goes_on_after_midnight_are_of_that_load_and_no_older_than_its_first() -> None:
    known = load(AT)
    first, second = order([file(1, AT), file(2, AT + timedelta(days=1), "LOAD00000002")], known)
    assert first < second < f"{int(known.sequence) + 1:035}"
    assert second.startswith(first)


def test_a_version_that_is_heard_of_late_puts_those_that_were_merged_in_another_order() -> None:
    merged, more = file(1, LATER), file(3, LATER, "LOAD00000002")
    assert not put_in_another_order([merged, more], 1, [])
    assert put_in_another_order([merged, file(2, AT)], 1, [])
    assert put_in_another_order([file(1, AT), file(2, LATER)], 1, [load(AT)])
    assert not put_in_another_order([file(1, AT), file(2, LATER)], 1, [load(AT), load(LATER, 2)])


def test_of_files_that_a_load_has_written_again_the_last_is_counted() -> None:
    files = [file(1, AT), file(2, AT, "LOAD00000002"), file(3, LATER)]
    assert newest_of_load(files, [load(AT)], load(AT)) == [files[2]["origin"], files[1]["origin"]]
