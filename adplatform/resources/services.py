"""The one Dagster resource: everything a step or sensor talks to, connected when a process first needs it."""

import functools

import dagster as dg

from adplatform.flow.services import Services, open_services
from adplatform.platform.settings import Settings, read_settings


@functools.cache
def _connected(settings: Settings) -> Services:
    return open_services(settings)


@dg.resource(description="AWS clients, ledger and zones, as ADPLATFORM_* variables say; the embedded AWS by default.")
def services_resource(_: dg.InitResourceContext) -> Services:
    return _connected(read_settings())
