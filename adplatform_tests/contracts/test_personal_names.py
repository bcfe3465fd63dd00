"""What names of columns say of what is in them."""

import pytest

from adplatform.contracts.personal_names import guessed_kind
from adplatform.contracts.pii import PiiKind


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ("contact_email", PiiKind.EMAIL),
        ("emailed_at", None),
        ("BillingZipCode", PiiKind.POSTAL_CODE),
        ("ship_address_line_1", PiiKind.STREET_ADDRESS),
        ("velocity", None),
        ("capacity", None),
        ("product_name", None),
        ("client_ip", PiiKind.GENERIC_ID),
        ("zip", PiiKind.POSTAL_CODE),
        ("shipping", None),
        ("E-Mail-Adresse", PiiKind.EMAIL),
        ("Telefonnummer", PiiKind.PHONE),
        ("Vorname", PiiKind.FIRST_NAME),
        ("campaign_name", None),
        ("Customer Name", PiiKind.GENERIC_ID),
    ],
)
def test_names_of_columns_say_what_they_usually_hold(column: str, kind: PiiKind | None) -> None:
    assert guessed_kind(column) is kind
