"""EMR Serverless, for deliveries that outgrow one machine: ``adplatform.transform.spark_job`` runs there.

It costs nothing while nothing runs. What it stages is published by whoever started it.
"""

from adplatform.platform import names
from deploy.config import Spark
from deploy.estate import Estate
from deploy.resources import ResourceStack
from deploy.roles import Statement, add_role, allow, service
from deploy.stacks.keys import KeysStack

STAGED = "prepared/spark/"
"""Below this prefix of the raw bucket a job may write: what it stages holds rows in clear, and goes after a week."""


def add(stack: ResourceStack, estate: Estate, keys: KeysStack, spark: Spark) -> None:
    """The application and the role of its jobs."""
    group = f"{names.LOG_PREFIX}spark"
    logs = stack.log_group(group, keys.logs.key_arn)
    to_logs = {"Enabled": True, "LogGroupName": group, "EncryptionKeyArn": keys.logs.key_arn}
    stack.add(
        *("spark", "application"),
        type="AWS::EMRServerless::Application",
        properties={
            "Name": names.PLATFORM,
            "Type": "SPARK",
            "ReleaseLabel": spark.release,
            "Architecture": "ARM64",
            "MaximumCapacity": {"Cpu": f"{spark.cpus} vCPU", "Memory": f"{spark.memory_gb} GB"},
            "AutoStartConfiguration": {"Enabled": True},
            "AutoStopConfiguration": {"Enabled": True, "IdleTimeoutMinutes": spark.idle_minutes},
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
    """What ``adplatform.transform.spark_job`` needs, and EMR in its name (EMR Serverless user guide, "Job runtime
    roles", "Logging with CloudWatch")."""
    read = [estate.raw(f"{prefix}*") for prefix in ("landing/", "archive/", "prepared/", "jobs/")]
    staged = estate.raw(f"{STAGED}*")
    files = "A job reads the files of the delivery that it is given, of whatever source."
    own = "Spark names the files that it stages."
    listed = ["landing/*", "archive/*", "prepared/*", "jobs/*"]
    return [
        allow(["s3:GetObject"], *read, why=files),
        allow(["s3:ListBucket"], estate.raw(), StringLike={"s3:prefix": listed}),
        allow(["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"], staged, why=own),
        allow(["kms:Decrypt", "kms:GenerateDataKey"], keys.data.key_arn),
        allow(
            ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"],
            estate.secret(estate.settings.hash_key_secret),
        ),
        allow(["kms:Decrypt"], keys.secrets.key_arn),
        allow(
            ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            estate.arn("logs", f"log-group:{group}:*"),
            why="EMR names streams by job.",
        ),
        allow(["logs:DescribeLogGroups"], "*", why="EMR looks for the group, and a list has no resource."),
        allow(["kms:Decrypt", "kms:GenerateDataKey"], keys.logs.key_arn),
    ]
