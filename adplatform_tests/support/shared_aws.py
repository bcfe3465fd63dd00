"""``python -m adplatform_tests.support.shared_aws DATA``: the embedded AWS that the tests of one process share.

It outlives no test run, so it saves its state rarely: what all tests have left behind, twice a second, would take a
fifth of its time.
"""

import logging
import os
import sys

from adplatform.local.aws.__main__ import main
from adplatform.local.endpoint import Child

SHARED_AWS = Child(__name__, "embedded AWS", keyed=True)

if __name__ == "__main__":
    status = main([*sys.argv[1:], "--save-every", "30"])
    logging.shutdown()
    os._exit(status)
