"""``python -m deploy.app`` writes ``deploy/cdk.out``. It needs no account, no network, no docker and no npm package."""

import json
import os
import sys
from pathlib import Path

import aws_cdk as cdk

from adplatform.failures import PermanentFailure
from adplatform.platform import names
from deploy.config import read_config
from deploy.estate import Estate, read_estate
from deploy.resources import ResourceStack
from deploy.stacks.catalog import CatalogStack
from deploy.stacks.consumers import ConsumersStack
from deploy.stacks.data import DataStack
from deploy.stacks.ingestion import IngestionStack
from deploy.stacks.keys import KeysStack
from deploy.stacks.network import NetworkStack
from deploy.stacks.observability import ObservabilityStack, of_sources
from deploy.stacks.orchestration import OrchestrationStack

HERE = Path(__file__).parent


def build(estate: Estate, outdir: str) -> cdk.App:
    """The app, not yet synthesized. cdk-nag looks at it; what it finds and nobody has answered fails the synthesis."""
    from cdk_nag import AwsSolutionsChecks  # noqa: PLC0415 - takes seconds

    # The command line of CDK reads cdk.json by itself, nobody else does.
    flags = json.loads((HERE / "cdk.json").read_text())["context"]
    app = cdk.App(analytics_reporting=False, outdir=outdir, context=flags)
    env = cdk.Environment(account=estate.account, region=estate.region)
    keys = KeysStack(app, f"{names.PLATFORM}-keys", estate, env=env)
    network = NetworkStack(app, f"{names.PLATFORM}-network", estate, keys, env=env)
    orchestration = OrchestrationStack(app, f"{names.PLATFORM}-orchestration", estate, keys, env=env)
    data = DataStack(app, f"{names.PLATFORM}-data", estate, keys, env=env)
    catalog = CatalogStack(app, f"{names.PLATFORM}-catalog", estate, keys, env=env)
    ingestion = IngestionStack(app, f"{names.PLATFORM}-ingestion", estate, keys, env=env)
    consumers = ConsumersStack(app, f"{names.PLATFORM}-consumers", estate, keys, env=env)
    for earlier in (data, catalog):
        consumers.add_stack_dependency(earlier)
    for earlier in (network, data):  # engines try the way, and the bucket, when they are made
        ingestion.add_stack_dependency(earlier)
    for earlier in (network, catalog):  # runs are granted a tag that the catalog has
        orchestration.add_stack_dependency(earlier)
    observability = ObservabilityStack(app, f"{names.PLATFORM}-observability", estate, keys, env=env)
    watched = of_sources(app, estate, env=env)
    for each in watched:  # an alarm that the former had goes before the latter makes one of its name
        each.add_stack_dependency(observability)
    stacks: list[ResourceStack] = [data, catalog, ingestion, consumers, network, orchestration, observability, *watched]
    for stack in stacks:
        if not stack.include():
            app.node.try_remove_child(stack.node.id)  # CloudFormation takes no empty stack
    cdk.Tags.of(app).add(names.PLATFORM_TAG, names.PLATFORM)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    return app


def main() -> None:
    try:
        estate = read_estate(read_config())
    except PermanentFailure as e:
        sys.exit(str(e))
    for name in estate.left_out:
        print(f"{name} is simulated, and left out", file=sys.stderr)
    build(estate, os.environ.get("CDK_OUTDIR") or str(HERE / "cdk.out")).synth()


if __name__ == "__main__":
    main()
