"""A shop whose clock stands still, served by PostgreSQL and HTTP."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from adplatform.local.world.shop.server import serving
from adplatform.local.world.shop.world import World

NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    """The URL of one for all tests of a module."""
    with serving(World(now=lambda: NOW)) as url:
        yield url
