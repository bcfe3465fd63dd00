"""The OpenPGP keys of a feed, from Secrets Manager.

A secret is an ASCII-armoured key, a binary key, or JSON ``{"key": "<armoured>", "passphrase": "..."}``.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from adplatform.contracts.feed import Pgp
from adplatform.failures import PermanentFailure
from adplatform.platform.aws_errors import secret_failures
from adplatform.platform.json_text import parsed


@dataclass(frozen=True)
class Key:
    """Key material and the name of the secret it came from, which is all that messages may show of it."""

    secret: str
    data: bytes = field(repr=False)
    passphrase: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Keyring:
    private_keys: tuple[Key, ...]
    signer_keys: tuple[Key, ...]


def fetch_keyring(secrets_client: Any, pgp: Pgp) -> Keyring:
    """Every key ``pgp`` names. One that is missing fails the whole: a file would look as if it had the wrong key.

    Raises:
        EnvironmentFailure: a secret does not exist or may not be read.
        PermanentFailure: a secret is not a key.
        TransientFailure: Secrets Manager throttles or does not answer.
    """
    return Keyring(
        private_keys=tuple(_fetch(secrets_client, name) for name in pgp.private_keys),
        signer_keys=tuple(_fetch(secrets_client, name) for name in pgp.signer_keys),
    )


def _fetch(secrets_client: Any, name: str) -> Key:
    with secret_failures(f"secret {name}"):
        response = secrets_client.get_secret_value(SecretId=name)
    if "SecretString" in response:
        return parse_key(name, response["SecretString"])
    return Key(name, bytes(response["SecretBinary"]))


def parse_key(secret: str, text: str) -> Key:
    """A key from the text of a secret.

    Raises:
        PermanentFailure: JSON without a text ``key``; the message never shows the text.
    """
    if not text.lstrip().startswith("{"):
        return Key(secret, text.encode())
    try:
        fields = parsed(text)
    except json.JSONDecodeError:
        fields = {}
    key, passphrase = fields.get("key"), fields.get("passphrase")
    if not isinstance(key, str) or not isinstance(passphrase, str | None):
        raise PermanentFailure(
            f'secret {secret} is not a key: store the armoured key itself, or JSON {{"key": ..., "passphrase": ...}}'
        )
    return Key(secret, key.encode(), passphrase or None)
