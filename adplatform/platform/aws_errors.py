"""Where botocore's errors become ours, so that the flow above knows which of them may pass.

botocore's own retry checkers say what is worth another try at once (AWS SDKs and Tools Reference Guide, *Retry
behavior*). They know nothing of lost races between our own calls, nor of permissions, keys and credentials that come
back when somebody mends them: those are listed here, from the error lists of the services' API references.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from botocore import exceptions as boto
from botocore.exceptions import BotoCoreError, ClientError

from adplatform.failures import EnvironmentFailure, PermanentFailure, TransientFailure, is_of_machine, local_failure
from adplatform.platform.late import Late

boto3_exceptions: Any = Late("boto3.exceptions")
retries: Any = Late("botocore.retries.standard")
_PASSING = frozenset(
    {
        # Lost races
        *("ConcurrentModificationException", "ConditionalRequestConflict", "OperationAborted"),
        *("ReplicatedWriteConflictException", "TransactionConflictException"),
        # Bodies that were damaged on their way
        *("BadDigest", "IncompleteBody", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"),
        # Services that are down, where the status does not say so
        *("InternalError", "InternalFailure", "InternalServerError", "InternalServiceError"),
        *("InternalServiceErrorException", "InternalServiceException", "OperationTimeoutException"),
        *("ServiceUnavailable", "ServiceUnavailableException", "DependencyTimeoutException"),
    }
)
_HINDERED = frozenset(
    {
        # Credentials that ran out, were rotated, or are signed by a clock that is wrong
        *("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired", "RequestTimeTooSkewed"),
        *("AuthFailure", "IncompleteSignature", "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidSecurity"),
        *("InvalidSignatureException", "InvalidToken", "MissingAuthenticationToken"),
        *("MissingAuthenticationTokenException", "SignatureDoesNotMatch", "UnrecognizedClientException"),
        # The same as an answer to HEAD, which has no body to name a code
        "400",
        # Accounts
        *("AccountProblem", "AllAccessDisabled", "NotSignedUp", "OptInRequired", "OptInRequiredException"),
        *("ExceedsLimitException", "ResourceNumberLimitExceededException", "ServiceQuotaExceededException"),
        # Keys
        *("DecryptionFailure", "DisabledException", "EncryptionFailure", "GlueEncryptionException"),
        "KeyUnavailableException",
    }
)
_DENIED = ("AccessDenied", "Unauthorized", "NotAuthorized", "Forbidden")


def _errors(*names: str) -> tuple[type[Exception], ...]:
    """Those that this release of botocore has; that of Glue 5 is of 2024."""
    return tuple(getattr(boto, name) for name in names if hasattr(boto, name))


_NO_ANSWER = _errors(
    *("ConnectionError", "HTTPClientError", "IncompleteReadError", "ChecksumError"),
    *("FlexibleChecksumError", "AwsChunkedWrapperError", "CapacityNotAvailableError"),
)
_UNPREPARED = _errors(
    *("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "NoAuthTokenError"),
    *("TokenRetrievalError", "UnknownTokenProviderError", "UnknownCredentialError", "SSOError"),
    *("LoginError", "RefreshWithMFAUnsupportedError", "MetadataRetrievalError", "ProfileNotFound"),
    *("ConfigNotFound", "ConfigParseError", "InvalidConfigError", "BaseEndpointResolverError"),
    *("InvalidProxiesConfigError", "InvalidIMDSEndpointError", "InvalidIMDSEndpointModeError"),
    "MissingDependencyException",
)
"""This machine has no credentials, or no usable configuration."""
_CONFLICT, _TIMEOUT, _TOO_MANY = 409, 408, 429
_UNAUTHENTICATED, _FORBIDDEN = 401, 403


@contextmanager
def aws_failures(what: str, *, hindering: tuple[str, ...] = ()) -> Iterator[None]:
    """Run work whose errors nobody expects, of AWS and of this machine's disk. ``what`` names the resource and begins
    the message; ``hindering`` are error codes that somebody has to mend outside of the work.

    Raises:
        TransientFailure: throttled, in conflict with another call, or the service fails or cannot be reached.
        EnvironmentFailure: not allowed, a key or credentials cannot be used, the disk is full.
        PermanentFailure: refused for another reason.
    """
    try:
        yield
    except (boto3_exceptions.Boto3Error, BotoCoreError, ClientError) as e:
        raise _failure(what, _cause(e), hindering) from e
    except OSError as e:
        if not is_of_machine(e):
            raise
        raise local_failure(what, e) from e


@contextmanager
def secret_failures(what: str) -> Iterator[None]:
    """Read a secret. One that is missing, or scheduled for deletion, can be restored: whatever needs it waits.

    Raises:
        TransientFailure, EnvironmentFailure, PermanentFailure: as :func:`aws_failures`.
    """
    with aws_failures(what, hindering=("ResourceNotFoundException", "InvalidRequestException")):
        yield


def _cause(error: Exception) -> BaseException:
    """boto3's transfer manager hides the service's answer to an upload in an error of its own (S3UploadFailedError).
    What it says of a download (RetriesExceededError) hides one of its own kind, which tells less."""
    hidden = error.__context__ if isinstance(error, boto3_exceptions.Boto3Error) else None
    return hidden if isinstance(hidden, (ClientError, BotoCoreError, OSError)) else error


def _failure(what: str, error: BaseException, hindering: tuple[str, ...]) -> PermanentFailure | TransientFailure:
    if isinstance(error, ClientError):
        return _refusal(what, error, hindering)
    if isinstance(error, OSError) and is_of_machine(error):
        return local_failure(what, error)
    if isinstance(error, (*_NO_ANSWER, boto3_exceptions.Boto3Error)):
        return TransientFailure(f"{what}: AWS does not answer ({type(error).__name__}); run the step again")
    if isinstance(error, _UNPREPARED):
        return EnvironmentFailure(
            f"{what}: AWS cannot be asked: {error}. Give this process credentials and a region that work",
            cause=type(error).__name__,
        )
    return PermanentFailure(f"{what}: AWS cannot be asked: {error}")


def _refusal(what: str, error: ClientError, hindering: tuple[str, ...]) -> PermanentFailure | TransientFailure:
    details = error.response.get("Error", {})
    code, said = details.get("Code", ""), details.get("Message", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    # S3, SNS and SQS hand on what the key service says: KMS.ThrottlingException, KMSDisabledException, KmsDisabled.
    key_service = code.lower().startswith("kms")
    if (key_service and any(word in code for word in ("Throttl", "Internal"))) or _passes(error, code, status):
        return TransientFailure(f"{what}: {error.operation_name} failed for now ({code}); run the step again")
    if code.startswith(_DENIED) or (status in (_UNAUTHENTICATED, _FORBIDDEN) and code not in _HINDERED):
        return EnvironmentFailure(
            f"{what}: {error.operation_name} is not allowed ({code}: {said}). Let the role do this and use the KMS key",
            cause=f"{error.operation_name}: {code}",
        )
    if key_service or code in _HINDERED or code in hindering:
        return EnvironmentFailure(
            f"{what}: {error.operation_name} cannot be done at present ({code}: {said}). Mend the key, the credentials "
            "or the account that it needs",
            cause=f"{error.operation_name}: {code}",
        )
    return PermanentFailure(f"{what}: {error.operation_name} was refused ({code}: {said})")


def _passes(error: ClientError, code: str, status: int) -> bool:
    answer = SimpleNamespace(status_code=status)
    context = retries.RetryContext(attempt_number=1, parsed_response=error.response, http_response=answer)
    checkers = (retries.TransientRetryableChecker(), retries.ThrottledRetryableChecker())
    return (
        any(checker.is_retryable(context) for checker in checkers)
        or code in _PASSING
        or (status in (_TIMEOUT, _CONFLICT, _TOO_MANY) or status >= 500)
    )
