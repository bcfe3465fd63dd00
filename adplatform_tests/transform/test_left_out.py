"""Rows that a feed leaves out on purpose: each line of a file is a row of the table, superseded, in quarantine or left
out, and never two of them."""

import gzip
import json
import random
import sys
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adplatform.contracts.model import Contract
from adplatform.files import lines
from adplatform.files.bad_file import BadFile
from adplatform.files.unpack import unpack
from adplatform.transform import compile as compiled
from adplatform.transform.compile import compile_contract
from adplatform.transform.duckdb_engine import EngineLimits, transform
from adplatform.transform.expressions import BadExpression
from adplatform.transform.values import FileCount, FooterLikeRows, Staged
from adplatform_tests.support.examples import examples
from adplatform_tests.transform.outcome import quarantine_rows

ORIGIN = "file/1a2b3c"
COLUMNS: dict[str, Any] = {
    "date": {"field": "Date", "type": "date"},
    "n": {"type": "int", "required": True},
    "note": "string",
}
EXPORT: dict[str, Any] = {
    "columns": COLUMNS,
    "key": "n",
    "format": {
        "header": {"starts_with": "Date"},
        "comment": "#",
        "skip_footer": {"starts_with": "***"},
        "repeated_header": "leave_out",
    },
    "skip_rows_where": "date = 'Total' or n = '--'",
}


def contract(declared: dict[str, Any]) -> Contract:
    """As it comes to a job, or out of the ledger."""
    return Contract.model_validate_json(Contract.model_validate(declared).model_dump_json())


def read(work: Path, declared: dict[str, Any], content: bytes) -> Staged:
    feed = contract(declared)
    received, folder = work / "received", work / "unpacked"
    received.write_bytes(content)
    folder.mkdir()
    files = unpack(received, ORIGIN, feed.format, folder, 0)
    return transform(feed, files, date(2026, 3, 14), None, work / "transform", EngineLimits("256MB"))


def values(staged: Staged, *names: str) -> list[tuple[Any, ...]]:
    found = [row for file in staged.files for row in pq.ParquetFile(file.path).read().to_pylist()]
    return sorted((tuple(row[name] for name in names) for row in found), key=repr)


THREE: dict[str, Any] = {"columns": {"day": "string", "n": "int", "note": "string"}}
FOOTED: dict[str, Any] = {**THREE, "format": {"skip_footer": {"starts_with": "Total"}, "comment": "#"}}
ROW = b"Total Wine,5,x\n"


@pytest.mark.parametrize(
    ("behind", "seen"),
    [
        (b"a,1,x\nb,2,y\n", 2),
        (b"\nNote\n\nb,2,\n", 2),
        (b'"a, and b",1,"x"\n', 1),
        (b"", 0),
        (b"Report of all campaigns, by day\nCopyright,,\n", 0),
        (b"Total of all,6,\nTotal of no,7,x\n", 0),
        (b",,\n", 0),
        (b"a,1,x,y\n", 0),
    ],
    ids=["rows", "one among notes", "in quotes", "nothing", "notes", "more totals", "empty fields", "more fields"],
)
def test_rows_that_seem_to_follow_a_footer_are_told_with_its_line(tmp_path: Path, behind: bytes, seen: int) -> None:
    staged = read(tmp_path, FOOTED, b"# made today\nday,n,note\na,1,x\n" + ROW + behind)
    assert values(staged, "n") == [(1,)]
    assert staged.footers == ((FooterLikeRows(ORIGIN, 4, seen),) if seen else ())


def test_footers_that_are_told_by_their_number_of_lines_are_no_concern(tmp_path: Path) -> None:
    staged = read(tmp_path, {**THREE, "format": {"skip_footer": 2}}, b"day,n,note\na,1,x\n" + ROW + b"b,2,y\n")
    assert (staged.left_out, staged.footers) == (2, ())


