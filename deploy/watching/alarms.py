"""Alarms, as plain requests of PutMetricAlarm: five kinds about the data, and what it needs to run.

People hear of a failure from the platform's own messages, once a cause. Alarms are for what nobody is there to tell:
nothing is published, nothing works, nothing moves.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from adplatform.flow.source import FeedFlow
from adplatform.platform import metrics, names
from adplatform.platform.metrics import ENGINE, FEED, KIND, NAMESPACE, SOURCE, Metric
from deploy.estate import DeployedSource, Estate
from deploy.watching.watched import engines_of, functions_of, tables_of

Alarm = dict[str, Any]

MINUTE, QUARTER = 60, 900
WAITS = timedelta(hours=2)
"""How long a complete delivery may wait: as long as the longest pause before it is tried again."""
SCHEDULED = timedelta(days=1)
"""How much longer, where a feed is processed at set times."""
KILLED = "adplatform-killed-runs"
"""The rule that matches tasks of runs that were killed, most often for lack of memory."""
KILLED_EXIT = 137
FULL = 2 << 30
"""Bytes of free storage of Dagster's database below which somebody has to act."""
SERVICES = (names.CODE_SERVER, names.DAEMON, names.WEBSERVER)


def alarms(estate: Estate) -> list[Alarm]:
    found = [alarm for each in estate.sources for alarm in alarms_of_source(estate, each)]
    return [*found, *alarms_of_platform(estate)]


def killed_tasks(estate: Estate) -> Mapping[str, Any]:
    """What EventBridge matches: a container of a run was killed (Amazon ECS Developer Guide, "Amazon ECS task state
    change events")."""
    return {
        "source": ["aws.ecs"],
        "detail-type": ["ECS Task State Change"],
        "detail": {
            "clusterArn": [estate.arn("ecs", f"cluster/{names.CLUSTER}")],
            "group": [{"prefix": f"family:{names.RUN_FAMILY}"}],
            "lastStatus": ["STOPPED"],
            "containers": {"exitCode": [KILLED_EXIT]},
        },
    }


def alarms_of_source(estate: Estate, each: DeployedSource) -> Iterator[Alarm]:
    for flow in tables_of(each):
        yield from _of_table(estate, flow)
    flows = each.source.feeds
    failures = [flow.topics.failure for flow in flows if flow.topics.failure]
    to = estate.topic(failures[0] if failures else estate.settings.failure_topic)
    own = {SOURCE: each.name}
    yield _ours(
        metrics.FAILURES,
        {**own, KIND: "permanent"},
        to,
        threshold=1,
        says=f"Something of {each.name} failed and is not tried again by itself. `adplatform retry {each.name}` once "
        "it is mended.",
    )
    patience = WAITS + (SCHEDULED if any(flow.feed.schedule for flow in flows) else timedelta(0))
    yield _ours(
        metrics.BACKLOG_SECONDS,
        own,
        to,
        above=patience.total_seconds(),
        says=f"A delivery of {each.name} is complete for {patience} and not published. Do runs start, and how do they "
        "end?",
        period=QUARTER,
    )
    for engine in engines_of(each):
        yield _ours(
            metrics.ENGINE_RUNS_OVERDUE,
            {**own, ENGINE: engine},
            to,
            threshold=1,
            says=f"A run of {engine} for {each.name} stays in its state for longer than it may. `adplatform runs "
            f"{each.name}` names it.",
        )


def _of_table(estate: Estate, flow: FeedFlow) -> Iterator[Alarm]:
    to = estate.topic(flow.topics.failure or estate.settings.failure_topic)
    own = {SOURCE: flow.source, FEED: flow.feed.name}
    if (fresh := flow.feed.fresh_within) is not None:
        yield _ours(
            metrics.FRESHNESS_SECONDS,
            own,
            to,
            above=fresh.total_seconds(),
            says=f"Nothing was published to {flow.table} for longer than its fresh_within, {fresh}; or nobody measures "
            "that any more: the daemon or the code server is down, or the sensor `measures` is off.",
            period=QUARTER,
            periods=2,
            missing="breaching",
        )
    bound = flow.feed.contract.bounds.max_quarantined
    if bound < 1:
        yield _ours(
            metrics.QUARANTINED_SHARE,
            own,
            to,
            above=bound,
            says=f"More than {bound:.0%} of the rows of a delivery of {flow.table} broke its contract: it is refused. "
            f"`adplatform quarantine show {flow.table}` says why.",
        )


