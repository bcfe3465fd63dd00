"""DuckDB's own functions, the Python rules behind them and Spark must give the same digests for every text."""

import hashlib
from base64 import b64encode
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adplatform.contracts.pii import PiiKind, Treatment
from adplatform.privacy.duckdb import register
from adplatform.privacy.keys import HashKey
from adplatform.privacy.rules import RULES, function_name, normalised
from adplatform.privacy.spark import register as register_spark
from adplatform_tests.privacy import reference
from adplatform_tests.privacy.conftest import SECRET
from adplatform_tests.support.examples import examples

AWKWARD = "aAzZ09 .@+-_#'\t\n\u00a0\u200b\u3000éÉe\u0301İıßſKÅ＋１٣정😀\"\\;%,"
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30),
    st.text(AWKWARD, max_size=30),
)
EMAILS = st.one_of(
    TEXTS,
    st.builds("{}{}@{}{}".format, *[st.text(AWKWARD, max_size=6)] * 4),
    st.builds("{}@{}".format, *[st.text("aZ9.+-_éÉİKß\u0301ａ", min_size=1, max_size=6)] * 2),
    st.from_regex(r"[A-Za-z0-9._+-]{1,12}@(X\.de|gmail\.com)", fullmatch=True),
)  # fmt: skip
PHONES = st.one_of(
    TEXTS,
    st.text("0123456789+-. ()/x", max_size=18),
    st.from_regex(r"(\+?1[ .-]?)?\(?[0-9]{3}\)?[ .-]?[0-9]{3}[ .-]?[0-9]{4}", fullmatch=True),
    st.from_regex(r"(\+|00)[1-9][0-9]{6,14}", fullmatch=True),
)
DIGESTS = st.from_regex(r"[ \n\u00a0]?[0-9a-fA-F]{63,65}[ \n]?", fullmatch=True)
COUNTRIES = st.sampled_from(["", "US", "CA", "GB", "DE", "IT", "us", " De ", "XX", "United States", "?"])
QUICK = settings(
    max_examples=examples(10),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def outputs(con: duckdb.DuckDBPyConnection, call: str, values: list[str], country: str = "") -> list[str | None]:
    rows = "(SELECT unnest(?::VARCHAR[]) AS v, ?::VARCHAR AS c)"
    return [output for (output,) in con.execute(f"SELECT {call} FROM {rows}", [values, country]).fetchall()]


@given(values=st.lists(EMAILS | DIGESTS, min_size=1, max_size=40))
@QUICK
def test_emails_in_duckdb_are_as_the_reference_has_them(con: duckdb.DuckDBPyConnection, values: list[str]) -> None:
    assert outputs(con, "adp_lake_email(v)", values) == [
        reference.keyed(SECRET, reference.lake_plain("email", value)) for value in values
    ]
    assert outputs(con, "adp_amazon_ads_email(v)", values) == [
        reference.unkeyed(reference.amazon_email(value)) for value in values
    ]


@given(values=st.lists(PHONES | DIGESTS, min_size=1, max_size=40), country=COUNTRIES)
@QUICK
def test_phones_in_duckdb_are_as_the_reference_has_them(
    con: duckdb.DuckDBPyConnection, values: list[str], country: str
) -> None:
    region = {"us": "US", " De ": "DE", "United States": "US", "?": ""}.get(country, country)
    plain = [reference.lake_plain("phone", value, region) for value in values]
    assert outputs(con, "adp_lake_phone(v, c)", values, country) == [reference.keyed(SECRET, text) for text in plain]
    assert outputs(con, "adp_meta_phone(v, c)", values, country) == [
        reference.unkeyed(text.lstrip("+") if text else None) for text in plain
    ]


@given(values=st.lists(TEXTS | DIGESTS, min_size=1, max_size=40))
@QUICK
def test_generic_ids_in_duckdb_are_as_the_reference_has_them(con: duckdb.DuckDBPyConnection, values: list[str]) -> None:
    assert outputs(con, "adp_lake_generic_id(v)", values) == [
        reference.keyed(SECRET, reference.lake_plain("generic_id", value)) for value in values
    ]


VALUES = [
    "John.Doe+tag@GMail.com", " a@b.de ", "\u00a0ä@b.de\u200b", "É@b.de", "İ@b.de", "K@b.de", "a@x;b@y", "x@", "@",
    "+@x.de", "+1 (650) 555-1212", "650-555-1212", "1 650 555 1212", "+44 20 7946 0958", "0044 20 7946 0958", "555-12",
    "１２３", "Müller-Straße", "O’Neil", "Jose\u0301", "José", "정", "Mary  Ann", "8 Bluestem Terrace", "Hauptstraße 5",
    "123 Main Street, Apt #4B", "Texas", "VIRGINIA", "ny", "Québec", "Köln", "02139-4307", "SW1A 1AA", "K1A 0B1",
    "j9t", "787-0150", "us", "United Kingdom", "Germany", "AEBE52E7-03EE-455A-B3C4-E57283966239", "Id 7",
    "00000000-0000-0000-0000-000000000000", "", " ", "\u00a0", "\u200b\ufeff", "\t\n",
    "ab" * 32, "AB" * 32 + "\n", " " + "aB" * 32, "ab" * 31 + "zz", None,
]  # fmt: skip


@pytest.mark.parametrize("country", ["", "US", "GB", "DE", "ZZ"])
def test_spark_and_duckdb_agree_for_every_function(spark: Any, con: duckdb.DuckDBPyConnection, country: str) -> None:
    calls = {
        function_name(treatment, kind): f"{function_name(treatment, kind)}(v{', c' if rule.takes_country else ''})"
        for (treatment, kind), rule in RULES.items()
    } | {"adp_is_digest": "adp_is_digest(v)"}
    query = ", ".join(f"{call} AS {name}" for name, call in calls.items())
    rows = [(n, value, country) for n, value in enumerate(VALUES)]
    con.execute("CREATE TEMP TABLE raw (n BIGINT, v VARCHAR, c VARCHAR)")
    con.executemany("INSERT INTO raw VALUES (?, ?, ?)", [list(row) for row in rows])
    spark.createDataFrame(rows, "n bigint, v string, c string").createOrReplaceTempView("raw")

    here = con.execute(f"SELECT n, {query} FROM raw ORDER BY n").fetchall()
    there = [tuple(row) for row in spark.sql(f"SELECT n, {query} FROM raw ORDER BY n").collect()]

    assert there == here


def test_plain_values_of_every_kind_take_the_same_form_as_by_the_python_rules(con: duckdb.DuckDBPyConnection) -> None:
    """The plain path must not be a rule of its own: a zero-width blank at the end sends the same value the long way."""
    for (treatment, kind), rule in RULES.items():
        call = f"{function_name(treatment, kind)}(v{', c' if rule.takes_country else ''})"
        values = [value for value in VALUES if value]
        assert outputs(con, call, values, "US") == outputs(con, call, [v + "\u200b" for v in values], "US"), call


@pytest.mark.parametrize(
    ("function", "value", "plain"),
    [
        ("email", " User@Example.com ", "user@example.com"),
        ("email", "Jane.Doe+Home@Gmail.com", "janedoe@gmail.com"),
        ("email", "Jane.Doe+Home@example.com", "jane.doe+home@example.com"),
        ("email", "user@googlemail.com", "user@googlemail.com"),
        ("email", "+home@gmail.com", None),
        ("email", "a b@example.com", None),
        ("phone", "(212) 555-0123", "+12125550123"),
        ("phone", "+49 170 1234567", "+491701234567"),
        ("phone", "12", None),
    ],
)
def test_uid2_is_the_base64_of_the_bytes_of_the_digest(
    con: duckdb.DuckDBPyConnection, function: str, value: str, plain: str | None
) -> None:
    wanted = plain and b64encode(hashlib.sha256(plain.encode()).digest()).decode()
    call = f"adp_uid2_{function}(v{', c' if function == 'phone' else ''})"
    assert outputs(con, call, [value], "US") == [wanted]
    if plain:
        assert outputs(con, call, [hashlib.sha256(plain.encode()).hexdigest().upper()], "US") == [wanted]


def test_without_a_key_there_is_no_lake_function(con: duckdb.DuckDBPyConnection, key: HashKey) -> None:
    register(con, None)
    with pytest.raises(duckdb.CatalogException, match="adp_lake_email"):
        con.execute("SELECT adp_lake_email('a@b.de')")
    assert con.execute("SELECT adp_hmac('a@b.de')").fetchall() == [(None,)]


def test_registering_again_takes_the_new_key(con: duckdb.DuckDBPyConnection) -> None:
    (old,) = outputs(con, "adp_lake_email(v)", ["a@b.de"])
    register(con, HashKey("next", SECRET[::-1]))
    assert outputs(con, "adp_lake_email(v)", ["a@b.de"]) == [reference.keyed(SECRET[::-1], "a@b.de")] != [old]


@pytest.mark.parametrize("country", ["US", "DE"])
def test_a_previous_key_gives_its_own_digests_beside_the_current_ones(
    con: duckdb.DuckDBPyConnection, spark: Any, key: HashKey, country: str
) -> None:
    previous = HashKey("before", SECRET[::-1])
    register(con, key, previous)
    texts = ["a@b.de", "Ä@b.de", "+1 (202) 555-0143", "030 1234567", "no number", ""]
    for kind, arguments in (("email", "v"), ("phone", f"v, '{country}'"), ("city", "v")):
        plain = [normalised(Treatment.LAKE, PiiKind(kind), text, country) for text in texts]
        wanted = [None if text is None else previous.hmac(text) for text in plain]
        assert outputs(con, f"adp_lake_previous_{kind}({arguments})", texts) == wanted
    register_spark(spark, key, previous=previous)
    [(now, before)] = spark.sql("SELECT adp_lake_email('A@b.de'), adp_lake_previous_email('A@b.de')").collect()
    assert (now, before) == (key.hmac("a@b.de"), previous.hmac("a@b.de"))
    register(con, key)
    with pytest.raises(duckdb.CatalogException, match="adp_lake_previous_email"):
        con.execute("SELECT adp_lake_previous_email('a@b.de')")


@pytest.mark.parametrize("length", [32, 64, 65, 100])
def test_keys_of_any_length_give_the_standard_hmac(length: int) -> None:
    secret = bytes(range(length))
    with duckdb.connect() as con:
        register(con, HashKey("k", secret))
        assert outputs(con, "adp_lake_email(v)", ["a@b.de"]) == [reference.keyed(secret, "a@b.de")]
