"""DMS's errors. The service model says which HTTP status each has."""

from moto.core.exceptions import ServiceException


class InvalidParameterCombinationException(ServiceException):
    code = "InvalidParameterCombinationException"


class InvalidParameterValueException(ServiceException):
    code = "InvalidParameterValueException"


class InvalidResourceStateFault(ServiceException):
    code = "InvalidResourceStateFault"


class ResourceAlreadyExistsFault(ServiceException):
    code = "ResourceAlreadyExistsFault"


class ResourceNotFoundFault(ServiceException):
    code = "ResourceNotFoundFault"


class ThrottlingException(ServiceException):
    code = "ThrottlingException"
