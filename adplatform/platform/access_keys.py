"""Access keys of endpoints on this machine. Those of the real AWS are boto3's business."""

import os
from dataclasses import dataclass, field

_KNOWN: dict[str, "AccessKey"] = {}


@dataclass(frozen=True)
class AccessKey:
    id: str
    secret: str = field(repr=False)


def remember_key(endpoint_url: str, key: AccessKey) -> None:
    """This process is to sign with the key what it asks of the endpoint."""
    _KNOWN[endpoint_url.rstrip("/")] = key


def key_for(endpoint_url: str) -> AccessKey:
    """What to sign with at an endpoint of this machine: the key that is remembered, else that of the environment, else
    one that means nothing. Profiles and roles of the real AWS are never used there."""
    known = _KNOWN.get(endpoint_url.rstrip("/"))
    if known is not None:
        return known
    return AccessKey(os.environ.get("AWS_ACCESS_KEY_ID", "local"), os.environ.get("AWS_SECRET_ACCESS_KEY", "local"))
