"""Lines that a feed leaves out on purpose are taken out of its files, counted, and every other line keeps its place."""

import gzip
import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.limits import Limits
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.input_file import InputFile
from adplatform.files.record_lines import Dialect, delimiters, whole_lines
from adplatform.files.unpack import unpack

ORIGIN = "file/1a2b3c"


def unpacked(tmp_path: Path, content: bytes, settings: dict[str, Any], limits: Limits | None = None) -> list[InputFile]:
    path, work = tmp_path / "delivered", tmp_path / "work"
    path.write_bytes(content)
    work.mkdir(exist_ok=True)
    fmt = FileFormat.model_validate_json(FileFormat.model_validate(settings).model_dump_json())
    return list(unpack(path, ORIGIN, fmt, work, 0, limits or Limits()))


def left(tmp_path: Path, content: bytes, settings: dict[str, Any]) -> tuple[bytes, int]:
    """What is left of the content, and how many rows were left out."""
    files = unpacked(tmp_path, content, settings)
    return b"".join(file.path.read_bytes() for file in files), sum(file.left_out.rows for file in files)


STARTS = {"header": {"starts_with": "Date"}}
COMMENTS = {"comment": "#"}
END = {"skip_footer": {"starts_with": ["Total", "***"]}}
AGAIN = {"repeated_header": "leave_out"}

