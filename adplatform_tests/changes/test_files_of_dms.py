"""Files in all the forms in which AWS DMS writes them."""

import gzip
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adplatform.failures import PermanentFailure
from adplatform.flow.services import Services
from adplatform_tests.support.changes import ORDERS, SCHEMA, followed_source, sequence

CSV = {**ORDERS, "format": {"kind": "csv", "null_values": [""]}}
NULLS = {**ORDERS, "format": {"kind": "csv", "null_values": ["NULL"]}}
OF_DMS = [SCHEMA.field(name) for name in ("Op", "dms_ts", "ar_h_change_seq")]
AT = "2026-11-01 00:00:00.123456"


def test_lines_are_read(services: Services) -> None:
    """In each of these forms, also packed; each file brings a row of its own."""
    header, without_op = "Op,dms_ts,id,status,amount,ar_h_change_seq", "dms_ts,id,status,amount,ar_h_change_seq"
    forms = [
        ("a load", "LOAD{:08X}.csv", f"{header}\nI,{AT},{{id}},new,1.50,\n"),
        ("a load without Op", "LOAD{:08X}.csv", f"{without_op}\n{AT},{{id}},new,1.50,\n"),
        ("a load of a segment", "segment1_LOAD{:08X}.csv", f"{header}\nI,{AT},{{id}},new,1.50,\n"),
        (
            "columns in another order",
            "20261101-101010{:03}.csv",
            f"ar_h_change_seq,amount,id,status,Op,dms_ts\n{{seq}},1.50,{{id}},new,I,{AT}\n",
        ),
        (
            "a counter of four digits, lines of Windows, no last end of line",
            "20261101-1010101{:03}.csv",
            f"{header}\r\nI,{AT},{{id}},new,1.50,{{seq}}",
        ),
        (
            "folders of hours, all quoted",
            "2026/11/01/10/20261101-101010{:03}.csv",
            f'"Op","dms_ts","id","status","amount","ar_h_change_seq"\n"I","{AT}","{{id}}","new","1.50","{{seq}}"\n',
        ),
        (
            "insertions only, without Op",
            "20261101-101010{:03}.csv",
            f"{without_op}\n{AT},{{id}},new,1.50,{{seq}}\n",
        ),
    ]
    shop = followed_source(services, [CSV])
    written = dict(enumerate(((*form, packed) for form in forms for packed in (False, True)), 1))
    for n, (_, name, text, packed) in written.items():
        body = text.format(id=n, seq=sequence(n)).encode()
        shop.put_bytes(name.format(n) + ".gz" * packed, gzip.compress(body) if packed else body)
    shop.merge()
    unread = written.keys() - {id for id, *values in shop.rows() if values == ["new", Decimal("1.50")]}
    assert not [(what, packed) for n, (what, _, _, packed) in written.items() if n in unread]


@pytest.mark.slow
def test_a_null_a_comma_and_a_line_break_are_told_apart(services: Services) -> None:
    shop = followed_source(services, [NULLS])
    header = "Op,dms_ts,id,status,amount,ar_h_change_seq\n"
    values = ["NULL", "", '"a,b"', '"a ""quoted"" word"', '"two\nlines"', "ö"]
    lines = "".join(f"I,{AT},{n},{value},NULL,{sequence(n)}\n" for n, value in enumerate(values, 1))
    shop.put_bytes("20261101-101010123.csv", (header + lines).encode())
    shop.merge()
    found = shop.rows()
    assert [status for _, status, _ in found] == [None, "", "a,b", 'a "quoted" word', "two\nlines", "ö"]


def test_values_of_parquet_are_read_in_the_types_that_dms_gives_them(services: Services) -> None:
    units = ("ms", "us", "ns")
    types = {
        **dict.fromkeys(units, "timestamp"),
        "day": "date",
        "flag": "boolean",
        "f": "double",
        "n": "int",
        "t": "string",
    }
    shop = followed_source(services, [{**ORDERS, "columns": {**ORDERS["columns"], **types, "big": "decimal(38,0)"}}])
    at = datetime(2026, 1, 1, 1, 2, 3)  # noqa: DTZ001 - DMS writes times without a zone
    columns: dict[str, Any] = {
        **{unit: pa.array([at], pa.timestamp(unit)) for unit in units},
        "day": pa.array([date(2026, 1, 1)]),
        "flag": pa.array([True]),
        "f": pa.array([0.5], pa.float32()),
        "n": pa.array([5], pa.uint16()),
        "t": pa.array([time(1, 2, 3)], pa.time64("us")),
        "big": pa.array([2**64 - 1], pa.uint64()),
        "Op": ["I"],
        "dms_ts": [AT],
        "id": pa.array([1], pa.int8()),
        "status": pa.array(["x"]).dictionary_encode(),
        "amount": pa.array([Decimal("1.50")], pa.decimal128(38, 10)),
        "ar_h_change_seq": [sequence(1)],
    }
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink, compression="gzip", version="1.0")
    shop.put_bytes("20261101-101010123.parquet", sink.getvalue().to_pybytes())
    shop.merge()
    assert shop.rows(columns="id, amount, day, flag, f, n, t, big") == [
        (1, Decimal("1.50"), date(2026, 1, 1), True, 0.5, 5, "01:02:03", Decimal(2**64 - 1))
    ]
    assert shop.rows(columns=", ".join(units)) == [(at.replace(tzinfo=UTC),) * len(units)]


