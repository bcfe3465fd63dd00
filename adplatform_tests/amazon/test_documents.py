"""What a document holds comes out whole and as it was spelled, or not at all."""

import codecs
import gzip
import json
import re
import tracemalloc
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from isal import isal_zlib

from adplatform.amazon.documents import MISFIT, Layout, Number, content, other_options, rows, verify
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.files.bad_file import BadFile
from adplatform_tests.support.examples import examples

FAILURES = (PermanentFailure, TransientFailure)
ROWS = [{"date": "2026-01-01", "campaignId": "158410630682987", "name": "Größe 大", "cost": "14.5", "adId": None}]
JSON = '[{"date":"2026-01-01","campaignId":158410630682987,"name":"Größe 大","cost":14.5,"adId":null}]'.encode()
ORDERS = "amazon-order-id\tproduct-name\titem-price\n026-1\tTasche\t19.90\n026-2\tGürtel\t\n"
ORDER_ROWS = [
    {"amazon-order-id": "026-1", "product-name": "Tasche", "item-price": "19.90"},
    {"amazon-order-id": "026-2", "product-name": "Gürtel", "item-price": ""},
]
SECRET = "FwoGZXIvYXdzEBYaDHNlY3JldHNlY3JldHNlY3JldA"


def read(
    path: Path,
    body: bytes,
    layout: Layout = "json",
    records: str | None = None,
    needed: Iterable[str] = (),
    charset: str = "",
    country: str = "DE",
) -> list[dict[str, Any]]:
    """The rows of a document with these bytes, downloaded and verified."""
    path = path / "document" if path.is_dir() else path
    path.write_bytes(body)
    verify(path, "it")
    return list(rows(path, layout, records, tuple(needed), charset=charset, country=country, origin="it"))


def table(path: Path, body: bytes, **more: Any) -> list[dict[str, Any]]:
    return read(path, body, layout="tsv", **more)


def commas(path: Path, body: str | bytes, *needed: str) -> list[dict[str, Any]]:
    return read(path, body if isinstance(body, bytes) else body.encode(), layout="csv", needed=needed)


def zipped(body: bytes) -> bytes:
    return gzip.compress(body, mtime=0)


@pytest.mark.parametrize("body", [JSON, zipped(JSON), codecs.BOM_UTF8 + JSON, b" \r\n" + JSON + b"\n"])
def test_json_is_read_however_it_is_packed(tmp_path: Path, body: bytes) -> None:
    assert read(tmp_path, body) == ROWS


def test_gzip_of_several_members_is_one_document(tmp_path: Path) -> None:
    assert read(tmp_path, zipped(JSON[:40]) + zipped(JSON[40:])) == ROWS
    assert read(tmp_path, zipped(JSON) + bytes(20)) == ROWS, "zero bytes after the last member are padding"


@pytest.mark.parametrize("whole", [zipped(JSON), zipped(JSON[:40]) + zipped(JSON[40:])])
def test_gzip_that_stops_at_any_byte_is_downloaded_again(tmp_path: Path, whole: bytes) -> None:
    for end in range(len(whole)):
        with pytest.raises(TransientFailure):
            read(tmp_path, whole[:end])


@pytest.mark.parametrize("layout", ["json", "tsv"])
def test_a_byte_that_was_changed_anywhere_brings_no_other_rows(tmp_path: Path, layout: Layout) -> None:
    whole, expected = (zipped(JSON), ROWS) if layout == "json" else (zipped(ORDERS.encode()), ORDER_ROWS)
    accepted = []
    for at in range(len(whole)):
        for flip in (0x01, 0x80, 0xFF):
            body = whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :]
            try:
                found = read(tmp_path, body, layout)
            except FAILURES:
                continue
            assert found == expected
            accepted.append(at)
    unverified = {*range(3, 10), len(whole) - 9}
    assert set(accepted) <= unverified, "flags, time and system in the gzip header; bits that fill the last byte"


