"""Views in the Glue Data Catalog, as Athena makes and reads them."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adplatform.contracts.types import DataType
from adplatform.transform.values import OutputColumn

VIEW = "VIRTUAL_VIEW"
_BEGIN, _END = "/* Presto View: ", " */"
"""What stands around the description of a view in the catalog (trinodb/trino, ``ViewReaderUtil``)."""
_TYPES = {"string": "varchar", "int": "integer", "timestamp": "timestamp(3)"}


@dataclass(frozen=True)
class View:
    """A view with its ``columns``. ``sql`` is a SELECT that Trino and DuckDB understand alike; tables in it are named
    with their database."""

    database: str
    name: str
    columns: tuple[OutputColumn, ...]
    sql: str
    description: str = ""

    @property
    def table_input(self) -> dict[str, Any]:
        """As Glue takes it."""
        columns = [{"name": column.name, "type": _trino(column.type)} for column in self.columns]
        described = {"originalSql": self.sql, "catalog": "awsdatacatalog", "schema": self.database, "columns": columns}
        encoded = base64.b64encode(json.dumps(described).encode()).decode()
        return {
            "Name": self.name,
            "TableType": VIEW,
            **({"Description": self.description} if self.description else {}),
            "ViewOriginalText": f"{_BEGIN}{encoded}{_END}",
            "ViewExpandedText": "/* Presto View */",
            "Parameters": {"presto_view": "true", "comment": "Presto View"},
            "StorageDescriptor": {
                "Columns": [{"Name": column.name, "Type": column.type.hive} for column in self.columns],
                "Location": "",
                "SerdeInfo": {},
            },
        }


def statement_of(table: Mapping[str, Any]) -> str | None:
    """The SELECT of a view, as the catalog has it; None of what is no view of this kind."""
    text = str(table.get("ViewOriginalText") or "")
    if table.get("TableType") != VIEW or not (text.startswith(_BEGIN) and text.endswith(_END)):
        return None
    described: dict[str, Any] = json.loads(base64.b64decode(text[len(_BEGIN) : -len(_END)]))
    return str(described["originalSql"])


def _trino(kind: DataType) -> str:
    return _TYPES.get(kind.name, kind.hive)
