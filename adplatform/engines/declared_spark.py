"""The Spark for what outgrows one machine, as settings name it: the script of its runs, what is
installed with them, and the job of AWS Glue where that is the Spark.

Facts: Glue developer guide, "Using Python libraries" (wheels of S3, modules that are provided), "Auto Scaling".
"""

from collections.abc import Sequence

from adplatform.engines import made_jobs
from adplatform.engines.engine import Finding
from adplatform.engines.made_jobs import BOOKMARK, NO_BOOKMARK, MadeJob
from adplatform.failures import PermanentFailure
from adplatform.flow.services import Services
from adplatform.lake.zones import Zones
from adplatform.platform.aws_errors import aws_failures
from adplatform.platform.settings import Settings
from adplatform.transform.job_plan import OUTPUT, PLAN

SCRIPT = b"from adplatform.jobs.spark import main\n\nmain()\n"
FOLDER = "jobs/transform/"
"""Below which the raw zone has what runs need."""
SCRIPT_KEY = f"{FOLDER}transform.py"
REGION, TARGET = "--region", "--target"
"""Arguments of a run beside those of its plan; the latter says whose run it is, ``source/target``."""
GLUE_VERSION = "5.1"
"""Spark 3.5, Python 3.11."""
MOST_RUNS = 20
"""Runs of the job of Glue that go on at once."""
_MODULES, _SCALING = "--additional-python-modules", "--enable-auto-scaling"


def glue_job(settings: Settings, zones: Zones, package: str) -> MadeJob:
    """The job of Glue; ``package`` is the place of what is installed with its runs. Workers are added as a run needs
    them, up to the number that is set."""
    script = zones.raw_uri(SCRIPT_KEY)
    return MadeJob(
        request={
            "Name": settings.spark_job,
            "Description": "Transforms deliveries, and merges changes, that outgrow one machine, for adplatform.",
            "Role": settings.spark_role,
            "Command": {"Name": "glueetl", "ScriptLocation": script, "PythonVersion": "3"},
            "DefaultArguments": {_MODULES: package, BOOKMARK: NO_BOOKMARK, _SCALING: "true"},
            "ExecutionProperty": {"MaxConcurrentRuns": MOST_RUNS},
            "MaxRetries": 0,
            "GlueVersion": GLUE_VERSION,
            "WorkerType": settings.spark_worker_type,
            "NumberOfWorkers": settings.spark_workers,
        },
        made=bool(settings.spark_role),
        script=SCRIPT,
        script_key=SCRIPT_KEY,
        decided=(_MODULES, _SCALING),
        of_runs=(PLAN, OUTPUT, TARGET),
        runs="",
        repeats="a run that Glue repeats by itself costs once more, and nobody follows it",
        others_name="ADPLATFORM_SPARK_JOB",
        others_own="For a job of your own leave ADPLATFORM_SPARK_ROLE out",
    )


def provide(services: Services, package: str) -> None:
    """Put the script of runs into the raw zone, and make the job of Glue, or change what differs.

    Raises:
        PermanentFailure: AWS refuses it.
    """
    put_script(services)
    if services.settings.spark == "glue":
        made_jobs.provide(services, glue_job(services.settings, services.zones, package))


def put_script(services: Services) -> None:
    """
    Raises:
        PermanentFailure: AWS refuses it.
    """
    zones = services.zones
    with aws_failures(zones.raw_uri(SCRIPT_KEY)):
        services.s3.put_object(Bucket=zones.raw_bucket, Key=SCRIPT_KEY, Body=SCRIPT, **zones.put_arguments)


def script_findings(services: Services, of: str) -> Sequence[Finding]:
    """Whether the script of runs is where it is looked for, and ours; ``of`` begins what is found."""
    return made_jobs.stored_findings(services, of, SCRIPT_KEY, SCRIPT)


def require_spark(settings: Settings) -> None:
    """
    Raises:
        PermanentFailure: settings name no Spark, or lack what it needs.
    """
    if not settings.spark:
        raise PermanentFailure("no Spark is set: ADPLATFORM_SPARK says which (glue or emr-serverless)")
    if settings.spark == "emr-serverless" and not settings.spark_role.startswith("arn:"):
        raise PermanentFailure("ADPLATFORM_SPARK_ROLE has to be the ARN of the role of EMR Serverless runs")
