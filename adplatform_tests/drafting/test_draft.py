"""Drafts from files: what is proposed reads the sample, and shows nobody's data."""

import gzip
import io
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from adplatform.contracts.feed import Feed
from adplatform.drafting.declaration import feed_yaml
from adplatform.drafting.draft import Draft, draft_of
from adplatform.drafting.reads import Reader
from adplatform.drafting.sample import sample
from adplatform.drafting.trial import Settled, settled
from adplatform.failures import PermanentFailure
from adplatform_tests.drafting.exports import documents, export
from adplatform_tests.support.avros import avro, record
from adplatform_tests.support.examples import examples
from adplatform_tests.support.tars import tarred
from adplatform_tests.support.workbooks import packed, workbook

DAY = date(2026, 1, 1)
ORDERS = "order_id,ordered,email,amount\n" + "".join(
    f"{n},2026-01-{1 + n % 28:02d},u{n}@example.com,{n}.50\n" for n in range(1, 41)
)


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader() as opened:
        yield opened


def drafted(data: bytes, reader: Reader) -> Settled:
    with TemporaryDirectory() as directory:
        file = Path(directory, "sample")
        file.write_bytes(data)
        return settled(draft_of(file, reader), file, Path(directory, "trial"))


def feed_of(draft: Draft) -> Feed:
    [entry] = yaml.safe_load(feed_yaml(draft, "orders", DAY))
    return Feed.model_validate(entry)


@settings(max_examples=examples(15))
@given(st.integers(0, 1_000_000))
def test_a_draft_reads_every_row_of_a_random_export_and_shows_no_personal_value(seed: int) -> None:
    made = export(Random(seed))
    with Reader() as reader:
        found = drafted(made.data, reader)
    staged = found.trial.staged
    assert (dict(staged.reasons), staged.clean + staged.superseded, found.changed) == ({}, made.rows, ())
    text = feed_yaml(found.draft, "orders", DAY)
    assert not any(value in text for value in made.personal)
    assert feed_of(found.draft).contract == found.trial.contract


@settings(max_examples=examples(10))
@given(st.integers(0, 1_000_000))
def test_a_draft_reads_every_record_of_random_json(seed: int) -> None:
    rows, path = documents(Random(seed))
    whole: object = rows
    for name in reversed(path.split(".") if path else ()):
        whole = {"meta": {"page": 1}, name: whole}
    text = "".join(f"{json.dumps(row)}\n" for row in rows) if path is None else json.dumps(whole)
    with Reader() as reader:
        found = drafted(text.encode(), reader)
    staged = found.trial.staged
    assert (dict(staged.reasons), staged.clean + staged.superseded, found.changed) == ({}, len(rows), ())


def test_each_guess_has_its_reason_in_yaml_that_is_valid(reader: Reader) -> None:
    found = drafted(ORDERS.encode(), reader)
    text = feed_yaml(found.draft, "orders", DAY, "    ")
    assert "    email: {pii: email}   # REVIEW: 100% of its values are e-mail addresses" in text
    assert "    order_id: {type: bigint, required: true}   # no gap and no value twice in 40 rows" in text
    assert "# partition_by: dt (default)" in text
    feed = feed_of(found.draft)
    assert (feed.key, [c.type for c in feed.columns]) == (("order_id",), ["bigint", "date", "string", "decimal(12,2)"])


def test_columns_may_be_called_as_yaml_calls_truth(reader: Reader) -> None:
    feed = feed_of(drafted(b'{"no": 1, "On": 2}\n{"no": 3, "On": 4}\n', reader).draft)
    assert [(column.name, column.field_name) for column in feed.columns] == [("no", "no"), ("on", "On")]


