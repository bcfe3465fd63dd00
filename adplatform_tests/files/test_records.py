"""Records are taken out of files as wholes, and what is left is as it was written."""

import gzip
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.limits import Limits
from adplatform.files.bad_file import BadFile
from adplatform.files.parted import Parted
from adplatform.files.records import part

CSV, NDJSON, JSON = FileFormat(), FileFormat(kind="ndjson"), FileFormat(kind="json")


def holds_jane(text: str, values: Mapping[str, str]) -> bool:
    return "jane" in text


def parted(
    tmp_path: Path,
    body: bytes,
    form: FileFormat | None,
    judge: Callable[[str, Mapping[str, str]], bool] = holds_jane,
) -> tuple[bytes, Parted]:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(body)
    found = part(source, target, form, judge, "a file")
    return target.read_bytes(), found


@pytest.mark.parametrize(
    ("body", "left", "taken"),
    [
        (b"id,name\r\n1,jane\r\n2,bob\r\n", b"id,name\r\n2,bob\r\n", 1),
        (b'id,name\n1,"said:\njane"\n2,"a ""quote"" of\nbob"\n', b'id,name\n2,"a ""quote"" of\nbob"\n', 1),
        (b'id,name\n1,5" pipe\n2,jane\n3,6" pipe\n', b'id,name\n1,5" pipe\n3,6" pipe\n', 1),
        (b"\xef\xbb\xbfid,jane\n1,bob\n", b"\xef\xbb\xbfid,jane\n1,bob\n", 0),
        (b"id,name\n1,\xff\xfe\n2,jane\n", b"id,name\n1,\xff\xfe\n", 1),
        (b"id,name\n1,jane", b"id,name\n", 1),
        (b"id,name\n\n1,bob\n", b"id,name\n\n1,bob\n", 0),
    ],
)
def test_lines_go_with_their_quoted_line_ends(tmp_path: Path, body: bytes, left: bytes, taken: int) -> None:
    found, count = parted(tmp_path, body, CSV)
    assert (found, count.taken) == (left, taken)


def test_a_quote_that_nobody_closes_takes_no_other_line_with_it(tmp_path: Path) -> None:
    body = b'id,name\n1,"open\n' + b"".join(b"%d,bob\n" % n for n in range(3000)) + b"9,jane\n"
    left, count = parted(tmp_path, body, CSV)
    assert count.taken == 1
    assert left.count(b"bob") == 3000


def test_columns_are_told_by_name(tmp_path: Path) -> None:
    body = b"note\nid|name\n1|a\n2|1\n"
    form = FileFormat(delimiter="|", skip_lines=1)
    left, count = parted(tmp_path, body, form, lambda _, values: values.get("id") == "1")
    assert (left, count) == (b"note\nid|name\n2|1\n", Parted(1, 1))


BESIDE = {"header": {"starts_with": "id"}, "comment": "#", "repeated_header": "leave_out"}


