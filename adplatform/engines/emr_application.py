"""Which application of EMR Serverless transforms deliveries: the one that the platform's deployment has made, by its
name.

Names are not unique there, and those that are deleted are listed for a while as terminated (EMR Serverless API
reference, CreateApplication, ListApplications).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from adplatform.engines.engine import Finding
from adplatform.engines.spark_environment import ARCHITECTURE
from adplatform.failures import PermanentFailure
from adplatform.platform.aws import Aws
from adplatform.platform.aws_errors import aws_failures
from adplatform.platform.names import SPARK_APPLICATION

RELEASE = "emr-7.13.0"
"""Spark 3.5; the first whose images are known to have Python 3.11."""
STARTS = frozenset({"CREATED", "STARTING", "STARTED", "STOPPING", "STOPPED"})
"""States of an application in which one that starts by itself takes runs."""
_TERMINATED = "TERMINATED"
_ID = "ADPLATFORM_SPARK_APPLICATION"
_WORKER_CPUS, _WORKER_GB = 4, 16
"""Of a driver, and of each executor, where a run says nothing else (user guide, "Spark defaults")."""
_RELEASES = re.compile(r"emr-7\.(\d+)\.")
_AMOUNT = re.compile(r"\d+")
_FOUND: dict[tuple[str, str | None, str], str] = {}
"""Ids by region, endpoint and name."""


def application(release: str, cpus: int, memory_gb: int, idle_minutes: int) -> dict[str, Any]:
    """What CreateApplication takes for the one that is made: nothing of it costs while no run goes on."""
    return {
        "name": SPARK_APPLICATION,
        "type": "SPARK",
        "releaseLabel": release,
        "architecture": ARCHITECTURE,
        "maximumCapacity": {"cpu": f"{cpus} vCPU", "memory": f"{memory_gb} GB"},
        "autoStartConfiguration": {"enabled": True},
        "autoStopConfiguration": {"enabled": True, "idleTimeoutMinutes": idle_minutes},
    }


def drift(there: Mapping[str, Any], named: str, executors: int) -> Iterator[Finding]:
    """How an application, as GetApplication tells it, differs from what runs need; ``named`` begins what is found,
    ``executors`` is the most of a run."""
    for what, has, should, fatal in (*_kind(there), *_capacity(there, executors), *_costs(there)):
        yield Finding(f"{named}: {what} is {has}, and should be {should}", fatal=fatal)


_Compared = tuple[str, Any, str, bool]
"""What, as it is and as it should be, and whether nothing can be done as it is."""


def _kind(there: Mapping[str, Any]) -> Iterator[_Compared]:
    if str(there["type"]).upper() != "SPARK":
        yield "its type", there["type"], "Spark", True
    architecture = there.get("architecture") or ARCHITECTURE
    if architecture != ARCHITECTURE:
        yield (
            "its architecture",
            architecture,
            f"{ARCHITECTURE}, for which what runs import is made: make another",
            True,
        )
    least, release = _RELEASES.match(RELEASE), _RELEASES.match(there["releaseLabel"])
    if least and (release is None or int(release[1]) < int(least[1])):
        yield (
            "its release",
            there["releaseLabel"],
            f"{RELEASE} or a later one of 7, which has the Python of runs",
            False,
        )


def _capacity(there: Mapping[str, Any], executors: int) -> Iterator[_Compared]:
    """Without a maximum, the quota of the account is one."""
    most = there.get("maximumCapacity") or {}
    for name, unit, each in (("cpu", "vCPU", _WORKER_CPUS), ("memory", "GB", _WORKER_GB)):
        amount = _AMOUNT.match(str(most.get(name, "")))
        if amount is None:
            continue
        least, wanted = 2 * each, (executors + 1) * each
        if int(amount[0]) < least:
            yield f"its most {name}", most[name], f"{least} {unit} at least, for a driver and an executor", True
        elif int(amount[0]) < wanted:
            why = f"for a driver and the {executors} executors of ADPLATFORM_SPARK_WORKERS"
            yield f"its most {name}", most[name], f"{wanted} {unit}, {why}", False


def _costs(there: Mapping[str, Any]) -> Iterator[_Compared]:
    if not (there.get("autoStartConfiguration") or {}).get("enabled", True) and there["state"] != "STARTED":
        yield "its auto-start", f"off while it is {there['state']}", "on, or start it", True
    if not (there.get("autoStopConfiguration") or {}).get("enabled", True):
        yield "its auto-stop", "off", "on, because workers that are kept ready are paid for all day", False
    if there.get("initialCapacity"):
        yield "its initial capacity", "set", "left out: it is paid for while the application is started", False
    if subnets := (there.get("networkConfiguration") or {}).get("subnetIds"):
        ways = "none, unless these lead to S3, Secrets Manager and KMS"
        yield "its network", f"in {', '.join(subnets)}", ways, False


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
