"""A feed of which tables are made by merges: which, when, and how they are kept."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from adplatform.contracts.column import require_one_name
from adplatform.contracts.durations import Duration
from adplatform.contracts.feed import Feed
from adplatform.contracts.pii import Treatment
from adplatform.contracts.spelling import ColumnDefaults
from adplatform.contracts.strict import Strict

_OF_TABLES: Mapping[str, Any] = {"bytes": "hex"}


def _as_of_tables(given: Any) -> Any:
    own = given.model_dump(exclude_unset=True) if isinstance(given, BaseModel) else given
    return {**_OF_TABLES, **own} if isinstance(own, Mapping) else given


class Folding(Strict):
    """When the changes that have come are merged into the table."""

    every: Duration = timedelta(hours=1)
    """How long after the last merge the next follows, where there are changes."""
    share: float = Field(default=0.05, gt=0, le=1)
    """How many changes, as a share of the table's rows, are merged without waiting for that."""


class MergedFeed(Feed):
    """One of which tables are made."""

    defaults: Annotated[ColumnDefaults, BeforeValidator(_as_of_tables)] = ColumnDefaults(**_OF_TABLES)
    """How the values of all columns are written that do not say otherwise. ``bytes`` is ``hex`` here, since a table
    that has columns of bytes means them."""
    outputs: tuple[Literal["current", "history"], ...] = ()
    """What is made beside the table of what came: ``current`` has the rows that there are, ``history`` also what they
    were before."""
    fold: Folding = Folding()
    """When changes are merged into the table."""
    buckets: int = Field(default=16, ge=1, le=1024)
    """In how many files the rows of the table are kept, by their key; one should have 50 to 200 MB. Where this, the
    key, ``unchanged`` or ``outputs`` are changed, the table is made anew from all changes."""

    @model_validator(mode="after")
    def _read_by_name(self) -> Self:
        require_one_name(self.columns, "a database")
        if self.outputs and self.activations.declared:
            raise ValueError("activations are made of tables of deliveries, and outputs makes others: leave one out")
        return self

    def unfit_outputs(self) -> str:
        """What keeps the tables from being made, and what to do; "" where nothing does."""
        if self.outputs and not self.key:
            return "key is missing: rows are merged by it. Without one, set outputs: []"
        for name in self.key if self.outputs else ():
            column = self.column(name)
            stored = column.pii is None or {Treatment.LAKE, Treatment.CLEAR} & set(column.pii.treatment)
            if column.drop or column.expression or not stored:
                return f"key {name}: must be read and stored, personal data as lake or clear"
        if "history" in self.outputs and "current" not in self.outputs:
            return "outputs: history needs current, too: open versions are the rows that there are"
        return ""
