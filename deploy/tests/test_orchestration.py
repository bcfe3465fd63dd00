"""Dagster on ECS."""

from typing import Any

import pytest

from adplatform.contracts.marketing import MarketingSource
from adplatform.lake.zones import EXPORTS
from deploy.estate import Estate
from deploy.processes import PROCESSES, RUN
from deploy.template import Assembly, Resource

SERVICES = ("code-server", "daemon", "webserver")


def task(assembly: Assembly, family: str) -> dict[str, Any]:
    return next(
        each.properties
        for each in assembly.resources("AWS::ECS::TaskDefinition")
        if each.properties["Family"] == family
    )


def service(assembly: Assembly, name: str) -> Resource:
    return next(each for each in assembly.resources("AWS::ECS::Service") if each.properties["ServiceName"] == name)


def before(assembly: Assembly, resource: Resource) -> set[str]:
    """Logical ids of what is deployed before it, however indirectly."""
    resources = assembly.stacks[resource.stack]["Resources"]
    found: set[str] = set()
    todo = [resource.logical]
    while todo:
        waits = resources[todo.pop()].get("DependsOn", [])
        new = {waits} if isinstance(waits, str) else set(waits)
        todo += new - found
        found |= new
    return found


def test_the_code_server_is_replaced_before_what_asks_it(assembly: Assembly) -> None:
    code = service(assembly, "code-server").logical
    assert code in before(assembly, service(assembly, "daemon"))
    assert code in before(assembly, service(assembly, "webserver"))
    assert service(assembly, "daemon").logical in before(assembly, service(assembly, "webserver"))


def test_the_daemon_asks_again_where_the_start_of_runs_is_throttled(assembly: Assembly) -> None:
    [container] = task(assembly, "adplatform-daemon")["ContainerDefinitions"]
    environment = {each["Name"]: each["Value"] for each in container["Environment"]}
    assert (environment["AWS_RETRY_MODE"], environment["AWS_MAX_ATTEMPTS"]) == ("standard", "10")
    # The launcher of dagster-aws 0.29 fails on a task that has a strategy of capacity providers.
    assert service(assembly, "daemon").properties["LaunchType"] == "FARGATE"


def test_there_is_never_a_second_daemon(assembly: Assembly) -> None:
    daemon = service(assembly, "daemon").properties
    assert daemon["DesiredCount"] == 1
    assert daemon["DeploymentConfiguration"]["MaximumPercent"] == 100


@pytest.mark.parametrize("process", PROCESSES, ids=lambda process: process.name)
def test_no_secret_is_in_the_environment_of_a_task(assembly: Assembly, process: Any) -> None:
    family = process.family or f"adplatform-{process.name}"
    [container] = task(assembly, family)["ContainerDefinitions"]
    environment = {each["Name"]: str(each["Value"]) for each in container["Environment"]}
    secrets = {each["Name"] for each in container["Secrets"]}
    assert secrets == {"DAGSTER_POSTGRES_PASSWORD"}
    assert not secrets & set(environment)
    assert not [name for name, value in environment.items() if "resolve:" in value or "PASSWORD" in name]


@pytest.mark.parametrize("process", PROCESSES, ids=lambda process: process.name)
def test_a_task_has_two_minutes_to_end_and_writes_nowhere_but_into_its_volume(assembly: Assembly, process: Any) -> None:
    [container] = task(assembly, process.family or f"adplatform-{process.name}")["ContainerDefinitions"]
    assert container["StopTimeout"] == 120
    assert container["ReadonlyRootFilesystem"] is True
    assert [each["ContainerPath"] for each in container["MountPoints"]] == ["/var/lib/adplatform"]
    assert container["Command"][0] in (
        "dagster",
        "dagster-daemon",
        "dagster-webserver",
    )  # no shell, which keeps SIGTERM


@pytest.mark.parametrize("process", PROCESSES, ids=lambda process: process.name)
def test_a_container_may_have_the_memory_of_its_task_and_takes_its_share_by_that(
    assembly: Assembly, process: Any
) -> None:
    [container] = task(assembly, process.family or f"adplatform-{process.name}")["ContainerDefinitions"]
    assert container["Memory"] == process.memory
    names = {each["Name"] for each in container["Environment"]}
    assert not names & {"ADPLATFORM_MEMORY_LIMIT", "ADPLATFORM_THREADS"}


