"""Fixtures that several parts of the platform share."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from adplatform.definitions import defs
from adplatform.flow.services import Services
from adplatform.local.endpoint import ensure
from adplatform.local.world.postgres import PostgresServer, postgres_server
from adplatform.local.world.shop.world import forget
from adplatform.platform.aws import Aws, local_aws
from adplatform_tests.support.clients import copied_clients
from adplatform_tests.support.databases import Database, database_of
from adplatform_tests.support.garbage import keep_until_exit
from adplatform_tests.support.instances import as_if_new, in_memory
from adplatform_tests.support.mariadb import MariaDb, is_installed, mariadb_server
from adplatform_tests.support.platforms import forget_services, make_services
from adplatform_tests.support.shared_aws import SHARED_AWS
from adplatform_tests.support.zygote import forked_children


def pytest_configure() -> None:
    # A shell has what it starts in the background ignore SIGINT. Dagster then has this process ignore SIGTERM as well,
    # and so does each child, such as those that copy a run's output, for whose end Dagster waits 30 s.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # The same on every machine, in all processes that tests start.
    os.environ.setdefault("ADPLATFORM_MEMORY_LIMIT", "2GB")
    os.environ.setdefault("ADPLATFORM_THREADS", "2")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    # Many tests wait for servers, other processes and clocks: one worker more than there are cores keeps them busy.
    named = "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ
    return None if named or config.option.numprocesses != "auto" else (os.cpu_count() or 1) + 1


def pytest_collection_finish() -> None:
    keep_until_exit()


@pytest.fixture(scope="session", autouse=True)
def quick_clients() -> Iterator[None]:
    with copied_clients():
        yield


@pytest.fixture(scope="session", autouse=True)
def quick_servers() -> Iterator[None]:
    with forked_children():
        yield


@pytest.fixture(scope="session")
def aws_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an embedded AWS that all tests of one xdist worker share: give buckets, queues and tables unique names."""
    data = tmp_path_factory.mktemp("aws")
    with ensure(data, child=SHARED_AWS) as endpoint, pytest.MonkeyPatch.context() as environment:
        # For proxies before it, other processes, and clients that tests make themselves.
        environment.setenv("AWS_ACCESS_KEY_ID", endpoint.key.id)
        environment.setenv("AWS_SECRET_ACCESS_KEY", endpoint.key.secret)
        yield endpoint.url
    forget(data / "shop")


@pytest.fixture(scope="session")
def aws(aws_endpoint: str) -> Aws:
    """One for all tests: a session reads the service models, which takes longer than many a test."""
    return local_aws(aws_endpoint)


@pytest.fixture
def services(aws: Aws, tmp_path: Path) -> Iterator[Services]:
    made = make_services(aws, tmp_path / "home")
    yield made
    forget_services(made)


@pytest.fixture(scope="session")
def one_instance() -> Iterator[dg.DagsterInstance]:
    """One for all tests: a new one imports the 75 revisions of its tables twice."""
    with in_memory() as ephemeral:
        yield ephemeral


@pytest.fixture
def instance(one_instance: dg.DagsterInstance) -> Iterator[dg.DagsterInstance]:
    """An instance that knows of nothing."""
    with as_if_new(one_instance):
        yield one_instance


@pytest.fixture(scope="session")
def code_location() -> dg.Definitions:
    """All that is declared in the project, loaded once for all tests of a worker."""
    return defs()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for all tests of a worker."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDb]:
    """One server for all tests of a worker: to install one takes seconds. A test that sets what is global sets it
    back."""
    if not is_installed():
        pytest.skip("needs mariadb-server")
    with mariadb_server() as server:
        yield server


@pytest.fixture
def shop(postgres: PostgresServer, services: Services) -> Iterator[Database]:
    """An empty database of that server, and its secret."""
    with database_of(postgres, services) as database:
        yield database
