"""What Athena has for tables that are declared for it, made in the embedded AWS."""

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from adplatform.consumers.registration.registered import Declared
from adplatform.consumers.table import ConsumedTable
from adplatform.lake.query import run_query
from adplatform.platform.aws import Aws
from adplatform_tests.consumers.registration.applying import (
    apply,
    differences,
    made_by_mortals,
    place,
    table,
    undeclared_of,
    wanted_of,
)
from adplatform_tests.support.queries import execution
from adplatform_tests.support.spice import put_table

ORDERS = pa.table({"country": ["DE", "DE", "FR"], "amount": pa.array([Decimal("1.50")] * 3, pa.decimal128(12, 2))})
COLUMNS = {"country": "string", "amount": "decimal(12,2)"}


@pytest.fixture
def lake(aws: Aws) -> str:
    """A bucket, and a database of its name with the table ``t``."""
    return put_table(aws, ORDERS, COLUMNS)[0]


def declared_in(aws: Aws, athena: Any, database: str = "") -> ConsumedTable:
    made = table({"athena": athena}, database=database)
    if not database:
        aws.client("glue").create_database(DatabaseInput={"Name": made.database})
    return made


def test_a_workgroup_limits_scans_and_enforces_where_results_go(aws: Aws, lake: str) -> None:
    client = aws.client_once("athena")
    own = place(raw_bucket=lake, kms_key_id="alias/lake")
    [group] = wanted_of(declared_in(aws, {"scan_limit": "1GB"}), own)
    assert apply(aws, [group]) == {"workgroup": ("create", "")}
    told = client.get_work_group(WorkGroup=group.name)["WorkGroup"]["Configuration"]
    assert (told["BytesScannedCutoffPerQuery"], told["EnforceWorkGroupConfiguration"]) == (2**30, True)
    assert told["ResultConfiguration"] == {
        "OutputLocation": f"s3://{lake}/query-results/acme/members/",
        "EncryptionConfiguration": {
            "EncryptionOption": "SSE_KMS",
            "KmsKey": "arn:aws:kms:us-east-1:123456789012:alias/lake",
        },
    }
    ended = execution(aws, group.name, f"select sum(amount) as a from {lake}.t")
    assert ended["ResultConfiguration"]["OutputLocation"].startswith(f"s3://{lake}/query-results/acme/members/")
    assert differences(aws, [group]) == {}
    assert apply(aws, [group]) == {"workgroup": ("as declared", "")}


def test_a_view_has_the_types_that_athena_finds_and_every_engine_reads_it(aws: Aws, lake: str) -> None:
    view = f"select country, sum(amount) as amount, count(*) as orders from {lake}.t group by country;"
    of = declared_in(aws, {"views": {"by_country": view}})
    wanted = wanted_of(of, place(raw_bucket=lake))
    assert apply(aws, wanted) == {"workgroup": ("create", ""), "view": ("create", "")}
    glue = aws.client("glue")
    made = glue.get_table(DatabaseName=of.database, Name="by_country")["Table"]
    assert {each["Name"]: each["Type"] for each in made["StorageDescriptor"]["Columns"]} == {
        "country": "string",
        "amount": "decimal(38,2)",
        "orders": "bigint",
    }
    sql = f"select * from {of.database}.by_country order by country"
    _, rows = run_query(aws, glue, "", sql, 10)
    assert execution(aws, wanted[0].name, sql)["Status"]["State"] == "SUCCEEDED"
    assert rows == [("DE", Decimal("3.00"), 2), ("FR", Decimal("1.50"), 1)]
    assert differences(aws, wanted) == {}
    ids = aws.client_once("athena").list_named_queries(WorkGroup=wanted[0].name)["NamedQueryIds"]
    queries = aws.client_once("athena").batch_get_named_query(NamedQueryIds=ids)["NamedQueries"]
    sqls = {each["Name"]: each["QueryString"] for each in queries}
    assert sqls["rows of by_country"] == f'SELECT * FROM "{of.database}"."by_country" LIMIT 100'
    assert '"email_lake"' in sqls["rows of members"]
    assert "phone" not in sqls["rows of members"], "it is personal and stored in clear"


