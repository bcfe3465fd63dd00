"""Finds or starts the simulated CRM of a data directory, so that all processes of one machine share it."""

from pathlib import Path

from adplatform.local import endpoint
from adplatform.local.endpoint import Child, Endpoint

SIMULATED_URL = "http://crm.simulated"
"""The address of the simulated CRM that the embedded AWS starts by itself when a flow first reads it."""
SAAS = Child("adplatform.local.world.saas", "simulated CRM")


def ensure(data: Path) -> Endpoint:
    """The simulated CRM that keeps its state in ``data``, a directory of its own; as ``local.endpoint.ensure``."""
    return endpoint.ensure(data, child=SAAS)
