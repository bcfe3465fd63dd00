"""Tables as services see them, made of declarations as people write them."""

from typing import Any

from adplatform.consumers.fitness import fitness
from adplatform.consumers.table import ConsumedTable, Table, consumed
from adplatform.contracts.consumers import Consumer, ConsumerName
from adplatform.contracts.feed import Feed
from adplatform.lake.table import table_spec
from adplatform.transform.compile import output_columns

MEMBERS: dict[str, Any] = {
    "member_id": {"required": True, "pii": {"kind": "generic_id", "treatment": ["lake", "short_id"]}},
    "email": {"pii": {"kind": "email", "treatment": ["lake", "amazon_ads", "mask"]}},
    "phone": {"pii": {"kind": "phone", "treatment": "clear"}},
    "city": {"pii": {"kind": "city", "treatment": "google"}},
    "both": {"expression": "concat(member_id, email)", "pii": "generic_id"},
    "country": "string",
    "orders": "bigint",
    "joined_at": {"type": "timestamp", "required": True},
}


def feed(consumers: Any, columns: dict[str, Any] = MEMBERS, **settings: Any) -> Feed:
    key = {"key": "member_id"} if "member_id" in columns else {}
    declared = {"name": "members", "start_date": "2026-01-01", "columns": columns, "consumers": consumers}
    return Feed.model_validate({**declared, **key, **settings})


def table_of(declared: Feed) -> Table:
    return consumed_of(declared).seen


def consumed_of(declared: Feed, database_prefix: str = "clean_") -> ConsumedTable:
    contract = declared.contract
    spec = table_spec(f"acme/{declared.name}", contract, output_columns(contract), database_prefix=database_prefix)
    return consumed(spec, contract, declared.consumers)


def settings_of(declared: Feed, name: ConsumerName) -> Consumer:
    return declared.consumers.declared[name]


def found(name: ConsumerName, settings: Any, columns: dict[str, Any] = MEMBERS, **of_feed: Any) -> list[str]:
    """Each finding for a service as ``level setting column: text``, errors first."""
    declared = feed({name: settings}, columns, **of_feed)
    findings = fitness(table_of(declared), settings_of(declared, name))
    return [f"{each.level} {each.setting} {each.column}: {each.text}" for each in findings]
