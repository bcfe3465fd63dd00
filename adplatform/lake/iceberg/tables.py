"""Iceberg tables of the Glue Data Catalog, through the lake's own clients."""

from collections.abc import Callable, Mapping
from typing import Any

from pyiceberg.catalog.glue import GlueCatalog
from pyiceberg.exceptions import NoSuchPropertyException, NoSuchTableError
from pyiceberg.io import FileIO
from pyiceberg.table import StagedTable, Table, TableProperties
from pyiceberg.table.update import TableRequirement, TableUpdate
from pyiceberg.typedef import EMPTY_DICT, Identifier, Properties

from adplatform.failures import PermanentFailure
from adplatform.lake.catalog import ICEBERG_PARTITIONS, column_parameters
from adplatform.lake.iceberg.files import Files
from adplatform.lake.lake import Lake
from adplatform.lake.store import Store
from adplatform.lake.table import Named, TableSpec


def _free() -> None:
    """Nothing forbids a write."""


class Tables(GlueCatalog):
    """PyIceberg's catalog for one commit. ``check`` is called before the call that makes it visible; ``spec`` is what
    Glue shows beside the table's metadata. ``expected`` are properties that the commit builds on.
    """

    def __init__(
        self,
        store: Store,
        glue: Any,
        *,
        check: Callable[[], None] = _free,
        spec: TableSpec | None = None,
    ) -> None:
        super().__init__("adplatform", client=glue)
        self._files, self._check, self._spec = Files(store), check, spec
        self.expected: Mapping[str, str] = {}

    def find(self, named: Named) -> Table | None:
        """The table as it is now; None when there is none.

        Raises:
            PermanentFailure: it is no Iceberg table.
        """
        try:
            return self.load_table((named.database, named.name))
        except NoSuchPropertyException as e:
            raise PermanentFailure(
                f"table {named.database}.{named.name} is no Iceberg table and its feed says table_format: iceberg; "
                "drop the table or give the feed another name"
            ) from e
        except NoSuchTableError:
            return None

    def _load_file_io(self, properties: Properties = EMPTY_DICT, location: str | None = None) -> FileIO:
        return self._files

    def _update_and_stage_table(
        self,
        current_table: Table | None,
        table_identifier: Identifier,
        requirements: tuple[TableRequirement, ...],
        updates: tuple[TableUpdate, ...],
    ) -> StagedTable:
        """PyIceberg commits again over what others have committed meanwhile, as long as they changed other rows. What
        it builds on is a matter of this catalog."""
        for name, value in self.expected.items():
            if current_table is not None and current_table.properties.get(name, "") != value:
                raise Overtaken(f"{'.'.join(table_identifier)} was published meanwhile")
        return super()._update_and_stage_table(current_table, table_identifier, requirements, updates)

    def _create_glue_table(self, database_name: str, table_name: str, table_input: Any) -> None:
        self._check()
        super()._create_glue_table(database_name, table_name, self._described(table_input, None))

    def _update_glue_table(self, database_name: str, table_name: str, table_input: Any, version_id: str) -> None:
        found = self.glue.get_table(DatabaseName=database_name, Name=table_name)["Table"]
        described = self._described(table_input, found)
        self._check()
        super()._update_glue_table(database_name, table_name, described, version_id)

    def _described(self, table_input: Any, found: Any) -> Any:
        """PyIceberg leaves out what Glue alone knows: the description, and the parameters of columns."""
        known = {c["Name"]: c.get("Parameters", {}) for c in found["StorageDescriptor"]["Columns"]} if found else {}
        if self._spec is not None:
            known |= {c.name: column_parameters(c) for c in (*self._spec.columns, *self._spec.partitions)}
        for column in table_input["StorageDescriptor"]["Columns"]:
            column["Parameters"] = {**known.get(column["Name"], {}), **column["Parameters"]}
        description = self._spec.description if self._spec else (found or {}).get("Description", "")
        return {**table_input, **({"Description": description} if description else {})}


class Overtaken(Exception):
    """What a commit builds on has changed."""


def load(lake: Lake, named: Named) -> Table | None:
    """As :meth:`Tables.find`."""
    return Tables(lake.store, lake.catalog.glue).find(named)


def properties_of(lake: Lake, spec: TableSpec) -> dict[str, str]:
    """Of a table that is made. Clean Rooms reads only Snappy and gzip; columns of all tables have their bounds kept."""
    zones = lake.store.zones
    return {
        TableProperties.FORMAT_VERSION: "2",
        TableProperties.PARQUET_COMPRESSION: "snappy",
        TableProperties.WRITE_DATA_PATH: zones.clean_uri(zones.versions(spec.feed)).rstrip("/"),
        TableProperties.MANIFEST_MERGE_ENABLED: "true",
        ICEBERG_PARTITIONS: ",".join(spec.partition_names),
    }
