"""Glue crawlers of feeds with ``crawl: true``: made when they are missing, and compared with what AWS has.

A crawler that is there is never changed; what differs is a finding for people. It writes into a database that is for
crawlers alone, because Glue makes new tables and partitions even where it is to log changes only (Glue Developer
Guide, setting crawler configuration options), and would make guesses of a schema that is known.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from adplatform.engines.engine import Finding
from adplatform.failures import PermanentFailure
from adplatform.lake.crawled import ensure_database, root_of
from adplatform.lake.zones import Zones
from adplatform.platform.aws_errors import aws_failures
from adplatform.platform.names import OWNER_TAG
from adplatform.platform.settings import Settings

_LOG_ONLY = {"UpdateBehavior": "LOG", "DeleteBehavior": "LOG"}
# Glue Developer Guide, table level: the bucket is 1; then source and feed, or table-versions, source, feed and attempt.
_COPIES_LEVEL, _VERSIONS_LEVEL = 3, 5


@dataclass(frozen=True)
class DeclaredCrawler:
    """The crawler ``name`` of one table, that of ``feed`` (``<source>/<feed>``). It reads what is below ``path``, an S3
    URI, and writes into ``database``; ``level`` is that of the folders that are tables."""

    name: str
    feed: str
    role: str
    database: str
    path: str
    level: int

    @property
    def request(self) -> dict[str, Any]:
        """What CreateCrawler is asked for."""
        grouping = {"TableGroupingPolicy": "CombineCompatibleSchemas", "TableLevelConfiguration": self.level}
        return {
            "Name": self.name,
            "Role": self.role,
            "DatabaseName": self.database,
            "Description": f"Reads the files of {self.feed}, to be compared with what is registered.",
            "TablePrefix": self.feed.replace("/", "_") + "_",
            "Targets": {"S3Targets": [{"Path": self.path}]},
            "SchemaChangePolicy": _LOG_ONLY,
            "RecrawlPolicy": {"RecrawlBehavior": "CRAWL_EVERYTHING"},
            "Configuration": json.dumps({"Version": 1.0, "Grouping": grouping}),
            "Tags": {OWNER_TAG: self.feed.partition("/")[0]},
        }


def declared_crawler(settings: Settings, zones: Zones, feed: str, *, partitioned: bool) -> DeclaredCrawler:
    """The crawler of a table, which has partitions or not."""
    name = f"adplatform-crawl-{settings.database_prefix}{feed.replace('/', '-')}"
    database = f"crawled_{settings.database_prefix.rstrip('_')}"
    level = _COPIES_LEVEL if partitioned else _VERSIONS_LEVEL
    path = root_of(zones, feed, partitioned=partitioned)
    return DeclaredCrawler(name, feed, settings.crawler_role, database, path, level)


def provide(glue: Any, declared: DeclaredCrawler) -> bool:
    """Make the crawler and the database that it writes into; False when there is a crawler of its name already.

    Raises:
        PermanentFailure: Glue refuses it, for example because it cannot assume the role.
        TransientFailure: Glue does not answer at present.
    """
    with aws_failures(f"crawler {declared.name}"):
        ensure_database(glue, declared.database)
        try:
            glue.get_crawler(Name=declared.name)
        except glue.exceptions.EntityNotFoundException:
            pass
        else:
            return False
        try:
            glue.create_crawler(**declared.request)
        except glue.exceptions.AlreadyExistsException:
            return False
        except glue.exceptions.InvalidInputException as e:
            said = e.response["Error"].get("Message", "")
            raise PermanentFailure(
                f"crawler {declared.name} cannot be made: {said}. Its role is {declared.role}: let Glue assume it, or "
                "name another in ADPLATFORM_CRAWLER_ROLE"
            ) from e
    return True


def drift(declared: DeclaredCrawler, described: Mapping[str, Any]) -> Iterator[Finding]:
    """How a crawler differs from its declaration, with what to do. What would make it write elsewhere, or read
    something else, is fatal."""
    name, targets = declared.name, described.get("Targets") or {}
    again = "delete it, and `adplatform provision` makes it again"
    if described.get("DatabaseName") != declared.database:
        where = described.get("DatabaseName")
        yield Finding(f"crawler {name} writes into database {where}, and is to write into {declared.database}: {again}")
    paths = [target["Path"].rstrip("/") for target in targets.get("S3Targets") or ()]
    others = sorted(kind for kind, there in targets.items() if there and kind != "S3Targets")
    if paths != [declared.path.rstrip("/")] or others:
        what = ", ".join([*paths, *others]) or "nothing"
        yield Finding(f"crawler {name} reads {what}, and is to read {declared.path}: {again}")
    policy = described.get("SchemaChangePolicy") or {}
    if {key: policy.get(key) for key in _LOG_ONLY} != _LOG_ONLY:
        yield Finding(
            f"crawler {name} changes tables that are there: set its update and delete behavior to LOG", fatal=False
        )
    if json.loads(described.get("Configuration") or "{}") != json.loads(declared.request["Configuration"]):
        yield Finding(f"crawler {name} groups files into tables in another way: {again}", fatal=False)
    if str(described.get("Role", "")).rpartition("/")[2] != declared.role.rpartition("/")[2]:
        text = f"crawler {name} reads as {described.get('Role')}, and is declared with {declared.role}"
        yield Finding(text, fatal=False)
