"""The Glue Data Catalog: databases, crawlers, jobs, and what encrypts them."""

from typing import Any

from constructs import Construct

from deploy.estate import Estate
from deploy.resources import ResourceStack
from deploy.stacks.keys import KeysStack


class CatalogStack(ResourceStack):
    def __init__(self, scope: Construct, name: str, estate: Estate, keys: KeysStack, **settings: Any) -> None:
        super().__init__(scope, name, estate, **settings)
        self._keys = keys
