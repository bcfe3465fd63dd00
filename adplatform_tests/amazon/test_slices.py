"""Every row of a document is in one slice or outside, and a slice's digest says whether its values are others."""

import copy
import gzip
import json
import random
import resource
import tracemalloc
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from isal import igzip

from adplatform.amazon.definitions import Dataset, columns_of
from adplatform.amazon.documents import MISFIT, Layout
from adplatform.amazon.slices import Spelled, Split, split
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform_tests.support.examples import examples

START, END = date(2026, 1, 1), date(2026, 1, 3)
ADS = Dataset(
    feed="ads",
    columns=columns_of(
        [
            ("date", "date"),
            ("campaignId", "bigint"),
            ("campaignName", "string"),
            ("clicks", "bigint"),
            ("cost", "decimal(18,6)"),
            ("sales", "decimal(12,2)"),
            ("share", "double"),
        ]
    ),
    date_field="date",
    plotted=("clicks", "cost"),
)
BY_DATE = Dataset(
    feed="by_date",
    records="byDate",
    date_field="date",
    plotted=("sales.ordered.amount",),
    columns=columns_of([("date", "date"), ("sales.ordered.amount", "decimal(18,6)"), ("sales.units", "bigint")]),
)
BY_ASIN = Dataset(feed="by_asin", records="byAsin", columns=columns_of([("asin", "string")]))
ORDERS = Dataset(
    feed="orders",
    date_field="purchase-date",
    plotted=("item-price",),
    columns=columns_of([("order-id", "string"), ("quantity", "int"), ("item-price", "decimal(18,6)")], ["order-id"]),
)


def stamped(day: date) -> Mapping[str, str | int]:
    return {"_report_id": "r-1", "_wave": (date(2026, 2, 1) - day).days}


def cut(
    work: Path,
    body: str | bytes | Sequence[Mapping[str, Any]],
    datasets: Sequence[Dataset] = (ADS,),
    layout: Layout = "json",
    start: date = START,
    end: date = END,
    stamp: Callable[[date], Mapping[str, str | int]] = stamped,
    zone: ZoneInfo | None = None,
    country: str = "DE",
    private: bool = False,
    spelled: Spelled = lambda *_: {},
) -> Split:
    text = body if isinstance(body, str | bytes) else json.dumps(body)
    document = work.with_suffix(".document")
    document.write_bytes(text.encode() if isinstance(text, str) else text)
    return split(
        document,
        datasets,
        layout,
        start=start,
        end=end,
        stamp=stamp,
        charset="",
        country=country,
        origin="it",
        work=work,
        zone=zone,
        private=private,
        spelled=spelled,
    )


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def one(work: Path, *members: str) -> tuple[dict[str, Any], str, Mapping[str, Decimal]]:
    """The row, digest and totals of the slice of rows with these members, written as in JSON."""
    text = ", ".join(f'{{"date": "2026-01-01", {each}}}' for each in members)
    found = cut(work, f"[{text}]").slices[0]
    return lines(found.path)[0], found.content, found.totals


def test_members_are_called_otherwise_in_the_slices_and_the_digest_does_not_change(work: Path) -> None:
    evolving = replace(BY_DATE, schema_policy="evolve")
    body = {"byDate": [{"date": "2026-01-01", "a-b": 1, "sales": {"units": 2, "Units": 3}}, {"date": "2026-01-01"}]}
    seen: list[str] = []

    def spelled(dataset: Dataset, names: Collection[str]) -> Mapping[str, str]:
        seen.extend(sorted(names))
        return {"a-b": "a-b z", "sales.Units": "Units z"}

    found = cut(work, json.dumps(body), [evolving], spelled=spelled)
    assert seen == ["a-b", "date", "sales", "sales.Units", "sales.units"]
    first, second = lines(found.slices[0].path)
    assert (first["a-b z"], first["sales"]) == ("1", {"units": "2", "Units z": "3"})
    assert set(second) == {"date", "_report_id", "_wave"}
    assert found.slices[0].content == cut(work, json.dumps(body), [evolving]).slices[0].content
    assert cut(work, json.dumps(body), [BY_DATE], spelled=spelled).slices[0].rows == 2
    assert "a-b" in lines(work / "by_date-2026-01-01.json.gz")[0], "a table of a frozen schema has what came"


