"""Secrets Manager secrets whose default version is the one labelled AWSCURRENT, and whose versions keep their other
labels."""

from typing import Any

from moto.secretsmanager import models


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


def install() -> None:
    models.FakeSecret = LocalSecret
