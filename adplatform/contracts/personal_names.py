"""What names of columns say of what is in them: which kind of personal data, if any."""

import re
from collections.abc import Mapping

from adplatform.contracts.pii import PiiKind
from adplatform.contracts.snake_case import snake

_PERSONAL: Mapping[PiiKind, str] = {
    PiiKind.EMAIL: r"e_?mails?(_?add?r(ess|esse)?)?|mail|correo(_electronico)?|courriel",
    PiiKind.PHONE: r"(tele)?(phone|fon|fono)(_?(number|no|nummer))?|telefonnummer|telefoonnummer"
    r"|mobile(_?(number|no|phone))?|mobil(nummer)?|handy(nummer)?|msisdn|fax",
    PiiKind.FIRST_NAME: r"(first|given|fore)_?name|vorname|prenom|voornaam",
    PiiKind.LAST_NAME: r"(last|family|sur)_?name|surname|nachname|familienname|nom_de_famille|apellidos?|cognome"
    r"|achternaam",
    PiiKind.STREET_ADDRESS: r"street(_?(address|name|line))?(_?[12])?|address(_?line)?(_?[12])?"
    r"|strasse|anschrift|adresse|direccion|indirizzo",
    PiiKind.POSTAL_CODE: r"(postal|post|zip)(_?code)?|plz|postleitzahl|code_postal|codigo_postal",
    PiiKind.CITY: r"city|town|ort|stadt|ville|ciudad",
    PiiKind.DEVICE_ID: r"(device|idfa|gaid|maid|advertising|cookie)_?(id)?|idfa|gaid|maid|adid",
    PiiKind.GENERIC_ID: r"ip(_?addr(ess)?)?|ssn|passport(_?(number|no))?|(tax|national)_?id|iban|birth_?(day|date)|dob"
    r"|geburts(tag|datum)|full_?name|(customer|contact|recipient|buyer|subscriber|cardholder)_?name",
}
"""Names of columns that usually hold a kind of personal data, without what stands before the last part."""
_BEFORE = r"(.*_)?"
PLACES = frozenset({PiiKind.CITY, PiiKind.STATE, PiiKind.POSTAL_CODE, PiiKind.COUNTRY})
"""Kinds that are personal beside a person only: of reports by place they are no more than that."""


def guessed_kind(column: str) -> PiiKind | None:
    """What a column with that name usually holds of a person."""
    name = snake(column)
    return next((kind for kind, pattern in _PERSONAL.items() if re.fullmatch(f"{_BEFORE}({pattern})", name)), None)
