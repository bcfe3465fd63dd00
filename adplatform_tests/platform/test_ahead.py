"""Items made ahead are the same items, and nothing is made behind anybody's back."""

import threading
from collections.abc import Iterator

import pytest

from adplatform.platform.ahead import ahead


class Broken(Exception):
    pass


def made(log: list[int], count: int) -> Iterator[int]:
    for number in range(count):
        log.append(number)
        yield number


@pytest.mark.parametrize("count", [0, 1, 4, 100])
def test_items_are_the_same_in_the_same_order(count: int) -> None:
    with ahead(made([], count)) as items:
        assert list(items) == list(range(count))


def test_what_making_raises_is_raised_behind_the_items_before_it() -> None:
    def broken() -> Iterator[int]:
        yield from range(10)
        raise Broken

    with ahead(broken()) as items:
        assert [next(items) for _ in range(10)] == list(range(10))
        with pytest.raises(Broken):
            next(items)


def test_no_more_than_asked_for_are_made_ahead_and_none_after_the_end() -> None:
    log: list[int] = []
    with pytest.raises(Broken), ahead(made(log, 1000), most=3) as items:
        assert next(items) == 0
        raise Broken
    assert len(log) <= 4
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("ahead")]


def test_the_next_item_is_made_while_the_caller_is_busy() -> None:
    begun = threading.Event()

    def two() -> Iterator[int]:
        yield 1
        begun.set()
        yield 2

    with ahead(two()) as items:
        assert next(items) == 1
        assert begun.wait(10)
        assert next(items) == 2
