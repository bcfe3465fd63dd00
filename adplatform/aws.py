"""Every AWS client of the platform comes from here, so that one endpoint URL moves all of it to the embedded AWS."""

import ipaddress
import os
import threading
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from adplatform.failures import PermanentFailure

_making_clients = threading.Lock()
LOCAL_REGION = "us-east-1"


@dataclass(frozen=True)
class Aws:
    """Where the services are. ``endpoint_url`` None means the real AWS with its usual credential chain."""

    region: str
    endpoint_url: str | None = None

    @cached_property
    def _session(self) -> Any:
        if self.endpoint_url is None:
            return boto3.Session(region_name=self.region)
        return boto3.Session("local", "local", region_name=self.region)

    def client(self, service: str) -> Any:
        """A new boto3 client with standard retries; thread-safe, so callers may keep it."""
        config = Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=10, read_timeout=60)
        with _making_clients:  # a boto3 session is for one thread at a time, its clients are for many
            return self._session.client(service, endpoint_url=self.endpoint_url, config=config)


def local_aws(endpoint_url: str) -> Aws:
    """The embedded AWS at ``endpoint_url``.

    Raises:
        PermanentFailure: the host is not a loopback address, so data meant for a laptop could leave it.
    """
    host = urlsplit(endpoint_url).hostname or ""
    if not is_loopback(host):
        raise PermanentFailure(
            f"local mode refuses endpoint {endpoint_url!r}: {host!r} is not a loopback address. "
            "Unset AWS_ENDPOINT_URL, or set ADPLATFORM_ENV=aws to use the real AWS."
        )
    return Aws(region=os.environ.get("AWS_REGION", LOCAL_REGION), endpoint_url=endpoint_url)


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only reach this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
