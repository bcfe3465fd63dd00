"""Secrets in templates: only ever a reference, which CloudFormation resolves when it makes the resource."""

from collections.abc import Iterable


def reference(secret: str, member: str = "") -> str:
    """The value of a secret, or of a member of one that is a JSON object (CloudFormation User Guide, "Getting a secret
    from Secrets Manager"). It is read again only when something else of its resource changes."""
    return f"{{{{resolve:secretsmanager:{secret}:SecretString{':' if member else ''}{member}}}}}"


def references(secret: str, members: Iterable[str]) -> dict[str, str]:
    return {member: reference(secret, member) for member in members}