@pytest.mark.parametrize("tail", [b"x", b"\x1f\x8b", b"\x00x", b"<Error/>", JSON])
def test_other_data_after_gzip_is_damage(tmp_path: Path, tail: bytes) -> None:
    with pytest.raises(TransientFailure, match="truncated, changed or followed by other data"):
        read(tmp_path, zipped(JSON) + tail)


def test_rows_of_damaged_gzip_fail_without_verify_too(tmp_path: Path) -> None:
    path = tmp_path / "document"
    path.write_bytes(zipped(JSON)[:-1])
    with pytest.raises(TransientFailure):
        list(rows(path, "json", None, charset="", country="DE", origin="it"))


@given(st.integers(1, len(JSON) - 1))
def test_plain_json_that_stops_is_downloaded_again(tmp_path_factory: pytest.TempPathFactory, end: int) -> None:
    with pytest.raises(TransientFailure):
        read(tmp_path_factory.getbasetemp() / "stops", JSON[:end])


@pytest.mark.parametrize("layout", ["json", "tsv"])
@pytest.mark.parametrize("body", [b"", zipped(b""), zipped(b"") * 2], ids=["no bytes", "gzip of nothing", "twice"])
def test_nothing_is_no_report_without_rows(tmp_path: Path, layout: Layout, body: bytes) -> None:
    with pytest.raises(TransientFailure, match="no content"):
        read(tmp_path, body, layout)
    with pytest.raises(TransientFailure, match="no content"):
        list(rows(tmp_path / "document", layout, None, charset="", country="DE", origin="it"))


def test_reports_without_rows(tmp_path: Path) -> None:
    assert read(tmp_path, zipped(b"[]")) == []
    assert read(tmp_path, b'{"salesAndTrafficByDate": [], "x": {}}', records="salesAndTrafficByDate") == []
    assert table(tmp_path, ORDERS.splitlines()[0].encode(), needed=["amazon-order-id"]) == []
    assert table(tmp_path, ORDERS.splitlines()[0].encode() + b"\r\n") == []


