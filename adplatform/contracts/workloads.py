"""What services do with a table when it was published: an import, a matching job, a query whose result is stored."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from adplatform.contracts.strict import Names, Strict

WORKLOAD_NAME = r"^[a-z][a-z0-9_]{0,62}$"
Query = Annotated[str, Field(min_length=1), AfterValidator(lambda text: text.strip().rstrip(";").strip())]
"""A SELECT, which becomes a part of other statements: without the semicolon at its end."""
Queries = Mapping[Annotated[str, Field(pattern=WORKLOAD_NAME)], Query]
"""By name; ``{table}`` in one stands for the table, and ``{date}`` for the date that was published."""
DATE, TABLE = "{date}", "{table}"


class Awaiting(Strict):
    """A service whose work on the table may have to wait for other tables."""

    after: Names = ()
    """Other feeds of the source: work begins when all of them have the date that was published, and again when one of
    them brings it anew."""
