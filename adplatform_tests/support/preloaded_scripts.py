"""What the script of a Glue job needs: imported and read once, by the server that forks the processes of scripts."""

import psycopg  # noqa: F401
import sqlalchemy.dialects.postgresql.psycopg  # noqa: F401

import adplatform.jobs.read_table  # noqa: F401
from adplatform.platform.aws import local_aws
from adplatform_tests.support.garbage import collect_rarely, keep_until_exit

for _service in ("s3", "secretsmanager"):
    local_aws("http://127.0.0.1:9").client(_service)  # reads the model of the service; opens no connection
collect_rarely()
keep_until_exit()
