"""What people are given who have another loader write tables of a source."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from adplatform.cli.recipe import dlt_recipe
from adplatform.contracts.source import PushedSource
from adplatform.failures import PermanentFailure
from adplatform.flow.pushed import pushed_files
from adplatform.platform.settings import Settings


def recipe(*feeds: dict[str, Any], **settings: Any) -> str:
    shape = {"start_date": "2026-01-01", "columns": {"id": "bigint"}, "format": {"preset": "dlt"}}
    declared = PushedSource.model_validate({"source": "shop", "feeds": [{**shape, **feed} for feed in feeds]})
    made = Settings("local", home=Path(), **settings)
    return dlt_recipe(pushed_files(declared, made).source, made)


def block(page: str, kind: str) -> str:
    return page.partition(f"```{kind}\n")[2].partition("```")[0]


ORDERS = {
    "name": "orders",
    "landing": "crm/{feed}/{load}.{file}",
    "arrival": {"load_marker": "crm/_dlt_loads/hub__{load}.jsonl", "loads": "newest"},
}


def test_its_settings_write_where_the_feeds_are_read() -> None:
    page = recipe(ORDERS, {"name": "visits", "format": {"preset": "dlt", "kind": "ndjson"}})
    config = tomllib.loads(block(page, "toml"))
    assert config["destination"]["filesystem"]["bucket_url"] == "s3://adplatform-raw/landing/shop"
    assert config["load"]["raise_on_failed_jobs"]
    assert "| shop/orders | `crm` | `orders` | `hub` | `parquet` | `append`, all rows each time |" in page
    assert "| shop/visits | `shop` | `visits` | any | `jsonl` | `append` |" in page


def test_its_policy_writes_into_the_datasets_and_reads_and_deletes_no_data() -> None:
    statements = json.loads(block(recipe(ORDERS, kms_key_id="arn:aws:kms:eu-central-1:1:key/k"), "json"))["Statement"]
    allowed = {action: each["Resource"] for each in statements for action in each["Action"]}
    below = "arn:aws:s3:::adplatform-raw/landing/shop/crm/"
    assert allowed["s3:PutObject"] == [f"{below}*"]
    assert allowed["s3:DeleteObject"] == [f"{below}_dlt_pipeline_state/*"]
    assert all(each.startswith((f"{below}init", f"{below}_dlt_")) for each in allowed["s3:GetObject"])
    [listing] = [each for each in statements if each["Action"] == ["s3:ListBucket"]]
    assert listing["Condition"] == {"StringLike": {"s3:prefix": ["landing/shop/crm/*"]}}
    assert allowed["kms:GenerateDataKey"] == ["arn:aws:kms:eu-central-1:1:key/k"]


def test_a_source_without_loads_is_told_what_to_declare() -> None:
    with pytest.raises(PermanentFailure, match=r"no feed has complete_when: load_marker; set format: \{preset: dlt\}"):
        recipe({"name": "orders", "format": {}})
