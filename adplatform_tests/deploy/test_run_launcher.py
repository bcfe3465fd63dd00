"""How runs become tasks: Dagster's ECS launcher with the deployed configuration, on a simulated ECS."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import boto3
import botocore.session
import dagster as dg
import pytest
import yaml
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.launcher import LaunchRunContext, WorkerStatus
from dagster._core.origin import DEFAULT_DAGSTER_ENTRY_POINT, JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.run_coordinator import SubmitRunContext
from moto.server import ThreadedMotoServer

from adplatform.platform.calls import DAEMON, acting, record_calls
from adplatform.resources.run_coordinator import TASK_TAG
from adplatform_tests.support.projects import ROOT
from adplatform_tests.support.proxy import Answer, Exchange, proxied

CONFIG = yaml.safe_load((ROOT / "deploy" / "dagster.yaml").read_text(encoding="utf-8"))
OVERRIDES = 8192
"""Characters that the overrides of RunTask may have (ECS API reference)."""


@dataclass
class Ecs:
    """``calls`` are those of RunTask; the first ``throttled`` of them are refused as ECS refuses them when EC2 is
    asked too often."""

    url: str = ""
    throttled: int = 0
    calls: list[dict[str, Any]] = field(default_factory=list)
    operations: set[str] = field(default_factory=set)
    network: dict[str, Any] = field(default_factory=dict)
    client: Any = None

    def serve(self, exchange: Exchange) -> None:
        operation = exchange.operation.rpartition(".")[2]
        self.operations.add(operation)
        if operation == "RunTask":
            self.calls.append(json.loads(exchange.body))
            if len(self.calls) <= self.throttled:
                body = {"__type": "InvalidParameterException", "message": "Throttling: Rate exceeded"}
                text = json.dumps(body).encode()
                exchange.reply(Answer(400, [("Content-Type", "application/x-amz-json-1.1")], text, len(text)))
                return
        exchange.reply(exchange.forward())


@contextmanager
def metadata_of(task: dict[str, Any]) -> Iterator[str]:
    """The address at which a container learns of which task it is."""

    class Told(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"Cluster": task["clusterArn"], "TaskARN": task["taskArn"]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Writes no access log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Told)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def models() -> Any:
    """What reads the models of services, and keeps them: to read that of EC2 takes longer than a test."""
    return botocore.session.get_session().get_component("data_loader")


@pytest.fixture
def ecs(monkeypatch: pytest.MonkeyPatch, models: Any) -> Iterator[Ecs]:
    """A cluster in which the daemon is a task."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server.start()
    host, port = server.get_host_and_port()
    made = Ecs()
    record_calls()
    session = botocore.session.get_session()  # one that is made from now on is listened to
    session.register_component("data_loader", models)
    boto3.setup_default_session(botocore_session=session)
    with proxied(f"http://{host}:{port}", made.serve) as url:
        made.url = url
        for name, value in {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
        made.client = boto3.client("ecs", region_name="us-east-1")
        ec2 = boto3.client("ec2", region_name="us-east-1")
        made.client.create_cluster(clusterName="adplatform")
        subnet = ec2.describe_subnets()["Subnets"][0]
        [default] = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [subnet["VpcId"]]}])[
            "SecurityGroups"
        ]
        network = {"subnets": [subnet["SubnetId"]], "securityGroups": [default["GroupId"]]}
        made.network = network
        arns = {
            family: made.client.register_task_definition(
                family=family,
                taskRoleArn=f"arn:aws:iam::123456789012:role/adplatform-{family}",
                networkMode="awsvpc",
                requiresCompatibilities=["FARGATE"],
                cpu="1024",
                memory="4096",
                containerDefinitions=[{"name": family, "image": "adplatform", "memory": 2048}],
            )["taskDefinition"]["taskDefinitionArn"]
            for family in ("daemon", "run")
        }
        [daemon] = made.client.run_task(
            cluster="adplatform",
            taskDefinition=arns["daemon"],
            launchType="FARGATE",
            networkConfiguration={"awsvpcConfiguration": network},
        )["tasks"]
        made.calls.clear()
        made.operations.clear()
        monkeypatch.setenv("DAGSTER_RUN_TASK_DEFINITION", arns["run"])
        monkeypatch.setenv("ADPLATFORM_BACKFILL_CAPACITY", "FARGATE_SPOT")
        monkeypatch.setenv("ADPLATFORM_RUN_ROLES", "arn:aws:iam::123456789012:role/")
        with metadata_of(daemon) as address:
            monkeypatch.setenv("ECS_CONTAINER_METADATA_URI_V4", address)
            yield made
    server.stop()


@pytest.fixture
def deployed(ecs: Ecs, tmp_path: Any) -> Iterator[dg.DagsterInstance]:
    """The deployed instance, but for its storage."""
    parts = {name: CONFIG[name] for name in ("run_launcher", "run_coordinator", "concurrency", "run_monitoring")}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump({**parts, "telemetry": {"enabled": False}}), encoding="utf-8")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        yield instance


