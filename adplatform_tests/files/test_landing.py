from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adplatform.contracts.feed import Feed
from adplatform.failures import PermanentFailure
from adplatform.files.landing import Layout, Part, layout_of
from adplatform.flow.source import make_source

NOW = datetime(2026, 3, 14, 23, 30, tzinfo=UTC)
DAY = date(2026, 3, 14)


def feed(landing: str = "{feed}/dt={date}/{file}", name: str = "orders", **arrival: Any) -> Feed:
    return Feed.model_validate(
        {"name": name, "start_date": "2026-01-01", "columns": {"id": None}, "landing": landing, "arrival": arrival}
    )


def layout(landing: str = "{feed}/dt={date}/{file}", **arrival: Any) -> Layout:
    return layout_of("landing/acme/", feed(landing, **arrival))


@pytest.mark.parametrize(
    ("landing", "key", "file"),
    [
        ("{feed}/dt={date}/{file}", "orders/dt=2026-03-14/a.csv", "a.csv"),
        ("{feed}/dt={date}/{file}", "orders/dt=2026-03-14/eu/a.csv", "eu/a.csv"),
        ("{feed}/{date:%Y%m%d}/{file}", "orders/20260314/a.csv", "a.csv"),
        ("{date:%Y/%m/%d}/{feed}/{file}", "2026/03/14/orders/a.csv", "a.csv"),
        ("{feed}_{date:%d.%m.%y}.csv", "orders_14.03.26.csv", "orders_14.03.26.csv"),
        ("{feed}/{date:%Y-%j}/{file}", "orders/2026-073/a.csv", "a.csv"),
        ("*/{feed}/{date}_{file}", "run-7/orders/2026-03-14_a.csv", "a.csv"),
        ("{file}.{date}", "orders.csv.2026-03-14", "orders.csv"),
        ("{feed}/dt={date}/{file}", "orders/dt=2026-03-14/a+b c%20é\n.csv", "a+b c%20é\n.csv"),
    ],
)
def test_a_template_finds_date_and_file(landing: str, key: str, file: str) -> None:
    place = layout(landing).place("landing/acme/" + key, NOW)
    assert place is not None
    assert (place.day, place.part, place.file) == (DAY, Part.DATA, file)


def test_without_a_date_in_the_template_the_object_has_the_date_it_was_written() -> None:
    place = layout("{feed}/{file}").place("landing/acme/orders/a.csv", NOW)
    assert place is not None
    assert place.day == DAY


@pytest.mark.parametrize(
    "key",
    [
        "landing/acme/orders/dt=2026-02-30/a.csv",
        "landing/acme/orders/dt=2026-3-14/a.csv",
        "landing/acme/orders/dt=٢٠٢٦-٠٣-١٤/a.csv",
        "landing/acme/orders2/dt=2026-03-14/a.csv",
        "landing/acme2/orders/dt=2026-03-14/a.csv",
        "landing/acme/orders/a.csv",
        "LANDING/acme/orders/dt=2026-03-14/a.csv",
    ],
)
def test_impossible_dates_and_other_keys_are_not_the_feeds(key: str) -> None:
    assert layout().place(key, NOW) is None


def test_a_dot_in_a_template_is_a_dot() -> None:
    assert layout("{feed}.v1/{date}/{file}").place("landing/acme/ordersXv1/2026-03-14/a.csv", NOW) is None


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("", "a folder, not a file"),
        ("eu/", "a folder, not a file"),
        ("a.csv.tmp", "'a.csv.tmp' is the name of an unfinished file"),
        ("a.csv.PART", "'a.csv.PART' is the name of an unfinished file"),
        ("eu_$folder$", "'eu_$folder$' is the name of an unfinished file"),
        (".DS_Store", "'.DS_Store' is the name of a hidden file or folder"),
        ("~lock.csv", "'~lock.csv' is the name of a hidden file or folder"),
        ("_SUCCESS", "'_SUCCESS' is the name of a hidden file or folder"),
        ("_temporary/0/part-0000.csv", "'_temporary' is the name of a hidden file or folder"),
    ],
)
def test_noise_is_told_from_data_and_says_why(file: str, reason: str) -> None:
    place = layout().place(f"landing/acme/orders/dt=2026-03-14/{file}", NOW)
    assert place is not None
    assert (place.part, place.reason) == (Part.NOISE, reason)


