"""Names of secrets, where roles and templates are made for one: an ARN would be of one account and region."""

from typing import Annotated

from pydantic import Field

SecretName = Annotated[str, Field(pattern=r"^[A-Za-z0-9/_+=.@-]+$", max_length=512)]
"""Secrets Manager API reference, CreateSecret: Name."""