CASES: dict[str, tuple[dict[str, Any], bytes, bytes, int]] = {
    "a title of any length": (STARTS, b"My report\n\n2026\nDate,n\n1,2\n", b"Date,n\n1,2\n", 2),
    "no title": (STARTS, b"Date,n\n1,2\n", b"Date,n\n1,2\n", 0),
    "a header in quotes": (STARTS, b'Report\n"Date","n"\n1,2\n', b'"Date","n"\n1,2\n', 1),
    "a stray quote in the title": (STARTS, b'"Report\nof x\nDate,n\n1,2\n', b"Date,n\n1,2\n", 2),
    "a title behind a byte order mark": (STARTS, b"\xef\xbb\xbfReport\nDate,n\n1,2\n", b"Date,n\n1,2\n", 1),
    "one of several headers": ({"header": {"starts_with": ["Day", "Date"]}}, b"x\nDate,n\n", b"Date,n\n", 1),
    "the header's text once more": (STARTS, b"x\nDate,n\nDate,n\n", b"Date,n\nDate,n\n", 1),
    "lines that are skipped before": (
        {**STARTS, "skip_lines": 1},
        b"Date of x\ny\nDate,n\n",
        b"Date of x\nDate,n\n",
        1,
    ),
    "nothing but empty lines": (STARTS, b"\n\n", b"", 0),
    "comments anywhere": (COMMENTS, b"# a\nd,n\n# b\n1,2\n3,#\n #,4\n#c", b"d,n\n1,2\n3,#\n #,4\n", 3),
    "comments before a row without header": ({**COMMENTS, "header": False}, b"#a\n1\n#b\n2\n", b"1\n2\n", 2),
    "a comment within quotes is a text": (
        COMMENTS,
        b'd,n\n"x\n# no\n",1\n"#",2\n#y\n',
        b'd,n\n"x\n# no\n",1\n"#",2\n',
        1,
    ),
    "a header of two lines": (COMMENTS, b'#a\n"d\n#",n\n#b\n1,2\n', b'"d\n#",n\n1,2\n', 2),
    "comments with quotes": (COMMENTS, b'd\n# it"s ,"\n1\n', b"d\n1\n", 1),
    "a comment with an escape": ({**COMMENTS, "escape": "\\"}, b'd\n"\\"\n#x"\n#y\n', b'd\n"\\"\n#x"\n', 1),
    "no quotes": ({**COMMENTS, "quote": "", "escape": ""}, b'd\n"x\n#y\n', b'd\n"x\n', 1),
    "comments alone": (COMMENTS, b"#a\n#b\n", b"", 2),
    "ends of lines of Windows": (COMMENTS, b"#a\r\nd,n\r\n#b\r\n1,2\r\n", b"d,n\r\n1,2\r\n", 2),
    "a footer of two lines": ({"skip_footer": 2}, b"d\n1\n2\nsum\n\nend\n\n\n", b"d\n1\n2\n", 2),
    "a footer of a line without end": ({"skip_footer": 1}, b"d\n1\nend", b"d\n1\n", 1),
    "nothing but header and footer": ({"skip_footer": 1}, b"d\nend\n", b"d\n", 1),
    "a footer below comments": ({**COMMENTS, "skip_footer": 1}, b"d\n1\n#a\nend\n#b\n", b"d\n1\n", 3),
    "a value of two lines before the footer": ({"skip_footer": 1}, b'd\n"1\n2"\nend\n', b'd\n"1\n2"\n', 1),
    "a footer by its text": (END, b'd,n\n1,2\n"Total",2\n\n"made by\nx,y\n', b"d,n\n1,2\n", 3),
    "the footer's text within quotes": (END, b'd,n\n"\nTotal\n",2\n***\n', b'd,n\n"\nTotal\n",2\n', 1),
    "the footer's text in the header": (END, b"Total,n\n1,2\nTotal,3\n", b"Total,n\n1,2\n", 1),
    "no footer": (END, b"d,n\n1,2\n", b"d,n\n1,2\n", 0),
    "a repeated header": (AGAIN, b"d,n\n1,2\nd,n\n3,4\nd,n", b"d,n\n1,2\n3,4\n", 2),
    "a repeated header with its own mark": (AGAIN, b"d,n\n1,2\n\xef\xbb\xbfd,n\r\n3,4\n", b"d,n\n1,2\n3,4\n", 1),
    "a repeated header of two lines": (AGAIN, b'"d\nx",n\n1,2\n"d\nx",n\n"d\ny",2\n', b'"d\nx",n\n1,2\n"d\ny",2\n', 1),
    "a repeated header within quotes": (AGAIN, b'd,n\n"\nd,n\n",1\n', b'd,n\n"\nd,n\n",1\n', 0),
    "what only begins as the header": (AGAIN, b"d,n\nd,n2\nd\n", b"d,n\nd,n2\nd\n", 0),
    "all of it": (
        {**STARTS, **COMMENTS, **END, **AGAIN},
        b"#a\nReport\n\nDate,n\n1,2\n#b\nDate,n\n3,4\nTotal,6\nx\n",
        b"Date,n\n1,2\n3,4\n",
        6,
    ),
    "Excel's line": ({"delimiter": ";"}, b"sep=;\r\nd;n\r\n", b"d;n\r\n", 1),
    "Excel's line in quotes": ({"delimiter": "\t"}, b'"SEP=\t"\nd\tn\n', b"d\tn\n", 1),
    "Excel's line behind a mark": ({"delimiter": ";"}, b"\xef\xbb\xbfsep=;\nd;n\n", b"d;n\n", 1),
    "Excel's line alone": ({"delimiter": ";"}, b"sep=;", b"", 1),
    "Excel's line that is skipped already": ({"skip_lines": 1}, b"sep=;\nd,n\n", b"sep=;\nd,n\n", 0),
    "Excel's line above a title": ({**STARTS, "delimiter": ";"}, b"sep=;\nReport\nDate;n\n", b"Date;n\n", 2),
    "Excel's line further down": ({}, b"d\nsep=;\n", b"d\nsep=;\n", 0),
    "a title where lines end with carriage returns": (STARTS, b"Report\rDate,n\r1,2\r", b"Date,n\n1,2\n", 1),
    "comments where they do": (COMMENTS, b"#a\rd,n\r#b\r1,2\r", b"d,n\n1,2\n", 2),
    "what only looks like Excel's line": ({"header": False}, b"sep=abc\n", b"sep=abc\n", 0),
}


@pytest.mark.parametrize("packing", ["as it is", "gzip", "utf-16"])
@pytest.mark.parametrize("case", CASES)
def test_lines_are_left_out_and_counted(tmp_path: Path, case: str, packing: str) -> None:
    settings, content, kept, rows = CASES[case]
    if packing == "gzip":
        content = gzip.compress(content)
    elif packing == "utf-16":
        settings = {**settings, "encoding": "utf-16"}
        content = content.decode("utf-8-sig").encode("utf-16")
    assert left(tmp_path, content, settings) == (kept, rows)