@pytest.mark.parametrize("body", [b"null", b'"text"', b"7", b"true", b"{}", b"[null]", b"[[]]", b"[1]", b'["a"]'])
def test_json_that_is_no_array_of_objects_is_refused(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(PermanentFailure):
        read(tmp_path, zipped(body))


@pytest.mark.parametrize(
    "body",
    [b"[]]", b"[] x", b"[{}{}]", b"[{},]", b"[NaN]", b'[{"a":Infinity}]', b'[{"a":01}]', b"[{'a':1}]", b'[{"a":"\n"}]'],
)
def test_broken_json_is_downloaded_again(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(TransientFailure, match="JSON at byte"):
        read(tmp_path, body)


def test_numbers_keep_their_spelling_and_are_no_texts(tmp_path: Path) -> None:
    spelled = ["9007199254740993", "18446744073709551615", "1E-7", "-0.0", "58.989999999999995", "1e999", "0", "1.10"]
    body = f'[{{"n": [{", ".join(spelled)}], "id": {"9" * 5000}, "sku": "007"}}]'.encode()
    (row,) = read(tmp_path, body)
    assert row["n"] == spelled
    assert {type(n) for n in (*row["n"], row["id"])} == {Number}
    assert type(row["sku"]) is str
    assert json.dumps(row["n"][:2]) == '["9007199254740993", "18446744073709551615"]'


NESTED = b'{"reportSpecification": {"a": [1]}, "data": {"rows": [{"x": {"y": 1}}], "more": []}, "salesByAsin": null}'


def test_records_are_found_at_their_path(tmp_path: Path) -> None:
    assert read(tmp_path, zipped(NESTED), records="data.rows") == [{"x": {"y": "1"}}]
    assert read(tmp_path, NESTED, records="data.more") == []


@pytest.mark.parametrize("records", ["rows", "data", "data.none", "reportSpecification.a", "salesByAsin", None])
def test_records_that_are_missing_are_refused(tmp_path: Path, records: str | None) -> None:
    with pytest.raises(PermanentFailure, match="it: "):
        read(tmp_path, NESTED, records=records)


def test_deep_nesting_is_a_failure_that_names_the_document(tmp_path: Path) -> None:
    with pytest.raises(TransientFailure, match="nested too deeply"):
        read(tmp_path, b"[" * 100_000)


def test_a_document_that_comes_to_more_than_a_report_does_is_not_asked_for_again(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"it: comes to .* times the"):
        read(tmp_path, zipped(bytes(65 << 20)))


def test_one_line_of_json_is_streamed(tmp_path: Path) -> None:
    path, count, text = tmp_path / "document", 50_000, "x" * 500
    compressor = isal_zlib.compressobj(level=1, wbits=31)
    with path.open("wb") as file:
        file.write(compressor.compress(b'{"reportSpecification":{},"records":['))
        for n in range(count):
            file.write(compressor.compress(f'{"," if n else ""}{{"rank":{n},"searchTerm":"{text}"}}'.encode()))
        file.write(compressor.compress(b"]}") + compressor.flush())
    tracemalloc.start()
    try:
        found = sum(1 for _ in rows(path, "json", "records", charset="", country="DE", origin="it"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == count
    assert peak < 12 << 20


@pytest.mark.parametrize("layout", ["json", "tsv"])
@pytest.mark.parametrize("pack", [bytes, zipped])
def test_amazons_error_document_is_quoted(tmp_path: Path, layout: Layout, pack: Any) -> None:
    body = b'{\n "errorDetails": "dataStartTime must be the same day as\\ndataEndTime when reportPeriod=DAY"\n}'
    with pytest.raises(PermanentFailure, match="made no report: dataStartTime must be the same day as dataEndTime"):
        read(tmp_path, pack(body), layout, "salesAndTrafficByDate")


def test_an_error_text_in_place_of_a_table_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(PermanentFailure, match=r"Date range exceeded\. Report can be requested only upto 30 days"):
        table(tmp_path, b"Date range exceeded. Report can be requested only upto 30 days\r\n")
    with pytest.raises(PermanentFailure, match="of GET_FLAT_FILE_ALL_ORDERS_DATA_BY_ORDER_DATE_GENERAL"):
        table(tmp_path, b"There is no data of GET_FLAT_FILE_ALL_ORDERS_DATA_BY_ORDER_DATE_GENERAL")
    with pytest.raises(PermanentFailure, match="expected an array"):
        read(tmp_path, b'{"errorDetails": null}')
    with pytest.raises(PermanentFailure, match="We could not make your report"):
        read(tmp_path, b"We could not make your report. Try later, or write to help@example.com")


S3_ERROR = f"""<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message>
<AWSAccessKeyId>ASIAIOSFODNN7EXAMPLE</AWSAccessKeyId>
<Token-0>{SECRET}</Token-0><HostId>
 abc/def+1 </HostId></Error>""".encode()


@pytest.mark.parametrize("layout", ["json", "tsv"])
def test_an_error_of_the_storage_is_quoted_without_credentials(tmp_path: Path, layout: Layout) -> None:
    with pytest.raises(PermanentFailure, match="ExpiredToken: The provided token has expired") as caught:
        read(tmp_path, S3_ERROR, layout)
    for hidden in (SECRET, "ASIAIOSFODNN7EXAMPLE", "abc/def", "Token-0"):
        assert hidden not in f"{caught.value!r} {caught.value.__cause__!r}"


@pytest.mark.parametrize("layout", ["json", "tsv"])
def test_a_web_page_is_no_report(tmp_path: Path, layout: Layout) -> None:
    with pytest.raises(PermanentFailure, match="503 Service Unavailable"):
        read(tmp_path, b"<!DOCTYPE html>\n<html><head><title>503 Service Unavailable</title></head></html>", layout)
    with pytest.raises(PermanentFailure, match="a page of XML or HTML"):
        read(tmp_path, f"<html><body data-key='{SECRET[:20]}'>\t<p>hello".encode(), layout)


@pytest.mark.parametrize("layout", ["json", "tsv"])
@pytest.mark.parametrize("text", [f"https://x.example/a?X-Amz-Signature={SECRET}", f"sign in with {SECRET}\nor"])
def test_addresses_and_tokens_in_a_foreign_text_are_not_quoted(tmp_path: Path, layout: Layout, text: str) -> None:
    with pytest.raises(PermanentFailure) as caught:
        read(tmp_path, text.encode(), layout)
    assert SECRET[:10] not in str(caught.value)


@pytest.mark.parametrize("pack", [bytes, zipped, lambda b: b.replace(b"\n", b"\r\n"), lambda b: codecs.BOM_UTF8 + b])
def test_tables_are_read_however_they_are_packed(tmp_path: Path, pack: Any) -> None:
    assert table(tmp_path, pack(ORDERS.encode()), needed=["amazon-order-id"]) == ORDER_ROWS


def test_quotes_and_carriage_returns_are_data(tmp_path: Path) -> None:
    body = b'id\tname\r\n1\t15" monitor\r\n2\t"quoted"\r\n3\ta\rb\r\n4\tlast line'
    names = ['15" monitor', '"quoted"', "a\rb", "last line"]
    assert [row["name"] for row in table(tmp_path, body)] == names


def test_rows_of_another_width_are_kept_apart(tmp_path: Path) -> None:
    body = b"id\tname\n1\ta\n2\n\n3\tb\tc\n4\td\n\t\n"
    assert table(tmp_path, body) == [
        {"id": "1", "name": "a"},
        {MISFIT: ["2"]},
        {MISFIT: ["3", "b", "c"]},
        {"id": "4", "name": "d"},
    ]


def test_last_fields_that_are_left_out_are_empty(tmp_path: Path) -> None:
    body = b"id\tname\tprice\tsku\n1\ta\n2\tb\t3.50\ts\n3\tc\n"
    assert table(tmp_path, body) == [
        {"id": "1", "name": "a", "price": "", "sku": ""},
        {"id": "2", "name": "b", "price": "3.50", "sku": "s"},
        {"id": "3", "name": "c", "price": "", "sku": ""},
    ]


def test_pieces_of_a_row_are_not_taken_for_rows(tmp_path: Path) -> None:
    cut_by_a_line_end = b"id\tname\tprice\tsku\n1\ta\nb\t3.50\ts\n2\tc\t1\ts\n"
    assert table(tmp_path, cut_by_a_line_end) == [
        {MISFIT: ["1", "a"]},
        {MISFIT: ["b", "3.50", "s"]},
        {"id": "2", "name": "c", "price": "1", "sku": "s"},
    ]
    cut_off = b"id\tname\tprice\tsku\n1\ta\t2.5"
    assert table(tmp_path, cut_off) == [{MISFIT: ["1", "a", "2.5"]}]


def test_a_table_whose_header_is_quoted_is_read_without_its_quotes(tmp_path: Path) -> None:
    body = b'"id"\t"name"\r\n"1"\t"a ""big"" one"\r\n"2"\t""\r\n"3"\t15"\r\n'
    assert table(tmp_path, body) == [
        {"id": "1", "name": 'a "big" one'},
        {"id": "2", "name": ""},
        {"id": "3", "name": '15"'},
    ]


@pytest.mark.parametrize(
    ("layout", "body"),
    [
        ("tsv", b"id\tAnn Example\n"),
        ("tsv", b"order-id\tAnn Example\tAnn Example\n"),
        ("tsv", b"Ann Example"),
        ("tsv", b'[{"name": "Ann Example"}]'),
        ("json", b"Ann Example\t1\n"),
        ("json", b'[["Ann Example"]]'),
        ("json", b'[{"name": "Ann Example"'),
    ],
)
def test_nothing_of_a_private_document_is_quoted(tmp_path: Path, layout: Layout, body: bytes) -> None:
    path = tmp_path / "document"
    path.write_bytes(body)
    with pytest.raises(FAILURES) as failure:
        list(rows(path, layout, None, ["order-id"], charset="", country="DE", origin="it", private=True))
    assert "Ann" not in f"{failure.value} {failure.value.__cause__}"


def test_what_amazon_says_in_the_place_of_a_private_document_is_quoted(tmp_path: Path) -> None:
    path = tmp_path / "document"
    path.write_bytes(b'{"errorDetails": "Not yet."}')
    with pytest.raises(PermanentFailure, match="Not yet"):
        list(rows(path, "tsv", None, charset="", country="DE", origin="it", private=True))


def test_a_header_that_is_another_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PermanentFailure, match=r"lacks order-id, price; it begins 'id \| name'"):
        table(tmp_path, b"id\tname\n1\ta\n", needed=["order-id", "id", "price"])
    with pytest.raises(PermanentFailure, match="names name twice"):
        table(tmp_path, b"id\tname\tname\n1\ta\tb\n")


@pytest.mark.parametrize(
    ("layout", "body"),
    [
        ("tsv", b"id\tname\tname\n1\ta\tb\n2\tc\tc\n"),
        ("json", b'[{"id": "1", "name": "a", "name": "b"}, {"id": "2", "name": "c", "name": "c"}]'),
    ],
)
def test_of_a_name_that_stands_twice_both_values_are_kept_where_they_differ(
    tmp_path: Path, layout: Layout, body: bytes
) -> None:
    path = tmp_path / "document"
    path.write_bytes(body)
    found = list(rows(path, layout, None, charset="", country="DE", origin="it", apart=True))
    assert found == [{"id": "1", "name": "a", "name 2": "b"}, {"id": "2", "name": "c"}]


JAPANESE, WESTERN = "名前ー表示①髙", "Größe ’ € œ"


@pytest.mark.parametrize(
    ("sent", "charset", "country", "text"),
    [
        ("cp932", "", "JP", JAPANESE),
        ("cp932", "Windows-31J", "JP", JAPANESE),
        ("cp932", '"Shift_JIS"', "JP", JAPANESE),
        ("cp932", "x-sjis", "JP", JAPANESE),
        ("cp932", "utf-8", "JP", JAPANESE),
        ("cp932", "us-ascii", "JP", JAPANESE),
        ("cp932", "shift_jis", "US", JAPANESE),
        ("cp932", "ISO-8859-1", "JP", JAPANESE),
        ("cp932", "iso-8859-1", "JP", "テスト"),
        ("cp932", "windows-1252", "JP", "White Paint Pen 白ペイント ペン"),
        ("cp932", "ISO-8859-1", "JP", "ﾊﾝｶｸ ｶﾅ 10cm角"),
        ("cp1252", "", "JP", "Größe"),
        ("cp1252", "", "JP", "Montréal"),
        ("cp1252", "ISO-8859-1", "JP", "30×40 cm"),
        ("cp1252", "ISO-8859-1", "JP", WESTERN),
        ("utf-8-sig", "ISO-8859-1", "JP", JAPANESE),
        ("utf-8-sig", "", "DE", WESTERN),
        ("cp1252", "", "DE", WESTERN),
        ("cp1252", "ISO-8859-1", "DE", WESTERN),
        ("cp1252", "latin1", "FR", WESTERN),
        ("cp1252", "UTF-8", "DE", WESTERN),
        ("cp1252", "Cp1252", "JP", "Größe"),
        ("cp1250", "windows-1250", "PL", "Łódź"),
        ("iso-8859-9", "iso-8859-9", "TR", "İğş"),
        ("utf-8", "ISO-8859-1", "DE", WESTERN),
        ("utf-8", "windows-31j", "JP", JAPANESE),
        ("utf-8", "", "JP", JAPANESE),
        ("utf-16", "", "DE", WESTERN),
        ("utf-16", "ISO-8859-1", "JP", JAPANESE),
        ("cp1252", "no-such-charset", "DE", WESTERN),
        ("cp1252", "hex", "DE", WESTERN),
        ("cp1252", "undefined", "DE", WESTERN),
        ("cp1252", "unicode_escape", "DE", WESTERN + "\\u0041"),
        ("cp1252", "utf-16", "DE", WESTERN),
        ("cp1252", "../../x\0é", "DE", WESTERN),
    ],
)
def test_texts_come_out_as_they_were_written(tmp_path: Path, sent: str, charset: str, country: str, text: str) -> None:
    body = f"id\tname\n1\t{text}\n".encode(sent)
    expected = [{"id": "1", "name": text}]
    assert table(tmp_path, body, charset=charset, country=country, needed=["id", "name"]) == expected
    assert table(tmp_path, zipped(body), charset=charset, country=country) == expected


@pytest.mark.parametrize(
    ("body", "charset", "country", "doubt"),
    [
        (JAPANESE.encode("cp932"), "ISO-8859-1", "JP", ""),
        (JAPANESE.encode("cp932"), "", "JP", ""),
        (WESTERN.encode("cp1252"), "ISO-8859-1", "DE", ""),
        (WESTERN.encode(), "windows-31j", "JP", ""),
        (f"id\tname\n1\t{WESTERN}\n".encode("utf-16"), "", "DE", ""),
        ("Größe".encode("cp1252"), "ISO-8859-1", "JP", "read as cp1252, but files of JP are in cp932"),
        ("Größe".encode("cp1252"), "euc-jp", "DE", "read as cp1252, but its header says 'euc-jp'"),
        (
            "Größe".encode().decode("cp1252").encode(),
            "",
            "DE",
            "read as utf-8, but 1 of 1 places beyond ASCII look garbled",
        ),
        ("テスト".encode("cp932"), "", "US", "read as cp1252, but 3 of 3 places beyond ASCII look garbled"),
    ],
)
def test_people_are_to_look_at_a_table_that_may_be_read_in_a_wrong_encoding(
    tmp_path: Path, body: bytes, charset: str, country: str, doubt: str
) -> None:
    document = tmp_path / "document"
    document.write_bytes(body.join((b"id\tname\n1\t", b"\n")) if body[:1] != b"\xff" else body)
    doubts: list[str] = []
    for _ in rows(document, "tsv", None, charset=charset, country=country, origin="it", doubted=doubts.append):
        pass
    assert "; ".join(doubts) == doubt


def test_a_header_that_is_wrong_loses_no_rows(tmp_path: Path) -> None:
    body = f"id\tname\n1\t{WESTERN}\n".encode("cp1252")
    for charset in ("utf-8", "euc-jp", "iso-2022-jp", "big5"):
        assert table(tmp_path, body, charset=charset) == [{"id": "1", "name": WESTERN}], charset


def test_a_byte_that_is_wrong_after_the_first_chunk_decides_too(tmp_path: Path) -> None:
    lines = "1\tabcdefghijklmnop\n" * 100_000
    found = table(tmp_path, f"id\tname\n{lines}2\tGrün\n".encode("cp1252"))
    assert (len(found), found[-1]["name"]) == (100_001, "Grün")


def test_text_in_no_charset_that_may_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PermanentFailure, match="not text in utf-8-sig or ascii or cp1252"):
        table(tmp_path, b"id\tname\n1\t\x81\x8d\n", charset="us-ascii")
    with pytest.raises(PermanentFailure, match="not text in utf-8-sig or cp932"):
        table(tmp_path, b"id\tname\n1\t\x81 x\n", country="JP")
    with pytest.raises(PermanentFailure, match="not text in utf-16"):
        table(tmp_path, codecs.BOM_UTF16_LE + b"i\0d\0\t\0x")


def test_json_in_another_charset_is_no_json(tmp_path: Path) -> None:
    with pytest.raises(TransientFailure, match="not text in utf-8"):
        read(tmp_path, '[{"name":"Größe"}]'.encode("cp1252"))


names = st.text(st.characters(codec="utf-8"), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | names | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=examples(15))
@given(st.lists(st.dictionaries(names, values, max_size=4), max_size=6), st.booleans())
def test_any_json_rows_come_out_equal(
    tmp_path_factory: pytest.TempPathFactory, wanted: list[dict[str, Any]], ascii_only: bool
) -> None:
    body = json.dumps(wanted, ensure_ascii=ascii_only).encode()
    found = read(tmp_path_factory.getbasetemp() / "rows", zipped(body))
    assert found == json.loads(body, parse_int=str, parse_float=str)


fields = st.text(st.characters(codec="cp1252", exclude_characters="\t\n\r"), max_size=6)


@settings(max_examples=examples(15))
@given(st.lists(st.lists(fields, min_size=3, max_size=3), max_size=6), st.sampled_from(["utf-8", "cp1252"]))
def test_any_table_comes_out_equal(
    tmp_path_factory: pytest.TempPathFactory, wanted: list[list[str]], encoding: str
) -> None:
    body = "".join("\t".join(line) + "\r\n" for line in [["a", "b", "c"], *wanted]).encode(encoding)
    found = table(tmp_path_factory.getbasetemp() / "table", zipped(body))
    if encoding == "utf-8" or not _is_utf8(body):
        assert found == [dict(zip("abc", line, strict=True)) for line in wanted if "".join(line).strip()]


def _is_utf8(body: bytes) -> bool:
    return body.decode("utf-8", "replace").encode() == body


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"reportSpecification": {"reportOptions": {"asin": "B2 B1", "reportPeriod": "WEEK"}}, "rows": []}, ""),
        ({"reportSpecification": {"reportOptions": {"reportPeriod": "WEEK"}}}, ""),
        ({"reportSpecification": {"reportOptions": {"asin": "B1"}}}, "asin B1 instead of B1 B2"),
        ({"reportSpecification": {"reportOptions": {"reportPeriod": "DAY"}}}, "reportPeriod DAY instead of WEEK"),
        ({"reportSpecification": {"reportOptions": None}}, ""),
        ({"reportSpecification": []}, ""),
        ({"rows": []}, ""),
        ([], ""),
    ],
)
def test_a_document_says_with_which_options_it_was_made(tmp_path: Path, document: Any, says: str) -> None:
    path = tmp_path / "document"
    for body in (json.dumps(document, indent=1).encode(), zipped(json.dumps(document).encode())):
        path.write_bytes(body)
        assert other_options(path, {"asin": "B1 B2", "reportPeriod": "WEEK"}, "it") == says


