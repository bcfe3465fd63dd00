"""Columns in Lake Formation: each with the kind of personal data it holds, before what is new in it can be read."""

import uuid
from dataclasses import replace

import pytest

from adplatform.contracts.types import parse_type
from adplatform.failures import PermanentFailure
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.lake import formats
from adplatform.lake.catalog import Partition
from adplatform.lake.lake import Lake
from adplatform.lake.personal_tags import PersonalTags, provide, tag_request
from adplatform.lake.table import TableSpec
from adplatform.platform.aws import Aws
from adplatform.transform.values import OutputColumn
from adplatform_tests.lake.support import contract, source_name, spec_of
from adplatform_tests.support.calls import CountedAws

EMAIL = OutputColumn("email_lake", parse_type("string"), "", {"pii": "email"}, ("email",))
PHONE = OutputColumn("phone_lake", parse_type("string"), "", {"pii": "phone"}, ("phone",))
AMOUNT = OutputColumn("amount", parse_type("double"))


@pytest.fixture
def key(aws: Aws) -> str:
    key = f"pii_{uuid.uuid4().hex[:8]}"
    provide(aws.client("lakeformation"), key)
    return key


@pytest.fixture
def tagging(aws: Aws, lake: Lake, key: str) -> Lake:
    return replace(lake, catalog=replace(lake.catalog, tags=PersonalTags(aws.client("lakeformation"), key)))


def spec(*columns: OutputColumn, **rules: str) -> TableSpec:
    return replace(spec_of(contract({"amount": "double"}, **rules), source=source_name()), columns=columns)


def tags_of(aws: Aws, table: TableSpec, key: str, *columns: str) -> dict[str, list[str]]:
    resource = {"DatabaseName": table.database, "Name": table.name, "ColumnNames": list(columns)}
    answer = aws.client("lakeformation").get_resource_lf_tags(Resource={"TableWithColumns": resource})
    return {
        column["Name"]: tag["TagValues"]
        for column in answer.get("LFTagsOnColumns", ())
        for tag in column["LFTags"]
        if tag["TagKey"] == key
    }


def test_every_column_says_what_it_holds(aws: Aws, tagging: Lake, key: str) -> None:
    table = spec(EMAIL, AMOUNT)
    tagging.catalog.ensure(table, "s3://clean/x/")
    told = tags_of(aws, table, key, "email_lake", "amount", "dt")
    assert told == {"email_lake": ["email"], "amount": ["none"], "dt": ["none"]}


def test_a_new_column_has_its_tag_before_a_partition_leads_to_it(aws: Aws, tagging: Lake, key: str) -> None:
    table = spec(EMAIL)
    tagging.catalog.ensure(table, "s3://clean/x/")
    wider = replace(table, columns=(EMAIL, PHONE))
    shown = tagging.catalog.ensure(wider, "s3://clean/x/")
    assert tags_of(aws, table, key, "phone_lake") == {"phone_lake": ["phone"]}
    assert list(tagging.catalog.partitions(wider)) == []
    assert [name for name, _ in shown.columns] == ["email_lake", "phone_lake"]


def test_what_is_tagged_is_not_tagged_again(aws: Aws, tagging: Lake, key: str) -> None:
    table, counted = spec(EMAIL, AMOUNT), CountedAws(aws.region, aws.endpoint_url)
    tagging.catalog.ensure(table, "s3://clean/x/")
    catalog = replace(tagging.catalog, tags=PersonalTags(counted.client("lakeformation"), key))
    catalog.ensure(table, "s3://clean/x/")
    assert counted.names == ["GetResourceLFTags"]


def test_columns_of_an_iceberg_table_are_tagged(aws: Aws, tagging: Lake, key: str) -> None:
    table = replace(spec(EMAIL, AMOUNT, table_format="iceberg"))
    location = tagging.store.zones.clean_uri(f"{tagging.store.zones.versions(table.feed)}t/")
    entries = {"2026-11-01": Partition("2026-11-01", location)}
    assert formats.show_in_iceberg(tagging, table, entries, lambda: None, summary={})
    assert tags_of(aws, table, key, "email_lake", "amount") == {"email_lake": ["email"], "amount": ["none"]}


def test_a_tag_that_nobody_made_keeps_a_table_from_being_published(aws: Aws, lake: Lake) -> None:
    unknown = PersonalTags(aws.client("lakeformation"), f"none_{uuid.uuid4().hex[:8]}")
    catalog = replace(lake.catalog, tags=unknown)
    with pytest.raises(PermanentFailure, match="`adplatform provision` makes the tag"):
        catalog.ensure(spec(EMAIL), "s3://clean/x/")


def test_a_tag_with_fewer_values_gets_those_it_lacks(aws: Aws) -> None:
    client, key = aws.client("lakeformation"), f"pii_{uuid.uuid4().hex[:8]}"
    client.create_lf_tag(TagKey=key, TagValues=["none", "email", "of-somebody"])
    provide(client, key)
    assert set(client.get_lf_tag(TagKey=key)["TagValues"]) == {*tag_request(key)["TagValues"], "of-somebody"}


def test_a_platform_with_the_setting_makes_the_tag_and_publishes_with_it(services: Services) -> None:
    key = f"pii_{uuid.uuid4().hex[:8]}"
    here = Services(replace(services.settings, personal_tag=key), services.aws)
    provision(here, [])
    assert here.aws.client("lakeformation").get_lf_tag(TagKey=key)["TagValues"] == tag_request(key)["TagValues"]
    assert here.lake.catalog.tags is not None
    assert here.lake.catalog.tags.key == key
    assert services.lake.catalog.tags is None
