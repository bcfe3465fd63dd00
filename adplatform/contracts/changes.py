"""A relational database whose changes AWS DMS writes to S3: its tables, their keys, and what is made of them."""

import re
from datetime import timedelta
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from adplatform.contracts.durations import Duration
from adplatform.contracts.feed import NAME, Arrival
from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.merged import MergedFeed
from adplatform.contracts.replicated_database import (
    CAPACITY,
    INSTANCE,
    LONGEST_MADE_NAME,
    MADE_NAME,
    Capacity,
    Instance,
    ReplicatedDatabase,
)
from adplatform.contracts.source import FileSource
from adplatform.contracts.strict import Names

CHANGES, DELETED, HISTORY = "_changes", "_deleted", "_history"
"""What the names of a table's other tables end with."""
LIVE, VERSIONS = "_live", "_versions"
"""What the names of its views end with."""
OP, SEQUENCE, CHANGED_AT = "_op", "_seq", "_changed_at"
"""Columns of changes: what happened, in which order, and when it was committed."""
RESERVED = (
    *(OP, SEQUENCE, CHANGED_AT, "_valid_from", "_valid_to", "_closed_by", "_deleted"),
    *("_at", "_bare", "_begins", "_bucket", "_ended", "_last", "_last_op", "_part", "_place", "_run", "_since"),
    *("_valued", "_whole"),
)
"""Columns that merges add, to their tables or while they work."""


class ChangedTable(MergedFeed):
    """One table whose changes are followed."""

    name: Annotated[str, Field(pattern=NAME, max_length=54)]
    """The feed's name, and the table's: lower-case letters, digits and ``_``. Its other tables begin with it."""
    table: str = Field(min_length=3, max_length=260)
    """The table in the database, with its schema: ``public.orders``."""
    outputs: tuple[Literal["current", "history"], ...] = ("current",)
    """What is made of the changes beside the table of all changes: ``current`` (default) has the rows that there are,
    ``history`` also what they were before. An empty list makes nothing, and needs no key."""
    unchanged: Names = ()
    """Columns for which an update without a value means that the value stayed as it was: large texts of PostgreSQL
    without REPLICA IDENTITY FULL. For all others it means that there is no value."""
    altered: Literal["check", "reload", "ignore"] = "check"
    """What follows a statement about the table itself, of which DMS writes no row and counts that there was one, not
    whether it was TRUNCATE, DROP or ALTER. ``check`` (default) fails the check ``replicated`` until the table is loaded
    again, ``reload`` asks DMS once to do so, and ``ignore`` is for tables that nobody truncates."""
    sequence_field: str = "ar_h_change_seq"
    """The column of the files with ``$AR_H_CHANGE_SEQ``, by which changes are in order."""
    time_field: str = "dms_ts"
    """The column of the files with the time of a change: ``TimestampColumnName`` of the endpoint."""
    duplicate_content: Literal["ignore", "refuse", "allow"] = "allow"
    """Files with the same bytes: read, as an engine writes them, and knows no names of a sender's."""
    landing: str = "{table}/{file}"
    """Fixed: DMS writes to a folder for the schema and one for the table."""
    format: FileFormat = FileFormat(kind="parquet")
    """How DMS writes the files; by default as parquet. For csv, ``AddColumnName`` has to be on, and ``null_values``
    names what ``CsvNullValue`` says."""
    arrival: Arrival = Arrival(quiet_period=timedelta(seconds=30), max_wait=timedelta(minutes=2), accept_early=None)
    """When the files that have come are taken: after a quiet time, or after the longest wait."""

    @model_validator(mode="after")
    def _files_of_dms(self) -> Self:
        if "landing" in self.model_fields_set:
            raise ValueError("landing is where DMS writes a table's files, and is fixed; leave it out")
        if self.arrival.complete_when != "quiet":
            raise ValueError("arrival.complete_when is quiet for changes; leave it out")
        if self.format.kind not in ("csv", "parquet"):
            raise ValueError(f"format.kind {self.format.kind!r} is not what DMS writes: csv or parquet")
        if not self.format.has_header:
            raise ValueError(
                "format.header: files without names shift values once a column is added; set AddColumnName"
            )
        if self.skip_rows_where is not None:
            raise ValueError(
                "skip_rows_where does not go with changes: a row that comes to meet it would stay as it was before; "
                "have DMS leave such rows out by a filter of the table mappings"
            )
        if self.consumers.declared and not self.outputs:
            raise ValueError("consumers read the table of rows, which outputs: current makes")
        if self.consumers.awaited:
            raise ValueError("after is for feeds that are delivered by dates; a table of rows has none")
        if self.pgp is not None:
            raise ValueError("pgp is for files of a sender; leave it out")
        if self.latest_by or "partition_by" in self.model_fields_set:
            raise ValueError("latest_by and partition_by do not apply: changes are in order by their sequence")
        schema, _, table = self.table.partition(".")
        if not schema or not table or "/" in self.table:
            raise ValueError(f"table {self.table!r} names no table: write schema.table")
        if re.search("[{}*]", self.table):
            raise ValueError(
                f"table {self.table!r} cannot be followed: {{, }} and * in the name of its folder stand for others; "
                "have it renamed by a rule of the table mappings, and give that name"
            )
        return self

    @model_validator(mode="after")
    def _can_be_merged(self) -> Self:
        names = {column.name for column in self.columns}
        for column in self.columns:
            if column.name in RESERVED:
                raise ValueError(f"{column.name!r} is a name the platform adds itself; choose another and give field")
        for name in self.unchanged:
            if name not in names or name in self.key:
                raise ValueError(f"unchanged names {name!r}, which is no declared column beside the key")
            if self.column(name).expression:
                raise ValueError(f"unchanged names {name!r}, which is computed")
            if self.naming and name in self.naming.columns:
                raise ValueError(
                    f"unchanged names {name!r}, which naming divides: fields that a new name lacks would be taken for "
                    "fields that did not change; leave one of the two out"
                )
        if unfit := self.unfit_outputs():
            raise ValueError(unfit)
        return self


