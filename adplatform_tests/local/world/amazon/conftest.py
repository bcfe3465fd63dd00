"""A world whose clock stands still, served over HTTP."""

from collections.abc import Iterator

import pytest

from adplatform.local.world.amazon.server import Server, serving
from adplatform.local.world.amazon.world import World
from adplatform_tests.local.world.amazon.support import NOW, Ads, Selling


@pytest.fixture
def world() -> World:
    slept: list[float] = []
    world = World(sleep=slept.append)
    world.clock.set(NOW, frozen=True)
    return world


@pytest.fixture
def server(world: World) -> Iterator[Server]:
    with serving(world) as running:
        yield running


@pytest.fixture
def ads(server: Server) -> Ads:
    return Ads(server)


@pytest.fixture
def selling(server: Server) -> Selling:
    return Selling(server)
