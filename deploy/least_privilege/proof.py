"""What roles of the synthesized templates may do, against what is called: nothing less, and nothing more."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from adplatform.contracts.strict import Strict
from adplatform.platform import names as platform
from adplatform.platform.calls import CODE_SERVER, DAEMON, GLUE_JOB, HANDLER, OPERATOR, PLATFORM_RUN, SPARK_JOB, run_of
from deploy.estate import DeployedSource, Estate
from deploy.least_privilege.needs import Names, Need, needs
from deploy.least_privilege.shapes import Call
from deploy.least_privilege.simulate import NO_REQUEST, Answers, Request, simulate
from deploy.process_roles import exported_of, secrets_of
from deploy.template import Assembly, Resource
from deploy.workloads import SERVICES

UNUSED = Path(__file__).parent / "unused.yaml"
CASES = Path(__file__).parent / "cases.yaml"
_OF_PATTERN = {"appflow": "flows", "datasync": "replicated", "dms": "changes", "transfer": "sftp"}
"""Services that sources of one pattern alone have to do with."""
_PROCESSES = {
    CODE_SERVER: platform.CODE_SERVER_ROLE,
    DAEMON: platform.DAEMON_ROLE,
    OPERATOR: platform.OPERATOR_ROLE,
    PLATFORM_RUN: platform.RUN_ROLE,
}
_UPLOADED = (platform.UPLOAD_CHECK, platform.UPLOAD_PARTIAL, platform.UPLOAD_EXCEPTION)
_DELIVERIES = run_of("pushed")
"""What runs of pushed files call, those of every pattern do: a delivery is the same, whoever brought its files."""


class Case(Strict):
    """What a role may do, or may not, by the documentation of a service or by what the platform promises."""

    role: str
    """Its name; ``*`` stands for any part of one, and each that fits has to be as the case says."""
    but: list[str] = Field(default_factory=list)
    """Roles of which it does not say so."""
    only: list[str] = Field(default_factory=lambda: ["*"])
    """Roles of which alone it says so."""
    actions: list[str]
    resources: list[str]
    context: dict[str, str] = Field(default_factory=dict)
    allowed: bool
    why: str


class Unused(Strict):
    """Rights that no recorded call has used. ``*`` stands for anything."""

    role: str
    actions: list[str]
    resources: list[str] = Field(default=["*"])
    why: str


def read_cases(file: Path = CASES) -> list[Case]:
    return [Case.model_validate(each) for each in yaml.safe_load(file.read_text()) or []]


def read_unused(file: Path = UNUSED) -> list[Unused]:
    return [Unused.model_validate(each) for each in yaml.safe_load(file.read_text()) or []]


@dataclass(frozen=True, order=True)
class Grant:
    """One action on one resource that a statement of a role allows, both as they stand there."""

    role: str
    action: str
    resource: str

    def __str__(self) -> str:
        return f"{self.role}: {self.action} on {self.resource}"


@dataclass(frozen=True)
class Proof:
    """``calls`` are what is recorded, ``cases`` what documents say."""

    assembly: Assembly
    estate: Estate
    calls: frozenset[Call]
    cases: Sequence[Case] = ()

    @cached_property
    def roles(self) -> Mapping[str, Resource]:
        """By name."""
        return {each.properties["RoleName"]: each for each in self.assembly.resources("AWS::IAM::Role")}

    @cached_property
    def keys(self) -> Mapping[str, str]:
        """ARNs of keys, by what their alias says that they are for."""
        aliases = self.assembly.resources("AWS::KMS::Alias")
        begins = f"alias/{platform.PLATFORM}/"
        return {
            each.properties["AliasName"].removeprefix(begins): each.properties["TargetKeyId"]
            for each in aliases
            if each.properties["AliasName"].startswith(begins)
        }

    def identity(self, role: str) -> Iterator[tuple[str, Any]]:
        """Names and documents of the policies of a role."""
        for policy in self.roles[role].properties.get("Policies", []):
            yield f"{role}/{policy['PolicyName']}", policy["PolicyDocument"]
        for apart in self.assembly.resources("AWS::IAM::Policy"):
            if role in apart.properties.get("Roles", []):
                yield f"{role}/{apart.properties['PolicyName']}", apart.properties["PolicyDocument"]
        for managed in self.managed(role):
            yield f"{role}/{managed['ManagedPolicyName']}", managed["PolicyDocument"]

    def managed(self, role: str) -> Iterator[Mapping[str, Any]]:
        """What is attached to a role and not its own."""
        for each in self.assembly.resources("AWS::IAM::ManagedPolicy"):
            if role in each.properties.get("Roles", []):
                yield each.properties

    @cached_property
    def policies(self) -> dict[str, Any]:
        """All documents that a request may meet: by the name of an identity's, by the ARN of a resource."""
        found = {name: document for role in self.roles for name, document in self.identity(role)}
        for key in self.assembly.resources("AWS::KMS::Key"):
            found[self.assembly.arn(key.stack, key.logical)] = key.properties["KeyPolicy"]
        for bucket in self.assembly.resources("AWS::S3::BucketPolicy"):
            found[f"arn:aws:s3:::{bucket.properties['Bucket']}"] = bucket.properties["PolicyDocument"]
        for topic in self.assembly.resources("AWS::SNS::TopicPolicy"):
            for arn in topic.properties["Topics"]:
                found[arn] = topic.properties["PolicyDocument"]
        for queue in self.assembly.resources("AWS::SQS::QueuePolicy"):
            for url in queue.properties["Queues"]:
                found[self.estate.arn("sqs", str(url).rpartition("/")[2])] = queue.properties["PolicyDocument"]
        return found

    def asked(self, role: str, need: Need) -> Request:
        arn = f"arn:aws:iam::{self.estate.account}:role/{role}"
        identity = tuple(name for name, _ in self.identity(role))
        owner = need.resource.partition("/")[0] if need.resource.startswith("arn:aws:s3:::") else need.resource
        policy = owner if owner in self.policies else None
        return Request(arn, identity, need.action, need.resource, policy, dict(need.context))

    def answers(self, asked: Sequence[tuple[str, Need]], actions: Iterable[str] = ()) -> Answers:
        """To requests of roles, in their order."""
        requests = [self.asked(role, need) for role, need in asked]
        return simulate(self.estate.account, self.policies, requests, actions)

    @cached_property
    def wanted(self) -> Mapping[tuple[str, Need], Call]:
        """What roles of the templates have to be allowed, each with a call that needs it."""
        return self._wanted(self.estate.sources)

    @cached_property
    def sample(self) -> Mapping[tuple[str, Need], Call]:
        """The same of a source of each pattern, and of one with secrets: what these have, all have."""
        found: dict[tuple[str, bool], DeployedSource] = {}
        for source in self.estate.sources:
            found.setdefault((source.source.pattern, bool(secrets_of(source.model))), source)
        return self._wanted(found.values())

    def _wanted(self, sources: Iterable[DeployedSource]) -> dict[tuple[str, Need], Call]:
        """

        Raises:
            LookupError: nobody has said what a call needs, or a role that makes calls is not there.
        """
        found: dict[tuple[str, Need], Call] = {}
        every = list(sources)
        for call in sorted(self.calls):
            for role, source in self.actors(call, every):
                if role not in self.roles:
                    raise LookupError(f"{call}: no template has the role {role}")
                for need in needs(call, self._names(source, call.role)):
                    found.setdefault((role, need), call)
        return found

    def actors(self, call: Call, sources: Iterable[DeployedSource]) -> Iterator[tuple[str, DeployedSource]]:
        """The deployed roles that make such a call, each for sources that it makes it for."""
        for source in sources:
            pattern = source.source.pattern
            if call.shape.startswith("of_source") and not secrets_of(source.model):
                continue
            if "raw:archive/" in call.shape and not any(flow.archive for flow in source.source.feeds):
                continue
            if "raw:exports/" in call.shape and not exported_of(source):
                continue
            if _OF_PATTERN.get(call.service, pattern) != pattern:
                continue
            if call.role == CODE_SERVER and not _does(source, call):
                continue
            unsent = call.service == "sqs" and self.estate.queue(source.source) not in self.policies
            if unsent or (call.operation == "ConfirmSubscription" and not source.stream):
                continue
            if call.role in _PROCESSES:
                yield _PROCESSES[call.role], source
            elif call.role in (run_of(pattern), _DELIVERIES):
                yield platform.run_role(source.name), source
            elif call.role == HANDLER and pattern == "sftp":
                yield from ((role, source) for role in self._of_functions())
            elif call.role == SPARK_JOB:
                yield platform.SPARK_ROLE, source
            elif call.role == GLUE_JOB and pattern == "tables":
                yield from ((role, source) for role in self._of_jobs(source))

    def _of_functions(self) -> Iterator[str]:
        for function in self.assembly.resources("AWS::Lambda::Function"):
            if function.properties.get("FunctionName") in _UPLOADED:
                yield str(function.properties["Role"]).rpartition("/")[2]

    def _of_jobs(self, source: DeployedSource) -> Iterator[str]:
        for job in self.assembly.resources("AWS::Glue::Job"):
            if job.properties["Name"] == f"{platform.PLATFORM}-{source.name}":
                yield str(job.properties["Role"]).rpartition("/")[2]

    def _names(self, source: DeployedSource, role: str) -> Names:
        """Reports arrive in the landing zone for nobody but the runs that put them elsewhere themselves. A run of no
        source writes what the platform says of itself."""
        estate = self.estate
        secret = next(iter(secrets_of(source.model)), "")
        prefix = source.source.prefix if role.startswith(run_of("")) else estate.zones.landing(source.name)
        owner = platform.META if role == PLATFORM_RUN else source.name
        names = (estate.account, estate.region, estate.settings, owner, prefix, secret)
        roles = {
            "emr-serverless executionRoleArn": estate.role(platform.SPARK_ROLE),
            "entityresolution roleArn": estate.role(platform.ENTITY_RESOLUTION_ROLE),
            "sagemaker RoleArn": estate.role(estate.settings.sagemaker_role),
        }
        return Names(*names, self.keys, roles)

    @cached_property
    def grants(self) -> list[Grant]:
        """Every action on every resource that the roles are allowed."""
        found = set()
        for role in self.roles:
            for _, document in self.identity(role):
                for statement in document["Statement"]:
                    if statement["Effect"] == "Allow":
                        for action in _listed(statement["Action"]):
                            found |= {Grant(role, action, each) for each in _listed(statement["Resource"])}
        return sorted(found)

    def unused(self) -> list[Grant]:
        """Grants that no call and no case needs. One that stands for nothing, such as reading an item of an index, is
        none."""
        needed: dict[str, set[tuple[str, str]]] = {}
        for role, need in self.wanted:
            needed.setdefault(role, set()).add((need.action, need.resource))
        for role, case in self.applied():
            if case.allowed:
                needed.setdefault(role, set()).update(
                    (a, r) for a in case.actions for r in self._filled(case.resources, role)
                )
        left = [
            each
            for each in self.grants
            if not any(
                matches(each.action, action) and matches(each.resource, resource)
                for action, resource in needed.get(each.role, ())
            )
        ]
        tried = [(each.role, Need(each.action, concrete(each.resource))) for each in left if "*" not in each.action]
        void = dict(zip(tried, self._possible([need for _, need in tried]), strict=True))
        return [each for each in left if void.get((each.role, Need(each.action, concrete(each.resource))), True)]

    def _possible(self, tried: Sequence[Need]) -> list[bool]:
        """Whether each is an action that the resource knows."""
        requests = [replace(self.asked(next(iter(self.roles)), need), identity=()) for need in tried]
        verdicts = simulate(self.estate.account, self.policies, requests, strict=False).verdicts
        return [verdict != NO_REQUEST for verdict in verdicts]

    def applied(self) -> Iterator[tuple[str, Case]]:
        """Cases, each with the roles that it is of.

        Raises:
            LookupError: it is of none.
        """
        for case in self.cases:
            found = [
                role
                for role in self.roles
                if any(fnmatchcase(role, each) for each in case.only)
                and fnmatchcase(role, case.role)
                and not any(fnmatchcase(role, each) for each in case.but)
            ]
            if not found:
                raise LookupError(f"no role is called {case.role}: {case.why}")
            yield from ((role, case) for role in found)

    def _filled(self, texts: Iterable[str], role: str) -> list[str]:
        """Resources and values of a case, with the names of the deployment in the place of ``{raw}`` and the like."""
        sources = sorted((each.name for each in self.estate.sources), key=len, reverse=True)
        source = next((each for each in sources if role.endswith(f"-{each}")), "any")
        other = next(each for each in sources if each != source)
        values = {
            "raw": self.estate.raw(),
            "clean": self.estate.clean(),
            "ledger": self.estate.ledger,
            "logs": self.estate.bucket(self.estate.compute_logs),
            "account": self.estate.account,
            "region": self.estate.region,
            "hash_key": self.estate.arn("secretsmanager", f"secret:{self.estate.settings.hash_key_secret}-AbCdEf"),
            "source": source,
            "other": other,
            **{f"key_{concern}": arn for concern, arn in self.keys.items()},
        }
        return [each.format(**values) for each in texts]

    def _context(self, case: Case, role: str) -> tuple[tuple[str, str], ...]:
        return tuple(zip(case.context, self._filled(case.context.values(), role), strict=True))

    def case_requests(self) -> list[tuple[str, Need, Case]]:
        return [
            (role, Need(action, resource, self._context(case, role)), case)
            for role, case in self.applied()
            for action in case.actions
            for resource in self._filled(case.resources, role)
        ]


def _does(source: DeployedSource, call: Call) -> bool:
    """Whether the source has work of the service that is called, where it has to declare that."""
    declared = {SERVICES[each.service] for each in source.source.workloads}
    service = "athena" if call.shape.startswith("clean:table-unloads/") else call.service
    return service not in SERVICES.values() or service in declared


def matches(pattern: str, text: str) -> bool:
    """As IAM compares, which gives brackets no meaning."""
    return fnmatchcase(text, pattern.replace("[", "[[]"))


def concrete(resource: str) -> str:
    """A resource that the pattern fits."""
    return "*" if resource == "*" else resource.replace("*", "any").replace("?", "a")


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]
