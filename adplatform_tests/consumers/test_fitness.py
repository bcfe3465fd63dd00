"""What services cannot take of a table, by its contract alone."""

from typing import Any

import pytest
from pydantic import ValidationError

from adplatform.contracts.consumers import ConsumerName
from adplatform_tests.consumers.tables import MEMBERS, feed, found, table_of

AGGREGATION = {
    "kind": "aggregation",
    "join": "email_amazon_ads",
    "dimensions": "country",
    "aggregates": {"sum": "orders", "count_distinct": "email_amazon_ads"},
    "minimum": {"email_amazon_ads": 100},
}
MATCHING = {
    "unique_id": "member_id_short_id",
    "columns": {"email_lake": "EMAIL_ADDRESS", "country": "STRING"},
    "rules": [{"name": "by_email", "match": "email_lake"}],
}
FIT: dict[ConsumerName, Any] = {
    "athena": {
        "scan_limit": "100GB",
        "views": {"everyone": "select country from members"},
        "unloads": {"n": "select count(*) from {table}"},
    },
    "redshift": {"grants": ["role:analysts"]},
    "clean_rooms": {"rule": AGGREGATION},
    "entity_resolution": MATCHING,
    "sagemaker": {"record_id": "member_id_short_id", "event_time": "joined_at"},
    "quicksight": {"refresh": "daily"},
}


@pytest.mark.parametrize("service", FIT)
def test_a_table_that_fits_is_found_to(service: ConsumerName) -> None:
    assert found(service, FIT[service], partition_by=None) == []


def test_where_no_columns_are_named_a_service_gets_those_that_show_nobody() -> None:
    hashed = ["member_id_lake", "member_id_short_id", "email_lake", "email_amazon_ads"]
    table = table_of(feed([]))
    assert [column.name for column in table.presentable] == [
        *hashed,
        "both_lake",
        "country",
        "orders",
        "joined_at",
        "dt",
    ]


BARE = ("phone", "email_masked", "city_google")


@pytest.mark.parametrize("column", BARE)
@pytest.mark.parametrize(
    ("service", "setting", "settings"),
    [
        ("clean_rooms", "columns", lambda name: {"columns": [name, "country"]}),
        ("clean_rooms", "rule.join", lambda name: {"rule": {**AGGREGATION, "join": name}}),
        ("clean_rooms", "rule.dimensions", lambda name: {"rule": {**AGGREGATION, "dimensions": name}}),
        ("clean_rooms", "rule.aggregates.count", lambda name: {"rule": {**AGGREGATION, "aggregates": {"count": name}}}),
        ("clean_rooms", "rule.minimum", lambda name: {"rule": {**AGGREGATION, "minimum": {name: 9}}}),
        (
            "clean_rooms",
            "rule.outputs",
            lambda name: {"rule": {"kind": "list", "join": "email_amazon_ads", "outputs": name}},
        ),
        ("entity_resolution", "unique_id", lambda name: {**MATCHING, "unique_id": name}),
        (
            "entity_resolution",
            "columns",
            lambda name: {**MATCHING, "columns": {name: "STRING", "email_lake": "STRING"}},
        ),
        ("sagemaker", "features", lambda name: {**FIT["sagemaker"], "features": name}),
        ("sagemaker", "record_id", lambda name: {**FIT["sagemaker"], "record_id": name}),
        ("quicksight", "columns", lambda name: {"columns": [name]}),
    ],
)
def test_a_personal_column_that_is_not_hashed_is_never_handed_over(
    service: ConsumerName, setting: str, settings: Any, column: str
) -> None:
    refused = [each for each in found(service, settings(column)) if f" {column}: it is personal (" in each]
    assert refused
    assert all(each.startswith(f"error {setting} ") and "give " in each for each in refused)


