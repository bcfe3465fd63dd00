"""Work that is done ahead of whoever needs it, by a thread of its own."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar, cast

from adplatform.platform.at_once import Pool

T = TypeVar("T")

_MOST = 4


@contextmanager
def ahead(items: Iterator[T], most: int = _MOST) -> Iterator[Iterator[T]]:
    """The same items, of which up to ``most`` are made while the caller is busy with those before. What making one
    raises is raised where it is asked for. None is being made any more when the context ends.
    """
    end = object()
    with Pool(max_workers=1, thread_name_prefix="ahead") as pool:
        waiting: deque[Future[T | object]] = deque(pool.submit(next, items, end) for _ in range(most))

        def taken() -> Iterator[T]:
            while (item := waiting.popleft().result()) is not end:
                waiting.append(pool.submit(next, items, end))
                yield cast(T, item)

        try:
            yield taken()
        finally:
            for each in waiting:
                each.cancel()
