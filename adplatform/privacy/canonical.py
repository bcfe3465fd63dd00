"""The platform's own form of a personal value: what the lake's keyed digests are made over.

Two feeds join on a lake digest exactly when their values have the same canonical form, so a change here breaks joins
with everything already published. All functions take a trimmed value (NFC, no blanks at the ends; see
``text.trimmed``) and an upper-case country or "", and return "" for a value that is not one of its kind.

=============== ========================================================================
email           ASCII lower case; one ``@``, something on both sides, no blank inside
phone           E.164 with ``+``; see :func:`phone`
names, street,  case-folded, single spaces
city, state
postal_code     ASCII upper case, without blanks and ``-``
country         ISO 3166 two letters, upper case
device_id       ASCII lower case; the all-zero id of people who opted out is no id
generic_id      as it is
=============== ========================================================================
"""

import re
from typing import TYPE_CHECKING

from adplatform.platform.late import Late
from adplatform.privacy import text

if TYPE_CHECKING:
    import phonenumbers
else:
    phonenumbers = Late("phonenumbers")

EMAIL = re.compile(f"[^@{text.BLANKS}]+@[^@{text.BLANKS}]+")
_TWO_LETTERS = re.compile(r"[A-Z]{2}")
_COUNTRY_NAMES = {
    "UK": "GB", "UNITED KINGDOM": "GB", "GREAT BRITAIN": "GB", "GBR": "GB",
    "USA": "US", "U.S.": "US", "U.S.A.": "US", "UNITED STATES": "US", "UNITED STATES OF AMERICA": "US",
    "CAN": "CA", "CANADA": "CA", "DEU": "DE", "GERMANY": "DE", "DEUTSCHLAND": "DE", "FRA": "FR", "FRANCE": "FR",
    "ITA": "IT", "ITALY": "IT", "ITALIA": "IT", "ESP": "ES", "SPAIN": "ES", "ESPAÑA": "ES",
    "JPN": "JP", "JAPAN": "JP", "IND": "IN", "INDIA": "IN",
}  # fmt: skip


def email(value: str, country: str = "") -> str:
    return text.ascii_lower(value) if EMAIL.fullmatch(value) else ""


def phone(value: str, country: str = "") -> str:
    """E.164 with ``+`` and without extension, by the numbering plans of libphonenumber.

    Without ``+`` the number is read as dialled within the country, so it may be national, or international behind that
    country's prefix. Without a country its first digits are the calling code, as Amazon Ads reads it. A number of a
    length that does not exist, or too short to be dialled from elsewhere, is none.
    """
    international = value.startswith(("+", "\uff0b"))
    written, region = (value, None) if international else (value, country) if country else (f"+{value}", None)
    try:
        number = phonenumbers.parse(written, region)
    except phonenumbers.NumberParseException:
        return ""
    if phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return ""
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def words(value: str, country: str = "") -> str:
    return text.folded(value)


def postal_code(value: str, country: str = "") -> str:
    return text.ascii_upper(text.without_blanks(value).replace("-", ""))


def country(value: str, country: str = "") -> str:
    """Two letters, from two letters in any case or one of the usual names of the countries Amazon Ads matches in."""
    written = text.single_spaced(value).upper()
    code = _COUNTRY_NAMES.get(written, written)
    return code if _TWO_LETTERS.fullmatch(code) else ""


def device_id(value: str, country: str = "") -> str:
    return text.ascii_lower(value) if value.strip("0-") else ""


def generic_id(value: str, country: str = "") -> str:
    return value
