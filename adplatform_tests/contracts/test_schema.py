"""The JSON Schema that editors use must accept what the model accepts, or people learn to ignore it."""

from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from adplatform.contracts.source import FileSource
from adplatform.patterns import DEFS, Models, read_defs

SCHEMA = Draft202012Validator(FileSource.model_json_schema())


def source(**feed: Any) -> dict[str, Any]:
    described = {"name": "orders", "start_date": "2026-01-01", "columns": {"id": {"required": True}}, **feed}
    return {"source": "acme", "feeds": [described]}


@pytest.mark.parametrize(
    "feed",
    [
        {"columns": {"a": None, "b": "decimal(12,2)", "c": {"type": "int", "min": 0, "max": 1.5}}},
        {"columns": {"a": {"pii": "email"}, "b": {"pii": {"kind": "phone", "profiles": "lake", "country": "DE"}}}},
        {"columns": {"a": {"pii": {"kind": "email", "profiles": ["lake", "meta"]}}}},
        {"key": "id", "latest_by": ["id"]},
        {"key": ["id"]},
        {"arrival": {"quiet_period": "90s", "max_wait": "1.5h", "deadline": None, "accept_late": "30d"}},
        {"fresh_within": None, "partition_by": None},
        {"pgp": {"private_keys": ["k"], "signer_keys": ["s"]}},
        {"row_checks": [{"name": "positive", "expression": "id > 0"}], "bounds": {"min_rows": 1}},
    ],
)
def test_the_schema_accepts_the_short_and_the_long_spellings(feed: dict[str, Any]) -> None:
    FileSource.model_validate(source(**feed))
    assert [e.message for e in SCHEMA.iter_errors(source(**feed))] == []


@pytest.mark.parametrize(
    "feed",
    [
        {"columns": {"a": 5}},
        {"columns": {"a": {"requird": True}}},
        {"columns": {"a": {"name": "b"}}},
        {"columns": {"a": {"pii": "mail"}}},
        {"key": 5},
        {"arrival": {"quiet_period": 30}},
        {"arrival": {"complete_when": "soon"}},
        {"name": "Orders"},
        {"surprise": 1},
    ],
)
def test_the_schema_refuses_what_the_model_refuses(feed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FileSource.model_validate(source(**feed))
    assert not SCHEMA.is_valid(source(**feed))


def test_shipped_definitions_are_valid_for_the_model_and_the_schema() -> None:
    declared, mistakes = read_defs(DEFS)
    assert [str(m) for m in mistakes] == []
    assert {type(entry.model) for entry in declared} == set(Models().values()), "one of each is shipped"
    for entry in declared:
        schema = Draft202012Validator(type(entry.model).model_json_schema())
        for document in yaml.load_all(entry.file.read_text(encoding="utf-8"), _JsonLoader):
            assert [e.message for e in schema.iter_errors(document["attributes"])] == []


class _JsonLoader(yaml.SafeLoader):
    """Dates stay text, as an editor's schema sees them."""


_JsonLoader.add_constructor("tag:yaml.org,2002:timestamp", yaml.SafeLoader.construct_yaml_str)
