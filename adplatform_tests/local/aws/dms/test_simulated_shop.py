"""The host of the simulated shop in an endpoint, or in the secret that it names, means the shop's own database."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adplatform.engines.dms_settings.recommended import postgres_endpoint
from adplatform.local.endpoint import ensure
from adplatform.local.world.shop.endpoint import DATABASE, READER, READER_PASSWORD, SIMULATED_HOST
from adplatform.local.world.shop.endpoint import ensure as ensure_shop
from adplatform.local.world.shop.world import forget
from adplatform.platform.aws import Aws, local_aws
from adplatform_tests.support.dms import CSV, make_task, remove


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Aws]:
    with ensure(tmp_path) as endpoint:
        yield local_aws(endpoint.url)
    forget(tmp_path / "shop")


def called(url: str, path: str, **asked: Any) -> dict[str, Any]:
    body = json.dumps(asked).encode() if asked else None
    with urllib.request.urlopen(urllib.request.Request(f"{url}/_admin/{path}", body), timeout=60) as answer:
        said: dict[str, Any] = json.load(answer)
    return said


def test_a_task_loads_the_shop_and_follows_its_trade(own: Aws, tmp_path: Path) -> None:
    secret = {"engine": "postgres", "host": SIMULATED_HOST, "port": 5432, "username": READER, "dbname": DATABASE}
    text = json.dumps({**secret, "password": READER_PASSWORD})
    own.client("secretsmanager").create_secret(Name="shop", SecretString=text)
    by_secret = postgres_endpoint()
    by_secret["PostgreSQLSettings"]["SecretsManagerSecretId"] = "shop"
    by_name = {**postgres_endpoint(), "ServerName": SIMULATED_HOST, "DatabaseName": DATABASE, "Username": READER}
    for endpoint in (by_name, by_secret):
        task = make_task(own, endpoint, "public.orders", "public.order_lines", s3=CSV)
        task.start()
        task.wait_until_caught_up()
        with ensure_shop(tmp_path / "shop") as shop:
            before = called(shop.url, "truth?table=orders")["rows"]
            assert len(task.loaded("public.orders")) == before
            called(shop.url, "trade", orders=10)
            task.wait_until_caught_up()
            assert {row["Op"] for row in task.changes("public.orders")} >= {"I", "U"}
            operations = [row["Op"] for row in task.changes("public.orders")]
            now = called(shop.url, "truth?table=orders")["rows"]
            assert operations.count("I") - operations.count("D") == now - before
        remove(task)
