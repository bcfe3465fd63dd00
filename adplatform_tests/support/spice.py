"""Tables of the embedded lake, and data sets of QuickSight that read them."""

import io
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from adplatform.local.aws.crawler import PARQUET
from adplatform.platform.aws import Aws
from adplatform_tests.support.replication import administer
from adplatform_tests.support.waiting import eventually

ACCOUNT = "123456789012"
ENDED = ("COMPLETED", "FAILED", "CANCELLED")


def put_table(aws: Aws, table: pa.Table, columns: Mapping[str, str]) -> tuple[str, str]:
    """A Glue table of one file; its database, which is the bucket's name, too, and its own name."""
    database = f"spice{uuid.uuid4().hex[:12]}"
    aws.client("s3").create_bucket(Bucket=database)
    put_file(aws, database, "part-0.parquet", table)
    glue = aws.client("glue")
    glue.create_database(DatabaseInput={"Name": database})
    described = {
        **PARQUET,
        "Columns": [{"Name": name, "Type": kind} for name, kind in columns.items()],
        "Location": f"s3://{database}/t/",
    }
    given = {"Name": "t", "TableType": "EXTERNAL_TABLE", "StorageDescriptor": described, "PartitionKeys": []}
    glue.create_table(DatabaseName=database, TableInput=given)
    return database, "t"


def put_file(aws: Aws, database: str, name: str, table: pa.Table) -> None:
    body = io.BytesIO()
    pq.write_table(table, body)
    aws.client("s3").put_object(Bucket=database, Key=f"t/{name}", Body=body.getvalue())


@dataclass(frozen=True)
class DataSet:
    """One in SPICE, of one table."""

    aws: Aws
    id: str

    @property
    def client(self) -> Any:
        return self.aws.client_once("quicksight")

    @property
    def named(self) -> dict[str, str]:
        return {"AwsAccountId": ACCOUNT, "DataSetId": self.id}

    def ingest(self, id: str, **more: Any) -> str:
        """The state that the answer tells."""
        return str(self.client.create_ingestion(**self.named, IngestionId=id, **more)["IngestionStatus"])

    def ingestion(self, id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.describe_ingestion(**self.named, IngestionId=id)["Ingestion"]
        return found

    def ended(self, id: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            found = self.ingestion(id)
            return found if found["IngestionStatus"] in ENDED else None

        found: dict[str, Any] = eventually(look)
        return found

    def order(self, fault: str, **more: Any) -> None:
        administer(self.aws, fault={"service": "quicksight", "name": fault, "target": self.id, **more})

    @property
    def settings(self) -> dict[str, Any]:
        """What CreateDataSet or UpdateDataSet was given."""
        told = self.client.describe_data_set(**self.named)["DataSet"]
        return {name: told[name] for name in ("Name", "PhysicalTableMap", "ImportMode")}


def make_data_set(aws: Aws, database: str, table: str, columns: Mapping[str, str], id: str = "") -> DataSet:
    """Its first ingestion, by which it is made, has ended."""
    client, id = aws.client_once("quicksight"), id or f"set-{uuid.uuid4().hex[:12]}"
    source = client.create_data_source(
        AwsAccountId=ACCOUNT,
        DataSourceId=f"source-{id}",
        Name="lake",
        Type="ATHENA",
        DataSourceParameters={"AthenaParameters": {"WorkGroup": "primary"}},
    )["Arn"]
    relational = {
        "DataSourceArn": source,
        "Catalog": "AwsDataCatalog",
        "Schema": database,
        "Name": table,
        "InputColumns": [{"Name": name, "Type": kind} for name, kind in columns.items()],
    }
    made = client.create_data_set(
        AwsAccountId=ACCOUNT,
        DataSetId=id,
        Name=id,
        PhysicalTableMap={"table": {"RelationalTable": relational}},
        ImportMode="SPICE",
    )
    data_set = DataSet(aws, id)
    data_set.ended(made["IngestionId"])
    return data_set
