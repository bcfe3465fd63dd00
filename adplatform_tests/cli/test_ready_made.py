"""What the list of what is ready-made tells."""

import pytest

from adplatform.cli.ready_made import ready_made
from adplatform.contracts.presets import NAMES
from adplatform.contracts.ready_made import connectors, ready_made_of
from adplatform.failures import PermanentFailure


def test_the_list_has_reports_and_the_feeds_of_every_connector(capsys: pytest.CaptureFixture[str]) -> None:
    ready_made()
    listed = capsys.readouterr().out
    for name in ("sp_campaigns", "sales_and_traffic", *NAMES, *connectors()):
        assert name in listed
    for connector in connectors():
        known = ready_made_of(connector)
        assert known
        assert all(f" {feed} " in listed for feed in known.feeds)


def test_a_feed_shows_its_columns_and_what_becomes_of_personal_data(capsys: pytest.CaptureFixture[str]) -> None:
    ready_made("GoogleAds", "campaigns")
    assert "costMicros" in capsys.readouterr().out
    ready_made("HubSpot", "contacts")
    shown = capsys.readouterr().out
    assert "key contact_id, created_year" in " ".join(shown.split())
    [email] = [line for line in shown.splitlines() if line.split()[:1] == ["email"]]
    assert email.split() == ["email", "email", "string", "email:", "lake"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("Hubspot",), r"connector 'Hubspot' \(did you mean HubSpot\?\)"),
        (("HubSpot", "deal"), r"\(did you mean deals\?\)"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(asked: tuple[str, ...], said: str) -> None:
    with pytest.raises(PermanentFailure, match=said):
        ready_made(*asked)