@pytest.mark.parametrize(
    ("data", "settings"),
    [
        (gzip.compress(ORDERS.encode()), {}),
        (pa.compress(ORDERS.encode(), "zstd", asbytes=True), {}),
        (packed({"about.txt": b"# about", "orders.csv": ORDERS.encode()}), {"members": "*.csv"}),
        (
            gzip.compress(tarred({"a.csv": ORDERS.encode(), "b.csv": ORDERS.encode(), "c.pdf": b"%PDF"})),
            {"members": "*.csv"},
        ),
        (workbook(Orders=[line.split(",") for line in ORDERS.splitlines()]), {"kind": "xlsx"}),
        (
            workbook(Notes=[["about"]], Orders=[["Report"], [], *(line.split(",") for line in ORDERS.splitlines())]),
            {"kind": "xlsx", "sheet": 2, "header": {"starts_with": "order_id"}},
        ),
    ],
    ids=["gzip", "zstd", "zip", "tar.gz", "xlsx", "xlsx with two sheets"],
)
def test_what_is_packed_is_drafted_like_the_table_inside(
    data: bytes, settings: dict[str, object], reader: Reader
) -> None:
    found = drafted(data, reader)
    assert {name: value for name, (value, _) in found.draft.format.items()} == settings
    assert found.draft.columns == draft_from(ORDERS.encode(), reader).columns
    assert found.trial.staged.clean + found.trial.staged.superseded in (40, 80)
    assert found.trial.staged.quarantined == 0


def test_of_avro_the_types_are_those_of_its_schema(reader: Reader) -> None:
    schema = record(("id", "long"), ("rate", "double"), ("contact", ["null", "string"]))
    rows = [{"id": n, "rate": 0.5, "contact": f"u{n}@example.com"} for n in range(30)]
    found = drafted(avro(schema, rows, "deflate"), reader)
    assert found.draft.format["kind"][0] == "avro"
    assert [c.settings for c in found.draft.columns] == [
        {"type": "bigint", "required": True},
        {"type": "double"},
        {"pii": "email"},
    ]
    assert found.trial.staged.clean == 30


def draft_from(data: bytes, reader: Reader) -> Draft:
    with TemporaryDirectory() as directory:
        file = Path(directory, "sample")
        file.write_bytes(data)
        return draft_of(file, reader)


def test_of_a_large_file_the_beginning_and_the_end_are_looked_at(tmp_path: Path, reader: Reader) -> None:
    row = "2026-01-01,campaign,5,some longer text to fill the file with bytes\n"
    file = tmp_path / "large.csv"
    file.write_text("day,campaign,clicks,note\n" + row * 80_000 + "Total rows: 80000\nsent by Ann\n")
    assert not (looked_at := sample(file)).whole
    assert len(looked_at.start) + len(looked_at.end) < file.stat().st_size
    found = settled(draft_of(file, reader), file, tmp_path / "trial")
    assert found.draft.format["skip_footer"][0] == {"starts_with": "Total"}
    assert (found.trial.staged.quarantined, found.trial.staged.left_out) == (0, 2)
    assert 0 < found.trial.staged.clean < 80_000


def test_totals_are_left_out_by_a_condition_and_do_not_spoil_types(reader: Reader) -> None:
    rows = "".join(f"2026-01-{n:02d},a,{n}\n" for n in range(1, 25))
    found = drafted(f"day,campaign,clicks\n{rows}Total,,300\n".encode(), reader)
    assert found.draft.others["skip_rows_where"][0] == "day = 'Total'"
    assert found.draft.columns[0].settings == {"type": "date"}
    assert (found.trial.staged.clean, found.trial.staged.left_out) == (24, 1)


def test_members_of_json_become_columns_by_their_path(reader: Reader) -> None:
    document = {
        "meta": {"page": 1},
        "data": {
            "items": [
                {"id": n, "campaign": {"id": f"c{n}", "budget": 1.5}, "ok": True, "tags": ["x"]} for n in range(30)
            ]
        },
    }
    found = drafted(json.dumps(document).encode(), reader)
    assert {name: value for name, (value, _) in found.draft.format.items()} == {"kind": "json", "records": "data.items"}
    assert {c.name: dict(c.settings) for c in found.draft.columns} == {
        "id": {"type": "bigint", "required": True},
        "campaign_id": {"field": "campaign.id", "type": "string"},
        "campaign_budget": {"field": "campaign.budget", "type": "decimal(12,2)"},
        "ok": {"type": "boolean"},
        "tags": {"type": "string"},
    }
    assert (found.trial.staged.clean, found.trial.staged.quarantined) == (30, 0)
    lines = "".join(json.dumps(item) + "\n" for item in document["data"]["items"])  # type: ignore[index]
    by_line = drafted(lines.encode(), reader)
    assert by_line.draft.format["kind"][0] == "ndjson"
    assert by_line.draft.columns == found.draft.columns


