import csv
import io
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from adplatform.contracts.model import Contract
from adplatform.lake.lake import Lake
from adplatform.lake.quarantine import MASK, QuarantinedRow, entries, export, read_rows, store_rows
from adplatform.ledger.publications import FileOutcome, Outcome, Publication

DAY = date(2026, 3, 1)
RULES = Contract(
    columns={
        "id": "bigint",
        "email": {"pii": "email"},
        "secret": {"drop": True},
        "note": "string",
        "kind": {"allowed": ["new", "old"]},
        "paid": "decimal(9,2)",
        "known": {"pii": {"kind": "generic_id", "treatment": "clear"}},
    }
)
FILE = f"file:{'0' * 32}"
ROWS = [
    {
        "source_file": FILE,
        "line": 7,
        "byte_position": 120,
        "reasons": ["too_many_columns"],
        "raw": "1,ada@example.com,x,y,z",
        "fields": None,
    },
    {
        "source_file": "s3://raw/a.csv",
        "line": None,
        "byte_position": None,
        "reasons": ["bad_bigint:id", "required:note"],
        "raw": None,
        "fields": json.dumps({"id": "x1", "email": "ada@example.com", "secret": "s", "note": None, "ann@b.de": "n"}),
    },
    {
        "source_file": "s3://raw/b.csv",
        "line": None,
        "byte_position": None,
        "reasons": ["bad_bigint:id", "not_allowed:kind"],
        "raw": None,
        "fields": json.dumps(
            {
                "id": "bob@Example.com",
                "secret": None,
                "note": "Bob Öl",
                "kind": "Bob Öl",
                "paid": "-1.50",
                "known": "K-1",
            }
        ),
    },
    {
        **{"source_file": FILE, "line": None, "byte_position": None, "raw": None},
        "reasons": ["check:order"],
        "fields": json.dumps({"id": "7", "note": "+49 151 23456789", "kind": "new", "paid": ""}),
    },
]


def stored(lake: Lake, temp: Path, rows: list[dict[str, object]] = ROWS) -> str:
    schema = pa.schema(
        [
            ("source_file", pa.string()),
            ("line", pa.int64()),
            ("byte_position", pa.int64()),
            ("reasons", pa.list_(pa.string())),
            ("raw", pa.string()),
            ("fields", pa.string()),
        ]
    )
    path = temp / "quarantine.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    return store_rows(lake.store, "partner/orders", DAY, 1, path)


def test_rows_are_stored_encrypted_in_the_quarantine_of_their_day(lake: Lake, temp: Path) -> None:
    key = stored(lake, temp)
    assert key.startswith("quarantine/partner/orders/dt=2026-03-01/")
    head = lake.store.s3.head_object(Bucket=lake.store.zones.raw_bucket, Key=key)
    assert head["ServerSideEncryption"] == "aws:kms"
    assert stored(lake, temp) == key


def test_only_values_of_columns_that_are_declared_clear_are_shown(lake: Lake, temp: Path) -> None:
    structural, value, shifted, judged = read_rows(lake.store, stored(lake, temp), RULES)
    assert (structural.source_file, structural.line, structural.byte_position, structural.raw) == (FILE, 7, 120, MASK)
    assert structural.reasons == ("too_many_columns",)
    assert value.fields == {"id": "a9", "email": MASK, "secret": MASK, "note": None, "column 5": MASK}
    assert shifted.source_file == MASK
    assert shifted.fields == {
        "id": "aaa@Aaaaaaa.aaa",
        "secret": None,
        "note": MASK,
        "kind": "Aaa xa",
        "paid": "-1.50",
        "known": MASK,
    }
    assert judged.fields == {"id": "7", "note": MASK, "kind": "new", "paid": ""}


