"""The versions of the hashing key's secret: the current one, earlier ones that are kept reachable, and a new one.

Secrets Manager keeps AWSPREVIOUS on the last version only, and deletes versions without a staging label at some time.
So every earlier key that is still needed has a label of its own, ``adplatform-key-<id>``, under which whoever may read
the secret can have it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from adplatform.failures import PermanentFailure
from adplatform.platform.aws_errors import secret_failures
from adplatform.privacy.keys import ID_LENGTH, HashKey, key_in, new_secret

_CURRENT, _PREVIOUS = "AWSCURRENT", "AWSPREVIOUS"


@dataclass(frozen=True)
class KeyVersion:
    """A version of the secret that has staging labels; ``version`` is its whole VersionId."""

    version: str
    labels: frozenset[str]

    @property
    def id(self) -> str:
        return self.version[:ID_LENGTH]

    @property
    def current(self) -> bool:
        return _CURRENT in self.labels


def label(key_id: str) -> str:
    return f"adplatform-key-{key_id}"


def key_versions(secrets: Any, secret_name: str) -> list[KeyVersion]:
    """Every version that can still be had by a label.

    Raises:
        EnvironmentFailure: there is no such secret, or it may not be described.
        TransientFailure: the service does not answer.
    """
    with secret_failures(f"hashing key, secret {secret_name!r}"):
        stages = secrets.describe_secret(SecretId=secret_name).get("VersionIdsToStages", {})
    return [KeyVersion(version, frozenset(labels)) for version, labels in stages.items() if labels]


def current_version(secrets: Any, secret_name: str) -> KeyVersion:
    """
    Raises:
        PermanentFailure: the secret has no value, or as :func:`key_versions`.
    """
    current = next((v for v in key_versions(secrets, secret_name) if v.current), None)
    if current is None:
        raise PermanentFailure(f"hashing key, secret {secret_name!r}: it has no current value")
    return current


def fetch_earlier_key(secrets: Any, secret_name: str, key_id: str) -> HashKey:
    """A key that :func:`keep_reachable` labelled.

    Raises:
        EnvironmentFailure: it has no label any more, which can be given again for as long as the version is there, or
            may not be read.
        PermanentFailure: it is not a key.
        TransientFailure: the service does not answer.
    """
    with secret_failures(f"earlier hashing key {key_id!r}, label {label(key_id)} of secret {secret_name!r}"):
        answer = secrets.get_secret_value(SecretId=secret_name, VersionStage=label(key_id))
    return key_in(answer, secret_name)


def every_key(secrets: Any, secret_name: str) -> list[HashKey]:
    """All keys that can still be had, also those without a label that Secrets Manager has not deleted yet.

    Raises: as :func:`fetch_earlier_key`.
    """
    found: list[HashKey] = []
    more: dict[str, str] = {}
    with secret_failures(f"hashing key, secret {secret_name!r}"):
        while True:
            page = secrets.list_secret_version_ids(SecretId=secret_name, IncludeDeprecated=True, **more)
            for each in page.get("Versions", ()):
                answer = secrets.get_secret_value(SecretId=secret_name, VersionId=each["VersionId"])
                found.append(key_in(answer, secret_name))
            if not (token := page.get("NextToken")):
                return found
            more = {"NextToken": token}


def put_key(secrets: Any, secret_name: str, version: str, random_bytes: Callable[[int], bytes]) -> None:
    """Make a new key the current one. ``version`` becomes its VersionId (a UUID), so doing it again changes nothing.

    Raises: as :func:`key_versions`.
    """
    if any(v.version == version for v in key_versions(secrets, secret_name)):
        return
    with secret_failures(f"hashing key, secret {secret_name!r}"):
        secrets.put_secret_value(
            SecretId=secret_name, ClientRequestToken=version, SecretString=new_secret(random_bytes)
        )


def keep_reachable(secrets: Any, secret_name: str, key_id: str) -> bool:
    """Give an earlier key a label of its own; False when it cannot be had any more.

    Raises: as :func:`key_versions`.
    """
    found = next((v for v in key_versions(secrets, secret_name) if v.id == key_id), None)
    if found is None:
        return False
    if label(key_id) not in found.labels:
        with secret_failures(f"hashing key {key_id!r}, secret {secret_name!r}"):
            secrets.update_secret_version_stage(
                SecretId=secret_name, VersionStage=label(key_id), MoveToVersionId=found.version
            )
    return True


def retire(secrets: Any, secret_name: str, key_id: str) -> None:
    """Take every label from an earlier key: Secrets Manager may delete it from then on, and nothing here reads it.

    Raises: as :func:`key_versions`.
    """
    for found in key_versions(secrets, secret_name):
        if found.id == key_id and not found.current:
            with secret_failures(f"hashing key {key_id!r}, secret {secret_name!r}"):
                for each in sorted(found.labels & {label(key_id), _PREVIOUS}):
                    secrets.update_secret_version_stage(
                        SecretId=secret_name, VersionStage=each, RemoveFromVersionId=found.version
                    )