@pytest.mark.parametrize(
    ("service", "settings", "said"),
    [
        (
            "quicksight",
            {"columns": "email"},
            "error columns email: it is personal and stored as email_lake, email_amazon",
        ),
        (
            "quicksight",
            {"columns": "countri"},
            "error columns countri: the table has no such column (did you mean country?)",
        ),
        (
            "clean_rooms",
            {"rule": {key: value for key, value in AGGREGATION.items() if key != "minimum"}},
            "error rule.minimum : without a minimum single rows can be put out: say how many a group must have, as {me",
        ),
        (
            "clean_rooms",
            {"rule": {**AGGREGATION, "dimensions": "email_amazon_ads"}},
            "error rule.dimensions email_amazon_ads: it is personal (email), if hashed, and as a dimension would let",
        ),
        (
            "clean_rooms",
            {"rule": {"kind": "list", "join": "email_amazon_ads", "outputs": ["email_lake"]}},
            "error rule.outputs email_lake: it is personal (email), if hashed, and a list puts it out row by row",
        ),
        (
            "clean_rooms",
            {"rule": {"kind": "list", "join": "email_amazon_ads", "outputs": "country"}},
            "warning rule.outputs : a list puts out single rows",
        ),
        (
            "clean_rooms",
            {"columns": ["orders"], "rule": AGGREGATION},
            "error rule.join email_amazon_ads: it is not among the allowed columns",
        ),
        (
            "clean_rooms",
            {"rule": {**AGGREGATION, "aggregates": {"avg": "country"}}},
            "error rule.aggregates.avg country: avg is of numbers, and it is string; take count",
        ),
        (
            "clean_rooms",
            {"rule": {**AGGREGATION, "join": "email_lake"}},
            "warning rule.join email_lake: it is a digest under a key of your own, which no other company's table has",
        ),
        (
            "clean_rooms",
            {"rule": {**AGGREGATION, "minimum": {"country": 2}}},
            "warning rule.minimum : no minimum counts persons",
        ),
        (
            "clean_rooms",
            {"rule": {"kind": "custom", "analyses": "ANY_QUERY", "hidden": ["email_lake"]}},
            "error rule.analyses : ANY_QUERY is no analysis template: a query that others write as they like can",
        ),
        ("clean_rooms", {}, "warning rule : there is no rule, so nobody can query the table"),
        (
            "entity_resolution",
            {**MATCHING, "unique_id": "member_id_lake"},
            "error unique_id member_id_lake: a digest has 64 characters, and a unique id 38 at most: name member_id_s",
        ),
        (
            "entity_resolution",
            {**MATCHING, "unique_id": "both_lake"},
            "error unique_id both_lake: a digest has 64 characters, and a unique id 38 at most: give both the "
            "treatment short_id, too, and name both_short_id",
        ),
        (
            "entity_resolution",
            {**MATCHING, "columns": {"country": "ADDRESS_STREET1"}, "rules": [{"name": "r", "match": "country"}]},
            "error columns country: as ADDRESS_STREET1 it is personal, and the contract does not say so: declare its",
        ),
        (
            "entity_resolution",
            {**MATCHING, "rules": [{"name": "r", "match": "email"}]},
            "error rules : rule r matches by email, which no column has as its match key; there are country, email_",
        ),
        (
            "entity_resolution",
            {
                **MATCHING,
                "columns": {
                    "email_lake": {"type": "STRING", "group": "who", "match_key": "a"},
                    "country": {"type": "STRING", "group": "who"},
                },
                "rules": [{"name": "r", "match": "a"}],
            },
            "error columns : the columns of group who have different match keys, a, who",
        ),
        (
            "entity_resolution",
            MATCHING,
            "warning unique_id member_id_short_id: each row of a delivery has another value",
        ),
        (
            "entity_resolution",
            {**MATCHING, "unique_id": "country", "columns": {"email_lake": "EMAIL_ADDRESS"}},
            "warning unique_id country: nothing says that each row has another value: make it the key",
        ),
        (
            "sagemaker",
            {**FIT["sagemaker"], "features": ["_pii_key_id"]},
            "error features _pii_key_id: its name is not one of a feature, which has 64 characters at most and begins "
            "and ends with a letter or digit; leave it out",
        ),
        (
            "sagemaker",
            {**FIT["sagemaker"], "event_time": "country"},
            "error event_time country: the event time is an instant, and it is string",
        ),
        ("athena", {"views": {"x": "select 1; select 2"}}, "error views.x : view x is not one SELECT"),
        ("athena", {"views": {"x": "selec 1 from"}}, "error views.x : view x is n"),
        ("athena", {"views": {"x": f"select '{'é' * 131_072}'"}}, "error views.x : view x has more than 262,144 bytes"),
        ("athena", {"unloads": {"x": "drop table {table}"}}, "error unloads.x : query x is not one SELECT"),
        (
            "athena",
            {"unloads": {"x": "select upper(t.PHONE) from {table} t where dt = '{date}'"}},
            "error unloads.x : query x reads phone, which is personal and not hashed",
        ),
        ("athena", {"unloads": {"x": "select * from {table}"}}, "error unloads.x : query x has *, and city_google, "),
    ],
)
def test_what_a_service_cannot_take_is_said_with_setting_column_and_what_to_do(
    service: ConsumerName, settings: Any, said: str
) -> None:
    findings = found(service, settings)
    assert any(each.startswith(said) for each in findings), findings


LONG = "c" + "x" * 126


