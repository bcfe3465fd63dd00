"""A reader of Iceberg tables that knows nothing of the platform: PyIceberg with its own clients."""

from typing import Any

from pyiceberg.catalog.glue import GlueCatalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table

from adplatform.lake.table import Named
from adplatform.platform.access_keys import key_for


def open_with_pyiceberg(endpoint: str, named: Named) -> Table:
    key = key_for(endpoint)
    where = {"endpoint": endpoint, "region": "us-east-1", "access-key-id": key.id, "secret-access-key": key.secret}
    properties = {f"{service}.{name}": value for service in ("glue", "s3") for name, value in where.items()}
    return GlueCatalog("reader", **properties).load_table((named.database, named.name))


def read_with_pyiceberg(endpoint: str, named: Named) -> list[dict[str, Any]]:
    """Every row; dates and numbers of partition columns as text, as Glue has them. None without a table."""
    try:
        table = open_with_pyiceberg(endpoint, named)
    except NoSuchTableError:
        return []
    partitions = {field.name for field in table.spec().fields}
    rows = table.scan().to_arrow().to_pylist()
    return [{n: str(v) if n in partitions else v for n, v in row.items()} for row in rows]
