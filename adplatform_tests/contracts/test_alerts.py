"""Routes of messages: what they take, and what is refused with its file and line."""

from pathlib import Path

import pytest

from adplatform.cli.project import misrouted
from adplatform.contracts.alerts import Alerts, read_alerts
from adplatform.platform.alert import alert_of

ROUTES = """\
type: adplatform.Alerts
attributes:
  quiet_for: 2h
  routes:
    - sources: [acme]
      severities: [error, critical]
      to:
        - {topic: data-team, form: chat}
        - {topic: on-call, form: pagerduty}
    - events: [delivery_published, budget_reached]
      to: [{topic: data-team, form: chat}, {topic: machines}]
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "alerts.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def declared(folder: Path, text: str = ROUTES) -> Alerts:
    found, mistakes = read_alerts(written(folder, text))
    assert found is not None and not mistakes
    return found.model


@pytest.mark.parametrize(
    ("event", "facts", "topics"),
    [
        ("run_failed", {"feed": "acme/orders"}, ["data-team", "on-call"]),
        ("run_failed", {"feed": "globex/orders"}, []),
        ("run_overdue", {"source": "acme"}, []),
        ("budget_reached", {"source": "globex"}, ["data-team", "machines"]),
        ("delivery_published", {"feed": "acme/orders"}, ["data-team", "machines"]),
        ("tick_failed", {"name": "acme_arrivals"}, []),
    ],
)
def test_a_message_goes_by_source_event_and_severity(
    tmp_path: Path, event: str, facts: dict[str, str], topics: list[str]
) -> None:
    assert [to.topic for to in declared(tmp_path).to(alert_of(event, "s", facts))] == topics


def test_what_is_published_opens_no_incident(tmp_path: Path) -> None:
    everything = "type: adplatform.Alerts\nattributes: {routes: [{to: [{topic: a, form: pagerduty}]}]}\n"
    assert declared(tmp_path, everything).to(alert_of("delivery_published", "s", {"feed": "acme/orders"})) == []


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("[acme]", "[acmee]", 5, "no source 'acmee' is declared (did you mean acme?)"),
        ("[error,", "[eror,", 6, "no severity 'eror' (did you mean error?)"),
        ("budget_reached", "budget_reach", 10, "no event 'budget_reach' (did you mean budget_reached?)"),
        ("form: pagerduty", "form: pager", 9, "pagerduty"),
        ("topic: on-call", "topic: on call", 9, "neither the name nor the ARN of an SNS topic"),
        ("topic: on-call", "topic: on-call.fifo", 9, "is a FIFO topic"),
        ("topic: machines", "topic: data-team", 2, "topic data-team is given as chat and as json"),
        ("severities:", "severity:", 6, "unknown setting"),
        ("quiet_for: 2h", "quiet_for: 2", 3, "is not a duration"),
        ("      to: [{topic: data-team, form: chat}, {topic: machines}]\n", "", 10, "is missing"),
        ("type: adplatform.Alerts", "type: adplatform.Alert", 1, "there are Alerts"),
        ("type: adplatform.Alerts\n", "", 1, "say which component this is"),
    ],
)
def test_a_mistake_is_refused_with_file_and_line(tmp_path: Path, old: str, new: str, line: int, said: str) -> None:
    assert old in ROUTES
    file = written(tmp_path, ROUTES.replace(old, new))
    [text] = misrouted(tmp_path, ["acme", "globex"])
    assert text.startswith(f"{file}:{line}: ")
    assert said in text


def test_publications_alone_are_not_for_an_incident(tmp_path: Path) -> None:
    written(
        tmp_path,
        ROUTES.replace("[delivery_published, budget_reached]", "delivery_published").replace(
            "{topic: machines}", "{topic: on-call, form: pagerduty}"
        ),
    )
    [text] = misrouted(tmp_path, ["acme"])
    assert "delivery_published opens no incident of PagerDuty" in text


def test_without_a_file_nothing_is_routed_and_nothing_is_wrong(tmp_path: Path) -> None:
    assert read_alerts(tmp_path / "alerts.yaml") == (None, [])
    assert misrouted(tmp_path, []) == []
