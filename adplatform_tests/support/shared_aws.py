"""``python -m adplatform_tests.support.shared_aws DATA``: the embedded AWS that the tests of one process share.

It outlives no test run, so it saves its state rarely: what all tests have left behind, twice a second, would take a
fifth of its time; and scripts of Glue jobs are forked, not started anew.
"""

import logging
import os
import sys
from functools import partial

from adplatform.local.aws.__main__ import main
from adplatform.local.endpoint import Child
from adplatform_tests.support import forked_scripts

SHARED_AWS = Child(__name__, "embedded AWS", keyed=True)

if __name__ == "__main__":
    os.environ["MOTO_DISABLE_GLOBAL_CORS"] = "true"  # as main does before it imports moto
    from adplatform.local.aws import scripts

    scripts._started = partial(forked_scripts.started, scripts._started)
    status = main([*sys.argv[1:], "--save-every", "30"])
    logging.shutdown()
    os._exit(status)