@pytest.mark.slow
def test_a_table_may_have_a_column_op_of_its_own(services: Services) -> None:
    shop = followed_source(services, [{**ORDERS, "columns": {**ORDERS["columns"], "op": "string"}}])
    schema = pa.schema([*SCHEMA, ("op", pa.string())])
    shop.load({"id": 1, "op": "x"}, {"id": 2, "op": "y"}, schema=schema)
    shop.file({**shop.change("D", id=1), "op": "I"}, schema=schema)
    shop.merge()
    assert shop.rows(columns="id, op") == [(2, "y")]


@pytest.mark.parametrize("policy", ["freeze", "evolve"])
def test_deletions_are_not_taken_for_insertions_where_op_is_written_in_another_case(
    services: Services, policy: str
) -> None:
    shop = followed_source(services, [{**CSV, "schema_policy": policy}])
    text = f"op,dms_ts,id,status,amount,ar_h_change_seq\nD,{AT},1,new,1.50,{sequence(1)}\n"
    shop.put_bytes("20261101-101010123.csv", text.encode())
    with pytest.raises(PermanentFailure, match="has a column 'op' and no 'Op'"):
        shop.merge()


@pytest.mark.slow
def test_a_row_of_a_load_is_an_insertion_without_op_too(services: Services) -> None:
    shop = followed_source(services)
    shop.load({"id": 1, "status": "a", "Op": None}, {"id": 2, "status": "b"})
    shop.merge()
    assert shop.rows(columns="id, status") == shop.rows("_live", "id, status") == [(1, "a"), (2, "b")]


@pytest.mark.parametrize("names", [["status"], ["ar_h_change_seq"], ["dms_ts"]])
def test_what_can_be_done_about_a_column_that_is_missing_is_said_as_it_is_with_dms(
    services: Services, names: list[str]
) -> None:
    shop = followed_source(services)
    shop.file(shop.change("I", id=1), schema=pa.schema([field for field in SCHEMA if field.name not in names]))
    with pytest.raises(PermanentFailure, match=r"with `optional: true`; which setting .* `adplatform dms check`") as e:
        shop.merge()
    assert repr(names[0]) in str(e.value)
    assert "sender" not in str(e.value)


@pytest.mark.slow
def test_keys_that_are_one_as_microseconds_are_quarantined(services: Services) -> None:
    columns = {"id": {"type": "timestamp", "required": True}, "v": "string"}
    shop = followed_source(services, [{**ORDERS, "columns": columns}])
    schema = pa.schema([("id", pa.timestamp("ns")), ("v", pa.string()), *OF_DMS])
    at = 1_767_225_600_123_456_000
    rows = ({"id": at + n, "v": str(n)} for n in (0, 1, 2))
    shop.file(*({**shop.change("I"), **row} for row in rows), schema=schema)
    shop.merge()
    assert shop.rows(columns="v") == [("0",)]


@pytest.mark.slow
def test_a_key_of_minus_zero_is_that_of_zero(services: Services) -> None:
    columns = {"id": {"type": "double", "required": True}, "v": "string"}
    shop = followed_source(services, [{**ORDERS, "columns": columns, "buckets": 16}])
    schema = pa.schema([("id", pa.float64()), ("v", pa.string()), *OF_DMS])
    shop.load({"id": 0.0, "v": "x"}, schema=schema)
    shop.merge()
    shop.file(shop.change("D", id=-0.0), schema=schema)
    shop.merge()
    assert shop.rows(columns="id, v") == []


