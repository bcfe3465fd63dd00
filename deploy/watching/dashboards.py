"""Dashboards as CloudWatch has them, as JSON: one of all, and one of each pattern, with a part for each source."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from adplatform.failures import listed
from adplatform.platform import metrics, names
from adplatform.platform.metrics import ENGINE, FEED, KIND, NAMESPACE, SOURCE, Metric
from deploy.estate import DeployedSource, Estate
from deploy.watching.alarms import SERVICES, dead_letters
from deploy.watching.watched import PATTERNS, calls_amazon, engines_of, functions_of, tables_of

Widget = dict[str, Any]
T = TypeVar("T")

MOST_LINES = 100
"""Metrics of a widget; CloudWatch shows 500, and nobody can tell so many apart."""
MOST_WIDGETS = 480
"""Of the 500 that a dashboard may have."""
MOST_METRICS = 2500
"""Of all widgets of a dashboard (CloudWatch User Guide, "CloudWatch service quotas")."""
MOST_ALARMS = 100
"""That a widget of alarms may have."""
_WIDTH, _HEIGHT, _ACROSS = 8, 6, 3
KINDS = ("transient", "permanent", "sender")

OF_AWS: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "reports": (),
    "partners": (),
    "facts": (),
    "saas": (("AWS/AppFlow", "FlowExecutionsFailed", "Sum"), ("AWS/AppFlow", "FlowExecutionTime", "Maximum")),
    "databases": (("Glue", "glue.driver.aggregate.numFailedTasks", "Sum"),),
    "changes": (("AWS/DMS", "CDCLatencySource", "Maximum"), ("AWS/DMS", "CDCLatencyTarget", "Maximum")),
    "sftp": (("AWS/Transfer", "FilesIn", "Sum"), ("AWS/Transfer", "OnUploadExecutionsFailed", "Sum")),
    "replication": (("AWS/DataSync", "FilesTransferred", "Sum"), ("AWS/DataSync", "BytesTransferred", "Sum")),
}
"""What services of AWS say themselves, whose dimensions are ids that AWS gives: all of the account are shown."""


def dashboards(estate: Estate, alarms: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The bodies, by name."""
    found = {}
    for number, widgets in enumerate(_pages([], [[widget] for widget in _overall(estate, alarms)]), 1):
        found[names.PLATFORM + (f"-{number}" if number > 1 else "")] = _body(widgets)
    for pattern in dict.fromkeys(PATTERNS.values()):
        sources = [each for each in estate.sources if PATTERNS[each.kind] == pattern]
        pages = _pages([*_of_services(estate, pattern)], [_of_source(estate, each) for each in sources])
        for number, widgets in enumerate(pages if sources else (), 1):
            found[f"{names.PLATFORM}-{pattern}" + (f"-{number}" if number > 1 else "")] = _body(widgets)
    return found


def _pages(first: list[Widget], parts: Iterable[list[Widget]]) -> list[list[Widget]]:
    """The parts on as few dashboards as CloudWatch allows, none of them divided."""
    pages = [first]
    for part in parts:
        both = [*pages[-1], *part]
        if pages[-1] and (len(both) > MOST_WIDGETS or _lines(both) > MOST_METRICS):
            pages.append([])
        pages[-1] += part
    return pages


def _lines(widgets: Iterable[Widget]) -> int:
    return sum(len(widget["properties"].get("metrics", ())) for widget in widgets)


