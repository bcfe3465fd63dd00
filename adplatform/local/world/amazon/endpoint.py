"""Finds or starts the simulated Amazon of a data directory, so that all processes of one machine share it."""

from pathlib import Path

from adplatform.local import endpoint
from adplatform.local.endpoint import Child, Endpoint

_AMAZON = Child("adplatform.local.world.amazon", "simulated Amazon")


def ensure(data: Path) -> Endpoint:
    """The simulated Amazon that keeps its state in ``data``, a directory of its own; as ``local.endpoint.ensure``."""
    return endpoint.ensure(data, child=_AMAZON)
