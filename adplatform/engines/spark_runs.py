"""Runs of Spark that transform deliveries: what each is given, and when one has brought something.

An intention is one try of one delivery. Its plan is in the raw zone before it is started, and what a run brings is
below a prefix of that try, where its result is written last. So two runs of one try, where an answer was lost, do each
other no harm. Runs go on beside each other, of one feed as of several.
"""

from dataclasses import replace
from datetime import timedelta

from adplatform.engines.declared_spark import REGION, TARGET
from adplatform.engines.engine import Run
from adplatform.flow.services import Services
from adplatform.flow.transforms import output_prefix, plan_key
from adplatform.ledger.engine_run import Intention, RunState
from adplatform.platform.aws_errors import aws_failures
from adplatform.transform.job_plan import OUTPUT, PLAN, RESULT

LONGEST_RUN = timedelta(hours=8)
"""After it a run is ended by its service."""


def arguments(services: Services, intention: Intention, mark: str) -> dict[str, str]:
    """What a run is given; ``mark`` says whose it is."""
    zones = services.zones
    return {
        PLAN: zones.raw_uri(plan_key(intention)),
        OUTPUT: zones.raw_uri(output_prefix(intention)),
        REGION: services.aws.region,
        TARGET: mark,
    }


def with_result(services: Services, run: Run, output: str) -> Run:
    """A run as its result has it: one that succeeded without writing any below ``output`` has failed."""
    if run.state is not RunState.SUCCEEDED:
        return run
    bucket, below = services.zones.raw_bucket, services.zones.raw_uri("")
    key = f"{output.removeprefix(below)}{RESULT}" if output.startswith(below) else ""
    with aws_failures(key or "the result of a run"):
        if services.store.is_there(bucket, key):
            return run
    text = "it ended without a result: is its script adplatform.transform.spark_job?"
    return replace(run, state=RunState.FAILED, message=text)
