from pathlib import Path

import pytest

from adplatform.aws import Aws, local_aws
from adplatform.lake.lake import Lake
from adplatform_tests.lake.support import make_lake


@pytest.fixture(scope="session")
def aws(aws_endpoint: str) -> Aws:
    """One for all tests: a session reads the service models, which take longer than most tests."""
    return local_aws(aws_endpoint)


@pytest.fixture
def lake(aws: Aws) -> Lake:
    return make_lake(aws)


@pytest.fixture
def temp(tmp_path: Path) -> Path:
    path = tmp_path / "work"
    path.mkdir()
    return path
