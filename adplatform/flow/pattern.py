"""What every source pattern offers to whoever works with declared sources: commands, rotations, the care of tables.

Its assets and what starts their runs are Dagster's: ``adplatform.components``.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from adplatform.failures import PermanentFailure, wrapped
from adplatform.flow.retried import Retried
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow, Source

if TYPE_CHECKING:
    from adplatform.flow.settling import Settler
    from adplatform.ledger.ledger import Ledger


class Failed(Protocol):
    """Something that has failed. As text it says why, and what happens next or what to do."""

    @property
    def name(self) -> str:
        """Of its deliveries or reports: ``source/feed``, with a scope where there is one."""

    @property
    def counts(self) -> bool:
        """Whether a command that processes everything should end as failed because of it."""

    def retry(self, services: Services) -> Retried:
        """Try it again now, with all its attempts."""


class Pattern(Protocol):
    """A declared source and the way in which its data comes."""

    @property
    def source(self) -> Source:
        """Where it lands, and its tables: one feed each, all scopes together."""

    @property
    def part(self) -> Callable[[FeedFlow, str], FeedFlow] | None:
        """The feed of one scope of a table, where scopes are delivered apart."""

    @property
    def names(self) -> tuple[str, ...]:
        """What a feed of it can be called in a command, for people."""

    def find(self, name: str) -> FeedFlow | None:
        """The feed that has deliveries of this name, whether or not there are any; None when it has none."""

    def deliveries(self, ledger: "Ledger") -> list[FeedFlow]:
        """Every feed as its deliveries are named: one for each scope that is known, where there are scopes."""

    def arrivals(self, flow: FeedFlow) -> Source:
        """The source as the arrival side of one feed sees it."""

    def failing(self, ledger: "Ledger") -> list[str]:
        """The names under which something of it may fail."""

    def failed(self, services: Services) -> Sequence[Failed]:
        """What has failed and stays so: it waits for somebody, or for a while."""


def find_feed(patterns: Sequence[Pattern], name: str) -> tuple[Pattern, FeedFlow]:
    """The feed of that name: ``source/feed``, or ``source/feed/scope`` where there are scopes.

    Raises:
        PermanentFailure: there is none; lists those there are.
    """
    for pattern in patterns:
        if (flow := pattern.find(name)) is not None:
            return pattern, flow
    known = wrapped(each for pattern in patterns for each in pattern.names)
    raise PermanentFailure(f"no feed {name!r}; there are {known}")


def settler_of(services: Services, pattern: Pattern, flow: FeedFlow) -> "Settler":
    """The arrival side of one feed for somebody who receives no events."""
    from adplatform.flow.arrivals import Arrivals  # noqa: PLC0415 - brings the AWS clients
    from adplatform.flow.settling import Settler  # noqa: PLC0415 - brings the AWS clients

    return Settler(Arrivals(pattern.arrivals(flow), services.s3, services.ledger), services.zones)


def require_known(ledger: "Ledger", patterns: Iterable[Pattern], name: str) -> None:
    """
    Raises:
        PermanentFailure: nothing declared is called so: no source, and nothing of one that may fail.
    """
    owner, by_name = name.partition("/")[0], {pattern.source.name: pattern for pattern in patterns}
    if owner not in by_name:
        raise PermanentFailure(f"no source {owner!r}; there are {wrapped(by_name)}")
    names = by_name[owner].failing(ledger)
    if name not in (owner, *names):
        feeds = [each for each in names if each.count("/") == 1]
        raise PermanentFailure(f"{owner} has nothing called {name!r}; there are {wrapped(feeds)}")