def test_types_of_parquet_are_those_of_the_file(reader: Reader) -> None:
    table = pa.table(
        {
            "Day": pa.array([date(2026, 1, n) for n in range(1, 29)]),
            "clicks": pa.array(range(28), pa.int32()),
            "cost": pa.array([f"{n}.25" for n in range(28)]).cast(pa.decimal128(10, 2)),
            "rate": pa.array([0.5] * 28),
            "contact": [f"u{n}@example.com" for n in range(28)],
        }
    )
    sink = io.BytesIO()
    pq.write_table(table, sink)
    found = drafted(sink.getvalue(), reader)
    assert [dict(c.settings) for c in found.draft.columns] == [
        {"field": "Day", "type": "date"},
        {"type": "int"},
        {"type": "decimal(10,2)"},
        {"type": "double"},
        {"pii": "email"},
    ]
    assert found.trial.staged.clean == 28


def test_bytes_of_parquet_that_are_no_text_are_drafted_as_such(reader: Reader) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": range(3), "picture": [b"\x89PNG\xff", None, b"\xff"], "word": [b"a"] * 3}), sink)
    found = drafted(sink.getvalue(), reader)
    assert {c.name: dict(c.settings) for c in found.draft.columns if c.name != "id"} == {
        "picture": {"type": "string", "bytes": "hex"},
        "word": {"type": "string"},
    }
    assert (found.trial.staged.clean, found.changed) == (3, ("bytes: hex of picture",))


def test_where_the_first_draft_quarantines_rows_another_is_tried_and_said(reader: Reader) -> None:
    rows = (
        "".join(f'{n},a,5" pipe\n' for n in range(400))
        + '400,a,"5 pipe\n'
        + "".join(f"{n},b,x\n" for n in range(401, 440))
    )
    found = drafted(f"id,name,size\n{rows}".encode(), reader)
    assert found.trial.staged.quarantined == 0
    assert found.changed
    assert found.draft.format["quote"][0] == ""


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("day,clicks,clicks,cost", ["day", "clicks", "clicks_2", "cost"]),
        (",day,clicks,cost", ["column_1", "day", "clicks", "cost"]),
    ],
)
def test_a_header_that_nothing_reads_gives_names_and_is_left_out(header: str, names: list[str], reader: Reader) -> None:
    index = header.startswith(",")
    rows = "".join(
        f"{n}, 2026-01-{n:02d},{n},1.5\n" if index else f"2026-01-{n:02d},{n},{n},1.5\n" for n in range(1, 29)
    )
    found = drafted(f"About\n\n{header}\n{rows}".encode(), reader)
    assert [c.name for c in found.draft.columns] == names
    assert found.draft.format["skip_lines"][0] == 3
    assert (found.trial.staged.clean, found.trial.staged.quarantined) == (28, 0)


def test_a_word_that_rows_begin_with_too_is_no_mark_of_a_footer(reader: Reader) -> None:
    rows = "".join(f"Total {n},2026-01-{n:02d},{n}\n" for n in range(1, 29))
    found = drafted(f"name,day,clicks\n{rows}Total lines: 28\n".encode(), reader)
    assert found.draft.format["skip_footer"][0] == 1
    assert found.trial.staged.clean == 28


def test_places_are_personal_beside_persons_only(reader: Reader) -> None:
    report = draft_from(b"city,clicks\nRome,5\nOslo,6\n", reader)
    people = draft_from(b"city,email\nRome,a@example.com\nOslo,b@example.com\n", reader)
    assert "pii" not in report.columns[0].settings
    assert people.columns[0].settings["pii"] == "city"


def test_names_that_look_like_values_are_never_columns(reader: Reader) -> None:
    found = draft_from(b'{"ann@example.com": 1, "id": 2}\n{"ann@example.com": 1, "id": 3}\n', reader)
    assert [c.name for c in found.columns] == ["id"]
    assert any("left out" in remark for remark in found.remarks)
    table = draft_from(b"ann@example.com,5\nbob@example.com,6\n", reader)
    assert table.format["header"][0] is False
    assert [c.name for c in table.columns] == ["column_1", "column_2"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html><body>Sign in", "HTML"),
        (b"-----BEGIN PGP MESSAGE-----\n", "decrypt"),
        (b"\xfd7zXZ\x00aaaa", "xz"),
        (b"ab\x00\x01\x02cd", "binary"),
        (b"day,{{ env.HOME }}\n2026-01-01,5\n", "template"),
    ],
)
def test_what_is_no_data_is_refused_by_name(data: bytes, said: str, reader: Reader) -> None:
    with pytest.raises(PermanentFailure, match=said):
        draft_from(data, reader)
