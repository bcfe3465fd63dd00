"""What the managed engines run: flows, replications, servers, connectors and tasks of the declared sources."""

from typing import Any

from constructs import Construct

from deploy.engines import appflow, datasync, dms, transfer
from deploy.estate import Estate
from deploy.resources import ResourceStack
from deploy.stacks.keys import KeysStack


class IngestionStack(ResourceStack):
    def __init__(self, scope: Construct, name: str, estate: Estate, keys: KeysStack, **settings: Any) -> None:
        super().__init__(scope, name, estate, **settings)
        for engine in (appflow, datasync, dms, transfer):
            engine.add(self, estate, keys)
