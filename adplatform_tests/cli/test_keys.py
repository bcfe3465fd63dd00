"""What the commands of the hashing key say."""

from datetime import UTC, datetime

import pytest

from adplatform.cli.keys import note, show_result
from adplatform.flow.key_rotation import RotationResult
from adplatform.ledger.keys import LakeKey


def test_joins_are_said_to_be_wrong_under_another_key_and_of_an_unrecorded_one_that_nobody_knows() -> None:
    assert note(None, "k1", "k1") == ""
    assert "joins with the others are wrong" in note(None, "k2", "k1")
    assert "nobody knows" in note(None, "", "k1")
    assert "wrong" not in note(None, "", "k1")


def test_a_table_that_is_made_of_changes_is_said_to_follow_by_its_merge() -> None:
    assert note(None, "k1", "k1", derived=True) == ""
    assert "merge" in note(None, "k2", "k1", derived=True)


def test_whoever_fears_a_leak_learns_that_no_new_key_was_made(capsys: pytest.CaptureFixture[str]) -> None:
    key = LakeKey("k1", datetime(2026, 3, 1, tzinfo=UTC))
    show_result(RotationResult(key, 1, (), (), new_key=False))
    assert "no new key was made" in capsys.readouterr().out
    show_result(RotationResult(key, 1, (), (), new_key=True))
    assert "no new key was made" not in capsys.readouterr().out