@pytest.mark.parametrize(
    ("declared", "content", "kept", "count"),
    [
        ({"columns": {"a": "int"}, "format": {"delimiter": ";"}}, b"sep=;\r\na\r\n1\r\n", [(1,)], (2, 1, 0, 0, 1)),
        (
            {"columns": {"a": {"type": "int"}}, "format": {"comment": "#"}, "skip_rows_where": "a is null"},
            b'# ---\n# "me"\n\na,b\n7,1\n8,2\n,3\n',
            [(7,), (8,)],
            (5, 2, 0, 0, 3),
        ),
        (
            {"columns": {"a": "int"}, "format": {"skip_footer": 1}},
            b"a\n1\n2\n***END, OF***\n",
            [(1,), (2,)],
            (3, 2, 0, 0, 1),
        ),
    ],
    ids=["Excel's line", "comments and a total", "a footer"],
)
def test_exports_with_lines_beside_the_table_are_read(
    tmp_path: Path, declared: dict[str, Any], content: bytes, kept: list[Any], count: tuple[int, ...]
) -> None:
    more = {"b": {"type": "int", "optional": True}}
    staged = read(tmp_path, {**declared, "columns": {**declared["columns"], **more}}, content)
    assert values(staged, "a") == kept
    assert staged.counts == (FileCount(ORIGIN, *count),)
    assert staged.quarantine is None


@pytest.mark.parametrize(
    ("condition", "left"),
    [
        ("campaign = 'Total'", ["Total"]),
        ("campaign <> 'Total'", ["a", "", "total", " Total"]),
        ("campaign is null", [None]),
        ("campaign = ''", [""]),
        ("lower(trim(campaign)) = 'total' or clicks is null", ["Total", "total", " Total", "a"]),
        ("campaign like 'T%' and clicks = '10'", ["Total"]),
        ("clicks = '1e1'", ["total"]),
        ("cast(clicks as decimal(10,2)) >= 10", ["Total"]),
        ("length(campaign) > 5", [" Total"]),
        ("not (campaign in ('a', 'Total'))", ["", "total", " Total"]),
    ],
)
def test_a_condition_over_texts_tells_rows_of_totals_and_what_has_no_answer_is_not_true(
    tmp_path: Path, condition: str, left: list[str | None]
) -> None:
    rows = [("a", ""), ("", "3"), (None, "4"), ("Total", "10"), ("total", "1e1"), (" Total", "x")]
    lines = ["campaign,clicks", *(f"{'' if name is None else chr(34) + name + chr(34)},{n}" for name, n in rows)]
    declared = {"columns": {"campaign": "string", "clicks": "int"}, "skip_rows_where": condition}
    staged = read(tmp_path, declared, "\n".join(lines).encode())
    [count] = staged.counts
    kept = Counter(name for name, _ in rows) - Counter(left)
    assert Counter(name for (name,) in values(staged, "campaign")) + Counter(_quarantined(staged)) == kept
    assert (count.rows_in, count.left_out) == (6, len(left))


def _quarantined(staged: Staged) -> list[str | None]:
    return [
        json.loads(row["fields"])["campaign"]
        for row in quarantine_rows([staged.quarantine] if staged.quarantine else [])
    ]


def test_numbers_of_an_export_of_google_analytics_are_those_of_its_rows(tmp_path: Path) -> None:
    declared = {
        "columns": {"width": {"field": "Width", "type": "int"}, "views": {"field": "Page views", "type": "int"}},
        "defaults": {"thousands": ","},
        "format": {"comment": "#", "header": {"starts_with": "Width"}},
        "skip_rows_where": "width is null",
    }
    content = b'# ---\n# All Users\n# ---\n\nWidth,Page views\n"1,920","3,505"\n1440,725\n,"4,230"\n'
    staged = read(tmp_path, declared, content)
    assert values(staged, "width", "views") == [(1440, 725), (1920, 3505)]
    assert staged.counts == (FileCount(ORIGIN, 6, 2, 0, 0, 4),)


def test_a_file_of_comments_alone_has_no_rows_and_is_accounted_for(tmp_path: Path) -> None:
    declared = {"columns": {"a": "int"}, "format": {"comment": "#"}}
    staged = read(tmp_path, declared, b"# a\n\n# b\n")
    assert (staged.counts, staged.records, staged.quarantine) == ((FileCount(ORIGIN, 2, 0, 0, 0, 2),), 0, None)