UNIFIED = Dataset(
    feed="unified",
    date_field="date.value",
    plotted=("metric.totalCost",),
    columns=columns_of(
        [
            ("date.value", "date"),
            ("campaign.id", "string"),
            ("metric.totalCost", "decimal(12,2)"),
            ("metric.roas", "double"),
        ]
    ),
)


def test_numbers_of_a_table_in_csv_lose_noise_and_compare_by_value_and_ids_do_not(work: Path) -> None:
    def read(*rows: str) -> tuple[list[dict[str, Any]], str, Mapping[str, Decimal]]:
        body = "\n".join(("date.value,campaign.id,metric.totalCost,metric.roas", *rows))
        found = cut(work, body, (UNIFIED,), "csv").slices[0]
        return lines(found.path), found.content, found.totals

    (row, _), content, totals = read("2026-01-01,007,58.989999999999995,1.50", "2026-01-01,8,,")
    assert [row[name] for name in ("campaign.id", "metric.totalCost", "metric.roas")] == ["007", "58.99", "1.50"]
    assert totals == {"metric.totalCost": Decimal("58.99")}
    assert read("2026-01-01,8,,", "2026-01-01,007,58.990,1.5")[1] == content
    assert read("2026-01-01,7,58.99,1.5", "2026-01-01,8,,")[1] != content


def test_a_table_in_csv_that_lacks_what_was_asked_for_changes_nothing(work: Path) -> None:
    with pytest.raises(PermanentFailure, match=r"its header lacks metric\.totalCost, metric\.roas; it begins"):
        cut(work, "date.value,campaign.id\n2026-01-01,1\n", (UNIFIED,), "csv")


def digest(work: Path, *members: str) -> str:
    return one(work, *members)[1]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / "work"


days = st.sampled_from([str(START + timedelta(days=n)) for n in range(-2, 6)])
dates = st.one_of(
    days,
    days.map(lambda day: f"{day}T23:59:59+00:00"),
    st.sampled_from(
        [None, "", "2026-01-0", "2026-01-011", "01/01/2026", 20260101, True, ["2026-01-01"], {"a": 1}, "２"]
    ),
)
plain = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(-1e12, 1e12)
row = st.fixed_dictionaries(
    {"n": st.integers(0, 10**6)},
    optional={"date": dates, "campaignName": plain, "cost": plain, "x": st.dictionaries(st.text(max_size=3), plain)},
)


