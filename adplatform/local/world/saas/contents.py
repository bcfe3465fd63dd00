"""The fields of each object's records, drawn from their ids and versions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from adplatform.local.world.draws import draw
from adplatform.local.world.partners import FIRST_NAMES, LAST_NAMES

T = TypeVar("T")

_PLACES = (
    ("Nowhere Lane", "Exampleton", None, "EX1 0AA", "United Kingdom"),
    ("Musterstraße", "Musterstadt", None, "00000", "Germany"),
    ("rue de l'Exemple", "Villexemple", None, "00000", "France"),
    ("Sample Avenue", "Sampleville", "CA", "00000", "United States"),
)
_COMPANIES = ("Exempla", "Nulla", "Sine Nomine", "Muster & Söhne", "Placeholder, Inc.", "Foo Bar “Baz”")
_INDUSTRIES = ("Apparel", "Banking", "Consulting", "Media", "Retail")
_SOURCES = ("Web", "Trade Show", "Partner Referral", "Purchased List", "Other")
_STAGES = ("Prospecting", "Qualification", "Proposal/Price Quote", "Negotiation/Review", "Closed Won")
_FORECASTS = ("Pipeline", "Pipeline", "Best Case", "Commit", "Closed")
_OWNERS = ("005Ad00000000001AAA", "005Ad00000000002AAA", "005Ad00000000003AAA")
_TITLES = ("Buyer", "Head of Marketing", "CEO", "Analyst", "Créatrice")


@dataclass(frozen=True)
class Drawn:
    """One version of one record, and the numbers drawn for it."""

    seed: int
    id: str
    version: int
    created: datetime

    def always(self, what: str) -> float:
        """A number from 0 to 1 that stays with the record."""
        return draw(self.seed, self.id, what)[0]

    def now(self, what: str) -> float:
        """One that changes with the version."""
        return draw(self.seed, self.id, what, self.version)[0]


def _of(values: tuple[T, ...], drawn: float) -> T:
    return values[int(drawn * len(values))]


def _person(drawn: Drawn) -> dict[str, Any]:
    first, last = _of(FIRST_NAMES, drawn.always("first")), _of(LAST_NAMES, drawn.always("last"))
    local = "".join(c for c in f"{first}.{last}".lower() if c.isascii() and (c.isalnum() or c == "."))
    email = f"{local}.{drawn.id[-6:-3].lower()}@example.{_of(('com', 'org', 'net'), drawn.always('domain'))}"
    # People type their addresses: some in capitals, some with a blank, some not at all.
    email = _of((email, email, email, email.title(), f" {email} "), drawn.now("typed"))
    phone = f"+1 202-555-{100 + int(drawn.now('phone') * 100):04d}"
    return {
        "FirstName": first,
        "LastName": last,
        "Name": f"{first} {last}",
        "Title": _of(_TITLES, drawn.now("title")),
        "Email": None if drawn.always("no e-mail") < 0.05 else email,
        "Phone": None if drawn.now("no phone") < 0.2 else phone,
        "MobilePhone": None if drawn.now("mobile") < 0.5 else f"({phone[3:6]}) {phone[7:]}",
    }


def _address(drawn: Drawn, prefix: str = "") -> dict[str, Any]:
    street, *others = _of(_PLACES, drawn.always("place"))
    house = 1 + int(drawn.now("house") * 200)
    names = (f"{prefix}{part}" for part in ("Street", "City", "State", "PostalCode", "Country"))
    return dict(zip(names, (f"{house} {street}\nFloor {house % 9}", *others), strict=True))


def _owner(drawn: Drawn) -> str:
    return _of(_OWNERS, drawn.always("owner"))


def _account(drawn: Drawn, _: Mapping[str, str | None]) -> dict[str, Any]:
    name = f"{_of(_COMPANIES, drawn.always('company'))} {drawn.id[-7:-3]}"
    return {
        "ParentId": None,
        "OwnerId": _owner(drawn),
        "Name": name,
        "Type": _of(("Customer", "Prospect", "Partner"), drawn.now("type")),
        "Industry": _of(_INDUSTRIES, drawn.always("industry")),
        "AccountSource": _of(_SOURCES, drawn.always("source")),
        "Website": f"https://{drawn.id[-7:-3].lower()}.example.com",
        "Phone": f"+1 202-555-{100 + int(drawn.now('phone') * 100):04d}",
        **_address(drawn, "Billing"),
        "AnnualRevenue": round(drawn.now("revenue") * 5e7, 2),
        "NumberOfEmployees": 1 + int(drawn.now("employees") * 5000),
    }


def _contact(drawn: Drawn, some: Mapping[str, str | None]) -> dict[str, Any]:
    born = drawn.created.date() - timedelta(days=7000 + int(drawn.always("age") * 20_000))
    return {
        "AccountId": some["Account"],
        "OwnerId": _owner(drawn),
        **_person(drawn),
        **_address(drawn, "Mailing"),
        "Birthdate": None if drawn.always("no birthdate") < 0.3 else str(born),
        "LeadSource": _of(_SOURCES, drawn.always("source")),
        "HasOptedOutOfEmail": drawn.now("opted out") < 0.15,
    }


def _lead(drawn: Drawn, some: Mapping[str, str | None]) -> dict[str, Any]:
    converted = drawn.version >= 3
    open_ = ("Open - Not Contacted", "Working - Contacted", "Closed - Not Converted")
    return {
        "OwnerId": _owner(drawn),
        **_person(drawn),
        "Company": _of(_COMPANIES, drawn.always("company")),
        "Industry": _of(_INDUSTRIES, drawn.always("industry")),
        **_address(drawn),
        "LeadSource": _of(_SOURCES, drawn.always("source")),
        "Status": "Closed - Converted" if converted else open_[drawn.version],
        "HasOptedOutOfEmail": drawn.now("opted out") < 0.1,
        "IsConverted": converted,
        "ConvertedDate": str(drawn.created.date() + timedelta(days=2)) if converted else None,
        **{f"Converted{other}Id": some[other] if converted else None for other in REFERS["Lead"]},
    }


def _opportunity(drawn: Drawn, some: Mapping[str, str | None]) -> dict[str, Any]:
    stage = min(drawn.version, len(_STAGES) - 1)
    return {
        "AccountId": some["Account"],
        "CampaignId": some["Campaign"],
        "OwnerId": _owner(drawn),
        "Name": f"Deal {drawn.id[-8:-3]}",
        "Type": _of(("New Business", "Existing Business"), drawn.always("type")),
        "LeadSource": _of(_SOURCES, drawn.always("source")),
        "StageName": _STAGES[stage],
        "ForecastCategoryName": _FORECASTS[stage],
        "Amount": None if drawn.now("no amount") < 0.1 else round(drawn.now("amount") * 90_000, 2),
        "Probability": float((10, 25, 50, 75, 100)[stage]),
        "CloseDate": str(drawn.created.date() + timedelta(days=10 + int(drawn.now("close") * 90))),
        "IsClosed": stage == len(_STAGES) - 1,
        "IsWon": stage == len(_STAGES) - 1,
    }


def _campaign(drawn: Drawn, _: Mapping[str, str | None]) -> dict[str, Any]:
    starts = drawn.created.date() + timedelta(days=int(drawn.always("start") * 14))
    budget = round(1000 + drawn.always("budget") * 40_000, 2)
    won = int(drawn.now("won") * 5)
    return {
        "ParentId": None,
        "OwnerId": _owner(drawn),
        "Name": f"{_of(('Spring', 'Brand', 'Retargeting', '促销'), drawn.always('name'))} {starts:%Y-%m}",
        "Type": _of(("Email", "Webinar", "Advertisement", "Conference"), drawn.always("type")),
        "Status": _of(("Planned", "In Progress", "Completed", "Aborted"), min(drawn.version, 3) / 4),
        "StartDate": str(starts),
        "EndDate": str(starts + timedelta(days=30)),
        "BudgetedCost": budget,
        "ActualCost": round(budget * drawn.now("cost") * 1.2, 2) if drawn.version else None,
        "ExpectedRevenue": round(budget * 3, 2),
        "NumberSent": float(int(drawn.now("sent") * 10_000)),
        "NumberOfLeads": int(drawn.now("leads") * 200),
        "NumberOfContacts": int(drawn.now("contacts") * 200),
        "NumberOfResponses": int(drawn.now("responses") * 100),
        "NumberOfOpportunities": won + int(drawn.now("lost") * 5),
        "NumberOfWonOpportunities": won,
        "AmountAllOpportunities": round(won * budget * 1.5, 2),
        "AmountWonOpportunities": round(won * budget, 2),
        "IsActive": drawn.version == 1,
    }


def _member(drawn: Drawn, some: Mapping[str, str | None]) -> dict[str, Any]:
    responded = drawn.version > 0
    lead = drawn.always("lead") < 0.3
    return {
        "CampaignId": some["Campaign"],
        "ContactId": None if lead else some["Contact"],
        "LeadId": some["Lead"] if lead else None,
        "Status": "Responded" if responded else "Sent",
        "HasResponded": responded,
        "FirstRespondedDate": str(drawn.created.date() + timedelta(days=3)) if responded else None,
    }


CONTENTS: Mapping[str, Callable[[Drawn, Mapping[str, str | None]], dict[str, Any]]] = {
    "Account": _account,
    "Contact": _contact,
    "Lead": _lead,
    "Opportunity": _opportunity,
    "Campaign": _campaign,
    "CampaignMember": _member,
}
REFERS: Mapping[str, tuple[str, ...]] = {
    "Contact": ("Account",),
    "Opportunity": ("Account", "Campaign"),
    "CampaignMember": ("Campaign", "Contact", "Lead"),
    "Lead": ("Account", "Contact", "Opportunity"),
}
"""The objects that an object's records refer to."""
