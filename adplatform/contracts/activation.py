"""Files of a table for ad platforms that match persons by hashed identifiers: which, and how they are written."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from adplatform.contracts.pii import PiiKind
from adplatform.contracts.sizes import Size
from adplatform.contracts.strict import Strict, by_name, one_or_many

Allowed = Annotated[
    tuple[bool | int | str, ...],
    Field(min_length=1),
    BeforeValidator(one_or_many, json_schema_input_type=bool | int | str | list[bool | int | str]),
]
"""Values of a column by which a person has consented."""


class Activation(Strict):
    """What a destination gets of the table."""

    columns: Mapping[PiiKind, str] = Field(default_factory=dict)
    """Which personal column is meant, by kind (``email``, ``phone``, ``first_name``, ...), where the feed has several
    of one; by default the one that the feed has."""
    consent: Mapping[str, Allowed] = Field(default_factory=dict)
    """Columns, not personal, of which each has to have one of its values for a row to be handed over, such as
    ``{ads_consent: granted}``; no value, and any other, is no consent."""
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] | None = None
    """The country (ISO 3166, two letters) of all rows, where the destination takes one in clear."""
    country_column: str | None = None
    """The column, not personal, with the country of each row, in the place of ``country``."""
    compress: Literal["gzip", "none"] | None = None
    """How files are compressed; by default as the destination takes them."""
    rows_per_file: int | None = Field(default=None, ge=1)
    """The most rows of a file."""
    largest_file: Annotated[Size, Field(ge=4096)] | None = None
    """What a file may come to before it is compressed, such as ``100MB``, where the destination takes no less."""

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.country and self.country_column:
            raise ValueError("give country or country_column, not both")
        return self


DestinationName = Literal["amazon_ads", "amc", "google", "meta"]


class Activations(Strict):
    """Which ad platforms files are made for, each with its settings."""

    consent: Mapping[str, Allowed] = Field(default_factory=dict)
    """As a destination's own, of all of them: rows without it are given to none."""
    amazon_ads: Activation | None = None
    """Audiences of Amazon Ads, by Ads data manager."""
    amc: Activation | None = None
    """A dataset of Amazon Marketing Cloud (advertiser data upload)."""
    google: Activation | None = None
    """Customer Match of Google Ads."""
    meta: Activation | None = None
    """A customer list of Meta (custom audience)."""

    @model_validator(mode="after")
    def _consent_once(self) -> Self:
        for name, settings in self._own.items():
            for column in settings.consent.keys() & self.consent.keys():
                raise ValueError(f"{name}.consent and consent both name {column}; say once what it has to have")
        return self

    @property
    def declared(self) -> Mapping[DestinationName, Activation]:
        """The settings of those that are declared, each with the consent that all demand."""
        return {
            name: settings.model_copy(update={"consent": {**self.consent, **settings.consent}})
            for name, settings in self._own.items()
        }

    @property
    def _own(self) -> Mapping[DestinationName, Activation]:
        each = {name: getattr(self, name) for name in get_args(DestinationName)}
        return {name: settings for name, settings in each.items() if settings is not None}

    @model_serializer(mode="wrap")
    def _as_declared(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without the others: a name without settings stands for a destination, too."""
        return {
            name: settings
            for name, settings in whole(self).items()
            if settings is not None and (settings or name != "consent")
        }


DeclaredActivations = Annotated[
    Activations, BeforeValidator(by_name, json_schema_input_type=Activations | list[DestinationName])
]
NO_ACTIVATIONS = Activations()
