"""A kind of what Spark does for a source: what its targets are, what wants them, and what becomes of a run."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from adplatform.flow.services import Services
from adplatform.flow.source import Source
from adplatform.ledger.engine_run import Intention


@dataclass(frozen=True)
class Waiting:
    """What an engine has by the ledger, for the intention ``key`` of a ``target``. ``hand_back`` has it due again,
    unless somebody has moved it meanwhile."""

    target: str
    key: str
    hand_back: Callable[[], object]


@dataclass(frozen=True)
class Kind:
    """``prefix`` is what the names of its targets begin with, and ``does`` says what is done to so many (``{}``).

    ``targets`` are the names of those that an engine may run. ``is_wanted`` says whether anything waits for an
    intention, and ``waiting`` what waits. ``came_to`` says what the run of an intention has brought, and raises
    ``adplatform.engines.engine.BroughtNothing`` where that is no result."""

    prefix: str
    does: str
    targets: Callable[[Services, Source], Iterable[str]]
    is_wanted: Callable[[Services, Intention], bool]
    waiting: Callable[[Services, Source], Iterable[Waiting]]
    came_to: Callable[[Services, Intention], str]
