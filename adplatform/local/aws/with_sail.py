"""``python with_sail.py SCRIPT ...`` runs a script whose Spark is a server of Sail in its own process. It is started
once the script imports pyspark.
"""

import os
import runpy
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any


class _Start(MetaPathFinder):
    """Finds nothing; ``server`` is there from the first search for pyspark on."""

    server: Any = None

    def find_spec(self, name: str, *_: Any) -> None:
        if name != "pyspark" or self.server is not None:
            return
        from pysail.spark import SparkConnectServer  # noqa: PLC0415 - installed for development alone

        self.server = SparkConnectServer(port=0)
        self.server.start(background=True)
        _, port = self.server.listening_address
        os.environ["SPARK_REMOTE"] = f"sc://127.0.0.1:{port}"


def _end_session() -> None:
    """A session that is left to itself asks for minutes after a server that has ended, and keeps the process."""
    from pyspark.sql import SparkSession  # noqa: PLC0415 - not before the server is there

    session = SparkSession.getActiveSession()
    if session is not None:
        session.stop()


def main() -> None:
    start = _Start()
    sys.meta_path.insert(0, start)
    sys.argv = sys.argv[1:]
    # Python puts the folder of this file there, whose secrets.py is not the one that scripts import.
    sys.path[0] = str(Path(sys.argv[0]).parent)
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    finally:
        if start.server is not None:
            _end_session()
            start.server.stop()


if __name__ == "__main__":
    main()
