"""Records are taken out of tars, workbooks and Avro; what nobody can look into is counted, and goes with the rest."""

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fastavro
import pytest
from openpyxl import Workbook, load_workbook
from openpyxl.comments import Comment

from adplatform.contracts.file_format import FileFormat
from adplatform.files.avro_blocks import Block, read_header, written_block, written_header
from adplatform.files.bad_file import BadFile
from adplatform.files.parted import Parted
from adplatform.files.records import part
from adplatform.files.unpack import unpack
from adplatform_tests.support.avros import SYNC, avro, record
from adplatform_tests.support.tars import entry, tarred
from adplatform_tests.support.workbooks import by_hand, changed, packed, saved, workbook

XLSX = FileFormat(kind="xlsx")


def holds_jane(text: str, values: Mapping[str, str]) -> bool:
    return "jane" in text


def parted(tmp_path: Path, body: bytes, form: FileFormat | None, judge: Any = holds_jane) -> tuple[bytes, Parted]:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(body)
    found = part(source, target, form, judge, "a file")
    return target.read_bytes(), found


def read(tmp_path: Path, body: bytes, form: FileFormat) -> list[str]:
    (tmp_path / "delivered").write_bytes(body)
    files = unpack(tmp_path / "delivered", "a file", form, tmp_path, 0)
    return [file.path.read_text() for file in files]


# -- archives

MEMBERS = {"a.csv": b"id\njane\nbob\n", "x/jane.csv": b"id\nann\n", "b.csv": gzip.compress(b"id\njane\n")}


def test_members_of_a_tar_lose_their_records_and_their_telling_names(tmp_path: Path) -> None:
    for body in (tarred(MEMBERS), gzip.compress(tarred(MEMBERS))):
        left, count = parted(tmp_path, body, FileFormat())
        with tarfile.open(fileobj=io.BytesIO(left)) as archive:
            found = {name: archive.extractfile(name).read() for name in archive.getnames()}  # type: ignore[union-attr]
        assert list(found) == ["a.csv", "member-0002.csv", "b.csv"]
        assert [found["a.csv"], found["member-0002.csv"]] == [b"id\nbob\n", b"id\nann\n"]
        assert gzip.decompress(found["b.csv"]) == b"id\n"
        assert count == Parted(3, 2)
        assert parted(tmp_path, body, FileFormat())[0] == left
        assert read(tmp_path, left, FileFormat()) == ["id\nbob\n", "id\nann\n", "id\n"]


def test_a_link_that_names_the_person_goes(tmp_path: Path) -> None:
    body = entry("l", tarfile.SYMTYPE, linkname="/home/jane") + tarred({"a.csv": b"id\nbob\n"})
    left, count = parted(tmp_path, body, FileFormat())
    assert (b"jane" in left, count) == (False, Parted(1, 1))


BESIDE = {"notes.txt": b"call jane\nor bob\n", "scan.pdf": b"%PDF-1.7 nobody knows", "a.bin": b"\0\1"}
CSV_ONLY = FileFormat(members=("*.csv",))


@pytest.mark.parametrize("pack", [packed, tarred], ids=["zip", "tar"])
def test_members_that_no_feed_reads_are_looked_into_or_go_with_the_rest(tmp_path: Path, pack: Any) -> None:
    left, count = parted(tmp_path, pack({"a.csv": b"id\nbob\n", **BESIDE}), CSV_ONLY)
    assert count == Parted(1, 2, unseen=2)
    [names] = [_names(left)]
    assert names == ["a.csv", "notes.txt"]
    assert (b"jane" in left, read(tmp_path, left, CSV_ONLY)) == (False, ["id\nbob\n"])


@pytest.mark.parametrize("pack", [packed, tarred], ids=["zip", "tar"])
def test_an_archive_without_the_person_stays_and_says_what_nobody_has_seen(tmp_path: Path, pack: Any) -> None:
    body = pack({"a.csv": b"id\nbob\n", "scan.pdf": b"%PDF-1.7 nobody knows"})
    assert parted(tmp_path, body, CSV_ONLY) == (body, Parted(0, 1, unseen=1))


