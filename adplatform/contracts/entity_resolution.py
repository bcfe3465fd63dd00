"""A table in AWS Entity Resolution: what its columns are, and by which rules its rows are matched."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from adplatform.contracts.strict import Names, Strict
from adplatform.contracts.workloads import Awaiting

AttributeType = Literal[
    "NAME", "NAME_FIRST", "NAME_MIDDLE", "NAME_LAST",
    "ADDRESS", "ADDRESS_STREET1", "ADDRESS_STREET2", "ADDRESS_STREET3",
    "ADDRESS_CITY", "ADDRESS_STATE", "ADDRESS_COUNTRY", "ADDRESS_POSTALCODE",
    "PHONE", "PHONE_NUMBER", "PHONE_COUNTRYCODE", "EMAIL_ADDRESS",
    "DATE", "STRING", "PROVIDER_ID", "IPV4", "IPV6", "MAID",
]  # fmt: skip
"""As API_SchemaInputAttribute calls them, without ``UNIQUE_ID``, which is a setting of its own."""
_NAME = r"^[a-zA-Z0-9_ -]{1,255}$"


class MappedColumn(Strict):
    """What Entity Resolution is told of a column. That it is hashed is known from the contract."""

    type: AttributeType
    """What the values are."""
    group: Annotated[str, Field(pattern=_NAME)] | None = None
    """Columns of one group, such as first and last name, are read as one value."""
    match_key: Annotated[str, Field(pattern=_NAME)] | None = None
    """What rules call the column; by default its group, or its own name. Columns of one match key, such as two
    addresses, are compared with each other."""


class MatchingRule(Strict):
    """Rows that agree in all of these match keys are one entity."""

    name: Annotated[str, Field(pattern=_NAME)]
    """What the rule is called in the results."""
    match: Names = Field(min_length=1, max_length=15)
    """The match keys that must agree."""


def _as_mapped(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


class EntityResolution(Awaiting):
    """The table as an input of a matching workflow of AWS Entity Resolution."""

    unique_id: str
    """The column that tells the rows of the table apart, 38 characters at most; of a hashed column its ``short_id``."""
    columns: Mapping[
        str,
        Annotated[MappedColumn, BeforeValidator(_as_mapped, json_schema_input_type=MappedColumn | AttributeType)],
    ] = Field(min_length=1)
    """The columns that are handed over, as the table calls them, each with its type or with settings; personal ones
    have to be hashed."""
    rules: tuple[MatchingRule, ...] = Field(min_length=1, max_length=25)
    """How rows are matched: the first rule that two rows meet makes them one entity."""
    run: Literal["published", "asked"] = "asked"
    """When a matching job runs: after each publication, or when somebody asks for one."""
    results: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")] | None = None
    """The feed of the source that the results become: a table with the unique id of each row, its ``match_id`` and
    ``match_rule``, which each job replaces."""


def match_key(name: str, column: MappedColumn) -> str:
    return column.match_key or column.group or name
