"""The key of the lake's digests: fetched from Secrets Manager, never shown, never written.

Without the key nothing may be published, so every way of not having it is a failure, never a fall-back.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as BotoConnectionError

from adplatform.failures import PermanentFailure, TransientFailure

KEY_BYTES = 32
ID_LENGTH = 8
"""A key is named by this many first characters of its secret's version."""
_BLOCK_BYTES = 64
_FEWEST_DISTINCT_BYTES = 8
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2}){32,}")
_TRANSIENT_CODES = frozenset(
    {
        "InternalServiceError",
        "InternalServiceErrorException",
        "InternalFailure",
        "LimitExceededException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)


class HashKey:
    """A secret for HMAC-SHA-256. ``id`` names it beside the digests; the bytes appear in no text and no pickle."""

    __slots__ = ("__secret", "id")

    def __init__(self, id: str, secret: bytes) -> None:
        """
        Raises:
            PermanentFailure: the secret is shorter than 32 bytes, or too regular to have come from a random source.
        """
        if len(secret) < KEY_BYTES:
            raise PermanentFailure(f"hashing key {id!r} has {len(secret)} bytes; at least {KEY_BYTES} are needed")
        if len(set(secret)) < _FEWEST_DISTINCT_BYTES:
            raise PermanentFailure(f"hashing key {id!r} is a placeholder, not {KEY_BYTES} random bytes")
        self.id = id
        self.__secret = secret

    def hmac(self, text: str) -> str:
        """HMAC-SHA-256 (RFC 2104) of the UTF-8 text, as 64 lower-case hexadecimal digits."""
        return hmac.digest(self.__secret, text.encode(), "sha256").hex()

    def pads(self) -> tuple[bytes, bytes]:
        """The inner and the outer 64-byte block of RFC 2104. As secret as the key: XOR with 0x36 gives it back."""
        secret = self.__secret if len(self.__secret) <= _BLOCK_BYTES else hashlib.sha256(self.__secret).digest()
        block = secret.ljust(_BLOCK_BYTES, b"\0")
        return bytes(b ^ 0x36 for b in block), bytes(b ^ 0x5C for b in block)

    def __repr__(self) -> str:
        return f"HashKey(id={self.id!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HashKey) and self.id == other.id and hmac.compare_digest(self.__secret, other.__secret)

    def __hash__(self) -> int:
        return hash(self.id)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a HashKey stays in its process: fetch it again where it is needed")


def fetch_key(secrets: Any, secret_name: str) -> HashKey:
    """The current key. ``secrets`` is a Secrets Manager client.

    The secret holds at least 32 random bytes: as SecretBinary, or as SecretString in hexadecimal, in base64 or as
    ``{"key": "<base64>"}``. The key's id is the first eight characters of the secret's version.

    Raises:
        PermanentFailure: no such secret, no permission, cannot be decrypted, or not a key.
        TransientFailure: throttled, or the service cannot be reached or fails.
    """
    answer = _call(secrets.get_secret_value, secret_name, SecretId=secret_name)
    return key_in(answer, secret_name)


def key_in(answer: Mapping[str, Any], secret_name: str) -> HashKey:
    """The key in an answer of GetSecretValue.

    Raises:
        PermanentFailure: it is not a key.
    """
    binary = answer.get("SecretBinary")
    secret = bytes(binary) if binary is not None else _decode(answer.get("SecretString", ""), secret_name)
    try:
        return HashKey(answer["VersionId"][:ID_LENGTH], secret)
    except PermanentFailure as e:
        raise PermanentFailure(f"secret {secret_name!r}: {e}") from e


def create_key(secrets: Any, secret_name: str, random_bytes: Callable[[int], bytes]) -> HashKey:
    """The current key, made from ``random_bytes(32)`` if the secret does not exist yet. An existing one is kept.

    Raises:
        PermanentFailure, TransientFailure: as :func:`fetch_key`.
    """
    text = new_secret(random_bytes)
    _call(secrets.create_secret, secret_name, "ResourceExistsException", Name=secret_name, SecretString=text)
    return fetch_key(secrets, secret_name)


def new_secret(random_bytes: Callable[[int], bytes]) -> str:
    """The SecretString of a key that nobody has had before."""
    return json.dumps({"key": base64.b64encode(random_bytes(KEY_BYTES)).decode()})


def _call(operation: Callable[..., Any], secret_name: str, fine: str = "", **arguments: Any) -> Any:
    """The operation's answer; None when it failed with the error code ``fine``."""
    try:
        return operation(**arguments)
    except ClientError as e:
        code = e.response.get("Error", {}).get("Code", "")
        status = e.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code == fine:
            return None
        if code in _TRANSIENT_CODES or status >= 500:
            raise TransientFailure(f"secret {secret_name!r} cannot be had now: Secrets Manager says {code}") from e
        raise PermanentFailure(
            f"secret {secret_name!r} cannot be had: Secrets Manager says {code}. Check its name, that it is not "
            "scheduled for deletion, and that this role may read the secret and use its KMS key."
        ) from e
    except (HTTPClientError, BotoConnectionError) as e:
        raise TransientFailure(f"secret {secret_name!r} cannot be had now: no connection ({type(e).__name__})") from e
    except BotoCoreError as e:
        raise PermanentFailure(f"secret {secret_name!r} cannot be asked for: {type(e).__name__}") from e


def _decode(text: str, secret_name: str) -> bytes:
    text = text.strip()
    # The decoders' own errors quote the text they could not read, so none of them is chained.
    malformed = PermanentFailure(
        f'secret {secret_name!r} is not a key: write hexadecimal, base64 or {{"key": "<base64>"}}, 32 bytes or more'
    )
    if text.startswith("{"):
        try:
            document = json.loads(text)
        except json.JSONDecodeError:
            raise malformed from None
        text = document.get("key")
        if not isinstance(text, str):
            raise malformed
    elif _HEX.fullmatch(text):
        return bytes.fromhex(text)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise malformed from None
