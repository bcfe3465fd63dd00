"""What a source may use: an amount of each thing that is paid for, a day and a month."""

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from adplatform.contracts.strict import Strict

Amount = Annotated[Decimal, Field(gt=0)]


class Amounts(Strict):
    """At most so much of each; what is left out has no limit."""

    requests: Annotated[int, Field(gt=0)] | None = None
    """Requests to Amazon's report APIs."""
    dpu_hours: Amount | None = None
    """Hours of data processing units of AWS Glue."""
    vcpu_hours: Amount | None = None
    """Hours of vCPUs of EMR Serverless."""
    gigabytes: Amount | None = None
    """Gigabytes (10⁹ bytes) of files that are published, as they were received."""

    @property
    def limits(self) -> dict[str, Decimal]:
        """The amounts that are limited, by name."""
        return {name: Decimal(value) for name, value in self.model_dump().items() if value is not None}


NO_LIMITS = Amounts()


class CostBudget(Strict):
    """How much a source may use before somebody is asked. At a limit no run of an engine and no backfill of it begins
    any more, until the day or month (UTC) is over or somebody allows more (`adplatform budget allow`)."""

    day: Amounts = NO_LIMITS
    """At most so much a day."""
    month: Amounts = NO_LIMITS
    """At most so much a calendar month."""
    deliveries: Literal["go_on", "wait"] = "go_on"
    """Whether deliveries go on at a limit (default), or wait, too: then the source is paused as a whole."""

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if not self.day.limits and not self.month.limits:
            raise ValueError("give an amount for day or month: requests, dpu_hours, vcpu_hours or gigabytes")
        return self
