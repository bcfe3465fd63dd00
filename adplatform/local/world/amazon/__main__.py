"""``python -m adplatform.local.world.amazon``: a simulated Amazon by itself, or the child of ``endpoint.ensure``."""

import argparse
import logging
import os
import sys
from contextlib import suppress
from pathlib import Path

from adplatform.failures import PermanentFailure
from adplatform.local.child import alone_in, recorded, report, stop_requested
from adplatform.local.world.amazon.accounts import REGIONS, Accounts
from adplatform.local.world.amazon.server import serving
from adplatform.local.world.amazon.world import World

STATE_NAME = "world.json"
SAVE_EVERY_SECONDS = 0.5


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m adplatform.local.world.amazon",
        description="Serves a simulated Amazon on 127.0.0.1: Login with Amazon, Ads reports, Selling Partner reports. "
        "It needs no AWS account and no credentials but those that it prints. GET /_admin says how to move its clock "
        "and order faults.",
    )
    parser.add_argument("data", type=Path, nargs="?", help="directory to keep its state in; default: nothing is kept")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--owner-pid", type=int, help="end with this parent process, and when stdin ends")
    parser.add_argument("--report-fd", type=int, default=2, help="where to say why it ends before it should")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    try:
        if arguments.data is None:
            serve(World(), arguments.port, arguments.owner_pid)
        else:
            serve_from(arguments.data.resolve(), arguments.port, arguments.owner_pid)
    except PermanentFailure as failure:
        return report(arguments.report_fd, str(failure))
    except OSError as e:
        return report(arguments.report_fd, f"the state cannot be saved, and what changed last is lost: {e}")
    return 0


def serve_from(data: Path, port: int, owner_pid: int | None) -> None:
    """Serves the world that ``data`` keeps.

    Raises:
        PermanentFailure: the state is damaged, or another process serves ``data``.
    """
    with alone_in(data):
        store = data / STATE_NAME
        try:
            world = World(store=store)
        except (KeyError, TypeError, ValueError) as e:
            raise PermanentFailure(f"{store} is damaged ({e}); remove it to start anew") from e
        serve(world, port, owner_pid, data)


def serve(world: World, port: int, owner_pid: int | None, data: Path | None = None) -> None:
    """Serves the world until SIGTERM or Ctrl-C, and with an owner until the end of stdin or of that process."""
    stop = stop_requested(with_input=owner_pid is not None)

    def alive() -> bool:
        # A process forked from the owner may keep stdin open; the parent's id tells the owner's end all the same.
        return not stop.is_set() and owner_pid in (None, os.getppid())

    with serving(world, port, alive) as server:
        if owner_pid is None:
            print(_described(server.url, world.accounts), flush=True)
        if data is None:
            stop.wait()
            return
        with recorded(data, server.url):
            seen = 0
            while not stop.wait(SAVE_EVERY_SECONDS) and alive():
                served = world.requests.counts.total()
                if served == seen:
                    continue
                with suppress(OSError):  # reported to whoever changes something, and at the end
                    world.save()
                    seen = served


def _described(url: str, accounts: Accounts) -> str:
    """What a person needs who starts the server."""
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
    sys.exit(main())
