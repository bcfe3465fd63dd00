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
            "ParentId reference, OwnerId reference, Name string, Type picklist, Industry picklist, "
            "AccountSource picklist, Website url, Phone phone, BillingStreet textarea, BillingCity string, "
            "BillingState string, BillingPostalCode string, BillingCountry string, AnnualRevenue currency, "
            "NumberOfEmployees int",
        ),
        _object(
            *("Contact", "003", 6.0),
            f"AccountId reference, OwnerId reference, {_PERSON}, MailingStreet textarea, MailingCity string, "
            "MailingState string, MailingPostalCode string, MailingCountry string, Birthdate date, "
            "LeadSource picklist, HasOptedOutOfEmail boolean",
        ),
        _object(
            *("Lead", "00Q", 5.0),
            f"OwnerId reference, {_PERSON}, Company string, Industry picklist, Street textarea, City string, "
            "State string, PostalCode string, Country string, LeadSource picklist, Status picklist, "
            "HasOptedOutOfEmail boolean, IsConverted boolean, ConvertedDate date, ConvertedAccountId reference, "
            "ConvertedContactId reference, ConvertedOpportunityId reference",
        ),
        _object(
            *("Opportunity", "006", 3.0),
            "AccountId reference, CampaignId reference, OwnerId reference, Name string, Type picklist, "
            "LeadSource picklist, StageName picklist, ForecastCategoryName picklist, Amount currency, "
            "Probability percent, CloseDate date, IsClosed boolean, IsWon boolean",
        ),
        _object(
            *("Campaign", "701", 0.5),
            "ParentId reference, OwnerId reference, Name string, Type picklist, Status picklist, StartDate date, "
            "EndDate date, BudgetedCost currency, ActualCost currency, ExpectedRevenue currency, NumberSent double, "
            "NumberOfLeads int, NumberOfContacts int, NumberOfResponses int, NumberOfOpportunities int, "
            "NumberOfWonOpportunities int, AmountAllOpportunities currency, AmountWonOpportunities currency, "
            "IsActive boolean",
        ),
        _object(
            *("CampaignMember", "00v", 8.0),
            "CampaignId reference, ContactId reference, LeadId reference, Status picklist, HasResponded boolean, "
            "FirstRespondedDate date",
        ),
    )
}
