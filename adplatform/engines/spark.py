"""What transforms deliveries and merges changes, as an engine: Spark on AWS Glue or on EMR Serverless, as settings
say."""

from functools import partial

from adplatform.engines.declared_spark import require_spark
from adplatform.engines.engine import Engine
from adplatform.flow.services import Services


def spark_engine(services: Services, source: str, target: str) -> Engine:
    """The runs for a ``target`` of a source, which is named after the table that they make.

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
