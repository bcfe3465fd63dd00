"""What comes in place of a table is named, with the setting that would read it and nothing of its content."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from adplatform.contracts.file_format import FileFormat
from adplatform.files.bad_file import BadFile
from adplatform.files.foreign import notice
from adplatform.files.unpack import unpack

HIDDEN = "zqvalue"


def unpacked(tmp_path: Path, content: bytes, **settings: Any) -> bytes:
    (tmp_path / "delivered").write_bytes(content)
    work = tmp_path / "work"
    work.mkdir(exist_ok=True)
    return b"".join(
        file.path.read_bytes() for file in unpack(tmp_path / "delivered", "file:1", FileFormat(**settings), work, 0)
    )


PAGES = {
    b"<!DOCTYPE html>\n<html><title>Sign in, zqvalue</title>": "an HTML page that says 'Sign in'",
    b"\xef\xbb\xbf \n<HTML><h1>503 Service Unavailable</h1>": "an HTML page that says 'Service Unavailable' and 503",
    b"<html><body><table><tr><td>zqvalue": "an HTML page, with a table in it as exporters write for Excel",
    b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code><Message>zqvalue': (
        "an XML document <Error> with the code AccessDenied"
    ),
    b"<report><row>zqvalue</row></report>": "an XML document <report>",
    b'<?xml version="1.0"?><?mso-application progid="Excel.Sheet"?><Workbook>': "an XML spreadsheet of Excel 2003",
}


@pytest.mark.parametrize("packed", [False, True], ids=["as it is", "gzip"])
@pytest.mark.parametrize("kind", ["csv", "ndjson", "json", "parquet"])
@pytest.mark.parametrize("content", PAGES, ids=PAGES.values())
def test_a_page_in_place_of_data_is_called_one(tmp_path: Path, content: bytes, kind: str, packed: bool) -> None:
    with pytest.raises(BadFile) as refused:
        unpacked(tmp_path, gzip.compress(content) if packed else content, kind=kind)
    assert f"file:1: is {PAGES[content]}, and the feed says kind: {kind}; see what" in str(refused.value)
    assert HIDDEN not in str(refused.value)


@pytest.mark.parametrize("content", [b"<5,>9\n1,2\n", b"<id>,n\n1,2\n", b"a<html>,b\n1,2\n"])
def test_a_table_whose_text_begins_with_an_angle_is_none(tmp_path: Path, content: bytes) -> None:
    assert unpacked(tmp_path, content) == content


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("No data available for zqvalue\n", "a notice, which says 'No data available', in place of a table"),
        ("No records were found", "a notice, which says 'No records were found', in place of a table"),
        ('{"error": {"message": "Rate limit exceeded", "code": 429}}', "an error with 'error' that says 'Rate limit"),
        ('[{"id": "zqvalue"}]', "a JSON array"),
        ('{"data": [{"id": "zqvalue"', "a JSON document"),
        ("id,zqvalue\n1,2\n", None),
        ("no data,zqvalue\n1,2\n3,4\n5,6\n", None),
    ],
)
def test_what_stands_in_place_of_a_header_is_told_in_words_of_services(text: str, what: str | None) -> None:
    found = notice(text.encode())
    assert (found is None) == (what is None)
    assert (what or "") in (found or "")
    assert HIDDEN not in (found or "")


@pytest.mark.parametrize(
    "content",
    [
        b'[{"id": 1}, {"id": 2}]',
        b'[{"id": 1}, {"id": 2}]\n',
        b'[\n  {"id": 1}\n]\n',
        b" [" + b'{"id": 1},' * 20_000 + b'{"id": 2}]',
    ],
    ids=["one line", "with an end", "several lines", "long"],
)
def test_an_array_in_a_feed_of_lines_says_which_kind_to_set(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(BadFile, match=r"is a JSON array, and the feed says kind: ndjson.*set format.kind: json"):
        unpacked(tmp_path, content, kind="ndjson")


def test_a_document_over_several_lines_in_a_feed_of_lines_says_which_kind_to_set(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"one JSON document over several lines, .*set format.kind: json, with records"):
        unpacked(tmp_path, json.dumps({"data": [{"id": 1}]}, indent=1).encode(), kind="ndjson")


@pytest.mark.parametrize("content", [b'[1]\n{"id": 1}\n', b'{"id": 1}\n[2]\n', b'{\n{"id": 1}\n', b'{"id": [\n1]}\n'])
def test_single_bad_lines_are_left_to_the_quarantine(tmp_path: Path, content: bytes) -> None:
    assert unpacked(tmp_path, content, kind="ndjson") == content


@pytest.mark.parametrize(
    ("content", "records", "says"),
    [
        (
            b'{"id": 1}\n{"id": 2}\n',
            None,
            "expected an array: one object stands after another; set format.kind: ndjson",
        ),
        (b'{"id": 1}\n{"id": 2}\n', "data", "which records names; another object follows, as of format.kind: ndjson"),
        (b'{"data": []}\n{"data": []}\n', "data", "of objects one after another set format.kind: ndjson"),
        (b'{"zqvalue@b": [], "rows": [1], "n": 2}', None, "set format.records to one of its arrays, which are rows"),
        (b'{"error": "zqvalue"}', None, "it is one object with 'error', as an error is: it says why there is no data"),
        (b'"zqvalue"', None, "set records to the path of the array, or kind: ndjson"),
    ],
)
def test_a_document_without_its_array_says_what_it_is(
    tmp_path: Path, content: bytes, records: str | None, says: str
) -> None:
    with pytest.raises(BadFile) as refused:
        unpacked(tmp_path, content, kind="json", records=records)
    assert says in str(refused.value)
    assert HIDDEN not in str(refused.value)


RETURNS = {
    "plainly": (b"id,note\r1,a\r2,b\r", b"id,note\n1,a\n2,b\n"),
    "without the last": (b"id,note\r1,a", b"id,note\n1,a"),
    "with empty lines": (b"\r\rid\r\r1\r", b"\n\nid\n\n1\n"),
    "with line feeds in quotes": (b'id,"no\nte"\r1,"a\nb"\r', b'id,"no\nte"\n1,"a\nb"\n'),
    "with returns in quotes": (b'id,note\r1,"a\rb"\r', b'id,note\n1,"a\nb"\n'),
}


@pytest.mark.parametrize("packing", ["as it is", "gzip", "utf-16", "byte order mark"])
@pytest.mark.parametrize("case", RETURNS)
def test_lines_may_end_with_carriage_returns_alone(tmp_path: Path, case: str, packing: str) -> None:
    content, expected = RETURNS[case]
    settings = {}
    match packing:
        case "gzip":
            content = gzip.compress(content)
        case "utf-16":
            content, settings = content.decode().encode("utf-16"), {"encoding": "utf-16"}
        case "byte order mark":
            content = b"\xef\xbb\xbf" + content
    assert unpacked(tmp_path, content, **settings) == expected


def test_returns_at_the_edge_of_what_is_read_at_once_are_replaced_once(tmp_path: Path) -> None:
    body = b"".join(b"%d,%b\r" % (n, b"x" * (n % 97)) for n in range(60_000))
    assert unpacked(tmp_path, b"id,note\r" + body) == (b"id,note\r" + body).replace(b"\r", b"\n")
    assert unpacked(tmp_path, b'{"id":1}\r' * 200_000, kind="ndjson") == b'{"id":1}\n' * 200_000


@pytest.mark.parametrize(
    "content", [b"id,note\r\n1,a\rb\r\n", b'"i\rd",note\n1,a\n', b"id\r\r\n1\r\r\n", b"id,note\n1,a\r"]
)
def test_other_carriage_returns_stay(tmp_path: Path, content: bytes) -> None:
    assert unpacked(tmp_path, content) == content
