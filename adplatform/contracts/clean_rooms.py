"""A table in AWS Clean Rooms: which of its columns a collaboration may work with, and what it may learn of them."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from adplatform.contracts.strict import Names, Strict, kind_tag

AggregateFunction = Literal["sum", "sum_distinct", "count", "count_distinct", "avg"]
Minimum = Annotated[int, Field(ge=2, le=100_000)]
"""Of distinct values, as API_AggregationConstraint takes it."""


class AggregationRule(Strict):
    """Sums, counts and averages along dimensions, and nothing of groups that are too small."""

    kind: Literal["aggregation"]
    """Queries get aggregates alone."""
    join: Names = ()
    """Columns by which other members' tables are joined; they are never put out."""
    dimensions: Names = ()
    """Columns that queries may select, group and filter by: such as have few values, and none that is personal."""
    aggregates: Mapping[AggregateFunction, Names] = Field(min_length=1)
    """The columns that may be aggregated, by function."""
    minimum: Mapping[str, Minimum] = Field(default_factory=dict)
    """How many distinct values of a column a group must have to be put out, 2 at least, such as ``{email_amazon_ads:
    100}``. A rule without one is refused."""


class ListRule(Strict):
    """A list of the rows that two tables have in common."""

    kind: Literal["list"]
    """Queries get rows."""
    join: Names = Field(min_length=1)
    """Columns by which the member's own table is joined."""
    outputs: Names = Field(min_length=1)
    """Columns that are put out, row by row: none that is personal, hashed or not, and none that tells rows apart."""


class CustomRule(Strict):
    """Queries that were written beforehand and that you have looked at."""

    kind: Literal["custom"]
    """Queries are what the templates say."""
    analyses: Names = Field(min_length=1)
    """The ARNs of the analysis templates that may be run."""
    hidden: Names = ()
    """Columns that templates may work with and never put out."""


_KINDS = ("aggregation", "list", "custom")


Rule = Annotated[
    Annotated[AggregationRule, Tag("(aggregation)")]
    | Annotated[ListRule, Tag("(list)")]
    | Annotated[CustomRule, Tag("(custom)")],
    Discriminator(kind_tag, custom_error_type="kind", custom_error_message=f"kind must be one of {', '.join(_KINDS)}"),
]


class CleanRooms(Strict):
    """The table as a configured table of AWS Clean Rooms."""

    columns: Names = ()
    """The columns that a collaboration may work with, as the table calls them; by default all but those that the
    platform adds and personal ones that are not hashed."""
    rule: Rule | None = None
    """What queries may learn: ``aggregation``, ``list`` or ``custom``. Without a rule nobody can query the table."""


def rule_columns(rule: AggregationRule | ListRule | CustomRule) -> dict[str, tuple[str, ...]]:
    """The columns that a rule names, by the setting that does."""
    named: dict[str, Any] = {}
    match rule:
        case AggregationRule():
            named = {"join": rule.join, "dimensions": rule.dimensions}
            named |= {f"aggregates.{function}": columns for function, columns in rule.aggregates.items()}
            named |= {"minimum": tuple(rule.minimum)}
        case ListRule():
            named = {"join": rule.join, "outputs": rule.outputs}
        case CustomRule():
            named = {"hidden": rule.hidden}
    return {f"rule.{setting}": columns for setting, columns in named.items()}
