"""Services that read a feed's table, and what each of them may have of it."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from adplatform.contracts.clean_rooms import CleanRooms
from adplatform.contracts.entity_resolution import EntityResolution
from adplatform.contracts.sizes import Size
from adplatform.contracts.strict import Names, Strict, by_name
from adplatform.contracts.workloads import Awaiting, Queries, Query

LEAST_SCAN_LIMIT = 10_000_000
"""Bytes, as API_WorkGroupConfiguration of Athena takes it."""
_NAME = r"^[a-z][a-z0-9_]{0,126}$"
_QUALIFIED = r"^([a-z_][a-z0-9_]{0,126}\.)?[a-z_][a-z0-9_]{0,126}$"


class Athena(Awaiting):
    """The table as Amazon Athena reads it."""

    scan_limit: Annotated[Size, Field(ge=LEAST_SCAN_LIMIT)] | None = None
    """What one query of the workgroup may scan, such as ``100GB``; by default nothing is limited."""
    views: Mapping[Annotated[str, Field(pattern=_NAME)], Query] = Field(default_factory=dict)
    """Views beside the table, by name, each a SELECT in Athena's SQL."""
    unloads: Queries = Field(default_factory=dict)
    """Queries by name, each a SELECT in Athena's SQL, whose results are stored as Parquet after each publication.
    ``{table}`` stands for the table; one with ``{date}`` is run for each date that was published."""


class Redshift(Awaiting):
    """The table as Amazon Redshift Spectrum reads it, by an external schema."""

    external_schema: Annotated[str, Field(pattern=_NAME)] | None = None
    """The external schema; by default it is called as the database of the catalog."""
    grants: tuple[Annotated[str, Field(pattern=r"^(role|group|user):.+$")], ...] = ()
    """Who may read it: ``role:<name>``, ``group:<name>`` or ``user:<name>``."""
    refresh: Annotated[tuple[Annotated[str, Field(pattern=_QUALIFIED)], ...], Field(max_length=40)] = ()
    """Materialized views that are refreshed after each publication, as ``<name>`` or ``<schema>.<name>``."""


class SageMaker(Awaiting):
    """The table in Amazon SageMaker: by itself as an input of processing jobs, or as a feature group."""

    record_id: str | None = None
    """The column that identifies a record of the feature group."""
    event_time: str | None = None
    """The column, a timestamp, that says as of when a record is."""
    features: Names = ()
    """The columns that are features beside those two; by default all but those that the platform adds and personal ones
    that are not hashed."""

    pipeline: Annotated[str, Field(pattern=r"^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,255}$")] | None = None
    """A pipeline of SageMaker that is executed after each publication."""
    parameters: Mapping[str, str] = Field(default_factory=dict)
    """The pipeline's parameters; ``{table}`` stands for the table. With ``{date}`` in one it is executed for each date
    that was published."""

    @model_validator(mode="after")
    def _executed(self) -> Self:
        if self.parameters and self.pipeline is None:
            raise ValueError("parameters are those of pipeline, which is missing")
        return self

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.record_id is None) != (self.event_time is None) or (self.features and self.record_id is None):
            raise ValueError("a feature group has record_id and event_time; give both, or neither and no features")
        return self


class QuickSight(Awaiting):
    """The table as a data set of Amazon QuickSight, imported into SPICE."""

    columns: Names = ()
    """The columns of the data set, as the table calls them; by default all but those that the platform adds and
    personal ones that are not hashed."""
    refresh: Literal["published", "hourly", "daily", "weekly", "monthly"] = "published"
    """When the data set is imported: after each publication, or by a schedule."""


ConsumerName = Literal["clean_rooms", "entity_resolution", "athena", "redshift", "sagemaker", "quicksight"]
Consumer = CleanRooms | EntityResolution | Athena | Redshift | SageMaker | QuickSight


class Consumers(Strict):
    """Which services read the table, each with its settings."""

    clean_rooms: CleanRooms | None = None
    """AWS Clean Rooms: work with other companies' tables without showing rows."""
    entity_resolution: EntityResolution | None = None
    """AWS Entity Resolution: find the rows that are of one person."""
    athena: Athena | None = None
    """Amazon Athena: queries in SQL."""
    redshift: Redshift | None = None
    """Amazon Redshift: queries beside the tables of a warehouse."""
    sagemaker: SageMaker | None = None
    """Amazon SageMaker: training and features."""
    quicksight: QuickSight | None = None
    """Amazon QuickSight: dashboards."""

    @property
    def declared(self) -> Mapping[ConsumerName, Consumer]:
        """The settings of those that are declared."""
        each = {name: getattr(self, name) for name in get_args(ConsumerName)}
        return {name: settings for name, settings in each.items() if settings is not None}

    @property
    def awaited(self) -> frozenset[str]:
        """The feeds that work of these services waits for."""
        each = (settings.after for settings in self.declared.values() if isinstance(settings, Awaiting))
        return frozenset(name for names in each for name in names)

    @model_serializer(mode="wrap")
    def _as_declared(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without the others: a name without settings stands for a consumer, too."""
        return {name: settings for name, settings in whole(self).items() if settings is not None}


DeclaredConsumers = Annotated[
    Consumers, BeforeValidator(by_name, json_schema_input_type=Consumers | list[ConsumerName])
]
NO_CONSUMERS = Consumers()