@pytest.mark.parametrize(
    ("settings", "content", "says"),
    [
        (
            STARTS,
            b"By jane\n\nx\n",
            r"none of its lines, which are 3, begins with 'Date' \(header.starts_with\)",
        ),
        (STARTS, b'Report\n "date",n\n1,2\n', "line 2 would without blanks before it, in other upper and lower case"),
        (COMMENTS, b"d\n1\n#a\r2\n", "line 3 is to be left out and has a carriage return within"),
        ({"skip_footer": 2}, b"d\nend\n", r"\(1 of 2\); ask for the whole file, or correct skip_footer"),
        ({"skip_footer": 2}, b"d\n", r"\(0 of 2\)"),
        ({}, b"sep=;\nd;n\n", "begins with Excel's line sep=;, and the feed says ','; set format.delimiter: ';'"),
        ({}, b"\xef\xbb\xbfsep=\t\nd\tn\n", r"set format.delimiter: '\\t'"),
        (STARTS, b"sep=;\nDate;n\n", "set format.delimiter: ';'"),
        (COMMENTS, b"d\n" + b"#" * ((16 << 20) + 1), "line 2 has more than 16 MiB"),
        ({"skip_footer": 1}, b"d\n1\n" + b"\n" * 200_000, "skip_footer leaves out, have more than 16 MiB"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_told_apart_is_refused_without_what_stands_there(
    tmp_path: Path, settings: dict[str, Any], content: bytes, says: str
) -> None:
    with pytest.raises(BadFile, match=says) as failure:
        unpacked(tmp_path, content, settings)
    assert failure.value.reason is Reason.LAYOUT
    assert "jane" not in str(failure.value)
    assert list((tmp_path / "work").iterdir()) == []


def test_every_line_that_is_left_keeps_the_place_that_it_had(tmp_path: Path) -> None:
    content = b"sep=,\nReport\n\nDate,n\n#a\n1,2\n#b\n#c\n\n3,4\nDate,n\n5,6\nTotal\n"
    [file] = unpacked(tmp_path, content, {**STARTS, **COMMENTS, **END, **AGAIN})
    position = 0
    lines = content.splitlines(keepends=True)
    for number, line in enumerate(file.path.read_bytes().splitlines(keepends=True), start=1):
        assert lines[file.delivered_line(number) - 1] == line
        assert content[file.delivered_at(number, position) :].startswith(line)
        position += len(line)
    assert [file.delivered_line(n) for n in range(1, 6)] == [4, 6, 9, 10, 12]


def test_each_member_of_an_archive_has_its_own(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.csv", b"x\nDate\n1\n")
        archive.writestr("b.csv", gzip.compress(b"x\ny\n"))
        archive.writestr("c.csv", b"")
    with pytest.raises(BadFile, match="file/1a2b3c#2: has no header"):
        unpacked(tmp_path, packed.getvalue(), STARTS)
    files = unpacked(tmp_path, packed.getvalue(), {"skip_footer": 1})
    assert [(file.origin, file.ordinal, file.left_out.rows) for file in files] == [
        (f"{ORIGIN}#1", 0, 1),
        (f"{ORIGIN}#2", 1, 1),
    ]
    assert [file.path.read_bytes() for file in files] == [b"x\nDate\n", b"x\n"]


def test_lines_that_are_left_out_count_against_the_limits(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="has 11 rows or more, and 10 are allowed"):
        unpacked(tmp_path, b"d\n" + b"#\n" * 10, COMMENTS, Limits(rows=10))


@pytest.mark.parametrize(
    "dialect",
    [{}, {"delimiter": ";", "quote": "'", "escape": ""}, {"escape": "\\"}],
    ids=["quotes are doubled", "other quotes", "backslashes"],
)
@example(line='a","","', end="")
@given(line=st.text(",;\"'\\x", max_size=10), end=st.sampled_from(["", "\n", "\r\n"]))
def test_a_line_that_is_taken_for_a_whole_one_ends_outside_of_quotes(
    dialect: dict[str, str], line: str, end: str
) -> None:
    fmt, text = FileFormat.model_validate(dialect), f"{line}{end}".encode()
    if whole_lines(fmt).fullmatch(text):
        assert delimiters(text, Dialect.of(fmt), False)[1] is False
    else:
        assert fmt.quote in line
