"""Deliveries in archives, workbooks and Avro are published like those in text, and what is not read is counted."""

import gzip
import io
import uuid
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pyarrow.parquet as pq
import pytest

from adplatform.failures import PermanentFailure
from adplatform.flow.services import Services
from adplatform.lake.query import run_query
from adplatform.ledger.publications import Outcome
from adplatform.platform.aws import Aws
from adplatform_tests.flow.test_parts import DAY, ORDERS, Shop, shop
from adplatform_tests.support import plainly
from adplatform_tests.support.avros import avro, record
from adplatform_tests.support.platforms import make_services
from adplatform_tests.support.tars import tarred
from adplatform_tests.support.workbooks import workbook

HEADER = ["order_id", "email", "amount"]
TABLE = [[1, "a@example.com", 1.5], [2, "b@example.com", 2.25]]
TEXT = "\n".join(",".join(map(str, row)) for row in [HEADER, *TABLE]).encode()


@pytest.fixture
def services(aws: Aws, tmp_path: Path) -> Services:
    return make_services(aws, tmp_path / "home")


def delivered(services: Services, form: dict[str, Any], body: bytes, **settings: Any) -> Shop:
    made = shop(services, {**ORDERS, "format": form, **settings})
    key = f"landing/{made.source.name}/orders/dt={DAY}/orders"
    services.s3.put_object(Bucket=services.zones.raw_bucket, Key=key, Body=body)
    plainly.process(services, made.source, f"run-{uuid.uuid4().hex[:6]}")
    return made


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def in_avro() -> bytes:
    schema = record(("order_id", "long"), ("email", ["null", "string"]), ("amount", "double"))
    buffer = io.BytesIO()
    fastavro.writer(buffer, schema, [dict(zip(HEADER, row, strict=True)) for row in TABLE], codec="deflate")
    return buffer.getvalue()


FORMS: dict[str, tuple[dict[str, Any], bytes]] = {
    "zip": ({"members": "*.csv"}, zipped(**{"o.csv": TEXT, "readme.txt": b"hello", "Jane Doe.pdf": b"\0"})),
    "tar.gz": ({"members": ["o.*"]}, gzip.compress(tarred({"a.txt": b"", "b.pdf": b"\0", "x/o.csv": TEXT}))),
    "xlsx": ({"kind": "xlsx", "sheet": "Orders", "range": "B3"}, workbook(
        Notes=[["not read"]], Orders=[["Orders of today"], [], *([None, *row] for row in [HEADER, *TABLE])]
    )),
    "avro": ({"kind": "avro"}, in_avro()),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_rows_are_published_whatever_they_come_in(services: Services, form: str) -> None:
    made = delivered(services, *FORMS[form])
    assert [row[0] for row in made.rows] == [1, 2]
    assert made.counts[:4] == (2, 2, 0, 0)
    [file] = services.ledger.publications.file_outcomes(made.flow.name, DAY, 1)
    archived = form in ("zip", "tar.gz")
    assert (file.outcome, file.skipped) == (Outcome.LOADED, 2 if archived else 0)
    note = f"2 members are not read of the archives {file.file_id}" if archived else ""
    assert made.newest.note == note


def test_avro_of_several_schemas_follows_the_rules_for_columns_and_nests_as_json(services: Services) -> None:
    first = record(("order_id", "int"), ("amount", ["null", "string"]))
    tags = {"type": "map", "values": {"type": "array", "items": "int"}}
    second = record(("amount", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}),
        ("order_id", "long"), ("tags", tags), ("more", record(("x", "boolean"), name="more")))  # fmt: skip
    files = {
        "a.avro": avro(first, [{"order_id": 1, "amount": "1.50"}], "snappy"),
        "b.avro": avro(second, [{"order_id": 2, "amount": Decimal("2.25"), "tags": {"k": [1]}, "more": {"x": True}}]),
    }
    columns = {"order_id": "bigint", "amount": "decimal(9,2)", "tags": {"optional": True}}
    made = delivered(services, {"kind": "avro"}, tarred(files), columns=columns, schema_policy="evolve")
    prefix = services.settings.database_prefix
    sql = f"select order_id, amount, tags, more from {prefix}{made.source.name}.orders order by 1"
    assert run_query(services.aws, services.glue, prefix, sql, 10)[1] == [
        (1, Decimal("1.50"), None, None),
        (2, Decimal("2.25"), '{"k":[1]}', '{"x":true}'),
    ]


def test_a_text_beside_the_data_is_refused_with_how_to_leave_it_out(services: Services) -> None:
    with pytest.raises(PermanentFailure, match=r"#1: .*say which files of the archive are read as members in the feed"):
        delivered(services, {}, zipped(**{"a.txt": b"hello\n", "o.csv": TEXT}))


def test_the_line_of_a_quarantined_row_is_that_of_the_sheet(services: Services) -> None:
    bounds: dict[str, Any] = {"bounds": {"max_quarantined": 1}}
    above = [3, "two\nlines\nhere", 1]
    rows = [
        ["Orders"],
        [],
        HEADER,
        *TABLE,
        above,
        [],
        ["oops", "c@x", 1],
        [4, "d@x", 1, "one\nstray"],
        ["no", "e@x", 1],
    ]
    made = delivered(services, {"kind": "xlsx", "header": {"starts_with": "order_id"}}, workbook(one=rows), **bounds)
    assert [row[0] for row in made.rows] == [1, 2, 3]
    key = made.newest.quarantine_key
    body = services.s3.get_object(Bucket=services.zones.raw_bucket, Key=key)["Body"].read()
    found = pq.read_table(io.BytesIO(body)).to_pylist()
    assert {row["line"] for row in found} == {8, 9, 10}