@pytest.mark.parametrize(
    ("photo", "columns", "found"),
    [
        pytest.param("string", "id, photo", [(1, "89504e47"), (2, "text")], id="kept"),
        pytest.param({"drop": True}, "id", [(1,), (2,)], id="dropped", marks=pytest.mark.slow),
    ],
)
def test_bytes_are_read_whatever_they_are(services: Services, photo: Any, columns: str, found: list[Any]) -> None:
    shop = followed_source(services, [{**ORDERS, "columns": {**ORDERS["columns"], "photo": photo}}])
    schema = pa.schema([*SCHEMA, ("photo", pa.binary())])
    shop.file(shop.change("I", id=1, photo=b"\x89PNG"), shop.change("I", id=2, photo=b"text"), schema=schema)
    shop.merge()
    assert shop.rows(columns=columns) == found


def test_an_insertion_without_a_sequence_in_a_file_of_changes_is_refused(services: Services) -> None:
    shop = followed_source(services, [CSV])
    text = f"Op,dms_ts,id,status,amount,ar_h_change_seq\nI,{AT},1,new,1.50,\n"
    shop.put_bytes("20261101-101010123.csv", text.encode())
    with pytest.raises(PermanentFailure, match="AR_H_CHANGE_SEQ"):
        shop.merge()


@pytest.mark.slow
def test_an_operation_that_is_empty_is_no_insertion(services: Services) -> None:
    shop = followed_source(services, [CSV])
    line = f"{{}},{AT},{{}},new,1.50,{{}}\n"
    text = "Op,dms_ts,id,status,amount,ar_h_change_seq\n" + line.format("I", 1, sequence(1))
    shop.put_bytes("20261101-101010123.csv", (text + line.format("", 2, sequence(2))).encode())
    shop.merge()
    assert shop.rows(columns="id") == [(1,)]


JUDGED = {
    **ORDERS["columns"],
    "status": {"allowed": ["new", "paid"]},
    "amount": {"type": "decimal(10,2)", "min": 0, "max": 100},
    "code": {"pattern": "[a-z]{2}", "optional": True},
    "double": {"type": "double", "expression": "cast(amount as double) * 2"},
}


def test_a_deletion_is_applied_whatever_else_stands_in_it(services: Services) -> None:
    shop = followed_source(services, [{**NULLS, "columns": JUDGED}])
    header = "Op,dms_ts,id,status,amount,code,ar_h_change_seq\n"
    broken = ["weird,1.50,ab", "new,NaN,ab", "new,-1.00,ab", "new,100.01,ab", "new,1.50,ABC", ",,"]
    load = "".join(f"I,{AT},{n},new,1.50,ab,\n" for n in range(len(broken) + 1))
    shop.put_bytes("LOAD00000001.csv", (header + load).encode())
    lines = "".join(f"D,{AT},{n},{values},{sequence(n)}\n" for n, values in enumerate(broken, 1))
    shop.put_bytes("20261101-101010123.csv", (header + lines).encode())
    shop.merge()
    assert shop.rows(columns="id") == [(0,)]
    deleted = shop.rows("_deleted", "id, status, amount, code")
    assert deleted == [(n, "new", Decimal("1.50"), "ab") for n in range(1, len(broken) + 1)]


def test_what_breaks_the_contract_in_a_deletion_is_kept_nowhere(services: Services) -> None:
    shop = followed_source(services, [{**ORDERS, "columns": JUDGED, "outputs": ["current", "history"]}])
    shop.load({"id": 1, "status": "new", "amount": Decimal("1.50")})
    shop.file(shop.change("D", id=1, status="weird", amount=Decimal("-1.00")))
    shop.merge()
    assert shop.rows() == []
    assert shop.rows("_changes", "_op, status, amount, double") == [
        ("D", None, None, None),
        ("I", "new", Decimal("1.50"), 3.0),
    ]


def test_a_deletion_without_its_key_sequence_or_time_is_quarantined(services: Services) -> None:
    refused = {
        f"D,{AT},x,new,1.50,{sequence(1)}": "bad_bigint:id",
        f"D,{AT},,new,1.50,{sequence(2)}": "required:id",
        f"D,{AT},1,new,1.50,{sequence(3)[1:]}": "pattern:_seq",
        f"D,{AT},1,new,1.50,": "check:sequence",
        f"D,never,1,new,1.50,{sequence(4)}": "bad_timestamp:_changed_at",
        f"D,,1,new,1.50,{sequence(5)}": "required:_changed_at",
        f"X,{AT},1,new,1.50,{sequence(6)}": "not_allowed:_op",
    }
    shop = followed_source(services, [{**CSV, "bounds": {"max_quarantined": 1}}])
    lines = "".join(f"{line}\n" for line in refused)
    shop.put_bytes("20261101-101010123.csv", f"Op,dms_ts,id,status,amount,ar_h_change_seq\n{lines}".encode())
    shop.process()
    [published] = services.ledger.publications.of_feed(shop.followed.changes.name)
    assert dict(published.reasons) == dict.fromkeys(refused.values(), 1)
