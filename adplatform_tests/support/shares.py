"""A part of the tests, so that a suite of hours runs in turns: ``--share 3/20`` is the third of twenty."""

import re
import zlib
from collections.abc import Sequence

import pytest


def add_option(parser: pytest.Parser) -> None:
    parser.addoption(
        "--share",
        type=_share,
        metavar="K/N",
        help="run the K-th of N parts of what is selected, by a hash of its name, without what is given more time than "
        "usual",
    )


def _share(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise ValueError(f"{text} is no K/N with K from 1 to N")
    return int(found[1]), int(found[2])


def select(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves in ``items`` those of the share that was asked for."""
    share: tuple[int, int] | None = config.getoption("share")
    if share is None:
        return
    usual = float(config.getini("timeout"))
    left_out = [item for item in items if not in_share(item.nodeid, *share) or _patience(item) > usual]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def in_share(name: str, number: int, of: int) -> bool:
    return zlib.crc32(name.encode()) % of == number - 1


def _patience(item: pytest.Item) -> float:
    """Seconds that the test itself is given; 0 if it is given no more than any."""
    marker = item.get_closest_marker("timeout")
    given: Sequence[float] = marker.args if marker else ()
    return float(given[0]) if given else 0.0
