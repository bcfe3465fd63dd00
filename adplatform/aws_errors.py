"""Where botocore's errors become ours, so that the flow above knows which of them may pass."""

from collections.abc import Iterator
from contextlib import contextmanager

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError
from botocore.exceptions import ConnectionError as BotoConnectionError

from adplatform.failures import PermanentFailure, TransientFailure

# AWS SDKs and tools reference guide, retry behavior; then lost races and credentials that the next run has anew.
_PASSING = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "InternalError",
        "InternalFailure",
        "InternalServiceException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
        "ConcurrentModificationException",
        "OperationTimeoutException",
        "ExpiredToken",
        "ExpiredTokenException",
    }
)
_CONFLICT, _FORBIDDEN = 409, 403


@contextmanager
def aws_failures(what: str) -> Iterator[None]:
    """Run AWS calls whose errors nobody expects. ``what`` names the resource and begins the message.

    Raises:
        TransientFailure: throttled, in conflict with another call, or the service fails or cannot be reached.
        PermanentFailure: not allowed, no credentials, or refused for another reason.
    """
    try:
        yield
    except (Boto3Error, BotoCoreError, ClientError) as e:
        # boto3's transfer manager hides the service's answer in an error of its own (S3UploadFailedError).
        cause = e.__context__ if isinstance(e, Boto3Error) and e.__context__ is not None else e
        raise _failure(what, cause) from e


def _failure(what: str, error: BaseException) -> PermanentFailure | TransientFailure:
    if isinstance(error, ClientError):
        return _refusal(what, error)
    if isinstance(error, BotoConnectionError | HTTPClientError | IncompleteReadError | Boto3Error):
        return TransientFailure(f"{what}: AWS does not answer ({type(error).__name__}); run the step again")
    return PermanentFailure(f"{what}: AWS cannot be asked: {error}")


def _refusal(what: str, error: ClientError) -> PermanentFailure | TransientFailure:
    details = error.response.get("Error", {})
    code, said = details.get("Code", ""), details.get("Message", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _PASSING or status == _CONFLICT or status >= 500:
        return TransientFailure(f"{what}: {error.operation_name} failed for now ({code}); run the step again")
    if status == _FORBIDDEN or code.startswith(("AccessDenied", "UnauthorizedOperation")):
        return PermanentFailure(
            f"{what}: {error.operation_name} is not allowed ({code}: {said}). Let the role do this and use the KMS key"
        )
    return PermanentFailure(f"{what}: {error.operation_name} was refused ({code}: {said})")
