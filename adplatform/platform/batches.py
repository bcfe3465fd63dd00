"""Calls of AWS that take many keys and under load answer some of them only. botocore takes that for success, so the
pauses before the others are asked for again are ours."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from adplatform.failures import TransientFailure

K = TypeVar("K")
A = TypeVar("A")

FIRST_PAUSE = 0.05
MOST_IN_VAIN = 8
"""Calls in a row that may answer nothing: 13 seconds with the pauses between them."""


def answered(
    what: str, keys: Iterable[K], most: int, ask: Callable[[list[K]], tuple[A, list[K]]], sleep: Callable[[float], None]
) -> Iterator[A]:
    """The answers to all keys, ``most`` in one call. ``ask`` returns an answer and the keys that it leaves out.

    Raises:
        TransientFailure: ``what`` left out all keys too often in a row.
    """
    left, in_vain = list(keys), 0
    while left:
        batch, left = left[:most], left[most:]
        answer, unread = ask(batch)
        yield answer
        left += unread
        in_vain = in_vain + 1 if len(unread) == len(batch) else 0
        if in_vain == MOST_IN_VAIN:
            raise TransientFailure(f"{what} is too busy to answer; run the step again")
        if unread:
            sleep(FIRST_PAUSE * 2**in_vain)
