"""Feeds as data contracts and back: nothing of a feed is lost, and contracts are as the standard demands."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from adplatform.cli.contract import told_feeds
from adplatform.contracts.feed import Feed
from adplatform.contracts.ready_made import connectors, ready_made_of
from adplatform.contracts.saas import SaasSource
from adplatform.contracts.source import PushedSource
from adplatform.contracts.yaml_files import Declared
from adplatform.described.documents import yaml_of
from adplatform.described.tables import tables_of
from adplatform.odcs.declaration import attributes
from adplatform.odcs.declared import with_columns
from adplatform.odcs.exported import Origin, Readers, contract_of
from adplatform.odcs.imported import Imported, imported
from adplatform.odcs.shape import misshapen
from adplatform.patterns import faultless_defs, pattern_of
from adplatform.platform.settings import Settings

SETTINGS = Settings(env="local", home=Path("home"))
READERS = Readers("clean", "eu-west-1", "123456789012", "s3://results/athena/")
OPTIONS = {
    "string": {"minLength", "maxLength", "pattern", "format"},
    "integer": {"minimum", "maximum", "multipleOf", "format"},
    "number": {"minimum", "maximum", "multipleOf", "format"},
    "date": {"minimum", "maximum", "format"},
    "timestamp": {"minimum", "maximum", "format", "timezone", "defaultTimezone"},
    "boolean": set(),
}
RULES = {"library": "metric", "custom": "implementation", "sql": "query", "text": "description"}


ACME: Mapping[str, Any] = {"source": "acme"}


def contracts(declared: Declared[BaseModel]) -> Iterator[tuple[Feed, Origin, dict[str, Any]]]:
    pattern = pattern_of(declared, SETTINGS)
    tables = {t.feed: t for t in tables_of(pattern, SETTINGS.database_prefix, lambda _: None, path_copies=True)}
    for feed, origin in told_feeds(declared, pattern):
        yield feed, origin, contract_of(feed, tables[f"{origin.source}/{feed.name}"], origin, READERS)


def partner(source: Mapping[str, Any] = ACME, /, **feed: Any) -> tuple[Feed, dict[str, Any]]:
    """A feed and its contract."""
    model = PushedSource.model_validate({**source, "feeds": [{"start_date": "2026-01-01", **feed}]})
    [(found, _, contract)] = contracts(Declared(Path("defs.yaml"), 1, model, "PartnerPush"))
    return found, contract


def again(contract: Mapping[str, Any], kind: type[Feed]) -> Feed:
    """The feed of a contract that is ours."""
    found = imported(yaml_of(contract), "1970-01-01")
    assert (found.left, found.asks) == ((), ())
    return kind.model_validate(with_columns(found.feeds[0]))


def demand(contract: Mapping[str, Any]) -> None:
    """What the JSON Schema of version 3.1 asks of what we write: see the slow tests for the schema itself."""
    assert list(misshapen(contract)) == []
    texts = {"apiVersion", "kind", "id", "name", "version", "status"}
    assert contract.keys() == texts | {"servers", "schema", "customProperties", *contract.keys() & OPTIONAL}
    assert all(isinstance(contract[name], str) for name in texts)
    servers = {each["type"]: each.keys() - {"server", "type"} for each in contract["servers"]}
    assert servers.items() <= SERVERS.items()
    [table] = contract["schema"]
    for each in table["properties"]:
        assert set(each.get("logicalTypeOptions", {})) <= OPTIONS[each["logicalType"]]
        assert all("value" in one for one in each.get("customProperties", ()))
    for rule in (*table.get("quality", ()), *(r for each in table["properties"] for r in each.get("quality", ()))):
        assert RULES[rule.get("type", "library")] in rule
        assert ("mustBe" in rule) is ("metric" in rule), "a metric is compared with something, and nothing else is"
    for agreed in contract.get("slaProperties", ()):
        assert re.fullmatch(r"[A-Za-z0-9_-]+", agreed.get("id", "none"))
        assert agreed.keys() >= {"property", "value", "unit"}


OPTIONAL = {"description", "slaProperties", "team"}
SERVERS = {
    "s3": {"location", "format"},
    "athena": {"schema", "stagingDir", "regionName"},
    "glue": {"account", "database"},
}


def test_every_declared_feed_is_a_contract_of_the_standard_and_can_be_made_of_it_again() -> None:
    seen = 0
    for declared in faultless_defs():
        for feed, _, contract in contracts(declared):
            demand(contract)
            assert again(contract, type(feed)).model_dump() == feed.model_dump(), feed.name
            seen += 1
    assert seen > 25


@pytest.mark.parametrize(
    "connector", [pytest.param(c, marks=[] if c == "HubSpot" else pytest.mark.slow) for c in connectors()]
)
def test_ready_made_feeds_can_be_made_of_their_contracts_again(connector: str) -> None:
    known = ready_made_of(connector)
    assert known is not None
    said = {"source": "app", "connector": connector, "connection": "ours", "start_date": "2026-01-01", "account": "1"}
    model = SaasSource.model_validate({**said, "feeds": list(known.feeds)})
    found = list(contracts(Declared(Path("defs.yaml"), 1, model, "SaasFlows")))
    assert len(found) == len(known.feeds)
    for feed, _, contract in found:
        demand(contract)
        assert again(contract, type(feed)).model_dump() == feed.model_dump(), feed.name


def test_what_is_unusual_of_a_feed_comes_back() -> None:
    feed, contract = partner(
        name="orders",
        description="Two  lines\nof text with {{ braces }}.",
        defaults={"decimal_comma": True, "trim": True, "formats": ["%d.%m.%Y"], "special": {"--": None}},
        columns={
            "day": {"type": "date", "required": True, "min": "2026-01-01"},
            "gone": {"type": "int", "drop": True},
            "order_id": {"type": "integer", "required": True, "trim": False},
            "status": {"allowed": ["NO", "1"], "optional": True, "default": "unknown", "comment": "a:\n\tb"},
            "size": {"pattern": "[SML]|X{1,3}L", "field": ["Size", "size"]},
            "amount": {"type": "decimal(12,2)", "min": "-0.50", "max": "007", "special": {"n/a": "0"}},
            "email": {"required": True, "pii": {"kind": "email", "treatment": ["lake", "meta"]}},
            "city": "string",
            "domain": {"expression": "split(email, '@')[1]"},
        },
        key=["day", "order_id"],
        partition_by="day",
        naming={
            "city": {"patterns": ["{country}-{zip}", "{zip}"], "prefix": "place"},
            "allowed": {"country": ["NO", "de"]},
            "at_least": "95%",
        },
        row_checks=[{"name": "some", "expression": "amount >= 0"}],
        bounds={"min_rows": 1, "max_quarantined": 0.5},
        arrival={"complete_when": "count", "expected_files": 2, "deadline": "90m"},
        fresh_within=None,
        usual_volume={"within": "30%", "holidays": ["DE", "US-CA"], "closed": ["2026-12-24"]},
        schedule="30 6 * * mon-fri",
        format={"delimiter": ";", "skip_footer": {"starts_with": "Total"}},
    )
    demand(contract)
    back = again(contract, Feed)
    assert back.model_dump() == feed.model_dump()
    assert back.rows_digest == feed.rows_digest


def test_owners_and_retention_of_the_source_come_back() -> None:
    said = {
        "source": "acme",
        "owners": ["team:crm", "ann@example.com"],
        "retention": {"quarantine": None, "archive": "400d", "exports": "30d"},
    }
    _, contract = partner(said, name="orders", columns={"order_id": "string"})
    found = attributes(imported(yaml_of(contract), "2026-01-01"))
    assert {name: found[name] for name in said} == said


def test_the_same_feed_gives_the_same_contract_whose_version_changes_with_it() -> None:
    columns = {"order_id": {"required": True}}
    (_, first), (_, second) = partner(name="orders", columns=columns), partner(name="orders", columns=columns)
    assert yaml_of(first) == yaml_of(second)
    _, other = partner(name="orders", columns={**columns, "status": "string"})
    assert other["version"] != first["version"]


def test_what_the_standard_has_words_for_is_said_by_them() -> None:
    _, contract = partner(
        name="orders",
        columns={
            "order_id": {"type": "bigint", "required": True, "min": 1, "comment": "As the shop calls it."},
            "email": {"pii": "email", "required": True, "pattern": ".+@.+"},
            "status": {"allowed": ["placed", "sent"], "pattern": "[a-z]+"},
        },
        key="order_id",
        arrival={"deadline": "6h"},
    )
    [table] = contract["schema"]
    properties = {each.pop("name"): each for each in table["properties"]}
    assert properties["order_id"] == {
        "logicalType": "integer",
        "physicalType": "bigint",
        "description": "As the shop calls it.",
        "required": True,
        "primaryKey": True,
        "primaryKeyPosition": 2,
        "logicalTypeOptions": {"minimum": 1},
    }
    assert properties["dt"]["partitioned"]
    assert properties["status"]["logicalTypeOptions"] == {"pattern": "^(?:[a-z]+)$"}
    [rule] = properties["status"]["quality"]
    assert rule == {"metric": "invalidValues", "arguments": {"validValues": ["placed", "sent"]}, "mustBe": 0}
    personal = properties["email_lake"]
    assert personal["classification"] == "personal"
    assert "required" not in personal, "a value that cannot be normalised has no digest"
    customs = {each["property"]: each["value"] for each in personal["customProperties"]}
    assert customs == {"declaredAs": "email", "pii": {"kind": "email", "treatment": "lake", "form": "digest"}}
    agreed = {each["property"]: (each["value"], each["unit"]) for each in contract["slaProperties"][:3]}
    assert agreed == {"frequency": (1, "d"), "latency": (6, "h"), "freshness": (36, "h")}
    assert contract["servers"][0]["location"] == "s3://clean/acme/orders/*/*.parquet"


def test_what_somebody_changes_in_a_contract_of_ours_is_taken() -> None:
    _, contract = partner(name="orders", columns={"order_id": {"field": "Order"}, "status": "string", "old": "int"})
    [table] = contract["schema"]
    properties = {each["name"]: each for each in table["properties"]}
    properties["order_id"]["required"] = True
    table["properties"].remove(properties["old"])
    table["properties"].append({"name": "net", "logicalType": "number", "physicalType": "decimal(12,2)"})
    found: Imported = imported(yaml_of(contract), "2026-01-01")
    assert found.feeds[0]["columns"] == {
        "order_id": {"type": "string", "required": True, "field": "Order"},
        "status": {"type": "string"},
        "net": {"type": "decimal(12,2)"},
    }
