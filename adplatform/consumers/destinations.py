"""Ad platforms that match persons by hashed identifiers, and the files that each takes. Facts, by destination:

amazon_ads
    Ads data manager, "Data uploads using Ads data manager console": CSV of 200 MiB at most; columns are mapped by name;
    a country for each record with an identifier.
amc
    Amazon Marketing Cloud, "Prepare data" of advertiser data upload: CSV in UTF-8, gzip, parts of 1 GB; identifiers
    that are not hashed are rejected; the country is in clear, and less is matched without it.
google
    Google Ads Help 7659867 and 7474263: CSV in UTF-8 with headers in English; country and postal code are not hashed,
    and match only together with both names.
meta
    Meta Business Help 2082575038703844, and Marketing API, "Customer File Custom Audiences": headers in lower case,
    everything hashed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from adplatform.contracts.activation import DestinationName
from adplatform.contracts.pii import PiiKind, Treatment

_K = PiiKind
_MIB, _GB = 1 << 20, 10**9


@dataclass(frozen=True)
class Destination:
    """``headers`` are the columns of its files, by what they hold, in order; those of ``in_clear`` are not hashed. A
    row can be matched by any of the ``identifiers``, each of which is kinds that are needed together. A file has
    ``largest_file`` bytes at most, before it is compressed."""

    treatment: Treatment
    headers: Mapping[PiiKind, str]
    identifiers: tuple[frozenset[PiiKind], ...]
    in_clear: frozenset[PiiKind] = frozenset()
    largest_file: int | None = None
    compress: bool = False


_AMAZON: Mapping[PiiKind, str] = {
    _K.EMAIL: "email",
    _K.PHONE: "phone",
    _K.FIRST_NAME: "first_name",
    _K.LAST_NAME: "last_name",
    _K.STREET_ADDRESS: "address",
    _K.CITY: "city",
    _K.STATE: "state",
    _K.POSTAL_CODE: "zip",
    _K.COUNTRY: "country_code",
}
_BY_POST = frozenset({_K.FIRST_NAME, _K.LAST_NAME, _K.STREET_ADDRESS, _K.POSTAL_CODE})
_EMAIL, _PHONE = frozenset({_K.EMAIL}), frozenset({_K.PHONE})

DESTINATIONS: Mapping[DestinationName, Destination] = {
    "amazon_ads": Destination(
        Treatment.AMAZON_ADS,
        _AMAZON,
        (_EMAIL, _PHONE, _BY_POST),
        in_clear=frozenset({_K.COUNTRY}),
        largest_file=200 * _MIB,
    ),
    "amc": Destination(
        Treatment.AMAZON_ADS,
        _AMAZON,
        (_EMAIL, _PHONE, _BY_POST),
        in_clear=frozenset({_K.COUNTRY}),
        largest_file=_GB,
        compress=True,
    ),
    "google": Destination(
        Treatment.GOOGLE,
        {
            _K.EMAIL: "Email",
            _K.PHONE: "Phone",
            _K.FIRST_NAME: "First Name",
            _K.LAST_NAME: "Last Name",
            _K.COUNTRY: "Country",
            _K.POSTAL_CODE: "Zip",
        },
        (_EMAIL, _PHONE, frozenset({_K.FIRST_NAME, _K.LAST_NAME, _K.COUNTRY, _K.POSTAL_CODE})),
        in_clear=frozenset({_K.COUNTRY, _K.POSTAL_CODE}),
    ),
    "meta": Destination(
        Treatment.META,
        {
            _K.EMAIL: "email",
            _K.PHONE: "phone",
            _K.FIRST_NAME: "fn",
            _K.LAST_NAME: "ln",
            _K.CITY: "ct",
            _K.STATE: "st",
            _K.POSTAL_CODE: "zip",
            _K.COUNTRY: "country",
        },
        (_EMAIL, _PHONE, frozenset({_K.FIRST_NAME, _K.LAST_NAME, _K.POSTAL_CODE})),
    ),
}
