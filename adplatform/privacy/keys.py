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
from contextlib import suppress
from typing import Any, NoReturn

from adplatform.failures import PermanentFailure
from adplatform.platform.aws_errors import secret_failures
from adplatform.platform.json_text import parsed

KEY_BYTES = 32
ID_LENGTH = 8
"""A key is named by this many first characters of its secret's version."""
_BLOCK_BYTES = 64
_FEWEST_DISTINCT_BYTES = 8
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2}){32,}")


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
        EnvironmentFailure: no such secret, no permission, or it cannot be decrypted.
        PermanentFailure: it is not a key.
        TransientFailure: throttled, or the service cannot be reached or fails.
    """
    with secret_failures(f"hashing key, secret {secret_name!r}"):
        answer = secrets.get_secret_value(SecretId=secret_name)
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
        PermanentFailure, EnvironmentFailure, TransientFailure: as :func:`fetch_key`.
    """
    text = new_secret(random_bytes)
    with (
        secret_failures(f"hashing key, secret {secret_name!r}"),
        suppress(secrets.exceptions.ResourceExistsException),
    ):
        secrets.create_secret(Name=secret_name, SecretString=text)
    return fetch_key(secrets, secret_name)


def new_secret(random_bytes: Callable[[int], bytes]) -> str:
    """The SecretString of a key that nobody has had before."""
    return json.dumps({"key": base64.b64encode(random_bytes(KEY_BYTES)).decode()})


def _decode(text: str, secret_name: str) -> bytes:
    text = text.strip()
    # The decoders' own errors quote the text they could not read, so none of them is chained.
    malformed = PermanentFailure(
        f'secret {secret_name!r} is not a key: write hexadecimal, base64 or {{"key": "<base64>"}}, 32 bytes or more'
    )
    if text.startswith("{"):
        try:
            document = parsed(text)
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
