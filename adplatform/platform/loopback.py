"""Addresses of this machine."""

import ipaddress
from functools import lru_cache


@lru_cache(maxsize=100)
def is_loopback(host: str) -> bool:
    """Whether a host name or address can only reach this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
