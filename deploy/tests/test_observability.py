"""How the platform is watched."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from adplatform.flow.services import Services
from adplatform.local.endpoint import ensure
from adplatform.patterns import KINDS
from adplatform.platform import metrics
from adplatform.platform.aws import Aws, local_aws
from adplatform.platform.metrics import FEED, NAMESPACE, SOURCE
from deploy.config import read_config
from deploy.estate import Estate, read_estate
from deploy.template import Assembly, Resource
from deploy.watching.alarms import KILLED, alarms, alarms_of_platform, alarms_of_source, killed_tasks
from deploy.watching.dashboards import MOST_LINES, dashboards
from deploy.watching.watched import PATTERNS, engines_of, tables_of

KNOWN = {metric.name: metric for metric in metrics.METRICS}
CONFIG = Path(__file__).parent / "config.yaml"


@dataclass(frozen=True)
class Shown:
    """A metric of the platform as somebody asks CloudWatch for it."""

    name: str
    dimensions: dict[str, str]
    statistic: str


def of_alarms(assembly: Assembly) -> list[Resource]:
    return assembly.resources("AWS::CloudWatch::Alarm")


def widgets(assembly: Assembly) -> Iterator[dict[str, Any]]:
    for each in assembly.resources("AWS::CloudWatch::Dashboard"):
        yield from json.loads(each.properties["DashboardBody"])["widgets"]


def shown(assembly: Assembly) -> list[Shown]:
    """What is asked for in alarms and dashboards of the platform's own namespace."""
    found = [
        Shown(a["MetricName"], {d["Name"]: d["Value"] for d in a["Dimensions"]}, a["Statistic"])
        for a in (each.properties for each in of_alarms(assembly))
        if a["Namespace"] == NAMESPACE
    ]
    for widget in widgets(assembly):
        for line in widget["properties"].get("metrics", ()):
            if line[0] == NAMESPACE:
                _, name, *pairs, options = line
                found.append(Shown(name, dict(zip(pairs[::2], pairs[1::2], strict=True)), options["stat"]))
    return found


def test_whatever_is_watched_is_a_metric_that_the_platform_writes_with_these_dimensions(
    assembly: Assembly, estate: Estate
) -> None:
    every = shown(assembly)
    assert {each.name for each in every} == set(KNOWN), "and each of them is watched"
    tables = {(t.source, t.feed.name) for each in estate.sources for t in tables_of(each)}
    for each in every:
        metric = KNOWN[each.name]
        assert (list(each.dimensions), each.statistic) == ([*metric.dimensions], metric.statistic)
        assert each.dimensions[SOURCE] in {source.name for source in estate.sources}
        assert FEED not in each.dimensions or (each.dimensions[SOURCE], each.dimensions[FEED]) in tables


def test_each_source_has_its_alarms_in_a_stack_of_its_own(assembly: Assembly, estate: Estate) -> None:
    """Those of all sources together would be more than CloudFormation takes."""
    found: dict[str, set[str]] = {}
    for each in of_alarms(assembly):
        found.setdefault(each.stack, set()).add(each.properties["AlarmName"])
    own = {
        f"adplatform-alarms-{each.name.replace('_', '-')}": {a["AlarmName"] for a in alarms_of_source(estate, each)}
        for each in estate.sources
    }
    assert found == {**own, "adplatform-observability": {a["AlarmName"] for a in alarms_of_platform(estate)}}
    assert set().union(*found.values()) == {alarm["AlarmName"] for alarm in alarms(estate)}


def test_each_dashboard_of_sources_has_a_stack_of_its_own(assembly: Assembly, estate: Estate) -> None:
    found = {each.properties["DashboardName"]: each.stack for each in assembly.resources("AWS::CloudWatch::Dashboard")}
    titles = dashboards(estate, alarms(estate))
    own = {title: f"adplatform-dashboard-{title.removeprefix('adplatform-')}" for title in titles}
    assert found == {**own, "adplatform": "adplatform-observability"}
    assert len(found) > 2


def test_engines_are_called_in_alarms_as_they_call_themselves(estate: Estate) -> None:
    nowhere = Services(estate.settings, Aws(estate.region, "http://127.0.0.1:9"))
    found = Counter[str]()
    for each in estate.sources:
        targets = each.pattern.targets(nowhere) if hasattr(each.pattern, "targets") else ()
        called = {target.engine.limits.called for target in targets}
        assert called == {name for name in engines_of(each) if name != "crawler"}, each.name
        found.update(called)
    assert set(found) >= {"appflow", "datasync", "dms"}