@settings(max_examples=examples(15), deadline=None)
@given(st.lists(row, max_size=12))
def test_every_row_is_in_one_slice_or_outside(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    work = tmp_path_factory.getbasetemp() / "every"
    wanted = Counter((r["n"], _day(r.get("date"))) for r in rows)
    if rows and not any(day for _, day in wanted):
        with pytest.raises(PermanentFailure, match="nothing changed"):
            cut(work, rows)
        return
    found = cut(work, rows)
    assert found.rows == len(rows) == sum(s.rows for s in found.slices) + found.outside_rows
    assert [s.day for s in found.slices] == [START + timedelta(days=n) for n in range(3)]
    placed = Counter((int(r["n"]), str(s.day)) for s in found.slices for r in lines(s.path))
    outside = Counter((int(r["n"]), "") for r in lines(found.outside))
    assert placed + outside == wanted
    assert [len(lines(s.path)) for s in found.slices] == [s.rows for s in found.slices]


def _day(value: Any) -> str:
    if not isinstance(value, str) or value[10:11].isdigit():
        return ""
    return value[:10] if value[:10] in {"2026-01-01", "2026-01-02", "2026-01-03"} else ""


def test_rows_of_no_date_are_kept_as_they_came(work: Path) -> None:
    found = cut(work, '[{"date": null, "cost": 1.0000000000004}, {"date": "2026-01-02"}, {"cost": 1E2}]')
    assert lines(found.outside) == [{"date": None, "cost": "1.0000000000004"}, {"cost": "1E2"}]
    assert (found.rows, found.outside_rows, [s.rows for s in found.slices]) == (3, 2, [0, 1, 0])


def test_a_document_with_no_row_of_its_dates_changes_nothing(work: Path) -> None:
    with pytest.raises(PermanentFailure, match="none of its 2 rows has a date of 2026-01-01 to 2026-01-03"):
        cut(work, [{"date": "2025-12-31"}, {"date": None}])


DATED = replace(ORDERS, columns=columns_of([("order-id", "string"), ("purchase-date", "timestamp")]))


@pytest.mark.parametrize(
    ("value", "country", "said"),
    [
        ("02-Jan-2026", "US", "'02-Jan-2026', which `localized: true` reads"),
        ("02.01.2026 10:00:00 UTC", "DE", "'02.01.2026 10:00:00 UTC', which `localized: true` reads"),
        ("2. sty 2026", "DE", "'2. sty 2026', which `formats` of that column can read"),
        ("2025-12-31T10:00:00Z", "US", "'2025-12-31T10:00:00Z'"),
        ("Ann Example", "US", "what looks like 'aaa aaaaaaa'"),
        ("Main Street 5, 98101", "US", "what looks like 'aaaa aaaaaa 9, 99999'"),
        ("555-123-4567", "US", "what looks like '999-999-9999'"),
        ("1-Ann-2026", "US", "what looks like '9-aaa-9999'"),
        ("1-Sep-2026 ANN", "US", "what looks like '9-aaa-9999 aaa'"),
        ("ann@example.com", "US", "what looks like 'aaa?aaaaaaa.aaa'"),
        ("", "US", "none"),
    ],
)
def test_an_error_about_dates_says_what_was_found_and_what_would_read_it(
    work: Path, value: str, country: str, said: str
) -> None:
    with pytest.raises(PermanentFailure) as failure:
        cut(work, f"order-id\tpurchase-date\n1\t{value}\n", [DATED], "tsv", country=country)
    assert f"a purchase-date of 2026-01-01 to 2026-01-03: the first has {said}; nothing changed" in str(failure.value)
    with pytest.raises(PermanentFailure) as failure:
        cut(work, f"order-id\tpurchase-date\n1\t{value}\n", [DATED], "tsv", country=country, private=True)
    assert not value or value not in str(failure.value)


def test_names_of_months_and_formats_of_a_column_are_dates(work: Path) -> None:
    body = "order-id\tpurchase-date\n1\t2-Jan-2026\n2\tJanuary 3, 2026 11:30:00 PM PST\n"
    found = cut(work, body, [replace(DATED, localized=True)], "tsv", country="US", zone=ZoneInfo("America/Los_Angeles"))
    assert [s.rows for s in found.slices] == [0, 1, 1]
    (column,) = columns_of([("purchase-date", "date")])
    formatted = replace(DATED, columns=(column.model_copy(update={"formats": ("%d|%m|%Y",)}),))
    found = cut(work, "order-id\tpurchase-date\n1\t02|01|2026\n", [formatted], "tsv")
    assert [lines(s.path) for s in found.slices][1][0]["purchase-date"] == "02|01|2026", "the contract reads it, too"


def test_rows_without_a_date_among_others_are_a_doubt(work: Path) -> None:
    body = "order-id\tpurchase-date\n1\t2026-01-02\n2\t02-Jan-2026\n3\t2025-12-01\n"
    found = cut(work, body, [DATED], "tsv", country="US")
    said = "the purchase-date of 1 rows is no date: the first has '02-Jan-2026', which `localized: true` reads"
    assert (found.outside_rows, found.doubt) == (2, said)


def test_a_table_with_no_row_that_fits_its_header_changes_nothing(work: Path) -> None:
    undated = replace(ORDERS, date_field=None)
    with pytest.raises(PermanentFailure, match="none of its 2 rows fits the header"):
        cut(work, "order-id\tquantity\n1\n2\t3\t4\n", [undated], "tsv", end=START)


def test_a_document_without_rows_makes_empty_slices(work: Path) -> None:
    found = cut(work, "[]")
    assert [(s.rows, s.content, s.totals, lines(s.path)) for s in found.slices] == [(0, "", {}, [])] * 3
    assert lines(found.outside) == []


def test_rows_bear_the_stamp_of_their_date(work: Path) -> None:
    found = cut(work, '[{"date": "2026-01-02", "_wave": "mine"}, {"date": "2026-01-01"}]')
    (first,), (second,), _ = (lines(s.path) for s in found.slices)
    assert first == {"date": "2026-01-01", "_report_id": "r-1", "_wave": 31}
    assert second == {"date": "2026-01-02", "_report_id": "r-1", "_wave": 30}
    assert lines(cut(work, '[{"date": "2026-01-01"}]', stamp=lambda _: {}).slices[0].path) == [{"date": "2026-01-01"}]


MEMBERS = '"campaignId": 9007199254740993, "campaignName": "a", "clicks": 3, "cost": 58.99, "share": 0.1, "t": [1, "2"]'


@pytest.mark.parametrize(
    "other",
    [
        '"t": [1.0, "2"], "share": 1E-1, "cost": 58.990, "clicks": 3.0, "campaignName": "a",'
        ' "campaignId": 9007199254740993',
        MEMBERS.replace("58.99", "58.989999999999995"),
        MEMBERS.replace("58.99", "5899e-2"),
        MEMBERS.replace('"clicks": 3', '"clicks": 30E-1'),
        MEMBERS.replace('"a"', '"\\u0061"'),
    ],
)
def test_order_of_members_spelling_and_noise_make_no_other_slice(work: Path, other: str) -> None:
    assert digest(work, other) == digest(work, MEMBERS)


@pytest.mark.parametrize(
    ("name", "spellings"),
    [
        ("clicks", ["0", "-0", "0.0", "-0.0", "0E9", "0e-99999"]),
        ("share", ["0", "-0", "0.0", "-0.0", "0E9", "0e-99999"]),
        ("share", ["100", "1e2", "1.00E+2", "100.000"]),
        ("cost", ["0.0000000000001", "0", "-1e-300"]),
        ("unknown", ["1.5", "15e-1", "1.50"]),
    ],
)
def test_spellings_of_one_number_are_one(work: Path, name: str, spellings: list[str]) -> None:
    assert len({digest(work, f'"{name}": {each}') for each in spellings}) == 1


def test_another_value_type_name_or_count_makes_another_slice(work: Path) -> None:
    texts = [
        *("7", '"7"', '"007"', "70", "-7", "0", "0.000001", "true", "false", "null", '""', '"true"', '"null"'),
        *("[]", "{}", "[7]", '["7"]', '[["7"]]', '"[7]"', '{"a": 7}', '{"a": "7"}', '{"a": null}', '"#7"', '["#7"]'),
        *('"\'7"', '"\\u001f"', '"7\\u001f#7"', "9007199254740993", "9007199254740992", "1e999999999", '"1e999999999"'),
        *('"\\ud800"', '"\\ud801"', '"ß"', '"SS"', '"e\\u0301"', '"é"', "9" * 300, "9" * 299 + "8"),
    ]
    for name in ("clicks", "cost", "campaignName", "new"):
        rows = [
            *(f'"{name}": {text}' for text in texts),
            f'"{name}2": 7',
            f'"{name}": 7, "x": null',
            f'"{name}": {{"a": 7}}, "x": 7',
        ]
        assert len({digest(work, each) for each in rows}) == len(rows), name
    counts = [digest(work, *['"clicks": 1'] * n) for n in range(1, 5)]
    assert len({*counts, digest(work, '"clicks": 1', '"clicks": 3'), digest(work, '"clicks": 2', '"clicks": 2')}) == 6


def test_members_that_hold_the_separator_are_not_confused(work: Path) -> None:
    first = digest(work, '"a": "x\\u001f\'y", "b": "z"')
    assert first != digest(work, '"a": "x", "b": "y\\u001f\'z"')
    assert digest(work, '"a\\u001fb": "z"') != digest(work, '"a": "z", "b": "z"')


@settings(max_examples=examples(15), deadline=None)
@given(st.lists(row.map(lambda r: {**r, "date": "2026-01-01"}), min_size=1, max_size=6), st.randoms(), st.data())
def test_the_digest_follows_values_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], shuffle: random.Random, data: st.DataObject
) -> None:
    work = tmp_path_factory.getbasetemp() / "digest"
    before = cut(work, rows).slices[0]
    mixed = [dict(shuffle.sample(list(r.items()), len(r))) for r in shuffle.sample(rows, len(rows))]
    after = cut(work, mixed).slices[0]
    assert (after.content, after.totals) == (before.content, before.totals)
    changed = copy.deepcopy(mixed)
    changed[data.draw(st.integers(0, len(rows) - 1))]["n"] += 1
    assert cut(work, changed).slices[0].content != before.content
    assert cut(work, [*rows, rows[0]]).slices[0].content != before.content


