"""Access tokens of Login with Amazon: one per account, shared by this machine's processes, never on disk in clear."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from filelock import FileLock

from adplatform.amazon.answers import error_text
from adplatform.amazon.credentials import CURRENT, PREVIOUS, Credentials, read_credentials
from adplatform.failures import PermanentFailure, TransientFailure

EARLY = timedelta(seconds=300)
"""How long before it expires a token is replaced."""
_REVOKED = ("invalid_grant", "unauthorized_client", "access_denied")
_PASSING = ("server_error", "temporarily_unavailable")
_WRONG_SECRET = "invalid_client"  # noqa: S105 - an error code of Login with Amazon


@dataclass(frozen=True)
class Token:
    value: str = field(repr=False)
    expires: datetime


@dataclass(frozen=True)
class Tokens:
    """The tokens of one account. ``directory`` is where processes of this machine share them: a file per account,
    readable by this user alone, encrypted with a key that only holders of the credentials can make."""

    http: httpx.Client
    url: str
    secrets: Any
    secret: str
    directory: Path
    now: Callable[[], datetime]

    def get(self, refused: str = "") -> str:
        """A token that is good for a while and is not the one that was ``refused``.

        Raises:
            PermanentFailure: the authorisation was revoked, or the client's secret is wrong.
            TransientFailure: Login with Amazon does not answer.
        """
        credentials = _required(read_credentials(self.secrets, self.secret), self.secret)
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = sha256(f"{credentials.client_id}\x00{credentials.refresh_token}".encode()).hexdigest()[:32]
        path = self.directory / name
        with FileLock(self.directory / f"{name}.lock"):
            cached = _read(path, credentials)
            if cached is not None and cached.value != refused and self.now() < cached.expires:
                return cached.value
            fresh = self._fresh(credentials)
            _write(path, credentials, fresh)
            return fresh.value

    def _fresh(self, credentials: Credentials) -> Token:
        answer = self._ask(credentials)
        if _error(answer) == _WRONG_SECRET:
            previous = read_credentials(self.secrets, self.secret, PREVIOUS)
            if previous is not None and previous != credentials:
                answer = self._ask(previous)
        error = _error(answer)
        if error == _WRONG_SECRET:
            raise PermanentFailure(
                f"Login with Amazon does not accept client_secret of secret {self.secret}: store the present one"
            )
        if error in _REVOKED:
            raise PermanentFailure(
                f"Login with Amazon says {error} to the refresh_token of secret {self.secret}: it was revoked; "
                "authorise the application again and store the new one"
            )
        if (
            answer.status_code >= 500
            or answer.status_code == 429
            or error in ("server_error", "temporarily_unavailable")
        ):
            raise TransientFailure(f"Login with Amazon answers {answer.status_code} for now")
        if answer.status_code != 200:
            raise PermanentFailure(f"Login with Amazon refuses secret {self.secret}: {error_text(answer.content)}")
        body = answer.json()
        lifetime = timedelta(seconds=int(body["expires_in"]))
        return Token(str(body["access_token"]), self.now() + lifetime - min(EARLY, lifetime / 5))

    def _ask(self, credentials: Credentials) -> httpx.Response:
        form = {
            "grant_type": "refresh_token",
            "refresh_token": credentials.refresh_token,
            "client_id": credentials.client_id,
            "client_secret": credentials.client_secret,
        }
        try:
            return self.http.post(self.url, data=form)
        except httpx.HTTPError as e:
            raise TransientFailure(f"Login with Amazon cannot be reached: {type(e).__name__}") from None

    @property
    def client_id(self) -> str:
        return _required(read_credentials(self.secrets, self.secret, CURRENT), self.secret).client_id


def _required(credentials: Credentials | None, name: str) -> Credentials:
    if credentials is None:
        raise PermanentFailure(f"secret {name} has no current version")
    return credentials


def _error(answer: httpx.Response) -> str:
    if answer.status_code == 200:
        return ""
    try:
        document = answer.json()
    except ValueError:
        return ""
    return str(document.get("error", "")) if isinstance(document, dict) else ""


def _key(credentials: Credentials) -> Fernet:
    material = f"{credentials.client_secret}\x00{credentials.refresh_token}".encode()
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"adplatform access token").derive(material)
    return Fernet(urlsafe_b64encode(derived))


def _read(path: Path, credentials: Credentials) -> Token | None:
    if not path.exists():
        return None
    try:
        document = json.loads(_key(credentials).decrypt(path.read_bytes()))
    except (InvalidToken, ValueError):
        return None
    return Token(document["token"], datetime.fromisoformat(document["expires"]))


def _write(path: Path, credentials: Credentials, token: Token) -> None:
    body = json.dumps({"token": token.value, "expires": token.expires.isoformat()}).encode()
    unfinished = path.with_suffix(".new")
    unfinished.touch(mode=0o600)
    unfinished.write_bytes(_key(credentials).encrypt(body))
    unfinished.replace(path)
