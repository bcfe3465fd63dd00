from typing import Any

import pytest
from pydantic import ValidationError

from adplatform.contracts.feed import Arrival, Feed, Pgp
from adplatform.contracts.source import FileSource

FEED: dict[str, Any] = {"name": "orders", "start_date": "2026-01-01", "columns": {"id": "string"}}


def test_a_bare_number_of_an_arrival_is_refused_not_taken_for_seconds() -> None:
    with pytest.raises(ValidationError, match="30 is not a duration"):
        Arrival.model_validate({"quiet_period": 30})


def test_switching_off_a_deadline_is_not_a_duration() -> None:
    feed = Feed.model_validate({**FEED, "fresh_within": None, "arrival": {"deadline": None}})
    assert feed.fresh_within is None
    assert feed.arrival.deadline is None


@pytest.mark.parametrize(
    ("model", "settings", "sentence"),
    [
        (Arrival, {"complete_when": "count"}, "complete_when: count needs expected_files"),
        (Arrival, {"complete_when": "count", "expected_files": 0}, "greater than or equal to 1"),
        (
            Arrival,
            {"complete_when": "soon"},
            "Input should be 'quiet', 'count', 'done_file', 'manifest', 'load_marker' or 'engine'",
        ),
        (Arrival, {"quite_period": "5m"}, "Extra inputs are not permitted"),
        (Pgp, {"private_keys": [], "signer_keys": ["k"]}, "at least 1 item"),
        (Pgp, {"private_keys": ["k"]}, "signer_keys names no secret with the sender's public key"),
        (Pgp, {"private_keys": ["k"], "signer_keys": ["s"], "signers": ["ABCD"]}, "should match pattern"),
        (Feed, {**FEED, "name": "Orders"}, "should match pattern"),
        (Feed, {**FEED, "name": "_unplaced"}, "should match pattern"),
        (Feed, {**FEED, "start_date": "yesterday"}, "valid date"),
        (Feed, {**FEED, "bad_file": "skip"}, "Input should be 'refuse' or 'quarantine'"),
        (Feed, {**FEED, "table_format": "delta"}, "Input should be 'parquet' or 'iceberg'"),
        (Feed, {**FEED, "table_format": "iceberg", "crawl": True}, "crawl is for table_format: parquet"),
        (FileSource, {"source": "acme", "feeds": []}, "at least 1 item"),
        (FileSource, {"source": "acme", "feeds": [FEED, FEED]}, "feed orders is declared twice"),
        (FileSource, {"source": "acme/eu", "feeds": [FEED]}, "should match pattern"),
        (FileSource, {"source": "acme", "feeds": [FEED], "check_every": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_that_cannot_work_are_refused(model: Any, settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError) as refused:
        model.model_validate(settings)
    assert sentence in str(refused.value)


def test_the_contract_of_a_feed_has_all_its_settings() -> None:
    feed = Feed.model_validate({**FEED, "columns": {"id": {"required": True}}, "key": "id", "schema_policy": "evolve"})
    assert (feed.contract.columns, feed.contract.key, feed.contract.schema_policy) == (feed.columns, ("id",), "evolve")