def test_rows_are_shown_as_received_only_on_demand(lake: Lake, temp: Path) -> None:
    structural, value, *_ = read_rows(lake.store, stored(lake, temp), RULES, reveal=True)
    assert structural.raw == "1,ada@example.com,x,y,z"
    assert value.fields is not None
    assert value.fields["email"] == "ada@example.com"


def test_pages_cover_every_row_once(lake: Lake, temp: Path) -> None:
    many = [{**ROWS[1], "source_file": f"file:{i:032}"} for i in range(25)]
    key = stored(lake, temp, many)
    pages = [list(read_rows(lake.store, key, RULES, offset=start, limit=10)) for start in (0, 10, 20, 30)]
    assert [len(page) for page in pages] == [10, 10, 5, 0]
    assert [row.source_file for page in pages for row in page] == [row["source_file"] for row in many]


def test_exports_read_back_as_what_they_were(lake: Lake, temp: Path) -> None:
    rows = list(read_rows(lake.store, stored(lake, temp), RULES))
    table, lines = io.StringIO(), io.StringIO()
    assert export(rows, "csv", table) == export(rows, "ndjson", lines) == 4
    as_csv = list(csv.DictReader(io.StringIO(table.getvalue())))
    assert as_csv[1]["reasons"] == "bad_bigint:id;required:note"
    assert [json.loads(row["fields"])["id"] for row in as_csv[1:]] == ["a9", "aaa@Aaaaaaa.aaa", "7"]
    as_json = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [QuarantinedRow(**{**row, "reasons": tuple(row["reasons"])}) for row in as_json] == rows
    assert "xample" not in table.getvalue() + lines.getvalue()


def test_entries_list_rows_and_bad_files_of_each_version(lake: Lake) -> None:
    feed, now = "partner/orders", datetime(2026, 3, 2, tzinfo=UTC)
    clean = Publication(DAY, 1, 1, "m", now, "quiet")
    rows = Publication(DAY, 2, 1, "m", now, "quiet", quarantined=3, reasons={"bad_bigint:id": 3}, quarantine_key="k")
    files = Publication(date(2026, 3, 2), 1, 1, "m", now, "quiet")
    for publication in (clean, rows, files):
        lake.ledger.publications.put(feed, publication)
    bad = FileOutcome(date(2026, 3, 2), 1, "s3://raw/x", Outcome.REFUSED, "truncated")
    good = FileOutcome(date(2026, 3, 2), 1, "s3://raw/y", Outcome.LOADED)
    lake.ledger.publications.put_file_outcomes(feed, [bad, good])
    found = entries(lake.ledger, feed)
    assert [(e.day.day, e.version, e.key, e.rows) for e in found] == [(1, 2, "k", 3), (2, 1, "", 0)]
    assert found[0].reasons == {"bad_bigint:id": 3}
    assert found[1].files == (bad,)
    assert entries(lake.ledger, feed, date(2026, 3, 2)) == found[1:]


def test_the_quarantine_may_have_a_key_of_its_own(lake: Lake, temp: Path) -> None:
    store = replace(lake.store, zones=replace(lake.store.zones, kms_key_id="all", quarantine_key_id="only-this"))
    key = stored(replace(lake, store=store), temp)
    (temp / "other").write_bytes(b"x")
    store.upload(temp / "other", store.zones.raw_bucket, "prepared/other")
    store.upload(temp / "other", store.zones.clean_bucket, "quarantine/a_table_of_that_name")
    store.copy_from({"Bucket": store.zones.raw_bucket, "Key": "prepared/other"}, 1, store.zones.raw_bucket, f"{key}-2")
    places = [(store.zones.raw_bucket, k) for k in (key, f"{key}-2", "prepared/other")]
    places.append((store.zones.clean_bucket, "quarantine/a_table_of_that_name"))
    heads = [store.s3.head_object(Bucket=bucket, Key=each) for bucket, each in places]
    assert [head["SSEKMSKeyId"].rpartition("/")[2] for head in heads] == ["only-this", "only-this", "all", "all"]
