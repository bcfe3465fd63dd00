"""What a database of Redshift has for tables that are declared for it, made in the embedded AWS."""

import uuid
from typing import Any

import pytest

from adplatform.consumers.registration.registered import declared
from adplatform.consumers.registration.resource import Place
from adplatform.platform.aws import Aws
from adplatform_tests.consumers.registration.applying import (
    apply,
    differences,
    made_by_mortals,
    place,
    table,
    wanted_of,
)
from adplatform_tests.support.warehouses import order_redshift_fault, rows, statement

USAGE = "select identity_type, identity_name from svv_schema_privileges order by 1, 2"
SCHEMAS = "select schemaname, databasename, esoptions from svv_external_schemas"
ANALYSTS = {"redshift": {"grants": ["role:Analysts", "group:bi", "user:ann"]}}


@pytest.fixture
def workgroup(aws: Aws) -> str:
    """One whose database has an analyst's role, a group and a user."""
    name = f"wg-{uuid.uuid4().hex[:12]}"
    statement(aws, name, "create role analysts", "create group bi", "create user ann password disable")
    return name


def at(workgroup: str, **settings: Any) -> Place:
    return place(redshift_workgroup=workgroup, **{"redshift_role": "spectrum", **settings})


def test_a_schema_is_made_once_with_who_may_use_it(aws: Aws, workgroup: str) -> None:
    of = table(ANALYSTS)
    wanted = wanted_of(of, at(workgroup))
    assert apply(aws, wanted) == {"external schema": ("create", "")}
    role = '{"IAM_ROLE":"arn:aws:iam::123456789012:role/spectrum"}'
    assert rows(aws, workgroup, SCHEMAS) == [(of.database, of.database, role)]
    assert rows(aws, workgroup, USAGE) == [("group", "bi"), ("role", "analysts"), ("user", "ann")]
    assert differences(aws, wanted) == {}
    assert apply(aws, wanted) == {"external schema": ("as declared", "")}


def test_what_hands_change_is_seen_and_undone_and_what_they_grant_is_kept(aws: Aws, workgroup: str) -> None:
    of = table({"redshift": {"external_schema": "lake", "grants": ["role:analysts", "group:bi"]}})
    wanted = wanted_of(of, at(workgroup))
    apply(aws, wanted)
    hands = (
        "revoke usage on schema lake from role analysts",
        "grant usage on schema lake to ann",
        "alter external schema lake iam_role 'arn:aws:iam::123456789012:role/other'",
    )
    assert statement(aws, workgroup, *hands)["Status"] == "FINISHED"
    assert differences(aws, wanted)["external schema"] == [
        "Role is arn:aws:iam::123456789012:role/other there, and arn:aws:iam::123456789012:role/spectrum is declared",
        "Usage is group:bi there, and group:bi, role:analysts is declared",
    ]
    assert apply(aws, wanted) == {"external schema": ("update", "")}
    assert differences(aws, wanted) == {}
    assert ("user", "ann") in rows(aws, workgroup, USAGE)


def test_a_schema_of_another_database_is_not_touched(aws: Aws, workgroup: str) -> None:
    statement(
        aws,
        workgroup,
        "create external schema lake from data catalog database 'theirs' iam_role 'arn:aws:iam::1:role/x'",
    )
    wanted = wanted_of(table({"redshift": {"external_schema": "lake"}}), at(workgroup))
    [(state, failure)] = apply(aws, wanted).values()
    assert state == "refused"
    assert "a schema shows one database for ever: give another external_schema, or drop this one" in failure
    assert rows(aws, workgroup, SCHEMAS)[0][1] == "theirs"


def test_what_redshift_refuses_is_told_in_its_words_and_the_rest_is_done(aws: Aws, workgroup: str) -> None:
    wanted = wanted_of(table({"redshift": {"grants": ["role:analysts", "role:nobody"]}}), at(workgroup))
    [(_, failure)] = apply(aws, wanted).values()
    assert 'role "nobody" does not exist' in failure
    assert rows(aws, workgroup, USAGE) == [("role", "analysts")]
    statement(aws, workgroup, "create role nobody")
    assert apply(aws, wanted) == {"external schema": ("update", "")}


@pytest.mark.parametrize("name", ["o'brien", 'quoted "twice"', "; drop schema lake"])
def test_names_are_quoted(aws: Aws, workgroup: str, name: str) -> None:
    quoted = name.replace('"', '""')
    assert statement(aws, workgroup, f'create role "{quoted}"')["Status"] == "FINISHED"
    wanted = wanted_of(table({"redshift": {"grants": [f"role:{name}"]}}), at(workgroup))
    assert apply(aws, wanted) == {"external schema": ("create", "")}
    assert rows(aws, workgroup, USAGE) == [("role", name)]


def test_processes_that_are_killed_make_what_is_declared_together(aws: Aws, workgroup: str) -> None:
    wanted = wanted_of(table(ANALYSTS), at(workgroup))
    assert made_by_mortals(aws, wanted) == ["BatchExecuteStatement"]
    order_redshift_fault(aws, "answer_lost", workgroup, times=2)
    assert differences(aws, wanted) == {}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"redshift_role": "r"}, "set ADPLATFORM_REDSHIFT_WORKGROUP or ADPLATFORM_REDSHIFT_CLUSTER"),
        ({"redshift_role": "r", "redshift_cluster": "c", "redshift_workgroup": "w"}, "and not both"),
        ({"redshift_workgroup": "w"}, "set ADPLATFORM_REDSHIFT_ROLE"),
    ],
)
def test_a_platform_without_a_warehouse_registers_nothing(settings: dict[str, str], says: str) -> None:
    [refused] = declared([table({"redshift": {}})], place(**settings), lambda _: True).refused
    assert says in refused.reasons[0]


def test_a_cluster_is_asked_as_its_user(aws: Aws) -> None:
    cluster = f"cluster-{uuid.uuid4().hex[:12]}"
    own = place(redshift_cluster=cluster, redshift_user="platform", redshift_database="ads", redshift_role="spectrum")
    assert apply(aws, wanted_of(table({"redshift": {}}), own)) == {"external schema": ("create", "")}
    client = aws.client_once("redshift-data")
    named = [each for each in client.list_statements(Status="ALL")["Statements"] if each.get("StatementName")]
    told = [client.describe_statement(Id=each["Id"]) for each in named]
    asked = [(each["ClusterIdentifier"], each["DbUser"], each["Database"]) for each in told if "DbUser" in each]
    assert (cluster, "platform", "ads") in asked