@pytest.mark.parametrize("kind", ["freshness_seconds", "quarantined_share"])
def test_each_table_has_alarms_by_what_its_contract_promises(assembly: Assembly, estate: Estate, kind: str) -> None:
    own = {
        tuple(d["Value"] for d in a.properties["Dimensions"]): a.properties
        for a in of_alarms(assembly)
        if a.properties["MetricName"] == kind
    }
    for each in estate.sources:
        for table in tables_of(each):
            fresh, bound = table.feed.fresh_within, table.feed.contract.bounds.max_quarantined
            promised = (fresh.total_seconds() if fresh else None) if kind == "freshness_seconds" else bound
            alarm = own.pop((table.source, table.feed.name), None)
            if promised is None or (kind == "quarantined_share" and promised >= 1):
                assert alarm is None
            else:
                assert alarm
                assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (promised, "GreaterThanThreshold")
    assert own == {}


def test_only_silence_about_freshness_and_services_is_an_alarm(assembly: Assembly) -> None:
    breaching = {a.properties["MetricName"] for a in of_alarms(assembly) if _breaches(a.properties)}
    assert breaching == {"freshness_seconds", "CPUUtilization"}
    freshness = [a.properties for a in of_alarms(assembly) if a.properties["MetricName"] == "freshness_seconds"]
    assert all(_breaches(alarm) for alarm in freshness)
    services = [
        a.properties for a in of_alarms(assembly) if _breaches(a.properties) and a.properties["Namespace"] == "AWS/ECS"
    ]
    made = {each.properties["ServiceName"] for each in assembly.resources("AWS::ECS::Service")}
    assert {alarm["Dimensions"][1]["Value"] for alarm in services} == made


def _breaches(alarm: dict[str, Any]) -> bool:
    return bool(alarm["TreatMissingData"] == "breaching")


def test_each_source_has_its_alarms_and_everybody_hears_of_them(assembly: Assembly, estate: Estate) -> None:
    topics = {t.properties["Topics"][0]: t.properties for t in assembly.resources("AWS::SNS::TopicPolicy")}
    for alarm in of_alarms(assembly):
        [to] = alarm.properties["AlarmActions"]
        statements = topics[to]["PolicyDocument"]["Statement"]
        assert any(s["Principal"] == {"Service": "cloudwatch.amazonaws.com"} for s in statements)
    found = {(a.properties["MetricName"], a.properties["Dimensions"][0]["Value"]) for a in of_alarms(assembly)}
    for each in estate.sources:
        assert {("failures", each.name), ("backlog_seconds", each.name)} <= found
    [own] = [
        a.properties["AlarmActions"]
        for a in of_alarms(assembly)
        if a.properties["AlarmName"] == "adplatform-failures-northwind-permanent"
    ]
    assert own == [estate.topic("northwind-failure")]


def test_every_queue_of_dead_letters_is_watched(assembly: Assembly) -> None:
    queues = {q.properties["QueueName"] for q in assembly.resources("AWS::SQS::Queue")}
    dead = {name for name in queues if name.endswith("-dead-letters")}
    watched = {
        a.properties["Dimensions"][0]["Value"]
        for a in of_alarms(assembly)
        if a.properties["MetricName"] == "ApproximateNumberOfMessagesVisible"
    }
    assert dead
    assert watched == dead


def test_the_database_that_is_watched_is_the_one_that_there_is(assembly: Assembly) -> None:
    [database] = assembly.resources("AWS::RDS::DBInstance")
    watched = [a.properties for a in of_alarms(assembly) if a.properties["Namespace"] == "AWS/RDS"]
    assert {alarm["MetricName"] for alarm in watched} == {"FreeStorageSpace", "CPUUtilization"}
    assert {alarm["Dimensions"][0]["Value"] for alarm in watched} == {database.properties["DBInstanceIdentifier"]}


def test_a_run_that_is_killed_matches_and_no_other_task_does(estate: Estate) -> None:
    from moto.events.models import EventPattern  # noqa: PLC0415 - brings all of moto

    pattern = EventPattern.load(json.dumps(killed_tasks(estate)))
    detail = {
        "clusterArn": "arn:aws:ecs:eu-west-1:111111111111:cluster/adplatform",
        "group": "family:adplatform-run",
        "lastStatus": "STOPPED",
        "containers": [{"name": "run", "exitCode": 137}],
    }

    def matches(**changed: Any) -> bool:
        """EventBridge takes an event of which one element of an array fits, moto looks into none."""
        found = {**detail, **changed}
        told = [{**found, "containers": container} for container in found["containers"]]
        events = [{"source": "aws.ecs", "detail-type": "ECS Task State Change", "detail": each} for each in told]
        return any(pattern.matches_event(event) for event in events)

    assert matches()
    assert not matches(containers=[{"name": "run", "exitCode": 0}])
    assert not matches(group="service:daemon")
    assert not matches(lastStatus="RUNNING")
    assert not matches(clusterArn="arn:aws:ecs:eu-west-1:111111111111:cluster/other")