class ChangesSource(FileSource):
    """A database whose tables are followed by their changes."""

    pattern: ClassVar[str] = "changes"

    feeds: list[ChangedTable] = Field(min_length=1)  # type: ignore[assignment]  # every one is a feed
    """The tables."""
    task: str | None = Field(default=None, min_length=1)
    """The replication task of AWS DMS that writes the files: its identifier or ARN. It is watched, and its tables
    compared with what was read; by default nobody asks DMS."""
    serverless: str | None = Field(default=None, min_length=1)
    """The same for a replication of DMS Serverless: the identifier or ARN of its configuration."""
    from_: ReplicatedDatabase | None = Field(default=None, alias="from")
    """The database. With it the task or the configuration is made, with all that it needs, by the deployment or
    `adplatform provision`; without it what ``task`` or ``serverless`` names must be there."""
    instance: Instance = INSTANCE
    """The instance on which the task runs that is made for ``from``."""
    capacity: Capacity = CAPACITY
    """What the replication of DMS Serverless that is made for ``from`` may take."""
    clock_margin: Duration = timedelta(seconds=2)
    """By how much the clock of the database may be behind that of DMS, or, where no replication is named, behind ours:
    a change that the database dates so long before a load began still counts as one from after it. A row that changed
    in that time and is not in the load stays."""
    driven: bool = False
    """Whether the task is started where it does not run, and resumed where it stopped."""
    keep_originals: Duration | None = None
    """For how long the files of DMS are kept in the archive once they are merged, 2 days at least; by default for ever.
    What is gone cannot be read again: neither can quarantined rows be mended, nor is it for tables with hashed columns,
    which are made again from originals when the hashing key changes."""
    simulated: bool = False
    """Whether the database is the simulated shop of this machine and DMS what is embedded; `adplatform provision` makes
    the task."""

    @field_validator("feeds")
    @classmethod
    def _tables_once(cls, feeds: list[ChangedTable]) -> list[ChangedTable]:
        for setting in ("table", "name"):
            values = [getattr(feed, setting) for feed in feeds]
            for value in {v for v in values if values.count(v) > 1}:
                raise ValueError(f"two feeds have {setting} {value!r}")
        return feeds

    @model_validator(mode="after")
    def _originals_are_needed(self) -> Self:
        if self.keep_originals is not None and self.keep_originals < timedelta(days=2):
            raise ValueError("keep_originals is at least 2d, so that the last dates can be read again")
        if self.keep_originals is not None and self.retention.archive is not None:
            raise ValueError("give keep_originals or retention.archive, not both: the first waits for merges")
        hashed = [feed.name for feed in self.feeds if feed.contract.needs_key]
        if self.keep_originals is not None and hashed:
            raise ValueError(
                f"keep_originals: feed {hashed[0]} has hashed columns, and another hashing key needs its originals: "
                "leave keep_originals out, or declare the feeds without hashed columns as another source"
            )
        return self

    @model_validator(mode="after")
    def _one_engine(self) -> Self:
        if self.task and self.serverless:
            raise ValueError("give task or serverless, not both")
        if (self.driven or self.simulated) and not (self.task or self.serverless):
            raise ValueError("driven and simulated need to know what runs: give task or serverless")
        return self

    @model_validator(mode="after")
    def _made_or_there(self) -> Self:
        given = self.model_fields_set
        if self.from_ is None:
            if sized := sorted({"instance", "capacity"} & given):
                raise ValueError(f"{sized[0]} is of a replication that is made here: give from, or leave it out")
            return self
        if self.simulated:
            raise ValueError("from is a database of yours, and simulated: true the shop of this machine; give one")
        name = self.task or self.serverless
        if name is None:
            raise ValueError("from is of a replication that is made here: give it a name with task or serverless")
        if not re.fullmatch(MADE_NAME, name) or len(name) > LONGEST_MADE_NAME:
            raise ValueError(
                f"{name!r} cannot be the name of what is made for from: take up to {LONGEST_MADE_NAME} letters, digits "
                "and single hyphens, a letter first; or leave from out where it is there already"
            )
        if self.task and "capacity" in given:
            raise ValueError("capacity is of DMS Serverless, and task runs on an instance: give instance")
        if self.serverless and "instance" in given:
            raise ValueError("instance is of a task, and serverless has none: give capacity")
        return self