def test_rows_are_left_out_of_json_as_well(tmp_path: Path) -> None:
    declared = {"columns": {"a": "string", "n": "int"}, "format": {"kind": "ndjson"}, "skip_rows_where": "a = 'Total'"}
    staged = read(tmp_path, declared, b'{"a": "x", "n": 1}\n{"a": "Total", "n": "all"}\n')
    assert (values(staged, "a", "n"), staged.counts) == ([("x", 1)], (FileCount(ORIGIN, 2, 1, 0, 0, 1),))


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ("n = 0", "skip_rows_where: 'n = 0' compares a text with a number; write 0 in quotes"),
        ("0 < n", "write 0 in quotes"),
        ("note = 'a' and n in (1, 2)", "write 1 in quotes"),
        ("n between '1' and -2", "write -2 in quotes"),
        ("note", "is no condition"),
        ("length(note)", "is no condition"),
        ("cost = '1'", "names cost, which is not a column it may read"),
        ("later = '1'", "names later, which is not a column it may read"),
        ("rlike(note, 'x')", "which is not allowed"),
    ],
)
def test_a_condition_that_engines_would_read_in_different_ways_is_refused(condition: str, says: str) -> None:
    columns = {**COLUMNS, "later": {"type": "int", "expression": "n + 1"}}
    with pytest.raises(BadExpression, match="skip_rows_where") as refused:
        compile_contract(contract({"columns": columns, "skip_rows_where": condition}))
    assert says in str(refused.value)


def test_line_numbers_are_those_of_the_file_as_it_was_delivered(tmp_path: Path) -> None:
    body = (
        b'sep=,\nReport\n\nDate,n,note\n#\n2026-03-01,1\n\n#\n2026-03-02,2,"x\nDate,n,note\n2026-03-03,3,4,"5\n#\n6"\n'
    )
    staged = read(tmp_path, EXPORT, body + b'"\n***\n')
    found = quarantine_rows([staged.quarantine] if staged.quarantine else [])
    text = body + b'"\n***\n'
    for row in found:
        line = text.splitlines()[row["line"] - 1].decode()
        assert row["raw"].splitlines()[0] == line
        assert text[row["byte_position"] :].startswith(line.encode())
    assert (6, ["column_count"]) in [(row["line"], row["reasons"]) for row in found]


def test_rows_that_end_early_are_padded_beside_lines_that_are_left_out(tmp_path: Path) -> None:
    declared = {"columns": {"a": "int", "b": "string"}, "format": {"comment": "#", "ragged_rows": "pad"}}
    content = b"# a\na,b\n# b\n# c\n1\n2,x,y\n# d\n3\nx,4\n"
    staged = read(tmp_path, declared, content)
    assert values(staged, "a", "b") == [(1, None), (3, None)]
    assert staged.counts == (FileCount(ORIGIN, 8, 2, 0, 2, 4),)
    found = quarantine_rows([staged.quarantine] if staged.quarantine else [])
    places = {(row["line"], row["byte_position"], row["raw"]) for row in found}
    assert places == {(6, content.index(b"2,x"), "2,x,y"), (9, None, None)}


@pytest.mark.parametrize(
    ("settings", "content", "line"),
    [
        ({"max_record_lines": 2}, b'# a\na,b\n# b\n1,"\n\n"\n', 4),
        ({"max_record_lines": 2}, b'# a\na,b\n# b\n1,"x\n\n2,3,4\n5"6\n', 4),
        ({}, b"# a\na,b\n# b\n1," + b"," * 5000 + b"\n", 4),
    ],
    ids=["a value", "a reject", "a wide record"],
)
def test_refusals_name_the_line_of_the_file_as_it_was_delivered(
    tmp_path: Path, settings: dict[str, Any], content: bytes, line: int
) -> None:
    declared = {"columns": {"a": "int", "b": "string"}, "format": {"comment": "#", **settings}}
    with pytest.raises(BadFile, match=f"the record in line {line} has more than"):
        read(tmp_path, declared, content)


def test_lines_that_a_broken_quote_swallowed_are_counted_beside_those_that_are_left_out(tmp_path: Path) -> None:
    declared = {"columns": {"a": "int", "b": "string"}, "format": {"comment": "#", "skip_footer": 1}}
    staged = read(tmp_path, declared, b'# a\n# b\n# c\na,b\n# d\n1,x\n2,"y\n3,y\n# e\nend\n')
    assert staged.counts == (FileCount(ORIGIN, 9, 1, 0, 3, 5),)
    assert staged.reasons == {"unterminated_quote": 1, "swallowed_line": 2}
    found = quarantine_rows([staged.quarantine] if staged.quarantine else [])
    assert [(row["line"], row["raw"].splitlines()[0]) for row in found] == [(7, '2,"y'), (8, "3,y"), (9, "# e")]


