"""A feed: one dataset of a source, with its contract, its landing layout and its arrival rule."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from adplatform.contracts.activation import NO_ACTIVATIONS, DeclaredActivations
from adplatform.contracts.consumers import NO_CONSUMERS, DeclaredConsumers
from adplatform.contracts.durations import Duration
from adplatform.contracts.limits import Limits
from adplatform.contracts.model import Contract, TableFormat
from adplatform.contracts.orchestration import Cron, FreshWithin
from adplatform.contracts.presets import resolved_feed
from adplatform.contracts.strict import Names, Strict
from adplatform.contracts.usual_volume import DeclaredUsualVolume, require_comparable

NAME = r"^[a-z][a-z0-9_]{0,62}$"
LOAD = "{load}"
"""What stands for a load's id in templates of keys."""


def require_crawlable(table_format: TableFormat) -> None:
    """
    Raises:
        ValueError: a crawler would take the table's files for tables of their own, those of earlier versions too.
    """
    if table_format == "iceberg":
        raise ValueError(
            "crawl is for table_format: parquet: an Iceberg table says itself which files are its own, and a crawler "
            "would find those of earlier versions too; leave one of the two out"
        )


class Arrival(Strict):
    """When a delivery is complete."""

    complete_when: Literal["quiet", "count", "done_file", "manifest", "load_marker", "engine"] = "quiet"
    """``manifest`` waits for the files that a manifest lists, ``done_file`` for a marker, ``count`` for
    ``expected_files``, each going on at once when met; ``quiet`` waits until no object came for ``quiet_period``.
    ``load_marker`` takes the files of loads of which the marker has come. ``engine``, where an engine writes the files,
    takes what its ended runs wrote."""
    quiet_period: Duration = timedelta(minutes=5)
    """For ``quiet``: how long no new object must come."""
    max_wait: Duration = timedelta(hours=2)
    """For ``quiet``: how long after its first object a delivery that never falls quiet counts as complete."""
    expected_files: int | None = Field(default=None, ge=1)
    """For ``count``: how many files a delivery has."""
    done_file: str = "_SUCCESS"
    """For ``done_file``: the name of the marker."""
    manifest: str = "manifest.json"
    """For ``manifest``: the name of the manifest."""
    load_marker: str = ""
    """For ``load_marker``: where the marker of a load lies below the source's prefix, made of ``{load}`` and ``*``, as
    in ``shop/_dlt_loads/crm__{load}.jsonl``. It may be that of several feeds, and stays where it is."""
    loads: Literal["all", "newest"] = "all"
    """For ``load_marker``: which of a date's loads its delivery has, ``all`` (default) where each adds rows, or the
    ``newest`` that brought files, where each is whole."""
    aside: Names = ()
    """What else the sender writes for itself, as patterns of keys below the source's prefix, such as ``*/init``: it is
    no file of any feed, and nobody is told."""
    deadline: Duration | None = None
    """How long after the end of the delivery date (UTC) the delivery must be there; later is a failed check and a
    message. By default nothing is expected."""
    accept_late: Duration | None = None
    """How long after the end of its date (UTC) an object of the delivery may still be written, by the object's own
    LastModified; null, the default, accepts any age."""
    accept_early: Duration | None = timedelta(days=2)
    """How long before the begin of its date (UTC) an object may be written, by the same measure; null accepts any."""
    withdrawn: Literal["publish", "leave_out"] = "publish"
    """A file that its sender deletes before its delivery settles: publish it from the version that the bucket keeps, or
    leave it out, which lists the delivery's folder once more before it settles."""

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.complete_when == "count" and self.expected_files is None:
            raise ValueError("complete_when: count needs expected_files")
        if self.complete_when == "engine" and self.withdrawn != "publish":
            raise ValueError("withdrawn: leave_out is for files that a sender lands; an engine's runs say what counts")
        if self.complete_when == "load_marker":
            if self.load_marker.count(LOAD) != 1:
                raise ValueError(f"complete_when: load_marker needs load_marker, a template with {LOAD} once")
            if self.withdrawn != "publish":
                raise ValueError("withdrawn: leave_out is not for load_marker: a load with its marker counts whole")
        return self


_BROUGHT: Mapping[str, Any] = {"complete_when": "engine", "accept_early": None}


def _by_an_engine(given: Any) -> Any:
    return {**_BROUGHT, **given} if isinstance(given, Mapping) else given


BROUGHT = Arrival(**_BROUGHT)
"""When a delivery is complete that an engine brings: by what its ended runs wrote."""
Brought = Annotated[Arrival, BeforeValidator(_by_an_engine)]
"""An arrival rule that is this one where it says nothing else."""


