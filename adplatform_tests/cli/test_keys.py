"""What the commands of the hashing key say."""

from adplatform.cli.keys import note


def test_joins_are_said_to_be_wrong_under_another_key_and_of_an_unrecorded_one_that_nobody_knows() -> None:
    assert note(None, "k1", "k1") == ""
    assert "joins with the others are wrong" in note(None, "k2", "k1")
    assert "nobody knows" in note(None, "", "k1")
    assert "wrong" not in note(None, "", "k1")
