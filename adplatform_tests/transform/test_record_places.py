"""In which line of its file a quarantined row begins."""

import random
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from adplatform.contracts.model import Contract
from adplatform.files.input_file import InputFile
from adplatform.files.unpack import unpack
from adplatform.transform import record_places
from adplatform.transform.duckdb_engine import EngineLimits, transform
from adplatform_tests.transform.outcome import quarantine_rows


def places(tmp_path: Path, *bodies: bytes, columns: Any = None, **settings: Any) -> list[tuple[str, Any, list[str]]]:
    """File, line and reasons of each quarantined row, in that order."""
    contract = Contract.model_validate(
        {"columns": columns or {"id": "int", "note": {"optional": True}}, "bounds": {"max_quarantined": 1}, **settings}
    )
    files = []
    for ordinal, body in enumerate(bodies):
        (tmp_path / f"{ordinal}").write_bytes(body)
        files.append(InputFile(tmp_path / f"{ordinal}", f"file-{ordinal}", ordinal))
    staged = transform(contract, files, date(2026, 3, 14), None, tmp_path / "work", EngineLimits("512MB"))
    found = quarantine_rows([staged.quarantine] if staged.quarantine else [])
    return sorted(((r["source_file"], r["line"], r["reasons"]) for r in found), key=placed)


def placed(row: tuple[str, Any, list[str]]) -> tuple[str, int]:
    return row[0], row[1] or 0


def bad(file: int, *lines: int) -> list[tuple[str, Any, list[str]]]:
    return [(f"file-{file}", line, ["bad_int:id"]) for line in lines]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["lf", "crlf"])
def test_lines_are_those_of_the_file_with_header_empty_lines_and_values_of_several_lines(
    tmp_path: Path, end: bytes
) -> None:
    lines = (b"", b"id,note", b"1,a", b"x,b", b"", b'2,"c', b"", b'd"', b'y,"e', b'f"', b"3,g", b"z,h")
    assert places(tmp_path, end.join(lines)) == bad(0, 4, 9, 12)


def test_lines_are_told_for_each_file_also_where_their_layouts_differ(tmp_path: Path) -> None:
    bodies = (b"id,note\n1,a\nx,b\n", b"note,id\na,1\nb,2\nc,x\n", b"id\n1\n\nx\n", b"id,note\n1,a\n")
    assert places(tmp_path, *bodies) == [*bad(0, 3), *bad(1, 4), *bad(2, 4)]


def test_lines_that_are_skipped_count(tmp_path: Path) -> None:
    body = b"made by hand\n\nid,note\n1,a\nx,b\n"
    assert places(tmp_path, body, format={"skip_lines": 2}) == bad(0, 5)
    (tmp_path / "headless").mkdir()
    assert places(tmp_path / "headless", body[:14] + body[-8:], format={"skip_lines": 2, "header": False}) == bad(0, 4)


def test_lines_that_are_left_out_count(tmp_path: Path) -> None:
    body = b'Report\n\nid,note\n1,a\n# x,b\nx,"c\n# d"\n2,e,f\n# g\ny,h\nTotal,3\n'
    (tmp_path / "delivered").write_bytes(body)
    fmt = {"header": {"starts_with": "id"}, "comment": "#", "skip_footer": 1}
    contract = Contract.model_validate({"columns": {"id": "int", "note": "string"}, "format": fmt})
    files = unpack(tmp_path / "delivered", "file-0", contract.format, tmp_path, 0)
    staged = transform(contract, files, date(2026, 3, 14), None, tmp_path / "work", EngineLimits("512MB"))
    found = quarantine_rows([staged.quarantine] if staged.quarantine else [])
    places = sorted((row["line"], row["reasons"]) for row in found)
    assert places == [(6, ["bad_int:id"]), (8, ["column_count"]), (10, ["bad_int:id"])]