def test_killed_runs_are_counted_by_their_rule_and_kept_in_a_log(assembly: Assembly) -> None:
    [rule] = [r for r in assembly.resources("AWS::Events::Rule") if r.properties["Name"] == KILLED]
    [target] = rule.properties["Targets"]
    [group] = [
        g
        for g in assembly.resources("AWS::Logs::LogGroup")
        if target["Arn"].endswith(f":log-group:{g.properties['LogGroupName']}")
    ]
    [policy] = [p for p in assembly.resources("AWS::Logs::ResourcePolicy") if p.properties["PolicyName"] == KILLED]
    [statement] = json.loads(policy.properties["PolicyDocument"])["Statement"]
    assert statement["Resource"].removesuffix(":*").endswith(group.properties["LogGroupName"])
    [alarm] = [a.properties for a in of_alarms(assembly) if a.properties["Namespace"] == "AWS/Events"]
    assert alarm["Dimensions"] == [{"Name": "RuleName", "Value": KILLED}]


def test_every_log_group_ends_and_is_encrypted_and_every_process_has_one(assembly: Assembly) -> None:
    aliases = {a.properties["AliasName"]: a.properties["TargetKeyId"] for a in assembly.resources("AWS::KMS::Alias")}
    groups = {g.properties["LogGroupName"]: g.properties for g in assembly.resources("AWS::Logs::LogGroup")}
    for name, group in groups.items():
        assert (group["KmsKeyId"], group["RetentionInDays"] <= 400) == (aliases["alias/adplatform/logs"], True), name
    tasks = assembly.resources("AWS::ECS::TaskDefinition")
    assert len(tasks) == 4
    for task in tasks:
        for container in task.properties["ContainerDefinitions"]:
            assert container["LogConfiguration"]["Options"]["awslogs-group"] in groups
    for function in assembly.resources("AWS::Lambda::Function"):
        assert function.properties["LoggingConfig"]["LogGroup"] in groups


def test_every_function_is_watched(assembly: Assembly) -> None:
    functions = {f.properties["FunctionName"] for f in assembly.resources("AWS::Lambda::Function")}
    alarmed = [a.properties for a in of_alarms(assembly) if a.properties["Namespace"] == "AWS/Lambda"]
    assert functions
    assert {alarm["Dimensions"][0]["Value"] for alarm in alarmed} == functions


def test_processes_write_metrics_and_json(assembly: Assembly) -> None:
    for task in assembly.resources("AWS::ECS::TaskDefinition"):
        [container] = task.properties["ContainerDefinitions"]
        assert {"Name": "ADPLATFORM_METRICS", "Value": "on"} in container["Environment"]
        assert {"Name": "OPENLINEAGE_URL", "Value": "http://marquez.example.com:5000"} in container["Environment"]
        assert container["Name"] == "run" or container["Command"][-2:] == ["--log-format", "json"]


def test_each_rule_of_a_source_has_an_archive_of_the_events_that_it_takes(assembly: Assembly, estate: Estate) -> None:
    rules = {r.properties["Name"]: r.properties for r in assembly.resources("AWS::Events::Rule")}
    archives = {a.properties["ArchiveName"]: a.properties for a in assembly.resources("AWS::Events::Archive")}
    assert len(archives) == len(estate.queues)
    for source, _ in estate.queues:
        archive = archives[f"adplatform-{source.name}"]
        assert archive["EventPattern"] == rules[estate.settings.queue_name(source.name)]["EventPattern"]
        assert archive["SourceArn"] == estate.arn("events", "event-bus/default")
        assert archive["KmsKeyIdentifier"]
    assert all(len(name) <= 48 for name in archives)