@pytest.mark.parametrize(
    ("name", "spelled", "written"),
    [
        ("cost", "58.989999999999995", "58.990000"),
        ("cost", "0.1", "0.1"),
        ("cost", "-12.345678", "-12.345678"),
        ("cost", "1E-6", "0.000001"),
        ("cost", "1.5e3", "1500.000000"),
        ("cost", "5e-324", "0.000000"),
        ("cost", "123456789012.123456", "123456789012.123456"),
        ("cost", "99999999999999999999999.99", "99999999999999999999999.99"),
        ("cost", "0.0000005", "0.000000"),
        ("cost", "0.00000051", "0.000001"),
        ("cost", "1e999999999", "1e999999999"),
        ("cost", "1e99999999999999999999", "1e99999999999999999999"),
        ("sales", "19.994999999999997", "19.99"),
        ("sales", "19.995", "20.00"),
        ("clicks", "5.0", "5"),
        ("clicks", "1E3", "1000"),
        ("clicks", "5.5", "5.5"),
        ("clicks", "0e999999999", "0"),
        ("campaignId", "18446744073709551615", "18446744073709551615"),
        ("share", "58.989999999999995", "58.989999999999995"),
        ("share", "1E-7", "1E-7"),
        ("share", "-0.0", "-0.0"),
        ("campaignName", "1.10", "1.10"),
        ("notDeclared", "1.10", "1.10"),
    ],
)
def test_numbers_of_exact_columns_lose_noise_and_no_others_change(
    work: Path, name: str, spelled: str, written: str
) -> None:
    assert one(work, f'"{name}": {spelled}')[0][name] == written


