"""Independent calls at once: results in order, and the same failure whichever call ends first."""

import time
from threading import Barrier

import pytest

from adplatform.platform.at_once import MOST, at_once


def test_as_many_as_are_allowed_are_under_way_at_once() -> None:
    all_are = Barrier(MOST)
    assert at_once(lambda n: (n, all_are.wait(timeout=30))[0], range(2 * MOST)) == list(range(2 * MOST))


def test_results_are_in_order_whichever_is_first() -> None:
    def slowly(n: int) -> int:
        time.sleep(0.02 * (4 - n))
        return n

    assert at_once(slowly, range(4)) == [0, 1, 2, 3]
    assert (at_once(slowly, [4]), at_once(slowly, [])) == ([4], [])


def test_of_several_failures_the_first_by_order_is_told_and_nothing_begins_after_one() -> None:
    begun: list[int] = []

    def failing(n: int) -> None:
        begun.append(n)
        time.sleep(0.1 if n == 1 else 0.01)
        if n in (1, 3):
            raise ValueError(n)

    with pytest.raises(ValueError, match=r"^1$"):
        at_once(failing, range(1000))
    assert len(begun) < 3 * MOST