def test_who_reads_the_clean_zone_is_kept_where_nobody_can_change_it(assembly: Assembly, estate: Estate) -> None:
    [trail] = assembly.resources("AWS::CloudTrail::Trail")
    [selector] = trail.properties["AdvancedEventSelectors"]
    fields = {f["Field"]: f for f in selector["FieldSelectors"]}
    assert fields["resources.ARN"]["StartsWith"] == ["arn:aws:s3:::acme-ads-clean/"]
    bucket = assembly.named("AWS::S3::Bucket", trail.properties["S3BucketName"]).properties
    locked = bucket["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]["Days"]
    [expires] = [r["ExpirationInDays"] for r in bucket["LifecycleConfiguration"]["Rules"] if "ExpirationInDays" in r]
    assert 300 < locked < expires
    [policy] = [
        p.properties["PolicyDocument"]["Statement"]
        for p in assembly.resources("AWS::S3::BucketPolicy")
        if p.properties["Bucket"] == bucket["BucketName"]
    ]
    arn = estate.arn("cloudtrail", f"trail/{trail.properties['TrailName']}")
    allowed = [s for s in policy if s["Effect"] == "Allow"]
    assert {s["Action"] for s in allowed} == {"s3:GetBucketAcl", "s3:PutObject"}
    assert all(s["Condition"]["StringEquals"]["aws:SourceArn"] == arn for s in allowed)
    [key] = [k for k in assembly.resources("AWS::KMS::Key") if "cloudtrail" in json.dumps(k.properties)]
    aliases = {a.properties["TargetKeyId"]: a.properties["AliasName"] for a in assembly.resources("AWS::KMS::Alias")}
    assert aliases[assembly.arn(key.stack, key.logical)] == "alias/adplatform/logs"
    assert trail.properties["KMSKeyId"] in aliases


def test_each_pattern_has_a_dashboard_with_a_part_for_each_source(assembly: Assembly, estate: Estate) -> None:
    bodies = {
        each.properties["DashboardName"]: json.loads(each.properties["DashboardBody"])["widgets"]
        for each in assembly.resources("AWS::CloudWatch::Dashboard")
    }
    patterns = {PATTERNS[each.kind] for each in estate.sources}
    assert set(bodies) == {"adplatform", *(f"adplatform-{pattern}" for pattern in patterns)}
    for each in estate.sources:
        texts = [
            w["properties"]["markdown"] for w in bodies[f"adplatform-{PATTERNS[each.kind]}"] if w["type"] == "text"
        ]
        assert any(text.startswith(f"## {each.name}\n") for text in texts)
    for placed in bodies.values():
        assert len(placed) <= 500
        cells = Counter(
            (x, y)
            for w in placed
            for x in range(w["x"], w["x"] + w["width"])
            for y in range(w["y"], w["y"] + w["height"])
        )
        assert max(cells.values()) == 1, "no widget covers another"
        assert all(w["x"] + w["width"] <= 24 for w in placed)
        assert all(len(w["properties"].get("metrics", ())) <= MOST_LINES for w in placed)


def test_every_component_belongs_to_a_pattern() -> None:
    assert set(PATTERNS) == set(KINDS)


def test_dashboards_are_divided_where_they_would_have_more_metrics_than_cloudwatch_takes(estate: Estate) -> None:
    most = max(estate.sources, key=lambda each: len(tables_of(each)))
    bodies = dashboards(replace(estate, sources=(most,) * 400), [])
    lines = {
        name: sum(len(w["properties"].get("metrics", ())) for w in json.loads(body)["widgets"])
        for name, body in bodies.items()
    }
    assert max(lines.values()) <= 2500 < sum(lines.values())
    assert {"adplatform", "adplatform-2"} < set(bodies)
    assert max(map(len, bodies.values())) < 1_000_000, "each is a template of its own"


def test_a_pattern_with_very_many_sources_has_several_dashboards(estate: Estate) -> None:
    bodies = dashboards(replace(estate, sources=(estate.sources[0],) * 60), [])
    own = {name: body for name, body in bodies.items() if not re.fullmatch(r"adplatform(-\d+)?", name)}
    parts = [json.loads(body)["widgets"] for body in own.values()]
    assert len(parts) > 1
    assert max(map(len, parts)) <= 500
    assert sum("## " in w["properties"].get("markdown", "") for part in parts for w in part) == 60


def test_cloudwatch_takes_the_dashboards_and_alarms(tmp_path: Path) -> None:
    """Those of the sources of the demo, among which are reports, by the embedded AWS."""
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG.read_text().replace("deploy/tests/sources", "adplatform/defs"))
    estate = read_estate(read_config(file))
    wanted = alarms(estate)
    with ensure(tmp_path / "aws") as endpoint:
        cloudwatch = local_aws(endpoint.url).client("cloudwatch")
        for alarm in wanted:
            cloudwatch.put_metric_alarm(**alarm)
        found = [a for page in cloudwatch.get_paginator("describe_alarms").paginate() for a in page["MetricAlarms"]]
        assert {a["AlarmName"] for a in found} == {a["AlarmName"] for a in wanted}
        for name, body in dashboards(estate, wanted).items():
            cloudwatch.put_dashboard(DashboardName=name, DashboardBody=body)
            assert json.loads(cloudwatch.get_dashboard(DashboardName=name)["DashboardBody"]) == json.loads(body)