@pytest.mark.parametrize(
    ("service", "settings", "column", "said"),
    [
        ("clean_rooms", {}, LONG, "its name is not one of Clean Rooms"),
        ("quicksight", {}, LONG, "its name is longer than 127 characters"),
        ("redshift", {}, LONG, "its name is longer than 127 characters"),
        ("sagemaker", FIT["sagemaker"], "trailing_", "its name is not one of a feature"),
        ("sagemaker", FIT["sagemaker"], "_leading", "its name is not one of a feature"),
        ("sagemaker", FIT["sagemaker"], "write_time", "its name is one that Feature Store adds itself"),
        ("athena", {}, "_leading", "its name begins with _"),
        (
            "entity_resolution",
            {**MATCHING, "columns": {"source": "STRING"}, "rules": [{"name": "r", "match": "source"}]},
            "source",
            "its name is one of the results'",
        ),
    ],
)
def test_names_that_a_service_refuses_are_said(service: ConsumerName, settings: Any, column: str, said: str) -> None:
    stored_longer = {"pii": {"kind": "email", "treatment": "amazon_ads"}} if column == LONG else "string"
    findings = found(service, settings, {**MEMBERS, column: stored_longer})
    assert [each for each in findings if f" {column}" in each and said in each], findings


@pytest.mark.parametrize(
    ("service", "settings", "said"),
    [
        ("clean_rooms", {}, "a configured table has 100 columns at most, and these are 1"),
        (
            "entity_resolution",
            {
                "unique_id": "member_id_short_id",
                "columns": {f"c{number}": "STRING" for number in range(60)},
                "rules": [{"name": "r", "match": "c1"}],
            },
            "a mapping has 2 to 60 columns with the unique id, and this has 61",
        ),
        ("sagemaker", FIT["sagemaker"], "a feature group has 2,500 features at most, and these are 2,5"),
        ("quicksight", {}, "a data set has 2,048 columns at most, and these are 2,"),
    ],
)
def test_more_columns_than_a_service_takes_are_counted(service: ConsumerName, settings: Any, said: str) -> None:
    count = {"clean_rooms": 100, "entity_resolution": 60, "sagemaker": 2500, "quicksight": 2048}[service]
    columns = {**MEMBERS, **{f"c{number}": "string" for number in range(count)}}
    assert any(said in each for each in found(service, settings, columns))


def test_entity_resolution_reads_no_iceberg_and_processing_jobs_read_it_by_athena() -> None:
    [refused, *_] = found("entity_resolution", MATCHING, table_format="iceberg")
    assert refused.startswith("error  : it reads plain Parquet, and the table is Iceberg")
    [warned] = found("sagemaker", {}, table_format="iceberg")
    assert warned.startswith(
        "warning  : a processing job that reads the files of an Iceberg table reads those of earlier"
    )


@pytest.mark.parametrize(
    ("consumers", "sentence"),
    [
        (["athena", "athena"], "athena is listed twice"),
        (["snowflake"], "Extra inputs are not permitted"),
        (["entity_resolution"], "Field required"),
        ({"sagemaker": {"record_id": "a"}}, "a feature group has record_id and event_time; give both"),
        ({"sagemaker": {"features": "a"}}, "a feature group has record_id and event_time; give both"),
        ({"athena": {"scan_limit": "9MB"}}, "greater than or equal to 10000000"),
        ({"redshift": {"grants": ["everyone"]}}, "should match pattern"),
        ({"clean_rooms": {"rule": {"kind": "any"}}}, "kind must be one of aggregation, list, custom"),
        ({"clean_rooms": {"rule": {**AGGREGATION, "minimum": {"a": 1}}}}, "greater than or equal to 2"),
    ],
)
def test_settings_that_no_service_takes_are_refused(consumers: Any, sentence: str) -> None:
    with pytest.raises(ValidationError) as refused:
        feed(consumers)
    assert sentence in str(refused.value)


PURCHASES: dict[str, Any] = {
    "purchase_id": {"type": "bigint", "required": True},
    "line": {"type": "int", "required": True},
    "country": "string",
}


@pytest.mark.parametrize("setting", ["dimensions", "outputs"])
def test_columns_that_have_the_whole_key_are_shown_by_no_rule(setting: str) -> None:
    rules = {"dimensions": {**AGGREGATION, "aggregates": {"count": "line"}}, "outputs": {"kind": "list"}}

    def said(*names: str, key: Any) -> list[str]:
        rule = {**rules[setting], "join": "country", "minimum": {"country": 2}, setting: names}
        if setting == "outputs":
            del rule["minimum"]
        every = found("clean_rooms", {"rule": rule}, PURCHASES, key=key)
        return [each for each in every if f" rule.{setting} " in each]

    assert [each for each in said("line", "country", key=["purchase_id", "line"]) if each.startswith("error")] == []
    whole, *_ = said("line", "purchase_id", key=["purchase_id", "line"])
    assert whole.startswith(f"error rule.{setting} : these have the whole key, which tells rows apart")
    alone, *_ = said("purchase_id", key="purchase_id")
    assert alone.startswith(f"error rule.{setting} purchase_id: it has another value in each row, and")
