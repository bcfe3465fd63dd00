"""Requests to the embedded AWS for which boto3 has no client, signed as all must be."""

import io
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from adplatform.platform.access_keys import AccessKey, key_for

ADMIN_PATH = "/_adplatform/engines"
_SERVICE, _REGION = "adplatform", "us-east-1"
_SECONDS = 30


def signed_request(
    method: str, url: str, body: bytes = b"", key: AccessKey | None = None, service: str = _SERVICE
) -> urllib.request.Request:
    """By default with the key that this process has for the endpoint."""
    from botocore.auth import S3SigV4Auth, SigV4Auth  # noqa: PLC0415
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415
    from botocore.credentials import Credentials  # noqa: PLC0415

    used = key or key_for(url[: url.index("/", len("http://"))])
    request = AWSRequest(method, url, data=body)
    signer = S3SigV4Auth if service == "s3" else SigV4Auth
    signer(Credentials(used.id, used.secret), service, _REGION).add_auth(request)
    headers = {"Content-Type": "application/json", **dict(request.headers.items())}
    return urllib.request.Request(url, body or None, headers, method=method)  # noqa: S310 - of this machine


def order(endpoint_url: str, orders: Mapping[str, Any]) -> dict[str, Any]:
    """Move the clock of the embedded AWS's engines, have something go wrong with them, or ask them what their APIs do
    not tell: see ``adplatform.local.aws.managed``. The answer is what it has then.

    Raises:
        OSError: it does not answer, or refuses (``urllib.error.HTTPError``, which says why).
    """
    request = signed_request("POST", endpoint_url.rstrip("/") + ADMIN_PATH, json.dumps(orders).encode())
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - of this machine
            said: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as e:
        body = e.read()
        why = f"{e.msg}: {body.decode(errors='replace')}"
        raise urllib.error.HTTPError(e.url, e.code, why, e.headers, io.BytesIO(body)) from e
    return said