def test_a_member_with_a_password_is_nothing_that_anybody_has_seen(tmp_path: Path) -> None:
    body = bytearray(packed({"a.csv": b"id\nbob\n", "b.txt": b"x"}))
    local, central = body.index(b"PK\x03\x04", 5), body.index(b"PK\x01\x02", body.index(b"PK\x01\x02") + 4)
    body[local + 6] = body[central + 8] = 1
    assert parted(tmp_path, bytes(body), CSV_ONLY)[1] == Parted(0, 1, unseen=1)
    with pytest.raises(BadFile, match="a member that cannot be read"):
        parted(tmp_path, bytes(body), FileFormat())


def _names(body: bytes) -> list[str]:
    if zipfile.is_zipfile(io.BytesIO(body)):
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            return archive.namelist()
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        return tar.getnames()


def test_a_truncated_tar_is_no_file_without_the_person(tmp_path: Path) -> None:
    with pytest.raises(BadFile):
        parted(tmp_path, tarred({"a.csv": b"id\njane\n"})[:1024], FileFormat())


# -- workbooks


def test_rows_of_every_sheet_go_and_the_feed_reads_what_is_left_as_before(tmp_path: Path) -> None:
    book = Workbook()
    sheet = book.active
    for row in (
        [None, "Title"],
        [],
        [None, "id", "when", "name"],
        [None, 1, "x", "jane"],
        [None, 2.5, "_x000D_", "bob"],
    ):
        sheet.append(row)
    other = book.create_sheet("Other")
    other.append(["name"])
    other.append(["jane"])
    other.append(["<ann> & co"])
    other.sheet_state = "hidden"
    form = FileFormat(kind="xlsx", range="B3")
    body = saved(book)
    left, count = parted(tmp_path, body, form)
    assert (count.taken, b"jane" in b"".join(_parts(left).values())) == (2, False)
    [was], [text] = read(tmp_path, body, form), read(_inner(tmp_path), left, form)
    assert text == "".join(line for line in was.splitlines(keepends=True) if "jane" not in line).replace(
        "name\n", "name\n\n", 1
    )
    seen = load_workbook(io.BytesIO(left))
    assert [seen["Other"].sheet_state, seen["Other"]["A3"].value] == ["hidden", "<ann> & co"]
    assert parted(tmp_path, body, form)[0] == left


def _inner(tmp_path: Path) -> Path:
    inner = tmp_path / "inner"
    inner.mkdir()
    return inner


