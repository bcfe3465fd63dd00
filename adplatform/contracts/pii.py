"""Personal data in a column: what kind it is, and in which forms it may be stored."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Field, model_validator

from adplatform.contracts.strict import Strict, one_or_many


class PiiKind(StrEnum):
    EMAIL = "email"
    PHONE = "phone"
    FIRST_NAME = "first_name"
    LAST_NAME = "last_name"
    STREET_ADDRESS = "street_address"
    CITY = "city"
    STATE = "state"
    POSTAL_CODE = "postal_code"
    COUNTRY = "country"
    DEVICE_ID = "device_id"
    GENERIC_ID = "generic_id"


class Treatment(StrEnum):
    """What becomes of a personal value. ``lake`` is keyed; those of the ad platforms are unkeyed by necessity."""

    LAKE = "lake"
    AMAZON_ADS = "amazon_ads"
    META = "meta"
    GOOGLE = "google"
    UID2 = "uid2"
    SHORT_ID = "short_id"
    MASK = "mask"
    DROP = "drop"
    CLEAR = "clear"


class Pii(Strict):
    """A column with personal data: what kind it is and in which forms it may be stored."""

    renamed: ClassVar[Mapping[str, str]] = {"profiles": "treatment"}

    kind: PiiKind
    """What the values are, which decides how they are normalised before they are hashed."""
    treatment: Annotated[
        tuple[Treatment, ...], BeforeValidator(one_or_many, json_schema_input_type=Treatment | list[Treatment])
    ] = (Treatment.LAKE,)
    """One form or several: ``lake`` (default) is a keyed digest for joins here, and ``short_id`` beside it its first 32
    digits, for services that take no id of 64 characters; ``amazon_ads``, ``meta``, ``google`` and ``uid2`` are
    digests for matching there, the last in Base64; ``mask``, ``drop`` and ``clear`` are what they say."""
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] | None = None
    """The country (ISO 3166, two letters) of all values, by which phone numbers, states and postal codes are read."""
    country_column: str | None = None
    """The column with the country of each row, in the place of ``country``."""

    @model_validator(mode="after")
    def _one_meaning(self) -> Self:
        if not self.treatment:
            raise ValueError("treatment is empty: name at least one of " + ", ".join(Treatment))
        if len(set(self.treatment)) != len(self.treatment):
            raise ValueError("treatment names one twice")
        if Treatment.DROP in self.treatment and len(self.treatment) > 1:
            raise ValueError("drop stores nothing, so it cannot stand beside another treatment")
        if Treatment.CLEAR in self.treatment and len(self.treatment) > 1:
            raise ValueError("clear stores the value itself, so it cannot stand beside another treatment")
        if Treatment.SHORT_ID in self.treatment and Treatment.LAKE not in self.treatment:
            raise ValueError("short_id is cut from the lake digest: write treatment: [lake, short_id]")
        if self.country and self.country_column:
            raise ValueError("give country or country_column, not both")
        return self


def as_pii(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value