def _overall(estate: Estate, alarms: Sequence[Mapping[str, Any]]) -> list[Widget]:
    arns = [estate.arn("cloudwatch", f"alarm:{alarm['AlarmName']}") for alarm in alarms]
    sources = [{SOURCE: each.name} for each in estate.sources]
    tables = [{SOURCE: t.source, FEED: t.feed.name} for each in estate.sources for t in tables_of(each)]
    runs = {"AWS/ECS": [{"ClusterName": names.CLUSTER, "ServiceName": service} for service in SERVICES]}
    return [
        _text(
            "# What needs somebody\nMessages on the failure topic say what to do; `adplatform retry --all` tries again."
        ),
        *({"type": "alarm", "properties": {"title": "Alarms", "alarms": each}} for each in _batches(arns, MOST_ALARMS)),
        *_ours(estate, "Failures", [(metrics.FAILURES, {**own, KIND: kind}) for own in sources for kind in KINDS]),
        *_ours(estate, "Seconds since the last publication", [(metrics.FRESHNESS_SECONDS, own) for own in tables]),
        *_ours(estate, "Deliveries that wait", [(metrics.BACKLOG, own) for own in sources]),
        *_ours(estate, "Rows in quarantine", [(metrics.ROWS_QUARANTINED, own) for own in tables]),
        *_ours(estate, "Bytes received", [(metrics.BYTES, own) for own in tables]),
        _text("# What it runs on"),
        *_theirs(estate, "Tasks that run", "CPUUtilization", "SampleCount", runs, period=60),
        *_theirs(estate, "Memory, %", "MemoryUtilization", "Maximum", runs),
        *_theirs(
            estate,
            "Dagster's database: CPU, %",
            "CPUUtilization",
            "Average",
            {"AWS/RDS": [{"DBInstanceIdentifier": names.DATABASE}]},
        ),
        *_theirs(
            estate,
            "Ledger: throttled requests",
            "ThrottledRequests",
            "Sum",
            {"AWS/DynamoDB": [{"TableName": estate.settings.ledger_table}]},
        ),
        *_theirs(
            estate,
            "Dead letters",
            "ApproximateNumberOfMessagesVisible",
            "Maximum",
            {"AWS/SQS": [{"QueueName": queue} for queue in dead_letters(estate)]},
        ),
        *_theirs(
            estate,
            "Functions: errors",
            "Errors",
            "Sum",
            {"AWS/Lambda": [{"FunctionName": function} for function in functions_of(estate)]},
        ),
        _log(estate, "Errors of the platform", 'filter level in ["ERROR", "CRITICAL"]'),
    ]


def _of_services(estate: Estate, pattern: str) -> Iterable[Widget]:
    yield _text(f"# {pattern}")
    for namespace, metric, statistic in OF_AWS[pattern]:
        found = f"SEARCH('Namespace=\"{namespace}\" MetricName=\"{metric}\"', '{statistic}', 300)"
        yield _graph(estate, f"{namespace} {metric}", [[{"expression": found, "id": "e1"}]])


def _of_source(estate: Estate, each: DeployedSource) -> list[Widget]:
    """What came, what is late, what was refused and why, what it costs."""
    own = {SOURCE: each.name}
    tables = [{**own, FEED: table.feed.name} for table in tables_of(each)]
    outcomes = (
        *(metrics.ROWS_CLEAN, metrics.ROWS_SUPERSEDED, metrics.ROWS_QUARANTINED),
        *(metrics.ROWS_LEFT_OUT, metrics.ROWS_UNPLACED),
    )
    engines = [{**own, ENGINE: engine} for engine in engines_of(each)]
    found = [
        _text(f"## {each.name}\n{listed(sorted(table[FEED] for table in tables))}"),
        *_ours(estate, "Rows that came", [(metrics.ROWS_IN, table) for table in tables]),
        *_ours(estate, "What became of them", [(metric, table) for table in tables for metric in outcomes]),
        *_ours(estate, "Share in quarantine", [(metrics.QUARANTINED_SHARE, table) for table in tables]),
        *_ours(estate, "Seconds since the last publication", [(metrics.FRESHNESS_SECONDS, table) for table in tables]),
        *_ours(estate, "Dates that are late", [(metrics.DELIVERIES_LATE, table) for table in tables]),
        *_ours(estate, "Failures", [(metrics.FAILURES, {**own, KIND: kind}) for kind in KINDS]),
        *_ours(
            estate,
            "Seconds from arrival, and from the start of the run, to publication",
            [
                (metric, table)
                for table in tables
                for metric in (metrics.ARRIVAL_TO_PUBLISH_SECONDS, metrics.PUBLISH_SECONDS)
            ],
        ),
        *_ours(estate, "Deliveries that wait, and for how many seconds", [(m, own) for m in _BACKLOG]),
        *_ours(estate, "Files", [(metrics.FILES, table) for table in tables]),
        *_ours(estate, "Bytes", [(metrics.BYTES, table) for table in tables]),
    ]
    if engines:
        found += _ours(estate, "Runs of engines", [(metric, engine) for engine in engines for metric in _RUNS])
        found += _ours(estate, "How long they take, seconds", [(metrics.ENGINE_RUN_SECONDS, e) for e in engines])
        found += _ours(estate, "What they move", [(metric, engine) for engine in engines for metric in _MOVED])
    if calls_amazon(each):
        found += _ours(estate, "Requests to Amazon", [(metric, own) for metric in _CALLS])
    if each.queues:
        queue = {"AWS/SQS": [{"QueueName": estate.settings.queue_name(source.name)} for source, _ in each.queues]}
        found += _theirs(estate, "Events that wait, seconds", "ApproximateAgeOfOldestMessage", "Maximum", queue)
    found.append(_log(estate, "Warnings and errors", f'filter source = "{each.name}" and level != "INFO"'))
    return found


