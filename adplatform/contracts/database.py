"""A relational database whose tables are pulled in batches: its connection, its tables, and how each is read."""

from datetime import timedelta
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from adplatform.contracts.changes import DELETED, HISTORY, RESERVED, VERSIONS
from adplatform.contracts.durations import Duration
from adplatform.contracts.feed import BROUGHT, Brought
from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.merged import MergedFeed
from adplatform.contracts.source import FileSource
from adplatform.contracts.strict import Strict

CURRENT, KEYS = "_current", "_keys"
"""What the names of the table of rows and of the feed of keys end with."""
LONGEST_JOB_RUN = timedelta(days=7)
"""What a run of Glue may take at most (Glue API reference, StartJobRun)."""
Kind = Literal["postgres", "mysql", "mariadb", "sqlserver", "oracle", "redshift", "snowflake"]
"""What a database is, as secrets name it."""
LONGEST_MADE = 54
"""Characters of a feed's name of which tables are made, whose names are longer."""
CURSOR_TYPES = ("int", "bigint", "date", "timestamp")
"""Types of columns whose greatest value says how far a table has been read."""
EXTRACTED = FileFormat(kind="csv", compression="gzip")
"""How rows are kept as the database wrote them: text, no value apart from an empty one."""


class KeyComparison(Strict):
    """How often all keys of a table are read, to find rows that are gone."""

    every: Duration
    """How often."""
    offset: Duration = timedelta(0)
    """How long after midnight (UTC), or after full multiples of ``every``."""


class Incremental(Strict):
    """That a run brings what was added or changed since the last one, by a column that only grows."""

    cursor: str
    """The column of the contract by which changes are known, such as ``updated_at``; a number, date or timestamp, never
    empty in the database."""
    lag: Duration = timedelta(minutes=10)
    """How far a run goes back behind where the last one stopped, for rows whose transaction ended late; 
    rows that come again are the same rows."""
    lag_count: int = Field(default=0, ge=0)
    """The same for a cursor that is a number."""
    keys: KeyComparison | None = None
    """How often the keys of all rows are read and compared: a row whose key is not there any more is deleted. By
    default deletions are not seen."""


class Chunks(Strict):
    """How a table is read in pieces, each an object of its own; a piece that fails is read again alone."""

    rows: int = Field(default=500_000, ge=1_000)
    """About how many rows a chunk has."""
    column: str | None = None
    """A column of the contract, a number or date, by whose ranges a table is divided; by default where its rows lie on
    the disk (PostgreSQL), or not at all."""