class Pgp(Strict):
    """How a sender encrypts. Keys are named here and fetched from Secrets Manager when a run needs them."""

    private_keys: tuple[str, ...] = Field(min_length=1)
    """Secrets with our private keys; several while a sender moves to a new one. Each holds one key as
    ``gpg --armor --export-secret-keys`` writes it, or JSON, ``{"key": ..., "passphrase": ...}``."""
    signers: tuple[Annotated[str, Field(pattern=r"^[0-9A-F]{40}$")], ...] = ()
    """Full fingerprints (40 hexadecimal digits) of the keys that may sign; by default those in ``signer_keys``."""
    signer_keys: tuple[str, ...] = ()
    """Secrets with the sender's public keys, each as ``gpg --armor --export`` writes it."""
    allow_unsigned: bool = False
    """Whether unsigned files are taken; a signature that is there must be good all the same."""

    @model_validator(mode="after")
    def _someone_signs(self) -> Self:
        if not self.signer_keys and (self.signers or not self.allow_unsigned):
            raise ValueError("signer_keys names no secret with the sender's public key; or set allow_unsigned: true")
        return self


class Feed(Contract):
    """One dataset of a source: its contract, and how and when its files arrive."""

    name: Annotated[str, Field(pattern=NAME)]
    """The feed's name, and the table's: lower-case letters, digits and ``_``."""
    # Glue takes 2,048 characters (Glue web API, DescriptionString).
    description: str = Field(default="", max_length=2048)
    """What the feed holds, in a sentence; the assets and the table show it."""
    start_date: date
    """The first delivery date; files of earlier dates are refused."""
    landing: str = "{feed}/dt={date}/{file}"
    """Where files lie below the source's own prefix, made of ``{feed}``, ``{date}`` (or ``{date:%Y%m%d}``), ``{file}``
    and ``*``. Without ``{date}`` a file belongs to the day (UTC) of its upload; with ``{load}``, the id of a load, to
    the day (UTC) on which that began: its id is the time in seconds since 1970."""
    arrival: Arrival = Arrival()
    """When a delivery is complete, when it is due, and how late or early it may come."""
    schedule: Cron | None = None
    """A cron line (UTC) for a feed that is processed at set times; by default a delivery is processed once it is
    complete."""
    fresh_within: FreshWithin | None = timedelta(hours=36)
    """The table counts as stale when nothing was published for this long; null never."""
    usual_volume: DeclaredUsualVolume = None
    """Whether the clean rows of a date are compared with the median of earlier ones of the same weekday, ``true`` or
    with settings, such as ``{within: 30%, holidays: [DE]}``. What is unusual is a warning; by default nobody looks."""
    pgp: Pgp | None = None
    """How the files are encrypted and signed; by default they are not."""
    crawl: bool = False
    """Whether a Glue crawler reads the table's files after a publication, and what it finds is compared with what is
    registered; `adplatform provision` makes the crawler."""
    consumers: DeclaredConsumers = NO_CONSUMERS
    """Which services read the table, as a list of names or with settings: ``athena``, ``clean_rooms``,
    ``entity_resolution``, ``quicksight``, ``redshift``, ``sagemaker``. What one of them could not read is found by
    `adplatform validate` and, of the values, in a check with each publication."""
    activations: DeclaredActivations = NO_ACTIVATIONS
    """Ad platforms for which files of hashed identifiers are made of the table, as a list of names or with settings:
    ``amazon_ads``, ``amc``, ``google``, ``meta``."""
    limits: Limits = Limits()
    """What a delivered file may grow to when it is decrypted, unpacked and read."""
    bad_file: Literal["refuse", "quarantine"] = "refuse"
    """A file that is damaged, unreadable or breaks the layout: refuse the delivery, or go on without the file."""
    engine: Literal["auto", "duckdb", "spark"] = "auto"
    """Where a delivery is transformed, and changes are merged: ``duckdb`` on the machine of its run, ``spark`` by a job
    of the Spark that the platform has (``ADPLATFORM_SPARK``); ``auto`` has Spark do what outgrows the machine, where
    there is one."""
    duplicate_content: Literal["ignore", "refuse", "allow"] = "ignore"
    """A file with the bytes of another of its date, under another name: ``ignore`` (default) leaves it out and says so,
    ``refuse`` treats it as a bad file, ``allow`` reads it like any other. With a ``key`` it is read unless it is to be
    refused, since its rows are known by that."""
    duplicate_days: int = Field(default=0, ge=0, le=400)
    """In how many dates before its own a file's bytes are looked for, too; by default in none, as a file that is whole
    each day may be the same on two."""

    @model_validator(mode="before")
    @classmethod
    def _landed_as_preset_says(cls, given: Any) -> Any:
        return resolved_feed(given)

    @model_validator(mode="after")
    def _has_the_loads_it_waits_for(self) -> Self:
        if self.arrival.complete_when == "load_marker" and LOAD not in self.landing:
            raise ValueError(f"complete_when: load_marker needs {LOAD} in landing, which says what load a file is of")
        return self

    @model_validator(mode="after")
    def _crawled_as_it_is_kept(self) -> Self:
        if self.crawl:
            require_crawlable(self.table_format)
        return self

    @model_validator(mode="after")
    def _is_compared_as_it_comes(self) -> Self:
        require_comparable(self.usual_volume, self.schedule)
        return self

    @property
    def contract(self) -> Contract:
        return Contract.model_construct(**{name: getattr(self, name) for name in Contract.model_fields})
