"""What a test of AppFlow has: a CRM for itself, a bucket, a client, and a name for a flow. And an SFTP server."""

from collections.abc import Iterator
from typing import Any

import pytest

from adplatform.local.world.saas.server import Server, serving
from adplatform.platform.aws import Aws
from adplatform_tests.local.aws.appflow_world import new_bucket, new_world, unique
from adplatform_tests.support.sftp_host import sftp_host  # noqa: F401 - a fixture


@pytest.fixture
def saas() -> Iterator[Server]:
    with serving(new_world()) as server:
        yield server


@pytest.fixture
def bucket(aws: Aws) -> str:
    return new_bucket(aws)


@pytest.fixture
def appflow(aws: Aws) -> Any:
    return aws.client("appflow")


@pytest.fixture
def flow() -> str:
    return unique("flow")
