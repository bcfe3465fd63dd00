"""``python -m adplatform.local.aws DATA``: the child process that ``endpoint.ensure`` starts."""

import argparse
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from adplatform.failures import PermanentFailure
from adplatform.local.child import report


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m adplatform.local.aws")
    parser.add_argument("data", type=Path, help="directory that keeps the state of the embedded AWS")
    parser.add_argument("--host", default="127.0.0.1", help="loopback address to listen on")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--owner-pid", type=int, default=os.getppid(), help="stop when this parent process ends")
    parser.add_argument("--report-fd", type=int, default=2, help="where to say why it ends before it should")
    parser.add_argument("--save-every", type=float, default=0.5, help="seconds between two saves of the state")
    given = parser.parse_args(arguments)
    # Read by moto when it is imported: no web page of another origin may call the endpoint.
    os.environ["MOTO_DISABLE_GLOBAL_CORS"] = "true"
    from adplatform.local.aws.server import serve  # noqa: PLC0415

    try:
        serve(given.data.resolve(), given.host, given.port, given.owner_pid, given.save_every)
    except PermanentFailure as failure:
        return report(given.report_fd, str(failure))
    except OSError as e:
        return report(given.report_fd, f"{given.data} cannot be used: {e}")
    return 0


if __name__ == "__main__":
    status = main()
    logging.shutdown()
    # At once: other threads may still hold requests that nothing is to answer any more.
    os._exit(status)
