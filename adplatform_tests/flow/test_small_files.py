"""What the raw step keeps of small files for the clean step, and what it must not be taken for."""

import io
from dataclasses import replace
from datetime import UTC, date, datetime
from types import SimpleNamespace

import pytest

from adplatform.failures import TransientFailure
from adplatform.flow.small_files import MOST_KEPT, SMALL, Kept, keep, named, take, worth_keeping
from adplatform.flow.version import read_whole
from adplatform.ledger.objects import RawObject

OBJECT = RawObject(
    date(2026, 3, 14), "raw", "landing/acme/a.csv", "v1", 3, "etag", datetime(2026, 3, 14, tzinfo=UTC), number=1
)


def test_a_run_takes_what_it_has_kept_and_only_once() -> None:
    kept = Kept({"a": b"1"})
    keep("one", kept)
    assert take("another") == Kept()
    assert take("one") == kept
    assert take("one") == Kept()


def test_what_a_run_has_left_makes_room_for_the_next() -> None:
    keep("one", Kept({"a": b"1"}))
    keep("two", Kept())
    assert take("one") == Kept()


def test_an_object_of_which_an_erasure_has_left_less_is_another() -> None:
    archived = replace(OBJECT, archived_key="archive/a.csv")
    edited = replace(archived, archived_key="archive/edited.csv", edited="e1", edited_size=2)
    assert len({named(OBJECT), named(archived), named(edited)}) == 3


def test_small_files_are_kept_as_long_as_there_is_room() -> None:
    sizes = [0, 1, SMALL, SMALL + 1, *[SMALL] * (MOST_KEPT // SMALL), 5]
    objects = [replace(OBJECT, version=f"v{n}", size=size) for n, size in enumerate(sizes)]
    kept = [obj for obj in objects if named(obj) in worth_keeping(objects)]
    assert [obj.size for obj in kept] == [1, SMALL, *[SMALL] * (MOST_KEPT // SMALL - 2), 5]
    assert sum(obj.size for obj in kept) <= MOST_KEPT


@pytest.mark.parametrize("body", [b"12", b"1234"])
def test_a_file_of_which_other_bytes_come_than_it_has_is_not_kept(body: bytes) -> None:
    s3 = SimpleNamespace(get_object=lambda **_: {"Body": io.BytesIO(body)})
    with pytest.raises(TransientFailure, match=f"{OBJECT.file_id}: {len(body)} of 3 bytes came"):
        read_whole(s3, OBJECT)
