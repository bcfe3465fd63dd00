"""What a job of Spark is given, and what it leaves: two JSON documents in the raw zone, between the platform and
``adplatform.jobs.spark``. Neither has a key, a password or a value of a row."""

from collections.abc import Mapping
from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict

from adplatform.contracts.limits import Limits
from adplatform.contracts.model import Contract
from adplatform.contracts.schema_change import SchemaChange
from adplatform.files.bad_file import Reason
from adplatform.transform.values import FileCount, FooterLikeRows, RefusedFile, Withheld

PLAN = "--plan"
"""The argument of a run that names the place of its :class:`JobPlan`."""
OUTPUT = "--output"
"""The argument that names the prefix for what it writes, which is empty before and ends with ``/``."""
RESULT = "result.json"
"""Below that prefix, written last: without it a run has brought nothing."""


class Document(BaseModel):
    """One that is written once, and has nothing that is not declared."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PlannedFile(Document):
    """One object of a delivery. ``uri`` is where it is read, decrypted, ``version`` which of its versions ("" where the
    bucket keeps none); ``origin`` is what tables and messages call it, ``size`` its bytes, and ``received`` those of
    the encrypted original, where there was one."""

    uri: str
    version: str = ""
    origin: str
    ordinal: int
    size: int
    received: int | None = None


class JobPlan(Document):
    """What to transform. ``key_secret`` is where the hashing key is, whose id is ``key_id``, None where the contract
    hashes nothing; with ``previous_key_id`` digests under that one stand beside. ``reserved`` are names that the table
    has beside the contract's columns. A bad file ends the job, or with ``bad_file: quarantine`` is left out and
    reported."""

    work: Literal["transform"] = "transform"
    contract: Contract
    day: date
    files: tuple[PlannedFile, ...]
    limits: Limits = Limits()
    bad_file: Literal["refuse", "quarantine"] = "refuse"
    reserved: tuple[str, ...] = ()
    key_secret: str | None = None
    key_id: str | None = None
    previous_key_id: str | None = None
    region: str = "us-east-1"


class WrittenFile(Document):
    """A Parquet file that a job wrote. ``partition`` is the partition's value, "" when there is none. ``addresses`` is
    how many rows hold an e-mail address, by column that is not personal, None where the job has not searched it."""

    uri: str
    size: int
    rows: int
    partition: str = ""
    addresses: Mapping[str, int] | None = None


class ReportedFile(Document):
    """A file that is bad, as ``adplatform.files.bad_file.BadFile``."""

    origin: str
    reason: Reason
    message: str
    changes: tuple[SchemaChange, ...] = ()


class JobResult(Document):
    """What became of the files, as ``adplatform.transform.values.Staged``, with ``contract`` as it is with the columns
    that ``schema_policy: evolve`` took in. ``sha256`` has that of each file as it was delivered, by origin, and
    ``skipped`` the members of archives that were not read.

    With ``bad`` files under ``bad_file: refuse``, or a ``failure``, which concerns all files, nothing else is there.
    """

    contract: Contract
    clean: tuple[WrittenFile, ...] = ()
    quarantine: tuple[WrittenFile, ...] = ()
    counts: tuple[FileCount, ...] = ()
    reasons: Mapping[str, int] = {}
    refused: tuple[RefusedFile, ...] = ()
    bad: tuple[ReportedFile, ...] = ()
    line_breaks: int = 0
    withheld: tuple[Withheld, ...] = ()
    evolved: tuple[str, ...] = ()
    lacking: Mapping[str, int] = {}
    changes: tuple[SchemaChange, ...] = ()
    footers: tuple[FooterLikeRows, ...] = ()
    emptied: Mapping[str, int] = {}
    sha256: Mapping[str, str] = {}
    skipped: Mapping[str, int] = {}
    failure: str = ""
    """What forbids the transform, for people, without content: the contract cannot be computed for example."""
