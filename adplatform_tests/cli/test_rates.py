"""Dates of a fact that are to take new rates, by a command."""

from datetime import timedelta
from typing import Any

import pytest

from adplatform.cli.rates import retaken
from adplatform.contracts.marketing import MarketingSource
from adplatform.failures import PermanentFailure
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.ledger.derived import Basis
from adplatform.marketing.pattern import marketing_fact
from adplatform_tests.marketing.world import BEFORE, FACT
from adplatform_tests.support.platforms import TODAY, YESTERDAY

ASKED: dict[str, Any] = {"name": "marketing/marketing_daily", "first": BEFORE, "last": TODAY, "reason": "corrected"}


def said(services: Services, **more: Any) -> str:
    provision(services, [])
    fact = marketing_fact(MarketingSource.model_validate(FACT), services.settings)
    return retaken(services, [fact], **{**ASKED, **more})


def test_dates_that_were_built_are_due_with_the_reason_and_no_others(services: Services) -> None:
    provision(services, [])
    derived = services.ledger.derived
    for day in (BEFORE - timedelta(days=1), YESTERDAY):
        derived.note_basis(ASKED["name"], Basis(day, "as it was"))
    assert f"1 dates from {YESTERDAY} to {YESTERDAY} are built" in said(services)
    older, asked = derived.bases(ASKED["name"]).values()
    assert (older.inputs, older.retake, asked.inputs) == ("as it was", "", "")
    assert asked.retake.endswith(" corrected")


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (
            {"name": "marketing/daily"},
            "no marketing fact is called marketing/daily; there are marketing/marketing_daily",
        ),
        ({"first": TODAY, "last": BEFORE}, "is before the first"),
        ({"reason": " "}, "say why"),
        ({}, "no date from .* was built"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_the_reason(services: Services, more: dict[str, Any], why: str) -> None:
    with pytest.raises(PermanentFailure, match=why):
        said(services, **more)
