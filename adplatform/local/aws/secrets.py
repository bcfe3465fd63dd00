"""Secrets Manager secrets whose default version is the one labelled AWSCURRENT, and whose versions keep their other
labels; and the secret of the simulated shop, which says where its database is whenever it is read."""

import json
from typing import Any

from moto.secretsmanager import models
from moto.secretsmanager.exceptions import InvalidRequestException

from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.local.aws import managed
from adplatform.local.aws.state import released
from adplatform.local.world.shop.endpoint import SIMULATED_HOST, connection, ensure


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


def _with_the_shop(text: str) -> str:
    """A secret with the true address of the simulated shop, which is started if it does not run, and with that of its
    administration.

    Raises:
        InvalidRequestException: it does not start; says why.
    """
    if SIMULATED_HOST not in text:
        return text
    try:
        members = json.loads(text)
    except ValueError:
        return text
    if not isinstance(members, dict) or members.get("host") != SIMULATED_HOST:
        return text
    try:
        with released():
            url = ensure(managed.CONTROL.data / "shop").url
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
            found["SecretString"] = _with_the_shop(found["SecretString"])
        return found

    models.SecretsManagerBackend.get_secret_value = get_secret_value
