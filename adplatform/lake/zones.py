"""Where everything lies: the keys of the raw zone and the clean zone, and the encryption every write asks for."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from adplatform.contracts.column import DELIVERY_DATE
from adplatform.ledger.rows import digest
from adplatform.transform.partition_values import escape

_ESCAPE = re.compile("%([0-9A-F]{2})")
_CARRIED = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}-[0-9]{4,}-")
"""How the token of an attempt begins: date and version."""


ENGINE_WORK = "prepared/spark/"
"""The prefix of the raw bucket below which are plans for engines that transform deliveries, and what these make."""
QUERY_RESULTS = "query-results/"
"""The prefix of the raw bucket below which Amazon Athena writes what queries of a workgroup of ours have found."""
QUARANTINE = "quarantine/"
"""The prefix of the raw bucket below which rows that broke a contract are kept, and nothing else."""


@dataclass(frozen=True)
class Zones:
    """One bucket for raw data, one for clean. ``feed`` is always ``"<source>/<feed>"``.

    Every prefix ends with ``/``, so that work on one feed never touches another whose name merely starts alike.
    ``kms_key_id`` None encrypts with the key that AWS manages for S3, ``quarantine_key_id`` None the quarantine with
    the same key as all else.
    """

    raw_bucket: str
    clean_bucket: str
    kms_key_id: str | None = None
    quarantine_key_id: str | None = None

    @property
    def put_arguments(self) -> dict[str, str]:
        """What every S3 write passes outside of the quarantine: server-side encryption with KMS."""
        return _encrypted(self.kms_key_id)

    def arguments_of(self, bucket: str, key: str) -> dict[str, str]:
        """What a write to this key passes. The quarantine has values in clear and may have a KMS key of its own: who is
        refused that one reads nothing of it."""
        own = self.quarantine_key_id if bucket == self.raw_bucket and key.startswith(QUARANTINE) else None
        return _encrypted(own or self.kms_key_id)

    @staticmethod
    def landing(source: str) -> str:
        """The only prefix that the source may write."""
        return f"landing/{source}/"

    @staticmethod
    def exports(destination: str, source: str) -> str:
        """Where files of hashed identifiers lie that an ad platform is to get."""
        return f"{EXPORTS}{destination}/{source}/"

    @staticmethod
    def slices(source: str) -> str:
        """Where files that the platform itself makes wait to be published."""
        return f"slices/{source}/"

    @staticmethod
    def documents(source: str) -> str:
        """Where reports that were asked for are kept as they were received."""
        return f"reports/{source}/"

    @staticmethod
    def task_reports(source: str) -> str:
        """Where the tasks of DataSync that are made for the source report what they copied."""
        return f"task-reports/{source}/"

    @staticmethod
    def extract_manifests(source: str, target: str) -> str:
        """Where each reading of our own workers says what it wrote."""
        return f"extracts/{source}/{target}/"

    @staticmethod
    def extract_plans(source: str, target: str) -> str:
        """Where jobs of Glue find what they have to read."""
        return f"extract-plans/{source}/{target}/"

    @staticmethod
    def sftp_listings(source: str) -> str:
        """Where connectors of Transfer Family list the folders of a server."""
        return f"listings/{source}/"

    @staticmethod
    def sftp_transfers(source: str) -> str:
        """Where connectors of Transfer Family put files, a folder for each transfer, before they are landed."""
        return f"transfers/{source}/"

    @staticmethod
    def fetch_plans(source: str) -> str:
        """Where it is kept what is to be fetched from a server, and what was."""
        return f"fetch-plans/{source}/"

    @staticmethod
    def fetched(source: str) -> str:
        """Where it is remembered which files of a server were fetched."""
        return f"fetched/{source}/"

    @staticmethod
    def unloads(feed: str, name: str) -> str:
        """Where results of a query of a table are stored in the clean bucket, each time below a prefix of its own."""
        return f"table-unloads/{feed}/{name}/"

    @staticmethod
    def matches(feed: str) -> str:
        """Where AWS Entity Resolution writes which rows of a table it matched."""
        return f"matches/{feed}/"

    @staticmethod
    def query_results(feed: str) -> str:
        """Where Amazon Athena writes results of queries of a table's workgroup."""
        return f"{QUERY_RESULTS}{feed}/"

    @staticmethod
    def features(feed: str) -> str:
        """Where Feature Store of Amazon SageMaker keeps the offline store of a table's feature group."""
        return f"features/{feed}/"

    @staticmethod
    def engine_work_of(source: str) -> str:
        """Below it lie the plans for engines that transform deliveries of a source, and what their runs make."""
        return f"{ENGINE_WORK}{source}/"

    @staticmethod
    def engine_work(owner: str, key: str) -> str:
        """Where the plan for an intention of an engine's target is, and below which its runs write what they make of
        files."""
        return f"{Zones.engine_work_of(owner.partition('/')[0])}{digest(owner, key)}/"

    def prepared(self, feed: str, day: date) -> str:
        return _day("prepared", feed, day)

    def archive(self, feed: str, day: date, below: str = "archive/") -> str:
        return _day(below.rstrip("/"), feed, day)

    @staticmethod
    def archive_of(feed: str, below: str = "archive/") -> str:
        """Below it lies the archive of all dates of a feed."""
        return f"{below}{feed}/"

    def quarantine(self, feed: str, day: date) -> str:
        return _day(QUARANTINE.rstrip("/"), feed, day)

    @staticmethod
    def quarantine_of(source: str) -> str:
        """Below it lies all that broke the contracts of a source."""
        return f"{QUARANTINE}{source}/"

    def manifests(self, feed: str, day: date) -> str:
        return _day("manifests", feed, day)

    def claims(self, feed: str, day: date) -> str:
        return _day("claims", feed, day)

    def publications(self, feed: str, day: date) -> str:
        return _day("publications", feed, day)

    @staticmethod
    def folds(feed: str) -> str:
        """Where it is kept what the merges of a table came to."""
        return f"folds/{feed}/"

    def merge(self, feed: str, number: int) -> str:
        """How the keys of what the tries of one merge came to begin."""
        return f"{self.folds(feed)}{number:06}-"

    def manifests_of(self, feed: str) -> str:
        """Below it lie the manifests of all dates of a feed, or of all scopes of a table."""
        return f"manifests/{feed}/"

    @staticmethod
    def erasure(source: str, erasure: str) -> str:
        """Where the receipt of an erasure is."""
        return f"erasures/{source}/{erasure}.json"

    def clean(self, feed: str) -> str:
        """The root of the feed's table, with a copy of what its partitions show now (``adplatform.lake.path_copy``)."""
        return f"{feed}/"

    def versions(self, feed: str) -> str:
        """Below it lies one prefix per publish attempt. No source has a name with a hyphen."""
        return f"table-versions/{feed}/"

    def slice_lists(self, feed: str) -> str:
        """Below it lie the lists of the slices that partitions of a table partitioned by a column show."""
        return f"table-slices/{feed}/"

    def entries(self, feed: str) -> str:
        """Below it lie the lists of what the partitions of an Iceberg table show."""
        return f"table-entries/{feed}/"

    def version(self, feed: str, token: str) -> str:
        """The location of one attempt. It has no ``=``, which readers of paths would take for one more column."""
        return f"{self.versions(feed)}{token}/"

    def lasting_name(self, feed: str, key: str) -> str:
        """What a file below :meth:`version` is called wherever it is copied: where it was written is part of it."""
        token, *_, name = key.removeprefix(self.versions(feed)).split("/")
        return name if _CARRIED.match(name) else f"{token}-{name}"

    def raw_uri(self, key: str) -> str:
        return f"s3://{self.raw_bucket}/{key}"

    def clean_uri(self, key: str) -> str:
        return f"s3://{self.clean_bucket}/{key}"

    def clean_key(self, uri: str) -> str:
        """The key of a URI in the clean bucket."""
        return uri.removeprefix(f"s3://{self.clean_bucket}/")


