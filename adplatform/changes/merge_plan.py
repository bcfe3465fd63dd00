"""What a job of Spark that makes a merge is given, and what it leaves: two JSON documents in the raw zone, as those of
``adplatform.transform.job_plan``."""

from datetime import date
from typing import Literal

from adplatform.changes.arrived import Change
from adplatform.changes.merging import Merging
from adplatform.transform.job_plan import Document, WrittenFile


class BaseBucket(Document):
    """The URIs of the files of a bucket; "" where there are none."""

    number: int
    rows: str = ""
    deleted: str = ""


class EndedFile(Document):
    """A file of versions of rows that ended before, and the date of the merge that closed them."""

    day: date
    uri: str


class MergePlan(Document):
    """A merge of the table ``name`` that comes as its ``number``, planned as ``fold`` says. It takes ``changes``, whose
    files are below the URI ``clean``; ``every`` are all that there are, for rows to which one came late. ``base`` is
    the table from before, of which with ``whole`` every bucket is looked at. ``present`` are files with the keys of a
    complete reading, and ``shown`` those with the deleted rows that readers see, None where these are of the ``base``.
    ``ended`` are those with versions that ended before, which with ``beyond`` may go beyond a load. Buckets are spread
    over so many ``shards``, each of which is the work of one task."""

    work: Literal["merge"] = "merge"
    name: str
    number: int
    fold: str
    merging: Merging
    clean: str
    changes: tuple[Change, ...]
    every: tuple[Change, ...] = ()
    base: tuple[BaseBucket, ...] = ()
    whole: bool = False
    present: tuple[str, ...] = ()
    shown: tuple[str, ...] | None = None
    ended: tuple[EndedFile, ...] = ()
    beyond: bool = False
    shards: int = 1
    region: str = "us-east-1"


class MergedBucket(Document):
    """The files of a bucket that was looked at. One that ``stays`` is that of the plan, if there was any."""

    number: int
    rows: WrittenFile | None = None
    deleted: WrittenFile | None = None
    rows_stay: bool = False
    deleted_stay: bool = False


class EndedRows(Document):
    """What is left of a file of versions that ended before without those of rows that were made anew: all its ``rows``,
    or those in ``left``, if there are any."""

    file: EndedFile
    rows: int
    stays: bool
    left: WrittenFile | None = None


class MergeResult(Document):
    """What a merge came to. Counts are of rows, as ``adplatform.changes.state.Counts`` has them. With a ``failure``
    nothing else is there."""

    buckets: tuple[MergedBucket, ...] = ()
    closed: tuple[WrittenFile, ...] = ()
    ended: tuple[EndedRows, ...] = ()
    revived: tuple[WrittenFile, ...] = ()
    changes: int = 0
    applied: int = 0
    superseded: int = 0
    unplaced: int = 0
    rebuilt: int = 0
    implied: int = 0
    failure: str = ""
    """What forbids the merge, for people, without content: two changes contradict each other for example."""

    @property
    def files(self) -> tuple[WrittenFile, ...]:
        """All files that it names."""
        of_buckets = (file for bucket in self.buckets for file in (bucket.rows, bucket.deleted))
        several = (*of_buckets, *self.closed, *(each.left for each in self.ended), *self.revived)
        return tuple(file for file in several if file is not None)
