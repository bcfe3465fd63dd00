"""What a deployment costs a month before a file has come: ``python -m deploy.cost``, after ``make synth``.

Prices are parameters, in ``deploy/prices.yaml``. What is paid by use is named with its price, because nobody knows how
much of it there will be.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from adplatform.failures import PermanentFailure
from adplatform.platform.metrics import FEED, METRICS
from deploy.config import read_config
from deploy.estate import Estate, read_estate
from deploy.template import Assembly, Resource

HERE = Path(__file__).parent
HOURS = 730
_WORKER_CPUS = 4
"""Of a DPU of Glue (G.1X), and of a worker of EMR Serverless where a run says nothing else."""
_FREE = (
    *("AWS::AppFlow::ConnectorProfile", "AWS::DMS::Certificate", "AWS::DMS::Endpoint", "AWS::DMS::ReplicationTask"),
    *("AWS::DMS::ReplicationSubnetGroup", "AWS::EC2::InternetGateway", "AWS::EC2::Route", "AWS::EC2::RouteTable"),
    *("AWS::EC2::SecurityGroup", "AWS::EC2::SecurityGroupEgress", "AWS::EC2::SecurityGroupIngress"),
    *("AWS::EC2::Subnet", "AWS::EC2::SubnetRouteTableAssociation", "AWS::EC2::VPC", "AWS::EC2::VPCGatewayAttachment"),
    *("AWS::EC2::VPCEndpoint", "AWS::ECS::Cluster", "AWS::ElasticLoadBalancingV2::TargetGroup", "AWS::Events::Rule"),
    *("AWS::ElasticLoadBalancingV2::Listener", "AWS::Glue::Connection", "AWS::Glue::Database", "AWS::IAM::Role"),
    *("AWS::Glue::DataCatalogEncryptionSettings", "AWS::Glue::SecurityConfiguration", "AWS::KMS::Alias"),
    *("AWS::LakeFormation::PrincipalPermissions", "AWS::LakeFormation::Tag", "AWS::Lambda::EventInvokeConfig"),
    *("AWS::IAM::ManagedPolicy", "AWS::Logs::ResourcePolicy"),
    *("AWS::Athena::NamedQuery", "AWS::Athena::WorkGroup", "AWS::CleanRooms::ConfiguredTable"),
    *("AWS::EntityResolution::MatchingWorkflow", "AWS::EntityResolution::SchemaMapping"),
    *("AWS::QuickSight::DataSet", "AWS::QuickSight::DataSource", "AWS::QuickSight::RefreshSchedule"),
    "AWS::SageMaker::FeatureGroup",
    *("AWS::RDS::DBParameterGroup", "AWS::RDS::DBSubnetGroup", "AWS::S3::BucketPolicy", "AWS::SNS::Subscription"),
    *("AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy", "AWS::SecretsManager::ResourcePolicy"),
    *("AWS::ServiceDiscovery::Service", "AWS::Transfer::HostKey", "AWS::Transfer::User", "AWS::Transfer::Workflow"),
)
_BY_USE = {
    "AWS::AppFlow::Flow": ("appflow_run", "appflow_gigabyte"),
    "AWS::CloudTrail::Trail": ("trail_hundred_thousand_events",),
    "AWS::DataSync::Task": ("datasync_gigabyte",),
    "AWS::DynamoDB::Table": ("dynamodb_million_writes", "dynamodb_million_reads"),
    "AWS::EC2::FlowLog": ("log_gigabyte",),
    "AWS::EMRServerless::Application": ("emr_serverless_vcpu_hour", "emr_serverless_gigabyte_hour"),
    "AWS::ECS::TaskDefinition": (),
    "AWS::Events::Archive": ("s3_gigabyte",),
    "AWS::Glue::Crawler": ("glue_dpu_hour",),
    "AWS::Glue::Job": ("glue_dpu_hour",),
    "AWS::Lambda::Function": ("lambda_million_calls",),
    "AWS::Logs::LogGroup": ("log_gigabyte",),
    "AWS::S3::Bucket": ("s3_gigabyte", "s3_thousand_writes"),
    "AWS::SNS::Topic": ("messages_million",),
    "AWS::SQS::Queue": ("messages_million",),
    "AWS::Transfer::Connector": ("transfer_gigabyte",),
}
"""What costs by its use alone, and the prices of that."""


@dataclass(frozen=True)
class Prices:
    """USD; ``hourly`` and ``monthly`` of what is there, ``used`` of what is used. ``spark_run`` is no price: it is what
    a run of Spark is assumed to take."""

    hourly: dict[str, float]
    monthly: dict[str, float]
    used: dict[str, float]
    spark_run: dict[str, float]

    def a_month(self, name: str) -> float:
        return self.hourly[name] * HOURS if name in self.hourly else self.monthly[name]


@dataclass(frozen=True)
class Line:
    """``amount`` units of ``price`` USD a month each."""

    what: str
    amount: float
    price: float

    @property
    def cost(self) -> float:
        return self.amount * self.price


def read_prices(file: Path = HERE / "prices.yaml") -> Prices:
    """
    Raises:
        PermanentFailure: the file lacks a group of prices.
    """
    read = yaml.safe_load(file.read_text())
    try:
        return Prices(read["hourly"], read["monthly"], read["used"], read["spark_run"])
    except KeyError as e:
        raise PermanentFailure(f"{file}: {e.args[0]} is missing") from None


def cost_of(estate: Estate, assembly: Assembly, prices: Prices) -> tuple[list[Line], list[str]]:
    """What is there costs this much a month; and what is paid by use, as sentences.

    Raises:
        PermanentFailure: nobody has said what a type of resource costs.
    """
    lines: Counter[tuple[str, str]] = Counter()
    used: Counter[str] = Counter()
    for resource in assembly.every:
        if resource.type in _BY_USE:
            used[resource.type] += 1
        elif resource.type not in _FREE and not resource.type.startswith("AWS::DataSync::Location"):
            for what, name, amount in _there(assembly, resource):
                lines[what, name] += amount  # type: ignore[assignment]
    feeds = sum(len(each.source.feeds) for each in estate.sources)
    of_feeds = len([metric for metric in METRICS if FEED in metric.dimensions])
    lines["metrics", "metric"] += feeds * of_feeds + len(estate.sources) * (len(METRICS) - of_feeds)
    fixed = [Line(what, amount, prices.a_month(name)) for (what, name), amount in lines.items() if amount]
    by_use = [
        f"{kind.removeprefix('AWS::').replace('::', ' ')} ({count}): "
        + ", ".join(f"{price.replace('_', ' ')} {prices.used[price]:.4g} USD" for price in _BY_USE[kind])
        for kind, count in sorted(used.items())
        if _BY_USE[kind]
    ]
    return sorted(fixed, key=lambda line: -line.cost), by_use


def spark_runs(prices: Prices) -> list[str]:
    """What the assumed run of Spark costs on each service that may run it, as sentences."""
    assumed, used = prices.spark_run, prices.used
    idle = assumed["workers"] * _WORKER_CPUS * assumed["start_hours"]
    cpu_hours = assumed["gigabytes"] * assumed["cpu_seconds_gigabyte"] / 3600 + idle
    memory_hours = cpu_hours * assumed["gigabytes_a_cpu"]
    dpu_hours = cpu_hours / _WORKER_CPUS
    emr = cpu_hours * used["emr_serverless_vcpu_hour"] + memory_hours * used["emr_serverless_gigabyte_hour"]
    return [
        f"Glue: {dpu_hours:.1f} DPU-hours, {dpu_hours * used['glue_dpu_hour']:.2f} USD",
        f"EMR Serverless: {cpu_hours:.1f} vCPU-hours and {memory_hours:.1f} GB-hours, {emr:.2f} USD",
    ]


def _there(assembly: Assembly, resource: Resource) -> Iterator[tuple[str, str, float]]:
    """What of a resource is paid while it is there: what it is called, its price and how many."""
    said: dict[str, Any] = resource.properties
    kind = resource.type
    if kind == "AWS::ECS::Service":
        task = assembly.stacks[resource.stack]["Resources"][resource.raw["Properties"]["TaskDefinition"]["Ref"]]
        given, count = task["Properties"], int(said["DesiredCount"])
        yield "services: CPU", "fargate_cpu", count * int(given["Cpu"]) / 1024
        yield "services: memory, GB", "fargate_gigabyte", count * int(given["Memory"]) / 1024
    elif kind == "AWS::RDS::DBInstance":
        zones = 2 if said["MultiAZ"] else 1
        yield "database of Dagster, instances", "database_instance", zones
        yield "database of Dagster, GB", "database_gigabyte", zones * int(said["AllocatedStorage"])
    elif kind == "AWS::DMS::ReplicationInstance":
        yield "replication instances of DMS", "dms_instance", 2 if said.get("MultiAZ") else 1
    elif kind == "AWS::DMS::ReplicationConfig":
        least = said["ComputeConfig"].get("MinCapacityUnits", 1)
        yield "DMS Serverless, DCU at least", "dms_capacity", float(least)
    elif kind == "AWS::Transfer::Server":
        yield "SFTP servers", "transfer_protocol", len(said["Protocols"])
    elif kind in _EACH:
        what, name = _EACH[kind]
        yield what, name, 1
    else:
        raise PermanentFailure(f"{kind}: say in deploy/cost.py what it costs")


_EACH = {
    "AWS::CloudWatch::Alarm": ("alarms", "alarm"),
    "AWS::CloudWatch::Dashboard": ("dashboards", "dashboard"),
    "AWS::EC2::EIP": ("public addresses", "public_address"),
    "AWS::EC2::NatGateway": ("NAT gateways", "nat_gateway"),
    "AWS::ElasticLoadBalancingV2::LoadBalancer": ("load balancer", "load_balancer"),
    "AWS::KMS::Key": ("keys", "key"),
    "AWS::SecretsManager::Secret": ("secrets", "secret"),
    "AWS::ServiceDiscovery::PrivateDnsNamespace": ("private DNS zone", "private_zone"),
}
"""What costs the same, whatever its properties."""


def table(lines: list[Line]) -> list[str]:
    """As Markdown."""
    rows = [f"| {line.what} | {line.amount:g} | {line.price:.2f} | {line.cost:.2f} |" for line in lines]
    total = sum(line.cost for line in lines)
    head = ["| what | amount | USD a month each | USD a month |", "|---|---:|---:|---:|"]
    return [*head, *rows, f"| **all that is there** | | | **{total:.0f}** |"]


def main() -> None:
    folder = HERE / "cdk.out"
    if not folder.is_dir():
        sys.exit(f"{folder} is missing: run `make synth`")
    try:
        lines, by_use = cost_of(read_estate(read_config()), Assembly(folder), read_prices())
    except PermanentFailure as e:
        sys.exit(str(e))
    prices = read_prices()
    runs = f"A run of Spark over {prices.spark_run['gigabytes']:g} GB, as prices.yaml assumes it:"
    used = ["By use:", *(f"- {each}" for each in by_use), "", runs, *(f"- {each}" for each in spark_runs(prices))]
    print("\n".join([*table(lines), "", *used]))


if __name__ == "__main__":
    main()
