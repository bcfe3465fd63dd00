"""Which application of EMR Serverless transforms deliveries: the one that the platform's deployment has made, by its
name.

Names are not unique there, and those that are deleted are listed for a while as terminated (EMR Serverless API
reference, CreateApplication, ListApplications).
"""

from adplatform.failures import PermanentFailure
from adplatform.platform.aws import Aws
from adplatform.platform.aws_errors import aws_failures

STARTS = frozenset({"CREATED", "STARTING", "STARTED", "STOPPING", "STOPPED"})
"""States of an application in which one that starts by itself takes runs."""
_TERMINATED = "TERMINATED"
_ID = "ADPLATFORM_SPARK_APPLICATION"
_FOUND: dict[tuple[str, str | None, str], str] = {}
"""Ids by region, endpoint and name."""


def application_named(aws: Aws, name: str) -> str:
    """The id of the application, which is looked up once a process, until :func:`forget_applications`.

    Raises:
        PermanentFailure: there is none of that name, or there are several.
    """
    known = aws.region, aws.endpoint_url, name
    if known not in _FOUND:
        _FOUND[known] = _looked_up(aws, name)
    return _FOUND[known]


def forget_applications() -> None:
    """Look them up anew: one is not what it was."""
    _FOUND.clear()


def _looked_up(aws: Aws, name: str) -> str:
    with aws_failures("the applications of EMR Serverless"):
        pages = aws.client("emr-serverless").get_paginator("list_applications").paginate()
        named = [each for page in pages for each in page["applications"] if each.get("name") == name]
    there = [each["id"] for each in named if each["state"] != _TERMINATED]
    if len(there) > 1:
        raise PermanentFailure(
            f"{len(there)} applications of EMR Serverless are called {name}: {', '.join(sorted(there))}: name one in "
            f"{_ID}, or delete the others"
        )
    if not there:
        gone = f", but {named[-1]['id']}, which is terminated" if named else ""
        raise PermanentFailure(
            f"there is no application of EMR Serverless called {name}{gone}: a deployment with `catalog.spark` makes "
            f"it; or name one of your own in {_ID}"
        )
    return str(there[0])
