"""Amazon Marketing Stream of an account, as YAML declares it."""

from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from adplatform.contracts.durations import Duration
from adplatform.contracts.strict import Strict

StreamDataSet = Literal["sp-traffic", "sp-conversion", "sb-traffic", "sb-conversion", "sd-traffic", "sd-conversion"]


class Stream(Strict):
    """What is taken of Amazon Marketing Stream, and from where."""

    datasets: tuple[StreamDataSet, ...] = Field(min_length=1)
    """Amazon's data sets, each of which is subscribed to for every profile: ``sp-traffic``, ``sp-conversion``,
    ``sb-traffic``, ``sb-conversion``, ``sd-traffic``, ``sd-conversion``."""
    queue: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]{1,80}$")
    """The SQS queue to which all of them are sent; by default the platform's own of that account, which
    `adplatform stream` names."""
    every: Duration = timedelta(minutes=15)
    """How long after messages were taken they are taken again, where there are any."""
    tolerance: Annotated[float, Field(ge=0, le=100)] = 2.0
    """By how many percent impressions, clicks and cost of a date may differ from the reports' before a check warns;
    dates that may still change are not judged."""

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        if len(set(self.datasets)) < len(self.datasets):
            raise ValueError("datasets names one twice")
        return self


def _datasets_alone(given: Any) -> Any:
    return {"datasets": given} if isinstance(given, list) else given


DeclaredStream = Annotated[
    Stream, BeforeValidator(_datasets_alone, json_schema_input_type=Stream | list[StreamDataSet])
]
"""A stream, or the data sets alone."""
