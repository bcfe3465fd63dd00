"""Reading a Salesforce-shaped application as AppFlow does: with the credentials of a connector profile, over HTTP.

Only addresses of this machine are read: nobody's real account is asked from here.
"""

import http.client
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlencode, urlsplit

from adplatform.local.aws import managed
from adplatform.local.aws.state import released
from adplatform.local.world.saas.accounts import MANAGED_APP
from adplatform.local.world.saas.endpoint import SIMULATED_URL, ensure
from adplatform.platform.loopback import is_loopback

VERSION = "v62.0"
_SECONDS = 30.0
_ATTEMPTS = 4
_LONGEST_WAIT = 3.0
_UNREACHABLE = 0
_AGAIN = (_UNREACHABLE, 429, 500, 502, 503, 504)


class Unauthorized(Exception):
    """The application refuses the credentials."""


class Failed(Exception):
    """The application refuses a request or cannot be reached."""


@dataclass(frozen=True)
class Connection:
    """How to log in and where to ask."""

    url: str
    token_url: str
    grant: Mapping[str, str] = field(repr=False)
    sleep: Callable[[float], None] = time.sleep


def connection(asked: Mapping[str, Any], secret: Callable[[str], str]) -> Connection:
    """That of a connector profile, whose ``asked`` is its request; ``secret`` reads one of Secrets Manager.
    Callers hold the lock.

    Raises:
        Failed: the profile is not complete, or its address is not of this machine.
    """
    kind, config = asked["connectorType"], asked["connectorProfileConfig"]
    properties = config["connectorProfileProperties"].get(kind, {})
    credentials = config.get("connectorProfileCredentials", {}).get(kind, {})
    if kind == "CustomConnector":
        url = properties.get("profileProperties", {}).get("instanceUrl", "")
        oauth = properties.get("oAuth2Properties", {})
        credentials = credentials.get("oauth2", {})
        token_url, grant_type = oauth.get("tokenUrl", ""), oauth.get("oAuth2GrantType", "")
        client = {"client_id": credentials.get("clientId", ""), "client_secret": credentials.get("clientSecret", "")}
    else:
        url, token_url = properties.get("instanceUrl", ""), ""
        grant_type = credentials.get("oAuth2GrantType", "")
        client = _client(credentials, secret)
    if url == SIMULATED_URL:
        with released():
            url = ensure(managed.CONTROL.data / "crm").url
    token_url = token_url or f"{url.rstrip('/')}/services/oauth2/token"
    for address in (url, token_url):
        if urlsplit(address).scheme != "http" or not is_loopback(urlsplit(address).hostname or ""):
            said = f"the embedded AWS reads applications of this machine only, at http://127.0.0.1, not {address!r}"
            raise Failed(said)
    if grant_type == "CLIENT_CREDENTIALS":
        grant = {"grant_type": "client_credentials", **client}
    else:
        grant = {"grant_type": "refresh_token", "refresh_token": credentials.get("refreshToken", ""), **client}
    return Connection(url.rstrip("/"), token_url, grant)


def _client(credentials: Mapping[str, Any], secret: Callable[[str], str]) -> dict[str, str]:
    arn = credentials.get("clientCredentialsArn")
    if not arn:
        return {"client_id": MANAGED_APP}
    kept = {name.replace("_", "").lower(): value for name, value in json.loads(secret(arn)).items()}
    return {"client_id": kept.get("clientid", ""), "client_secret": kept.get("clientsecret", "")}


def token(to: Connection) -> str:
    """A new access token.

    Raises:
        Unauthorized: the application refuses the credentials.
        Failed: it cannot be reached.
    """
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = urlencode(to.grant).encode()
    status, _, body = _patiently(to, partial(_request, "POST", to.token_url, form, body))
    if status in (400, 401):
        said = json.loads(body)
        raise Unauthorized(f"{said.get('error')}: {said.get('error_description')}")
    if status != 200:
        raise Failed(_said(status, body))
    return str(json.loads(body)["access_token"])


@dataclass
class Session:
    """A connection with its access token, which is renewed once when it is refused; ``got`` is told each new one."""

    to: Connection
    access: str
    got: Callable[[str], None] = lambda _: None

    def get(self, path: str) -> tuple[Any, int]:
        """An answer and its size in bytes.

        Raises:
            Unauthorized: the application refuses the credentials.
            Failed: it refuses the request or cannot be reached.
        """
        for renewed in (not self.access, True):
            if renewed:
                self.access = token(self.to)
                self.got(self.access)
            headers = {"Authorization": f"Bearer {self.access}"}
            status, _, body = _patiently(self.to, partial(_request, "GET", self.to.url + path, headers, None))
            if status != 401:
                break
        if status == 401:
            raise Unauthorized(_said(status, body))
        if status != 200:
            raise Failed(_said(status, body))
        return json.loads(body), len(body)

    def pages(self, soql: str, *, deleted: bool) -> Iterator[tuple[list[dict[str, Any]], int]]:
        """The records of a query page by page, each with its size in bytes.

        Raises: as :meth:`get`.
        """
        path = f"/services/data/{VERSION}/query{'All' * deleted}/?{urlencode({'q': soql})}"
        while path:
            answer, size = self.get(path)
            yield answer["records"], size
            path = answer.get("nextRecordsUrl", "")

    def fields(self, name: str) -> dict[str, str]:
        """The fields of an object and their types.

        Raises: as :meth:`get`.
        """
        answer, _ = self.get(f"/services/data/{VERSION}/sobjects/{name}/describe")
        return {known["name"]: known["type"] for known in answer["fields"]}

    def objects(self) -> list[str]:
        """Raises: as :meth:`get`."""
        answer, _ = self.get(f"/services/data/{VERSION}/sobjects")
        return [known["name"] for known in answer["sobjects"]]


def _said(status: int, body: bytes) -> str:
    """What an answer that is no success says."""
    if status == _UNREACHABLE:
        return f"the application cannot be reached: {body.decode()}"
    try:
        errors = json.loads(body)
        return "; ".join(f"{error['errorCode']}: {error['message']}" for error in errors)
    except (KeyError, TypeError, ValueError):
        return f"{status} {body[:200].decode(errors='replace')}"


Answer = tuple[int, Mapping[str, str], bytes]


def _patiently(to: Connection, ask: Callable[[], Answer]) -> Answer:
    """The first answer that may not be another a moment later, or the last one."""
    for attempt in range(1, _ATTEMPTS):
        status, headers, body = ask()
        if status not in _AGAIN:
            return status, headers, body
        to.sleep(min(float(headers.get("Retry-After", 0.05 * attempt)), _LONGEST_WAIT))
    return ask()


def _request(method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
    """An answer, or ``_UNREACHABLE`` and why there is none."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=_SECONDS)
    try:
        connection.request(method, f"{parts.path}?{parts.query}".rstrip("?"), body, dict(headers))
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    except (OSError, http.client.HTTPException) as e:
        return _UNREACHABLE, {}, f"{type(e).__name__}: {e}".encode()
    finally:
        connection.close()
