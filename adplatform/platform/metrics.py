"""The platform's metrics: their names, units and dimensions, and the lines of a log that CloudWatch makes them of.

Each combination of values of dimensions is a metric of its own, which is paid for each month. So a metric has one set
of dimensions only, whose values are declared: sources, feeds, engines. What else is known of a value (a run, a date, a
version, a scope) stands beside it in its line, where queries of the log find it.
"""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from adplatform.platform.clock import utc_now

NAMESPACE = "adplatform"
SOURCE, FEED, ENGINE, KIND = "source", "feed", "engine", "kind"
Unit = Literal["Count", "Bytes", "Seconds", "None"]
Statistic = Literal["Sum", "Maximum"]


@dataclass(frozen=True)
class Metric:
    """``statistic`` is what makes one number of the values of a while; ``meaning`` is for people."""

    name: str
    unit: Unit
    statistic: Statistic
    dimensions: tuple[str, ...]
    meaning: str


_OF_FEED, _OF_ENGINE = (SOURCE, FEED), (SOURCE, ENGINE)

ROWS_IN = Metric("rows_in", "Count", "Sum", _OF_FEED, "rows that were read of a version that readers see now")
ROWS_CLEAN = Metric("rows_clean", "Count", "Sum", _OF_FEED, "those of them in the table")
ROWS_SUPERSEDED = Metric("rows_superseded", "Count", "Sum", _OF_FEED, "those that another row of their key replaced")
ROWS_QUARANTINED = Metric("rows_quarantined", "Count", "Sum", _OF_FEED, "those that broke the contract")
ROWS_LEFT_OUT = Metric("rows_left_out", "Count", "Sum", _OF_FEED, "those that the feed leaves out on purpose")
ROWS_UNPLACED = Metric(
    "rows_unplaced", "Count", "Sum", _OF_FEED, "of merges only: changes without a key, or older than a load"
)
QUARANTINED_SHARE = Metric(
    "quarantined_share", "None", "Maximum", _OF_FEED, "of a judged version, 0 to 1, published or refused"
)
FILES = Metric("files", "Count", "Sum", _OF_FEED, "files that those rows came in")
BYTES = Metric("bytes", "Bytes", "Sum", _OF_FEED, "their size as they were received")
PUBLISH_SECONDS = Metric(
    "publish_seconds", "Seconds", "Maximum", _OF_FEED, "from the beginning of the run until readers see the version"
)
ARRIVAL_TO_PUBLISH_SECONDS = Metric(
    "arrival_to_publish_seconds", "Seconds", "Maximum", _OF_FEED, "the same, from the arrival of its last file"
)
FRESHNESS_SECONDS = Metric(
    "freshness_seconds", "Seconds", "Maximum", _OF_FEED, "since something was published to the table"
)
DELIVERIES_LATE = Metric(
    "deliveries_late", "Count", "Maximum", _OF_FEED, "dates of late that are past their deadline and not delivered"
)
FAILURES = Metric(
    "failures",
    "Count",
    "Sum",
    (SOURCE, KIND),
    "attempts that failed: `transient`, to be tried again; `permanent`, for somebody to mend; `sender`, for the sender",
)
ENGINE_RUNS = Metric("engine_runs", "Count", "Sum", _OF_ENGINE, "runs that have ended and landed")
ENGINE_RUNS_FAILED = Metric("engine_runs_failed", "Count", "Sum", _OF_ENGINE, "those that failed or were cancelled")
ENGINE_RUN_SECONDS = Metric("engine_run_seconds", "Seconds", "Maximum", _OF_ENGINE, "how long they took")
ENGINE_RECORDS = Metric("engine_records", "Count", "Sum", _OF_ENGINE, "records that the engine says it moved")
ENGINE_FAILED_RECORDS = Metric(
    "engine_failed_records", "Count", "Sum", _OF_ENGINE, "records or files that the engine says it could not write"
)
ENGINE_RUNS_OVERDUE = Metric(
    "engine_runs_overdue", "Count", "Sum", _OF_ENGINE, "runs that begin to stay in a state for longer than they may"
)
API_CALLS = Metric("api_calls", "Count", "Sum", (SOURCE,), "requests to Amazon's APIs, those that fail included")
API_THROTTLED = Metric("api_throttled", "Count", "Sum", (SOURCE,), "those that came too often for Amazon")
BACKLOG = Metric("backlog", "Count", "Maximum", (SOURCE,), "deliveries that are complete and not published")
BACKLOG_SECONDS = Metric("backlog_seconds", "Seconds", "Maximum", (SOURCE,), "since the oldest of them was complete")

METRICS = (
    ROWS_IN,
    ROWS_CLEAN,
    ROWS_SUPERSEDED,
    ROWS_QUARANTINED,
    ROWS_LEFT_OUT,
    ROWS_UNPLACED,
    QUARANTINED_SHARE,
    FILES,
    BYTES,
    PUBLISH_SECONDS,
    ARRIVAL_TO_PUBLISH_SECONDS,
    FRESHNESS_SECONDS,
    DELIVERIES_LATE,
    FAILURES,
    ENGINE_RUNS,
    ENGINE_RUNS_FAILED,
    ENGINE_RUN_SECONDS,
    ENGINE_RECORDS,
    ENGINE_FAILED_RECORDS,
    ENGINE_RUNS_OVERDUE,
    API_CALLS,
    API_THROTTLED,
    BACKLOG,
    BACKLOG_SECONDS,
)
MEASURED = (FRESHNESS_SECONDS, DELIVERIES_LATE, BACKLOG, BACKLOG_SECONDS)
"""Those that a sensor measures from time to time, so that they tell of what does not happen."""


def _to_stdout(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()


@dataclass(frozen=True)
class Metrics:
    """Writes values as lines in CloudWatch's embedded metric format, where they are ``on``."""

    on: bool = False
    now: Callable[[], datetime] = utc_now
    write: Callable[[str], None] = _to_stdout

    def put(self, values: Mapping[Metric, float | None], dimensions: Mapping[str, str], **facts: Any) -> None:
        """Write values of one moment, in one line; what is None is not known. ``facts`` stand beside them.

        Raises:
            ValueError: ``dimensions`` are not those of a metric.
        """
        if not self.on:
            return
        known = {metric: value for metric, value in values.items() if value is not None}
        if not known:
            return
        for metric in known:
            if set(metric.dimensions) != dimensions.keys():
                raise ValueError(f"{metric.name} is of {metric.dimensions}, not of {tuple(dimensions)}")
        directive = {
            "Namespace": NAMESPACE,
            "Dimensions": [list(dimensions)],
            "Metrics": [{"Name": metric.name, "Unit": metric.unit} for metric in known],
        }
        line = {
            "_aws": {"Timestamp": int(self.now().timestamp() * 1000), "CloudWatchMetrics": [directive]},
            **facts,
            **dimensions,
            **{metric.name: value for metric, value in known.items()},
        }
        self.write(json.dumps(line, default=str) + "\n")

    def failed(self, source: str, kind: str, **facts: Any) -> None:
        """One failure of that kind (``adplatform.failures.kind_of``)."""
        self.put({FAILURES: 1}, {SOURCE: source, KIND: kind}, **facts)
