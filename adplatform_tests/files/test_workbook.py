"""Sheets of workbooks: each value as the text that people see in it, or a refusal that says what to set."""

import csv
import gzip
import io
import zipfile
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook
from openpyxl.utils.datetime import CALENDAR_MAC_1904

from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.limits import Limits
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.unpack import unpack
from adplatform.files.workbook import as_number
from adplatform_tests.support.tars import tarred
from adplatform_tests.support.workbooks import by_hand, changed, packed, saved, workbook

ORIGIN = "file:1"
XLSX = FileFormat(kind="xlsx")


def texts(tmp_path: Path, data: bytes, fmt: FileFormat = XLSX, limits: Limits | None = None) -> list[str]:
    delivered, work = tmp_path / "delivered", tmp_path / "work"
    delivered.write_bytes(data)
    work.mkdir(exist_ok=True)
    try:
        files = unpack(delivered, ORIGIN, fmt, work, 0, limits or Limits())
    except BadFile:
        assert list(work.iterdir()) == []
        raise
    return [file.path.read_text() for file in files]


def rows(tmp_path: Path, data: bytes, **settings: Any) -> list[list[str]]:
    [text] = texts(tmp_path, data, FileFormat(kind="xlsx", **settings))
    return list(csv.reader(io.StringIO(text, newline="")))


def refusal(tmp_path: Path, data: bytes, fmt: FileFormat = XLSX, limits: Limits | None = None) -> BadFile:
    with pytest.raises(BadFile) as refused:
        texts(tmp_path, data, fmt, limits)
    return refused.value


def of(value: Any, number_format: str = "") -> bytes:
    """A workbook with one value in a column ``v``, beside a column that has something."""
    book = Workbook()
    book.active.append(["v", "x"])
    book.active.append([value, 1])
    if number_format:
        book.active["A2"].number_format = number_format
    return saved(book)


@pytest.mark.parametrize(
    ("value", "number_format", "shown"),
    [
        (3.0, "", "3"),
        (0.1, "", "0.1"),
        (0.1 + 0.2, "", "0.3"),
        (1.1 * 3, "", "3.3"),
        (-1234.5, "#,##0.00", "-1234.5"),
        (1e22, "", "10000000000000000000000"),
        (1.5e-7, "", "0.00000015"),
        (1e300, "", "1e+300"),
        (0.125, "0.0%", "0.125"),
        (True, "", "TRUE"),
        ("007", "", "007"),
        ('a "quote", and\nmore', "", 'a "quote", and\nmore'),
        (" blanks ", "", " blanks "),
        ("#N/A", "", "#N/A"),
        (date(2026, 1, 31), "", "2026-01-31"),
        (datetime.fromisoformat("2026-01-31"), "dd/mm/yyyy", "2026-01-31"),
        (datetime.fromisoformat("2026-01-31"), "dd.mm.yyyy hh:mm", "2026-01-31 00:00:00"),
        (datetime.fromisoformat("2026-01-31 23:59:59"), "yyyy-mm-dd", "2026-01-31 23:59:59"),
        (datetime.fromisoformat("2026-01-31 10:20:30.250"), "", "2026-01-31 10:20:30.250"),
        (time(9, 5), "", "09:05:00"),
        (timedelta(hours=49, minutes=1), "", "49:01:00"),
        (45000, '"Q"0', "45000"),
        (45000, "[$-409]d-mmm-yy;@", "2023-03-15"),
        (-5, "yyyy-mm-dd", "-5"),
        (3e9, "yyyy-mm-dd", "3000000000"),
        (0, "yyyy-mm-dd", "0"),
        (0, "hh:mm", "00:00:00"),
    ],
)
def test_values_are_the_text_that_they_stand_for(tmp_path: Path, value: Any, number_format: str, shown: str) -> None:
    assert rows(tmp_path, of(value, number_format)) == [["v", "x"], [shown, "1"]]


def test_whole_numbers_that_others_wrote_keep_their_digits() -> None:
    assert as_number("12345678901234567") == "12345678901234567"


@given(st.floats(-1e300, 1e300))
def test_a_number_is_the_shortest_decimal_of_what_excel_shows(number: float) -> None:
    text = as_number(repr(number))
    assert float(text) == float(f"{number:.15g}")
    assert len(text) < 60
    assert "e" not in text or not 1e-30 <= abs(number) < 1e31


