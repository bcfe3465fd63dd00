"""What hinders a source's work where it runs: people hear of each cause once, when it begins."""

from collections.abc import Callable

from adplatform.failures import EnvironmentFailure
from adplatform.flow.services import Services
from adplatform.ledger.messages import Trouble
from adplatform.ledger.rows import digest


def begin_hindrance(
    services: Services, source: str, work: str, error: EnvironmentFailure, tell: Callable[[], bool]
) -> Trouble | None:
    """Note what hinders a kind of work of the source, and notify people by ``tell`` unless they know of its cause. None
    when they cannot be notified: the next that is hindered tries again."""
    ledger, name = services.ledger, f"hindrance/{work}/{digest(error.cause)}"
    known = ledger.messages.troubles(source).get(name)
    if known is not None:
        return known
    if ledger.messages.begin_trouble(source, name, str(error)) and not tell():
        ledger.messages.clear_trouble(source, name)
    return ledger.messages.troubles(source).get(name)


def end_hindrances(services: Services, source: str, work: str) -> None:
    """The work goes on; people are notified of whatever hinders it the next time."""
    for name in services.ledger.messages.troubles(source):
        if name.startswith(f"hindrance/{work}"):
            services.ledger.messages.clear_trouble(source, name)
