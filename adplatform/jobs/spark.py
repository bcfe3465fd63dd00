"""The script that Glue or EMR Serverless runs for what outgrows one machine: the transform of a delivery, or a merge of
changes, as the plan says. pyspark comes with the service, so it is imported when the script runs.
"""

import argparse
import json
from collections.abc import Sequence

from adplatform.changes import spark_merge
from adplatform.changes.merge_plan import MergePlan
from adplatform.platform.calls import SPARK_JOB, acting
from adplatform.platform.extras import SPARK, extra
from adplatform.transform import spark_job
from adplatform.transform.job_plan import OUTPUT, PLAN, RESULT, JobPlan
from adplatform.transform.spark_objects import Objects


@acting(SPARK_JOB)
def main(arguments: Sequence[str] | None = None) -> None:
    """Carry out one plan.

    ``--plan`` is the URI of a :class:`~adplatform.transform.job_plan.JobPlan` or a
    :class:`~adplatform.changes.merge_plan.MergePlan`, ``--output`` a prefix that ends with ``/`` and below which
    nothing is, ``--region`` that of AWS. What else the service passes is not looked at. The last that is written is the
    result.

    Raises:
        PermanentFailure: the plan cannot be had, or there is no pyspark; what forbids the work is in the result.
        TransientFailure: a service does not answer.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument(PLAN, required=True)
    parser.add_argument(OUTPUT, required=True)
    parser.add_argument("--region", default="us-east-1")
    given, _ = parser.parse_known_args(arguments)

    with extra(SPARK):
        from pyspark.sql import SparkSession  # noqa: PLC0415
    objects = Objects(given.region)
    body, output = objects.read(given.plan), f"{given.output.removesuffix('/')}/"
    spark = SparkSession.builder.getOrCreate()
    if json.loads(body).get("work") == "merge":
        merged = spark_merge.carry_out(spark, MergePlan.model_validate_json(body), output)
        objects.write(f"{output}{RESULT}", merged.model_dump_json().encode())
    else:
        made = spark_job.carry_out(spark, JobPlan.model_validate_json(body), output, objects)
        objects.write(f"{output}{RESULT}", made.model_dump_json().encode())


if __name__ == "__main__":
    main()