_BACKLOG = (metrics.BACKLOG, metrics.BACKLOG_SECONDS)
_RUNS = (metrics.ENGINE_RUNS, metrics.ENGINE_RUNS_FAILED, metrics.ENGINE_RUNS_OVERDUE)
_MOVED = (metrics.ENGINE_RECORDS, metrics.ENGINE_FAILED_RECORDS)
_CALLS = (metrics.API_CALLS, metrics.API_THROTTLED)


def _ours(estate: Estate, title: str, shown: Sequence[tuple[Metric, Mapping[str, str]]]) -> list[Widget]:
    """Graphs of metrics of the platform, each with the values of its dimensions."""
    lines = [
        [
            NAMESPACE,
            metric.name,
            *(part for name in metric.dimensions for part in (name, of[name])),
            {"stat": metric.statistic},
        ]
        for metric, of in shown
    ]
    return _graphs(estate, title, lines)


def _theirs(
    estate: Estate,
    title: str,
    metric: str,
    statistic: str,
    shown: Mapping[str, Sequence[Mapping[str, str]]],
    period: int = 300,
) -> list[Widget]:
    """Graphs of a metric of a service of AWS, by its namespace; none of nothing."""
    lines = [
        [namespace, metric, *(part for pair in of.items() for part in pair), {"stat": statistic}]
        for namespace, every in shown.items()
        for of in every
    ]
    return _graphs(estate, title, lines, period)


def _graphs(estate: Estate, title: str, lines: Sequence[list[Any]], period: int = 300) -> list[Widget]:
    return [_graph(estate, title, some, period) for some in _batches(lines, MOST_LINES)]


def _graph(estate: Estate, title: str, lines: list[list[Any]], period: int = 300) -> Widget:
    return {
        "type": "metric",
        "properties": {
            "title": title,
            "region": estate.region,
            "view": "timeSeries",
            "period": period,
            "yAxis": {"left": {"min": 0}},
            "metrics": lines,
        },
    }


def _batches(items: Sequence[T], most: int) -> list[list[T]]:
    return [[*items[start : start + most]] for start in range(0, len(items), most)]


def _text(markdown: str) -> Widget:
    return {"type": "text", "properties": {"markdown": markdown}}


def _log(estate: Estate, title: str, query: str) -> Widget:
    groups = " | ".join(f"SOURCE '{names.LOG_PREFIX}{process}'" for process in (names.RUN, names.CODE_SERVER))
    fields = "fields @timestamp, level, feed, day, run_id, message"
    return {
        "type": "log",
        "properties": {
            "title": title,
            "region": estate.region,
            "view": "table",
            "query": f"{groups} | {fields} | {query} | sort @timestamp desc | limit 50",
        },
    }


def _body(widgets: Iterable[Widget]) -> str:
    """Texts and logs as wide as the page, graphs beside each other."""
    placed, x, y = list[Widget](), 0, 0
    for widget in widgets:
        wide = widget["type"] != "metric"
        if wide and x:
            x, y = 0, y + _HEIGHT
        height = 2 if widget["type"] == "text" else _HEIGHT
        placed.append({"x": x, "y": y, "width": _WIDTH * _ACROSS if wide else _WIDTH, "height": height, **widget})
        x = 0 if wide else (x + _WIDTH) % (_WIDTH * _ACROSS)
        y += height if wide or x == 0 else 0
    return json.dumps({"widgets": placed})
