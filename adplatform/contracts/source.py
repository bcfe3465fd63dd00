"""A source that delivers files: the settings that every file-bringing component shares."""

from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import Field, field_validator

from adplatform.contracts.cost import CostBudget
from adplatform.contracts.durations import Duration
from adplatform.contracts.feed import NAME, Feed
from adplatform.contracts.match_results import results_feed
from adplatform.contracts.orchestration import Owner, TagKey, TagValue
from adplatform.contracts.strict import Strict


class Topics(Strict):
    """SNS topics, by name or ARN, for a source whose messages go to other people than the platform's."""

    success: str | None = None
    """Where publications are reported; by default the platform's topic."""
    failure: str | None = None
    """Where failures are reported; by default the platform's topic."""


class Retention(Strict):
    """For how long the raw zone keeps values in clear, in whole days; null for ever. `adplatform provision` makes a
    lifecycle rule of the bucket of each."""

    quarantine: Duration | None = timedelta(days=90)
    """For how long quarantined rows are kept (90 days by default); `adplatform quarantine replay` makes them again from
    the originals."""
    archive: Duration | None = None
    """For how long the originals of published files are kept, by default for ever. A date whose originals are gone
    cannot be read again: neither replayed, nor brought to another hashing key, nor completed by a file that comes
    late."""
    exports: Duration | None = timedelta(days=30)
    """For how long files for ad platforms (``activations``) are kept (30 days by default); materializing their asset
    makes them again."""

    @field_validator("quarantine", "archive", "exports")
    @classmethod
    def _whole_days(cls, keep: timedelta | None) -> timedelta | None:
        if keep is not None and (keep % timedelta(days=1) or keep < timedelta(days=1)):
            raise ValueError("give whole days, 1d at least: lifecycle rules of S3 count days")
        return keep


RETENTION = Retention()
"""What a source keeps that says nothing of it."""
PLATFORM_TOPICS = Topics()
"""None of its own: messages go to the platform's topics."""


class FileSource(Strict):
    """A source and its feeds, as YAML declares them."""

    pattern: ClassVar[str] = "pushed"
    """The way in which its data comes."""
    takes_results: ClassVar[bool] = False
    """Whether what services find out about its tables can become feeds of it."""

    source: Annotated[str, Field(pattern=NAME)]
    """The source's name: lower-case letters, digits and ``_``; in asset keys, in the database and in S3 prefixes."""
    feeds: list[Feed] = Field(min_length=1)
    """The datasets that the source delivers."""
    owners: list[Owner] = Field(default_factory=list)
    """Owners of all assets: e-mail addresses, or ``team:<name>``."""
    tags: dict[TagKey, TagValue] = Field(default_factory=dict)
    """Tags of all assets."""
    check_every: int = Field(default=30, ge=1)
    """Seconds between two looks at what has arrived."""
    topics: Topics = PLATFORM_TOPICS
    """SNS topics for the source's messages; by default the platform's."""
    archive: Annotated[str, Field(pattern=r"^archive/([A-Za-z0-9._=-]+/)*$", max_length=256)] = "archive/"
    """The prefix below which published source files are kept, as ``<archive><source>/<feed>/dt=<date>/``."""

    retention: Retention = RETENTION
    """For how long quarantined rows and archived originals are kept."""
    budget: CostBudget | None = None
    """What the source may use a day and a month; by default what the platform allows each (`ADPLATFORM_BUDGET`)."""

    @field_validator("feeds")
    @classmethod
    def _named_once(cls, feeds: list[Feed]) -> list[Feed]:
        names = [feed.name for feed in feeds]
        for name in {n for n in names if names.count(n) > 1}:
            raise ValueError(f"feed {name} is declared twice")
        for feed in feeds:
            if not cls.takes_results and results_feed(feed) is not None:
                raise ValueError(f"feed {feed.name}: results come to a source of PartnerPush only; leave them out")
            for awaited in feed.consumers.awaited:
                if awaited == feed.name or awaited not in names:
                    other = "itself" if awaited == feed.name else f"{awaited}, which is no feed of the source"
                    raise ValueError(f"feed {feed.name} waits after {other}: name other feeds of this source")
        return feeds


class Sender(Strict):
    """Who pushes files from an AWS account of their own: a deployment makes a role for them, with which nothing can be
    done but to write into the source's landing zone."""

    account: Annotated[str, Field(pattern=r"^\d{12}$")]
    """Their AWS account, in quotes."""
    external_id: Annotated[str, Field(pattern=r"^[\w+=,.@:/-]+$", min_length=2, max_length=1224)] | None = None
    """What they have to say when they assume the role, where they act for several (IAM User Guide, "Access to AWS
    accounts owned by third parties")."""


class PushedSource(FileSource):
    """As YAML declares a partner that pushes files."""

    takes_results: ClassVar[bool] = True
    sender: Sender | None = None
    """Who pushes from an AWS account of their own; without it the deployment makes no role for the source."""

    @field_validator("feeds")
    @classmethod
    def _with_results(cls, feeds: list[Feed]) -> list[Feed]:
        """The feeds, and those that results of matching become."""
        every = {feed.name: feed for feed in feeds}
        for found in filter(None, map(results_feed, feeds)):
            if every.setdefault(found.name, found) != found:
                raise ValueError(f"feed {found.name} is declared, and is the name of results, too: call them otherwise")
        return list(every.values())
