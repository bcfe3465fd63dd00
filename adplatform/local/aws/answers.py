"""What may happen between a change and the answer that tells of it, without the lock: the server asks for bodies so."""

from collections.abc import Callable, Iterable, Iterator


def after(steps: Iterable[Callable[[], None]], body: str) -> Iterator[bytes]:
    """The body, once the steps are taken."""
    for step in steps:
        step()
    yield body.encode()


def hang_up() -> None:
    """A step after which the server ends the connection, before it has sent anything.

    Raises:
        ConnectionAbortedError: always.
    """
    raise ConnectionAbortedError("the answer is lost by a fault")
