"""Spark for deliveries and merges that outgrow one machine: ``adplatform.jobs.spark`` runs as a job of Glue where
settings say so, otherwise in an application of EMR Serverless.

Neither costs anything while nothing runs. What a run stages is published by whoever started it.
"""

from dataclasses import replace

from adplatform.engines.declared_spark import glue_job
from adplatform.engines.emr_application import application
from adplatform.engines.spark_package import PACKAGE_KEY
from adplatform.lake.zones import ENGINE_WORK
from adplatform.platform import names
from deploy.config import Spark
from deploy.engines.glue import logged, measured
from deploy.estate import Estate
from deploy.properties import properties
from deploy.resources import ResourceStack
from deploy.roles import Statement, add_role, allow, merged, service
from deploy.stacks.keys import KeysStack


def add(stack: ResourceStack, estate: Estate, keys: KeysStack, spark: Spark, security: str) -> None:
    """What runs the job, and the role of its runs. ``security`` is the logical id of how jobs of Glue encrypt."""
    if estate.settings.spark == "glue":
        _job(stack, estate, keys, security)
    else:
        _application(stack, estate, keys, spark)


def _job(stack: ResourceStack, estate: Estate, keys: KeysStack, security: str) -> None:
    """Its script and package are put by `adplatform provision`, which makes them."""
    role = add_role(
        stack,
        *("spark", "role"),
        name=names.SPARK_ROLE,
        description="Transforms deliveries by Spark.",
        trusted=[service("glue", estate)],
        statements=merged([*_deliveries(estate, keys), *logged(estate, "/aws-glue/jobs*"), measured()]),
    )
    settings = replace(estate.settings, spark_role=estate.role(names.SPARK_ROLE))
    wanted = glue_job(settings, estate.zones, estate.zones.raw_uri(PACKAGE_KEY)).request
    stack.add(
        *("spark", "job"),
        type="AWS::Glue::Job",
        properties={**properties(wanted, kept=["DefaultArguments"]), "SecurityConfiguration": names.PLATFORM},
        after=[security, role],
    )


def _application(stack: ResourceStack, estate: Estate, keys: KeysStack, spark: Spark) -> None:
    group = f"{names.LOG_PREFIX}spark"
    logs = stack.log_group(group, keys.logs.key_arn)
    to_logs = {"Enabled": True, "LogGroupName": group, "EncryptionKeyArn": keys.logs.key_arn}
    stack.add(
        *("spark", "application"),
        type="AWS::EMRServerless::Application",
        properties={
            **properties(application(spark.release, spark.cpus, spark.memory_gb, spark.idle_minutes)),
            "MonitoringConfiguration": {
                "CloudWatchLoggingConfiguration": to_logs,
                # It would keep logs under a key of the service.
                "ManagedPersistenceMonitoringConfiguration": {"Enabled": False},
            },
        },
        after=[logs],
    )
    add_role(
        stack,
        *("spark", "role"),
        name=names.SPARK_ROLE,
        description="Transforms deliveries by Spark.",
        trusted=[service("emr-serverless", estate)],
        statements=statements(estate, keys, group),
    )


def statements(estate: Estate, keys: KeysStack, group: str) -> list[Statement]:
    """What the job needs, and EMR in its name (EMR Serverless user guide, "Job runtime roles", "Logging with
    CloudWatch")."""
    return [
        *_deliveries(estate, keys),
        allow(
            ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            estate.arn("logs", f"log-group:{group}:*"),
            why="EMR names streams by job.",
        ),
        allow(["logs:DescribeLogGroups"], "*", why="EMR looks for the group, and a list has no resource."),
        allow(["kms:Decrypt", "kms:GenerateDataKey"], keys.logs.key_arn),
    ]


def _deliveries(estate: Estate, keys: KeysStack) -> list[Statement]:
    """What ``adplatform.jobs.spark`` calls: it reads the version of an object that it is given."""
    read = [estate.raw(f"{prefix}*") for prefix in ("landing/", "archive/", "prepared/", "jobs/")]
    staged = estate.raw(f"{ENGINE_WORK}*")
    files = "A job reads the files of the delivery that it is given, of whatever source."
    tables = "A merge reads the files of the tables that it is given, of whatever source."
    own = "Executors name the files that they stage."
    listed = ["landing/*", "archive/*", "prepared/*", "jobs/*"]
    return [
        allow(["s3:GetObject", "s3:GetObjectVersion"], *read, why=files),
        allow(["s3:ListBucket"], estate.raw(), StringLike={"s3:prefix": listed}),
        allow(["s3:GetObject"], estate.clean("table-versions/*"), why=tables),
        allow(["s3:PutObject", "s3:AbortMultipartUpload"], staged, why=own),
        allow(["kms:Decrypt", "kms:GenerateDataKey"], keys.data.key_arn),
        allow(
            ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"],
            estate.secret(estate.settings.hash_key_secret),
        ),
        allow(["kms:Decrypt"], keys.secrets.key_arn),
    ]