def test_rows_are_placed_beside_records_that_cannot_be_split(tmp_path: Path) -> None:
    body = b'id,note\n1,a\n2,b,c\nx,d\n3,"e\nf",g\ny,h\n4,\xff\nz,i\n'
    assert places(tmp_path, body) == [
        ("file-0", 3, ["column_count"]),
        *bad(0, 4),
        ("file-0", 5, ["column_count"]),
        ("file-0", 6, ["swallowed_line"]),
        *bad(0, 7),
        ("file-0", 8, ["invalid_encoding"]),
        *bad(0, 9),
    ]


def test_behind_a_broken_quote_no_line_is_better_than_a_wrong_one(tmp_path: Path) -> None:
    body = b"id,note\nx,a\n" + b'1,"open\n' + b"".join(b"%d,b\n" % n for n in range(50)) + b'2,"c" d\ny,e\n'
    found = [place for place in places(tmp_path, body) if place[2] == ["bad_int:id"]]
    wrong = [line for _, line, _ in found if line and not body.splitlines()[line - 1].startswith((b"x", b"y"))]
    assert wrong == []
    assert ("file-0", 2, ["bad_int:id"]) in found


def test_a_value_of_ndjson_is_in_the_line_of_its_document(tmp_path: Path) -> None:
    body = b'{"id": 1}\n\n{"id": "x"}\n{"id": \n{"id": "\xff"}\n{"id": 2}\n[3]\n{"id": "y"}\n'
    found = places(tmp_path, body, b'{"id": "z"}\n', format={"kind": "ndjson"})
    assert [place for place in found if place[2] == ["bad_int:id"]] == [*bad(0, 3, 8), *bad(1, 1)]


def test_rows_of_a_document_and_of_parquet_are_in_no_line(tmp_path: Path) -> None:
    assert places(tmp_path, b'{"id": "x"}\n', format={"kind": "json"}) == [("file-0", None, ["bad_int:id"])]


@pytest.mark.parametrize("seed", range(6))
def test_every_line_of_random_files_is_that_of_the_row(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_places, "_BLOCK", 64)
    rng = random.Random(seed)
    bodies, expected = [], []
    for file in range(3):
        lines, number = ["id,note"], 1
        for _ in range(rng.randint(1, 150)):
            good, form = (
                rng.random() < 0.8,
                rng.choice(("{},a", '"{}","b"', '{},"c\nd\n\ne"', '{},"f ""g"" h,"', "\n{},")),
            )
            text = form.format(rng.randint(0, 9) if good else "x")
            expected += [] if good else bad(file, number + 1 + (form[0] == "\n"))
            number += 1 + text.count("\n")
            lines.append(text)
        bodies.append("\n".join(lines).encode() + b"\n" * rng.randint(0, 2))
    assert places(tmp_path, *bodies) == expected


def test_files_without_quarantined_rows_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    own = record_places.lines_of_records

    def noted(file: InputFile, *rest: Any) -> Any:
        read.append(file.origin)
        return own(file, *rest)

    monkeypatch.setattr("adplatform.transform.readers.lines_of_records", noted)
    assert places(tmp_path, b"id\n1\n", b"id\nx\n", b"id\n2\n") == bad(1, 2)
    assert read == ["file-1"]


def unread(*_: Any) -> Any:
    raise AssertionError("the file is read")


@pytest.mark.parametrize("seed", range(3))
def test_a_file_whose_lines_are_all_accounted_for_is_not_read_again(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_places, "_walk", unread)
    rng = random.Random(seed)
    lines, expected = ["note,id"], []
    forms = ("a,{}", '"b\nc\r\n\nd",{}', '"e ""f"", g",{}', 'h,"{}\n"', "i,{},k", '"l\nm",{},n')
    for number in range(200):
        form, value = rng.choice(forms), "x" if rng.random() < 0.3 else str(number)
        line = 1 + sum(1 + text.count("\n") for text in lines)
        if form.count(",{},"):
            expected += [("file-0", line, ["column_count"])]
            expected += [("file-0", line + 1, ["swallowed_line"])] if "\n" in form else []
        elif value == "x" or "\n" in form[-4:]:
            expected += bad(0, line)
        lines.append(form.format(value))
    found = places(tmp_path, "\n".join(lines).encode() + b"\n" * (seed % 2))
    assert found == expected