@pytest.mark.parametrize("text", ["007", "1_000", "1,5", "58.989999999999995", "5.0", "N/A", "", " 7 ", "１２", "1e3"])
def test_texts_in_columns_of_numbers_stay(work: Path, text: str) -> None:
    found = one(work, f'"clicks": {json.dumps(text)}, "cost": {json.dumps(text)}')[0]
    assert (found["clicks"], found["cost"]) == (text, text)


def test_totals_are_exact(work: Path) -> None:
    many = ['"clicks": 9007199254740993, "cost": 0.1', '"clicks": 1, "cost": 1e30', '"clicks": null, "cost": 0.000001']
    totals = one(work, *many, '"clicks": "2", "cost": "N/A"', '"clicks": true, "cost": [1]')[2]
    assert totals == {
        "clicks": Decimal(9007199254740996),
        "cost": Decimal("1000000000000000000000000000000.100001"),
        "clicks:unread": Decimal(1),
        "cost:unread": Decimal(2),
    }
    assert str(totals["cost"]) == "1000000000000000000000000000000.100001"
    assert one(work, '"clicks": null')[2] == {}
    assert one(work, '"clicks": 0')[2] == {"clicks": 0}


@given(st.lists(st.decimals(-(10**9), 10**9, places=6, allow_nan=False), min_size=1, max_size=20))
@settings(deadline=None)
def test_totals_are_sums(tmp_path_factory: pytest.TempPathFactory, costs: list[Decimal]) -> None:
    work = tmp_path_factory.getbasetemp() / "totals"
    assert one(work, *(f'"cost": {c:f}' for c in costs))[2]["cost"] == sum(costs)


