"""What is checked: the settings of one task, and what is known of its surroundings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from adplatform.engines.dms_settings.defaults import S3_SETTINGS, SOURCE_OBJECTS, SOURCE_SETTINGS, TASK_SETTINGS
from adplatform.engines.dms_settings.mappings import TableMappings
from adplatform.engines.dms_settings.sections import Section, as_object, section, with_attributes
from adplatform.engines.dms_settings.sources import Source
from adplatform.failures import PermanentFailure

FULL_LOAD, CHANGES, BOTH = "full-load", "cdc", "full-load-and-cdc"
START, RESUME, RELOAD = "start-replication", "resume-processing", "reload-target"


@dataclass(frozen=True)
class SourceEndpoint:
    """``engine`` as DMS names it."""

    engine: str
    settings: Section

    @property
    def is_postgres(self) -> bool:
        return SOURCE_OBJECTS.get(self.engine) == "PostgreSQLSettings"


@dataclass(frozen=True)
class OtherTask:
    """Another task that writes to S3."""

    name: str
    bucket: str
    folder: str
    mappings: TableMappings


@dataclass(frozen=True)
class Bucket:
    """``cleaned`` when a lifecycle rule deletes versions that are not current."""

    name: str
    versioned: bool
    cleaned: bool


@dataclass(frozen=True)
class Reload:
    """A load that DMS says it made anew, of one table or of the task."""

    what: str
    at: datetime


@dataclass(frozen=True)
class Operation:
    """How the task runs and is to be run. ``start`` is how it is about to be started, empty if nobody says;
    ``position`` where changes start, ``last_change`` when the newest change was committed that is applied already;
    ``generation`` when the generation of loads was opened that files belong to. ``watched`` when somebody is told of
    tables in error."""

    start: str = ""
    position: str = ""
    last_change: datetime | None = None
    generation: datetime | None = None
    reloads: Sequence[Reload] = ()
    watched: bool = False


@dataclass(frozen=True)
class Checked:
    """The settings of one task. What is None was not looked at."""

    target: Section
    task: Section
    mappings: TableMappings
    migration: str = BOTH
    endpoint: SourceEndpoint | None = None
    source: Source | None = None
    bucket: Bucket | None = None
    others: Sequence[OtherTask] | None = None
    operation: Operation = field(default_factory=Operation)

    @property
    def loads(self) -> bool:
        return self.migration != CHANGES

    @property
    def changes(self) -> bool:
        return self.migration != FULL_LOAD

    @property
    def csv(self) -> bool:
        return self.target.text("DataFormat") == "csv"

    @property
    def folder(self) -> str:
        return self.target.text("BucketFolder").strip("/")


def target_section(document: str, found: object) -> Section:
    """The settings of a target endpoint, of a description of it, or of its S3Settings alone.

    Raises:
        PermanentFailure: it is the endpoint of another engine.
    """
    content = as_object(found)
    engine = _member(content or {}, "EngineName")
    if isinstance(engine, str) and engine != "s3":
        raise PermanentFailure(f"{document}: the target endpoint is of engine {engine!r}; only s3 can be checked")
    whole = content is not None and any(each.casefold() in _MEMBERS for each in content)
    if content is None or not whole:
        return section(document, "$", {} if found is None else found, S3_SETTINGS)
    settings = section(document, "$.S3Settings", _member(content, "S3Settings"), S3_SETTINGS)
    return with_attributes(settings, _member(content, "ExtraConnectionAttributes"))


def source_endpoint(document: str, endpoint: Mapping[str, Any]) -> SourceEndpoint:
    """The settings of a source endpoint, of a description of it."""
    engine = str(_member(endpoint, "EngineName") or "").lower()
    member = SOURCE_OBJECTS.get(engine, "")
    settings = section(document, f"$.{member}", _member(endpoint, member) if member else None, SOURCE_SETTINGS)
    return SourceEndpoint(engine, with_attributes(settings, _member(endpoint, "ExtraConnectionAttributes")))


def task_section(document: str, found: object) -> Section:
    """Task settings, as an object or a text."""
    return section(document, "$", {} if found is None else found, {}, TASK_SETTINGS)


_MEMBERS = ("s3settings", "extraconnectionattributes", "enginename", "endpointarn", "endpointidentifier")


def _member(content: Mapping[str, Any], name: str) -> Any:
    return next((value for each, value in content.items() if each.casefold() == name.casefold()), None)