def test_the_calendar_of_1904_counts(tmp_path: Path) -> None:
    book = Workbook()
    book.epoch = CALENDAR_MAC_1904
    book.active.append(["d", "x"])
    book.active.append([date(2026, 1, 31), 1])
    data = saved(book)
    assert b'date1904="1"' in zipfile.ZipFile(io.BytesIO(data)).read("xl/workbook.xml")
    assert rows(tmp_path, data)[1][0] == "2026-01-31"


WRITTEN = {
    "a formula with a text": ('<c t="str"><f>A1&amp;"x"</f><v>ax</v></c>', "ax"),
    "a formula with a number": ("<c><f>1/4</f><v>0.25</v></c>", "0.25"),
    "a formula without a value": ("<c><f>1/4</f></c>", ""),
    "an error": ('<c t="e"><f>1/0</f><v>#DIV/0!</v></c>', "#DIV/0!"),
    "a text in place": ('<c t="inlineStr"><is><r><t>in </t></r><r><t>place</t></r></is></c>', "in place"),
    "a text in place as it is spoken": ('<c t="inlineStr"><is><t>A</t><rPh><t>B</t></rPh></is></c>', "A"),
    "a shared text": ('<c t="s"><v>0</v></c>', "rich text"),
    "a shared text with a line end of Windows": ('<c t="s"><v>1</v></c>', "a\nb"),
    "what looks escaped": ('<c t="s"><v>2</v></c>', "_x000D_"),
    "seventeen digits": ("<c><v>59.969999999999999</v></c>", "59.97"),
    "an id of twenty digits": ("<c><v>12345678901234567890</v></c>", "12345678901234567890"),
    "an exponent": ("<c><v>1.5E+3</v></c>", "1500"),
    "a date as text": ('<c t="d"><v>2026-01-31T10:00:00</v></c>', "2026-01-31T10:00:00"),
    "a boolean": ('<c t="b"><v>0</v></c>', "FALSE"),
    "a date by a builtin format": ('<c s="1"><v>45000</v></c>', "2023-03-15"),
    "a style that is not there": ('<c s="99"><v>45000</v></c>', "45000"),
}
TEXTS = (
    "<si><r><rPr><b/></rPr><t>rich </t></r><r><t>text</t></r><rPh><t>x</t></rPh></si><si><t>a_x000D_\nb</t></si>"
    "<si><t>_x005F_x000D_</t></si>"
)
STYLES = '<cellStyleXfs><xf numFmtId="14"/></cellStyleXfs><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs>'
STRICT = "http://purl.oclc.org/ooxml/spreadsheetml/main"


@pytest.mark.parametrize("what", WRITTEN)
def test_cells_are_read_however_they_are_written(tmp_path: Path, what: str) -> None:
    cell, shown = WRITTEN[what]
    header = '<row><c t="inlineStr"><is><t>v</t></is></c><c t="str"><v>x</v></c></row>'
    for namespace in ({}, {"main": STRICT}):
        data = by_hand(f"{header}<row>{cell}<c><v>1</v></c></row>", texts=TEXTS, styles=STYLES, **namespace)
        assert rows(tmp_path, data) == [["v", "x"], [shown, "1"]]


def test_rows_are_lines_and_empty_ones_end_nothing_and_follow_nothing(tmp_path: Path) -> None:
    book = Workbook()
    sheet = book.active
    sheet["B3"], sheet["C3"], sheet["B6"], sheet["C7"] = "a", "b", 1, 2
    sheet["D900"].number_format = "0.00"
    sheet.merge_cells("B9:C10")
    sheet["B9"] = "merged"
    assert texts(tmp_path, saved(book), FileFormat(kind="xlsx", range="B:C")) == ["\n\na,b\n\n\n1,\n,2\n\nmerged,\n"]


def test_a_row_is_as_wide_as_the_header_and_more_values_are_more_fields(tmp_path: Path) -> None:
    data = workbook(one=[["a", "b", None, ""], [1], [1, 2, 3], [None, 2]])
    assert texts(tmp_path, data) == ["a,b\n1,\n1,2,3\n,2\n"]
    assert texts(tmp_path, data, FileFormat(kind="xlsx", header=False)) == ["a,b,\n1,,\n1,2,3\n,2,\n"]


