"""Secrets Manager secrets whose default version is the one labelled AWSCURRENT, and whose versions keep their other
labels; and secrets of the simulated shop and SFTP host, which say where those are whenever they are read."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from moto.secretsmanager import models
from moto.secretsmanager.exceptions import InvalidRequestException

from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.local.aws import managed
from adplatform.local.aws.state import released
from adplatform.local.endpoint import Endpoint
from adplatform.local.world.host import endpoint as host
from adplatform.local.world.shop import endpoint as shop


class LocalSecret(models.FakeSecret):
    """moto stores the default version apart from the staging labels, and UpdateSecretVersionStage moves only the
    label: GetSecretValue goes on returning the old value."""

    @property
    def default_version_id(self) -> str | None:
        current = (version for version, value in self.versions.items() if "AWSCURRENT" in value["version_stages"])
        return next(current, None)

    @default_version_id.setter
    def default_version_id(self, version_id: str | None) -> None:
        """Ignored: the staging labels decide."""

    def reset_default_version(self, secret_version: dict[str, Any], version_id: str) -> None:
        """moto takes every label of its own from the version that was current."""
        before = self.versions.get(self.default_version_id or "", {"version_stages": []})
        own = [stage for stage in before["version_stages"] if not stage.startswith("AWS")]
        super().reset_default_version(secret_version, version_id)
        before["version_stages"] += own


_SIMULATED: Mapping[str, tuple[str, Callable[[Path], Endpoint], Callable[[str], dict[str, Any]]]] = {
    shop.SIMULATED_HOST: ("shop", shop.ensure, shop.connection),
    host.SIMULATED_HOST: ("sftp-host", host.ensure, host.connection),
}
"""By what stands for one in a secret: the folder of its state, what starts it, and what says where it is."""


def _with_its_address(text: str) -> str:
    """A secret with the true address of something simulated, which is started if it does not run, and with that of its
    administration.

    Raises:
        InvalidRequestException: it does not start; says why.
    """
    if not any(name in text for name in _SIMULATED):
        return text
    try:
        members = json.loads(text)
    except ValueError:
        return text
    if not isinstance(members, dict) or members.get("host") not in _SIMULATED:
        return text
    folder, ensure, connection = _SIMULATED[members["host"]]
    try:
        with released():
            url = ensure(managed.CONTROL.data / folder).url
            found = connection(url)
    except (OSError, PermanentFailure, TransientFailure) as e:
        raise InvalidRequestException(str(e)) from e
    return json.dumps({**members, **found, "administration": f"{url}/_admin"})


def install() -> None:
    models.FakeSecret = LocalSecret
    kept = models.SecretsManagerBackend.get_secret_value

    def get_secret_value(self: Any, secret_id: str, version_id: str, version_stage: str) -> dict[str, Any]:
        found: dict[str, Any] = kept(self, secret_id, version_id, version_stage)
        if "SecretString" in found:
            found["SecretString"] = _with_its_address(found["SecretString"])
        return found

    models.SecretsManagerBackend.get_secret_value = get_secret_value