def _parts(body: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_columns_of_a_sheet_are_told_by_name(tmp_path: Path) -> None:
    body = workbook(one=[["a report"], ["id", "name"], [1, 2], [2, 1]])
    form = FileFormat(kind="xlsx", skip_lines=1)
    left, count = parted(tmp_path, body, form, lambda _, values: values.get("id") == "1")
    assert (count, read(tmp_path, left, form)) == (Parted(1, 1), ["a report\nid,name\n\n2,1\n"])


@pytest.mark.parametrize(
    ("settings", "last", "rows"),
    [
        ({"skip_footer": 1}, ["jane made this"], ["id,name\n1,bob\n"]),
        ({"skip_footer": {"starts_with": "Total"}}, ["Total of jane"], ["id,name\n1,bob\n"]),
    ],
    ids=["so many", "by a text"],
)
def test_a_footer_that_holds_the_person_stays_one(
    tmp_path: Path, settings: Any, last: list[str], rows: list[str]
) -> None:
    form = FileFormat.model_validate({"kind": "xlsx", **settings})
    left, count = parted(tmp_path, workbook(one=[["id", "name"], [1, "bob"], last]), form)
    assert (count.taken, read(tmp_path, left, form)) == (1, rows)


def _commented() -> bytes:
    book = Workbook()
    book.active.append(["id", 1])
    book.active["A1"].comment = Comment("of jane", "somebody")
    return saved(book)


PLAIN = '<row><c t="s"><v>0</v></c></row>'
HIDDEN = {
    "a comment": _commented(),
    "an author": changed(
        workbook(one=[["id"], [1]]), "docProps/core.xml", lambda xml: xml.replace(b"openpyxl", b"jane")
    ),
    "the name of a sheet": workbook(jane=[["id"], [1]]),
    "a text of no cell": by_hand(PLAIN, texts="<si><t>id</t></si><si><r><t>ja</t></r><r><t>ne</t></r></si>"),
    "a formula": by_hand('<row><c><f>HYPERLINK("mailto:jane")</f><v>1</v></c></row>'),
    "escaped": by_hand("<row><c><f>&#106;ane</f><v>1</v></c></row>"),
}


@pytest.mark.parametrize("where", HIDDEN)
def test_a_person_who_is_in_no_cell_does_not_stay_behind(tmp_path: Path, where: str) -> None:
    left, count = parted(tmp_path, HIDDEN[where], XLSX)
    assert count.taken == 1
    assert not any(b"jane" in content or b"#106" in content for content in _parts(left).values())
    assert read(tmp_path, left, XLSX) == read(_inner(tmp_path), HIDDEN[where], XLSX)


def test_what_is_embedded_in_a_workbook_is_nothing_that_anybody_has_seen(tmp_path: Path) -> None:
    body = by_hand(PLAIN, texts="<si><t>id</t></si>", more={"xl/embeddings/a.docx": b"?", "xl/vbaProject.bin": b"?"})
    assert parted(tmp_path, body, XLSX) == (body, Parted(0, 0, unseen=2))


def test_workbooks_in_archives_lose_their_records(tmp_path: Path) -> None:
    body = workbook(one=[["id"], ["jane"], ["bob"]])
    for pack in (packed, tarred):
        left, count = parted(tmp_path, pack({"a.xlsx": body}), XLSX)
        assert count == Parted(1, 1)
    left, _ = parted(tmp_path, gzip.compress(body), XLSX)
    assert read(tmp_path, left, XLSX) == ["id\nbob\n"]


# -- Avro


@pytest.mark.parametrize("codec", ["null", "deflate", "snappy", "zstandard", "bzip2", "xz"])
def test_avro_keeps_the_bytes_of_what_others_wrote(tmp_path: Path, codec: str) -> None:
    schema = record(("a", ["null", "string"]), ("b", {"type": "map", "values": "bytes"}))
    rows = [{"a": "jane" if n % 2 else "bob", "b": {"k": b"ann" if n else b"jane"}} for n in range(50)]
    body = avro(schema, rows, codec)
    left, count = parted(tmp_path, body, FileFormat(kind="avro"))
    kept = [row for row in rows if row["a"] == "bob"][1:]
    assert count == Parted(26, 24)
    header = read_header(io.BytesIO(left), "a file")
    assert (header.schema, header.codec) == (schema, codec)
    again, _ = parted(tmp_path, left, FileFormat(kind="avro"))
    assert again == left
    if codec not in ("snappy", "zstandard"):
        assert list(fastavro.reader(io.BytesIO(left))) == kept
    assert parted(tmp_path, gzip.compress(body), None)[1] == count


def test_what_avro_notes_of_itself_may_hold_the_person(tmp_path: Path) -> None:
    schema = record(("a", "string"))
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(schema), {"a": "bob"})
    block = written_block(Block(1, buffer.getvalue()), "null", SYNC)
    noted = {"avro.schema": json.dumps(schema).encode(), "by": b"jane"}
    left, count = parted(tmp_path, written_header(noted, SYNC) + block, None)
    assert (b"jane" in left, count) == (False, Parted(1, 1))
    named = {"avro.schema": json.dumps({**schema, "doc": "of jane"}).encode()}
    with pytest.raises(BadFile, match="a schema that would have to go"):
        parted(tmp_path, written_header(named, SYNC) + block, None)
