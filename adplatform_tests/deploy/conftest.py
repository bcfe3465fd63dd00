"""An environment like the image's, and what the task definitions of the services set."""

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from adplatform_tests.support.production import Production, make_production
from adplatform_tests.support.projects import ROOT
from adplatform_tests.support.tls import secured_server


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _change(file: Path, before: str, after: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after), encoding="utf-8")


@pytest.fixture(scope="session")
def production(tmp_path_factory: pytest.TempPathFactory) -> Production:
    return make_production(tmp_path_factory.mktemp("production"))


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What the task definitions of the services set, for an empty database that speaks TLS."""
    home = tmp_path_factory.mktemp("home")
    for file in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(ROOT / "deploy" / file, home)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "us-east-1"}
    client = {"endpoint_url": f"http://{host}:{port}", "aws_access_key_id": "any", "aws_secret_access_key": "any"}
    boto3.client("s3", region_name="us-east-1", **client).create_bucket(Bucket="logs")
    made = boto3.client("ecs", region_name="us-east-1", **client).register_task_definition(
        family="run", containerDefinitions=[{"name": "run", "image": "adplatform", "memory": 2048}]
    )
    with secured_server("127.0.0.1") as secured:
        secured.server.create("dagster")
        login = secured.server.secret("dagster")
        code = free_port()
        _change(home / "dagster.yaml", "port: 5432", f"port: {login['port']}")
        _change(home / "workspace.yaml", "port: 4000", f"port: {code}")
        yield {
            **keys,
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "DAGSTER_HOME": str(home),
            "DAGSTER_POSTGRES_HOSTNAME": "127.0.0.1",
            "DAGSTER_POSTGRES_USER": login["username"],
            "DAGSTER_POSTGRES_PASSWORD": login["password"],
            "DAGSTER_POSTGRES_DB": "dagster",
            "DAGSTER_RUN_TASK_DEFINITION": made["taskDefinition"]["taskDefinitionArn"],
            "DAGSTER_LOGS_BUCKET": "logs",
            "ADPLATFORM_ENV": "aws",
            "ADPLATFORM_HOME": str(tmp_path_factory.mktemp("volume")),
            "ADPLATFORM_BACKFILL_CAPACITY": "FARGATE_SPOT",
            "ADPLATFORM_RUN_ROLES": "arn:aws:iam::111111111111:role/",
            "ADPLATFORM_CODE_HOST": "localhost",
            "CODE_PORT": str(code),
            "WORKSPACE": str(home / "workspace.yaml"),
        }
    server.stop()
