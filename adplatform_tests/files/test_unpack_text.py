"""Encodings and JSON: every character and every number survives, or the byte that does not is named."""

import gzip
import io
import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adplatform.contracts.file_format import FileFormat
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.json_lines import json_lines
from adplatform.files.text import decode
from adplatform.files.unpack import unpack
from adplatform_tests.support.examples import examples

ORIGIN = "s3://raw/partner/orders/orders.csv"
TEXT = "id,név\n1,Größe\n2,日本語テスト\n" * 30_000


def unpacked(tmp_path: Path, data: bytes, fmt: FileFormat) -> bytes:
    path, work = tmp_path / "delivered", tmp_path / "work"
    path.write_bytes(data)
    work.mkdir(exist_ok=True)
    (file,) = unpack(path, ORIGIN, fmt, work, 0)
    return file.path.read_bytes()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "gb18030"])
def test_text_becomes_utf8(tmp_path: Path, encoding: str) -> None:
    assert unpacked(tmp_path, TEXT.encode(encoding), FileFormat(encoding=encoding)) == TEXT.encode()


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("latin-1", "Größe;\x85\n"),
        ("cp1252", "5 €;“x”\n"),
        ("cp932", "注文①,ｶﾅ\n"),
        ("shift_jis", "注文,ｶﾅ\n"),
        ("ascii", "a\n"),
    ],
)
def test_old_encodings(tmp_path: Path, encoding: str, text: str) -> None:
    long = text * 200_000
    assert unpacked(tmp_path, long.encode(encoding), FileFormat(encoding=encoding)) == long.encode()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be"])
def test_byte_order_mark_is_taken_off(tmp_path: Path, encoding: str) -> None:
    data = ("\ufeff" + TEXT).encode(encoding.removesuffix("-sig"))
    assert unpacked(tmp_path, data, FileFormat(encoding=encoding)) == TEXT.encode()
    assert unpacked(tmp_path, gzip.compress(data), FileFormat(encoding=encoding)) == TEXT.encode()


def test_only_the_first_mark_is_taken_off(tmp_path: Path) -> None:
    data = ("\ufeffa\ufeffb").encode("utf-16-le")
    assert unpacked(tmp_path, data, FileFormat(encoding="utf-16-le")) == "a\ufeffb".encode()


@pytest.mark.parametrize("at", [1_000, (1 << 20) - 1, 1 << 20, (3 << 20) - 2])
@pytest.mark.parametrize("encoding", ["ascii", "cp932"])
def test_byte_that_is_not_the_encoding_is_named_by_its_offset(tmp_path: Path, encoding: str, at: int) -> None:
    data = bytearray(b" " * (3 << 20))
    data[at] = 0x81
    with pytest.raises(BadFile, match=f"byte {at} is not {encoding}") as failure:
        unpacked(tmp_path, gzip.compress(bytes(data)), FileFormat(encoding=encoding))
    assert failure.value.reason is Reason.ENCODING
    assert list((tmp_path / "work").iterdir()) == []


def test_character_cut_off_at_the_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="byte 2 is not utf-16"):
        unpacked(tmp_path, "ab".encode("utf-16-le")[:-1], FileFormat(encoding="utf-16-le"))


def test_utf16_in_a_feed_of_utf8_is_reported(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="set encoding: utf-16"):
        unpacked(tmp_path, TEXT.encode("utf-16"), FileFormat())


@settings(deadline=None, max_examples=examples(15))
@given(st.text(), st.sampled_from(["utf-8", "utf-16", "utf-16-be", "utf-32", "gb18030"]), st.integers(1, 7))
def test_chunks_do_not_change_the_text(text: str, encoding: str, size: int) -> None:
    data = text.encode(encoding)
    chunks = [data[i : i + size] for i in range(0, len(data), size)]
    assert "".join(decode(chunks, encoding, ORIGIN)) == text.removeprefix("\ufeff")


def lines(text: str, records: str | None = None, size: int = 5) -> list[bytes]:
    chunks = [text[i : i + size] for i in range(0, len(text), size)]
    return b"".join(json_lines(chunks, records, ORIGIN)).splitlines()


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(deadline=None, max_examples=examples(15))
@given(st.lists(values), st.sampled_from([None, 0, 2]), st.integers(1, 9), st.booleans())
def test_elements_come_out_as_they_went_in(rows: list[object], indent: int | None, size: int, ascii_only: bool) -> None:
    text = json.dumps(rows, indent=indent, ensure_ascii=ascii_only)
    out = b"".join(json_lines([text[i : i + size] for i in range(0, len(text), size)], None, ORIGIN))
    assert [json.loads(line) for line in out.split(b"\n")[:-1]] == rows


NUMBERS = [
    "1.10",
    "1e2",
    "1E+2",
    "0.1000000000000000055511151231257827",
    "123456789012345678901234567890",
    "-0",
    "1" * 5000,
]


@pytest.mark.parametrize("number", ["-0.0", "1e+5", "1E-05", "12.5e3", "0.1"])
@pytest.mark.parametrize("size", range(1, 8))
def test_number_cut_anywhere_by_a_chunk_stays_whole(number: str, size: int) -> None:
    assert lines(f"[{number}, {number}]", size=size) == [number.encode()] * 2


