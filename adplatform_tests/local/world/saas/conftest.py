"""A CRM of twenty days whose clock stands still, served over HTTP."""

from collections.abc import Iterator

import pytest

from adplatform.local.world.saas.server import Server, serving
from adplatform.local.world.saas.world import Settings, World
from adplatform_tests.local.world.saas.support import BEGAN, NOW, Crm


@pytest.fixture
def world() -> World:
    slept: list[float] = []
    world = World(Settings(began=BEGAN), sleep=slept.append)
    world.clock.set(NOW, frozen=True)
    return world


@pytest.fixture
def server(world: World) -> Iterator[Server]:
    with serving(world) as running:
        yield running


@pytest.fixture
def crm(server: Server) -> Crm:
    return Crm(server.url)
