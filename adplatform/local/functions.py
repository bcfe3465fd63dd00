"""The Lambda functions of managed workflows on the embedded AWS: handlers of this installation that it calls itself."""

import json
import urllib.request
from collections.abc import Mapping

from adplatform.platform.settings import PREFIX, Settings

_ADMIN_PATH = "/_adplatform/engines"
_SECONDS = 30


def make_function(
    endpoint_url: str, arn: str, handler: str, environment: Mapping[str, str], timeout: float = 60.0
) -> None:
    """Make a function, or put it in the place of that of its name. ``handler`` is ``module:name``, ``timeout`` in
    seconds.

    Raises:
        OSError: the embedded AWS does not answer, or refuses it.
    """
    asked = {"service": "transfer", "what": "function", "target": arn, "handler": handler, "timeout": timeout}
    body = json.dumps({"ask": {**asked, "environment": dict(environment)}}).encode()
    request = urllib.request.Request(endpoint_url + _ADMIN_PATH, body)  # noqa: S310 - the endpoint of this machine
    with urllib.request.urlopen(request, timeout=_SECONDS):  # noqa: S310 - as above
        pass


def environment_of(settings: Settings) -> dict[str, str]:
    """What a function needs of the settings."""
    names = ("raw_bucket", "ledger_table", "failure_topic", "largest_file", "malware_scan")
    return {f"{PREFIX}{name.upper()}": str(getattr(settings, name)) for name in names}