@st.composite
def exports(draw: Callable[..., Any]) -> tuple[bytes, str, Counter[str]]:
    """An export with what each of its lines is, and its encoding."""
    chosen = random.Random(draw(st.integers(0, 2**32)))
    end = chosen.choice(["\n", "\r\n"])
    became: Counter[str] = Counter()
    title = chosen.sample(["Report", '"stray', "by, us", "#c", "Überblick"], chosen.randrange(4))
    header = chosen.choice(["Date,n,note", '"Date","n","note"'])
    became["left_out"] = len(title)
    body: list[str] = []
    good: list[int] = []
    kinds = ["good", "good", "multi", "bad", "short", "total", "unknown", "comment", "header", "empty"]
    for _ in range(chosen.randrange(14)):
        kind, n = chosen.choice(kinds), chosen.randrange(4)
        if kind in ("good", "multi"):
            good.append(n)
            note = "ü #" if kind == "good" else f'"a{end}# no{end}***{end}{header.replace(chr(34), chr(34) * 2)}{end}"'
            body.append(f"2026-03-01,{n},{note}")
        elif kind == "bad":
            became["quarantined"] += 1
            body.append(f"2026-13-01,{n},x")
        elif kind == "short":
            became["quarantined"] += 1
            body.append(f"2026-03-01,{n}")
        elif kind == "empty":
            body.append("")
        else:
            became["left_out"] += 1
            body.append({"total": "Total,9,", "unknown": ",--,x", "comment": '# "no', "header": header}[kind])
    footer = ["*** end", "", '"of, it', "Date,n,note"][: chosen.randrange(5)]
    became["left_out"] += sum(bool(line) for line in footer)
    became["clean"] = len(set(good))
    became["superseded"] = len(good) - len(set(good))
    text = end.join([*title, header, *body, *footer]) + chosen.choice(["", end])
    return text.encode(encoding := chosen.choice(["utf-8", "utf-8-sig", "utf-16", "cp1252"])), encoding, became


@given(export=exports(), packed=st.booleans())
@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_line_of_an_export_is_accounted_for_once(export: tuple[bytes, str, Counter[str]], packed: bool) -> None:
    content, encoding, became = export
    with TemporaryDirectory() as folder:
        declared = {**EXPORT, "format": {**EXPORT["format"], "encoding": encoding}}
        staged = read(Path(folder), declared, gzip.compress(content) if packed else content)
        [count] = staged.counts
        assert {name: getattr(count, name) for name in ("clean", "superseded", "quarantined", "left_out")} == {
            name: became[name] for name in ("clean", "superseded", "quarantined", "left_out")
        }
        assert count.rows_in == became.total()
        delivered = content.decode(encoding).split("\n")
        for row in quarantine_rows([staged.quarantine] if staged.quarantine else []):
            line = delivered[row["line"] - 1].rstrip("\r")
            assert line == row["raw"] or line.split(",") == list(json.loads(row["fields"]).values())


PLAIN: dict[str, Any] = {"columns": {"a": "int", "b": "string"}}


def _calls(module: Any, work: Callable[[], Any]) -> int:
    """How many calls of functions of a module the work comes to."""
    calls = 0

    def count(frame: FrameType, event: str, _: Any) -> None:
        nonlocal calls
        calls += event == "call" and frame.f_code.co_filename == module.__file__

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


def test_without_a_setting_no_line_is_looked_at_and_no_file_is_written_again(tmp_path: Path) -> None:
    content = b"a,b\n" + b"1,x\n" * 20_000
    for number, (packed, declared) in enumerate([(content, {}), (gzip.compress(content), {})]):
        path, work = tmp_path / f"{number}", tmp_path / f"work-{number}"
        path.write_bytes(packed)
        work.mkdir()
        fmt = contract({**PLAIN, "format": declared}).format
        assert _calls(lines, lambda p=path, w=work, f=fmt: unpack(p, ORIGIN, f, w, 0)) <= 1
    assert list((tmp_path / "work-0").iterdir()) == []
    commented, work = contract({**PLAIN, "format": {"comment": "#"}}).format, tmp_path / "work-2"
    work.mkdir()
    assert _calls(lines, lambda: unpack(tmp_path / "0", ORIGIN, commented, work, 0)) > 20_000


def test_without_a_condition_the_sql_is_as_it_is_without_the_setting_and_with_it_no_statement_more(
    tmp_path: Path,
) -> None:
    plain, skipping = contract(PLAIN), contract({**PLAIN, "skip_rows_where": "b = 'x'"})
    before, after = compile_contract(plain), compile_contract(skipping)
    condition = compiled._left_out(skipping)
    around = after.validate.replace(f"case when not {condition} then ", "", 1)
    assert around.replace(") end as _reasons", ") as _reasons", 1) == before.validate
    assert (before.quarantine, before.clean, before.key) == (after.quarantine, after.clean, after.key)
