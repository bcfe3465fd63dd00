"""Which callers the servers of this machine turn away before they look at what is asked: web pages.

A browser lets any page send simple requests to 127.0.0.1 (Fetch standard, "CORS-safelisted"), and a name of the page's
own may resolve to 127.0.0.1. It says so, in headers that no page can write: ``Host``, ``Origin``, ``Sec-Fetch-Site``.
"""

import re
from collections.abc import Mapping
from typing import Any

from adplatform.platform.loopback import is_loopback

_OWN_SITE = frozenset({"none", "same-origin"})


def refusal(environ: Mapping[str, Any]) -> str | None:
    """Why a request, of which this is the WSGI environment, is not served to whoever sent it; None if it is."""
    host = str(environ.get("HTTP_HOST", "127.0.0.1"))
    if not is_loopback(re.sub(r":\d+$", "", host).strip("[]")):
        return "only loopback host names are served"
    origin = environ.get("HTTP_ORIGIN")
    if origin is not None and origin != f"http://{host}":
        return "web pages of another origin are not served"
    # A page of another port of this machine is of the same site, and still another's.
    if environ.get("HTTP_SEC_FETCH_SITE", "none") not in _OWN_SITE:
        return "web pages of another site are not served"
    return None
