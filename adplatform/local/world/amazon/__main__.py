"""``python -m adplatform.local.world.amazon``: a simulated Amazon by itself, or the child of ``endpoint.ensure``."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from adplatform.local.world import running
from adplatform.local.world.amazon.accounts import REGIONS
from adplatform.local.world.amazon.server import serving
from adplatform.local.world.amazon.world import World


@contextmanager
def _serving(world: World, port: int, alive: Callable[[], bool]) -> Iterator[str]:
    with serving(world, port, alive) as server:
        yield server.url


def _described(url: str, world: World) -> str:
    """What a person needs who starts the server."""
    accounts = world.accounts
    lines = [
        f"A simulated Amazon is at {url} until Ctrl-C.",
        f"Tokens: POST {url}/auth/o2/token",
        f"Both APIs: {' '.join(f'{url}/{region}' for region in REGIONS)}",
        f"Clock, faults, counters: GET {url}/_admin",
    ]
    for api, app in accounts.apps.items():
        lines += [f"Credentials ({api}):", f"  client_id      {app.client_id}", f"  client_secret  {app.client_secret}"]
        lines += [f"  refresh_token  {app.refresh_token}"]
    lines += ["Profiles:", *(f"  {p.region} {p.country} {p.id}  {p.name}" for p in accounts.profiles)]
    lines += ["Marketplaces:", *(f"  {m.region} {m.country} {m.id}" for m in accounts.marketplaces)]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(
        running.main(
            running.Partner(
                "adplatform.local.world.amazon",
                "Serves a simulated Amazon on 127.0.0.1: Login with Amazon, Ads reports, Selling Partner reports. "
                "It needs no AWS account and no credentials but those that it prints. GET /_admin says how to move its "
                "clock and order faults.",
                lambda store: World(store=store),
                _serving,
                _described,
            )
        )
    )
