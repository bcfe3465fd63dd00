"""What the many processes that tests kill need: imported and read once, by the server that forks them."""

import pytest  # noqa: F401  # every module of tests imports it, and a process imports that of its work
import sqlglot.dialects.duckdb  # noqa: F401

from adplatform.platform.aws import local_aws
from adplatform_tests.support import changes, plainly, platforms  # noqa: F401
from adplatform_tests.support.garbage import collect_rarely, keep_until_exit

_NOWHERE = "http://127.0.0.1:9"
for _service in ("dynamodb", "glue", "s3", "secretsmanager", "sns", "sqs"):
    local_aws(_NOWHERE).client(_service)  # reads the models of the service; opens no connection
collect_rarely()
keep_until_exit()
