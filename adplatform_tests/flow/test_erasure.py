"""A person who is erased is nowhere any more, and everybody else is where they were."""

from pathlib import Path

import pytest

from adplatform.platform.aws import Aws
from adplatform_tests.flow.persons import erase_jane, fill, jane, make_persons, places_of


@pytest.mark.parametrize("table_format", ["parquet", "iceberg"])
def test_a_person_is_nowhere_after_an_erasure_and_others_are_as_before(
    aws: Aws, tmp_path: Path, table_format: str
) -> None:
    club = make_persons(aws, tmp_path / "home", table_format)
    fill(club)
    person = jane(club)
    before = places_of(club, person)
    assert len(before) > 10, before
    print("\n".join(before))
    receipt = erase_jane(club)
    for each in receipt.done:
        print(each)
    assert receipt.problems == ()
    assert places_of(club, person) == []
