"""AppFlow's errors. The service model says which HTTP status each has."""

from moto.core.exceptions import ServiceException


class ConflictException(ServiceException):
    code = "ConflictException"


class ConnectorAuthenticationException(ServiceException):
    code = "ConnectorAuthenticationException"


class ConnectorServerException(ServiceException):
    code = "ConnectorServerException"


class ResourceNotFoundException(ServiceException):
    code = "ResourceNotFoundException"


class ThrottlingException(ServiceException):
    code = "ThrottlingException"


class UnsupportedOperationException(ServiceException):
    code = "UnsupportedOperationException"


class ValidationException(ServiceException):
    code = "ValidationException"
