"""One synthesis for all tests, of the sources below ``deploy/tests/sources``."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from adplatform.flow.services import Services
from adplatform.local.endpoint import ensure
from adplatform.platform.aws import LOCAL_REGION, local_aws
from deploy.app import build
from deploy.config import read_config
from deploy.estate import Estate, read_estate
from deploy.template import Assembly

CONFIG = Path(__file__).parent / "config.yaml"


@pytest.fixture(scope="session")
def estate() -> Estate:
    return read_estate(read_config(CONFIG))


@pytest.fixture(scope="session")
def cdk_out(estate: Estate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the templates are, which all workers share."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "cdk.out"
    with FileLock(shared / "cdk.lock"):
        if not (folder / "manifest.json").is_file():
            build(estate, str(folder)).synth()
    return folder


@pytest.fixture(scope="session")
def assembly(cdk_out: Path) -> Assembly:
    return Assembly(cdk_out)


@pytest.fixture(scope="session")
def embedded(estate: Estate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """An embedded AWS, with the deployment's names and nothing in it."""
    home = tmp_path_factory.mktemp("home")
    settings = replace(estate.settings, env="local", home=home, region=LOCAL_REGION)
    with ensure(settings.data) as endpoint:
        yield Services(settings, local_aws(endpoint.url))