@pytest.mark.parametrize(
    ("settings", "body", "left", "count"),
    [
        (BESIDE, b'by jane\nfor "bob\nid,n\n1,b\n', b'for "bob\nid,n\n1,b\n', (1, 1)),
        (BESIDE, b'#jane\nid,n\n1,b\n# "jane\nid,n\n2,jane\n#x\n', b"id,n\n1,b\nid,n\n#x\n", (3, 1)),
        (BESIDE, b'id,n\n1,"a\n# jane\n"\n2,b\n', b"id,n\n2,b\n", (1, 1)),
        ({"skip_footer": 2}, b"id\n1\nsum of jane\n\nend\n", b"id\n1\nerased\n\nend\n", (1, 1)),
        ({"skip_footer": 1}, b"id\n1\njane\nend of jane", b"id\n1\nerased", (2, 1)),
        (
            {"skip_footer": {"starts_with": ["Total", "*"]}},
            b'id\n1\n"Total of jane",2\nby jane\nx\n',
            b"id\n1\nTotal\nx\n",
            (2, 1),
        ),
        ({"delimiter": ";"}, b"sep=;\nid;n\n1;jane\n2;b\n", b"sep=;\nid;n\n2;b\n", (1, 1)),
        # What the feed refuses: another delimiter, no header, a footer that is longer than the file, an open quote.
        ({}, b"sep=;\nid;n\n1;jane\n2;b\n", b"sep=;\nid;n\n2;b\n", (1, 1)),
        (BESIDE, b"jane\nbob\n", b"bob\n", (1, 1)),
        ({"skip_footer": 3, "skip_lines": 1}, b"jane\n1\njane\n", b"1\n", (2, 1)),
        ({}, b'id,"n\n1,jane\n2,bob\n', b'id,"n\n2,bob\n', (1, 1)),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_lines_that_a_feed_leaves_out_lose_the_person_and_go_on_to_be_left_out(
    tmp_path: Path, settings: dict[str, Any], body: bytes, left: bytes, count: tuple[int, int], encoding: str
) -> None:
    form = FileFormat.model_validate({**settings, "encoding": encoding})
    found = parted(tmp_path, body.decode().encode(encoding), form)
    assert (found[0].decode(encoding).encode(), found[1]) == (left, Parted(*count))


def test_fields_are_divided_by_several_characters(tmp_path: Path) -> None:
    body = b'id||a||b\n1||"x||jane\n"||y\n2||"x||""y"||z||\n3||1||"q\nr"\n'
    form = FileFormat(delimiter="||")
    left, count = parted(tmp_path, body, form)
    assert (left, count) == (b'id||a||b\n2||"x||""y"||z||\n3||1||"q\nr"\n', Parted(1, 2))
    told = ("x||jane\n", "1", 'x||"y')
    left, count = parted(tmp_path, body, form, lambda _, values: values.get("a") in told and bool(values.get("b")))
    assert (left, count) == (b"id||a||b\n", Parted(3, 0))


def test_json_keeps_what_others_wrote(tmp_path: Path) -> None:
    lines = b'{"a": "jane"}\n{"a": 1.10, "b": [1e2]}\nbroken jane\n'
    assert parted(tmp_path, lines, NDJSON)[0] == b'{"a": 1.10, "b": [1e2]}\n'
    document = json.dumps({"by": "jane", "data": {"rows": [{"a": "jane"}, {"a": 1}]}}).encode()
    form = FileFormat(kind="json", records="data.rows")
    assert json.loads(parted(tmp_path, document, form)[0]) == {"by": "", "data": {"rows": [{"a": 1}]}}


@pytest.mark.parametrize("codec", ["SNAPPY", "UNCOMPRESSED"])
def test_parquet_keeps_its_schema_and_codec(tmp_path: Path, codec: str) -> None:
    table = pa.table({"a": ["jane", "bob", None], "n": pa.array([1, 2, 3], pa.int32()), "l": [[], ["jane"], ["x"]]})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="none" if codec == "UNCOMPRESSED" else codec)
    left, count = parted(tmp_path, buffer.getvalue(), None)
    found = pq.read_table(io.BytesIO(left))
    assert pq.read_metadata(io.BytesIO(left)).row_group(0).column(0).compression == codec
    assert (found.schema, found["n"].to_pylist(), count) == (table.schema, [3], Parted(2, 1))


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1", "shift_jis"])
def test_an_encoding_stays(tmp_path: Path, encoding: str) -> None:
    left, _ = parted(tmp_path, "id\njane\nbob\n".encode(encoding), FileFormat(encoding=encoding))
    assert left.decode(encoding) == "id\nbob\n"


def test_compression_stays_and_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    packed = gzip.compress(b"id\njane\nbob\n")
    left, _ = parted(tmp_path, packed, CSV)
    assert gzip.decompress(left) == b"id\nbob\n"
    assert parted(tmp_path, packed, CSV)[0] == left
    zstd = pa.compress(b"id\njane\nbob\n", "zstd", asbytes=True)
    left, _ = parted(tmp_path, zstd, CSV)
    assert pa.decompress(left, 7, "zstd", asbytes=True) == b"id\nbob\n"


def test_members_of_an_archive_lose_their_records_and_their_telling_names(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("jane.csv", b"id\nbob\n")
        archive.writestr("b.csv", gzip.compress(b"id\njane\nann\n"))
    left, count = parted(tmp_path, buffer.getvalue(), CSV)
    with zipfile.ZipFile(io.BytesIO(left)) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    assert found["member-0001.csv"] == b"id\nbob\n"
    assert gzip.decompress(found["b.csv"]) == b"id\nann\n"
    assert count.taken == 2


@pytest.mark.parametrize(
    "body",
    [gzip.compress(b"id\njane\n")[:-4], b"PAR1broken", b"PK\x03\x04broken", b"-----BEGIN PGP MESSAGE-----"],
    ids=["gzip", "parquet", "zip", "openpgp"],
)
def test_what_cannot_be_read_is_no_file_without_the_person(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(BadFile):
        parted(tmp_path, body, CSV)


FIELD = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r", exclude_categories=["Cs"]), max_size=6)


@given(st.lists(st.lists(FIELD, min_size=2, max_size=2), max_size=6), st.data())
def test_well_written_rows_are_taken_out_one_by_one(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], data: st.DataObject
) -> None:
    gone = data.draw(st.sets(st.integers(0, max(0, len(rows) - 1)))) if rows else set()

    def written(fields: list[str]) -> str:
        return ",".join('"' + field.replace('"', '""') + '"' for field in fields) + "\n"

    marked = [[*row, "jane" if place in gone else "x"] for place, row in enumerate(rows)]
    body = "a,b,c\n" + "".join(map(written, marked))
    left, count = parted(tmp_path_factory.mktemp("parted"), body.encode(), CSV, lambda _, values: values["c"] == "jane")
    assert left.decode() == "a,b,c\n" + "".join(written(row) for row in marked if row[2] == "x")
    assert count == Parted(len(gone), len(rows) - len(gone))


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    body = gzip.compress(b"id\n" + b"0\n" * 4_000_000)
    limits = Limits.model_validate({"ratio_from": "1MB", "ratio": 10})
    (tmp_path / "source").write_bytes(body)
    with pytest.raises(BadFile, match="over 10 times"):
        part(tmp_path / "source", tmp_path / "target", CSV, holds_jane, "a file", limits)