@pytest.mark.parametrize(
    ("landing", "name", "part"),
    [
        ("inbound/creatives{file}", "inbound/creatives_20261127.csv", Part.DATA),
        ("inbound/creatives{file}", "inbound/creatives.csv", Part.DATA),
        ("inbound/creatives{file}", "inbound/creatives/.hidden", Part.NOISE),
        ("inbound/creatives{file}", "inbound/creatives_a.csv.tmp", Part.NOISE),
        ("{date}{file}", "2026-03-14_orders.csv", Part.DATA),
        ("_exports/{file}.csv", "_exports/a.tmp.csv", Part.DATA),
        ("in/{file}_{date}.csv", "in/_a_2026-03-14.csv", Part.NOISE),
    ],
)
def test_the_name_of_the_object_says_whether_it_is_hidden(landing: str, name: str, part: Part) -> None:
    place = layout(landing).place(f"landing/acme/{name}", NOW)
    assert place is not None
    assert place.part is part


@pytest.mark.parametrize(
    ("arrival", "file", "part"),
    [
        ({"complete_when": "done_file"}, "_SUCCESS", Part.MARKER),
        ({"complete_when": "done_file"}, "eu/_SUCCESS", Part.MARKER),
        ({"complete_when": "done_file", "done_file": "*.done"}, "a.csv.done", Part.MARKER),
        ({"complete_when": "done_file", "done_file": "*.done"}, "a.csv", Part.DATA),
        ({"complete_when": "manifest"}, "manifest.json", Part.MARKER),
        ({"complete_when": "manifest"}, "Manifest.json", Part.DATA),
        ({"complete_when": "quiet"}, "manifest.json", Part.DATA),
        ({"complete_when": "count", "expected_files": 1}, "_SUCCESS", Part.NOISE),
    ],
)
def test_only_the_arrival_rule_makes_a_marker(arrival: dict[str, Any], file: str, part: Part) -> None:
    place = layout(**arrival).place(f"landing/acme/orders/dt=2026-03-14/{file}", NOW)
    assert place is not None
    assert place.part is part


@pytest.mark.parametrize(
    ("landing", "sentence"),
    [
        ("{feed}/{day}/{file}", "may hold {feed}, {date}"),
        ("{feeds}/{date}/{file}", "may hold {feed}, {date}"),
        ("{feed}/{date}/{date}/{file}", "may hold {feed}, {date}"),
        ("{feed}/{date}/{file}/{file}", "may hold {feed}, {date}"),
        ("{feed}/{date}/{file", "may hold {feed}, {date}"),
        ("{feed}/date}/{file}", "may hold {feed}, {date}"),
        ("{feed}/{file:%Y}", "may hold {feed}, {date}"),
        ("{feed}/{date:%Y-%m}/{file}", "landing date '%Y-%m' lacks %d"),
        ("{feed}/{date:%H}/{file}", "landing date '%H' holds %H; it may hold %Y, %m, %d, %y, %j, each once"),
        ("{feed}/{date:%Y%m%d%}/{file}", "holds %; it may hold"),
        ("{feed}/{date:%Y%m%d-%Y}/{file}", "holds %Y; it may hold"),
        ("{feed}/{date:%d-%b-%Y}/{file}", "holds %b; it may hold"),
    ],
)
def test_a_template_that_could_never_match_is_refused(landing: str, sentence: str) -> None:
    with pytest.raises(PermanentFailure) as refused:
        layout(landing)
    assert str(refused.value).startswith("feed orders: landing ")
    assert sentence in str(refused.value)


def test_two_feeds_of_one_template_are_refused() -> None:
    with pytest.raises(PermanentFailure, match="feeds a and b have the same landing"):
        make_source("acme", "raw", [feed("{date}/{file}", name="a"), feed("{date}/{file}", name="b")])


@pytest.mark.parametrize(
    ("landing", "prefix", "day_prefix"),
    [
        ("{feed}/dt={date}/{file}", "landing/acme/orders/dt=", "landing/acme/orders/dt=2026-03-14/"),
        ("{feed}/{file}_{date}.csv", "landing/acme/orders/", "landing/acme/orders/"),
        ("*/{date:%Y%m%d}/{file}", "landing/acme/", "landing/acme/"),
        ("{feed}/{file}", "landing/acme/orders/", "landing/acme/orders/"),
    ],
)
def test_listings_begin_where_the_template_is_fixed(landing: str, prefix: str, day_prefix: str) -> None:
    assert layout(landing).prefix == prefix
    assert layout(landing).day_prefix(DAY) == day_prefix