@pytest.mark.parametrize(
    ("cells", "read"),
    [
        ("B2", [[], ["b", "c", "d"], ["2", "3", "4"], ["6", "7", "8"]]),
        ("b2:c", [[], ["b", "c"], ["2", "3"], ["6", "7"]]),
        ("B2:C3", [[], ["b", "c"], ["2", "3"]]),
        ("C:D", [["c1"], ["c", "d"], ["3", "4"], ["7", "8"]]),
        ("C2:C", [["c"], ["3"], ["7"]]),
    ],
)
def test_a_range_says_which_cells_are_read(tmp_path: Path, cells: str, read: list[list[str]]) -> None:
    data = workbook(one=[["title", None, "c1"], ["a", "b", "c", "d"], [1, 2, 3, 4], [5, 6, 7, 8]])
    assert rows(tmp_path, data, range=cells) == read


def test_lines_before_the_header_are_one_each(tmp_path: Path) -> None:
    data = workbook(one=[["Report\nof January"], [], ["a", "b"], [1]])
    assert texts(tmp_path, data, FileFormat(kind="xlsx", skip_lines=2)) == ["Report of January\n\na,b\n1,\n"]


@pytest.mark.parametrize(
    ("given", "begin"),
    [
        ([["a", "b"], [1, 2], [], [3, 4]], [(1, 1), (2, 2), (4, 4)]),
        (
            [["a", "b"], ["x\ny\nz", 1], [3, "v\nw"], [], [4, 5]],
            [(1, 1), (2, 2), (3, 2), (4, 2), (5, 3), (6, 3), (8, 5)],
        ),
        ([["a"], [], [1], [], [], [2]], [(1, 1), (2, 3), (3, 6)]),
        ([["a", "b"], [1, "v\nw"]], [(2, 2), (3, 2)]),
    ],
    ids=["plain", "line-ends", "one-column", "last"],
)
def test_each_line_of_the_text_is_of_a_row_of_the_sheet(
    tmp_path: Path, given: list[list[Any]], begin: list[tuple[int, int]]
) -> None:
    (tmp_path / "book").write_bytes(workbook(one=given))
    (tmp_path / "work").mkdir()
    [file] = unpack(tmp_path / "book", ORIGIN, XLSX, tmp_path / "work", 0)
    assert [(line, file.sheet.of(line)) for line, _ in begin] == begin


TWO = {"Cover": [], "Data": [["a"], [1]], "Notes": [["b"], [2]]}


def test_a_sheet_is_read_by_its_name_or_number_or_where_it_is_the_only_one(tmp_path: Path) -> None:
    assert rows(tmp_path, workbook(**TWO), sheet="notes")[0] == ["b"]
    assert rows(tmp_path, workbook(**TWO), sheet=2)[0] == ["a"]
    assert rows(tmp_path, workbook(Cover=[], Data=[["a"], [1]]))[0] == ["a"]


def test_which_sheet_is_meant_is_asked_for_by_number(tmp_path: Path) -> None:
    book = workbook(**TWO)
    refused = refusal(tmp_path, book)
    assert (refused.reason, "Notes" in str(refused)) == (Reason.LAYOUT, False)
    assert "has 2 sheets with data (number 2, 3); say in the feed's format which is read, as sheet:" in str(refused)
    for sheet in (4, "Sheet1"):
        assert "has 3 sheets" in str(refusal(tmp_path, book, FileFormat(kind="xlsx", sheet=sheet)))


def test_a_hidden_sheet_is_read_by_its_name_only(tmp_path: Path) -> None:
    book = Workbook()
    book.active.title = "shown"
    hidden = book.create_sheet("hidden", 0)
    hidden.append(["h"])
    hidden.sheet_state = "veryHidden"
    assert "data in hidden sheets only" in str(refusal(tmp_path, saved(book)))
    book["shown"].append(["s"])
    assert rows(tmp_path, saved(book)) == rows(tmp_path, saved(book), sheet=1) == [["s"]]
    assert rows(tmp_path, saved(book), sheet="hidden") == [["h"]]


def test_a_workbook_without_a_value_is_a_file_without_content(tmp_path: Path) -> None:
    assert texts(tmp_path, workbook(one=[], two=[])) == []


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zip": lambda data: packed({"a.xlsx": data, "b.xlsx": data}),
    "tar": lambda data: tarred({"a.xlsx": data, "b.xlsx": gzip.compress(data)}),
}


@pytest.mark.parametrize("pack", PACK)
def test_workbooks_are_read_out_of_archives(tmp_path: Path, pack: str) -> None:
    found = texts(tmp_path, PACK[pack](workbook(one=[["a"], [1]])))
    assert found == ["a\n1\n"] * (1 if pack == "gzip" else 2)


ONE = workbook(one=[["a"], [1]])


