"""Records end with a line feed or with a carriage return before it, each for itself: the rows are the same."""

import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.model import Contract
from adplatform.failures import PermanentFailure
from adplatform.files.bad_file import BadFile
from adplatform.files.input_file import InputFile
from adplatform.transform.duckdb_engine import EngineLimits, transform
from adplatform.transform.one_line_end import with_one_line_end
from adplatform.transform.values import Staged
from adplatform_tests.support.examples import examples
from adplatform_tests.transform.outcome import clean_rows, quarantine_rows

CSV: dict[str, Any] = {"columns": {"id": {"type": "int", "required": True}, "note": "string"}}
PADDED = {**CSV, "format": {"ragged_rows": "pad"}}
TITLED = {**CSV, "format": {"skip_lines": 2}}
NDJSON = {**CSV, "format": {"kind": "ndjson"}}


def read(work: Path, declared: dict[str, Any], *contents: bytes) -> Staged:
    files = []
    for ordinal, content in enumerate(contents):
        path = work / f"input-{ordinal}"
        path.write_bytes(content)
        files.append(InputFile(path, f"s3://raw/{ordinal}", ordinal))
    contract = Contract.model_validate({**declared, "bounds": {"max_quarantined": 1}})
    return transform(contract, files, date(2026, 1, 1), None, work / "work", EngineLimits("512MB"))


def seen(declared: dict[str, Any], content: bytes) -> tuple[Any, ...]:
    """Clean rows, counts, line ends within values, and what is in quarantine but for its places in bytes; and these
    places."""
    with tempfile.TemporaryDirectory() as work:
        staged = read(Path(work), declared, content)
        clean = sorted(((row["id"], row["note"]) for row in clean_rows(staged, "dt")), key=repr)
        aside = quarantine_rows([staged.quarantine] if staged.quarantine else [])
    found = sorted(((r["line"], r["reasons"], r["raw"], r["fields"]) for r in aside), key=repr)
    return (clean, staged.counts, staged.line_breaks, found), {r["line"]: r["byte_position"] for r in aside if r["raw"]}


_ENDS = st.sampled_from([b"\n", b"\r\n"])
_NOTES = st.sampled_from(["", "x", '"a\r\nb"', '"a\nb\n"', '"say ""hi"""', '"q"', "long " * 40])
_RECORDS = st.one_of(
    st.tuples(st.integers(0, 99), _NOTES).map(lambda r: f"{r[0]},{r[1]}"),
    st.sampled_from(["", "x,bad", "1", "1,2,3"]),
)


def written(records: list[tuple[str, bytes]], ends: bytes | None = None) -> bytes:
    return b"".join(text.encode() + (ends or end) for text, end in records)


@given(
    form=st.sampled_from([CSV, PADDED, TITLED]),
    head=st.lists(_ENDS, min_size=3, max_size=3),
    records=st.lists(st.tuples(_RECORDS, _ENDS), min_size=1, max_size=12),
)
@settings(max_examples=examples(15), deadline=None)
def test_rows_of_csv_are_the_same_however_each_record_ends(
    form: dict[str, Any], head: list[bytes], records: list[tuple[str, bytes]]
) -> None:
    top = ["id,note"] if form is not TITLED else ['A title with 5" more', "", "id,note"]
    table = [*zip(top, head, strict=False), *records]
    found, places = seen(form, written(table))
    assert found == seen(form, written(table, b"\n"))[0]
    lines = written(table).split(b"\n")
    for line, place in places.items():
        assert place == len(b"\n".join(lines[: line - 1])) + 1


_DOCUMENTS = st.sampled_from(['{"id": 1, "note": "a"}', '{"id":"x"}', "", "{", '{"id": 2, "note": "a\\\\nb"}'])


@pytest.mark.slow
@given(records=st.lists(st.tuples(_DOCUMENTS, _ENDS), min_size=1, max_size=12))
@settings(max_examples=examples(10), deadline=None)
def test_rows_of_ndjson_are_the_same_however_each_record_ends(records: list[tuple[str, bytes]]) -> None:
    found, places = seen(NDJSON, written(records))
    assert found == seen(NDJSON, written(records, b"\n"))[0]
    lines = written(records).split(b"\n")
    for line, place in places.items():
        assert place == len(b"\n".join(lines[: line - 1])) + (line > 1)


@pytest.mark.parametrize(
    ("content", "copied"),
    [
        (b'id,note\r\n1,"a\nb"\r\n2,"c""\n"\r\n', False),
        (b'id,note\n1,"a\r\nb"\n', False),
        (b'id,note\n1,5" pipe\r\n', True),
        (b"id,note\r\n1,a\n", True),
    ],
    ids=["line feeds in values", "carriage returns in values", "a quote within a value", "one that differs"],
)
def test_only_files_whose_records_end_in_two_ways_are_copied(tmp_path: Path, content: bytes, copied: bool) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    files = [InputFile(tmp_path / "a.csv", "s3://raw/a.csv", 0)]
    copies = with_one_line_end(FileFormat(), files, tmp_path / "copies")
    assert [file.path != files[0].path for file in copies.instead(files)] == [copied]
    assert len(list(tmp_path.glob("copies/*"))) == copied


def test_a_carriage_return_within_a_value_without_quotes_is_refused_with_its_line_and_nothing_of_it(
    tmp_path: Path,
) -> None:
    with pytest.raises(BadFile) as refused:
        read(tmp_path, CSV, b"id,note\n1,a\n", b'id,note\r\n1,"a\rb"\n2,Anna\rBell\n')
    said = "s3://raw/1: a carriage return stands outside quotes in line 3 and no line feed behind it"
    assert str(refused.value).startswith(said)
    assert "Anna" not in str(refused.value)


def test_carriage_returns_before_carriage_returns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PermanentFailure, match="a carriage return stands outside quotes in line 2"):
        read(tmp_path, CSV, b"id,note\n1,a\r\r\n2,b\n")
