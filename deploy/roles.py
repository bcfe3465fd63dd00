"""Who may do what: the statements of each role, as plain data.

What a role of the platform needs is what its calls are recorded to be; what the role of a service needs is in that
service's documentation, and named there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adplatform.platform import names
from deploy.estate import Estate
from deploy.resources import ResourceStack
from deploy.stacks.keys import KeysStack


@dataclass(frozen=True)
class Statement:
    """What is allowed. ``why`` is the reason for what stands for more than one thing: a resource or an action with
    ``*``."""

    actions: Sequence[str]
    resources: Sequence[str]
    condition: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""

    @property
    def document(self) -> dict[str, Any]:
        conditions = {"Condition": dict(self.condition)} if self.condition else {}
        return {"Effect": "Allow", "Action": [*self.actions], "Resource": [*self.resources], **conditions}

    @property
    def answers(self) -> dict[str, str]:
        """To what cdk-nag finds in it.

        Raises:
            ValueError: it stands for more than one thing, and nobody says why.
        """
        wide = [f"Resource::{each}" for each in self.resources if "*" in each]
        wide += [f"Action::{each}" for each in self.actions if "*" in each]
        if wide and not self.why:
            raise ValueError(f"{wide[0]}: say why it stands for more than one thing")
        return {f"IAM5[{each}]": self.why for each in wide}


def allow(actions: Sequence[str], *resources: str, why: str = "", **condition: Any) -> Statement:
    """``condition`` are operators, each with its keys and values."""
    return Statement(actions, resources, condition, why)


def merged(statements: Sequence[Statement]) -> list[Statement]:
    """What several need of one role: each once, and the same actions under the same condition together."""
    found: dict[str, Statement] = {}
    for each in statements:
        key = repr((tuple(each.actions), each.condition, each.why))
        known = found.get(key)
        resources = dict.fromkeys([*(known.resources if known else ()), *each.resources])
        found[key] = Statement(each.actions, tuple(resources), each.condition, each.why)
    return list(found.values())


def add_role(
    stack: ResourceStack,
    *path: str,
    name: str,
    description: str,
    trusted: Sequence[Mapping[str, Any]],
    statements: Sequence[Statement],
) -> str:
    """A role with one policy of its own; its logical id. ``trusted`` says who may assume it."""
    document = {"Version": "2012-10-17", "Statement": [each.document for each in statements]}
    wanted = {
        "RoleName": name,
        "Description": description,
        "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [*trusted]},
        "Policies": [{"PolicyName": "own", "PolicyDocument": document}] if statements else [],
    }
    answers = {rule: why for each in statements for rule, why in each.answers.items()}
    return stack.add(*path, type="AWS::IAM::Role", properties=wanted, answers=answers)


def add_policy(
    stack: ResourceStack, *path: str, name: str, description: str, of: Sequence[str], statements: Sequence[Statement]
) -> str:
    """A policy that roles have beside their own, by their logical ids; its logical id."""
    wanted = {
        "ManagedPolicyName": name,
        "Description": description,
        "PolicyDocument": {"Version": "2012-10-17", "Statement": [each.document for each in statements]},
        "Roles": [{"Ref": each} for each in of],
    }
    answers = {rule: why for each in statements for rule, why in each.answers.items()}
    return stack.add(*path, type="AWS::IAM::ManagedPolicy", properties=wanted, answers=answers)


def service(name: str, estate: Estate, **condition: Any) -> dict[str, Any]:
    """A service of AWS may assume the role, for resources of this account alone."""
    return {
        "Effect": "Allow",
        "Principal": {"Service": f"{name}.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": estate.account}, **condition},
    }


def partner_statements(estate: Estate, keys: KeysStack, source: str) -> list[Statement]:
    """A partner puts files into its own part of the landing zone; large ones in parts, for which S3 decrypts what it
    has of them (S3 User Guide, "Multipart upload API and permissions")."""
    landing = estate.raw(f"{estate.zones.landing(source)}*")
    own = "A partner names its files itself, below its own prefix."
    return [
        allow(["s3:PutObject", "s3:AbortMultipartUpload"], landing, why=own),
        allow(["kms:GenerateDataKey", "kms:Decrypt"], keys.data.key_arn),
    ]


_USES = ["kms:Decrypt", "kms:GenerateDataKey"]
NO_RESOURCE = "The action knows no resource (Service Authorization Reference)."


def execution_statements(estate: Estate, keys: KeysStack) -> list[Statement]:
    """ECS Developer Guide, "Amazon ECS task execution IAM role"."""
    repository = estate.arn("ecr", f"repository/{estate.config.image.repository}")
    streams = estate.arn("logs", f"log-group:{names.LOG_PREFIX}*:*")
    return [
        allow(["ecr:GetAuthorizationToken"], "*", why=NO_RESOURCE),
        allow(["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"], repository),
        allow(["logs:CreateLogStream", "logs:PutLogEvents"], streams, why="Each task has a stream of its own."),
        allow(["secretsmanager:GetSecretValue"], estate.secret(names.DATABASE_SECRET)),
        allow(["kms:Decrypt"], keys.dagster.key_arn),
    ]


def daemon_statements(estate: Estate, keys: KeysStack) -> list[Statement]:
    """It launches runs and watches over them; sensors work in the code server."""
    passed = [names.EXECUTION_ROLE, names.RUN_ROLE, *(names.run_role(each.name) for each in estate.sources)]
    cluster = estate.arn("ecs", f"cluster/{names.CLUSTER}")
    tasks = estate.arn("ecs", f"task/{names.CLUSTER}/*")
    definitions = estate.arn("ecs", f"task-definition/{names.RUN_FAMILY}:*")
    revisions = "Each deployment is a new revision."
    of_cluster = {"ecs:cluster": cluster}
    return [
        allow(["ecs:RunTask"], definitions, why=revisions, ArnEquals=of_cluster),
        allow(["ecs:DescribeTasks", "ecs:StopTask"], tasks, why="Tasks of the cluster have random ids."),
        allow(["ecs:TagResource"], tasks, why="As above.", StringEquals={"ecs:CreateAction": "RunTask"}),
        allow(["ecs:DescribeTaskDefinition", "ec2:DescribeNetworkInterfaces"], "*", why=NO_RESOURCE),
        allow(
            ["iam:PassRole"],
            *map(estate.role, passed),
            StringEquals={"iam:PassedToService": "ecs-tasks.amazonaws.com"},
        ),
        allow(
            ["logs:GetLogEvents"],
            estate.arn("logs", f"log-group:{names.LOG_PREFIX}run:*"),
            why="Each task has a stream of its own.",
        ),
        *compute_logs(estate, keys),
    ]


def web_statements(estate: Estate, keys: KeysStack) -> list[Statement]:
    """It shows what Dagster's database has and what steps have printed, and ends runs; it reads no data."""
    tasks = estate.arn("ecs", f"task/{names.CLUSTER}/*")
    return [
        allow(["ecs:DescribeTasks", "ecs:StopTask"], tasks, why="Tasks of the cluster have random ids."),
        allow(["ecs:DescribeTaskDefinition"], "*", why=NO_RESOURCE),
        *compute_logs(estate, keys),
    ]


def compute_logs(estate: Estate, keys: KeysStack, *, written: bool = False) -> list[Statement]:
    """What steps print: whoever shows it reads it, whoever runs steps writes it (``S3ComputeLogManager`` of
    dagster-aws)."""
    objects = estate.bucket(estate.compute_logs, "compute-logs/*")
    return [
        allow(["s3:GetObject", *(["s3:PutObject"] if written else [])], objects, why="Each step has a log of its own."),
        allow(["s3:ListBucket"], estate.bucket(estate.compute_logs)),
        allow(_USES if written else ["kms:Decrypt"], keys.dagster.key_arn),
    ]