def test_what_hands_change_is_seen_and_undone_and_what_they_add_is_kept(aws: Aws, lake: str) -> None:
    client, own = aws.client_once("athena"), place(raw_bucket=lake)
    of = declared_in(aws, {"scan_limit": "1GB", "views": {"all_of": f"select country from {lake}.t"}})
    wanted = wanted_of(of, own)
    apply(aws, wanted)
    group = wanted[0].name
    updates = {"RemoveBytesScannedCutoffPerQuery": True, "EnforceWorkGroupConfiguration": False}
    client.update_work_group(WorkGroup=group, State="DISABLED", ConfigurationUpdates=updates)
    theirs = client.create_named_query(Name="mine", Database="x", QueryString="select 1", WorkGroup=group)
    [id] = [
        each for each in client.list_named_queries(WorkGroup=group)["NamedQueryIds"] if "rows" in _name(client, each)
    ][:1]
    client.update_named_query(NamedQueryId=id, Name=_name(client, id), QueryString="select 2")
    found = [each.split(" is ")[0] for each in differences(aws, wanted)["workgroup"]]
    assert found[:3] == ["State", "EnforceWorkGroupConfiguration", "BytesScannedCutoffPerQuery"]
    assert found[3].startswith("Queries.rows of ")
    other = wanted_of(declared_in(aws, {"views": {"all_of": f"select amount from {lake}.t"}}, of.database), own)
    assert differences(aws, other)["view"] == [
        f"Query is select country from {lake}.t there, and select amount from {lake}.t is declared"
    ]
    assert apply(aws, other) == {"workgroup": ("update", ""), "view": ("update", "")}
    assert differences(aws, other) == {}
    assert _name(client, theirs["NamedQueryId"]) == "mine"


def _name(client: Any, id: str) -> str:
    [query] = client.batch_get_named_query(NamedQueryIds=[id])["NamedQueries"]
    return str(query["Name"])


def test_processes_that_are_killed_make_what_is_declared_together(aws: Aws, lake: str) -> None:
    of = declared_in(aws, {"views": {"all_of": f"select country from {lake}.t"}})
    wanted = wanted_of(of, place(raw_bucket=lake))
    calls = ["CreateWorkGroup", "CreateNamedQuery", "CreateNamedQuery", "CreateTable"]
    assert made_by_mortals(aws, wanted) == calls
    assert differences(aws, wanted) == {}


def test_views_that_athena_refuses_or_others_made_are_told_and_left(aws: Aws, lake: str) -> None:
    glue, own = aws.client("glue"), place(raw_bucket=lake)
    views = {"lost": "select 1 as a from nowhere.at_all", "theirs": f"select country from {lake}.t"}
    of = declared_in(aws, {"views": views})
    theirs = {"Name": "theirs", "TableType": "EXTERNAL_TABLE", "StorageDescriptor": {"Columns": []}}
    glue.create_table(DatabaseName=of.database, TableInput=theirs)
    wanted = wanted_of(of, own)
    done = {each.name.partition(".")[2]: apply(aws, [wanted[0], each])["view"] for each in wanted[1:]}
    assert f"view {of.database}.lost: Athena refuses it: " in done["lost"][1]
    assert "was made by others, and is not touched" in done["theirs"][1]
    assert "columns" not in glue.get_table(DatabaseName=of.database, Name="theirs")["Table"]


def test_what_nothing_declares_any_more_is_told(aws: Aws, lake: str) -> None:
    of = declared_in(aws, {"views": {"all_of": f"select country from {lake}.t"}})
    own = place(raw_bucket=lake, database_prefix=of.database.removesuffix("acme"))
    wanted = wanted_of(of, own)
    apply(aws, wanted)
    assert set(undeclared_of(aws, own, Declared())) == {each.name for each in wanted}
    assert undeclared_of(aws, own, Declared(wanted)) == []
