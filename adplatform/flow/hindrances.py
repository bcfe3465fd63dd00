"""What hinders a source's work where it runs: people hear of each cause once, when it begins."""

from collections.abc import Callable, Iterable

from adplatform.failures import EnvironmentFailure
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.messages import Trouble
from adplatform.ledger.rows import digest


def begin_hindrance(
    ledger: Ledger, source: str, work: str, error: EnvironmentFailure, notify: Callable[[], bool]
) -> Trouble | None:
    """Note what hinders a kind of work of the source, and ``notify`` people unless they know of its cause. None when
    they cannot be notified: the next that is hindered tries again."""
    name = f"hindrance/{work}/{digest(error.cause)}"
    known = ledger.messages.troubles(source).get(name)
    if known is not None:
        return known
    if ledger.messages.begin_trouble(source, name, str(error)) and not notify():
        ledger.messages.clear_trouble(source, name)
    return ledger.messages.troubles(source).get(name)


def end_hindrances(ledger: Ledger, source: str, work: str, troubles: Iterable[str] | None = None) -> None:
    """The work goes on; people are notified of whatever hinders it the next time. ``troubles`` are those of the source
    for who has just read them."""
    for name in ledger.messages.troubles(source) if troubles is None else troubles:
        if name.startswith(f"hindrance/{work}"):
            ledger.messages.clear_trouble(source, name)
