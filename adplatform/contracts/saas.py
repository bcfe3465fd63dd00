"""A SaaS application whose data Amazon AppFlow brings: its flows, and what each brings."""

from datetime import timedelta
from typing import Annotated, Self

from pydantic import Field, model_validator

from adplatform.contracts.durations import Duration
from adplatform.contracts.feed import Arrival, Feed
from adplatform.contracts.model import FileFormat
from adplatform.contracts.source import FileSource

FLOW_NAME = r"^[a-zA-Z0-9][a-zA-Z0-9_!@#.-]*$"
"""AppFlow API reference, StartFlow: flowName."""
_MINUTE = timedelta(minutes=1)


class FlowFeed(Feed):
    """One flow of AppFlow and the dataset that it brings."""

    flow: Annotated[str, Field(pattern=FLOW_NAME, max_length=256)] | None = None
    """The flow's name in AppFlow; by default ``<source>-<feed>``."""
    object: str | None = None
    """What the flow reads of the application, ``Contact`` for example. With it `adplatform provision` makes the flow,
    which brings the fields of ``columns``; without it the flow must be there."""
    every: Duration | None = None
    """How often an on-demand flow is started. By default it is not: a scheduled flow runs by itself, and is watched."""
    offset: Duration = timedelta(0)
    """How long after midnight (UTC), or after full multiples of ``every``, it is started."""
    landing: str = "{flow}/schemaVersion_*/{date:%Y/%m/%d}/*/{file}"
    """Where the flow's files lie below the source's own prefix, which is the bucket prefix of its destination: the
    schema version, the date and the execution id are folders."""
    format: FileFormat = FileFormat(kind="ndjson")
    """How the flow writes its files; JSON lines by default, as AppFlow does."""
    arrival: Arrival = Arrival(complete_when="engine", accept_early=None)
    """When a delivery is complete: by what ended runs wrote. A ``deadline`` may be set."""

    @model_validator(mode="after")
    def _run_by_an_engine(self) -> Self:
        if self.arrival.complete_when != "engine":
            raise ValueError("arrival.complete_when is engine for a flow; leave it out")
        if self.schedule is not None:
            raise ValueError("a flow's deliveries are processed once a run has landed; leave schedule out")
        if self.every is not None and self.every < _MINUTE:
            raise ValueError("every is at least 1m")
        return self


class SaasSource(FileSource):
    """The flows of one SaaS application."""

    feeds: list[FlowFeed] = Field(min_length=1)  # type: ignore[assignment]  # every flow is a feed
    """The flows, each with what it brings."""
    connector: str = "Salesforce"
    """The connector of AppFlow for flows with an ``object``, spelled as AppFlow does."""
    connection: str | None = None
    """The connection (connector profile) of AppFlow for flows with an ``object``."""
    simulated: bool = False
    """Whether the connection is to the simulated CRM of the embedded AWS."""
    check_every: int = Field(default=60, ge=1)
    """Seconds between two looks at what runs."""

    @model_validator(mode="after")
    def _connected(self) -> Self:
        made = [feed.name for feed in self.feeds if feed.object is not None]
        if made and self.connection is None:
            raise ValueError(f"connection is missing: feed {made[0]} has an object, so its flow is made with one")
        return self