def test_a_key_that_the_template_does_not_decide_is_refused() -> None:
    assert layout("{date}.csv").key(DAY, "a.csv") == "landing/acme/2026-03-14.csv"
    with pytest.raises(PermanentFailure, match=r"does not say where 'a.csv' goes; upload it with an S3 client"):
        layout("*/{date}/{file}").key(DAY, "a.csv")


@given(
    file=st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda name: not name.endswith("/")),
    days=st.integers(0, 3000),
    landing=st.sampled_from(["{feed}/dt={date}/{file}", "{date:%d.%m.%y}/{file}", "{file}/{date:%Y%j}"]),
)
def test_what_is_pushed_is_found_again_and_listed(file: str, days: int, landing: str) -> None:
    day, expected = DAY + timedelta(days=days), layout(landing)
    key = expected.key(day, file)
    place = expected.place(key, NOW)
    assert place is not None
    assert (place.day, place.file) == (day, file)
    assert key.startswith(expected.day_prefix(day))
    assert key.startswith(expected.prefix)


LOADS: dict[str, Any] = {"complete_when": "load_marker", "load_marker": "shop/_dlt_loads/*__{load}.jsonl"}
LATE = "1773532799.9999998"  # 2026-03-14 23:59:59 UTC


@pytest.mark.parametrize(
    ("key", "part", "file"),
    [
        (f"shop/orders/{LATE}.cb74809c06.parquet", Part.DATA, "cb74809c06.parquet"),
        (f"shop/orders/{LATE}.0123456789.jsonl.gz", Part.DATA, "0123456789.jsonl.gz"),
        (f"shop/_dlt_loads/crm__{LATE}.jsonl", Part.MARKER, f"crm__{LATE}.jsonl"),
    ],
)
def test_a_file_and_the_marker_of_a_load_belong_to_the_day_on_which_that_began(key: str, part: Part, file: str) -> None:
    compiled = layout("shop/{feed}/{load}.{file}", **LOADS)
    place = compiled.place("landing/acme/" + key, NOW + timedelta(days=1))
    assert place is not None
    assert (place.day, place.part, place.file) == (DAY, part, file)
    assert compiled.is_marker("landing/acme/" + key) == (part is Part.MARKER)
    assert {compiled.load_of("landing/acme/" + key), compiled.marked_load("landing/acme/" + key)} == {"", LATE}


@pytest.mark.parametrize(
    "key",
    [
        f"shop/orders__items/{LATE}.a.parquet",
        f"crm/_dlt_loads/crm__{LATE}.jsonl",
        "shop/orders/2026-03-14.a.parquet",
        f"shop/_dlt_pipeline_state/crm__{LATE}__4ac9.jsonl",
        "shop/init",
    ],
)
def test_other_keys_of_a_loader_are_no_file_of_a_feed(key: str) -> None:
    assert layout("shop/{feed}/{load}.{file}", **LOADS).place("landing/acme/" + key, NOW) is None


def test_the_default_names_of_airbyte_have_a_date() -> None:
    place = layout("*/{feed}/{date:%Y_%m_%d}_{file}").place(
        "landing/acme/public/orders/2026_03_14_17734_0.parquet", NOW
    )
    assert place is not None
    assert (place.day, place.part, place.file) == (DAY, Part.DATA, "17734_0.parquet")


@pytest.mark.parametrize(
    ("landing", "arrival", "why"),
    [
        ("{feed}/{load}/{date}/{file}", {}, "date, load and file once"),
        ("{feed}/{load}/{file}", {**LOADS, "load_marker": "{load}/{file}"}, "may hold {load} and"),
    ],
)
def test_a_template_of_loads_that_is_none_says_so(landing: str, arrival: dict[str, Any], why: str) -> None:
    with pytest.raises(PermanentFailure, match=why):
        layout(landing, **arrival)


def test_a_marker_of_loads_needs_loads_in_the_names_of_files() -> None:
    with pytest.raises(ValueError, match=r"needs \{load\} in landing"):
        feed(**LOADS)
    with pytest.raises(ValueError, match=r"template with \{load\} once"):
        feed("{load}.{file}", complete_when="load_marker", load_marker="done")
