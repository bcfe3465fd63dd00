"""Engines before their stand-ins, each with what a test needs to disturb it: the ground of the contract of all."""

from collections.abc import Callable
from dataclasses import dataclass

import boto3
from botocore.config import Config

from adplatform.engines.appflow import AppFlow
from adplatform.engines.engine import Engine
from adplatform.local.world.saas.server import Server
from adplatform.platform.aws import Aws
from adplatform_tests.local.aws.appflow_world import new_bucket, unique
from adplatform_tests.support.saas import make_flow, order_fault, records, wait_for_run, written


@dataclass(frozen=True)
class Bench:
    """An ``engine`` whose client asks once. ``foreign`` has somebody else start a run, ``order`` a fault by a name that
    all engines share, ``written`` gives the keys of what a run wrote. ``nowhere`` is an engine of a target that is not
    there."""

    engine: Engine
    foreign: Callable[[], str]
    wait: Callable[[str], object]
    order: Callable[..., None]
    runs: Callable[[], int]
    written: Callable[[str], set[str]]
    nowhere: Engine


def appflow_bench(aws: Aws, endpoint: str, saas: Server) -> Bench:
    bucket, flow = new_bucket(aws), unique("flow")
    make_flow(aws, saas.url, flow, "Campaign", ["Id", "Name"], bucket, "landing/crm")
    client = boto3.Session("local", "local", region_name=aws.region).client(
        "appflow", endpoint_url=endpoint, config=Config(retries={"total_max_attempts": 1})
    )

    def of(name: str) -> AppFlow:
        return AppFlow(client, aws.client("s3"), name, bucket, "landing/crm/")

    return Bench(
        of(flow),
        lambda: str(client.start_flow(flowName=flow)["executionId"]),
        lambda run: wait_for_run(aws, flow, run),
        lambda name, **more: order_fault(endpoint, name, flow, **more),
        lambda: len(records(aws, flow)),
        lambda run: set(written(aws, bucket, run)),
        of(unique("nobody")),
    )