def test_content_is_what_was_packed(tmp_path: Path) -> None:
    path = tmp_path / "document"
    for body in (zipped(b"abc"), b"abc"):
        path.write_bytes(body)
        assert b"".join(content(path, "it")) == b"abc"


CSV = '"date.value","campaign.name","metric.clicks"\n"2026-01-01","Größe, ""XL""\nneu","7"\n"2026-01-02","","0"\n'
CSV_ROWS = [
    {"date.value": "2026-01-01", "campaign.name": 'Größe, "XL"\nneu', "metric.clicks": "7"},
    {"date.value": "2026-01-02", "campaign.name": None, "metric.clicks": "0"},
]


def test_a_table_in_csv_is_read_however_it_is_packed_and_an_empty_field_is_no_value(tmp_path: Path) -> None:
    for body in (CSV.encode(), zipped(CSV.encode()), codecs.BOM_UTF8 + CSV.encode(), CSV[:-1].encode()):
        assert commas(tmp_path, body, "date.value") == CSV_ROWS
    assert commas(tmp_path, "date.value,metric.clicks\n", "date.value") == []
    assert commas(tmp_path, "a,b\n1\n2,3\n4,5,6\n") == [
        {MISFIT: ["1"]},
        {"a": "2", "b": "3"},
        {MISFIT: ["4", "5", "6"]},
    ]


@pytest.mark.parametrize("body", [CSV[:-3], CSV[:-7], "a,b\n1,2\n3", b"", zipped(CSV.encode())[:-9]])
def test_a_table_in_csv_that_stops_in_the_middle_is_not_taken_for_whole(tmp_path: Path, body: str | bytes) -> None:
    with pytest.raises(TransientFailure):
        commas(tmp_path, body)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("date,clicks\n2026-01-01,1\n", "its header lacks date.value; it begins 'date | clicks'"),
        ("a,a,date.value\n", "the header names a twice"),
        ('{"errorDetails": "no access"}', "Amazon made no report: no access"),
    ],
)
def test_what_is_no_table_in_csv_says_so(tmp_path: Path, body: str, says: str) -> None:
    with pytest.raises(PermanentFailure, match=re.escape(says)):
        commas(tmp_path, body, "date.value")
