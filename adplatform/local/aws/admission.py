"""Who is served: whoever signs with a key of this embedded AWS, and nobody by way of a web page."""

import io
import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from moto.iam.models import iam_backends

from adplatform.local import callers
from adplatform.local.aws import signatures
from adplatform.local.aws.signatures import Unsigned
from adplatform.local.aws.state import LOCK
from adplatform.platform.access_keys import AccessKey

SERVICE = "adplatform.service"
"""Where the environment of a request that its query signs has the service and region that it is signed for."""
_QUIET_SECONDS = 1.0
_LOGGED_CHARACTERS = 200

log = logging.getLogger(__name__)


class Admission:
    """Decides on requests by their WSGI environments. Besides ``key``, whose requests are those of the account's owner,
    access keys of users of IAM and of roles that were assumed are good, as long as there are such."""

    def __init__(self, key: AccessKey, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._key, self._now = key, now
        self._refusals = _Refusals()

    def require_no_page(self, environ: dict[str, Any]) -> None:
        """
        Raises:
            Unsigned: a web page sent it, or it was sent to a name that is not this machine's.
        """
        reason = callers.refusal(environ)
        if reason is not None:
            raise Unsigned("AccessDenied", reason)

    def require_signature(self, environ: dict[str, Any], received: Callable[[dict[str, Any]], bytes]) -> None:
        """``received`` reads the body, and leaves it in the environment to be read again; of a stranger it is not read.

        Raises:
            Unsigned: nobody has signed the request who may.
        """
        if _confirms(environ):
            return
        if signatures.is_version_2(environ):
            signatures.verify_version_2(environ, self._secret, self._now())
            environ[SERVICE] = "s3.us-east-1"
            return
        claim = signatures.claimed(environ)
        signatures.known_secret(claim.key_id, self._secret)
        body = received(environ) if claim.covers_body else b""
        signatures.verify(environ, claim, body, self._secret, self._now())
        if claim.expires is not None:
            environ[SERVICE] = f"{claim.service}.{claim.region}"

    def note(self, environ: dict[str, Any], refused: Unsigned) -> None:
        """A line in the log. It names no path and no query, in which there may be personal data and signatures."""
        page = environ.get("HTTP_ORIGIN") or environ.get("HTTP_SEC_FETCH_SITE") or environ.get("HTTP_HOST")
        asked = f"{environ['REQUEST_METHOD'][:20]!r} from {str(page)[:_LOGGED_CHARACTERS]!r}"
        self._refusals.note(f"refused {asked}: {refused.code}, {refused}")

    def _secret(self, key_id: str) -> str | None:
        if key_id == self._key.id:
            return self._key.secret
        with LOCK:
            for _, _, backend in iam_backends.iter_backends():
                if (found := backend.access_keys.get(key_id)) is not None and found.status == "Active":
                    return str(found.secret_access_key)
        return None


def _confirms(environ: dict[str, Any]) -> bool:
    """Whether a SubscribeURL of SNS is visited, whose token stands for a signature. Nothing else can be asked so."""
    if environ["REQUEST_METHOD"] != "GET" or environ["PATH_INFO"] != "/" or "HTTP_AUTHORIZATION" in environ:
        return False
    actions = [value for name, value in parse_qsl(environ["QUERY_STRING"]) if name == "Action"]
    if actions != ["ConfirmSubscription"]:
        return False
    environ["wsgi.input"] = io.BytesIO()
    for name in [name for name in environ if name.startswith(("HTTP_X_AMZ", "HTTP_SMITHY", "CONTENT_"))]:
        del environ[name]
    environ.pop("wsgi.input_terminated", None)
    environ[SERVICE] = "sns.us-east-1"
    return True


class _Refusals:
    """Lines of the log, at most one a second: a page can send thousands of requests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next, self._silent = 0.0, 0

    def note(self, text: str) -> None:
        with self._lock:
            now = time.monotonic()
            if now < self._next:
                self._silent += 1
                return
            more = f" ({self._silent} more were refused meanwhile)" if self._silent else ""
            self._next, self._silent = now + _QUIET_SECONDS, 0
        log.warning("%s%s", text, more)
