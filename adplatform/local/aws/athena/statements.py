"""The statements that the stand-in of Athena understands."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from adplatform.local.aws.catalog_queries import Answer, Refused, answer, put_csv, put_parquet, translated, types
from adplatform.local.aws.crawler import PARQUET
from adplatform.local.aws.managed import CONTROL, own_s3
from adplatform.platform.aws import Aws

_UNLOAD = re.compile(r"unload\s*\((.*)\)\s*to\s*'([^']+)'\s*with\s*\((.*)\)", re.IGNORECASE | re.DOTALL)
_NAME = r'"?(\w+)"?'
_CTAS = re.compile(
    rf"create\s+table\s+(?:{_NAME}\s*\.\s*)?{_NAME}\s*(?:with\s*\((.*?)\)\s*)?as\s+(.*)", re.IGNORECASE | re.DOTALL
)
_PROPERTY = re.compile(r"(\w+)\s*=\s*'([^']*)'")


@dataclass(frozen=True)
class Result:
    """What an execution shows; ``types`` are Hive's, by column. ``kind`` is that of the statement, ``written`` how many
    rows it stored."""

    kind: str
    substatement: str
    answer: Answer
    types: dict[str, str]
    written: int = 0


def carry_out(sql: str, database: str, region: str, id: str, output: str) -> Result:
    """A statement, and what it leaves. ``output`` is where the object of its result goes. Callers do not hold the lock.

    Raises:
        Refused: it fails.
    """
    text = sql.strip().rstrip(";").strip()
    if found := _UNLOAD.fullmatch(text):
        _require_parquet(dict(_PROPERTY.findall(found[3])))
        _require_empty(found[2])
        rows = answer(translated(found[1], "athena", database=database), region)
        if rows.rows:
            put_parquet(rows, f"{found[2]}{id}_0.parquet")
        return Result("DML", "UNLOAD", Answer(), {}, len(rows.rows))
    if found := _CTAS.fullmatch(text):
        _create(found, database, region, id, output)
        return Result("DDL", "CREATE_TABLE_AS_SELECT", Answer(), {})
    if not re.match(r"(select|with)\b|\(", text, re.IGNORECASE):
        raise Refused(f"line 1:1: mismatched input '{text.split()[0] if text else ''}'")
    query = translated(text, "athena", database=database)
    found_types = types(query, region)
    rows = answer(query, region)
    put_csv(rows, output)
    return Result("DML", "SELECT", rows, found_types)


def _create(found: re.Match[str], database: str, region: str, id: str, output: str) -> None:
    glue: Any = Aws(region, CONTROL.endpoint_url).client("glue")
    properties = dict(_PROPERTY.findall(found[3] or ""))
    _require_parquet(properties)
    place = properties.get("external_location", f"{output.rpartition('/')[0]}/tables/{id}/")
    _require_empty(place)
    named, query = found[1] or database, translated(found[4], "athena", database=database)
    columns = [{"Name": name, "Type": kind} for name, kind in types(query, region).items()]
    storage = {**PARQUET, "Columns": columns, "Location": place}
    try:
        glue.get_table(DatabaseName=named, Name=found[2])
    except glue.exceptions.EntityNotFoundException:
        put_parquet(answer(query, region), f"{place}{id}_0.parquet")
        given: dict[str, Any] = {
            "Name": found[2],
            "TableType": "EXTERNAL_TABLE",
            "StorageDescriptor": storage,
            "PartitionKeys": [],
        }
        glue.create_table(DatabaseName=named, TableInput=given)
        return
    raise Refused(f"TABLE_ALREADY_EXISTS: Table '{named}.{found[2]}' already exists")


def _require_parquet(properties: dict[str, str]) -> None:
    if properties.get("format", "PARQUET").upper() != "PARQUET":
        raise Refused("NOT_SUPPORTED: only the format PARQUET is written here")


def _require_empty(place: str) -> None:
    at = urlsplit(place)
    if own_s3().list_objects_v2(Bucket=at.netloc, Prefix=at.path.lstrip("/"), MaxKeys=1).get("Contents"):
        raise Refused(f"HIVE_PATH_ALREADY_EXISTS: Target directory {place} already exists")
