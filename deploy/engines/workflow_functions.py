"""The Lambda functions of managed workflows: the platform's own code, which needs nothing but boto3 there.

As an archive they are a few hundred kB and begin in about a second; the platform's image is some hundred MB and would
need Lambda's runtime client in it. An archive is made by the synthesis, which an image would need docker for.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from aws_cdk import IgnoreMode
from aws_cdk.aws_s3_assets import Asset

from adplatform.contracts.sftp_server import Workflow
from adplatform.engines.sftp.workflow_functions import HANDLERS, environment_of, functions_of, time_of
from adplatform.platform import names
from adplatform.platform.settings import PREFIX
from deploy.estate import PROJECT, Estate
from deploy.properties import tls_only
from deploy.resources import ResourceStack
from deploy.roles import Statement, add_role, allow
from deploy.stacks.keys import KeysStack

RUNTIME = "python3.13"
"""The newest that the platform supports."""
PACKAGE = ["*", "!adplatform", "!adplatform/**", "adplatform/local", "adplatform/defs", "__pycache__"]
"""What the archive leaves out, in the order and language of .gitignore."""
_MEMORY = 512
_DEAD_DAYS = 14


def add_functions(stack: ResourceStack, estate: Estate, keys: KeysStack, workflows: Sequence[Workflow]) -> list[str]:
    """The functions that workflows name, by their logical ids; those named by an ARN are somebody else's. One that
    several call has to end in the time of each."""
    handlers: dict[str, str] = {}
    times: dict[str, timedelta] = {}
    for workflow in workflows:
        for name, handler in functions_of(workflow):
            if not name.startswith("arn:"):
                handlers[name] = handler
                times[name] = min(times.get(name, time_of(workflow)), time_of(workflow))
    if not handlers:
        return []
    package = Asset(stack, "WorkflowPackage", path=str(PROJECT), exclude=PACKAGE, ignore_mode=IgnoreMode.GIT)
    code = {"S3Bucket": package.s3_bucket_name, "S3Key": package.s3_object_key}
    dead = _dead_letters(stack, estate, keys)
    called = sorted(handlers.items())
    return [_function(stack, estate, keys, code, dead, name, handler, times[name]) for name, handler in called]


def _function(
    stack: ResourceStack,
    estate: Estate,
    keys: KeysStack,
    code: dict[str, Any],
    dead: str,
    name: str,
    handler: str,
    time: timedelta,
) -> str:
    group = f"{names.LOG_PREFIX}transfer/{name}"
    logs = stack.log_group(group, keys.logs.key_arn)
    role = add_role(
        stack,
        *("workflow", name, "role"),
        name=name,
        description=f"The function {name} of managed workflows.",
        trusted=[_lambda()],
        statements=function_statements(estate, keys, group),
    )
    reserved = estate.config.uploads.concurrency
    answers = {"L1": "The platform runs on Python 3.11 to 3.13."}
    function = stack.add(
        *("workflow", name),
        type="AWS::Lambda::Function",
        properties={
            "FunctionName": name,
            "Description": "Looks at what partners uploaded by SFTP.",
            "Runtime": RUNTIME,
            "Architectures": ["arm64"],
            "Handler": f"{HANDLERS}.{handler}",
            "Code": code,
            "Role": {"Fn::GetAtt": [role, "Arn"]},
            "Timeout": int(time.total_seconds()),
            "MemorySize": _MEMORY,
            "Environment": {"Variables": {**environment_of(estate.settings), f"{PREFIX}ENV": "aws"}},
            "DeadLetterConfig": {"TargetArn": estate.arn("sqs", names.UPLOADS_DEAD_LETTERS)},
            "LoggingConfig": {"LogFormat": "JSON", "LogGroup": group},
            **({"ReservedConcurrentExecutions": reserved} if reserved else {}),
        },
        after=[logs, dead],
        answers=answers,
    )
    # A step that has not answered in its time has failed, so a call that waited longer is of no use.
    stack.add(
        *("workflow", name, "calls"),
        type="AWS::Lambda::EventInvokeConfig",
        properties={
            "FunctionName": {"Ref": function},
            "Qualifier": "$LATEST",
            "MaximumRetryAttempts": 2,
            "MaximumEventAgeInSeconds": max(60, int(time.total_seconds())),
        },
    )
    return function


def _dead_letters(stack: ResourceStack, estate: Estate, keys: KeysStack) -> str:
    """Where calls go that failed to the last: their uploads are looked at by the flow alone."""
    name = names.UPLOADS_DEAD_LETTERS
    made = stack.add(
        *("workflow", "dead letters"),
        type="AWS::SQS::Queue",
        properties={
            "QueueName": name,
            "MessageRetentionPeriod": int(timedelta(days=_DEAD_DAYS).total_seconds()),
            "KmsMasterKeyId": keys.messages.key_arn,
        },
        answers={"SQS3": "It is the one for dead letters."},
    )
    arn = estate.arn("sqs", name)
    document = {"Version": "2012-10-17", "Statement": [tls_only("sqs:*", arn)]}
    policy = {"Queues": [{"Ref": made}], "PolicyDocument": document}
    stack.add(*("workflow", "dead letters", "policy"), type="AWS::SQS::QueuePolicy", properties=policy)
    return made


def function_statements(estate: Estate, keys: KeysStack, group: str) -> list[Statement]:
    """What the handlers call (``adplatform.engines.sftp.transfer_workflow``), and what Lambda does in their name."""
    raw, own = estate.settings.raw_bucket, "Streams are named by Lambda."
    uploads = "Whatever partners have uploaded is looked at, whoever they are."
    ids = "Transfer Family gives workflows their ids."
    objects = ["s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectTagging", "s3:GetObjectVersionTagging"]
    return [
        allow(["logs:CreateLogStream", "logs:PutLogEvents"], estate.arn("logs", f"log-group:{group}:*"), why=own),
        allow(objects, estate.raw("landing/*"), why=uploads),
        # Without it S3 answers a file that is gone as one that is forbidden.
        allow(["s3:ListBucket"], estate.bucket(raw)),
        allow(["kms:Decrypt"], keys.data.key_arn),
        allow(["dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:DeleteItem"], estate.ledger),
        allow(["kms:Decrypt"], keys.ledger.key_arn),
        allow(["sns:Publish"], estate.topic(estate.settings.failure_topic)),
        allow(["sqs:SendMessage"], estate.arn("sqs", names.UPLOADS_DEAD_LETTERS)),
        allow(["kms:Decrypt", "kms:GenerateDataKey"], keys.messages.key_arn),
        allow(["transfer:SendWorkflowStepState"], estate.arn("transfer", "workflow/*"), why=ids),
    ]


def _lambda() -> dict[str, Any]:
    """Lambda says of no source for which it assumes a role; a function passes it by iam:PassRole alone."""
    principal = {"Service": "lambda.amazonaws.com"}
    return {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
