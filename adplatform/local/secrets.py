"""Secrets Manager secrets whose default version is the one labelled AWSCURRENT."""

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


def install() -> None:
    models.FakeSecret = LocalSecret
