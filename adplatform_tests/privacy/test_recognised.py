"""Which texts of undeclared columns are taken for e-mail addresses and phone numbers, and which are not."""

import time
from collections.abc import Callable, Sequence
from functools import partial

import duckdb
import pyarrow as pa
import pytest

from adplatform.privacy.addresses import rows_with_address
from adplatform.privacy.recognised import called, holds_email, holds_phone, is_like_phone, is_worth_a_look

EMAILS = (
    "ann@example.com",
    " Ann.Lee+news@mail.example.co.uk ",
    "mail me at a@b.de, please",
    '{"who":{"mail":"ann@example.com"}}',
    "https://shop.example/?mail=ann%40example.com&x=1",
    "j\u00fcrgen@m\u00fcller.de",
    "a@xn--mller-kva.xn--p1ai",
    "a@2x.de",
    "logo@2x.png by a@b.de",
    "a@1und1.de",
)
NO_EMAILS = (
    "***@example.com",
    "c1b8cb4e5d8a7b60c1b8cb4e5d8a7b60c1b8cb4e5d8a7b60c1b8cb4e5d8a7b60",
    "logo@2x.png",
    "https://cdn.example/img@3x.jpg https://cdn.example/b@2x.webp",
    "@handle",
    "https://video.example/@some.body",
    "lodash@4.17.21",
    "a@b",
    "5 @ 3.50 each",
    "100%40",
)


def judged(texts: Sequence[str], condition: str) -> dict[str, bool]:
    with duckdb.connect() as con:
        con.execute("create table t as select unnest(?) as v", [list(texts)])
        return dict(con.execute(f"select v, {condition} from t").fetchall())


def by_arrow(texts: Sequence[str]) -> dict[str, bool]:
    return {text: rows_with_address(pa.array([None, text])) == 1 for text in texts}


@pytest.mark.parametrize("find", [partial(judged, condition=holds_email("v")), by_arrow], ids=["DuckDB", "Arrow"])
def test_addresses_are_found_wherever_they_stand(find: Callable[[Sequence[str]], dict[str, bool]]) -> None:
    found = find((*EMAILS, *NO_EMAILS))
    assert [text for text in EMAILS if not found[text]] == []
    assert [text for text in NO_EMAILS if found[text]] == []
    assert rows_with_address(pa.array([*EMAILS, *NO_EMAILS])) == len(EMAILS)


PHONES = ("+49 170 1234567", "call +491701234567 now", '{"a":"+44 (0)20 7946 0018"}', '{"phone": "0170 1234567"}')
NO_PHONES = (
    *("+1234567890", "+1234567.89", "2026-11-29T10:00:00+01:00", "1.5E+10", "+shoes +2026", "+49", "q=a+b"),
    *('{"id": "1234567890"}', '{"mobile": 1200}', "2026-11-29 10:00:00+00:00"),
)


def test_numbers_in_international_form_are_found_wherever_they_stand() -> None:
    found = judged((*PHONES, *NO_PHONES), holds_phone("v"))
    assert [text for text in PHONES if not found[text]] == []
    assert [text for text in NO_PHONES if found[text]] == []


WRITTEN = (
    *("+491701234567", "+49 (0)170 1234567", "+49.1701234567", "0049 170 1234567", "(212) 555-0123", "+1 212 555 0123"),
    *("212-555-0123", "212.555.0123", "0170 1234567", "030/1234567", "0170-1234567", "01 23 45 67 89", "(030) 1234567"),
)
NEVER = (
    *("1234567890", "123456789012345", "00012345678", "-1234567890", "1234.5678", "+12345678.90", "1,234,567.89"),
    *("1 234 567 890", "2026-11-29", "29.11.2026", "01/02/2026", "2026-11-29 10:00:00", "20261129", "10:00:00"),
    *("028-1234567-1234567", "192.168.100.200", "02134-1234", "123-45-6789", "(1234567)", "(1,234.50)", "12.50"),
    *("550e8400-e29b-41d4-a716-446655440000", "978-0-306-40615-7", "1.1234567890", "123-456-7890"),
)


def test_values_of_phone_columns_are_told_from_ids_dates_and_amounts() -> None:
    found = judged((*WRITTEN, *NEVER), is_like_phone("v", called("contact")))
    assert [text for text in WRITTEN if not found[text]] == []
    assert [text for text in NEVER if found[text]] == []


@pytest.mark.parametrize(
    ("column", "text", "is_one"),
    [
        ("customer_id", "234-567-8901", False),
        ("account", "0123 4567890", False),
        ("phone", "234-567-8901", True),
        ("billing_phone_number", "01701234567", True),
        ("mobile_number", "491701234567", True),
        ("order_number", "491701234567", False),
        ("phone_impressions", "491701234567", False),
        ("phone", "12345678", False),
    ],
)
def test_what_a_column_is_called_decides_where_writing_does_not(column: str, text: str, is_one: bool) -> None:
    assert judged([text], is_like_phone("v", called(column))) == {text: is_one}


@pytest.mark.parametrize("column", ["note", "customer_id", "phone"])
def test_what_most_columns_have_is_not_worth_a_look(column: str) -> None:
    texts = ("12345678", "2026-11-29", "2026-11-29 10:00:00.000", "12.50", "Summer 2026", "https://a.example/b?c=1", "")
    assert not any(judged(texts, is_worth_a_look("v", called(column))).values())
    assert judged(["12345678901"], is_worth_a_look("v", called(column))) == {"12345678901": column == "phone"}


@pytest.mark.parametrize("column", ["note", "customer_id", "phone"])
def test_what_is_found_is_worth_a_look(column: str) -> None:
    kind = called(column)
    texts = (*EMAILS, *PHONES, *WRITTEN, *NO_EMAILS, *NO_PHONES, *NEVER)
    found = judged(texts, f"{holds_email('v')} or {holds_phone('v')} or {is_like_phone('v', kind)}")
    worth = judged(texts, is_worth_a_look("v", kind))
    assert [text for text in texts if found[text] and not worth[text]] == []
    assert sum(found.values()) > 20


@pytest.mark.parametrize("text", ["group of campaign ", "@handle "], ids=["no-sign", "sign"])
def test_texts_without_an_address_are_searched_fast(text: str) -> None:
    count = f"select count(*) filter ({{}}) from (select '{text}' || range as v from range(300_000))"
    with duckdb.connect(config={"threads": 1}) as con:
        began = time.process_time()
        con.execute(count.format("regexp_matches(v, '[^a-z0-9 ]')")).fetchall()
        searched = time.process_time()
        assert con.execute(count.format(holds_email("v"))).fetchall() == [(0,)]
        # Of one thread, and ten times as much when each without the sign is searched, or a pattern is too big for RE2.
        assert time.process_time() - searched < 4 * (searched - began)
