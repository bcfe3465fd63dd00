"""A reader of Iceberg tables that knows nothing of the platform: PyIceberg with its own clients."""

from typing import Any

from pyiceberg.catalog.glue import GlueCatalog
from pyiceberg.table import Table

from adplatform.lake.table import Named
from adplatform.platform.aws import Aws


def open_with_pyiceberg(aws: Aws, named: Named) -> Table:
    where = {"endpoint": str(aws.endpoint_url), "region": aws.region, "access-key-id": "x", "secret-access-key": "x"}
    properties = {f"{service}.{name}": value for service in ("glue", "s3") for name, value in where.items()}
    return GlueCatalog("reader", **properties).load_table((named.database, named.name))


def read_with_pyiceberg(aws: Aws, named: Named) -> list[dict[str, Any]]:
    """Every row, in an order of its own; dates and numbers of partition columns as text, as Glue has them."""
    table = open_with_pyiceberg(aws, named)
    partitions = {field.name for field in table.spec().fields}
    rows = table.scan().to_arrow().to_pylist()
    spelled = [{n: str(v) if n in partitions else v for n, v in row.items()} for row in rows]
    return sorted(spelled, key=lambda row: str(sorted(row.items(), key=str)))
