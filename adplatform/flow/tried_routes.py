"""A message that is marked as a test by each route, so that people see that it reaches them."""

from collections.abc import Iterator
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError

from adplatform.contracts.alerts import Alerts, Route
from adplatform.contracts.source import Topics
from adplatform.flow.services import Services
from adplatform.platform.alert import TEST, Alert, Phase, Severity
from adplatform.platform.notifications import sent_as

_SUBJECT = "TEST: a message of adplatform; nothing has happened"


@dataclass(frozen=True)
class Tried:
    """``place`` is the number of the route, None of what no route takes; ``refused`` says why it could not be sent."""

    place: int | None
    form: str
    topic: str
    refused: str = ""


def try_routes(services: Services, alerts: Alerts, source: str | None) -> Iterator[Tried]:
    """Of a ``source`` the routes that take its messages, each destination once. An incident is resolved at once."""
    sent = set[str]()
    for number, route in enumerate(alerts.routes):
        if source is None or not route.sources or source in route.sources:
            for to in route.to:
                if to.topic not in sent:
                    sent.add(to.topic)
                    yield _tried(services, number, to.form, to.topic, _severity(route), source)


def try_topics(services: Services, topics: Topics) -> Iterator[Tried]:
    """Where what no route takes goes."""
    settings = services.settings
    for topic in (topics.failure or settings.failure_topic, topics.success or settings.success_topic):
        yield _tried(services, None, "json", topic, Severity.INFO, None)


def _tried(
    services: Services, place: int | None, form: str, topic: str, severity: Severity, source: str | None
) -> Tried:
    at = services.ledger.now().isoformat()
    alert = Alert(TEST, _SUBJECT, {}, source or "", f"{TEST}/{at}", severity, Phase.OPEN, at)
    ended = Alert(TEST, _SUBJECT, {}, source or "", f"{TEST}/{at}", severity, Phase.END, at)
    try:
        for each in (alert, ended) if form == "pagerduty" else (alert,):
            services.sns.publish(TopicArn=services.topic_arn(topic), **sent_as(form, each))
    except (BotoCoreError, ClientError) as e:
        return Tried(place, form, topic, str(e))
    return Tried(place, form, topic)


def _severity(route: Route) -> Severity:
    return Severity(route.severities[0]) if route.severities else Severity.INFO
