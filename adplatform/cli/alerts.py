"""Messages by routes: where they go, tried."""

from typing import Annotated

import typer

from adplatform.cli.context import connect, console
from adplatform.cli.pauses import require_source
from adplatform.contracts.alerts import FILE, read_alerts
from adplatform.contracts.source import PLATFORM_TOPICS, Topics
from adplatform.failures import PermanentFailure
from adplatform.flow.services import Services
from adplatform.flow.tried_routes import Tried, try_routes, try_topics
from adplatform.patterns import declared_patterns


def test(
    source: Annotated[
        str | None, typer.Option(help="Only where messages of this source go.", show_default=False)
    ] = None,
) -> None:
    """Send a message that is marked as a test by each route, and to where all else goes; say where each went."""
    services = connect()
    topics = {p.source.name: p.source.feeds[0].topics for p in declared_patterns(services.settings) if p.source.feeds}
    if source is not None:
        require_source(source, list(topics))
    if not send_tests(services, source, topics.get(source or "", PLATFORM_TOPICS)):
        raise typer.Exit(1)


def send_tests(services: Services, source: str | None, topics: Topics) -> bool:
    """Whether all could be sent.

    Raises:
        PermanentFailure: the file with the routes has mistakes; names the first.
    """
    file = services.settings.alerts
    declared, mistakes = read_alerts(file) if file else (None, [])
    if mistakes:
        raise PermanentFailure(f"{mistakes[0]} (`adplatform validate` lists all)")
    sent = True
    for each in try_routes(services, declared.model, source) if declared else ():
        line = declared.line_of("routes", each.place or 0) if declared else 0
        sent &= _said(f"{FILE}:{line}", each)
    for each in try_topics(services, topics):
        sent &= _said("what no route takes", each)
    return sent


def _said(where: str, tried: Tried) -> bool:
    became = f"not sent: {tried.refused}" if tried.refused else "sent"
    console.print(f"{where}: {tried.form} to {tried.topic}: {became}", highlight=False, soft_wrap=True)
    return not tried.refused
