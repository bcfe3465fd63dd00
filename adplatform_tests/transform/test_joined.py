"""Many small files that are read as one come to what each comes to by itself."""

import tempfile
from collections import Counter
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adplatform.contracts.model import Contract
from adplatform.files.input_file import InputFile
from adplatform.files.record_lines import Dialect
from adplatform.transform.duckdb_engine import EngineLimits, transform
from adplatform.transform.joined import Joined, join_small_files
from adplatform.transform.layouts import Layout
from adplatform_tests.support.examples import examples
from adplatform_tests.transform.outcome import clean_rows, comparable, counted, quarantine_rows

ALONE = 15
"""Fewer files are not joined."""
LIMITS = EngineLimits("512MB")
GOOD = ["1,a", "2,", '3,"b, c"', '4,"d ""e"" f"', "5,é", '6,""', '"7",g', '8,"two\nlines"', '9,"end\n"', '10,"\n\n"']
BAD = [
    "x,bad",
    ",no id",
    "11",
    "12,a,b",
    "13,\xff",
    " ",
    "",
    '14,"open',
    'q"15,a"b',
    '16,"a" ',
    ' "17",b',
    '18,"a"b',
    '"',
]
_FILES = st.lists(
    st.tuples(
        st.lists(st.one_of(st.sampled_from(GOOD), st.sampled_from(GOOD), st.sampled_from(BAD)), max_size=5),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


def csv(records: Sequence[str], *, ended: bool, end: str = "\n") -> bytes:
    text = end.join(("id,note", *records)) + (end if ended else "")
    return text.encode("latin-1" if "\xff" in text else "utf-8")


def inputs(directory: Path, contents: Sequence[bytes]) -> list[InputFile]:
    directory.mkdir()
    files = [InputFile(directory / f"{n}", f"file-{n}", n) for n in range(len(contents))]
    for file, content in zip(files, contents, strict=True):
        file.path.write_bytes(content)
    return files


def outcome(contract: Contract, files: Sequence[InputFile], work: Path) -> tuple[Any, ...]:
    staged = transform(contract, files, date(2026, 3, 14), None, work, LIMITS)
    rejects = quarantine_rows([staged.quarantine] if staged.quarantine else [])
    return (
        comparable(clean_rows(staged, None)),
        Counter(map(repr, rejects)),
        counted(staged.counts),
        staged.line_breaks,
    )


def both_ways(directory: Path, contents: Sequence[bytes], **settings: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The outcome of all files together, and that of as few at once as are read one by one."""
    columns = {"id": {"type": "bigint", "required": True}, "note": {"optional": True}}
    contract = Contract.model_validate({"columns": columns, "bounds": {"max_quarantined": 1}, **settings})
    files = inputs(directory / "in", contents)
    some = [
        outcome(contract, files[start : start + ALONE], directory / f"some-{start}")
        for start in range(0, len(files), ALONE)
    ]
    rows, rejects, counts, breaks = zip(*some, strict=True)
    apart = sum(rows, Counter()), sum(rejects, Counter()), {k: v for c in counts for k, v in c.items()}, sum(breaks)
    return outcome(contract, files, directory / "all"), apart


@given(drawn=_FILES, crlf=st.booleans())
@settings(max_examples=examples(5), deadline=None)
def test_files_of_csv_come_to_the_same_together_as_apart(drawn: list[tuple[list[str], bool]], crlf: bool) -> None:
    plain = [csv([f"{n},a", f'{n},"b\nc"', f"{n}", f"x{n},d"], ended=n % 3 > 0) for n in range(18)]
    end = "\r\n" if crlf else "\n"
    contents = [*plain, *(csv(records, ended=ended, end=end) for records, ended in drawn)]
    with tempfile.TemporaryDirectory() as directory:
        together, apart = both_ways(Path(directory), contents)
    assert together == apart


def test_files_of_json_lines_come_to_the_same_together_as_apart(tmp_path: Path) -> None:
    lines = [
        b'{"id": 1, "note": "a"}',
        b"{broken",
        b'{"id": "x"}',
        b"[1]",
        b'{"id": 2, "note": "\xff"}',
        b'{"a": "\x01"}',
    ]
    contents = [b"\n".join(lines[n % 5 :] + lines[: n % 4]) + b"\n" * (n % 3) for n in range(30)]
    together, apart = both_ways(tmp_path, contents, format={"kind": "ndjson"}, schema_policy="evolve")
    assert together == apart


def layout(directory: Path, contents: Sequence[bytes]) -> Layout:
    return Layout(("id", "note"), tuple(inputs(directory, contents)))


def joined(tmp_path: Path, contents: Sequence[bytes], **settings: Any) -> Joined:
    fmt = Contract.model_validate({"columns": {"id": {}, "note": {}}, "format": settings}).format
    layouts = [layout(tmp_path / "in", contents)]
    return join_small_files(layouts, Dialect.of(fmt), tmp_path, header=fmt.has_header, longest=fmt.max_record)


@pytest.mark.parametrize(
    "alone",
    [
        b'id,note\n1,"open\n',
        b'id,note\n1,a "b" c\n',
        b'id,note\n1, "a"\n',
        b'id,note\n1,"a" \n',
        b"id,note\n\n1,a\n",
        b"id,note\n1,a\n\n2,b\n",
        b"id,note\n1,a\rb\n",
        b"id,note\r\n1,a\n2,b\r\n",
        b"id,note\n1,\0\n",
        b"id,note",
        b"id,note\n" + b"1,a\n" * 60_000,
    ],
)
def test_a_file_whose_records_may_end_elsewhere_is_read_by_itself(tmp_path: Path, alone: bytes) -> None:
    found = joined(tmp_path, [*[b"id,note\n1,a\n"] * 9, alone, *[b'id,note\n1,"a\n""b"""\n'] * 9])
    [left], [file] = found.layouts, found.files
    assert [each.ordinal for each in left.files] == [9]
    assert [part.ordinal for part in file.parts] == [n for n in range(19) if n != 9]


def test_few_files_are_read_by_themselves(tmp_path: Path) -> None:
    found = joined(tmp_path, [b"id,note\n1,a\n"] * ALONE)
    assert not found.files
    assert len(found.opened) == ALONE


def test_a_backslash_before_quotes_keeps_a_file_by_itself(tmp_path: Path) -> None:
    found = joined(tmp_path, [*[b"id,note\n1,a\n"] * 16, b'id,note\n1,"a\\"b"\n'], escape="\\")
    assert [each.ordinal for each in found.layouts[0].files] == [16]
