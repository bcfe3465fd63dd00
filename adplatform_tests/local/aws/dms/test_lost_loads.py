"""Loads that a killed process took along are known by what is missing, and only where they were not saved."""

import pytest

from adplatform.local.aws.dms.load import lost, note_safe
from adplatform.local.aws.dms.state import BEFORE, COMPLETED, Table
from adplatform.local.aws.managed import CONTROL


@pytest.mark.parametrize(
    ("table", "there", "is_lost"),
    [
        (Table("public", "t", COMPLETED, files=2), 1, True),
        (Table("public", "t", COMPLETED, files=2), 2, False),
        (Table("public", "t", COMPLETED, files=2, safe=True), 0, False),
        (Table("public", "t", BEFORE, files=2), 0, False),
        (Table("public", "empty", COMPLETED), 0, False),
    ],
)
def test_a_load_is_lost_if_it_was_not_saved_and_files_are_missing(table: Table, there: int, is_lost: bool) -> None:
    assert (lost([table], lambda _: there) == [table]) == is_lost


def test_a_load_is_safe_once_what_was_written_before_its_end_is_saved() -> None:
    table = Table("public", "t", COMPLETED, files=1, loaded=5.0)
    kept = CONTROL.saved
    try:
        CONTROL.saved = lambda _service, moment: moment < 5.0
        assert not note_safe([table])
        CONTROL.saved = lambda _service, moment: moment < 6.0
        assert note_safe([table])
    finally:
        CONTROL.saved = kept
    assert table.safe
