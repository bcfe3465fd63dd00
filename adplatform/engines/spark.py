"""Runs of Spark that transform deliveries, as an engine: those of AWS Glue or of EMR Serverless, as settings say.

An intention is one try of one delivery. Its plan is in the raw zone before it is started, and what a run brings is
below a prefix of that try, where its result is written last. So two runs of one try, where an answer was lost, do each
other no harm. Runs go on beside each other, of one feed as of several.
"""

from dataclasses import replace
from datetime import timedelta
from functools import partial

from adplatform.engines.declared_spark import REGION, TARGET, require_spark
from adplatform.engines.engine import Engine, Run
from adplatform.flow.services import Services
from adplatform.flow.transforms import output_prefix as spark_output_prefix
from adplatform.flow.transforms import plan_key as spark_plan_key
from adplatform.ledger.engine_run import Intention, RunState
from adplatform.platform.aws_errors import aws_failures
from adplatform.transform.job_plan import OUTPUT, PLAN, RESULT

STAGED = "prepared/spark/"
"""Below it the raw zone has plans, and what runs stage."""
LONGEST_RUN = timedelta(hours=8)
"""After it a run is ended by its service."""


def spark_engine(services: Services, source: str, target: str) -> Engine:
    """The runs that transform deliveries of a source, ``target`` being the name of what is transformed.

    Raises:
        PermanentFailure: settings name no Spark, or lack what it needs.
    """
    # ruff: noqa: PLC0415 - each takes what is here
    settings = services.settings
    require_spark(settings)
    if settings.spark == "glue":
        from adplatform.engines.glue_runs import GlueRuns
        from adplatform.engines.spark_glue import SparkOnGlue

        made = "`adplatform provision` makes it" if settings.spark_role else "make it, or correct ADPLATFORM_SPARK_JOB"
        once = partial(services.aws.client_once, "glue")
        return SparkOnGlue(services, f"{source}/{target}", GlueRuns(settings.spark_job, services.glue, once, made))
    from adplatform.engines.spark_emr import SparkOnEmr

    emr = services.aws.client("emr-serverless")
    return SparkOnEmr(services, f"{source}/{target}", emr, partial(services.aws.client_once, "emr-serverless"))


def arguments(services: Services, intention: Intention, mark: str) -> dict[str, str]:
    """What a run is given; ``mark`` says whose it is."""
    zones = services.zones
    return {
        PLAN: zones.raw_uri(spark_plan_key(intention)),
        OUTPUT: zones.raw_uri(spark_output_prefix(intention)),
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
