"""The objects of the simulated CRM, and their fields with the types that Salesforce's "describe" names."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Field:
    name: str
    type: str


@dataclass(frozen=True)
class Object:
    """``prefix`` begins the ids of its records; ``a_day`` is how many are created each day on average."""

    name: str
    prefix: str
    a_day: float
    fields: tuple[Field, ...]


def _object(name: str, prefix: str, a_day: float, fields: str) -> Object:
    """``fields`` is "name type" apart by commas, without those that all objects have."""
    stamps = "CreatedDate datetime, LastModifiedDate datetime, SystemModstamp datetime"
    texts = f"Id id, IsDeleted boolean, {fields}, {stamps}".split(", ")
    return Object(name, prefix, a_day, tuple(Field(*text.split(" ")) for text in texts))


_PERSON = "FirstName string, LastName string, Name string, Title string, Email email, Phone phone, MobilePhone phone"
OBJECTS: Mapping[str, Object] = {
    made.name: made
    for made in (
        _object(
            *("Account", "001", 2.0),
            "Name string, Type picklist, Industry picklist, Website url, Phone phone, BillingStreet textarea, "
            "BillingCity string, BillingPostalCode string, BillingCountry string, AnnualRevenue currency, "
            "NumberOfEmployees int",
        ),
        _object(
            *("Contact", "003", 6.0),
            f"AccountId reference, {_PERSON}, MailingStreet textarea, MailingCity string, MailingPostalCode string, "
            "MailingCountry string, Birthdate date, LeadSource picklist, HasOptedOutOfEmail boolean",
        ),
        _object(
            *("Lead", "00Q", 5.0),
            f"{_PERSON}, Company string, Street textarea, City string, PostalCode string, Country string, "
            "LeadSource picklist, Status picklist, IsConverted boolean",
        ),
        _object(
            *("Opportunity", "006", 3.0),
            "AccountId reference, CampaignId reference, Name string, StageName picklist, Amount currency, "
            "Probability percent, CloseDate date, IsClosed boolean, IsWon boolean",
        ),
        _object(
            *("Campaign", "701", 0.5),
            "Name string, Type picklist, Status picklist, StartDate date, EndDate date, BudgetedCost currency, "
            "ActualCost currency, NumberSent double, IsActive boolean",
        ),
        _object(
            *("CampaignMember", "00v", 8.0),
            "CampaignId reference, ContactId reference, Status picklist, HasResponded boolean, FirstRespondedDate date",
        ),
    )
}
