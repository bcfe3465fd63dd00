"""What `adplatform doctor` says of what it finds."""

from collections.abc import Iterator
from datetime import date

import pytest

from adplatform.cli.doctor import show
from adplatform.flow.doctor import Finding

MENDED = Finding("acme/orders", date(2026, 3, 14), "readers see version 2", "restored version 2")
BEYOND = Finding("acme/orders", None, "its files are gone [a/b]", "")


def test_each_finding_is_said_before_the_next_is_looked_for(capsys: pytest.CaptureFixture[str]) -> None:
    def found() -> Iterator[Finding]:
        yield MENDED
        said = capsys.readouterr().out
        assert said == "acme/orders 2026-03-14: readers see version 2; done: restored version 2\n"
        yield BEYOND

    assert not show(found(), repair=True)
    assert capsys.readouterr().out == "acme/orders: its files are gone [a/b]; nothing is done, see the problem\n"


@pytest.mark.parametrize(
    ("found", "repair", "well"), [([], False, True), ([MENDED], False, False), ([MENDED], True, True)]
)
def test_all_is_well_when_nothing_is_left_to_do(found: list[Finding], repair: bool, well: bool) -> None:
    assert show(found, repair=repair) is well
