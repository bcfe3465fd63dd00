"""Avro comes out as the table that its schema says, or is refused."""

import gzip
import io
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.limits import Limits
from adplatform.files.avro_blocks import Block, written
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.unpack import unpack
from adplatform_tests.support.avros import SYNC, avro, by_hand, record
from adplatform_tests.support.examples import examples
from adplatform_tests.support.tars import tarred
from adplatform_tests.support.workbooks import packed

ORIGIN = "file:1"
AVRO = FileFormat(kind="avro")
CODECS = ["null", "deflate", "snappy", "zstandard", "bzip2", "xz"]
PLAIN = record(("id", "long"), ("name", ["null", "string"]))
ROWS = [{"id": n, "name": None if n % 3 else f"näme {n}"} for n in range(50)]


def tables(tmp_path: Path, data: bytes, fmt: FileFormat = AVRO, limits: Limits | None = None) -> list[pa.Table]:
    delivered, work = tmp_path / "delivered", tmp_path / "work"
    delivered.write_bytes(data)
    work.mkdir(exist_ok=True)
    try:
        files = unpack(delivered, ORIGIN, fmt, work, 0, limits or Limits())
    except BadFile:
        assert list(work.iterdir()) == []
        raise
    return [pq.read_table(file.path) for file in files]


def refusal(tmp_path: Path, data: bytes, fmt: FileFormat = AVRO, limits: Limits | None = None) -> BadFile:
    with pytest.raises(BadFile) as refused:
        tables(tmp_path, data, fmt, limits)
    return refused.value


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_is_read(tmp_path: Path, codec: str) -> None:
    [table] = tables(tmp_path, avro(PLAIN, ROWS, codec))
    assert table.to_pylist() == ROWS


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "xz"])
def test_what_the_library_writes_is_read_and_it_reads_what_is_packed_here(tmp_path: Path, codec: str) -> None:
    buffer = io.BytesIO()
    fastavro.writer(buffer, PLAIN, ROWS, codec=codec, sync_interval=100)
    [table] = tables(tmp_path, buffer.getvalue())
    assert table.to_pylist() == ROWS
    assert list(fastavro.reader(io.BytesIO(avro(PLAIN, ROWS, codec)))) == ROWS


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zip": lambda data: packed({"a.avro": data, "b.avro": gzip.compress(data)}),
    "tar": lambda data: tarred({"a.avro": data, "b.avro": data}),
}


@pytest.mark.parametrize("pack", PACK)
def test_avro_is_read_out_of_archives(tmp_path: Path, pack: str) -> None:
    found = tables(tmp_path, PACK[pack](avro(PLAIN, ROWS, "deflate")))
    assert [table.to_pylist() for table in found] == [ROWS] * (1 if pack == "gzip" else 2)


def logical(kind: Any, name: str, **more: Any) -> dict[str, Any]:
    base = kind if isinstance(kind, dict) else {"type": kind}
    return {**base, "logicalType": name, **more}


