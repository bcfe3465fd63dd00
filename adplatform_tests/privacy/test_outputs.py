"""Which columns a personal column becomes."""

import pytest

from adplatform.contracts.column import Column
from adplatform.contracts.pii import Pii, PiiKind, Treatment
from adplatform.failures import PermanentFailure
from adplatform.privacy.outputs import pii_outputs
from adplatform.privacy.rules import RULES


def outputs(name: str = "c", **pii: object) -> dict[str, str]:
    return {o.name: o.expression for o in pii_outputs(Column(name=name), Pii.model_validate(pii))}


def test_every_treatment_gets_a_column_of_its_own() -> None:
    assert outputs("em", kind="email", treatment=["lake", "amazon_ads", "meta", "google", "uid2", "mask"]) == {
        "em_lake": 'adp_lake_email("em")',
        "em_amazon_ads": 'adp_amazon_ads_email("em")',
        "em_meta": 'adp_meta_email("em")',
        "em_google": 'adp_google_email("em")',
        "em_uid2": 'adp_uid2_email("em")',
        "em_masked": 'adp_mask_email("em")',
    }


def test_a_digest_under_the_previous_key_stands_beside_the_lake_digest_alone() -> None:
    pii = Pii(kind=PiiKind.PHONE, treatment=(Treatment.META, Treatment.LAKE, Treatment.MASK), country="DE")
    both = pii_outputs(Column(name="ph"), pii, previous=True)
    assert [o.name for o in both] == ["ph_meta", "ph_lake", "ph_lake_previous", "ph_masked"]
    assert both[2].expression == "adp_lake_previous_phone(\"ph\", 'DE')"
    assert both[2].tags == {"pii": "phone", "profile": "lake", "form": "digest", "key": "previous"}
    assert [o for o in both if o is not both[2]] == list(pii_outputs(Column(name="ph"), pii))


def test_a_short_id_is_the_first_half_of_the_lake_digest_and_has_none_under_the_previous_key() -> None:
    pii = Pii(kind=PiiKind.EMAIL, treatment=(Treatment.SHORT_ID, Treatment.LAKE))
    short, *digests = pii_outputs(Column(name="em"), pii, previous=True)
    assert (short.name, short.expression) == ("em_short_id", 'substring(adp_lake_email("em"), 1, 32)')
    assert short.tags == {"pii": "email", "profile": "short_id", "form": "short digest"}
    assert [o.name for o in digests] == ["em_lake", "em_lake_previous"]


def test_clear_keeps_the_column_and_drop_leaves_nothing() -> None:
    assert outputs("em", kind="email", treatment="clear") == {"em": '"em"'}
    assert outputs("em", kind="email", treatment="drop") == {}


def test_the_country_is_a_literal_a_column_or_unknown() -> None:
    assert outputs("ph", kind="phone", country="DE") == {"ph_lake": "adp_lake_phone(\"ph\", 'DE')"}
    assert outputs("ph", kind="phone", country_column="cc") == {"ph_lake": 'adp_lake_phone("ph", "cc")'}
    assert outputs("ph", kind="phone") == {"ph_lake": "adp_lake_phone(\"ph\", '')"}


@pytest.mark.parametrize("kind", ["street_address", "state", "postal_code"])
def test_amazon_needs_a_country_where_its_rule_does(kind: str) -> None:
    with pytest.raises(PermanentFailure, match=r"column c: .*give country or country_column"):
        outputs(kind=kind, treatment="amazon_ads")
    assert outputs(kind=kind, treatment="amazon_ads", country="US")


@pytest.mark.parametrize(
    ("kind", "treatment"),
    [
        ("device_id", "amazon_ads"),
        ("device_id", "meta"),
        ("device_id", "google"),
        ("street_address", "meta"),
        ("city", "uid2"),
    ],
)
def test_a_treatment_without_a_rule_for_the_kind_is_refused(kind: str, treatment: str) -> None:
    with pytest.raises(PermanentFailure, match=f"column c: treatment {treatment} has no rule for {kind}"):
        outputs(kind=kind, treatment=treatment)


def test_tags_say_what_the_catalog_must_know() -> None:
    city = Pii(kind=PiiKind.CITY, treatment=(Treatment.LAKE, Treatment.GOOGLE, Treatment.MASK))
    assert [o.tags for o in pii_outputs(Column(name="c"), city)] == [
        {"pii": "city", "profile": "lake", "form": "digest"},
        {"pii": "city", "profile": "google", "form": "normalised"},
        {"pii": "city", "profile": "mask", "form": "masked"},
    ]
    assert all(o.comment for o in pii_outputs(Column(name="c"), city))


def test_every_kind_can_be_joined_and_masked() -> None:
    assert {kind for treatment, kind in RULES if treatment is Treatment.LAKE} == set(PiiKind)
    assert {kind for treatment, kind in RULES if treatment is Treatment.MASK} == set(PiiKind)
