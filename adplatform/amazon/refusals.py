"""Refusals of Amazon's whose words do not say who has to act, and on what."""

import re
from enum import StrEnum
from typing import NamedTuple


class Whose(StrEnum):
    """What a refusal is about: the profile or marketplace as a whole, this report for it alone, or the application."""

    SCOPE = "scope"
    REPORT = "report"
    APPLICATION = "application"


class Refusal(NamedTuple):
    """Answers with this HTTP ``status`` and ``words``, and what is to be done by whom."""

    status: int
    words: "re.Pattern[str]"
    whose: Whose
    advice: str


_KNOWN = (
    Refusal(
        400,
        re.compile(r"advertiser id cannot be decrypted", re.IGNORECASE),
        Whose.SCOPE,
        "the profile is an agency's, of which there are no reports: leave it out, by "
        "`profiles: {types: [seller, vendor]}` or by listing the others",
    ),
    Refusal(
        400,
        re.compile(r"invalid advertiser or marketplace id", re.IGNORECASE),
        Whose.REPORT,
        "the profile is none of the kind that this report is about: leave the report out for it, which takes a source "
        "of its own",
    ),
    Refusal(
        400,
        re.compile(r"^\s*(\w+ )?bad request\W*$", re.IGNORECASE),
        Whose.REPORT,
        "Amazon says no more; as a rule it does not make this report in that country, or the place is of another "
        "region: compare `region`, or leave the report out there, which takes a source of its own",
    ),
    Refusal(
        403,
        re.compile(r"\bLWA secret\b.*\bexpired", re.IGNORECASE),
        Whose.APPLICATION,
        "who registered the application makes a new client secret, in Seller Central or Vendor Central below Develop "
        "Apps, as Amazon wants every 180 days, and stores it as client_secret; Amazon may take an hour to know it",
    ),
)
"""The second and the last are from public issues (ads-advanced-tools-docs 324, selling-partner-api-models 4489); of the
others no public page says more than that they come."""


_DEFINITION = re.compile(
    r"configuration|column|filter|group ?by|time ?unit|report ?type|ad ?product|report ?options?|granularity|period"
    r"|start ?(date|time)|end ?(date|time)|retention|date range",
    re.IGNORECASE,
)
"""What Amazon's words about an order's own mistakes have in common."""


def known_refusal(status: int, text: str) -> Refusal | None:
    """The refusal that these words are, None for none that is known."""
    return next((r for r in _KNOWN if r.status == status and r.words.search(text)), None)


def is_about_the_definition(text: str) -> bool:
    """Whether a refused order is to be corrected, by what Amazon says of it."""
    return _DEFINITION.search(text) is not None