def test_numbers_keep_their_spelling(tmp_path: Path) -> None:
    text = "[" + ",\r\n ".join(f'{{"n": {n},\n  "s": "{n}"}}' for n in NUMBERS) + "]\n"
    out = unpacked(tmp_path, text.encode(), FileFormat(kind="json"))
    assert out.decode().splitlines() == [f'{{"n": {n},   "s": "{n}"}}' for n in NUMBERS]


@pytest.mark.parametrize(
    ("text", "records"),
    [
        ('{"rows": [{"a": 1}, {"a": 2}]}', "rows"),
        ('{"next": null, "data": {"n": [9], "rows": [{"a": 1},{"a": 2}], "x": {"rows": []}}, "z": "]"}', "data.rows"),
        ('\ufeff [ {"a": 1}\n,{"a": 2}\n] \n'.removeprefix("\ufeff"), None),
    ],
)
def test_records_are_found(text: str, records: str | None) -> None:
    for size in (1, 3, 1000):
        assert lines(text, records, size) == [b'{"a": 1}', b'{"a": 2}']


def test_no_records_are_no_lines() -> None:
    assert lines("[]") == lines('{"rows": [ ]}', "rows") == []


@pytest.mark.parametrize(
    ("text", "records", "byte"),
    [
        ("", None, 0),
        ("[", None, 1),
        ('[{"a": 1}', None, 9),
        ('[{"a": 1},]', None, 10),
        ('[{"a": 1} {"a": 2}]', None, 10),
        ('[{"ä": 1} {"a": 2}]', None, 11),
        ('[{"a": 1}] x', None, 11),
        ("[1][2]", None, 3),
        ("[NaN]", None, 1),
        ("[-Infinity]", None, 1),
        ("[01]", None, 2),
        ('["a\nb"]', None, 3),
        ("[tru]", None, 1),
        ('{"rows": [1], "x": }', "rows", 19),
        ('{"rows": [1], ', "rows", 14),
        ('{"rows": [1]', "rows", 12),
        ("{rows: [1]}", "rows", 1),
        ("[" * 20_000, None, 1),
    ],
)
def test_broken_json_is_refused_with_the_byte(text: str, records: str | None, byte: int) -> None:
    for size in (1 << 20, 7):
        with pytest.raises(BadFile, match=f"JSON at byte {byte}: ") as failure:
            lines(text, records, size)
    assert failure.value.reason in (Reason.SYNTAX, Reason.LAYOUT)


@pytest.mark.parametrize(
    ("text", "records"),
    [
        ('{"a": 1}', None),
        ('{"a": 1}\n{"a": 2}\n', None),
        ('{"data": []}', "rows"),
        ('{"rows": null}', "rows"),
        ('{"rows": {"a": 1}}', "rows"),
        ("[1]", "rows"),
        ('{"rows": [1], "rows": [2]}', "rows"),
    ],
)
def test_json_of_another_shape_is_refused(text: str, records: str | None) -> None:
    with pytest.raises(BadFile) as failure:
        lines(text, records)
    assert failure.value.reason is Reason.LAYOUT


def test_message_shows_no_content() -> None:
    with pytest.raises(BadFile) as failure:
        lines('[{"email": "jane@example.test" "x": 1}]', size=1000)
    assert "jane" not in str(failure.value)


def test_json_in_another_encoding(tmp_path: Path) -> None:
    fmt = FileFormat(kind="json", encoding="utf-16", records="rows")
    assert unpacked(tmp_path, '{"rows": [{"a": "日本"}]}'.encode("utf-16"), fmt) == '{"a": "日本"}\n'.encode()


def test_json_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="byte 3 is not utf-8"):
        unpacked(tmp_path, b'[{"\xff": 1}]', FileFormat(kind="json"))


def test_ndjson_passes_as_it_is(tmp_path: Path) -> None:
    data = b'{"a": 1}\n{"a": 2}\n'
    assert unpacked(tmp_path, data, FileFormat(kind="ndjson")) == data
    assert list((tmp_path / "work").iterdir()) == []


def test_large_array_on_one_line_needs_little_memory(tmp_path: Path) -> None:
    row = json.dumps({"id": 1.50, "nested": {"a": [1, 2, {"b": None}]}, "text": "x" * 3000})
    buffer = io.BytesIO()
    with gzip.open(buffer, "wb", compresslevel=1) as file:
        file.write(b"[" + (row + ",").encode() * 10_000 + row.encode() + b"]")
    tracemalloc.start()
    out = unpacked_path(tmp_path, buffer.getvalue(), FileFormat(kind="json"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 24 << 20
    with out.open("rb") as file:
        assert sum(1 for line in file if line == row.encode() + b"\n") == 10_001


def unpacked_path(tmp_path: Path, data: bytes, fmt: FileFormat) -> Path:
    (tmp_path / "delivered").write_bytes(data)
    (file,) = unpack(tmp_path / "delivered", ORIGIN, fmt, tmp_path, 0)
    return file.path
