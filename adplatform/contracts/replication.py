"""Files of another cloud's object storage, of an NFS or an SMB share, that AWS DataSync replicates."""

from datetime import timedelta
from typing import Annotated, Self

from pydantic import Field, model_validator

from adplatform.contracts.durations import Duration
from adplatform.contracts.feed import Arrival, Feed
from adplatform.contracts.source import FileSource

TASK = r"^(arn:aws[a-z-]*:datasync:[a-z0-9-]+:[0-9]{12}:task/task-[0-9a-f]{17}|[a-zA-Z0-9 _.-]+)$"
"""DataSync API reference, StartTaskExecution: TaskArn; or a name."""


class ReplicatedFeed(Feed):
    """One dataset among the files that a task replicates."""

    arrival: Arrival = Arrival(complete_when="engine", accept_early=None)
    """When a delivery is complete: by what ended executions transferred. A ``deadline`` may be set."""

    @model_validator(mode="after")
    def _brought_by_an_engine(self) -> Self:
        if self.arrival.complete_when != "engine":
            raise ValueError("arrival.complete_when is engine for replicated files; leave it out")
        if self.schedule is not None:
            raise ValueError("deliveries are processed once an execution has landed; leave schedule out")
        return self


class ReplicatedSource(FileSource):
    """The files of one store elsewhere, which a task of DataSync copies below the source's landing prefix."""

    task: Annotated[str, Field(pattern=TASK, max_length=256)]
    """The task, by its ARN or its name. It writes below ``landing/<source>/`` of the raw bucket, and reports each
    file."""
    every: Duration | None = None
    """How often the task is started. By default it is not: it has a schedule of its own, and is watched."""
    offset: Duration = timedelta(0)
    """How long after midnight (UTC), or after full multiples of ``every``, it is started."""
    feeds: list[ReplicatedFeed] = Field(min_length=1)  # type: ignore[assignment]  # every one is a feed
    """The datasets among the files, each with where its files lie."""
    simulated: bool = False
    """Whether the task is to be made on the embedded AWS, with a bucket there in the place of another cloud."""
    check_every: int = Field(default=60, ge=1)
    """Seconds between two looks at what runs."""
