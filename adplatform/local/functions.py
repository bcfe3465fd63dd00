"""The Lambda functions of managed workflows on the embedded AWS: handlers of this installation that it calls itself."""

from collections.abc import Mapping

from adplatform.local.signed import order


def make_function(
    endpoint_url: str, arn: str, handler: str, environment: Mapping[str, str], timeout: float = 60.0
) -> None:
    """Make a function, or put it in the place of that of its name. ``handler`` is ``module:name``, ``timeout`` in
    seconds.

    Raises:
        OSError: the embedded AWS does not answer, or refuses it.
    """
    asked = {"service": "transfer", "what": "function", "target": arn, "handler": handler, "timeout": timeout}
    order(endpoint_url, {"ask": {**asked, "environment": dict(environment)}})