class TableFeed(MergedFeed):
    """One table or view of the database."""

    table: str | None = Field(default=None, min_length=1, max_length=260)
    """The table, with its schema where that is not the connection's own: ``sales.orders``; by default the feed's
    name."""
    incremental: Incremental | None = None
    """By which column a run brings only what changed; by default each run brings the whole table."""
    where: str | None = None
    """A condition, in the database's SQL, that rows must meet to be brought; by default all are."""
    chunks: Chunks = Chunks()
    """How the table is read in pieces."""
    every: Duration | None = None
    """How often it is read. By default only when somebody asks, with `adplatform engines start`."""
    offset: Duration = timedelta(0)
    """How long after midnight (UTC), or after full multiples of ``every``, it is read."""
    duplicate_content: Literal["ignore", "refuse", "allow"] = "allow"
    """Files with the same bytes: read, as an engine writes them, and knows no names of a sender's."""
    landing: str = "{feed}/dt={date}/*/{file}"
    """Where the chunks lie below the source's own prefix; the run is a folder."""
    format: FileFormat = EXTRACTED
    """How the chunks are written; as csv with a header, compressed by gzip."""
    arrival: Brought = BROUGHT
    """When a delivery is complete: once a run has read the whole table. A ``deadline`` may be set."""

    @property
    def source_table(self) -> str:
        return self.table or self.name

    @model_validator(mode="after")
    def _brought_by_a_run(self) -> Self:
        if self.arrival.complete_when != "engine":
            raise ValueError("arrival.complete_when is engine for a table; leave it out")
        if self.schedule is not None:
            raise ValueError("a table's deliveries are processed once a run has landed; leave schedule out, use every")
        if self.format != EXTRACTED:
            raise ValueError("format is how a table is read, and is fixed; leave it out")
        if self.pgp is not None:
            raise ValueError("pgp is for files of a sender; leave it out")
        if self.every is not None and self.every < timedelta(minutes=1):
            raise ValueError("every is at least 1m")
        return self

    @model_validator(mode="after")
    def _rows_can_be_made(self) -> Self:
        compared = self.incremental.keys if self.incremental else None
        if compared is not None and not self.key:
            raise ValueError(
                "incremental.keys compares keys, and key is missing: name the columns that tell rows apart"
            )
        if compared is not None and not self.outputs:
            raise ValueError(
                "incremental.keys finds rows that are gone, and only a table of the rows that there are can lack them: "
                "set outputs: [current]"
            )
        if compared is not None and compared.every < timedelta(minutes=1):
            raise ValueError("incremental.keys.every is at least 1m")
        if self.outputs and not self.key:
            raise ValueError(
                "outputs needs a key, by which rows are told apart: name its columns, or leave outputs out"
            )
        if unfit := self.unfit_outputs():
            raise ValueError(unfit)
        if not self.outputs:
            return self
        if "partition_by" in self.model_fields_set or self.latest_by:
            raise ValueError(
                "outputs makes the rows that there are of all readings, the later one first: leave partition_by and "
                "latest_by out"
            )
        for column in self.columns:
            if column.name in RESERVED:
                raise ValueError(f"{column.name!r} is a name the platform adds itself; choose another and give field")
        if len(self.name) > LONGEST_MADE:
            raise ValueError(f"name has more than {LONGEST_MADE} characters, and names of tables begin with it")
        return self

    @model_validator(mode="after")
    def _columns_can_be_read(self) -> Self:
        names = {column.name: column for column in self.read_columns}
        if len(names) == 1 and not next(iter(names.values())).required:
            # A row without its only value is an empty line, which readers of csv pass over.
            raise ValueError("a table of one column needs it to be required; or name another column, too")
        if self.incremental is not None:
            cursor = names.get(self.incremental.cursor)
            if cursor is None or cursor.data_type.name not in CURSOR_TYPES:
                raise ValueError(
                    f"incremental.cursor {self.incremental.cursor!r} must be a declared column of type "
                    f"{', '.join(CURSOR_TYPES)}"
                )
            if cursor.data_type.name in ("int", "bigint") and "lag" in self.incremental.model_fields_set:
                raise ValueError(f"incremental.cursor {cursor.name} is a number: give lag_count in the place of lag")
            if self.skip_rows_where is not None:
                raise ValueError(
                    "skip_rows_where does not go with incremental: a row that comes to meet it would stay as it was "
                    "before; read a view without such rows"
                )
            if self.partition_by is None:
                raise ValueError(
                    "partition_by: null is for a table that each delivery replaces, and an incremental run brings only "
                    "what changed; leave it out, or partition by a column of the key"
                )
        if self.chunks.column is not None:
            column = names.get(self.chunks.column)
            if column is None or column.data_type.name not in CURSOR_TYPES:
                raise ValueError(
                    f"chunks.column {self.chunks.column!r} must be a declared column of type {', '.join(CURSOR_TYPES)}"
                )
        return self


class GlueJob(Strict):
    """The job of AWS Glue that reads the tables where ``engine`` is ``glue``."""

    job: str | None = Field(default=None, min_length=1, max_length=255)
    """Its name; by default ``adplatform-`` and the source's."""
    connection: str | None = Field(default=None, min_length=1, max_length=255)
    """The Glue connection by which the job reaches the database's network, of type ``NETWORK``; by default none."""
    worker_type: Literal["G.1X", "G.2X", "G.4X", "G.8X"] = "G.1X"
    """The size of its workers."""
    workers: int = Field(default=2, ge=2, le=299)
    """How many of them a run has."""
    role: str | None = Field(default=None, min_length=1)
    """The role of a job that `adplatform provision` is to make, as an ARN or a name; without one the job is yours."""
    package: str | None = Field(default=None, min_length=1)
    """With ``role``: what the job installs of this platform, the ``s3://`` place of its wheel for example."""
    driver: str | None = Field(default=None, min_length=1)
    """With ``role``: the ``s3://`` place of a JDBC driver of PostgreSQL that is newer than Glue's own."""

    @model_validator(mode="after")
    def _made_whole(self) -> Self:
        if (self.role is None) != (self.package is None):
            raise ValueError("glue.role and glue.package make the job together; give both or none")
        if self.driver is not None and self.role is None:
            raise ValueError("glue.driver is for a job that is made; give role and package, or leave it out")
        return self


