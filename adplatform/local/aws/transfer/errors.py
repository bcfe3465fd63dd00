"""Errors of Transfer Family, as its service model has them."""

from collections.abc import Mapping

from moto.core.exceptions import ServiceException


class InvalidRequestException(ServiceException):
    code = "InvalidRequestException"


class InvalidNextTokenException(ServiceException):
    code = "InvalidNextTokenException"


class ResourceNotFoundException(ServiceException):
    code = "ResourceNotFoundException"

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"Unknown {kind.lower()}")
        self.Resource, self.ResourceType = name, kind


class ResourceExistsException(ServiceException):
    code = "ResourceExistsException"

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"{kind} {name} already exists")
        self.Resource, self.ResourceType = name, kind


class InternalServiceError(ServiceException):
    code = "InternalServiceError"
    message = "An internal error occurred."


class ServiceUnavailableException(ServiceException):
    code = "ServiceUnavailableException"
    message = "The service is unavailable."


class ThrottlingException(ServiceException):
    """It has no message; ``RetryAfterSeconds`` is a string."""

    code = "ThrottlingException"

    def __init__(self, seconds: float) -> None:
        super().__init__("")
        self.RetryAfterSeconds = f"{seconds:g}"

    def __str__(self) -> str:
        """moto makes a message of it where there is none."""
        return ""


STATUS: Mapping[type[ServiceException], int] = {InternalServiceError: 500, ServiceUnavailableException: 503}
"""The HTTP status of those that are not the caller's fault; the model does not say it."""