FIXED = {"type": "fixed", "name": "f"}
VALUES: dict[str, tuple[Any, Any, Any]] = {
    "boolean": ("boolean", True, True),
    "int": ("int", -(2**31), -(2**31)),
    "long": ("long", 2**63 - 1, 2**63 - 1),
    "double": ("double", 0.1, 0.1),
    "bytes": ("bytes", b"\xff\x00", b"\xff\x00"),
    "fixed": ({**FIXED, "size": 2}, b"ab", b"ab"),
    "enum": ({"type": "enum", "name": "e", "symbols": ["A", "B"]}, "B", "B"),
    "null": ("null", None, None),
    "date": (logical("int", "date"), -1, date(1969, 12, 31)),
    "time of day": (logical("int", "time-millis"), 1500, time(0, 0, 1, 500_000)),
    "time in micros": (logical("long", "time-micros"), 1, time(0, 0, 0, 1)),
    "instant": (logical("long", "timestamp-millis"), 1500, datetime(1970, 1, 1, 0, 0, 1, 500_000, UTC)),
    "instant in micros": (logical("long", "timestamp-micros"), -1, datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC)),
    "local time": (logical("long", "local-timestamp-micros"), 1, datetime.fromisoformat("1970-01-01 00:00:00.000001")),
    "decimal": (logical("bytes", "decimal", precision=40, scale=2), b"\xff\xff\xcf\xc7", Decimal("-123.45")),
    "decimal in fixed": (logical({**FIXED, "size": 3}, "decimal", precision=5), b"\x00\x00\x07", Decimal(7)),
    "decimal that is none": (logical("bytes", "decimal", precision=99), b"x", b"x"),
    "uuid": (logical({**FIXED, "size": 16}, "uuid"), UUID(int=5).bytes, str(UUID(int=5))),
    "duration": (logical({**FIXED, "size": 12}, "duration"), b"\1\0\0\0\2\0\0\0\xdc\5\0\0", "P1M2DT1.5S"),
    "unknown": (logical("string", "country"), "DE", "DE"),
    "optional": (["null", logical("int", "date")], 0, date(1970, 1, 1)),
    "optional last": ([logical("int", "date"), "null"], None, None),
    "list": ({"type": "array", "items": logical("int", "date")}, [0], [date(1970, 1, 1)]),
    "map": ({"type": "map", "values": ["null", "int"]}, {"a": 1, "b": None}, [("a", 1), ("b", None)]),
    "record": (record(("x", "int"), ("y", logical("bytes", "decimal", precision=3, scale=1)), name="inner"),
               {"x": 1, "y": b"\x0f"}, {"x": 1, "y": Decimal("1.5")}),
    "text of several types": (["null", "long", "string"], 5, "5"),
    "several types": (["null", "long", "string"], "five", "five"),
    "record of several types": (["string", record(("x", "int"), name="inner")], {"x": 1}, '{"x": 1}'),
    "no value of several types": (["null", "long", "string"], None, None),
}  # fmt: skip


@pytest.mark.parametrize("kind", VALUES)
def test_values_keep_their_type(tmp_path: Path, kind: str) -> None:
    schema, value, expected = VALUES[kind]
    plain = fastavro.parse_schema(record(("v", schema)))
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, plain, {"v": value})
    [table] = tables(tmp_path, by_hand(record(("v", schema)), [Block(1, buffer.getvalue())]))
    assert table["v"].to_pylist() == [expected]


def test_an_instant_beyond_the_calendar_and_nanoseconds_are_exact(tmp_path: Path) -> None:
    schema = record(("far", logical("long", "timestamp-millis")), ("fine", logical("long", "timestamp-nanos")))
    [table] = tables(tmp_path, avro(schema, [{"far": 10**15, "fine": 1}]))
    assert table["far"].cast(pa.int64()).to_pylist() == [10**15]
    assert table["fine"].cast(pa.int64()).to_pylist() == [1]


def test_a_type_is_referred_to_by_its_name_within_its_space(tmp_path: Path) -> None:
    money = {**record(("units", "int"), name="money"), "namespace": "shop"}
    schema = {
        "type": "record",
        "name": "row",
        "namespace": "shop",
        "fields": [
            {"name": "a", "type": money, "doc": "x", "default": {"units": 0}},
            {"name": "b", "type": ["null", "shop.money"]},
            {"name": "c", "type": {"type": "array", "items": "money"}},
        ],
    }
    row = {"a": {"units": 1}, "b": {"units": 2}, "c": [{"units": 3}]}
    assert tables(tmp_path, avro(schema, [row]))[0].to_pylist() == [row]


MIXED, ONE_DIGIT = [logical("int", "date"), "string"], logical("bytes", "decimal", precision=1)
SELF = record(("next", ["null", "row"]))
ENDLESS = [Block(1, written(10**12) + b"\0")]
NOTHING = record(name="nothing")
LISTED_NONE, LISTED_NOTHING = (record(("v", {"type": "array", "items": items})) for items in ("null", NOTHING))
DEEP: Any = "int"
for _level in range(70):
    DEEP = {"type": "array", "items": DEEP}