def alarms_of_platform(estate: Estate) -> Iterator[Alarm]:
    to = estate.topic(estate.settings.failure_topic)
    for service in SERVICES:
        # The service's running tasks: each gives a sample a minute.
        yield _alarm(
            f"{names.PLATFORM}-no-{service}",
            "AWS/ECS",
            "CPUUtilization",
            {"ClusterName": names.CLUSTER, "ServiceName": service},
            to,
            statistic="SampleCount",
            operator="LessThanThreshold",
            threshold=1,
            says=f"The service {service} has no task that runs.",
            periods=5,
            period=MINUTE,
            missing="breaching",
        )
    yield _alarm(
        KILLED,
        "AWS/Events",
        "MatchedEvents",
        {"RuleName": KILLED},
        to,
        statistic="Sum",
        threshold=1,
        says=f"The task of a run was killed (exit status {KILLED_EXIT}), most often for lack of memory. Its delivery "
        "is tried again; if that goes on, give runs more memory.",
    )
    database = {"DBInstanceIdentifier": names.DATABASE}
    yield _alarm(
        f"{names.PLATFORM}-database-storage",
        "AWS/RDS",
        "FreeStorageSpace",
        database,
        to,
        statistic="Minimum",
        operator="LessThanThreshold",
        threshold=FULL,
        says="Dagster's database runs out of storage.",
        period=QUARTER,
    )
    yield _alarm(
        f"{names.PLATFORM}-database-cpu",
        "AWS/RDS",
        "CPUUtilization",
        database,
        to,
        statistic="Average",
        operator="GreaterThanThreshold",
        threshold=90,
        says="Dagster's database has had no CPU left for half an hour: sensors and runs get slow.",
        period=QUARTER,
        periods=2,
    )
    for queue in dead_letters(estate):
        yield _alarm(
            f"{queue}-not-empty",
            "AWS/SQS",
            "ApproximateNumberOfMessagesVisible",
            {"QueueName": queue},
            to,
            statistic="Maximum",
            threshold=1,
            says="Events could not be delivered or dealt with. Nothing is lost, a listing finds what they were about; "
            "read them to see why, then purge the queue.",
        )
    for function in functions_of(estate):
        yield _alarm(
            f"{names.PLATFORM}-{function}-errors",
            "AWS/Lambda",
            "Errors",
            {"FunctionName": function},
            to,
            statistic="Sum",
            threshold=1,
            says=f"The function {function} failed; its log group says why. Files are landed without it.",
        )


def dead_letters(estate: Estate) -> list[str]:
    """Names of the queues of dead letters."""
    of_sources = [estate.settings.queue_name(source.name) + names.DEAD_LETTERS for source, _ in estate.queues]
    return [*of_sources, *([names.UPLOADS_DEAD_LETTERS] if functions_of(estate) else [])]


def _ours(
    metric: Metric,
    dimensions: Mapping[str, str],
    to: str,
    *,
    says: str,
    threshold: float | None = None,
    above: float | None = None,
    period: int = 300,
    periods: int = 1,
    missing: str = "notBreaching",
) -> Alarm:
    """Of a metric of the platform that reaches ``threshold``, or is ``above`` something."""
    return _alarm(
        "-".join([names.PLATFORM, metric.name.replace("_", "-"), *dimensions.values()]),
        NAMESPACE,
        metric.name,
        {name: dimensions[name] for name in metric.dimensions},
        to,
        statistic=metric.statistic,
        operator="GreaterThanOrEqualToThreshold" if above is None else "GreaterThanThreshold",
        threshold=threshold if above is None else above,
        says=says,
        period=period,
        periods=periods,
        missing=missing,
    )


def _alarm(
    name: str,
    namespace: str,
    metric: str,
    dimensions: Mapping[str, str],
    to: str,
    *,
    statistic: str,
    threshold: float | None,
    says: str,
    operator: str = "GreaterThanOrEqualToThreshold",
    period: int = 300,
    periods: int = 1,
    missing: str = "notBreaching",
) -> Alarm:
    return {
        "AlarmName": name,
        "AlarmDescription": says,
        "Namespace": namespace,
        "MetricName": metric,
        "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
        "Statistic": statistic,
        "Period": period,
        "EvaluationPeriods": periods,
        "Threshold": threshold,
        "ComparisonOperator": operator,
        "TreatMissingData": missing,
        "AlarmActions": [to],
        "OKActions": [to],
    }
