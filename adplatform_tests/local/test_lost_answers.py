"""A transaction that is sent again because its answer was lost is answered as if it had been sent once."""

from pathlib import Path
from typing import Any

import pytest

from adplatform.ledger.table import table_definition
from adplatform.local.endpoint import ensure
from adplatform.platform.aws import local_aws

TOKEN = "a7c1f1d0-5b1e-4b53-8a53-000000000001"


def put(client: Any, value: str, token: str = TOKEN) -> None:
    new = {
        "TableName": "ledger",
        "Item": {"pk": {"S": "a"}, "sk": {"S": "b"}, "v": {"S": value}},
        "ConditionExpression": "attribute_not_exists(pk)",
    }
    client.transact_write_items(TransactItems=[{"Put": new}], ClientRequestToken=token)


def test_the_same_token_and_content_succeed_again_also_after_a_restart(tmp_path: Path) -> None:
    for restart in (False, True):
        with ensure(tmp_path / "aws") as endpoint:
            client = local_aws(endpoint.url).client("dynamodb")
            if not restart:
                client.create_table(**table_definition("ledger"))
                put(client, "1")
            put(client, "1")
            with pytest.raises(client.exceptions.IdempotentParameterMismatchException):
                put(client, "2")
            with pytest.raises(client.exceptions.TransactionCanceledException):
                put(client, "1", TOKEN.replace("1", "2"))
            [item] = client.scan(TableName="ledger")["Items"]
            assert item["v"] == {"S": "1"}


def test_a_transaction_that_was_cancelled_is_tried_anew_under_its_token(tmp_path: Path) -> None:
    with ensure(tmp_path / "aws") as endpoint:
        client = local_aws(endpoint.url).client("dynamodb")
        client.create_table(**table_definition("ledger"))
        put(client, "1", "other-token")
        with pytest.raises(client.exceptions.TransactionCanceledException):
            put(client, "2")
        client.delete_item(TableName="ledger", Key={"pk": {"S": "a"}, "sk": {"S": "b"}})
        put(client, "2")