class DatabaseSource(FileSource):
    """A database whose tables are pulled in batches."""

    pattern: ClassVar[str] = "tables"

    connection: Annotated[str, Field(min_length=1, max_length=512)]
    """The secret of the connection: a JSON object as Secrets Manager keeps it for databases, with ``engine``, ``host``,
    ``port``, ``username``, ``password`` and ``dbname``. Its user needs no more than to read the tables."""
    dialect: Kind | None = None
    """What the database is, as ``engine`` of the secret says it: given, what it cannot do is refused before anything is
    connected. By default only the secret says it."""
    feeds: list[TableFeed] = Field(min_length=1)  # type: ignore[assignment]  # every one is a feed
    """The tables."""
    engine: Literal["embedded", "glue"] = "embedded"
    """Who reads: ``embedded``, workers of this platform, or ``glue``, runs of a job of AWS Glue (PostgreSQL only)."""
    glue: GlueJob = GlueJob()
    """The job of Glue."""
    tls: Literal["verify", "off"] = "verify"
    """``verify`` (default) takes only a server whose certificate is good for its name; ``off`` is for a database of
    this machine, as one that is simulated."""
    authority: str | None = None
    """The secret with the certificates (PEM) of who signs the server's; by default those the system trusts. Amazon RDS
    publishes its own."""
    workers: int = Field(default=2, ge=1, le=16)
    """How many chunks of a table are read at once, each by a connection of its own."""
    statement_timeout: Duration = timedelta(minutes=30)
    """How long the reading of one chunk may take."""
    snapshot_max_age: Duration = timedelta(hours=4)
    """How long the view of a table at one moment may be held, which keeps the server from cleaning up; a run that takes
    longer has failed. An hour is reported. With Glue at most 7 days."""
    rows_per_second: int | None = Field(default=None, ge=1)
    """The most rows that are read in a second, over all workers; by default as many as come."""
    simulated: bool = False
    """Whether the database is the simulated shop of this machine, whose connection `adplatform provision` makes."""
    check_every: int = Field(default=60, ge=1)
    """Seconds between two looks at what is due and what runs."""

    @property
    def job_name(self) -> str:
        """Of the job of Glue."""
        return self.glue.job or f"adplatform-{self.source}"

    @property
    def verified(self) -> bool:
        """Whether the server has to prove who it is."""
        return self.tls == "verify" and not self.simulated

    @field_validator("feeds")
    @classmethod
    def _tables_once(cls, feeds: list[TableFeed]) -> list[TableFeed]:
        tables = [feed.source_table for feed in feeds if feed.where is None]
        for table in {t for t in tables if tables.count(t) > 1}:
            raise ValueError(f"two feeds read {table}; give one of them a `where`, or leave it out")
        return feeds

    @field_validator("feeds")
    @classmethod
    def _made_once(cls, feeds: list[TableFeed]) -> list[TableFeed]:
        made = {
            f"{f.name}{end}": f.name for f in feeds if f.outputs for end in (CURRENT, DELETED, HISTORY, VERSIONS, KEYS)
        }
        for feed in feeds:
            if feed.name in made:
                raise ValueError(f"feed {feed.name} has the name of a table of {made[feed.name]}; choose another")
        return feeds

    @model_validator(mode="after")
    def _fit_for_glue(self) -> Self:
        if self.engine != "glue":
            return self
        if self.dialect not in (None, "postgres"):
            raise ValueError(
                f"engine: glue reads PostgreSQL, and dialect is {self.dialect}: leave engine out, and workers of this "
                "platform read it"
            )
        if self.snapshot_max_age > LONGEST_JOB_RUN:
            raise ValueError(
                "snapshot_max_age is the time-out of a run with engine: glue, which is at most 7d: lower it"
            )
        return self

    @model_validator(mode="after")
    def _simulated_is_here(self) -> Self:
        if self.simulated and self.authority is not None:
            raise ValueError(
                "authority is for a server elsewhere, and a simulated one is on this machine; leave it out"
            )
        return self
