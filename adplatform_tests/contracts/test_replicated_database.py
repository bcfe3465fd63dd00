"""What YAML says of a replication that is made: its database, and the size of what reads it."""

from typing import Any

import pytest
from pydantic import ValidationError

from adplatform.contracts.changes import ChangesSource

FEEDS = [
    {
        "name": "orders",
        "table": "public.orders",
        "start_date": "2026-01-01",
        "columns": {"id": {"type": "int", "required": True}},
        "key": "id",
    }
]
DATABASE = {"kind": "postgres", "secret": "shop/db", "database": "shop", "authority": "shop/authority"}


def source(**settings: Any) -> ChangesSource:
    return ChangesSource.model_validate({"source": "shop", "feeds": FEEDS, "task": "shop-live", **settings})


def test_a_database_is_verified_by_default_and_read_from_the_deployments_subnets() -> None:
    made = source(**{"from": DATABASE})
    assert made.from_ is not None
    assert (made.from_.tls, made.from_.subnet_group) == ("verify", "adplatform")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"from": {**DATABASE, "database": None}}, "from.database is missing"),
        ({"from": {**DATABASE, "kind": "mysql"}}, "a table of mysql is written database.table"),
        ({"from": {"kind": "mysql", "secret": "shop/db", "tls": "encrypt"}}, "no encrypt for mysql"),
        ({"from": {**DATABASE, "authority": None}}, "from.authority is missing"),
        ({"from": {**DATABASE, "tls": "off"}}, "authority is for tls: verify"),
        ({"from": {**DATABASE, "kind": "oracle"}}, "'postgres', 'mysql' or 'mariadb'"),
        ({"from": {**DATABASE, "secret": "pass word"}}, "secret"),
        ({"from": DATABASE, "simulated": True}, "give one"),
        ({"from": DATABASE, "task": None}, "give it a name with task or serverless"),
        ({"from": DATABASE, "task": "shop_live"}, "single hyphens"),
        ({"from": DATABASE, "task": "arn:aws:dms:eu-west-1:123456789012:task:X"}, "leave from out where it is there"),
        ({"from": DATABASE, "capacity": {"most": 8}}, "give instance"),
        ({"from": DATABASE, "task": None, "serverless": "shop", "instance": {}}, "give capacity"),
        ({"instance": {"size": "dms.r6i.large"}}, "instance is of a replication that is made here"),
        ({"from": DATABASE, "instance": {"size": "r6i.large"}}, "size"),
        (
            {"from": DATABASE, "task": None, "serverless": "shop", "capacity": {"least": 8, "most": 2}},
            "least 8 is more",
        ),
    ],
)
def test_what_dms_would_not_take_is_refused_with_what_to_do(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        source(**settings)
