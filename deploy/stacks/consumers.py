"""What services that read tables are to have for them, where the deployment and not the platform registers them.

The tables have to be in the catalog, which their first publication brings: a stack of its own fails without them, and
nothing else does. What CloudFormation cannot make, the commands make all the same.
"""

from typing import Any

from constructs import Construct

from adplatform.consumers.registration.kinds import REGISTRATIONS, kind_of
from adplatform.consumers.registration.registered import declared
from adplatform.consumers.registration.resource import Place
from adplatform.engines.consumed import consumed_tables
from adplatform.failures import PermanentFailure
from deploy.estate import Estate
from deploy.resources import ResourceStack
from deploy.stacks.consumer_resources import resources_of
from deploy.stacks.keys import KeysStack


class ConsumersStack(ResourceStack):
    def __init__(self, scope: Construct, name: str, estate: Estate, keys: KeysStack, **settings: Any) -> None:
        super().__init__(scope, name, estate, **settings)
        if estate.settings.consumers == "deployment":
            add(self, estate, keys)


def add(stack: ResourceStack, estate: Estate, keys: KeysStack) -> None:
    """
    Raises:
        PermanentFailure: a table is not fit for a service.
    """
    prefix = estate.settings.database_prefix
    tables = [table for each in estate.sources for table in consumed_tables(each.pattern, prefix)]
    place = Place(estate.settings, estate.account, keys.data.key_arn)
    known = declared(tables, place, lambda _: True)
    owned = {name for name, each in REGISTRATIONS.items() if any(kind.deployable for kind in each.kinds.values())}
    for refused in (each for each in known.refused if each.consumer in owned):
        raise PermanentFailure(f"{refused.table} for {refused.consumer}: {'; '.join(refused.reasons)}")
    made: dict[str, str] = {}
    for each in (each for each in known.wanted if kind_of(each).deployable):
        after = [made[key] for key in each.requires]
        for resource in resources_of(each, estate):
            path = (each.kind, each.name, *filter(None, [resource.part]))
            told = dict(resource.properties)
            logical = stack.add(*path, type=resource.type, properties=told, after=after, retain=True)
            made.setdefault(each.key, logical)
            after = [made[each.key]]