MAX_KEY = 1024
"""Bytes of UTF-8 in a key (S3 user guide, object key naming)."""


def file_key(folder: str, name: str) -> str:
    """The key of a file in a folder that is its own. Where S3 takes no such key, the name loses its beginning."""
    room = MAX_KEY - len(folder.encode())
    return folder + name.encode()[-room:].decode(errors="ignore")


EXPORTS = "exports/"
"""The top folder of the raw bucket whose folders are called as destinations, and only below these as sources."""
JOINT = "\x1f"
"""Between the values of a partition that has two. The first is a date, so what follows the first one is the second."""


def partition_path(column: str, value: str) -> str:
    """``column=value/`` with the value escaped as Hive escapes it."""
    return f"{column}={escape(value)}/"


def partition_value(folder: str) -> str:
    """The value of a folder as :func:`partition_path` names it."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), folder.rstrip("/").partition("=")[2])


def partition_values(value: str, columns: int) -> list[str]:
    """The values, one per column, that ``JOINT`` joins. The value of an only column may hold any character."""
    return value.split(JOINT, columns - 1)


def partition_folder(columns: Sequence[str], value: str) -> str:
    """The folder of a partition with one or more columns; their values are joined by ``JOINT``."""
    values = partition_values(value, len(columns))
    return "".join(partition_path(column, part) for column, part in zip(columns, values, strict=True))


def _encrypted(key_id: str | None) -> dict[str, str]:
    encryption = {"ServerSideEncryption": "aws:kms"}
    return encryption if key_id is None else {**encryption, "SSEKMSKeyId": key_id}


def _day(zone: str, feed: str, day: date) -> str:
    return f"{zone}/{feed}/{partition_path(DELIVERY_DATE, day.isoformat())}"