def test_nested_members_are_settled_and_summed(work: Path) -> None:
    body = """{"byDate": [{"date": "2026-01-01", "sales": {"units": 2.0, "ordered": {"amount": 58.989999999999995}}},
        {"date": "2026-01-01", "sales": {"units": 1, "ordered": {"amount": 0.01, "currencyCode": "EUR"}}},
        {"date": "2026-01-01", "sales": null}], "byAsin": [{"asin": "B0", "a.b": 1}, {}]}"""
    found = cut(work, body, [BY_DATE, BY_ASIN], end=START)
    by_date, by_asin = found.slices
    assert (by_date.feed, by_date.rows, by_asin.feed, by_asin.rows, found.rows) == ("by_date", 3, "by_asin", 2, 5)
    assert lines(by_date.path)[0]["sales"] == {"units": "2", "ordered": {"amount": "58.990000"}}
    assert by_date.totals == {"sales.ordered.amount": Decimal("59.00")}
    assert lines(by_asin.path) == [{"asin": "B0", "a.b": "1", **stamped(START)}, stamped(START)]


def test_rows_without_a_date_need_a_report_of_one_day(work: Path) -> None:
    with pytest.raises(PermanentFailure, match="one day"):
        cut(work, '{"byAsin": [{"asin": "B0"}]}', [BY_ASIN])


def test_tables_are_cut_by_the_date_in_their_instants(work: Path) -> None:
    body = (
        "order-id\tpurchase-date\tquantity\titem-price\n"
        "1\t2026-01-01T23:59:59+00:00\t1\t19.90\n2\t2026-01-02T00:00:00+00:00\t007\t\n3\t2026-01-03\t1\t2\t3\n"
        "4\t2025-12-31T23:59:59+00:00\t1\t1\n"
    )
    found = cut(work, body, [ORDERS], "tsv")
    assert [s.rows for s in found.slices] == [1, 1, 0]
    assert lines(found.slices[1].path)[0]["quantity"] == "007"
    assert [s.totals for s in found.slices] == [{"item-price": Decimal("19.90")}, {}, {}]
    outside = lines(found.outside)
    assert outside[0] == {MISFIT: ["3", "2026-01-03", "1", "2", "3"]}
    assert outside[1]["order-id"] == "4"


@pytest.mark.parametrize(
    ("zone", "rows"),
    [("UTC", [0, 1, 1]), ("America/Los_Angeles", [1, 1, 0]), ("Asia/Tokyo", [0, 1, 1]), (None, [1, 0, 1])],
)
def test_an_instant_with_an_offset_counts_for_its_date_where_dates_are_counted(
    work: Path, zone: str | None, rows: list[int]
) -> None:
    body = (
        "order-id\tpurchase-date\tquantity\titem-price\n"
        "1\t2026-01-01T18:30:00-08:00\t1\t1\n2\t2026-01-03T04:00:00+09:00\t1\t1\n"
    )
    if zone == "UTC":
        body = body.replace("2026-01-03T04:00:00+09:00", "2026-01-03T00:00:00Z")
    found = cut(work, body, [ORDERS], "tsv", zone=ZoneInfo(zone) if zone else None)
    assert [s.rows for s in found.slices] == rows


def test_a_table_without_its_column_of_dates_is_refused(work: Path) -> None:
    with pytest.raises(PermanentFailure, match="lacks purchase-date"):
        cut(work, "order-id\tquantity\n", [ORDERS], "tsv")


