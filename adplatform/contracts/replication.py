"""Files of another cloud's object storage, of an NFS or an SMB share, that AWS DataSync replicates."""

import re
from datetime import timedelta
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from adplatform.contracts.durations import Duration
from adplatform.contracts.feed import BROUGHT, Brought, Feed
from adplatform.contracts.source import FileSource
from adplatform.contracts.stores import AnyStore, Share
from adplatform.contracts.strict import Strict
from adplatform.platform import names

TASK = r"^(arn:aws[a-z-]*:datasync:[a-z0-9-]+:[0-9]{12}:task/task-[0-9a-f]{17}|[a-zA-Z0-9 _.-]+)$"
"""DataSync API reference, StartTaskExecution: TaskArn; or a name."""
ROLE = r"^(arn:aws[a-z-]*:iam::[0-9]{12}:role/.+|[a-zA-Z0-9+=,.@_-]{1,64})$"
SIMULATED_SERVER = "http://elsewhere.simulated"
"""Where a simulated store is: the embedded AWS reads a bucket of its own S3 for it."""
LONGEST_FILTER = 102_400
"""Characters of all patterns together (DataSync API reference, FilterRule)."""
_RATE = re.compile(r"rate\((?P<number>[1-9][0-9]*) (?P<unit>minutes?|hours?|days?)\)")
_CRON = re.compile(r"cron\((?P<minute>\S+) \S+ \S+ \S+ \S+ \S+\)")


class ReplicatedFeed(Feed):
    """One dataset among the files that a task replicates."""

    arrival: Brought = BROUGHT
    """When a delivery is complete: by what ended executions transferred. A ``deadline`` may be set."""

    @model_validator(mode="after")
    def _brought_by_an_engine(self) -> Self:
        if self.arrival.complete_when != "engine":
            raise ValueError("arrival.complete_when is engine for replicated files; leave it out")
        if self.schedule is not None:
            raise ValueError("deliveries are processed once an execution has landed; leave schedule out")
        return self


def _hourly(schedule: str) -> str:
    """DataSync starts a task at most once an hour (user guide, "Scheduling when your task runs")."""
    rate, cron = _RATE.fullmatch(schedule), _CRON.fullmatch(schedule)
    if rate is None and cron is None:
        raise ValueError(
            "must be rate(<n> hours), rate(<n> days) or cron(<minute> <hour> <day> <month> <weekday> <year>)"
        )
    if rate and rate["unit"].startswith("minute") and int(rate["number"]) < 60:
        raise ValueError("DataSync runs a task at most once an hour; use `every`, which starts it from here")
    if cron and not cron["minute"].isdecimal():
        raise ValueError(
            f"minute {cron['minute']} is more than once an hour, which DataSync does not take: give one minute, or use "
            "`every`, which starts the task from here"
        )
    return schedule


def _pattern(pattern: str) -> str:
    if not pattern.startswith(("/", "*")):
        raise ValueError(f"pattern {pattern!r} must begin with / (paths are relative to the store's prefix) or with *")
    if re.search(r"(?<!\\)\|", pattern):
        raise ValueError(rf"pattern {pattern!r} holds a |: write one pattern per entry, or \| for the character")
    return pattern


def _included(pattern: str) -> str:
    r"""An include filter takes ``*`` only as the last character of a pattern (DataSync user guide, "Filtering")."""
    if re.search(r"(?<!\\)\*.", pattern) or pattern == "*":
        raise ValueError(f"pattern {pattern!r}: in includes, * may only be the last character, as in /orders*")
    return pattern


Exclude = Annotated[str, Field(min_length=1), AfterValidator(_pattern)]
Include = Annotated[Exclude, AfterValidator(_included)]