def launched(instance: dg.DagsterInstance, **tags: str) -> dg.DagsterRun:
    """A run that was submitted and whose task was started."""

    @dg.job
    def work() -> None:
        """Does nothing."""

    pointer = ModuleCodePointer("adplatform.definitions", "defs", None)
    # The image is in the origin of every run of a code server that has DAGSTER_CURRENT_IMAGE.
    repository = RepositoryPythonOrigin(
        "/opt/adplatform/bin/python", pointer, container_image="adplatform:new", entry_point=DEFAULT_DAGSTER_ENTRY_POINT
    )
    origin = JobPythonOrigin("work", repository)
    server = GrpcServerCodeLocationOrigin("code.adplatform.internal", 4000, location_name="adplatform")
    run = instance.create_run_for_job(
        work,
        tags={name.replace("__", "/"): value for name, value in tags.items()},
        job_code_origin=origin,
        remote_job_origin=RemoteJobOrigin(RemoteRepositoryOrigin(server, "__repository__"), "work"),
    )
    submitted = instance.run_coordinator.submit_run(SubmitRunContext(run, workspace=None))  # type: ignore[arg-type]
    with acting(DAEMON):
        instance.run_launcher.launch_run(LaunchRunContext(submitted, workspace=None))
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found


def test_a_run_is_a_task_of_its_own_definition_and_role_and_nothing_registers_definitions(
    ecs: Ecs, deployed: dg.DagsterInstance
) -> None:
    run = launched(deployed)
    [call] = ecs.calls
    [task] = ecs.client.describe_tasks(cluster="adplatform", tasks=[run.tags["ecs/task_arn"]])["tasks"]
    described = ecs.client.describe_task_definition(taskDefinition=task["taskDefinitionArn"])["taskDefinition"]
    assert described["taskRoleArn"].endswith("role/adplatform-run")
    assert "RegisterTaskDefinition" not in ecs.operations
    [container] = call["overrides"]["containerOverrides"]
    assert (container["name"], container["command"][:3]) == ("run", ["dagster", "api", "execute_run"])
    assert container.keys() == {"name", "command"}
    assert len(json.dumps(call["overrides"])) < OVERRIDES
    assert (call["launchType"], call.get("capacityProviderStrategy")) == ("FARGATE", None)
    where = call["networkConfiguration"]["awsvpcConfiguration"]
    assert (where["subnets"], where["assignPublicIp"]) == (ecs.network["subnets"], "DISABLED")
    assert call["propagateTags"] == "TASK_DEFINITION"
    assert {tag["key"]: tag["value"] for tag in call["tags"]}["dagster/run_id"] == run.run_id


def test_the_daemon_sees_that_a_task_is_there_and_ends_it(ecs: Ecs, deployed: dg.DagsterInstance) -> None:
    run = launched(deployed)
    with acting(DAEMON):
        health = deployed.run_launcher.check_run_worker_health(run)
        assert deployed.run_launcher.terminate(run.run_id)
    assert health.status is WorkerStatus.RUNNING
    [task] = ecs.client.describe_tasks(cluster="adplatform", tasks=[run.tags["ecs/task_arn"]])["tasks"]
    assert task["lastStatus"] == "STOPPED"


def test_a_run_of_a_backfill_has_the_capacity_that_the_setting_names(ecs: Ecs, deployed: dg.DagsterInstance) -> None:
    run = launched(deployed, dagster__backfill="abc")
    [call] = ecs.calls
    assert call["capacityProviderStrategy"] == [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
    assert "launchType" not in call
    assert json.loads(run.tags[TASK_TAG]) == {"capacityProviderStrategy": call["capacityProviderStrategy"]}


def test_a_backfill_that_says_itself_where_it_runs_runs_there(ecs: Ecs, deployed: dg.DagsterInstance) -> None:
    own = {"capacityProviderStrategy": [{"capacityProvider": "FARGATE", "weight": 1}]}
    launched(deployed, dagster__backfill="abc", ecs__run_task_kwargs=json.dumps(own))
    assert ecs.calls[0]["capacityProviderStrategy"] == own["capacityProviderStrategy"]


def test_a_task_that_ecs_refuses_because_too_many_are_asked_for_is_asked_for_again(
    ecs: Ecs, deployed: dg.DagsterInstance
) -> None:
    ecs.throttled = 2
    run = launched(deployed)
    assert len(ecs.calls) == 3
    assert len({call["clientToken"] for call in ecs.calls}) == 3
    assert run.tags["ecs/task_arn"]


def test_nothing_of_the_configuration_is_a_secret_or_resumes_runs() -> None:
    password = CONFIG["storage"]["postgres"]["postgres_db"]["password"]
    assert password == {"env": "DAGSTER_POSTGRES_PASSWORD"}
    launcher = CONFIG["run_launcher"]["config"]
    assert (launcher["secrets_tag"], launcher.get("env_vars"), launcher.get("secrets")) == (None, None, None)
    monitoring = CONFIG["run_monitoring"]
    assert (monitoring["enabled"], monitoring["max_resume_run_attempts"]) == (True, 0)
    assert monitoring["start_timeout_seconds"] > 0