@pytest.mark.parametrize(
    ("data", "fmt", "said"),
    [
        (ONE, FileFormat(), "is an Excel workbook, but the feed says csv; set kind: xlsx"),
        (ONE, FileFormat(kind="parquet"), "set kind: xlsx"),
        (b"a\n1\n", XLSX, "is not an Excel workbook (xlsx), but the feed says so; of text the kind is csv"),
        (gzip.compress(b"a\n1\n"), XLSX, "is not an Excel workbook"),
        (packed({"a.csv": b"a\n1\n"}), XLSX, "is not an Excel workbook"),
        (b"PAR1xxxxPAR1", XLSX, "is Parquet, but the feed says xlsx; set kind: parquet"),
        (packed({"a.zip": packed({"b.csv": b"1"})}), XLSX, "is a zip, but not an Excel workbook"),
        (packed({"a.docx": packed({"[Content_Types].xml": b"", "word/a.xml": b""})}), XLSX, "is an Office document"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
            XLSX,
            "an old Office document (.xls), or one with a password",
        ),
    ],
    ids=["csv", "parquet", "text", "gzip", "zip", "other", "nested", "docx", "xls"],
)
def test_what_is_of_another_kind_is_told_with_what_to_set(
    tmp_path: Path, data: bytes, fmt: FileFormat, said: str
) -> None:
    assert said in str(refusal(tmp_path, data, fmt))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kind": "csv", "sheet": "x"}, "sheet and range are for kind: xlsx"),
        ({"kind": "xlsx", "sheet": 0}, "a name, or a number from 1"),
        ({"kind": "xlsx", "delimiter": ";"}, "delimiter: not for kind: xlsx"),
        ({"kind": "avro", "header": False}, "header: not for kind: avro"),
        ({"kind": "xlsx", "range": "4B"}, "is not written as B4, B4:H"),
        ({"kind": "xlsx", "range": "H4:B"}, "do not go from left to right"),
        ({"kind": "xlsx", "range": "B4:H3"}, "do not go from top to bottom"),
        ({"kind": "xlsx", "range": "XFE1"}, "within A:XFD"),
        ({"kind": "xlsx", "range": "B4", "skip_lines": 1}, "leave one of them out"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, dict) else "",
)
def test_settings_that_mean_nothing_are_mistakes(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        FileFormat.model_validate(settings)


def test_settings_survive_being_stored() -> None:
    fmt = FileFormat(kind="xlsx", sheet=2, range="B4:H", members=("*.xlsx",))
    assert FileFormat.model_validate_json(fmt.model_dump_json()) == fmt


@pytest.mark.parametrize(
    "part", ["xl/worksheets/sheet1.xml", "xl/sharedStrings.xml", "xl/workbook.xml", "xl/styles.xml"]
)
def test_a_part_that_is_no_xml_is_damage(tmp_path: Path, part: str) -> None:
    data = by_hand('<row><c t="s"><v>0</v></c></row>', texts="<si><t>a</t></si>")
    assert refusal(tmp_path, changed(data, part, lambda xml: xml[:-9])).reason is Reason.DAMAGED


@pytest.mark.parametrize(
    "sheet",
    [
        '<row><c t="s"><v>7</v></c></row>',
        '<row><c t="s"><v>-1</v></c></row>',
        '<row><c r="B1"><v>1</v></c><c r="A1"><v>1</v></c></row>',
        '<row r="2"><c><v>1</v></c></row><row r="2"><c><v>1</v></c></row>',
        '<row r="1048577"><c><v>1</v></c></row>',
        '<row><c r="XFE1"><v>1</v></c></row>',
    ],
    ids=["no such text", "no text", "columns", "rows", "too many rows", "too many columns"],
)
def test_cells_that_cannot_be_are_damage(tmp_path: Path, sheet: str) -> None:
    assert refusal(tmp_path, by_hand(sheet, texts="<si><t>a</t></si>")).reason is Reason.DAMAGED


def test_a_damaged_package_is_told(tmp_path: Path) -> None:
    data = bytearray(workbook(one=[[f"text {n}" for n in range(200)]]))
    data[len(data) // 2] ^= 0x55
    for broken in (bytes(data), ONE[: len(ONE) // 2], ONE[:-30]):
        assert refusal(tmp_path, broken).reason is Reason.DAMAGED


def test_a_small_file_may_claim_every_cell_there_is(tmp_path: Path) -> None:
    data = by_hand('<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>2</v></c></row>')
    [text] = texts(tmp_path, data, FileFormat(kind="xlsx", header=False))
    assert (text.count("\n"), text.count(",")) == (1_048_576, 2 * 16_383)
