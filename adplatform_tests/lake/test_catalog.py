from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from adplatform.contracts.types import parse_type
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.lake.catalog import Catalog, Partition
from adplatform.lake.lake import Lake
from adplatform.lake.table import TableSpec
from adplatform.transform.values import OutputColumn
from adplatform_tests.lake.support import columns, contract, make_keys_dates, source_name, spec_of


def daily(types: dict[str, str]) -> TableSpec:
    return spec_of(contract(types), source=source_name())


def stored(lake: Lake, spec: TableSpec) -> dict[str, object]:
    found: dict[str, object] = lake.catalog.glue.get_table(DatabaseName=spec.database, Name=spec.name)["Table"]
    return found


def dated(lake: Lake, spec: TableSpec) -> TableSpec:
    """With a table whose keys are dates."""
    lake.catalog.ensure(spec, "s3://clean/x/")
    make_keys_dates(lake, spec)
    return spec


def test_a_table_says_what_it_is_and_where_each_column_comes_from(lake: Lake) -> None:
    email = OutputColumn("email_lake", parse_type("string"), "Keyed digest.", {"pii": "email"}, ("email",))
    spec = replace(daily({"id": "bigint"}), columns=(email,), description="People.")
    lake.catalog.ensure(spec, "s3://clean/x/")
    table = stored(lake, spec)
    assert table["TableType"] == "EXTERNAL_TABLE"
    assert table["Description"] == "People."
    assert table["PartitionKeys"] == [{"Name": "dt", "Type": "string", "Comment": "Delivery date (UTC)."}]
    assert table["Parameters"] == {
        "EXTERNAL": "TRUE",
        "classification": "parquet",
        "compressionType": "snappy",
        "adplatform.feed": spec.feed,
        "adplatform.contract": spec.contract_hash,
    }
    descriptor = table["StorageDescriptor"]
    assert isinstance(descriptor, dict)
    assert descriptor["SerdeInfo"]["SerializationLibrary"].endswith("ParquetHiveSerDe")
    assert descriptor["Columns"] == [
        {
            "Name": "email_lake",
            "Type": "string",
            "Comment": "Keyed digest.",
            "Parameters": {"pii": "email", "adplatform.sources": "email"},
        }
    ]


def test_new_columns_come_last_and_lost_ones_stay(lake: Lake) -> None:
    spec = daily({"a": "bigint", "b": "string"})
    lake.catalog.ensure(spec, "s3://clean/x/")
    table = lake.catalog.ensure(replace(spec, columns=columns({"c": "double", "b": "string"})), "s3://clean/other/")
    assert table.columns == (("a", "bigint"), ("b", "string"), ("c", "double"))
    assert table.location == "s3://clean/x/"


@pytest.mark.parametrize(
    ("before", "after"), [("int", "bigint"), ("string", "date"), ("decimal(9,2)", "decimal(12,2)")]
)
def test_a_changed_type_is_refused_and_named(lake: Lake, before: str, after: str) -> None:
    spec = daily({"a": before})
    lake.catalog.ensure(spec, "s3://clean/x/")
    changed = replace(spec, columns=columns({"a": after}))
    with pytest.raises(PermanentFailure, match="column a"):
        lake.catalog.check(changed)
    with pytest.raises(PermanentFailure, match="column a"):
        lake.catalog.ensure(changed, "s3://clean/x/")


def test_changed_partitioning_is_refused(lake: Lake) -> None:
    spec = daily({"a": "bigint"})
    lake.catalog.ensure(spec, "s3://clean/x/")
    with pytest.raises(PermanentFailure, match="partitioned differently"):
        lake.catalog.check(replace(spec, partition=None))


def test_a_string_of_an_older_contract_is_no_date(lake: Lake) -> None:
    """Its values may be anything."""
    spec = dated(lake, spec_of(contract({"a": "bigint", "day": "date"}, partition_by="day"), source=source_name()))
    day = OutputColumn("day", parse_type("string"))
    with pytest.raises(PermanentFailure, match="partitioned differently"):
        lake.catalog.check(replace(spec, partition=day))


def test_keys_become_strings_by_one_change_of_the_table(lake: Lake) -> None:
    spec = dated(lake, replace(daily({"a": "bigint"}), scope=OutputColumn("region", parse_type("string"))))
    before = stored(lake, spec)
    assert lake.catalog.make_keys_strings(spec) == ("dt",)
    after = stored(lake, spec)
    assert after["PartitionKeys"] == [
        {"Name": "dt", "Type": "string", "Comment": "Delivery date (UTC)."},
        {"Name": "region", "Type": "string"},
    ]
    changed = {"PartitionKeys", "VersionId", "UpdateTime"}
    assert {k: v for k, v in after.items() if k not in changed} == {k: v for k, v in before.items() if k not in changed}
    assert lake.catalog.make_keys_strings(spec) == ()
    assert stored(lake, spec)["VersionId"] == after["VersionId"]