class Transfer(Strict):
    """How a declared task copies. It never deletes in the landing zone, and always reports every file."""

    mode: Literal["changed", "all"] = "changed"
    """``changed`` copies what differs from the landing zone, ``all`` everything each time."""
    verify: Literal["transferred", "all", "none"] = "transferred"
    """What is compared after the copy. ``all``, the whole store each time, is for tasks with agents of basic mode."""
    includes: tuple[Include, ...] = ()
    """What to copy, as ``/orders`` (a folder and all in it) or ``/orders*``; by default all."""
    excludes: tuple[Exclude, ...] = ()
    """What not to copy, as ``*.tmp`` or ``/orders/old``."""
    object_tags: bool = False
    """Whether tags of objects are copied; the store must have them, and let them be read."""
    schedule: Annotated[str, AfterValidator(_hourly)] | None = None
    """When DataSync itself starts the task, ``rate(6 hours)`` or ``cron(15 * * * ? *)`` in UTC, at most hourly."""

    @model_validator(mode="after")
    def _not_too_long(self) -> Self:
        for name, patterns in (("includes", self.includes), ("excludes", self.excludes)):
            if len("|".join(patterns)) > LONGEST_FILTER:
                raise ValueError(f"{name} have more than {LONGEST_FILTER:,} characters")
        return self


class ReplicatedSource(FileSource):
    """The files of one store elsewhere, which a task of DataSync copies below the source's landing prefix."""

    pattern: ClassVar[str] = "replicated"

    task: Annotated[str, Field(pattern=TASK, max_length=256)] | None = None
    """The task, by its ARN or its name. It writes below ``landing/<source>/`` of the raw bucket, and reports each file.
    With ``from`` it is the name that the task is given, by default ``adplatform-<source>``."""
    from_: AnyStore | None = Field(default=None, alias="from")
    """The store elsewhere. With it `adplatform provision` makes the task and its locations; without it the task must be
    there."""
    transfer: Transfer = Transfer()
    """How the task copies that is made for ``from``."""
    role: Annotated[str, Field(pattern=ROLE)] | None = None
    """The IAM role, by name or ARN, with which the task that is made for ``from`` writes into the raw bucket; by
    default one that the source has for itself, ``adplatform-datasync-<source>``, which the deployment makes."""
    every: Duration | None = None
    """How often the task is started. By default it is not: it has a schedule of its own, and is watched."""
    offset: Duration = timedelta(0)
    """How long after midnight (UTC), or after full multiples of ``every``, it is started."""
    feeds: list[ReplicatedFeed] = Field(min_length=1)  # type: ignore[assignment]  # every one is a feed
    """The datasets among the files, each with where its files lie."""
    simulated: bool = False
    """Whether the store is simulated: a bucket of that name in the embedded AWS stands for it."""
    check_every: int = Field(default=60, ge=1)
    """Seconds between two looks at what runs."""

    @model_validator(mode="after")
    def _originals_stay(self) -> Self:
        if self.retention.archive is not None:
            raise ValueError(
                "retention: archive does not go with DataSync: originals stay in the landing zone, where the task "
                "compares; what is deleted in the store elsewhere is deleted there, too, by the task's own setting"
            )
        return self

    @model_validator(mode="after")
    def _made_or_there(self) -> Self:
        store, transfer = self.from_, self.transfer
        if store is None:
            if self.task is None:
                raise ValueError("give `task`, or `from` to have one made")
            given = self.model_fields_set & {"transfer", "role"}
            if given or self.simulated:
                what = min(given) if given else "simulated"
                raise ValueError(f"{what} is for a task that is made here: give `from`, or leave it out")
            return self
        if self.task is not None and self.task.startswith("arn:"):
            raise ValueError("task is an ARN, so it is there already: leave out `from`, or give the task a name")
        if transfer.object_tags and not store.has_tags:
            raise ValueError(
                f"transfer.object_tags: {store.kind} has no tags that DataSync can read, and reading them fails"
            )
        if transfer.verify == "all" and store.mode == "ENHANCED":
            raise ValueError("transfer.verify: all is for tasks in basic mode, which have agents; use transferred")
        if transfer.schedule is not None and self.every is not None:
            raise ValueError("every starts the task from here, transfer.schedule by DataSync: give one of them")
        if self.simulated and (isinstance(store, Share) or not store.lists_by_s3):
            raise ValueError("simulated is for buckets: s3, object_storage and gcs")
        return self

    @property
    def task_name(self) -> str:
        """The name, or the ARN, of its task."""
        return self.task or f"adplatform-{self.source.replace('_', '-')}"

    @property
    def role_name(self) -> str:
        """The name, or the ARN, of its role."""
        return self.role or names.role_of(names.DATASYNC_ROLE, self.source)
