"""Access tokens of Login with Amazon: one per account, shared by this machine's processes, never on disk in clear."""

import json
import math
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
from filelock import FileLock, Timeout

from adplatform.amazon.answers import error_text
from adplatform.amazon.credentials import PREVIOUS, Credentials, read_credentials
from adplatform.failures import CredentialsRefused, PermanentFailure, TransientFailure

TOKEN_URL = "https://api.amazon.com/auth/o2/token"  # noqa: S105 - an address
EARLY = timedelta(seconds=300)
"""How long before it expires a token is replaced."""
KEPT = timedelta(seconds=60)
"""How long credentials are kept in memory before the secret is read again."""
_LONGEST = timedelta(days=1)
_LOCK_SECONDS = 180.0
_WRONG_SECRET = "invalid_client"  # noqa: S105 - an error code of Login with Amazon
_REVOKED = ("invalid_grant", "unauthorized_client", "access_denied")
_MALFORMED = ("invalid_request", "invalid_scope", "unsupported_grant_type")


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
    _kept: dict[str, tuple[Credentials, datetime]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def client_id(self) -> str:
        return self._credentials().client_id

    def get(self, refused: str = "") -> str:
        """A token that is good for a while and is not the one that was ``refused``.

        Raises:
            CredentialsRefused: the authorisation was revoked, or the client's secret is wrong.
            TransientFailure: Login with Amazon does not answer.
        """
        credentials = self._credentials(anew=bool(refused))
        try:
            return self._shared(credentials, refused)
        except PermanentFailure:
            stored = self._credentials(anew=True)
            if stored == credentials:
                raise
        return self._shared(stored, refused)

    def _credentials(self, *, anew: bool = False) -> Credentials:
        kept = self._kept.get(self.secret)
        if kept is not None and not anew and timedelta(0) <= self.now() - kept[1] < KEPT:
            return kept[0]
        credentials = read_credentials(self.secrets, self.secret)
        if credentials is None:
            raise CredentialsRefused(f"secret {self.secret} has no current version")
        self._kept[self.secret] = (credentials, self.now())
        return credentials

    def _shared(self, credentials: Credentials, refused: str) -> str:
        """The token that processes share, a new one if there is none; one of them asks for it."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = sha256(f"{credentials.client_id}\x00{credentials.refresh_token}".encode()).hexdigest()[:32]
        path = self.directory / name
        lock = FileLock(self.directory / f"{name}.lock", timeout=_LOCK_SECONDS, mode=0o600)
        try:
            held = lock.acquire()
        except Timeout:
            raise TransientFailure("another process has been waiting for Login with Amazon for long") from None
        with held:
            cached = _read(path, credentials)
            if cached is not None and cached.value != refused and self.now() < cached.expires:
                return cached.value
            fresh = self._fresh(credentials)
            _write(path, credentials, fresh)
            return fresh.value

    def _fresh(self, credentials: Credentials) -> Token:
        answer = self._ask(credentials)
        if _error(answer) == _WRONG_SECRET:
            # While a secret is rotated, the store may know the new one before Amazon does.
            previous = read_credentials(self.secrets, self.secret, PREVIOUS)
            if previous is not None and previous != credentials and previous.client_id == credentials.client_id:
                second = self._ask(previous)
                answer = answer if _error(second) else second
        error = _error(answer)
        if error == _WRONG_SECRET:
            raise CredentialsRefused(
                f"Login with Amazon does not accept client_secret of secret {self.secret}: store the present one"
            )
        if error in _REVOKED:
            raise CredentialsRefused(
                f"Login with Amazon says {error} to the refresh_token of secret {self.secret}: it was revoked; "
                "authorise the application again and store the new one"
            )
        if error in _MALFORMED:
            said = error_text(answer.content, credentials.client_secret, credentials.refresh_token)
            raise CredentialsRefused(f"Login with Amazon refuses secret {self.secret}: {error}: {said}")
        token = self._issued(answer) if answer.status_code == 200 else None
        if token is None:
            # Its own errors are known: what else comes is from a gateway on the way.
            raise TransientFailure(f"Login with Amazon gives no token for now: HTTP {answer.status_code}")
        return token

    def _issued(self, answer: httpx.Response) -> Token | None:
        body = _object(answer)
        value, seconds = body.get("access_token"), _number(body.get("expires_in"))
        if not isinstance(value, str) or not value.isascii() or not value or not math.isfinite(seconds):
            return None
        lifetime = timedelta(seconds=min(max(seconds, 0.0), _LONGEST.total_seconds()))
        return Token(value, self.now() + lifetime - min(EARLY, lifetime / 5))

    def _ask(self, credentials: Credentials) -> httpx.Response:
        form = {
            "grant_type": "refresh_token",
            "refresh_token": credentials.refresh_token,
            "client_id": credentials.client_id,
            "client_secret": credentials.client_secret,
        }
        try:
            return self.http.post(self.url, data=form, follow_redirects=False)
        except httpx.HTTPError as e:
            raise TransientFailure(f"Login with Amazon cannot be reached: {type(e).__name__}") from None


def _error(answer: httpx.Response) -> str:
    """The error code of Login with Amazon, "" for an answer that has none, or that may be another one the next time."""
    if not 400 <= answer.status_code < 500 or answer.status_code == 429:
        return ""
    return str(_object(answer).get("error", ""))


def _object(answer: httpx.Response) -> dict[str, Any]:
    """The body as a JSON object, an empty one if it is none."""
    try:
        document = answer.json()
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


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
