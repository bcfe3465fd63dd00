"""A database's catalogue becomes YAML that is valid as it stands, with guesses for people to review."""

import json
from datetime import date
from typing import Any

import pytest
import yaml

from adplatform.contracts.database import DatabaseSource
from adplatform.contracts.pii import PiiKind
from adplatform.extract.connection import Connecting, Credentials, database
from adplatform.extract.declaration import feed_yaml
from adplatform.extract.described import described, tables_of
from adplatform_tests.support.databases import Database

TABLE = """
CREATE TABLE "Customer List" (
  id bigint PRIMARY KEY, "Email" varchar(320) NOT NULL, phone_number text, "firstName" text, birth_date date,
  balance numeric(14,4), rate numeric, score double precision, visits integer, vip boolean, note text, tags text[],
  attributes jsonb, "order" int, no int, dt date, joined timestamptz NOT NULL, updated_at timestamp
)
"""


@pytest.fixture
def written(shop: Database) -> str:
    shop.execute(TABLE, 'CREATE VIEW recent AS SELECT id, joined FROM "Customer List"')
    server = shop.server
    credentials = Credentials("postgres", "127.0.0.1", server.port, "postgres", server.password, shop.name)
    with database(credentials, Connecting(verified=False)) as engine:
        assert tables_of(engine, None) == ["Customer List", "recent"]
        start = date(2026, 1, 1)
        return "".join(feed_yaml(None, name, described(engine, None, name), start) for name in tables_of(engine, None))


def test_what_is_written_is_valid_and_has_every_column(written: str) -> None:
    feeds = yaml.safe_load(written)
    model = DatabaseSource.model_validate({"source": "shop", "connection": "shop/database", "feeds": feeds})
    customers, recent = model.feeds
    assert (customers.source_table, customers.key) == ("Customer List", ("id",))
    assert {c.field_name: (c.type, c.pii.kind if c.pii else None) for c in customers.columns} == {
        "id": ("bigint", None),
        "Email": ("string", PiiKind.EMAIL),
        "phone_number": ("string", PiiKind.PHONE),
        "firstName": ("string", PiiKind.FIRST_NAME),
        "birth_date": ("date", None),
        "balance": ("decimal(14,4)", None),
        "rate": ("string", None),
        "score": ("double", None),
        "visits": ("int", None),
        "vip": ("boolean", None),
        "note": ("string", None),
        "tags": ("string", None),
        "attributes": ("string", None),
        "order": ("int", None),
        "no": ("int", None),
        "dt": ("date", None),
        "joined": ("timestamp", None),
        "updated_at": ("timestamp", None),
    }
    assert [c.name for c in recent.columns] == ["id", "joined"]


def test_what_somebody_has_to_decide_is_marked(written: str) -> None:
    marked = [line.split(":")[0].strip(" #") for line in written.splitlines() if "REVIEW" in line]
    assert marked == ["incremental", "email", "phone_number", "first_name", "birth_date", "rate"]


def test_a_secret_of_rds_is_described_by_the_command(
    shop: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], services: Any
) -> None:
    from adplatform.cli import describe  # noqa: PLC0415 - the command imports it when it is called

    shop.execute("CREATE TABLE orders (id int PRIMARY KEY, email text)", "CREATE TABLE other (id int)")
    monkeypatch.setattr(describe, "connect", lambda: services)
    describe.describe(shop.secret, ["ord*"], tls=False)
    [feed] = yaml.safe_load(capsys.readouterr().out)["feeds"]
    assert (feed["name"], feed["columns"]["email"]) == ("orders", {"pii": "email"})
    assert json.dumps(feed["start_date"], default=str)
