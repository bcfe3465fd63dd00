"""What commands import; run in a process of its own by the tests, prints JSON."""

import gc
import json
import sys
from importlib import import_module

from adplatform.cli import app
from adplatform.patterns import declared_patterns
from adplatform.platform.settings import read_settings

LOOKING = ("status", "history", "quarantine", "ready_made", "report_history", "naming")


def collections() -> int:
    return sum(each["collections"] for each in gc.get_stats())


if __name__ == "__main__":
    for name in LOOKING:
        import_module(f"adplatform.cli.{name}")
    declared_patterns(read_settings())
    before_aws, collected = sorted(sys.modules), collections()
    app(["validate"], standalone_mode=False)
    told = {"look": before_aws, "validate": sorted(sys.modules), "collections": collections() - collected}
    sys.stderr.write(json.dumps(told))