def test_keys_become_strings_while_others_change_the_table(lake: Lake) -> None:
    """Their columns stay, and so do the strings."""
    spec = dated(lake, daily({"a": "bigint"}))
    wider = replace(spec, columns=columns({"a": "bigint", "b": "string"}))
    interfered = list[Any]()

    def interfere() -> None:
        if not interfered:
            interfered.append(lake.catalog.ensure(wider, "s3://clean/x/"))

    assert lake.catalog.make_keys_strings(spec, interfere) == ("dt",)
    table = lake.catalog.ensure(wider, "s3://clean/x/")
    assert [name for name, _ in table.columns] == ["a", "b"]
    assert stored(lake, spec)["PartitionKeys"] == [{"Name": "dt", "Type": "string", "Comment": "Delivery date (UTC)."}]


@pytest.mark.parametrize("declared", [{"partition_by": None}, {"partition_by": "day", "type": "int"}])
def test_tables_without_dates_as_keys_stay_as_they_are(lake: Lake, declared: dict[str, Any]) -> None:
    types = {"a": "bigint", "day": declared.pop("type", "string")}
    spec = spec_of(contract(types, **declared), source=source_name())
    lake.catalog.ensure(spec, "s3://clean/x/")
    before = stored(lake, spec)
    assert lake.catalog.make_keys_strings(spec) == ()
    assert stored(lake, spec) == before


def test_what_others_noted_on_the_table_stays(lake: Lake) -> None:
    spec = daily({"a": "bigint"})
    lake.catalog.ensure(spec, "s3://clean/x/")
    table = stored(lake, spec)
    glue_input = {k: table[k] for k in ("Name", "StorageDescriptor", "PartitionKeys", "TableType")}
    lake.catalog.glue.update_table(
        DatabaseName=spec.database, TableInput={**glue_input, "Owner": "them", "Parameters": {"theirs": "1"}}
    )
    lake.catalog.ensure(replace(spec, columns=columns({"a": "bigint", "b": "string"})), "s3://clean/x/")
    assert stored(lake, spec)["Owner"] == "them"
    table_now = lake.catalog.table(spec)
    assert table_now is not None
    assert table_now.parameters["theirs"] == "1"


def test_concurrent_evolutions_lose_no_column(lake: Lake) -> None:
    spec = daily({"a": "bigint"})
    lake.catalog.ensure(spec, "s3://clean/x/")
    wider = [replace(spec, columns=columns({"a": "bigint", f"c{i}": "string"})) for i in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda s: lake.catalog.ensure(s, "s3://clean/x/"), wider))
    table = lake.catalog.table(spec)
    assert table is not None
    assert sorted(name for name, _ in table.columns) == ["a", "c0", "c1", "c2", "c3", "c4", "c5"]


def test_concurrent_creations_end_in_one_table(lake: Lake) -> None:
    spec = daily({"a": "bigint"})
    with ThreadPoolExecutor(4) as pool:
        tables = list(pool.map(lambda _: lake.catalog.ensure(spec, "s3://clean/x/"), range(4)))
    assert len(set(map(str, tables))) == 1


def test_a_partition_is_created_moved_and_removed(lake: Lake) -> None:
    spec = daily({"a": "bigint"})
    table = lake.catalog.ensure(spec, "s3://clean/x/")
    for place in ("s3://clean/x/1/", "s3://clean/x/2/"):
        lake.catalog.put_partition(spec, table, Partition("2026-03-01", place, {"n": "1"}))
    found = lake.catalog.partition(spec, "2026-03-01")
    assert found is not None
    assert (found.location, found.parameters["n"]) == ("s3://clean/x/2/", "1")
    lake.catalog.delete_partition(spec, "2026-03-01")
    lake.catalog.delete_partition(spec, "2026-03-01")
    assert lake.catalog.partition(spec, "2026-03-01") is None


def test_a_feed_without_a_table_has_no_partitions(lake: Lake) -> None:
    assert list(Catalog(lake.catalog.glue).partitions(daily({"a": "bigint"}))) == []


def test_partitions_that_glue_is_too_busy_for_are_asked_for_after_longer_and_longer_pauses(lake: Lake) -> None:
    spec = daily({"id": "bigint"})
    table = lake.catalog.ensure(spec, "s3://clean/x/")
    lake.catalog.put_partition(spec, table, Partition("2026-03-01", "s3://clean/x/1/"))
    busy, pauses = 3, list[float]()

    def leave_out(parsed: dict[str, Any], **_: Any) -> None:
        nonlocal busy
        busy -= 1
        if busy >= 0:
            parsed |= {"Partitions": [], "UnprocessedKeys": [{"Values": ["2026-03-01"]}]}

    lake.catalog.glue.meta.events.register("after-call.glue.BatchGetPartition", leave_out)
    patient = replace(lake.catalog, sleep=pauses.append)
    assert [found.value for found in patient.some_partitions(spec, ["2026-03-01"], 1)] == ["2026-03-01"]
    assert pauses == [0.1, 0.2, 0.4]
    busy = 100
    with pytest.raises(TransientFailure, match="too busy"):
        list(patient.some_partitions(spec, ["2026-03-01"], 1))
    assert len(pauses) < 12