def test_services_launch_runs_by_the_revision_that_is_deployed_with_them(assembly: Assembly) -> None:
    run = next(r for r in assembly.resources("AWS::ECS::TaskDefinition") if r.properties["Family"] == RUN.family)
    for name in SERVICES:
        [raw] = [
            each.raw["Properties"]["ContainerDefinitions"][0]["Environment"]
            for each in assembly.resources("AWS::ECS::TaskDefinition")
            if each.properties["Family"] == f"adplatform-{name}"
        ]
        assert {"Name": "DAGSTER_RUN_TASK_DEFINITION", "Value": {"Ref": run.logical}} in raw


def test_the_daemon_may_pass_on_the_roles_of_runs_and_register_nothing(assembly: Assembly, estate: Estate) -> None:
    [policy] = assembly.named("AWS::IAM::Role", "adplatform-daemon").properties["Policies"]
    statements = policy["PolicyDocument"]["Statement"]
    assert not [action for each in statements for action in each["Action"] if action.startswith("ecs:Register")]
    [passed] = [each for each in statements if each["Action"] == ["iam:PassRole"]]
    runs = {estate.role(f"adplatform-run-{each.name}") for each in estate.sources}
    assert set(passed["Resource"]) == runs | {estate.role("adplatform-run"), estate.role("adplatform-execution")}


def test_nobody_sees_the_ui_without_a_login(assembly: Assembly) -> None:
    [balancer] = assembly.resources("AWS::ElasticLoadBalancingV2::LoadBalancer")
    [listener] = assembly.resources("AWS::ElasticLoadBalancingV2::Listener")
    assert balancer.properties["Scheme"] == "internal"
    assert [each["Type"] for each in listener.properties["DefaultActions"]] == ["authenticate-oidc", "forward"]
    assert not assembly.resources("AWS::ElasticLoadBalancingV2::ListenerRule")
    secret = listener.properties["DefaultActions"][0]["AuthenticateOidcConfig"]["ClientSecret"]
    assert secret == "{{resolve:secretsmanager:adplatform/oidc:SecretString:client_secret}}"


def test_only_processes_reach_the_database_and_only_the_balancer_the_ui(assembly: Assembly) -> None:
    groups = {
        each.logical: each.properties["GroupDescription"] for each in assembly.resources("AWS::EC2::SecurityGroup")
    }
    ways = set()
    for each in assembly.resources("AWS::EC2::SecurityGroupIngress"):
        server = groups[each.raw["Properties"]["GroupId"]["Fn::GetAtt"][0]]
        client = groups[each.raw["Properties"]["SourceSecurityGroupId"]["Fn::GetAtt"][0]]
        ways.add((client, server, each.properties["FromPort"]))
    processes = "Code server, daemon, web server and runs."
    assert ways == {
        ("The load balancer of the UI.", processes, 3000),
        (processes, processes, 4000),
        (processes, "The database of Dagster.", 5432),
    }


def test_the_database_is_encrypted_closed_and_kept(assembly: Assembly) -> None:
    [database] = assembly.resources("AWS::RDS::DBInstance")
    said = database.properties
    assert (said["StorageEncrypted"], said["PubliclyAccessible"], said["MultiAZ"]) == (True, False, True)
    assert said["MasterUserPassword"] == "{{resolve:secretsmanager:adplatform/dagster-database:SecretString:password}}"
    assert database.raw["DeletionPolicy"] == "Retain"
    [settings] = assembly.resources("AWS::RDS::DBParameterGroup")
    assert settings.properties["Parameters"] == {"rds.force_ssl": "1"}


def test_runs_of_a_source_reach_no_other_source(assembly: Assembly, estate: Estate) -> None:
    for each in estate.sources:
        [policy] = assembly.named("AWS::IAM::Role", f"adplatform-run-{each.name}").properties["Policies"]
        statements = policy["PolicyDocument"]["Statement"]
        # A fact reads the tables that it is made of.
        made_of = each.model.tables if isinstance(each.model, MarketingSource) else ()
        read = {table.partition("/")[0] for table in made_of}
        for statement in statements:
            reads = all(
                action in ("s3:GetObject", "glue:GetTable", "glue:GetPartitions") for action in statement["Action"]
            )
            others = {o.name for o in estate.sources} - {each.name} - (read if reads else set())
            # A zone is no source that is called the same.
            resources = [r.replace(f":{estate.settings.raw_bucket}/{EXPORTS}", "/") for r in statement["Resource"]]
            assert not [r for r in resources for other in others if f"/{other}/" in r or r.endswith(f"_{other}")]