def test_texts_of_any_characters_come_through(work: Path) -> None:
    name = 'Größe 大 😀 \x00 \u2028 \\ " \t'
    found = cut(work, [{"date": "2026-01-01", "campaignName": name, "ключ": name}]).slices[0]
    assert lines(found.path)[0]["campaignName"] == lines(found.path)[0]["ключ"] == name
    assert gzip.decompress(found.path.read_bytes()).isascii()


@pytest.mark.parametrize(
    ("sent", "written"),
    [
        (r"cut \ud83d", "cut \N{REPLACEMENT CHARACTER}"),
        (r"\ude00\ud83d\ud83d\ude00", "\N{REPLACEMENT CHARACTER}" * 2 + "😀"),
        (r"\\ud83d \ud83d\\ude00", "\\ud83d \N{REPLACEMENT CHARACTER}\\ude00"),
    ],
)
def test_half_a_character_costs_no_row(work: Path, sent: str, written: str) -> None:
    row, _, _ = one(work, f'"campaignName": "{sent}", "clicks": 1')
    assert (row["campaignName"], row["clicks"]) == (written, "1")


def test_a_row_of_any_depth_is_split_or_refused(work: Path) -> None:
    for depth in (100, 400, 700, 900, 990, 5000):
        nested = '{"a": ' * depth + "1" + "}" * depth
        try:
            found = cut(work, f'[{{"date": "2026-01-01", "x": {nested}}}]')
        except (PermanentFailure, TransientFailure) as e:
            assert "nested too deeply" in str(e)
        else:
            assert found.slices[0].rows == 1


def test_a_split_that_was_killed_is_made_again_the_same(work: Path) -> None:
    body = [{"date": str(START + timedelta(days=n % 4)), "clicks": n, "campaignName": "x" * 50} for n in range(500)]
    files = [{p.name: p.read_bytes() for p in work.iterdir()} for _ in range(2) if cut(work, body)]
    (work / "ads-2026-01-01.json.gz").write_bytes(b"half of a slice")
    (work / "left.json.gz").write_bytes(b"of another split")
    cut(work, body)
    assert files[0] == files[1] == {p.name: p.read_bytes() for p in work.iterdir()}
    assert all(content[4:8] == bytes(4) for content in files[0].values()), "gzip headers tell no time"


def test_long_ranges_and_many_rows_need_few_files_and_little_memory(work: Path) -> None:
    count, span, name = 4_000, 731, "x" * 10_000
    body = "".join(
        f'{"," if n else "["}{{"date":"{START + timedelta(days=n * 7 % span)}","n":{n},"campaignName":"{name}"}}'
        for n in range(count)
    )
    document = work.with_suffix(".document")
    document.write_bytes(igzip.compress(f"{body}]".encode()))
    del body
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(int(fd.name) for fd in Path("/dev/fd").iterdir()) + 20, limits[1]))
    tracemalloc.start()
    try:
        found = split(
            document,
            [ADS],
            "json",
            start=START,
            end=START + timedelta(days=span - 1),
            stamp=stamped,
            charset="",
            country="DE",
            origin="it",
            work=work,
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert peak < 30 << 20
    assert (found.rows, len(found.slices), found.outside_rows) == (count, span, 0)
    expected = sorted(n for n in range(count) if n * 7 % span == 5)
    assert sorted(int(r["n"]) for r in lines(found.slices[5].path)) == expected
    with duckdb.connect() as con:
        counted = "select count(*) from read_json(?, format = 'nd')"
        read = con.execute(counted, [str(found.slices[5].path)]).fetchone()
    assert read == (len(expected),), "gzip of several members"


@pytest.mark.parametrize("end", [0, 1, 30, -9, -1])
def test_a_truncated_document_makes_no_split(work: Path, end: int) -> None:
    whole = gzip.compress(json.dumps([{"date": "2026-01-01", "n": n} for n in range(50)]).encode())
    with pytest.raises(TransientFailure):
        cut(work, whole[:end])
