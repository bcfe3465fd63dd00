"""What of an event of lineage a domain of SageMaker Catalog gets."""

import json
from typing import Any

import pytest

from adplatform.failures import PermanentFailure
from adplatform.flow.lineage_catalog import LARGEST, LEFT_OUT, within


def schema(columns: int) -> dict[str, Any]:
    return {"fields": [{"name": f"größe_{n}", "type": "string"} for n in range(columns)]}


def event(columns: int, lineage: int) -> dict[str, Any]:
    made_of = {f"größe_{n}": {"inputFields": [{"field": "x" * 100}]} for n in range(lineage)}
    return {
        "eventType": "COMPLETE",
        "producer": "urn:adplatform",
        "run": {"runId": "1", "facets": {"tags": {"tags": [{"key": "version", "value": "1"}]}}},
        "job": {"name": "acme/orders"},
        "inputs": [{"name": "landing", "facets": {"schema": schema(columns)}, "inputFacets": {"rows": 1}}],
        "outputs": [{"name": "orders", "facets": {"schema": schema(columns), "columnLineage": {"fields": made_of}}}],
    }


def told(whole: dict[str, Any], largest: int = LARGEST) -> dict[str, Any]:
    body = within(whole, largest)
    assert len(body) <= largest
    found: dict[str, Any] = json.loads(body)
    return found


def left_out(found: dict[str, Any]) -> list[str]:
    return [each["value"] for each in found["run"]["facets"]["tags"]["tags"] if each["key"] == LEFT_OUT]


def test_an_event_that_fits_is_posted_as_it_is() -> None:
    whole = event(10, 10)
    assert told(whole) == whole
    assert told(whole, len(within(whole))) == whole


def test_lineage_of_columns_goes_first_then_columns_of_inputs_then_those_of_outputs() -> None:
    whole = event(500, 3000)
    found = told(whole)
    assert left_out(found) == ["lineage of columns"]
    assert found["outputs"][0]["facets"].keys() == {"schema"}
    assert found["inputs"] == whole["inputs"]
    found = told(whole, 30_000)
    assert left_out(found) == ["lineage of columns, columns of inputs"]
    assert (found["inputs"][0]["facets"], found["inputs"][0]["inputFacets"]) == ({}, {"rows": 1})
    assert found["outputs"][0]["facets"]["schema"] == schema(500)
    found = told(whole, 1_000)
    assert left_out(found) == ["lineage of columns, columns of inputs, columns of outputs"]
    assert [each["name"] for each in found["outputs"]] == ["orders"]


def test_an_event_that_does_not_fit_in_any_form_is_refused_by_its_job() -> None:
    with pytest.raises(PermanentFailure, match=r"acme/orders: an event of lineage has [\d,]+ bytes, of which 100 are"):
        within(event(1, 1), 100)
