"""Metrics: one set of dimensions each, lines that CloudWatch Logs understands, nothing where they are off."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from adplatform.failures import EnvironmentFailure, PermanentFailure, SenderFailure, TransientFailure, kind_of
from adplatform.platform.metrics import (
    BACKLOG,
    ENGINE,
    FEED,
    KIND,
    MEASURED,
    METRICS,
    PUBLISH_SECONDS,
    ROWS_CLEAN,
    ROWS_IN,
    SOURCE,
    Metrics,
)
from adplatform_tests.support.measured import values_of

NOW = datetime(2026, 3, 14, 9, 0, 0, 500_000, UTC)
OF_FEED = {SOURCE: "acme", FEED: "orders"}


class Written(list[str]):
    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self]


def test_values_of_one_moment_are_one_line_of_the_embedded_metric_format() -> None:
    written = Written()
    Metrics(True, lambda: NOW, written.append).put({ROWS_IN: 3, PUBLISH_SECONDS: 1.5}, OF_FEED, run_id="r1", version=2)
    assert written.lines == [
        {
            "_aws": {
                "Timestamp": 1773478800500,
                "CloudWatchMetrics": [
                    {
                        "Namespace": "adplatform",
                        "Dimensions": [["source", "feed"]],
                        "Metrics": [
                            {"Name": "rows_in", "Unit": "Count"},
                            {"Name": "publish_seconds", "Unit": "Seconds"},
                        ],
                    }
                ],
            },
            "run_id": "r1",
            "version": 2,
            "source": "acme",
            "feed": "orders",
            "rows_in": 3,
            "publish_seconds": 1.5,
        }
    ]
    assert written[0].endswith("}\n")
    assert written[0].count("\n") == 1


def test_nothing_is_written_where_metrics_are_off() -> None:
    written = Written()
    Metrics(False, lambda: NOW, written.append).put({ROWS_IN: 3}, OF_FEED)
    assert written == []


def test_a_value_that_is_not_known_is_left_out() -> None:
    written = Written()
    to = Metrics(True, lambda: NOW, written.append)
    to.put({ROWS_IN: None, ROWS_CLEAN: 0}, OF_FEED)
    to.put({ROWS_IN: None}, OF_FEED)
    [line] = written.lines
    assert line["rows_clean"] == 0
    assert "rows_in" not in line


@pytest.mark.parametrize(
    ("metric", "dimensions"),
    [(ROWS_IN, {SOURCE: "acme"}), (BACKLOG, OF_FEED), (ROWS_IN, {**OF_FEED, "scope": "US"})],
    ids=["too few", "too many", "of a scope"],
)
def test_a_metric_is_of_its_own_dimensions_only(metric: Any, dimensions: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=f"{metric.name} is of"):
        Metrics(True, lambda: NOW, Written().append).put({metric: 1}, dimensions)


def test_no_dimension_has_values_that_nobody_declares() -> None:
    assert {name for metric in METRICS for name in metric.dimensions} == {SOURCE, FEED, ENGINE, KIND}
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    assert set(MEASURED) <= set(METRICS)


def test_a_line_goes_to_what_is_the_standard_output_by_then(capsys: pytest.CaptureFixture[str]) -> None:
    to = Metrics(True)
    to.put({ROWS_IN: 1}, OF_FEED)
    first = capsys.readouterr().out
    to.failed("acme", "transient", feed="acme/orders")
    assert [(each.name, each.dimensions) for each in values_of(first + capsys.readouterr().out)] == [
        ("rows_in", (("source", "acme"), ("feed", "orders"))),
        ("failures", (("source", "acme"), ("kind", "transient"))),
    ]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (SenderFailure("x"), "sender"),
        (PermanentFailure("x"), "permanent"),
        (TransientFailure("x"), "transient"),
        (EnvironmentFailure("x"), "transient"),
        (ValueError("x"), "transient"),
    ],
    ids=["sender", "permanent", "transient", "environment", "mistake"],
)
def test_a_failure_is_of_the_kind_of_who_has_to_act(error: Exception, kind: str) -> None:
    assert kind_of(error) == kind
    assert kind_of(error, sent=False) == ("permanent" if kind == "sender" else kind)
