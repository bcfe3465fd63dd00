"""Where the AWS services are: in the account itself, at an endpoint, or in the embedded AWS of this machine."""

import functools
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adplatform.flow.services import Services
from adplatform.platform.aws import CALL_BUDGET, Aws, local_aws
from adplatform.platform.extras import LOCAL, extra
from adplatform.platform.settings import Settings

if TYPE_CHECKING:
    from adplatform.flow.declared_table import DeclaredTable


def open_services(settings: Settings) -> Services:
    """Connect; in local mode start the embedded AWS if no process has it running.

    Raises:
        PermanentFailure: local mode, but ``AWS_ENDPOINT_URL`` points off this machine, or the embedded AWS is not
            installed.
    """
    if settings.env == "aws":
        return Services(settings, Aws(region=settings.region), declared=declared_in(settings))
    aws = connected(settings.region, os.environ.get("AWS_ENDPOINT_URL"), str(settings.data))
    return Services(settings, aws, declared=declared_in(settings))


def declared_in(settings: Settings) -> "Callable[[str], DeclaredTable]":
    """What the files of declarations say of a table, which are read when somebody asks."""

    def declared(table: str) -> "DeclaredTable":
        from adplatform.patterns import declared_table  # noqa: PLC0415 - imports all models

        return declared_table(table, settings)

    return declared


@functools.cache
def connected(region: str, endpoint_url: str | None, embedded_aws: str | None) -> Aws:
    """One connection for a process. With ``embedded_aws``, a data directory, only this machine is talked to: the
    endpoint if there is one, else the embedded AWS, which is started if no process has it running.

    Raises:
        PermanentFailure: the endpoint is off this machine, or the embedded AWS is not installed.
    """
    if embedded_aws is None:
        return Aws(region, endpoint_url)
    with extra(LOCAL):
        from adplatform.local.endpoint import adopt, ensure  # noqa: PLC0415 - not everywhere
    if endpoint_url is None:
        return local_aws(ensure(Path(embedded_aws)).url)
    adopt(Path(embedded_aws), endpoint_url)
    return local_aws(endpoint_url)


@functools.cache
def client_of(
    region: str, endpoint_url: str | None, embedded_aws: str | None, service: str, budget: timedelta = CALL_BUDGET
) -> Any:
    """One client of a service for a process: a boto3 client serves many threads."""
    return connected(region, endpoint_url, embedded_aws).client(service, budget)


@functools.cache
def client_once_of(
    region: str, endpoint_url: str | None, embedded_aws: str | None, service: str, budget: timedelta = CALL_BUDGET
) -> Any:
    """As :func:`client_of`, of one that never repeats a call by itself."""
    return connected(region, endpoint_url, embedded_aws).client_once(service, budget)
