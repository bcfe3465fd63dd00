"""What the stand-in of QuickSight remembers: data sources, data sets, their schedules and ingestions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from moto.core.base_backend import BaseBackend
from moto.core.exceptions import ServiceException

KEPT = timedelta(days=90)
"""How long ingestions are listed."""
ENDED = frozenset({"COMPLETED", "FAILED", "CANCELLED"})
_OF_SOURCES = ("DescribeDataSource", "DescribeDataSourcePermissions", "PassDataSource")
_OF_SETS = ("DescribeDataSet", "DescribeDataSetPermissions", "PassDataSet", "DescribeIngestion", "ListIngestions")
ACTIONS: Mapping[str, tuple[frozenset[str], ...]] = {
    kind: tuple(frozenset(f"quicksight:{action}" for action in actions) for actions in sets)
    for kind, sets in {
        "datasource": (
            _OF_SOURCES,
            (*_OF_SOURCES, "UpdateDataSource", "DeleteDataSource", "UpdateDataSourcePermissions"),
        ),
        "dataset": (
            _OF_SETS,
            (
                *(*_OF_SETS, "UpdateDataSet", "DeleteDataSet", "UpdateDataSetPermissions"),
                *("CreateIngestion", "CancelIngestion"),
            ),
        ),
    }.items()
}
"""What may be granted together of each kind of resource: that of viewers, and that of owners (QuickSight User Guide,
"Permissions for ... assets by the API")."""


class ResourceNotFoundException(ServiceException):
    code = "ResourceNotFoundException"


class ResourceExistsException(ServiceException):
    code = "ResourceExistsException"


class InvalidParameterValueException(ServiceException):
    code = "InvalidParameterValueException"


class LimitExceededException(ServiceException):
    code = "LimitExceededException"


class ThrottlingException(ServiceException):
    code = "ThrottlingException"


class InternalFailureException(ServiceException):
    code = "InternalFailureException"


@dataclass
class Ingestion:
    """``kind`` is the type of the request that made it; ``error`` the type and message of why it ended early;
    ``faults`` those that were ordered when it was made."""

    id: str
    arn: str
    kind: str
    created: datetime
    status: str = "INITIALIZED"
    error: tuple[str, str] | None = None
    rows: int = 0
    dropped: int = 0
    bytes: int = 0
    ended: datetime | None = None
    stuck: float | None = None
    fails: bool = False
    drops: int = 0

    @property
    def is_manual(self) -> bool:
        return self.kind in ("FULL_REFRESH", "INCREMENTAL_REFRESH")

    def end(self, status: str, now: datetime, error: tuple[str, str] | None = None) -> None:
        self.status, self.ended, self.error = status, now, error


@dataclass
class Shared:
    """What data sources and data sets have in common. ``settings`` has the members of the request that an update
    replaces, ``granted`` the actions by principal."""

    id: str
    arn: str
    settings: dict[str, Any]
    created: datetime
    updated: datetime
    granted: dict[str, frozenset[str]] = field(default_factory=dict)


@dataclass
class DataSource(Shared):
    kind: str = "ATHENA"
    status: str = "CREATION_SUCCESSFUL"
    error: str = ""


@dataclass
class DataSet(Shared):
    """``ingestions`` has the oldest first."""

    schedules: dict[str, dict[str, Any]] = field(default_factory=dict)
    ingestions: dict[str, Ingestion] = field(default_factory=dict)

    @property
    def is_imported(self) -> bool:
        return bool(self.settings["ImportMode"] == "SPICE")

    @property
    def going_on(self) -> list[Ingestion]:
        """The oldest first, which is the one that runs."""
        return [each for each in self.ingestions.values() if each.status not in ENDED]


class QuickSightBackend(BaseBackend):
    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.data_sources: dict[str, DataSource] = {}
        self.data_sets: dict[str, DataSet] = {}
        self.tags: dict[str, dict[str, str]] = {}

    def arn(self, what: str) -> str:
        return f"arn:aws:quicksight:{self.region_name}:{self.account_id}:{what}"

    def data_source(self, id: str) -> DataSource:
        if id not in self.data_sources:
            raise ResourceNotFoundException(f"DataSource {id} is not found")
        return self.data_sources[id]

    def data_set(self, id: str) -> DataSet:
        if id not in self.data_sets:
            raise ResourceNotFoundException(f"DataSet {id} is not found")
        return self.data_sets[id]