@pytest.mark.parametrize(
    ("data", "reason", "said"),
    [
        (avro(SELF, [{"next": {"next": None}}]), Reason.UNSUPPORTED, "a type that holds itself"),
        (by_hand(LISTED_NONE, ENDLESS), Reason.UNSUPPORTED, "values that take no room"),
        (by_hand(LISTED_NOTHING, ENDLESS), Reason.UNSUPPORTED, "values that take no room"),
        (by_hand(record(("v", DEEP)), []), Reason.UNSUPPORTED, "more than 64 levels"),
        (by_hand(record(("v", MIXED)), []), Reason.UNSUPPORTED, "a union of several types"),
        (by_hand("string", [Block(1, b"\x02a")]), Reason.LAYOUT, "something else than records"),
        (by_hand(record(("v", "nowhere")), []), Reason.DAMAGED, "damaged Avro"),
        (by_hand(PLAIN, [], "lz4"), Reason.UNSUPPORTED, "codec 'lz4'"),
        (by_hand(PLAIN, [Block(2, b"\x02\x00")]), Reason.DAMAGED, "damaged Avro"),
        (by_hand(PLAIN, [Block(1, b"\x02\x00\x00")]), Reason.DAMAGED, "damaged Avro"),
        (by_hand(PLAIN, [Block(1, b"\x02\x02\x02\xff")]), Reason.DAMAGED, "damaged Avro"),
        (by_hand(record(("d", ONE_DIGIT)), [Block(1, b"\x02\x7f")]), Reason.LAYOUT, "do not take"),
        (avro(PLAIN, ROWS)[:-1], Reason.DAMAGED, "truncated Avro"),
        (avro(PLAIN, ROWS).replace(SYNC, b"x" * 16, 1), Reason.DAMAGED, "damaged Avro"),
        (b"PAR1" + bytes(600), Reason.LAYOUT, "is Parquet, but the feed says avro; set kind: parquet"),
        (b"id\n1\n", Reason.LAYOUT, "is not Avro, but the feed says so"),
        (gzip.compress(b"id\n1\n"), Reason.LAYOUT, "is not Avro"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_is_wrong_with_avro_is_told(tmp_path: Path, data: bytes, reason: Reason, said: str) -> None:
    refused = refusal(tmp_path, data)
    assert (refused.reason, said in str(refused)) == (reason, True), refused


@pytest.mark.parametrize("kind", ["csv", "ndjson", "json", "parquet", "xlsx"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_avro_of_a_feed_of_another_kind_says_what_to_set(
    tmp_path: Path, kind: str, pack: Callable[[bytes], bytes]
) -> None:
    refused = refusal(tmp_path, pack(avro(PLAIN, ROWS)), FileFormat.model_validate({"kind": kind}))
    assert (refused.reason, "set kind: avro" in str(refused)) == (Reason.LAYOUT, True)


def test_a_schema_with_two_fields_of_one_name_is_damaged(tmp_path: Path) -> None:
    nested = record(("a", {"type": "map", "values": "string"}), ("c", "bytes"))
    whole = avro(nested, [{"a": {"k": "v"}, "c": b"123"}], "null").replace(b'"name": "a"', b'"name": "c"')
    with pytest.raises(BadFile) as refused:
        tables(tmp_path, whole)
    assert refused.value.reason is Reason.DAMAGED


@pytest.mark.parametrize("codec", ["null", "snappy"])
@settings(max_examples=examples(60), deadline=None)
@given(data=st.data())
def test_avro_with_damage_anywhere_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, codec: str, data: st.DataObject
) -> None:
    """Nothing but a BadFile comes of a byte that has changed."""
    nested = record(("a", {"type": "map", "values": "string"}), ("b", ["null", "double"]), ("c", "bytes"))
    row = {"a": {"k": "v", "l": "w"}, "b": 1.5, "c": b"123"}
    whole = bytearray(avro(nested, [row] * 30, codec))
    whole[data.draw(st.integers(4, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        tables(tmp_path_factory.mktemp("avro"), bytes(whole), limits=Limits(rows=10_000))
    except BadFile as e:
        assert e.reason in Reason
